package protection

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"weir/internal/catalog"
	"weir/internal/gateway/message"
	"weir/internal/gateway/route"
	"weir/internal/limit"
	"weir/internal/limit/limittest"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// house is a guard with a clock and a ledger that a test moves.
type house struct {
	*Guard
	t      testing.TB
	ledger *limittest.Ledger
	clock  atomic.Int64
}

func newHouse(t testing.TB, ledger *limittest.Ledger) *house { return newHouseIn(t, ledger, nil) }

// newHouseIn is newHouse with a throttle of the account.
func newHouseIn(t testing.TB, ledger *limittest.Ledger, account *limit.Rate) *house {
	h := &house{t: t, ledger: ledger}
	mono := func() time.Duration { return time.Duration(h.clock.Load()) }
	if ledger.Now == nil {
		ledger.Now = func() time.Time { return noon.Add(mono()) }
	}
	h.Guard = NewGuard(Options{
		Limiter: limit.New(ledger, limit.WithClock(mono)),
		Digest:  digest,
		Account: account,
		Now:     func() limit.Instant { return limit.Instant{Mono: mono(), Wall: noon.Add(mono())} },
	})
	return h
}

func (h *house) pass(d time.Duration) { h.clock.Add(int64(d)) }

// digest does not allocate, as the real one.
func digest(value string) [32]byte {
	var b [64]byte
	return sha256.Sum256(b[:copy(b[:], value)])
}

// value returns the 40 characters of a test key.
func value(id string) string { return id + strings.Repeat("v", 40-len(id)) }

// key adds an enabled key to a plan.
func (h *house) key(id, planID string) {
	h.PutKey(id, digest(value(id)), true)
	h.Link(catalog.UsagePlanKey{PlanID: planID, KeyID: id, AddedAt: noon.Add(time.Duration(h.clock.Load()))})
}

// planOf returns a plan that covers api1/dev.
func planOf(id string, t *catalog.Throttle, q *catalog.Quota) catalog.UsagePlan {
	return catalog.UsagePlan{ID: id, Throttle: t, Quota: q, APIStages: []catalog.PlanStage{{APIID: "api1", Stage: "dev"}}}
}

func rate(perSecond float64, burst int) *catalog.Throttle {
	return &catalog.Throttle{RateLimit: perSecond, BurstLimit: burst}
}

func perDay(n int64) *catalog.Quota { return &catalog.Quota{Limit: n, Period: catalog.PeriodDay} }

// Methods of the test API, by index.
const (
	keyedGet = iota // GET /pets, requires a key
	keyedAny        // ANY /pets/{id}, requires a key
	open            // GET /, requires none
)

func methods() []MethodSpec {
	m := func(path, verb string, required bool) MethodSpec {
		return MethodSpec{ResourceID: "res001", ResourcePath: path, Verb: verb, Method: catalog.Method{
			HTTPMethod: verb, AuthorizationType: catalog.AuthorizationNone, APIKeyRequired: required,
		}}
	}
	return []MethodSpec{m("/pets", "GET", true), m("/pets/{id}", "ANY", true), m("/", "GET", false)}
}

// Admit admits a call whose path does not matter.
func (h *house) Admit(ctx context.Context, req *message.Request, st *Stage, index int) (Admission, *Refusal) {
	return h.Guard.Admit(ctx, req, st, route.Address{}, route.Match{Method: index})
}

// CompileStage compiles a stage whose deployment is of nothing but an API.
func (h *house) CompileStage(apiID string, stage catalog.Stage, api catalog.RestAPI, methods []MethodSpec) (*Stage, error) {
	return h.Guard.CompileStage(apiID, stage, &catalog.Deployment{API: api}, methods)
}

// stage compiles api1/dev with these method settings.
func (h *house) stage(settings map[string]catalog.MethodSetting) *Stage {
	h.t.Helper()
	st, err := h.CompileStage("api1", catalog.Stage{APIID: "api1", StageName: "dev", MethodSettings: settings},
		catalog.RestAPI{ID: "api1", APIKeySource: catalog.KeySourceHeader}, methods())
	if err != nil {
		h.t.Fatal(err)
	}
	return st
}

func setting(perSecond float64, burst int) catalog.MethodSetting {
	return catalog.MethodSetting{ThrottlingRateLimit: perSecond, ThrottlingBurstLimit: burst}
}

func request(verb, keyValue string) *message.Request {
	req := &message.Request{ID: "req-1", Method: verb, Header: message.Header{{Name: "Host", Value: "x"}}}
	if keyValue != "" {
		req.Header.Add("X-Api-Key", keyValue)
	}
	return req
}

// want asks once and holds the answer against what is expected: a refusal's
// type, or "" for a yes.
func (h *house) want(st *Stage, index int, keyID, refusal string) Admission {
	h.t.Helper()
	sent := ""
	if keyID != "" {
		sent = value(keyID)
	}
	return h.wantSent(st, index, request("GET", sent), refusal)
}

