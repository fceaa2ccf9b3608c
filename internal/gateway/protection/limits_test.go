package protection

import (
	"testing"
	"time"

	"weir/internal/catalog"
	"weir/internal/limit"
	"weir/internal/limit/limittest"
)

// admitted counts how many of n calls are let in at once.
func (h *house) admitted(st *Stage, index int, verb, keyID string, n int) (in int) {
	h.t.Helper()
	for range n {
		a, r := h.Admit(h.t.Context(), request(verb, value(keyID)), st, index)
		if r == nil {
			in++
		} else if r.Type != Throttled && r.Type != QuotaExceeded {
			h.t.Fatalf("refused: %+v", r)
		}
		a.Settle(true)
	}
	return in
}

func (h *house) wantAdmitted(st *Stage, index int, verb, keyID string, n int) {
	h.t.Helper()
	if got := h.admitted(st, index, verb, keyID, n+3); got != n {
		h.t.Errorf("%s of method %d with key %s: %d admitted at once, want %d", verb, index, keyID, got, n)
	}
}

func TestPlanEntryForAMethodReplacesThePlansBucket(t *testing.T) {
	h := newHouse(t, &limittest.Ledger{})
	p := planOf("plan1", rate(1, 2), nil)
	p.APIStages[0].Throttle = map[string]catalog.Throttle{
		"/pets/GET":       {RateLimit: 1, BurstLimit: 5},
		"/pets/{id}/PUT":  {RateLimit: 1, BurstLimit: 3},
		"/pets/{id}/POST": {},
	}
	h.PutPlan(p)
	h.key("key1", "plan1")
	h.key("key2", "plan1")
	st := h.stage(nil)
	h.wantAdmitted(st, keyedGet, "GET", "key1", 5)  // above the plan's 2, and not out of them
	h.wantAdmitted(st, keyedAny, "PUT", "key1", 3)  // an entry for one verb of ANY
	h.wantAdmitted(st, keyedAny, "POST", "key1", 0) // zero lets nothing through
	h.wantAdmitted(st, keyedAny, "GET", "key1", 2)  // the plan's own
	h.wantAdmitted(st, keyedAny, "PATCH", "key1", 0)
	h.wantAdmitted(st, keyedGet, "GET", "key2", 5) // each key has its own
}

func TestPlanBucketSpansTheStagesOfThePlan(t *testing.T) {
	h := newHouse(t, &limittest.Ledger{})
	p := planOf("plan1", rate(1, 3), perDay(100))
	p.APIStages = append(p.APIStages, catalog.PlanStage{APIID: "api2", Stage: "prod"})
	h.PutPlan(p)
	h.key("key1", "plan1")
	dev := h.stage(nil)
	prod, err := h.CompileStage("api2", catalog.Stage{StageName: "prod"}, catalog.RestAPI{}, methods())
	if err != nil {
		t.Fatal(err)
	}
	h.want(dev, keyedGet, "key1", "")
	h.want(prod, keyedGet, "key1", "")
	h.want(dev, keyedAny, "key1", "")
	h.want(prod, keyedGet, "key1", Throttled)
}

