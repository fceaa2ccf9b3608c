package protection

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"weir/internal/catalog"
	"weir/internal/gateway/protection/authorizer"
	"weir/internal/gateway/route"
	"weir/internal/limit"
	"weir/internal/telemetry"
)

// MethodSpec is one method of a deployment, as the routes number it.
type MethodSpec struct {
	ResourceID   string // for log lines only
	ResourcePath string // "/" or "/pets/{id}"
	Verb         string // as configured: a verb or ANY
	Method       catalog.Method
}

// Stage is what protection compiled of a stage, with its methods in the order
// they were given. Made by Guard.CompileStage.
type Stage struct {
	apiID   string
	stage   string
	name    string // "{api}/{stage}"
	methods []method
	limits  []*stageLimit // each once
	told    bool          // a tag asks that answers tell the limits

	version int64 // of the configuration
	number  int64 // later stages have greater ones
	early   bool  // was there when the server started
	ready   atomic.Bool
}

// method is one method's protection. Immutable but for the cells of its limits.
type method struct {
	resourceID  string
	path        string
	keyRequired bool
	refusal     *Refusal // not nil: every call is refused
	verbs       []verb   // one, or for ANY one a verb and, last, ANY itself

	authorizer        *authorizer.Authorizer // nil: none
	keyFromAuthorizer bool
}

// verb is a verb of a method with the limits that hold for it.
type verb struct {
	name     string
	planKeys []string    // the plan's entries that govern it, the nearest first
	limit    *stageLimit // nil: the stage does not throttle it
}

// stageLimit is the stage's throttle for one method.
type stageLimit struct {
	key     string // "{path}/{VERB}"
	setting *limit.Setting
	cell    *limit.Cell // set before Stage.ready
}

// bucket returns the limit's bucket; nil, none, of no limit.
func (l *stageLimit) bucket() *limit.Cell {
	if l == nil {
		return nil
	}
	return l.cell
}

// stageCells are the buckets of one stage.
type stageCells struct {
	newest int64 // number of the latest Stage whose settings they have
	cells  map[string]*limit.Cell
}

const anyVerb = "ANY"

// anyVerbs are the verbs that ANY stands for.
var anyVerbs = []string{"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"}

