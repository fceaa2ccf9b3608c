package gateway

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"weir/internal/invocation"
	"weir/internal/telemetry"
)

// eventOf sends one request, which has to be answered with 200, and returns
// the event that the function got.
func eventOf(t *testing.T, r *rig, sent string) (event struct {
	Path, Body     string
	PathParameters map[string]string
	Headers        map[string]string
	RequestContext struct{ Path string }
},
) {
	t.Helper()
	if got := r.wire(sent); status(got) != "200" || header(got, "Connection") != "" {
		t.Fatalf("got %q", got)
	}
	if err := json.Unmarshal([]byte(r.invoker.lastEvent()), &event); err != nil {
		t.Fatal(err)
	}
	return event
}

// TestOddPathsArriveAsSent: nothing is decoded, joined or cleaned before it is
// matched, so that what the key was asked for is what the function is given.
func TestOddPathsArriveAsSent(t *testing.T) {
	for _, c := range []struct{ name, sent, want string }{
		{"dot segments", "/files/../keyed", "../keyed"},
		{"escaped dot segments", "/files/%2e%2e/keyed", "%2e%2e/keyed"},
		{"escaped slash", "/files/a%2fb", "a%2fb"},
		{"two slashes", "/files/a//b", "a//b"},
		{"escaped NUL", "/files/a%00b", "a%00b"},
		{"escaped line break", "/files/a%0d%0ab", "a%0d%0ab"},
		{"no UTF-8", "/files/a\xff\xfeb", "a\uFFFD\uFFFDb"},
		{"no UTF-8, escaped", "/files/a%ff%feb", "a%ff%feb"},
		{"backslash", `/files/..\keyed`, `..\keyed`},
		{"semicolon", "/files/..;/keyed", "..;/keyed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, ServerOptions{})
			event := eventOf(t, r, request("GET /prod"+c.sent, ""))
			if event.PathParameters["path"] != c.want || event.Path != "/files/"+c.want || event.RequestContext.Path != "/prod/files/"+c.want {
				t.Errorf("event %+v, want %q", event, c.want)
			}
			if rec := r.lastRecord(); rec.Path != "/prod"+c.sent || rec.ResourcePath != "/files/{path+}" {
				t.Errorf("record %+v", rec)
			}
		})
	}
}

// TestOddPathsMatchNothingElse: a path does not become another one that has a
// method, or leave its stage.
func TestOddPathsMatchNothingElse(t *testing.T) {
	for _, c := range []struct{ name, path string }{
		{"dot segments do not leave a resource", "/prod/items/../keyed"},
		{"dot segments do not leave the stage", "/other/../prod/open"},
		{"an escaped letter is not the letter", "/prod/%6fpen"},
		{"an escaped slash is no slash", "/prod%2fopen"},
		{"an inner empty segment is a segment", "/prod/items//7"},
		{"case counts", "/prod/OPEN"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, ServerOptions{})
			got := r.wire(request("GET "+c.path, ""))
			if status(got) != "403" || len(r.invoker.events) != 0 || r.lastRecord().Verdict != telemetry.Missed {
				t.Errorf("got %q, record %+v", got, r.lastRecord())
			}
		})
	}
}

// TestOddRequestsAreAnswered holds what looks odd and is allowed.
func TestOddRequestsAreAnswered(t *testing.T) {
	const host = "Host: abc123.execute-api.us-east-1.localhost:8080\r\n"
	headers := maxHeader - len(host+"A: \r\n\r\n")
	for _, c := range []struct{ name, sent, body string }{
		{"an empty line first", "\r\n" + request("POST /prod/open", "hello"), "hello"},
		{"headers of 10 KB", request("POST /prod/open", "", "A: "+strings.Repeat("x", headers)), ""},
		{"URL of 10 KB", request("POST /prod/open?"+strings.Repeat("x", maxURL-len("/prod/open?")), ""), ""},
		{"chunked in another case", request("POST /prod/open", "", "TRANSFER-encoding: \tChunked ") + "5\r\nhello\r\n0\r\n\r\n", "hello"},
		{"chunk sizes in every spelling", chunked("00000000000000A\r\n0123456789\r\nb\r\nabcdefghijk\r\n000\r\n\r\n"), "0123456789abcdefghijk"},
		{"chunk extensions", chunked("5;a=b;c=\"d\"\r\nhello\r\n0;e\r\n\r\n"), "hello"},
		{"a trailer", chunked("5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"), "hello"},
		{"a length of nothing", request("POST /prod/open", "", "Content-Length: 0"), ""},
		{"a length with leading zeros", request("POST /prod/open", "", "Content-Length: 0005") + "hello", "hello"},
		{"GET with a body", request("GET /prod/open", "hello"), "hello"},
		{"Upgrade to WebSocket", request("POST /prod/open", "hello", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), "hello"},
		{"Upgrade to HTTP/2", request("POST /prod/open", "hello", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"), "hello"},
		{"absolute form", "POST http://abc123.execute-api.us-east-1.localhost:8080/prod/open HTTP/1.1\r\n" + host + "Content-Length: 5\r\n\r\nhello", "hello"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, ServerOptions{})
			event := eventOf(t, r, c.sent)
			if event.Body != c.body {
				t.Errorf("body %q, want %q", event.Body, c.body)
			}
			for name := range event.Headers {
				for _, dropped := range []string{"Connection", "Upgrade", "Transfer-Encoding", "Content-Length", "Expect", "X-Sum"} {
					if strings.EqualFold(name, dropped) {
						t.Errorf("the function got %s", name)
					}
				}
			}
		})
	}
}

