package limit_test

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"weir/internal/limit"
	"weir/internal/limit/limittest"
)

var (
	noon    = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC) // a Tuesday
	account = limit.Account{PlanID: "plan01", KeyID: "key0000001"}
)

func after(d time.Duration) limit.Instant { return limit.Instant{Mono: d, Wall: noon.Add(d)} }

// clock is a ledger's: noon and what a test adds.
type clock struct{ d time.Duration }

func (c *clock) Now() time.Time { return noon.Add(c.d) }

func daily(n int64) *limit.Quota { return &limit.Quota{Limit: n, Period: limit.Daily} }

// want takes once and holds the verdict against what is expected.
func want(t *testing.T, l *limit.Limiter, cells []*limit.Cell, m *limit.Meter, now limit.Instant, o limit.Outcome) limit.Verdict {
	t.Helper()
	g, v := l.Take(t.Context(), cells, nil, m, now)
	if v.Outcome != o {
		t.Fatalf("at %v: %+v, want outcome %d", now.Mono, v, o)
	}
	if g.Held() != (o == limit.Granted) {
		t.Fatalf("at %v: outcome %d, grant held: %v", now.Mono, o, g.Held())
	}
	g.Settle(true)
	g.Settle(true)
	return v
}

func TestTenADayOneASecond(t *testing.T) {
	now := &clock{}
	ledger := &limittest.Ledger{Now: now.Now}
	l := limit.New(ledger)
	cell := []*limit.Cell{limit.NewCell(limit.Rate{PerSecond: 1, Burst: 1}, false, after(0))}
	m := limit.NewMeter(account, daily(10), noon)
	for i := int64(1); i <= 10; i++ {
		if v := want(t, l, cell, m, after(now.d), limit.Granted); v.Detail.Used != i {
			t.Fatalf("call %d: used %d", i, v.Detail.Used)
		}
		want(t, l, cell, m, after(now.d+time.Second-1), limit.Throttled)
		now.d += time.Second
	}
	asked := ledger.Spends()
	want(t, l, cell, m, after(now.d), limit.Exhausted)
	want(t, l, cell, m, after(now.d), limit.Exhausted) // the refusal took no token
	if n := ledger.Spends(); n != asked {
		t.Errorf("an exhausted quota asked the ledger %d times", n-asked)
	}
	midnight := noon.Truncate(24 * time.Hour).Add(24 * time.Hour).Sub(noon)
	now.d = midnight - 1
	want(t, l, cell, m, after(now.d), limit.Exhausted)
	want(t, l, cell, m, after(now.d), limit.Exhausted)
	if n := ledger.Spends(); n != asked+1 {
		t.Errorf("half a day later it asked %d times, want one", n-asked)
	}
	now.d = midnight
	if v := want(t, l, cell, m, after(now.d), limit.Granted); v.Detail.Used != 1 {
		t.Errorf("first call of the new day: used %d", v.Detail.Used)
	}
}

func TestFirstThrottleIsReportedBeforeQuota(t *testing.T) {
	shut, open := limit.Rate{}, limit.Rate{PerSecond: 1, Burst: 5}
	cell := func(r limit.Rate) *limit.Cell { return limit.NewCell(r, false, after(0)) }
	cases := []struct {
		name    string
		cells   []*limit.Cell
		quota   *limit.Quota
		outcome limit.Outcome
		which   int
	}{
		{"nothing asked", nil, nil, limit.Granted, 0},
		{"nil cells are skipped", []*limit.Cell{nil, cell(open), nil}, nil, limit.Granted, 0},
		{"first cell", []*limit.Cell{cell(shut), cell(shut)}, daily(5), limit.Throttled, 0},
		{"second cell", []*limit.Cell{cell(open), cell(shut)}, daily(5), limit.Throttled, 1},
		{"after a nil cell", []*limit.Cell{nil, cell(shut)}, nil, limit.Throttled, 1},
		{"throttle before a used-up quota", []*limit.Cell{cell(open), cell(shut)}, daily(0), limit.Throttled, 1},
		{"quota of zero", []*limit.Cell{cell(open)}, daily(0), limit.Exhausted, 0},
		{"quota below zero", []*limit.Cell{cell(open)}, daily(-3), limit.Exhausted, 0},
		{"quota without cells", nil, daily(1), limit.Granted, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			ledger := &limittest.Ledger{}
			l := limit.New(ledger)
			var m *limit.Meter
			if c.quota != nil {
				m = limit.NewMeter(account, c.quota, noon)
			}
			if v := want(t, l, c.cells, m, after(0), c.outcome); v.Cell != c.which {
				t.Errorf("cell %d refused, want %d", v.Cell, c.which)
			}
			if c.outcome == limit.Granted {
				return
			}
			for _, cell := range c.cells {
				if cell != nil && cell.Used(after(0)) != 0 {
					t.Errorf("the refused call used %v of a bucket", cell.Used(after(0)))
				}
			}
			if n := ledger.Used(account, math.MinInt16, math.MaxInt16); n != 0 {
				t.Errorf("the refused call used %d of the quota", n)
			}
		})
	}
}

