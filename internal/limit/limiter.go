package limit

import (
	"context"
	"math/bits"
	"sync"
	"time"
)

// Limiter takes decisions. Safe for concurrent use; made by New.
type Limiter struct {
	ledger  Ledger
	clock   func() time.Duration
	sharing *sharing // nil: buckets are of this node alone

	flushing sync.Mutex // held by the one flush under way, and guards the three below; taken before mu
	seq      int64      // of the newest batch
	batch    Batch      // whose outcome is not known; without counts: none
	batched  []due      // what it records

	mu      sync.Mutex      // guards the two below
	dirty   []*Meter        // have counted since the last flush
	overdue map[tally]int64 // taken from their meters and not recorded yet
}

// tally names uncapped calls of a meter on a day.
type tally struct {
	meter *Meter
	day   Day
}

// Option changes how a Limiter works.
type Option func(*Limiter)

// WithClock gives the limiter the clock that Instant.Mono is read from (see
// Clock.Mono). It is read only to give a token back after others have taken
// from the same bucket; without it such a token comes back with time.
func WithClock(mono func() time.Duration) Option {
	return func(l *Limiter) { l.clock = mono }
}

// New returns a limiter that keeps quotas in ledger. A nil ledger serves as
// long as no meter is given to Take.
func New(ledger Ledger, options ...Option) *Limiter {
	l := &Limiter{ledger: ledger, overdue: map[tally]int64{}}
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
// Take waits for the ledger only when the meter has a quota that is not known
// to be used up; ctx ends that wait. It keeps neither cells nor ctx.
func (l *Limiter) Take(ctx context.Context, cells []*Cell, seats *Seats, m *Meter, now Instant) (Grant, Verdict) {
	mono := now.nanos()
	var quota *Quota
	if m != nil {
		if quota = m.quota.Load(); quota != nil {
			if d, is := m.exhausted(quota, mono); is {
				if i, throttle := refusing(cells, mono); i >= 0 {
					return Grant{}, Verdict{Outcome: Throttled, Cell: i, Detail: throttle}
				}
				if seats != nil && seats.full() {
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
	if seats != nil && !seats.take() {
		l.giveBack(receipts)
		return Grant{}, Verdict{Outcome: Crowded, Detail: seats.refusal()}
	}
	switch {
	case m == nil:
	case quota == nil:
		l.count(m, DayOf(now.Wall))
	default:
		if v = l.spend(ctx, m, quota, mono); v.Outcome != Granted {
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

// believed is for how long a used-up quota refuses without asking. Its period
// may end sooner than the ledger said: a clock that ran ahead was set right.
const believed = time.Minute

// spend asks the ledger for one call.
func (l *Limiter) spend(ctx context.Context, m *Meter, q *Quota, mono int64) Verdict {
	if m.unrecorded() {
		// The plan had no quota until just now: what was counted before the
		// quota came counts against it.
		if err := l.Flush(ctx); err != nil {
			return Verdict{Outcome: LedgerAway, Err: err}
		}
	}
	a, err := l.ledger.Spend(ctx, Ask{Account: m.account, Quota: *q, Joined: m.joined, Calls: 1})
	if err != nil {
		return Verdict{Outcome: LedgerAway, Err: err}
	}
	if a.Used >= a.Limit {
		m.learn(q, mono, a)
	}
	d := Detail{Limit: max(a.Limit, 0), Used: a.Used}
	if !a.OK {
		d.Wait = a.EndsIn
		if q.Limit <= 0 {
			d.Wait = Never
		}
		return Verdict{Outcome: Exhausted, Detail: d}
	}
	return Verdict{Outcome: Granted, Detail: d}
}

// count notes an uncapped call.
func (l *Limiter) count(m *Meter, day Day) {
	first, earlier, late := m.count(day)
	if !first && late == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if first {
		l.dirty = append(l.dirty, m)
	}
	if late > 0 {
		l.overdue[tally{m, earlier}] += late
	}
}

// flushBatch bounds one transaction, so that a flush of very many accounts
// does not stand in the way of a spend for long.
const flushBatch = 1000

// Flush records the uncapped calls counted so far and returns when they are
// durable. Its owner calls it about once a second, before usage is shown, and
// at a clean stop; a kill loses what was counted since, which no quota ever
// misses. After an error the calls that were not recorded are brought again by
// the next Flush.
func (l *Limiter) Flush(ctx context.Context) error {
	l.flushing.Lock()
	defer l.flushing.Unlock()
	if err := l.record(ctx); err != nil {
		return err
	}
	tallies := l.collect()
	for len(tallies) > 0 {
		n := min(len(tallies), flushBatch)
		l.seq++
		l.batch, l.batched = Batch{Seq: l.seq, Counts: merge(tallies[:n])}, tallies[:n]
		tallies = tallies[n:]
		if err := l.record(ctx); err != nil {
			l.mu.Lock()
			for _, d := range tallies {
				l.overdue[d.tally] += d.calls
			}
			l.mu.Unlock()
			return err
		}
	}
	return nil
}

// record brings the batch whose outcome is not known, if there is one: as it
// was, so that the ledger recognises it if it got through.
func (l *Limiter) record(ctx context.Context) error {
	if len(l.batch.Counts) == 0 {
		return nil
	}
	if err := l.ledger.Record(ctx, l.batch); err != nil {
		return err
	}
	for _, d := range l.batched {
		d.meter.owing.Add(-d.calls)
	}
	l.batch, l.batched = Batch{}, nil
	return nil
}

// due is a tally with its number.
type due struct {
	tally
	calls int64
}

// collect empties the meters and the overdue tallies into one list.
func (l *Limiter) collect() []due {
	l.mu.Lock()
	dirty := l.dirty
	l.dirty = nil
	all := make([]due, 0, len(dirty)+len(l.overdue))
	for t, n := range l.overdue {
		all = append(all, due{t, n})
	}
	clear(l.overdue)
	l.mu.Unlock()
	for _, m := range dirty {
		if day, n := m.empty(); n > 0 {
			all = append(all, due{tally{m, day}, n})
		}
	}
	return all
}

// merge makes one count of each account and day: an account may have had two
// meters, and a meter may have counted again while an older tally was overdue.
func merge(batch []due) []Count {
	type key struct {
		account Account
		day     Day
	}
	at := make(map[key]int, len(batch))
	counts := make([]Count, 0, len(batch))
	for _, d := range batch {
		k := key{d.meter.account, d.day}
		if i, seen := at[k]; seen {
			counts[i].Calls += d.calls
			continue
		}
		at[k] = len(counts)
		counts = append(counts, Count{Account: k.account, Day: k.day, Calls: d.calls})
	}
	return counts
}
