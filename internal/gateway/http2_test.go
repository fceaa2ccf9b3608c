package gateway

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"weir/internal/invocation"

	"golang.org/x/net/http2"
)

// TestHTTP2RefusesAsHTTP1 runs the whole table of refusals over both.
func TestHTTP2RefusesAsHTTP1(t *testing.T) {
	for _, c := range refusals() {
		t.Run(c.name, func(t *testing.T) {
			ask := func(o ServerOptions, ask func(*rig) http2Response) (http2Response, string) {
				r := newRig(t, o)
				if c.before != nil {
					c.before(r)
				}
				if ask == nil {
					return http2Response{}, r.wire(c.request)
				}
				got := ask(r)
				if rec := r.lastRecord(); rec.Verdict != c.verdict || rec.Reason != c.reason || rec.Detail == "" {
					t.Errorf("record says %q %q %q, want %q %q", rec.Verdict, rec.Reason, rec.Detail, c.verdict, c.reason)
				}
				return got, ""
			}
			_, want := ask(ServerOptions{}, nil)
			got, _ := ask(ServerOptions{Certificate: certificate(t)}, func(r *rig) http2Response { return r.dialHTTP2().ask(c.request) })
			got.same(t, want)
		})
	}
}

// TestHTTP2FramingAsHTTP1: what is refused before it is a request.
func TestHTTP2FramingAsHTTP1(t *testing.T) {
	long := strings.Repeat("x", 11_000)
	for name, raw := range map[string]string{
		"body-declared-too-large": request("POST /prod/open", "", "Content-Length: 10485761"),
		"two-content-lengths":     request("POST /prod/open", "", "Content-Length: 1", "Content-Length: 1"),
		"bad-content-length":      request("POST /prod/open", "", "Content-Length: +1"),
		"header-too-large":        request("GET /prod/open", "", "A: "+long),
		"headers-far-too-large":   request("GET /prod/open", "", "A: "+long, "B: "+long),
		"url-too-long":            request("GET /prod/"+long, ""),
	} {
		t.Run(name, func(t *testing.T) {
			plain := newRig(t, ServerOptions{})
			conn := plain.dial()
			if _, err := conn.Write([]byte(raw)); err != nil {
				t.Fatal(err)
			}
			r := newRig(t, ServerOptions{Certificate: certificate(t)})
			c := r.dialHTTP2()
			head, _, _ := strings.Cut(raw, "\r\n\r\n")
			c.head(head, strings.HasPrefix(raw, "GET")) // a body is due, and none is sent
			c.answer().same(t, readAll(t, conn))
			if len(r.invoker.events) != 0 {
				t.Error("a function was asked")
			}
			if got := c.ask(request("GET /prod", "")); got.status != "200" {
				t.Errorf("the next stream: %+v", got)
			}
		})
	}
}

// TestHTTP2WhatTheLibraryRefuses: these never reach the line, and the
// connection or the stream ends.
func TestHTTP2WhatTheLibraryRefuses(t *testing.T) {
	r := newRig(t, ServerOptions{Certificate: certificate(t)})
	for _, c := range []struct {
		name, raw, status string
		reset             http2.ErrCode
	}{
		{"a path that is none", request("GET prod", ""), "", http2.ErrCodeProtocol},
		{"bad escaping in a path", request("GET /prod/%zz", ""), "", http2.ErrCodeProtocol},
		{"a connection header", request("GET /prod", "", "Connection: close"), "400", 0},
		{"a transfer encoding", request("GET /prod", "", "Transfer-Encoding: chunked"), "400", 0},
		{"a NUL in a value", request("GET /prod", "", "A: \x00"), "", http2.ErrCodeProtocol},
		{"70 headers of 1,000 bytes", request("GET /prod", "", strings.Split(strings.TrimSuffix(strings.Repeat("A: "+strings.Repeat("x", 1000)+"\n", 70), "\n"), "\n")...), "431", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := r.dialHTTP2().ask(c.raw)
			if got.status != c.status || got.status == "" && got.reset != c.reset {
				t.Errorf("got %+v", got)
			}
		})
	}
	if got := r.dialHTTP2().ask(request("GET /prod", "")); got.status != "200" || len(r.invoker.events) != 0 {
		t.Errorf("after them: %+v, events %q", got, r.invoker.events)
	}
}