func TestLedgerAwayGivesBack(t *testing.T) {
	broken := errors.New("disk on fire")
	ledger := &limittest.Ledger{BeforeSpend: func(context.Context, limit.Account) error { return broken }}
	l := limit.New(ledger)
	cells := []*limit.Cell{limit.NewCell(limit.Rate{PerSecond: 1, Burst: 1}, false, after(0))}
	m := limit.NewMeter(account, daily(1), noon)
	for range 3 {
		if v := want(t, l, cells, m, after(0), limit.LedgerAway); !errors.Is(v.Err, broken) {
			t.Errorf("error %v", v.Err)
		}
	}
	broken = nil
	want(t, l, cells, m, after(0), limit.Granted)
}

// While one call waits for the ledger, another takes from the same bucket: the
// first one's token still comes back, less what came back by itself.
func TestTokenComesBackAfterOthersTook(t *testing.T) {
	var mono atomic.Int64
	asked, answer := make(chan struct{}), make(chan error)
	ledger := &limittest.Ledger{BeforeSpend: func(context.Context, limit.Account) error {
		asked <- struct{}{}
		return <-answer
	}}
	l := limit.New(ledger, limit.WithClock(func() time.Duration { return time.Duration(mono.Load()) }))
	cells := []*limit.Cell{limit.NewCell(limit.Rate{PerSecond: 1, Burst: 5}, false, after(0))}
	m := limit.NewMeter(account, daily(100), noon)
	refused := make(chan limit.Verdict)
	go func() {
		_, v := l.Take(context.Background(), cells, nil, m, after(0))
		refused <- v
	}()
	<-asked
	want(t, l, cells, nil, after(0), limit.Granted)
	mono.Store(int64(100 * time.Millisecond))
	answer <- errors.New("away")
	if v := <-refused; v.Outcome != limit.LedgerAway {
		t.Fatalf("%+v", v)
	}
	if used := cells[0].Used(after(0)); math.Abs(used-1.1) > 1e-9 {
		t.Errorf("%v used, want the kept token and the tenth that time brings back", used)
	}
}

func TestQuotaEdits(t *testing.T) {
	ledger := &limittest.Ledger{}
	l := limit.New(ledger)
	m := limit.NewMeter(account, daily(2), noon)
	take := func(o limit.Outcome) { t.Helper(); want(t, l, nil, m, after(0), o) }
	take(limit.Granted)
	take(limit.Granted)
	take(limit.Exhausted)

	asked := ledger.Spends()
	m.SetQuota(daily(2)) // equal: nothing is forgotten
	take(limit.Exhausted)
	if ledger.Spends() != asked {
		t.Error("an equal quota made the meter ask again")
	}
	m.SetQuota(daily(4))
	take(limit.Granted)
	m.SetQuota(daily(3))
	take(limit.Exhausted)
	m.SetQuota(daily(1))
	take(limit.Exhausted)
	m.SetQuota(&limit.Quota{Limit: 4, Period: limit.Monthly})
	take(limit.Granted)
	take(limit.Exhausted)
	m.SetQuota(nil)
	take(limit.Granted)
	take(limit.Granted)
	m.SetQuota(daily(7)) // 4 and 2 uncapped ones are used
	take(limit.Granted)
	take(limit.Exhausted)
}

// A spend that is under way while the limit is raised must not close the
// quota again with what it learned of the old limit.
func TestStaleRefusalDoesNotUndoARaise(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	ledger := &limittest.Ledger{}
	l := limit.New(ledger)
	m := limit.NewMeter(account, daily(1), noon)
	want(t, l, nil, limit.NewMeter(account, daily(1), noon), after(0), limit.Granted)
	ledger.BeforeSpend = func(context.Context, limit.Account) error {
		asked <- struct{}{}
		<-answer
		return nil
	}
	done := make(chan limit.Verdict)
	take := func() { _, v := l.Take(context.Background(), nil, nil, m, after(0)); done <- v }
	go take()
	<-asked
	m.SetQuota(daily(2))
	answer <- struct{}{}
	if v := <-done; v.Outcome != limit.Exhausted {
		t.Fatalf("%+v", v)
	}
	go take()
	<-asked
	answer <- struct{}{}
	if v := <-done; v.Outcome != limit.Granted {
		t.Fatalf("after the raise: %+v", v)
	}
}

