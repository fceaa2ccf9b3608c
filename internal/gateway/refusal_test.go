package gateway

import (
	"context"
	"crypto/sha256"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/internal/catalog"
	"weir/internal/gateway/protection"
	"weir/internal/invocation"
	"weir/internal/telemetry"
)

// refusalCase is a request that the line refuses.
type refusalCase struct {
	name    string
	before  func(*rig)
	request string
	verdict string
	reason  string
}

// refusals are all that can be reached.
func refusals() []refusalCase {
	fails := func(code string) func(*rig) {
		return func(r *rig) {
			r.invoker.does(func(context.Context, *invocation.Invocation) (*invocation.Result, error) {
				return nil, &invocation.Error{Code: code}
			})
		}
	}
	key := "x-api-key: " + goodKey
	tagged := func(tag, value string) func(*rig) {
		return func(r *rig) {
			r.guard.PutKeyWithTerms(catalog.APIKey{
				ID: "key01", Digest: sha256.Sum256([]byte(goodKey)), Enabled: true, Tags: map[string]string{tag: value},
			})
		}
	}
	return []refusalCase{
		{"key-missing", nil, request("POST /prod/keyed", "{}"), telemetry.Refused, "INVALID_API_KEY"},
		{"key-unknown", nil, request("POST /prod/keyed", "{}", "x-api-key: nosuchkeynosuchkeynosuchkey"), telemetry.Refused, "INVALID_API_KEY"},
		{"key-without-plan", nil, request("POST /prod/keyed", "{}", "X-API-KEY: "+otherKey), telemetry.Refused, "INVALID_API_KEY"},
		{"key-expired", tagged(catalog.TagExpires, "2026-11-24T09:00:00Z"), request("POST /prod/keyed", "{}", key), telemetry.Refused, "INVALID_API_KEY"},
		{"key-address", tagged(catalog.TagSourceRanges, "192.0.2.0/24"), request("POST /prod/keyed", "{}", key), telemetry.Refused, "INVALID_API_KEY"},
		{"throttled", func(r *rig) { r.wire(request("POST /prod/keyed", "{}", key)) }, request("POST /prod/keyed", "{}", key), telemetry.Refused, "THROTTLED"},
		{"quota-exceeded", func(r *rig) {
			for range 2 {
				r.wire(request("POST /prod/keyed", "{}", key))
				r.pass(2 * time.Second)
			}
		}, request("POST /prod/keyed", "{}", key), telemetry.Refused, "QUOTA_EXCEEDED"},
		{"unknown-path", nil, request("GET /prod/nowhere", ""), telemetry.Missed, "MISSING_AUTHENTICATION_TOKEN"},
		{"unknown-verb", nil, request("GET /prod/keyed", ""), telemetry.Missed, "MISSING_AUTHENTICATION_TOKEN"},
		{"unknown-path-bearer", nil, request("GET /prod/nowhere", "", "Authorization: Bearer X"), telemetry.Missed, "INVALID_SIGNATURE"},
		{"unknown-path-signed", nil, request("GET /prod/nowhere", "", "Authorization: AWS4-HMAC-SHA256 Credential=x"), telemetry.Missed, "MISSING_AUTHENTICATION_TOKEN"},
		{"unknown-stage", nil, request("GET /nostage/open", ""), telemetry.Missed, ""},
		{"no-stage", nil, request("GET /", ""), telemetry.Missed, ""},
		{"unknown-api", nil, request("GET /prod/open", "", "Host: zzz.execute-api.us-east-1.localhost"), telemetry.Missed, ""},
		{"no-callers-form", nil, request("GET /anything", "", "Host: localhost"), telemetry.Missed, ""},
		{"endpoint-disabled", func(r *rig) {
			r.publish(resources(), func(_ *catalog.Stage, a *catalog.RestAPI) { a.DisableExecuteAPIEndpoint = true })
		}, request("GET /prod/open", ""), telemetry.Missed, ""},
		{"timeout", func(r *rig) {
			r.invoker.does(func(ctx context.Context, _ *invocation.Invocation) (*invocation.Result, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			})
		}, request("GET /prod/slow", ""), telemetry.Admitted, "INTEGRATION_TIMEOUT"},
		{"malformed-reply", func(r *rig) { r.invoker.returns(`"text"`) }, request("GET /prod/open", ""), telemetry.Admitted, "DEFAULT_5XX"},
		{"function-error", func(r *rig) {
			r.invoker.does(func(context.Context, *invocation.Invocation) (*invocation.Result, error) {
				return &invocation.Result{FunctionError: "Unhandled", Payload: []byte(`{"errorMessage":"x"}`)}, nil
			})
		}, request("GET /prod/open", ""), telemetry.Admitted, "DEFAULT_5XX"},
		{"no-permission", fails(invocation.PermissionDenied), request("GET /prod/open", ""), telemetry.Admitted, "API_CONFIGURATION_ERROR"},
		{"no-function", fails(invocation.NotFound), request("GET /prod/open", ""), telemetry.Admitted, "API_CONFIGURATION_ERROR"},
		{"function-throttled", fails(invocation.Throttled), request("GET /prod/open", ""), telemetry.Admitted, "DEFAULT_5XX"},
		{"event-too-large", fails(invocation.RequestTooLarge), request("GET /prod/open", ""), telemetry.Admitted, "REQUEST_TOO_LARGE"},
		{"integration-not-post", nil, request("GET /prod/notpost", ""), telemetry.Admitted, "API_CONFIGURATION_ERROR"},
		{"no-integration", nil, request("GET /prod/bare", ""), telemetry.Admitted, "API_CONFIGURATION_ERROR"},
		{"mock-without-status", nil, request("GET /prod/badmock", ""), telemetry.Admitted, "DEFAULT_5XX"},
		{"unsupported-media-type", nil, request("GET /prod", "", "Content-Type: text/plain"), telemetry.Admitted, "UNSUPPORTED_MEDIA_TYPE"},
		{"authorizer-no-token", nil, request("GET /prod/judged", ""), telemetry.Refused, "UNAUTHORIZED"},
		{"authorizer-unauthorized", func(r *rig) {
			r.invoker.does(func(context.Context, *invocation.Invocation) (*invocation.Result, error) {
				return &invocation.Result{FunctionError: "Unhandled", Payload: []byte(`{"errorMessage":"Unauthorized"}`)}, nil
			})
		}, request("GET /prod/judged", "", "Auth: t"), telemetry.Refused, "UNAUTHORIZED"},
		{"authorizer-denies", func(r *rig) { r.invoker.returns(ruling("Deny", "*")) }, request("GET /prod/judged", "", "Auth: t"), telemetry.Refused, "ACCESS_DENIED"},
		{
			"authorizer-does-not-allow", func(r *rig) { r.invoker.returns(ruling("Allow", "arn:aws:execute-api:*:*:*/prod/GET/other")) },
			request("GET /prod/judged", "", "Auth: t"), telemetry.Refused, "ACCESS_DENIED",
		},
		{"authorizer-fails", func(r *rig) {
			r.invoker.does(func(context.Context, *invocation.Invocation) (*invocation.Result, error) {
				return &invocation.Result{FunctionError: "Unhandled", Payload: []byte(`{"errorMessage":"x"}`)}, nil
			})
		}, request("GET /prod/judged", "", "Auth: t"), telemetry.Refused, "AUTHORIZER_FAILURE"},
		{"authorizer-malformed", func(r *rig) { r.invoker.returns(`{"isAuthorized":true}`) }, request("GET /prod/judged", "", "Auth: t"), telemetry.Refused, "AUTHORIZER_CONFIGURATION_ERROR"},
		{"authorizer-no-permission", fails(invocation.PermissionDenied), request("GET /prod/judged", "", "Auth: t"), telemetry.Refused, "AUTHORIZER_CONFIGURATION_ERROR"},
		{"authorizer-long-path", nil, request("GET /prod/judged/"+strings.Repeat("a", 1600), "", "Auth: t"), telemetry.Refused, "URI_TOO_LONG"},
		{"panic", func(r *rig) {
			r.invoker.does(func(context.Context, *invocation.Invocation) (*invocation.Result, error) { panic("boom") })
		}, request("GET /prod/open", ""), telemetry.Broken, "DEFAULT_5XX"},
	}
}

