package gateway

import (
	"context"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"

	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttpadaptor"
)

// adapt makes a net/http handler answer through the engine. The handler gets
// its own copy of everything but the body's bytes, which it reads as it would
// from a socket: what it keeps is not the engine's memory. Path and query are
// as sent (URL.EscapedPath, URL.RawQuery, RequestURI). What it flushes is sent
// at once; its context ends when Shutdown ran out of patience, and a peer that
// is gone shows in a write that fails.
func (s *Server) adapt(h http.Handler) fasthttp.RequestHandler {
	handler := fasthttpadaptor.NewFastHTTPHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == http.ErrAbortHandler { // cuts off an answer that has begun
				panic(p)
			}
			if p != nil {
				s.log.Error("request handler panicked", "panic", p, "stack", string(debug.Stack()))
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusInternalServerError)
				_, _ = w.Write(bodies[default5XX])
			}
		}()
		own, err := ownRequest(s.ctx, r)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		h.ServeHTTP(w, own)
	}))
	return func(ctx *fasthttp.RequestCtx) {
		if _, err := url.ParseRequestURI(view(ctx.RequestURI())); err != nil {
			s.refuseFraming(ctx, badTarget)
			return
		}
		handler(ctx)
	}
}

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
