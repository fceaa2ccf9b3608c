package store

import (
	"context"
	"fmt"
	"sync/atomic"

	"weir/internal/limit"
)

// maxGroup bounds how many spends share one commit, and so how long the first
// of them waits.
const maxGroup = 256

// spendOp is one Spend on its way.
type spendOp struct {
	account   limit.Account
	from, day limit.Day
	max       int64

	taken  atomic.Bool // by the group that runs it, or by its caller who gave up
	answer chan struct{}
	used   int64
	ok     bool
	err    error
}

// Spend implements limit.Ledger. Spends that wait at the same time are
// committed together. When ctx ends while one waits it is not run; once it
// runs it is completed, and its answer is what became of it.
func (s *Store) Spend(ctx context.Context, a limit.Account, from, day limit.Day, max int64) (used int64, ok bool, err error) {
	if err := s.refuse(ctx); err != nil {
		return 0, false, err
	}
	op := &spendOp{account: a, from: from, day: day, max: max, answer: make(chan struct{})}
	select {
	case s.spends <- op:
	case <-s.closing:
		return 0, false, ErrClosed
	case <-ctx.Done():
		return 0, false, ctx.Err()
	}
	select {
	case <-op.answer:
	case <-ctx.Done():
		if op.taken.CompareAndSwap(false, true) {
			return 0, false, ctx.Err()
		}
		<-op.answer
	}
	return op.used, op.ok, op.err
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
				close(op.answer)
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
	err := s.writer.transact(func() error {
		for _, op := range group {
			if err := s.writer.spend(op); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		for _, op := range group {
			op.used, op.ok, op.err = 0, false, err
		}
	}
}

func (c *session) spend(op *spendOp) error {
	_, err := c.row("SELECT coalesce(sum(used), 0) FROM usage WHERE plan_id = ? AND key_id = ? AND day BETWEEN ? AND ?",
		[]any{op.account.PlanID, op.account.KeyID, int64(op.from), int64(op.day)}, &op.used)
	if err != nil || op.used >= op.max {
		return err
	}
	if err := c.record(op.account, op.day, 1); err != nil {
		return err
	}
	op.used++
	op.ok = true
	return nil
}

func (c *session) record(a limit.Account, day limit.Day, calls int64) error {
	return c.exec("INSERT INTO usage (plan_id, key_id, day, used) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET used = used + excluded.used",
		a.PlanID, a.KeyID, int64(day), calls)
}

// Record implements limit.Ledger.
func (s *Store) Record(ctx context.Context, counts []limit.Count) error {
	if len(counts) == 0 {
		return nil
	}
	for _, n := range counts {
		// The ledger never goes down, whatever it is given.
		if n.Calls <= 0 {
			return fmt.Errorf("store: cannot record %d calls", n.Calls)
		}
	}
	return s.write(ctx, func(w *session) error {
		for _, n := range counts {
			if err := w.record(n.Account, n.Day, n.Calls); err != nil {
				return err
			}
		}
		return nil
	})
}

// DayUsage is one day of one key in a plan.
type DayUsage struct {
	KeyID string
	Day   limit.Day
	Used  int64
}

// Usage reads what the ledger holds for a plan on the days from..to, both
// included, ordered by key and day; keyID "" means every key. Days without
// calls are left out. A Usage that begins after a Spend returned counts it.
func (s *Store) Usage(ctx context.Context, planID, keyID string, from, to limit.Day) ([]DayUsage, error) {
	query := "SELECT key_id, day, used FROM usage WHERE plan_id = ? AND day BETWEEN ? AND ?"
	args := []any{planID, int64(from), int64(to)}
	if keyID != "" {
		query += " AND key_id = ?"
		args = append(args, keyID)
	}
	var all []DayUsage
	err := s.read(ctx, func(r *session) error {
		return r.rows(query+" ORDER BY key_id, day", args, func(scan func(...any) error) error {
			var u DayUsage
			var day int64
			err := scan(&u.KeyID, &day, &u.Used)
			u.Day = limit.Day(day)
			all = append(all, u)
			return err
		})
	})
	return all, err
}
