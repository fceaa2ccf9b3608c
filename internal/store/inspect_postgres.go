package store

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// DatabaseOf names the database of a URL as people would, "weir on
// db.internal:5432", without user and password. Its error repeats nothing of
// the URL.
func DatabaseOf(database string) (string, error) {
	if !strings.HasPrefix(database, "postgres://") && !strings.HasPrefix(database, "postgresql://") {
		return "", errors.New("give the URL of a PostgreSQL database, such as postgres://weir@db.internal:5432/weir")
	}
	c, err := pgConfig(database)
	if err != nil {
		return "", err
	}
	hosts := []string{hostOf(c.Host, c.Port)}
	for _, f := range c.Fallbacks { // the same host again, without TLS, among them
		if host := hostOf(f.Host, f.Port); !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	return c.Database + " on " + strings.Join(hosts, " or "), nil
}

func hostOf(host string, port uint16) string {
	if strings.HasPrefix(host, "/") {
		return host // a socket's folder
	}
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

const commitPatience = 3 * time.Second

// PostgresServer is what a look at the server of a database shows.
type PostgresServer struct {
	Address  string // "10.0.0.7:5432", of the one that answered
	Version  string // "15.4"
	TooOld   bool
	Standby  bool // it takes no changes
	Settings map[string]string

	Schema      int    // of weir's tables there; 0: none yet
	SecretCheck []byte // of the secret that the data was stored under; nil: none yet
	Nodes       []Node // that are alive, the oldest first

	MaxConnections int // that weir's user may share with others
	Connections    int // of everybody, now
	Standbys       []Standby

	Ahead  time.Duration // the server's clock before this machine's, as far as the network lets it be known
	Commit time.Duration // a durable commit, the middle one of several; 0: not tried
	Stuck  bool          // a commit did not end in time
}

// Node is a weir process that has the database open.
type Node struct {
	ID   string // of Store.Node
	Name string // of its machine
}

// Standby is a server that follows another.
type Standby struct {
	Name string
	// State is "sync" or "quorum" where a commit waits until it is on this
	// one's disk too, "async" or "potential" where not, and "" where weir's user
	// may not know.
	State string
}

// NodeConnections is how many connections one node takes at most.
func NodeConnections() int { return readersOfNode + 6 } // changes, ledger, rates, the rest, follower, beats

// SharedSchemaVersion is the schema that this weir keeps in PostgreSQL.
func SharedSchemaVersion() int { return len(postgresMigrations) }

// InspectPostgres looks at a database and its server. It changes nothing: its
// commits write a message into the server's log of changes that nobody reads.
func InspectPostgres(ctx context.Context, database string) (*PostgresServer, error) {
	config, err := pgConfig(database)
	if err != nil {
		return nil, err
	}
	// It is asked what the server does by itself, and a standby is looked at too.
	delete(config.RuntimeParams, "synchronous_commit")
	config.ValidateConnect = nil
	if config, err = reachable(ctx, config); err != nil {
		return nil, failed(err)
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, failed(err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	p := &PostgresServer{Address: conn.PgConn().Conn().RemoteAddr().String(), Settings: map[string]string{}}
	for _, look := range []func(context.Context, *pgx.Conn) error{p.server, p.clock, p.tables, p.connections, p.standbys, p.commits} {
		if err := look(ctx, conn); err != nil {
			return nil, failed(err)
		}
	}
	return p, nil
}

// reachable prefers the host that takes changes, where several are named.
func reachable(ctx context.Context, config *pgx.ConnConfig) (*pgx.ConnConfig, error) {
	if !severalHosts(config) {
		return config, nil
	}
	primary := config.Copy()
	primary.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	conn, err := pgx.ConnectConfig(ctx, primary)
	if err != nil {
		return config, nil // whoever answers tells more than nobody
	}
	return primary, conn.Close(ctx)
}

// server reads what the server is and how it is set.
func (p *PostgresServer) server(ctx context.Context, conn *pgx.Conn) error {
	p.Version, _, _ = strings.Cut(conn.PgConn().ParameterStatus("server_version"), " ")
	rows, err := conn.Query(ctx, `SELECT name, setting FROM pg_settings WHERE name IN ('server_version_num', 'fsync', 'full_page_writes',
		'synchronous_commit', 'synchronous_standby_names', 'max_connections', 'superuser_reserved_connections', 'default_transaction_read_only')`)
	if err != nil {
		return err
	}
	var name, value string
	if _, err := pgx.ForEachRow(rows, []any{&name, &value}, func() error { p.Settings[name] = value; return nil }); err != nil {
		return err
	}
	n, err := strconv.Atoi(p.Settings["server_version_num"])
	p.TooOld = err == nil && n < oldestPostgres
	return conn.QueryRow(ctx, "SELECT pg_is_in_recovery()").Scan(&p.Standby)
}

// clock compares the clocks: of three answers the quickest is the closest.
func (p *PostgresServer) clock(ctx context.Context, conn *pgx.Conn) error {
	quickest := time.Duration(-1)
	for range 3 {
		var theirs time.Time
		before := time.Now()
		if err := conn.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&theirs); err != nil {
			return err
		}
		if took := time.Since(before); quickest < 0 || took < quickest {
			quickest, p.Ahead = took, theirs.Sub(before.Add(took/2))
		}
	}
	return nil
}

// tables reads what weir has there.
func (p *PostgresServer) tables(ctx context.Context, conn *pgx.Conn) error {
	var there pgtype.Text
	if err := conn.QueryRow(ctx, "SELECT to_regclass('weir.weir_schema')::text").Scan(&there); err != nil || !there.Valid {
		return err
	}
	if err := conn.QueryRow(ctx, "SELECT version FROM weir.weir_schema").Scan(&p.Schema); err != nil {
		return err
	}
	rows, err := conn.Query(ctx, "SELECT value FROM weir.meta WHERE name = 'secret-check'::bytea")
	if err != nil {
		return err
	}
	var check []byte
	if _, err := pgx.ForEachRow(rows, []any{&check}, func() error { p.SecretCheck = slices.Clone(check); return nil }); err != nil {
		return err
	}
	rows, err = conn.Query(ctx, "SELECT id, name FROM weir.node WHERE id IN ("+postgresDialect.alive+") ORDER BY started, id")
	if err != nil {
		return err
	}
	var id, name []byte
	_, err = pgx.ForEachRow(rows, []any{&id, &name}, func() error {
		p.Nodes = append(p.Nodes, Node{ID: string(id), Name: string(name)})
		return nil
	})
	return err
}

// connections counts those there are, and those there may be.
func (p *PostgresServer) connections(ctx context.Context, conn *pgx.Conn) error {
	most, _ := strconv.Atoi(p.Settings["max_connections"])
	reserved, _ := strconv.Atoi(p.Settings["superuser_reserved_connections"])
	p.MaxConnections = most - reserved
	return conn.QueryRow(ctx, "SELECT sum(numbackends) FROM pg_stat_database").Scan(&p.Connections)
}

// standbys reads who follows.
func (p *PostgresServer) standbys(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, "SELECT coalesce(application_name, ''), coalesce(sync_state, '') FROM pg_stat_replication ORDER BY 1")
	if err != nil {
		return err
	}
	p.Standbys, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Standby])
	return err
}

// commits times some commits that are as durable as those of a call. One that
// waits for a standby that is not there does not end.
func (p *PostgresServer) commits(ctx context.Context, conn *pgx.Conn) error {
	if p.Standby || p.Settings["default_transaction_read_only"] == "on" {
		return nil
	}
	within, cancel := context.WithTimeout(ctx, commitPatience)
	defer cancel()
	var took []time.Duration
	for range 5 {
		began := time.Now()
		if _, err := conn.Exec(within, "SELECT pg_logical_emit_message(true, 'weir', 'doctor')"); err != nil {
			p.Stuck = within.Err() != nil && ctx.Err() == nil
			if p.Stuck {
				return nil
			}
			return fmt.Errorf("a commit: %w", err)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	p.Commit = took[len(took)/2]
	return nil
}
