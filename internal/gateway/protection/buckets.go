package protection

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"weir/internal/limit"
)

// Bucket is a throttle's bucket of a clean stop: the tokens used and not yet
// back. Its name is one of
//
//	plan/{plan}/{key}                           the plan's throttle
//	plan/{plan}/{key}/{api}/{stage}{path}/{VERB}  the plan's entry for a method
//	stage/{api}/{stage}{path}/{VERB}              the stage's throttle for a method
//	account                                       the account's throttle
//
// The seats of a key, which nodes divide as buckets, are seats/{key}.
type Bucket struct {
	Name string
	Used float64
}

const accountBucket = "account"

// planBucket names a bucket of an account; throttle is throttle.name.
func planBucket(plan, key, throttle string) string {
	name := "plan/" + plan + "/" + key
	if throttle != "" {
		name += "/" + throttle
	}
	return name
}

func stageBucket(stage, key string) string { return "stage/" + stage + key }

// splitName splits "{api}/{stage}{path}/{VERB}" before the path.
func splitName(name string) (stage, key string) {
	api := strings.IndexByte(name, '/')
	if api < 0 {
		return name, ""
	}
	end := strings.IndexByte(name[api+1:], '/')
	if end < 0 {
		return name, ""
	}
	return name[:api+1+end], name[api+1+end:]
}

// SaveBuckets returns every bucket that is not full, ordered by name: what a
// clean stop keeps. Calls that are admitted afterwards are missing in it.
// Buckets that nodes divide are not among them: Limiter.ReturnShares is their
// clean stop.
func (g *Guard) SaveBuckets() []Bucket {
	if g.limiter.Divides() {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	var all []Bucket
	save := func(name string, c *limit.Cell) {
		if used := c.Used(now); used > 0 {
			all = append(all, Bucket{name, used})
		}
	}
	saveAccount := func(a *account) {
		u := a.use.Load()
		if u == nil {
			return
		}
		if u.cell != nil {
			save(planBucket(a.plan.id, a.id.KeyID, ""), u.cell)
		}
		for name, c := range u.methods {
			save(planBucket(a.plan.id, a.id.KeyID, name), c)
		}
	}
	if g.account != nil {
		save(accountBucket, g.account)
	}
	for _, k := range g.keys {
		for l := k.links.Load(); l != nil; l = l.next {
			saveAccount(l.account)
		}
	}
	for _, p := range g.plans {
		for _, a := range p.left {
			saveAccount(a)
		}
	}
	for stage, s := range g.stageCells {
		for key, c := range s.cells {
			save(stageBucket(stage, key), c)
		}
	}
	slices.SortFunc(all, func(a, b Bucket) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// Restore gives back what SaveBuckets returned, elapsed ago. Called while
// loading, before or after the keys and stages are; Started makes the buckets,
// less what came back in the meantime. A negative elapsed (the clock went back)
// counts as none.
func (g *Guard) Restore(buckets []Bucket, elapsed time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.restored = make(map[string]float64, len(buckets))
	g.away = max(elapsed, 0)
	for _, b := range buckets {
		g.restored[b.Name] = b.Used
	}
}

// BeginEmpty says that the last stop was not clean: what the buckets held is
// lost, so those of keys and stages that are there when loading ends begin
// without a token, as of that moment. Nobody gains by a crash. Called while
// loading.
func (g *Guard) BeginEmpty() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.beginEmpty = true
}

// Started ends the loading phase: everything that was stored has been put, and
// what comes from now on is new and begins full. Called once, before callers
// are let in.
func (g *Guard) Started(now limit.Instant) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.begun = now
	if g.account != nil { // of nodes that were given different ones the one of who started last counts
		g.account = g.beginLocked(accountBucket, limit.CompileVersion(g.account.Rate(), now.Wall.Unix()), true, now)
	}
	for _, st := range g.loaded {
		if !st.ready.Load() {
			g.publishLocked(st)
		}
	}
	for name := range g.restored {
		g.materialiseLocked(name)
	}
	g.loading, g.loaded, g.restored = false, nil, nil
}

// materialiseLocked makes the bucket of a plan that was saved under name, if
// its plan and key are still there. (Those of stages are made already.)
func (g *Guard) materialiseLocked(name string) {
	rest, ok := strings.CutPrefix(name, "plan/")
	if !ok {
		return
	}
	planID, rest, _ := strings.Cut(rest, "/")
	keyID, method, _ := strings.Cut(rest, "/")
	p, k := g.plans[planID], g.keys[keyID]
	if p == nil || k == nil {
		return
	}
	a := k.account(p)
	if a == nil {
		if a = p.left[keyID]; a == nil {
			a = &account{plan: p, id: limit.Account{PlanID: p.id, KeyID: keyID}, early: true}
			if p.left == nil {
				p.left = map[string]*account{}
			}
			p.left[keyID] = a
		}
	}
	g.renewLocked(a, p.rules.Load().named(method))
}

// beginLocked makes a bucket that was not there. early: what it belongs to was
// there when the server started. One that nodes divide begins as they left it.
func (g *Guard) beginLocked(name string, s *limit.Setting, early bool, now limit.Instant) *limit.Cell {
	if g.limiter.Divides() {
		return g.limiter.Bucket(name, s, now)
	}
	if used, ok := g.restored[name]; ok {
		if rate := s.Rate().PerSecond; rate > 0 {
			used -= rate * g.away.Seconds()
		}
		return limit.RestoreSharedCell(s, used, now)
	}
	if early && g.beginEmpty {
		if !g.loading {
			now = g.begun
		}
		return limit.NewSharedCell(s, true, now)
	}
	return limit.NewSharedCell(s, false, now)
}
