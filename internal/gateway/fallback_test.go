package gateway

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// seen is what a fallback handler was given.
type seen struct {
	mu       sync.Mutex
	requests []*http.Request
	bodies   []string
}

func (s *seen) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	text, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	s.requests, s.bodies = append(s.requests, r), append(s.bodies, string(text))
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("x-amzn-RequestId", "mine")
	w.WriteHeader(http.StatusCreated)
	_, _ = fmt.Fprintf(w, `{"path":%q}`, r.URL.Path)
}

func TestFallbackGetsWhatIsNoCall(t *testing.T) {
	control := &seen{}
	r := newRig(t, ServerOptions{Fallback: control})
	sent := request("PUT /restapis/abc123/resources/r1?a=%2F&b", "{}", "Host: localhost:4566", "authorization: AWS4-HMAC-SHA256 x", "X-Amz-Date: d", "X-Many: 1", "X-Many: 2", "cookie: b=1; a=2")
	got := r.wire(sent)
	if status(got) != "201" || body(got) != `{"path":"/restapis/abc123/resources/r1"}` || header(got, "Server") != "" {
		t.Errorf("got %q", got)
	}
	// The engine's memory is used again: what the handler kept must not change.
	for range 20 {
		r.wire(request("GET /overwritten/overwritten/overwritten?overwritten", strings.Repeat("o", 500), "Host: overwritten", "authorization: overwritten", "X-Amz-Date: o"))
	}
	req := control.requests[0]
	if req.Method != "PUT" || req.RequestURI != "/restapis/abc123/resources/r1?a=%2F&b" || req.URL.RawQuery != "a=%2F&b" || req.Host != "localhost:4566" || control.bodies[0] != "{}" {
		t.Errorf("request %+v, body %q", req, control.bodies[0])
	}
	for name, want := range map[string]string{"Authorization": "[AWS4-HMAC-SHA256 x]", "X-Amz-Date": "[d]", "X-Many": "[1 2]", "Cookie": "[b=1; a=2]", "Content-Length": "[2]"} {
		if got := fmt.Sprint(req.Header[name]); got != want {
			t.Errorf("header %s: %s, want %s", name, got, want)
		}
	}
	if !strings.HasPrefix(req.RemoteAddr, "127.0.0.1:") {
		t.Errorf("RemoteAddr %q", req.RemoteAddr)
	}
	if len(r.records) != 0 {
		t.Errorf("recorded %d requests that are no calls", len(r.records))
	}
}

func TestFallbackLeavesCallsToTheGateway(t *testing.T) {
	control := &seen{}
	r := newRig(t, ServerOptions{Fallback: control})
	for _, call := range []string{
		request("GET /prod", ""),
		request("GET /restapis/abc123/prod/_user_request_", "", "Host: localhost:4566"),
		request("GET /_aws/execute-api/abc123/prod/", "", "Host: localhost:4566"),
	} {
		if got := r.wire(call); body(got) != `{"ok":true}` {
			t.Errorf("%q: got %q", call, got)
		}
	}
	if got := r.wire(request("GET /_aws/execute-api/zzz/prod/", "", "Host: localhost:4566")); status(got) != "403" {
		t.Errorf("unknown API: got %q", got)
	}
	if len(control.requests) != 0 {
		t.Errorf("the fallback got %d calls", len(control.requests))
	}
}

func TestFallbackPathIsRaw(t *testing.T) {
	control := &seen{}
	r := newRig(t, ServerOptions{Fallback: control})
	for _, path := range []string{"/restapis/a%2Fb/x%20y", "/a//b/../c", "/tags/arn%3Aaws%3Aapigateway%3A%3A%2Frestapis%2Fx"} {
		r.wire(request("GET "+path, "", "Host: localhost"))
		req := control.requests[len(control.requests)-1]
		if req.RequestURI != path || req.URL.EscapedPath() != path {
			t.Errorf("%s arrived as %s, %s", path, req.RequestURI, req.URL.EscapedPath())
		}
	}
	if got := r.wire(request("GET /%zz", "", "Host: localhost")); status(got) != "400" {
		t.Errorf("a malformed path: got %q", got)
	}
}

