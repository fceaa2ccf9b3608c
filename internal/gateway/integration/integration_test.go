package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"weir/internal/catalog"
	"weir/internal/gateway/event"
	"weir/internal/gateway/message"
	"weir/internal/gateway/route"
	"weir/internal/invocation"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// invoker answers what a test says and keeps what it was asked.
type invoker struct {
	result *invocation.Result
	err    error
	asked  invocation.Invocation
	block  bool // wait until the context ends
}

func (i *invoker) Invoke(ctx context.Context, inv *invocation.Invocation) (*invocation.Result, error) {
	i.asked = *inv
	i.asked.Payload = bytes.Clone(inv.Payload)
	if i.block {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return i.result, i.err
}

func answers(payload string) *invoker {
	return &invoker{result: &invocation.Result{StatusCode: 200, Payload: []byte(payload), RequestID: "inv-1"}}
}

const functionURI = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:timestamper/invocations"

type scene struct {
	api         catalog.RestAPI
	stage       catalog.Stage
	method      catalog.Method
	path        string
	integration catalog.Integration
	invoker     *invoker
	req         message.Request
	call        Call
}

func newScene(inv *invoker) *scene {
	return &scene{
		api:     catalog.RestAPI{ID: "abc123", EndpointTypes: []string{"EDGE"}},
		stage:   catalog.Stage{APIID: "abc123", StageName: "prod", DeploymentID: "dep001"},
		method:  catalog.Method{HTTPMethod: "ANY", AuthorizationType: catalog.AuthorizationNone},
		path:    "/{proxy+}",
		invoker: inv,
		integration: catalog.Integration{
			Type: catalog.IntegrationAWSProxy, HTTPMethod: "POST", URI: functionURI, TimeoutInMillis: 29000,
		},
		req: message.Request{
			ID: "6b1c2a80-0000-4000-8000-000000000001", ExtendedID: "K2Ib_G66IAMEF6g=",
			Received: time.Date(2026, 11, 24, 9, 8, 7, 654e6, time.UTC),
			Method:   "POST", Host: "abc123.execute-api.us-east-1.localhost:8080", Path: "/prod/a/b/",
			Proto: "HTTP/1.1", Scheme: "http", Port: "8080", Source: netip.MustParseAddr("192.0.2.7"),
		},
		call: Call{Address: route.Address{APIID: "abc123", Stage: "prod", Path: "/a/b/"}, Params: []route.Param{{Name: "proxy", Value: "a/b"}}},
	}
}

func (s *scene) do(t testing.TB) (message.Response, *Failure) {
	t.Helper()
	runner := &Runner{Account: "000000000000", Region: "us-east-1", Invoker: s.invoker}
	s.method.Integration = &s.integration
	d := &catalog.Deployment{APIID: s.api.ID, ID: s.stage.DeploymentID, API: s.api}
	plan := runner.Compile(d, &s.stage, &route.Method{ResourceID: "res001", ResourcePath: s.path, Verb: "ANY", Config: &s.method})
	s.call.Request = &s.req
	var resp message.Response
	failure := runner.Do(t.Context(), plan, &s.call, &resp)
	return resp, failure
}

var traceIDs = regexp.MustCompile(`1-[0-9a-f]{8}-[0-9a-f]{24}`)

// golden compares with testdata/name; -update rewrites it.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs\n got %s\nwant %s", file, got, want)
	}
}

