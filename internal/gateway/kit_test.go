package gateway

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"weir/internal/catalog"
	"weir/internal/gateway/protection"
	"weir/internal/gateway/protection/authorizer"
	"weir/internal/invocation"
	"weir/internal/limit"
	"weir/internal/limit/limittest"
	"weir/internal/telemetry"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// The engine keeps one clock for its Date headers as long as the process lives.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		// Its sweeper of idle workers notices a stop only when it next wakes, up to 10 s later.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

// invoker answers for functions.
type invoker struct {
	mu     sync.Mutex
	answer func(ctx context.Context, inv *invocation.Invocation) (*invocation.Result, error)
	events []string
}

func (i *invoker) Invoke(ctx context.Context, inv *invocation.Invocation) (*invocation.Result, error) {
	i.mu.Lock()
	i.events = append(i.events, string(inv.Payload))
	answer := i.answer
	i.mu.Unlock()
	return answer(ctx, inv)
}

func (i *invoker) returns(payload string) {
	i.does(func(context.Context, *invocation.Invocation) (*invocation.Result, error) {
		return &invocation.Result{StatusCode: 200, Payload: []byte(payload), RequestID: "inv-1"}, nil
	})
}

func (i *invoker) does(f func(context.Context, *invocation.Invocation) (*invocation.Result, error)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.answer = f
}

func (i *invoker) lastEvent() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.events) == 0 {
		return ""
	}
	return i.events[len(i.events)-1]
}

// rig is a gateway with one API on real sockets.
type rig struct {
	t       testing.TB
	gateway *Gateway
	guard   *protection.Guard
	invoker *invoker
	server  *Server
	addr    string

	preamble string // sent first on every connection

	mu      sync.Mutex
	now     limit.Instant
	records []*telemetry.Record
	events  []telemetry.LogEvent
	logged  bytes.Buffer
}

const (
	goodKey  = "0123456789abcdefghijABCDEFGHIJ0123456789"
	otherKey = "9876543210abcdefghijABCDEFGHIJ0123456789"
)

func newRig(t testing.TB, o ServerOptions) *rig {
	t.Helper()
	r := &rig{t: t, invoker: &invoker{}, now: limit.Instant{Wall: time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)}}
	r.invoker.returns(`{"statusCode":200,"body":"hello"}`)
	r.guard = protection.NewGuard(protection.Options{
		Authorizers: authorizer.New(authorizer.Options{
			Account: "000000000000", Region: "us-east-1", Invoke: r.invoker.Invoke, Now: func() time.Duration { return r.clock().Mono },
		}),
		Limiter: limit.New(&limittest.Ledger{Now: func() time.Time { return r.clock().Wall }}), Now: r.clock,
		Digest: func(value string) [sha256.Size]byte { return sha256.Sum256([]byte(value)) },
	})
	r.guard.PutPlan(catalog.UsagePlan{
		ID: "plan01", Name: "basic", APIStages: []catalog.PlanStage{{APIID: "abc123", Stage: "prod"}},
		Throttle: &catalog.Throttle{RateLimit: 1, BurstLimit: 1}, Quota: &catalog.Quota{Limit: 2, Period: catalog.PeriodDay},
	})
	r.guard.PutKey("key01", sha256.Sum256([]byte(goodKey)), true)
	r.guard.PutKey("key02", sha256.Sum256([]byte(otherKey)), true) // in no plan
	r.guard.Link(catalog.UsagePlanKey{PlanID: "plan01", KeyID: "key01", AddedAt: r.now.Wall.Add(-90 * 24 * time.Hour)})
	r.guard.Started(r.now)
	r.gateway = New(Options{
		Account: "000000000000", Region: "us-east-1", Invoker: r.invoker, Guard: r.guard,
		Record: r.record, ExecutionLog: r.execution,
		Logger: slog.New(slog.NewTextHandler(lockedWriter{&r.mu, &r.logged}, nil)),
	})
	r.publish(resources(), nil)
	r.listen(o)
	return r
}

type lockedWriter struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

