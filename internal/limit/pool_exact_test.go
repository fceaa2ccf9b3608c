package limit

import (
	"math"
	"reflect"
	"testing"
	"time"
)

// What a Pool does, to the last token: every number here is computed by hand
// from what pool.go promises.

var poolTime = time.Unix(1_800_000_000, 0)

func poolAt(d time.Duration) int64 { return poolTime.Add(d).UnixNano() }

// flowed is what of so many tokens that flow in is counted.
func flowed(tokens float64) float64 { return tokens * (1 - 1e-9) }

func sameTokens(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-12*max(1, math.Abs(want)) {
		t.Errorf("%s: %.15g, want %.15g", what, got, want)
	}
}

func TestConstantsOfDividing(t *testing.T) {
	for _, c := range []struct {
		name      string
		got, want float64
	}{
		{"shareLife", float64(shareLife), 2e9},
		{"seatLife", float64(seatLife), 30e9},
		{"renewAfter", float64(renewAfter), 1e9},
		{"settleAfter", float64(settleAfter), 1e8},
		{"waitAtMost", float64(waitAtMost), 1e9},
		{"fewestToShare", fewestToShare, 10},
		{"rateMargin", rateMargin, 0.001},
		{"rounding", rounding, 1e-9},
		{"grain", grain, 1024},
		{"mostRate", mostRate, 1e12},
		{"shareWait", float64(shareWait), 2e9},
		{"retryAfter", float64(retryAfter), 2e8},
		{"idleAfter", float64(idleAfter), 1.4e9},
		{"askBatch", askBatch, 500},
		{"probeAfter", float64(probeAfter), 1e8},
	} {
		if c.got != c.want {
			t.Errorf("%s is %v, and docs/consistency.md counts with %v", c.name, c.got, c.want)
		}
	}
}

func TestPoolsFirstAsk(t *testing.T) {
	var p Pool
	a := p.Share(ShareAsk{Setting: Rate{100, 50}, Version: 3, Node: "a", Number: 1, Demand: -5}, 1, poolTime)
	want := ShareAnswer{
		Rate: 100 * 0.999, Burst: 50, Tokens: 50, Life: 2 * time.Second, Again: 100 * time.Millisecond,
		Setting: Rate{100, 50}, Version: 3, At: time.Unix(0, poolTime.UnixNano()),
	}
	if !reflect.DeepEqual(a, want) {
		t.Errorf("%+v, want %+v", a, want)
	}
	end := poolAt(2 * time.Second)
	pool := Pool{Setting: Rate{100, 50}, Version: 3, At: poolAt(0), Parts: []part{
		{Node: "a", Number: 1, Until: end, New: share{Number: 1, Rate: 100, Burst: 50, Until: end}},
	}}
	if !reflect.DeepEqual(p, pool) {
		t.Errorf("%+v, want %+v", p, pool)
	}

	// The renewal a second later is counted beside what it replaces.
	a = p.Share(ShareAsk{Setting: Rate{100, 50}, Version: 3, Node: "a", Number: 2, Has: 1, Tokens: 20, Demand: 30}, 1, poolTime.Add(time.Second))
	if a.Tokens != 0 || a.Burst != 50 || a.Life != 2*time.Second || a.Again != time.Second {
		t.Errorf("%+v: nothing is in the pool", a)
	}
	pool.At = poolAt(time.Second)
	pool.Parts = []part{{
		Node: "a", Number: 2, Demand: 30, Until: poolAt(3 * time.Second),
		New: share{Number: 2, Rate: 100, Burst: 50, Until: poolAt(3 * time.Second)}, Old: share{Number: 1, Rate: 100, Burst: 50, Until: end},
	}}
	if !reflect.DeepEqual(p, pool) {
		t.Errorf("%+v, want %+v", p, pool)
	}
}

func TestPoolBoundsWhatItIsAsked(t *testing.T) {
	for _, c := range []struct{ asked, want Rate }{
		{Rate{-5, -5}, Rate{}},
		{Rate{3e12, 5}, Rate{1e12, 5}},
		{Rate{1, 1}, Rate{1, 1}},
	} {
		var p Pool
		if a := p.Share(ShareAsk{Setting: c.asked, Node: "a", Number: 1}, 1, poolTime); a.Setting != c.want {
			t.Errorf("%+v: %+v", c.asked, a.Setting)
		}
	}
}

