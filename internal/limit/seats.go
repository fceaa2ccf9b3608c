package limit

import (
	"context"
	"sync/atomic"
)

// Seats caps how many calls may be under way at once. A call takes a seat in
// Limiter.Take and gives it back when its Grant is settled. Zero seats (or
// fewer) let nothing through.
//
// Seats that nodes divide are made by Limiter.Seats. The calls that sit on a
// node are counted there; the cap of the moment is what the node has of them.
//
// A take is one compare-and-swap. Safe for concurrent use; made by NewSeats or
// Limiter.Seats, never copied.
type Seats struct {
	limit atomic.Int64
	taken atomic.Int64
	cell  *Cell // has no tokens: its setting says until when the share lasts; nil: the seats are of this node alone
}

// NewSeats returns n free seats, of this node alone.
func NewSeats(n int) *Seats {
	s := &Seats{}
	s.limit.Store(int64(n))
	return s
}

// SetLimit edits the number of seats. Who sits stays seated, also above a
// lowered limit: nobody new sits down until enough have left. Seats that nodes
// divide are edited by Limiter.Seats.
func (s *Seats) SetLimit(n int) { s.limit.Store(int64(n)) }

// Limit returns the number of seats in force; of those that nodes divide, what
// this node has.
func (s *Seats) Limit() int { return int(s.limit.Load()) }

// Taken returns how many calls sit, on this node.
func (s *Seats) Taken() int { return int(s.taken.Load()) }

// stake returns the node's side of divided seats, or nil.
func (s *Seats) stake() *stake {
	if s.cell == nil {
		return nil
	}
	return s.cell.setting.Load().stake
}

// full says whether a take would be refused, as far as is known here. It takes
// nothing.
func (s *Seats) full(now int64) bool {
	if s.taken.Load() < s.limit.Load() {
		return false
	}
	k := s.stake()
	return k == nil || now < k.alone.Load()
}

func (s *Seats) take(now int64) bool {
	if s.cell != nil && s.cell.setting.Load().ended(now) {
		return false
	}
	for {
		n := s.taken.Load()
		if n >= s.limit.Load() {
			return false
		}
		if !s.taken.CompareAndSwap(n, n+1) {
			continue
		}
		if n < s.limit.Load() {
			return true
		}
		s.taken.Add(-1) // the limit was lowered meanwhile
	}
}

// seat takes a seat, or tells who refuses. It waits for divided seats when this
// node has no free one and others may have.
func (s *Seats) seat(ctx context.Context, now int64) Verdict {
	k := s.stake()
	if k != nil {
		k.asked.Add(1)
	}
	if s.take(now) {
		return Verdict{}
	}
	v := Verdict{Outcome: Crowded}
	if k != nil && !s.full(now) {
		t, _, err := k.enter(ctx)
		if t.cell != nil {
			return Verdict{}
		}
		v.Err = err
	}
	v.Detail = s.refusal()
	return v
}

// refusal describes seats that are taken. When one will be free is not known.
func (s *Seats) refusal() Detail {
	d := Detail{Limit: s.limit.Load(), Used: s.taken.Load()}
	if s.cell != nil {
		d.Limit = int64(s.cell.Rate().Burst)
	}
	return d
}

func (s *Seats) giveBack() { s.taken.Add(-1) }
