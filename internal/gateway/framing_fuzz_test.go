package gateway

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// wire is a connection in memory: what a caller sends, in steps, and all that
// comes back.
type wire struct {
	sent []byte
	step int
	back bytes.Buffer
}

func (w *wire) Read(p []byte) (int, error) {
	if len(w.sent) == 0 {
		return 0, io.EOF
	}
	n := copy(p, w.sent[:min(w.step, len(w.sent))])
	w.sent = w.sent[n:]
	return n, nil
}

func (w *wire) Write(p []byte) (int, error)      { return w.back.Write(p) }
func (w *wire) Close() error                     { return nil }
func (w *wire) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (w *wire) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (w *wire) SetDeadline(time.Time) error      { return nil }
func (w *wire) SetReadDeadline(time.Time) error  { return nil }
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// taken is one request as the line is given it.
type taken struct {
	Method, Target, Host, Path, Query, Proto string
	Header                                   []string
	Body                                     string
}

// reader is a server that keeps what it accepts, and answers it with nothing.
type reader struct {
	server   *Server
	accepted []taken
}

func newReader() *reader {
	r := &reader{server: NewServer(New(Options{}), ServerOptions{})}
	r.server.calls.bytes = 64 << 10 // a larger one only takes longer
	r.server.engine.Handler = func(ctx *fasthttp.RequestCtx) {
		x := &exchange{}
		if found := r.server.take(ctx, x); found != nil {
			r.server.refuseFraming(ctx, found)
			return
		}
		req, own := x.req, strings.Clone // its texts are the engine's
		t := taken{string(ctx.Method()), string(ctx.RequestURI()), own(req.Host), own(req.Path), own(req.Query), own(req.Proto), nil, string(req.Body)}
		for _, f := range req.Header {
			t.Header = append(t.Header, http.CanonicalHeaderKey(f.Name)+": "+f.Value)
		}
		r.accepted = append(r.accepted, t)
	}
	return r
}

// read serves what is sent in steps, and returns the requests that were
// accepted and the statuses of all answers. closed is false when the server
// ended because the caller had no more to send.
func (r *reader) read(t *testing.T, raw []byte, step int) (accepted []taken, statuses []int, closed bool) {
	t.Helper()
	r.accepted = nil
	w := &wire{sent: bytes.Clone(raw), step: step}
	_ = r.server.engine.ServeConn(&conn{Conn: w, socket: w, server: r.server, scheme: "http"})
	back := bufio.NewReader(&w.back)
	answered := 0
	for {
		if _, err := back.Peek(1); errors.Is(err, io.EOF) {
			break
		}
		asked := &http.Request{Method: "GET"}
		if answered < len(r.accepted) {
			asked.Method = r.accepted[answered].Method
		}
		resp, err := http.ReadResponse(back, asked)
		if err != nil {
			t.Fatalf("%q: answer %d cannot be read: %v", raw, len(statuses), err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatalf("%q: answer %d: %v", raw, len(statuses), err)
		}
		if closed {
			t.Fatalf("%q: an answer follows one that closes", raw)
		}
		if resp.StatusCode == http.StatusContinue {
			continue
		}
		answered++
		closed = resp.Close
		statuses = append(statuses, resp.StatusCode)
	}
	return r.accepted, statuses, closed
}

// FuzzFraming sends whole conversations: every request that we accept, net/http
// accepts at the same place, with the same verb, target, host, header lines
// and body, and so with the same bytes after it. Two readers that disagree are
// how requests are smuggled. We refuse more than net/http: see
// TestFramingRefusals. We accept one thing that it does not: an empty line
// before a request, as RFC 9112 (2.2) asks.
func FuzzFraming(f *testing.F) {
	for _, seed := range []string{
		"GET /prod/x?a=b HTTP/1.1\r\nHost: abc.execute-api.x.y\r\nA: b\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhiGET /%41?%zz HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nhi\r\n0\r\nT: x\r\n\r\n\r\nHEAD / HTTP/1.1\r\nhost: x\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
		"GET http://h/p?q HTTP/1.1\r\nHost: H\r\nA:b\r\n c\r\n\r\n",
		"GET https://h HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n",
		"GET / HTTP/1.1\nHost: x\n\n", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n",
		"PUT /%zz HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\ncontent-length: 1\r\n\r\n1",
		"PUT / HTTP/1.1\r\nHost: x\r\nexpect: 100-Continue\r\ncontent-length: 1\r\nTrailer: A\r\nPragma: no-cache\r\n\r\n1",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET /\r\n", "\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		f.Add([]byte(seed), uint8(0))
		f.Add([]byte(seed), uint8(1))
	}
	r := newReader()
	f.Fuzz(func(t *testing.T, raw []byte, step uint8) {
		accepted, statuses, closed := r.read(t, raw, max(1, len(raw)))
		std := bufio.NewReader(bytes.NewReader(raw))
		for _, own := range accepted {
			skipEmptyLine(std)
			if theirs, err := readStandard(std); err != nil {
				t.Fatalf("%q: accepted %+v, but net/http says %v", raw, own, err)
			} else if mine := own.comparable(); !reflect.DeepEqual(mine, theirs) {
				t.Fatalf("%q: accepted %+v, net/http %+v", raw, mine, theirs)
			}
		}
		if refused := len(statuses) - len(accepted); refused > 1 || refused < 0 || refused == 1 && !closed {
			t.Fatalf("%q: %d accepted, answers %v, closed %v", raw, len(accepted), statuses, closed)
		}
		if !closed {
			if left, _ := io.ReadAll(std); !bytes.HasPrefix([]byte("\r\n"), left) {
				t.Fatalf("%q: %q was left without an answer", raw, left)
			}
		}
		again, same, _ := r.read(t, raw, int(step)+1)
		if !reflect.DeepEqual(again, accepted) || !reflect.DeepEqual(same, statuses) {
			t.Fatalf("%q: in pieces of %d bytes it is %+v %v, else %+v %v", raw, step, again, same, accepted, statuses)
		}
	})
}

func skipEmptyLine(br *bufio.Reader) {
	if next, _ := br.Peek(2); string(next) == "\r\n" {
		_, _ = br.Discard(2)
	}
}

// readStandard reads one request as net/http does.
func readStandard(br *bufio.Reader) (taken, error) {
	req, err := http.ReadRequest(br)
	if err != nil {
		return taken{}, err
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return taken{}, fmt.Errorf("its body: %w", err)
	}
	t := taken{req.Method, req.RequestURI, req.Host, req.URL.Path, req.URL.RawQuery, req.Proto, nil, string(body)}
	delete(req.Header, "Trailer") // as net/http does with it where there can be one
	for name, values := range req.Header {
		for _, v := range values {
			t.Header = append(t.Header, name+": "+v)
		}
	}
	return t.sorted(), nil
}

// comparable leaves out what net/http takes out of a header, or puts in, and
// decodes the path.
func (t taken) comparable() taken {
	var kept []string
	pragma, control := false, false
	for _, line := range t.Header {
		name, value, _ := strings.Cut(line, ": ")
		switch name {
		case "Host", "Transfer-Encoding", "Trailer":
			continue
		case "Pragma":
			pragma = pragma || value == "no-cache" && !hasPrefix(kept, "Pragma: ")
		case "Cache-Control":
			control = true
		}
		kept = append(kept, line)
	}
	if pragma && !control {
		kept = append(kept, "Cache-Control: no-cache")
	}
	t.Header = kept
	t.Path, _ = url.PathUnescape(t.Path)
	if _, rest, absolute := strings.Cut(t.Target, "://"); absolute && t.Target[0] != '/' && !strings.Contains(rest, "/") {
		t.Path = ""
	}
	return t.sorted()
}

func hasPrefix(lines []string, prefix string) bool {
	return slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, prefix) })
}