func TestHTTP2EventIsAsOnAWS(t *testing.T) {
	r := newRig(t, ServerOptions{Certificate: certificate(t)})
	c := r.dialHTTP2()
	got := c.ask(request("POST /prod/items/a%2Fb%20c?Q=1&x=%7B", "", "x-http-method-override: GET", "X-Test: One", "X-Test: two", "cookie: a=1", "cookie: b=2", "user-agent: me"))
	if got.status != "200" || got.body != "hello" {
		t.Fatalf("got %+v", got)
	}
	e := r.event()
	_, port, _ := net.SplitHostPort(r.addr)
	for name, want := range map[string]string{
		"x-test": "One|two", "cookie": "a=1; b=2", "User-Agent": "me", "Host": "abc123.execute-api.us-east-1.localhost:8080",
		"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "https", "X-Forwarded-Port": port,
	} {
		if e.header(name) != want {
			t.Errorf("header %s: %q, want %q", name, e.header(name), want)
		}
	}
	if e.Path != "/items/a%2Fb%20c" || e.RequestContext.Protocol != "HTTP/2.0" || e.RequestContext.Identity.SourceIP != "127.0.0.1" {
		t.Errorf("event %+v", e)
	}
}

// client2 is net/http's HTTP/2 client.
func client2(t testing.TB) *http.Client {
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func TestHTTP2LargeBodies(t *testing.T) {
	r := newRig(t, ServerOptions{Certificate: certificate(t)})
	client := client2(t)
	for _, c := range []struct {
		name   string
		size   int
		length int64
		want   int
	}{
		{"declared, the limit", maxBody, maxBody, 200},
		{"declared, one more", maxBody + 1, maxBody + 1, 413},
		{"not declared, the limit", maxBody, -1, 200},
		{"not declared, one more", maxBody + 1, -1, 413},
		{"more than is not counted", firstBody + 1, -1, 200},
	} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+r.addr+"/_aws/execute-api/abc123/prod", io.LimitReader(zeros{}, int64(c.size)))
		if err != nil {
			t.Fatal(err)
		}
		req.ContentLength = c.length
		resp, err := client.Do(req)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		text, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != c.want || resp.ProtoMajor != 2 || c.want == 413 && string(text) != "HTTP content length exceeded 10485760 bytes." {
			t.Errorf("%s: %s %d %q", c.name, resp.Proto, resp.StatusCode, text)
		}
		if c.want == 200 && r.lastRecord().RequestSize != c.size {
			t.Errorf("%s: recorded %d bytes", c.name, r.lastRecord().RequestSize)
		}
	}
}

// TestHTTP2BodyThatNeverBegins: a head that announces a body and ends the
// request is cut short, as on HTTP/1.1.
func TestHTTP2BodyThatNeverBegins(t *testing.T) {
	r := newRig(t, ServerOptions{Certificate: certificate(t)})
	c := r.dialHTTP2()
	c.head(request("POST /prod/open", "", "Content-Length: 5"), true)
	if got := c.answer(); got.status != "400" || got.body != incomplete.body || len(r.invoker.events) != 0 {
		t.Errorf("got %+v", got)
	}
	if rec := r.lastRecord(); rec.Reason != reasonIncomplete {
		t.Errorf("record %+v", rec)
	}
}

// TestHTTP2ManyLargeBodies: bodies that together are far more than may be on the
// way on one connection all arrive, whatever their order.
func TestHTTP2ManyLargeBodies(t *testing.T) {
	r := newRig(t, ServerOptions{Certificate: certificate(t)})
	client := client2(t)
	url := "https://" + r.addr + "/_aws/execute-api/abc123/prod/open"
	first, err := client.Post(url, "", nil) // the calls after it share its connection
	if err != nil {
		t.Fatal(err)
	}
	_ = first.Body.Close()
	const calls = 32
	answers := make(chan string, calls)
	for range calls {
		go func() {
			resp, err := client.Post(url, "", io.LimitReader(zeros{}, 4*maxWindow))
			if err != nil {
				answers <- err.Error()
				return
			}
			_ = resp.Body.Close()
			answers <- resp.Status
		}()
	}
	for range calls {
		if got := <-answers; got != "200 OK" {
			t.Errorf("got %q", got)
		}
	}
	if used := r.server.bodies.used.Load(); used != 0 {
		t.Errorf("%d bytes are still counted", used)
	}
}

