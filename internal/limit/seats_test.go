package limit_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"weir/internal/limit"
	"weir/internal/limit/limittest"
)

func sit(l *limit.Limiter, s *limit.Seats) (limit.Grant, limit.Outcome) {
	g, v := l.Take(context.Background(), nil, s, nil, after(0))
	return g, v.Outcome
}

func TestSeatsCapCallsAtOnce(t *testing.T) {
	l, s := limit.New(nil), limit.NewSeats(2)
	a, _ := sit(l, s)
	b, o := sit(l, s)
	if o != limit.Granted {
		t.Fatalf("the second of two seats: outcome %d", o)
	}
	refused, o := sit(l, s)
	if o != limit.Crowded || refused.Held() {
		t.Fatalf("a third call: outcome %d, held %v", o, refused.Held())
	}
	refused.Settle(true)
	if n := s.Taken(); n != 2 {
		t.Fatalf("%d sit after a refused call was settled, want 2", n)
	}
	a.Settle(true)
	a.Settle(false)
	if n := s.Taken(); n != 1 {
		t.Fatalf("%d sit after one call was settled twice, want 1", n)
	}
	b.Settle(false)
	if n := s.Taken(); n != 0 {
		t.Fatalf("%d sit when all have left", n)
	}
}

func TestEditedSeatsKeepWhoSits(t *testing.T) {
	l, s := limit.New(nil), limit.NewSeats(3)
	var grants []limit.Grant
	for range 3 {
		g, _ := sit(l, s)
		grants = append(grants, g)
	}
	s.SetLimit(2)
	grants[0].Settle(true)
	if _, o := sit(l, s); o != limit.Crowded {
		t.Errorf("two sit of two: outcome %d", o)
	}
	grants[1].Settle(true)
	if _, o := sit(l, s); o != limit.Granted {
		t.Errorf("one sits of two: outcome %d", o)
	}
	for _, n := range []int{0, -1} {
		if _, o := sit(l, limit.NewSeats(n)); o != limit.Crowded {
			t.Errorf("%d seats: outcome %d", n, o)
		}
	}
}

// A call that a seat or what comes after it refuses costs nobody anything, and
// the throttle is told before the seats, the seats before the quota.
func TestRefusalGivesTheSeatBack(t *testing.T) {
	l := limit.New(&limittest.Ledger{})
	one := func(burst int) []*limit.Cell {
		return []*limit.Cell{limit.NewCell(limit.Rate{PerSecond: 1, Burst: burst}, false, after(0))}
	}
	ctx := t.Context()
	cells, s, m := one(2), limit.NewSeats(1), limit.NewMeter(account, daily(1), noon)
	g, v := l.Take(ctx, cells, s, m, after(0))
	if v.Outcome != limit.Granted {
		t.Fatal(v)
	}
	if _, v := l.Take(ctx, cells, s, m, after(0)); v.Outcome != limit.Crowded {
		t.Errorf("%+v, want crowded before exhausted", v)
	}
	if u := cells[0].Used(after(0)); u != 1 {
		t.Errorf("%v tokens used, want 1: the seats refused the other", u)
	}
	g.Settle(true)
	for range 2 { // the second time the quota is known to be used up
		if _, v := l.Take(ctx, cells, s, m, after(0)); v.Outcome != limit.Exhausted {
			t.Errorf("%+v, want exhausted", v)
		}
	}
	if n := s.Taken(); n != 0 {
		t.Errorf("%d sit, want 0: the quota refused", n)
	}
	l.Take(ctx, cells, nil, nil, after(0))
	if _, v := l.Take(ctx, cells, limit.NewSeats(0), m, after(0)); v.Outcome != limit.Throttled {
		t.Errorf("%+v, want throttled before crowded", v)
	}
}

func TestSeatsHoldUnderConcurrency(t *testing.T) {
	const callers, each, most = 8, 2000, 3
	l, s := limit.New(nil), limit.NewSeats(most)
	var under, admitted atomic.Int64
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range each {
				g, o := sit(l, s)
				if o != limit.Granted {
					continue
				}
				admitted.Add(1)
				if n := under.Add(1); n > most {
					t.Errorf("%d calls at once", n)
				}
				under.Add(-1)
				g.Settle(true)
			}
		})
	}
	wg.Wait()
	if s.Taken() != 0 || admitted.Load() < most {
		t.Errorf("%d sit at the end, %d were admitted", s.Taken(), admitted.Load())
	}
}