// TestPipelines: what came before a bad request is answered, in order, and what
// comes after it is not looked at.
func TestPipelines(t *testing.T) {
	many := strings.Repeat(request("POST /prod/open", "hello"), 100)
	for _, c := range []struct {
		name string
		sent string
		good int
		bad  *problem
	}{
		{"a hundred", many, 100, nil},
		{"a hundred and a bad one", many + "GET /prod/open HTTP/1.1\n" + many, 100, badLineEnd},
		{"a bad one that begins as a good one", many + request("GET /prod/open", "", "A: b", " c") + many, 100, folded},
		{"a body that is longer than it says", request("POST /prod/open", "hello") + "\x00" + many, 1, badByte},
		{"a smuggled request", request("POST /prod/open", "", "Transfer-Encoding: chunked", fmt.Sprintf("Content-Length: %d", 5+len(many))) + "0\r\n\r\n" + many, 0, twoLengths},
	} {
		for _, piece := range []int{len(c.sent), 1000, 7} {
			t.Run(c.name, func(t *testing.T) {
				r := newRig(t, ServerOptions{})
				conn := r.dial()
				go func() {
					for rest := c.sent; rest != ""; {
						n := min(piece, len(rest))
						_, _ = io.WriteString(conn, rest[:n])
						rest = rest[n:]
					}
					_ = conn.(*net.TCPConn).CloseWrite()
				}()
				br := bufio.NewReader(conn)
				for i := range c.good {
					if got := readResponse(t, br, "POST"); status(got) != "200" || body(got) != "hello" {
						t.Fatalf("answer %d: %q", i, got)
					}
				}
				rest, err := io.ReadAll(br)
				got, want := volatile[0].pattern.ReplaceAllString(string(rest), volatile[0].word), ""
				if c.bad != nil {
					want = refusedForFraming(c.bad)
				}
				if err != nil || got != want || len(r.invoker.events) != c.good {
					t.Errorf("at the end %q, %v, want %q; the function was asked %d times", got, err, want, len(r.invoker.events))
				}
			})
		}
	}
}

// TestHalfClosedCallersAreAnswered: a caller that has sent its request may say
// that no other will come, also while a function is at work on it.
func TestHalfClosedCallersAreAnswered(t *testing.T) {
	r := newRig(t, ServerOptions{})
	entered, release := make(chan struct{}), make(chan struct{})
	r.invoker.does(func(ctx context.Context, _ *invocation.Invocation) (*invocation.Result, error) {
		close(entered)
		<-release
		return &invocation.Result{Payload: []byte(`{"body":"late"}`)}, ctx.Err()
	})
	c := r.dial()
	_, _ = io.WriteString(c, request("POST /prod/open", "hello"))
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	<-entered
	close(release)
	if got := readAll(t, c); status(got) != "200" || body(got) != "late" {
		t.Errorf("got %q", got)
	}
}

// TestRequestsCutShort: a caller that leaves in the middle is told, if it still
// listens, and nothing is done for it.
func TestRequestsCutShort(t *testing.T) {
	for _, c := range []struct{ name, sent string }{
		{"in the request line", "GET /prod/op"},
		{"in the head", "GET /prod/open HTTP/1.1\r\nHost: abc123.execute-api.x.y\r\n"},
		{"before the body", request("POST /prod/open", "", "Content-Length: 5")},
		{"in the body", request("POST /prod/open", "", "Content-Length: 5") + "hell"},
		{"before the first chunk", chunked("")},
		{"in a chunk", chunked("5\r\nhel")},
		{"before the last chunk", chunked("5\r\nhello\r\n")},
		{"in the trailer", chunked("5\r\nhello\r\n0\r\nA: b\r\n")},
		{"after 100 Continue", request("POST /prod/open", "", "Expect: 100-continue", "Content-Length: 5") + "hell"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, ServerOptions{})
			conn := r.dial()
			_, _ = io.WriteString(conn, c.sent)
			_ = conn.(*net.TCPConn).CloseWrite()
			got := strings.TrimPrefix(readAll(t, conn), "HTTP/1.1 100 Continue\r\n\r\n")
			if got = volatile[0].pattern.ReplaceAllString(got, volatile[0].word); got != refusedForFraming(incomplete) {
				t.Errorf("got %q", got)
			}
			if rec := r.lastRecord(); len(r.records) != 1 || rec.Reason != "INCOMPLETE_REQUEST" || len(r.invoker.events) != 0 {
				t.Errorf("%d records, the last %+v; the function was asked %d times", len(r.records), rec, len(r.invoker.events))
			}
		})
	}
}