// What is shared, what is asked for call by call, and what is shut.
func TestPoolsKinds(t *testing.T) {
	const shared, single, shut = "shared", "single", "shut"
	other := func(rate, burst float64) []part {
		end := poolAt(time.Second)
		return []part{{Node: "other", Number: 9, Until: end, New: share{9, rate, burst, end}}}
	}
	for _, c := range []struct {
		name    string
		setting Rate
		tokens  float64
		others  []part
		nodes   int
		want    string
	}{
		{"no rate", Rate{0, 5}, 5, nil, 1, shut},
		{"no burst", Rate{5, 0}, 0, nil, 1, shut},
		{"one a second", Rate{1, 1}, 1, nil, 1, single},
		{"just below ten a second", Rate{9.999, 100}, 100, nil, 1, single},
		{"ten a second", Rate{10, 100}, 100, nil, 1, shared},
		{"a burst of one for one node", Rate{20, 1}, 1, nil, 1, shared},
		{"as many as nodes", Rate{20, 2}, 2, nil, 2, shared},
		{"fewer than nodes", Rate{20, 2}, 2, nil, 3, single},
		{"a part with others, known", Rate{20, 2}, 2, other(1, 1), 2, shared},
		{"the nodes are not known", Rate{20, 1}, 1, other(1, 0), 0, single},
		{"all of the burst is elsewhere", Rate{20, 8}, 0, other(1, 8), 2, single},
		{"all of the rate is elsewhere", Rate{20, 8}, 4, other(20, 4), 2, single},
		{"a little of the rate is left", Rate{20, 8}, 4, other(19.5, 4), 2, shared},
		{"no token left", Rate{20, 8}, 0, nil, 1, shared},
		{"half a token left", Rate{20, 8}, 0.5, nil, 1, shared},
		{"after a lowered burst", Rate{20, 8}, -0.25, nil, 1, single},
	} {
		p := Pool{Setting: c.setting, At: poolAt(0), Tokens: c.tokens, Parts: c.others}
		a := p.Share(ShareAsk{Setting: c.setting, Node: "a", Number: 10}, c.nodes, poolTime)
		got := single
		switch {
		case a.Life == 2*time.Second && a.Rate > 0 && a.Burst >= 1:
			got = shared
		case a.Life != 0:
			t.Errorf("%s: %+v", c.name, a)
		case c.setting.PerSecond == 0 || c.setting.Burst == 0:
			got = shut
			if a.Again != time.Second {
				t.Errorf("%s: %+v", c.name, a)
			}
		}
		if got != c.want {
			t.Errorf("%s: %s (%+v)", c.name, got, a)
		}
		if me := p.find("a"); c.want == single && me.Until != poolAt(2*time.Second) {
			t.Errorf("%s: the node is forgotten after %v", c.name, time.Duration(me.Until-poolAt(0)))
		}
	}
}

