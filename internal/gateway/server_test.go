package gateway

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"weir/internal/invocation"
	"weir/internal/telemetry"
)

// readAll reads until the server closes, which it has to.
func readAll(t testing.TB, c net.Conn) string {
	t.Helper()
	all, err := io.ReadAll(c)
	if err != nil {
		t.Fatalf("the server did not close: %v, after %q", err, all)
	}
	return string(all)
}

func TestAnswersOnTheWire(t *testing.T) {
	for _, c := range []struct{ name, payload, request string }{
		{"mock", "", request("GET /prod", "")},
		{"proxy", `{"statusCode":201,"headers":{"X-CaSe":"Kept","set-cookie":"a=1"},"multiValueHeaders":{"Set-Cookie":["b=2"]},"body":"hello"}`, request("GET /prod/open", "")},
		{"proxy-head", `{"statusCode":200,"body":"hello"}`, request("HEAD /prod/open", "")},
		{"proxy-no-content", `{"statusCode":204}`, request("DELETE /prod/open", "")},
		{"http-1.0", `{"statusCode":200,"body":"hello"}`, "GET /_aws/execute-api/abc123/prod/open HTTP/1.0\r\n\r\n"},
		{"absolute-form", `{"statusCode":200,"body":"hello"}`, "GET http://abc123.execute-api.x.y/prod/open?q=1 HTTP/1.1\r\nHost: ABC123.execute-api.x.y\r\n\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, ServerOptions{})
			r.invoker.returns(c.payload)
			golden(t, "answer-"+c.name, c.request, r.wire(c.request))
			if rec := r.lastRecord(); rec.Verdict != telemetry.Admitted || rec.Reason != "" {
				t.Errorf("record says %q %q", rec.Verdict, rec.Reason)
			}
		})
	}
}

func TestEveryFormReachesTheStage(t *testing.T) {
	r := newRig(t, ServerOptions{})
	for _, req := range []string{
		request("GET /prod/items/7", ""),
		request("GET /prod/items/7/", "", "Host: ABC123.EXECUTE-API.eu-west-1.amazonaws.com"),
		request("GET /restapis/abc123/prod/_user_request_/items/7", "", "Host: localhost:4566"),
		request("GET /_aws/execute-api/abc123/prod/items/7", "", "Host: localhost:4566"),
	} {
		if got := r.wire(req); status(got) != "200" || body(got) != "hello" {
			t.Errorf("%q: got %q", req, got)
		}
		var event struct {
			PathParameters map[string]string
			RequestContext struct{ Path, Stage, ResourcePath string }
		}
		if err := json.Unmarshal([]byte(r.invoker.lastEvent()), &event); err != nil {
			t.Fatal(err)
		}
		if event.PathParameters["id"] != "7" || !strings.HasPrefix(event.RequestContext.Path, "/prod/items/7") || event.RequestContext.ResourcePath != "/items/{id}" {
			t.Errorf("%q: event %+v", req, event)
		}
		if rec := r.lastRecord(); rec.APIID != "abc123" || rec.Stage != "prod" || rec.ResourcePath != "/items/{id}" || rec.SourceIP.String() != "127.0.0.1" || rec.Status != 200 || rec.ResponseSize != 5 {
			t.Errorf("record %+v", rec)
		}
	}
}

// TestRequestArrivesAsSent checks case, order, path and query through a real
// connection.
func TestRequestArrivesAsSent(t *testing.T) {
	r := newRig(t, ServerOptions{})
	r.wire(request("POST /prod/items/a%2Fb%20c?Q=1&Q=%32&x=%7Bé", "", "X-HTTP-Method-Override: GET", "tEsT-HEADeR: aValUE", "tEsT-HEADeR: second", "user-agent: me", "Cookie: b=2; a=1", "cookie: c"))
	var event struct {
		Path, HTTPMethod                string
		MultiValueHeaders               map[string][]string
		MultiValueQueryStringParameters map[string][]string
		PathParameters                  map[string]string
	}
	if err := json.Unmarshal([]byte(r.invoker.lastEvent()), &event); err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(r.addr)
	for name, want := range map[string][]string{
		"tEsT-HEADeR": {"aValUE", "second"}, "User-Agent": {"me"}, "Cookie": {"b=2; a=1", "c"}, "Accept": {"application/json"},
		"Host": {"abc123.execute-api.us-east-1.localhost:8080"}, "X-Forwarded-For": {"127.0.0.1"}, "X-Forwarded-Port": {port}, "X-Forwarded-Proto": {"http"},
	} {
		if got := event.MultiValueHeaders[name]; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("header %s: %q, want %q", name, got, want)
		}
	}
	if event.Path != "/items/a%2Fb%20c" || event.PathParameters["id"] != "a%2Fb%20c" || event.HTTPMethod != "GET" {
		t.Errorf("event %+v", event)
	}
	if fmt.Sprint(event.MultiValueQueryStringParameters) != "map[Q:[1 2] x:[{é]]" {
		t.Errorf("query %v", event.MultiValueQueryStringParameters)
	}
}

