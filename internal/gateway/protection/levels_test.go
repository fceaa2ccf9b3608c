package protection

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"weir/internal/catalog"
	"weir/internal/limit"
	"weir/internal/limit/limittest"
	"weir/internal/telemetry"
)

// TestNoRefusalMovesAnything holds the one decision over the account's, the
// plan's, its method's and the stage's buckets and the quota: whatever the
// settings and whoever refuses, every bucket and the count are what they were;
// an admission takes one of each that holds. A throttle is told before the
// quota, and of throttles the account's before the plan's before the stage's.
func TestNoRefusalMovesAnything(t *testing.T) {
	causes := map[telemetry.Cause]int{}
	rapid.Check(t, func(rt *rapid.T) {
		limits := rapid.Custom(func(t *rapid.T) *catalog.Throttle {
			if rapid.Bool().Draw(t, "none") {
				return nil
			}
			return rate(rapid.SampledFrom([]float64{0.1, 0.5, 1, 3, 1000}).Draw(t, "rate"), rapid.IntRange(1, 4).Draw(t, "burst"))
		})
		var account *limit.Rate
		if a := limits.Draw(rt, "account"); a != nil {
			account = &limit.Rate{PerSecond: a.RateLimit, Burst: a.BurstLimit}
		}
		ledger := &limittest.Ledger{}
		h := newHouseIn(t, ledger, account)
		plan := planOf("plan1", limits.Draw(rt, "plan"), nil)
		if rapid.Bool().Draw(rt, "quota") {
			plan.Quota = perDay(rapid.Int64Range(0, 8).Draw(rt, "calls"))
		}
		if m := limits.Draw(rt, "method"); m != nil {
			plan.APIStages[0].Throttle = map[string]catalog.Throttle{"/pets/GET": *m}
		}
		h.PutPlan(plan)
		h.key("key1", "plan1")
		var settings map[string]catalog.MethodSetting
		if s := limits.Draw(rt, "stage"); s != nil {
			settings = map[string]catalog.MethodSetting{"*/*": setting(s.RateLimit, s.BurstLimit)}
		}
		st := h.stage(settings)
		h.Started(h.now())
		paid := func() int64 {
			if err := h.limiter.Flush(t.Context()); err != nil {
				rt.Fatal(err)
			}
			return ledger.Used(limit.Account{PlanID: "plan1", KeyID: "key1"}, limit.DayOf(noon), limit.DayOf(noon)+1)
		}
		for range rapid.IntRange(1, 40).Draw(rt, "calls") {
			h.pass(time.Duration(rapid.Int64Range(0, int64(2*time.Second)).Draw(rt, "pause")))
			index := rapid.SampledFrom([]int{keyedGet, keyedAny, open}).Draw(rt, "method")
			before, count := h.SaveBuckets(), paid()
			a, r := h.Admit(t.Context(), request("GET", value("key1")), st, index)
			a.Settle(true)
			after, now := h.SaveBuckets(), paid()
			if r == nil {
				want := count
				if index != open {
					want++
				}
				if now != want {
					rt.Fatalf("an admitted call of method %d moved the count from %d to %d", index, count, now)
				}
				continue
			}
			causes[r.Cause]++
			if !slices.Equal(before, after) || now != count {
				rt.Fatalf("refused for %v: buckets %v became %v, the count %d became %d", r.Cause, before, after, count, now)
			}
			h.wantInOrder(rt, st, index, r.Cause)
		}
	})
	for _, c := range []telemetry.Cause{
		telemetry.CauseAccountThrottle, telemetry.CausePlanThrottle, telemetry.CausePlanMethodThrottle, telemetry.CauseStageThrottle, telemetry.CauseQuota,
	} {
		if causes[c] == 0 {
			t.Errorf("nothing was refused for %v: %v", c, causes)
		}
	}
}

