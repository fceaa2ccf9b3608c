package protection

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"weir/internal/catalog"
	"weir/internal/gateway/message"
	"weir/internal/limit"
	"weir/internal/limit/limittest"
	"weir/internal/telemetry"
)

// divided is some guards, as nodes have them, that divide their buckets. Their
// clocks go together.
type divided struct {
	rates *limittest.Rates
	nodes []*house
	l     []*limit.Limiter
	stage []*Stage
}

func newDivided(t *testing.T, nodes int) *divided {
	d := &divided{rates: &limittest.Rates{Nodes: func() int { return nodes }}}
	for i := range nodes {
		h := &house{t: t, ledger: &limittest.Ledger{}}
		now := func() limit.Instant {
			mono := time.Duration(h.clock.Load())
			return limit.Instant{Mono: mono, Wall: noon.Add(mono)}
		}
		h.pass(time.Second)
		l := limit.New(h.ledger, limit.WithClock(func() time.Duration { return now().Mono }), limit.WithRates(d.rates, fmt.Sprint("node", i)))
		h.Guard = NewGuard(Options{Limiter: l, Digest: digest, Now: now})
		d.nodes, d.l = append(d.nodes, h), append(d.l, l)
	}
	d.rates.Now = func() time.Time { return d.nodes[0].now().Wall }
	return d
}

// put gives every node the same configuration, of this version.
func (d *divided) put(version int64, p catalog.UsagePlan, settings map[string]catalog.MethodSetting) {
	for i, h := range d.nodes {
		h.SetVersion(version)
		h.PutPlan(p)
		h.key("key1", p.ID)
		st := h.stage(settings)
		if i == len(d.stage) {
			d.stage = append(d.stage, nil)
			h.Started(h.now())
		}
		h.PublishStage(st)
		d.stage[i] = st
	}
}

func (d *divided) pass(span time.Duration) {
	for _, h := range d.nodes {
		h.pass(span)
	}
}

// admitted counts how many of n calls to each node go on.
func (d *divided) admitted(n int) (total int) {
	for i, h := range d.nodes {
		for range n {
			if _, r := h.Admit(context.Background(), request("GET", value("key1")), d.stage[i], keyedGet); r == nil {
				total++
			}
		}
	}
	return total
}