func TestStageThrottle(t *testing.T) {
	cases := []struct {
		name     string
		settings map[string]catalog.MethodSetting
		method   int
		verb     string
		want     int
	}{
		{"none", nil, keyedGet, "GET", 40},
		{"every method", map[string]catalog.MethodSetting{"*/*": setting(1, 2)}, keyedGet, "GET", 2},
		{"own before every", map[string]catalog.MethodSetting{"*/*": setting(1, 2), "pets/GET": setting(1, 4)}, keyedGet, "GET", 4},
		{"own switched off", map[string]catalog.MethodSetting{"*/*": setting(1, 2), "pets/GET": setting(-1, -1)}, keyedGet, "GET", 40},
		{"rate off alone", map[string]catalog.MethodSetting{"*/*": setting(-1, 2)}, keyedGet, "GET", 40},
		{"burst off alone", map[string]catalog.MethodSetting{"*/*": setting(1, -1)}, keyedGet, "GET", 40},
		{"zero", map[string]catalog.MethodSetting{"*/*": setting(0, 0)}, keyedGet, "GET", 0},
		{"another method's", map[string]catalog.MethodSetting{"pets/PUT": setting(1, 2)}, keyedGet, "GET", 40},
		{"the root", map[string]catalog.MethodSetting{"//GET": setting(1, 2)}, open, "GET", 2},
		{"ANY's own", map[string]catalog.MethodSetting{"pets/{id}/ANY": setting(1, 3)}, keyedAny, "GET", 3},
		{"a verb of ANY", map[string]catalog.MethodSetting{"*/*": setting(1, 2), "pets/{id}/GET": setting(1, 3)}, keyedAny, "GET", 3},
		{"another verb of ANY", map[string]catalog.MethodSetting{"*/*": setting(1, 2), "pets/{id}/GET": setting(1, 3)}, keyedAny, "PUT", 2},
		{"a verb of ANY switched off", map[string]catalog.MethodSetting{"*/*": setting(1, 2), "pets/{id}/GET": setting(-1, -1)}, keyedAny, "GET", 40},
		{"the plan is tighter", map[string]catalog.MethodSetting{"*/*": setting(1, 1000)}, keyedGet, "GET", 40},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t, &limittest.Ledger{})
			h.PutPlan(planOf("plan1", rate(1, 40), nil))
			h.key("key1", "plan1")
			st := h.stage(c.settings)
			if c.method == open && c.want == 40 {
				t.Fatal("an open method has no plan")
			}
			h.wantAdmitted(st, c.method, c.verb, "key1", c.want)
		})
	}
}

func TestEveryMethodHasItsOwnBucket(t *testing.T) {
	h := newHouse(t, &limittest.Ledger{})
	h.PutPlan(planOf("plan1", nil, nil))
	h.key("key1", "plan1")
	h.key("key2", "plan1")
	st := h.stage(map[string]catalog.MethodSetting{"*/*": setting(1, 2)})
	h.wantAdmitted(st, keyedGet, "GET", "key1", 2)
	h.wantAdmitted(st, keyedGet, "GET", "key2", 0) // the stage's bucket is all callers'
	h.wantAdmitted(st, open, "GET", "key1", 2)
	h.want(st, keyedAny, "key1", "")
	h.wantAdmitted(st, keyedAny, "PUT", "key1", 1) // ANY is one method
}

func TestRefusalByOneLimitCostsTheOthersNothing(t *testing.T) {
	h := newHouse(t, &limittest.Ledger{})
	h.PutPlan(planOf("plan1", rate(0.001, 5), perDay(3)))
	h.key("key1", "plan1")
	tight := h.stage(map[string]catalog.MethodSetting{"pets/GET": setting(0.001, 1)})
	h.want(tight, keyedGet, "key1", "")
	for range 10 {
		h.want(tight, keyedGet, "key1", Throttled)
	}
	h.want(tight, keyedAny, "key1", "")
	h.want(tight, keyedAny, "key1", "")
	for range 10 {
		h.want(tight, keyedAny, "key1", QuotaExceeded)
	}
	h.PutPlan(planOf("plan1", rate(0.001, 5), nil))
	h.wantAdmitted(tight, keyedAny, "GET", "key1", 2)
}

