package store_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"weir/internal/catalog"
	"weir/internal/limit"
	"weir/internal/store"
	"weir/internal/store/storetest"
)

// TestPostgresRefuses: what cannot be opened says what to do, and never the
// password.
func TestPostgresRefuses(t *testing.T) {
	p := storetest.SharedPostgres(t)
	good := newDatabase(t)
	change := func(change func(u *url.URL)) string {
		u, err := url.Parse(good)
		if err != nil {
			t.Fatal(err)
		}
		change(u)
		return u.String()
	}
	after := func(sql string) string {
		database := newDatabase(t)
		p.Exec(t, database, sql)
		return database
	}
	for _, c := range []struct {
		name, database string
		want           []string
		unreachable    bool
	}{
		{"a wrong password", change(func(u *url.URL) { u.User = url.UserPassword("weir", "Hunter2"+storetest.PostgresPassword) }), []string{"password", "PGPASSWORD"}, false},
		{"no such database", change(func(u *url.URL) { u.Path = "/nowhere" }), []string{"no such database", "createdb"}, false},
		{"nobody listens", change(func(u *url.URL) { u.Host = "127.0.0.1:1" }), []string{"does not answer"}, true},
		{"not a URL", "postgres://weir:" + storetest.PostgresPassword + "@%zz/x", []string{"cannot be read", "PGPASSWORD"}, false},
		{"a newer schema", after("UPDATE weir.weir_schema SET version = 77"), []string{"schema version 77", "newer weir"}, false},
		{"another program's schema", after("DROP TABLE weir.weir_schema"), []string{"another program"}, false},
		{"a database that takes no changes", after("ALTER DATABASE " + p.Name(t, good) + " SET default_transaction_read_only = on"), nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.want == nil { // set for good
				c.database, c.want = good, []string{"takes no changes", "primary"}
			}
			s, err := store.Open(t.Context(), store.Options{Dir: t.TempDir(), Database: c.database})
			if err == nil {
				s.Close()
				t.Fatal("it was opened")
			}
			contains(t, err.Error(), c.want...)
			if errors.Is(err, store.ErrUnreachable) != c.unreachable {
				t.Errorf("%v is ErrUnreachable: %v", err, !c.unreachable)
			}
			for _, secret := range []string{storetest.PostgresPassword, url.PathEscape(storetest.PostgresPassword), url.QueryEscape(storetest.PostgresPassword), "s3cret", "Hunter2"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error shows the password: %v", err)
				}
			}
		})
	}
	if strings.Contains(p.Log(t), "s3cret") {
		t.Error("the server's log shows the password")
	}
}

func TestPostgresIsFull(t *testing.T) {
	p := storetest.SharedPostgres(t)
	database := newDatabase(t)
	p.Exec(t, database, "CREATE ROLE crowded LOGIN PASSWORD 'crowded' CONNECTION LIMIT 0")
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("crowded", "crowded")
	s, err := store.Open(t.Context(), store.Options{Dir: t.TempDir(), Database: u.String()})
	if err == nil {
		s.Close()
		t.Fatal("a store was opened on a server without connections")
	}
	if !errors.Is(err, store.ErrUnreachable) {
		t.Errorf("it is not ErrUnreachable: %v", err)
	}
	contains(t, err.Error(), "no connection left", "max_connections")
}

