package protection

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/puzpuzpuz/xsync/v4"

	"weir/internal/catalog"
	"weir/internal/gateway/protection/authorizer"
	"weir/internal/limit"
)

// Options is what a Guard is built from. All fields but Account and Authorizers
// are required.
type Options struct {
	Limiter *limit.Limiter
	Digest  func(value string) [32]byte // how key values are found: secret's Digest
	Now     func() limit.Instant        // the clock of this process
	Account *limit.Rate                 // the account's throttle, over all stages, with and without a key; nil: none

	// Authorizers asks Lambda authorizers. nil: a method that names one
	// refuses every call.
	Authorizers *authorizer.Runner
}

// Guard holds the keys, the usage plans and the buckets, and admits calls. It
// holds of a key its digest, id, whether it is enabled and its plans, and what
// its tags say of who gets in: no value and no name.
//
// Keys and plans are changed in place, one at a time, while calls go on; a
// change is seen by every Admit that begins after it returned. Changes may come
// in any order (a link before its key or plan). A bucket or a count belongs to
// (plan, key) and outlives every edit: of the plan, of the key's enabled, of the
// link itself.
//
// A Guard begins in its loading phase, which Started ends: see there. Safe for
// concurrent use.
type Guard struct {
	limiter *limit.Limiter
	digest  func(string) [32]byte
	now     func() limit.Instant

	authorizers *authorizer.Runner

	account *limit.Cell // the account's throttle; nil: none

	// found by half a digest; the whole is compared
	byDigest *xsync.Map[[16]byte, *key]

	// mu serialises changes and guards what is below. Admit takes it only at an
	// account's first use and at its first use after an edit of its plan.
	mu         sync.Mutex
	keys       map[string]*key
	plans      map[string]*plan
	stageCells map[string]*stageCells // by "{api}/{stage}"
	compiled   int64                  // stages compiled so far

	version atomic.Int64 // of what is compiled and put from now on

	loading    bool
	beginEmpty bool
	begun      limit.Instant      // when loading ended
	restored   map[string]float64 // tokens used, by bucket name, while loading
	away       time.Duration      // since they were saved
	loaded     []*Stage           // compiled while loading
}

// NewGuard returns a guard without keys, in its loading phase.
func NewGuard(o Options) *Guard {
	g := &Guard{
		limiter: o.Limiter,
		digest:  o.Digest,
		now:     o.Now,

		authorizers: o.Authorizers,
		byDigest:    xsync.NewMap[[16]byte, *key](),
		keys:        map[string]*key{},
		plans:       map[string]*plan{},
		stageCells:  map[string]*stageCells{},
		loading:     true,
	}
	if o.Account != nil {
		g.account = limit.NewCell(*o.Account, false, o.Now())
	}
	return g
}

// key is one API key. id and digest do not change: another digest makes
// another key.
type key struct {
	id     string
	digest [32]byte
	terms  atomic.Pointer[terms] // never nil
	links  atomic.Pointer[link]
}

// link is one of a key's plans, in an immutable list.
type link struct {
	account *account
	next    *link
}

func half(digest [32]byte) [16]byte { return [16]byte(digest[:]) }

// find returns the key with this value, or nil, and whether the value is the one
// from before the key's rotation.
func (g *Guard) find(value string) (k *key, previous bool) {
	d := g.digest(value)
	k, ok := g.byDigest.Load(half(d))
	switch {
	case !ok:
		return nil, false
	case k.digest == d:
		return k, false
	case k.terms.Load().Previous == d:
		return k, true
	}
	return nil, false
}

// PutKey adds a key or changes one that has no tags which say on what terms it
// lets callers in.
func (g *Guard) PutKey(id string, digest [32]byte, enabled bool) {
	g.putKey(id, digest, plainTerms(enabled))
}

// PutKeyWithTerms adds a key or changes one, whatever its tags.
func (g *Guard) PutKeyWithTerms(k catalog.APIKey) {
	g.putKey(k.ID, k.Digest, compileTerms(&k))
}

// putKey makes the key findable by its values before it makes it unfindable by
// those it had: a value that stays one of them is never unknown for a moment.
func (g *Guard) putKey(id string, digest [32]byte, t *terms) {
	g.mu.Lock()
	defer g.mu.Unlock()
	old := g.keys[id]
	var was *terms
	var before [2][32]byte
	if old != nil {
		was = old.terms.Load()
		before = [2][32]byte{old.digest, was.Previous}
	}
	g.seatLocked(id, t, was)
	k := old
	if k == nil || k.digest != digest {
		k = &key{id: id, digest: digest}
		if old != nil {
			k.links.Store(old.links.Load())
		}
		g.keys[id] = k
	}
	k.terms.Store(t)
	g.byDigest.Store(half(digest), k)
	if t.Previous != [32]byte{} {
		g.byDigest.Store(half(t.Previous), k)
	}
	for _, d := range before {
		if d != digest && d != t.Previous {
			g.forget(old, d)
		}
	}
}

