package limit

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"
)

func TestTalliesAddUp(t *testing.T) {
	a := &Account{"plan", "key"}
	all := tallies{}
	all.add(a, tally{1, 2, 0, 0})
	if len(all) != 0 {
		t.Errorf("nothing is kept as %+v", all)
	}
	for _, more := range []tally{{1, 2, 1, 0}, {1, 2, 0, 1}, {1, 2, 5, 7}, {1, 3, 1, 0}, {2, 2, 0, 1}, {1, 3, 1, 1}} {
		all.add(a, more)
	}
	if want := []tally{{1, 2, 6, 8}, {1, 3, 2, 1}, {2, 2, 0, 1}}; !reflect.DeepEqual(all[a], want) {
		t.Errorf("%+v, want %+v", all[a], want)
	}
}

// Two meters of one account, before and after an edit of a plan say, make one
// count.
func TestMergeMakesOneCountOfTwoMeters(t *testing.T) {
	a, twin := &Account{"plan", "key"}, &Account{"plan", "key"}
	counts := merge(tallies{a: {{1, 2, 3, 4}}, twin: {{1, 2, 10, 20}}})
	if len(counts) != 1 || counts[0] != (Count{Account: *a, Day: 1, Calls: 13, Lease: 2, Release: 24}) {
		t.Errorf("%+v", counts)
	}
	if counts = merge(tallies{a: {{1, 2, 3, 4}, {2, 2, 5, 0}, {1, 1, 0, 6}}}); len(counts) != 3 {
		t.Errorf("%+v", counts)
	}
}

// A batch has a thousand counts at most, and the next number.
func TestBatchesAreBoundedAndNumbered(t *testing.T) {
	for n, want := range map[int][]int{1: {1}, 999: {999}, 1000: {1000}, 1001: {1000, 1}, 2500: {1000, 1000, 500}} {
		s := newStepped(t)
		for i := range n {
			s.overdue.add(&Account{"plan", fmt.Sprint(i)}, tally{1, 0, 1, 0})
		}
		if err := s.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		var got []int
		for i, b := range s.ledger.batches {
			got = append(got, len(b.Counts))
			if b.Seq != int64(i+1) || b.Last {
				t.Errorf("batch %d: number %d, last %v", i+1, b.Seq, b.Last)
			}
		}
		if !reflect.DeepEqual(got, want) || len(s.overdue) != 0 || s.batch.Seq != 0 {
			t.Errorf("%d counts: batches of %v, %d overdue, kept %d", n, got, len(s.overdue), s.batch.Seq)
		}
		if err := s.Flush(t.Context()); err != nil || len(s.ledger.batches) != len(want) {
			t.Errorf("with nothing to record: %v, %d batches", err, len(s.ledger.batches))
		}
	}
}

// A batch whose outcome is not known is brought again, unchanged and with its
// number, before anything else; the rest waits.
func TestUnknownBatchIsBroughtAgain(t *testing.T) {
	s := newStepped(t)
	away := errors.New("away")
	s.ledger.record = func(Batch) error { return away }
	m := s.meter(nil, 0)
	one := func() { s.overdue.add(m.account, tally{1, 0, 1, 0}) }
	one()
	for range 3 {
		if err := s.Flush(t.Context()); err != away {
			t.Fatal(err)
		}
		one() // is overdue until the first is recorded
	}
	s.overdueIs(m, tally{1, 0, 3, 0})
	s.ledger.record = nil
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.overdueIs(m)
	var got [][2]int64
	for _, b := range s.ledger.batches {
		got = append(got, [2]int64{b.Seq, b.Counts[0].Calls})
	}
	if want := [][2]int64{{1, 1}, {1, 1}, {1, 1}, {1, 1}, {2, 3}}; !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	// What was not got to when a batch failed is overdue, of many accounts as of one.
	s.ledger.record = func(b Batch) error {
		if b.Seq == 4 {
			return away
		}
		return nil
	}
	for i := range 2001 {
		s.overdue.add(&Account{"plan", fmt.Sprint(i)}, tally{1, 0, 1, 0})
	}
	if err := s.Flush(t.Context()); err != away || s.batch.Seq != 4 || len(s.overdue) != 1 {
		t.Errorf("%v; batch %d is kept and %d accounts are overdue", err, s.batch.Seq, len(s.overdue))
	}
}

func TestStopEndsWithTheLastBatch(t *testing.T) {
	day := DayOf(tuesday)
	s := newStepped(t)
	m := s.meter(s.leased(100), 5<<heldShift|3<<usedShift)
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []Batch{
		{Seq: 1, Counts: []Count{{Account: *m.account, Day: day, Calls: 3, Lease: day, Release: 8}}},
		{Seq: 2, Last: true},
	}
	if !reflect.DeepEqual(s.ledger.batches, want) {
		t.Errorf("%+v", s.ledger.batches)
	}
	s.wordIs(m, 0, 0, 0, 0, 0) // nobody waits for what was given back
	if s.list != nil || !s.stopped.Load() {
		t.Error("a meter is still listed")
	}

	s = newStepped(t)
	away := errors.New("away")
	s.ledger.record = func(Batch) error { return away }
	s.meter(s.leased(100), 5<<heldShift)
	if err := s.Stop(t.Context()); err != away || len(s.ledger.batches) != 1 {
		t.Errorf("%v after %d batches", err, len(s.ledger.batches))
	}
	if err := New(nil).Stop(t.Context()); err != nil {
		t.Errorf("without a ledger: %v", err)
	}
}

