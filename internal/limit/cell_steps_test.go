package limit

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"
)

func TestCompileToTheNanosecond(t *testing.T) {
	const most, longest = 1 << 56, 1 << 55
	for _, c := range []struct {
		r               Rate
		interval, depth int64
	}{
		{Rate{1, 1}, 1_000_000_000, 1_000_000_000},
		{Rate{3, 2}, 333_333_334, 666_666_668},
		{Rate{0.5, 1}, 2_000_000_000, 2_000_000_000},
		{Rate{1e9, 3}, 1, 3},
		{Rate{2e9, 3}, 1, 3},
		{Rate{5e8, 3}, 2, 6},
		{Rate{math.Inf(1), 1}, 1, 1},
		{Rate{1, math.MaxInt}, 1_000_000_000, most},
		{Rate{1e9, most - 1}, 1, most - 1},
		{Rate{1e9, most + 1}, 1, most},
		{Rate{1e-9, 1}, longest, longest},
		{Rate{1e-9, 512}, longest, most}, // 2^64: the product's low word is zero
		{Rate{1, 0}, 1_000_000_000, 0},
		{Rate{1, -1}, 1_000_000_000, 0},
		{Rate{0, 5}, 0, 0},
		{Rate{-1, 5}, 0, 0},
		{Rate{math.NaN(), 5}, 0, 0},
	} {
		s := Compile(c.r)
		if s.interval != c.interval || s.depth != c.depth || s.version != 0 || s.end != math.MaxInt64 {
			t.Errorf("%+v: %+v", c.r, *s)
		}
	}
	if s := CompileVersion(Rate{1, 1}, 8); s.version != 8 {
		t.Errorf("%+v", *s)
	}
}

func TestInstantFitsAWord(t *testing.T) {
	for mono, want := range map[time.Duration]int64{-5: 0, 0: 0, 1: 1, 1<<57 - 1: 1<<57 - 1, 1 << 57: 1<<57 - 1, math.MaxInt64: 1<<57 - 1} {
		if got := at(mono).nanos(); got != want {
			t.Errorf("%d: %d", mono, got)
		}
	}
	// The latest instant and the deepest bucket fit beside the tag, and are not the mark.
	if w := uint64(maxMono+maxDepth)<<tagBits | tagMask; w>>tagBits != maxMono+maxDepth || w&tagMask != 63 || tagBits != 6 || w == moving {
		t.Errorf("%x", w)
	}
}

func TestAdmitsToTheNanosecond(t *testing.T) {
	s := &Setting{interval: 10, depth: 30, end: 1000}
	for _, c := range []struct {
		tat, now, after int64
		ok              bool
	}{{0, 100, 110, true}, {100, 100, 110, true}, {105, 100, 115, true}, {120, 100, 130, true}, {121, 100, 131, false}, {0, 999, 1009, true}, {0, 1000, 1010, false}} {
		if after, ok := s.admits(c.tat, c.now); after != c.after || ok != c.ok {
			t.Errorf("%+v: %d, %v", c, after, ok)
		}
	}
	for now, want := range map[int64]bool{999: false, 1000: true, 1001: true} {
		if s.ended(now) != want {
			t.Errorf("ended at %d: %v", now, !want)
		}
	}
	if _, ok := (&Setting{interval: 1, depth: 1, end: 1}).admits(0, 0); !ok {
		t.Error("a bucket of one nanosecond refuses")
	}
	if _, ok := (&Setting{end: 1}).admits(0, 0); ok {
		t.Error("a bucket that lets nothing through admits")
	}
}

func TestOutstandingAndPlace(t *testing.T) {
	s, shut := &Setting{interval: 10, depth: 30}, &Setting{}
	for _, c := range []struct {
		s          *Setting
		field, now int64
		num, den   uint64
	}{{s, 125, 100, 25, 10}, {s, 100, 100, 0, 10}, {s, 90, 100, 0, 10}, {shut, 3 << 20, 100, 3 << 20, 1 << 20}, {shut, 0, 100, 0, 1 << 20}} {
		if num, den := c.s.outstanding(c.field, c.now); num != c.num || den != c.den {
			t.Errorf("%+v: %d/%d", c, num, den)
		}
	}
	const deepest = 1 << 56
	for _, c := range []struct {
		s        *Setting
		num, den uint64
		now      int64
		want     int64
	}{
		{s, 0, 7, 100, 100},
		{s, 3, 1, 100, 130},
		{s, 20, 10, 100, 120},
		{s, 21, 20, 100, 111}, // 10.5: rounded up
		{s, 1, 1 << 40, 100, 101},
		{shut, 25, 10, 100, 25 << 20 / 10},
		{shut, 1, 3, 100, 349_526},
		{s, deepest, 1, 100, 100 + deepest},
		{s, math.MaxUint64, 1, 100, 100 + deepest},
		{s, math.MaxUint64, 9, 100, 100 + deepest}, // high word and divisor are equal
		{&Setting{interval: 1}, math.MaxUint64, 1 << 55, 100, 100 + 512},
	} {
		if got := c.s.place(c.num, c.den, c.now); got != c.want {
			t.Errorf("%d/%d of %d ns: %d, want %d", c.num, c.den, c.s.interval, got, c.want)
		}
	}
}

