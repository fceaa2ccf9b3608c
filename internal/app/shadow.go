package app

import (
	"encoding/json"
	"net/http"
	"time"
)

// shadowReport is what /_weir/shadow answers: what usage plans in shadow mode
// would have refused since this server started, in this process.
type shadowReport struct {
	Since time.Time    `json:"since"`
	Plans []shadowPlan `json:"plans"`
}

// shadowPlan is a plan that is in shadow mode, or was and would have refused
// something.
type shadowPlan struct {
	PlanID string `json:"planId"`
	On     bool   `json:"on"`
	refusedInShadow
	Keys []shadowKey `json:"keys"` // of which it would have refused anything
}

type shadowKey struct {
	KeyID string `json:"keyId"`
	refusedInShadow
}

type refusedInShadow struct {
	Throttled int64 `json:"throttled"`
	Exhausted int64 `json:"exhausted"` // over the quota, or the quota could not be asked
}

func (a *App) serveShadow(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(a.shadowReport()) // the caller may be gone
}

func (a *App) shadowReport() shadowReport {
	counts, on := a.guard.ShadowCounts()
	out := shadowReport{Since: a.began, Plans: []shadowPlan{}}
	at := map[string]int{}
	plan := func(id string) *shadowPlan {
		i, ok := at[id]
		if !ok {
			i = len(out.Plans)
			at[id] = i
			out.Plans = append(out.Plans, shadowPlan{PlanID: id, Keys: []shadowKey{}})
		}
		return &out.Plans[i]
	}
	for _, id := range on {
		plan(id).On = true
	}
	for _, c := range counts {
		p := plan(c.PlanID)
		p.Throttled += c.Throttled
		p.Exhausted += c.Exhausted
		p.Keys = append(p.Keys, shadowKey{c.KeyID, refusedInShadow{c.Throttled, c.Exhausted}})
	}
	return out
}
