package limit

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"testing"
	"time"
)

// dividing is a limiter on a clock that the test moves, with a database that
// answers what the test says.
type dividing struct {
	*Limiter
	now    time.Duration
	answer func(ShareAsk) ShareAnswer
	during func() // what happens while an ask is on its way
	err    error
	asks   []ShareAsk
	back   []ShareReturn
	calls  []int // how many were asked, or given back (below zero), in one call
	short  int   // answers that are missing
}

func (d *dividing) Share(_ context.Context, asks []ShareAsk) ([]ShareAnswer, error) {
	d.calls = append(d.calls, len(asks))
	var answers []ShareAnswer
	for _, a := range asks {
		d.asks = append(d.asks, a)
		answer := d.answer(a)
		answer.Version, answer.Setting = max(answer.Version, a.Version), a.Setting
		answers = append(answers, answer)
	}
	if d.during != nil {
		d.during()
	}
	return answers[d.short:], d.err
}

func (d *dividing) Return(_ context.Context, back []ShareReturn) error {
	d.calls = append(d.calls, -len(back))
	d.back = append(d.back, back...)
	return d.err
}

func newDividing() *dividing {
	d := &dividing{now: 10 * time.Second}
	d.answer = func(a ShareAsk) ShareAnswer {
		answer := ShareAnswer{Rate: 100, Burst: 10, Life: 2 * time.Second, Again: time.Second}
		if a.Has == 0 {
			answer.Tokens = 10
		}
		return answer
	}
	d.Limiter = New(nil, WithClock(func() time.Duration { return d.now }), WithRates(d, "me"))
	return d
}

// bucket is of 200 a second and a burst of 20.
func (d *dividing) bucket() (*Cell, *stake) {
	c := d.Bucket("b", CompileVersion(Rate{200, 20}, 1), at(d.now))
	return c, c.setting.Load().stake
}

var overAlready = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

func (d *dividing) takes(c *Cell, n int) (admitted int) {
	for range n {
		if _, v := d.Take(overAlready, []*Cell{c}, nil, nil, at(d.now)); v.Outcome == Granted {
			admitted++
		}
	}
	return admitted
}

func TestShareLastsATenthLess(t *testing.T) {
	d := newDividing()
	c, k := d.bucket()
	if !d.Divides() || New(nil).Divides() {
		t.Error("buckets are divided when there are Rates")
	}
	sent := d.now
	d.during = func() { d.now += 300 * time.Millisecond } // on its way
	if n := d.takes(c, 1); n != 1 {
		t.Fatalf("%d", n)
	}
	d.during = nil
	if k.part != (portion{1, 100, 10, int64(sent + 1800*time.Millisecond)}) || k.due != int64(sent+time.Second) || k.sent != int64(sent) {
		t.Errorf("%+v, due %d, sent %d", k.part, k.due, k.sent)
	}
	if want := (ShareAsk{
		Bucket: "b", Setting: Rate{200, 20}, Version: 1, Node: "me", Number: 1, Demand: 1, Want: 1,
	}); d.asks[0] != want {
		t.Errorf("%+v, want %+v", d.asks[0], want)
	}
	if n := d.takes(c, 20); n != 9 {
		t.Errorf("%d of the nine that are left", n)
	}
	d.now = sent + 1800*time.Millisecond - 1
	if n := d.takes(c, 20); n != 10 || len(d.asks) != 1 {
		t.Errorf("%d at the end, %d asks", n, len(d.asks))
	}
	d.now++
	if n := d.takes(c, 1); n != 1 || len(d.asks) != 2 || d.asks[1].Has != 0 || d.asks[1].Tokens != 0 {
		t.Errorf("%d after the end, %+v", n, d.asks)
	}
}

func TestRenewalTellsWhatIsLeft(t *testing.T) {
	d := newDividing()
	c, k := d.bucket()
	d.takes(c, 4)
	d.now += time.Second - 1
	if d.Renew(t.Context()); len(d.asks) != 1 {
		t.Errorf("renewed before it is due: %+v", d.asks)
	}
	d.now++
	d.takes(c, 3)
	d.answer = func(ShareAsk) ShareAnswer {
		return ShareAnswer{Rate: 50, Burst: 5.5, Tokens: 2, Life: 2 * time.Second, Again: time.Second}
	}
	d.Renew(t.Context())
	if len(d.asks) != 2 || d.asks[1].Has != 1 || d.asks[1].Tokens != 7 || d.asks[1].Demand != 6 || d.asks[1].Want != 0 || d.asks[1].Back != 0 {
		t.Fatalf("%+v", d.asks)
	}
	// Nine tokens, and room for 5.5: the others belong to the first share.
	if k.back != 3.5 || k.backOf != 1 {
		t.Errorf("%v of %d go back", k.back, k.backOf)
	}
	if n := d.takes(c, 9); n != 5 {
		t.Errorf("%d of 5.5", n)
	}
	d.now += 10 * time.Millisecond // half a token
	if n := d.takes(c, 1); n != 1 {
		t.Error("half a token and half a token are one")
	}
	d.now += 990 * time.Millisecond
	d.Renew(t.Context())
	if len(d.asks) != 3 || d.asks[2].Back != 3.5 || d.asks[2].BackOf != 1 || d.asks[2].Has != 2 || k.backOf != 2 || k.back != 2 {
		t.Errorf("%+v", d.asks)
	}
}

