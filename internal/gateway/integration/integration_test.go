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
			{Name: "Host", Value: "abc123.execute-api.us-east-1.localhost:8080"}, {Name: "tEsT-HEADeR", Value: "aValUE"},
			{Name: "user-agent", Value: "curl/8"}, {Name: "authorization", Value: "Bearer x"}, {Name: "x-api-key", Value: "0123456789abcdefghij"},
			{Name: "Multi", Value: "1"}, {Name: "mULTI", Value: "2"}, {Name: "X-Forwarded-For", Value: "198.51.100.1"},
			{Name: "x-forwarded-for", Value: "198.51.100.2"}, {Name: "X-Forwarded-Proto", Value: "https"}, {Name: "X-Forwarded-Port", Value: "1"},
			{Name: "Connection", Value: "close"}, {Name: "content-length", Value: "4"}, {Name: "Content-Type", Value: "image/png; q=1"},
			{Name: "Expect", Value: "100-continue"}, {Name: "TE", Value: "trailers"}, {Name: "X-Amzn-Trace-Id", Value: "Root=1-5759e988-bd862e3fe1be46a994272793;Self=1-x;Sampled=1"},
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

func TestEventGroupsManyAsItGroupsFew(t *testing.T) {
	var few, many message.Header
	for _, name := range []string{"a", "B", "A", "c", "b", "a"} {
		few.Add(name, "v"+name)
	}
	many = append(many, few...)
	for len(many) <= 2*24 {
		many.Add("pad", "x")
	}
	render := func(h message.Header, same func(a, b string) bool) string {
		var g grouping
		g.byName(h, same)
		return string(g.appendMulti(nil, h))
	}
	for name, same := range map[string]func(a, b string) bool{
		"fold": strings.EqualFold, "exact": func(a, b string) bool { return a == b },
	} {
		got, want := render(many, same), render(few, same)
		if !strings.HasPrefix(got, strings.TrimSuffix(want, "}")+",") {
			t.Errorf("%s: %s does not begin as %s", name, got, want)
		}
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

func TestReplyRules(t *testing.T) {
	type want struct {
		status int // 0: failure
		header string
		body   string
	}
	const jsonType = "Content-Type: application/json"
	for _, c := range []struct {
		name, payload string
		want          want
		fails         int
	}{
		{"whole", `{"statusCode":201,"headers":{"A":"1","content-type":"text/plain"},"body":"hi","isBase64Encoded":false}`, want{201, "A: 1|content-type: text/plain", "hi"}, 0},
		{"empty object", ` {} `, want{200, jsonType, ""}, 0},
		{"status only", `{"statusCode": 200 }`, want{200, jsonType, ""}, 0},
		{"headers only", `{"headers":{"X":"y"}}`, want{200, jsonType + "|X: y", ""}, 0},
		{"status as string", `{"statusCode":"201"}`, want{201, jsonType, ""}, 0},
		{"status not numeric", `{"statusCode":"abc"}`, want{}, 502},
		{"status fraction", `{"statusCode":200.5}`, want{}, 502},
		{"status informational", `{"statusCode":101}`, want{}, 502},
		{"unknown member", `{"statusCode":200,"other":1}`, want{}, 502},
		{"member in another case", `{"statuscode":200}`, want{}, 502},
		{"bare string", `"x"`, want{}, 502},
		{"number", `1`, want{}, 502},
		{"array", `[]`, want{}, 502},
		{"null", `null`, want{}, 502},
		{"not JSON", `{"statusCode":200`, want{}, 502},
		{"nothing", ``, want{}, 502},
		{"body object", `{"body":{"a":1}}`, want{}, 502},
		{"body number", `{"body":1}`, want{}, 502},
		{"body null", `{"body":null}`, want{200, jsonType, ""}, 0},
		{"body escapes", `{"body":"a\n\u00e9\ud83d\ude00"}`, want{200, jsonType, "a\né😀"}, 0},
		{"headers null", `{"headers":null,"multiValueHeaders":null}`, want{200, jsonType, ""}, 0},
		{"headers array", `{"headers":[]}`, want{}, 502},
		{"header boolean and number", `{"headers":{"a":true,"b":1.50,"c":null}}`, want{200, jsonType + "|a: true|b: 1.50", ""}, 0},
		{"header object", `{"headers":{"a":{}}}`, want{}, 502},
		{"multi not lists", `{"multiValueHeaders":{"a":"b"}}`, want{}, 502},
		{"multi", `{"multiValueHeaders":{"Set-Cookie":["a=1","b=2"]}}`, want{200, jsonType + "|Set-Cookie: a=1|Set-Cookie: b=2", ""}, 0},
		{"both", `{"headers":{"x":"1","y":"2","z":"4"},"multiValueHeaders":{"X":["1","3"],"Y":["5"]}}`, want{200, jsonType + "|X: 1|X: 3|Y: 5|Y: 2|z: 4", ""}, 0},
		{"splitting value", `{"headers":{"a":"b\r\nSet-Cookie: c"}}`, want{}, 502},
		{"splitting name", `{"headers":{"a: b\r\nc":"d"}}`, want{}, 502},
		{"remapped and dropped", `{"headers":{"Date":"d","Server":"s","Connection":"close","WWW-Authenticate":"w","Content-Length":"99","Transfer-Encoding":"chunked","Trailer":"x","Via":"v","x-amzn-RequestId":"r","User-Agent":"u","Authorization":"z","Content-Encoding":"gzip","Content-MD5":"m"}}`,
			want{200, jsonType + "|x-amzn-Remapped-Date: d|x-amzn-Remapped-Server: s|x-amzn-Remapped-Connection: close|x-amzn-Remapped-WWW-Authenticate: w|x-amzn-Remapped-x-amzn-RequestId: r|x-amzn-Remapped-User-Agent: u|x-amzn-Remapped-Authorization: z|Content-Encoding: gzip|x-amzn-Remapped-Content-MD5: m", ""}, 0},
		{"base64 not asked for", `{"body":"aGk=","isBase64Encoded":true}`, want{200, jsonType, "aGk="}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp, failure := newScene(answers(c.payload)).do(t)
			check(t, resp, failure, c.want.status, c.want.header, c.want.body, c.fails)
		})
	}
}

func check(t *testing.T, resp message.Response, failure *Failure, status int, header, body string, fails int) {
	t.Helper()
	if failure != nil || fails != 0 {
		if failure == nil || failure.Status != fails {
			t.Fatalf("failure %+v, want status %d", failure, fails)
		}
		return
	}
	var lines []string
	for _, f := range resp.Header {
		if f.Name != "X-Amzn-Trace-Id" {
			lines = append(lines, f.Name+": "+f.Value)
		}
	}
	if got := strings.Join(lines, "|"); resp.Status != status || got != header || string(resp.Body) != body {
		t.Errorf("got %d %q %q, want %d %q %q", resp.Status, got, resp.Body, status, header, body)
	}
}

func TestBase64ReplyIsDecodedForCallersThatTakeBinary(t *testing.T) {
	for _, c := range []struct {
		accept, payload, body string
		fails                 bool
	}{
		{"image/png, text/html", `{"body":"AP8=","isBase64Encoded":true}`, "\x00\xff", false},
		{"text/html, image/png", `{"body":"AP8=","isBase64Encoded":true}`, "AP8=", false},
		{"image/png", `{"body":"AP8=","isBase64Encoded":false}`, "AP8=", false},
		{"image/png", `{"body":"!!","isBase64Encoded":true}`, "", true},
	} {
		s := newScene(answers(c.payload))
		s.api.BinaryMediaTypes = []string{"image/*"}
		s.req.Header.Add("accept", c.accept)
		resp, failure := s.do(t)
		if c.fails != (failure != nil) || string(resp.Body) != c.body {
			t.Errorf("%s %s: got %q %+v", c.accept, c.payload, resp.Body, failure)
		}
		if failure != nil && (failure.Type != ConfigurationError || failure.Status != 0) {
			t.Errorf("failure %+v", failure)
		}
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

func TestMock(t *testing.T) {
	responses := map[string]*catalog.IntegrationResponse{
		"200": {StatusCode: "200", ResponseTemplates: map[string]string{"application/json": `{"ok":true}`, "text/xml": "<ok/>"},
			ResponseParameters: map[string]string{"method.response.header.X-A": "'b'", "method.response.header.X-V": "stageVariables.v", "method.response.header.X-I": "integration.response.header.none"}},
		"404": {StatusCode: "404", SelectionPattern: `4\d\d`, ResponseParameters: map[string]string{"method.response.header.Content-Type": "'text/plain'"}},
		"201": {StatusCode: "201"},
		"500": {StatusCode: "500", SelectionPattern: "5..", ResponseTemplates: map[string]string{"application/json": "$input.body"}},
		"502": {StatusCode: "502", SelectionPattern: "dyn", ResponseParameters: map[string]string{"method.response.header.X": "context.requestId"}},
	}
	for _, c := range []struct {
		name, template, passthrough, contentType, accept, body string
		status                                                 int
		header, want                                           string
		fails                                                  string
	}{
		{name: "default", template: `{"statusCode": 200}`, status: 200, header: "Content-Type: application/json|X-A: b|X-V: 7", want: `{"ok":true}`},
		{name: "by Accept", template: `{"statusCode": 200}`, accept: "text/xml;q=1, */*", status: 200, header: "Content-Type: text/xml|X-A: b|X-V: 7", want: "<ok/>"},
		{name: "bare keys", template: `{ statusCode: 201, 'x': 'it' }`, status: 201, header: "Content-Type: application/json"},
		{name: "pattern", template: `{"statusCode": 418}`, status: 404, header: "Content-Type: text/plain"},
		{name: "no pattern, no such status: a default", template: `{"statusCode": 333}`, status: 200, header: "Content-Type: application/json|X-A: b|X-V: 7", want: `{"ok":true}`},
		{name: "string status", template: `{"statusCode": "200"}`, fails: Default5XX},
		{name: "no status", template: `{}`, fails: Default5XX},
		{name: "not JSON", template: `ok`, fails: Default5XX},
		{name: "template language", template: `{"statusCode": $x}`, fails: ConfigurationError},
		{name: "template language in the answer", template: `{"statusCode": 500}`, fails: ConfigurationError},
		{name: "no template for the type: body", template: `{"statusCode": 200}`, contentType: "text/plain", body: `{"statusCode": 201}`, status: 201, header: "Content-Type: application/json"},
		{name: "NEVER", template: `{"statusCode": 200}`, contentType: "text/plain", passthrough: "NEVER", fails: UnsupportedMediaType},
		{name: "WHEN_NO_TEMPLATES", template: `{"statusCode": 200}`, contentType: "text/plain", passthrough: "WHEN_NO_TEMPLATES", fails: UnsupportedMediaType},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScene(nil)
			s.stage.Variables = map[string]string{"v": "7"}
			s.integration = catalog.Integration{Type: catalog.IntegrationMock, PassthroughBehavior: c.passthrough,
				RequestTemplates: map[string]string{"application/json": c.template}, Responses: responses}
			if c.contentType != "" {
				s.req.Header.Add("Content-Type", c.contentType)
			}
			if c.accept != "" {
				s.req.Header.Add("Accept", c.accept)
			}
			s.req.Body = []byte(c.body)
			resp, failure := s.do(t)
			if c.fails != "" {
				if failure == nil || failure.Type != c.fails || failure.Detail() == "" {
					t.Fatalf("got %+v, want %s", failure, c.fails)
				}
				return
			}
			check(t, resp, failure, c.status, c.header, c.want, 0)
			if resp.Header.Has("X-Amzn-Trace-Id") {
				t.Error("a mock's answer carries a trace id")
			}
		})
	}
}

func TestMockWithoutDefaultResponse(t *testing.T) {
	s := newScene(nil)
	s.integration = catalog.Integration{Type: catalog.IntegrationMock, RequestTemplates: map[string]string{"application/json": `{"statusCode":200}`},
		Responses: map[string]*catalog.IntegrationResponse{"404": {StatusCode: "404", SelectionPattern: "404"}}}
	if _, failure := s.do(t); failure == nil || failure.Type != ConfigurationError {
		t.Errorf("got %+v", failure)
	}
}

func TestTraceID(t *testing.T) {
	now := time.Unix(0x5759e988, 0)
	for _, c := range []struct{ sent, event, root string }{
		{"", `^Root=1-5759e988-[0-9a-f]{24}$`, `^Root=1-5759e988-[0-9a-f]{24}$`},
		{"Root=1-67891233-abcdef012345678912345678", `^Self=1-5759e988-[0-9a-f]{24};Root=1-67891233-abcdef012345678912345678$`, `^Root=1-67891233-abcdef012345678912345678$`},
		{"Root=1-6-a;Parent=7;Sampled=1;Self=1-old", `^Self=1-5759e988-[0-9a-f]{24};Root=1-6-a;Parent=7;Sampled=1$`, `^Root=1-6-a$`},
		{"nonsense", `^Self=1-5759e988-([0-9a-f]{24});Root=1-5759e988-[0-9a-f]{24};nonsense$`, `^Root=1-5759e988-[0-9a-f]{24}$`},
		{"Root=<script>", `Root=1-5759e988-[0-9a-f]{24};Root=<script>$`, `^Root=1-5759e988-[0-9a-f]{24}$`},
	} {
		var h message.Header
		if c.sent != "" {
			h.Add("x-amzn-trace-id", c.sent)
		}
		event, root := newTrace(now, h)
		if !regexp.MustCompile(c.event).MatchString(event) || !regexp.MustCompile(c.root).MatchString(root) {
			t.Errorf("%q: got %q and %q", c.sent, event, root)
		}
	}
}

func FuzzReply(f *testing.F) {
	for _, s := range []string{`{"statusCode":200,"headers":{"a":"b"},"multiValueHeaders":{"c":["d",1,true]},"body":"x","isBase64Encoded":true}`, `{}`, `[]`, `"\ud800"`, `{"body":"\u0000"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		r, ok := parseReply(payload)
		var top map[string]json.RawMessage
		object := json.Unmarshal(payload, &top) == nil && top != nil
		if !ok {
			return
		}
		if !object {
			t.Fatalf("%q is no object, but was read as %+v", payload, r)
		}
		for key := range top {
			if !strings.Contains("statusCode headers multiValueHeaders body isBase64Encoded", key) {
				t.Fatalf("%q: unknown member %q was let through", payload, key)
			}
		}
		if r.status < 200 || r.status > 599 {
			t.Fatalf("%q: status %d", payload, r.status)
		}
		for _, h := range r.header {
			if !validName(h.Name) || strings.ContainsAny(h.Value, "\r\n\x00") {
				t.Fatalf("%q: header %q", payload, h)
			}
		}
		var body *string
		if json.Unmarshal(top["body"], &body) == nil && body != nil && *body != string(r.body) && utf8Clean(top["body"]) {
			t.Fatalf("%q: body %q, want %q", payload, r.body, *body)
		}
	})
}

func utf8Clean(raw []byte) bool { return !bytes.ContainsRune(raw, '\uFFFD') }

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

func FuzzMockStatus(f *testing.F) {
	f.Add([]byte(`{statusCode: 200, 'a': "b\""}`))
	f.Fuzz(func(t *testing.T, text []byte) { mockStatus(text) })
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
	s.call.Request = &s.req
	var eb builder
	b.ReportAllocs()
	for b.Loop() {
		eb.event(plan.function, &s.call, "Root=1-5759e988-bd862e3fe1be46a994272793")
	}
	b.SetBytes(int64(len(eb.buf)))
}

func BenchmarkProxyReply(b *testing.B) {
	payload := []byte(`{"statusCode":200,"headers":{"Content-Type":"application/json"},"body":"{\"timestamp\":\"2026-11-24 09:08:07\"}"}`)
	b.ReportAllocs()
	for b.Loop() {
		parseReply(payload)
	}
}