// TestMethodOverrideDoesNotDodgeTheKey: the method that runs is the one whose
// key is asked for.
func TestMethodOverrideDoesNotDodgeTheKey(t *testing.T) {
	r := newRig(t, ServerOptions{})
	got := r.wire(request("GET /prod/keyed", "", "X-HTTP-Method-Override: POST"))
	if status(got) != "403" || body(got) != `{"message":"Forbidden"}` {
		t.Errorf("got %q", got)
	}
	if got := r.wire(request("GET /prod/items/1", "", "X-HTTP-Method-Override: nonsense")); status(got) != "200" {
		t.Errorf("an override that is no verb: got %q", got)
	}
}

func TestRequestID(t *testing.T) {
	r := newRig(t, ServerOptions{})
	const own = "6B1C2A80-0000-4000-8000-00000000000f"
	if got := header(r.wire(request("GET /prod", "", "X-Amzn-RequestId: "+own)), "x-amzn-RequestId"); got != own {
		t.Errorf("a caller's UUID: answered %q", got)
	}
	if r.lastRecord().RequestID != own {
		t.Errorf("record %+v", r.lastRecord())
	}
	seen := map[string]bool{}
	for _, sent := range []string{"none", "6b1c2a80-0000-4000-8000-00000000000g", own + "0"} {
		got := header(r.wire(request("GET /prod", "", "x-amzn-RequestId: "+sent)), "x-amzn-RequestId")
		if !isUUID(got) || seen[got] {
			t.Errorf("%q: answered %q", sent, got)
		}
		seen[got] = true
	}
}

func TestKeepAliveAndPipelining(t *testing.T) {
	r := newRig(t, ServerOptions{})
	c := r.dial()
	br := bufio.NewReader(c)
	for i := range 3 {
		if _, err := io.WriteString(c, request(fmt.Sprintf("POST /prod/items/%d", i), "body", "X-HTTP-Method-Override: GET")); err != nil {
			t.Fatal(err)
		}
		if got := readResponse(t, br, "POST"); status(got) != "200" || header(got, "Connection") != "" {
			t.Fatalf("request %d: got %q", i, got)
		}
	}
	pipelined := request("GET /prod", "") + request("GET /prod/nowhere", "") + request("GET /prod/open", "", "Connection: close")
	if _, err := io.WriteString(c, pipelined); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"200", "403", "200"} {
		if got := readResponse(t, br, "GET"); status(got) != want {
			t.Errorf("pipelined %d: got %q, want %s", i, got, want)
		}
	}
	if _, err := br.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("after Connection: close: %v", err)
	}
}

