package protection

import (
	"reflect"
	"sync"
	"sync/atomic"

	"weir/internal/catalog"
	"weir/internal/limit"
)

// plan is one usage plan.
type plan struct {
	id    string
	rules atomic.Pointer[rules] // never nil; covers no stage until the plan is known

	left map[string]*account // unlinked, by key id; guarded by Guard.mu

	shadows sync.Map // *shadow by key id, of keys of which shadow mode would have refused something
}

// rules is what a plan says. Immutable.
type rules struct {
	source   catalog.UsagePlan // the parts below as configured, to tell whether an edit changes them
	stages   map[string]*planStage
	throttle *throttle // nil: none
	quota    *limit.Quota
	manner   manner
}

// manner is what a plan's tags say of how its limits hold.
type manner struct {
	told         bool // answers tell them
	shadow       bool // they refuse nothing
	openWhenAway bool // while the ledger is away, the quota refuses nothing
}

// planStage is a stage that a plan covers.
type planStage struct {
	methods map[string]*throttle // by "{path}/{VERB}", which begins with a slash
}

// throttle is one setting of a plan. It governs one bucket of every key.
type throttle struct {
	name    string // "" for the plan's own, else "{api}/{stage}{path}/{VERB}"
	setting *limit.Setting
	early   bool // was there when the server started
}

// compileRulesLocked makes the rules of c. It returns old itself when nothing of
// them changed, and keeps of old what did not: the settings' age.
func (g *Guard) compileRulesLocked(c catalog.UsagePlan, old *rules) *rules {
	source := catalog.UsagePlan{ID: c.ID, APIStages: c.APIStages, Throttle: c.Throttle, Quota: c.Quota}
	m := manner{told: c.RateLimitHeaders(), shadow: c.Shadow(), openWhenAway: c.AdmitsWhenLedgerAway()}
	if m == old.manner && reflect.DeepEqual(source, old.source) {
		return old
	}
	r := &rules{source: source, manner: m, stages: make(map[string]*planStage, len(c.APIStages))}
	if c.Throttle != nil {
		r.throttle = g.compileThrottleLocked("", *c.Throttle, old.throttle)
	}
	if c.Quota != nil {
		period, _ := limit.ParsePeriod(c.Quota.Period)
		r.quota = &limit.Quota{Limit: c.Quota.Limit, Offset: c.Quota.Offset, Period: period, OpenWhenAway: m.openWhenAway}
	}
	for _, s := range c.APIStages {
		name := stageName(s.APIID, s.Stage)
		ps := &planStage{}
		if len(s.Throttle) > 0 {
			ps.methods = make(map[string]*throttle, len(s.Throttle))
		}
		for key, t := range s.Throttle {
			var before *throttle
			if was := old.stages[name]; was != nil {
				before = was.methods[key]
			}
			ps.methods[key] = g.compileThrottleLocked(name+key, t, before)
		}
		r.stages[name] = ps
	}
	return r
}

func (g *Guard) compileThrottleLocked(name string, c catalog.Throttle, before *throttle) *throttle {
	t := &throttle{name: name, early: g.loading}
	if before != nil {
		t.early = before.early
	}
	t.setting = limit.CompileVersion(limit.Rate{PerSecond: c.RateLimit, Burst: c.BurstLimit}, g.version.Load())
	return t
}

// throttleFor returns the setting that governs a call: the entry for its method
// replaces the plan's own. nil: none.
func (r *rules) throttleFor(s *planStage, v *verb) *throttle {
	if len(s.methods) > 0 {
		for _, key := range v.planKeys {
			if t := s.methods[key]; t != nil {
				return t
			}
		}
	}
	return r.throttle
}

// account is a key in a plan. 100,000 of them must be cheap: nothing is kept of
// one that was never used.
type account struct {
	plan   *plan
	id     limit.Account // of plan and key; its meter keeps it
	use    atomic.Pointer[use]
	joined limit.Day // guarded by Guard.mu
	early  bool      // was there when the server started
}

// use is what an account holds of limits, under the rules it was made for.
// Immutable: an edit of the plan makes another one, of the same meter and cells.
type use struct {
	rules   *rules
	meter   *limit.Meter
	cell    *limit.Cell            // nil while the plan never had a throttle
	methods map[string]*limit.Cell // by throttle's name
}

func (u *use) cellOf(t *throttle) *limit.Cell {
	if t.name == "" {
		return u.cell
	}
	return u.methods[t.name]
}

// rejoinLocked notes that the key came back to its plan on another day. The
// quota's offset counts in the period in which it did; the count goes on.
func (g *Guard) rejoinLocked(a *account, joined limit.Day) {
	a.joined = joined
	g.recallLocked(a)
	if u := a.use.Load(); u != nil {
		next := *u
		next.rules, next.meter = nil, nil // the next use renews
		a.use.Store(&next)
	}
}

// recallLocked gives back the calls that a holds of its quota, and forgets what
// is known of it: the next call asks.
func (g *Guard) recallLocked(a *account) {
	if u := a.use.Load(); u != nil && u.meter != nil {
		g.limiter.Recall(u.meter)
	}
}

// renew brings a to the plan's rules of now, with a bucket for want (nil:
// none is asked for).
func (g *Guard) renew(a *account, want *throttle) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.renewLocked(a, want)
}

func (g *Guard) renewLocked(a *account, want *throttle) {
	r, now := a.plan.rules.Load(), g.now()
	next := &use{rules: r}
	old := a.use.Load()
	if old == nil {
		old = &use{}
	}
	if next.meter = old.meter; next.meter == nil {
		next.meter = limit.NewSharedMeter(&a.id, r.quota, a.joined.Time())
	} else {
		next.meter.SetQuota(r.quota)
	}
	if next.cell = old.cell; r.throttle != nil {
		next.cell = g.bucketLocked(old.cell, a, r.throttle, now)
	}
	next.methods = g.methodCellsLocked(a, r, old.methods, want, now)
	a.use.Store(next)
}

// methodCellsLocked returns the buckets of the entries for single methods:
// those that were there, under the rules r, and the one that is asked for. One
// whose entry has gone is kept while it holds something; one that nodes divide
// is kept, since what it holds is not known here.
func (g *Guard) methodCellsLocked(a *account, r *rules, old map[string]*limit.Cell, want *throttle, now limit.Instant) map[string]*limit.Cell {
	var next map[string]*limit.Cell
	keep := func(name string, c *limit.Cell) {
		if next == nil {
			next = map[string]*limit.Cell{}
		}
		next[name] = c
	}
	for name, c := range old {
		if t := r.named(name); t != nil {
			keep(name, g.bucketLocked(c, a, t, now))
		} else if c.Used(now) > 0 || g.limiter.Divides() {
			keep(name, c)
		}
	}
	if want != nil && want.name != "" && next[want.name] == nil {
		if t := r.named(want.name); t != nil {
			keep(t.name, g.bucketLocked(nil, a, t, now))
		}
	}
	return next
}

// named returns the throttle with a name that is not "", or nil.
func (r *rules) named(name string) *throttle {
	stage, key := splitName(name)
	if s := r.stages[stage]; s != nil {
		return s.methods[key]
	}
	return nil
}

// bucketLocked returns c under t's setting, or a new bucket.
func (g *Guard) bucketLocked(c *limit.Cell, a *account, t *throttle, now limit.Instant) *limit.Cell {
	if c != nil {
		c.Apply(t.setting, now)
		return c
	}
	return g.beginLocked(planBucket(a.plan.id, a.id.KeyID, t.name), t.setting, a.early && t.early, now)
}
