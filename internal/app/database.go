package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"weir/internal/control"
	"weir/internal/store"
)

// openStore locks and opens the data folder. What it makes in it is its owner's
// alone; a folder that others can write is said, since they can put a root
// access key of their own there.
func (a *App) openStore(ctx context.Context) error {
	s, err := a.reachStore(ctx)
	if err != nil {
		return err
	}
	if info, err := os.Stat(a.o.Data); err == nil && info.Mode().Perm()&0o022 != 0 && runtime.GOOS != "windows" {
		a.o.Logger.Warn("others can change the data folder, and so the secret and the keys in it: run chmod 700 on it",
			"data", a.o.Data, "mode", fmt.Sprintf("%04o", info.Mode().Perm()))
	}
	a.store = s
	a.onStop("store", func(context.Context) error { return s.Close() })
	return nil
}

// reachStore opens the store. A PostgreSQL that does not answer may be about to:
// machines start in any order, and a failover takes its time.
func (a *App) reachStore(ctx context.Context) (*store.Store, error) {
	began := time.Now()
	for pause := 250 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		s, err := store.Open(ctx, store.Options{Dir: a.o.Data, Database: a.o.Database, Logger: a.o.Logger})
		if !errors.Is(err, store.ErrUnreachable) {
			return s, err
		}
		left := a.o.DatabaseWait - time.Since(began)
		if left <= 0 {
			return nil, fmt.Errorf("the database has not answered for %s: %w: start it, or mend --database; 'weir doctor' with the same flags looks at it", a.o.DatabaseWait, err)
		}
		a.o.Logger.Warn("the database does not answer; it is asked again", "error", err, "for", left.Round(time.Second).String())
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(min(pause, left)):
		}
	}
}

// heedStore reports through Failed that the store cannot go on.
func (a *App) heedStore() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case err := <-a.store.Failed():
			a.failed <- err
		case <-ctx.Done():
		}
	}()
	a.onStop("following", func(context.Context) error {
		cancel()
		<-ended
		return nil
	})
}

// where says where the data is, for errors: without a password.
func (a *App) where() string {
	if a.o.Database == "" {
		return a.o.Data
	}
	name, err := store.DatabaseOf(a.o.Database)
	if err != nil { // New has validated it
		return "the database"
	}
	return name
}

// ready says whether this server can do all that it is there for: without its
// database nothing can be changed and no quota asked, and a node that has not
// heard of the others' changes answers by old ones.
func (a *App) ready() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	err := a.store.Ready(ctx)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrBehind):
		return &control.NotReady{Why: "it has not heard of the newest changes", Cause: err}
	default:
		return &control.NotReady{Why: "the database does not answer", Cause: err}
	}
}
