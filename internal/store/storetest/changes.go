package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"weir/internal/catalog"
	"weir/internal/store"
)

// watched collects what a watcher is told.
func watched(s *store.Store) *[]store.Change {
	var all []store.Change
	s.Watch(func(_ *store.Tx, cs []store.Change) (func(), error) {
		cs = slices.Clone(cs)
		return func() { all = append(all, cs...) }, nil
	})
	return &all
}

func changes(t *testing.T, s *store.Store) {
	seen := watched(s)
	one := catalog.UsagePlan{ID: "p", Name: "one"}
	two := catalog.UsagePlan{ID: "p", Name: "two"}
	put(t, s, one)
	put(t, s, two)
	put(t, s, two) // no change
	update(t, s, func(tx *store.Tx) error { return store.Delete[catalog.UsagePlan](tx, "p") })
	update(t, s, func(tx *store.Tx) error { return store.Delete[catalog.UsagePlan](tx, "p") })
	update(t, s, func(tx *store.Tx) error { return nil })
	want := []store.Change{
		{Kind: catalog.KindUsagePlan, Key: "p", New: one},
		{Kind: catalog.KindUsagePlan, Key: "p", Old: one, New: two},
		{Kind: catalog.KindUsagePlan, Key: "p", Old: two},
	}
	if !reflect.DeepEqual(*seen, want) {
		t.Errorf("the watcher saw\n%+v, want\n%+v", *seen, want)
	}
}

func changesCollapse(t *testing.T, s *store.Store) {
	first := catalog.RestAPI{ID: "a", Name: "first"}
	gone := catalog.RestAPI{ID: "b", Name: "gone"}
	put(t, s, first, gone)
	seen := watched(s)
	update(t, s, func(tx *store.Tx) error {
		return errors.Join(
			store.Put(tx, catalog.RestAPI{ID: "a", Name: "second"}),
			store.Put(tx, catalog.RestAPI{ID: "c", Name: "brief"}),
			store.Delete[catalog.RestAPI](tx, "b"),
			store.Put(tx, catalog.RestAPI{ID: "a", Name: "third"}),
			store.Delete[catalog.RestAPI](tx, "c"),
			store.Put(tx, catalog.RestAPI{ID: "b", Name: "back"}),
			store.Delete[catalog.RestAPI](tx, "b"),
		)
	})
	want := []store.Change{
		{Kind: catalog.KindRestAPI, Key: "a", Old: first, New: catalog.RestAPI{ID: "a", Name: "third"}},
		{Kind: catalog.KindRestAPI, Key: "b", Old: gone},
	}
	if !reflect.DeepEqual(*seen, want) {
		t.Errorf("the watcher saw\n%+v, want\n%+v", *seen, want)
	}
}

func watcherAborts(t *testing.T, s *store.Store) {
	published, refuse := 0, true
	s.Watch(func(*store.Tx, []store.Change) (func(), error) { return func() { published++ }, nil })
	s.Watch(func(tx *store.Tx, cs []store.Change) (func(), error) {
		if _, ok, err := store.Get[catalog.RestAPI](tx, "a"); !ok || err != nil {
			t.Errorf("the watcher reads the change: %v, %v", ok, err)
		}
		if err := store.Put(tx, catalog.RestAPI{ID: "watcher"}); err == nil {
			t.Error("a watcher could write")
		}
		if refuse {
			return func() { t.Error("published what was aborted") }, errWanted
		}
		return nil, nil
	})
	change := func(tx *store.Tx) error {
		return errors.Join(store.Put(tx, catalog.RestAPI{ID: "a"}), store.Put(tx, key(1)), tx.SetMeta("m", []byte("v")))
	}
	if err := s.Update(t.Context(), change); err != errWanted {
		t.Fatalf("Update returned %v, want the watcher's error as it is", err)
	}
	get[catalog.RestAPI](t, s, false, "a")
	get[catalog.APIKey](t, s, false, key(1).ID)
	view(t, s, func(tx *store.Tx) error {
		if v, err := tx.Meta("m"); v != nil || err != nil {
			t.Errorf("Meta is %q, %v after an abort", v, err)
		}
		return nil
	})
	if published != 0 {
		t.Errorf("published %d times", published)
	}
	refuse = false
	update(t, s, change)
	get[catalog.RestAPI](t, s, true, "a")
	if published != 1 {
		t.Errorf("published %d times, want 1", published)
	}
}

