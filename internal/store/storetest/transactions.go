package storetest

import (
	"context"
	"errors"
	"runtime"
	"testing"

	"weir/internal/catalog"
	"weir/internal/limit"
	"weir/internal/store"
	"weir/internal/telemetry"
)

func exit() { runtime.Goexit() }

func transactionEnds(t *testing.T, s *store.Store) {
	var kept *store.Tx
	use := func() error {
		_, _, err := store.Get[catalog.RestAPI](kept, "a")
		return err
	}
	update(t, s, func(tx *store.Tx) error { kept = tx; return nil })
	if use() == nil || store.Put(kept, catalog.RestAPI{ID: "a"}) == nil || kept.SetMeta("m", nil) == nil {
		t.Error("a transaction could be used after its Update")
	}
	view(t, s, func(tx *store.Tx) error {
		kept = tx
		if store.Put(tx, catalog.RestAPI{ID: "a"}) == nil || store.Delete[catalog.RestAPI](tx, "a") == nil || tx.SetMeta("m", []byte("x")) == nil {
			t.Error("a View could write")
		}
		return nil
	})
	if use() == nil {
		t.Error("a transaction could be used after its View")
	}
	get[catalog.RestAPI](t, s, false, "a")
	if err := s.View(t.Context(), func(*store.Tx) error { return errWanted }); err != errWanted {
		t.Errorf("View returned %v, want fn's error as it is", err)
	}
}

func snapshotOfView(t *testing.T, s *store.Store) {
	put(t, s, catalog.RestAPI{ID: "a", Name: "before"})
	view(t, s, func(tx *store.Tx) error {
		read := func() string {
			a, _, err := store.Get[catalog.RestAPI](tx, "a")
			if err != nil {
				t.Error(err)
			}
			return a.Name
		}
		if read() != "before" {
			t.Errorf("a View sees %q", read())
		}
		done := make(chan struct{})
		go func() { defer close(done); put(t, s, catalog.RestAPI{ID: "a", Name: "after"}) }()
		<-done // a reader does not hold up a writer
		if read() != "before" {
			t.Error("a View sees what was committed during it")
		}
		now := tx.Now()
		if tx.Now() != now {
			t.Error("a transaction has more than one instant")
		}
		return nil
	})
	if got := get[catalog.RestAPI](t, s, true, "a").Name; got != "after" {
		t.Errorf("a View that began after the Update sees %q", got)
	}
}

func cancelledWhileWaiting(t *testing.T, s *store.Store) {
	ctx, cancel := context.WithCancel(context.Background())
	update(t, s, func(*store.Tx) error {
		// The turn is taken: these wait until cancel.
		errs := make(chan error)
		go func() {
			errs <- s.Update(ctx, func(*store.Tx) error { t.Error("a cancelled Update ran"); return nil })
		}()
		go func() {
			_, err := s.Spend(ctx, ask(account, 10))
			errs <- err
		}()
		cancel()
		for range 2 {
			if err := <-errs; !errors.Is(err, context.Canceled) {
				t.Errorf("a cancelled call returned %v", err)
			}
		}
		return nil
	})
	if err := s.View(ctx, func(*store.Tx) error { t.Error("a cancelled View ran"); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled View returned %v", err)
	}
	if used := usageOf(t, s, "p", "k").Used; used != 0 {
		t.Errorf("a cancelled Spend was recorded %d times", used)
	}
	// Once it runs it is completed.
	ctx, cancel = context.WithCancel(context.Background())
	err := s.Update(ctx, func(tx *store.Tx) error {
		cancel()
		return store.Put(tx, catalog.RestAPI{ID: "a"})
	})
	if err != nil {
		t.Errorf("an Update cancelled while it ran returned %v", err)
	}
	get[catalog.RestAPI](t, s, true, "a")
}

func meta(t *testing.T, s *store.Store) {
	read := func(want string) {
		t.Helper()
		view(t, s, func(tx *store.Tx) error {
			v, err := tx.Meta("check")
			if string(v) != want {
				t.Errorf("Meta is %q, want %q", v, want)
			}
			return err
		})
	}
	set := func(v []byte) { update(t, s, func(tx *store.Tx) error { return tx.SetMeta("check", v) }) }
	seen := watched(s)
	read("")
	set([]byte("one\x00"))
	read("one\x00")
	set([]byte("two"))
	read("two")
	set(nil)
	read("")
	if len(*seen) != 0 {
		t.Errorf("a watcher was told of %v", *seen)
	}
}

func closed(t *testing.T, s *store.Store) {
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("the second Close returned %v", err)
	}
	ctx := context.Background()
	nothing := func(*store.Tx) error { t.Error("ran after Close"); return nil }
	calls := map[string]func() error{
		"Update":      func() error { return s.Update(ctx, nothing) },
		"View":        func() error { return s.View(ctx, nothing) },
		"Spend":       func() error { _, err := s.Spend(ctx, ask(account, 1)); return err },
		"Record":      func() error { return s.Record(ctx, limit.Batch{Seq: 1}) },
		"Usage":       func() error { _, err := s.Usage(ctx, "p", "", 1, 1); return err },
		"PutCode":     func() error { _, err := s.PutCode(ctx, []byte("x")); return err },
		"Code":        func() error { _, err := s.Code(ctx, "x"); return err },
		"SaveBuckets": func() error { return s.SaveBuckets(ctx, nil) },
		"LoadBuckets": func() error { _, _, _, err := s.LoadBuckets(ctx); return err },
		"AppendLogs":  func() error { return s.AppendLogs(ctx, make([]telemetry.LogEvent, 1)) },
		"LogGroups":   func() error { _, err := s.LogGroups(ctx, "", "", "", 1); return err },
		"LogStreams":  func() error { _, err := s.LogStreams(ctx, "g", store.LogStreamsQuery{}); return err },
		"ReadLogs":    func() error { return s.ReadLogGroup(ctx, "g", store.LogRange{}, nil) },
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s after Close returned %v, want ErrClosed", name, err)
		}
	}
}
