package limit

import "sync/atomic"

// Seats caps how many calls may be under way at once. A call takes a seat in
// Limiter.Take and gives it back when its Grant is settled. Zero seats (or
// fewer) let nothing through.
//
// A take is one compare-and-swap. Safe for concurrent use; made by NewSeats,
// never copied. 16 bytes.
type Seats struct {
	limit atomic.Int64
	taken atomic.Int64
}

// NewSeats returns n free seats.
func NewSeats(n int) *Seats {
	s := &Seats{}
	s.limit.Store(int64(n))
	return s
}

// SetLimit edits the number of seats. Who sits stays seated, also above a
// lowered limit: nobody new sits down until enough have left.
func (s *Seats) SetLimit(n int) { s.limit.Store(int64(n)) }

// Limit returns the number of seats in force.
func (s *Seats) Limit() int { return int(s.limit.Load()) }

// Taken returns how many calls sit.
func (s *Seats) Taken() int { return int(s.taken.Load()) }

// full says whether a take would be refused. It takes nothing.
func (s *Seats) full() bool { return s.taken.Load() >= s.limit.Load() }

func (s *Seats) take() bool {
	for {
		n := s.taken.Load()
		if n >= s.limit.Load() {
			return false
		}
		if s.taken.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// refusal describes seats that are taken. When one will be free is not known.
func (s *Seats) refusal() Detail {
	return Detail{Limit: s.limit.Load(), Used: s.taken.Load()}
}

func (s *Seats) giveBack() { s.taken.Add(-1) }