// What is cut twice before the next ask belongs to the older share.
func TestCutTokensBelongToTheOlderShare(t *testing.T) {
	for _, c := range []struct {
		backOf, number, want uint64
		more                 float64
	}{{0, 5, 5, 2}, {3, 5, 3, 2}, {7, 5, 5, 2}, {1, 5, 1, 0.5}, {0, 5, 5, 0.5}} {
		d := newDividing()
		_, k := d.bucket()
		k.backOf = c.backOf
		k.replace(portion{c.number, 100, 10, math.MaxInt64}, 10+c.more, int64(d.now))
		if k.backOf != c.want || k.back != c.more {
			t.Errorf("%+v: %v of %d", c, k.back, k.backOf)
		}
	}
}

func TestUnusedShareGoesBack(t *testing.T) {
	d := newDividing()
	c, k := d.bucket()
	d.takes(c, 3)
	d.now += time.Second
	d.takes(c, 1)
	d.Renew(t.Context())
	d.now += 1400*time.Millisecond - 1
	if d.Renew(t.Context()); len(d.back) != 0 {
		t.Errorf("%+v too early", d.back)
	}
	d.now++
	d.Renew(t.Context())
	if want := []ShareReturn{{Bucket: "b", Node: "me", Has: 2, Tokens: 10}}; !reflect.DeepEqual(d.back, want) || len(d.asks) != 2 || k.back != 0 || k.backOf != 0 {
		t.Errorf("%+v, want %+v; %d asks", d.back, want, len(d.asks))
	}
	d.Renew(t.Context())
	if len(d.back) != 1 || k.listed != 0 || len(d.sharing.active) != 0 {
		t.Errorf("%+v, listed %d", d.back, k.listed)
	}
	if n := d.takes(c, 1); n != 1 || d.asks[2].Has != 0 {
		t.Errorf("%+v", d.asks)
	}
}

func TestRenewalThatFails(t *testing.T) {
	d := newDividing()
	c, k := d.bucket()
	d.takes(c, 1)
	d.now += time.Second
	d.takes(c, 1)
	d.err = errors.New("away")
	d.during = func() { d.now += 50 * time.Millisecond }
	if err := d.Renew(t.Context()); !errors.Is(err, d.err) {
		t.Error(err)
	}
	if k.due != int64(d.now+200*time.Millisecond) || k.part.number != 1 || d.sharing.failed.Load() != int64(d.now) {
		t.Errorf("due %v, now %v, %+v", time.Duration(k.due), d.now, k.part)
	}
	if n := d.takes(c, 1); n != 1 {
		t.Error("what the node has is good")
	}
	d.during = nil
	d.now += 200*time.Millisecond - 1
	if d.Renew(t.Context()); len(d.asks) != 2 {
		t.Errorf("%d asks", len(d.asks))
	}
	d.now++
	d.err, d.short = nil, 1
	if err := d.Renew(t.Context()); err == nil || err.Error() != "0 answers to 1 asks" {
		t.Error(err)
	}
	d.short = 0
	d.now += 200 * time.Millisecond
	if d.Renew(t.Context()); len(d.asks) != 4 || d.sharing.away() || k.part.number != 4 {
		t.Errorf("%d asks, %+v", len(d.asks), k.part)
	}
}

