// Package telemetry is what weir reports of its work: one Record for every
// request, and log events for functions and stages, through a sink that never
// stands in the way of a call.
package telemetry

import (
	"net/netip"
	"time"
	"unicode/utf8"
)

// Verdicts of a Record.
const (
	Admitted = "admitted"
	Refused  = "refused"
	Missed   = "missed" // no API, stage or method answers there
	Broken   = "broken" // we failed
)

// The most bytes that a Record keeps of texts whose length a stranger chooses.
const (
	maxRequestID = 64
	maxExtended  = 16
	MaxMethod    = 32
	MaxPath      = 512
	MaxUserAgent = 256
	MaxDetail    = 256
)

// Record is what happened to one request. It never holds a key value. As the
// gateway hands it over, RequestID, ExtendedID, Method, Path, UserAgent and
// Detail are borrowed and of any length; what is kept is a Clone.
type Record struct {
	RequestID    string        `json:"requestId"`
	ExtendedID   string        `json:"extendedRequestId,omitempty"`
	Time         time.Time     `json:"time"` // when it was received
	Method       string        `json:"method"`
	Path         string        `json:"path"` // as it was sent
	Status       int           `json:"status"`
	APIID        string        `json:"apiId,omitempty"`
	Stage        string        `json:"stage,omitempty"`
	ResourcePath string        `json:"resourcePath,omitempty"`
	KeyID        string        `json:"keyId,omitempty"`
	PlanID       string        `json:"planId,omitempty"`
	Verdict      string        `json:"verdict"`          // one of the above
	Reason       string        `json:"reason,omitempty"` // of a refusal: a gateway response type such as THROTTLED, or what kept it from being a request: MALFORMED_REQUEST …
	Cause        Cause         `json:"cause,omitzero"`   // of a refusal or a miss: which check it was
	Shadow       Cause         `json:"shadow,omitzero"`  // of a call that was let in only because a tag of its usage plan says so: what would have refused it
	Limit        Limit         `json:"limit,omitzero"`   // of a refusal by a limit, or with Shadow
	Detail       string        `json:"detail,omitempty"` // the execution log's sentence, for people
	SourceIP     netip.Addr    `json:"sourceIp"`
	UserAgent    string        `json:"userAgent,omitempty"`
	RequestSize  int           `json:"requestSize"`   // bytes of the body
	ResponseSize int           `json:"responseSize"`  // bytes of the body
	Latency      time.Duration `json:"latencyNs"`     // from the request's receipt to its answer
	Integration  time.Duration `json:"integrationNs"` // part of Latency spent in the integration

	number uint64 // its place among all that Requests was given
}

// Clone gives a Record that owns its texts, in one piece of memory, with long
// ones cut off.
func (r *Record) Clone() *Record {
	own := *r
	own.take(string(r.appendTexts(make([]byte, 0, 256))), own.lengths())
	return &own
}

// borrowed are the texts of a Record that somebody else may own.
func (r *Record) borrowed() [6]*string {
	return [6]*string{&r.RequestID, &r.ExtendedID, &r.Method, &r.Path, &r.UserAgent, &r.Detail}
}

// mostOf are the bounds of the borrowed texts.
var mostOf = [6]int{maxRequestID, maxExtended, MaxMethod, MaxPath, MaxUserAgent, MaxDetail}

// lengths are those of the borrowed texts as they are kept.
func (r *Record) lengths() (n [6]uint16) {
	for i, s := range r.borrowed() {
		n[i] = uint16(len(clip(*s, mostOf[i])))
	}
	return n
}

func (r *Record) appendTexts(b []byte) []byte {
	for i, s := range r.borrowed() {
		b = append(b, clip(*s, mostOf[i])...)
	}
	return b
}

// take cuts the texts out of one that holds them all.
func (r *Record) take(texts string, lengths [6]uint16) {
	for i, s := range r.borrowed() {
		*s, texts = texts[:lengths[i]], texts[lengths[i]:]
	}
}

// clip is the front of a text, without half a character at its end.
func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most]
}