// TestRefusalsOnTheWire holds every refusal that can be reached, byte for
// byte, against its golden file.
func TestRefusalsOnTheWire(t *testing.T) {
	for _, c := range refusals() {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, ServerOptions{})
			if c.before != nil {
				c.before(r)
			}
			response := r.wire(c.request)
			golden(t, "refusal-"+c.name, strings.ReplaceAll(c.request, goodKey, "KEY"), response)
			rec := r.lastRecord()
			if rec.Verdict != c.verdict || rec.Reason != c.reason || rec.Detail == "" {
				t.Errorf("record says %q %q %q, want %q %q", rec.Verdict, rec.Reason, rec.Detail, c.verdict, c.reason)
			}
		})
	}
}

// ruling is what an authorizer's function answers.
func ruling(effect, resource string) string {
	return `{"principalId":"user|a1b2","context":{"tenant":7},"policyDocument":{"Version":"2012-10-17","Statement":[{"Action":"execute-api:Invoke","Effect":"` +
		effect + `","Resource":"` + resource + `"}]}}`
}

// TestFunctionSeesWhatTheAuthorizerSaid: the integration's event tells who the
// caller is, and the authorizer is asked once for callers it knows.
func TestFunctionSeesWhatTheAuthorizerSaid(t *testing.T) {
	r := newRig(t, ServerOptions{})
	asked := 0
	r.invoker.does(func(_ context.Context, inv *invocation.Invocation) (*invocation.Result, error) {
		if strings.HasPrefix(string(inv.Payload), `{"type":"TOKEN"`) {
			asked++
			return &invocation.Result{Payload: []byte(ruling("Allow", "*"))}, nil
		}
		return &invocation.Result{Payload: []byte(`{"body":"hello"}`)}, nil
	})
	for range 3 {
		if got := r.wire(request("GET /prod/judged", "", "Auth: t")); body(got) != "hello" {
			t.Fatalf("answer %s", got)
		}
	}
	want := `"requestContext":{"resourceId":"judged","authorizer":{"tenant":"7","principalId":"user|a1b2","integrationLatency":0},"resourcePath":"/judged",`
	if got := r.invoker.lastEvent(); !strings.Contains(got, want) || asked != 1 {
		t.Errorf("asked %d times; event %s, want %s in it", asked, got, want)
	}
}

