package protection

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"weir/internal/catalog"
	"weir/internal/gateway/message"
	"weir/internal/gateway/protection/authorizer"
	"weir/internal/gateway/route"
	"weir/internal/invocation"
	"weir/internal/limit/limittest"
)

// judge is the function of an authorizer: it answers by the token.
type judge struct {
	ran atomic.Int64
}

func (j *judge) invoke(_ context.Context, inv *invocation.Invocation) (*invocation.Result, error) {
	j.ran.Add(1)
	_, rest, _ := strings.Cut(string(inv.Payload), `"authorizationToken":"`)
	token, _, _ := strings.Cut(rest, `"`)
	answer := func(effect, more string) (*invocation.Result, error) {
		return &invocation.Result{Payload: []byte(`{"principalId":"u"` + more + `,"policyDocument":{"Version":"2012-10-17","Statement":[{"Action":"execute-api:Invoke","Effect":"` + effect + `","Resource":"*"}]}}`)}, nil
	}
	switch kind, key, _ := strings.Cut(token, ":"); kind {
	case "allow":
		if key == "" {
			return answer("Allow", "")
		}
		return answer("Allow", `,"usageIdentifierKey":"`+value(key)+`"`)
	case "deny":
		return answer("Deny", "")
	case "stranger":
		return &invocation.Result{FunctionError: "Unhandled", Payload: []byte(`{"errorMessage":"Unauthorized"}`)}, nil
	case "broken":
		return &invocation.Result{FunctionError: "Unhandled", Payload: []byte(`{}`)}, nil
	}
	return &invocation.Result{Payload: []byte(`{}`)}, nil
}

// court is a house whose GET /pets has an authorizer.
type court struct {
	*house
	*judge
	st *Stage
}

