package authorizer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"weir/internal/catalog"
	"weir/internal/gateway/message"
	"weir/internal/gateway/route"
	"weir/internal/invocation"
)

// bench is a runner with a function and a clock that a test moves.
type bench struct {
	*Runner
	t     testing.TB
	clock atomic.Int64

	mu     sync.Mutex
	answer func(context.Context, *invocation.Invocation) (*invocation.Result, error)
	asked  []invocation.Invocation
}

func newBench(t testing.TB) *bench {
	b := &bench{t: t}
	b.returns(allowAll)
	b.Runner = New(Options{
		Account: "000000000000", Region: "us-east-1", Invoke: b.invoke,
		Now: func() time.Duration { return time.Duration(b.clock.Load()) },
	})
	return b
}

func (b *bench) invoke(ctx context.Context, inv *invocation.Invocation) (*invocation.Result, error) {
	b.mu.Lock()
	kept := *inv
	kept.Payload = bytes.Clone(inv.Payload)
	b.asked = append(b.asked, kept)
	answer := b.answer
	b.mu.Unlock()
	return answer(ctx, inv)
}

func (b *bench) does(f func(context.Context, *invocation.Invocation) (*invocation.Result, error)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answer = f
}

func (b *bench) returns(payload string) {
	b.does(func(context.Context, *invocation.Invocation) (*invocation.Result, error) {
		return &invocation.Result{StatusCode: 200, Payload: []byte(payload)}, nil
	})
}

func (b *bench) fails(result *invocation.Result, err error) {
	b.does(func(context.Context, *invocation.Invocation) (*invocation.Result, error) { return result, err })
}

func (b *bench) ran() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.asked)
}

func (b *bench) pass(d time.Duration) { b.clock.Add(int64(d)) }

const functionURI = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:judge/invocations"

// policyOf is an answer with one statement.
func policyOf(effect, resource string) string {
	return `{"principalId":"user|a1b2","policyDocument":{"Version":"2012-10-17","Statement":[{"Action":"execute-api:Invoke","Effect":"` +
		effect + `","Resource":"` + resource + `"}]}}`
}

var allowAll = policyOf("Allow", "*")

// ttl is an authorizer's.
func ttl(seconds int) *int { return &seconds }

func tokenOf(change func(*catalog.Authorizer)) catalog.Authorizer {
	a := catalog.Authorizer{APIID: "api1", ID: "auth01", Name: "judge", Type: catalog.AuthorizerToken, URI: functionURI, IdentitySource: "method.request.header.Auth"}
	if change != nil {
		change(&a)
	}
	return a
}

