package store

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"weir/internal/limit"
)

// maxGroup bounds how many spends share one commit, and so how long the first
// of them waits.
const maxGroup = 256

// spendOp is one Spend on its way.
type spendOp struct {
	ask limit.Ask

	taken  atomic.Bool // by the group that runs it, or by its caller who gave up
	done   chan struct{}
	answer limit.Answer
	err    error
}

// Spend implements limit.Ledger. Spends that wait at the same time are
// committed together. When ctx ends while one waits it is not run; when it ends
// while one is being committed, the answer is an error and what became of it is
// not known.
func (s *Store) Spend(ctx context.Context, a limit.Ask) (limit.Answer, error) {
	if err := s.refuse(ctx); err != nil {
		return limit.Answer{}, err
	}
	op := &spendOp{ask: a, done: make(chan struct{})}
	select {
	case s.spends <- op:
	case <-s.closing:
		return limit.Answer{}, ErrClosed
	case <-ctx.Done():
		return limit.Answer{}, ctx.Err()
	}
	select {
	case <-op.done:
		return op.answer, op.err
	case <-ctx.Done():
		if op.taken.CompareAndSwap(false, true) {
			return limit.Answer{}, ctx.Err()
		}
		return limit.Answer{}, fmt.Errorf("store: a call may have been counted and is not admitted: %w", ctx.Err())
	}
}

// spendLoop runs groups of spends until the store closes. While a group is
// being committed the next one gathers: the channel is not buffered, those who
// wait are its senders.
func (s *Store) spendLoop() {
	defer close(s.spendDone)
	group := make([]*spendOp, 0, maxGroup)
	for {
		select {
		case op := <-s.spends:
			<-s.ledger.turn
			group = s.gather(append(group[:0], op))
			s.runSpends(group)
			s.ledger.release()
			for i, op := range group {
				close(op.done)
				group[i] = nil
			}
		case <-s.closing:
			return
		}
	}
}

// gather adds whoever waits and leaves out who has given up.
func (s *Store) gather(group []*spendOp) []*spendOp {
	if !group[0].taken.CompareAndSwap(false, true) {
		group = group[:0]
	}
	for len(group) < maxGroup {
		select {
		case op := <-s.spends:
			if op.taken.CompareAndSwap(false, true) {
				group = append(group, op)
			}
		default:
			return group
		}
	}
	return group
}

// runSpends runs a group in one transaction. An error of the database is
// everybody's error: SQLite may have rolled back all of it.
func (s *Store) runSpends(group []*spendOp) {
	if len(group) == 0 {
		return
	}
	asks := make([]limit.Ask, len(group))
	for i, op := range group {
		asks[i] = op.ask
	}
	var answers []limit.Answer
	err := s.ledger.transact(func() (err error) {
		answers, err = s.spend(s.ledger.session, asks)
		return err
	})
	for i, op := range group {
		if err != nil {
			op.err = err
		} else {
			op.answer = answers[i]
		}
	}
}

// spend decides on asks, one after the other, and stores what was decided.
func (s *Store) spend(c *session, asks []limit.Ask) ([]limit.Answer, error) {
	now, err := s.lockAccounts(c, asks)
	if err != nil {
		return nil, err
	}
	standings, err := c.standings(asks, now, s.node)
	if err != nil {
		return nil, err
	}
	answers := make([]limit.Answer, len(asks))
	used, held := ledgerRows{}, ledgerRows{}
	for i, a := range asks {
		out := limit.Decide(a, now, standings[i])
		if out.OK {
			used.add(a.Account, out.Day, a.Calls)
		}
		if out.Held > 0 {
			held.add(a.Account, out.Lease, out.Held)
		}
		answers[i] = out
		// What was decided is seen by the asks behind it.
		for j := i + 1; j < len(asks); j++ {
			if asks[j].Account != a.Account {
				continue
			}
			_, start, end := asks[j].Days(now)
			if out.OK && out.Day >= start && out.Day < end {
				standings[j].Used += a.Calls
			}
			if out.Held > 0 && out.Lease >= start && out.Lease < end {
				standings[j].Own += out.Held
				standings[j].OwnDay = max(standings[j].OwnDay, out.Lease)
			}
		}
	}
	if err := c.use(used); err != nil {
		return nil, err
	}
	return answers, c.hold(held, s.node)
}

// ledgerRow is a day of an account.
type ledgerRow struct {
	account limit.Account
	day     limit.Day
}

// ledgerRows are numbers to be added to days of accounts.
type ledgerRows map[ledgerRow]int64

func (r ledgerRows) add(a limit.Account, day limit.Day, calls int64) {
	r[ledgerRow{a, day}] += calls
}

// sorted is always the same order: nodes that write the same rows at a time
// wait for each other, and never in a circle.
func (r ledgerRows) sorted() []ledgerRow {
	return slices.SortedFunc(maps.Keys(r), func(a, b ledgerRow) int {
		return cmp.Or(strings.Compare(a.account.PlanID, b.account.PlanID), strings.Compare(a.account.KeyID, b.account.KeyID), cmp.Compare(a.day, b.day))
	})
}

