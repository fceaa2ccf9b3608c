package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"modernc.org/sqlite"
)

// session is one connection with its prepared statements. It is used by one
// goroutine at a time.
//
// Statements run without the caller's context: what has begun is completed, or
// fails by the session's own limit (and the driver starts a goroutine for every
// statement whose context can end).
type session struct {
	*dialect
	connect func() (*sql.DB, *sql.Conn, error) // again, when the connection is lost
	limit   time.Duration                      // of one statement over a network; 0: none
	until   time.Time                          // and this moment too; the zero time: none

	db       *sql.DB
	conn     *sql.Conn
	prepared map[string]*sql.Stmt // by text; the texts are few and fixed
	broken   bool                 // a transaction could not be ended
}

type mode int

const (
	writing mode = iota
	reading
	copying // the database to another file; of its own it changes nothing
)

// dsn names the database with every pragma a connection needs, so that no
// connection can be without them.
func dsn(dir string, m mode) string {
	path := filepath.ToSlash(filepath.Join(dir, DatabaseFile))
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // a Windows drive
	}
	q := url.Values{"_dqs": {"0"}, "_pragma": {
		"busy_timeout(10000)", // first: the others may have to wait for a lock
		"foreign_keys(ON)",
		"trusted_schema(OFF)",
		"temp_store(MEMORY)",
		// Without these a commit on macOS ends in the disk's own cache.
		"fullfsync(ON)",
		"checkpoint_fullfsync(ON)",
	}}
	switch m {
	case writing:
		q["_pragma"] = append(q["_pragma"], "journal_mode(WAL)", "synchronous(FULL)",
			"journal_size_limit(67108864)", "cache_size(-8192)")
	case reading:
		q["_pragma"] = append(q["_pragma"], "query_only(ON)", "cache_size(-2048)")
	case copying:
		// query_only would hold for the copy too. The last to leave a database
		// moves its log into it, so that has to be as durable as a server's.
		q.Set("mode", "rw")
		q["_pragma"] = append(q["_pragma"], "synchronous(FULL)", "cache_size(-8192)")
	}
	return "file://" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

// connectSQLite connects to a file.
func connectSQLite(dsn string) func() (*sql.DB, *sql.Conn, error) {
	// A commit is as durable with fdatasync as with fsync, and does not wait
	// for timestamps. Where there is no such call the error says so and the
	// driver goes on with what there is.
	_, _ = sqlite.Fdatasync(true)
	return func() (*sql.DB, *sql.Conn, error) {
		db, err := sql.Open("sqlite", dsn)
		if err != nil {
			return nil, nil, err
		}
		db.SetMaxOpenConns(1)
		conn, err := db.Conn(context.Background())
		if err != nil {
			db.Close()
		}
		return db, conn, err
	}
}

func openSQLite(dsn string) (*session, error) {
	c := lazySession(&sqliteDialect, 0, connectSQLite(dsn))
	return c, c.reconnect()
}

// lazySession connects when its first transaction begins.
func lazySession(d *dialect, limit time.Duration, connect func() (*sql.DB, *sql.Conn, error)) *session {
	return &session{dialect: d, limit: limit, connect: connect, broken: true}
}

// reconnect gives the session a new connection. After an error it has the old
// one, which is of no use, and is still broken.
func (c *session) reconnect() error {
	db, conn, err := c.connect()
	if err != nil {
		c.broken = true
		return failed(err)
	}
	if c.db != nil {
		c.close()
	}
	c.db, c.conn, c.prepared, c.broken = db, conn, map[string]*sql.Stmt{}, false
	return nil
}

func (c *session) close() error {
	if c.db == nil {
		return nil
	}
	c.hangUp(c)
	for _, st := range c.prepared {
		st.Close()
	}
	err := c.conn.Close()
	if e := c.db.Close(); err == nil {
		err = e
	}
	if c.lost(c, err) || errors.Is(err, sql.ErrConnDone) {
		return nil // it was over before
	}
	return err
}

// bound limits one statement.
func (c *session) bound() (context.Context, context.CancelFunc) {
	if c.limit == 0 {
		return context.Background(), func() {}
	}
	end := time.Now().Add(c.limit)
	if !c.until.IsZero() && c.until.Before(end) {
		end = c.until
	}
	return context.WithDeadline(context.Background(), end)
}