func (r *rig) clock() limit.Instant {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

func (r *rig) pass(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = limit.Instant{Mono: r.now.Mono + d, Wall: r.now.Wall.Add(d)}
}

func (r *rig) record(rec *telemetry.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.records = append(r.records, rec.Clone())
}

func (r *rig) execution(events []telemetry.LogEvent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, events...)
}

// lastRecord waits for nothing: a record is made before its answer is sent.
func (r *rig) lastRecord() telemetry.Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.records) == 0 {
		return telemetry.Record{}
	}
	return *r.records[len(r.records)-1]
}

func proxy(m catalog.Method) *catalog.Method {
	m.Integration = &catalog.Integration{
		Type: catalog.IntegrationAWSProxy, HTTPMethod: "POST", TimeoutInMillis: 29000,
		URI: "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:f/invocations",
	}
	m.AuthorizationType = catalog.AuthorizationNone
	return &m
}

func mockOf(template string) *catalog.Method {
	return &catalog.Method{AuthorizationType: catalog.AuthorizationNone, Integration: &catalog.Integration{
		Type: catalog.IntegrationMock, PassthroughBehavior: "NEVER",
		RequestTemplates: map[string]string{"application/json": template},
		Responses: map[string]*catalog.IntegrationResponse{
			"200": {StatusCode: "200", ResponseTemplates: map[string]string{"application/json": `{"ok":true}`}},
		},
	}}
}

// resources is the API of the rig.
func resources() []catalog.Resource {
	slow := proxy(catalog.Method{})
	slow.Integration.TimeoutInMillis = 1
	get := proxy(catalog.Method{})
	judged := proxy(catalog.Method{AuthorizerID: "auth01"})
	judged.AuthorizationType = catalog.AuthorizationCustom
	get.Integration.HTTPMethod = "GET"
	on := func(id, path string, methods map[string]*catalog.Method) catalog.Resource {
		return catalog.Resource{APIID: "abc123", ID: id, Path: path, Methods: methods}
	}
	return []catalog.Resource{
		on("root", "/", map[string]*catalog.Method{"GET": mockOf(`{"statusCode":200}`)}),
		on("open", "/open", map[string]*catalog.Method{"ANY": proxy(catalog.Method{})}),
		on("keyed", "/keyed", map[string]*catalog.Method{"POST": proxy(catalog.Method{APIKeyRequired: true})}),
		on("items", "/items/{id}", map[string]*catalog.Method{"GET": proxy(catalog.Method{})}),
		on("files", "/files/{path+}", map[string]*catalog.Method{"ANY": proxy(catalog.Method{})}),
		on("slow", "/slow", map[string]*catalog.Method{"GET": slow}),
		on("badmock", "/badmock", map[string]*catalog.Method{"GET": mockOf(`{}`)}),
		on("notpost", "/notpost", map[string]*catalog.Method{"GET": get}),
		on("judged", "/judged", map[string]*catalog.Method{"GET": judged}),
		on("judged2", "/judged/{path}", map[string]*catalog.Method{"GET": judged}),
		on("bare", "/bare", map[string]*catalog.Method{"GET": {AuthorizationType: catalog.AuthorizationNone}}),
	}
}

// publish puts the API's stage "prod" live.
func (r *rig) publish(all []catalog.Resource, change func(*catalog.Stage, *catalog.RestAPI)) {
	r.t.Helper()
	st := &catalog.Stage{APIID: "abc123", StageName: "prod", DeploymentID: "dep001"}
	d := &catalog.Deployment{APIID: "abc123", ID: "dep001", Resources: all, API: catalog.RestAPI{
		ID: "abc123", APIKeySource: catalog.KeySourceHeader, EndpointTypes: []string{"REGIONAL"},
	}, Authorizers: []catalog.Authorizer{{
		APIID: "abc123", ID: "auth01", Name: "judge", Type: catalog.AuthorizerToken, IdentitySource: "method.request.header.Auth",
		URI: "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:judge/invocations",
	}}}
	if change != nil {
		change(st, &d.API)
	}
	publish, err := r.gateway.Prepare([]StageChange{{APIID: "abc123", StageName: "prod", Stage: st, Deployment: d}})
	if err != nil {
		r.t.Fatal(err)
	}
	publish()
}

