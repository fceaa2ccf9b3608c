package store

import "context"

// lane is one connection that writes, and its turn: whoever took the token
// owns the connection until the token is put back. Receivers of a channel are
// served in the order they came, so nobody starves.
//
// On SQLite, which writes one transaction at a time, everybody shares one lane.
// On PostgreSQL what has nothing to do with one another has lanes of its own, so
// that a call's quota never waits for a change or for logs.
type lane struct {
	turn chan struct{}
	*session
}

func newLane(c *session) *lane {
	l := &lane{turn: make(chan struct{}, 1), session: c}
	l.release()
	return l
}

func (l *lane) release() { l.turn <- struct{}{} }

// acquire waits for the turn of a lane.
func (s *Store) acquire(ctx context.Context, l *lane) error {
	if err := s.refuse(ctx); err != nil {
		return err
	}
	select {
	case <-l.turn:
		return nil
	case <-s.closing:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// write runs fn in a transaction of its own, without watchers, and commits it
// durably.
func (s *Store) write(ctx context.Context, l *lane, fn func(*session) error) error {
	if err := s.acquire(ctx, l); err != nil {
		return err
	}
	defer l.release()
	return l.transact(func() error { return fn(l.session) })
}