func (b *bench) compile(c catalog.Authorizer, stage *catalog.Stage) *Authorizer {
	b.t.Helper()
	if stage == nil {
		stage = &catalog.Stage{APIID: "api1", StageName: "dev", DeploymentID: "dep001"}
	}
	a, err := b.Compile(Spec{
		Authorizer: &c, Deployment: &catalog.Deployment{ID: "dep001"}, Stage: stage,
		Method: &route.Method{ResourceID: "res001", ResourcePath: "/pets/{id}", Verb: "GET", Config: &catalog.Method{APIKeyRequired: true}},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return a
}

// question asks for GET /pets/7 with these headers.
func question(headers ...string) *Question {
	req := &message.Request{
		ID: "req-1", ExtendedID: "ext=", Received: time.Date(2026, 11, 24, 9, 8, 7, 0, time.UTC), Method: "GET", Host: "api1.execute-api.us-east-1.localhost",
		Path: "/dev/pets/7", Proto: "HTTP/1.1", Scheme: "http", Port: "8080", Source: netip.MustParseAddr("192.0.2.7"),
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	return &Question{Request: req, Address: route.Address{APIID: "api1", Stage: "dev", Path: "/pets/7"}, Params: []route.Param{{Name: "id", Value: "7"}}}
}

func (b *bench) want(a *Authorizer, q *Question, outcome Outcome) Verdict {
	b.t.Helper()
	v := b.Ask(b.t.Context(), a, q)
	if v.Outcome != outcome || (v.Detail == "") != (outcome == Allowed) {
		b.t.Fatalf("outcome %d %q, want %d", v.Outcome, v.Detail, outcome)
	}
	return v
}

func TestOutcomes(t *testing.T) {
	const arn = "arn:aws:execute-api:us-east-1:000000000000:api1/dev/"
	failure := func(text string) *invocation.Result {
		return &invocation.Result{FunctionError: "Unhandled", Payload: []byte(text), RequestID: "inv-1"}
	}
	refused := func(code string) error { return &invocation.Error{Code: code, Message: "no"} }
	cases := []struct {
		name   string
		answer string
		result *invocation.Result
		err    error
		change func(*catalog.Authorizer)
		ask    func(*Question)
		want   Outcome
		runs   int
	}{
		{name: "allow", answer: policyOf("Allow", arn+"GET/pets/*"), want: Allowed, runs: 1},
		{name: "allow by wildcards", answer: policyOf("Allow", "arn:aws:execute-api:*:*:*/d?v/*/p*s/7"), want: Allowed, runs: 1},
		{name: "deny", answer: policyOf("Deny", "*"), want: Denied, runs: 1},
		{
			name: "deny wins", want: Denied, runs: 1,
			answer: `{"principalId":"","policyDocument":{"Version":"2012-10-17","Statement":[{"Action":"*","Effect":"Allow","Resource":"*"},{"Action":"execute-api:*","Effect":"Deny","Resource":"` + arn + `GET/pets/7"}]}}`,
		},
		{name: "neither: another method", answer: policyOf("Allow", arn+"POST/pets/7"), want: NotAllowed, runs: 1},
		{name: "neither: another stage", answer: policyOf("Allow", "arn:aws:execute-api:us-east-1:000000000000:api1/prod/*"), want: NotAllowed, runs: 1},
		{name: "neither: another action", answer: strings.Replace(allowAll, "execute-api:Invoke", "execute-api:InvalidateCache", 1), want: NotAllowed, runs: 1},
		{
			name: "a condition that holds", want: Allowed, runs: 1,
			answer: strings.Replace(allowAll, `"Effect"`, `"Condition":{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"},"Bool":{"aws:SecureTransport":"false"}},"Effect"`, 1),
		},
		{
			name: "a condition that does not", want: NotAllowed, runs: 1,
			answer: strings.Replace(allowAll, `"Effect"`, `"Condition":{"IpAddress":{"aws:SourceIp":"198.51.100.0/24"}},"Effect"`, 1),
		},
		{name: "a slash more is no other method", answer: policyOf("Deny", arn+"GET/pets/7"), ask: func(q *Question) { q.Address.Path = "//pets/7/" }, want: Denied, runs: 1},

		{name: "no token", ask: func(q *Question) { q.Request.Header = nil }, want: Unauthorized},
		{name: "an empty token", ask: func(q *Question) { q.Request.Header = message.Header{{Name: "Auth"}} }, want: Unauthorized},
		{name: "a token of another form", change: func(a *catalog.Authorizer) { a.ValidationExpression = "Bearer .+" }, want: Unauthorized},
		{name: "a part of a token", change: func(a *catalog.Authorizer) { a.ValidationExpression = "one|secret-tok" }, want: Unauthorized},
		{name: "a token with a line break", change: func(a *catalog.Authorizer) { a.ValidationExpression = "[a-z-]+" }, ask: func(q *Question) { q.Request.Header[0].Value += "\n" }, want: Unauthorized},
		{name: "a token of the form", answer: allowAll, change: func(a *catalog.Authorizer) { a.ValidationExpression = "one|secret-token" }, want: Allowed, runs: 1},
		{name: "Unauthorized", result: failure(`{"errorMessage":"Unauthorized","errorType":"Exception"}`), want: Unauthorized, runs: 1},

		{name: "another error", result: failure(`{"errorMessage":"Unauthorized: no","errorType":"Exception"}`), want: Failed, runs: 1},
		{name: "an error in other words", result: failure(`oh`), want: Failed, runs: 1},
		{name: "a broken call", err: errors.New("broken"), want: Failed, runs: 1},

		{name: "no permission", err: refused(invocation.PermissionDenied), want: Misconfigured, runs: 1},
		{name: "no function", err: refused(invocation.NotFound), want: Misconfigured, runs: 1},
		{name: "a throttled function", err: refused(invocation.Throttled), want: Misconfigured, runs: 1},
		{name: "a role", change: func(a *catalog.Authorizer) { a.Credentials = "arn:aws:iam::000000000000:role/r" }, want: Misconfigured},
		{name: "a variable that is not set", change: func(a *catalog.Authorizer) {
			a.URI = strings.Replace(functionURI, "arn:aws:lambda:us-east-1:000000000000:function:judge", "${stageVariables.fn}", 1)
		}, want: Misconfigured},
		{name: "a method ARN of 1,600 bytes", answer: allowAll, ask: func(q *Question) { q.Address.Path = "/" + strings.Repeat("a", 1600-len(arn+"GET/")) }, want: Allowed, runs: 1},
		{name: "a method ARN of 1,601 bytes", ask: func(q *Question) { q.Address.Path = "/" + strings.Repeat("a", 1601-len(arn+"GET/")) }, want: TooLong},
		{name: "a path of 2,000 bytes", ask: func(q *Question) { q.Address.Path = "/" + strings.Repeat("a", 2000) }, want: TooLong},
	}
	for _, answer := range []string{
		``, `null`, `"x"`, `[]`, `{`, `{}`, `{} {}`, `true`, "{\"principalId\":\"u\"", `{"isAuthorized":true}`,
		`{"principalId":"u"}`, `{"policyDocument":{"Statement":[]}}`,
		strings.Replace(allowAll, `"user|a1b2"`, `null`, 1), strings.Replace(allowAll, `"user|a1b2"`, `7`, 1),
		strings.Replace(allowAll, `"principalId"`, `"PrincipalId"`, 1),
		strings.Replace(allowAll, `"principalId"`, `"errorType":"x","principalId"`, 1),
		strings.Replace(allowAll, `"principalId"`, `"principalId":"other","principalId"`, 1),
		strings.Replace(allowAll, `{"principalId"`, `{"context":[],"principalId"`, 1),
		strings.Replace(allowAll, `{"principalId"`, `{"context":{"a":{}},"principalId"`, 1),
		strings.Replace(allowAll, `{"principalId"`, `{"context":{"a":[1]},"principalId"`, 1),
		strings.Replace(allowAll, `{"principalId"`, `{"context":{"a":"1","a":"2"},"principalId"`, 1),
		strings.Replace(allowAll, `{"principalId"`, `{"usageIdentifierKey":7,"principalId"`, 1),
		strings.Replace(allowAll, `"Allow"`, `"allow"`, 1), strings.Replace(allowAll, `"Resource":"*"`, `"Resource":"x"`, 1),
		strings.Replace(allowAll, `"Resource":"*"`, `"Principal":"*","Resource":"*"`, 1),
		strings.Replace(allowAll, `"Action":"execute-api:Invoke"`, `"Action":"Invoke"`, 1),
		policyOf("Allow", "arn:aws:execute-api:us-east-1:000000000000:api1/"+strings.Repeat("a", 512)),
		strings.Replace(allowAll, `{"principalId"`, `{"context":{"a":"`+strings.Repeat("a", 65_536)+`"},"principalId"`, 1),
		`{"principalId":"u","policyDocument":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`,
	} {
		name := "malformed: " + answer[:min(len(answer), 60)]
		cases = append(cases, struct {
			name   string
			answer string
			result *invocation.Result
			err    error
			change func(*catalog.Authorizer)
			ask    func(*Question)
			want   Outcome
			runs   int
		}{name: name, answer: answer, want: Misconfigured, runs: 1})
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			if c.result != nil || c.err != nil {
				b.fails(c.result, c.err)
			} else {
				b.returns(c.answer)
			}
			q := question("auth", "secret-token")
			if c.ask != nil {
				c.ask(q)
			}
			q.Request.Trail = &message.Trail{}
			v := b.want(b.compile(tokenOf(c.change), nil), q, c.want)
			if b.ran() != c.runs || v.Ran != (c.runs > 0) {
				t.Errorf("the function ran %d times, the verdict says %v", b.ran(), v.Ran)
			}
			if said := v.Detail + strings.Join(q.Request.Trail.Lines(), "\n"); strings.Contains(said, "secret-token") || strings.Contains(said, "Statement") {
				t.Errorf("it tells the token, or what the function said: %s", said)
			}
		})
	}
}

func TestSlowFunction(t *testing.T) {
	b := newBench(t)
	b.does(func(ctx context.Context, _ *invocation.Invocation) (*invocation.Result, error) {
		deadline, ok := ctx.Deadline()
		if left := time.Until(deadline); !ok || left > Timeout {
			t.Errorf("the function has %v", left)
		}
		expired, cancel := context.WithDeadline(ctx, time.Now().Add(-time.Second))
		defer cancel()
		return nil, expired.Err()
	})
	if v := b.want(b.compile(tokenOf(nil), nil), question("Auth", "t"), Failed); !v.Ran {
		t.Error("it is not said to have run")
	}
	over, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	if f := notRun(over, over.Err()); f.outcome != Failed || !strings.Contains(f.line, "timeout") {
		t.Errorf("%+v", f)
	}
}

func TestEvents(t *testing.T) {
	b := newBench(t)
	b.want(b.compile(tokenOf(nil), nil), question("auTH", "Bearer \"x\""), Allowed)
	got := b.asked[0]
	if want := `{"type":"TOKEN","methodArn":"arn:aws:execute-api:us-east-1:000000000000:api1/dev/GET/pets/7","authorizationToken":"Bearer \"x\""}`; string(got.Payload) != want {
		t.Errorf("event %s, want %s", got.Payload, want)
	}
	want := invocation.Caller{Service: "apigateway.amazonaws.com", SourceAccount: "000000000000", SourceARN: "arn:aws:execute-api:us-east-1:000000000000:api1/authorizers/auth01"}
	if got.Caller != want || got.Function != "arn:aws:lambda:us-east-1:000000000000:function:judge" {
		t.Errorf("caller %+v of %s", got.Caller, got.Function)
	}

	q := question("Auth", "a", "auth", "b", "Authorization", "AWS4-HMAC-SHA256 Credential=x")
	q.Request.Query = "t=1&t=2&e="
	q.KeyID, q.Key = "key01", "value01"
	b.want(b.compile(tokenOf(func(a *catalog.Authorizer) {
		a.Type, a.IdentitySource = catalog.AuthorizerRequest, "method.request.header.Auth, method.request.querystring.t"
	}), nil), q, Allowed)
	event := regexp.MustCompile(`1-[0-9a-f]{8}-[0-9a-f]{24}`).ReplaceAllString(string(b.asked[1].Payload), "1-TRACE")
	const whole = `{"type":"REQUEST","methodArn":"arn:aws:execute-api:us-east-1:000000000000:api1/dev/GET/pets/7","resource":"/pets/{id}","path":"/pets/7","httpMethod":"GET",` +
		`"headers":{"Auth":"b","Authorization":"AWS4-HMAC-SHA256 Credential=x","X-Amzn-Trace-Id":"Root=1-TRACE","X-Forwarded-For":"192.0.2.7","X-Forwarded-Port":"8080","X-Forwarded-Proto":"http"},` +
		`"multiValueHeaders":{"Auth":["a","b"],"Authorization":["AWS4-HMAC-SHA256 Credential=x"],"X-Amzn-Trace-Id":["Root=1-TRACE"],"X-Forwarded-For":["192.0.2.7"],"X-Forwarded-Port":["8080"],"X-Forwarded-Proto":["http"]},` +
		`"queryStringParameters":{"t":"2","e":""},"multiValueQueryStringParameters":{"t":["1","2"],"e":[""]},"pathParameters":{"id":"7"},"stageVariables":{},` +
		`"requestContext":{"resourceId":"res001","resourcePath":"/pets/{id}","httpMethod":"GET","extendedRequestId":"ext=","requestTime":"24/Nov/2026:09:08:07 +0000","path":"/dev/pets/7","accountId":"000000000000","protocol":"HTTP/1.1","stage":"dev","domainPrefix":"api1","requestTimeEpoch":1795511287000,"requestId":"req-1",` +
		`"identity":{"cognitoIdentityPoolId":null,"accountId":null,"cognitoIdentityId":null,"apiKey":"value01","caller":null,"sourceIp":"192.0.2.7","principalOrgId":null,"accessKey":null,"cognitoAuthenticationType":null,"cognitoAuthenticationProvider":null,"userArn":null,"apiKeyId":"key01","userAgent":null,"user":null},` +
		`"domainName":"api1.execute-api.us-east-1.localhost","deploymentId":"dep001","apiId":"api1"}}`
	if event != whole {
		t.Errorf("event\n%s\nwant\n%s", event, whole)
	}
	bare := question()
	bare.Params = nil
	b.want(b.compile(tokenOf(func(a *catalog.Authorizer) {
		a.Type, a.IdentitySource, a.ResultTTL = catalog.AuthorizerRequest, "", ttl(0)
	}), nil), bare, Allowed)
	if last := string(b.asked[2].Payload); !json.Valid(b.asked[2].Payload) || !strings.Contains(last, `"queryStringParameters":{},"multiValueQueryStringParameters":{},"pathParameters":{},"stageVariables":{},`) {
		t.Errorf("event of a bare request: %s", last)
	}
}

// TestContextBecomesText: every value a string, the principal the answer's own.
func TestContextBecomesText(t *testing.T) {
	b := newBench(t)
	b.returns(strings.Replace(allowAll, `{"principalId"`, `{"usageIdentifierKey":"k1","context":{"s":"a\"b","n":1.50,"t":true,"f":false,"z":null,"principalId":"evil","integrationLatency":"x"},"principalId"`, 1))
	v := b.want(b.compile(tokenOf(nil), nil), question("Auth", "t"), Allowed)
	if got, want := string(v.Event.Members), `"s":"a\"b","n":"1.50","t":"true","f":"false","principalId":"user|a1b2"`; got != want {
		t.Errorf("members %s, want %s", got, want)
	}
	if v.Key != "k1" || v.Principal != "user|a1b2" || !bytes.Contains(v.Policy, []byte(`"Statement"`)) {
		t.Errorf("%+v", v)
	}
}

func TestAnswersAreKept(t *testing.T) {
	b := newBench(t)
	const arn = "arn:aws:execute-api:us-east-1:000000000000:api1/dev/"
	b.returns(policyOf("Allow", arn+"GET/*"))
	a := b.compile(tokenOf(func(a *catalog.Authorizer) { a.ResultTTL = ttl(60) }), nil)
	runs := func(n int, when string) {
		t.Helper()
		if b.ran() != n {
			t.Fatalf("%s: the function ran %d times, want %d", when, b.ran(), n)
		}
	}
	b.want(a, question("Auth", "one"), Allowed)
	for range 3 {
		if v := b.want(a, question("Auth", "one"), Allowed); v.Ran || v.Event.Latency != 0 {
			t.Errorf("a kept answer says %+v", v)
		}
	}
	runs(1, "the same identity")
	post := question("Auth", "one")
	post.Request.Method = "POST"
	b.want(a, post, NotAllowed)
	runs(1, "another method, which the kept policy does not allow")
	b.want(a, question("Auth", "two"), Allowed)
	runs(2, "another identity")
	b.want(a, question("Auth", "two", "Auth", "one"), Allowed)
	runs(3, "another identity that ends as the first")
	b.pass(60*time.Second - 1)
	b.want(a, question("Auth", "one"), Allowed)
	runs(3, "a nanosecond before its end")
	b.pass(1)
	b.want(a, question("Auth", "one"), Allowed)
	runs(4, "at its end")

	stage := catalog.Stage{APIID: "api1", StageName: "dev", AuthorizersFlushed: 1}
	b.want(b.compile(tokenOf(func(a *catalog.Authorizer) { a.ResultTTL = ttl(60) }), &stage), question("Auth", "one"), Allowed)
	runs(5, "flushed")
	stage.StageName = "prod"
	b.want(b.compile(tokenOf(func(a *catalog.Authorizer) { a.ResultTTL = ttl(60) }), &stage), question("Auth", "one"), NotAllowed)
	runs(6, "another stage")
	b.want(b.compile(tokenOf(func(a *catalog.Authorizer) { a.ResultTTL, a.AuthType = ttl(60), "x" }), nil), question("Auth", "one"), Allowed)
	runs(7, "an edited authorizer")
	b.want(b.compile(tokenOf(func(a *catalog.Authorizer) { a.ResultTTL, a.ID = ttl(60), "auth02" }), nil), question("Auth", "one"), Allowed)
	runs(8, "another authorizer")

	variable := func(fn string) *Authorizer {
		stage := &catalog.Stage{APIID: "api1", StageName: "dev", Variables: map[string]string{"fn": fn}}
		return b.compile(tokenOf(func(a *catalog.Authorizer) {
			a.ResultTTL, a.URI = ttl(60), strings.Replace(functionURI, "function:judge", "function:${stageVariables.fn}", 1)
		}), stage)
	}
	b.want(variable("one"), question("Auth", "one"), Allowed)
	b.want(variable("two"), question("Auth", "one"), Allowed)
	runs(10, "another function by a stage variable")

	uncached := b.compile(tokenOf(func(a *catalog.Authorizer) { a.ResultTTL = ttl(0) }), nil)
	for range 3 {
		if v := b.want(uncached, question("Auth", "one"), Allowed); !v.Ran {
			t.Error("it did not run")
		}
	}
	runs(13, "a TTL of 0")
}

func TestDenialsAreKeptAndFailuresAreNot(t *testing.T) {
	for name, c := range map[string]struct {
		result *invocation.Result
		want   Outcome
		runs   int
	}{
		"a deny":       {&invocation.Result{Payload: []byte(policyOf("Deny", "*"))}, Denied, 1},
		"unauthorized": {&invocation.Result{FunctionError: "Unhandled", Payload: []byte(`{"errorMessage":"Unauthorized"}`)}, Unauthorized, 3},
		"an error":     {&invocation.Result{FunctionError: "Unhandled", Payload: []byte(`{}`)}, Failed, 3},
		"nonsense":     {&invocation.Result{Payload: []byte(`{}`)}, Misconfigured, 3},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.fails(c.result, nil)
			a := b.compile(tokenOf(nil), nil)
			for range 3 {
				b.want(a, question("Auth", "one"), c.want)
			}
			if b.ran() != c.runs {
				t.Errorf("the function ran %d times, want %d", b.ran(), c.runs)
			}
		})
	}
}

