package gateway

import (
	"bytes"
	"strings"
	"unsafe"

	"github.com/valyala/fasthttp"

	"weir/internal/gateway/message"
	"weir/internal/gateway/route"
)

// accept makes a Request of what the engine read. Its strings lie in the
// engine's memory. A problem is returned for what the engine is loose about:
// two lengths, folded lines, bare line feeds, odd names and versions.
func accept(ctx *fasthttp.RequestCtx, req *message.Request, limit int) *problem {
	h := &ctx.Request.Header
	raw := h.RawHeaders()
	req.Proto = view(h.Protocol())
	if req.Proto != "HTTP/1.1" && req.Proto != "HTTP/1.0" {
		return malformed
	}
	var ok bool
	if req.Host, req.Path, req.Query, ok = target(view(h.Host()), view(h.RequestURI())); !ok {
		return malformed
	}
	if len(h.RequestURI()) > maxURL {
		return urlTooLong
	}
	if len(raw) > maxHeader {
		return headerTooLarge
	}
	if req.Header, ok = appendFields(req.Header[:0], raw); !ok {
		return malformed
	}
	framing := framingOf(raw)
	if framing.ambiguous() {
		return malformed
	}
	if framing.length > limit {
		return tooLong(limit)
	}
	if body := ctx.Request.Body(); len(body) > 0 {
		req.Body = body
	}
	req.Method = verb(view(h.Method()), req.Header)
	req.Received = ctx.Time()
	connOf(ctx.Conn()).introduce(req)
	identify(req)
	return nil
}

// view is bytes as a string in the same memory, which is the engine's.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// target splits the request target. An absolute one names the host as well;
// anything but a path is none of ours.
func target(host, uri string) (_, path, query string, ok bool) {
	if !strings.HasPrefix(uri, "/") {
		_, rest, found := strings.Cut(uri, "://")
		if !found {
			return "", "", "", false
		}
		host, uri = rest, "/"
		if i := strings.IndexAny(rest, "/?"); i >= 0 {
			host, uri = rest[:i], rest[i:]
			if uri[0] == '?' {
				return host, "/", uri[1:], true
			}
		}
	}
	path, query, _ = strings.Cut(uri, "?")
	return host, path, query, true
}

// verb is the request's verb, or the one that X-HTTP-Method-Override names
// instead. It counts before anything is matched, so that protection and
// integration see the method that is run.
func verb(sent string, fields message.Header) string {
	if override, ok := fields.Last("X-HTTP-Method-Override"); ok {
		switch override {
		case "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT":
			return override
		}
	}
	return sent
}

// called reports whether a request is in a caller's form.
func called(req *message.Request) bool {
	_, ok := route.ParseAddress(req.Host, req.Path)
	return ok
}

// appendFields appends the header lines of a raw block as sent. It is strict
// where the engine forgives, since what two parsers read differently is what
// smuggles requests.
func appendFields(dst message.Header, raw []byte) (message.Header, bool) {
	for len(raw) > 0 {
		i := bytes.IndexByte(raw, '\n')
		if i < 1 || raw[i-1] != '\r' {
			return dst, false // no line end, or a bare line feed
		}
		line := raw[:i-1]
		raw = raw[i+1:]
		if len(line) == 0 {
			return dst, len(raw) == 0
		}
		colon := bytes.IndexByte(line, ':')
		if colon < 1 || !token(line[:colon]) { // folding begins with a blank, which no name holds
			return dst, false
		}
		value := bytes.Trim(line[colon+1:], " \t")
		if bytes.IndexByte(value, '\r') >= 0 || bytes.IndexByte(value, 0) >= 0 {
			return dst, false
		}
		dst = append(dst, message.Field{Name: view(line[:colon]), Value: view(value)})
	}
	return dst, true
}

var tokenBytes = func() (t [256]bool) {
	for c := range 256 {
		t[c] = '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' ||
			strings.IndexByte("!#$%&'*+-.^_`|~", byte(c)) >= 0
	}
	return t
}()

func token(b []byte) bool {
	for _, c := range b {
		if !tokenBytes[c] {
			return false
		}
	}
	return true
}

// framing is what the header block says about the body's length.
type framing struct {
	length   int  // declared, -1 without
	lengths  int  // Content-Length lines
	encoded  int  // Transfer-Encoding lines
	chunked  bool // the last of them says just that
	expect   []string
	overflow bool
}

// ambiguous reports framing that two readers could take differently.
func (f *framing) ambiguous() bool {
	return f.lengths > 1 || f.encoded > 1 || f.lengths > 0 && f.encoded > 0 || f.encoded > 0 && !f.chunked || f.overflow
}

// framingOf reads the lines about the body's length and nothing else.
func framingOf(raw []byte) framing {
	f := framing{length: -1}
	for len(raw) > 0 {
		line, rest, _ := bytes.Cut(raw, []byte("\n"))
		raw = rest
		if len(line) < len("Expect:") {
			continue
		}
		switch line[0] | 0x20 {
		case 'c':
			if value, ok := valueOf(line, "Content-Length"); ok {
				f.lengths++
				f.length = 0
				for _, c := range value {
					if c < '0' || c > '9' || f.length > 1<<50 {
						f.overflow = true
						break
					}
					f.length = f.length*10 + int(c-'0')
				}
			}
		case 't':
			if value, ok := valueOf(line, "Transfer-Encoding"); ok {
				f.encoded++
				f.chunked = bytes.EqualFold(value, []byte("chunked"))
			}
		case 'e':
			if value, ok := valueOf(line, "Expect"); ok && bytes.EqualFold(value, []byte("100-continue")) {
				f.expect = append(f.expect, string(line[:len("Expect")]))
			}
		}
	}
	return f
}

func valueOf(line []byte, name string) ([]byte, bool) {
	if len(line) <= len(name) || line[len(name)] != ':' || !strings.EqualFold(view(line[:len(name)]), name) {
		return nil, false
	}
	return bytes.TrimSpace(line[len(name)+1:]), true
}

// write puts an answer into the engine, which copies header lines and sends
// the body from where it lies.
func write(ctx *fasthttp.RequestCtx, resp *message.Response) {
	ctx.Response.SetStatusCode(resp.Status)
	for _, f := range resp.Header {
		ctx.Response.Header.Add(f.Name, f.Value)
	}
	ctx.Response.SetBodyRaw(resp.Body)
}