// TestLargeBodies sends them for real: the answer must arrive although the
// caller is still sending. What a function cannot take is refused before it is
// made an event.
func TestLargeBodies(t *testing.T) {
	r := newRig(t, ServerOptions{})
	for _, c := range []struct {
		name   string
		path   string
		size   int64
		length int64 // declared, -1: chunked
		want   int
		text   string
	}{
		{"declared, the limit", "", maxBody, maxBody, 200, `{"ok":true}`},
		{"declared, one more", "", maxBody + 1, maxBody + 1, 413, "HTTP content length exceeded 10485760 bytes."},
		{"chunked, the limit", "", maxBody, -1, 200, `{"ok":true}`},
		{"chunked, one more", "", maxBody + 1, -1, 413, "HTTP content length exceeded 10485760 bytes."},
		{"to a function, its limit", "/open", invocation.MaxPayload, -1, 200, "hello"},
		{"to a function, one more", "/open", invocation.MaxPayload + 1, -1, 413, `{"message":"Request Too Long"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+r.addr+"/_aws/execute-api/abc123/prod"+c.path, io.LimitReader(zeros{}, c.size))
			if err != nil {
				t.Fatal(err)
			}
			req.ContentLength = c.length
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode != c.want || string(text) != c.text {
				t.Errorf("got %d %q, want %d %q", resp.StatusCode, text, c.want, c.text)
			}
			if rec := r.lastRecord(); c.want == 200 && rec.RequestSize != int(c.size) || c.want == 413 && rec.Reason != "REQUEST_TOO_LARGE" {
				t.Errorf("record %+v", rec)
			}
		})
	}
	if n := len(r.invoker.events); n != 1 {
		t.Errorf("the function was asked %d times", n)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestExpectContinueInAnyCase(t *testing.T) {
	r := newRig(t, ServerOptions{})
	for _, name := range []string{"Expect", "expect"} {
		c := r.dial()
		br := bufio.NewReader(c)
		_, _ = io.WriteString(c, request("POST /prod/open", "", name+": 100-continue", "Content-Length: 2"))
		line, err := br.ReadString('\n')
		if err != nil || line != "HTTP/1.1 100 Continue\r\n" {
			t.Fatalf("%s: %q %v", name, line, err)
		}
		_, _ = br.ReadString('\n')
		_, _ = io.WriteString(c, "hi")
		if got := readResponse(t, br, "POST"); status(got) != "200" {
			t.Errorf("%s: got %q", name, got)
		}
		_ = c.Close()
	}
}

func TestDeadlines(t *testing.T) {
	r := newRig(t, ServerOptions{HeaderTimeout: 30 * time.Millisecond, BodyTimeout: 30 * time.Millisecond, IdleTimeout: 30 * time.Millisecond})
	for name, part := range map[string]string{
		"head": "GET /prod/open HTTP/1.1\r\nHost: x",
		"body": request("POST /prod/open", "", "Content-Length: 5") + "abc",
	} {
		c := r.dial()
		_, _ = io.WriteString(c, part)
		if got := readAll(t, c); status(got) != "408" {
			t.Errorf("%s that never ends: got %q", name, got)
		}
	}
	c := r.dial()
	_, _ = io.WriteString(c, request("GET /prod", ""))
	if got := readAll(t, c); status(got) != "200" || strings.Count(got, "HTTP/1.1") != 1 {
		t.Errorf("idle connection: got %q", got)
	}
	if len(r.invoker.events) != 0 {
		t.Error("a function was asked")
	}
}

func TestShutdownDrains(t *testing.T) {
	r := newRig(t, ServerOptions{})
	entered, release := make(chan struct{}), make(chan struct{})
	r.invoker.does(func(context.Context, *invocation.Invocation) (*invocation.Result, error) {
		close(entered)
		<-release
		return &invocation.Result{Payload: []byte(`{"body":"late"}`)}, nil
	})
	idle := r.dial()
	_, _ = io.WriteString(idle, request("GET /prod", ""))
	idleReader := bufio.NewReader(idle)
	readResponse(t, idleReader, "GET")

	busy := r.dial()
	_, _ = io.WriteString(busy, request("GET /prod/open", ""))
	<-entered
	down := make(chan error, 1)
	go func() { down <- r.server.Shutdown(context.Background()) }()
	if _, err := idleReader.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("idle connection: %v", err)
	}
	if _, err := net.Dial("tcp", r.addr); err == nil {
		t.Error("a connection was accepted during shutdown")
	}
	close(release)
	if got := readAll(t, busy); body(got) != "late" || header(got, "Connection") != "close" {
		t.Errorf("request in flight: got %q", got)
	}
	if err := <-down; err != nil {
		t.Error(err)
	}
}

func TestShutdownCutsOffWhatDoesNotEnd(t *testing.T) {
	r := newRig(t, ServerOptions{})
	entered := make(chan struct{})
	r.invoker.does(func(ctx context.Context, _ *invocation.Invocation) (*invocation.Result, error) {
		close(entered)
		<-ctx.Done()
		return nil, ctx.Err()
	})
	busy := r.dial()
	_, _ = io.WriteString(busy, request("GET /prod/open", ""))
	<-entered
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := r.server.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("shutdown: %v", err)
	}
	if all, err := io.ReadAll(busy); err == nil && len(all) > 0 && status(string(all)) != "500" {
		t.Errorf("got %q", all)
	}
}