// DeleteKey removes a key with its links and everything it has used.
func (g *Guard) DeleteKey(id string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if k := g.keys[id]; k != nil {
		g.forget(k, k.digest)
		g.forget(k, k.terms.Load().Previous)
		delete(g.keys, id)
		if s := k.terms.Load().seats; s != nil {
			g.limiter.ForgetSeats(s)
		}
		for l := k.links.Load(); l != nil; l = l.next {
			g.abandon(l.account)
		}
	}
	for _, p := range g.plans {
		g.abandon(p.left[id])
		delete(p.left, id)
	}
}

// Recall hears that the standing of a key's quota was changed in the ledger:
// what is held of it is given back, and the next call asks.
func (g *Guard) Recall(planID, keyID string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	k, p := g.keys[keyID], g.plans[planID]
	if k == nil || p == nil {
		return
	}
	if a := k.account(p); a != nil {
		g.recallLocked(a)
	}
}

// forget makes k unfindable by the value with this digest.
func (g *Guard) forget(k *key, digest [32]byte) {
	if found, ok := g.byDigest.Load(half(digest)); ok && found == k {
		g.byDigest.Delete(half(digest))
	}
}

// keyLocked returns the key with this id; one that is not known yet cannot be
// found by any value.
func (g *Guard) keyLocked(id string) *key {
	k := g.keys[id]
	if k == nil {
		k = &key{id: id}
		k.terms.Store(disabledTerms)
		g.keys[id] = k
	}
	return k
}

func (g *Guard) planLocked(id string) *plan {
	p := g.plans[id]
	if p == nil {
		p = &plan{id: id}
		p.rules.Store(&rules{})
		g.plans[id] = p
	}
	return p
}

// SetVersion says what state of the configuration is told from now on: of two
// settings of a bucket that nodes divide, the one with the higher version is in
// force. Called before keys, plans and stages are put or compiled.
func (g *Guard) SetVersion(v int64) { g.version.Store(v) }

// PutPlan adds a plan or changes one. Its keys keep what they used.
func (g *Guard) PutPlan(c catalog.UsagePlan) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.planLocked(c.ID)
	old := p.rules.Load()
	next := g.compileRulesLocked(c, old)
	if next == old {
		return
	}
	p.rules.Store(next)
	// At once, and not at the next use: what was used so far comes back at the
	// old rate until now, and at the new one from now on.
	for _, k := range g.keys {
		for l := k.links.Load(); l != nil; l = l.next {
			if l.account.plan == p && l.account.use.Load() != nil {
				g.renewLocked(l.account, nil)
			}
		}
	}
	for _, a := range p.left {
		if a.use.Load() != nil {
			g.renewLocked(a, nil)
		}
	}
}

// DeletePlan removes a plan with its links and everything its keys have used.
func (g *Guard) DeletePlan(id string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.plans[id]
	if p == nil {
		return
	}
	delete(g.plans, id)
	p.rules.Store(&rules{})
	for _, k := range g.keys {
		g.abandon(k.unlink(p))
	}
	for _, a := range p.left {
		g.abandon(a)
	}
}

// abandon forgets the buckets of an account that is gone, and gives back what
// it holds of its quota; nil is none.
func (g *Guard) abandon(a *account) {
	if a == nil {
		return
	}
	g.recallLocked(a)
	u := a.use.Load()
	if u == nil {
		return
	}
	if u.cell != nil {
		g.limiter.Forget(u.cell)
	}
	for _, c := range u.methods {
		g.limiter.Forget(c)
	}
}

// Link makes a key a member of a plan.
func (g *Guard) Link(c catalog.UsagePlanKey) {
	g.mu.Lock()
	defer g.mu.Unlock()
	k, p := g.keyLocked(c.KeyID), g.planLocked(c.PlanID)
	joined := limit.DayOf(c.AddedAt)
	a := k.account(p)
	if a == nil {
		if a = p.left[c.KeyID]; a == nil {
			a = &account{plan: p, id: limit.Account{PlanID: p.id, KeyID: k.id}, joined: joined, early: g.loading}
		}
		delete(p.left, c.KeyID)
		k.links.Store(&link{a, k.links.Load()})
	}
	if a.joined != joined {
		g.rejoinLocked(a, joined)
	}
}

// Unlink ends a key's membership. What it used is kept for the case that it
// comes back.
func (g *Guard) Unlink(planID, keyID string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	k, p := g.keys[keyID], g.plans[planID]
	if k == nil || p == nil {
		return
	}
	a := k.unlink(p)
	if a == nil {
		return
	}
	g.recallLocked(a)
	if a.use.Load() != nil || g.beginEmpty {
		if p.left == nil {
			p.left = map[string]*account{}
		}
		p.left[keyID] = a
	}
}

// account returns the key's account in p, or nil.
func (k *key) account(p *plan) *account {
	for l := k.links.Load(); l != nil; l = l.next {
		if l.account.plan == p {
			return l.account
		}
	}
	return nil
}

// unlink takes p out of the key's list and returns the account, or nil.
func (k *key) unlink(p *plan) *account {
	a := k.account(p)
	if a == nil {
		return nil
	}
	var rest *link
	for l := k.links.Load(); l != nil; l = l.next {
		if l.account != a {
			rest = &link{l.account, rest}
		}
	}
	k.links.Store(rest)
	return a
}
