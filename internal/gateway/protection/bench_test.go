package protection

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"weir/internal/catalog"
	"weir/internal/gateway/message"
	"weir/internal/limit"
	"weir/internal/limit/limittest"
	"weir/internal/secret"
)

const manyKeys = 100_000

// crowd is a guard with 100,000 keys in one plan, the real digest and the real
// clock, and requests of keys in random order.
func crowd(b *testing.B, t *catalog.Throttle, q *catalog.Quota) (*house, *Stage, []message.Request) {
	b.Helper()
	s := secret.Random()
	clock := limit.NewClock()
	g := NewGuard(Options{Limiter: limit.New(&limittest.Ledger{}, limit.WithClock(clock.Mono)), Digest: s.Digest, Now: clock.Now})
	g.PutPlan(planOf("plan01", t, q))
	requests := make([]message.Request, 1<<14)
	for i := range manyKeys {
		id := fmt.Sprintf("k%09d", i)
		g.PutKey(id, s.Digest(value(id)), true)
		g.Link(catalog.UsagePlanKey{PlanID: "plan01", KeyID: id, AddedAt: noon})
	}
	for i := range requests {
		requests[i] = *request("GET", value(fmt.Sprintf("k%09d", rand.IntN(manyKeys))))
	}
	h := &house{Guard: g, t: b}
	st := h.stage(map[string]catalog.MethodSetting{"*/*": setting(1e6, 1e6)})
	g.Started(clock.Now())
	return h, st, requests
}

func benchAdmit(b *testing.B, t *catalog.Throttle, q *catalog.Quota, refusal string) {
	g, st, requests := crowd(b, t, q)
	ask := func(i int) {
		a, r := g.Admit(b.Context(), &requests[i&(len(requests)-1)], st, keyedGet)
		if (r == nil) != (refusal == "") || r != nil && r.Type != refusal {
			b.Fatal(r)
		}
		a.Settle(true)
	}
	for i := range requests { // first use makes the buckets
		ask(i)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		ask(i)
		i++
	}
}

func BenchmarkAdmitThrottled(b *testing.B) { benchAdmit(b, &catalog.Throttle{}, nil, Throttled) }
func BenchmarkAdmitExhausted(b *testing.B) { benchAdmit(b, rate(1e6, 1e6), perDay(0), QuotaExceeded) }
func BenchmarkAdmitUncapped(b *testing.B)  { benchAdmit(b, rate(1e6, 1e6), nil, "") }

// The ledger is a map in memory: the figure is ours, without a database.
func BenchmarkAdmitQuota(b *testing.B) { benchAdmit(b, rate(1e6, 1e6), perDay(1<<40), "") }

func BenchmarkAdmitUnknownKey(b *testing.B) {
	g, st, _ := crowd(b, rate(1e6, 1e6), nil)
	requests := make([]*message.Request, 1<<12)
	for i := range requests {
		requests[i] = request("GET", value(fmt.Sprintf("u%09d", rand.Int32N(1e9))))
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, r := g.Admit(b.Context(), requests[i&(len(requests)-1)], st, keyedGet); r != unknownKey {
			b.Fatal(r)
		}
		i++
	}
}

func BenchmarkAdmitOpenMethod(b *testing.B) {
	g, st, requests := crowd(b, nil, nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, r := g.Admit(b.Context(), &requests[0], st, open); r != nil && r.Type != Throttled {
			b.Fatal(r)
		}
	}
}

func BenchmarkFindKey(b *testing.B) {
	g, _, requests := crowd(b, nil, nil)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		v, _ := requests[i&(len(requests)-1)].Header.Last("x-api-key")
		if k, _ := g.find(v); k == nil {
			b.Fatal("not found")
		}
		i++
	}
}

// BenchmarkLoadKeys is what a start does with 100,000 keys, and what they weigh.
func BenchmarkLoadKeys(b *testing.B) {
	ids := make([]string, manyKeys)
	digests := make([][32]byte, manyKeys)
	for i := range ids {
		ids[i] = fmt.Sprintf("k%09d", i)
		digests[i] = digest(ids[i])
	}
	clock := limit.NewClock()
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		start := time.Now()
		g := NewGuard(Options{Now: clock.Now})
		g.PutPlan(planOf("plan01", rate(1, 1), perDay(10)))
		for i := range ids {
			g.PutKey(ids[i], digests[i], true)
			g.Link(catalog.UsagePlanKey{PlanID: "plan01", KeyID: ids[i], AddedAt: noon})
		}
		b.ReportMetric(float64(time.Since(start).Milliseconds()), "ms/load")
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/manyKeys, "B/key")
		runtime.KeepAlive(g)
	}
}
