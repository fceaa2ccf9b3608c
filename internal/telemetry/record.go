// Package telemetry is what weir reports of its work: one Record for every
// request, and log events for functions and stages, through a sink that never
// stands in the way of a call.
package telemetry

import "time"

// Verdicts of a Record.
const (
	Admitted = "admitted"
	Refused  = "refused"
	Missed   = "missed" // no API, stage or method answers there
	Broken   = "broken" // we failed
)

// Record is what happened to one request. It owns its strings (they are not
// memory of the HTTP engine). It never holds a key value.
type Record struct {
	RequestID    string
	Time         time.Time
	Method       string
	Path         string
	Status       int
	APIID        string
	Stage        string
	ResourcePath string
	KeyID        string
	PlanID       string
	Verdict      string // one of the above
	Reason       string // gateway response type of a refusal: THROTTLED, QUOTA_EXCEEDED, INVALID_API_KEY …
	Detail       string // the execution log's sentence, for people
	SourceIP     string
	UserAgent    string
	RequestSize  int
	ResponseSize int
	Latency      time.Duration
	Integration  time.Duration // part of Latency spent in the integration
}