// When the database is away one caller a tenth of a second finds out.
func TestOneFindsOut(t *testing.T) {
	for _, c := range []struct {
		failed  int64
		probing bool
		after   time.Duration
		want    bool
	}{
		{0, false, 0, true},
		{0, true, 0, true},
		{1, false, 0, false},
		{1e9, false, 100*time.Millisecond - 1, false},
		{1e9, false, 100 * time.Millisecond, true},
		{1e9, true, time.Minute, false},
	} {
		h := &sharing{}
		h.failed.Store(c.failed)
		h.probing.Store(c.probing)
		if got := h.mayAsk(c.failed + int64(c.after)); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
		if h.away() != (c.failed != 0) {
			t.Errorf("%+v: away %v", c, h.away())
		}
	}

	d := newDividing()
	d.now = 0 // also at the first instant of the process
	d.err = errors.New("away")
	c, _ := d.bucket()
	_, v := d.Take(context.Background(), []*Cell{c}, nil, nil, at(0))
	if !errors.Is(v.Err, d.err) || !errors.Is(v.Err, errRatesAway) || d.sharing.failed.Load() != 1 || d.sharing.probing.Load() {
		t.Errorf("%+v, failed %d", v, d.sharing.failed.Load())
	}
	for _, c := range []struct {
		now  time.Duration
		asks int
	}{{50 * time.Millisecond, 1}, {100 * time.Millisecond, 1}, {100*time.Millisecond + 1, 2}, {150 * time.Millisecond, 2}} {
		d.now = c.now
		cell, _ := d.bucket()
		if _, v := d.Take(context.Background(), []*Cell{cell}, nil, nil, at(d.now)); !errors.Is(v.Err, errRatesAway) || len(d.asks) != c.asks {
			t.Errorf("at %v: %+v, %d asks", c.now, v, len(d.asks))
		}
	}
}

// Without a share the pool admits, and says how long the node refuses alone.
func TestNodeRefusesAlone(t *testing.T) {
	d := newDividing()
	c, k := d.bucket()
	d.answer = func(ShareAsk) ShareAnswer { return ShareAnswer{Again: 250 * time.Millisecond, At: poolTime} }
	d.during = func() { d.now += 10 * time.Millisecond }
	take := func() Verdict {
		_, v := d.Take(context.Background(), []*Cell{c}, nil, nil, at(d.now))
		return v
	}
	if v := take(); v.Outcome != Throttled || v.Err != nil || v.Detail.Wait != 250*time.Millisecond || v.Detail.Rate != (Rate{200, 20}) || k.back != 0 {
		t.Errorf("%+v, %v go back", v, k.back)
	}
	d.now += 250*time.Millisecond - 1
	if v := take(); v.Outcome != Throttled || v.Detail.Wait != 1 || len(d.asks) != 1 {
		t.Errorf("%+v, %d asks", v, len(d.asks))
	}
	d.now++
	d.answer = func(ShareAsk) ShareAnswer { return ShareAnswer{Admitted: 3, At: poolTime, Version: 1} }
	if v := take(); v.Outcome != Granted || len(d.asks) != 2 {
		t.Errorf("%+v, %d asks", v, len(d.asks))
	}
	// One waited: two go back, as they came.
	want := []ShareReturn{{Bucket: "b", Node: "me", Spare: 2, At: poolTime, Version: 1}}
	if !reflect.DeepEqual(k.spares, want) {
		t.Errorf("%+v", k.spares)
	}
	d.during = nil
	d.Renew(t.Context())
	if !reflect.DeepEqual(d.back, want) || len(k.spares) != 0 {
		t.Errorf("%+v", d.back)
	}
	// One that a later limit refuses, too.
	d.answer = func(ShareAsk) ShareAnswer { return ShareAnswer{Admitted: 1, At: poolTime, Version: 1} }
	d.Take(context.Background(), []*Cell{c}, NewSeats(0), nil, at(d.now))
	if len(k.spares) != 1 || k.spares[0].Spare != 1 || !k.spares[0].At.Equal(poolTime) || k.spares[0].Version != 1 {
		t.Errorf("%+v", k.spares)
	}
}

func TestRefusesAlone(t *testing.T) {
	const now = 1000
	for _, c := range []struct {
		rate  Rate
		seats bool
		alone int64
		wait  time.Duration
	}{
		{Rate{0, 10}, false, 0, Never},
		{Rate{-1, 10}, false, 0, Never},
		{Rate{10, 0}, false, 0, Never},
		{Rate{0.5, 1}, false, now, 0},
		{Rate{1, 1}, false, now + 5, 5},
		{Rate{1, 1}, false, now - 5, 0},
		{Rate{0, 1}, true, now + 1, 1},
		{Rate{0, 0}, true, now + 1, Never},
	} {
		k := &stake{}
		if c.seats {
			k.seats = &Seats{}
		}
		k.alone.Store(c.alone)
		d, is := k.refusesAlone(&Setting{rate: c.rate}, now)
		if d.Wait != c.wait || is != (c.wait > 0) || d.Rate != c.rate {
			t.Errorf("%+v: %+v, %v", c, d, is)
		}
	}
}

