// Package limit decides whether one more call may go on: token buckets and
// period counters, taken together in one decision, so that a refused call
// costs nobody anything.
//
// A Cell is a token bucket, a Meter counts an account against its quota, and a
// Limiter takes from several cells and one meter at once:
//
//	grant, verdict := limiter.Take(ctx, []*limit.Cell{plan, stage}, nil, meter, now)
//	if verdict.Outcome != limit.Granted {
//		… // throttled, exhausted, or the ledger is away; nothing was used
//	}
//	defer func() { grant.Settle(succeeded) }()
//
// Buckets live in memory: no lock, no timer, no allocation. Where nodes divide
// them (see Rates), a node holds a share of each for a short while.
//
// A quota is kept by a Ledger (the database), and no call goes on that is not
// paid for there, durably: with calls that this node holds ahead (a lease), or
// by waiting for it. So no crash lets a call through; the price is that one may
// count calls that nobody made or that nobody answered.
package limit

import "time"

// Instant is one reading of both clocks. Mono orders events within this
// process and is what buckets and leases count by; Wall says on which day a call
// is counted that no quota stands against. Time is always passed in.
type Instant struct {
	Mono time.Duration // since the process's own start
	Wall time.Time
}

// nanos returns Mono in the range a cell's word can hold.
func (i Instant) nanos() int64 { return min(max(int64(i.Mono), 0), maxMono) }

// Clock reads this machine's clocks: Wall is the time of day, Mono counts from
// when the Clock was made and never goes back. One process has one Clock.
type Clock struct{ start time.Time }

// NewClock returns a clock whose Mono begins at zero now.
func NewClock() Clock { return Clock{time.Now()} }

// Now reads both clocks.
func (c Clock) Now() Instant {
	now := time.Now()
	return Instant{Mono: now.Sub(c.start), Wall: now}
}

// Mono reads the monotonic clock only.
func (c Clock) Mono() time.Duration { return time.Since(c.start) }

// Rate is a token bucket's setting: PerSecond tokens a second, Burst at most.
// Zero (or less) in either lets nothing through.
type Rate struct {
	PerSecond float64
	Burst     int
}

// Quota is a period counter's setting.
type Quota struct {
	Limit        int64
	Offset       int64 // subtracted from Limit in the period in which the key joined the plan
	Period       Period
	OpenWhenAway bool // calls are admitted, and counted, while the ledger cannot be asked
}

// Account names whose counter it is: a key within a plan.
type Account struct {
	PlanID string
	KeyID  string
}
