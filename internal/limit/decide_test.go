package limit

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"
)

var (
	tuesday = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	someone = Account{"plan", "key"}
)

// Decide to the call: what is admitted, what is leased, and where it ends.
func TestDecideToTheCall(t *testing.T) {
	day := DayOf(tuesday)
	for _, c := range []struct {
		name                   string
		limit                  int64
		s                      Standing
		calls, ahead, unspent  int64
		ok                     bool
		held, used, left, most int64
		lease                  Day
	}{
		{"the first call", 10, Standing{}, 1, 0, 0, true, 0, 1, 9, 10, day},
		{"the last call", 10, Standing{Used: 4, Own: 2, Others: 3, OwnDay: day}, 1, 0, 0, true, 0, 5, 0, 10, day},
		{"one too many", 10, Standing{Used: 4, Own: 3, Others: 3, OwnDay: day}, 1, 0, 0, false, 0, 4, 0, 10, day},
		{"two, and one is left", 10, Standing{Used: 9}, 2, 0, 0, false, 0, 9, 1, 10, day},
		{"no call is not admitted", 10, Standing{}, 0, 0, 0, false, 0, 0, 10, 10, day},
		{"a lowered limit", 3, Standing{Used: 5}, 1, 8, 0, false, 0, 5, -2, 3, day},
		{"a grant on top", 3, Standing{Used: 3, Extra: 2}, 1, 0, 0, true, 0, 4, 1, 5, day},
		{"a hundred left: no lease", 101, Standing{}, 1, 8, 0, true, 0, 1, 100, 101, day},
		{"a hundred and one left: a lease", 102, Standing{}, 1, 8, 0, true, 6, 1, 95, 102, day},
		{"a lease as asked for", 1000, Standing{}, 1, 8, 0, true, 8, 1, 991, 1000, day},
		{"a sixteenth", 1601, Standing{}, 1, 1000, 0, true, 100, 1, 1500, 1601, day},
		{"a sixteenth, with what is unspent", 1601, Standing{Own: 160, OwnDay: day}, 1, 1000, 64, true, 30, 1, 1410, 1601, day},
		{"enough is unspent", 1601, Standing{Own: 400, OwnDay: day}, 1, 1000, 400, true, 0, 1, 1200, 1601, day},
		{"one is held since yesterday", 1000, Standing{Own: 1, OwnDay: day - 1}, 1, 8, 0, true, 8, 1, 990, 1000, day - 1},
		{"none is held since yesterday", 1000, Standing{OwnDay: day - 1}, 1, 8, 0, true, 8, 1, 991, 1000, day},
	} {
		a := Ask{Account: someone, Quota: Quota{Limit: c.limit, Period: Weekly}, Joined: day, Calls: c.calls, Ahead: c.ahead, Unspent: c.unspent}
		want := Answer{
			OK: c.ok, Held: c.held, Lease: c.lease, Used: c.used, Elsewhere: c.s.Others, Left: c.left, Limit: c.most,
			Day: day, Start: day - 1, End: day + 6, EndsIn: 132 * time.Hour,
		}
		if got := Decide(a, tuesday, c.s); got != want {
			t.Errorf("%s:\ngot  %+v\nwant %+v", c.name, got, want)
		}
	}
}

