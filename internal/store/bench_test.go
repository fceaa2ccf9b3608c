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
)

func BenchmarkUpdate(b *testing.B) {
	s := open(b, b.TempDir())
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		err := s.Update(context.Background(), func(tx *store.Tx) error {
			return store.Put(tx, catalog.UsagePlan{ID: "p", Description: fmt.Sprint(i)})
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSpendAlone(b *testing.B) {
	s := open(b, b.TempDir())
	b.ReportAllocs()
	for b.Loop() {
		if out, err := s.Spend(context.Background(), ask(limit.Account{PlanID: "plan", KeyID: "key"}, 1<<40)); !out.OK || err != nil {
			b.Fatal(out, err)
		}
	}
}

func BenchmarkSpend64(b *testing.B) {
	s := open(b, b.TempDir())
	var n atomic.Int64
	b.ReportAllocs()
	b.SetParallelism(32) // times GOMAXPROCS
	b.RunParallel(func(pb *testing.PB) {
		a := limit.Account{PlanID: "plan", KeyID: fmt.Sprint("key", n.Add(1))}
		for pb.Next() {
			if out, err := s.Spend(context.Background(), ask(a, 1<<40)); !out.OK || err != nil {
				b.Error(out, err)
				return
			}
		}
	})
}

func BenchmarkView(b *testing.B) {
	s := open(b, b.TempDir())
	if err := s.Update(context.Background(), func(tx *store.Tx) error { return store.Put(tx, catalog.RestAPI{ID: "a"}) }); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		err := s.View(context.Background(), func(tx *store.Tx) error {
			_, _, err := store.Get[catalog.RestAPI](tx, "a")
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// manyKeys opens a store with 100,000 keys, each in one plan.
func manyKeys(b *testing.B) *store.Store {
	b.Helper()
	s := open(b, b.TempDir())
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
	return s
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

func BenchmarkStart(b *testing.B) {
	s := manyKeys(b)
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