// TestGatewayResponseTable holds the table against AWS's list of types.
func TestGatewayResponseTable(t *testing.T) {
	listed := strings.Split("REQUEST_TOO_LARGE, RESOURCE_NOT_FOUND, AUTHORIZER_CONFIGURATION_ERROR, MISSING_AUTHENTICATION_TOKEN, BAD_REQUEST_BODY, INVALID_SIGNATURE, INVALID_API_KEY, BAD_REQUEST_PARAMETERS, AUTHORIZER_FAILURE, UNAUTHORIZED, INTEGRATION_TIMEOUT, ACCESS_DENIED, DEFAULT_4XX, DEFAULT_5XX, WAF_FILTERED, QUOTA_EXCEEDED, THROTTLED, API_CONFIGURATION_ERROR, UNSUPPORTED_MEDIA_TYPE, INTEGRATION_FAILURE, EXPIRED_TOKEN", ", ")
	if len(listed) != 21 || len(gatewayResponses) != 24 {
		t.Errorf("%d types listed, %d in the table", len(listed), len(gatewayResponses))
	}
	for name := range gatewayResponses {
		if name != forbiddenAnswer && name != explicitDeny && name != protection.URITooLong && !slices.Contains(listed, name) {
			t.Errorf("AWS has no type %s", name)
		}
	}
	for name, want := range map[string]string{
		"INVALID_API_KEY": `{"message":"Forbidden"}`, "THROTTLED": `{"message":"Too Many Requests"}`, "QUOTA_EXCEEDED": `{"message":"Limit Exceeded"}`,
		"API_CONFIGURATION_ERROR": `{"message": "Internal server error"}`, "INTEGRATION_TIMEOUT": `{"message": "Endpoint request timed out"}`,
		"AUTHORIZER_CONFIGURATION_ERROR": `{"message":null}`, "ACCESS_DENIED": `{"Message":"User is not authorized to access this resource"}`,
	} {
		if got := string(bodies[name]); got != want {
			t.Errorf("%s: body %s, want %s", name, got, want)
		}
	}
	sizes := map[string]int{"INVALID_API_KEY": 23, "THROTTLED": 31, "QUOTA_EXCEEDED": 28, "DEFAULT_5XX": 36, "INTEGRATION_TIMEOUT": 41}
	for name, size := range sizes {
		if len(bodies[name]) != size {
			t.Errorf("%s: %d bytes, want %d as captured from AWS", name, len(bodies[name]), size)
		}
	}
}

// TestKeyNeverLeaves looks for the key's value in everything we tell about a
// request, a panicking one included.
func TestKeyNeverLeaves(t *testing.T) {
	r := newRig(t, ServerOptions{})
	r.publish(resources(), func(s *catalog.Stage, _ *catalog.RestAPI) {
		s.MethodSettings = map[string]catalog.MethodSetting{"*/*": {LoggingLevel: "INFO", ThrottlingBurstLimit: -1, ThrottlingRateLimit: -1}}
	})
	key := "x-api-key: " + goodKey
	for range 3 {
		r.wire(request("POST /prod/keyed", "{}", key))
	}
	r.pass(time.Minute)
	r.invoker.does(func(context.Context, *invocation.Invocation) (*invocation.Result, error) { panic("boom") })
	r.wire(request("POST /prod/keyed", "{}", key))
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.records) != 4 || len(r.events) == 0 || !strings.Contains(r.logged.String(), "boom") {
		t.Fatalf("%d records, %d log events, log %q", len(r.records), len(r.events), r.logged.String())
	}
	for _, rec := range r.records {
		if strings.Contains(strings.Join([]string{rec.Path, rec.KeyID, rec.Reason, rec.Detail, rec.UserAgent}, " "), goodKey) {
			t.Errorf("record %+v", rec)
		}
	}
	for _, e := range r.events {
		if strings.Contains(e.Message, goodKey) {
			t.Errorf("log event %s", e.Message)
		}
	}
	if strings.Contains(r.logged.String(), goodKey) {
		t.Errorf("log %s", r.logged.String())
	}
}
