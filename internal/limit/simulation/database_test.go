//go:build !race

package simulation

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"weir/internal/limit"
	"weir/internal/limit/limittest"
)

// database is PostgreSQL as nodes see it over a network: transactions on one
// row wait for each other, each takes a while to commit, and a kill loses what
// was being committed, or not. What it decides and stores is limittest's
// Ledger, which asks the same pure functions as store does.
type database struct {
	world *world
	books *limittest.Ledger
	rates *limittest.Rates
	now   time.Time // of the transaction under way
	rows  map[string]chan struct{}
	epoch int // counts kills
	up    time.Duration
	slow  time.Duration
	fast  time.Duration // when slow ends
	// mayAct are the nodes that may still spend what they hold: all that did not
	// stop cleanly, since one that is not heard of may be paused.
	mayAct map[string]bool
	// handles are the ledger's of all nodes that ever ran.
	handles []*limittest.Ledger
}

var errAway = errors.New("simulation: the database is away")

func newDatabase(w *world) *database {
	d := &database{world: w, rows: map[string]chan struct{}{}, mayAct: map[string]bool{}}
	d.books = &limittest.Ledger{Now: func() time.Time { return d.now }}
	d.rates = &limittest.Rates{Now: func() time.Time { return d.now }, Nodes: d.nodes}
	return d
}

// divided is the row of all buckets. Its transactions read the clock once they
// have the lock, as Pool asks.
const divided = "buckets"

// nodes is how many nodes the database takes for alive.
func (d *database) nodes() (n int) {
	for _, running := range d.world.running {
		if running != nil {
			n++
		}
	}
	return n
}

// held is what nodes hold of an account, the dead included.
func (d *database) held(a limit.Account) (n int64) {
	for _, h := range d.handles {
		n += h.Held(a)
	}
	return n
}

// transact runs commit in a transaction that locks a row.
func (d *database) transact(row string, commit func()) error {
	if d.world.now() < d.up {
		return errAway
	}
	lock := d.rows[row]
	if lock == nil {
		lock = make(chan struct{}, 1)
		d.rows[row] = lock
	}
	epoch, began := d.epoch, d.world.wall()
	rnd := d.world.random("transaction", row, d.world.now())
	lock <- struct{}{}
	defer func() { <-lock }()
	if epoch != d.epoch {
		return errAway
	}
	now := d.world.wall()
	if row != divided {
		// The transaction's clock: when it began, when it got the lock, or between.
		now = began.Add(time.Duration(rnd.Int64N(int64(now.Sub(began)) + 1)))
	}
	cost := time.Duration(rnd.ExpFloat64() * float64(d.world.commit))
	if d.world.now() < d.fast {
		cost += d.slow
	}
	time.Sleep(cost)
	killed := epoch != d.epoch
	if killed && rnd.IntN(2) == 0 {
		return errAway
	}
	d.now = now
	commit()
	if killed {
		return errAway
	}
	return nil
}

func (d *database) kill(back time.Duration) {
	d.epoch++
	d.up = d.world.now() + back
}

// wire is a node's connection to the database.
type wire struct {
	node *node
	own  *limittest.Ledger // its handle
}

func (n *node) connect() *wire {
	own := n.world.db.books.Node(n.name)
	n.world.db.handles = append(n.world.db.handles, own)
	return &wire{n, own}
}

// exchange asks the database something and waits for the answer, or until ctx
// ends. What was sent arrives or not, whatever becomes of the sender.
func (w *wire) exchange(ctx context.Context, row, what string, commit func()) error {
	n := w.node
	rnd := n.world.random(n.name, row, what, n.world.now())
	there, back := w.delay(rnd), w.delay(rnd)
	answer := make(chan error, 1)
	if n.dead || ctx.Err() != nil {
		return errAway
	}
	go func() {
		time.Sleep(there)
		if n.world.now() < n.asksCut {
			return
		}
		err := n.world.db.transact(row, commit)
		time.Sleep(back)
		if n.world.now() < n.answersCut {
			return
		}
		answer <- err
	}()
	select {
	case err := <-answer:
		n.gate()
		if n.dead {
			return errAway
		}
		return err
	case <-ctx.Done():
		n.gate()
		return ctx.Err()
	}
}

func (w *wire) delay(rnd *rand.Rand) time.Duration {
	d := float64(w.node.world.latency) * (0.5 + rnd.ExpFloat64())
	if rnd.IntN(100) == 0 {
		d *= 100
	}
	return time.Duration(d) + time.Duration(rnd.IntN(1000))
}

// Spend implements limit.Ledger.
func (w *wire) Spend(ctx context.Context, a limit.Ask) (out limit.Answer, err error) {
	var decided limit.Answer
	err = w.exchange(ctx, a.Account.KeyID, fmt.Sprint(a.Calls), func() {
		var failed error
		if decided, failed = w.own.Spend(context.Background(), a); failed != nil {
			w.node.world.fail("Spend: %v", failed)
		}
	})
	if err != nil {
		w.node.world.spent[keyOf(a.Account)].unknown += a.Calls
		return limit.Answer{}, err
	}
	return decided, nil
}

// Record implements limit.Ledger.
func (w *wire) Record(ctx context.Context, b limit.Batch) error {
	var failed error
	if err := w.exchange(ctx, "batches of "+w.node.name, "", func() { failed = w.own.Record(context.Background(), b) }); err != nil {
		return err
	}
	return failed
}

// Share implements limit.Rates.
func (w *wire) Share(ctx context.Context, asks []limit.ShareAsk) (answers []limit.ShareAnswer, err error) {
	var decided []limit.ShareAnswer
	err = w.exchange(ctx, divided, "ask for "+asks[0].Bucket, func() {
		w.node.world.learn(asks)
		var failed error
		if decided, failed = w.node.world.db.rates.Share(context.Background(), asks); failed != nil {
			w.node.world.fail("Share: %v", failed)
		}
	})
	if err != nil {
		return nil, err
	}
	return decided, nil
}

// Return implements limit.Rates.
func (w *wire) Return(ctx context.Context, back []limit.ShareReturn) error {
	var failed error
	if err := w.exchange(ctx, divided, "return of "+back[0].Bucket, func() { failed = w.node.world.db.rates.Return(context.Background(), back) }); err != nil {
		return err
	}
	return failed
}
