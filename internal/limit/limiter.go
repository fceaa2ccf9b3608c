package limit

import (
	"context"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// Limiter takes decisions. Safe for concurrent use; made by New.
//
// Its owner calls Tend once a second, and Stop at a clean stop.
type Limiter struct {
	ledger  Ledger
	clock   func() time.Duration
	timeout func(context.Context, time.Duration) (context.Context, context.CancelFunc)
	away    outage
	sharing *sharing // nil: buckets are of this node alone

	background func(task func())
	fetches    sync.WaitGroup
	running    atomic.Int32 // fetches
	stopped    atomic.Bool

	recalls atomic.Int64 // grows, under mu, whenever what was asked before is not to be learned

	flushing chan struct{} // holds a token while nobody flushes; guards the two below, and is taken before mu
	seq      int64         // of the newest batch
	batch    Batch         // whose outcome is not known; Seq 0: none

	mu      sync.Mutex          // guards what is below, and every change of a meter's state
	list    *Meter              // meters that hold calls, or have counted since the last flush
	overdue tallies             // taken from their meters and not recorded yet
	states  map[stateKey]*state // see intern
}

// Option changes how a Limiter works.
type Option func(*Limiter)

// WithClock gives the limiter the clock that Instant.Mono is read from (see
// Clock.Mono). It is read to give a token back after others have taken from the
// same bucket (without it such a token comes back with time), and to tell on
// which day leased calls were used and which leases are over.
func WithClock(mono func() time.Duration) Option {
	return func(l *Limiter) { l.clock = mono }
}

// WithBackground gives the limiter what runs its fetches of leases, which wait
// for the ledger and hold nobody up. It must not run one before it returned.
// Without it each has a goroutine.
func WithBackground(run func(task func())) Option {
	return func(l *Limiter) { l.background = run }
}

// WithTimeout gives the limiter what ends its waits for the ledger; without it
// context.WithTimeout does.
func WithTimeout(timeout func(context.Context, time.Duration) (context.Context, context.CancelFunc)) Option {
	return func(l *Limiter) { l.timeout = timeout }
}

// New returns a limiter that keeps quotas in ledger. A nil ledger serves as
// long as no meter is given to Take.
func New(ledger Ledger, options ...Option) *Limiter {
	l := &Limiter{
		ledger: ledger, timeout: context.WithTimeout, flushing: make(chan struct{}, 1),
		background: func(task func()) { go task() },
		overdue:    tallies{}, states: map[stateKey]*state{},
	}
	l.flushing <- struct{}{}
	for _, o := range options {
		o(l)
	}
	if l.sharing != nil {
		l.sharing.clock = l.clock
	}
	return l
}

// Grant is an admission's hold on its limits. Settle is called exactly once
// with what became of the call; rate and quota ignore the outcome, an admitted
// call has used one of each. The zero Grant holds nothing.
//
// A Grant that holds a seat has one owner: of two copies only one is settled.
type Grant struct {
	held bool
	seat *Seats // nil: none
}

// Settle ends the hold and gives the seat back. A second call does nothing: a
// limit that releases something must never release it twice because a caller
// was careful twice.
func (g *Grant) Settle(succeeded bool) {
	if g.seat != nil {
		g.seat.giveBack()
	}
	*g = Grant{}
}

// Held says whether the grant is still to be settled.
func (g *Grant) Held() bool { return g.held }

// Take asks every cell (nil cells are skipped), then the seats (nil: any number
// of calls at once), then the meter (nil: no plan). A refusal by a later one
// gives back what the earlier gave. When several would refuse, the first
// throttle is reported, then the seats, before the quota.
//
// Take waits for the ledger only when the meter has a quota of which it holds
// nothing and that is not known to be used up; ctx ends that wait, two seconds
// at the latest. It keeps neither cells nor ctx.
func (l *Limiter) Take(ctx context.Context, cells []*Cell, seats *Seats, m *Meter, now Instant) (_ Grant, v Verdict) {
	mono := now.nanos()
	var quota *Quota
	if m != nil {
		if quota = m.quota.Load(); quota != nil {
			if d, is := m.refuses(quota, mono); is {
				if i, throttle := refusing(cells, mono); i >= 0 {
					return Grant{}, Verdict{Outcome: Throttled, Cell: i, Detail: throttle}
				}
				if seats != nil && seats.full(mono) {
					return Grant{}, Verdict{Outcome: Crowded, Detail: seats.refusal()}
				}
				return Grant{}, Verdict{Outcome: Exhausted, Detail: d}
			}
		}
	}
	var few [4]taken
	receipts, v := l.takeCells(ctx, cells, mono, few[:0])
	if v.Outcome != Granted {
		return Grant{}, v
	}
	if seats != nil {
		if v = seats.seat(ctx, mono); v.Outcome != Granted {
			l.giveBack(receipts)
			return Grant{}, v
		}
	}
	switch {
	case m == nil:
	case quota == nil:
		l.count(m, DayOf(now.Wall), mono)
	default:
		if l.charge(ctx, m, quota, now, &v); v.Outcome != Granted {
			if seats != nil {
				seats.giveBack()
			}
			l.giveBack(receipts)
			return Grant{}, v
		}
	}
	return Grant{held: true, seat: seats}, v
}

// takeCells takes from every cell or from none. The verdict is Throttled when
// one refused, and then there are no receipts.
//
// To ask all before taking from any is what keeps a flood against one bucket
// from touching the others; taking can still fail after it, when somebody else
// was faster. Divided buckets of which this node has no share come last: only
// they make a call wait.
func (l *Limiter) takeCells(ctx context.Context, cells []*Cell, mono int64, receipts []taken) ([]taken, Verdict) {
	if len(cells) > 1 {
		if i, d := refusing(cells, mono); i >= 0 {
			return nil, Verdict{Outcome: Throttled, Cell: i, Detail: d}
		}
	}
	var without uint64 // cells without a share, by index
	for i, c := range cells {
		if c == nil {
			continue
		}
		t, ok := c.take(mono)
		if k := t.setting.stake; k != nil {
			k.asked.Add(1)
			if !ok && t.setting.ended(mono) {
				without |= 1 << i
				continue
			}
		}
		if !ok {
			l.giveBack(receipts)
			return nil, Verdict{Outcome: Throttled, Cell: i, Detail: t.setting.refusal(int64(t.before>>tagBits), mono)}
		}
		receipts = append(receipts, t)
	}
	for ; without != 0; without &= without - 1 {
		i := bits.TrailingZeros64(without)
		t, d, err := cells[i].setting.Load().stake.enter(ctx)
		if t.cell == nil {
			l.giveBack(receipts)
			return nil, Verdict{Outcome: Throttled, Cell: i, Detail: d, Err: err}
		}
		receipts = append(receipts, t)
	}
	return receipts, Verdict{}
}

// refusing returns the index of the first cell that would refuse, or -1.
func refusing(cells []*Cell, mono int64) (int, Detail) {
	for i, c := range cells {
		if c != nil {
			if d, is := c.refuses(mono); is {
				return i, d
			}
		}
	}
	return -1, Detail{}
}

// giveBack returns tokens, the last taken first.
func (l *Limiter) giveBack(receipts []taken) {
	for i := len(receipts) - 1; i >= 0; i-- {
		receipts[i].giveBack(l.clock)
	}
}
