package store_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"weir/internal/catalog"
	"weir/internal/limit"
	"weir/internal/store"
	"weir/internal/store/storetest"
)

var lastDatabase string // of onBoth

// onBoth runs a benchmark on SQLite and on PostgreSQL.
func onBoth(b *testing.B, run func(b *testing.B, s *store.Store)) {
	b.Run("SQLite", func(b *testing.B) {
		s := open(b, b.TempDir())
		b.ReportAllocs()
		run(b, s)
	})
	b.Run("PostgreSQL", func(b *testing.B) {
		lastDatabase = newDatabase(b)
		s := openDatabase(b, lastDatabase)
		if _, err := s.Spend(context.Background(), ask(limit.Account{}, 1)); err != nil { // connects
			b.Fatal(err)
		}
		b.ReportAllocs()
		run(b, s)
	})
}

func BenchmarkUpdate(b *testing.B) { onBoth(b, updates) }

func updates(b *testing.B, s *store.Store) {
	for i := 0; b.Loop(); i++ {
		err := s.Update(context.Background(), func(tx *store.Tx) error {
			return store.Put(tx, catalog.UsagePlan{ID: "p", Description: fmt.Sprint(i)})
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkUpdateOfThree is an Update on one of three nodes.
func BenchmarkUpdateOfThree(b *testing.B) {
	database := newDatabase(b)
	for range 2 {
		follow(b, database)
	}
	updates(b, follow(b, database).Store)
}

// BenchmarkHearing is the time from the beginning of an Update until another
// node has published it.
func BenchmarkHearing(b *testing.B) {
	database := newDatabase(b)
	one, two := follow(b, database), follow(b, database)
	for i := 0; b.Loop(); i++ {
		name := fmt.Sprint(i)
		one.put(b, catalog.RestAPI{ID: "a", Name: name})
		for (*two.apis.Load())["a"] != name {
			time.Sleep(50 * time.Microsecond)
		}
	}
}

func BenchmarkSpendAlone(b *testing.B) {
	onBoth(b, func(b *testing.B, s *store.Store) {
		for b.Loop() {
			if out, err := s.Spend(context.Background(), ask(limit.Account{PlanID: "plan", KeyID: "key"}, 1<<40)); !out.OK || err != nil {
				b.Fatal(out, err)
			}
		}
	})
}

func BenchmarkSpend64(b *testing.B) {
	onBoth(b, func(b *testing.B, s *store.Store) {
		var n atomic.Int64
		b.SetParallelism(32) // times GOMAXPROCS
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			a := limit.Account{PlanID: "plan", KeyID: fmt.Sprint("key", n.Add(1))}
			for pb.Next() {
				if out, err := s.Spend(context.Background(), ask(a, 1<<40)); !out.OK || err != nil {
					b.Error(out, err)
					return
				}
			}
		})
	})
}

func BenchmarkView(b *testing.B) {
	onBoth(b, func(b *testing.B, s *store.Store) {
		if err := s.Update(context.Background(), func(tx *store.Tx) error { return store.Put(tx, catalog.RestAPI{ID: "a"}) }); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			err := s.View(context.Background(), func(tx *store.Tx) error {
				_, _, err := store.Get[catalog.RestAPI](tx, "a")
				return err
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}

// manyKeys fills a store with 100,000 keys, each in one plan. Through Update,
// PostgreSQL takes half a million round trips.
func manyKeys(b *testing.B, s *store.Store) {
	b.Helper()
	if s.Shared() {
		storetest.SharedPostgres(b).Exec(b, lastDatabase, `
			INSERT INTO weir.api_key (id, digest, enabled, name, description, customer_id, created, updated, sealed, has_terms)
				SELECT convert_to(lpad(to_hex(i * 7919), 10, '0'), 'UTF8'), sha256(int8send(i)), true, convert_to('customer ' || i, 'UTF8'), '', '',
					weir.weir_now(), weir.weir_now(), convert_to(repeat('s', 80), 'UTF8'), 0 FROM generate_series(0, 99999) AS i;
			INSERT INTO weir.usage_plan_key (plan_id, key_id, added)
				SELECT convert_to('plan' || lpad((seq % 20)::text, 2, '0'), 'UTF8'), id, created FROM weir.api_key`)
		return
	}
	err := s.Update(context.Background(), func(tx *store.Tx) error {
		for i := range 100_000 {
			k := catalog.APIKey{
				ID: fmt.Sprintf("%010x", i*7919), Name: fmt.Sprint("customer ", i), Enabled: true,
				CreatedDate: time.Now(), LastUpdatedDate: time.Now(), Sealed: []byte(strings.Repeat("s", 80)),
			}
			k.Digest = sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(i)))
			if err := store.Put(tx, k); err != nil {
				return err
			}
			if err := store.Put(tx, catalog.UsagePlanKey{PlanID: fmt.Sprintf("plan%02d", i%20), KeyID: k.ID, AddedAt: time.Now()}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

func each(b *testing.B, s *store.Store, fn func(tx *store.Tx, count *int) error) {
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		if err := s.View(context.Background(), func(tx *store.Tx) error { return fn(tx, &n) }); err != nil || n != 100_000 {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkStart(b *testing.B) { onBoth(b, starts) }

func starts(b *testing.B, s *store.Store) {
	manyKeys(b, s)
	b.Run("EachKey", func(b *testing.B) {
		each(b, s, func(tx *store.Tx, n *int) error { return tx.EachKey(func(store.KeyRow) error { *n++; return nil }) })
	})
	b.Run("EachLink", func(b *testing.B) {
		each(b, s, func(tx *store.Tx, n *int) error {
			return tx.EachLink(func(catalog.UsagePlanKey) error { *n++; return nil })
		})
	})
	b.Run("Page", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			err := s.View(context.Background(), func(tx *store.Tx) error {
				_, err := tx.APIKeys(store.KeyQuery{PlanID: "plan07", Limit: 25})
				return err
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}
