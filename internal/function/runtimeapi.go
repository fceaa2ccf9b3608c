package function

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strconv"
	"time"
)

// This file serves the Runtime API to one environment. Source: Lambda developer
// guide, "Runtime API", and the behaviour of the published runtime clients.

// maxConns bounds the connections of one environment.
const maxConns = 64

const (
	runtimePath    = "/2018-06-01/runtime/"
	invocationPath = runtimePath + "invocation/"
)

// acceptedAnswer is the one answer that aws-lambda-go takes for a delivered
// response: exactly 202, or it exits.
const acceptedAnswer = "HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{\"status\":\"OK\"}\n"

// apiError is a refusal of the Runtime API.
type apiError struct {
	status  int
	fault   string
	message string
}

func invalidTransition(why string) *apiError {
	return &apiError{403, "InvalidStateTransition", why}
}

// conn is one connection of a runtime client.
type conn struct {
	e   *environment
	net net.Conn
	in  *bufio.Reader
	req request

	// Guarded by e.pool.mu. A waiting connection asked for work; whoever gives
	// it an event writes to it, while its own goroutine reads and so notices
	// when the client goes away.
	waiting bool
	owes    bool // the answer 202 goes out together with the event
}

// serve accepts connections until the listener is closed.
func (e *environment) serve() {
	for {
		c, err := e.listener.Accept()
		if err != nil {
			return
		}
		if !e.admit(c) {
			c.Close()
			continue
		}
		k := &conn{e: e, net: c, in: newReader(c)}
		go func() {
			defer e.conns.Done()
			k.serve()
			c.Close()
			e.connsMu.Lock()
			delete(e.open, c)
			e.connsMu.Unlock()
		}()
	}
}

func (e *environment) admit(c net.Conn) bool {
	e.connsMu.Lock()
	defer e.connsMu.Unlock()
	if e.closing || len(e.open) >= maxConns {
		return false
	}
	e.open[c] = struct{}{}
	e.conns.Add(1)
	return true
}

// stopServing ends listener and connections after the process ended. What the
// process sent before its end is still read; a process that escaped its group
// and holds a connection is given a second.
func (e *environment) stopServing() {
	e.listener.Close()
	e.connsMu.Lock()
	e.closing = true
	for c := range e.open {
		_ = c.SetDeadline(time.Now().Add(time.Second))
	}
	e.connsMu.Unlock()
	e.conns.Wait()
}

// serve answers one connection's requests in order.
func (k *conn) serve() {
	defer k.e.unpark(k)
	for {
		err := k.req.readHead(k.in)
		if k.e.unpark(k) {
			return // it spoke while it was to listen, or went away
		}
		if err == nil {
			err = k.handle()
		}
		if err != nil {
			if errors.Is(err, errMalformed) {
				_ = k.refuse(&apiError{400, "InvalidRequest", "The request is not valid HTTP/1.1 or too large"})
			}
			return
		}
		if k.req.closing {
			return
		}
	}
}

func (k *conn) handle() error {
	r := &k.req
	path := r.path
	if string(path) == invocationPath+"next" && string(r.method) == http.MethodGet {
		if _, err := r.readBody(k.in, 0); err != nil {
			return err
		}
		if refusal := k.e.asked(k); refusal != nil {
			return k.refuse(refusal)
		}
		return nil
	}
	if string(r.method) == http.MethodPost {
		if string(path) == runtimePath+"init/error" {
			return k.initError()
		}
		if rest, ok := bytes.CutPrefix(path, []byte(invocationPath)); ok {
			id, verb, _ := bytes.Cut(rest, []byte{'/'})
			switch string(verb) {
			case "response":
				return k.response(string(id))
			case "error":
				return k.failure(string(id))
			}
		}
	}
	// The extensions API is answered so too: clients that register there log a
	// warning and go on.
	if err := k.discard(); err != nil {
		return err
	}
	return k.refuse(&apiError{404, "NotFound", "There is no such operation in this Runtime API"})
}

func (k *conn) discard() error {
	if err := k.mayContinue(); err != nil {
		return err
	}
	_, err := k.req.readBody(k.in, 0)
	if errors.Is(err, errBodyTooLarge) {
		return nil
	}
	return err
}

