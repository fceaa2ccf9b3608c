package store

import (
	"context"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"weir/internal/limit"
)

// A node is alive while its row was seen not long ago, by the database's clock.
const (
	beatEvery = time.Second
	aliveFor  = 5 * time.Second
	// What is remembered of nodes that are gone.
	nodeKept = 60 * 24 * time.Hour
)

// cluster is what a store has besides when it shares its database.
type cluster struct {
	beats    *session // says that this node is alive
	follower *session // hears of changes
	divides  *lane    // buckets
	rates    *together[ratesCall, []limit.ShareAnswer]

	place   atomic.Int64 // the last change that this node acts by, set under the turn of updates; 0: it does not follow
	trouble atomic.Pointer[error]
	failed  chan error

	serving context.Context // until Close
	stop    context.CancelFunc
	running sync.WaitGroup
}

func newCluster() *cluster {
	c := &cluster{failed: make(chan error, 1)}
	c.serving, c.stop = context.WithCancel(context.Background())
	return c
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	return name
}

// join registers this node.
func (s *Store) join() error {
	b := s.cluster.beats
	return b.transact(func() error {
		if err := b.exec("INSERT INTO node (id, name, started, ended, batch) VALUES (?, ?, weir_now(), 0, 0)", s.node, hostname()); err != nil {
			return err
		}
		return b.seen(s.node)
	})
}

// seen says that a node is alive.
func (c *session) seen(node string) error {
	return c.exec("INSERT INTO beat (id, seen) VALUES (?, weir_now()) ON CONFLICT (id) DO UPDATE SET seen = excluded.seen", node)
}

// beat says each second that this node is alive, and now and then removes what
// no node needs any more.
func (s *Store) beat() {
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-s.cluster.serving.Done():
			return
		case <-tick.C:
		}
		b := s.cluster.beats
		err := b.transact(func() error {
			err := b.seen(s.node)
			if err == nil && n%60 == 1 {
				err = b.trim()
			}
			return err
		})
		if err != nil {
			s.logger.Error("saying that this node is alive; it is tried again", "error", err)
		}
	}
}

// leave ends what runs beside the calls, and marks a clean stop.
func (s *Store) leave() error {
	c := s.cluster
	c.stop()
	c.running.Wait()
	<-c.rates.ended
	err := c.beats.transact(func() error {
		return c.beats.exec("UPDATE node SET ended = weir_now() WHERE id = ?", s.node)
	})
	return errors.Join(err, c.beats.close(), c.follower.close())
}

// Failed tells, at most once, why this node must not go on: it can no longer
// follow what other nodes change, and would act by what is not true any more.
// A restart reads everything anew.
func (s *Store) Failed() <-chan error {
	if s.cluster == nil {
		return nil
	}
	return s.cluster.failed
}

// fail ends this node's following for good.
func (s *Store) fail(err error) {
	select {
	case s.cluster.failed <- err:
	default: // it is told already
	}
}

// Ready says why this node should get no calls: nil, or what is the matter.
func (s *Store) Ready(ctx context.Context) error {
	if err := s.unpublished.Load(); err != nil {
		return *err
	}
	if s.cluster != nil {
		if err := s.cluster.trouble.Load(); err != nil {
			return *err
		}
	}
	return s.View(ctx, func(tx *Tx) error {
		_, err := tx.Meta("")
		return err
	})
}