// standings reads how accounts stand in the periods of asks, for a node.
func (c *session) standings(asks []limit.Ask, now time.Time, node string) ([]limit.Standing, error) {
	const where = " WHERE plan_id = ?1 AND key_id = ?2 AND day BETWEEN ?3 AND ?4"
	const query = "SELECT (SELECT coalesce(sum(used), 0) FROM usage" + where + ")," +
		" (SELECT coalesce(sum(extra), 0) FROM usage_grant" + where + ")," +
		" coalesce(sum(CASE WHEN node = ?5 THEN held ELSE 0 END), 0)," +
		" coalesce(max(CASE WHEN node = ?5 THEN day END), 0)," +
		" coalesce(sum(CASE WHEN node = ?5 THEN 0 ELSE held END), 0) FROM usage_held" + where
	all := make([]limit.Standing, len(asks))
	rows := make([][]any, len(asks))
	for i, a := range asks {
		_, start, end := a.Days(now)
		rows[i] = []any{a.Account.PlanID, a.Account.KeyID, int64(start), int64(end) - 1, node}
	}
	return all, c.many(query, rows, func(i int, scan func(...any) error) error {
		var day int64
		s := &all[i]
		err := scan(&s.Used, &s.Extra, &s.Own, &day, &s.Others)
		s.OwnDay = limit.Day(day)
		return err
	})
}

// use counts calls of days.
func (c *session) use(calls ledgerRows) error {
	var rows [][]any
	for _, r := range calls.sorted() {
		rows = append(rows, []any{r.account.PlanID, r.account.KeyID, int64(r.day), calls[r]})
	}
	return c.many("INSERT INTO usage (plan_id, key_id, day, used) VALUES (?, ?, ?, ?) "+
		"ON CONFLICT (plan_id, key_id, day) DO UPDATE SET used = usage.used + excluded.used", rows, nil)
}

// hold counts what a node holds, since days.
func (c *session) hold(calls ledgerRows, node string) error {
	var rows [][]any
	for _, r := range calls.sorted() {
		rows = append(rows, []any{r.account.PlanID, r.account.KeyID, int64(r.day), node, calls[r]})
	}
	return c.many("INSERT INTO usage_held (plan_id, key_id, day, node, held) VALUES (?, ?, ?, ?, ?) "+
		"ON CONFLICT (plan_id, key_id, day, node) DO UPDATE SET held = usage_held.held + excluded.held", rows, nil)
}

// giveBack lowers what a node holds.
func (c *session) giveBack(calls ledgerRows, node string) error {
	var rows [][]any
	for _, r := range calls.sorted() {
		rows = append(rows, []any{r.account.PlanID, r.account.KeyID, int64(r.day), node, calls[r]})
	}
	const where = " WHERE plan_id = ?1 AND key_id = ?2 AND day = ?3 AND node = ?4"
	if err := c.many("DELETE FROM usage_held"+where+" AND held <= ?5", rows, nil); err != nil {
		return err
	}
	return c.many("UPDATE usage_held SET held = held - ?5"+where, rows, nil)
}

// lockAccounts gives a transaction the accounts of asks to itself, where others
// may have them, and returns the ledger's clock after it. One order for all: see
// sorted.
func (s *Store) lockAccounts(c *session, asks []limit.Ask) (time.Time, error) {
	if s.cluster == nil {
		return s.now(), nil
	}
	locks := make([]int64, len(asks))
	for i, a := range asks {
		h := fnv.New64a()
		_, _ = h.Write([]byte(a.Account.PlanID + "/" + a.Account.KeyID))
		locks[i] = int64(h.Sum64()) // another account's number now and then does no harm
	}
	slices.Sort(locks)
	var now int64
	_, err := c.row("SELECT weir_now() FROM (SELECT count(pg_advisory_xact_lock(n)) FROM unnest(?::bigint[]) AS n) AS held", []any{slices.Compact(locks)}, &now)
	return fromNanos(now), err
}

// Record implements limit.Ledger.
func (s *Store) Record(ctx context.Context, b limit.Batch) error {
	if err := b.Check(); err != nil {
		return err
	}
	return s.write(ctx, s.ledger, func(w *session) error { return w.recordBatch(b, s.node) })
}

func (c *session) recordBatch(b limit.Batch, node string) error {
	// Locked, because the same batch may still be on its way to being committed
	// on a connection that was lost.
	var newest int64
	if ok, err := c.row("SELECT batch FROM node WHERE id = ?"+c.forUpdate, []any{node}, &newest); !ok {
		if err == nil {
			err = fmt.Errorf("store: this node (%s) is not among those that live", node)
		}
		return err
	}
	if fresh, err := limit.Follows(newest, b.Seq); !fresh {
		return err
	}
	if err := c.exec("UPDATE node SET batch = ? WHERE id = ?", b.Seq, node); err != nil {
		return err
	}
	used, released := ledgerRows{}, ledgerRows{}
	for _, n := range b.Counts {
		if n.Calls > 0 {
			used.add(n.Account, n.Day, n.Calls)
		}
		if n.Release > 0 {
			released.add(n.Account, n.Lease, n.Release)
		}
	}
	if err := c.use(used); err != nil {
		return err
	}
	if err := c.giveBack(released, node); err != nil {
		return err
	}
	if b.Last {
		return c.exec("DELETE FROM usage_held WHERE node = ?", node)
	}
	return nil
}
