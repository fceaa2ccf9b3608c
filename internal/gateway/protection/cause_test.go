package protection

import (
	"testing"
	"time"

	"weir/internal/catalog"
	"weir/internal/limit/limittest"
	"weir/internal/telemetry"
)

// TestRefusalsByALimitSayWhich: the cause, the setting, the counter, and how
// long until it would admit a call.
func TestRefusalsByALimitSayWhich(t *testing.T) {
	entry := func(p catalog.UsagePlan) catalog.UsagePlan {
		p.APIStages[0].Throttle = map[string]catalog.Throttle{"/pets/GET": {RateLimit: 2, BurstLimit: 1}}
		return p
	}
	const half = time.Second / 2
	cases := []struct {
		name     string
		plan     catalog.UsagePlan
		settings map[string]catalog.MethodSetting
		cause    telemetry.Cause
		after    time.Duration // since the call that was admitted
		limit    telemetry.Limit
	}{
		{
			"the plan's throttle", planOf("plan1", rate(0.5, 1), perDay(100)), nil, telemetry.CausePlanThrottle, half,
			telemetry.Limit{Kind: telemetry.Bucket, Rate: 0.5, Burst: 1, Tokens: 0.25, ClearsIn: 1500 * time.Millisecond},
		},
		{
			"the plan's entry for the method", entry(planOf("plan1", rate(0.5, 1), nil)), nil, telemetry.CausePlanMethodThrottle, 0,
			telemetry.Limit{Kind: telemetry.Bucket, Rate: 2, Burst: 1, Tokens: 0, ClearsIn: 500 * time.Millisecond},
		},
		{
			"the stage's throttle", planOf("plan1", rate(1000, 1000), perDay(100)),
			map[string]catalog.MethodSetting{"pets/GET": setting(0.25, 1)},
			telemetry.CauseStageThrottle, half,
			telemetry.Limit{Kind: telemetry.Bucket, Rate: 0.25, Burst: 1, Tokens: 0.125, ClearsIn: 3500 * time.Millisecond},
		},
		{
			"the quota", planOf("plan1", nil, perDay(1)), nil, telemetry.CauseQuota, half,
			telemetry.Limit{Kind: telemetry.Quota, Most: 1, Used: 1, Period: "DAY", ClearsIn: 12*time.Hour - half},
		},
		{
			"throttle before quota", planOf("plan1", rate(0.5, 1), perDay(1)), nil, telemetry.CausePlanThrottle, half,
			telemetry.Limit{Kind: telemetry.Bucket, Rate: 0.5, Burst: 1, Tokens: 0.25, ClearsIn: 1500 * time.Millisecond},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t, &limittest.Ledger{})
			h.PutPlan(c.plan)
			h.key("key1", "plan1")
			st := h.stage(c.settings)
			if a := h.want(st, keyedGet, "key1", ""); a.Limit != (telemetry.Limit{}) {
				t.Errorf("an admitted call names a limit: %+v", a.Limit)
			}
			h.pass(c.after)
			for range 2 { // the second sees the same: a refusal takes nothing
				a, r := h.Admit(t.Context(), request("GET", value("key1")), st, keyedGet)
				if r == nil || r.Cause != c.cause || a.Limit != c.limit {
					t.Errorf("%+v, %+v, want %v, %+v", r, a.Limit, c.cause, c.limit)
				}
			}
		})
	}
}
