package limittest

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"weir/internal/limit"
)

// Subject is a kind of ledger that the suite is run against.
type Subject struct {
	// Open gives an empty ledger.
	Open func(*testing.T) limit.Ledger
	// Restart gives the ledger of another node on the counts of one that died
	// without having stopped.
	Restart func(*testing.T, limit.Ledger) limit.Ledger
	// Used reads what is recorded as used of an account on the days from..to.
	Used func(l limit.Ledger, a limit.Account, from, to limit.Day) int64
}

// tester asks one ledger. All periods are months: what a suite does takes less.
type tester struct {
	*testing.T
	l    limit.Ledger
	used func(a limit.Account, from, to limit.Day) int64
	seq  int64
}

var (
	alice = limit.Account{PlanID: "plan01", KeyID: "key0000001"}
	bob   = limit.Account{PlanID: "plan01", KeyID: "key0000002"}
)

func ask(a limit.Account, most, calls, ahead int64) limit.Ask {
	return limit.Ask{Account: a, Quota: limit.Quota{Limit: most, Period: limit.Monthly}, Calls: calls, Ahead: ahead}
}

func (t *tester) spend(a limit.Ask) limit.Answer {
	t.Helper()
	out, err := t.l.Spend(t.Context(), a)
	if err != nil {
		t.Fatalf("Spend(%+v): %v", a, err)
	}
	return out
}

// want spends one call and holds the answer against what is expected.
func (t *tester) want(a limit.Account, most, used int64, ok bool) {
	t.Helper()
	if out := t.spend(ask(a, most, 1, 0)); out.Used != used || out.OK != ok || out.Held != 0 || out.Limit != most {
		t.Errorf("a call of %v with limit %d: %+v; want used %d, OK %v", a, most, out, used, ok)
	}
}

func (t *tester) record(counts ...limit.Count) {
	t.Helper()
	t.seq++
	if err := t.l.Record(t.Context(), limit.Batch{Seq: t.seq, Counts: counts}); err != nil {
		t.Fatal(err)
	}
}

// days are today and another day of this month, and the first day of the next.
func (t *tester) days() (today, other, next limit.Day) {
	t.Helper()
	out := t.spend(ask(limit.Account{PlanID: "days"}, 1, 0, 0))
	other = out.Start
	if out.Day == other {
		other = out.End - 1
	}
	return out.Day, other, out.End
}

// TestLedger holds a ledger against what limit.Ledger promises.
func TestLedger(t *testing.T, s Subject) {
	for _, c := range []struct {
		name string
		run  func(*tester)
	}{
		{"refuses at the limit and records nothing then", toTheLimit},
		{"sums the days of the period", sumsDays},
		{"keeps accounts apart", keepsApart},
		{"holds leases beside what is used", leases},
		{"knows a batch again", batches},
		{"gives back what a node holds that stops", lastBatch},
		{"answers an ended context with an error or an honest record", endedContext},
		{"never admits more than the limit at once", atOnce},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(s.tester(t, s.Open(t))) })
	}
	t.Run("counts what a dead node held as gone", func(t *testing.T) { restarted(t, s) })
}

func (s Subject) tester(t *testing.T, l limit.Ledger) *tester {
	return &tester{T: t, l: l, used: func(a limit.Account, from, to limit.Day) int64 { return s.Used(l, a, from, to) }}
}

func toTheLimit(t *tester) {
	for i := int64(1); i <= 3; i++ {
		t.want(alice, 3, i, true)
	}
	for _, most := range []int64{3, 2, 0, -5} {
		t.want(alice, most, 3, false)
	}
	if n := t.used(alice, 0, 1<<20); n != 3 {
		t.Errorf("%d recorded, want 3", n)
	}
	t.want(alice, 4, 4, true)
	if out := t.spend(ask(alice, 9, 0, 0)); out.OK || out.Used != 4 || out.Left != 5 {
		t.Errorf("asking for nothing: %+v", out)
	}
}

func sumsDays(t *tester) {
	today, other, next := t.days()
	t.want(alice, 10, 1, true)
	t.record(limit.Count{Account: alice, Day: other, Calls: 4}, limit.Count{Account: alice, Day: next, Calls: 100},
		limit.Count{Account: alice, Day: -400, Calls: 100})
	t.want(alice, 6, 6, true)
	t.want(alice, 6, 6, false)
	for day, want := range map[limit.Day]int64{today: 2, other: 4, next: 100, -400: 100} {
		if n := t.used(alice, day, day); n != want {
			t.Errorf("%d used on %v, want %d", n, day, want)
		}
	}
	// Another period sums the same rows.
	daily := limit.Ask{Account: alice, Quota: limit.Quota{Limit: 3, Period: limit.Daily}, Calls: 1}
	if out := t.spend(daily); out.Day == today && (!out.OK || out.Used != 3 || out.Start != today || out.End != today+1) {
		t.Errorf("with a daily quota: %+v", out)
	}
}

func keepsApart(t *tester) {
	t.want(alice, 1, 1, true)
	t.want(bob, 1, 1, true)
	t.want(limit.Account{PlanID: "plan02", KeyID: alice.KeyID}, 1, 1, true)
	t.want(alice, 1, 1, false)
}

