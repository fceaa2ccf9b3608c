package store

import (
	"context"
	"fmt"
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
			<-s.turn
			group = s.gather(append(group[:0], op))
			s.runSpends(group)
			s.release()
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
	now := s.now() // the ledger's clock
	err := s.writer.transact(func() (err error) {
		for _, op := range group {
			if op.answer, err = s.writer.spend(op.ask, now, s.node); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		for _, op := range group {
			op.answer, op.err = limit.Answer{}, err
		}
	}
}

func (c *session) spend(a limit.Ask, now time.Time, node string) (limit.Answer, error) {
	s, err := c.standing(a, now, node)
	if err != nil {
		return limit.Answer{}, err
	}
	out := limit.Decide(a, now, s)
	if out.OK {
		if err := c.use(a.Account, out.Day, a.Calls); err != nil {
			return limit.Answer{}, err
		}
	}
	if out.Held > 0 {
		err = c.exec("INSERT INTO usage_held (plan_id, key_id, day, node, held) VALUES (?, ?, ?, ?, ?) "+
			"ON CONFLICT (plan_id, key_id, day, node) DO UPDATE SET held = usage_held.held + excluded.held",
			a.Account.PlanID, a.Account.KeyID, int64(out.Lease), node, out.Held)
	}
	return out, err
}

// standing reads how an account stands in the period of an ask, for a node.
func (c *session) standing(a limit.Ask, now time.Time, node string) (s limit.Standing, err error) {
	const where = " WHERE plan_id = ?1 AND key_id = ?2 AND day BETWEEN ?3 AND ?4"
	const query = "SELECT (SELECT coalesce(sum(used), 0) FROM usage" + where + ")," +
		" (SELECT coalesce(sum(extra), 0) FROM usage_grant" + where + ")," +
		" coalesce(sum(CASE WHEN node = ?5 THEN held ELSE 0 END), 0)," +
		" coalesce(max(CASE WHEN node = ?5 THEN day END), 0)," +
		" coalesce(sum(CASE WHEN node = ?5 THEN 0 ELSE held END), 0) FROM usage_held" + where
	_, start, end := a.Days(now)
	var day int64
	_, err = c.row(query, []any{a.Account.PlanID, a.Account.KeyID, int64(start), int64(end) - 1, node},
		&s.Used, &s.Extra, &s.Own, &day, &s.Others)
	s.OwnDay = limit.Day(day)
	return s, err
}

// use counts calls of a day.
func (c *session) use(a limit.Account, day limit.Day, calls int64) error {
	return c.exec("INSERT INTO usage (plan_id, key_id, day, used) VALUES (?, ?, ?, ?) "+
		"ON CONFLICT (plan_id, key_id, day) DO UPDATE SET used = usage.used + excluded.used",
		a.PlanID, a.KeyID, int64(day), calls)
}

// Record implements limit.Ledger.
func (s *Store) Record(ctx context.Context, b limit.Batch) error {
	if err := b.Check(); err != nil {
		return err
	}
	return s.write(ctx, func(w *session) error { return w.recordBatch(b, s.node) })
}

func (c *session) recordBatch(b limit.Batch, node string) error {
	var newest int64
	if ok, err := c.row("SELECT batch FROM node WHERE id = ?", []any{node}, &newest); !ok {
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
	for _, n := range b.Counts {
		if n.Calls > 0 {
			if err := c.use(n.Account, n.Day, n.Calls); err != nil {
				return err
			}
		}
		if n.Release > 0 {
			if err := c.giveBack(n, node); err != nil {
				return err
			}
		}
	}
	if b.Last {
		return c.exec("DELETE FROM usage_held WHERE node = ?", node)
	}
	return nil
}

// giveBack lowers what a node holds.
func (c *session) giveBack(n limit.Count, node string) error {
	const where = " WHERE plan_id = ? AND key_id = ? AND day = ? AND node = ?"
	row := []any{n.Account.PlanID, n.Account.KeyID, int64(n.Lease), node}
	if err := c.exec("DELETE FROM usage_held"+where+" AND held <= ?", append(row, n.Release)...); err != nil {
		return err
	}
	return c.exec("UPDATE usage_held SET held = held - ?"+where, append([]any{n.Release}, row...)...)
}
