package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"

	"weir/internal/catalog"
	"weir/internal/limit"
	"weir/internal/store"
)

var account = limit.Account{PlanID: "p", KeyID: "k"}

func spend(t *testing.T, s *store.Store, a limit.Account, from, day limit.Day, max, wantUsed int64, wantOK bool) {
	t.Helper()
	used, ok, err := s.Spend(context.Background(), a, from, day, max)
	if err != nil || used != wantUsed || ok != wantOK {
		t.Errorf("Spend(%v, %d..%d, limit %d) = %d, %v, %v, want %d, %v", a, from, day, max, used, ok, err, wantUsed, wantOK)
	}
}

func usageOf(t *testing.T, s *store.Store, plan, key string, from, to limit.Day) (sum int64) {
	t.Helper()
	days, err := s.Usage(context.Background(), plan, key, from, to)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range days {
		sum += d.Used
	}
	return sum
}

func spendToTheLimit(t *testing.T, s *store.Store) {
	for i := range int64(10) {
		spend(t, s, account, 20000, 20000, 10, i+1, true)
		if got := usageOf(t, s, "p", "k", 20000, 20000); got != i+1 {
			t.Errorf("Usage is %d after %d spends", got, i+1)
		}
	}
	spend(t, s, account, 20000, 20000, 10, 10, false)
	spend(t, s, account, 20000, 20000, 5, 10, false) // a lowered limit takes nothing back
	spend(t, s, account, 20000, 20000, 11, 11, true)
	spend(t, s, account, 20001, 20001, 0, 0, false)
	spend(t, s, account, 20001, 20001, -5, 0, false)
	spend(t, s, limit.Account{PlanID: "p", KeyID: "other"}, 20000, 20000, 1, 1, true)
	spend(t, s, limit.Account{PlanID: "q", KeyID: "k"}, 20000, 20000, 1, 1, true)
	spend(t, s, account, 20001, 20001, 10, 1, true) // the next day
}

func spendOverPeriods(t *testing.T, s *store.Store) {
	for day := limit.Day(100); day < 103; day++ {
		for range 4 {
			if _, ok, err := s.Spend(t.Context(), account, day, day, 4); !ok || err != nil {
				t.Fatal(ok, err)
			}
		}
	}
	// DAY becomes WEEK: the same rows are summed over more days.
	spend(t, s, account, 100, 103, 13, 13, true)
	spend(t, s, account, 100, 103, 13, 13, false)
	spend(t, s, account, 101, 103, 13, 10, true)
	spend(t, s, account, 103, 103, 3, 3, true)
	spend(t, s, account, 103, 103, 3, 3, false)
	spend(t, s, account, -1, -1, 1, 1, true) // before 1970 counts like any day
}

func spendConcurrently(t *testing.T, s *store.Store) {
	const goroutines, max = 500, 137
	var wg sync.WaitGroup
	var admitted atomic.Int64
	seen := make([]atomic.Bool, max+1)
	for range goroutines {
		wg.Go(func() {
			used, ok, err := s.Spend(context.Background(), account, 1, 7, max)
			switch {
			case err != nil:
				t.Error(err)
			case ok && (used < 1 || used > max || seen[used].Swap(true)):
				t.Errorf("an admitted call is number %d, which is taken or not there", used)
			case ok:
				admitted.Add(1)
			case used != max:
				t.Errorf("refused with %d used", used)
			}
		})
	}
	// Updates take their turns between.
	for i := range 5 {
		wg.Go(func() { put(t, s, catalog.RestAPI{ID: fmt.Sprint("api", i)}) })
	}
	wg.Wait()
	if n := admitted.Load(); n != max {
		t.Errorf("%d admitted, want %d", n, max)
	}
	if got := usageOf(t, s, "p", "k", 1, 7); got != max {
		t.Errorf("the ledger holds %d, want %d", got, max)
	}
}

func spendCancelled(t *testing.T, s *store.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, ok, err := s.Spend(ctx, account, 1, 1, 10); ok || !errors.Is(err, context.Canceled) {
		t.Errorf("Spend = %v, %v", ok, err)
	}
	// Cancelled at any moment: what it says is what is recorded.
	var recorded, unknown atomic.Int64
	var wg sync.WaitGroup
	for range 200 {
		ctx, cancel := context.WithCancel(t.Context())
		wg.Go(func() {
			_, ok, err := s.Spend(ctx, account, 1, 1, 1000)
			if ok && err == nil {
				recorded.Add(1)
			} else if !errors.Is(err, context.Canceled) {
				unknown.Add(1)
			}
		})
		wg.Go(cancel)
	}
	wg.Wait()
	if unknown.Load() != 0 {
		t.Errorf("%d other answers", unknown.Load())
	}
	if got := usageOf(t, s, "p", "k", 1, 1); got != recorded.Load() {
		t.Errorf("the ledger holds %d, and %d were told so", got, recorded.Load())
	}
}

func recordAndUsage(t *testing.T, s *store.Store) {
	b := limit.Account{PlanID: "p", KeyID: "b"}
	if err := s.Record(t.Context(), nil); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := s.Record(t.Context(), []limit.Count{{Account: account, Day: 10, Calls: 5}, {Account: account, Day: 12, Calls: 1}, {Account: b, Day: 10, Calls: 7}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, calls := range []int64{0, -3} {
		if err := s.Record(t.Context(), []limit.Count{{Account: b, Day: 10, Calls: 1}, {Account: account, Day: 10, Calls: calls}}); err == nil {
			t.Errorf("%d calls were recorded", calls)
		}
	}
	spend(t, s, account, 10, 10, 11, 11, true) // one counter for both
	for _, c := range []struct {
		plan, key string
		from, to  limit.Day
		want      []store.DayUsage
	}{
		{"p", "", 0, 100, []store.DayUsage{{KeyID: "b", Day: 10, Used: 14}, {KeyID: "k", Day: 10, Used: 11}, {KeyID: "k", Day: 12, Used: 2}}},
		{"p", "k", 10, 11, []store.DayUsage{{KeyID: "k", Day: 10, Used: 11}}},
		{"p", "k", 12, 12, []store.DayUsage{{KeyID: "k", Day: 12, Used: 2}}},
		{"p", "k", 12, 10, nil},
		{"q", "", 0, 100, nil},
	} {
		got, err := s.Usage(t.Context(), c.plan, c.key, c.from, c.to)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("Usage(%s, %q, %d, %d) = %v, %v, want %v", c.plan, c.key, c.from, c.to, got, err, c.want)
		}
	}
}

func usageOutlivesKeys(t *testing.T, s *store.Store) {
	k := key(1)
	a := limit.Account{PlanID: "p", KeyID: k.ID}
	link := catalog.UsagePlanKey{PlanID: "p", KeyID: k.ID, AddedAt: Epoch}
	put(t, s, catalog.UsagePlan{ID: "p"}, k, link)
	spend(t, s, a, 5, 5, 2, 1, true)
	update(t, s, func(tx *store.Tx) error {
		return errors.Join(store.Delete[catalog.APIKey](tx, k.ID), store.Delete[catalog.UsagePlan](tx, "p"))
	})
	put(t, s, catalog.UsagePlan{ID: "p"}, k, link)
	spend(t, s, a, 5, 5, 2, 2, true)
	spend(t, s, a, 5, 5, 2, 2, false)
}