// TestHTTP2BodyMemoryIsBounded: the streams of one connection share what the
// bodies of all requests may take, small bodies as well.
func TestHTTP2BodyMemoryIsBounded(t *testing.T) {
	r := newRig(t, ServerOptions{Certificate: certificate(t), MaxBodyMemory: 300_000})
	entered, release := make(chan struct{}), make(chan struct{})
	r.invoker.does(func(context.Context, *invocation.Invocation) (*invocation.Result, error) {
		entered <- struct{}{}
		<-release
		return &invocation.Result{Payload: []byte(`{}`)}, nil
	})
	client := client2(t)
	post := func(size int) string {
		resp, err := client.Post("https://"+r.addr+"/_aws/execute-api/abc123/prod/open", "", strings.NewReader(strings.Repeat("x", size)))
		if err != nil {
			return err.Error()
		}
		_ = resp.Body.Close()
		return resp.Status
	}
	const held = 5
	answers := make(chan string, held+1)
	for range held {
		go func() { answers <- post(60_000) }()
		<-entered
	}
	if got := post(60_000); got != "503 Service Unavailable" {
		t.Errorf("one more: %s", got)
	}
	if rec := r.lastRecord(); rec.Reason != "OUT_OF_BODY_MEMORY" {
		t.Errorf("record %+v", rec)
	}
	go func() { answers <- post(firstBody) }()
	<-entered
	close(release)
	for range held + 1 {
		if got := <-answers; got != "200 OK" {
			t.Errorf("got %q", got)
		}
	}
}

// TestHTTP2RequestsCountAsConnections: as many requests run as there may be
// connections, on whichever, and a place that is left is given again.
func TestHTTP2RequestsCountAsConnections(t *testing.T) {
	for _, c := range []struct {
		name    string
		options ServerOptions
	}{
		{"in total", ServerOptions{MaxConnections: 3}},
		{"of one address", ServerOptions{MaxConnections: 9, MaxConnectionsPerAddress: 3}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.options.Certificate = certificate(t)
			r := newRig(t, c.options)
			entered, release := make(chan struct{}), make(chan struct{})
			r.invoker.does(func(context.Context, *invocation.Invocation) (*invocation.Result, error) {
				entered <- struct{}{}
				<-release
				return &invocation.Result{Payload: []byte(`{}`)}, nil
			})
			one, other := client2(t), client2(t)
			get := func(client *http.Client) string {
				resp, err := client.Get("https://" + r.addr + "/_aws/execute-api/abc123/prod/open")
				if err != nil {
					return err.Error()
				}
				_ = resp.Body.Close()
				return resp.Status
			}
			answers := make(chan string, 3)
			ask := func(client *http.Client) {
				go func() { answers <- get(client) }()
				<-entered
			}
			ask(one)
			ask(one)
			ask(other)
			if got := get(one); got != "503 Service Unavailable" {
				t.Errorf("one more: %s", got)
			}
			if rec := r.lastRecord(); rec.Reason != "TOO_MANY_CONNECTIONS" {
				t.Errorf("record %+v", rec)
			}
			release <- struct{}{}
			if got := <-answers; got != "200 OK" {
				t.Errorf("got %s", got)
			}
			ask(other)
			close(release)
			for range 3 {
				if got := <-answers; got != "200 OK" {
					t.Errorf("got %s", got)
				}
			}
		})
	}
}