func TestOffsetCountsInTheFirstPeriodOnly(t *testing.T) {
	now := &clock{}
	l := limit.New(&limittest.Ledger{Now: now.Now})
	q := &limit.Quota{Limit: 3, Offset: 2, Period: limit.Weekly}
	m := limit.NewMeter(account, q, noon) // Tuesday
	day := 24 * time.Hour
	want(t, l, nil, m, after(now.d), limit.Granted)
	now.d = 5 * day // Sunday
	want(t, l, nil, m, after(now.d), limit.Exhausted)
	now.d = 6 * day // Monday
	for range 3 {
		want(t, l, nil, m, after(now.d), limit.Granted)
	}
	want(t, l, nil, m, after(now.d), limit.Exhausted)
	now.d = 0
	all := limit.NewMeter(limit.Account{PlanID: "plan01", KeyID: "key0000002"}, &limit.Quota{Limit: 2, Offset: 2, Period: limit.Daily}, noon)
	want(t, l, nil, all, after(now.d), limit.Exhausted)
	now.d = day
	want(t, l, nil, all, after(now.d), limit.Granted)
}

// What day it is, the ledger says: a node's own time of day decides nothing.
func TestWallClockOfANodeDecidesNothing(t *testing.T) {
	l := limit.New(&limittest.Ledger{})
	m := limit.NewMeter(account, daily(3), noon)
	for _, wall := range []time.Time{noon.Add(240 * time.Hour), noon.Add(-time.Hour), noon.AddDate(-1000, 0, 0)} {
		want(t, l, nil, m, limit.Instant{Wall: wall}, limit.Granted)
	}
	for _, wall := range []time.Time{noon.Add(240 * time.Hour), noon, noon.AddDate(1000, 0, 0)} {
		want(t, l, nil, m, limit.Instant{Wall: wall}, limit.Exhausted)
	}
}

// A ledger's clock that goes back within a period opens nothing; one that goes
// back into the period before finds that one's count.
func TestLedgerClockGoesBack(t *testing.T) {
	day := 24 * time.Hour
	for _, c := range []struct {
		name   string
		period limit.Period
		start  time.Duration // first calls
		back   time.Duration // the clock goes there
		want   limit.Outcome
	}{
		{"within the day", limit.Daily, time.Hour, 0, limit.Exhausted},
		{"within the week, over midnight", limit.Weekly, 2 * day, 0, limit.Exhausted},
		{"within the month", limit.Monthly, 3 * day, -10 * day, limit.Exhausted},
		{"into a day of its own", limit.Daily, day, 0, limit.Granted},
	} {
		t.Run(c.name, func(t *testing.T) {
			now := &clock{c.start}
			l := limit.New(&limittest.Ledger{Now: now.Now})
			meter := func() *limit.Meter { // knows nothing yet
				return limit.NewMeter(account, &limit.Quota{Limit: 2, Period: c.period}, noon.Add(-20*day))
			}
			want(t, l, nil, meter(), after(0), limit.Granted)
			want(t, l, nil, meter(), after(0), limit.Granted)
			now.d = c.back
			want(t, l, nil, meter(), after(0), c.want)
			now.d = c.start
			want(t, l, nil, meter(), after(0), limit.Exhausted)
		})
	}
}

func TestConcurrentCallsKeepTheQuota(t *testing.T) {
	const callers, each, most = 8, 50, 130
	ledger := &limittest.Ledger{}
	l := limit.New(ledger, limit.WithClock(func() time.Duration { return 0 }))
	cell := limit.NewCell(limit.Rate{PerSecond: 0.001, Burst: callers * each}, false, after(0))
	m := limit.NewMeter(account, daily(most), noon)
	var admitted atomic.Int64
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range each {
				g, v := l.Take(context.Background(), []*limit.Cell{cell}, nil, m, after(0))
				if v.Outcome == limit.Granted {
					admitted.Add(1)
				} else if v.Outcome != limit.Exhausted {
					t.Errorf("%+v", v)
				}
				g.Settle(true)
			}
		})
	}
	wg.Wait()
	if n := admitted.Load(); n != most {
		t.Errorf("%d admitted, want %d", n, most)
	}
	if used := cell.Used(after(0)); used != most {
		t.Errorf("%v tokens used: refused calls kept theirs", used)
	}
}