func leases(t *tester) {
	today, other, _ := t.days()
	out := t.spend(ask(alice, 10_000, 1, 50))
	if !out.OK || out.Held != 50 || out.Lease != today || out.Used != 1 || out.Left != 9949 || out.Elsewhere != 0 {
		t.Fatalf("the first lease: %+v", out)
	}
	// What is held is not there for anybody, and 100 or fewer are not leased.
	if out = t.spend(ask(alice, 151, 1, 50)); !out.OK || out.Held != 0 || out.Left != 99 || out.Used != 2 {
		t.Errorf("near the end: %+v", out)
	}
	t.want(alice, 52, 2, false)
	// Half of it was used, the rest comes back.
	t.record(limit.Count{Account: alice, Day: other, Calls: 25, Lease: out.Lease, Release: 40})
	if out = t.spend(ask(alice, 10_000, 0, 0)); out.Used != 27 || out.Left != 9963 {
		t.Errorf("40 were given back, 25 of them used: %+v", out)
	}
	if n := t.used(alice, other, other); n != 25 {
		t.Errorf("%d used on the day that was named, want 25", n)
	}
	t.record(limit.Count{Account: alice, Day: today, Lease: today, Release: 1000}) // more than is held
	if out = t.spend(ask(alice, 10_000, 0, 0)); out.Used != 27 || out.Left != 9973 {
		t.Errorf("all was given back: %+v", out)
	}
	// A part of what is left at most, what is unspent included.
	a := ask(alice, 10_027, 0, 1_000_000)
	a.Unspent = 300
	if out = t.spend(a); out.Held != (10_000+300)/16-300 {
		t.Errorf("a large lease: %+v", out)
	}
}

func batches(t *tester) {
	today, _, _ := t.days()
	one := limit.Batch{Seq: 1, Counts: []limit.Count{{Account: alice, Day: today, Calls: 5}, {Account: bob, Day: today, Calls: 1}}}
	for range 3 {
		if err := t.l.Record(t.Context(), one); err != nil {
			t.Fatal(err)
		}
	}
	bad := []limit.Batch{
		{Seq: 0, Counts: one.Counts},
		{Seq: 3, Counts: one.Counts},
		{Seq: 2, Counts: []limit.Count{{Account: bob, Day: today, Calls: 1}, {Account: alice, Day: today, Calls: -1}}},
		{Seq: 2, Counts: []limit.Count{{Account: bob, Day: today, Calls: 1}, {Account: alice, Day: today, Release: -1}}},
	}
	for _, b := range bad {
		if err := t.l.Record(t.Context(), b); err == nil {
			t.Errorf("%+v was recorded", b)
		}
	}
	if err := t.l.Record(t.Context(), limit.Batch{Seq: 2, Counts: one.Counts}); err != nil {
		t.Error(err)
	}
	if a, b := t.used(alice, today, today), t.used(bob, today, today); a != 10 || b != 2 {
		t.Errorf("%d and %d recorded, want 10 and 2", a, b)
	}
}

func lastBatch(t *tester) {
	today, _, _ := t.days()
	t.spend(ask(alice, 10_000, 0, 40))
	t.spend(ask(bob, 10_000, 1, 40))
	last := limit.Batch{Seq: 1, Last: true, Counts: []limit.Count{{Account: bob, Day: today, Calls: 3, Lease: today, Release: 3}}}
	if err := t.l.Record(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	for a, used := range map[limit.Account]int64{alice: 0, bob: 4} {
		if out := t.spend(ask(a, 10_000, 0, 0)); out.Used != used || out.Left != 10_000-used {
			t.Errorf("after the last batch, %v: %+v", a, out)
		}
	}
}

func restarted(t *testing.T, s Subject) {
	first := s.Open(t)
	was := s.tester(t, first)
	lease := was.spend(ask(alice, 10_000, 1, 50)).Lease
	was.record(limit.Count{Account: alice, Day: lease, Calls: 20, Lease: lease, Release: 20})

	now := s.tester(t, s.Restart(t, first))
	if out := now.spend(ask(alice, 10_000, 1, 10)); out.Used != 22 || out.Elsewhere != 30 || out.Held != 10 || out.Left != 10_000-22-30-10 {
		t.Errorf("after a restart: %+v", out)
	}
	// The new node's batches begin anew, and cannot give back what is not its own.
	now.record(limit.Count{Account: alice, Day: lease, Lease: lease, Release: 1000})
	if out := now.spend(ask(alice, 53, 1, 0)); !out.OK || out.Elsewhere != 30 || out.Left != 0 {
		t.Errorf("the last call: %+v", out)
	}
	now.want(alice, 53, 23, false)
}

func endedContext(t *tester) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	out, err := t.l.Spend(gone, ask(alice, 5, 1, 0))
	if n := t.used(alice, 0, 1<<20); (err == nil && out.OK) != (n == 1) {
		t.Errorf("%+v, error %v, but %d recorded", out, err, n)
	}
}

func atOnce(t *tester) {
	const callers, each, most = 8, 20, 50
	var admitted atomic.Int64
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range each {
				out, err := t.l.Spend(t.Context(), ask(alice, most, 1, 0))
				if err != nil {
					t.Error(err)
				}
				if out.OK {
					admitted.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if n, rec := admitted.Load(), t.used(alice, 0, 1<<20); n != most || rec != most {
		t.Errorf("%d admitted and %d recorded, want %d", n, rec, most)
	}
}
