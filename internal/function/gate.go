package function

import (
	"sync"
	"sync/atomic"
)

// gate counts calls in flight, so that Stop can turn new ones away and wait
// for the others without a lock on the way of a call.
type gate struct {
	inside  atomic.Int64
	closed  atomic.Bool
	once    *sync.Once
	drained chan struct{}
}

func newGate() gate { return gate{once: new(sync.Once), drained: make(chan struct{})} }

// enter says whether a call may begin; then leave is owed.
func (g *gate) enter() bool {
	g.inside.Add(1)
	if g.closed.Load() {
		g.leave()
		return false
	}
	return true
}

// stay is enter for work that a call inside the gate leaves behind: it is let
// in even when the gate has closed meanwhile.
func (g *gate) stay() { g.inside.Add(1) }

func (g *gate) leave() {
	if g.inside.Add(-1) == 0 && g.closed.Load() {
		g.once.Do(func() { close(g.drained) })
	}
}

// close turns new calls away; the channel closes when the last one left.
func (g *gate) close() <-chan struct{} {
	g.closed.Store(true)
	if g.inside.Load() == 0 {
		g.once.Do(func() { close(g.drained) })
	}
	return g.drained
}

// slots bounds the environments of all functions.
type slots struct {
	used atomic.Int64
	max  int64
}

func (s *slots) take() bool {
	for {
		n := s.used.Load()
		if n >= s.max {
			return false
		}
		if s.used.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (s *slots) give() { s.used.Add(-1) }
