package store

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"weir/internal/limit"
)

// What a data folder holds: the database, and a folder of function code.
const (
	DatabaseFile = "weir.db"
	CodeFolder   = "code"
)

// LockFile is the file in a data folder by which it is locked.
const LockFile = "weir.lock"

// Restoring is the folder in a data folder whose restore is under way. No
// store is opened there.
const Restoring = "restoring"

// Temporary begins the names of what is only there while something is being
// written, in the data folder and in its code folder. What is left of a crash
// is removed when the folder is opened.
const Temporary = "tmp-"

// Open opens the data folder, making what is missing, and brings the database's
// schema up to date. It fails when another process has the folder open and when
// the database was written by a newer version. It asks PostgreSQL once: an error
// that is ErrUnreachable can be gone a moment later.
func Open(ctx context.Context, o Options) (_ *Store, err error) {
	if o.Dir == "" {
		return nil, errors.New("store: no data folder given")
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(filepath.Join(dir, CodeFolder), 0o700); err != nil {
		return nil, failed(fmt.Errorf("cannot make the data folder: %w", err))
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	s := &Store{
		dir: dir, now: o.Now, lock: lock, node: randomNode(), logger: o.Logger,
		closing: make(chan struct{}),
	}
	if err := s.open(o.Database); err != nil {
		for _, l := range s.lanes() {
			if l != nil {
				l.close()
			}
		}
		lock.Close()
		return nil, err
	}
	s.spends = newTogether(s.ledger, s.closing, func(limit.Ask) int { return 1 }, s.spend)
	if s.cluster != nil {
		s.cluster.rates = newTogether(s.cluster.divides, s.closing, ratesCall.size, s.divide)
		s.cluster.running.Go(s.beat)
	}
	return s, nil
}

func randomNode() string {
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}

func (s *Store) open(database string) error {
	if _, err := os.Lstat(filepath.Join(s.dir, Restoring)); err == nil {
		return fmt.Errorf("store: a restore into %s was cut short: remove that folder and restore again", s.dir)
	}
	for _, dir := range []string{s.dir, s.codeDir()} {
		if err := clearTemporaries(dir); err != nil {
			return fmt.Errorf("store: %w", err)
		}
	}
	if database != "" {
		return s.openPostgres(database)
	}
	return s.openSQLite()
}

func (s *Store) openSQLite() error {
	// SQLite would make the file readable for everybody; its other files take
	// their mode from this one.
	path := filepath.Join(s.dir, DatabaseFile)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return failed(fmt.Errorf("cannot open the database: %w", err))
	}
	f.Close()
	if err := syncFolder(s.dir); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	w, err := openSQLite(dsn(s.dir, writing))
	if err != nil {
		return failed(fmt.Errorf("cannot open %s: %w", path, err))
	}
	s.updates = newLane(w)
	s.ledger, s.rest = s.updates, s.updates
	if err := s.checkPragmas(); err != nil {
		return err
	}
	if err := w.migrate(path, migrations, s.now()); err != nil {
		return err
	}
	s.readers = make(chan *session, max(4, 2*runtime.GOMAXPROCS(0)))
	for range cap(s.readers) {
		s.readers <- lazySession(&sqliteDialect, 0, connectSQLite(dsn(s.dir, reading)))
	}
	if err := w.touchTables(); err != nil {
		return err
	}
	// Who holds the folder is the only one that lives.
	return w.transact(func() error {
		if err := w.exec("DELETE FROM node"); err != nil {
			return err
		}
		return w.exec("INSERT INTO node (id, batch) VALUES (?, 0)", s.node)
	})
}

// touchTables reads a row of every table, so that a damaged database is told of
// before anything in it is changed.
func (c *session) touchTables() error {
	var tables []string
	err := c.rows("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'", nil, func(scan func(...any) error) error {
		var name string
		err := scan(&name)
		tables = append(tables, name)
		return err
	})
	for i := 0; err == nil && i < len(tables); i++ {
		var one int
		_, err = c.row("SELECT 1 FROM "+tables[i]+" LIMIT 1", nil, &one)
	}
	return err
}

// checkPragmas makes sure of what durability rests on: SQLite keeps another
// journal mode without an error where the file system cannot do WAL.
func (s *Store) checkPragmas() error {
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1"} {
		var got string
		if _, err := s.updates.row("PRAGMA "+pragma, nil, &got); err != nil {
			return err
		}
		if got != want {
			return fmt.Errorf("store: the data folder %s cannot be used: SQLite's %s is %s there and must be %s "+
				"(network file systems cannot do this; use a local disk)", s.dir, pragma, got, want)
		}
	}
	return nil
}

// lockFolder takes the lock of a data folder and writes this process's id
// into it. The lock ends with the process, however that ends.
func lockFolder(dir string) (*os.File, error) {
	path := filepath.Join(dir, LockFile)
	f, err := lockPath(path)
	if errors.Is(err, errLocked) {
		holder := "another process"
		if b, err := os.ReadFile(path); err == nil {
			if pid, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
				holder = fmt.Sprintf("process %d", pid)
			}
		}
		return nil, fmt.Errorf("store: the data folder %s is in use by %s: stop that server first, or give this one another folder (--data)", dir, holder)
	}
	if err != nil {
		return nil, failed(fmt.Errorf("cannot lock the data folder: %w", err))
	}
	pid := []byte(strconv.Itoa(os.Getpid()) + "\n")
	if err = f.Truncate(int64(len(pid))); err == nil {
		_, err = f.WriteAt(pid, 0)
	}
	if err != nil {
		f.Close()
		return nil, failed(fmt.Errorf("cannot lock the data folder: %w", err))
	}
	return f, nil
}

// errLocked is lockPath's answer when another holds the lock.
var errLocked = errors.New("locked")