func (d *divided) run(t *testing.T, span time.Duration, calls int) (total int) {
	for range span / (100 * time.Millisecond) {
		d.pass(100 * time.Millisecond)
		total += d.admitted(calls)
		for _, l := range d.l {
			if err := l.Renew(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	return total
}

func TestGuardsDivideTheirBuckets(t *testing.T) {
	entry := planOf("plan1", rate(1000, 1000), nil)
	entry.APIStages[0].Throttle = map[string]catalog.Throttle{"/pets/GET": {RateLimit: 50, BurstLimit: 30}}
	cases := []struct {
		name     string
		plan     catalog.UsagePlan
		settings map[string]catalog.MethodSetting
		bucket   string
	}{
		{"the plan's throttle", planOf("plan1", rate(50, 30), nil), nil, "plan/plan1/key1"},
		{"the plan's entry for the method", entry, nil, "plan/plan1/key1/api1/dev/pets/GET"},
		{
			"the stage's throttle", planOf("plan1", nil, nil),
			map[string]catalog.MethodSetting{"pets/GET": setting(50, 30)},
			"stage/api1/dev/pets/GET",
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d := newDivided(t, 3)
			d.put(1, c.plan, c.settings)
			if n := d.admitted(40); n > 30 || n < 25 {
				t.Errorf("%d of 120 calls admitted at once, the burst is 30", n)
			}
			if n := d.run(t, 10*time.Second, 20); n > 500 || n < 450 {
				t.Errorf("%d admitted in 10 s at 50/s", n)
			}
			if p := d.rates.Pool(c.bucket); p.At == 0 {
				t.Errorf("no pool is named %s", c.bucket)
			}
		})
	}
}

func TestAnEditReachesTheDividedBucket(t *testing.T) {
	d := newDivided(t, 2)
	d.put(1, planOf("plan1", rate(100, 100), nil), nil)
	d.run(t, 3*time.Second, 20)
	d.put(2, planOf("plan1", rate(20, 10), nil), nil)
	d.run(t, 10*time.Second, 20) // what was used stays used, for as long as it takes to come back
	if n := d.run(t, 10*time.Second, 20); n > 210 || n < 170 {
		t.Errorf("%d admitted in 10 s at 20/s", n)
	}
	d.put(3, planOf("plan1", rate(0, 10), nil), nil)
	if n := d.run(t, 2*time.Second, 20); n != 0 {
		t.Errorf("%d admitted at rate 0", n)
	}
	d.nodes[1].SetVersion(2) // heard late
	d.nodes[1].PutPlan(planOf("plan1", rate(20, 11), nil))
	if n := d.run(t, 2*time.Second, 20); n != 0 {
		t.Errorf("%d admitted by an older setting", n)
	}
}

func TestCleanStopGivesSharesBack(t *testing.T) {
	d := newDivided(t, 2)
	d.put(1, planOf("plan1", rate(10, 100), nil), nil)
	d.admitted(1)
	if saved := d.nodes[0].SaveBuckets(); len(saved) != 0 {
		t.Errorf("divided buckets are saved: %v", saved)
	}
	for _, l := range d.l {
		if err := l.ReturnShares(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if p := d.rates.Pool("plan/plan1/key1"); p.Tokens < 97.9 || p.Tokens > 98 {
		t.Errorf("%v tokens of 100 are in the pool, two were used", p.Tokens)
	}
	if n := d.admitted(1); n != 0 {
		t.Error("a stopped node admits")
	}
}

func TestWithoutTheDatabaseTheShareLasts(t *testing.T) {
	d := newDivided(t, 1)
	d.put(1, planOf("plan1", rate(100, 10), nil), nil)
	d.admitted(1)
	gone := errors.New("gone")
	d.rates.Before = func(context.Context, []limit.ShareAsk) error { return gone }
	d.pass(1700 * time.Millisecond)
	if n := d.admitted(5); n != 5 {
		t.Errorf("%d of 5 admitted while the share lasts", n)
	}
	d.pass(200 * time.Millisecond)
	for _, on := range []bool{false, true} {
		req := request("GET", value("key1"))
		if on {
			req.Trail = &message.Trail{}
		}
		_, r := d.nodes[0].Admit(t.Context(), req, d.stage[0], keyedGet)
		if r == nil || r.Type != Throttled || r.Cause != telemetry.CauseThrottleAway {
			t.Errorf("%+v, want THROTTLED because the throttle could not be asked for", r)
		}
	}
	d.rates.Before = nil
	d.pass(200 * time.Millisecond)
	if n := d.admitted(5); n != 5 {
		t.Errorf("%d of 5 admitted when the database is there again", n)
	}
}

func TestWhatIsDeletedIsForgotten(t *testing.T) {
	for name, remove := range map[string]func(*Guard){
		"the key":   func(g *Guard) { g.DeleteKey("key1") },
		"the plan":  func(g *Guard) { g.DeletePlan("plan1") },
		"the stage": func(g *Guard) { g.RemoveStage("api1", "dev") },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDivided(t, 1)
			plan := planOf("plan1", rate(100, 10), nil)
			if name == "the stage" {
				plan.Throttle = nil
			}
			settings := map[string]catalog.MethodSetting{}
			if name == "the stage" {
				settings["pets/GET"] = setting(100, 10)
			}
			d.put(1, plan, settings)
			if d.admitted(1) != 1 {
				t.Fatal("not admitted")
			}
			remove(d.nodes[0].Guard)
			asked := d.rates.Asked()
			d.run(t, 3*time.Second, 1)
			if n := d.rates.Asked() - asked; n != 0 {
				t.Errorf("%d asks for a bucket that is gone", n)
			}
		})
	}
}

func TestGuardsDivideTheSeatsOfAKey(t *testing.T) {
	d := newDivided(t, 3)
	d.put(1, planOf("plan1", nil, nil), nil)
	for _, h := range d.nodes {
		h.PutKeyWithTerms(catalog.APIKey{
			ID: "key1", Digest: digest(value("key1")), Enabled: true, Tags: map[string]string{catalog.TagMaxConcurrent: "4"},
		})
	}
	var sitting []Admission
	sit := func(i int) *Refusal {
		a, r := d.nodes[i].Admit(t.Context(), request("GET", value("key1")), d.stage[i], keyedGet)
		if r == nil {
			sitting = append(sitting, a)
		}
		return r
	}
	for i := range 4 {
		if r := sit(i % 3); r != nil {
			t.Fatalf("call %d of 4: %+v", i, r)
		}
	}
	for i := range d.nodes {
		if r := sit(i); r == nil || r.Cause != telemetry.CauseKeyConcurrency {
			t.Errorf("a fifth call, on node %d: %+v", i, r)
		}
	}
	sitting[0].Settle(true)
	d.run(t, time.Second, 0)
	if r := sit(0); r != nil {
		t.Errorf("when one has left: %+v", r)
	}
}
