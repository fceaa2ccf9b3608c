package protection

import (
	"context"

	"weir/internal/gateway/message"
	"weir/internal/gateway/protection/authorizer"
	"weir/internal/gateway/route"
	"weir/internal/limit"
	"weir/internal/telemetry"
)

// maxKey is the longest value an API key can have. A longer header is no key,
// and is not worth hashing.
const maxKey = 128

// Admit decides whether a call may go on to the method that was matched at
// address: the order is the package's. The Refusal is nil for a yes, and then
// the Admission is settled once, by the caller. When x-api-key is sent several
// times the last one counts, as it does in the headers of the event.
//
// Admit waits for the ledger when this node holds nothing of the plan's quota
// and does not know it to be used up; for the database that nodes divide a
// throttle or a key's seats by, when this node has no share; for the function
// of the method's authorizer, when its answer is not known; and for nothing
// else. ctx ends that wait.
func (g *Guard) Admit(ctx context.Context, req *message.Request, st *Stage, address route.Address, match route.Match) (Admission, *Refusal) {
	if !st.ready.Load() {
		g.PublishStage(st)
	}
	m := &st.methods[match.Method]
	if m.refusal != nil {
		req.Trail.Add(m.refusal.Detail)
		return Admission{}, m.refusal
	}
	v := m.verb(req.Method)
	switch {
	case m.authorizer != nil:
		return g.admitAuthorized(ctx, req, st, m, v, &authorizer.Question{Request: req, Address: address, Params: match.Params})
	case !m.keyRequired:
		return g.admitOpen(ctx, req, st, m, v)
	}
	return g.admitHeaderKey(ctx, req, st, m, v)
}

// admitHeaderKey decides for a method that requires a key, and takes it from
// the x-api-key header.
func (g *Guard) admitHeaderKey(ctx context.Context, req *message.Request, st *Stage, m *method, v *verb) (Admission, *Refusal) {
	a := Admission{}
	a.KeyValue, _ = req.Header.Last("x-api-key")
	if req.Trail.On() {
		req.Trail.Add(verifyingLine(req, st, a.KeyValue))
	}
	account, refusal := g.identify(&a, req, st)
	if refusal != nil {
		if req.Trail.On() {
			req.Trail.Add(unauthorizedLine(req, st, m, a.KeyValue, refusal))
		}
		return a, refusal
	}
	return g.admitKey(ctx, a, account, req, st, m, v, [...]*limit.Cell{accountCell: g.account, planCell: nil, stageCell: v.limit.bucket()})
}

// The buckets of a decision, in the order in which they are asked and, when
// several would refuse, told.
const (
	accountCell = iota
	planCell
	stageCell
)

// admitOpen decides for a method that requires no key.
func (g *Guard) admitOpen(ctx context.Context, req *message.Request, st *Stage, m *method, v *verb) (Admission, *Refusal) {
	logOpen(req, st, m)
	a := Admission{}
	if v.limit == nil && g.account == nil {
		a.grant, _ = g.limiter.Take(ctx, nil, nil, nil, limit.Instant{})
		return a, nil
	}
	cells := [...]*limit.Cell{accountCell: g.account, stageCell: v.limit.bucket()}
	grant, verdict := g.limiter.Take(ctx, cells[:], nil, nil, g.now())
	if st.told {
		a.standing = standing{told: true, account: g.account, stage: v.limit.bucket()}
	}
	if verdict.Outcome != limit.Granted {
		a.Limit = bucketLimit(&verdict.Detail)
		return a, refuseThrottle(req, st, m, &a, &verdict, v, nil)
	}
	a.grant = grant
	return a, nil
}

// logOpen tells the log of a method that requires no key.
func logOpen(req *message.Request, st *Stage, m *method) {
	if req.Trail.On() {
		sent, _ := req.Header.Last("x-api-key")
		req.Trail.Add(verifyingLine(req, st, sent))
		req.Trail.Add(notRequiredLine(req, m, sent))
		req.Trail.Add(succeededLine(st, sent))
	}
}

// identify finds the key and the account that pays for a call, and fills in
// who the caller is as far as it is known.
func (g *Guard) identify(a *Admission, req *message.Request, st *Stage) (*account, *Refusal) {
	switch {
	case a.KeyValue == "":
		return nil, noKey
	case len(a.KeyValue) > maxKey:
		return nil, unknownKey
	}
	k, previous := g.find(a.KeyValue)
	if k == nil {
		return nil, unknownKey
	}
	a.KeyID = k.id
	t := k.terms.Load()
	if refusal := t.refuses(previous, req, g.now); refusal != nil {
		return nil, refusal
	}
	a.seats = t.seats
	// A key is in one plan for a stage; whoever edits sees to that. Should it
	// be in two, all nodes choose the same.
	var chosen *account
	for l := k.links.Load(); l != nil; l = l.next {
		covers := l.account.plan.rules.Load().stages[st.name] != nil
		if covers && (chosen == nil || l.account.plan.id < chosen.plan.id) {
			chosen = l.account
		}
	}
	if chosen == nil {
		return nil, noPlan
	}
	a.PlanID = chosen.plan.id
	return chosen, nil
}

