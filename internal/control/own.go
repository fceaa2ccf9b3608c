package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/google/uuid"

	"weir/internal/control/protocol"
	"weir/internal/sigv4"
)

// OwnService is the service that signatures for weir's own routes name.
const OwnService = "weir"

// serveOwn answers what is weir's own on this address: whether the process
// lives and whether it can work, open to everybody who reaches the address,
// and what Options.Own adds, for root only.
func (d *Door) serveOwn(w http.ResponseWriter, r *http.Request, path string) {
	if handler := d.own(path); handler != nil {
		d.serveSigned(w, r, handler)
		return
	}
	status, body := http.StatusNotFound, `{"message":"Not Found"}`
	switch path {
	case "/_weir/health":
		status, body = http.StatusOK, `{"status":"ok"}`
	case "/_weir/ready":
		status, body = http.StatusOK, `{"status":"ready"}`
		if d.o.Ready != nil {
			if err := d.o.Ready(); err != nil {
				d.o.Logger.Warn("not ready", "error", err)
				status, body = http.StatusServiceUnavailable, notReady(err)
			}
		}
	}
	if status != http.StatusNotFound && r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		status, body = http.StatusMethodNotAllowed, `{"message":"Method Not Allowed"}`
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write([]byte(body)) // the caller may be gone; nothing is left to tell it
	}
}

// own finds the handler of a path: its own, or the one for all below a folder.
func (d *Door) own(path string) http.Handler {
	if handler, ok := d.o.Own[path]; ok {
		return handler
	}
	for i := len(path) - 1; i > 0; i-- {
		if path[i] == '/' {
			if handler, ok := d.o.Own[path[:i+1]]; ok {
				return handler
			}
		}
	}
	return nil
}

// NotReady is an error of Options.Ready. Everybody who reaches the address is
// told Why; Cause may name paths and addresses, and is for the log.
type NotReady struct {
	Why   string // "the database does not answer"
	Cause error
}

func (e *NotReady) Error() string { return e.Why + ": " + e.Cause.Error() }
func (e *NotReady) Unwrap() error { return e.Cause }

func notReady(err error) string {
	answer := struct {
		Status string `json:"status"`
		Reason string `json:"reason,omitempty"`
	}{Status: "unavailable"}
	var known *NotReady
	if errors.As(err, &known) {
		answer.Reason = known.Why
	}
	text, err := json.Marshal(answer)
	if err != nil { // two strings always have a form
		return `{"status":"unavailable"}`
	}
	return string(text)
}

// serveSigned lets the account's root through to one of weir's own handlers,
// which gets the body that the signature covered.
func (d *Door) serveSigned(w http.ResponseWriter, r *http.Request, handler http.Handler) {
	start := d.o.Now()
	p := &passage{w: w, r: canonical(r), requestID: uuid.NewString(), now: start}
	o := protocol.Outcome{Operation: r.URL.Path}
	if err := d.admitOwn(p); err != nil {
		o = d.refuse(p, err)
	} else {
		p.r.Body = io.NopCloser(bytes.NewReader(p.body))
		answer := &observed{ResponseWriter: w, status: http.StatusOK}
		handler.ServeHTTP(answer, p.r)
		o.Status = answer.status
	}
	d.log(p, o, d.o.Now().Sub(start))
}

// observed remembers the status for the log.
type observed struct {
	http.ResponseWriter
	status int
}

func (w *observed) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController flush.
func (w *observed) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (d *Door) admitOwn(p *passage) error {
	if crossOrigin(p.r) {
		return denied("Requests from web pages of another origin are not accepted")
	}
	if err := d.admit(p); err != nil {
		return err
	}
	if p.service.Name != OwnService {
		return &sigv4.Error{Reason: sigv4.Invalid, Message: "Credential should be scoped to correct service: '" + OwnService + "'. "}
	}
	return authorize(p.service, p.caller, "weir:"+p.r.URL.Path, "*")
}