func TestDemandIsMeasured(t *testing.T) {
	const now, ms = int64(100 * time.Second), int64(time.Millisecond)
	for _, c := range []struct {
		name   string
		since  int64 // 0: never measured
		asked  int64
		before float64
		want   float64
		is     bool // measured
	}{
		{"the first", 0, 5, 0, 5, true},
		{"few, and soon", now - 499*ms, 9, 3, 3, false},
		{"few, after half a second", now - 500*ms, 1, 5, 3.5, true},
		{"not yet half a second", now - 400*ms, 1, 5, 5, false},
		{"enough", now - 250*ms, 10, 3, 40, true},
		{"at once", now, 10, 3, 10_000, true},
		{"half as much again", now - 1000*ms, 6, 3, 4.5, true}, // a third more than the mean: smoothed
		{"a bit more", now - 1000*ms, 7, 3, 7, true},
		{"less", now - 1000*ms, 2, 6, 4, true},
		{"nobody", now - 1000*ms, 0, 6, 3, true},
		{"after long", now - 4000*ms, 8, 8, 8, true},
	} {
		k := &stake{since: c.since, demand: c.before}
		k.asked.Store(c.asked)
		k.measure(now)
		if k.demand != c.want {
			t.Errorf("%s: %v, want %v", c.name, k.demand, c.want)
		}
		if left, since := k.asked.Load(), k.since; c.is && (left != 0 || since != now) || !c.is && (left != c.asked || since != c.since) {
			t.Errorf("%s: %d calls left, since %d", c.name, left, since)
		}
	}
}

// A process that has just begun has no second behind it.
func TestDemandIsMeasuredFromTheStart(t *testing.T) {
	k := &stake{}
	k.asked.Store(5)
	if k.measure(int64(300 * time.Millisecond)); k.demand != 5 || k.asked.Load() != 0 {
		t.Errorf("%v, %d calls left", k.demand, k.asked.Load())
	}
}

func TestGrains(t *testing.T) {
	for _, c := range []struct {
		interval int64
		n        uint64
		want     int64
	}{
		{1000, 1024, 1000},
		{1000, 512, 500},
		{3, 1, 0},
		{0, 5, 0},
		{1 << 45, 1 << 20, 1 << 55}, // over 64 bits
		{1<<45 + 1, 1 << 20, 1<<55 + 1<<10},
		{1 << 53, 1 << 20, 1 << 56},
		{1 << 54, 1 << 20, 1 << 56}, // 2^64 grains
		{1 << 55, 1 << 30, 1 << 56},
	} {
		if got := grains(c.interval, c.n); got != c.want {
			t.Errorf("%d grains of %d: %d, want %d", c.n, c.interval, got, c.want)
		}
	}
}

func TestSettingOfAShare(t *testing.T) {
	whole := CompileVersion(Rate{200, 20}, 7)
	for _, c := range []struct {
		p                    portion
		interval, depth, end int64
		burst                float64
	}{
		{portion{1, 100, 10, 77}, 1e7, 1e8, 77, 10},
		{portion{1, 0.5, 2.5, 77}, 2e9, 5e9, 77, 2.5},
		{portion{1, 3, 1, 77}, 333333334, 333333334, 77, 1},
		{portion{1, 1e-9, 1, 77}, 1 << 55, 1 << 55, 77, 1},
		{portion{}, 0, 0, 0, 0},
	} {
		k := &stake{whole: whole}
		s := k.fit(c.p)
		if s.interval != c.interval || s.depth != c.depth || s.end != c.end || s.burst() != c.burst || s.version != 7 || s.rate != whole.rate || s.stake != k {
			t.Errorf("%+v: %+v", c.p, s)
		}
	}
	if b := (&Setting{depth: 1, interval: 4}).burst(); b != 0.25 {
		t.Error(b)
	}
}

// Who waits for one ask gets one outcome.
func TestOutcomes(t *testing.T) {
	const now = 1000
	away := errors.New("away")
	for _, c := range []struct {
		f        flight
		alone    int64
		admitted bool
		wait     time.Duration
		err      error
	}{
		{flight{admitted: 1}, 0, true, 1, nil},
		{flight{}, now + 7, false, 7, nil},
		{flight{}, now + 1, false, 1, nil},
		{flight{}, now, false, 1, nil},
		{flight{err: away, admitted: 1}, now + 7, false, 7, away},
	} {
		k := &stake{cell: &Cell{}}
		k.alone.Store(c.alone)
		f := c.f
		f.calls, f.at, f.version = 2, poolTime, 9
		got, d, err := k.outcome(&f, &Setting{rate: Rate{1, 1}}, now)
		if (got.cell != nil) != c.admitted || d.Wait != c.wait || !errors.Is(err, c.err) || f.calls != 1 {
			t.Errorf("%+v: %+v, %+v, %v, %d wait", c, got, d, err, f.calls)
		}
		if c.admitted && (f.admitted != 0 || got.before != 9 || got.at != poolTime.UnixNano()) {
			t.Errorf("%+v: %+v", c, got)
		}
	}
}