// wantInOrder holds a refusal's cause against what the buckets hold: none
// before the one that is told refuses, and that one does.
func (h *house) wantInOrder(t *rapid.T, st *Stage, index int, cause telemetry.Cause) {
	v := st.methods[index].verb("GET")
	var plan *limit.Cell
	var method bool
	if index != open {
		u := h.keys["key1"].links.Load().account.use.Load()
		throttle := u.rules.throttleFor(u.rules.stages[st.name], v)
		if throttle != nil {
			plan, method = u.cellOf(throttle), throttle.name != ""
		}
	}
	throttles := []struct {
		cell  *limit.Cell
		cause telemetry.Cause
	}{{h.account, telemetry.CauseAccountThrottle}, {plan, telemetry.CausePlanThrottle}, {v.limit.bucket(), telemetry.CauseStageThrottle}}
	if method {
		throttles[1].cause = telemetry.CausePlanMethodThrottle
	}
	want := telemetry.CauseQuota
	for _, b := range throttles {
		if b.cell != nil && float64(b.cell.Rate().Burst)-b.cell.Used(h.now()) < 1-1e-9 {
			want = b.cause
			break
		}
	}
	if cause != want {
		t.Fatalf("refused for %v, want %v", cause, want)
	}
}

// TestAccountThrottleIsOneOverAllStages: with and without a key, and before
// anything of a plan is touched.
func TestAccountThrottleIsOneOverAllStages(t *testing.T) {
	h := newHouseIn(t, &limittest.Ledger{}, &limit.Rate{PerSecond: 1, Burst: 3})
	p := planOf("plan1", rate(1000, 1000), perDay(100))
	p.APIStages = append(p.APIStages, catalog.PlanStage{APIID: "api2", Stage: "prod"})
	h.PutPlan(p)
	h.key("key1", "plan1")
	dev := h.stage(nil)
	prod, err := h.CompileStage("api2", catalog.Stage{StageName: "prod"}, catalog.RestAPI{}, methods())
	if err != nil {
		t.Fatal(err)
	}
	h.Started(h.now())
	h.want(dev, open, "", "")
	h.want(prod, open, "", "")
	h.want(dev, keyedGet, "key1", "")
	for _, st := range []*Stage{dev, prod} {
		h.want(st, open, "", Throttled)
		a, r := h.Admit(t.Context(), request("GET", value("key1")), st, keyedGet)
		if r == nil || r.Cause != telemetry.CauseAccountThrottle || a.KeyID != "key1" ||
			a.Limit != (telemetry.Limit{Kind: telemetry.Bucket, Rate: 1, Burst: 3, ClearsIn: time.Second}) {
			t.Errorf("%+v, %+v", r, a)
		}
	}
	h.want(dev, keyedGet, "nokey", InvalidAPIKey) // what opens nothing costs nothing
	h.pass(time.Second)
	h.want(prod, keyedGet, "key1", "")
}

func TestAccountThrottleIsSaved(t *testing.T) {
	account := &limit.Rate{PerSecond: 0.5, Burst: 4}
	h := newHouseIn(t, &limittest.Ledger{}, account)
	st := h.stage(nil)
	h.Started(h.now())
	h.want(st, open, "", "")
	h.want(st, open, "", "")
	saved := h.SaveBuckets()
	if !slices.Equal(saved, []Bucket{{"account", 2}}) {
		t.Fatalf("%v", saved)
	}
	clean := newHouseIn(t, &limittest.Ledger{}, account)
	clean.Restore(saved, 2*time.Second) // one token is back
	st = clean.stage(nil)
	clean.Started(clean.now())
	clean.wantAdmitted(st, open, "GET", "", 3)

	unclean := newHouseIn(t, &limittest.Ledger{}, account)
	unclean.BeginEmpty()
	st = unclean.stage(nil)
	unclean.Started(unclean.now())
	unclean.wantAdmitted(st, open, "GET", "", 0)
	unclean.pass(2 * time.Second)
	unclean.wantAdmitted(st, open, "GET", "", 1)
}
