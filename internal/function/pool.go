package function

import (
	"context"
	"slices"
	"sync"
	"time"

	"weir/internal/catalog"
	"weir/internal/invocation"
)

// handOver is how long a call waits for an environment that has answered its
// last call and is about to ask for work, before it starts another one. Asking
// takes a runtime client some ten microseconds; a cold start takes milliseconds.
const handOver = 10 * time.Millisecond

// pool is the environments of one configuration of one function.
type pool struct {
	f  *Functions
	fn catalog.Function

	// mu guards everything below, and the state of each environment in all.
	// It is never held during I/O.
	mu        sync.Mutex
	idle      []*environment // the one used last is last
	all       map[*environment]struct{}
	finishing int                 // environments in state finishing
	waiters   []chan *environment // calls that wait for one of them, first come first
	retired   bool                // environments go when they are done
}

func newPool(f *Functions, fn catalog.Function) *pool {
	return &pool{f: f, fn: fn, all: map[*environment]struct{}{}}
}

// acquire gives the call an environment in state claimed: an idle one, one
// that is about to be idle, or a new one.
func (p *pool) acquire(ctx context.Context, c *call) (*environment, error) {
	p.mu.Lock()
	if n := len(p.idle); n > 0 {
		e := p.idle[n-1]
		p.idle[n-1] = nil
		p.idle = p.idle[:n-1]
		e.state = claimed
		p.mu.Unlock()
		return e, nil
	}
	var hand chan *environment
	if p.finishing > len(p.waiters) {
		hand = make(chan *environment, 1)
		p.waiters = append(p.waiters, hand)
	}
	p.mu.Unlock()
	if hand != nil {
		if e := p.await(ctx, hand); e != nil {
			return e, nil
		}
	}
	return p.f.coldStart(ctx, p, c)
}

// await waits to be handed an environment; nil when none comes, or none came in
// time.
func (p *pool) await(ctx context.Context, hand chan *environment) *environment {
	late, stop := p.f.o.Clock.Timer(handOver)
	defer stop()
	select {
	case e := <-hand:
		return e
	case <-late:
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.waiters, hand); i >= 0 {
		p.waiters = slices.Delete(p.waiters, i, i+1)
		return nil
	}
	return <-hand // it was handed over just now
}

// settleLocked makes an environment idle, or hands it on, once its call was
// reported and it asked for work. The answer says that it must be killed.
func (p *pool) settleLocked(e *environment) (kill bool) {
	if e.state != finishing || !e.reported || len(e.parked) == 0 {
		return false
	}
	if p.retired {
		p.finishedLocked()
		e.state = dying
		return true
	}
	p.finishing--
	if len(p.waiters) > 0 {
		e.state = claimed
		p.waiters[0] <- e
		p.waiters = slices.Delete(p.waiters, 0, 1)
		return false
	}
	e.state = idle
	e.idleSince = p.f.o.Clock.Now()
	p.idle = append(p.idle, e)
	return false
}

// remove forgets an environment whose process is gone.
func (p *pool) remove(e *environment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leaveLocked(e)
	delete(p.all, e)
}

// leaveLocked takes an environment out of use. It says whether it was not out
// of use already.
func (p *pool) leaveLocked(e *environment) bool {
	switch e.state {
	case dying:
		return false
	case idle:
		i := slices.Index(p.idle, e)
		p.idle = slices.Delete(p.idle, i, i+1)
	case finishing:
		p.finishedLocked()
	}
	e.state = dying
	return true
}

// finishedLocked counts an environment that will not be handed on, and sends
// away a call that waited for it.
func (p *pool) finishedLocked() {
	p.finishing--
	if n := len(p.waiters); n > p.finishing {
		p.waiters[n-1] <- nil
		p.waiters = slices.Delete(p.waiters, n-1, n)
	}
}

// retire lets the environments go: idle ones now, others when they are done.
// The answer says that there are none.
func (p *pool) retire() bool {
	p.mu.Lock()
	p.retired = true
	victims := slices.Clone(p.idle)
	for _, e := range victims {
		p.leaveLocked(e)
	}
	empty := len(p.all) == 0
	p.mu.Unlock()
	for _, e := range victims {
		e.process.Kill()
	}
	return empty
}

// reap ends what is idle too long, or past a deadline that no call watches. The
// answer says that the pool is retired and empty.
func (p *pool) reap(now time.Time, idleTimeout time.Duration) bool {
	var victims []*environment
	p.mu.Lock()
	for e := range p.all {
		switch {
		case e.state == idle && now.Sub(e.idleSince) >= idleTimeout:
		case e.state == starting && !e.owned && now.After(e.deadline):
		case e.state == finishing && e.reported && now.After(e.deadline):
			// It answered but never asked for work: the time of its call is over.
		default:
			continue
		}
		victims = append(victims, e)
	}
	for _, e := range victims {
		p.leaveLocked(e)
	}
	gone := p.retired && len(p.all) == 0
	p.mu.Unlock()
	for _, e := range victims {
		e.process.Kill()
	}
	return gone
}

func (p *pool) killAll() {
	p.mu.Lock()
	victims := make([]*environment, 0, len(p.all))
	for e := range p.all {
		victims = append(victims, e)
	}
	p.mu.Unlock()
	for _, e := range victims {
		e.kill()
	}
}

// takeSlot makes room for one more environment. At the limit the environment
// that is idle longest, of whatever function, goes first; when none is idle
// the call is throttled.
func (f *Functions) takeSlot(ctx context.Context) error {
	for !f.slots.take() {
		victim := f.evict()
		if victim == nil {
			return &invocation.Error{
				Code:   invocation.Throttled,
				Reason: "ConcurrentInvocationLimitExceeded", Message: "Rate Exceeded.",
			}
		}
		select {
		case <-victim.exited:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// evict ends the environment that is idle longest; nil when none is idle.
func (f *Functions) evict() *environment {
	var oldest *environment
	var since time.Time
	for _, p := range f.allPools() {
		p.mu.Lock()
		if len(p.idle) > 0 { // the first is the one used longest ago
			if e := p.idle[0]; oldest == nil || e.idleSince.Before(since) {
				oldest, since = e, e.idleSince
			}
		}
		p.mu.Unlock()
	}
	if oldest == nil {
		return nil
	}
	p := oldest.pool
	p.mu.Lock()
	won := oldest.state == idle
	if won {
		p.leaveLocked(oldest)
	}
	p.mu.Unlock()
	if !won {
		return f.evict() // a call took it meanwhile
	}
	oldest.process.Kill()
	return oldest
}
