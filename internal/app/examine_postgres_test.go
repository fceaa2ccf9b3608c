package app

import (
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weir/internal/store"
	"weir/internal/store/storetest"
)

// sound is a server that has all that weir wants.
func sound() *store.PostgresServer {
	return &store.PostgresServer{
		Address: "10.0.0.7:5432", Version: "15.4", Schema: store.SharedSchemaVersion(),
		Settings:       map[string]string{"fsync": "on", "full_page_writes": "on", "synchronous_commit": "off"},
		Nodes:          []store.Node{{ID: "0123456789abcdef", Name: "one"}, {ID: "fedcba9876543210", Name: "two"}},
		MaxConnections: 97, Connections: 20, Ahead: 3 * time.Millisecond, Commit: 1300 * time.Microsecond,
	}
}

// TestExamineServer holds the verdict on everything that a look at PostgreSQL
// shows.
func TestExamineServer(t *testing.T) {
	follows := func(names string, standbys ...store.Standby) func(*store.PostgresServer) {
		return func(p *store.PostgresServer) {
			p.Settings["synchronous_standby_names"], p.Standbys = names, standbys
		}
	}
	for _, c := range []struct {
		name      string
		bend      func(*store.PostgresServer)
		check     string
		verdict   Verdict
		found, do string
	}{
		{"all is well", func(*store.PostgresServer) {}, "database", Fine, "PostgreSQL 15.4 at 10.0.0.7:5432 (weir on db), schema", ""},
		{"a new database", func(p *store.PostgresServer) { p.Schema = 0 }, "database", Fine, "the first start makes", ""},
		{"a newer schema", func(p *store.PostgresServer) { p.Schema = 99 }, "database", Failing, "schema 99", "newer weir"},
		{"an old server", func(p *store.PostgresServer) { p.Version, p.TooOld = "12.3", true }, "database", Failing, "12.3", "13 or later"},
		{"a standby", func(p *store.PostgresServer) { p.Standby = true }, "database", Failing, "takes no changes", "target_session_attrs=read-write"},
		{"a read-only database", func(p *store.PostgresServer) { p.Settings["default_transaction_read_only"] = "on" }, "database", Failing, "takes no changes", "target_session_attrs=read-write"},
		{"durable", func(*store.PostgresServer) {}, "durability", Fine, "synchronous_commit = on by itself (the server's is off)", ""},
		{"fsync off", func(p *store.PostgresServer) { p.Settings["fsync"] = "off" }, "durability", Failing, "fsync off", "set fsync to on"},
		{"both off", func(p *store.PostgresServer) { p.Settings["fsync"], p.Settings["full_page_writes"] = "off", "off" }, "durability", Failing, "power cut", "fsync and full_page_writes"},
		{"alone", func(*store.PostgresServer) {}, "failover", Fine, "on this server alone", ""},
		{"a synchronous standby", follows("s", store.Standby{Name: "s", State: "sync"}), "failover", Fine, "forgets nothing", ""},
		{"an asynchronous standby", follows("", store.Standby{Name: "s", State: "async"}), "failover", Warning, "forgets the last calls", "synchronous_standby_names"},
		{"one of each", follows("s", store.Standby{Name: "s", State: "quorum"}, store.Standby{Name: "a", State: "async"}), "failover", Warning, "a: not", "to s only"},
		{"a standby that is waited for in vain", follows("s"), "failover", Failing, "no such standby", "no commit ends"},
		{"a standby that may not be seen", follows("s", store.Standby{Name: "s"}), "failover", Warning, "not shown", "pg_monitor"},
		{"room for the nodes", func(*store.PostgresServer) {}, "connections", Fine, "20 of 97 in use, by 2 nodes", ""},
		{"no room for another", func(p *store.PostgresServer) { p.MaxConnections = 25 }, "connections", Warning, "of 25", "raise max_connections"},
		{"who is there", func(*store.PostgresServer) {}, "nodes", Fine, "0123456789abcdef on one, fedcba9876543210 on two", ""},
		{"clocks agree", func(*store.PostgresServer) {}, "database's clock", Fine, "within 3ms", ""},
		{"clocks do not agree", func(p *store.PostgresServer) { p.Ahead = -time.Hour }, "database's clock", Warning, "-1h0m0s", "time service"},
		{"a commit", func(*store.PostgresServer) {}, "commit", Fine, "1.3ms", ""},
		{"a slow commit", func(p *store.PostgresServer) { p.Commit = 45 * time.Millisecond }, "commit", Warning, "45ms", "faster disk"},
		{"no commit ends", func(p *store.PostgresServer) { p.Commit, p.Stuck = 0, true }, "commit", Failing, "none ended", "standby"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMachine(t)
			p := sound()
			c.bend(p)
			m.judgePostgres("weir on db", p)
			for _, f := range m.findings {
				if f.Check == c.check {
					if f.Verdict != c.verdict || !strings.Contains(f.Found, c.found) || !strings.Contains(f.Do, c.do) || (c.do == "") != (f.Do == "") {
						t.Errorf("%+v", f)
					}
					return
				}
			}
			t.Errorf("nothing is said of %s: %+v", c.check, m.findings)
		})
	}
}