func (h *house) wantSent(st *Stage, index int, req *message.Request, refusal string) Admission {
	h.t.Helper()
	a, r := h.Admit(h.t.Context(), req, st, index)
	got := ""
	if r != nil {
		got = r.Type
		if r.Detail == "" {
			h.t.Errorf("%s has no detail", r.Type)
		}
	}
	if got != refusal {
		h.t.Fatalf("after %v: %q %v, want %q", time.Duration(h.clock.Load()), got, r, refusal)
	}
	if a.grant.Held() != (r == nil) {
		h.t.Fatalf("refusal %v, and the admission's hold is %v", r, a.grant.Held())
	}
	a.Settle(true)
	a.Settle(true)
	return a
}

func TestWhoMayCall(t *testing.T) {
	h := newHouse(t, &limittest.Ledger{})
	h.PutPlan(planOf("plan1", nil, nil))
	h.PutPlan(catalog.UsagePlan{ID: "other", APIStages: []catalog.PlanStage{{APIID: "api1", Stage: "prod"}}})
	h.key("good", "plan1")
	h.key("elsewhere", "other")
	h.key("disabled", "plan1")
	h.PutKey("disabled", digest(value("disabled")), false)
	h.PutKey("unplanned", digest(value("unplanned")), true)
	h.Link(catalog.UsagePlanKey{PlanID: "plan1", KeyID: "ghost"})
	h.Started(h.now())
	st := h.stage(nil)

	two := func(first, second string) *message.Request {
		r := request("GET", first)
		r.Header.Add("x-api-key", second)
		return r
	}
	query := request("GET", "")
	query.Query = "x-api-key=" + value("good") + "&apiKey=" + value("good")
	cases := []struct {
		name    string
		method  int
		req     *message.Request
		refusal string
		detail  string
		keyID   string
		planID  string
	}{
		{"a good key", keyedGet, request("GET", value("good")), "", "", "good", "plan1"},
		{"no key", keyedGet, request("GET", ""), InvalidAPIKey, noKey.Detail, "", ""},
		{"in the query", keyedGet, query, InvalidAPIKey, noKey.Detail, "", ""},
		{"a wrong key", keyedGet, request("GET", value("wrong")), InvalidAPIKey, unknownKey.Detail, "", ""},
		{"the key's id", keyedGet, request("GET", "good"), InvalidAPIKey, unknownKey.Detail, "", ""},
		{"too long for any key", keyedGet, request("GET", strings.Repeat("v", 129)), InvalidAPIKey, unknownKey.Detail, "", ""},
		{"disabled", keyedGet, request("GET", value("disabled")), InvalidAPIKey, disabledKey.Detail, "disabled", ""},
		{"in no plan", keyedGet, request("GET", value("unplanned")), InvalidAPIKey, noPlan.Detail, "unplanned", ""},
		{"its plan covers another stage", keyedGet, request("GET", value("elsewhere")), InvalidAPIKey, noPlan.Detail, "elsewhere", ""},
		{"linked but never created", keyedGet, request("GET", ""), InvalidAPIKey, noKey.Detail, "", ""},
		{"the last of two counts", keyedGet, two(value("wrong"), value("good")), "", "", "good", "plan1"},
		{"the last of two is wrong", keyedGet, two(value("good"), value("wrong")), InvalidAPIKey, unknownKey.Detail, "", ""},
		{"not required, none sent", open, request("GET", ""), "", "", "", ""},
		{"not required, one sent", open, request("GET", value("good")), "", "", "", ""},
		{"not required, a wrong one sent", open, request("GET", value("wrong")), "", "", "", ""},
		{"a method ANY", keyedAny, request("PATCH", value("good")), "", "", "good", "plan1"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			h.t = t
			a := h.wantSent(st, c.method, c.req, c.refusal)
			if a.KeyID != c.keyID || a.PlanID != c.planID {
				t.Errorf("key %q of plan %q, want %q of %q", a.KeyID, a.PlanID, c.keyID, c.planID)
			}
			sent, _ := c.req.Header.Last("x-api-key")
			if c.method == open {
				sent = ""
			}
			if a.KeyValue != sent {
				t.Errorf("key value %q, want %q", a.KeyValue, sent)
			}
			if _, r := h.Admit(t.Context(), c.req, st, c.method); r != nil && r.Detail != c.detail {
				t.Errorf("detail %q, want %q", r.Detail, c.detail)
			}
		})
	}
}