// A call that leaves gives its token back only if there are more than who wait.
func TestLeaving(t *testing.T) {
	for _, c := range []struct {
		over                          bool
		admitted, calls, left, spares int
	}{{true, 2, 2, 1, 1}, {true, 1, 2, 1, 0}, {true, 1, 1, 0, 1}, {true, 0, 1, 0, 0}, {false, 2, 2, 2, 0}} {
		d := newDividing()
		_, k := d.bucket()
		f := flight{over: c.over, admitted: c.admitted, calls: c.calls, at: poolTime, version: 4}
		k.leave(&f)
		if f.calls != c.calls-1 || f.admitted != c.left || len(k.spares) != c.spares {
			t.Errorf("%+v: %+v, %+v", c, f, k.spares)
		}
		if c.spares > 0 && (k.spares[0].Spare != 1 || k.spares[0].Version != 4) {
			t.Errorf("%+v: %+v", c, k.spares)
		}
	}
}

// While an ask is under way nobody sends another; who comes then waits for it,
// and goes on with what it brought.
func TestOneAskIsUnderWay(t *testing.T) {
	d := newDividing()
	c, k := d.bucket()
	waited := make(chan Outcome)
	d.during = func() {
		d.during = nil
		if k.flight == nil || k.flight.number != 1 || k.next != nil {
			t.Errorf("%+v, %+v", k.flight, k.next)
		}
		// One has no time to wait, the other has.
		if _, v := d.Take(overAlready, []*Cell{c}, nil, nil, at(d.now)); !errors.Is(v.Err, errRatesAway) {
			t.Errorf("%+v", v)
		}
		if k.next == nil || k.next.calls != 0 {
			t.Errorf("%+v", k.next)
		}
		go func() {
			_, v := d.Take(context.Background(), []*Cell{c}, nil, nil, at(d.now))
			waited <- v.Outcome
		}()
		for waits := 0; waits != 1; { // until it waits
			k.mu.Lock()
			waits = k.next.calls
			k.mu.Unlock()
		}
		if ask, back := k.tend(int64(d.now)); ask != nil || back != nil {
			t.Errorf("%+v, %+v", ask, back)
		}
	}
	_, v := d.Take(context.Background(), []*Cell{c}, nil, nil, at(d.now))
	if o := <-waited; v.Outcome != Granted || o != Granted || len(d.asks) != 1 || k.flight != nil {
		t.Errorf("%+v, %d, %d asks", v, o, len(d.asks))
	}
	if n := d.takes(c, 20); n != 8 {
		t.Errorf("%d are left of ten", n)
	}
	// A refusal by a share that lives needs no ask.
	if _, d, err := k.enter(t.Context()); d.Wait != 10*time.Millisecond || err != nil {
		t.Errorf("%+v, %v", d, err)
	}
	if len(d.asks) != 1 || k.next.calls != 0 {
		t.Errorf("%d asks, %+v", len(d.asks), k.next)
	}
}

func TestEditOfADividedBucket(t *testing.T) {
	d := newDividing()
	c, k := d.bucket()
	d.takes(c, 4)
	d.now += 100 * time.Millisecond // full again
	d.takes(c, 3)
	edit := func(r Rate, version int64) { d.Bucket("b", CompileVersion(r, version), at(d.now)) }
	edit(Rate{300, 30}, 0)
	if k.whole.rate != (Rate{200, 20}) || k.part.number != 1 {
		t.Errorf("an older setting: %+v", k.whole)
	}
	edit(Rate{200, 20}, 2)
	if k.whole.version != 2 || k.told != 2 || k.part.number != 1 {
		t.Errorf("an equal setting: version %d, told %d", k.whole.version, k.told)
	}
	k.told = 1
	edit(Rate{200, 20}, 3)
	if k.whole.version != 3 || k.told != 1 {
		t.Errorf("the pool has not heard of the one before: version %d, told %d", k.whole.version, k.told)
	}
	k.told = 3
	k.alone.Store(math.MaxInt64)
	k.due = math.MaxInt64
	edit(Rate{100, 8}, 4)
	if k.backOf != 1 || k.back != 7 || k.part != (portion{}) || k.due != int64(d.now) || k.alone.Load() != 0 {
		t.Errorf("%v of %d go back, %+v, due %d", k.back, k.backOf, k.part, k.due)
	}
	edit(Rate{100, 9}, 4) // the same version may be corrected
	if k.whole.rate.Burst != 9 {
		t.Errorf("%+v", k.whole)
	}
	d.Renew(t.Context()) // though nobody calls
	if len(d.asks) != 2 || d.asks[1].Version != 4 || d.asks[1].Back != 7 || d.asks[1].BackOf != 1 || d.asks[1].Has != 0 || k.told != 4 {
		t.Errorf("%+v, told %d", d.asks, k.told)
	}
	// An answer of a pool that has not heard is given back at once, and one of
	// a pool that has heard more is believed.
	d.answer = func(ShareAsk) ShareAnswer {
		return ShareAnswer{Rate: 100, Burst: 10, Tokens: 4, Life: 2 * time.Second, Again: time.Second, Version: 6}
	}
	d.now += time.Second
	d.takes(c, 1)
	d.Renew(t.Context())
	if k.whole.version != 6 || k.told != 6 || k.part.number != 3 {
		t.Errorf("version %d, told %d, %+v", k.whole.version, k.told, k.part)
	}
}

