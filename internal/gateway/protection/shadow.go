package protection

import (
	"cmp"
	"context"
	"slices"
	"sync/atomic"

	"weir/internal/gateway/message"
	"weir/internal/limit"
	"weir/internal/telemetry"
)

// shadow counts, since the server started, what a plan in shadow mode would
// have refused of a key.
type shadow struct {
	throttled atomic.Int64
	exhausted atomic.Int64
}

// ShadowCount is what a plan in shadow mode would have refused of a key since
// the server started.
type ShadowCount struct {
	PlanID, KeyID string
	Throttled     int64 // by the plan's throttle, or its entry for a method
	Exhausted     int64 // by the quota, or because it could not be asked
}

// admitShadow decides for an account of a plan in shadow mode. What is not the
// plan's refuses as ever: the account's and the stage's throttle, the key's cap
// on calls at a time. Then the plan's throttle and quota decide as if they
// could refuse, and do not: a call that they would have refused takes no token,
// but counts as used, as every call does that was let in.
func (g *Guard) admitShadow(ctx context.Context, a Admission, p *plan, u *use, t *throttle, cells [3]*limit.Cell, req *message.Request, st *Stage, m *method, v *verb) (Admission, *Refusal) {
	plan := [1]*limit.Cell{cells[planCell]}
	cells[planCell] = nil
	now := g.now()
	grant, verdict := g.limiter.Take(ctx, cells[:], a.seats, nil, now)
	if st.told || u.rules.manner.told {
		a.standing = standing{told: true, account: g.account, stage: v.limit.bucket()}
	}
	if verdict.Outcome != limit.Granted {
		return g.refuseKey(a, &verdict, u, t, req, st, m, v)
	}
	a.grant = grant
	throttled, bucket := g.limiter.Take(ctx, plan[:], nil, nil, now)
	throttled.Settle(true)
	quota := g.limiter.Observe(ctx, u.meter, now)
	switch {
	case bucket.Outcome != limit.Granted:
		p.shadow(a.KeyID).throttled.Add(1)
		a.Shadow, a.Limit = telemetry.CausePlanThrottle, bucketLimit(&bucket.Detail)
		switch {
		case bucket.Err != nil:
			a.Shadow, a.Limit = telemetry.CauseThrottleAway, telemetry.Limit{}
		case t.name != "":
			a.Shadow = telemetry.CausePlanMethodThrottle
		}
	case quota.Outcome == limit.Exhausted:
		p.shadow(a.KeyID).exhausted.Add(1)
		a.Shadow, a.Limit = telemetry.CauseQuota, quotaLimit(&quota.Detail, u.rules)
	case quota.Outcome != limit.Granted:
		p.shadow(a.KeyID).exhausted.Add(1)
		a.Shadow = telemetry.CauseLedgerAway
	}
	if req.Trail.On() {
		req.Trail.Add(succeededLine(st, a.KeyValue))
	}
	return a, nil
}

// shadow gives the counts of a key.
func (p *plan) shadow(keyID string) *shadow {
	if counts, ok := p.shadows.Load(keyID); ok {
		return counts.(*shadow)
	}
	counts, _ := p.shadows.LoadOrStore(keyID, &shadow{})
	return counts.(*shadow)
}

// ShadowCounts gives what plans in shadow mode would have refused, of every key
// of which they would have refused anything, ordered by plan and key; and which
// plans are in shadow mode.
func (g *Guard) ShadowCounts() (counts []ShadowCount, plans []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range g.plans {
		for keyID, s := range p.shadows.Range {
			s := s.(*shadow)
			counts = append(counts, ShadowCount{p.id, keyID.(string), s.throttled.Load(), s.exhausted.Load()})
		}
		if p.rules.Load().manner.shadow {
			plans = append(plans, p.id)
		}
	}
	slices.SortFunc(counts, func(a, b ShadowCount) int {
		return cmp.Or(cmp.Compare(a.PlanID, b.PlanID), cmp.Compare(a.KeyID, b.KeyID))
	})
	slices.Sort(plans)
	return counts, plans
}
