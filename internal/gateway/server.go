package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"weir/internal/gateway/route"
)

// Limits on what a caller sends; AWS's.
const (
	maxHeader = 10_240     // bytes of all header lines
	maxURL    = 10_240     // bytes of the request target
	maxBody   = 10_485_760 // bytes of a caller's body
)

// ServerOptions says how one address is served. The zero value is a public
// gateway address with the default deadlines.
type ServerOptions struct {
	HeaderTimeout time.Duration // from the first byte of a request to the end of its head; 0: 10 s
	BodyTimeout   time.Duration // for the body after it; 0: 30 s
	IdleTimeout   time.Duration // between two requests of a connection; 0: 75 s
	WriteTimeout  time.Duration // for a caller to take an answer; 0: 1 min
	// Certificate has the address speak TLS, with HTTP/2 and HTTP/1.1 by ALPN.
	// nil: plain HTTP/1.1.
	Certificate *Certificate
	// TrustedProxies are believed about the client: X-Forwarded-For, -Proto and
	// -Port, and with ProxyProtocol the PROXY header that they then have to
	// begin a connection with.
	TrustedProxies []netip.Prefix
	ProxyProtocol  bool
	// MaxConnections may be open at once, and MaxConnectionsPerAddress of them
	// from one client (an IPv6 client is a /64). What is over is closed as it
	// comes. 0: as many as come.
	MaxConnections           int
	MaxConnectionsPerAddress int
	// MaxBodyMemory is how many bytes the bodies over 64 KB of all requests may
	// take together while they are read and served; 0: 256 MiB.
	MaxBodyMemory int
	// Fallback answers requests that are in no caller's form. It gets copies
	// only, so it may keep what it likes. nil: they are refused.
	Fallback http.Handler
	// Knows says of a request for Fallback whether its body is read, if that may be
	// over 64 KB: r has none yet. false: Fallback gets it without the body, to
	// refuse it, and a connection over HTTP/1.1 ends. nil: all are read.
	Knows               func(r *http.Request) bool
	FallbackMaxBody     int           // bytes that a body for Fallback may have; 0: 75 MB, more than AWS's largest upload
	FallbackBodyTimeout time.Duration // for such a body; 0: 5 min, or BodyTimeout when that is longer
}

// Server serves one or more listeners. Its methods are safe for concurrent
// use.
type Server struct {
	gateway     *Gateway
	fallback    func(*fasthttp.RequestCtx) (answered bool) // nil: none
	knows       func(*http.Request) bool                   // see ServerOptions
	calls, rest room                                       // for what is in a caller's form, and for the fallback
	engine      *fasthttp.Server
	tls         *tls.Config  // nil: plain
	http2       *http2Server // nil: plain
	open        connections
	bodies      bodyMemory
	proxies     proxies
	unproxied   seldom
	log         *slog.Logger

	ctx    context.Context // of every request; ends when Shutdown ran out of patience
	cancel context.CancelFunc

	mu   sync.Mutex // guards done
	done bool
}

// room is what the body of a request may take.
type room struct {
	bytes int
	time  time.Duration
}

// NewServer makes a Server of a Gateway for one address.
func NewServer(g *Gateway, o ServerOptions) *Server {
	s := &Server{gateway: g, log: g.log}
	s.calls = room{maxBody, orDefault(o.BodyTimeout, 30*time.Second)}
	s.rest = s.calls
	if o.Fallback != nil {
		s.fallback, s.knows = s.adapt(o.Fallback), o.Knows
		s.rest = room{
			bytes: orDefault(o.FallbackMaxBody, 75_000_000),
			time:  orDefault(o.FallbackBodyTimeout, max(5*time.Minute, s.calls.time)),
		}
	}
	s.open.init(o, g.log)
	s.bodies.most = int64(orDefault(o.MaxBodyMemory, 256<<20))
	s.proxies = proxies{trusted: o.TrustedProxies, header: o.ProxyProtocol}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.engine = &fasthttp.Server{
		Handler:        s.handle,
		HeaderReceived: s.headerReceived,
		ErrorHandler:   s.unread,
		Logger:         silent{}, // it would print raw headers
		ReadTimeout:    orDefault(o.HeaderTimeout, 10*time.Second),
		IdleTimeout:    orDefault(o.IdleTimeout, 75*time.Second),
		WriteTimeout:   orDefault(o.WriteTimeout, time.Minute),
		// The request line and the header block have to fit together.
		ReadBufferSize:                maxURL + maxHeader + 64,
		MaxRequestBodySize:            maxBody,
		DisableHeaderNamesNormalizing: true,
		DisablePreParseMultipartForm:  true,
		StreamRequestBody:             true, // see readBody
		NoDefaultServerHeader:         true,
		NoDefaultContentType:          true,
		SecureErrorLogMessage:         true,
		CloseOnShutdown:               true,
	}
	if o.Certificate != nil {
		s.tls, s.http2 = o.Certificate.config(), newHTTP2(s, o)
		s.engine.NextProto("h2", s.http2.serve)
	}
	return s
}

func orDefault[T int | time.Duration](v, fallback T) T {
	if v <= 0 {
		return fallback
	}
	return v
}

// silent takes what the engine would log.
type silent struct{}

func (silent) Printf(string, ...any) {}

// Serve accepts connections until Shutdown, then returns nil. It closes ln.
func (s *Server) Serve(ln net.Listener) error {
	s.mu.Lock()
	done := s.done
	s.mu.Unlock()
	if done {
		return ln.Close()
	}
	return s.engine.Serve(&listener{Listener: ln, server: s})
}

