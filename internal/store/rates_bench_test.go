package store_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"weir/internal/limit"
)

// BenchmarkShare renews shares of 10,000 buckets in PostgreSQL: by hundreds, as
// a node does that renews ahead, or one by one, as callers without a share do.
func BenchmarkShare(b *testing.B) {
	s := onPostgres(b)
	const buckets = 10_000
	var number atomic.Uint64
	var has [buckets]uint64
	ask := func(i int) limit.ShareAsk {
		n := number.Add(1)
		a := limit.ShareAsk{
			Bucket: fmt.Sprint("plan/plan01/key", i), Setting: limit.Rate{PerSecond: 50, Burst: 100},
			Node: s.Node(), Number: n, Has: has[i], Tokens: 60, Demand: 20,
		}
		has[i] = n
		return a
	}
	share := func(asks []limit.ShareAsk) {
		if _, err := s.Share(b.Context(), asks); err != nil {
			b.Error(err)
		}
	}
	batch := func(from, n int) {
		asks := make([]limit.ShareAsk, n)
		for i := range asks {
			asks[i] = ask((from + i) % buckets)
		}
		share(asks)
	}
	b.Run("500 at once", func(b *testing.B) {
		from := 0
		for b.Loop() {
			batch(from, 500)
			from += 500
		}
		b.ReportMetric(500*float64(b.N)/b.Elapsed().Seconds(), "asks/s")
	})
	b.Run("one alone", func(b *testing.B) {
		i := 0
		for b.Loop() {
			batch(i%buckets, 1)
			i++
		}
	})
	b.Run("64 callers", func(b *testing.B) {
		var wg sync.WaitGroup
		each := b.N/64 + 1
		for c := range 64 {
			wg.Go(func() {
				for i := range each {
					batch(c*100+i%100, 1) // no two callers have a bucket in common
				}
			})
		}
		wg.Wait()
		b.ReportMetric(float64(64*each)/b.Elapsed().Seconds(), "asks/s")
	})
}
