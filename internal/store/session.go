package store

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"modernc.org/sqlite"
)

// session is one connection with its prepared statements. It is used by one
// goroutine at a time.
//
// Statements run without the caller's context: what has begun is completed
// (the driver starts a goroutine for every statement whose context can end).
type session struct {
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

func openSession(dsn string) (*session, error) {
	// A commit is as durable with fdatasync as with fsync, and does not wait
	// for timestamps. Where there is no such call the error says so and the
	// driver goes on with what there is.
	_, _ = sqlite.Fdatasync(true)
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	conn, err := db.Conn(context.Background())
	if err != nil {
		db.Close()
		return nil, err
	}
	return &session{db: db, conn: conn, prepared: map[string]*sql.Stmt{}}, nil
}

func (c *session) close() error {
	for _, st := range c.prepared {
		st.Close()
	}
	err := c.conn.Close()
	if e := c.db.Close(); err == nil {
		err = e
	}
	return err
}

func (c *session) stmt(query string) (*sql.Stmt, error) {
	if st, ok := c.prepared[query]; ok {
		return st, nil
	}
	st, err := c.conn.PrepareContext(context.Background(), query)
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
	st, err := c.stmt(query)
	if err != nil {
		return 0, err
	}
	r, err := st.ExecContext(context.Background(), args...)
	if err != nil {
		return 0, failed(err)
	}
	return r.RowsAffected()
}

// row reads one row into dest; ok is false when there is none.
func (c *session) row(query string, args []any, dest ...any) (ok bool, err error) {
	st, err := c.stmt(query)
	if err != nil {
		return false, err
	}
	switch err := st.QueryRowContext(context.Background(), args...).Scan(dest...); err {
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
	st, err := c.stmt(query)
	if err != nil {
		return err
	}
	rows, err := st.QueryContext(context.Background(), args...)
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

// transact runs fn in one writing transaction. Whatever way fn is left, the
// transaction is over afterwards; it is committed only when fn returned nil.
func (c *session) transact(fn func() error) error {
	if err := c.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	committed := false
	defer func() {
		if !committed {
			c.rollback()
		}
	}()
	if err := fn(); err != nil {
		return err
	}
	if err := c.exec("COMMIT"); err != nil {
		return fmt.Errorf("store: nothing was committed: %w", err)
	}
	committed = true
	return nil
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
