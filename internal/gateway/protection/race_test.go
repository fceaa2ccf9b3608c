package protection

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"weir/internal/catalog"
	"weir/internal/limit"
	"weir/internal/limit/limittest"
)

// Every sort of edit while calls go on: nothing more is let in than the limits
// allow, every admitted call is in the ledger, and afterwards all holds what
// was put last.
func TestEditsDuringCalls(t *testing.T) {
	const callers, each, burst, quota = 6, 600, 300, 250
	h := newHouse(t, &limittest.Ledger{})
	full := planOf("plan1", rate(0.0001, burst), perDay(quota))
	edited := full
	edited.APIStages = []catalog.PlanStage{full.APIStages[0], {APIID: "api2", Stage: "x"}}
	slower := planOf("plan1", rate(0.0002, burst), perDay(quota))
	h.PutPlan(full)
	h.key("key1", "plan1")
	h.Started(h.now())
	settings := map[string]catalog.MethodSetting{"*/*": setting(0.0001, burst)}
	var current atomic.Pointer[Stage]
	current.Store(h.stage(settings))

	done := make(chan struct{})
	var edits, calls sync.WaitGroup
	for i, edit := range []func(i int){
		func(i int) { h.PutPlan([]catalog.UsagePlan{edited, slower, full}[i%3]) },
		func(i int) { h.PutKey("key1", digest(value("key1")), i%2 == 1) },
		func(i int) {
			h.Unlink("plan1", "key1")
			h.Link(catalog.UsagePlanKey{PlanID: "plan1", KeyID: "key1", AddedAt: noon})
		},
		func(i int) { current.Store(h.stage(settings)) },
		func(i int) { h.key(fmt.Sprint("other", i%50), "plan1") },
		func(i int) { h.DeleteKey(fmt.Sprint("other", i%50)) },
		func(i int) { h.SaveBuckets() },
	} {
		edits.Go(func() {
			for n := i; ; n++ {
				select {
				case <-done:
					return
				default:
					edit(n)
				}
			}
		})
	}
	var admitted atomic.Int64
	for range callers {
		calls.Go(func() {
			for range each {
				a, r := h.Admit(context.Background(), request("GET", value("key1")), current.Load(), keyedGet)
				if r == nil {
					admitted.Add(1)
				}
				a.Settle(true)
			}
		})
	}
	calls.Wait()
	close(done)
	edits.Wait()
	h.PutPlan(full)
	h.PutKey("key1", digest(value("key1")), true)
	n := admitted.Load() + int64(h.admitted(current.Load(), keyedGet, "GET", "key1", quota+10))
	if n != quota {
		t.Errorf("%d calls admitted, want the quota of %d", n, quota)
	}
	if err := h.limiter.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	day := limit.DayOf(noon)
	if rec := h.ledger.Used(limit.Account{PlanID: "plan1", KeyID: "key1"}, day, day); rec != n {
		t.Errorf("%d admitted, %d in the ledger", n, rec)
	}
}

// First use by many callers at once makes one bucket.
func TestFirstUseByManyMakesOneBucket(t *testing.T) {
	for range 20 {
		h := newHouse(t, &limittest.Ledger{})
		p := planOf("plan1", rate(0.001, 5), nil)
		p.APIStages[0].Throttle = map[string]catalog.Throttle{"/pets/{id}/ANY": {RateLimit: 0.001, BurstLimit: 7}}
		h.PutPlan(p)
		h.key("key1", "plan1")
		st := h.stage(map[string]catalog.MethodSetting{"*/*": setting(0.001, 100)})
		var byGet, byAny atomic.Int64
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for range 10 {
					count, index := &byGet, keyedGet
					if i%2 == 0 {
						count, index = &byAny, keyedAny
					}
					if _, r := h.Admit(context.Background(), request("GET", value("key1")), st, index); r == nil {
						count.Add(1)
					}
				}
			})
		}
		wg.Wait()
		if byGet.Load() != 5 || byAny.Load() != 7 {
			t.Fatalf("%d and %d admitted, want 5 and 7", byGet.Load(), byAny.Load())
		}
	}
}

func TestAdmitDoesNotAllocate(t *testing.T) {
	h := newHouse(t, &limittest.Ledger{})
	h.PutPlan(planOf("fast", rate(1e6, 1e6), nil))
	h.PutPlan(planOf("shut", rate(0, 0), nil))
	h.PutPlan(planOf("spent", rate(1e6, 1e6), perDay(0)))
	for _, id := range []string{"fast", "shut", "spent"} {
		h.key(id, id)
	}
	st := h.stage(map[string]catalog.MethodSetting{"pets/GET": setting(1e6, 1e6)})
	ctx := t.Context()
	for name, c := range map[string]struct{ key, refusal string }{
		"admitted": {value("fast"), ""}, "throttled": {value("shut"), Throttled}, "exhausted": {value("spent"), QuotaExceeded},
		"unknown": {strings.Repeat("u", 40), InvalidAPIKey}, "missing": {"", InvalidAPIKey},
	} {
		req := request("GET", c.key)
		got := ""
		n := testing.AllocsPerRun(200, func() {
			a, r := h.Admit(ctx, req, st, keyedGet)
			if r != nil {
				got = r.Type
			}
			a.Settle(true)
		})
		if n != 0 || got != c.refusal {
			t.Errorf("%s: %v allocations, refusal %q", name, n, got)
		}
	}
}