// newCourt makes one with a key source, with and without required keys, whose
// authorizer keeps its answers for ttl seconds.
func newCourt(t testing.TB, source string, keyRequired bool, ttl int, settings map[string]catalog.MethodSetting) *court {
	t.Helper()
	c := &court{house: newHouse(t, &limittest.Ledger{}), judge: &judge{}}
	c.authorizers = authorizer.New(authorizer.Options{
		Account: "000000000000", Region: "us-east-1", Invoke: c.invoke,
		Now: func() time.Duration { return time.Duration(c.clock.Load()) },
	})
	d := &catalog.Deployment{
		ID: "dep001", API: catalog.RestAPI{ID: "api1", APIKeySource: source},
		Authorizers: []catalog.Authorizer{{
			APIID: "api1", ID: "auth01", Name: "judge", Type: catalog.AuthorizerToken, IdentitySource: "method.request.header.Auth", ResultTTL: &ttl,
			URI: "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:judge/invocations",
		}},
	}
	method := MethodSpec{ResourceID: "res001", ResourcePath: "/pets", Verb: "GET", Method: catalog.Method{
		HTTPMethod: "GET", AuthorizationType: catalog.AuthorizationCustom, AuthorizerID: "auth01", APIKeyRequired: keyRequired,
	}}
	unknown := method
	unknown.Method.AuthorizerID = "nope"
	var err error
	c.st, err = c.Guard.CompileStage("api1", catalog.Stage{APIID: "api1", StageName: "dev", MethodSettings: settings}, d, []MethodSpec{method, unknown})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// call asks for the method with a token and, unless it is "", a key.
func (c *court) call(token, keyID string) (Admission, *Refusal) {
	req := request("GET", "")
	if keyID != "" {
		req = request("GET", value(keyID))
	}
	if token != "" {
		req.Header.Add("auth", token)
	}
	a, r := c.Guard.Admit(c.t.Context(), req, c.st, route.Address{Path: "/pets"}, route.Match{})
	if a.grant.Held() != (r == nil) {
		c.t.Errorf("%v, and the admission's hold is %v", r, a.grant.Held())
	}
	a.Settle(true)
	return a, r
}

func (c *court) expect(token, keyID, refusal string) Admission {
	c.t.Helper()
	a, r := c.call(token, keyID)
	got := ""
	if r != nil {
		got = r.Type
		if r.Detail == "" || r.Cause == 0 {
			c.t.Errorf("the refusal says nothing: %+v", r)
		}
	}
	if got != refusal {
		c.t.Fatalf("%q with key %q: %q %v, want %q", token, keyID, got, r, refusal)
	}
	return a
}

func (c *court) runs(n int64) {
	c.t.Helper()
	if got := c.ran.Load(); got != n {
		c.t.Fatalf("the function ran %d times, want %d", got, n)
	}
}

var stageThrottle = map[string]catalog.MethodSetting{"pets/GET": setting(1, 3)}

func TestAuthorizerOutcomes(t *testing.T) {
	c := newCourt(t, "HEADER", false, 300, nil)
	for token, want := range map[string]string{
		"allow": "", "deny": AccessDenied, "stranger": Unauthorized, "broken": AuthorizerFailure, "nonsense": AuthorizerConfigurationError, "": Unauthorized,
	} {
		a := c.expect(token, "", want)
		if said := strings.Contains(string(a.Authorizer.Members), `"principalId":"u"`); said != (want == "" || want == AccessDenied) {
			t.Errorf("%q: the event tells %s", token, a.Authorizer.Members)
		}
	}
	_, r := c.Guard.Admit(t.Context(), request("GET", ""), c.st, route.Address{}, route.Match{Method: 1})
	if r == nil || r.Type != AuthorizerConfigurationError {
		t.Errorf("an authorizer that is not deployed: %v", r)
	}
	req := request("GET", "")
	req.Header.Add("Auth", "allow")
	if _, r := c.Guard.Admit(t.Context(), req, c.st, route.Address{Path: "/" + strings.Repeat("a", 1600)}, route.Match{}); r == nil || r.Type != URITooLong {
		t.Errorf("a long path: %v", r)
	}
}

// TestHeaderKeyBeforeAuthorizer: nobody without a key, and nobody over a limit,
// runs the function; whom it refuses has used one.
func TestHeaderKeyBeforeAuthorizer(t *testing.T) {
	c := newCourt(t, "HEADER", true, 0, nil)
	c.PutPlan(planOf("plan1", rate(1, 2), perDay(3)))
	c.key("key1", "plan1")
	c.expect("allow", "", InvalidAPIKey)
	c.expect("allow", "nobody", InvalidAPIKey)
	c.runs(0)
	c.expect("allow", "key1", "")
	c.expect("deny", "key1", AccessDenied)
	c.runs(2)
	c.expect("allow", "key1", Throttled)
	c.runs(2)
	c.pass(2 * time.Second)
	c.expect("stranger", "key1", Unauthorized)
	c.runs(3)
	c.expect("allow", "key1", QuotaExceeded)
	c.runs(3)
}

// TestADeniedCallGivesItsSeatBack: a key's cap on calls at a time counts those
// under way, and one that its authorizer refused is not.
func TestADeniedCallGivesItsSeatBack(t *testing.T) {
	for _, source := range []string{"HEADER", "AUTHORIZER"} {
		c := newCourt(t, source, true, 300, nil)
		c.PutPlan(planOf("plan1", nil, nil))
		c.PutKeyWithTerms(catalog.APIKey{ID: "key1", Digest: digest(value("key1")), Enabled: true, Tags: map[string]string{catalog.TagMaxConcurrent: "1"}})
		c.Link(catalog.UsagePlanKey{PlanID: "plan1", KeyID: "key1", AddedAt: noon})
		for range 3 {
			c.expect("deny", "key1", AccessDenied)
			c.expect("allow:key1", "key1", "")
		}
		req := request("GET", value("key1"))
		req.Header.Add("Auth", "allow:key1")
		a, r := c.Guard.Admit(t.Context(), req, c.st, route.Address{Path: "/pets"}, route.Match{})
		if r != nil {
			t.Fatal(r)
		}
		c.expect("allow:key1", "key1", Throttled)
		a.Settle(true)
		c.expect("allow:key1", "key1", "")
	}
}

// TestAFloodDoesNotRunTheAuthorizer: the throttle of the stage stands before
// it, whatever it says of the callers, and whatever the plan says after it.
func TestAFloodDoesNotRunTheAuthorizer(t *testing.T) {
	for name, c := range map[string]struct {
		source, token string
		keyRequired   bool
	}{
		"open method, known callers": {"HEADER", "allow", false},
		"open method, strangers":     {"HEADER", "stranger", false},
		"open method, denied":        {"HEADER", "deny", false},
		"its key is over its plan":   {"AUTHORIZER", "allow:key1", true},
		"it names no key":            {"AUTHORIZER", "allow", true},
		"it breaks":                  {"AUTHORIZER", "broken", true},
	} {
		t.Run(name, func(t *testing.T) {
			c2 := newCourt(t, c.source, c.keyRequired, 0, stageThrottle)
			c2.PutPlan(planOf("plan1", rate(1, 1), nil))
			c2.key("key1", "plan1")
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() {
					for range 25 {
						c2.call(c.token, "")
					}
				})
			}
			all.Wait()
			c2.runs(3)
			c2.pass(time.Second)
			for range 10 {
				c2.call(c.token, "")
			}
			c2.runs(4)
		})
	}
}