// TestHTTP2SlowCallersAreCutOff: a head that comes byte by byte ends the
// connection, a body its stream.
func TestHTTP2SlowCallersAreCutOff(t *testing.T) {
	options := func(t *testing.T) ServerOptions {
		t.Parallel()
		return ServerOptions{Certificate: certificate(t), HeaderTimeout: time.Second, BodyTimeout: time.Second}
	}
	slowly := func(c net.Conn, text []byte) {
		for i := range text {
			if _, err := c.Write(text[i : i+1]); err != nil {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	t.Run("preface", func(t *testing.T) {
		r := newRig(t, options(t))
		conn := r.dialTLS("h2")
		go slowly(conn, []byte(preface[:len(preface)-1]))
		if _, err := io.ReadAll(conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error("the connection did not end")
		}
	})
	t.Run("head", func(t *testing.T) {
		r := newRig(t, options(t))
		c := r.dialHTTP2()
		if got := c.ask(request("GET /prod/open", "")); got.status != "200" {
			t.Fatalf("got %+v", got)
		}
		var wire bytes.Buffer
		in := c.framer
		c.framer = http2.NewFramer(&wire, nil)
		c.head(request("GET /prod/open", "", "A: "+strings.Repeat("0123456789", 10)), true)
		c.framer = in
		go slowly(c.conn, wire.Bytes())
		if got, err := c.read(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) || len(r.invoker.events) != 1 {
			t.Errorf("got %+v, %v", got, err)
		}
	})
	t.Run("head in many frames", func(t *testing.T) {
		r := newRig(t, options(t))
		c := r.dialHTTP2()
		if got := c.ask(request("GET /prod", "")); got.status != "200" { // and the settings are exchanged
			t.Fatalf("got %+v", got)
		}
		block := []byte{0x82, 0x84, 0x87, 0x40, 0x01, 'a', 0x7f, 0x80, 0x01} // GET, /, https, and "a" with 255 bytes
		block = append(block, bytes.Repeat([]byte("x"), 255)...)
		out := http2.NewFramer(c.conn, nil)
		go func() {
			_ = out.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: block[:1], EndStream: true})
			for i := 1; i < len(block) && out.WriteContinuation(3, false, block[i:i+1]) == nil; i++ {
				time.Sleep(50 * time.Millisecond)
			}
		}()
		if got, err := c.read(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, new(goneAway)) {
			t.Errorf("got %+v, %v", got, err)
		}
	})
	t.Run("body", func(t *testing.T) {
		r := newRig(t, options(t))
		c := r.dialHTTP2()
		c.head(request("POST /prod/open", "", "Content-Length: 1000"), false)
		out, stream := http2.NewFramer(c.conn, nil), c.stream
		go func() {
			for out.WriteData(stream, false, []byte("x")) == nil {
				time.Sleep(10 * time.Millisecond)
			}
		}()
		if got := c.answer(); got.status != "408" || got.body != "" || len(r.invoker.events) != 0 {
			t.Errorf("got %+v", got)
		}
		if rec := r.lastRecord(); rec.Status != 408 || rec.Reason != reasonTimeout {
			t.Errorf("record %+v", rec)
		}
	})
	t.Run("idle", func(t *testing.T) {
		o := options(t)
		o.IdleTimeout = time.Second
		c := newRig(t, o).dialHTTP2()
		if got := c.ask(request("GET /prod", "")); got.status != "200" {
			t.Fatalf("got %+v", got)
		}
		if _, err := c.read(); !errors.Is(err, goneAway{http2.ErrCodeNo}) {
			t.Errorf("got %v", err)
		}
	})
}

// TestHTTP2SlowReadersAreCutOff: a client that gives no room for the answer.
func TestHTTP2SlowReadersAreCutOff(t *testing.T) {
	r := newRig(t, ServerOptions{Certificate: certificate(t), WriteTimeout: time.Second})
	r.invoker.returns(`{"body":"` + strings.Repeat("x", 1<<20) + `"}`)
	c := r.dialHTTP2()
	got := c.ask(request("GET /prod/open", ""))
	if got.status != "200" || got.reset != http2.ErrCodeInternal || len(got.body) != 65_535 {
		t.Errorf("got %s, %d bytes, %s", got.status, len(got.body), got.reset)
	}
}

func TestHTTP2BoundsStreams(t *testing.T) {
	for _, c := range []struct {
		name    string
		options ServerOptions
		most    int
	}{
		{"without caps", ServerOptions{}, maxStreams},
		{"with a cap below", ServerOptions{MaxConnections: 9, MaxConnectionsPerAddress: 3}, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.options.Certificate = certificate(t)
			r := newRig(t, c.options)
			release := make(chan struct{})
			defer close(release)
			r.invoker.does(func(context.Context, *invocation.Invocation) (*invocation.Result, error) {
				<-release
				return &invocation.Result{Payload: []byte(`{}`)}, nil
			})
			client := r.dialHTTP2()
			for range c.most {
				client.head(request("GET /prod/open", ""), true)
			}
			if got := client.ask(request("GET /prod/open", "")); got.status != "" || got.reset == 0 {
				t.Errorf("stream %d: %+v", c.most+1, got)
			}
		})
	}
}

func TestHTTP2ShutdownDrains(t *testing.T) {
	r := newRig(t, ServerOptions{Certificate: certificate(t)})
	entered, release := make(chan struct{}), make(chan struct{})
	r.invoker.does(func(context.Context, *invocation.Invocation) (*invocation.Result, error) {
		close(entered)
		<-release
		return &invocation.Result{Payload: []byte(`{"body":"late"}`)}, nil
	})
	idle := r.dialHTTP2()
	idle.ask(request("GET /prod", ""))
	c := r.dialHTTP2()
	c.head(request("GET /prod/open", ""), true)
	<-entered
	down := make(chan error, 1)
	go func() { down <- r.server.Shutdown(context.Background()) }()
	if _, err := idle.read(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("idle connection: %v", err)
	}
	if _, err := c.read(); !errors.Is(err, goneAway{http2.ErrCodeNo}) {
		t.Errorf("the connection in use was not told to end: %v", err)
	}
	close(release)
	if got := c.answer(); got.status != "200" || got.body != "late" {
		t.Errorf("request in flight: %+v", got)
	}
	if err := <-down; err != nil {
		t.Error(err)
	}
}

