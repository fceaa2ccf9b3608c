package store_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"weir/internal/catalog"
	"weir/internal/limit"
	"weir/internal/store"
)

const childDir = "WEIR_TEST_STORE_CHILD"

var killed = limit.Account{PlanID: "p", KeyID: "k"}

// spenders is how many goroutines of the child spend; each has at most one
// call in flight.
const spenders = 4

// child updates and spends without end, and prints each number that was
// acknowledged, after it was.
func child(dir string) {
	s, err := store.Open(context.Background(), store.Options{Dir: dir})
	fail := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	fail(err)
	_, _, _, err = s.LoadBuckets(context.Background())
	fail(err)
	var print sync.Mutex
	say := func(what string, n int64) {
		print.Lock()
		defer print.Unlock()
		_, err := fmt.Printf("%s %d\n", what, n)
		fail(err)
	}
	for range spenders {
		go func() {
			for {
				out, err := s.Spend(context.Background(), ask(killed, 1<<40))
				fail(err)
				say("spend", out.Used)
			}
		}()
	}
	for n := int64(1); ; n++ {
		err := s.Update(context.Background(), func(tx *store.Tx) error {
			if err := store.Put(tx, catalog.RestAPI{ID: fmt.Sprintf("api%09d", n)}); err != nil {
				return err
			}
			return store.Put(tx, catalog.UsagePlan{ID: "last", Description: fmt.Sprint(n)})
		})
		fail(err)
		say("update", n)
	}
}

// TestKill ends a process in the middle of its work, several times over one
// folder: nothing that was acknowledged may be missing, and no more than what
// was in flight may be there besides.
func TestKill(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for round := range 3 {
		if round > 0 { // the child counts its updates from 1
			s := open(t, dir)
			err := s.Update(t.Context(), func(tx *store.Tx) error {
				all, err := store.List[catalog.RestAPI](tx)
				for _, a := range all {
					if err := store.Delete[catalog.RestAPI](tx, a.ID); err != nil {
						return err
					}
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			s.Close()
		}
		updates, spends := runAndKill(t, exe, dir, 40*(round+1))

		s := open(t, dir)
		err := s.View(t.Context(), func(tx *store.Tx) error {
			all, err := store.List[catalog.RestAPI](tx)
			if n := int64(len(all)); n < updates || n > updates+1 {
				t.Errorf("round %d: %d updates were acknowledged, %d are there", round, updates, n)
			}
			last, _, err2 := store.Get[catalog.UsagePlan](tx, "last")
			if last.Description != fmt.Sprint(len(all)) {
				t.Errorf("round %d: half an update is there: %s of %d", round, last.Description, len(all))
			}
			if err == nil {
				err = err2
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		days, err := s.Usage(t.Context(), "p", "k", 0, 1<<20)
		if err != nil || len(days) != 1 {
			t.Fatal(days, err)
		}
		if n := days[0].Used; n < spends || n > spends+spenders {
			t.Errorf("round %d: %d spends were acknowledged, %d are there", round, spends, n)
		}
		if _, _, clean, err := s.LoadBuckets(t.Context()); clean || err != nil {
			t.Errorf("round %d: a kill is taken for a clean stop: %v, %v", round, clean, err)
		}
		s.Close()
	}
}

// runAndKill kills a child once it has acknowledged that many updates and as
// many spends, and returns the highest numbers that it said.
func runAndKill(t *testing.T, exe, dir string, enough int) (updates, spends int64) {
	t.Helper()
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	seenUpdates, seenSpends, dead := 0, 0, false
	for lines.Scan() { // also what it said before the kill reached it
		var what string
		var n int64
		// The last line may be cut off by the kill.
		if c, _ := fmt.Sscanf(lines.Text(), "%s %d", &what, &n); c != 2 {
			continue
		}
		switch what {
		case "update":
			seenUpdates++
			updates = max(updates, n)
		case "spend":
			seenSpends++
			spends = max(spends, n)
		}
		if !dead && seenUpdates >= enough && seenSpends >= enough {
			dead = true
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
	}
	cmd.Wait()
	if !dead {
		t.Fatalf("the child ended by itself: %s", stderr.String())
	}
	return updates, spends
}
