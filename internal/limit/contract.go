package limit

import (
	"context"
	"time"
)

// CONTRACT SKELETON: replaced by the implementation; signatures stay.

// Period is a calendar period in UTC.
type Period uint8

// The periods. A week starts on Monday.
const (
	Daily Period = iota + 1
	Weekly
	Monthly
)

// Day is a calendar day in UTC, counted from 1970-01-01.
type Day int32

func DayOf(t time.Time) Day               { panic("contract") }
func (d Day) String() string              { panic("contract") } // "2026-11-24"
func ParseDay(s string) (Day, error)      { panic("contract") }
func (p Period) Start(d Day) Day          { panic("contract") } // first day of the period that holds d
func (p Period) End(d Day) Day            { panic("contract") } // first day after it
func ParsePeriod(s string) (Period, bool) { panic("contract") } // "DAY", "WEEK", "MONTH"

// Cell is one token bucket that outlives edits of its rate: what was used
// stays used. Safe for concurrent use.
type Cell struct{}

// NewCell returns a bucket that begins full, or, when empty is true, without a
// token (what existed before an unclean stop begins empty).
func NewCell(r Rate, empty bool, now Instant) *Cell       { panic("contract") }
func (c *Cell) SetRate(r Rate, now Instant)               { panic("contract") }
func (c *Cell) Rate() Rate                                { panic("contract") }
func (c *Cell) Used(now Instant) float64                  { panic("contract") } // tokens used and not yet refilled, for a clean stop
func RestoreCell(r Rate, used float64, now Instant) *Cell { panic("contract") }

// Meter counts one account against its plan's quota. Safe for concurrent use.
type Meter struct{}

func NewMeter(a Account, q *Quota, joined time.Time) *Meter { panic("contract") } // nil q: counted, never refused
func (m *Meter) SetQuota(q *Quota)                          { panic("contract") }

// Limiter takes decisions.
type Limiter struct{}

func New(l Ledger) *Limiter { panic("contract") }

// Outcome of Take.
type Outcome uint8

const (
	Granted    Outcome = iota
	Throttled          // Verdict.Cell says which of the cells refused
	Exhausted          // the quota is used up
	LedgerAway         // the quota could not be asked: refused as Limit Exceeded, with the reason in the record
)

type Verdict struct {
	Outcome Outcome
	Cell    int   // index into cells, with Throttled
	Used    int64 // quota used after the call, when known
	Err     error // with LedgerAway
}

// Grant is an admission's hold on its limits. Settle is called exactly once
// with what became of the call; rate and quota ignore the outcome.
type Grant struct{}

func (g *Grant) Settle(succeeded bool) {}

// Take asks every cell (nil cells are skipped) and then the meter (nil: no plan). A refusal by a later one
// gives back what the earlier gave. When several would refuse, the first
// throttle is reported, before the quota.
func (l *Limiter) Take(ctx context.Context, cells []*Cell, m *Meter, now Instant) (Grant, Verdict) {
	panic("contract")
}
