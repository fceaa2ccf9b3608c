package limit

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

func at(d time.Duration) Instant { return Instant{Mono: d} }

// takes returns how many of n takes at one instant succeed.
func takes(c *Cell, n int, now time.Duration) (admitted int) {
	for range n {
		if _, ok := c.take(at(now).nanos()); ok {
			admitted++
		}
	}
	return admitted
}

func TestRateOneBurstOne(t *testing.T) {
	c := NewCell(Rate{PerSecond: 1, Burst: 1}, false, at(0))
	for _, step := range []struct {
		now  time.Duration
		want int
	}{
		{0, 1},
		{time.Second - 1, 0},
		{time.Second, 1},
		{2*time.Second - 1, 0},
		{10 * time.Second, 1}, // idle time does not add up beyond the burst
		{10 * time.Second, 0},
	} {
		if got := takes(c, 1, step.now); got != step.want {
			t.Errorf("at %v: %d admitted, want %d", step.now, got, step.want)
		}
	}
}

func TestNothingGetsThrough(t *testing.T) {
	for _, r := range []Rate{
		{0, 10}, {10, 0}, {0, 0}, {-1, 10}, {10, -1}, {math.NaN(), 10}, {math.Inf(-1), 10}, {math.Inf(1), 0},
	} {
		for _, now := range []time.Duration{0, time.Hour, math.MaxInt64} {
			if n := takes(NewCell(r, false, at(0)), 3, now); n != 0 {
				t.Errorf("%+v at %v let %d through", r, now, n)
			}
		}
	}
}

func TestRateIsNeverExceeded(t *testing.T) {
	for _, perSecond := range []float64{0.1, 0.3, 1, 3, 7, 999, 30_011, 300_000, 700_000, 999_999, 1e6} {
		t.Run(fmt.Sprint(perSecond), func(t *testing.T) {
			const burst = 3
			window := min(max(time.Second, time.Duration(50/perSecond*1e9)), time.Duration(30_000/perSecond*1e9))
			c := NewCell(Rate{PerSecond: perSecond, Burst: burst}, false, at(0))
			// Ask as often as it can matter: at every instant a token comes back.
			n := 0
			for now := time.Duration(0); now <= window; {
				n += takes(c, burst+1, now)
				now = time.Duration(c.word.Load()>>tagBits) - time.Duration((burst-1)*c.setting.Load().interval)
			}
			most := burst + perSecond*window.Seconds()
			if got := float64(n); got > most || got < 0.998*most-burst {
				t.Errorf("%v admitted in %v, want at most %v and hardly less", got, window, most)
			}
		})
	}
}

func TestExtremesSaturate(t *testing.T) {
	year := 365 * 24 * time.Hour
	for _, r := range []Rate{
		{1e-300, math.MaxInt},
		{1e-9, 5},
		{0.1, math.MaxInt},
		{1e6, math.MaxInt},
		{math.Inf(1), math.MaxInt},
		{math.MaxFloat64, 1},
		{math.SmallestNonzeroFloat64, 1},
	} {
		c := NewCell(r, false, at(0))
		if takes(c, 1, 0) != 1 {
			t.Errorf("%+v: a full bucket refuses", r)
		}
		for _, now := range []time.Duration{-5, year, 4 * year, math.MaxInt64} {
			before := c.Used(at(now))
			n := takes(c, 2, now)
			if after := c.Used(at(now)); n > 0 && after <= before {
				t.Errorf("%+v at %v: used went from %v to %v by %d takes", r, now, before, after, n)
			}
		}
		empty := NewCell(r, true, at(0))
		if r.PerSecond < 1e6 && takes(empty, 1, 0) != 0 {
			t.Errorf("%+v: a bucket that begins empty admits", r)
		}
	}
	slow := NewCell(Rate{PerSecond: 1e-12, Burst: 1}, false, at(0))
	if n := takes(slow, 1, 0) + takes(slow, 1, year); n != 1 {
		t.Errorf("a token of 30,000 years came back after one: %d admitted", n)
	}
}

