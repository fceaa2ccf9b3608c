// Package control is the door of the management APIs: every call of AWS's
// tools comes through it, whatever the service.
//
// A call is found, authenticated, authorised, decoded and handled, in this
// order. The service is the one that the signature was made for; where there
// is none to read, X-Amz-Target, the form's Action or the path tell. What a caller sends
// before its signature is checked costs little: a header is parsed, a key
// looked up, and only then the body read, because the signature covers it.
//
// The door answers programs, not browsers: it never sends CORS headers and
// refuses requests that a page of another origin made.
package control

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"weir/internal/control/protocol"
	"weir/internal/sigv4"
)

// DefaultMaxBody is the most bytes of a management call: Lambda's limit for
// code sent with CreateFunction (base64 of 50 MB).
const DefaultMaxBody = 70167211

// What Options.Credentials answers for a key it does not accept.
var (
	ErrUnknownKey   = errors.New("control: no such access key or session")
	ErrExpiredToken = errors.New("control: the session is over")
)

// Options says what stands behind the door and who may come through it.
type Options struct {
	Region   string // "us-east-1"
	Account  string // 12 digits
	Services []protocol.Service
	// Credentials gives the secret of an access key and who it belongs to.
	// token is the session token, "" without one; it belongs to the key or the
	// key is unknown. Errors: ErrUnknownKey, ErrExpiredToken; any other is an
	// internal failure. Required unless AnyCredentials.
	Credentials func(accessKeyID, token string, now time.Time) (secretKey string, caller protocol.Caller, err error)
	// AnyCredentials lets in whoever sends an Authorization header to a
	// loopback Host, as the account's root. For tests.
	AnyCredentials bool
	Now            func() time.Time // nil: time.Now
	Logger         *slog.Logger     // nil: slog.Default
	Ready          func() error     // nil: always ready
	// Own are weir's own routes by their path: "/_weir/requests" is that path,
	// "/_weir/keys/" all paths below it. Only the account's root gets through,
	// by a signature for OwnService.
	Own     map[string]http.Handler
	MaxBody int64 // 0: DefaultMaxBody
}

// Door is the handler of the control address. Safe for concurrent use.
type Door struct {
	o        Options
	services map[string]*protocol.Service
	ordered  []*protocol.Service
	unknown  [3]*protocol.Service // shapes errors where no service is found: rest-json, query, AWS JSON
}

// New builds the door. It fails when a service cannot be bound, two have one
// name, or nothing says whose keys are valid.
func New(o Options) (*Door, error) {
	if o.Credentials == nil && !o.AnyCredentials {
		return nil, errors.New("control: Credentials is missing")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.MaxBody == 0 {
		o.MaxBody = DefaultMaxBody
	}
	d := &Door{o: o, services: map[string]*protocol.Service{}}
	d.services[OwnService] = &protocol.Service{Name: OwnService, Wire: protocol.RESTJSON, Logger: o.Logger}
	d.unknown[0] = &protocol.Service{Wire: protocol.RESTJSON}
	d.unknown[1] = &protocol.Service{Wire: protocol.QueryXML, Namespace: "http://webservices.amazon.com/AWSFault/2005-15-09"}
	d.unknown[2] = &protocol.Service{Wire: protocol.AWSJSON}
	for _, s := range slices.Clone(o.Services) {
		if d.services[s.Name] != nil {
			return nil, fmt.Errorf("control: two services named %s", s.Name)
		}
		if s.Logger == nil {
			s.Logger = o.Logger
		}
		if err := s.Compile(); err != nil {
			return nil, fmt.Errorf("control: %w", err)
		}
		d.services[s.Name] = &s
		d.ordered = append(d.ordered, &s)
	}
	return d, nil
}

// passage is one call on its way through the door.
type passage struct {
	w         http.ResponseWriter
	r         *http.Request
	requestID string
	now       time.Time
	service   *protocol.Service
	caller    protocol.Caller
	body      []byte
}

// ServeHTTP implements http.Handler.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if path, _ := protocol.RawTarget(r); strings.HasPrefix(path, "/_weir/") {
		d.serveOwn(w, r, path)
		return
	}
	start := d.o.Now()
	p := &passage{w: w, r: canonical(r), requestID: uuid.NewString(), now: start}
	o, err := d.pass(p)
	if err != nil {
		o = d.refuse(p, err)
	}
	d.log(p, o, d.o.Now().Sub(start))
}

// pass takes a call through the door; an error is a refusal at the door, not
// the operation's own.
func (d *Door) pass(p *passage) (protocol.Outcome, error) {
	if crossOrigin(p.r) {
		return protocol.Outcome{}, denied("Requests from web pages of another origin are not accepted")
	}
	if err := d.admit(p); err != nil {
		return protocol.Outcome{}, err
	}
	call := protocol.Call{
		Service: p.service.Name, Region: d.o.Region, Account: d.o.Account,
		RequestID: p.requestID, Caller: p.caller, Now: p.now, Host: p.r.Host,
	}
	return p.service.Serve(p.w, p.r, p.body, call, func(action, resource string) error {
		return authorize(p.service, p.caller, action, resource)
	}), nil
}