func (r *rig) listen(o ServerOptions) {
	r.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	r.serve(ln, o)
}

// serve puts a server on ln, where the rig's callers go from now on.
func (r *rig) serve(ln net.Listener, o ServerOptions) {
	server := NewServer(r.gateway, o)
	r.server, r.addr = server, ln.Addr().String()
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	r.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			r.t.Errorf("shutdown: %v", err)
		}
		if err := <-served; err != nil {
			r.t.Errorf("serve: %v", err)
		}
	})
}

// dial opens a connection that the test closes.
func (r *rig) dial() net.Conn {
	r.t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.WriteString(c, r.preamble)
	r.t.Cleanup(func() { _ = c.Close() })
	return c
}

// wire sends raw bytes on a connection of its own and returns all that comes
// back until the server closes it or one whole response is there.
func (r *rig) wire(request string) string {
	r.t.Helper()
	c := r.dial()
	if r.server.tls != nil {
		c = r.dialTLS("http/1.1")
	}
	defer c.Close()
	if _, err := io.WriteString(c, request); err != nil {
		r.t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	return readResponse(r.t, bufio.NewReader(c), method)
}

// readResponse returns one response byte for byte.
func readResponse(t testing.TB, br *bufio.Reader, method string) string {
	t.Helper()
	var raw bytes.Buffer
	resp, err := http.ReadResponse(bufio.NewReader(io.TeeReader(&oneByte{br}, &raw)), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("reading the response: %v, after %q", err, raw.String())
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatalf("reading the body: %v", err)
	}
	return raw.String()
}

// oneByte hands out single bytes, so that nothing of the next response is
// taken along.
type oneByte struct{ r io.Reader }

func (o *oneByte) Read(p []byte) (int, error) {
	if len(p) > 1 {
		p = p[:1]
	}
	return o.r.Read(p)
}

// request builds a request; headers are "Name: value" lines.
func request(line, body string, headers ...string) string {
	var b strings.Builder
	b.WriteString(line + " HTTP/1.1\r\n")
	if len(headers) == 0 || !strings.HasPrefix(headers[0], "Host:") {
		b.WriteString("Host: abc123.execute-api.us-east-1.localhost:8080\r\n")
	}
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	if body != "" {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	return b.String() + "\r\n" + body
}

func status(response string) string {
	_, rest, _ := strings.Cut(response, " ")
	code, _, _ := strings.Cut(rest, " ")
	return code
}

func body(response string) string {
	_, b, _ := strings.Cut(response, "\r\n\r\n")
	return b
}

func header(response, name string) string {
	head, _, _ := strings.Cut(response, "\r\n\r\n")
	for line := range strings.SplitSeq(head, "\r\n") {
		if n, v, ok := strings.Cut(line, ": "); ok && n == name {
			return v
		}
	}
	return ""
}

var volatile = []struct {
	pattern *regexp.Regexp
	word    string
}{
	{regexp.MustCompile(`(?m)^Date: .*GMT\r$`), "Date: DATE\r"},
	{regexp.MustCompile(`x-amzn-RequestId: [0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`), "x-amzn-RequestId: UUID"},
	{regexp.MustCompile(`x-amz-apigw-id: [A-Za-z0-9_-]{15}=`), "x-amz-apigw-id: ID="},
	{regexp.MustCompile(`Root=1-[0-9a-f]{8}-[0-9a-f]{24}`), "Root=1-TRACE"},
}

// golden compares request and response with testdata/name.http; -update
// rewrites it. Line ends are written out, so that they are seen.
func golden(t *testing.T, name, request, response string) {
	t.Helper()
	for _, v := range volatile {
		response = v.pattern.ReplaceAllString(response, v.word)
	}
	visible := strings.NewReplacer("\r\n", "\\r\\n\n")
	got := visible.Replace(request) + "\n────\n" + visible.Replace(response) + "\n"
	file := filepath.Join("testdata", name+".http")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs\n got:\n%s\nwant:\n%s", file, got, want)
	}
}