func TestOffsetIsSubtractedInThePeriodOfJoiningOnly(t *testing.T) {
	day := DayOf(tuesday)
	for _, c := range []struct {
		offset       int64
		joined, from Day
		want         int64
	}{{1, day, day - 1, 9}, {4, day + 5, day - 1, 6}, {4, day - 2, day - 1, 10}, {4, day + 6, day - 1, 10}, {0, day, day - 1, 10}} {
		if got := (Quota{Limit: 10, Offset: c.offset, Period: Weekly}).in(c.joined, c.from); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

// After Extra exactly so many are left to whoever lives, whatever was used,
// held, lost and granted before.
func TestExtraLeavesExactlyWhatIsGranted(t *testing.T) {
	a := Ask{Account: someone, Quota: Quota{Limit: 100, Offset: 7, Period: Daily}, Joined: DayOf(tuesday)}
	s := Standing{Used: 40, Extra: 3, Own: 11, Others: 20}
	// 31 are held, of which 21 by the living: 10 are lost. 40 + 10 + 55 - (93 + 3).
	extra := Extra(a, tuesday, s, 21, 55)
	if extra != 9 {
		t.Fatalf("extra %d, want 9", extra)
	}
	after := Standing{Used: s.Used, Extra: s.Extra + extra, Others: 10} // the living gave back
	if out := Decide(a, tuesday, after); out.Left != 55 || out.Limit != 105 {
		t.Errorf("%+v", out)
	}
}

func TestBatchesFollowOneByOne(t *testing.T) {
	for _, c := range []struct {
		newest, seq int64
		record, ok  bool
	}{{0, 0, false, true}, {0, 1, true, true}, {7, 7, false, true}, {7, 8, true, true}, {7, 6, false, false}, {7, 9, false, false}, {7, 5, false, false}} {
		if record, err := Follows(c.newest, c.seq); record != c.record || (err == nil) != c.ok {
			t.Errorf("%d after %d: %v, %v", c.seq, c.newest, record, err)
		}
	}
}

func TestWhatABatchMayHold(t *testing.T) {
	for _, c := range []struct {
		seq, calls, release int64
		ok                  bool
	}{
		{1, 0, 0, true},
		{1, math.MaxInt64 / 2, math.MaxInt64, true},
		{1, math.MaxInt64/2 + 1, 0, false},
		{1, -1, 0, false},
		{1, 0, -1, false},
		{0, 1, 1, false},
		{-1, 1, 1, false},
	} {
		b := Batch{Seq: c.seq, Counts: []Count{{Account: someone, Calls: 1}, {Account: someone, Calls: c.calls, Release: c.release}}}
		if err := b.Check(); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// An outage begins when a wait ran out, not with any error; then one caller at
// a time finds out, and the first success ends it.
func TestOutageLetsOneFindOut(t *testing.T) {
	var o outage
	enter := func(probe, in bool) {
		t.Helper()
		got, err := o.enter()
		if got != probe || (err == nil) != in {
			t.Fatalf("probe %v, error %v", got, err)
		}
	}
	late := errors.New("late")
	enter(false, true)
	o.leave(false, errors.New("broken"), false)
	enter(false, true)
	o.leave(false, late, true)
	enter(true, true)
	if _, err := o.enter(); err != late {
		t.Errorf("a second caller is told %v", err)
	}
	o.leave(true, errors.New("broken"), false) // it found out: still away
	enter(true, true)
	enter(false, false)
	o.leave(true, nil, false)
	enter(false, true)
	enter(false, true)
}

// script is a ledger that a test answers for. It remembers what it was asked.
type script struct {
	spend   func(context.Context, Ask) (Answer, error)
	record  func(Batch) error // nil: it is recorded
	asks    []Ask
	batches []Batch // brought, whatever became of them
}

func (s *script) Spend(ctx context.Context, a Ask) (Answer, error) {
	s.asks = append(s.asks, a)
	if s.spend == nil {
		return Decide(a, tuesday, Standing{}), nil
	}
	return s.spend(ctx, a)
}

func (s *script) Record(_ context.Context, b Batch) error {
	s.batches = append(s.batches, b)
	if s.record != nil {
		return s.record(b)
	}
	return nil
}

// counts returns what was recorded or tried to be, of all batches.
func (s *script) counts() (all []Count) {
	for _, b := range s.batches {
		all = append(all, b.Counts...)
	}
	return all
}

// What a call does about a ledger that fails: only a wait that ran out, while
// the caller still waited, means that the ledger is away.
func TestOnlyAWaitThatRanOutMeansAway(t *testing.T) {
	type key struct{}
	for _, c := range []struct {
		name          string
		ended, caller bool // the wait, and the caller's own context
		away          bool
	}{{"an error", false, false, false}, {"the wait ran out", true, false, true}, {"the caller has gone", true, true, false}} {
		var waits []time.Duration
		ledger := &script{spend: func(ctx context.Context, _ Ask) (Answer, error) {
			if ctx.Value(key{}) == nil {
				t.Error("the ledger is not asked with the bounded context")
			}
			return Answer{}, errors.New("no answer")
		}}
		l := New(ledger, WithTimeout(func(ctx context.Context, wait time.Duration) (context.Context, context.CancelFunc) {
			waits = append(waits, wait)
			bounded, cancel := context.WithCancel(context.WithValue(ctx, key{}, true))
			if c.ended {
				cancel()
			}
			return bounded, cancel
		}))
		ctx, cancel := context.WithCancel(t.Context())
		if c.caller {
			cancel()
		}
		m := NewMeter(someone, &Quota{Limit: 5, Period: Daily}, tuesday)
		_, v := l.Take(ctx, nil, nil, m, at(0))
		cancel()
		if v.Outcome != LedgerAway || len(waits) != 1 || waits[0] != 2*time.Second {
			t.Errorf("%s: %+v, waits %v", c.name, v, waits)
		}
		if away := l.away.err.Load() != nil; away != c.away {
			t.Errorf("%s: away: %v", c.name, away)
		}
	}
}