func TestFallbackBodies(t *testing.T) {
	control := &seen{}
	r := newRig(t, ServerOptions{Fallback: control, FallbackMaxBody: maxBody + 100})
	large := bytes.Repeat([]byte("z"), maxBody+100)
	post := func(path string, body []byte) int {
		resp, err := http.Post("http://"+r.addr+path, "application/zip", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode
	}
	defer http.DefaultClient.CloseIdleConnections()
	if got := post("/functions", large); got != 201 || control.bodies[0] != string(large) {
		t.Errorf("status %d", got)
	}
	if got := post("/functions", append(large, 'z')); got != 413 {
		t.Errorf("over the fallback's limit: status %d", got)
	}
	if got := post("/_aws/execute-api/abc123/prod/open", large); got != 413 {
		t.Errorf("a caller's body over the gateway's limit: status %d", got)
	}
}

// TestStrangersBodiesAreNotRead: whom Knows does not know is answered before a
// large body has come.
func TestStrangersBodiesAreNotRead(t *testing.T) {
	control := &seen{}
	options := ServerOptions{Fallback: control, Knows: func(r *http.Request) bool {
		return r.Header.Get("Authorization") == "known" && r.Host == "localhost" && r.RequestURI == "/functions?a=b"
	}}
	r := newRig(t, options)
	post := func(more ...string) string {
		return request("POST /functions?a=b", "", append([]string{"Host: localhost"}, more...)...)
	}
	for _, sent := range []string{
		post("Content-Length: 65537"), post("Content-Length: 65537", "authorization: guess"),
		post("Transfer-Encoding: chunked"), post("Expect: 100-continue", "Content-Length: 65537"),
	} {
		c := r.dial()
		if !strings.Contains(sent, "chunked") {
			sent += strings.Repeat("z", 8<<10) // which the engine reads with the head
		}
		if _, err := io.WriteString(c, sent); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(c) // the rest never comes, and the connection ends
		text := strings.TrimPrefix(string(got), "HTTP/1.1 100 Continue\r\n\r\n")
		if err != nil || status(text) != "201" || header(text, "Connection") != "close" || control.bodies[len(control.bodies)-1] != "" {
			t.Errorf("%.80q: got %q, %v", sent, got, err)
		}
	}
	large := strings.Repeat("z", smallBody+1)
	for _, sent := range []string{
		request("POST /functions?a=b", large, "Host: localhost", "Authorization: known"),
		request("POST /functions?a=b", large[:smallBody], "Host: localhost"),
	} {
		if got := r.wire(sent); status(got) != "201" || !strings.HasSuffix(sent, "\r\n\r\n"+control.bodies[len(control.bodies)-1]) {
			t.Errorf("got %q", got)
		}
	}
	options.Certificate = certificate(t)
	c := newRig(t, options).dialHTTP2()
	before := len(control.bodies)
	c.head(request("POST /functions?a=b", "", "Host: localhost", "Content-Length: 65537"), false)
	if got := c.answer(); got.status != "201" || control.bodies[before] != "" {
		t.Errorf("HTTP/2: got %+v", got)
	}
}

// TestFallbackStreams: what a handler flushes arrives while it goes on, and an
// answer that it gives up is cut off, so that nobody takes it for whole.
func TestFallbackStreams(t *testing.T) {
	arrived := make(chan struct{})
	r := newRig(t, ServerOptions{Fallback: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, "first")
		_ = http.NewResponseController(w).Flush()
		<-arrived
		_, _ = io.WriteString(w, "second")
		if req.URL.Path == "/abort" {
			panic(http.ErrAbortHandler)
		}
	})})
	defer http.DefaultClient.CloseIdleConnections()
	for _, path := range []string{"/whole", "/abort"} {
		res, err := http.Get("http://" + r.addr + path)
		if err != nil {
			t.Fatal(err)
		}
		first := make([]byte, len("first"))
		if _, err := io.ReadFull(res.Body, first); err != nil || string(first) != "first" {
			t.Errorf("%s: %q, %v", path, first, err)
		}
		arrived <- struct{}{}
		rest, err := io.ReadAll(res.Body)
		if string(rest) != "second" || (err != nil) != (path == "/abort") {
			t.Errorf("%s ended with %q, %v", path, rest, err)
		}
		res.Body.Close()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if strings.Contains(r.logged.String(), "panic") {
		t.Errorf("giving up was logged as a fault: %s", r.logged.String())
	}
}