func TestEditsKeepWhatWasUsed(t *testing.T) {
	full := func(h *house) *Stage {
		h.PutPlan(planOf("plan1", rate(0.001, 3), perDay(100)))
		h.key("key1", "plan1")
		st := h.stage(map[string]catalog.MethodSetting{"//GET": setting(0.001, 2)})
		h.wantAdmitted(st, keyedGet, "GET", "key1", 3)
		h.wantAdmitted(st, open, "GET", "", 2)
		return st
	}
	account := limit.Account{PlanID: "plan1", KeyID: "key1"}
	link := catalog.UsagePlanKey{PlanID: "plan1", KeyID: "key1", AddedAt: noon}
	cases := []struct {
		name string
		edit func(h *house)
		want int // calls at once afterwards
	}{
		{"nothing", func(*house) {}, 0},
		{"key disabled and enabled", func(h *house) {
			h.PutKey("key1", digest(value("key1")), false)
			h.PutKey("key1", digest(value("key1")), true)
		}, 0},
		{"unlinked and linked", func(h *house) { h.Unlink("plan1", "key1"); h.Link(link) }, 0},
		{"linked again the next day", func(h *house) {
			h.Unlink("plan1", "key1")
			later := link
			later.AddedAt = noon.Add(24 * time.Hour)
			h.Link(later)
		}, 0},
		{"plan put again", func(h *house) { h.PutPlan(planOf("plan1", rate(0.001, 3), perDay(100))) }, 0},
		{"plan renamed", func(h *house) {
			p := planOf("plan1", rate(0.001, 3), perDay(100))
			p.Name = "gold"
			h.PutPlan(p)
		}, 0},
		{"burst raised by two", func(h *house) { h.PutPlan(planOf("plan1", rate(0.001, 5), perDay(100))) }, 2},
		{"throttle taken away and put back", func(h *house) {
			h.PutPlan(planOf("plan1", nil, perDay(100)))
			h.PutPlan(planOf("plan1", rate(0.001, 3), perDay(100)))
		}, 0},
		{"raised while unlinked", func(h *house) {
			h.Unlink("plan1", "key1")
			h.PutPlan(planOf("plan1", rate(0.001, 5), perDay(100)))
			h.Link(link)
		}, 2},
		{"stage out of the plan and back", func(h *house) {
			h.PutPlan(catalog.UsagePlan{ID: "plan1", Throttle: rate(0.001, 3)})
			h.PutPlan(planOf("plan1", rate(0.001, 3), perDay(100)))
		}, 0},
		{"key's value changed", func(h *house) {
			h.PutKey("key1", digest("something else"), true)
			h.PutKey("key1", digest(value("key1")), true)
		}, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t, &limittest.Ledger{})
			st := full(h)
			c.edit(h)
			h.wantAdmitted(st, keyedGet, "GET", "key1", c.want)
			h.wantAdmitted(h.stage(map[string]catalog.MethodSetting{"//GET": setting(0.001, 2)}), open, "GET", "", 0)
			h.wantAdmitted(h.stage(map[string]catalog.MethodSetting{"*/*": setting(0.001, 4)}), open, "GET", "", 2)
			if n := h.ledger.Used(account, 0, 100_000); n != int64(3+c.want) {
				t.Errorf("the ledger has %d calls, want %d", n, 3+c.want)
			}
		})
	}
}

// What was used comes back at the new rate from the edit on, not from the next
// call on.
func TestEditedRateCountsFromTheEdit(t *testing.T) {
	h := newHouse(t, &limittest.Ledger{})
	p := planOf("plan1", rate(0.001, 10), nil)
	h.PutPlan(p)
	h.key("key1", "plan1")
	h.key("key2", "plan1")
	st := h.stage(map[string]catalog.MethodSetting{"//GET": setting(0.001, 10)})
	h.wantAdmitted(st, keyedGet, "GET", "key1", 10)
	h.wantAdmitted(st, keyedGet, "GET", "key2", 10)
	h.wantAdmitted(st, open, "GET", "", 10)
	h.Unlink("plan1", "key2")
	h.PutPlan(planOf("plan1", rate(1, 10), nil))
	next := h.stage(map[string]catalog.MethodSetting{"//GET": setting(2, 10)})
	h.PublishStage(next)
	h.pass(3 * time.Second)
	h.key("key2", "plan1")
	h.wantAdmitted(st, keyedGet, "GET", "key1", 3)
	h.wantAdmitted(st, keyedGet, "GET", "key2", 3)
	h.wantAdmitted(next, open, "GET", "", 6)
}

func TestQuotaSurvivesUnlinkAndNewGuard(t *testing.T) {
	h := newHouse(t, &limittest.Ledger{})
	h.PutPlan(planOf("plan1", nil, perDay(2)))
	h.key("key1", "plan1")
	h.wantAdmitted(h.stage(nil), keyedGet, "GET", "key1", 2)
	h.Unlink("plan1", "key1")
	h.want(h.stage(nil), keyedGet, "key1", InvalidAPIKey)
	h.key("key1", "plan1")
	h.want(h.stage(nil), keyedGet, "key1", QuotaExceeded)

	again := newHouse(t, h.ledger.Node("again"))
	again.PutPlan(planOf("plan1", nil, perDay(3)))
	again.key("key1", "plan1")
	again.wantAdmitted(again.stage(nil), keyedGet, "GET", "key1", 1)
}

