package gateway

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"weir/internal/gateway/message"
)

// readByEngine reads one request as the server would, without a connection.
func readByEngine(s *Server, ctx *fasthttp.RequestCtx, raw []byte) bool {
	br := bufio.NewReaderSize(bytes.NewReader(raw), maxURL+maxHeader+64)
	h := &ctx.Request.Header
	h.DisableNormalizing()
	if h.Read(br) != nil {
		return false
	}
	limit := maxBody
	if c := s.headerReceived(h); c.MaxRequestBodySize > 0 {
		limit = c.MaxRequestBodySize
	}
	return ctx.Request.ContinueReadBody(br, limit, false) == nil
}

// FuzzAccept sends whole requests: what we accept, net/http accepts too, with
// the same verb, target, header lines and body. Two readers that disagree are
// how requests are smuggled.
func FuzzAccept(f *testing.F) {
	for _, seed := range []string{
		"GET /prod/x?a=b HTTP/1.1\r\nHost: abc.execute-api.x.y\r\nA: b\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nhi\r\n0\r\nT: x\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
		"GET http://h/p HTTP/1.1\r\nHost: x\r\nA:b\r\n c\r\n\r\n",
		"GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\nHost: x\n\n", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
		"PUT /%zz HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\ncontent-length: 1\r\n\r\n1",
	} {
		f.Add([]byte(seed))
	}
	s := NewServer(New(Options{}), ServerOptions{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		var ctx fasthttp.RequestCtx
		if !readByEngine(s, &ctx, raw) {
			return
		}
		var req message.Request
		if accept(&ctx, &req, maxBody) != nil {
			return
		}
		// The engine skips empty lines before a request, as RFC 9112 asks.
		std, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(bytes.TrimLeft(raw, "\r\n"))))
		if err != nil {
			if strings.Contains(err.Error(), "parse") || strings.Contains(err.Error(), "malformed Host") {
				return // net/http decodes targets, we pass them on as sent
			}
			t.Fatalf("%q: accepted, but net/http says %v", raw, err)
		}
		body, err := io.ReadAll(std.Body)
		if err != nil {
			t.Fatalf("%q: net/http cannot read the body: %v", raw, err)
		}
		if !bytes.Equal(body, req.Body) {
			t.Fatalf("%q: body %q, net/http %q", raw, req.Body, body)
		}
		if view(ctx.Request.Header.Method()) != std.Method || view(ctx.Request.Header.RequestURI()) != std.RequestURI {
			t.Fatalf("%q: %s %s, net/http %s %s", raw, req.Method, ctx.Request.Header.RequestURI(), std.Method, std.RequestURI)
		}
		for name, values := range std.Header {
			n := 0
			for _, field := range req.Header {
				if http.CanonicalHeaderKey(field.Name) == name {
					if n >= len(values) || field.Value != values[n] {
						t.Fatalf("%q: header %s: %q, net/http %q", raw, name, field.Value, values)
					}
					n++
				}
			}
			if n != len(values) && name != "Host" {
				t.Fatalf("%q: header %s %d times, net/http %d", raw, name, n, len(values))
			}
		}
	})
}

func TestFramingOf(t *testing.T) {
	for _, c := range []struct {
		raw       string
		length    int
		ambiguous bool
	}{
		{"Host: x\r\n\r\n", -1, false},
		{"content-LENGTH:  12 \r\n\r\n", 12, false},
		{"Content-Length: 1\r\nContent-Length: 1\r\n\r\n", 1, true},
		{"Content-Length: 99999999999999999999999\r\n\r\n", 0, true},
		{"Content-Length: 1, 1\r\n\r\n", 0, true},
		{"Content-Length:\r\ntransfer-encoding: chunked\r\n\r\n", 0, true},
		{"Transfer-Encoding: CHUNKED\r\n\r\n", -1, false},
		{"Transfer-Encoding: chunked, identity\r\n\r\n", -1, true},
		{"X-Content-Length: 5\r\nContent-Lengthy: 5\r\n\r\n", -1, false},
	} {
		f := framingOf([]byte(c.raw))
		if f.ambiguous() != c.ambiguous || !c.ambiguous && f.length != c.length {
			t.Errorf("%q: %+v, want length %d, ambiguous %v", c.raw, f, c.length, c.ambiguous)
		}
	}
}
