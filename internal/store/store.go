// Package store keeps what is configured, what was spent and what was logged:
// in one SQLite database and a folder of function code, or, for several nodes,
// in PostgreSQL.
//
// Everything goes through View (one snapshot to read) and Update (one change:
// prepared by every watcher, committed durably, published by every watcher,
// and only then answered), except the ledger, the logs and the code, which no
// watcher is told about and which have methods of their own.
package store

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"weir/internal/limit"
)

// ErrClosed answers every call that comes after Close.
var ErrClosed = errors.New("store: the store is closed")

// Options of Open.
type Options struct {
	Dir string // data folder; made, with mode 0700, when missing

	// Database is the URL of a PostgreSQL database, which any number of nodes
	// share, each with a data folder of its own:
	// postgres://USER:PASSWORD@HOST:PORT/NAME. What it leaves out is taken from
	// PGPASSWORD, a password file and their kin. "" is SQLite in the data folder.
	Database string

	Now    func() time.Time // the wall clock, with SQLite; nil: time.Now
	Logger *slog.Logger     // nil: discards
}

// Store is an open data folder, with its database. Its methods may be called
// from many goroutines, except Watch. The zero value is of no use: see Open.
type Store struct {
	dir      string
	now      func() time.Time
	lock     *os.File
	node     string
	logger   *slog.Logger
	watchers []Watcher

	updates *lane         // changes
	ledger  *lane         // what is spent
	rest    *lane         // logs, code, buckets
	readers chan *session // one place a reader, each connects when it is first used

	// unpublished is set when a watcher broke off while it published: this
	// node then no longer acts by what is stored.
	unpublished atomic.Pointer[error]

	cluster *cluster // nil with SQLite

	spends *together[limit.Ask, limit.Answer]

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
		<-s.spends.ended
		var errs []error
		if s.cluster != nil {
			errs = append(errs, s.leave())
		}
		for _, l := range s.lanes() {
			<-l.turn // never put back
		}
		for range cap(s.readers) {
			errs = append(errs, (<-s.readers).close())
		}
		if s.cluster == nil {
			// Not needed for safety: it spares the next start the reading of
			// the log and leaves one file to copy.
			errs = append(errs, s.updates.exec("PRAGMA wal_checkpoint(TRUNCATE)"))
		}
		for _, l := range s.lanes() {
			errs = append(errs, l.close())
		}
		s.closeErr = errors.Join(append(errs, s.lock.Close())...)
	})
	return s.closeErr
}

// lanes are the lanes, each once.
func (s *Store) lanes() []*lane {
	if s.cluster == nil {
		return []*lane{s.updates}
	}
	return []*lane{s.updates, s.ledger, s.rest, s.cluster.divides}
}

// Node names this process's time with the database: 16 hexadecimal digits, new
// at each Open. A restarted server is another node.
func (s *Store) Node() string { return s.node }

// Shared says whether other nodes may have the database open.
func (s *Store) Shared() bool { return s.cluster != nil }

// codeDir is where function code lies.
func (s *Store) codeDir() string { return filepath.Join(s.dir, CodeFolder) }

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

// read lends a reading connection to fn, which sees one state of the database.
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
	r.until, _ = ctx.Deadline()
	return r.snapshot(func() error { return fn(r) })
}

// View gives fn one consistent snapshot to read. A View that begins after an
// Update of this node returned sees that Update. fn must not call View, Update
// or Close, and nothing of tx may be used after it returned.
func (s *Store) View(ctx context.Context, fn func(*Tx) error) error {
	return s.read(ctx, func(r *session) error {
		now, err := s.clock(r)
		if err != nil {
			return err
		}
		tx := &Tx{ctx: ctx, db: r, now: now}
		defer tx.end()
		return fn(tx)
	})
}

// clock is one instant by the database's clock: the nodes of a cluster have
// no other in common. With SQLite it is this machine's.
func (s *Store) clock(c *session) (time.Time, error) {
	if s.cluster == nil {
		return s.now(), nil
	}
	var now int64
	_, err := c.row("SELECT weir_now()", nil, &now)
	return fromNanos(now), err
}
