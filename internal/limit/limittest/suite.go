package limittest

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"weir/internal/limit"
)

// TestLedger holds a ledger against what limit.Ledger promises. open returns
// an empty one; used reads what is recorded of an account on the days from..to.
func TestLedger(t *testing.T, open func(*testing.T) limit.Ledger, used func(limit.Ledger, limit.Account, limit.Day, limit.Day) int64) {
	ctx := t.Context()
	a := limit.Account{PlanID: "plan01", KeyID: "key0000001"}

	t.Run("refuses at the limit and records nothing then", func(t *testing.T) {
		l := open(t)
		for i := int64(1); i <= 3; i++ {
			wantSpend(t, l, a, 100, 100, 3, i, true)
		}
		wantSpend(t, l, a, 100, 100, 3, 3, false)
		wantSpend(t, l, a, 100, 100, 2, 3, false)
		wantSpend(t, l, a, 100, 100, 0, 3, false)
		if n := used(l, a, 0, 1000); n != 3 {
			t.Errorf("%d recorded, want 3", n)
		}
		wantSpend(t, l, a, 100, 100, 4, 4, true)
	})

	t.Run("sums the days of the period, both ends included", func(t *testing.T) {
		l := open(t)
		for _, d := range []limit.Day{99, 100, 103, 106} {
			wantSpend(t, l, a, d, d, 1, 1, true)
		}
		wantSpend(t, l, a, 100, 105, 3, 3, true)   // 100, 103 and this one
		wantSpend(t, l, a, 100, 106, 4, 4, false)  // 106 as well
		wantSpend(t, l, a, 107, 107, 1, 1, true)   // a new period
		wantSpend(t, l, a, -400, -390, 1, 1, true) // before 1970
		if n := used(l, a, 105, 105); n != 1 {
			t.Errorf("%d recorded on the day of the call, want 1", n)
		}
	})

	t.Run("keeps accounts apart", func(t *testing.T) {
		l := open(t)
		wantSpend(t, l, a, 100, 100, 1, 1, true)
		wantSpend(t, l, limit.Account{PlanID: a.PlanID, KeyID: "key0000002"}, 100, 100, 1, 1, true)
		wantSpend(t, l, limit.Account{PlanID: "plan02", KeyID: a.KeyID}, 100, 100, 1, 1, true)
		wantSpend(t, l, a, 100, 100, 1, 1, false)
	})

	t.Run("records uncapped calls in the same counters", func(t *testing.T) {
		l := open(t)
		b := limit.Account{PlanID: "plan01", KeyID: "key0000002"}
		wantSpend(t, l, a, 100, 100, 10, 1, true)
		if err := l.Record(ctx, []limit.Count{{Account: a, Day: 100, Calls: 4}, {Account: b, Day: 101, Calls: 7}}); err != nil {
			t.Fatal(err)
		}
		if err := l.Record(ctx, nil); err != nil {
			t.Fatal(err)
		}
		wantSpend(t, l, a, 100, 100, 6, 6, true)
		wantSpend(t, l, a, 100, 100, 6, 6, false)
		if n := used(l, b, 101, 101); n != 7 {
			t.Errorf("%d recorded, want 7", n)
		}
	})

	t.Run("answers an ended context with an error or an honest record", func(t *testing.T) {
		l := open(t)
		gone, cancel := context.WithCancel(ctx)
		cancel()
		_, ok, err := l.Spend(gone, a, 100, 100, 5)
		if n := used(l, a, 100, 100); (err == nil && ok) != (n == 1) {
			t.Errorf("ok %v, error %v, but %d recorded", ok, err, n)
		}
	})

	t.Run("never admits more than the limit at once", func(t *testing.T) {
		l := open(t)
		const callers, each, most = 8, 20, 50
		var admitted atomic.Int64
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				for range each {
					_, ok, err := l.Spend(ctx, a, 100, 100, most)
					if err != nil {
						t.Error(err)
					}
					if ok {
						admitted.Add(1)
					}
				}
			})
		}
		wg.Wait()
		if n, rec := admitted.Load(), used(l, a, 100, 100); n != most || rec != most {
			t.Errorf("%d admitted and %d recorded, want %d", n, rec, most)
		}
	})
}

func wantSpend(t *testing.T, l limit.Ledger, a limit.Account, from, day limit.Day, most, used int64, ok bool) {
	t.Helper()
	gotUsed, gotOK, err := l.Spend(t.Context(), a, from, day, most)
	if err != nil || gotUsed != used || gotOK != ok {
		t.Errorf("Spend(%s, %d..%d, limit %d) = %d, %v, %v; want %d, %v", a, from, day, most, gotUsed, gotOK, err, used, ok)
	}
}
