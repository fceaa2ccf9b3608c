package gateway

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"weir/internal/invocation"
	"weir/internal/telemetry"
)

// brittle panics when the engine reads from its first connection for the nth
// time; the others are whole.
type brittle struct {
	net.Listener
	n int
}

func (b *brittle) Accept() (net.Conn, error) {
	c, err := b.Listener.Accept()
	if b.n > 0 {
		c = &brittleConn{Conn: c, n: b.n}
		b.n = 0
	}
	return c, err
}

type brittleConn struct {
	net.Conn
	n int
}

func (b *brittleConn) Read(p []byte) (int, error) {
	if b.n--; b.n == 0 {
		panic("boom in the connection")
	}
	return b.Conn.Read(p[:min(len(p), 64)])
}

// TestPanics: wherever something panics, the caller gets AWS's 500 if no answer
// has begun, it is logged once without anything that the caller sent, and the
// process serves the next one.
func TestPanics(t *testing.T) {
	secret := "x-api-key: " + goodKey
	handlers := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch req.URL.Path {
		case "/at-once":
			panic("boom in the handler")
		case "/while-reading":
			_, _ = io.ReadFull(req.Body, make([]byte, 3))
			panic("boom in the handler")
		case "/while-writing":
			w.Header().Set("Content-Length", "1000")
			w.Header().Set("Set-Cookie", "a=b")
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, "the first half")
			panic("boom in the handler")
		case "/after-a-flush":
			_, _ = io.WriteString(w, "the first half")
			_ = http.NewResponseController(w).Flush()
			panic("boom in the handler")
		}
	})
	for _, c := range []struct {
		name, sent, want string // want: the status, empty for an answer that is cut off
		read             int    // which read of the connection panics
	}{
		{"in the integration", request("POST /prod/open", "hello", secret), "500", 0},
		{"in the integration, caller half-closed", request("POST /prod/open", "hello", secret), "500", 0},
		{"in the fallback", request("POST /at-once", "hello", "Host: x", secret), "500", 0},
		{"in the fallback that reads", request("POST /while-reading", "hello", "Host: x", secret), "500", 0},
		{"in the fallback that writes", request("POST /while-writing", "hello", "Host: x", secret), "500", 0},
		{"in the fallback that has answered", request("POST /after-a-flush", "hello", "Host: x", secret), "", 0},
		{"before a head", request("POST /prod/open", "hello", secret), "500", 1},
		{"in a head", request("POST /prod/open", "hello", secret), "500", 2},
		{"in a body", request("POST /prod/open", strings.Repeat("x", 10_000), secret), "500", 20},
		{"in a chunked body", request("POST /prod/open", "", secret, "Transfer-Encoding: chunked") + strings.Repeat("5\r\nhello\r\n", 500) + "0\r\n\r\n", "500", 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, ServerOptions{Fallback: handlers})
			r.invoker.does(func(context.Context, *invocation.Invocation) (*invocation.Result, error) {
				panic("boom in the function")
			})
			if c.read > 0 {
				ln, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				r.serve(&brittle{ln, c.read}, ServerOptions{Fallback: handlers})
			}
			conn := r.dial()
			_, _ = io.WriteString(conn, c.sent)
			if strings.HasSuffix(c.name, "half-closed") {
				_ = conn.(*net.TCPConn).CloseWrite()
			}
			if c.want == "" {
				if all, _ := io.ReadAll(conn); strings.HasSuffix(string(all), "0\r\n\r\n") || strings.Count(string(all), "HTTP/1.1 ") != 1 {
					t.Errorf("an answer that was given up looks whole: %q", all)
				}
			} else if got := readResponse(t, bufio.NewReader(conn), "POST"); status(got) != c.want || body(got) != `{"message": "Internal server error"}` || header(got, "Set-Cookie") != "" {
				t.Errorf("got %q", got)
			}
			logged := r.log()
			if strings.Count(logged, "panicked") != 1 || strings.Count(logged, "boom in the ") != 1 {
				t.Errorf("logged %s", logged)
			}
			if strings.Contains(logged, goodKey) || strings.Contains(logged, "hello") || strings.Contains(logged, "POST") {
				t.Errorf("what the caller sent was logged: %s", logged)
			}
			if c.read > 0 && r.lastRecord().Verdict != telemetry.Refused {
				t.Errorf("record %+v", r.lastRecord())
			}
			if got := r.wire(request("GET /prod", "")); status(got) != "200" {
				t.Errorf("the next answer: %q", got)
			}
		})
	}
}