// TestMigrationsAtOnce starts several nodes on an empty database at one time.
func TestMigrationsAtOnce(t *testing.T) {
	database := storetest.SharedPostgres(t).Database(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			s, err := store.Open(context.Background(), store.Options{Dir: t.TempDir(), Database: database})
			if err != nil {
				t.Error(err)
				return
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// TestPostgresIsKilled ends the server in the middle of the work of two nodes,
// several times: nothing that was acknowledged is missing, no more than what
// had an unknown outcome is there besides, and both nodes act by what is stored.
func TestPostgresIsKilled(t *testing.T) {
	p := storetest.StartPostgres(t)
	database := p.Database(t)
	nodes := []*member{follow(t, database), follow(t, database)}
	var spent, unknownSpends, updated, unknownUpdates atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	working := func() bool {
		select {
		case <-stop:
			return false
		default:
			return true
		}
	}
	for n, m := range nodes {
		for range 3 {
			wg.Go(func() {
				for working() {
					ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
					out, err := m.Spend(ctx, ask(killed, 1<<40))
					cancel()
					switch {
					case err != nil:
						unknownSpends.Add(1)
					case out.OK:
						spent.Add(1)
					default:
						t.Error("refused below the limit")
					}
				}
			})
		}
		wg.Go(func() {
			for i := 0; working(); i++ {
				id := string(rune('a'+n)) + time.Now().Format("150405.000000000")
				err := m.Update(context.Background(), func(tx *store.Tx) error { return store.Put(tx, catalog.RestAPI{ID: id}) })
				if err == nil {
					updated.Add(1)
				} else {
					unknownUpdates.Add(1)
				}
			}
		})
	}
	for round := range int64(2) {
		enough := (round + 1) * 30
		eventually(t, "work", func() bool { return spent.Load() >= enough && updated.Load() >= enough/3 })
		p.Kill()
		p.Start(t)
	}
	before, beforeUpdates := spent.Load(), updated.Load()
	eventually(t, "work after the last crash", func() bool { return spent.Load() > before+10 && updated.Load() > beforeUpdates+3 })
	close(stop)
	wg.Wait()

	// What is still on its way on a lost connection is done or gone by then.
	if err := nodes[0].Update(t.Context(), func(tx *store.Tx) error { return store.Put(tx, catalog.RestAPI{ID: "last"}) }); err != nil {
		t.Fatal(err)
	}
	days, err := nodes[0].Usage(t.Context(), killed.PlanID, killed.KeyID, 0, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	var used int64
	for _, d := range days {
		used += d.Used
	}
	if used < spent.Load() || used > spent.Load()+unknownSpends.Load() {
		t.Errorf("%d spends were acknowledged and %d had no answer; %d are there", spent.Load(), unknownSpends.Load(), used)
	}
	stored := int64(len(listed(t, nodes[0])) - 1)
	if stored < updated.Load() || stored > updated.Load()+unknownUpdates.Load() {
		t.Errorf("%d updates were acknowledged and %d had no answer; %d are there", updated.Load(), unknownUpdates.Load(), stored)
	}
	for _, m := range nodes {
		eventually(t, "both nodes act by what is stored", func() bool { return int64(len(*m.apis.Load())) == stored+1 })
	}
}

func listed(t *testing.T, m *member) (all []catalog.RestAPI) {
	t.Helper()
	err := m.View(t.Context(), func(tx *store.Tx) (err error) {
		all, err = store.List[catalog.RestAPI](tx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// slowCommits makes transactions that write into a table wait as they commit.
// It returns a connection to look on by, and a function that waits until one
// does.
func slowCommits(t *testing.T, p *storetest.Postgres, database, table string) (look *pgx.Conn, oneWaits func()) {
	t.Helper()
	p.Exec(t, database, `CREATE FUNCTION weir.slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(1); RETURN NULL; END';
		CREATE CONSTRAINT TRIGGER slow AFTER INSERT OR UPDATE ON weir.`+table+` DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION weir.slow()`)
	look, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { look.Close(context.Background()) })
	return look, func() {
		eventually(t, "a commit that waits", func() bool {
			return count(t, look, "SELECT count(*) FROM pg_stat_activity WHERE query = 'COMMIT' AND state = 'active' AND wait_event = 'PgSleep'") > 0
		})
	}
}

func count(t *testing.T, c *pgx.Conn, query string) (n int) {
	t.Helper()
	if err := c.QueryRow(t.Context(), query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestUnknownCommit loses the connection while an Update commits: the error
// says that it may have happened. It has, and the node acts by it.
func TestUnknownCommit(t *testing.T) {
	p := storetest.SharedPostgres(t)
	database := newDatabase(t)
	look, oneWaits := slowCommits(t, p, database, "change")
	link := storetest.NewLink(t, p.Addr())
	m := follow(t, link.URL(database))
	before := count(t, look, "SELECT count(*) FROM weir.change")
	result := make(chan error)
	go func() {
		result <- m.Update(context.Background(), func(tx *store.Tx) error { return store.Put(tx, catalog.RestAPI{ID: "a", Name: "there"}) })
	}()
	oneWaits()
	link.Stall() // else the client would have the server end what it does
	link.Cut()
	err := <-result
	if err == nil {
		t.Fatal("an Update whose answer was lost succeeded")
	}
	contains(t, err.Error(), "may have done it")
	if _, live := (*m.apis.Load())["a"]; live {
		t.Error("a change is in force of which nobody knows whether it is stored")
	}
	eventually(t, "the commit", func() bool { return count(t, look, "SELECT count(*) FROM weir.change") > before })
	link.Resume()
	eventually(t, "the node acts by what is stored", func() bool { return (*m.apis.Load())["a"] == "there" })
}

// TestStandbyIsNotWaitedFor: a commit that waited for a standby and was told to
// wait no longer is on this server only, and not acknowledged.
func TestStandbyIsNotWaitedFor(t *testing.T) {
	p := storetest.SharedPostgres(t)
	database := newDatabase(t)
	m := follow(t, database)
	look, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer look.Close(context.Background())
	defer func() {
		p.Exec(t, database, "ALTER SYSTEM RESET synchronous_standby_names")
		p.Exec(t, database, "SELECT pg_reload_conf()")
	}()
	p.Exec(t, database, "ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
	p.Exec(t, database, "SELECT pg_reload_conf()")
	result := make(chan error, 1)
	var last atomic.Int64
	go func() { // again, until the server's process has heard of the setting
		for {
			err := m.Update(context.Background(), func(tx *store.Tx) error {
				return store.Put(tx, catalog.RestAPI{ID: "a", Name: fmt.Sprint(last.Add(1))})
			})
			if err != nil {
				result <- err
				return
			}
		}
	}()
	eventually(t, "the commit waits no longer", func() bool {
		count(t, look, "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
		select {
		case err = <-result:
			return true
		default:
			return false
		}
	})
	contains(t, err.Error(), "may have done it", "synchronous replication")
	eventually(t, "the node acts by what is stored", func() bool { return (*m.apis.Load())["a"] == fmt.Sprint(last.Load()) })
}

// TestUnknownBatch loses the connection while a batch is committed: the same
// batch again is recorded once, whether the first was or not.
func TestUnknownBatch(t *testing.T) {
	p := storetest.SharedPostgres(t)
	for _, committed := range []bool{false, true} {
		database := newDatabase(t)
		look, oneWaits := slowCommits(t, p, database, "usage")
		link := storetest.NewLink(t, p.Addr())
		s := openDatabase(t, link.URL(database))
		batch := limit.Batch{Seq: 1, Counts: []limit.Count{{Account: killed, Day: 10, Calls: 5}}}
		result := make(chan error)
		go func() { result <- s.Record(context.Background(), batch) }()
		oneWaits()
		if committed {
			link.Stall()
		}
		link.Cut()
		if err := <-result; err == nil {
			t.Fatal("a batch whose answer was lost succeeded")
		}
		if committed {
			eventually(t, "the commit", func() bool { return count(t, look, "SELECT count(*) FROM weir.usage") > 0 })
			link.Resume()
		}
		if err := s.Record(t.Context(), batch); err != nil {
			t.Errorf("the batch again: %v", err)
		}
		days, err := s.Usage(t.Context(), killed.PlanID, "", 10, 10)
		if err != nil || len(days) != 1 || days[0].Used != 5 {
			t.Errorf("committed the first time: %v: the ledger holds %v, %v, want 5 calls", committed, days, err)
		}
	}
}

// TestStalledLink: no call waits longer than its context while nothing comes
// through, no connection is leaked, and all goes on when the link does.
func TestStalledLink(t *testing.T) {
	p := storetest.SharedPostgres(t)
	database := newDatabase(t)
	link := storetest.NewLink(t, p.Addr())
	near, far := follow(t, link.URL(database)), follow(t, database)
	if out, err := near.Spend(t.Context(), ask(killed, 1000)); !out.OK || err != nil {
		t.Fatal(out, err)
	}
	link.Stall()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
			defer cancel()
			if out, err := near.Spend(ctx, ask(killed, 1000)); err == nil {
				t.Errorf("a spend over a stalled link: %+v", out)
			}
			ready, cancelReady := context.WithTimeout(context.Background(), 100*time.Millisecond)
			defer cancelReady()
			if near.Ready(ready) == nil {
				t.Error("ready without a database")
			}
		})
	}
	wg.Wait()
	far.put(t, catalog.RestAPI{ID: "a", Name: "meanwhile"})
	link.Resume()
	eventually(t, "the link is used again", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		out, err := near.Spend(ctx, ask(killed, 1000))
		return err == nil && out.OK
	})
	eventually(t, "what happened meanwhile", func() bool { return (*near.apis.Load())["a"] == "meanwhile" })
	eventually(t, "as many connections as a node has", func() bool { return link.Open() <= 11 })
}

// TestPoll: a node hears of a change whose notification was lost.
func TestPoll(t *testing.T) {
	database := newDatabase(t)
	one, two := follow(t, database), follow(t, database)
	one.put(t, catalog.RestAPI{ID: "a", Name: "first"})
	eventually(t, "a change", func() bool { return (*two.apis.Load())["a"] == "first" })
	storetest.SharedPostgres(t).Exec(t, database, `UPDATE weir.entry SET doc = convert_to(replace(convert_from(doc, 'UTF8'), 'first', 'other'), 'UTF8');
		INSERT INTO weir.change (at, node, doc) VALUES (1, 'x', '[{"Kind":"restapi","Key":"a","Old":{"ID":"a","Name":"first"},"New":{"ID":"a","Name":"other"}}]')`)
	for _, m := range []*member{one, two} {
		eventually(t, "a change without a notification", func() bool { return (*m.apis.Load())["a"] == "other" })
	}
}

// TestCodeOfAnotherNode: code that one node was given is another's too, and a
// damaged copy is read anew.
func TestCodeOfAnotherNode(t *testing.T) {
	database := newDatabase(t)
	dir := t.TempDir()
	one := openDatabase(t, database)
	two, err := store.Open(t.Context(), store.Options{Dir: dir, Database: database})
	if err != nil {
		t.Fatal(err)
	}
	defer two.Close()
	zip := []byte(strings.Repeat("zip", 1<<20)) // more than a row
	sha, err := one.PutCode(t.Context(), zip)
	if err != nil {
		t.Fatal(err)
	}
	read := func() {
		t.Helper()
		if got, err := two.Code(t.Context(), sha); err != nil || string(got) != string(zip) {
			t.Errorf("another node reads %d bytes, %v", len(got), err)
		}
	}
	read()
	files, err := filepath.Glob(filepath.Join(dir, "code", "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("the copies are %q, %v", files, err)
	}
	if err := os.WriteFile(files[0], []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	read()
	storetest.SharedPostgres(t).Exec(t, database, "UPDATE weir.code_chunk SET data = 'x' WHERE n = 1")
	read() // of its copy
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := two.Code(t.Context(), sha); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("damaged code was read: %v", err)
	}
	if _, err := one.PutCode(t.Context(), zip); err != nil {
		t.Fatal(err)
	}
	read()
}