func TestPoolSplit(t *testing.T) {
	for _, c := range []struct {
		name  string
		rate  Rate
		nodes int
		parts []part // the first asks
		want  slice
	}{
		{"one of four, the first ask", Rate{1000, 1024}, 4, []part{{}}, slice{4, 3, 192, 625, 625, 640}},
		{"it goes on", Rate{1000, 1024}, 4, []part{{Old: share{Number: 1}}}, slice{4, 3, 48, 952, 952, 928}},
		{"a burst with room", Rate{100, 4096}, 4, []part{{Old: share{Number: 1}}}, slice{4, 3, 192, 90.625, 90.625, 3712}},
		{"two of four", Rate{128, 1024}, 4, []part{{Old: share{Number: 1}}, {Old: share{Number: 2}}}, slice{4, 2, 32, 60, 60, 480}},
		{"one token for each that may come", Rate{64, 10}, 4, []part{{Old: share{Number: 1}}}, slice{4, 3, 1.5, 62.5, 62.5, 7}},
		{"one of two, few", Rate{20, 2}, 2, []part{{}}, slice{2, 1, 1, 15, 15, 1}},
		{"few, it goes on", Rate{20, 2}, 2, []part{{Old: share{Number: 1}}}, slice{2, 1, 1, 20, 20, 1}},
		{"alone", Rate{100, 50}, 1, []part{{}}, slice{1, 0, 0, 100, 100, 50}},
		{"more nodes than burst", Rate{128, 2}, 4, []part{{}, {}, {}}, slice{nodes: 4, absent: 1, keep: 1}},
		{
			"what another has, at most",
			Rate{128, 130},
			2,
			[]part{{Old: share{Number: 1}}, {New: share{2, 100, 60, 0}, Old: share{3, 90, 70, 0}}},
			slice{2, 0, 0, 64, 28, 60},
		},
		{
			"another has had more",
			Rate{128, 130},
			2,
			[]part{{Old: share{Number: 1}}, {New: share{2, 90, 70, 0}, Old: share{3, 100, 60, 0}}},
			slice{2, 0, 0, 64, 28, 60},
		},
		{
			"others have more than there is",
			Rate{128, 130},
			2,
			[]part{{Old: share{Number: 1}}, {New: share{2, 200, 200, 0}}},
			slice{2, 0, 0, 64, 0, 0},
		},
	} {
		p := Pool{Setting: c.rate, Parts: c.parts}
		got := p.split(&p.Parts[0], c.nodes)
		if c.name == "more nodes than burst" { // an equal part of 112, and a third of what nobody asks for
			due := 28 + (112-28-2*1.75)/3.0
			sameTokens(t, c.name, got.due, due)
			c.want.due, c.want.rate, c.want.burst = got.due, math.Floor(due*(1<<20))/(1<<20), math.Floor(1024*(1-due/112))/1024
		}
		if got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestPoolSplitsByDemand(t *testing.T) {
	had := share{Number: 1}
	for _, c := range []struct {
		name    string
		rate    float64
		nodes   int
		first   bool // the first node has no share yet
		demands []float64
		want    []float64
	}{
		{"one alone", 128, 1, false, []float64{7}, []float64{128}},
		{"what is too much is divided equally", 128, 2, false, []float64{20, 40}, []float64{53.5, 74.5}},
		{"nobody asks", 128, 4, false, []float64{0, 0, 0, 0}, []float64{32, 32, 32, 32}},
		{"the least, beside all of the rest", 128, 4, false, []float64{0, 120}, []float64{2, 126}},
		{"little in full, the others to one level", 128, 3, false, []float64{10, 500, 5000}, []float64{10.5, 58.75, 58.75}},
		{"two levels below it", 128, 5, false, []float64{1000, 10, 20, 1000, 1000}, []float64{32.1666666666666667, 10.5, 21, 32.1666666666666667, 32.1666666666666667}},
		{"all the same", 128, 4, false, []float64{500, 500, 500, 500}, []float64{32, 32, 32, 32}},
		{"a first ask, beside much", 128, 4, true, []float64{0, 500, 500, 500}, []float64{32, 42, 42, 42}},
		{"a first ask, beside little", 128, 4, true, []float64{0, 40}, []float64{59, 84}}, // 32 and 42, and 54 to divide; 2 and 42, and 84
		{"a first ask that says more", 128, 4, true, []float64{60, 20}, []float64{85, 43}},
	} {
		p := Pool{}
		for i, d := range c.demands {
			p.Parts = append(p.Parts, part{Demand: d})
			if i > 0 || !c.first {
				p.Parts[i].Old = had
			}
		}
		for i, want := range c.want {
			if got := p.due(&p.Parts[i], c.rate, c.nodes); math.Abs(got-want) > 1e-9 {
				t.Errorf("%s: node %d of rate %v is due %v, want %v", c.name, i, c.rate, got, want)
			}
		}
	}
}

func TestPoolGives(t *testing.T) {
	for _, c := range []struct {
		name   string
		has    share
		slice  slice
		tokens float64 // in the pool
		left   float64 // in the share
		want   float64
		again  time.Duration
	}{
		{"the first", share{}, slice{keep: 3, due: 8, rate: 8, burst: 10}, 20, 7, 10, settleAfter},
		{"the pool has less", share{}, slice{keep: 3, due: 8, rate: 8, burst: 10}, 8.0001, 0, 5, settleAfter},
		{"only what is kept", share{}, slice{keep: 3, due: 8, rate: 8, burst: 10}, 2, 0, 0, settleAfter},
		{"room for some", share{Number: 1, Rate: 8, Burst: 10}, slice{due: 8, rate: 8, burst: 10}, 20, 7, 3, renewAfter},
		{"no room", share{Number: 1, Rate: 8, Burst: 10}, slice{due: 8, rate: 8, burst: 10}, 20, 12, 0, renewAfter},
		{"what cannot be", share{Number: 1, Rate: 8, Burst: 10}, slice{due: 8, rate: 8, burst: 10}, 20, -4, 10, renewAfter},
		{"a little less", share{Number: 1, Rate: 100, Burst: 100}, slice{due: 100, rate: 95, burst: 95}, 0, 0, 0, renewAfter},
		{"less rate", share{Number: 1, Rate: 100, Burst: 100}, slice{due: 94, rate: 94, burst: 100}, 0, 0, 0, settleAfter},
		{"less burst", share{Number: 1, Rate: 100, Burst: 100}, slice{due: 100, rate: 100, burst: 94}, 0, 0, 0, settleAfter},
		{"less than is due", share{Number: 1, Rate: 95, Burst: 95}, slice{due: 101, rate: 95, burst: 95}, 0, 0, 0, 2 * settleAfter},
		{"more", share{Number: 1, Rate: 50, Burst: 50}, slice{due: 95, rate: 95, burst: 95}, 0, 0, 0, renewAfter},
	} {
		p, me, answer := Pool{Tokens: c.tokens}, part{Old: c.has}, ShareAnswer{}
		p.give(&me, c.slice, ShareAsk{Number: 5, Tokens: c.left}, &answer)
		if want := (ShareAnswer{Rate: c.slice.rate * 0.999, Burst: c.slice.burst, Tokens: c.want, Again: c.again}); answer != want {
			t.Errorf("%s: %+v, want %+v", c.name, answer, want)
		}
		if p.Tokens != c.tokens-c.want || me.New != (share{5, c.slice.rate, c.slice.burst, 0}) {
			t.Errorf("%s: %v tokens are left, %+v", c.name, p.Tokens, me.New)
		}
	}
}

func TestPoolAdmitsOneByOne(t *testing.T) {
	for _, c := range []struct {
		name     string
		rate     float64
		tokens   float64
		want     int
		lent     share
		admitted int
		left     float64
		again    time.Duration
	}{
		{"enough", 1, 5.5, 3, share{}, 3, 2.5, 0},
		{"one is left", 1, 2, 1, share{}, 1, 1, 0},
		{"nobody waits, and there are some", 1, 5.5, -7, share{}, 0, 5.5, 0},
		{"one and a half are left", 1, 2.5, 1, share{}, 1, 1.5, 0},
		{"one is left, and others have all of the rate", 2, 1, 0, share{Rate: 2, Burst: 5}, 0, 1, 0},
		{"nobody waits", 1, 0.25, 0, share{}, 0, 0.25, 750000002},
		{"what cannot be", 1, 0.25, -7, share{}, 0, 0.25, 750000002},
		{"two of nine", 2, 2.5, 9, share{}, 2, 0.5, 250000001},
		{"to the nanosecond", 1, 0.1, 9, share{}, 0, 0.1, 900000002},
		{"far below", 1, -5, 3, share{}, 0, -5, time.Second},
		{"half a token a second", 0.5, 0.75, 1, share{}, 0, 0.75, 500000001},
		{"others have half of it", 2, 0.75, 1, share{Rate: 1, Burst: 1}, 0, 0.75, 200 * time.Millisecond},
		{"others have half of it, and it is soon", 20, 0.5, 1, share{Rate: 10, Burst: 1}, 0, 0.5, 50000001},
		{"others have all of it", 2, 0, 1, share{Rate: 2, Burst: 5}, 0, 0, 50 * time.Millisecond},
		{"others have more", 2, 0, 1, share{Rate: 9, Burst: 5}, 0, 0, 50 * time.Millisecond},
	} {
		p := Pool{Setting: Rate{PerSecond: c.rate, Burst: 10}, Tokens: c.tokens, Parts: []part{{New: c.lent}}}
		a := ShareAnswer{Again: 50 * time.Millisecond}
		p.admit(c.want, &a)
		if a.Admitted != c.admitted || p.Tokens != c.left || a.Again != c.again {
			t.Errorf("%s: %d admitted, %v left, again in %v; want %d, %v, %v", c.name, a.Admitted, p.Tokens, a.Again, c.admitted, c.left, c.again)
		}
	}
}

func TestPoolDividesSeats(t *testing.T) {
	for _, c := range []struct {
		name       string
		seats      int
		nodes      int
		elsewhere  float64
		sits, want int
		got        float64
		again      time.Duration
	}{
		{"alone", 5, 1, 0, 1, 1, 5, renewAfter},
		{"one of two", 20, 2, 0, 1, 1, 6, renewAfter}, // 18 are free, a quarter of them is 4.5
		{"one of three", 20, 3, 0, 0, 1, 4, renewAfter},
		{"just what it needs", 5, 2, 0, 1, 1, 2, renewAfter},
		{"some are elsewhere", 20, 2, 10, 1, 1, 4, renewAfter},
		{"one is free", 5, 1, 4, 0, 3, 1, settleAfter},
		{"more sit than there are", 5, 2, 4, 3, 2, 3, settleAfter},
		{"none is free", 5, 2, 5, 0, 2, 0, settleAfter},
		{"what cannot be", 20, 2, 0, 2, -9, 6, renewAfter},
	} {
		p := Pool{
			Setting: Rate{Burst: c.seats}, Seats: true, At: poolAt(0),
			Parts: []part{{Node: "other", Until: poolAt(time.Hour), New: share{9, 0, c.elsewhere, poolAt(time.Hour)}}},
		}
		nodes := c.nodes
		if c.elsewhere == 0 {
			p.Parts = nil
		}
		if c.nodes == 1 && c.elsewhere > 0 { // the pool believes what it sees
			nodes = 0
		}
		a := p.Share(ShareAsk{Setting: Rate{Burst: c.seats}, Seats: true, Node: "a", Number: 10, Sits: c.sits, Want: c.want}, nodes, poolTime)
		life, until := 30*time.Second, poolAt(30*time.Second)
		if c.got == 0 {
			life, until = 0, poolAt(2*time.Second)
		}
		if a.Burst != c.got || a.Tokens != c.got || a.Rate != 0 || a.Again != c.again || a.Life != life || a.Admitted != 0 {
			t.Errorf("%s: %+v, want %v seats", c.name, a, c.got)
		}
		if me := p.find("a"); me.Until != until || me.New.Burst != c.got {
			t.Errorf("%s: %+v", c.name, me)
		}
		if want := float64(c.seats) - c.elsewhere - c.got; p.Tokens != want {
			t.Errorf("%s: %v are free, want %v", c.name, p.Tokens, want)
		}
	}
}

// Time passes from the end of one share to the next.
func TestPoolPassesTime(t *testing.T) {
	p := Pool{Setting: Rate{20, 1000}, At: poolAt(0), Parts: []part{
		{Node: "a", Until: poolAt(3 * time.Second), New: share{1, 12, 100, poolAt(time.Second)}, Old: share{2, 10, 200, poolAt(2 * time.Second)}},
		{Node: "b", Until: poolAt(4 * time.Second), New: share{3, 8, 300, poolAt(3 * time.Second)}},
	}}
	for _, c := range []struct {
		at     time.Duration
		tokens float64
		parts  int
	}{
		{time.Second, 0, 2},              // all of the rate is lent
		{2 * time.Second, 2, 2},          // a has 10, b has 8
		{3*time.Second - 1, 14, 2},       // only b has
		{3 * time.Second, 14, 1},         // a is forgotten
		{3500 * time.Millisecond, 24, 1}, // all flows in
		{2 * time.Second, 24, 1},         // a clock that was set back
		{6 * time.Second, 74, 0},         // the end of b lies between
		{100 * time.Second, 1000, 0},     // full
	} {
		p.pass(poolTime.Add(c.at))
		if math.Abs(p.Tokens-flowed(c.tokens)) > 2e-8 && p.Tokens != 1000 || c.tokens == 1000 && p.Tokens != 1000 || len(p.Parts) != c.parts {
			t.Errorf("at %v: %v tokens, %d parts, want %v, %d", c.at, p.Tokens, len(p.Parts), flowed(c.tokens), c.parts)
		}
	}
	// In one step the same flows in.
	q := Pool{Setting: Rate{20, 1000}, At: poolAt(0), Parts: []part{
		{Node: "a", Until: poolAt(3 * time.Second), New: share{1, 12, 100, poolAt(time.Second)}, Old: share{2, 10, 200, poolAt(2 * time.Second)}},
		{Node: "b", Until: poolAt(3 * time.Second), New: share{3, 8, 300, poolAt(3 * time.Second)}},
	}}
	q.pass(poolTime.Add(6 * time.Second))
	sameTokens(t, "in one step", q.Tokens, flowed(74))

	// A setting below what is lent lets nothing flow in, and nothing out.
	r := Pool{Setting: Rate{5, 10}, At: poolAt(0), Tokens: -3, Parts: []part{
		{Node: "a", Until: poolAt(time.Minute), New: share{1, 6, 20, poolAt(time.Minute)}},
	}}
	r.pass(poolTime.Add(time.Second))
	sameTokens(t, "below", r.Tokens, -3)
	r.Parts[0].New.Rate, r.Tokens = 4, 5
	r.cut()
	sameTokens(t, "no room", r.Tokens, 0)

	one := Pool{Setting: Rate{1, 1000}, At: poolAt(0)}
	one.pass(poolTime.Add(1000 * time.Second))
	if one.Tokens != 1000*(1-1e-9) {
		t.Errorf("%v tokens", one.Tokens)
	}
}

// An edit keeps what was used; what was lent and not used comes back with the
// node's next word.
func TestPoolEdit(t *testing.T) {
	pool := func() Pool {
		end := poolAt(2 * time.Second)
		return Pool{Setting: Rate{20, 100}, Version: 5, Tokens: 40, At: poolAt(0), Parts: []part{
			{Node: "a", Number: 1, Until: end, New: share{1, 10, 30, end}},
			{Node: "b", Number: 2, Until: end, New: share{2, 10, 30, end}},
		}}
	}
	ask := ShareAsk{Setting: Rate{20, 70}, Version: 6, Node: "a", Number: 3, Back: 25, BackOf: 1, Want: 1}

	p := pool() // 25 come back, and then 30 are lent
	a := p.Share(ask, 2, poolTime)
	if a.Version != 6 || a.Setting != (Rate{20, 70}) || a.Life == 0 {
		t.Errorf("%+v", a)
	}
	sameTokens(t, "raised or lowered a little", p.Tokens+a.Tokens, 40-30+25)

	ask.Setting.Burst, ask.Number = 10, 3
	p = pool()
	if a := p.Share(ask, 2, poolTime); a.Life != 0 || a.Admitted != 0 || a.Again != 200*time.Millisecond {
		t.Errorf("%+v", a)
	}
	sameTokens(t, "lowered far", p.Tokens, 40-90+25)
	ask = ShareAsk{Setting: Rate{20, 10}, Version: 6, Node: "b", Number: 4, Back: 90, BackOf: 2}
	a = p.Share(ask, 2, poolTime)
	sameTokens(t, "the other gives back, no more than it had", p.Tokens+a.Tokens, 40-90+25+30)
	ask = ShareAsk{Setting: Rate{20, 60}, Version: 7, Node: "c", Number: 5, Want: 50}
	a = p.Share(ask, 3, poolTime)
	sameTokens(t, "raised", p.Tokens+a.Tokens, 50)
	if a.Life == 0 {
		t.Errorf("%+v", a)
	}

	// What a share has not, and what cannot be, is not given back.
	for _, back := range []ShareAsk{{Back: 5, BackOf: 7}, {Back: -5, BackOf: 1}, {Back: 5}} {
		p = pool()
		p.Tokens = 35
		back.Setting, back.Version, back.Node, back.Number, back.Has = Rate{20, 100}, 5, "a", 3, 1
		a := p.Share(back, 2, poolTime)
		sameTokens(t, "nothing came back", p.Tokens+a.Tokens, 35)
	}
}

func TestPoolReturn(t *testing.T) {
	end := poolAt(2 * time.Second)
	for _, c := range []struct {
		name     string
		give     ShareReturn
		tokens   float64
		old, new uint64 // the shares that are left
		parts    int
	}{
		{"the new one", ShareReturn{Has: 2, Tokens: 7}, 17, 0, 0, 0},
		{"the new one, with more than it had", ShareReturn{Has: 2, Tokens: 70}, 40, 0, 0, 0},
		{"the old one", ShareReturn{Has: 1, Tokens: 3}, 13, 0, 2, 1},
		{"one that nobody knows", ShareReturn{Has: 9, Tokens: 3}, 10, 1, 2, 1},
		{"none", ShareReturn{Tokens: 3}, 10, 1, 2, 1},
		{"less than none", ShareReturn{Has: 2, Tokens: -3}, 10, 0, 0, 0},
		{"another's", ShareReturn{Node: "b", Has: 2, Tokens: 3}, 10, 1, 2, 1},
		{"a spare token", ShareReturn{Spare: 1, At: poolTime, Version: 5}, 10 + flowed(1), 1, 2, 1},
		{"three", ShareReturn{Spare: 3, At: poolTime.Add(-25 * time.Millisecond), Version: 5}, 10 + flowed(1.5), 1, 2, 1},
		{"long ago", ShareReturn{Spare: 3, At: poolTime.Add(-time.Minute), Version: 5}, 10, 1, 2, 1},
		{"of another version", ShareReturn{Spare: 3, At: poolTime, Version: 4}, 10, 1, 2, 1},
		{"fewer than none", ShareReturn{Spare: -3, At: poolTime, Version: 5}, 10, 1, 2, 1},
	} {
		p := Pool{Setting: Rate{20, 100}, Version: 5, Tokens: 10, At: poolAt(0), Parts: []part{
			{Node: "a", Number: 2, Until: end, Old: share{1, 10, 20, end}, New: share{2, 20, 30, end}},
		}}
		if c.give.Node == "" {
			c.give.Node = "a"
		}
		p.Return(c.give, poolTime)
		sameTokens(t, c.name, p.Tokens, c.tokens)
		if len(p.Parts) != c.parts {
			t.Fatalf("%s: %+v", c.name, p.Parts)
		}
		if c.parts > 0 && (p.Parts[0].Old.Number != c.old || p.Parts[0].New.Number != c.new) {
			t.Errorf("%s: %+v", c.name, p.Parts)
		}
	}

	// A node that asks call by call is remembered; with its last share it is not.
	p := Pool{Setting: Rate{20, 100}, At: poolAt(0), Parts: []part{{Node: "a", Number: 2, Until: end, Old: share{1, 10, 20, end}}}}
	p.Return(ShareReturn{Node: "a", Spare: 1, At: poolTime}, poolTime)
	if len(p.Parts) != 1 || p.Parts[0].Old.Number != 1 {
		t.Errorf("%+v", p.Parts)
	}
	p.Return(ShareReturn{Node: "a", Has: 1, Tokens: 200}, poolTime)
	sameTokens(t, "the last", p.Tokens, flowed(1)+20)
	if len(p.Parts) != 0 {
		t.Errorf("%+v", p.Parts)
	}

	var none Pool
	none.Return(ShareReturn{Node: "a", Has: 1, Tokens: 5}, poolTime)
	if none.At != 0 || none.Tokens != 0 {
		t.Errorf("%+v", none)
	}

	// Seats: what nobody has is free, and no more.
	s := Pool{Setting: Rate{Burst: 5}, Seats: true, Tokens: 2, At: poolAt(0), Parts: []part{{Node: "a", Number: 1, Until: end, New: share{1, 0, 3, end}}}}
	s.Return(ShareReturn{Node: "a", Spare: 9, At: poolTime}, poolTime)
	sameTokens(t, "seats", s.Tokens, 2)
	s.Return(ShareReturn{Node: "a", Has: 1, Tokens: 1}, poolTime)
	sameTokens(t, "seats", s.Tokens, 5)
}

func TestPoolAnswersTheNewestAsk(t *testing.T) {
	var p Pool
	ask := func(number, has uint64) ShareAnswer {
		return p.Share(ShareAsk{Setting: Rate{100, 50}, Node: "a", Number: number, Has: has}, 1, poolTime)
	}
	for i, c := range []struct {
		number, has uint64
		want        bool
	}{{0, 0, false}, {1, 0, true}, {1, 0, false}, {2, 1, true}, {1, 0, false}, {4, 2, true}, {3, 2, false}, {5, 4, true}} {
		a := ask(c.number, c.has)
		if got := a.Life != 0; got != c.want || a.Again != settleAfter && i < 3 {
			t.Errorf("ask %d after %d: %+v", c.number, c.has, a)
		}
	}
	// The share that it says to have is what it goes on from.
	if me := p.find("a"); me.Old.Number != 4 || me.New.Number != 5 {
		t.Errorf("%+v", me)
	}
	// It got neither: then it has none.
	ask(6, 0)
	if me := p.find("a"); me.Old != (share{}) || me.New.Number != 6 {
		t.Errorf("%+v", me)
	}
	if p.find("b") != nil || len(p.Parts) != 1 {
		t.Errorf("%+v", p.Parts)
	}
}
