package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"weir/internal/gateway/message"
)

// Bounds of one HTTP/2 connection.
const (
	maxStreams    = 100       // requests at a time
	maxHeaderList = 64 << 10  // bytes of a header list that is read at all; over maxHeader it is refused all the same
	maxFrame      = 16 << 10  // bytes of a frame
	maxWindow     = 256 << 10 // bytes of one body that are on the way
)

// http2Server serves HTTP/2 to the same line as the engine. net/http does it, on
// connections that the engine hands over after the handshake.
type http2Server struct {
	server       *Server
	handler      http.Handler // the fallback; nil: none
	writeTimeout time.Duration
	headTimeout  time.Duration
	base         http.Server
	begin        sync.Once
	handed       handedOver
}

func newHTTP2(s *Server, o ServerOptions) *http2Server {
	h := &http2Server{
		server:       s,
		handler:      o.Fallback,
		writeTimeout: s.engine.WriteTimeout,
		headTimeout:  s.engine.ReadTimeout,
		handed:       handedOver{conns: make(chan net.Conn), done: make(chan struct{})},
	}
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true) // it gets what the TLS had in it
	h.base = http.Server{
		Protocols:      &protocols,
		Handler:        http.HandlerFunc(h.handle),
		MaxHeaderBytes: maxHeaderList,
		IdleTimeout:    s.engine.IdleTimeout,
		ErrorLog:       log.New(io.Discard, "", 0),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, c)
		},
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          streamsOf(o),
			MaxReadFrameSize:              maxFrame,
			MaxReceiveBufferPerStream:     maxWindow,
			MaxReceiveBufferPerConnection: 4 * maxWindow,
			WriteByteTimeout:              s.engine.WriteTimeout,
		},
	}
	return h
}

// streamsOf is how many requests a client is told that it may have at a time: no
// more than the caps leave to one connection, so that it waits with the others.
func streamsOf(o ServerOptions) int {
	n := maxStreams
	for _, most := range []int{o.MaxConnections, o.MaxConnectionsPerAddress} {
		if most > 0 {
			n = min(n, most)
		}
	}
	return n
}

// connKey finds the connection in a request's context, where net/http puts it.
type connKey struct{}

// handedOver is the listener whose connections come from the engine.
type handedOver struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

// Accept implements net.Listener.
func (l *handedOver) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *handedOver) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Addr implements net.Listener.
func (l *handedOver) Addr() net.Addr { return &net.TCPAddr{} }

// serve serves one connection until it ends.
func (h *http2Server) serve(c net.Conn) error {
	h.begin.Do(func() {
		go func() { _ = h.base.Serve(&h.handed) }() // it ends with shutdown
	})
	timed := newHeadTimer(c.(*prepared), h.headTimeout)
	select {
	case h.handed.conns <- timed:
		<-timed.closed
	case <-h.handed.done:
	}
	return nil
}

// shutdown tells every connection to end after the requests in flight, closes
// the idle ones, and waits until none is left or ctx ends.
func (h *http2Server) shutdown(ctx context.Context) {
	_ = h.base.Shutdown(ctx)
	_ = h.handed.Close()
}

// handle is Server.handle for HTTP/2.
func (h *http2Server) handle(w http.ResponseWriter, r *http.Request) {
	s := h.server
	c := r.Context().Value(connKey{}).(*headTimer)
	if !s.open.begin(c.conn) {
		h.refuse(w, tooManyStreams)
		s.gateway.refused(tooManyStreams, c.conn)
		return
	}
	defer s.open.end(c.conn)
	x := exchanges.Get().(*exchange)
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler {
				panic(p)
			}
			s.gateway.broke(p, x.req.ID)
			answer(&x.req, &x.resp)
			refuse(&x.req, &x.resp, default5XX, 0, "")
			h.write(w, &x.resp)
		}
		s.bodies.release(&x.body)
		x.reset()
		exchanges.Put(x)
	}()
	problem := h.accept(c, w, r, x)
	switch {
	case problem != nil:
		h.refuse(w, problem)
		s.gateway.refused(problem, c.conn)
	case h.handler != nil && !called(&x.req):
		h.fallback(w, r, x.req.Body)
	default:
		s.gateway.serve(s.ctx, x)
		h.write(w, &x.resp)
	}
}