// sorted puts lines of different names in one order; those of one name stay as
// they came.
func (t taken) sorted() taken {
	slices.SortStableFunc(t.Header, func(a, b string) int {
		a, _, _ = strings.Cut(a, ":")
		b, _, _ = strings.Cut(b, ":")
		return strings.Compare(a, b)
	})
	return t
}

// FuzzAnswer lets a function say anything, through the real server: the caller
// gets one answer to each request, of bounded headers, whose framing is ours.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"statusCode":201,"headers":{"a":"b"},"multiValueHeaders":{"Set-Cookie":["d","e"]},"body":"x","isBase64Encoded":true}`,
		`{"headers":{"a":"b\r\nSet-Cookie: c"}}`, `{"headers":{"a: b\r\nc":"d"}}`, `{"statusCode":204,"body":"x"}`, `{"statusCode":304,"body":"x"}`,
		`{"headers":{"Content-Length":"9","Transfer-Encoding":"chunked","Connection":"close","Trailer":"A","A":"b"},"body":"x"}`,
		`{"headers":{"Content-Type":"","Server":"s","Date":"d","content-encoding":"gzip"}}`, `"x"`, `{"statusCode":599}`,
	} {
		f.Add([]byte(seed))
	}
	function := &saying{}
	s := NewServer(quiet(f, function), ServerOptions{})
	sent := request("GET /prod/open", "") + request("HEAD /prod/open", "") + request("GET /prod", "")
	f.Fuzz(func(t *testing.T, payload []byte) {
		function.payload = payload
		w := &wire{sent: []byte(sent), step: len(sent)}
		_ = s.engine.ServeConn(&conn{Conn: w, socket: w, server: s, scheme: "http"})
		back := bufio.NewReader(&w.back)
		want := 0
		for i, method := range []string{"GET", "HEAD", "GET"} {
			before := w.back.Len() + back.Buffered()
			resp, err := http.ReadResponse(back, &http.Request{Method: method})
			if err != nil {
				t.Fatalf("%q: answer %d: %v", payload, i, err)
			}
			head := before - w.back.Len() - back.Buffered()
			if head > maxReplyHead {
				t.Fatalf("%q: answer %d begins with %d bytes", payload, i, head)
			}
			text, err := io.ReadAll(resp.Body)
			if err != nil || resp.Close || len(resp.TransferEncoding) > 0 {
				t.Fatalf("%q: answer %d: %+v, %v", payload, i, resp, err)
			}
			switch i {
			case 0:
				want = resp.StatusCode
			case 1:
				if resp.StatusCode != want {
					t.Fatalf("%q: status %d, to HEAD %d", payload, want, resp.StatusCode)
				}
			default:
				if string(text) != `{"ok":true}` {
					t.Fatalf("%q: the next answer is %d %q", payload, resp.StatusCode, text)
				}
			}
		}
		if left, _ := io.ReadAll(back); len(left) > 0 {
			t.Fatalf("%q: %q follows the answers", payload, left)
		}
	})
}

// maxReplyHead is what a function can make of an answer's head, and what we put
// in it.
const maxReplyHead = 40 << 10