func TestEvent(t *testing.T) {
	full := func(s *scene) {
		s.api.BinaryMediaTypes = []string{"image/png"}
		s.api.EndpointTypes = []string{"REGIONAL"}
		s.stage.Variables = map[string]string{"zeta": "1", "alpha": "é\"\\"}
		s.method.APIKeyRequired = true
		s.call.KeyID, s.call.Key = "key0000001", "0123456789abcdefghij"
		s.req.Query = "a=1&b=x%20y+z&a=%2B2&flag&=odd&bad=%zz;semi=1&&T=2023-06-12T18:05:10.123456+00:00"
		for _, f := range []message.Field{
			{Name: "Host", Value: "abc123.execute-api.us-east-1.localhost:8080"},
			{Name: "tEsT-HEADeR", Value: "aValUE"},
			{Name: "user-agent", Value: "curl/8"},
			{Name: "authorization", Value: "Bearer x"},
			{Name: "x-api-key", Value: "0123456789abcdefghij"},
			{Name: "Multi", Value: "1"},
			{Name: "mULTI", Value: "2"},
			{Name: "X-Forwarded-For", Value: "198.51.100.1"},
			{Name: "x-forwarded-for", Value: "198.51.100.2"},
			{Name: "X-Forwarded-Proto", Value: "https"},
			{Name: "X-Forwarded-Port", Value: "1"},
			{Name: "Connection", Value: "close"},
			{Name: "content-length", Value: "4"},
			{Name: "Content-Type", Value: "image/png; q=1"},
			{Name: "Expect", Value: "100-continue"},
			{Name: "TE", Value: "trailers"},
			{Name: "X-Amzn-Trace-Id", Value: "Root=1-5759e988-bd862e3fe1be46a994272793;Self=1-x;Sampled=1"},
		} {
			s.req.Header = append(s.req.Header, f)
		}
		s.req.Body = []byte("\x89PNG")
	}
	for _, c := range []struct {
		name   string
		change func(*scene)
	}{
		{"bare", func(s *scene) {
			s.path = "/"
			s.call.Params = nil
			s.call.Address.Path = ""
			s.req.Method = "GET"
		}},
		{"full", full},
		{"text", func(s *scene) {
			s.call.Address.Path = "//x%20y//z"
			s.req.Header.Add("Content-Type", "application/json")
			s.req.Header.Add("Authorization", "AWS4-HMAC-SHA256 Credential=…")
			s.req.Body = []byte("{\"a\":\"\x01\t<>&\xe2\x82\xff\u2028\"}")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScene(answers(`{}`))
			c.change(s)
			if _, failure := s.do(t); failure != nil {
				t.Fatal(failure)
			}
			if !json.Valid(s.invoker.asked.Payload) {
				t.Fatalf("not JSON: %s", s.invoker.asked.Payload)
			}
			got := traceIDs.ReplaceAllString(string(s.invoker.asked.Payload), "1-TRACE")
			golden(t, "event-"+c.name+".json", []byte(got+"\n"))
		})
	}
}

// TestEventReusesNothing sends a large request first, so that what is left in
// the builder's memory would show in the second.
func TestEventReusesNothing(t *testing.T) {
	s := newScene(answers(`{}`))
	for i := range 60 {
		s.req.Header.Add("H"+strings.Repeat("x", i), "secret")
		s.req.Query += "&q=secret"
	}
	s.do(t)
	s = newScene(answers(`{}`))
	s.do(t)
	if bytes.Contains(s.invoker.asked.Payload, []byte("secret")) {
		t.Errorf("the second event holds the first's: %s", s.invoker.asked.Payload)
	}
}

func TestInvocationOfFunction(t *testing.T) {
	s := newScene(answers(`{}`))
	s.stage.Variables = map[string]string{"fn": "timestamper"}
	s.integration.URI = strings.Replace(functionURI, "timestamper", "${stageVariables.fn}", 1)
	if _, failure := s.do(t); failure != nil {
		t.Fatal(failure)
	}
	got := s.invoker.asked
	if got.Function != "arn:aws:lambda:us-east-1:000000000000:function:timestamper" {
		t.Errorf("function %s", got.Function)
	}
	want := invocation.Caller{
		Service: "apigateway.amazonaws.com", SourceAccount: "000000000000",
		SourceARN: "arn:aws:execute-api:us-east-1:000000000000:abc123/prod/POST/{proxy+}",
	}
	if got.Caller != want {
		t.Errorf("caller %+v, want %+v", got.Caller, want)
	}
	if !strings.HasPrefix(got.TraceID, "Root=1-") {
		t.Errorf("trace id %q", got.TraceID)
	}
}