func (k *conn) mayContinue() error {
	if !k.req.expects {
		return nil
	}
	_, err := k.net.Write([]byte("HTTP/1.1 100 Continue\r\n\r\n"))
	return err
}

// body reads a request's body; a too large one is an outcome, not an error.
func (k *conn) body() (body []byte, tooLarge bool, err error) {
	if err := k.mayContinue(); err != nil {
		return nil, false, err
	}
	body, err = k.req.readBody(k.in, maxResponse)
	if errors.Is(err, errBodyTooLarge) {
		return nil, true, nil
	}
	return body, false, err
}

func (k *conn) response(id string) error {
	body, tooLarge, err := k.body()
	if err != nil {
		return err
	}
	o := outcome{payload: body}
	switch {
	case tooLarge:
		o = responseTooLarge()
	case k.req.errorType != "":
		o = k.brokenOff()
	}
	refusal := k.e.answered(id, o)
	if refusal == nil && tooLarge {
		refusal = &apiError{413, "RequestEntityTooLarge", "Exceeded maximum allowed payload size (" + strconv.Itoa(maxResponse) + " bytes)."}
	}
	return k.acknowledge(refusal)
}

// brokenOff is a response whose trailers say that the function failed while it
// was being read.
func (k *conn) brokenOff() outcome {
	body, err := base64.StdEncoding.DecodeString(k.req.errorBody)
	if err != nil || len(body) == 0 {
		body = faultBody(k.req.errorType, "")
	}
	return outcome{payload: body, fault: k.req.errorType, status: "error"}
}

func (k *conn) failure(id string) error {
	o, err := k.reported()
	if err != nil {
		return err
	}
	return k.acknowledge(k.e.answered(id, o))
}

func (k *conn) initError() error {
	o, err := k.reported()
	if err != nil {
		return err
	}
	return k.acknowledge(k.e.failedInit(o))
}

// reported reads an error that a runtime client posts.
func (k *conn) reported() (outcome, error) {
	body, tooLarge, err := k.body()
	if err != nil {
		return outcome{}, err
	}
	if tooLarge {
		return responseTooLarge(), nil
	}
	fault := k.req.errorType
	if fault == "" {
		fault = "Unhandled" // aws-lambda-go names the type in the body alone
	}
	if len(body) == 0 {
		body = faultBody(fault, "")
	}
	return outcome{payload: body, fault: fault}, nil
}

// acknowledge answers what a function posted. When the client has sent its
// request for work already, the 202 waits for the event and both go out in one
// write.
func (k *conn) acknowledge(refusal *apiError) error {
	if refusal != nil {
		return k.refuse(refusal)
	}
	if n := k.in.Buffered(); n > 0 {
		ahead, _ := k.in.Peek(n)
		if bytes.HasPrefix(ahead, []byte("GET "+invocationPath+"next ")) && bytes.HasSuffix(ahead, []byte("\r\n\r\n")) {
			k.e.pool.mu.Lock()
			k.owes = true
			k.e.pool.mu.Unlock()
			return nil
		}
	}
	_, err := k.net.Write([]byte(acceptedAnswer))
	return err
}

func (k *conn) refuse(a *apiError) error {
	body, err := json.Marshal(struct {
		Message string `json:"errorMessage"`
		Type    string `json:"errorType"`
	}{a.message, a.fault})
	if err != nil {
		return err
	}
	var out []byte
	k.e.pool.mu.Lock()
	if k.owes {
		k.owes = false
		out = append(out, acceptedAnswer...)
	}
	k.e.pool.mu.Unlock()
	out = append(out, "HTTP/1.1 "...)
	out = strconv.AppendInt(out, int64(a.status), 10)
	out = append(out, ' ')
	out = append(out, http.StatusText(a.status)...)
	out = append(out, "\r\nContent-Type: application/json\r\nContent-Length: "...)
	out = strconv.AppendInt(out, int64(len(body)), 10)
	out = append(out, "\r\n\r\n"...)
	out = append(out, body...)
	_, err = k.net.Write(out)
	return err
}
