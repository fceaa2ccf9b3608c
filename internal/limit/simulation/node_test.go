//go:build !race

package simulation

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"weir/internal/limit"
)

// node is one process with its clocks. A restart makes a new one in the same
// slot.
type node struct {
	world   *world
	slot    int
	name    string
	rnd     *rand.Rand
	began   time.Duration // by the world's clock
	speed   float64       // of its monotonic clock
	offset  time.Duration // of its wall clock
	limiter *limit.Limiter
	stage   *limit.Cell
	callers []*caller

	paused     time.Duration // until
	asksCut    time.Duration // until
	answersCut time.Duration // until
	dead       bool
	stopping   bool
	calls      int // under way
}

// caller is a key as a node knows it.
type caller struct {
	cell    *limit.Cell
	meter   *limit.Meter
	enabled bool
	member  bool
}

// saved is what a clean stop keeps of the buckets.
type saved struct {
	stage float64
	keys  []float64
}

// start begins a process in a slot. After an unclean stop buckets begin empty.
func (w *world) start(slot int, was *saved, unclean bool) {
	w.processes++
	n := &node{
		world: w, slot: slot, name: fmt.Sprintf("node %d.%d", slot, w.processes), began: w.now(), speed: 1 + w.drift[slot],
	}
	n.rnd = w.random(n.name)
	n.limiter = limit.New(n.connect(), limit.WithClock(n.mono))
	cell := func(r limit.Rate, used float64) *limit.Cell {
		if was != nil {
			return limit.RestoreCell(r, used, n.instant())
		}
		return limit.NewCell(r, unclean, n.instant())
	}
	if was == nil {
		n.stage = cell(w.config.stage, 0)
	} else {
		n.stage = cell(w.config.stage, was.stage)
	}
	for i, k := range w.config.keys {
		used := 0.0
		if was != nil {
			used = was.keys[i]
		}
		c := &caller{cell: cell(k.rate, used), enabled: k.enabled, member: k.member}
		c.meter = limit.NewMeter(account(i), &k.quota, w.began)
		n.callers = append(n.callers, c)
	}
	w.running[slot] = n
	w.db.seen[n.name] = w.now()
	go n.live()
}

// live does what a process does once a second.
func (n *node) live() {
	for {
		time.Sleep(time.Second + time.Duration(n.rnd.Int64N(int64(50*time.Millisecond))))
		n.gate()
		if n.dead || n.world.over {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		if err := n.limiter.Tend(ctx); err == nil && n.connected() {
			n.world.db.seen[n.name] = n.world.now()
		}
		cancel()
	}
}

func (n *node) connected() bool {
	now := n.world.now()
	return now >= n.asksCut && now >= n.answersCut && now >= n.world.db.up
}

// mono is the node's monotonic clock.
func (n *node) mono() time.Duration {
	return time.Duration(float64(n.world.now()-n.began) * n.speed)
}

func (n *node) instant() limit.Instant {
	return limit.Instant{Mono: n.mono(), Wall: n.world.wall().Add(n.offset)}
}

// gate is where a process that is stopped stands still.
func (n *node) gate() {
	for n.world.now() < n.paused {
		time.Sleep(n.paused - n.world.now())
	}
}

// call is one call of a key that reaches the node.
func (n *node) call(key int, slowly time.Duration) {
	w := n.world
	n.calls++
	defer func() { n.calls-- }()
	n.gate()
	c := n.callers[key]
	if n.dead || n.stopping || !c.enabled || !c.member {
		return
	}
	start := w.wall()
	w.asked++
	w.perfect.take(w.now(), start, accountName(key), w.buckets(key)...)
	now := n.instant()
	if slowly > 0 { // the scheduler takes the processor away
		time.Sleep(slowly)
		n.gate()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second) // a client's patience
	defer cancel()
	grant, verdict := n.limiter.Take(ctx, []*limit.Cell{n.stage, c.cell}, nil, c.meter, now)
	if n.dead {
		return
	}
	if verdict.Outcome == limit.Granted {
		w.admitted++
		fmt.Fprintln(w.digest, n.name, key, w.now())
		w.history.Admit(start, w.wall(), accountName(key), w.buckets(key)...)
		grant.Settle(true)
	}
}

// crash is kill -9.
func (n *node) crash() {
	n.dead = true
	n.world.running[n.slot] = nil
}

// stop is a clean stop: no new calls, those under way end, what is held is
// given back.
func (n *node) stop() *saved {
	n.stopping = true
	for n.calls > 0 && !n.dead {
		time.Sleep(10*time.Millisecond + time.Duration(n.rnd.IntN(1000)))
	}
	if n.dead {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	clean := n.limiter.Stop(ctx) == nil
	if n.dead {
		return nil
	}
	was := &saved{stage: n.stage.Used(n.instant())}
	for _, c := range n.callers {
		was.keys = append(was.keys, c.cell.Used(n.instant()))
	}
	n.crash()
	if !clean {
		return nil
	}
	return was
}
