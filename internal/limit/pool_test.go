package limit_test

import (
	"context"
	"math"
	"testing"
	"time"

	"weir/internal/limit"
)

// divided is a pool that two nodes divide, and the numbers of their asks.
type divided struct {
	limit.Pool
	now    time.Time
	number uint64
}

var halves = limit.Rate{PerSecond: 100, Burst: 100}

// ask asks for a node that uses the share has; it returns the answer and its number.
func (d *divided) ask(node string, has uint64, demand float64) (limit.ShareAnswer, uint64) {
	d.number++
	a := limit.ShareAsk{Bucket: "b", Setting: halves, Version: 1, Node: node, Number: d.number, Has: has, Demand: demand}
	return d.Share(a, 2, d.now), d.number
}

// While the answer to a renewal is on its way the node goes on with what it
// has: the others do not get that yet, neither of the rate nor of the burst.
func TestWhatANodeGoesOnWithIsNotGivenAway(t *testing.T) {
	for _, c := range []struct {
		name string
		lost int // answers in a row that never reach the node
	}{{"the answer is on its way", 1}, {"the answer was lost, and the next is on its way", 2}, {"two were lost", 3}} {
		t.Run(c.name, func(t *testing.T) {
			d := &divided{now: began}
			had, a := d.ask("a", 0, 1000)
			_, b := d.ask("b", 0, 1000)
			for range c.lost { // a hardly needs it any more
				d.now = d.now.Add(200 * time.Millisecond)
				if less, _ := d.ask("a", a, 0); less.Rate > had.Rate/2 || less.Burst > had.Burst/2 {
					t.Fatalf("%+v after %+v: the test has lost its point", less, had)
				}
			}
			other, b := d.ask("b", b, 1000)
			if other.Rate+had.Rate > 100 || other.Burst+had.Burst > 100 {
				t.Errorf("one node may go on with %g/s and a burst of %g, and the other was given %g/s and %g of 100/s and 100",
					had.Rate, had.Burst, other.Rate, other.Burst)
			}
			// When it says that it has got the answer, what it had is free.
			_, a = d.ask("a", a, 0)
			d.ask("a", a, 0)
			if more, _ := d.ask("b", b, 1000); more.Rate < 90 || more.Burst < 90 {
				t.Errorf("%+v, where the other node needs nothing", more)
			}
		})
	}
}

// An edit that a node hears of while an ask is on its way ends what the answer
// brings: it was divided by the old setting.
func TestAnAnswerOlderThanAnEditIsNotUsed(t *testing.T) {
	c := newCluster(1)
	m := c.nodes[0]
	m.bucket("b", limit.Rate{PerSecond: 100, Burst: 100}, 1)
	c.rates.After = func(context.Context, []limit.ShareAsk) error {
		c.rates.After = nil
		m.bucket("b", limit.Rate{PerSecond: 10, Burst: 10}, 2)
		return nil
	}
	if n := m.takes("b", 100); n != 10 {
		t.Errorf("%d of the burst of 10 were admitted at once after the edit", n)
	}
	if p := c.rates.Pool("b"); p.Version != 2 || p.Setting.Burst != 10 {
		t.Errorf("the pool has not heard of the edit: %+v", p)
	}
}

// A pool is idle when whoever finds its row finds what a new one would be.
func TestAPoolIsIdleWhenItIsAsNew(t *testing.T) {
	for _, c := range []struct {
		name string
		ask  limit.ShareAsk
		want time.Duration // after the ask
	}{
		{"of tokens one by one", limit.ShareAsk{Setting: limit.Rate{PerSecond: 2, Burst: 5}, Want: 3}, 2*time.Second + 1500*time.Millisecond},
		{"of a share", limit.ShareAsk{Setting: limit.Rate{PerSecond: 100, Burst: 50}}, 2*time.Second + 500*time.Millisecond},
		{"of seats", limit.ShareAsk{Setting: limit.Rate{Burst: 5}, Seats: true, Want: 3}, 30 * time.Second},
		{"without a rate", limit.ShareAsk{Setting: limit.Rate{Burst: 5}}, 2 * time.Second},
		{"unused", limit.ShareAsk{Setting: limit.Rate{PerSecond: 2, Burst: 5}}, 2 * time.Second},
		{"of a burst below zero", limit.ShareAsk{Setting: limit.Rate{Burst: -5}}, 2 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			var p limit.Pool
			c.ask.Bucket, c.ask.Node, c.ask.Number = "b", "n1", 1
			p.Share(c.ask, 1, began)
			idle := time.Duration(p.Idle() - began.UnixNano())
			if off := idle - c.want; off < -time.Microsecond || off > time.Microsecond {
				t.Errorf("idle after %v, want %v", idle, c.want)
			}
			// As new: somebody else gets of it what a new one would give.
			other, fresh := c.ask, limit.Pool{}
			other.Node = "n2"
			at := began.Add(idle)
			if got, want := p.Share(other, 1, at), fresh.Share(other, 1, at); got != want {
				t.Errorf("it gives %+v, a new one %+v", got, want)
			}
		})
	}
	p := limit.Pool{Setting: limit.Rate{Burst: 5}, Tokens: 4, At: 1}
	if p.Idle() != math.MaxInt64 {
		t.Errorf("what never comes back: idle at %d", p.Idle())
	}
}