// TestOneRunForAllWhoWait: callers of one identity who come while it is asked
// about share the answer, and the first one's going away ends it for nobody.
func TestOneRunForAllWhoWait(t *testing.T) {
	b := newBench(t)
	started, release := make(chan struct{}), make(chan struct{})
	b.does(func(ctx context.Context, _ *invocation.Invocation) (*invocation.Result, error) {
		close(started) // a second run would panic
		<-release
		return &invocation.Result{Payload: []byte(allowAll)}, ctx.Err()
	})
	a := b.compile(tokenOf(nil), nil)
	first, leave := context.WithCancel(t.Context())
	var all sync.WaitGroup
	var ran atomic.Int32
	ask := func(ctx context.Context) {
		v := b.Ask(ctx, a, question("Auth", "one"))
		if v.Outcome != Allowed {
			t.Errorf("%+v", v)
		}
		if v.Ran {
			ran.Add(1)
		}
	}
	all.Go(func() { ask(first) })
	<-started
	leave()
	for range 20 {
		all.Go(func() { ask(t.Context()) })
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if v := b.Ask(gone, a, question("Auth", "one")); v.Outcome != Failed || v.Ran {
		t.Errorf("a caller who went away while waiting: %+v", v)
	}
	close(release)
	all.Wait()
	if b.ran() != 1 || ran.Load() != 1 {
		t.Errorf("it ran %d times, and %d callers say it ran for them", b.ran(), ran.Load())
	}
}

// TestWithoutATTLNobodyWaitsForOthers: two calls of one identity both run the
// function, at the same time.
func TestWithoutATTLNobodyWaitsForOthers(t *testing.T) {
	b := newBench(t)
	var both sync.WaitGroup
	both.Add(2)
	b.does(func(context.Context, *invocation.Invocation) (*invocation.Result, error) {
		both.Done()
		both.Wait()
		return &invocation.Result{Payload: []byte(allowAll)}, nil
	})
	a := b.compile(tokenOf(func(a *catalog.Authorizer) { a.ResultTTL = ttl(0) }), nil)
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			if v := b.Ask(t.Context(), a, question("Auth", "one")); v.Outcome != Allowed || !v.Ran {
				t.Errorf("%+v", v)
			}
		})
	}
	all.Wait()
}

