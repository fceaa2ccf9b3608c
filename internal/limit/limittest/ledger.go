// Package limittest serves tests of what limits are made of: a ledger in
// memory, and a suite that every Ledger must pass.
package limittest

import (
	"context"
	"maps"
	"sync"

	"weir/internal/limit"
)

// Ledger keeps what was spent in memory. The zero value is ready. Safe for
// concurrent use; the hooks are set before it is shared.
type Ledger struct {
	// BeforeSpend, when set, runs at the start of every Spend and without a
	// lock: it may block, and its error is Spend's answer.
	BeforeSpend func(ctx context.Context, a limit.Account) error
	// BeforeRecord is the same for Record.
	BeforeRecord func(ctx context.Context, counts []limit.Count) error

	mu     sync.Mutex
	spent  map[row]int64
	spends int
}

type row struct {
	account limit.Account
	day     limit.Day
}

// Spend implements limit.Ledger.
func (l *Ledger) Spend(ctx context.Context, a limit.Account, from, day limit.Day, max int64) (int64, bool, error) {
	if l.BeforeSpend != nil {
		if err := l.BeforeSpend(ctx, a); err != nil {
			return 0, false, err
		}
	}
	if err := ctx.Err(); err != nil {
		return 0, false, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.spends++
	used := l.sum(a, from, day)
	if used >= max {
		return used, false, nil
	}
	l.add(a, day, 1)
	return used + 1, true, nil
}

// Record implements limit.Ledger.
func (l *Ledger) Record(ctx context.Context, counts []limit.Count) error {
	if l.BeforeRecord != nil {
		if err := l.BeforeRecord(ctx, counts); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range counts {
		l.add(c.Account, c.Day, c.Calls)
	}
	return nil
}

func (l *Ledger) add(a limit.Account, day limit.Day, n int64) {
	if l.spent == nil {
		l.spent = map[row]int64{}
	}
	l.spent[row{a, day}] += n
}

func (l *Ledger) sum(a limit.Account, from, to limit.Day) (n int64) {
	for d := from; d <= to; d++ {
		n += l.spent[row{a, d}]
	}
	return n
}

// Used returns what is recorded of a on the days from..to.
func (l *Ledger) Used(a limit.Account, from, to limit.Day) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sum(a, from, to)
}

// Spends returns how often Spend reached the ledger.
func (l *Ledger) Spends() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.spends
}

// Copy returns a ledger with the same counts and no hooks.
func (l *Ledger) Copy() *Ledger {
	l.mu.Lock()
	defer l.mu.Unlock()
	return &Ledger{spent: maps.Clone(l.spent)}
}