// admitKey takes from the limits of an account, and from the other cells, into
// which that of the plan is put.
func (g *Guard) admitKey(ctx context.Context, a Admission, account *account, req *message.Request, st *Stage, m *method, v *verb, cells [3]*limit.Cell) (Admission, *Refusal) {
	var t *throttle
	var u *use
	for {
		r := account.plan.rules.Load()
		s := r.stages[st.name]
		if s == nil { // the plan was edited since identify
			a.PlanID = ""
			if req.Trail.On() {
				req.Trail.Add(unauthorizedLine(req, st, m, a.KeyValue, noPlan))
			}
			return a, noPlan
		}
		t = r.throttleFor(s, v)
		if u = account.use.Load(); u != nil && u.rules == r {
			if t == nil {
				break
			}
			if cells[planCell] = u.cellOf(t); cells[planCell] != nil {
				break
			}
		}
		g.renew(account, t) // first use, or first use after an edit of the plan
	}
	if u.rules.manner.shadow {
		return g.admitShadow(ctx, a, account.plan, u, t, cells, req, st, m, v)
	}
	grant, verdict := g.limiter.Take(ctx, cells[:], a.seats, u.meter, g.now())
	if st.told || u.rules.manner.told {
		a.standing = standing{
			told: true, account: g.account, plan: cells[planCell], stage: v.limit.bucket(), entry: t != nil && t.name != "",
			meter: u.meter, quota: u.rules.quota, used: verdict.Detail, outcome: verdict.Outcome,
		}
	}
	if verdict.Outcome != limit.Granted {
		return g.refuseKey(a, &verdict, u, t, req, st, m, v)
	}
	if req.Trail.On() {
		req.Trail.Add(succeededLine(st, a.KeyValue))
	}
	a.grant = grant
	if verdict.Err != nil {
		a.Shadow = telemetry.CauseLedgerAway
	}
	return a, nil
}

// refuseKey refuses a call with a key for the limit that the verdict names.
func (g *Guard) refuseKey(a Admission, verdict *limit.Verdict, u *use, t *throttle, req *message.Request, st *Stage, m *method, v *verb) (Admission, *Refusal) {
	switch verdict.Outcome {
	case limit.Throttled:
		a.Limit = bucketLimit(&verdict.Detail)
		return a, refuseThrottle(req, st, m, &a, verdict, v, t)
	case limit.Crowded:
		if verdict.Err != nil {
			return a, refuseThrottle(req, st, m, &a, verdict, v, t)
		}
		a.Limit = telemetry.Limit{Kind: telemetry.Seats, Most: verdict.Detail.Limit, Used: verdict.Detail.Used}
		if !req.Trail.On() {
			return a, keyCrowded
		}
		return a, logged(req, keyCrowded, crowdedLine(st, &a))
	case limit.Exhausted:
		a.Limit = quotaLimit(&verdict.Detail, u.rules)
		return a, refuseQuota(req, st, &a, u.rules)
	}
	return a, logged(req, ledgerAway, "the quota could not be asked: "+verdict.Err.Error())
}

// bucketLimit tells of a bucket that refused.
func bucketLimit(d *limit.Detail) telemetry.Limit {
	return telemetry.Limit{Kind: telemetry.Bucket, Rate: d.Rate.PerSecond, Burst: int64(d.Rate.Burst), Tokens: d.Tokens, ClearsIn: d.Wait}
}

// quotaLimit tells of a quota that refused.
func quotaLimit(d *limit.Detail, r *rules) telemetry.Limit {
	return telemetry.Limit{Kind: telemetry.Quota, Most: d.Limit, Used: d.Used, Period: r.quota.Period.String(), ClearsIn: d.Wait}
}

// refuseThrottle refuses a call for the bucket that the verdict names; v and t
// are the limits of the stage and the plan that hold for it.
func refuseThrottle(req *message.Request, st *Stage, m *method, a *Admission, verdict *limit.Verdict, v *verb, t *throttle) *Refusal {
	on, cell := req.Trail.On(), verdict.Cell
	switch {
	case verdict.Err != nil && on:
		return logged(req, throttleAway, "the throttle could not be asked for: "+verdict.Err.Error())
	case verdict.Err != nil:
		return throttleAway
	case cell == accountCell && on:
		return logged(req, accountThrottled, accountThrottleLine(&a.Limit))
	case cell == accountCell:
		return accountThrottled
	case cell == stageCell && on:
		return logged(req, stageThrottled, stageThrottleLine(req, st, m, v.limit))
	case cell == stageCell:
		return stageThrottled
	}
	r := planThrottled
	if t.name != "" {
		r = planMethodThrottled
	}
	if on {
		return logged(req, r, planThrottleLine(req, st, m, a, t))
	}
	return r
}

func refuseQuota(req *message.Request, st *Stage, a *Admission, r *rules) *Refusal {
	if !req.Trail.On() {
		return quotaExceeded
	}
	return logged(req, quotaExceeded, quotaLine(st, a, r))
}

// logged adds a line and makes the refusal that tells it.
func logged(req *message.Request, r *Refusal, line string) *Refusal {
	req.Trail.Add(line)
	return &Refusal{r.Type, r.Cause, line}
}