func TestHTTP2ShutdownCutsOffWhatDoesNotEnd(t *testing.T) {
	r := newRig(t, ServerOptions{Certificate: certificate(t)})
	entered := make(chan struct{})
	r.invoker.does(func(ctx context.Context, _ *invocation.Invocation) (*invocation.Result, error) {
		close(entered)
		<-ctx.Done()
		return nil, ctx.Err()
	})
	c := r.dialHTTP2()
	c.head(request("GET /prod/open", ""), true)
	<-entered
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := r.server.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("shutdown: %v", err)
	}
}

func TestHTTP2Fallback(t *testing.T) {
	control := &seen{}
	r := newRig(t, ServerOptions{Certificate: certificate(t), Fallback: control, FallbackMaxBody: maxBody + 100})
	c := r.dialHTTP2()
	got := c.ask(request("PUT /restapis/abc%2F123?a=%2F&b", "{}", "Host: localhost:4566", "authorization: AWS4-HMAC-SHA256 x"))
	if got.status != "201" || got.body != `{"path":"/restapis/abc/123"}` || got.headers["x-amzn-requestid"] != "mine" {
		t.Errorf("got %+v", got)
	}
	req := control.requests[0]
	if req.Method != "PUT" || req.RequestURI != "/restapis/abc%2F123?a=%2F&b" || req.Host != "localhost:4566" || control.bodies[0] != "{}" || req.Header.Get("Authorization") != "AWS4-HMAC-SHA256 x" {
		t.Errorf("request %+v, body %q", req, control.bodies[0])
	}
	if got := c.ask(request("GET /prod", "")); got.body != `{"ok":true}` || len(control.requests) != 1 {
		t.Errorf("a call: %+v", got)
	}
	for size, want := range map[int]int{maxBody + 100: 201, maxBody + 101: 413} {
		resp, err := client2(t).Post("https://"+r.addr+"/functions", "application/zip", bytes.NewReader(make([]byte, size)))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%d bytes: status %d, want %d", size, resp.StatusCode, want)
		}
	}
}

func TestHTTP2FallbackPanics(t *testing.T) {
	r := newRig(t, ServerOptions{Certificate: certificate(t), Fallback: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/begun" {
			_, _ = io.WriteString(w, "begun")
			_ = http.NewResponseController(w).Flush()
		}
		panic("fallback boom")
	})})
	c := r.dialHTTP2()
	if got := c.ask(request("GET /", "", "Host: localhost")); got.status != "500" || got.body != string(bodies[default5XX]) {
		t.Errorf("before it answered: %+v", got)
	}
	if got := c.ask(request("GET /begun", "", "Host: localhost")); got.body != "begun" || got.reset != http2.ErrCodeInternal {
		t.Errorf("after it began: %+v", got)
	}
	if log := r.log(); strings.Count(log, "fallback boom") != 2 || strings.Count(log, "\n") != 2 {
		t.Errorf("logged %q", log)
	}
}

// FuzzHeadTimer: however the bytes of a connection are cut, it knows where the
// frames are.
func FuzzHeadTimer(f *testing.F) {
	f.Add([]byte(preface+"\x00\x00\x00\x04\x00\x00\x00\x00\x00"), uint8(3))
	f.Add([]byte(preface+"\x00\x00\x02\x01\x00\x00\x00\x00\x01ab\x00\x00\x01\x09\x04\x00\x00\x00\x01c\x00\x00\x03\x00\x01"), uint8(1))
	f.Fuzz(func(t *testing.T, all []byte, size uint8) {
		whole, cut := headTimer{preface: len(preface)}, headTimer{preface: len(preface)}
		whole.follow(all)
		for rest := all; len(rest) > 0; {
			n := min(len(rest), int(size)+1)
			cut.follow(rest[:n])
			rest = rest[n:]
		}
		if whole.preface != cut.preface || whole.left != cut.left || whole.data != cut.data || whole.block != cut.block || !bytes.Equal(whole.head, cut.head) {
			t.Errorf("whole %+v, cut %+v", &whole, &cut)
		}
	})
}