func TestPanicWhileAsking(t *testing.T) {
	b := newBench(t)
	b.does(func(context.Context, *invocation.Invocation) (*invocation.Result, error) { panic("boom") })
	a := b.compile(tokenOf(nil), nil)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		b.Ask(t.Context(), a, question("Auth", "one"))
	}()
	b.returns(allowAll)
	b.want(a, question("Auth", "one"), Allowed) // nobody waits for what has ended
}

func TestIdentitySources(t *testing.T) {
	b := newBench(t)
	sources := []string{"method.request.header.X-A", "method.request.querystring.q", "stageVariables.v"}
	for _, name := range catalog.IdentityContext {
		sources = append(sources, "context."+name)
	}
	stage := &catalog.Stage{APIID: "api1", StageName: "dev", Variables: map[string]string{"v": "1"}}
	request := func(change func(*Question)) *Question {
		q := question("x-a", "1", "User-Agent", "curl")
		q.Request.Query = "q=%31"
		if change != nil {
			change(q)
		}
		return q
	}
	compile := func(list ...string) *Authorizer {
		return b.compile(tokenOf(func(a *catalog.Authorizer) {
			a.Type, a.IdentitySource = catalog.AuthorizerRequest, strings.Join(list, " , ")
		}), stage)
	}
	all := compile(sources...)
	b.want(all, request(nil), Allowed)
	b.want(all, request(nil), Allowed)
	if b.ran() != 1 {
		t.Fatalf("ran %d times", b.ran())
	}
	for name, change := range map[string]func(*Question){
		"header":       func(q *Question) { q.Request.Header[0].Value = "2" },
		"header twice": func(q *Question) { q.Request.Header.Add("X-A", "1") },
		"query":        func(q *Question) { q.Request.Query = "q=2" },
		"query twice":  func(q *Question) { q.Request.Query = "q=1&q=1" },
		"address":      func(q *Question) { q.Request.Source = netip.MustParseAddr("192.0.2.8") },
		"agent":        func(q *Question) { q.Request.Header[1].Value = "wget" },
		"path":         func(q *Question) { q.Address.Path = "/pets/8" },
		"verb":         func(q *Question) { q.Request.Method = "PUT" },
		"host":         func(q *Question) { q.Request.Host = "other" },
		"protocol":     func(q *Question) { q.Request.Proto = "HTTP/2.0" },
	} {
		before := b.ran()
		b.want(all, request(change), Allowed)
		if b.ran() != before+1 {
			t.Errorf("%s is no part of the identity", name)
		}
	}
	for name, change := range map[string]func(*Question){
		"header": func(q *Question) { q.Request.Header = q.Request.Header[1:] },
		"query":  func(q *Question) { q.Request.Query = "Q=1" },
		"empty":  func(q *Question) { q.Request.Query = "q" },
		"agent":  func(q *Question) { q.Request.Header = q.Request.Header[:1] },
	} {
		before := b.ran()
		b.want(all, request(change), Unauthorized)
		if b.ran() != before {
			t.Errorf("%s is missing, and the function ran", name)
		}
	}
	if _, err := b.Compile(Spec{Authorizer: &catalog.Authorizer{IdentitySource: "context.nope"}, Deployment: &catalog.Deployment{}, Stage: stage, Method: &route.Method{Config: &catalog.Method{}}}); err == nil {
		t.Error("context.nope compiles")
	}
}

