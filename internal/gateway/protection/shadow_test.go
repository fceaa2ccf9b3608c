package protection

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"weir/internal/catalog"
	"weir/internal/limit"
	"weir/internal/limit/limittest"
	"weir/internal/telemetry"
)

var errGone = errors.New("the database is gone")

// shadowed is a plan whose tag is on or off.
func shadowed(p catalog.UsagePlan, value string) catalog.UsagePlan {
	p.Tags = map[string]string{catalog.TagShadow: value}
	return p
}

// letIn makes a call that is let in, and gives what would have refused it.
func (h *house) letIn(st *Stage, index int, keyID string) Admission {
	h.t.Helper()
	a, r := h.Admit(h.t.Context(), request("GET", value(keyID)), st, index)
	if r != nil {
		h.t.Fatalf("refused: %+v", r)
	}
	a.Settle(true)
	return a
}

// TestShadowRefusesNothingAndTellsAll: what the plan would have refused is let
// in, told and counted; a call that its throttle would have refused takes no
// token, and every call counts as used.
func TestShadowRefusesNothingAndTellsAll(t *testing.T) {
	h := newHouse(t, &limittest.Ledger{})
	p := planOf("plan1", rate(1, 1), perDay(4))
	p.APIStages[0].Throttle = map[string]catalog.Throttle{"/pets/{id}/GET": {}}
	h.PutPlan(shadowed(p, "on"))
	h.key("key1", "plan1")
	st := h.stage(nil)
	for i, want := range []struct {
		pass  time.Duration
		index int
		cause telemetry.Cause
		limit telemetry.Limit
	}{
		{0, keyedGet, 0, telemetry.Limit{}},
		{time.Second / 2, keyedGet, telemetry.CausePlanThrottle, telemetry.Limit{Kind: telemetry.Bucket, Rate: 1, Burst: 1, Tokens: 0.5, ClearsIn: time.Second / 2}},
		{time.Second / 2, keyedGet, 0, telemetry.Limit{}}, // the call before took no token
		{0, keyedAny, telemetry.CausePlanMethodThrottle, telemetry.Limit{Kind: telemetry.Bucket, ClearsIn: telemetry.Never}},
		{time.Second, keyedGet, telemetry.CauseQuota, telemetry.Limit{Kind: telemetry.Quota, Most: 4, Used: 4, Period: "DAY", ClearsIn: 12*time.Hour - 2*time.Second}},
		{0, keyedGet, telemetry.CausePlanThrottle, telemetry.Limit{Kind: telemetry.Bucket, Rate: 1, Burst: 1, ClearsIn: time.Second}}, // throttle before quota
	} {
		h.pass(want.pass)
		if a := h.letIn(st, want.index, "key1"); a.Shadow != want.cause || a.Limit != want.limit || a.KeyID != "key1" || a.PlanID != "plan1" {
			t.Errorf("call %d: %v %+v, want %v %+v", i, a.Shadow, a.Limit, want.cause, want.limit)
		}
	}
	counts, on := h.ShadowCounts()
	if !slices.Equal(counts, []ShadowCount{{"plan1", "key1", 3, 1}}) || !slices.Equal(on, []string{"plan1"}) {
		t.Errorf("%+v, in shadow mode %v", counts, on)
	}
	if n := h.used("key1"); n != 6 {
		t.Errorf("%d calls are counted as used, want all 6", n)
	}

	h.PutPlan(shadowed(p, "off")) // at once: throttle and quota are passed
	h.want(st, keyedGet, "key1", Throttled)
	h.pass(time.Minute)
	h.want(st, keyedGet, "key1", QuotaExceeded)
	h.pass(24 * time.Hour)
	h.want(st, keyedGet, "key1", "")
	if counts, on := h.ShadowCounts(); len(counts) != 1 || len(on) != 0 {
		t.Errorf("%+v, in shadow mode %v", counts, on)
	}
}

func (h *house) used(keyID string) int64 {
	h.t.Helper()
	if err := h.limiter.Flush(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	return h.ledger.Used(limit.Account{PlanID: "plan1", KeyID: keyID}, limit.DayOf(noon), limit.DayOf(noon))
}

// TestShadowIsOfThePlanOnly: what is not the plan's refuses as ever, and a call
// that it refused is nothing to the plan.
func TestShadowIsOfThePlanOnly(t *testing.T) {
	h := newHouseIn(t, &limittest.Ledger{}, &limit.Rate{PerSecond: 1, Burst: 2})
	h.PutPlan(shadowed(planOf("plan1", rate(1, 1), perDay(100)), "on"))
	h.key("key1", "plan1")
	st := h.stage(map[string]catalog.MethodSetting{"pets/GET": setting(0, 0)})
	h.Started(h.now())
	h.want(st, keyedGet, "nokey", InvalidAPIKey)
	if a := h.want(st, keyedGet, "key1", Throttled); a.Shadow != 0 {
		t.Errorf("%+v", a)
	}
	if n := h.used("key1"); n != 0 {
		t.Errorf("%d calls are counted as used", n)
	}
	h.letIn(st, keyedAny, "key1")
	if a := h.letIn(st, keyedAny, "key1"); a.Shadow != telemetry.CausePlanThrottle {
		t.Errorf("%+v", a)
	}
	if _, r := h.Admit(t.Context(), request("GET", value("key1")), st, keyedAny); r == nil || r.Cause != telemetry.CauseAccountThrottle {
		t.Errorf("%+v", r)
	}
}

func TestShadowWithTheLedgerAway(t *testing.T) {
	h := newHouse(t, &limittest.Ledger{BeforeSpend: func(context.Context, limit.Account) error { return errGone }})
	h.PutPlan(shadowed(planOf("plan1", nil, perDay(4)), "on"))
	h.key("key1", "plan1")
	st := h.stage(nil)
	if a := h.letIn(st, keyedGet, "key1"); a.Shadow != telemetry.CauseLedgerAway {
		t.Errorf("%+v", a)
	}
	if counts, _ := h.ShadowCounts(); !slices.Equal(counts, []ShadowCount{{"plan1", "key1", 0, 1}}) {
		t.Errorf("%+v", counts)
	}
}

// TestLedgerAwayAdmitsByTag: and only then; what was let in is counted when the
// ledger is back.
func TestLedgerAwayAdmitsByTag(t *testing.T) {
	gone := errGone
	h := newHouse(t, &limittest.Ledger{BeforeSpend: func(context.Context, limit.Account) error { return gone }})
	p := planOf("plan1", rate(1, 2), perDay(1))
	h.PutPlan(p)
	h.key("key1", "plan1")
	st := h.stage(nil)
	a, r := h.Admit(t.Context(), request("GET", value("key1")), st, keyedGet)
	if r == nil || r.Cause != telemetry.CauseLedgerAway {
		t.Fatalf("%+v, %+v", a, r)
	}
	p.Tags = map[string]string{catalog.TagWhenLedgerAway: "admit"}
	h.PutPlan(p)
	for range 2 {
		if a := h.letIn(st, keyedGet, "key1"); a.Shadow != telemetry.CauseLedgerAway {
			t.Errorf("%+v", a)
		}
	}
	h.want(st, keyedGet, "key1", Throttled) // the throttle needs no ledger
	gone = nil
	h.pass(time.Minute)
	if n := h.used("key1"); n != 2 {
		t.Errorf("%d calls are counted as used", n)
	}
	h.want(st, keyedGet, "key1", QuotaExceeded) // they count against the quota
}
