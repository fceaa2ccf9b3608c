// Package telemetry is what weir reports of its work: one Record for every
// request, and log events for functions and stages, through a sink that never
// stands in the way of a call.
package telemetry

import (
	"net/netip"
	"time"
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
	MaxMethod    = 32
	MaxPath      = 512
	MaxUserAgent = 256
	MaxDetail    = 256
)

// Record is what happened to one request. It owns its strings (they are not
// memory of the HTTP engine) and cuts long ones off. It never holds a key
// value.
type Record struct {
	RequestID    string        `json:"requestId"`
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
	Reason       string        `json:"reason,omitempty"` // gateway response type of a refusal: THROTTLED, QUOTA_EXCEEDED, INVALID_API_KEY …
	Detail       string        `json:"detail,omitempty"` // the execution log's sentence, for people
	SourceIP     netip.Addr    `json:"sourceIp"`
	UserAgent    string        `json:"userAgent,omitempty"`
	RequestSize  int           `json:"requestSize"`   // bytes of the body
	ResponseSize int           `json:"responseSize"`  // bytes of the body
	Latency      time.Duration `json:"latencyNs"`     // from the request's receipt to its answer
	Integration  time.Duration `json:"integrationNs"` // part of Latency spent in the integration

	number uint64 // its place among all that Requests was given
}
