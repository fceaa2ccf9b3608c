package store

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"weir/internal/catalog"
)

// How writes share SQLite's one connection that writes.
//
// An Update has a transaction of its own, and its publishes run before the
// next write begins. Several Updates in one commit would be cheaper, but then
// a watcher would prepare the second against memory in which the first is not
// published yet: copies made aside (a route table, say) would silently lose
// the first when they are swapped in, and a failed commit would have to undo
// what later preparations were built on. Changes are rare; their correctness
// is not worth a shared fsync. Spends are frequent and touch no watcher: they
// are grouped, as many as wait, in one commit (see ledger.go). The turn
// alternates between the two, so neither starves.
//
// On PostgreSQL the same holds for the whole cluster: an Update holds a lock of
// the database until it is committed, and is told first what other nodes did
// (see follow.go).

// Change is one entry before and after one Update; nil means absent. New is
// the value that was put (always the plain value, never a pointer).
type Change struct {
	Kind     catalog.Kind
	Key      string
	Old, New catalog.Entry
}

// Watcher prepares a change: it compiles its part aside, may read tx (which
// holds the new state), and returns what publishes it (nil: nothing to do). An
// error aborts the Update.
//
// Watchers are called inside the transaction, one at a time, in the order in
// which they were added, and everything committed before is published by then.
// publish runs only after the commit, in the same order, before the Update
// returns; it must not fail, block or call the store.
type Watcher func(tx *Tx, changes []Change) (publish func(), err error)

// Watch adds a watcher; called before the store is shared.
func (s *Store) Watch(w Watcher) { s.watchers = append(s.watchers, w) }

// PanicError is what Update returns when its function or a watcher panicked.
// Nothing was stored then.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("store: an update panicked: %v", e.Value) }

// Update runs fn, gives the changes it made to every watcher, commits durably,
// lets every watcher publish, and returns. An error of fn or of a watcher
// rolls back and is returned as it is; a panic of either becomes a
// *PanicError. On PostgreSQL an error can leave open whether the change was
// stored, and says so then: this node acts by what is stored within a second,
// as the others do. When ctx ends while the Update waits for its turn it is not
// run; once it runs it is completed. fn runs on the caller's goroutine, must
// not call View, Update, Spend or Close, and nothing of tx may be used after
// it returned.
func (s *Store) Update(ctx context.Context, fn func(*Tx) error) error {
	if err := s.acquire(ctx, s.updates); err != nil {
		return err
	}
	defer s.updates.release()
	if err := s.unpublished.Load(); err != nil {
		return *err
	}
	w := s.updates.session
	tx := &Tx{ctx: ctx, db: w, writable: true}
	var publishes []func()
	var place int64
	if err := w.transact(func() (err error) {
		if err = s.enter(tx); err != nil {
			return err
		}
		if publishes, err = s.prepare(tx, fn); err != nil {
			return err
		}
		place, err = s.announce(w, tx.collected())
		return err
	}); err != nil {
		return err
	}
	s.publish(publishes)
	s.arrived(place)
	return nil
}

// enter gives a transaction its instant. In a cluster one Update runs at a
// time, and it begins with what the others did.
func (s *Store) enter(tx *Tx) (err error) {
	if s.cluster != nil {
		if err := tx.db.exec(lockUpdates); err != nil {
			return err
		}
	}
	if tx.now, err = s.clock(tx.db); err != nil || s.cluster == nil {
		return err
	}
	if err := s.catchUp(tx.ctx, tx.db, tx.now); err != nil {
		return err
	}
	tx.version = s.cluster.place.Load() + 1 // the row's number is this or greater
	return nil
}

// prepare runs fn and the watchers.
func (s *Store) prepare(tx *Tx, fn func(*Tx) error) (publishes []func(), err error) {
	defer tx.end()
	defer recovered(&err)
	if err := fn(tx); err != nil {
		return nil, err
	}
	// fn may have dropped an error of the database; SQLite may have rolled
	// back by itself then, and what followed would stand alone.
	if tx.failed != nil {
		return nil, tx.failed
	}
	return s.tell(tx)
}

// recovered makes a panic an error. It is deferred.
func recovered(err *error) {
	if v := recover(); v != nil {
		*err = &PanicError{Value: v, Stack: debug.Stack()}
	}
}

// tell gives the watchers what was changed in tx, and collects what publishes
// it.
func (s *Store) tell(tx *Tx) (publishes []func(), err error) {
	changes := tx.collected()
	if len(changes) == 0 {
		return nil, nil
	}
	tx.writable = false
	for _, w := range s.watchers {
		publish, err := w(tx, changes)
		if err != nil {
			return nil, err
		}
		if publish != nil {
			publishes = append(publishes, publish)
		}
	}
	return publishes, tx.failed
}

// publish runs what the watchers prepared. A panic leaves this node in a state
// that is not what is stored: it goes on to the caller, and no further change
// is taken until a restart builds the state anew.
func (s *Store) publish(publishes []func()) {
	done := false
	defer func() {
		if !done {
			err := errors.New("store: an earlier change is stored but could not be published: restart the server")
			s.unpublished.Store(&err)
		}
	}()
	for _, p := range publishes {
		p()
	}
	done = true
}
