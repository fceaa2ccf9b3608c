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

// ask is for one call of a monthly quota: what a test does takes less.
func ask(a limit.Account, most int64) limit.Ask {
	return limit.Ask{Account: a, Quota: limit.Quota{Limit: most, Period: limit.Monthly}, Calls: 1}
}

func spend(t *testing.T, s *store.Store, a limit.Ask, wantUsed int64, wantOK bool) limit.Answer {
	t.Helper()
	out, err := s.Spend(context.Background(), a)
	if err != nil || out.Used != wantUsed || out.OK != wantOK {
		t.Errorf("Spend(%+v) = %+v, %v; want used %d, OK %v", a, out, err, wantUsed, wantOK)
	}
	return out
}

// usageOf sums all days.
func usageOf(t *testing.T, s *store.Store, plan, key string) (sum store.DayUsage) {
	t.Helper()
	days, err := s.Usage(context.Background(), plan, key, 0, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range days {
		sum.Used += d.Used
		sum.Extra += d.Extra
		sum.Lost += d.Lost
	}
	return sum
}

func spendToTheLimit(t *testing.T, s *store.Store) {
	for i := range int64(10) {
		spend(t, s, ask(account, 10), i+1, true)
		if got := usageOf(t, s, "p", "k").Used; got != i+1 {
			t.Errorf("Usage is %d after %d spends", got, i+1)
		}
	}
	spend(t, s, ask(account, 10), 10, false)
	spend(t, s, ask(account, 5), 10, false) // a lowered limit takes nothing back
	spend(t, s, ask(account, 11), 11, true)
}

func spendConcurrently(t *testing.T, s *store.Store) {
	const goroutines, most = 500, 137
	var wg sync.WaitGroup
	var admitted atomic.Int64
	seen := make([]atomic.Bool, most+1)
	for range goroutines {
		wg.Go(func() {
			out, err := s.Spend(context.Background(), ask(account, most))
			switch {
			case err != nil:
				t.Error(err)
			case out.OK && (out.Used < 1 || out.Used > most || seen[out.Used].Swap(true)):
				t.Errorf("an admitted call is number %d, which is taken or not there", out.Used)
			case out.OK:
				admitted.Add(1)
			case out.Used != most:
				t.Errorf("refused with %d used", out.Used)
			}
		})
	}
	// Updates take their turns between.
	for i := range 5 {
		wg.Go(func() { put(t, s, catalog.RestAPI{ID: fmt.Sprint("api", i)}) })
	}
	wg.Wait()
	if n := admitted.Load(); n != most {
		t.Errorf("%d admitted, want %d", n, most)
	}
	if got := usageOf(t, s, "p", "k").Used; got != most {
		t.Errorf("the ledger holds %d, want %d", got, most)
	}
}

func spendCancelled(t *testing.T, s *store.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if out, err := s.Spend(ctx, ask(account, 10)); out.OK || !errors.Is(err, context.Canceled) {
		t.Errorf("Spend = %+v, %v", out, err)
	}
	// Cancelled at any moment: what is told to be recorded is, and besides it at
	// most those whose outcome was not known.
	var recorded, unknown, other atomic.Int64
	var wg sync.WaitGroup
	for range 200 {
		ctx, cancel := context.WithCancel(t.Context())
		wg.Go(func() {
			out, err := s.Spend(ctx, ask(account, 1000))
			switch {
			case out.OK && err == nil:
				recorded.Add(1)
			case err == context.Canceled: // as it is: surely not run
			case errors.Is(err, context.Canceled):
				unknown.Add(1)
			default:
				other.Add(1)
			}
		})
		wg.Go(cancel)
	}
	wg.Wait()
	if other.Load() != 0 {
		t.Errorf("%d other answers", other.Load())
	}
	if out, err := s.Spend(t.Context(), ask(account, 0)); err != nil || out.OK { // behind all of them
		t.Errorf("Spend = %+v, %v", out, err)
	}
	if got := usageOf(t, s, "p", "k").Used; got < recorded.Load() || got > recorded.Load()+unknown.Load() {
		t.Errorf("the ledger holds %d; %d were told so and %d may be", got, recorded.Load(), unknown.Load())
	}
}

func recordAndUsage(t *testing.T, s *store.Store) {
	b := limit.Account{PlanID: "p", KeyID: "b"}
	for seq := range int64(2) {
		batch := limit.Batch{Seq: seq + 1, Counts: []limit.Count{{Account: account, Day: 10, Calls: 5}, {Account: account, Day: 12, Calls: 1}, {Account: b, Day: 10, Calls: 7}}}
		if err := s.Record(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		plan, key string
		from, to  limit.Day
		want      []store.DayUsage
	}{
		{"p", "", 0, 100, []store.DayUsage{{KeyID: "b", Day: 10, Used: 14}, {KeyID: "k", Day: 10, Used: 10}, {KeyID: "k", Day: 12, Used: 2}}},
		{"p", "k", 10, 11, []store.DayUsage{{KeyID: "k", Day: 10, Used: 10}}},
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
	spend(t, s, ask(a, 2), 1, true)
	update(t, s, func(tx *store.Tx) error {
		return errors.Join(store.Delete[catalog.APIKey](tx, k.ID), store.Delete[catalog.UsagePlan](tx, "p"))
	})
	put(t, s, catalog.UsagePlan{ID: "p"}, k, link)
	spend(t, s, ask(a, 2), 2, true)
	spend(t, s, ask(a, 2), 2, false)
}

// grants sets what remains, to and fro, and counts what is admitted then.
func grants(t *testing.T, s *store.Store) {
	seen := watched(s)
	grant := func(most, remaining int64) {
		t.Helper()
		update(t, s, func(tx *store.Tx) error { return tx.GrantUsage(ask(account, most), remaining) })
	}
	spend(t, s, ask(account, 3), 1, true)
	grant(3, 1)
	spend(t, s, ask(account, 3), 2, true)
	spend(t, s, ask(account, 3), 2, false)
	grant(3, 2)
	spend(t, s, ask(account, 3), 3, true)
	if out := spend(t, s, ask(account, 3), 4, true); out.Limit != 4 {
		t.Errorf("the limit is %d", out.Limit)
	}
	spend(t, s, ask(account, 3), 4, false)
	grant(3, 0)
	spend(t, s, ask(account, 4), 5, true) // an edit of the quota goes on top
	grant(0, 1)
	spend(t, s, ask(account, 0), 6, true)
	spend(t, s, ask(account, 0), 6, false)
	if n := len(*seen); n != 4 {
		t.Fatalf("watchers heard of %d changes, want 4: %v", n, *seen)
	}
	want := store.Change{Kind: catalog.KindUsageGrant, Key: "p/k", New: catalog.UsageGrant{PlanID: "p", KeyID: "k", Remaining: 1}}
	if got := (*seen)[0]; !reflect.DeepEqual(got, want) {
		t.Errorf("watchers heard %+v", got)
	}
	// What is held lives, so it remains: a lease does not change what is granted.
	a := ask(account, 10_000)
	a.Ahead = 50
	if out := spend(t, s, a, 7, true); out.Held != 50 {
		t.Fatalf("%+v", out)
	}
	grant(10_000, 60)
	if out := spend(t, s, ask(account, 10_000), 8, true); out.Left != 9 {
		t.Errorf("60 remain, 50 are held, one was spent: %+v", out)
	}
	if err := s.View(t.Context(), func(tx *store.Tx) error { return tx.GrantUsage(ask(account, 1), 1) }); err == nil {
		t.Error("a View could grant")
	}
}
