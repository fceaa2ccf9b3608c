package protection

import (
	"fmt"
	"testing"
	"time"

	"weir/internal/catalog"
	"weir/internal/limit/limittest"
)

// furnish puts the same plan, keys and stage into a guard.
func furnish(h *house) *Stage {
	p := planOf("plan1", rate(1, 10), nil)
	p.APIStages[0].Throttle = map[string]catalog.Throttle{"/pets/{id}/ANY": {RateLimit: 0.1, BurstLimit: 8}}
	h.PutPlan(p)
	h.key("key1", "plan1")
	h.key("key2", "plan1")
	return h.stage(map[string]catalog.MethodSetting{"//GET": setting(2, 6)})
}

func TestCleanStopSavesTheBuckets(t *testing.T) {
	h := newHouse(t, &limittest.Ledger{})
	st := furnish(h)
	h.Started(h.now())
	for range 4 {
		h.want(st, keyedGet, "key1", "")
	}
	for range 3 {
		h.want(st, keyedAny, "key1", "")
	}
	h.want(st, open, "", "")
	h.pass(500 * time.Millisecond)
	saved := h.SaveBuckets()
	want := "[{plan/plan1/key1 3.5} {plan/plan1/key1/api1/dev/pets/{id}/ANY 2.95}]"
	if got := fmt.Sprint(saved); got != want {
		t.Fatalf("saved %s, want %s", got, want)
	}
	saved = append(saved,
		Bucket{"stage/api1/dev//GET", 5}, Bucket{"plan/gone/key1", 3}, Bucket{"plan/plan1/gone", 3},
		Bucket{"stage/gone/dev//GET", 3}, Bucket{"nonsense", 1}, Bucket{"plan/plan1/key2/gone", 2})

	for _, before := range []bool{true, false} { // Restore may come before or after what it is for
		for _, late := range []bool{true, false} { // a stage may be used first long after
			again := newHouse(t, &limittest.Ledger{})
			if before {
				again.Restore(saved, 2*time.Second)
			}
			st := furnish(again)
			if !before {
				again.Restore(saved, 2*time.Second)
			}
			again.Started(again.now())
			if late {
				again.pass(500 * time.Millisecond)
			}
			if again.restored != nil || again.loaded != nil {
				t.Error("what was for loading is kept")
			}
			more := 0
			if late {
				more = 1
			}
			again.wantAdmitted(st, keyedGet, "GET", "key1", 8+more) // 1.5 used, 1 with late
			again.wantAdmitted(st, keyedAny, "GET", "key1", 5)      // 2.75 used
			again.wantAdmitted(st, open, "GET", "", 5+more)         // 1 used, 0 with late
			again.wantAdmitted(st, keyedGet, "GET", "key2", 10)     // was never used
		}
	}
}

func TestClockGoneBackRestoresAtMostWhatWasUsed(t *testing.T) {
	h := newHouse(t, &limittest.Ledger{})
	st := furnish(h)
	h.Restore([]Bucket{{"plan/plan1/key1", 4}}, -time.Hour)
	h.Started(h.now())
	h.wantAdmitted(st, keyedGet, "GET", "key1", 6)
}

func TestUncleanStopBeginsEmpty(t *testing.T) {
	h := newHouse(t, &limittest.Ledger{})
	h.BeginEmpty()
	st := furnish(h)
	h.pass(3 * time.Second) // loading takes a while
	h.Started(h.now())

	h.wantAdmitted(st, keyedGet, "GET", "key1", 0)
	h.wantAdmitted(st, open, "GET", "", 0)
	h.pass(2 * time.Second)
	h.wantAdmitted(st, keyedGet, "GET", "key1", 2)
	h.wantAdmitted(st, keyedGet, "GET", "key2", 2) // first use, and empty since the start
	h.wantAdmitted(st, open, "GET", "", 4)
	h.Unlink("plan1", "key2")
	h.key("key2", "plan1")
	h.wantAdmitted(st, keyedGet, "GET", "key2", 0)

	h.key("fresh", "plan1")
	h.wantAdmitted(st, keyedGet, "GET", "fresh", 10)
	h.PutPlan(planOf("plan2", rate(1, 4), nil))
	h.key("other", "plan2")
	h.key("fresh2", "plan1")
	h.wantAdmitted(st, keyedGet, "GET", "other", 4)
	p := planOf("plan1", rate(1, 10), nil)
	p.APIStages[0].Throttle = map[string]catalog.Throttle{"/pets/GET": {RateLimit: 1, BurstLimit: 3}}
	h.PutPlan(p)
	h.wantAdmitted(st, keyedGet, "GET", "key1", 3) // the entry is new, though the key is not
	h.wantAdmitted(h.stage(map[string]catalog.MethodSetting{"*/*": setting(2, 6), "pets/{id}/PUT": setting(1, 2)}), keyedAny, "PUT", "fresh2", 2)
}

func TestUnusedKeyThatWasThereBeginsEmptyAfterRelink(t *testing.T) {
	h := newHouse(t, &limittest.Ledger{})
	h.BeginEmpty()
	st := furnish(h)
	h.Started(h.now())
	h.Unlink("plan1", "key1")
	h.key("key1", "plan1")
	h.wantAdmitted(st, keyedGet, "GET", "key1", 0)
}

func TestEditBeforeTheFirstUseFillsNoBucket(t *testing.T) {
	h := newHouse(t, &limittest.Ledger{})
	h.BeginEmpty()
	st := furnish(h)
	h.Started(h.now())
	h.PutPlan(planOf("plan1", rate(1, 20), nil))
	h.wantAdmitted(st, keyedGet, "GET", "key1", 0)
	h.pass(time.Second)
	h.wantAdmitted(st, keyedGet, "GET", "key1", 1)
}