// The pool's answer, and what the node does with it.
func TestArrival(t *testing.T) {
	for _, c := range []struct {
		name    string
		version int64 // of the answer; the node has 5
		setting Rate
		closed  bool
		whole   Rate
		number  uint64 // of the share
		backOf  uint64
	}{
		{"of the same version", 5, Rate{1, 1}, false, Rate{200, 20}, 3, 0},
		{"of a newer one", 6, Rate{1, 1}, false, Rate{1, 1}, 3, 0},
		{"of an older one", 4, Rate{1, 1}, false, Rate{200, 20}, 0, 3},
		{"of a bucket that is gone", 5, Rate{1, 1}, true, Rate{200, 20}, 0, 3},
	} {
		d := newDividing()
		_, k := d.bucket()
		k.whole, k.closed = CompileVersion(Rate{200, 20}, 5), c.closed
		k.flight = &flight{done: make(chan struct{}), number: 3, sent: int64(d.now)}
		k.arrive(ShareAnswer{Rate: 10, Burst: 5, Tokens: 4, Life: time.Second, Version: c.version, Setting: c.setting}, nil)
		if k.whole.rate != c.whole || k.told != c.version || k.part.number != c.number || k.backOf != c.backOf || k.listed != 1 {
			t.Errorf("%s: %+v, told %d, %+v, %d goes back", c.name, k.whole, k.told, k.part, k.backOf)
		}
		if c.backOf != 0 && k.back != 4 {
			t.Errorf("%s: %v goes back", c.name, k.back)
		}
	}
	// As many as wait, and one more.
	for admitted, spare := range map[int]int{1: 0, 2: 0, 3: 1, 5: 3} {
		d := newDividing()
		_, k := d.bucket()
		f := &flight{done: make(chan struct{}), calls: 2}
		k.flight = f
		k.arrive(ShareAnswer{Admitted: admitted, Version: 1, At: poolTime}, nil)
		got := 0
		for _, s := range k.spares {
			got += s.Spare
		}
		if got != spare || f.admitted != min(admitted, 2) || len(k.spares) > 1 || (spare == 0) != (len(k.spares) == 0) {
			t.Errorf("%d admitted: %d spare, %+v", admitted, got, f)
		}
	}
}

func TestTending(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(d *dividing, k *stake) // a share was granted just now
		pass time.Duration
		asks bool
		back int
		off  bool // taken off the list
	}{
		{"used, not due", func(_ *dividing, k *stake) { k.asked.Store(1) }, time.Second - 1, false, 0, false},
		{"used, due", func(_ *dividing, k *stake) { k.asked.Store(1) }, time.Second, true, 0, false},
		{"used, and the share has ended", func(_ *dividing, k *stake) { k.asked.Store(1) }, 1800 * time.Millisecond, false, 0, true},
		{"a token to give back", func(_ *dividing, k *stake) { k.back, k.backOf = 1, 1 }, time.Second, true, 0, false},
		{"less than a token", func(_ *dividing, k *stake) { k.back, k.backOf = 0.9, 1 }, time.Second, false, 0, false},
		{"unused", func(*dividing, *stake) {}, 1400*time.Millisecond - 1, false, 0, false},
		{"unused for long", func(*dividing, *stake) {}, 1400 * time.Millisecond, false, 1, false},
		{"an edit, unused", func(_ *dividing, k *stake) { k.told = 0 }, time.Second, true, 0, false},
		{"an edit, and the share has ended", func(_ *dividing, k *stake) { k.told = 0 }, 5 * time.Second, true, 0, false},
		{"an edit, never asked", func(_ *dividing, k *stake) { k.told, k.sent = 0, 0 }, 5 * time.Second, false, 0, true},
		{"ended, and somebody comes", func(_ *dividing, k *stake) { k.next = &flight{calls: 1} }, 5 * time.Second, false, 0, false},
		{"ended, and nobody waits any more", func(_ *dividing, k *stake) { k.next = &flight{} }, 5 * time.Second, false, 0, true},
	} {
		d := newDividing()
		cell, k := d.bucket()
		d.takes(cell, 1)
		k.asked.Store(0)
		c.do(d, k)
		if k.listed != 1 {
			t.Fatalf("%s: place %d", c.name, k.listed)
		}
		ask, back := k.tend(int64(d.now + c.pass))
		if (ask != nil) != c.asks || len(back) != c.back || (k.listed == 0) != c.off {
			t.Errorf("%s: %+v, %+v, place %d", c.name, ask, back, k.listed)
		}
	}
}

