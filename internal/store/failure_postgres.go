package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
)

// ErrUnreachable is what an error is (errors.Is) that says that PostgreSQL does
// not answer now: it is down, starting, cut off, or has no connection to give.
var ErrUnreachable = errors.New("PostgreSQL does not answer")

const (
	reasonReadOnly    = "PostgreSQL takes no changes there: it is a standby, or set read-only: name the primary, or all hosts with target_session_attrs=read-write"
	reasonUnreachable = "PostgreSQL does not answer: is it running, is the address right, and may this machine reach it?"
	reasonStarting    = "PostgreSQL is starting or stopping: it is tried again"
)

// reasonsOfPostgres are by SQLSTATE; see "PostgreSQL Error Codes" in its
// documentation.
var reasonsOfPostgres = map[string]string{
	"28P01": "PostgreSQL does not take the user's password: correct it in the URL, in PGPASSWORD or in the password file",
	"28000": "PostgreSQL does not let this user in from here: look into its pg_hba.conf",
	"3D000": "there is no such database: make it (createdb NAME), owned by the user in the URL",
	"42501": "the user in the URL may not do this: make it the owner of the database",
	"25006": reasonReadOnly,
	"53100": "the disk of PostgreSQL is full: make room there",
	"53200": "PostgreSQL has no memory left: give it more, or let fewer clients in",
	"53300": "PostgreSQL has no connection left: raise its max_connections (a node of weir takes up to ten), or stop other clients",
	"53400": "PostgreSQL has reached a limit of its own: look into its log",
	"55P03": "another node has been changing something for too long: try again",
	"57014": "the statement took too long and was ended: try again, and look what else PostgreSQL is busy with",
	"25P03": "this node stood still in the middle of a change, which was taken back: do it again",
	"57P01": reasonStarting,
	"57P02": reasonStarting,
	"57P03": reasonStarting,
	"58030": "the disk of PostgreSQL fails: look into the system's log there",
	"58P01": "files of PostgreSQL are missing: look into its log, and restore a backup of it",
	"XX001": "the database is damaged: restore a backup of it",
	"XX002": "an index of the database is damaged: run REINDEX on it, or restore a backup",
}

// unreachable are the states in which a moment later may be another one.
var unreachable = map[string]bool{"53300": true, "57P01": true, "57P02": true, "57P03": true, "25P03": true}

// failedPostgres names an error of PostgreSQL as ours; nil when it is none.
func failedPostgres(err error) error {
	var answer *pgconn.PgError
	var connect *pgconn.ConnectError
	var network *net.OpError
	switch {
	case errors.As(err, &answer):
		reason := reasonsOfPostgres[answer.Code]
		if reason == "" {
			return nil
		}
		return &Failure{Reason: reason, err: err, away: unreachable[answer.Code]}
	case errors.As(err, &connect), errors.As(err, &network),
		errors.Is(err, driver.ErrBadConn), errors.Is(err, sql.ErrConnDone), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF),
		errors.Is(err, context.DeadlineExceeded):
		return &Failure{Reason: reasonUnreachable, err: err, away: true}
	}
	return nil
}