func publishBeforeReturn(t *testing.T, s *store.Store) {
	var live atomic.Int64
	s.Watch(func(tx *store.Tx, cs []store.Change) (func(), error) {
		before := live.Load()
		return func() {
			// The commit is done: others can read it.
			view(t, s, func(tx *store.Tx) error {
				_, ok, err := store.Get[catalog.RestAPI](tx, cs[0].Key)
				if !ok {
					t.Error("published before the commit")
				}
				return err
			})
			live.Store(before + 1)
		}, nil
	})
	for i := range int64(5) {
		put(t, s, catalog.RestAPI{ID: fmt.Sprint("api", i)})
		if live.Load() != i+1 {
			t.Fatalf("Update %d returned before it was published", i)
		}
	}
}

func publishOrder(t *testing.T, s *store.Store) {
	var order []string
	for _, name := range []string{"first", "second", "third"} {
		s.Watch(func(_ *store.Tx, cs []store.Change) (func(), error) {
			order = append(order, "prepare "+name)
			if name == "second" {
				return nil, nil
			}
			return func() { order = append(order, "publish "+name) }, nil
		})
	}
	put(t, s, catalog.RestAPI{ID: "a"})
	want := "prepare first,prepare second,prepare third,publish first,publish third"
	if got := strings.Join(order, ","); got != want {
		t.Errorf("order is %s, want %s", got, want)
	}
}

func failingUpdates(t *testing.T, s *store.Store) {
	err := s.Update(t.Context(), func(tx *store.Tx) error {
		return errors.Join(store.Put(tx, catalog.RestAPI{ID: "a"}), errWanted)
	})
	if !errors.Is(err, errWanted) {
		t.Errorf("Update returned %v", err)
	}
	err = s.Update(t.Context(), func(tx *store.Tx) error {
		if err := store.Put(tx, catalog.RestAPI{ID: "a"}); err != nil {
			return err
		}
		panic("a bug in fn")
	})
	var p *store.PanicError
	if !errors.As(err, &p) || p.Value != "a bug in fn" || !strings.Contains(err.Error(), "a bug in fn") {
		t.Errorf("a panic became %v", err)
	}
	if len(p.Stack) == 0 {
		t.Error("a panic without its stack")
	}
	// fn may even leave its goroutine (t.FailNow does).
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Update(context.Background(), func(tx *store.Tx) error {
			store.Put(tx, catalog.RestAPI{ID: "a"})
			exit()
			return nil
		})
	}()
	<-done
	get[catalog.RestAPI](t, s, false, "a")
	func() {
		defer func() {
			if recover() == nil {
				t.Error("a View swallowed a panic")
			}
		}()
		s.View(t.Context(), func(*store.Tx) error { panic("a bug in fn") })
	}()
	put(t, s, catalog.RestAPI{ID: "b"}) // still in working order
	get[catalog.RestAPI](t, s, true, "b")
}

// concurrentUpdates makes read-modify-write changes from many goroutines; a
// watcher keeps a copy that is made aside from what is published, as a route
// table is. Neither may lose one.
func concurrentUpdates(t *testing.T, s *store.Store) {
	live := atomic.Pointer[map[string]bool]{}
	live.Store(&map[string]bool{})
	s.Watch(func(_ *store.Tx, cs []store.Change) (func(), error) {
		next := map[string]bool{}
		for k := range *live.Load() {
			next[k] = true
		}
		for _, c := range cs {
			if c.Kind == catalog.KindRestAPI {
				next[c.Key] = true
			}
		}
		return func() { live.Store(&next) }, nil
	})
	const workers, rounds = 16, 8
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for r := range rounds {
				id := fmt.Sprintf("api-%d-%d", w, r)
				err := s.Update(context.Background(), func(tx *store.Tx) error {
					plan, _, err := store.Get[catalog.UsagePlan](tx, "counter")
					if err != nil {
						return err
					}
					plan.ID, plan.Description = "counter", plan.Description+"x"
					return errors.Join(store.Put(tx, plan), store.Put(tx, catalog.RestAPI{ID: id}))
				})
				if err != nil {
					t.Error(err)
				}
				if !(*live.Load())[id] {
					t.Errorf("%s is not published after its Update", id)
				}
			}
		})
	}
	wg.Wait()
	if n := len(get[catalog.UsagePlan](t, s, true, "counter").Description); n != workers*rounds {
		t.Errorf("%d of %d changes are stored", n, workers*rounds)
	}
	if n := len(*live.Load()); n != workers*rounds {
		t.Errorf("%d of %d changes are published", n, workers*rounds)
	}
}