// Shutdown stops accepting, lets requests in flight end and closes idle
// connections. When ctx ends first, what is left is cut off and ctx's error
// returned. Serve must have been called before, or it closes its listener at
// once.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.done = true
	s.mu.Unlock()
	drained, cancel := context.WithCancel(ctx)
	var draining sync.WaitGroup
	draining.Go(func() { s.endPreparing(drained) })
	if s.http2 != nil {
		draining.Go(func() { s.http2.shutdown(drained) })
	}
	err := s.engine.ShutdownWithContext(ctx)
	cancel()
	draining.Wait()
	s.cancel()
	if err == nil {
		return nil
	}
	s.open.cut(func(*conn) bool { return true })
	return err
}

// endPreparing closes connections that have not come to a request yet, which
// the engine would wait for, until ctx ends.
func (s *Server) endPreparing(ctx context.Context) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		s.open.cut(func(c *conn) bool { return c.preparing.Load() })
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// exchanges are used again; each belongs to one request at a time.
var exchanges = sync.Pool{New: func() any { return &exchange{method: -1} }}

// handle is the engine's handler: it accepts the request, has it served, and
// writes the answer.
func (s *Server) handle(ctx *fasthttp.RequestCtx) {
	x := exchanges.Get().(*exchange)
	defer func() {
		if p := recover(); p != nil {
			// The line has a guard of its own; this one is for accepting,
			// writing, and the fallback.
			s.gateway.broke(p, x.req.ID)
			sorry(ctx, x)
		}
		s.bodies.release(&x.body)
		x.reset()
		exchanges.Put(x)
	}()
	problem := s.take(ctx, x)
	switch {
	case problem != nil:
		s.refuseFraming(ctx, problem)
	case s.fallback != nil && !called(&x.req):
		ctx.Request.SetBodyRaw(x.req.Body)
		x.body.bytes = nil // a handler that flushes goes on after this
		if !s.fallback(ctx) {
			sorry(ctx, x)
		}
	default:
		s.gateway.serve(s.ctx, x)
		write(ctx, &x.resp)
	}
}

// take makes a Request of what the engine reads.
func (s *Server) take(ctx *fasthttp.RequestCtx, x *exchange) *problem {
	if problem := accept(ctx, &x.req); problem != nil {
		return problem
	}
	if s.stranger(ctx, &x.req) {
		connOf(ctx.Conn()).lingers()
		ctx.Response.SetConnectionClose()
		return nil
	}
	return s.readBody(ctx, x)
}

// sorry answers a request that we broke over, and closes: it may not be read to
// its end.
func sorry(ctx *fasthttp.RequestCtx, x *exchange) {
	ctx.Response.Reset()
	ctx.Response.SetConnectionClose()
	refuse(&x.req, &x.resp, default5XX, 0, "")
	write(ctx, &x.resp)
}

// roomOf is what this request's body may take.
func (s *Server) roomOf(h *fasthttp.RequestHeader) room {
	host, path, _, _ := target(view(h.Host()), view(h.RequestURI()))
	return s.roomFor(host, path)
}

func (s *Server) roomFor(host, path string) room {
	if s.fallback == nil {
		return s.calls
	}
	if _, ok := route.ParseAddress(host, path); ok {
		return s.calls
	}
	return s.rest
}

// headerReceived runs between head and body: it says how long the body may be
// and take.
func (s *Server) headerReceived(h *fasthttp.RequestHeader) (config fasthttp.RequestConfig) {
	defer func() {
		if p := recover(); p != nil {
			s.gateway.broke(p, "")
			config = fasthttp.RequestConfig{ReadTimeout: s.calls.time, MaxRequestBodySize: s.calls.bytes}
		}
	}()
	length := h.ContentLength()
	if length == 0 || length == noLength {
		return config
	}
	body := s.roomOf(h)
	sent, _ := find(h.RawHeaders(), "Expect")
	name := string(sent)
	switch {
	case length > body.bytes: // see readBody; nobody is asked to send it
		h.SetContentLength(0)
		h.SetConnectionClose()
		h.Del(name)
	case name != "":
		h.Del(name)
		h.Set("Expect", "100-continue") // the engine knows it in this case only
	}
	return fasthttp.RequestConfig{ReadTimeout: body.time, MaxRequestBodySize: body.bytes}
}

// noLength is what the engine says of a request without any length.
const noLength = -2

// unread answers what could not be read as a request. The engine closes the
// connection after it.
func (s *Server) unread(ctx *fasthttp.RequestCtx, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.gateway.broke(p, "")
			ctx.Response.Reset()
			ctx.Response.SetStatusCode(broken.status)
		}
	}()
	s.refuseFraming(ctx, troubleOf(ctx, err))
}

// troubleOf is why a request could not be read. The engine's error does not
// always say it.
func troubleOf(ctx *fasthttp.RequestCtx, err error) *problem {
	switch c := connOf(ctx.Conn()); {
	case c != nil && c.framing.problem != nil:
		return c.framing.problem
	case errors.Is(err, os.ErrDeadlineExceeded):
		return silence
	}
	return unreadable
}

// refuseFraming answers before there is a request, and closes: what else came
// on the connection cannot be trusted to be another one.
func (s *Server) refuseFraming(ctx *fasthttp.RequestCtx, p *problem) {
	ctx.Response.Reset()
	ctx.Response.SetStatusCode(p.status)
	ctx.Response.SetConnectionClose()
	if p.contentType != "" {
		ctx.Response.Header.SetContentType(p.contentType)
	}
	ctx.Response.SetBodyString(p.body)
	c := connOf(ctx.Conn())
	c.lingers()
	if p != silence {
		s.gateway.refused(p, c)
	}
}