func TestUncappedUsageIsRecordedByFlush(t *testing.T) {
	ctx := t.Context()
	var broken error
	ledger := &limittest.Ledger{BeforeRecord: func(_ context.Context, b limit.Batch) error {
		counts := b.Counts
		seen := map[limit.Count]bool{}
		for _, c := range counts {
			k := limit.Count{Account: c.Account, Day: c.Day}
			if seen[k] || c.Calls <= 0 {
				t.Errorf("counts %+v", counts)
			}
			seen[k] = true
		}
		return broken
	}}
	l := limit.New(ledger)
	m := limit.NewMeter(account, nil, noon)
	twin := limit.NewMeter(account, nil, noon)
	day := limit.DayOf(noon)
	total := func() int64 { return ledger.Used(account, day, day) }

	want(t, l, nil, m, after(0), limit.Granted)
	want(t, l, nil, m, after(0), limit.Granted)
	want(t, l, nil, twin, after(0), limit.Granted)
	if n := total(); n != 0 {
		t.Fatalf("%d recorded before the flush: a call waited for the ledger", n)
	}
	flush(t, l, ctx, nil)
	if n := total(); n != 3 {
		t.Fatalf("%d recorded, want 3", n)
	}
	flush(t, l, ctx, nil)

	broken = errors.New("away")
	want(t, l, nil, m, after(0), limit.Granted)
	flush(t, l, ctx, broken)
	want(t, l, nil, m, after(0), limit.Granted)
	want(t, l, nil, m, after(24*time.Hour), limit.Granted)
	flush(t, l, ctx, broken)
	m.SetQuota(daily(100))
	want(t, l, nil, m, after(0), limit.LedgerAway) // what is owed is not known to the ledger
	broken = nil
	flush(t, l, ctx, nil)
	if n, next := total(), ledger.Used(account, day+1, day+1); n != 5 || next != 1 {
		t.Errorf("%d and %d recorded after the ledger came back, want 5 and 1", n, next)
	}
	want(t, l, nil, m, after(24*time.Hour), limit.Granted)
}

func flush(t *testing.T, l *limit.Limiter, ctx context.Context, want error) {
	t.Helper()
	if err := l.Flush(ctx); !errors.Is(err, want) {
		t.Fatalf("Flush: %v, want %v", err, want)
	}
}

// Callers, flushes and outages at once: every admitted call is recorded once.
func TestConcurrentFlushLosesNothing(t *testing.T) {
	const callers, each = 8, 500
	var turn atomic.Int64
	ledger := &limittest.Ledger{BeforeRecord: func(context.Context, limit.Batch) error {
		if turn.Add(1)%3 == 0 {
			return errors.New("away for a moment")
		}
		return nil
	}}
	l := limit.New(ledger)
	m := limit.NewMeter(account, nil, noon)
	done := make(chan struct{})
	var flushes, wg sync.WaitGroup
	for range 2 {
		flushes.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					_ = l.Flush(context.Background())
				}
			}
		})
	}
	for i := range callers {
		wg.Go(func() {
			for j := range each {
				l.Take(context.Background(), nil, nil, m, after(time.Duration((i+j)%3)*24*time.Hour))
			}
		})
	}
	wg.Wait()
	close(done)
	flushes.Wait()
	for l.Flush(t.Context()) != nil {
	}
	day := limit.DayOf(noon)
	if n := ledger.Used(account, day, day+2); n != callers*each {
		t.Errorf("%d recorded, want %d", n, callers*each)
	}
}

func TestTakeDoesNotAllocate(t *testing.T) {
	l := limit.New(nil)
	cells := []*limit.Cell{
		limit.NewCell(limit.Rate{PerSecond: 1e6, Burst: 1e6}, false, after(0)),
		limit.NewCell(limit.Rate{PerSecond: 1e6, Burst: 1e6}, false, after(0)),
	}
	m := limit.NewMeter(account, nil, noon)
	shut := []*limit.Cell{limit.NewCell(limit.Rate{}, false, after(0))}
	ctx := t.Context()
	if n := testing.AllocsPerRun(200, func() {
		g, _ := l.Take(ctx, cells, nil, m, after(0))
		g.Settle(true)
		l.Take(ctx, shut, nil, m, after(0))
	}); n != 0 {
		t.Errorf("%v allocations a decision", n)
	}
}