func TestEditsTakeEffectAtOnce(t *testing.T) {
	h := newHouse(t, &limittest.Ledger{})
	h.PutPlan(planOf("plan1", nil, perDay(5)))
	h.key("key1", "plan1")
	st := h.stage(nil)
	h.want(st, keyedGet, "key1", "")
	steps := []struct {
		edit func()
		want string
	}{
		{func() { h.PutKey("key1", digest(value("key1")), false) }, InvalidAPIKey},
		{func() { h.PutKey("key1", digest(value("key1")), true) }, ""},
		{func() { h.PutPlan(planOf("plan1", nil, perDay(2))) }, QuotaExceeded},
		{func() { h.PutPlan(planOf("plan1", nil, perDay(3))) }, ""},
		{func() { h.PutPlan(planOf("plan1", rate(0, 0), perDay(3))) }, Throttled},
		{func() { h.PutPlan(planOf("plan1", nil, nil)) }, ""},
		{func() { h.PutPlan(catalog.UsagePlan{ID: "plan1"}) }, InvalidAPIKey},
		{func() { h.PutPlan(planOf("plan1", nil, nil)) }, ""},
		{func() { h.DeletePlan("plan1") }, InvalidAPIKey},
		{func() { h.Unlink("plan1", "key1") }, InvalidAPIKey},
		{func() { h.PutPlan(planOf("plan2", nil, nil)); h.key("key1", "plan2") }, ""},
		{func() { h.DeleteKey("key1") }, InvalidAPIKey},
		{func() { h.Unlink("plan2", "key1"); h.DeletePlan("plan2") }, InvalidAPIKey},
	}
	for i, s := range steps {
		s.edit()
		a, r := h.Admit(t.Context(), request("GET", value("key1")), st, keyedGet)
		a.Settle(true)
		got := ""
		if r != nil {
			got = r.Type
		}
		if got != s.want {
			t.Errorf("step %d: %q, want %q", i, got, s.want)
		}
	}
	if len(h.keys) != 0 || len(h.plans) != 0 || h.byDigest.Size() != 0 {
		t.Errorf("%d keys, %d plans and %d digests are left", len(h.keys), len(h.plans), h.byDigest.Size())
	}
}

func TestOfTwoPlansForAStageTheSameIsChosen(t *testing.T) {
	for _, order := range [][]string{{"a", "b"}, {"b", "a"}} {
		h := newHouse(t, &limittest.Ledger{})
		for _, id := range order {
			h.PutPlan(planOf(id, nil, nil))
			h.key("key1", id)
		}
		if a := h.want(h.stage(nil), keyedGet, "key1", ""); a.PlanID != "a" {
			t.Errorf("linked in order %v: plan %q", order, a.PlanID)
		}
	}
}

func TestOlderStageDoesNotUndoANewerOne(t *testing.T) {
	h := newHouse(t, &limittest.Ledger{})
	old := h.stage(map[string]catalog.MethodSetting{"*/*": setting(0.001, 50)})
	h.want(old, open, "", "")
	late := h.stage(map[string]catalog.MethodSetting{"*/*": setting(0.001, 40)}) // never published until it is late
	h.PublishStage(h.stage(map[string]catalog.MethodSetting{"*/*": setting(0.001, 3)}))
	h.PublishStage(late)
	h.wantAdmitted(late, open, "GET", "", 2)
	h.wantAdmitted(old, open, "GET", "", 0)
}

func TestBucketsOfFormerMethodsAreForgottenWhenFull(t *testing.T) {
	h := newHouse(t, &limittest.Ledger{})
	both := map[string]catalog.MethodSetting{"//GET": setting(1, 2), "pets/GET": setting(1, 2)}
	h.want(h.stage(both), open, "", "")
	h.PublishStage(h.stage(nil))
	if n := len(h.stageCells["api1/dev"].cells); n != 1 {
		t.Errorf("%d buckets are kept, want the one in use", n)
	}
	h.want(h.stage(both), open, "", "")
	h.want(h.stage(both), open, "", Throttled)
	h.pass(time.Hour)
	h.PublishStage(h.stage(nil))
	if n := len(h.stageCells["api1/dev"].cells); n != 0 {
		t.Errorf("%d buckets are kept after an hour", n)
	}
	h.RemoveStage("api1", "dev")
	if len(h.stageCells) != 0 {
		t.Error("a removed stage keeps buckets")
	}
}