func (c *session) stmt(ctx context.Context, query string) (*sql.Stmt, error) {
	if st, ok := c.prepared[query]; ok {
		return st, nil
	}
	st, err := c.conn.PrepareContext(ctx, c.spell(query))
	if err != nil {
		return nil, failed(err)
	}
	c.prepared[query] = st
	return st, nil
}

func (c *session) exec(query string, args ...any) error {
	_, err := c.execCount(query, args...)
	return err
}

// execCount also says how many rows were changed.
func (c *session) execCount(query string, args ...any) (int64, error) {
	ctx, cancel := c.bound()
	defer cancel()
	st, err := c.stmt(ctx, query)
	if err != nil {
		return 0, err
	}
	r, err := st.ExecContext(ctx, c.values(args)...)
	if err != nil {
		return 0, failed(err)
	}
	return r.RowsAffected()
}

// script runs a text of many statements, which have no parameters.
func (c *session) script(text string) error {
	ctx, cancel := c.bound()
	defer cancel()
	_, err := c.conn.ExecContext(ctx, text, c.whole...)
	return failed(err)
}

// row reads one row into dest; ok is false when there is none.
func (c *session) row(query string, args []any, dest ...any) (ok bool, err error) {
	ctx, cancel := c.bound()
	defer cancel()
	st, err := c.stmt(ctx, query)
	if err != nil {
		return false, err
	}
	switch err := st.QueryRowContext(ctx, c.values(args)...).Scan(dest...); err {
	case nil:
		return true, nil
	case sql.ErrNoRows:
		return false, nil
	default:
		return false, failed(err)
	}
}

// rows calls each for every row of the answer. each scans, and runs nothing
// else on the session.
func (c *session) rows(query string, args []any, each func(scan func(...any) error) error) error {
	ctx, cancel := c.bound()
	defer cancel()
	st, err := c.stmt(ctx, query)
	if err != nil {
		return err
	}
	rows, err := st.QueryContext(ctx, c.values(args)...)
	if err != nil {
		return failed(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(rows.Scan); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return failed(err)
	}
	return nil
}

// many runs a query with each row of arguments: see dialect.send.
func (c *session) many(query string, rows [][]any, each func(i int, scan func(...any) error) error) error {
	return c.send(c, query, rows, each)
}

// begin begins a transaction. A connection that was lost since it was last
// used is replaced: nothing of the transaction has been done yet.
func (c *session) begin(statement string) error {
	if c.broken {
		if err := c.reconnect(); err != nil {
			return err
		}
	}
	err := c.exec(statement)
	if !c.lost(c, err) {
		return err
	}
	if err := c.reconnect(); err != nil {
		return err
	}
	return c.exec(statement)
}

// transact runs fn in one writing transaction. Whatever way fn is left, the
// transaction is over afterwards; it is committed only when fn returned nil.
// The error is an errUnknown when it may have been committed.
func (c *session) transact(fn func() error) error {
	if err := c.begin(c.beginWriting); err != nil {
		return err
	}
	over := false
	defer func() {
		if !over {
			c.rollback()
		}
	}()
	if err := fn(); err != nil {
		return err
	}
	if err := c.sound(c); err != nil {
		return err
	}
	err := c.exec("COMMIT")
	if err == nil {
		over = true
		if err = c.kept(c); err == nil {
			return nil
		}
	}
	switch {
	case over:
		return &errUnknown{err}
	case c.decided(err):
		return fmt.Errorf("store: nothing was committed: %w", err)
	}
	c.broken, over = true, true
	return &errUnknown{err}
}

// errUnknown is a commit whose answer did not come.
type errUnknown struct{ err error }

func (e *errUnknown) Error() string {
	return "store: the database did not say whether it has committed this, and may have done it: look before you do it again: " + e.err.Error()
}
func (e *errUnknown) Unwrap() error { return e.err }

// snapshot runs fn on one state of the database.
func (c *session) snapshot(fn func() error) error {
	if err := c.begin(c.beginReading); err != nil {
		return err
	}
	// Deferred, because fn may panic and the connection is used again.
	defer c.rollback()
	return fn()
}

// rollback ends the transaction. SQLite has ended it by itself after some
// errors (disk full, I/O), so it is asked by way of BEGIN, which fails exactly
// when a transaction is still open.
func (c *session) rollback() {
	if c.exec("ROLLBACK") == nil {
		return
	}
	if c.exec("BEGIN") != nil || c.exec("ROLLBACK") != nil {
		c.broken = true
	}
}