func TestFailures(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*scene)
		typ    string
		status int
		detail string
	}{
		{"function error", func(s *scene) {
			s.invoker.result = &invocation.Result{FunctionError: "Unhandled", Payload: []byte(`{"errorMessage":"boom"}`), RequestID: "i1"}
		}, Default5XX, 502, "Lambda execution failed with status 200 due to customer function error: boom. Lambda request id: i1"},
		{"permission", func(s *scene) { s.invoker.err = &invocation.Error{Code: invocation.PermissionDenied} }, ConfigurationError, 0, linePermissions},
		{"missing", func(s *scene) { s.invoker.err = &invocation.Error{Code: invocation.NotFound} }, ConfigurationError, 0, linePermissions},
		{"throttled", func(s *scene) { s.invoker.err = &invocation.Error{Code: invocation.Throttled} }, Default5XX, 500, lineRate},
		{"too large", func(s *scene) { s.invoker.err = &invocation.Error{Code: invocation.RequestTooLarge} }, RequestTooLarge, 0, ""},
		{"service", func(s *scene) {
			s.invoker.err = &invocation.Error{Code: invocation.ServiceFailure, Message: "disk"}
		}, Default5XX, 500, ""},
		{"other", func(s *scene) { s.invoker.err = errors.New("broken") }, Default5XX, 500, ""},
		{"timeout", func(s *scene) { s.invoker.block = true; s.integration.TimeoutInMillis = 1 }, IntegrationTimeout, 0, lineTimeout},
		{"not POST", func(s *scene) { s.integration.HTTPMethod = "GET" }, ConfigurationError, 0, ""},
		{"credentials", func(s *scene) { s.integration.Credentials = "arn:aws:iam::000000000000:role/r" }, ConfigurationError, 0, ""},
		{"uri", func(s *scene) { s.integration.URI = "arn:aws:lambda:us-east-1:000000000000:function:f" }, ConfigurationError, 0, ""},
		{"variable not set", func(s *scene) {
			s.integration.URI = strings.Replace(functionURI, "arn:aws:lambda:us-east-1:000000000000:function:timestamper", "${stageVariables.fn}", 1)
		}, ConfigurationError, 0, ""},
		{"type HTTP", func(s *scene) { s.integration.Type = catalog.IntegrationHTTP }, ConfigurationError, 0, ""},
		{"type HTTP_PROXY", func(s *scene) { s.integration.Type = catalog.IntegrationHTTPProxy }, ConfigurationError, 0, ""},
		{"type AWS", func(s *scene) { s.integration.Type = catalog.IntegrationAWS }, ConfigurationError, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScene(answers(`{}`))
			c.change(s)
			_, failure := s.do(t)
			if failure == nil || failure.Type != c.typ || failure.Status != c.status {
				t.Fatalf("got %+v, want %s %d", failure, c.typ, c.status)
			}
			if failure.Detail() == "" || c.detail != "" && failure.Detail() != c.detail {
				t.Errorf("detail %q, want %q", failure.Detail(), c.detail)
			}
			asked := s.invoker.asked.Function != ""
			if sent := failure.Trace != ""; sent != asked {
				t.Errorf("trace id sent: %v, function asked: %v", sent, asked)
			}
		})
	}
}

func FuzzEvent(f *testing.F) {
	f.Add("a=1&b=%zz;c=+", "X-A", "v", "/p//q", []byte("body\xff"))
	f.Add("", "Host", "\xe2\x82", "", []byte(nil))
	f.Fuzz(func(t *testing.T, query, name, value, path string, body []byte) {
		s := newScene(answers(`{}`))
		s.req.Query, s.req.Body = query, body
		s.req.Header.Add(name, value)
		s.call.Address.Path = path
		if _, failure := s.do(t); failure != nil {
			t.Fatal(failure)
		}
		if !json.Valid(s.invoker.asked.Payload) {
			t.Fatalf("not JSON: %q", s.invoker.asked.Payload)
		}
	})
}

func BenchmarkProxyEvent(b *testing.B) {
	s := newScene(answers(`{}`))
	for _, h := range []string{"Host", "User-Agent", "Accept", "x-api-key", "Content-Type"} {
		s.req.Header.Add(h, "some value of ordinary length")
	}
	s.req.Query = "a=1&b=2"
	s.req.Body = []byte(`{"format":"%Y-%m-%d %H:%M:%S"}`)
	runner := &Runner{Account: "000000000000", Region: "us-east-1"}
	s.method.Integration = &s.integration
	plan := runner.Compile(&catalog.Deployment{API: s.api}, &s.stage, &route.Method{ResourcePath: s.path, Config: &s.method})
	call := event.Call{Request: &s.req, Address: s.call.Address, Params: s.call.Params, Trace: "Root=1-5759e988-bd862e3fe1be46a994272793"}
	eb, size := event.Take(), 0
	b.ReportAllocs()
	for b.Loop() {
		size = len(eb.Proxy(&plan.function.event, &call))
	}
	b.SetBytes(int64(size))
}
