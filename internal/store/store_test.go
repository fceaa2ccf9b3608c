package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"weir/internal/limit"
	"weir/internal/limit/limittest"
	"weir/internal/store"
	"weir/internal/store/storetest"
)

func open(t testing.TB, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(context.Background(), store.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// ask is for one call of a monthly quota.
func ask(a limit.Account, most int64) limit.Ask {
	return limit.Ask{Account: a, Quota: limit.Quota{Limit: most, Period: limit.Monthly}, Calls: 1}
}

func TestSQLite(t *testing.T) {
	storetest.Run(t, func(t *testing.T) *store.Store { return open(t, t.TempDir()) })
}

// fresh is a database on which a store was opened and closed, as a new one is.
// To copy it is faster than to make the schema.
var fresh string

// newDatabase makes a database for a test.
func newDatabase(t testing.TB) string {
	t.Helper()
	p := storetest.SharedPostgres(t)
	if fresh == "" {
		fresh = p.Database(t)
		s, err := store.Open(context.Background(), store.Options{Dir: t.TempDir(), Database: fresh})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return p.Copy(t, fresh)
}

// onPostgres opens a store on a database of its own.
func onPostgres(t testing.TB) *store.Store {
	t.Helper()
	return openDatabase(t, newDatabase(t))
}

// openDatabase opens a node on a database.
func openDatabase(t testing.TB, database string) *store.Store {
	t.Helper()
	s, err := store.Open(context.Background(), store.Options{Dir: t.TempDir(), Database: database})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestPostgres(t *testing.T) {
	storetest.Run(t, func(t *testing.T) *store.Store { return onPostgres(t) })
}

// TestLedger holds the store to what limit.Ledger promises.
func TestLedger(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) {
		testLedger(t, func(t *testing.T) string { return t.TempDir() }, func(t *testing.T, dir string) *store.Store { return open(t, dir) })
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		testLedger(t, func(t *testing.T) string { return newDatabase(t) }, func(t *testing.T, database string) *store.Store { return openDatabase(t, database) })
	})
}

// testLedger runs the suite on databases that are made and opened by name.
func testLedger(t *testing.T, fresh func(*testing.T) string, open func(*testing.T, string) *store.Store) {
	names := map[limit.Ledger]string{}
	at := func(t *testing.T, name string) limit.Ledger {
		s := open(t, name)
		names[s] = name
		return s
	}
	limittest.TestLedger(t, limittest.Subject{
		Open: func(t *testing.T) limit.Ledger { return at(t, fresh(t)) },
		Restart: func(t *testing.T, l limit.Ledger) limit.Ledger {
			if err := l.(*store.Store).Close(); err != nil { // its limiter said nothing before
				t.Fatal(err)
			}
			return at(t, names[l])
		},
		Used: func(l limit.Ledger, a limit.Account, from, to limit.Day) (n int64) {
			days, err := l.(*store.Store).Usage(t.Context(), a.PlanID, a.KeyID, from, to)
			if err != nil {
				t.Error(err)
			}
			for _, d := range days {
				n += d.Used
			}
			return n
		},
	})
}

// TestRates holds the store to what limit.Rates promises, by a clock that
// stands still but when it is told to pass.
func TestRates(t *testing.T) {
	limittest.TestRates(t, func(t *testing.T) (limit.Rates, func(time.Duration)) {
		database := newDatabase(t)
		now := storetest.Epoch
		pass := func(d time.Duration) {
			now = now.Add(d)
			storetest.SharedPostgres(t).Exec(t, database, fmt.Sprintf(`
				CREATE OR REPLACE FUNCTION weir.weir_now() RETURNS BIGINT LANGUAGE sql VOLATILE AS 'SELECT %d::bigint';
				UPDATE weir.beat SET seen = weir.weir_now()`, now.UnixNano()))
		}
		s := openDatabase(t, database)
		pass(0)
		return s, pass
	})
}