func TestBucketBeginsEmptyOrRestored(t *testing.T) {
	now := 5 * time.Second
	r := Rate{PerSecond: 2, Burst: 4}
	empty := NewCell(r, true, at(now))
	if n := takes(empty, 5, now); n != 0 {
		t.Errorf("%d admitted from a bucket that begins empty", n)
	}
	if n := takes(empty, 5, now+time.Second); n != 2 {
		t.Errorf("%d admitted after a second, want 2", n)
	}
	for _, c := range []struct {
		used float64
		want int
	}{{0, 4}, {1, 3}, {2.5, 1}, {4, 0}, {9, 0}, {-3, 4}, {math.NaN(), 4}, {math.Inf(1), 0}} {
		cell := RestoreCell(r, c.used, at(now))
		if u := cell.Used(at(now)); c.used > 0 && c.used < 10 && math.Abs(u-c.used) > 1e-5 {
			t.Errorf("restored with %v used, tells %v", c.used, u)
		}
		if n := takes(cell, 6, now); n != c.want {
			t.Errorf("with %v used: %d admitted, want %d", c.used, n, c.want)
		}
	}
}

func TestEditKeepsWhatWasUsed(t *testing.T) {
	cases := []struct {
		name     string
		from     Rate
		take     int
		wait     time.Duration
		edits    []Rate
		used     float64
		admitted int
	}{
		{"burst raised", Rate{1, 2}, 2, 0, []Rate{{1, 5}}, 2, 3},
		{"burst lowered below what is used", Rate{1, 10}, 8, 0, []Rate{{1, 3}}, 8, 0},
		{"burst lowered, some left", Rate{1, 10}, 2, 0, []Rate{{1, 3}}, 2, 1},
		{"rate raised", Rate{1, 4}, 3, 0, []Rate{{100, 4}}, 3, 1},
		{"rate lowered", Rate{100, 4}, 3, 0, []Rate{{0.1, 4}}, 3, 1},
		{"half a token had come back", Rate{1, 4}, 4, 500 * time.Millisecond, []Rate{{10, 4}}, 3.5, 0},
		{"all had come back", Rate{10, 4}, 4, time.Second, []Rate{{1, 4}}, 0, 4},
		{"closed and opened again", Rate{1, 4}, 3, 0, []Rate{{0, 0}, {1, 4}}, 3, 1},
		{"burst zero and back", Rate{1, 4}, 3, 0, []Rate{{1, 0}, {1, 4}}, 3, 1},
		{"equal rate", Rate{1, 4}, 3, 0, []Rate{{1, 4}}, 3, 1},
		{"through a huge interval", Rate{1, 4}, 1, 0, []Rate{{1e-7, 4}, {1, 4}}, 1, 3},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			cell := NewCell(c.from, false, at(0))
			if n := takes(cell, c.take, 0); n != c.take {
				t.Fatalf("%d taken", n)
			}
			for _, r := range c.edits {
				cell.SetRate(r, at(c.wait))
				if cell.Rate() != r {
					t.Fatalf("rate is %+v after the edit to %+v", cell.Rate(), r)
				}
			}
			if u := cell.Used(at(c.wait)); math.Abs(u-c.used) > 1e-5 {
				t.Errorf("used %v, want %v", u, c.used)
			}
			if n := takes(cell, 20, c.wait); n != c.admitted {
				t.Errorf("%d admitted after the edit, want %d", n, c.admitted)
			}
		})
	}
}

func TestClosedBucketDoesNotRefill(t *testing.T) {
	c := NewCell(Rate{10, 4}, false, at(0))
	takes(c, 4, 0)
	c.SetRate(Rate{0, 4}, at(0))
	c.SetRate(Rate{10, 4}, at(time.Hour))
	if u := c.Used(at(time.Hour)); u != 4 {
		t.Errorf("used %v after an hour at rate zero, want 4", u)
	}
}

// Time that a full bucket has passed is lost: giving a token back must not
// bring it.
func TestGiveBackNeverMints(t *testing.T) {
	s := time.Second
	r := Rate{PerSecond: 1, Burst: 2}
	cases := []struct {
		name string
		play func(c *Cell, back func(taken, time.Duration))
		when time.Duration
		want int
	}{
		{"nobody else: exact", func(c *Cell, back func(taken, time.Duration)) {
			a, _ := c.take(0)
			back(a, s/2)
		}, s / 2, 2},
		{"filled up in between, then another took", func(c *Cell, back func(taken, time.Duration)) {
			a, _ := c.take(0)
			c.take(at(5 * s).nanos())
			back(a, 5*s)
		}, 5 * s, 1},
		{"another took when most had come back", func(c *Cell, back func(taken, time.Duration)) {
			a, _ := c.take(0)
			c.take(at(s * 9 / 10).nanos())
			back(a, s*95/100) // a full bucket since 0.9 s has one token left, and not two before 1.9 s
		}, s * 18 / 10, 1},
		{"another took at the same instant", func(c *Cell, back func(taken, time.Duration)) {
			a, _ := c.take(0)
			c.take(0)
			back(a, 0)
		}, 0, 1},
		{"two give back, a third keeps", func(c *Cell, back func(taken, time.Duration)) {
			c.SetRate(Rate{1, 3}, at(0))
			a, _ := c.take(0)
			b, _ := c.take(0)
			c.take(0)
			back(a, 0)
			back(b, 0)
		}, 0, 2},
		{"edited in between", func(c *Cell, back func(taken, time.Duration)) {
			a, _ := c.take(0)
			c.SetRate(Rate{1000, 2}, at(0))
			back(a, 0)
		}, 0, 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			cell := NewCell(r, false, at(0))
			c.play(cell, func(k taken, now time.Duration) {
				k.giveBack(func() time.Duration { return now })
			})
			if n := takes(cell, 5, c.when); n != c.want {
				t.Errorf("%d admitted at %v, want %d", n, c.when, c.want)
			}
		})
	}
}