func TestTrailOfAnAuthorizer(t *testing.T) {
	b := newBench(t)
	token := strings.Repeat("t", 30) + "1c70cd"
	lines := func(a *Authorizer, q *Question) []string {
		q.Request.Trail = &message.Trail{}
		b.Ask(t.Context(), a, q)
		return q.Request.Trail.Lines()
	}
	const stars = "**********************************"
	a := b.compile(tokenOf(nil), nil)
	want := []string{
		"Starting authorizer: auth01 for request: req-1", "Incoming identity: " + stars + "1c70cd",
		"Sending request to arn:aws:lambda:us-east-1:000000000000:function:judge",
		"Using valid authorizer policy for principal: " + stars, "Successfully completed authorizer execution",
	}
	if got := lines(a, question("Auth", token)); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	want = slices.Delete(want, 2, 3)
	if got := lines(a, question("Auth", token)); !slices.Equal(got, want) {
		t.Errorf("from the cache: %q", got)
	}
	if got := lines(a, question()); !slices.Equal(got, []string{want[0], "Unauthorized request: req-1"}) {
		t.Errorf("without a token: %q", got)
	}
	request := b.compile(tokenOf(func(a *catalog.Authorizer) { a.Type = catalog.AuthorizerRequest }), nil)
	if got := lines(request, question("Auth", token)); got[1] != "Incoming identity: {method.request.header.Auth="+stars+"1c70cd}" {
		t.Errorf("REQUEST: %q", got)
	}
	b.returns(policyOf("Deny", "*"))
	if got := lines(a, question("Auth", "other")); got[len(got)-1] != "The client is not authorized to perform this operation." {
		t.Errorf("deny: %q", got)
	}
	b.returns(`{"errorType":1}`)
	if got := lines(a, question("Auth", "third")); got[len(got)-1] != `Execution failed due to configuration error: Invalid JSON in response: Unrecognized field "errorType" , not marked as ignorable` {
		t.Errorf("malformed: %q", got)
	}
}

func BenchmarkCachedAnswer(b *testing.B) {
	r := newBench(b)
	r.returns(policyOf("Allow", "arn:aws:execute-api:us-east-1:000000000000:api1/dev/GET/*"))
	a := r.compile(tokenOf(nil), nil)
	q := question("Host", "x", "User-Agent", "curl", "Auth", "Bearer "+strings.Repeat("e", 600))
	r.want(a, q, Allowed)
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if v := r.Ask(ctx, a, q); v.Outcome != Allowed {
			b.Fatal(v)
		}
	}
	if r.ran() != 1 {
		b.Fatal(fmt.Sprint("ran ", r.ran()))
	}
}