func TestWordOfANewBucket(t *testing.T) {
	const now, s = 5 * time.Second, int64(time.Second)
	for _, c := range []struct {
		name string
		cell *Cell
		want int64
	}{
		// A bucket that is full is so for a call that read its clock before, too.
		{"full", NewCell(Rate{1, 4}, false, at(now)), 0},
		{"empty", NewCell(Rate{1, 4}, true, at(now)), 9 * s},
		{"empty, of no tokens", NewCell(Rate{1, -3}, true, at(now)), 0},
		{"restored with none used", RestoreCell(Rate{1, 4}, 0, at(now)), 0},
		{"restored with half used", RestoreCell(Rate{1, 4}, 0.5, at(now)), 5*s + s/2},
		{"restored with one used", RestoreCell(Rate{1, 4}, 1, at(now)), 6 * s},
		{"restored with very many used", RestoreCell(Rate{1e9, 4}, 1e300, at(now)), 5*s + 1<<40},
		{"of no rate", NewCell(Rate{0, 4}, true, at(now)), 4 << 20},
	} {
		if got := c.cell.word.Load(); got != uint64(c.want)<<6 {
			t.Errorf("%s: %d, tag %d; want %d", c.name, got>>6, got&63, c.want)
		}
	}
}

// An edit and an inexact give-back turn the tag by one, a take does not.
func TestTagTurns(t *testing.T) {
	now := int64(0)
	clock := func() time.Duration { return time.Duration(now) }
	c := NewCell(Rate{1, 100}, false, at(0))
	tag := func(want uint64) {
		t.Helper()
		if got := c.word.Load() & 63; got != want%64 {
			t.Fatalf("tag %d, want %d", got, want%64)
		}
	}
	for i := uint64(0); i < 140; i += 2 {
		a, _ := c.take(0)
		b, _ := c.take(0)
		tag(i)
		a.giveBack(clock)
		tag(i + 1)
		if b.giveBack(clock); c.Used(at(0)) != 0 {
			t.Fatalf("%v used", c.Used(at(0)))
		}
		tag(i + 2)
		c.SetRate(c.Rate(), at(0)) // no edit
		tag(i + 2)
	}
	for i := uint64(140); i < 280; i++ {
		c.SetRate(Rate{1, int(i)}, at(0))
		tag(i + 1)
	}
}

// What comes back of a token after others took is what has not come back by
// itself, to the nanosecond.
func TestGiveBackToTheNanosecond(t *testing.T) {
	const s = int64(time.Second)
	for _, c := range []struct {
		taken, back int64
		field       int64
		tag         uint64
	}{
		{0, 0, s, 1},
		{0, 300, s + 300, 1},
		{0, s - 1, 2*s - 1, 1},
		{0, s, 2 * s, 0}, // all has come back by itself: nobody touches the word
		{0, s + 1, 2 * s, 0},
		{70, 170, s + 170, 1},
	} {
		cell := NewCell(Rate{1, 5}, false, at(0))
		a, _ := cell.take(c.taken)
		cell.take(c.taken)
		a.giveBack(func() time.Duration { return time.Duration(c.back) })
		if w := cell.word.Load(); w>>6 != uint64(c.field) || w&63 != c.tag {
			t.Errorf("%+v: field %d, tag %d", c, w>>6, w&63)
		}
	}
	// A clock that is read too early brings a bucket to full, not beyond.
	cell := NewCell(Rate{1, 5}, false, at(0))
	a, _ := cell.take(50)
	b, _ := cell.take(50)
	for _, k := range []taken{a, b} {
		k.giveBack(func() time.Duration { return 0 })
	}
	if w := cell.word.Load(); w>>6 != 0 || w&63 != 2 {
		t.Errorf("field %d, tag %d", w>>6, w&63)
	}
}

func TestLevelToTheNanosecond(t *testing.T) {
	s := &Setting{interval: 10, depth: 30, end: math.MaxInt64}
	for _, c := range []struct {
		field  int64
		tokens int64
		next   time.Duration
		level  float64
		wait   time.Duration
	}{
		{90, 3, 0, 3, -30},
		{100, 3, 0, 3, -20},
		{101, 2, 1, 2.9, -19},
		{110, 2, 10, 2, -10},
		{125, 0, 5, 0.5, 5},
		{130, 0, 10, 0, 10},
		{145, 0, 25, 0, 25},
	} {
		cell := &Cell{}
		cell.setting.Store(s)
		cell.word.Store(uint64(c.field) << tagBits)
		if l := cell.Level(at(100)); l.Tokens != c.tokens || l.Next != c.next {
			t.Errorf("%+v: %+v", c, l)
		}
		d := s.refusal(c.field, 100)
		if c.field < 100 { // no bucket refuses so; and its wait is counted from the field
			d.Wait = c.wait
		}
		if d.Tokens != c.level || d.Wait != c.wait {
			t.Errorf("%+v: %+v", c, d)
		}
	}
	if n := (&Setting{interval: 10}).tokens(0, 0); n != 0 {
		t.Errorf("%v tokens in what lets nothing through", n)
	}
}

