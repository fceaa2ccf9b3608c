// Package message is what travels along the gateway's line: one client's
// Request, the Response it gets, header lists that keep order and case, and
// the Trail of execution-log lines.
package message

import (
	"net/netip"
	"strings"
	"time"
)

// Request is one client call as it was sent. Its strings and Body may lie in
// memory of the HTTP engine: they are valid until the handler returns, and
// whoever keeps one longer clones it. A Request is not modified after accept,
// and belongs to one goroutine at a time.
type Request struct {
	ID         string     // x-amzn-RequestId, a UUID
	ExtendedID string     // x-amz-apigw-id
	Received   time.Time  // wall clock, with monotonic reading
	Method     string     // the verb as sent, or the one that X-HTTP-Method-Override names instead
	Host       string     // Host header as sent, may hold a port
	Path       string     // path as sent, percent-encoding kept, no query; addressing prefix still there
	Query      string     // raw query as sent, without "?"
	Proto      string     // "HTTP/1.1"
	Scheme     string     // "http" or "https"
	Port       string     // port the caller reached us on, for X-Forwarded-Port
	Header     Header     // as sent: order, case and repetition kept
	Body       []byte     // whole body; nil when there is none
	Source     netip.Addr // the caller: TCP peer, or what a trusted proxy said
	Trail      *Trail     // nil: execution logging is off
}

// Response is what the caller gets. Body is sent as it is, after the handler has
// returned: it is no memory of the Request.
type Response struct {
	Status int
	Header Header
	Body   []byte
}

// Field is one header line.
type Field struct {
	Name  string
	Value string
}

// Header is a list of header lines in order, names in the case they were sent
// in. The zero value is empty and ready.
type Header []Field

// Get returns the value of the first line called name (case-insensitive), or "".
func (h Header) Get(name string) string {
	for i := range h {
		if len(h[i].Name) == len(name) && strings.EqualFold(h[i].Name, name) {
			return h[i].Value
		}
	}
	return ""
}

// Last returns the value of the last line called name (case-insensitive), and
// whether there is one.
func (h Header) Last(name string) (string, bool) {
	for i := len(h) - 1; i >= 0; i-- {
		if len(h[i].Name) == len(name) && strings.EqualFold(h[i].Name, name) {
			return h[i].Value, true
		}
	}
	return "", false
}

// Has reports whether there is a line called name (case-insensitive).
func (h Header) Has(name string) bool {
	_, ok := h.Last(name)
	return ok
}

// Add appends a line.
func (h *Header) Add(name, value string) { *h = append(*h, Field{name, value}) }

// Set replaces all lines called name by one at the place of the first, or
// appends it.
func (h *Header) Set(name, value string) {
	kept, placed := (*h)[:0], false
	for _, f := range *h {
		if !strings.EqualFold(f.Name, name) {
			kept = append(kept, f)
		} else if !placed {
			kept, placed = append(kept, Field{name, value}), true
		}
	}
	if !placed {
		kept = append(kept, Field{name, value})
	}
	*h = kept
}

// Del removes all lines called name.
func (h *Header) Del(name string) {
	kept := (*h)[:0]
	for _, f := range *h {
		if !strings.EqualFold(f.Name, name) {
			kept = append(kept, f)
		}
	}
	*h = kept
}

// Trail collects the execution-log lines of one request, without prefix. All
// methods of a nil Trail do nothing, so that the line costs nothing while
// logging is off.
type Trail struct {
	lines []string
}

// Add appends one line.
func (t *Trail) Add(line string) {
	if t != nil {
		t.lines = append(t.lines, line)
	}
}

// On reports whether lines are kept: guard costly formatting with it.
func (t *Trail) On() bool { return t != nil }

// Lines returns what was added, in order.
func (t *Trail) Lines() []string {
	if t == nil {
		return nil
	}
	return t.lines
}

// Masked hides a secret as AWS's execution log does: 34 asterisks and the last
// six characters. What is shorter than any key shows nothing at all: six of its
// characters might be most of it.
func Masked(value string) string {
	const stars, shortest = "**********************************", 20
	if value == "" {
		return ""
	}
	if len(value) < shortest {
		return stars
	}
	tail := []byte(value[len(value)-6:])
	for i, c := range tail {
		if c <= ' ' || c > '~' {
			tail[i] = '?' // a header may hold what would break a log line
		}
	}
	return stars + string(tail)
}
