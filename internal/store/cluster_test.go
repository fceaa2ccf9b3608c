package store_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"weir/internal/catalog"
	"weir/internal/store"
	"weir/internal/store/storetest"
)

// member is a node whose watcher keeps the names of APIs and the number of
// keys, made aside and swapped in, as a route table is.
type member struct {
	*store.Store
	apis   atomic.Pointer[map[string]string]
	keys   atomic.Int64
	refuse atomic.Bool // what others change
}

// follow opens a node on a database and lets it follow.
func follow(t testing.TB, database string) *member {
	t.Helper()
	m := &member{Store: openDatabase(t, database)}
	m.apis.Store(&map[string]string{})
	m.Watch(func(tx *store.Tx, cs []store.Change) (func(), error) {
		next, keys := maps.Clone(*m.apis.Load()), m.keys.Load()
		for _, c := range cs {
			switch c.Kind {
			case catalog.KindRestAPI:
				if m.refuse.Load() {
					return nil, errors.New("refused by the test")
				}
				stored, ok, err := store.Get[catalog.RestAPI](tx, c.Key)
				if err != nil {
					return nil, err
				}
				if ok != (c.New != nil) || ok && !reflect.DeepEqual(stored, c.New) {
					t.Errorf("a watcher is told %v and reads %v", c.New, stored)
				}
				if ok {
					next[c.Key] = stored.Name
				} else {
					delete(next, c.Key)
				}
			case catalog.KindAPIKey:
				if c.Old == nil {
					keys++
				}
				if c.New == nil {
					keys--
				}
			}
		}
		return func() { m.apis.Store(&next); m.keys.Store(keys) }, nil
	})
	err := m.Follow(t.Context(), func(tx *store.Tx) error {
		loaded := map[string]string{}
		all, err := store.List[catalog.RestAPI](tx)
		for _, a := range all {
			loaded[a.ID] = a.Name
		}
		m.apis.Store(&loaded)
		return errors.Join(err, tx.EachKey(func(store.KeyRow) error { m.keys.Add(1); return nil }))
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *member) put(t testing.TB, entries ...catalog.Entry) {
	t.Helper()
	err := m.Update(t.Context(), func(tx *store.Tx) error {
		for _, e := range entries {
			if err := store.Put(tx, e); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits for what a node hears within a second when the machine has
// nothing else to do.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 30 s", what)
		}
	}
}

func TestNodesFollow(t *testing.T) {
	database := newDatabase(t)
	before := openDatabase(t, database)
	if err := before.Update(t.Context(), func(tx *store.Tx) error { return store.Put(tx, catalog.RestAPI{ID: "old", Name: "there before"}) }); err != nil {
		t.Fatal(err)
	}
	one, two := follow(t, database), follow(t, database)
	if (*two.apis.Load())["old"] != "there before" {
		t.Error("what was there is not loaded")
	}
	one.put(t, catalog.RestAPI{ID: "a", Name: "first"}, catalog.APIKey{ID: "k", Digest: [32]byte{1}, Tags: map[string]string{"x": "y"}})
	eventually(t, "a change of another node", func() bool { return (*two.apis.Load())["a"] == "first" && two.keys.Load() == 1 })
	two.put(t, catalog.RestAPI{ID: "a", Name: "second"})
	if (*two.apis.Load())["a"] != "second" {
		t.Error("an Update returned before it was published")
	}
	eventually(t, "a change of the other node", func() bool { return (*one.apis.Load())["a"] == "second" })
	err := one.Update(t.Context(), func(tx *store.Tx) error {
		return errors.Join(store.Delete[catalog.RestAPI](tx, "a"), store.Delete[catalog.APIKey](tx, "k"))
	})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "a deletion", func() bool { _, there := (*two.apis.Load())["a"]; return !there && two.keys.Load() == 0 })
}

// TestConcurrentNodes makes read-modify-write changes on two nodes at once:
// none is lost in the database, and both nodes act by all of them.
func TestConcurrentNodes(t *testing.T) {
	database := newDatabase(t)
	nodes := []*member{follow(t, database), follow(t, database)}
	const workers, rounds = 4, 10
	var wg sync.WaitGroup
	for n, m := range nodes {
		for w := range workers {
			wg.Go(func() {
				for r := range rounds {
					id := fmt.Sprintf("api-%d-%d-%d", n, w, r)
					err := m.Update(context.Background(), func(tx *store.Tx) error {
						// What is stored is what this node acts by.
						all, err := store.List[catalog.RestAPI](tx)
						if live := *m.apis.Load(); len(all) != len(live) {
							t.Errorf("an Update reads %d APIs where its node acts by %d", len(all), len(live))
						}
						plan, _, err2 := store.Get[catalog.UsagePlan](tx, "counter")
						plan.ID, plan.Description = "counter", plan.Description+"x"
						return errors.Join(err, err2, store.Put(tx, plan), store.Put(tx, catalog.RestAPI{ID: id}))
					})
					if err != nil {
						t.Error(err)
					}
					if _, live := (*m.apis.Load())[id]; !live {
						t.Errorf("%s is not published after its Update", id)
					}
				}
			})
		}
	}
	wg.Wait()
	const all = 2 * workers * rounds
	for _, m := range nodes {
		eventually(t, "all changes", func() bool { return len(*m.apis.Load()) == all })
	}
	err := nodes[0].View(t.Context(), func(tx *store.Tx) error {
		plan, _, err := store.Get[catalog.UsagePlan](tx, "counter")
		if n := len(plan.Description); n != all {
			t.Errorf("%d of %d changes are stored", n, all)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestForeignChangeIsRefused: a node that cannot put into force what another
// changed says so, takes no change of its own, and goes on when it can.
func TestForeignChangeIsRefused(t *testing.T) {
	database := newDatabase(t)
	one, two := follow(t, database), follow(t, database)
	two.refuse.Store(true)
	one.put(t, catalog.RestAPI{ID: "a", Name: "first"})
	eventually(t, "not ready", func() bool { return two.Ready(t.Context()) != nil })
	if err := two.Ready(t.Context()); !strings.Contains(err.Error(), "refused by the test") {
		t.Errorf("not ready because %v", err)
	}
	if err := two.Update(t.Context(), func(*store.Tx) error { t.Error("an Update ran on an old state"); return nil }); err == nil {
		t.Error("an Update on an old state")
	}
	if err := one.Ready(t.Context()); err != nil {
		t.Errorf("the other node is not ready: %v", err)
	}
	two.refuse.Store(false)
	eventually(t, "ready again", func() bool { return two.Ready(t.Context()) == nil && (*two.apis.Load())["a"] == "first" })
}

// TestBehind: a node whose place in the changes is gone stops.
func TestBehind(t *testing.T) {
	database := newDatabase(t)
	one, two := follow(t, database), follow(t, database)
	two.refuse.Store(true)
	one.put(t, catalog.RestAPI{ID: "a"})
	one.put(t, catalog.RestAPI{ID: "b"})
	storetest.SharedPostgres(t).Exec(t, database, "DELETE FROM weir.change WHERE seq < (SELECT max(seq) FROM weir.change)")
	select {
	case err := <-two.Failed():
		if !errors.Is(err, store.ErrBehind) {
			t.Errorf("the node stops because %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the node goes on")
	}
	if err := two.Update(t.Context(), func(*store.Tx) error { return nil }); !errors.Is(err, store.ErrBehind) {
		t.Errorf("an Update of it returns %v", err)
	}
	if err := two.Ready(t.Context()); !errors.Is(err, store.ErrBehind) {
		t.Errorf("Ready returns %v", err)
	}
	if err := one.Ready(t.Context()); err != nil {
		t.Errorf("the other node is not ready: %v", err)
	}
}

func TestNodes(t *testing.T) {
	database := storetest.SharedPostgres(t).Database(t)
	one, two := openDatabase(t, database), openDatabase(t, database)
	if one.Node() == two.Node() || len(one.Node()) != 16 || !one.Shared() {
		t.Errorf("nodes %q and %q", one.Node(), two.Node())
	}
	alive := func() (ids []string) {
		server, err := store.InspectPostgres(t.Context(), database)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range server.Nodes {
			if n.Name == "" {
				t.Errorf("node %+v", n)
			}
			ids = append(ids, n.ID)
		}
		return ids
	}
	if got, want := alive(), []string{one.Node(), two.Node()}; !slices.Equal(got, want) {
		t.Errorf("alive are %q, want %q", got, want)
	}
	two.Close()
	if got, want := alive(), []string{one.Node()}; !slices.Equal(got, want) {
		t.Errorf("after a clean stop %q are alive, want %q", got, want)
	}
	// As of a node that was killed.
	storetest.SharedPostgres(t).Exec(t, database, "INSERT INTO weir.node (id, name, started, ended, batch) VALUES ('gone', 'x', 1, 0, 0);"+
		"INSERT INTO weir.beat (id, seen) VALUES ('gone', weir.weir_now() - 6000000000)")
	if got, want := alive(), []string{one.Node()}; !slices.Equal(got, want) {
		t.Errorf("with one that was killed %q are alive, want %q", got, want)
	}
}
