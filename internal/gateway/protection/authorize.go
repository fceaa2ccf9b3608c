package protection

import (
	"context"

	"weir/internal/gateway/message"
	"weir/internal/gateway/protection/authorizer"
	"weir/internal/limit"
	"weir/internal/telemetry"
)

// admitAuthorized decides for a method with a Lambda authorizer.
//
// A key from the header comes first, with the whole limit decision: an
// authorizer is not asked about a caller over its limit, and a call that it
// refuses has used one. Otherwise the throttles of account and stage come first
// and hold a token each. A call that is refused after that gives them back,
// unless the authorizer's function was run for it: what these throttles bound
// is how often it runs, and a flood of strangers must not run it more often.
func (g *Guard) admitAuthorized(ctx context.Context, req *message.Request, st *Stage, m *method, v *verb, q *authorizer.Question) (Admission, *Refusal) {
	if m.keyRequired && !m.keyFromAuthorizer {
		a, refusal := g.admitHeaderKey(ctx, req, st, m, v)
		if refusal != nil {
			return a, refusal
		}
		q.KeyID, q.Key = a.KeyID, a.KeyValue
		verdict := g.authorizers.Ask(ctx, m.authorizer, q)
		a.Authorizer = verdict.Event
		if refusal = refuseCaller(&verdict); refusal != nil {
			a.Settle(false)
		}
		return a, refusal
	}

	a := Admission{}
	cells := [...]*limit.Cell{accountCell: g.account, planCell: nil, stageCell: v.limit.bucket()}
	hold, taken := g.limiter.Hold(ctx, cells[:], g.now())
	if st.told {
		a.standing = standing{told: true, account: g.account, stage: v.limit.bucket()}
	}
	if taken.Outcome != limit.Granted {
		a.Limit = bucketLimit(&taken.Detail)
		return a, refuseThrottle(req, st, m, &a, &taken, v, nil)
	}
	verdict := g.authorizers.Ask(ctx, m.authorizer, q)
	a.Authorizer = verdict.Event
	refusal := refuseCaller(&verdict)
	if refusal == nil {
		a, refusal = g.admitCaller(ctx, a, &verdict, req, st, m, v)
	}
	if refusal != nil && !verdict.Ran {
		g.limiter.GiveBack(&hold)
	}
	return a, refusal
}

// admitCaller goes on where an authorizer let a caller through and the
// throttles of account and stage are taken: with the key that it named, and
// the plan's throttle and quota.
func (g *Guard) admitCaller(ctx context.Context, a Admission, verdict *authorizer.Verdict, req *message.Request, st *Stage, m *method, v *verb) (Admission, *Refusal) {
	if !m.keyRequired {
		logOpen(req, st, m)
		a.grant, _ = g.limiter.Take(ctx, nil, nil, nil, limit.Instant{})
		return a, nil
	}
	a.KeyValue = verdict.Key
	if req.Trail.On() {
		req.Trail.Add(verifyingLine(req, st, a.KeyValue))
	}
	account, refusal := g.identify(&a, req, st)
	if refusal != nil {
		if refusal == noKey {
			refusal = noAuthorizerKey
		}
		if req.Trail.On() {
			req.Trail.Add(unauthorizedLine(req, st, m, a.KeyValue, refusal))
		}
		return a, refusal
	}
	return g.admitKey(ctx, a, account, req, st, m, v, [3]*limit.Cell{})
}

// Refusals by an authorizer, by outcome, as told while nothing of the call is.
var byOutcome = map[authorizer.Outcome]Refusal{
	authorizer.Denied:        {AccessDenied, telemetry.CauseAuthorizerDenied, ""},
	authorizer.NotAllowed:    {AccessDenied, telemetry.CauseAuthorizerSilent, ""},
	authorizer.Unauthorized:  {Unauthorized, telemetry.CauseUnauthorized, ""},
	authorizer.Failed:        {AuthorizerFailure, telemetry.CauseAuthorizerFailed, ""},
	authorizer.Misconfigured: {AuthorizerConfigurationError, telemetry.CauseAuthorizerMisconfigured, ""},
	authorizer.TooLong:       {URITooLong, telemetry.CauseMethodARNTooLong, ""},
}

// refuseCaller makes the refusal of a verdict; nil: it let the caller through.
func refuseCaller(v *authorizer.Verdict) *Refusal {
	if v.Outcome == authorizer.Allowed {
		return nil
	}
	r, known := byOutcome[v.Outcome]
	if !known {
		r = byOutcome[authorizer.Failed]
	}
	r.Detail = v.Detail
	return &r
}
