// Package store keeps what is configured, what was spent and what was logged,
// in one SQLite database and a folder of function code.
//
// Everything goes through View (one snapshot to read) and Update (one change:
// prepared by every watcher, committed durably, published by every watcher,
// and only then answered), except the ledger, the logs and the code, which no
// watcher is told about and which have methods of their own.
package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"weir/internal/limit"
)

// ErrClosed answers every call that comes after Close.
var ErrClosed = errors.New("store: the store is closed")

// Options of Open.
type Options struct {
	Dir string           // data folder; made, with mode 0700, when missing
	Now func() time.Time // the wall clock; nil: time.Now
}

// Store is an open data folder. Its methods may be called from many
// goroutines, except Watch. The zero value is of no use: see Open.
type Store struct {
	dir      string
	now      func() time.Time
	node     string // this process, from now to its end; a restart is another one
	lock     *os.File
	watchers []Watcher

	// turn holds one token: whoever took it owns writer until the token is
	// put back. Receivers of a channel are served in the order they came, so
	// neither updates nor spends starve each other.
	turn   chan struct{}
	writer *session
	// unpublished is set, under turn, when a watcher broke off while it
	// published: this node then no longer acts by what is stored.
	unpublished error

	readers chan *session // one place a reader; nil: not opened yet

	spends    chan *spendOp
	spendDone chan struct{}

	closing   chan struct{}
	closeOnce sync.Once
	closeErr  error
}

var _ limit.Ledger = (*Store)(nil)

// Close waits for calls that are being served, refuses those that wait, and
// lets go of the data folder. A second Close returns what the first did.
// It must not be called from inside View or Update.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		close(s.closing)
		<-s.spendDone
		<-s.turn // never put back
		var errs []error
		for range cap(s.readers) {
			if r := <-s.readers; r != nil {
				errs = append(errs, r.close())
			}
		}
		// Not needed for safety: it spares the next start the reading of the
		// log and leaves one file to copy.
		errs = append(errs, s.writer.exec("PRAGMA wal_checkpoint(TRUNCATE)"), s.writer.close(), s.lock.Close())
		s.closeErr = errors.Join(errs...)
	})
	return s.closeErr
}

// codeDir is where function code lies.
func (s *Store) codeDir() string { return filepath.Join(s.dir, CodeFolder) }

// acquire waits for the turn to write.
func (s *Store) acquire(ctx context.Context) error {
	if err := s.refuse(ctx); err != nil {
		return err
	}
	select {
	case <-s.turn:
		return nil
	case <-s.closing:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// release passes the turn on, with a connection that works.
func (s *Store) release() {
	if s.writer.broken {
		if w, err := openSession(dsn(s.dir, writing)); err == nil {
			s.writer.close()
			s.writer = w
		}
	}
	s.turn <- struct{}{}
}

// refuse says why a call is not begun. A select alone would pick any of the
// ready cases.
func (s *Store) refuse(ctx context.Context) error {
	select {
	case <-s.closing:
		return ErrClosed
	default:
		return ctx.Err()
	}
}

// write runs fn in a transaction of its own, without watchers, and commits it
// durably.
func (s *Store) write(ctx context.Context, fn func(*session) error) (err error) {
	if err := s.acquire(ctx); err != nil {
		return err
	}
	defer s.release()
	return s.writer.transact(func() error { return fn(s.writer) })
}

// read lends a reading connection to fn.
func (s *Store) read(ctx context.Context, fn func(*session) error) error {
	if err := s.refuse(ctx); err != nil {
		return err
	}
	var r *session
	select {
	case r = <-s.readers:
	case <-s.closing:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { s.readers <- r }()
	if r == nil {
		opened, err := openSession(dsn(s.dir, reading))
		if err != nil {
			return failed(fmt.Errorf("cannot open a connection to read: %w", err))
		}
		r = opened
	}
	err := fn(r)
	if r.broken {
		r.close()
		r = nil
	}
	return err
}

// View gives fn one consistent snapshot to read. A View that begins after an
// Update returned sees that Update. fn must not call View, Update or Close,
// and nothing of tx may be used after it returned.
func (s *Store) View(ctx context.Context, fn func(*Tx) error) error {
	return s.read(ctx, func(r *session) error {
		if err := r.exec("BEGIN"); err != nil {
			return err
		}
		tx := &Tx{ctx: ctx, db: r, now: s.now()}
		// Deferred, because fn may panic and the connection is used again.
		defer r.rollback()
		defer tx.end()
		return fn(tx)
	})
}