// Renew asks for 500 buckets at a time, and gives back as many.
func TestRenewalsAreManyAtOnce(t *testing.T) {
	d := newDividing()
	var cells []*Cell
	for i := range 501 {
		cells = append(cells, d.Bucket(fmt.Sprint(i), CompileVersion(Rate{200, 20}, 1), at(d.now)))
		d.takes(cells[i], 2)
	}
	d.now += time.Second
	for _, c := range cells {
		d.takes(c, 1)
	}
	d.calls = nil
	if err := d.Renew(t.Context()); err != nil || !reflect.DeepEqual(d.calls, []int{500, 1}) {
		t.Errorf("%v, %v", d.calls, err)
	}
	d.calls = nil
	d.now += time.Second
	for _, c := range cells[1:] {
		d.takes(c, 1)
	}
	if err := d.Renew(t.Context()); err != nil || !reflect.DeepEqual(d.calls, []int{500}) {
		t.Errorf("%v, %v", d.calls, err)
	}
	d.calls = nil
	if err := d.ReturnShares(t.Context()); err != nil || !reflect.DeepEqual(d.calls, []int{-500, -1}) || len(d.back) != 501 {
		t.Errorf("%v, %v", d.calls, err)
	}
	if n := d.takes(cells[0], 1); n != 0 {
		t.Error("a call was admitted after the end")
	}
}

func TestListOfActiveBuckets(t *testing.T) {
	h := &sharing{}
	a, b, c := &stake{name: "a"}, &stake{name: "b"}, &stake{name: "c"}
	for _, k := range []*stake{a, b, c, a, c} {
		h.list(k)
	}
	check := func(want ...*stake) {
		t.Helper()
		if len(h.active) != len(want) {
			t.Fatalf("%d active, want %d", len(h.active), len(want))
		}
		for i, k := range want {
			if h.active[i] != k || k.listed != i+1 {
				t.Errorf("place %d: %s, which is at %d", i, h.active[i].name, k.listed)
			}
		}
	}
	check(a, b, c)
	h.unlist(a)
	h.unlist(a)
	check(c, b)
	h.list(a)
	check(c, b, a)
	h.unlist(b)
	check(c, a)
	h.unlist(a)
	check(c)
	h.unlist(c)
	check()
	if a.listed != 0 || b.listed != 0 || c.listed != 0 {
		t.Errorf("%d, %d, %d", a.listed, b.listed, c.listed)
	}
}

func TestForgottenBucketRefuses(t *testing.T) {
	d := newDividing()
	c, k := d.bucket()
	d.takes(c, 4)
	d.Forget(c)
	if k.backOf != 1 || k.back != 6 || !k.closed || d.takes(c, 1) != 0 || len(d.asks) != 1 {
		t.Errorf("%v of %d go back, %d asks", k.back, k.backOf, len(d.asks))
	}
	again, other := d.bucket()
	if again == c || other == k {
		t.Error("a bucket of the same name is another")
	}
	d.Forget(c) // not the new one
	if same, _ := d.bucket(); same != again {
		t.Error("the new bucket was forgotten")
	}
	d.Renew(t.Context())
	if len(d.back) != 1 || d.back[0] != (ShareReturn{Bucket: "b", Node: "me", Has: 1, Tokens: 6}) {
		t.Errorf("%+v", d.back)
	}
	d.Forget(NewCell(Rate{1, 1}, false, at(0))) // of this node alone: nothing to forget
}

