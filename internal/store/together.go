package store

import (
	"context"
	"fmt"
	"sync/atomic"
)

// maxGroup bounds what shares one commit, and so how long the first of those who
// wait does, and how many locks of the database one transaction takes.
const maxGroup = 256

// together commits calls that wait at the same time in one transaction. run
// answers them in their order.
type together[Q, A any] struct {
	lane    *lane
	run     func(*session, []Q) ([]A, error)
	size    func(Q) int // of a question, in parts of maxGroup
	closing <-chan struct{}

	calls chan *call[Q, A] // not buffered: those who wait are its senders
	ended chan struct{}
}

// call is one question on its way.
type call[Q, A any] struct {
	question Q

	taken  atomic.Bool // by the group that runs it, or by its caller who gave up
	done   chan struct{}
	answer A
	err    error
}

// newTogether makes a group and serves it until closing is closed and what has
// begun is done: ended is closed then.
func newTogether[Q, A any](l *lane, closing <-chan struct{}, size func(Q) int, run func(*session, []Q) ([]A, error)) *together[Q, A] {
	g := &together[Q, A]{lane: l, run: run, size: size, closing: closing, calls: make(chan *call[Q, A]), ended: make(chan struct{})}
	go g.serve()
	return g
}

// do asks. When ctx ends while the question waits it is not run; when it ends
// while one is being committed, the answer is an error and what became of it is
// not known.
func (g *together[Q, A]) do(ctx context.Context, question Q) (none A, err error) {
	c := &call[Q, A]{question: question, done: make(chan struct{})}
	select {
	case g.calls <- c:
	case <-g.closing:
		return none, ErrClosed
	case <-ctx.Done():
		return none, ctx.Err()
	}
	select {
	case <-c.done:
		return c.answer, c.err
	case <-ctx.Done():
		if c.taken.CompareAndSwap(false, true) {
			return none, ctx.Err()
		}
		return none, fmt.Errorf("store: it may have been counted, and is not admitted: %w", ctx.Err())
	}
}

// serve runs groups. While one is being committed the next one gathers.
func (g *together[Q, A]) serve() {
	defer close(g.ended)
	group := make([]*call[Q, A], 0, maxGroup)
	for {
		select {
		case first := <-g.calls:
			<-g.lane.turn
			group = g.gather(append(group[:0], first))
			g.commit(group)
			g.lane.release()
			for i, c := range group {
				close(c.done)
				group[i] = nil
			}
		case <-g.closing:
			return
		}
	}
}

// gather adds whoever waits and leaves out who has given up.
func (g *together[Q, A]) gather(group []*call[Q, A]) []*call[Q, A] {
	size := g.size(group[0].question)
	if !group[0].taken.CompareAndSwap(false, true) {
		group, size = group[:0], 0
	}
	for size < maxGroup {
		select {
		case c := <-g.calls:
			if c.taken.CompareAndSwap(false, true) {
				group = append(group, c)
				size += g.size(c.question)
			}
		default:
			return group
		}
	}
	return group
}

// commit runs a group in one transaction. An error of the database is
// everybody's error: it may have rolled back all of it.
func (g *together[Q, A]) commit(group []*call[Q, A]) {
	if len(group) == 0 {
		return
	}
	questions := make([]Q, len(group))
	for i, c := range group {
		questions[i] = c.question
	}
	var answers []A
	err := g.lane.transact(func() (err error) {
		answers, err = g.run(g.lane.session, questions)
		return err
	})
	for i, c := range group {
		if err != nil {
			c.err = err
		} else {
			c.answer = answers[i]
		}
	}
}
