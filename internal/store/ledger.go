package store

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"time"

	"weir/internal/limit"
)

// Spend implements limit.Ledger. Spends that wait at the same time are
// committed together.
func (s *Store) Spend(ctx context.Context, a limit.Ask) (limit.Answer, error) {
	if err := s.refuse(ctx); err != nil {
		return limit.Answer{}, err
	}
	return s.spends.do(ctx, a)
}

// spend decides on asks, one after the other, and stores what was decided.
func (s *Store) spend(c *session, asks []limit.Ask) ([]limit.Answer, error) {
	now, err := s.lockNames(c, accountNames(asks))
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

// accountNames names accounts for lockNames.
func accountNames(asks []limit.Ask) []string {
	names := make([]string, len(asks))
	for i, a := range asks {
		names[i] = a.Account.PlanID + "/" + a.Account.KeyID
	}
	return names
}

// lockNames gives a transaction what has these names to itself, where others
// may have it, and returns the database's clock after it.
func (s *Store) lockNames(c *session, names []string) (time.Time, error) {
	if s.cluster == nil {
		return s.now(), nil
	}
	locks := make([]int64, len(names))
	for i, name := range names {
		h := fnv.New64a()
		_, _ = h.Write([]byte(name))
		locks[i] = int64(h.Sum64()) // to share a number now and then does no harm
	}
	slices.Sort(locks) // one order for all: none waits in a circle
	var now int64
	_, err := c.row("SELECT weir_now() FROM (SELECT count(pg_advisory_xact_lock(n)) FROM unnest(?::bigint[]) AS n) AS held",
		[]any{slices.Compact(locks)}, &now)
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