// accept makes a Request of one stream. What is no request on HTTP/1.1 is none
// here: the head is written as it would be there, and framing reads it.
func (h *http2Server) accept(c *headTimer, w http.ResponseWriter, r *http.Request, x *exchange) (found *problem) {
	req := &x.req
	line, lines := headOf(r)
	var f framing
	for _, part := range [][]byte{line, lines} {
		if f.scan(part); f.problem != nil {
			return f.problem
		}
	}
	if req.Host, req.Path, req.Query, found = target(r.Host, r.RequestURI); found != nil {
		return found
	}
	room := h.server.roomFor(req.Host, req.Path)
	if f.left > int64(room.bytes) {
		return tooLong(room.bytes)
	}
	if h.server.unknown(req, int(r.ContentLength), func() *http.Request { return r }) {
		return nil // and the fallback refuses it
	}
	if found = h.body(x, r, w, room); found != nil {
		return found
	}
	if f.head.lengths > 0 && f.left != int64(len(req.Body)) {
		return incomplete
	}
	req.Proto, req.Received = r.Proto, time.Now()
	req.Header = appendFields(req.Header[:0], lines)
	req.Method = verb(r.Method, req.Header)
	c.introduce(req)
	identify(req)
	return nil
}

// headOf is the head of a request as HTTP/1.1 would have it: the request line,
// and the header lines. Names are lower-case, as HTTP/2 has them; the library
// does not keep their order, so they are sorted.
func headOf(r *http.Request) (line, lines []byte) {
	names := make([]string, 0, len(r.Header))
	size := 0
	for name, values := range r.Header {
		names = append(names, name)
		for _, value := range values {
			size += len(name) + len(value) + len(": \r\n")
		}
	}
	slices.Sort(names)
	line = fmt.Appendf(nil, "%s %s HTTP/1.1\r\n", r.Method, r.RequestURI)
	lines = make([]byte, 0, size+len(r.Host)+len("Host: \r\n\r\n"))
	if r.Host != "" {
		lines = fmt.Appendf(lines, "Host: %s\r\n", r.Host)
	}
	for _, name := range names {
		lower := strings.ToLower(name)
		for _, value := range r.Header[name] {
			lines = append(append(append(append(lines, lower...), ": "...), value...), "\r\n"...)
		}
	}
	return line, append(lines, "\r\n"...)
}

// body reads a whole body, at once: one that waited would keep the room of the
// connection that the others need to come.
func (h *http2Server) body(x *exchange, r *http.Request, w http.ResponseWriter, room room) *problem {
	if r.ContentLength == 0 {
		return nil
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(room.time))
	x.body.shared = true
	found, err := h.server.bodies.read(&x.body, r.Body, int(r.ContentLength), room.bytes)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return tooSlow
	case err != nil:
		return incomplete // as a rule nobody is left to read it
	}
	x.req.Body = x.body.bytes
	return found
}

// write sends an answer.
func (h *http2Server) write(w http.ResponseWriter, resp *message.Response) {
	header := w.Header()
	for _, f := range resp.Header {
		header.Add(f.Name, f.Value)
	}
	h.send(w, resp.Status, resp.Body)
}

// refuse answers before there is a request.
func (h *http2Server) refuse(w http.ResponseWriter, p *problem) {
	if p.contentType != "" {
		w.Header().Set("Content-Type", p.contentType)
	}
	h.send(w, p.status, []byte(p.body))
}

func (h *http2Server) send(w http.ResponseWriter, status int, body []byte) {
	header := w.Header()
	if _, ok := header["Content-Type"]; !ok {
		header["Content-Type"] = nil // or one would be guessed
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(h.writeTimeout))
	bodyless := status == http.StatusNoContent || status == http.StatusNotModified
	if !bodyless {
		header.Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(status)
	if !bodyless {
		_, _ = w.Write(body)
	}
}

// fallback has the fallback answer, as on HTTP/1.1. When it panics, an answer
// that has begun is cut off.
func (h *http2Server) fallback(w http.ResponseWriter, r *http.Request, body []byte) {
	out := &patient{ResponseWriter: w, time: h.writeTimeout}
	defer func() {
		p := recover()
		switch {
		case p == nil:
		case p != http.ErrAbortHandler && out.began:
			h.server.gateway.broke(p, "")
			panic(http.ErrAbortHandler)
		default:
			panic(p)
		}
	}()
	own := r.WithContext(h.server.ctx)
	own.Body, own.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	h.handler.ServeHTTP(out, own)
}

// patient gives a client the same time for every piece of an answer.
type patient struct {
	http.ResponseWriter
	time  time.Duration
	began bool
}

// WriteHeader implements http.ResponseWriter.
func (p *patient) WriteHeader(status int) {
	p.began = true
	p.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (p *patient) Write(b []byte) (int, error) {
	p.began = true
	_ = http.NewResponseController(p.ResponseWriter).SetWriteDeadline(time.Now().Add(p.time))
	return p.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (p *patient) Unwrap() http.ResponseWriter { return p.ResponseWriter }

// Flush implements http.Flusher.
func (p *patient) Flush() { _ = http.NewResponseController(p.ResponseWriter).Flush() }
