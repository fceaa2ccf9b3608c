package protection

import (
	"math"
	"time"

	"weir/internal/limit"
	"weir/internal/telemetry"
)

// standing is where the limits of a decision are looked up again when its
// answer tells them. The zero standing tells nothing.
type standing struct {
	told    bool // a tag of the stage or the plan asks for it
	account *limit.Cell
	plan    *limit.Cell
	stage   *limit.Cell
	entry   bool // plan is the bucket of the plan's entry for the method
	meter   *limit.Meter
	quota   *limit.Quota
	outcome limit.Outcome
	used    limit.Detail // of the quota, when the outcome is Granted or Exhausted
}

// Policy is one limit that holds for a call, in the terms of the RateLimit
// header fields (draft-ietf-httpapi-ratelimit-headers).
type Policy struct {
	Name   string // does not change: the name of the Cause that its refusals have
	Quota  int64  // q: calls a window; of a bucket its burst
	Window int64  // w: seconds, of a bucket until it has filled up; 0: none
	Left   int64  // r: calls that would be admitted at once; -1: not known
	Reset  int64  // t: seconds until there are more; 0: not known, or as many as there can be are there

	wait time.Duration // of one with nothing left: until it would admit a call; limit.Never
}

// Told says whether a tag asks that the answer to this call tells its limits.
func (a *Admission) Told() bool { return a.standing.told }

// Policies adds the limits that hold for a call that Told, as they are now, to
// dst: those that refuse alone, in the order in which they are asked. They
// promise nothing that this node does not know: what others use meanwhile is
// gone.
func (g *Guard) Policies(dst []Policy, a *Admission) []Policy {
	s, now := &a.standing, g.now()
	plan := telemetry.CausePlanThrottle
	if s.entry {
		plan = telemetry.CausePlanMethodThrottle
	}
	for _, b := range []struct {
		cell  *limit.Cell
		cause telemetry.Cause
	}{{s.account, telemetry.CauseAccountThrottle}, {s.plan, plan}, {s.stage, telemetry.CauseStageThrottle}} {
		if b.cell != nil {
			dst = append(dst, bucketPolicy(b.cause.String(), b.cell.Level(now)))
		}
	}
	if s.quota != nil {
		dst = append(dst, s.quotaPolicy(now))
	}
	return dst
}

// bucketPolicy tells of a bucket. Its window is rounded up, so that burst calls
// a window are never more than its rate.
func bucketPolicy(name string, l limit.Level) Policy {
	p := Policy{Name: name, Left: l.Tokens}
	if l.Next == limit.Never {
		p.wait = limit.Never
		return p
	}
	p.Quota = int64(l.Rate.Burst)
	p.Window = max(int64(min(math.Ceil(float64(l.Rate.Burst)/l.Rate.PerSecond), math.MaxInt32)), 1)
	p.Reset = seconds(l.Next)
	if l.Tokens == 0 {
		p.wait = l.Next
	}
	return p
}

// quotaPolicy tells of the quota: as the decision found it, or, when it did not
// come to that, as far as it is known without asking.
func (s *standing) quotaPolicy(now limit.Instant) Policy {
	day := limit.DayOf(now.Wall)
	p := Policy{
		Name: telemetry.CauseQuota.String(), Quota: max(s.quota.Limit, 0), Left: -1,
		Window: int64(s.quota.Period.End(day)-s.quota.Period.Start(day)) * 24 * 60 * 60,
	}
	d := &s.used
	k, known := limit.Known{Limit: d.Limit, Left: max(d.Limit-d.Used, 0), EndsIn: d.EndsIn}, d.EndsIn > 0
	switch {
	case s.outcome == limit.Exhausted:
		k.Left = 0
	case s.outcome != limit.Granted:
		k, known = s.meter.Known(now)
	}
	if !known {
		return p
	}
	p.Quota, p.Left, p.Reset = k.Limit, k.Left, seconds(k.EndsIn)
	if p.Left == 0 {
		p.wait = k.EndsIn
	}
	if s.quota.Limit <= 0 {
		p.Reset, p.wait = 0, limit.Never
	}
	return p
}

// RetryAfter is in how many seconds a call that a limit refused would be
// admitted, should nobody else call; policies are those that Policies gave. ok
// is false when that is not known, or never.
func (a *Admission) RetryAfter(policies []Policy) (after int64, ok bool) {
	wait := a.Limit.ClearsIn
	if wait == 0 {
		return 0, false
	}
	for _, p := range policies { // one limit refused, and others may refuse as well
		if p.Name != telemetry.CauseQuota.String() || a.Limit.Kind != telemetry.Quota {
			wait = max(wait, p.wait)
		}
	}
	if wait == limit.Never {
		return 0, false
	}
	return seconds(wait), true
}

// seconds are whole ones, rounded up.
func seconds(d time.Duration) int64 {
	s := int64(d / time.Second)
	if d%time.Second > 0 {
		s++
	}
	return s
}