// readBody reads what the caller sent, up to the limit.
func (d *Door) readBody(p *passage) error {
	if p.r.ContentLength > d.o.MaxBody {
		return d.tooLarge(p)
	}
	if p.r.Body == nil {
		return nil
	}
	// Only who knows an access key gets here, so what is announced is made room
	// for at once: code of 50 MB would be copied many times otherwise.
	var buf bytes.Buffer
	buf.Grow(int(max(p.r.ContentLength, 0)) + bytes.MinRead)
	_, err := buf.ReadFrom(io.LimitReader(p.r.Body, d.o.MaxBody+1))
	body := buf.Bytes()
	if err != nil {
		return &protocol.Error{Code: "RequestTimeoutException", Status: http.StatusRequestTimeout, Message: "The request body could not be read"}
	}
	if int64(len(body)) > d.o.MaxBody {
		return d.tooLarge(p)
	}
	p.body = body
	return nil
}

func (d *Door) tooLarge(p *passage) error {
	operation := ""
	if p.service != nil {
		operation = p.service.Lookup(p.r, nil)
	}
	if operation == "" {
		operation = "requested"
	}
	setClose(p.w)
	return &protocol.Error{
		Code: "RequestEntityTooLargeException", Status: http.StatusRequestEntityTooLarge,
		Message: fmt.Sprintf("Request must be smaller than %d bytes for the %s operation", d.o.MaxBody, operation),
	}
}

// setClose ends the connection after the answer: a body that was not read to
// its end would be taken for the next request.
func setClose(w http.ResponseWriter) { w.Header().Set("Connection", "close") }

// refuse answers a call that did not come through the door.
func (d *Door) refuse(p *passage, err error) protocol.Outcome {
	if p.body == nil && p.r.ContentLength != 0 && p.r.Body != nil {
		setClose(p.w)
	}
	s := p.service
	if s == nil {
		s = d.unknown[0]
		if strings.HasPrefix(p.r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
			s = d.unknown[1]
		} else if p.r.Header.Get(protocol.TargetHeader) != "" {
			s = d.unknown[2]
		}
	}
	query := s.Wire == protocol.QueryXML
	var signature *sigv4.Error
	var own *protocol.Error
	switch {
	case errors.As(err, &signature):
		own = &protocol.Error{Message: signature.Message}
		own.Code, own.Status = signature.Code(query)
		if query && signature.Reason == sigv4.Missing {
			own.Message = "Request is missing Authentication Token"
		}
	case errors.As(err, &own):
		own = named(own, query)
	default:
		d.o.Logger.Error("management call failed at the door", "request_id", p.requestID, "error", err)
		own = protocol.InternalFailure(p.requestID)
	}
	return protocol.Outcome{Status: s.WriteError(p.w, p.requestID, own), Err: own}
}

func (d *Door) log(p *passage, o protocol.Outcome, took time.Duration) {
	attrs := []slog.Attr{
		slog.String("operation", o.Operation),
		slog.Int("status", o.Status),
		slog.Float64("ms", float64(took.Microseconds())/1000),
		slog.String("caller", p.caller.ARN),
		slog.String("request_id", p.requestID),
	}
	if p.service != nil {
		attrs = append(attrs, slog.String("service", p.service.Name))
	}
	var e *protocol.Error
	if errors.As(o.Err, &e) {
		attrs = append(attrs, slog.String("code", e.Code))
	}
	d.o.Logger.LogAttrs(p.r.Context(), slog.LevelInfo, "management call", attrs...)
}

// signed gives the signature's view of a request.
func signed(r *http.Request) sigv4.Request {
	path, query := protocol.RawTarget(r)
	return sigv4.Request{Method: r.Method, Path: path, Query: query, Host: r.Host, Header: r.Header.Values}
}

// canonical makes header names canonical where an engine kept them as sent.
func canonical(r *http.Request) *http.Request {
	odd := false
	for name := range r.Header {
		odd = odd || http.CanonicalHeaderKey(name) != name
	}
	if !odd {
		return r
	}
	c := r.WithContext(r.Context())
	c.Header = make(http.Header, len(r.Header))
	for name, values := range r.Header {
		key := http.CanonicalHeaderKey(name)
		c.Header[key] = append(c.Header[key], values...)
	}
	return c
}

// crossOrigin reports whether a browser made the request for a page that is
// not ours.
func crossOrigin(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site == "cross-site" || site == "same-site" {
		return true
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return false
	}
	_, host, _ := strings.Cut(origin, "://")
	return !strings.EqualFold(host, r.Host)
}
