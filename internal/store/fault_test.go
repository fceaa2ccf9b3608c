package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"weir/internal/catalog"
	"weir/internal/limit"
	"weir/internal/telemetry"
)

func openStore(t *testing.T) *Store {
	t.Helper()
	s, err := Open(t.Context(), Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// ask is for one call of a monthly quota.
func ask(a limit.Account, most int64) limit.Ask {
	return limit.Ask{Account: a, Quota: limit.Quota{Limit: most, Period: limit.Monthly}, Calls: 1}
}

// fill makes the disk as good as full: no further page can be had. It returns
// what makes room again.
func fill(t *testing.T, s *Store) (room func()) {
	t.Helper()
	set := func(pages string) {
		err := s.write(t.Context(), s.rest, func(w *session) error {
			_, err := w.conn.ExecContext(context.Background(), "PRAGMA max_page_count = "+pages)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	set("1") // SQLite makes that the present size
	return func() { set("1000000") }
}

var big = strings.Repeat("x", 100_000)

func TestFullDisk(t *testing.T) {
	s := openStore(t)
	asked, published := 0, 0
	s.Watch(func(*Tx, []Change) (func(), error) { asked++; return func() { published++ }, nil })
	room := fill(t, s)
	small, large := catalog.RestAPI{ID: "small"}, catalog.RestAPI{ID: "large", Description: big}
	err := s.Update(t.Context(), func(tx *Tx) error {
		if err := Put(tx, small); err != nil {
			return err
		}
		return Put(tx, large)
	})
	if err == nil || !strings.Contains(err.Error(), "full") {
		t.Errorf("an Update on a full disk returned %v", err)
	}
	// fn that drops the error: nothing of it may be stored.
	err = s.Update(t.Context(), func(tx *Tx) error {
		if err := Put(tx, small); err != nil {
			return err
		}
		if Put(tx, large) == nil {
			t.Error("the disk is not full")
		}
		if Put(tx, small) == nil || Put(tx, catalog.RestAPI{ID: "tiny"}) == nil {
			t.Error("a failed transaction went on")
		}
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "full") {
		t.Errorf("an Update that dropped the database's error returned %v", err)
	}
	if asked != 0 {
		t.Error("a watcher was asked about a failed transaction")
	}
	if err := s.AppendLogs(t.Context(), []telemetry.LogEvent{{Group: "g", Message: "m"}, {Group: "g", Message: big}}); err == nil {
		t.Error("logs were written on a full disk")
	}
	if published != 0 {
		t.Errorf("%d changes were published", published)
	}
	room()
	check := func(want bool) {
		t.Helper()
		err := s.View(t.Context(), func(tx *Tx) error {
			for _, id := range []string{"small", "large"} {
				if _, ok, err := Get[catalog.RestAPI](tx, id); ok != want || err != nil {
					t.Errorf("%s is there: %v, %v", id, ok, err)
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	check(false)
	if groups, err := s.LogGroups(t.Context(), "", "", "", 0); len(groups) != 0 || err != nil {
		t.Errorf("logs are there: %v, %v", groups, err)
	}
	err = s.Update(t.Context(), func(tx *Tx) error { return errors.Join(Put(tx, small), Put(tx, large)) })
	if err != nil {
		t.Errorf("an Update after the disk had room again: %v", err)
	}
	check(true)
}

// TestFailedGroup holds the turn while spends gather, so that they are one
// group, and lets the group fail.
func TestFailedGroup(t *testing.T) {
	s := openStore(t)
	long := limit.Account{PlanID: big, KeyID: "k"}
	short := limit.Account{PlanID: "p", KeyID: "k"}
	room := fill(t, s)
	var group []*call[limit.Ask, limit.Answer]
	for _, a := range []limit.Account{short, long, short} {
		c := &call[limit.Ask, limit.Answer]{question: ask(a, 10), done: make(chan struct{})}
		c.taken.Store(true)
		group = append(group, c)
	}
	if err := s.acquire(t.Context(), s.ledger); err != nil {
		t.Fatal(err)
	}
	s.spends.commit(group)
	s.ledger.release()
	for i, op := range group {
		if op.err == nil || op.answer.OK {
			t.Errorf("spend %d of a failed group is admitted: %+v, %v", i, op.answer, op.err)
		}
	}
	room()
	if days, err := s.Usage(t.Context(), "p", "", 0, 1<<20); len(days) != 0 || err != nil {
		t.Errorf("a failed group left %v, %v", days, err)
	}
	if out, err := s.Spend(t.Context(), ask(short, 10)); out.Used != 1 || !out.OK || err != nil {
		t.Errorf("Spend after a failed group = %+v, %v", out, err)
	}
}

// TestGather holds back a group while spends wait and some give up.
func TestGather(t *testing.T) {
	s := openStore(t)
	if err := s.acquire(t.Context(), s.ledger); err != nil {
		t.Fatal(err)
	}
	late := &call[limit.Ask, limit.Answer]{}
	late.taken.Store(true) // by its caller, who gave up as the first of a group
	if group := s.spends.gather([]*call[limit.Ask, limit.Answer]{late}); len(group) != 0 {
		t.Error("a spend is run whose caller gave up")
	}
	const n = maxGroup + 10
	answers := make(chan error, n)
	for range n {
		go func() {
			out, err := s.Spend(context.Background(), ask(limit.Account{PlanID: "p"}, n))
			if !out.OK && err == nil {
				err = errors.New("refused below the limit")
			}
			answers <- err
		}()
	}
	ctx, cancel := context.WithCancel(t.Context())
	gaveUp := make(chan error)
	go func() {
		_, err := s.Spend(ctx, ask(limit.Account{PlanID: "p"}, n))
		gaveUp <- err
	}()
	cancel()
	if err := <-gaveUp; !errors.Is(err, context.Canceled) {
		t.Errorf("who gave up was told %v", err)
	}
	s.ledger.release()
	for range n {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
	if days, err := s.Usage(t.Context(), "p", "", 0, 1<<20); err != nil || len(days) != 1 || days[0].Used != n {
		t.Errorf("the ledger holds %v, %v, want %d", days, err, n)
	}
}

func TestPublishPanics(t *testing.T) {
	s := openStore(t)
	s.Watch(func(*Tx, []Change) (func(), error) { return func() { panic("a bug in a watcher") }, nil })
	put := func() error {
		return s.Update(t.Context(), func(tx *Tx) error { return Put(tx, catalog.RestAPI{ID: "a"}) })
	}
	func() {
		defer func() {
			if recover() != "a bug in a watcher" {
				t.Error("the panic was swallowed")
			}
		}()
		put()
	}()
	if err := put(); err == nil || !strings.Contains(err.Error(), "restart") {
		t.Errorf("the next Update returned %v", err)
	}
	// The ledger does not depend on what is published.
	if out, err := s.Spend(t.Context(), ask(limit.Account{}, 1)); !out.OK || err != nil {
		t.Errorf("Spend = %+v, %v", out, err)
	}
}

func TestWatcherPanics(t *testing.T) {
	s := openStore(t)
	s.Watch(func(*Tx, []Change) (func(), error) { panic("a bug in a watcher") })
	var p *PanicError
	err := s.Update(t.Context(), func(tx *Tx) error { return Put(tx, catalog.RestAPI{ID: "a"}) })
	if !errors.As(err, &p) || !bytes.Contains(p.Stack, []byte("TestWatcherPanics")) {
		t.Errorf("Update returned %v", err)
	}
}

func TestMigrations(t *testing.T) {
	s := openStore(t)
	w := s.updates.session
	have := len(migrations)
	good := append(migrations[:have:have], "CREATE TABLE a (x); INSERT INTO a VALUES (1)")
	bad := append(good[:have+1:have+1], "CREATE TABLE b (x); INSERT INTO nowhere VALUES (1)")
	if err := w.migrate("weir.db", bad, time.Now()); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("schema version %d", have+2)) {
		t.Errorf("a bad migration returned %v", err)
	}
	version, tables := 0, 0
	read := func(wantTables int) {
		t.Helper()
		if _, err := w.row("PRAGMA user_version", nil, &version); err != nil || version != have+1 {
			t.Errorf("the version is %d, %v, want %d", version, err, have+1)
		}
		if _, err := w.row("SELECT count(*) FROM sqlite_schema WHERE name IN ('a', 'b')", nil, &tables); err != nil || tables != wantTables {
			t.Errorf("%d tables, %v, want %d", tables, err, wantTables)
		}
	}
	read(1)
	for range 2 { // once, and not again
		if err := w.migrate("weir.db", good, time.Now()); err != nil {
			t.Error(err)
		}
	}
	read(1)
}

func TestDamagedDocument(t *testing.T) {
	s := openStore(t)
	dep := catalog.Deployment{APIID: "a", ID: "d"}
	if err := s.Update(t.Context(), func(tx *Tx) error { return Put(tx, dep) }); err != nil {
		t.Fatal(err)
	}
	for _, doc := range []string{"", "{", "[]", string(frame), string(frame) + "\x00\x01\x02"} {
		err := s.write(t.Context(), s.rest, func(w *session) error { return w.exec("UPDATE entry SET doc = ?", []byte(doc)) })
		if err != nil {
			t.Fatal(err)
		}
		err = s.View(t.Context(), func(tx *Tx) error { _, _, err := Get[catalog.Deployment](tx, "a", "d"); return err })
		if err == nil || !strings.Contains(err.Error(), "a/d is damaged") {
			t.Errorf("%q was read: %v", doc, err)
		}
	}
}

// TestCloseWhileInUse closes under load: every call is answered, and what was
// acknowledged is there.
func TestCloseWhileInUse(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	const workers = 8
	type result struct{ spends, updates int64 }
	results := make(chan result)
	begun := make(chan struct{}, workers)
	for w := range workers {
		go func() {
			var r result
			defer func() { results <- r }()
			begin := sync.OnceFunc(func() { begun <- struct{}{} })
			defer begin()
			for i := 0; ; i++ {
				_, err := s.Spend(context.Background(), ask(limit.Account{PlanID: "p"}, 1<<30))
				if err == nil {
					r.spends++
					err = s.Update(context.Background(), func(tx *Tx) error {
						return Put(tx, catalog.RestAPI{ID: fmt.Sprintf("api%d-%d", w, i)})
					})
				}
				if err == nil {
					r.updates++
					err = s.View(context.Background(), func(tx *Tx) error { _, err := tx.Meta("x"); return err })
				}
				if errors.Is(err, ErrClosed) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				begin()
			}
		}()
	}
	for range workers {
		<-begun
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	var sum result
	for range workers {
		r := <-results
		sum.spends += r.spends
		sum.updates += r.updates
	}
	s, err = Open(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	days, err := s.Usage(t.Context(), "p", "", 0, 1<<20)
	if err != nil || len(days) != 1 || days[0].Used != sum.spends {
		t.Errorf("%d spends were acknowledged, %v are there, %v", sum.spends, days, err)
	}
	err = s.View(t.Context(), func(tx *Tx) error {
		all, err := List[catalog.RestAPI](tx)
		if int64(len(all)) != sum.updates {
			t.Errorf("%d updates were acknowledged, %d are there", sum.updates, len(all))
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestReadOnlyAtRunTime: a disk that the system has taken to read-only (as it
// does after errors) refuses every spend and every change with the reason, what
// is stored can be read, and all of it goes on when it can be written again.
func TestReadOnlyAtRunTime(t *testing.T) {
	s := openStore(t)
	account := limit.Account{PlanID: "p", KeyID: "k"}
	put := func() error {
		return s.Update(t.Context(), func(tx *Tx) error { return Put(tx, catalog.RestAPI{ID: "a"}) })
	}
	pragma := func(value string) {
		t.Helper()
		if _, err := s.updates.conn.ExecContext(context.Background(), "PRAGMA query_only = "+value); err != nil {
			t.Fatal(err)
		}
	}
	pragma("ON") // SQLite then answers as it does on a read-only file system
	var f *Failure
	if out, err := s.Spend(t.Context(), ask(account, 10)); out.OK || !errors.As(err, &f) || !strings.Contains(f.OwnerReason(), "mount it writable") {
		t.Errorf("Spend = %+v, %v", out, err)
	}
	if err := put(); !errors.As(err, &f) || !strings.Contains(f.OwnerReason(), "mount it writable") {
		t.Errorf("Update returned %v", err)
	}
	if days, err := s.Usage(t.Context(), "p", "", 0, 1<<20); len(days) != 0 || err != nil {
		t.Errorf("Usage = %v, %v", days, err)
	}
	pragma("OFF")
	if out, err := s.Spend(t.Context(), ask(account, 10)); out.Used != 1 || !out.OK || err != nil {
		t.Errorf("writable again: Spend = %+v, %v", out, err)
	}
	if err := put(); err != nil {
		t.Errorf("writable again: Update returned %v", err)
	}
}

func TestFailures(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string // part of the reason; "" for none
	}{
		{nil, ""},
		{errors.New("x"), ""},
		{&os.PathError{Op: "write", Path: "f", Err: syscall.ENOSPC}, "full: make room"},
		{&os.PathError{Op: "open", Path: "f", Err: os.ErrPermission}, "give it to the user who runs weir"},
	} {
		err := failed(c.err)
		var f *Failure
		if errors.As(err, &f) != (c.want != "") || f != nil && !strings.Contains(f.Reason, c.want) {
			t.Errorf("failed(%v) = %v", c.err, err)
		}
		if c.err != nil && (!errors.Is(err, c.err) || !strings.HasPrefix(err.Error(), "store: ")) {
			t.Errorf("failed(%v) = %v", c.err, err)
		}
	}
}
