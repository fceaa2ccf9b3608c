package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// dialect is what SQLite and PostgreSQL do not say alike. Everything else is
// one text for both: '?' for a parameter, the target of an ON CONFLICT and the
// table of a column in its SET named, a subquery with a name of its own.
type dialect struct {
	beginWriting, beginReading string

	forUpdate string // behind a SELECT whose rows are changed then

	// Nodes by their table: those that are alive, and those that can still act
	// by what they hold.
	alive, mayAct string

	keyFace, linkFace face
	// faces gives fn the joined faces of a table, part by part, in their order.
	faces func(tx *Tx, f face, fn func(text string) error) error

	// send runs a query with each row of arguments, in their order, and gives
	// each the one row that each answers; each may be nil.
	send func(c *session, query string, rows [][]any, each func(i int, scan func(...any) error) error) error

	spell  func(query string) string
	values func(args []any) []any
	whole  []any // arguments of a text of many statements

	// lost says that an error came because the connection is gone.
	lost func(c *session, err error) bool
	// sound says why a COMMIT would not commit.
	sound func(c *session) error
	// decided says that an error of COMMIT means that nothing was committed.
	decided func(err error) bool
	// kept says why a COMMIT without an error may yet be lost.
	kept func(c *session) error
	// hangUp ends a connection without waiting long for the other side.
	hangUp func(c *session)
}

var sqliteDialect = dialect{
	beginWriting: "BEGIN IMMEDIATE",
	beginReading: "BEGIN",
	// The expressions are those of the indexes in the schema, to the letter:
	// otherwise SQLite computes them anew from the table.
	keyFace:  joinedFace("api_key", "api_key_face", "CAST(digest || enabled || id || '/' AS BLOB)"),
	linkFace: joinedFace("usage_plan_key", "usage_plan_key_face", "CAST(plan_id || '/' || key_id || '/' || added || '/' AS BLOB)"),
	alive:    "SELECT id FROM node",
	mayAct:   "SELECT id FROM node",
	send:     oneByOne,
	faces:    joinedFaces,
	spell:    func(query string) string { return query },
	values:   func(args []any) []any { return args },
	lost:     func(*session, error) bool { return false },
	sound:    func(*session) error { return nil },
	decided:  func(error) bool { return true },
	kept:     func(*session) error { return nil },
	hangUp:   func(*session) {},
}

// In PostgreSQL all text is BYTEA: it compares byte by byte whatever the
// database's collation, and holds what strangers send, NUL and broken UTF-8
// included.
var postgresDialect = dialect{
	// Named, because a database can have other defaults.
	beginWriting: "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",
	beginReading: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
	keyFace:      face{all: "SELECT digest || CASE WHEN enabled THEN '1'::bytea ELSE '0'::bytea END || id || '/'::bytea FROM api_key ORDER BY digest"},
	linkFace: face{all: "SELECT plan_id || '/'::bytea || key_id || '/'::bytea || added::text::bytea || '/'::bytea FROM usage_plan_key " +
		"ORDER BY plan_id, key_id"},
	forUpdate: " FOR UPDATE",
	alive:     "SELECT id FROM node JOIN beat USING (id) WHERE ended = 0 AND seen > weir_now() - " + strconv.FormatInt(int64(aliveFor), 10),
	// A node that is not heard of may be paused, and go on.
	mayAct: "SELECT id FROM node WHERE ended = 0",
	send:   pipelined,
	faces:  streamedFaces,
	spell:  numbered,
	values: bytesOfStrings,
	whole:  []any{pgx.QueryExecModeSimpleProtocol},
	lost:   lostConnection,
	sound:  soundTransaction,
	decided: func(err error) bool {
		// FATAL ends the session, which may be after the commit: a session
		// that waits for its standby is ended so.
		var answer *pgconn.PgError
		return errors.As(err, &answer) && answer.SeverityUnlocalized == "ERROR"
	},
	kept: keptByStandby,
	hangUp: func(c *session) {
		_ = c.raw(func(conn *pgx.Conn) error {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			return conn.Close(ctx)
		})
	},
}

// numbered writes a query's parameters as PostgreSQL does.
func numbered(query string) string {
	var b strings.Builder
	for n := 1; ; n++ {
		before, after, found := strings.Cut(query, "?")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		b.WriteString("$")
		if after == "" || after[0] < '1' || after[0] > '9' { // else it has a number
			b.WriteString(strconv.Itoa(n))
		}
		query = after
	}
}

func bytesOfStrings(args []any) []any {
	for i, a := range args {
		if text, ok := a.(string); ok {
			args[i] = []byte(text)
		}
	}
	return args
}

func oneByOne(c *session, query string, rows [][]any, each func(int, func(...any) error) error) error {
	for i, args := range rows {
		if each == nil {
			if err := c.exec(query, args...); err != nil {
				return err
			}
			continue
		}
		err := c.rows(query, args, func(scan func(...any) error) error { return each(i, scan) })
		if err != nil {
			return err
		}
	}
	return nil
}

// pipelined sends all at once: what costs over a network is the round trip.
func pipelined(c *session, query string, rows [][]any, each func(int, func(...any) error) error) error {
	if len(rows) == 0 {
		return nil
	}
	batch := &pgx.Batch{}
	text := c.spell(query)
	for i, args := range rows {
		q := batch.Queue(text, c.values(args)...)
		if each != nil {
			q.QueryRow(func(row pgx.Row) error { return each(i, row.Scan) })
		}
	}
	ctx, cancel := c.bound()
	defer cancel()
	return failed(c.raw(func(conn *pgx.Conn) error { return conn.SendBatch(ctx, batch).Close() }))
}

// lostConnection excludes what took too long: to try again would take as long.
func lostConnection(c *session, err error) bool {
	if err == nil || errors.Is(err, context.DeadlineExceeded) || c.conn == nil {
		return false
	}
	closed := true
	if e := c.raw(func(conn *pgx.Conn) error { closed = conn.IsClosed(); return nil }); e != nil {
		return true
	}
	return closed
}

// soundTransaction: PostgreSQL answers the COMMIT of a failed transaction with
// a rollback, and without an error.
func soundTransaction(c *session) error {
	return c.raw(func(conn *pgx.Conn) error {
		if conn.PgConn().TxStatus() != 'T' {
			return errors.New("store: a statement of the transaction failed")
		}
		return nil
	})
}

// A server that waits for its standby to keep a commit, and is told to wait no
// longer, answers that all is well, with a warning. It is noted on the
// connection by noteWarning.
const warned = "warned"

func noteWarning(conn *pgconn.PgConn, n *pgconn.Notice) {
	if n.SeverityUnlocalized == "WARNING" {
		conn.CustomData()[warned] = n.Message
	}
}

func keptByStandby(c *session) error {
	return c.raw(func(conn *pgx.Conn) error {
		data := conn.PgConn().CustomData()
		message, is := data[warned]
		delete(data, warned)
		if is {
			return fmt.Errorf("the server warns: %v", message)
		}
		return nil
	})
}

// raw lends what is under a session on PostgreSQL.
func (c *session) raw(fn func(*pgx.Conn) error) error {
	if c.conn == nil {
		return sql.ErrConnDone
	}
	return c.conn.Raw(func(driver any) error {
		conn, ok := driver.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("store: %T is no connection to PostgreSQL", driver)
		}
		return fn(conn.Conn())
	})
}