func TestGiveBackWithoutClockIsExactOrNothing(t *testing.T) {
	c := NewCell(Rate{1, 3}, false, at(0))
	a, _ := c.take(0)
	b, _ := c.take(0)
	a.giveBack(nil)
	if u := c.Used(at(0)); u != 2 {
		t.Errorf("used %v, want 2: b has taken since", u)
	}
	b.giveBack(nil)
	if u := c.Used(at(0)); u != 1 {
		t.Errorf("used %v, want 1", u)
	}
}

// Others' takes and give-backs may bring the word to the very instant at which
// a take had left it. That is not "nobody touched it since".
func TestGiveBackTellsAnEqualInstantFromAnUntouchedBucket(t *testing.T) {
	half := 500 * time.Millisecond
	clock := func() time.Duration { return half }
	c := NewCell(Rate{1, 5}, false, at(0))
	x, _ := c.take(0)
	y, _ := c.take(0)
	a, _ := c.take(0)
	c.take(int64(half))
	x.giveBack(clock)
	y.giveBack(clock)
	if c.word.Load()>>tagBits != a.after>>tagBits {
		t.Fatal("the test has lost its point")
	}
	a.giveBack(clock)
	if u := c.Used(at(half)); u != 2 {
		t.Errorf("used %v, want 2: half a token of each came back by itself", u)
	}
}

func BenchmarkTakeHot(b *testing.B) {
	l := New(nil)
	cells := []*Cell{NewCell(Rate{1e6, 5000}, false, at(0))}
	b.ReportAllocs()
	now := time.Duration(0)
	for b.Loop() {
		now += 2 * time.Microsecond
		g, v := l.Take(b.Context(), cells, nil, nil, at(now))
		if v.Outcome != Granted {
			b.Fatal(v)
		}
		g.Settle(true)
	}
}

func BenchmarkTakeRefused(b *testing.B) {
	l := New(nil)
	cells := []*Cell{NewCell(Rate{1, 1}, true, at(0))}
	b.ReportAllocs()
	for b.Loop() {
		if _, v := l.Take(b.Context(), cells, nil, nil, at(0)); v.Outcome != Throttled {
			b.Fatal(v)
		}
	}
}

func BenchmarkTakeMillion(b *testing.B) {
	const n = 1_000_000
	shared := Compile(Rate{10, 20})
	cells := make([]*Cell, n)
	for i := range cells {
		cells[i] = NewSharedCell(shared, false, at(0))
	}
	order := make([]uint32, 1<<16)
	for i := range order {
		order[i] = rand.Uint32N(n)
	}
	l := New(nil)
	b.ReportAllocs()
	i, now := 0, time.Duration(0)
	for b.Loop() {
		// A step through the permuted order keeps the draw itself out of it.
		k := (order[i&(1<<16-1)] + uint32(i)*7919) % n
		i++
		now += time.Microsecond
		if g, v := l.Take(b.Context(), cells[k:k+1], nil, nil, at(now)); v.Outcome == Granted {
			g.Settle(true)
		}
	}
}

func BenchmarkTakeUncapped(b *testing.B) {
	l := New(nil)
	cells := []*Cell{NewCell(Rate{1e6, 5000}, false, at(0))}
	m := NewMeter(Account{"plan", "key"}, nil, time.Time{})
	wall := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	b.ReportAllocs()
	now := time.Duration(0)
	for b.Loop() {
		now += 2 * time.Microsecond
		if _, v := l.Take(b.Context(), cells, nil, m, Instant{now, wall}); v.Outcome != Granted {
			b.Fatal(v)
		}
	}
}
