package limit_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"weir/internal/limit"
	"weir/internal/limit/limittest"
)

// keys are n accounts of one plan, each with a bucket and a quota, as the
// gateway holds them: the settings are the plan's.
type keys struct {
	accounts []limit.Account
	cells    []*limit.Cell
	meters   []*limit.Meter
}

func newKeys(n int, most int64) *keys {
	k := &keys{make([]limit.Account, n), make([]*limit.Cell, n), make([]*limit.Meter, n)}
	setting := limit.Compile(limit.Rate{PerSecond: 1e6, Burst: 1e6})
	quota := daily(most)
	for i := range n {
		k.accounts[i] = limit.Account{PlanID: "plan01", KeyID: fmt.Sprintf("%010d", i)}
	}
	for i := range n {
		k.cells[i] = limit.NewSharedCell(setting, false, after(0))
		k.meters[i] = limit.NewSharedMeter(&k.accounts[i], quota, noon)
	}
	return k
}

// plenty is a ledger that grants whatever is asked for, and remembers nothing:
// what a decision costs beside it.
type plenty struct{ asked atomic.Int64 }

func (p *plenty) Spend(_ context.Context, a limit.Ask) (limit.Answer, error) {
	p.asked.Add(1)
	return limit.Decide(a, limittest.Noon, limit.Standing{}), nil
}

func (p *plenty) Record(context.Context, limit.Batch) error { return nil }

func (k *keys) take(b testing.TB, l *limit.Limiter, i int, now limit.Instant) {
	g, v := l.Take(context.Background(), k.cells[i:i+1], nil, k.meters[i], now)
	if v.Outcome != limit.Granted {
		b.Fatalf("%+v", v)
	}
	g.Settle(true)
}

// warm lets every key hold a lease.
func (k *keys) warm(b testing.TB, l *limit.Limiter, now limit.Instant) {
	for range 3 {
		for i := range k.meters {
			k.take(b, l, i, now)
		}
	}
}

// BenchmarkLeasedHot is one key with a throttle and a leased quota.
func BenchmarkLeasedHot(b *testing.B) {
	clock := limit.NewClock()
	l := limit.New(&plenty{}, limit.WithClock(clock.Mono))
	k := newKeys(1, 1<<40)
	b.ReportAllocs()
	now := limit.Instant{Wall: noon}
	for b.Loop() {
		now.Mono += 2 * time.Microsecond
		k.take(b, l, 0, now)
	}
}

// shuffled is a permutation that costs next to nothing to walk: a step through
// it leaves no order that a cache could guess.
func shuffled(n int) func(i int) int {
	order := make([]uint32, 1<<16)
	for i := range order {
		order[i] = rand.Uint32N(uint32(n))
	}
	return func(i int) int { return int((order[i&(1<<16-1)] + uint32(i)*7919) % uint32(n)) }
}

// BenchmarkLeasedMillion is a million keys at random, each with a throttle and
// a leased quota; each parallel caller goes its own way.
func BenchmarkLeasedMillion(b *testing.B) {
	const n = 1_000_000
	clock := limit.NewClock()
	l := limit.New(&plenty{}, limit.WithClock(clock.Mono))
	k := newKeys(n, 1<<40)
	k.warm(b, l, clock.Now())
	at := shuffled(n)
	b.Run("alone", func(b *testing.B) {
		b.ReportAllocs()
		now := clock.Now()
		for i := 0; b.Loop(); i++ {
			now.Mono += time.Microsecond
			k.take(b, l, at(i), now)
		}
	})
	var caller atomic.Int64
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		now := clock.Now()
		b.RunParallel(func(pb *testing.PB) {
			now := now
			for i := int(caller.Add(1)) * 1_234_567; pb.Next(); i++ {
				now.Mono += time.Microsecond
				k.take(b, l, at(i), now)
			}
		})
	})
	b.Run("tend", func(b *testing.B) { // once a second
		for b.Loop() {
			if err := l.Tend(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// What a key costs with a throttle and a quota.
func TestSizeOfAKey(t *testing.T) {
	if n := unsafe.Sizeof(limit.Cell{}) + unsafe.Sizeof(limit.Meter{}); n > 64 {
		t.Errorf("a cell and a meter take %d bytes", n)
	}
}

// BenchmarkHeapOfAKey is the same on the heap, with a lease that was spent and
// recorded: everything that the limiter keeps of a key is in it.
func BenchmarkHeapOfAKey(b *testing.B) {
	const n = 200_000
	for b.Loop() {
		clock := limit.NewClock()
		l := limit.New(&plenty{}, limit.WithClock(clock.Mono))
		k := newKeys(0, 0)
		k.accounts = newKeys(n, 1<<40).accounts
		k.cells, k.meters = make([]*limit.Cell, n), make([]*limit.Meter, n)
		setting, quota := limit.Compile(limit.Rate{PerSecond: 1e6, Burst: 1e6}), daily(1<<40)
		before := heap()
		for i := range n {
			k.cells[i] = limit.NewSharedCell(setting, false, after(0))
			k.meters[i] = limit.NewSharedMeter(&k.accounts[i], quota, noon)
		}
		k.warm(b, l, clock.Now())
		if err := l.Tend(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(heap()-before)/n, "B/key")
		runtime.KeepAlive(k)
		runtime.KeepAlive(l)
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkTransactions reports how often the ledger is asked, and how many
// batches are recorded, for a thousand admitted calls: one key with 10 calls a
// day, one with 1,000 calls a second, and 100,000 keys that share 10,000 calls
// a second. Time is the test's.
func BenchmarkTransactions(b *testing.B) {
	for _, c := range []struct {
		name          string
		keys, second  int // calls a second over all keys
		most, seconds int
	}{
		{"10 a day", 1, 1, 10, 10},
		{"1000 a second", 1, 1000, 100_000_000, 60},
		{"100000 keys", 100_000, 10_000, 100_000, 120},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				w := newWorld(b)
				n := w.node(nil)
				k := newKeys(c.keys, int64(c.most))
				batches := 0
				n.ledger.BeforeRecord = func(context.Context, limit.Batch) error { batches++; return nil }
				admitted := 0
				for range c.seconds {
					for range c.second {
						w.clock += time.Second / time.Duration(c.second)
						k.take(b, n.Limiter, rand.IntN(c.keys), n.now())
						n.runFetches()
						admitted++
					}
					if err := n.Tend(b.Context()); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(w.ledger.Spends())*1000/float64(admitted), "asks/1000")
				b.ReportMetric(float64(batches)*1000/float64(admitted), "batches/1000")
			}
		})
	}
}
