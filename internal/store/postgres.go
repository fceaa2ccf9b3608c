package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// How long PostgreSQL is waited for. A caller waits for the ledger for two
// seconds at most; changes, logs and reading may take longer.
const (
	connectWait = 2 * time.Second
	ledgerWait  = 2 * time.Second
	updateWait  = 20 * time.Second
	restWait    = 20 * time.Second
	readWait    = 20 * time.Second

	// lockWait is how long an Update waits for that of another node.
	lockWait = 10 * time.Second
	// A node that stops in the middle of a transaction (paused, cut off) holds
	// its locks no longer than this.
	ledgerPause = 1500 * time.Millisecond
	updatePause = 8 * time.Second

	oldestPostgres = 130000
	readersOfNode  = 4
)

// pgConfig reads a database's URL. Its error holds nothing of it: there may be
// a password anywhere in a URL that cannot be read.
func pgConfig(database string) (*pgx.ConnConfig, error) {
	c, err := pgx.ParseConfig(database)
	if err != nil {
		return nil, errors.New("store: the database's URL cannot be read: give postgres://USER@HOST:5432/NAME and the password " +
			"by PGPASSWORD or a password file, or within it with every special character as %XX")
	}
	if c.ConnectTimeout == 0 || c.ConnectTimeout > connectWait {
		c.ConnectTimeout = connectWait
	}
	dialer := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 3}}
	c.DialFunc = dialer.DialContext
	if c.ValidateConnect == nil && severalHosts(c) {
		c.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	c.OnNotice = noteWarning
	for name, value := range map[string]string{
		// To end a COMMIT that waits for a standby would not take it back.
		"statement_timeout":  "0",
		"search_path":        "weir",
		"synchronous_commit": "on",
		"jit":                "off",
		"work_mem":           "32MB", // 100,000 keys are sorted at the start
		"lock_timeout":       milliseconds(lockWait),
		// The server lets go of a client that is gone.
		"tcp_keepalives_idle":     "5",
		"tcp_keepalives_interval": "2",
		"tcp_keepalives_count":    "3",
		"tcp_user_timeout":        "10000",
	} {
		c.RuntimeParams[name] = value
	}
	return c, nil
}

func severalHosts(c *pgx.ConnConfig) bool {
	for _, f := range c.Fallbacks {
		if f.Host != c.Host || f.Port != c.Port {
			return true
		}
	}
	return false
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// connectPostgres connects as config says; pause bounds a transaction that
// does nothing, first is run on every new connection.
func connectPostgres(config *pgx.ConnConfig, pause time.Duration, first string) func() (*sql.DB, *sql.Conn, error) {
	config = config.Copy()
	config.RuntimeParams["idle_in_transaction_session_timeout"] = milliseconds(pause)
	return func() (*sql.DB, *sql.Conn, error) {
		ctx, cancel := context.WithTimeout(context.Background(), connectWait*time.Duration(1+len(config.Fallbacks)))
		defer cancel()
		db := stdlib.OpenDB(*config)
		db.SetMaxOpenConns(1)
		conn, err := db.Conn(ctx)
		if err == nil && first != "" {
			_, err = conn.ExecContext(ctx, first)
		}
		if err != nil {
			if conn != nil {
				conn.Close()
			}
			db.Close()
			return nil, nil, err
		}
		return db, conn, nil
	}
}

// openPostgres connects, looks whether the server keeps what it is given, and
// brings the schema up to date.
func (s *Store) openPostgres(database string) error {
	config, err := pgConfig(database)
	if err != nil {
		return err
	}
	config.RuntimeParams["application_name"] = "weir " + s.node
	open := func(limit, pause time.Duration, first string) *session {
		return lazySession(&postgresDialect, limit, connectPostgres(config, pause, first))
	}
	s.cluster = newCluster()
	s.updates = newLane(open(updateWait, updatePause, ""))
	s.ledger = newLane(open(ledgerWait, ledgerPause, ""))
	s.rest = newLane(open(restWait, updatePause, ""))
	s.cluster.divides = newLane(open(ledgerWait, ledgerPause, ""))
	s.cluster.follower = open(updateWait, updatePause, listen)
	s.cluster.beats = open(ledgerWait, ledgerPause, "")
	s.readers = make(chan *session, readersOfNode)
	for range cap(s.readers) {
		s.readers <- open(readWait, updatePause, "")
	}
	if err := s.updates.reconnect(); err != nil {
		return err
	}
	if err := s.checkServer(); err != nil {
		return err
	}
	if err := s.updates.migratePostgres(postgresMigrations); err != nil {
		return err
	}
	return s.join()
}

// checkServer looks at what durability and the rest depend upon.
func (s *Store) checkServer() error {
	version, err := strconv.Atoi(s.setting("server_version_num"))
	if err != nil || version < oldestPostgres {
		return fmt.Errorf("store: the database server is PostgreSQL %s, and weir needs 13 or later", s.setting("server_version"))
	}
	if s.setting("transaction_read_only") == "on" {
		return &Failure{Reason: reasonReadOnly, err: errors.New("the database cannot be written")}
	}
	if got := s.setting("synchronous_commit"); got != "on" {
		return fmt.Errorf("store: PostgreSQL's synchronous_commit is %s and must be on, or a crash would forget calls that were counted", got)
	}
	for _, name := range []string{"fsync", "full_page_writes"} {
		if s.setting(name) != "on" {
			s.logger.Warn("PostgreSQL can lose what it has committed, and with it calls that were counted: turn "+name+" on", "setting", name)
		}
	}
	return nil
}

// setting reads a setting of the server; "" when it cannot be read.
func (s *Store) setting(name string) (value string) {
	_, _ = s.updates.row("SELECT current_setting(?)", []any{name}, &value)
	return value
}
