// Package limittest serves tests of what limits are made of: a ledger in
// memory, and a suite that every Ledger must pass.
package limittest

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"weir/internal/limit"
)

// Ledger keeps what was spent in memory. The zero value is ready; it is the
// handle of one node, and Node gives those of others. Safe for concurrent use;
// the hooks and the clock are set before it is shared.
type Ledger struct {
	// Now is the ledger's own clock; nil: noon of a Tuesday, at which it stands.
	Now func() time.Time
	// BeforeSpend, when set, runs at the start of every Spend and without a
	// lock: it may block, and its error is Spend's answer.
	BeforeSpend func(ctx context.Context, a limit.Account) error
	// BeforeRecord is the same for Record.
	BeforeRecord func(ctx context.Context, b limit.Batch) error

	node string
	once sync.Once
	*books
}

// Noon is when a Ledger's clock stands that was given none.
var Noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// books is what the handles of all nodes share.
type books struct {
	mu       sync.Mutex
	accounts map[limit.Account]*account
	newest   map[string]int64 // batch, by node
	spends   int
}

type account struct {
	used, extra map[limit.Day]int64
	held        map[hold]int64
}

// hold is a lease: who holds it, since when.
type hold struct {
	node string
	day  limit.Day
}

func (b *books) of(a limit.Account) *account {
	at := b.accounts[a]
	if at == nil {
		at = &account{map[limit.Day]int64{}, map[limit.Day]int64{}, map[hold]int64{}}
		b.accounts[a] = at
	}
	return at
}

// open returns the books, locked.
func (l *Ledger) open() *books {
	l.once.Do(func() {
		if l.books == nil {
			l.books = &books{accounts: map[limit.Account]*account{}, newest: map[string]int64{}}
		}
	})
	l.books.mu.Lock()
	return l.books
}

// Node returns the handle of another node (a restarted one, say) on the same
// counts, with the same clock and no hooks.
func (l *Ledger) Node(name string) *Ledger {
	b := l.open()
	defer b.mu.Unlock()
	return &Ledger{Now: l.Now, node: name, books: b}
}

func (l *Ledger) now() time.Time {
	if l.Now == nil {
		return Noon
	}
	return l.Now()
}

// Spend implements limit.Ledger.
func (l *Ledger) Spend(ctx context.Context, a limit.Ask) (limit.Answer, error) {
	if l.BeforeSpend != nil {
		if err := l.BeforeSpend(ctx, a.Account); err != nil {
			return limit.Answer{}, err
		}
	}
	if err := ctx.Err(); err != nil {
		return limit.Answer{}, err
	}
	b := l.open()
	defer b.mu.Unlock()
	b.spends++
	now, at := l.now(), b.of(a.Account)
	out := limit.Decide(a, now, at.standing(l.node, a, now))
	if out.OK {
		at.used[out.Day] += a.Calls
	}
	if out.Held > 0 {
		at.held[hold{l.node, out.Lease}] += out.Held
	}
	return out, nil
}

func (at *account) standing(node string, a limit.Ask, now time.Time) (s limit.Standing) {
	_, start, end := a.Days(now)
	s.Used, s.Extra = sum(at.used, start, end-1), sum(at.extra, start, end-1)
	for h, n := range at.held {
		switch {
		case h.day < start || h.day >= end:
		case h.node != node:
			s.Others += n
		case s.Own == 0 || h.day > s.OwnDay:
			s.OwnDay = h.day
			fallthrough
		default:
			s.Own += n
		}
	}
	return s
}

// Record implements limit.Ledger.
func (l *Ledger) Record(ctx context.Context, batch limit.Batch) error {
	if l.BeforeRecord != nil {
		if err := l.BeforeRecord(ctx, batch); err != nil {
			return err
		}
	}
	if err := batch.Check(); err != nil {
		return err
	}
	b := l.open()
	defer b.mu.Unlock()
	if fresh, err := limit.Follows(b.newest[l.node], batch.Seq); !fresh {
		return err
	}
	b.newest[l.node] = batch.Seq
	for _, c := range batch.Counts {
		at, h := b.of(c.Account), hold{l.node, c.Lease}
		if c.Calls > 0 {
			at.used[c.Day] += c.Calls
		}
		if at.held[h] -= c.Release; at.held[h] <= 0 {
			delete(at.held, h)
		}
	}
	if batch.Last {
		for _, at := range b.accounts {
			maps.DeleteFunc(at.held, func(h hold, _ int64) bool { return h.node == l.node })
		}
	}
	return nil
}

// Grant lets remaining more calls in the period of now, as limit.Extra says;
// living are the names of the nodes that live.
func (l *Ledger) Grant(a limit.Ask, remaining int64, living ...string) {
	b := l.open()
	defer b.mu.Unlock()
	now, at := l.now(), b.of(a.Account)
	day, start, end := a.Days(now)
	var alive int64
	for h, n := range at.held {
		if slices.Contains(living, h.node) && start <= h.day && h.day < end {
			alive += n
		}
	}
	at.extra[day] += limit.Extra(a, now, at.standing(l.node, a, now), alive, remaining)
}

func sum(of map[limit.Day]int64, from, to limit.Day) (n int64) {
	for day, count := range of {
		if from <= day && day <= to {
			n += count
		}
	}
	return n
}

// Used returns what is recorded as used of a on the days from..to.
func (l *Ledger) Used(a limit.Account, from, to limit.Day) int64 {
	b := l.open()
	defer b.mu.Unlock()
	return sum(b.of(a).used, from, to)
}

// Held returns what the node of this handle holds of a, whatever the day.
func (l *Ledger) Held(a limit.Account) (n int64) {
	b := l.open()
	defer b.mu.Unlock()
	for h, count := range b.of(a).held {
		if h.node == l.node {
			n += count
		}
	}
	return n
}

// Spends returns how often Spend reached the ledger, from all nodes.
func (l *Ledger) Spends() int {
	b := l.open()
	defer b.mu.Unlock()
	return b.spends
}