func TestTenADayOneASecond(t *testing.T) {
	h := newHouse(t, &limittest.Ledger{})
	h.PutPlan(planOf("plan1", rate(1, 1), perDay(10)))
	h.key("key1", "plan1")
	h.Started(h.now())
	st := h.stage(nil)

	for range 10 {
		h.want(st, keyedGet, "key1", "")
		h.want(st, keyedGet, "key1", Throttled)
		h.pass(time.Second - 1)
		h.want(st, keyedGet, "key1", Throttled)
		h.want(st, keyedGet, "wrong", InvalidAPIKey)
		h.pass(1)
	}
	h.want(st, keyedGet, "key1", QuotaExceeded)
	h.want(st, keyedGet, "key1", QuotaExceeded)
	account := limit.Account{PlanID: "plan1", KeyID: "key1"}
	day := limit.DayOf(noon)
	if n := h.ledger.Used(account, day-1, day+1); n != 10 {
		t.Errorf("the ledger has %d calls, want the 10 admitted", n)
	}
	h.pass(noon.Truncate(24*time.Hour).Add(24*time.Hour).Sub(h.now().Wall) - 1)
	h.want(st, keyedGet, "key1", QuotaExceeded)
	h.pass(1)
	h.want(st, keyedGet, "key1", "")
	if n := h.ledger.Used(account, day+1, day+1); n != 1 {
		t.Errorf("the new day has %d calls, want 1", n)
	}
}

func TestWhatIsNotEnforcedLetsNobodyIn(t *testing.T) {
	h := newHouse(t, &limittest.Ledger{})
	h.PutPlan(planOf("plan1", rate(1, 1), perDay(1)))
	h.key("key1", "plan1")
	cases := []struct {
		name, authorization, policy, source string
		required                            bool
		want, say                           string
	}{
		{"nothing asked", "NONE", "", "HEADER", false, "", ""},
		{"key source by default", "NONE", "", "", true, "", ""},
		{"IAM", "AWS_IAM", "", "HEADER", false, AuthorizerConfigurationError, "AWS_IAM"},
		{"custom authorizer and key", "CUSTOM", "", "HEADER", true, AuthorizerConfigurationError, "authorizer"},
		{"Cognito", "COGNITO_USER_POOLS", "", "HEADER", false, AuthorizerConfigurationError, "COGNITO_USER_POOLS"},
		{"unknown type", "MAGIC", "", "HEADER", false, AuthorizerConfigurationError, `"MAGIC"`},
		{"no type", "", "", "HEADER", false, AuthorizerConfigurationError, "no authorization type"},
		{"resource policy", "NONE", `{"Version":"2012-10-17","Statement":[]}`, "HEADER", true, AuthorizerConfigurationError, "resource policy"},
		{"key from an authorizer", "NONE", "", "AUTHORIZER", true, InvalidAPIKey, "authorizer"},
		{"key source does not matter", "NONE", "", "AUTHORIZER", false, "", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			h.t = t
			st, err := h.CompileStage("api1", catalog.Stage{StageName: "dev"},
				catalog.RestAPI{Policy: c.policy, APIKeySource: c.source},
				[]MethodSpec{{ResourcePath: "/", Verb: "GET", Method: catalog.Method{AuthorizationType: c.authorization, APIKeyRequired: c.required}}})
			if err != nil {
				t.Fatal(err)
			}
			h.want(st, 0, "key1", c.want)
			if _, r := h.Admit(t.Context(), request("GET", value("key1")), st, 0); c.want != "" && !strings.Contains(r.Detail, c.say) {
				t.Errorf("detail %q does not say %q", r.Detail, c.say)
			}
			h.pass(24 * time.Hour)
		})
	}
	if n := h.ledger.Spends(); n != 1 {
		t.Errorf("%d calls reached the ledger, want the one that passed with a key", n)
	}
	_, err := h.CompileStage("api1", catalog.Stage{}, catalog.RestAPI{APIKeySource: "QUERY"}, methods())
	if err == nil || !strings.Contains(err.Error(), "QUERY") {
		t.Errorf("an unknown key source compiles: %v", err)
	}
}

func TestKeyIsNotMeteredWhereNoneIsRequired(t *testing.T) {
	h := newHouse(t, &limittest.Ledger{})
	h.PutPlan(planOf("plan1", rate(1, 1), perDay(1)))
	h.key("key1", "plan1")
	st := h.stage(map[string]catalog.MethodSetting{"//GET": setting(1, 3)})
	for range 3 {
		h.want(st, open, "key1", "")
	}
	h.want(st, open, "key1", Throttled)
	h.want(st, open, "", Throttled)
	h.want(st, keyedGet, "key1", "")
	if n := h.ledger.Spends(); n != 1 {
		t.Errorf("%d calls used the quota, want 1", n)
	}
}

func TestLedgerAwayRefusesWithTheReason(t *testing.T) {
	h := newHouse(t, &limittest.Ledger{})
	var broken error
	h.ledger.BeforeSpend = func(context.Context, limit.Account) error { return broken }
	h.PutPlan(planOf("plan1", rate(1, 1), perDay(5)))
	h.key("key1", "plan1")
	st := h.stage(map[string]catalog.MethodSetting{"*/*": setting(1, 1)})
	broken = fmt.Errorf("disk on fire")
	for range 3 {
		_, r := h.Admit(t.Context(), request("GET", value("key1")), st, keyedGet)
		if r == nil || r.Type != QuotaExceeded || !strings.Contains(r.Detail, "disk on fire") {
			t.Fatalf("%+v", r)
		}
	}
	broken = nil
	h.want(st, keyedGet, "key1", "") // the refused calls took no token
}
