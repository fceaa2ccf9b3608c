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
// Buckets live in memory: no lock, no timer, no allocation. A quota is kept by
// a Ledger (the database), and a call with a quota waits until it is durably
// recorded there, so that no crash lets a call through that was not paid for.
// The price is that a crash may count a call that nobody answered.
package limit

import (
	"context"
	"time"
)

// Instant is one reading of both clocks. Mono orders events within this
// process and is what buckets count by; Wall says which calendar period a
// quota call belongs to. Time is always passed in.
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
	Limit  int64
	Offset int64 // subtracted from Limit in the period in which the key joined the plan
	Period Period
}

// Account names whose counter it is: a key within a plan.
type Account struct {
	PlanID string
	KeyID  string
}

// Ledger keeps what was spent. It is declared here and implemented by store.
// Spend and Record add to the same counters: one number for an account and a
// day. Both are called from many goroutines.
type Ledger interface {
	// Spend records one admitted call of a on day, if fewer than limit calls
	// of it are recorded on the days from..day (both included), and returns
	// after that record is durably committed. ok is false, and nothing is
	// recorded, when limit or more are there already; used is the number
	// recorded after the call either way. An error means that nothing is
	// known to be recorded: the call must not be admitted.
	Spend(ctx context.Context, a Account, from, day Day, limit int64) (used int64, ok bool, err error)

	// Record adds calls that were admitted without a quota, all of them in
	// one transaction: after a nil error every count is durably added, after
	// an error none is known to be, and the caller brings them again later.
	// No quota stands behind these calls, so no call waits for Record.
	// Every Calls is above 0, an account and day appears at most once, an
	// empty slice is no error, and the slice is not kept.
	Record(ctx context.Context, counts []Count) error
}

// Count is a number of admitted calls of one account on one day.
type Count struct {
	Account Account
	Day     Day
	Calls   int64
}