// TestConnectionsWithoutARequest are no requests: nothing is reported.
func TestConnectionsWithoutARequest(t *testing.T) {
	r := newRig(t, ServerOptions{})
	for _, sent := range []string{"", "\r\n"} {
		c := r.dial()
		_, _ = io.WriteString(c, sent)
		_ = c.(*net.TCPConn).CloseWrite()
		if got := readAll(t, c); got != "" {
			t.Errorf("%q: got %q", sent, got)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.records) != 0 || r.logged.Len() != 0 {
		t.Errorf("%d records, logged %q", len(r.records), r.logged.String())
	}
}

// TestRepliesDoNotSplit: whatever a function says, the caller gets one answer
// of the gateway's framing, and the next one on the same connection.
func TestRepliesDoNotSplit(t *testing.T) {
	const malformedReply = "502"
	for _, c := range []struct{ name, payload, status, body string }{
		{"line break in a value", `{"headers":{"a":"b\r\nSet-Cookie: c"}}`, malformedReply, ""},
		{"line feed in a value", `{"headers":{"a":"b\nSet-Cookie: c"}}`, malformedReply, ""},
		{"carriage return in a value", `{"multiValueHeaders":{"a":["b\rc"]}}`, malformedReply, ""},
		{"NUL in a value", `{"headers":{"a":"b\u0000"}}`, malformedReply, ""},
		{"line break in a name", `{"headers":{"a: b\r\nSet-Cookie":"c"}}`, malformedReply, ""},
		{"colon in a name", `{"headers":{"a:b":"c"}}`, malformedReply, ""},
		{"no name", `{"headers":{"":"c"}}`, malformedReply, ""},
		{"Content-Length of its own", `{"headers":{"content-LENGTH":"1"},"body":"hello"}`, "200", "hello"},
		{"two Content-Lengths of its own", `{"multiValueHeaders":{"Content-Length":["1","99"]},"body":"hello"}`, "200", "hello"},
		{"Transfer-Encoding of its own", `{"headers":{"transfer-encoding":"chunked"},"body":"0\r\n\r\n"}`, "200", "0\r\n\r\n"},
		{"Connection of its own", `{"headers":{"Connection":"close, x"},"body":"hello"}`, "200", "hello"},
		{"Trailer and Upgrade of its own", `{"headers":{"Trailer":"A","Upgrade":"h2c","Keep-Alive":"timeout=1"},"body":"hello"}`, "200", "hello"},
		{"204 with a body", `{"statusCode":204,"body":"HTTP/1.1 200 OK\r\n\r\n"}`, "204", ""},
		{"304 with a body", `{"statusCode":304,"body":"HTTP/1.1 200 OK\r\n\r\n"}`, "304", ""},
		{"status 101", `{"statusCode":101}`, malformedReply, ""},
		{"1,025 headers", `{"multiValueHeaders":{"a":[` + strings.Repeat(`"",`, 1024) + `""]}}`, malformedReply, ""},
		{"headers of 32 KB", `{"headers":{"a":"` + strings.Repeat("x", 32<<10) + `"}}`, malformedReply, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, ServerOptions{})
			r.invoker.returns(c.payload)
			conn := r.dial()
			_, _ = io.WriteString(conn, request("GET /prod/open", "")+request("HEAD /prod/open", "")+request("GET /prod", "", "Connection: close"))
			br := bufio.NewReader(conn)
			got, head := readResponse(t, br, "GET"), readResponse(t, br, "HEAD")
			if status(got) != c.status || c.status != malformedReply && body(got) != c.body || status(head) != c.status || body(head) != "" {
				t.Errorf("got %.300q and %.300q", got, head)
			}
			if length := fmt.Sprint(len(c.body)); c.body != "" && (header(got, "Content-Length") != length || header(head, "Content-Length") != length) {
				t.Errorf("a length of %s, to HEAD of %s, want %s", header(got, "Content-Length"), header(head, "Content-Length"), length)
			}
			for _, name := range []string{"Set-Cookie", "Connection", "Transfer-Encoding", "Upgrade", "Trailer", "Keep-Alive"} {
				if v := header(got, name); v != "" {
					t.Errorf("the caller got %s: %s", name, v)
				}
			}
			if last := readResponse(t, br, "GET"); body(last) != `{"ok":true}` {
				t.Errorf("the next answer: %q", last)
			}
			if _, err := br.ReadByte(); !errors.Is(err, io.EOF) {
				t.Errorf("after the last answer: %v", err)
			}
		})
	}
}
