//go:build !race

package simulation

import (
	"context"
	"fmt"
	"time"

	"weir/internal/limit"
)

// node is one process with its clocks. A restart makes a new one in the same
// slot.
type node struct {
	world   *world
	slot    int
	name    string
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
	wire := n.connect()
	options := []limit.Option{limit.WithClock(n.mono)}
	if w.nodes > 1 {
		options = append(options, limit.WithRates(wire, n.name))
	}
	n.limiter = limit.New(wire, options...)
	if was == nil {
		was = &saved{keys: make([]float64, len(w.config.keys))}
	}
	n.stage = n.bucket("stage", w.config.stage, was.stage, unclean)
	for i, k := range w.config.keys {
		n.callers = append(n.callers, &caller{
			cell: n.bucket(accountName(i), k.rate, was.keys[i], unclean), meter: n.meter(i), enabled: k.enabled, member: k.member,
		})
	}
	w.running[slot] = n
	if w.nodes == 1 { // SQLite: who has the lock on the folder is alone
		clear(w.db.mayAct)
	}
	w.db.mayAct[n.name] = true
	go n.live()
	if n.limiter.Divides() {
		go n.renew()
	}
}

// bucket makes a bucket: a part of one that all nodes divide, or one of its own.
func (n *node) bucket(name string, s setting, used float64, empty bool) *limit.Cell {
	switch now := n.instant(); {
	case n.limiter.Divides():
		return n.limiter.Bucket(name, limit.CompileVersion(s.rate, s.version), now)
	case empty:
		return limit.NewCell(s.rate, true, now)
	default:
		return limit.RestoreCell(s.rate, used, now)
	}
}

// rate edits a bucket.
func (n *node) rate(name string, c *limit.Cell, s setting) {
	if n.limiter.Divides() {
		n.limiter.Bucket(name, limit.CompileVersion(s.rate, s.version), n.instant())
		return
	}
	c.SetRate(s.rate, n.instant())
}

func (n *node) meter(key int) *limit.Meter {
	quota := n.world.config.keys[key].quota
	return limit.NewMeter(account(key), &quota, n.world.began)
}

// live does what a process does once a second.
func (n *node) live() {
	rnd := n.world.random(n.name, "lives")
	for {
		time.Sleep(time.Second + time.Duration(rnd.Int64N(int64(50*time.Millisecond))))
		n.gate()
		if n.dead || n.world.over {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		_ = n.limiter.Tend(ctx) // what it did not record it brings again
		cancel()
	}
}

func (n *node) connected() bool {
	now := n.world.now()
	return now >= n.asksCut && now >= n.answersCut && now >= n.world.db.up
}

// renew does what a process does ten times a second.
func (n *node) renew() {
	rnd := n.world.random(n.name, "renews")
	for {
		time.Sleep(100*time.Millisecond + time.Duration(rnd.Int64N(int64(10*time.Millisecond))))
		n.gate()
		if n.dead || n.stopping || n.world.over {
			return
		}
		_ = n.limiter.Renew(context.Background()) // what it did not renew it asks for again
	}
}

// mono is the node's monotonic clock.
func (n *node) mono() time.Duration {
	return time.Duration(float64(n.world.now()-n.began) * n.speed)
}

func (n *node) instant() limit.Instant {
	return limit.Instant{Mono: n.mono(), Wall: n.world.wall().Add(n.offset)}
}

// gate is where a process that is stopped stands still. When it goes on, one
// goroutine runs after the other.
func (n *node) gate() {
	for n.world.now() < n.paused {
		time.Sleep(n.paused - n.world.now() + time.Duration(n.world.random(n.name, "goes on", n.world.now()).IntN(100_000)))
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
		w.spent[key].unknown++
		return
	}
	if verdict.Outcome == limit.Granted {
		w.admitted++
		w.spent[key].admitted++
		w.note(n.name, key, w.now())
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
		time.Sleep(10*time.Millisecond + time.Duration(n.world.random(n.name, "stops", n.world.now()).IntN(1000)))
	}
	if n.dead {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	clean := n.limiter.Stop(ctx) == nil
	_ = n.limiter.ReturnShares(ctx) // what was not returned ends by itself
	if n.dead {
		return nil
	}
	if clean {
		delete(n.world.db.mayAct, n.name)
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