// A stop waits for the fetches under way, as long as it may.
func TestStopWaitsForFetches(t *testing.T) {
	s := newStepped(t)
	m := s.meter(nil, withSize(0, 7))
	s.Limiter.fetch(m, s.q, 0)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Stop(ended); err != context.Canceled || len(s.ledger.batches) != 0 {
		t.Errorf("%v after %d batches", err, len(s.ledger.batches))
	}
	s.fetch[0]()
	if err := s.Stop(t.Context()); err != nil || len(s.ledger.asks) != 1 || s.ledger.asks[0].Ahead != 0 {
		t.Errorf("%v, asked %+v", err, s.ledger.asks)
	}
}

// A flush leaves out who has nothing to come back for, and gives back what is
// held of an edited quota or beyond its end.
func TestWhoStaysListed(t *testing.T) {
	day := DayOf(tuesday)
	for _, c := range []struct {
		name     string
		w        word
		edited   bool
		clock    time.Duration
		listed   bool
		heldThen int64
		flags    word
		want     []tally
	}{
		{"nothing", fetched, false, 99, false, 0, 0, nil},
		{"one was used", 1<<usedShift | fetched, false, 99, true, 0, fetched, []tally{{day, day, 1, 1}}},
		{"one is held", 1 << heldShift, false, 99, true, 1, 0, nil},
		{"a fetch is under way", fetching, false, 99, true, 0, fetching, nil},
		{"no fetch, but flags", fetched | dry | owing, false, 99, false, 0, dry | owing, nil},
		{"at its end", 5 << heldShift, false, 100, false, 0, 0, []tally{{day, day, 0, 5}}},
		{"edited", 5<<heldShift | 2<<usedShift, true, 99, true, 0, owing, []tally{{day, day, 2, 7}}},
		{"edited, nothing used", 5 << heldShift, true, 99, false, 0, owing, []tally{{day, day, 0, 5}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStepped(t)
			s.clock = c.clock
			m := s.meter(s.leased(100), c.w)
			if c.edited {
				m.SetQuota(&Quota{Limit: 7, Period: Daily})
			}
			s.sweep((*Limiter).keepLocked)
			if s.list == m != c.listed || m.next != nil {
				t.Errorf("listed: %v", s.list == m)
			}
			flags := c.flags
			if c.listed {
				flags |= listed
			}
			s.wordIs(m, c.heldThen, 0, 0, 0, flags)
			s.overdueIs(m, c.want...)
		})
	}
	// A limiter without a clock keeps a lease until a call finds it over.
	l := New(&script{})
	s := newStepped(t)
	m := held(s.q, s.leased(0), 5<<heldShift|listed)
	l.list = m
	l.sweep((*Limiter).keepLocked)
	if heldOf(m.word.Load()) != 5 || l.list != m {
		t.Error("without a clock a lease was given back")
	}
}

// A call that spends the last one while a flush looks at its meter is recorded
// by the next: the meter stays listed.
func TestCallDuringAFlushStaysListed(t *testing.T) {
	s := newStepped(t)
	m := s.meter(s.leased(100), oneHeld)
	s.Limiter.clock = func() time.Duration {
		m.spend(s.q, 0, &Detail{})
		return 0
	}
	s.sweep((*Limiter).keepLocked)
	if s.list != m {
		t.Error("not listed")
	}
	s.wordIs(m, 0, 1, 0, 0, listed)
}

// A meter no longer owes once all it has counted is recorded, and still does
// when a call came meanwhile.
func TestSettleEndsWhatIsOwed(t *testing.T) {
	day := DayOf(tuesday)
	for _, came := range []bool{false, true} {
		s := newStepped(t)
		m := NewMeter(someone, nil, tuesday)
		s.count(m, day, 0)
		s.count(m, day, 0)
		s.overdue.add(m.account, tally{day, 7, 0, 4})
		s.ledger.record = func(Batch) error {
			if came {
				m.count(day, 0)
			}
			return nil
		}
		if err := s.settle(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		want := []Count{{Account: someone, Day: day, Lease: 7, Release: 4}, {Account: someone, Day: day, Calls: 2}}
		if got := s.ledger.counts(); !reflect.DeepEqual(got, want) || len(s.overdue) != 0 {
			t.Errorf("%+v; %d are overdue", got, len(s.overdue))
		}
		if owes := m.word.Load()&owing != 0; owes != came {
			t.Errorf("a call came: %v; it owes: %v", came, owes)
		}
	}
}

// A sweep visits all meters once, however many.
func TestSweepVisitsAll(t *testing.T) {
	for _, n := range []int{0, 1, 63, 64, 65, 128, 200} {
		l := New(nil)
		for range n {
			m := NewMeter(someone, nil, tuesday)
			l.listLocked(m)
			l.listLocked(m) // once
		}
		seen := map[*Meter]int{}
		l.sweep(func(_ *Limiter, m *Meter) { seen[m]++ })
		for _, times := range seen {
			if times != 1 {
				t.Fatalf("visited %d times", times)
			}
		}
		if len(seen) != n || l.list != nil {
			t.Errorf("%d visited of %d", len(seen), n)
		}
	}
}
