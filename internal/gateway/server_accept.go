package gateway

import (
	"bytes"
	"strconv"
	"strings"
	"unsafe"

	"github.com/valyala/fasthttp"

	"weir/internal/gateway/message"
	"weir/internal/gateway/route"
)

// accept makes a Request of what the engine read, of which framing has passed
// every byte. Its strings lie in the engine's memory.
func accept(ctx *fasthttp.RequestCtx, req *message.Request) *problem {
	h := &ctx.Request.Header
	var found *problem
	if req.Host, req.Path, req.Query, found = target(view(h.Host()), view(h.RequestURI())); found != nil {
		return found
	}
	req.Proto = view(h.Protocol())
	req.Header = appendFields(req.Header[:0], h.RawHeaders())
	req.Method = verb(view(h.Method()), req.Header)
	req.Received = ctx.Time()
	connOf(ctx.Conn()).introduce(req)
	identify(req)
	return nil
}

// view is bytes as a string in the same memory, which is the engine's.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// target splits the request target. An absolute one names the host as well,
// the same as the Host header; anything but a path is none of ours.
func target(host, uri string) (_, path, query string, found *problem) {
	if !strings.HasPrefix(uri, "/") {
		_, rest, _ := strings.Cut(uri, "://")
		authority := rest
		if i := strings.IndexAny(rest, "/?"); i >= 0 {
			authority = rest[:i]
		}
		uri = rest[len(authority):]
		if host != "" && !strings.EqualFold(host, authority) || !validHost([]byte(authority)) {
			return "", "", "", badTarget
		}
		host = authority
	}
	path, query, _ = strings.Cut(uri, "?")
	if path == "" {
		path = "/"
	}
	if !escaped(path) {
		return "", "", "", badEscape
	}
	return host, path, query, nil
}

// escaped reports whether every percent sign begins an escape.
func escaped(path string) bool {
	for i := strings.IndexByte(path, '%'); i >= 0; i = strings.IndexByte(path, '%') {
		if len(path) < i+3 || !isHex(path[i+1]) || !isHex(path[i+2]) {
			return false
		}
		path = path[i+3:]
	}
	return true
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

// appendFields appends the header lines of a raw block as sent.
func appendFields(dst message.Header, raw []byte) message.Header {
	for {
		end := bytes.IndexByte(raw, '\r')
		if end <= 0 {
			return dst // the empty line
		}
		colon := bytes.IndexByte(raw[:end], ':')
		value := bytes.Trim(raw[colon+1:end], " \t")
		dst = append(dst, message.Field{Name: view(raw[:colon]), Value: view(value)})
		raw = raw[end+len("\r\n"):]
	}
}

// find returns the first line called name of a raw block: its name in the case
// it was sent in and its value, empty when there is none.
func find(raw []byte, name string) (sent, value []byte) {
	for len(raw) > len(name) {
		end := bytes.IndexByte(raw, '\n') + 1
		if raw[len(name)] == ':' && strings.EqualFold(view(raw[:len(name)]), name) {
			return raw[:len(name)], bytes.TrimSpace(raw[len(name)+1 : end])
		}
		raw = raw[end:]
	}
	return nil, nil
}

// declared is the length that a raw block says the body has.
func declared(raw []byte) int {
	_, value := find(raw, "Content-Length")
	n, _ := strconv.Atoi(view(value))
	return n
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