// TestExaminePostgres looks at real servers, before a node has ever run and
// after, and at what cannot be used. No line tells the password.
func TestExaminePostgres(t *testing.T) {
	server := storetest.StartPostgres(t, "fsync=off")
	m := newMachine(t)
	m.o.Database, m.o.SecretFile = server.Database(t), filepath.Join(t.TempDir(), "weir.secret")
	wants := func(check string, verdict Verdict, found string) {
		t.Helper()
		m.findings = nil
		f := m.find(check)
		if f.Verdict != verdict || !strings.Contains(f.Found, found) {
			t.Errorf("%+v", f)
		}
		for _, f := range m.findings {
			if strings.Contains(f.Found+f.Do, storetest.PostgresPassword) {
				t.Errorf("it tells the password: %+v", f)
			}
		}
	}
	wants("server secret", Failing, "is not there")
	if _, err := CreateSecret(m.o.SecretFile); err != nil {
		t.Fatal(err)
	}
	wants("server secret", Fine, "holds secret")
	wants("database", Fine, "the first start makes weir's tables")
	wants("durability", Failing, "fsync off")
	wants("failover", Fine, "no standby follows")
	wants("database's clock", Fine, "within")
	wants("commit", Fine, "s")

	a, err := New(t.Context(), Options{Data: m.o.Data, GatewayAddr: "127.0.0.1:0", ControlAddr: "127.0.0.1:0", Database: m.o.Database, SecretFile: m.o.SecretFile})
	if err != nil {
		t.Fatal(err)
	}
	wants("connections", Fine, "by 1 node and others")
	wants("database", Fine, ", schema ")
	if err := a.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	wants("connections", Fine, "by 0 nodes and others")
	ours := m.o.SecretFile
	m.o.SecretFile = filepath.Join(t.TempDir(), "other.secret")
	if _, err := CreateSecret(m.o.SecretFile); err != nil {
		t.Fatal(err)
	}
	wants("server secret", Failing, "was stored under another")
	m.o.SecretFile = ours

	standby := server.Standby(t)
	wants("failover", Fine, "standby: every commit is there, too")
	primary := m.o.Database
	u, err := url.Parse(primary)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = standby.Addr()
	m.o.Database = u.String()
	wants("database", Failing, "takes no changes")
	u.Host = standby.Addr() + "," + server.Addr()
	m.o.Database = u.String()
	wants("database", Fine, ", schema ")
	m.o.Database = primary
	standby.Stop()
	wants("failover", Failing, "no such standby follows")
	wants("commit", Failing, "none ended")
	server.Stop()
	wants("database", Failing, "cannot be used")
}