// shares is a Rates that always gives the same share; a life of 0: none.
type shares struct {
	ShareAnswer
	err error
}

func (s *shares) Share(_ context.Context, asks []ShareAsk) ([]ShareAnswer, error) {
	answers := make([]ShareAnswer, len(asks))
	for i, a := range asks {
		answers[i] = s.ShareAnswer
		answers[i].Setting, answers[i].Version = a.Setting, a.Version
	}
	return answers, s.err
}

func (s *shares) Return(context.Context, []ShareReturn) error { return nil }

// Demand is counted once a call that wants a token, whoever refuses it, and not
// for a bucket that another one's refusal spared.
func TestDemandIsCountedOnceACall(t *testing.T) {
	now := time.Second
	give := &shares{ShareAnswer: ShareAnswer{Rate: 10, Burst: 2, Tokens: 2, Life: time.Minute, Again: time.Hour}}
	l := New(nil, WithClock(func() time.Duration { return now }), WithRates(give, "n"))
	r := Rate{PerSecond: 10, Burst: 2}
	divided := l.Bucket("b", CompileVersion(r, 1), at(now))
	k := divided.setting.Load().stake
	local, empty := NewCell(Rate{0.001, 9}, false, at(now)), NewCell(Rate{0.001, 1}, true, at(now))
	take := func(o Outcome, which int, counted int64, cells ...*Cell) Verdict {
		t.Helper()
		before := k.asked.Load()
		_, v := l.Take(t.Context(), cells, nil, nil, at(now))
		if v.Outcome != o || v.Cell != which || k.asked.Load()-before != counted {
			t.Fatalf("%+v, %d counted; want outcome %d of cell %d, %d counted", v, k.asked.Load()-before, o, which, counted)
		}
		return v
	}
	give.err = errors.New("away")
	// Without a share it is asked for, and the other bucket's token goes back.
	if _, v := l.Take(t.Context(), []*Cell{local, divided}, nil, nil, at(now)); v.Outcome != Throttled || v.Cell != 1 || v.Err == nil || local.Used(at(now)) != 0 {
		t.Fatalf("%+v, %v used of the other", v, local.Used(at(now)))
	}
	give.err = nil
	now += time.Second
	if _, v := l.Take(t.Context(), []*Cell{local, divided}, nil, nil, at(now)); v.Outcome != Granted || local.Used(at(now)) != 1 {
		t.Fatalf("%+v, %v used of the other", v, local.Used(at(now)))
	}
	take(Throttled, 0, 0, empty, divided)
	take(Throttled, 1, 0, divided, empty)
	if used := divided.Used(at(now)); math.Abs(used-1) > 1e-6 {
		t.Errorf("%v used by one call", used)
	}
	take(Granted, 0, 1, divided)
	take(Throttled, 0, 1, divided, local)
	take(Throttled, 1, 1, local, divided)
	take(Throttled, 0, 1, divided)
	// The share ends, and the node may refuse alone for a while.
	k.alone.Store(int64(3 * time.Minute))
	now = 2 * time.Minute
	for _, cells := range [][]*Cell{{divided, local}, {divided}} {
		if v := take(Throttled, 0, 1, cells...); v.Detail.Wait != time.Minute || v.Detail.Rate != r {
			t.Errorf("%+v", v)
		}
	}
	if got := divided.Level(at(now)); got != (Level{Rate: r, Next: time.Minute}) {
		t.Errorf("%+v", got)
	}
}

// A quota that is known to be used up is told after every throttle, also the
// first.
func TestFirstThrottleBeforeAKnownQuota(t *testing.T) {
	s := newStepped(t)
	of := s.leased(100)
	of.kind = spent
	m := s.meter(of, 0)
	empty, full := NewCell(Rate{1, 1}, true, at(0)), NewCell(Rate{1, 1}, false, at(0))
	for _, c := range []struct {
		cells []*Cell
		o     Outcome
		which int
	}{{[]*Cell{empty, full}, Throttled, 0}, {[]*Cell{nil, full, empty}, Throttled, 2}, {[]*Cell{full}, Exhausted, 0}, {nil, Exhausted, 0}} {
		if _, v := s.Take(t.Context(), c.cells, nil, m, at(0)); v.Outcome != c.o || v.Cell != c.which {
			t.Errorf("%+v", v)
		}
	}
	if full.Used(at(0)) != 0 || len(s.ledger.asks) != 0 {
		t.Errorf("%v used, %d asked", full.Used(at(0)), len(s.ledger.asks))
	}
}

// The names are numbers from one: a Period that was never set is none of them.
func TestAPeriodThatWasNeverSet(t *testing.T) {
	if Daily != 1 || Weekly != 2 || Monthly != 3 {
		t.Error(int(Daily), int(Weekly), int(Monthly))
	}
	if p := Period(0); p.Start(99) != 99 || p.End(99) != 100 || p.String() != "DAY" {
		t.Error("it does not count as a day")
	}
}
