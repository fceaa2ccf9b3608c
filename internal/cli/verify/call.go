package verify

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

const (
	maxAnswer = 64 << 10 // of a body, the rest is not read
	maxShown  = 60
)

// answer is what came back of one call.
type answer struct {
	status int
	header http.Header
	body   []byte
	err    error // nothing came back; the other fields are zero
}

// kind is what an answer to a call with a key means.
type kind uint8

const (
	lost      kind = iota // nothing came back
	letIn                 // what is behind the gate answered
	forbidden             // 403 or 401
	throttled             // 429, too fast
	spent                 // 429, the quota is used up
	broken                // 5xx: whether it was let in is not to be seen
)

func (a *answer) kind() kind {
	switch {
	case a.err != nil:
		return lost
	case a.status == http.StatusForbidden, a.status == http.StatusUnauthorized:
		return forbidden
	case a.status == http.StatusTooManyRequests:
		if a.header.Get("X-Amzn-Errortype") == "LimitExceededException" || bytes.Contains(bytes.ToLower(a.body), []byte("limit exceeded")) {
			return spent
		}
		return throttled
	case a.status >= 500:
		return broken
	}
	return letIn
}

// String shows an answer in one line.
func (a *answer) String() string {
	if a.err != nil {
		return a.err.Error()
	}
	if to := a.header.Get("Location"); a.status/100 == 3 && to != "" {
		return fmt.Sprintf("%d to %s", a.status, shown([]byte(to)))
	}
	if a.kind() == letIn {
		return strconv.Itoa(a.status)
	}
	return fmt.Sprintf("%d %s", a.status, shown(a.body))
}

// shown is text of strangers made fit for a terminal and short.
func shown(text []byte) string {
	s := strconv.QuoteToASCII(string(text[:min(len(text), maxShown)]))
	s = strings.ReplaceAll(s[1:len(s)-1], `\"`, `"`)
	if len(text) > maxShown {
		s += "…"
	}
	return s
}

// newTransport speaks HTTP/1.1 only: HTTP/2 has no case in header names.
func newTransport(c *tls.Config) *http.Transport {
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: c, DisableCompression: true,
		TLSNextProto:           map[string]func(string, *tls.Conn) http.RoundTripper{},
		MaxResponseHeaderBytes: 256 << 10, MaxConnsPerHost: atOnce, MaxIdleConnsPerHost: atOnce,
	}
}

// request is what one call differs in.
type request struct {
	header string // that carries the key; "" none
	query  string // parameter that carries the key; "" none
	key    string
}

// do sends one call and reads its answer.
func (r *run) do(ctx context.Context, q request) *answer {
	ctx, cancel := context.WithTimeout(ctx, r.o.Timeout)
	defer cancel()
	target := r.o.URL
	if q.query != "" {
		u, err := url.Parse(target)
		if err != nil {
			return &answer{err: err}
		}
		u.RawQuery = strings.TrimPrefix(u.RawQuery+"&"+url.QueryEscape(q.query)+"="+url.QueryEscape(q.key), "&")
		target = u.String()
	}
	req, err := http.NewRequestWithContext(ctx, r.o.Method, target, bytes.NewReader(r.o.Body))
	if err != nil {
		return &answer{err: reason(err)}
	}
	for name, values := range r.o.Header {
		req.Header[name] = values
	}
	if host := r.o.Header.Get("Host"); host != "" {
		req.Host = host
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", "weir-verify")
	}
	if q.header != "" {
		req.Header[q.header] = []string{q.key} // as it is written, whatever its case
	}
	res, err := r.client.Do(req)
	if err != nil {
		return &answer{err: r.late(ctx, reason(err))}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return &answer{err: r.late(ctx, reason(err))}
	}
	return &answer{status: res.StatusCode, header: res.Header, body: body}
}

// reason is an error without the URL, which may hold the key.
func reason(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// late says in plain words which time was over.
func (r *run) late(ctx context.Context, err error) error {
	if r.ctx.Err() != nil {
		return r.ended()
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("no answer within %s", r.o.Timeout)
	}
	return err
}