// CompileStage compiles the protection of a stage that points at d; methods are
// numbered as the routes number them. It changes nothing that callers see;
// PublishStage does. An error says what can never work.
//
// A methodSettings entry throttles a method. The entry for the method itself
// ("pets/GET", the root "//GET") stands before "*/*", and "*/*" gives each
// method a bucket of its own, as on AWS: it is no limit on the stage as a whole.
// A method ANY has one bucket, save for verbs that have an entry of their own.
// -1 as rate or burst means no limit at this level; zero lets nothing through.
func (g *Guard) CompileStage(apiID string, stage catalog.Stage, d *catalog.Deployment, methods []MethodSpec) (*Stage, error) {
	st := &Stage{
		apiID:   apiID,
		stage:   stage.StageName,
		name:    stageName(apiID, stage.StageName),
		methods: make([]method, len(methods)),
		version: g.version.Load(),
		told:    stage.RateLimitHeaders(),
	}
	for i := range methods {
		m, err := compileMethod(st, &methods[i], stage.MethodSettings, &d.API)
		if err == nil && methods[i].Method.AuthorizationType == catalog.AuthorizationCustom && m.refusal == nil {
			m.authorizer, m.refusal = g.compileAuthorizer(&stage, d, &methods[i])
		}
		if err != nil {
			return nil, fmt.Errorf("method %s %s: %w", methods[i].Verb, methods[i].ResourcePath, err)
		}
		st.methods[i] = m
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.compiled++
	st.number, st.early = g.compiled, g.loading
	if g.loading {
		g.loaded = append(g.loaded, st)
	}
	return st, nil
}

// compileAuthorizer compiles the authorizer that a method names, or gives the
// refusal of every call, because there is none that could be asked.
func (g *Guard) compileAuthorizer(stage *catalog.Stage, d *catalog.Deployment, spec *MethodSpec) (*authorizer.Authorizer, *Refusal) {
	broken := func(detail string) (*authorizer.Authorizer, *Refusal) {
		return nil, &Refusal{AuthorizerConfigurationError, telemetry.CauseAuthorizerMisconfigured, detail}
	}
	if g.authorizers == nil {
		return broken("authorizers cannot be asked here: every call is refused")
	}
	i := slices.IndexFunc(d.Authorizers, func(a catalog.Authorizer) bool { return a.ID == spec.Method.AuthorizerID })
	if i < 0 || !d.Authorizers[i].Serves(catalog.AuthorizationCustom) {
		return broken("the method's authorizer is not in the deployment: every call is refused")
	}
	a, err := g.authorizers.Compile(authorizer.Spec{
		Authorizer: &d.Authorizers[i], Deployment: d, Stage: stage,
		Method: &route.Method{ResourceID: spec.ResourceID, ResourcePath: spec.ResourcePath, Verb: spec.Verb, Config: &spec.Method},
	})
	if err != nil {
		return broken(err.Error())
	}
	return a, nil
}

func compileMethod(st *Stage, spec *MethodSpec, settings map[string]catalog.MethodSetting, api *catalog.RestAPI) (method, error) {
	m := method{resourceID: spec.ResourceID, path: spec.ResourcePath, keyRequired: spec.Method.APIKeyRequired}
	switch api.APIKeySource {
	case catalog.KeySourceHeader, "":
	case catalog.KeySourceAuthorizer:
		m.keyFromAuthorizer = true
		if m.keyRequired && spec.Method.AuthorizationType == catalog.AuthorizationNone {
			m.refusal = noAuthorizerKey
		}
	default:
		return m, fmt.Errorf("no such source of API keys as %q", api.APIKeySource)
	}
	if r := unenforced(spec.Method.AuthorizationType, api.Policy); r != nil {
		m.refusal = r
	}
	own := st.limitOf(settings, spec.ResourcePath, spec.Verb, true)
	plain := verb{name: spec.Verb, planKeys: []string{methodKey(spec.ResourcePath, spec.Verb)}, limit: own}
	if spec.Verb != anyVerb {
		m.verbs = []verb{plain}
		return m, nil
	}
	for _, name := range anyVerbs {
		v := verb{name: name, planKeys: []string{methodKey(spec.ResourcePath, name), plain.planKeys[0]}, limit: own}
		if _, ok := settings[settingKey(spec.ResourcePath, name)]; ok {
			v.limit = st.limitOf(settings, spec.ResourcePath, name, false)
		}
		m.verbs = append(m.verbs, v)
	}
	m.verbs = append(m.verbs, plain)
	return m, nil
}

// unenforced returns the refusal for what is configured and not enforced yet,
// or nil. What is not known to be open is not open.
func unenforced(authorization, policy string) *Refusal {
	switch authorization {
	case catalog.AuthorizationNone, catalog.AuthorizationCustom:
	case catalog.AuthorizationIAM, catalog.AuthorizationCognito:
		return &Refusal{AuthorizerConfigurationError, telemetry.CauseNotEnforced, "the method's authorization type " + authorization + " is not enforced yet: every call is refused"}
	default:
		return &Refusal{AuthorizerConfigurationError, telemetry.CauseNotEnforced, fmt.Sprintf("the method has no authorization type that is known (%q): every call is refused", authorization)}
	}
	if strings.TrimSpace(policy) != "" {
		return policyUnenforced
	}
	return nil
}

// limitOf returns the stage's throttle for a method, or nil when there is
// none.
func (st *Stage) limitOf(settings map[string]catalog.MethodSetting, path, verb string, everyMethod bool) *stageLimit {
	s, ok := settings[settingKey(path, verb)]
	if !ok && everyMethod {
		s, ok = settings["*/*"]
	}
	if !ok || s.ThrottlingRateLimit < 0 || s.ThrottlingBurstLimit < 0 {
		return nil
	}
	l := &stageLimit{
		key:     methodKey(path, verb),
		setting: limit.CompileVersion(limit.Rate{PerSecond: s.ThrottlingRateLimit, Burst: s.ThrottlingBurstLimit}, st.version),
	}
	st.limits = append(st.limits, l)
	return l
}

// settingKey is a method's key in a stage's methodSettings: the path without
// its leading slash, except for the root.
func settingKey(path, verb string) string {
	if path == "/" {
		return "//" + verb
	}
	return strings.TrimPrefix(path, "/") + "/" + verb
}

// methodKey is a method's key in a plan, and the end of a bucket's name.
func methodKey(path, verb string) string { return path + "/" + verb }

func stageName(apiID, stage string) string { return apiID + "/" + stage }

// verb returns the limits for a request's verb.
func (m *method) verb(name string) *verb {
	for i := range m.verbs[:len(m.verbs)-1] {
		if m.verbs[i].name == name {
			return &m.verbs[i]
		}
	}
	return &m.verbs[len(m.verbs)-1]
}

// PublishStage puts the stage's settings in force. A bucket belongs to the
// stage's name and the method's: it outlives edits and deployments. Called when
// the stage becomes visible to callers; the first Admit does it otherwise. Of
// two, the one compiled later counts.
func (g *Guard) PublishStage(st *Stage) {
	if st.ready.Load() {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !st.ready.Load() {
		g.publishLocked(st)
	}
}

func (g *Guard) publishLocked(st *Stage) {
	now := g.now()
	all := g.stageCells[st.name]
	if all == nil {
		all = &stageCells{cells: map[string]*limit.Cell{}}
		g.stageCells[st.name] = all
	}
	newest := st.number >= all.newest
	used := make(map[string]bool, len(st.limits))
	for _, l := range st.limits {
		c := all.cells[l.key]
		switch {
		case c == nil:
			c = g.beginLocked(stageBucket(st.name, l.key), l.setting, st.early, now)
			all.cells[l.key] = c
		case newest:
			c.Apply(l.setting, now)
		}
		l.cell, used[l.key] = c, true
	}
	if newest {
		all.newest = st.number
		for key, c := range all.cells {
			if !used[key] && c.Used(now) == 0 && !g.limiter.Divides() {
				delete(all.cells, key) // full, so a new one is the same
			}
		}
	}
	st.ready.Store(true)
}

// RemoveStage forgets the buckets of a deleted stage.
func (g *Guard) RemoveStage(apiID, stage string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	name := stageName(apiID, stage)
	if all := g.stageCells[name]; all != nil {
		for _, c := range all.cells {
			g.limiter.Forget(c)
		}
	}
	delete(g.stageCells, name)
}
