package gateway

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttpadaptor"

	"weir/internal/gateway/message"
)

// adapt makes a net/http handler answer through the engine. The handler gets
// its own copy of everything but the body's bytes, which it reads as it would
// from a socket: what it keeps is not the engine's memory. Path and query are
// as sent (URL.EscapedPath, URL.RawQuery, RequestURI). What it flushes is sent
// at once; its context ends when Shutdown ran out of patience, and a peer that
// is gone shows in a write that fails. When the handler panics, an answer that
// has begun is cut off; before that there is none, and false is returned.
func (s *Server) adapt(h http.Handler) func(*fasthttp.RequestCtx) (answered bool) {
	handler := fasthttpadaptor.NewFastHTTPHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		broke := r.Context().Value(panicked{}).(*atomic.Bool) // now: the context is the engine's
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p != http.ErrAbortHandler {
				s.gateway.broke(p, "")
				broke.Store(true)
			}
			panic(http.ErrAbortHandler)
		}()
		own, err := ownRequest(s.ctx, r)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		h.ServeHTTP(w, own)
	}))
	return func(ctx *fasthttp.RequestCtx) bool {
		if _, err := url.ParseRequestURI(view(ctx.RequestURI())); err != nil {
			s.refuseFraming(ctx, badTarget)
			return true
		}
		var broke atomic.Bool
		ctx.SetUserValue(panicked{}, &broke)
		handler(ctx)
		if !ctx.Hijacked() || !broke.Load() { // the adaptor takes over a connection to close it
			return true
		}
		ctx.Hijack(nil)
		ctx.HijackSetNoResponse(false)
		return false
	}
}

// unknown reports whether a request for the fallback comes from somebody whose
// body is not read. length is that of the body, -1 for none.
func (s *Server) unknown(req *message.Request, length int, head func() *http.Request) bool {
	return s.knows != nil && (length < 0 || length > smallBody) && !called(req) && !s.knows(head())
}

// stranger is unknown over HTTP/1.1.
func (s *Server) stranger(ctx *fasthttp.RequestCtx, req *message.Request) bool {
	if ctx.RequestBodyStream() == nil {
		return false
	}
	return s.unknown(req, ctx.Request.Header.ContentLength(), func() *http.Request {
		head := &http.Request{Method: req.Method, Host: req.Host, RequestURI: view(ctx.RequestURI()), Header: http.Header{}}
		for _, f := range req.Header {
			head.Header.Add(f.Name, f.Value)
		}
		return head
	})
}

// panicked is the key of a request's note that its handler panicked.
type panicked struct{}

// ownRequest copies a request out of the engine's memory, of which its context
// is a part.
func ownRequest(ctx context.Context, r *http.Request) (*http.Request, error) {
	own := r.WithContext(ctx)
	own.Method = strings.Clone(r.Method)
	own.Proto = strings.Clone(r.Proto)
	own.Host = strings.Clone(r.Host)
	own.RemoteAddr = strings.Clone(r.RemoteAddr)
	own.RequestURI = strings.Clone(r.RequestURI)
	u, err := url.ParseRequestURI(own.RequestURI)
	if err != nil {
		return nil, err
	}
	own.URL = u
	own.Header = make(http.Header, len(r.Header))
	for name, values := range r.Header {
		if name == "Host" {
			continue // net/http has it in Request.Host only
		}
		copied := make([]string, len(values))
		for i, v := range values {
			copied[i] = strings.Clone(v)
		}
		own.Header[strings.Clone(name)] = copied
	}
	own.Trailer = nil
	own.TransferEncoding = nil
	return own, nil
}