func TestSeatsToTheLast(t *testing.T) {
	d := newDividing()
	seats := d.Limiter.Seats("s", 4, 1, at(d.now))
	k := seats.stake()
	d.answer = func(a ShareAsk) ShareAnswer {
		return ShareAnswer{Burst: 2, Tokens: 2, Life: 30 * time.Second, Again: time.Second, Version: a.Version}
	}
	sit := func() (Grant, Verdict) { return d.Take(context.Background(), nil, seats, nil, at(d.now)) }
	first, v := sit()
	if v.Outcome != Granted || k.asked.Load() != 0 || d.asks[0] != (ShareAsk{
		Bucket: "s", Setting: Rate{Burst: 4}, Version: 1, Seats: true, Node: "me", Number: 1, Demand: 1, Want: 1,
	}) {
		t.Fatalf("%+v, %+v", v, d.asks)
	}
	if k.alone.Load() != 0 || seats.Limit() != 2 || seats.Taken() != 1 || seats.full(int64(d.now)) {
		t.Errorf("alone until %d, %d of %d", k.alone.Load(), seats.Taken(), seats.Limit())
	}
	if _, v = sit(); v.Outcome != Granted || k.asked.Load() != 1 || seats.full(int64(d.now)) {
		t.Errorf("%+v, asked %d", v, k.asked.Load())
	}
	// The third asks; the answer brings no seat, and the node refuses alone for
	// a tenth of a second.
	if _, v = sit(); v.Outcome != Crowded || v.Detail != (Detail{Limit: 4, Used: 2}) || v.Err != nil || len(d.asks) != 2 {
		t.Errorf("%+v, %d asks", v, len(d.asks))
	}
	if a := d.asks[1]; a.Sits != 2 || a.Want != 1 || a.Has != 1 || a.Tokens != 0 {
		t.Errorf("%+v", a)
	}
	alone := int64(d.now + 100*time.Millisecond)
	if k.alone.Load() != alone || !seats.full(alone-1) || seats.full(alone) {
		t.Errorf("alone until %d, want %d", k.alone.Load(), alone)
	}
	if _, v = sit(); v.Outcome != Crowded || len(d.asks) != 2 {
		t.Errorf("%+v, %d asks", v, len(d.asks))
	}
	first.Settle(true)
	if seats.Taken() != 1 || seats.full(int64(d.now)) || !seats.take(int64(d.now)) {
		t.Errorf("%d sit", seats.Taken())
	}
	seats.giveBack()
	// Nobody sits down once the share has ended.
	end := int64(d.now + 27*time.Second)
	if k.part.end != end || seats.take(end) || !seats.take(end-1) || seats.Taken() != 2 {
		t.Errorf("ends at %d, want %d; %d sit", k.part.end, end, seats.Taken())
	}
	seats.giveBack()
	// Who sits keeps the share alive; a lowered number counts at once.
	k.asked.Store(0)
	if ask, _ := k.tend(int64(d.now + time.Second)); ask == nil || ask.Sits != 1 || ask.Want != 0 || ask.Has != 2 {
		t.Errorf("%+v", ask)
	}
	k.flight = nil
	d.Limiter.Seats("s", 1, 2, at(d.now))
	if seats.Limit() != 1 || seats.Taken() != 1 || k.part.number != 2 {
		t.Errorf("%d of %d, %+v", seats.Taken(), seats.Limit(), k.part)
	}
	d.Limiter.ForgetSeats(seats)
	if seats.Limit() != 1 && seats.Limit() != 0 || k.part.number != 2 || k.backOf != 0 {
		t.Errorf("somebody sits: %+v, limit %d", k.part, seats.Limit())
	}
	seats.giveBack()
	k.mu.Lock()
	k.end(int64(d.now))
	k.mu.Unlock()
	if k.backOf != 2 || k.part != (portion{}) || seats.Limit() != 0 {
		t.Errorf("nobody sits: %+v, %d goes back", k.part, k.backOf)
	}
}

// A call is expected where calls came lately, one after the other.
func TestSeatsAskForTheNextCall(t *testing.T) {
	for _, c := range []struct {
		demand      float64
		sits, calls int
		want        int
	}{{0, 0, 0, 0}, {0.5, 0, 0, 1}, {5, 0, 0, 1}, {5, 1, 0, 0}, {5, 2, 0, 0}, {5, 0, 3, 3}} {
		d := newDividing()
		k := d.Limiter.Seats("s", 4, 1, at(d.now)).stake()
		k.demand, k.since = c.demand, int64(d.now)
		k.seats.taken.Store(int64(c.sits))
		k.next = &flight{calls: c.calls}
		if a := k.depart(int64(d.now)); a.Want != c.want || a.Sits != c.sits || !a.Seats {
			t.Errorf("%+v: %+v", c, a)
		}
	}
}

func TestLocalSeatsToTheLast(t *testing.T) {
	s := NewSeats(2)
	for i, want := range []bool{true, true, false} {
		if full := s.full(0); full == want {
			t.Errorf("full with %d: %v", i, full)
		}
		if got := s.take(0); got != want {
			t.Errorf("take %d: %v", i, got)
		}
	}
	if s.Taken() != 2 || s.stake() != nil || s.refusal() != (Detail{Limit: 2, Used: 2}) {
		t.Errorf("%d sit, %+v", s.Taken(), s.refusal())
	}
	s.giveBack()
	if s.Taken() != 1 {
		t.Errorf("%d sit", s.Taken())
	}
}