// TestKeptAnswersCostTheStageNothing: a call that is refused without a run of
// the function gives the stage's token back.
func TestKeptAnswersCostTheStageNothing(t *testing.T) {
	c := newCourt(t, "AUTHORIZER", true, 300, stageThrottle)
	c.PutPlan(planOf("plan1", rate(0.001, 1), nil))
	c.key("key1", "plan1")
	c.expect("allow:key1", "", "") // runs it, and uses one of three
	for range 50 {
		c.expect("allow:key1", "", Throttled) // by the plan
	}
	for range 50 {
		c.expect("", "", Unauthorized)
	}
	c.expect("deny", "", AccessDenied) // runs it
	for range 50 {
		c.expect("deny", "", AccessDenied)
	}
	c.runs(2)
	a := c.expect("deny", "", AccessDenied) // the third token is still there, and stays
	if a.Limit.Kind != 0 {
		t.Errorf("refused by %+v", a.Limit)
	}
	c.expect("allow:key2", "", InvalidAPIKey) // runs it: the third
	if _, r := c.call("", ""); r == nil || r != stageThrottled {
		t.Errorf("%v, want the stage's throttle", r)
	}
	c.runs(3)
}

// TestKeysFromTheAuthorizer: the value that it names is the key; the header is
// not looked at.
func TestKeysFromTheAuthorizer(t *testing.T) {
	c := newCourt(t, "AUTHORIZER", true, 300, nil)
	c.PutPlan(planOf("plan1", rate(1, 2), perDay(3)))
	c.key("key1", "plan1")
	c.PutKey("off", digest(value("off")), false)
	c.PutKey("loose", digest(value("loose")), true)
	a := c.expect("allow:key1", "", "")
	if a.KeyID != "key1" || a.PlanID != "plan1" || a.KeyValue != value("key1") {
		t.Errorf("admitted %+v", a)
	}
	c.expect("allow", "key1", InvalidAPIKey) // none named, a good one in the header
	c.expect("allow:nobody", "key1", InvalidAPIKey)
	c.expect("allow:off", "", InvalidAPIKey)
	c.expect("allow:loose", "", InvalidAPIKey)
	c.expect("allow:key1", "nobody", "")
	c.expect("allow:key1", "", Throttled)
	c.pass(2 * time.Second)
	c.expect("allow:key1", "", "")
	c.pass(2 * time.Second)
	c.expect("allow:key1", "", QuotaExceeded)
	c.runs(5)

	req := request("GET", value("key1"))
	req.Header.Add("Auth", "allow")
	req.Trail = &message.Trail{}
	c.Guard.Admit(t.Context(), req, c.st, route.Address{Path: "/pets"}, route.Match{})
	lines := strings.Join(req.Trail.Lines(), "\n")
	started, verified := strings.Index(lines, "Starting authorizer"), strings.Index(lines, "Verifying Usage Plan")
	if started < 0 || verified < started || strings.Contains(lines, "key1") {
		t.Errorf("the log: %s", lines)
	}
}

// TestAuthorizerSourceWithoutAuthorizer: there is nobody to name a key.
func TestAuthorizerSourceWithoutAuthorizer(t *testing.T) {
	h := newHouse(t, &limittest.Ledger{})
	st, err := h.CompileStage("api1", catalog.Stage{StageName: "dev"}, catalog.RestAPI{APIKeySource: catalog.KeySourceAuthorizer}, methods())
	if err != nil {
		t.Fatal(err)
	}
	h.wantSent(st, keyedGet, request("GET", value("key1")), InvalidAPIKey)
	h.wantSent(st, open, request("GET", ""), "")
}

func BenchmarkAdmitCachedAuthorizer(b *testing.B) {
	c := newCourt(b, "AUTHORIZER", true, 300, map[string]catalog.MethodSetting{"*/*": setting(1e6, 1e6)})
	c.PutPlan(planOf("plan1", rate(1e6, 1e6), nil))
	c.key("key1", "plan1")
	req := request("GET", "")
	req.Header.Add("Auth", "allow:key1")
	b.ReportAllocs()
	for b.Loop() {
		c.clock.Add(1000)
		a, r := c.Guard.Admit(b.Context(), req, c.st, route.Address{Path: "/pets"}, route.Match{})
		if r != nil {
			b.Fatal(r)
		}
		a.Settle(true)
	}
}
