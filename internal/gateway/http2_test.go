package gateway

import (
	"strings"
	"testing"

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
		{"200 headers of 1,000 bytes", request("GET /prod", "", strings.Split(strings.TrimSuffix(strings.Repeat("A: "+strings.Repeat("x", 1000)+"\n", 70), "\n"), "\n")...), "431", 0},
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
