// Package invocation is what is asked of a function and what came back: the
// one vocabulary that the gateway's integrations, the Lambda API and the
// execution environments share.
package invocation

import (
	"context"
	"time"
)

// Types of an invocation.
const (
	RequestResponse = "RequestResponse"
	Event           = "Event"
	DryRun          = "DryRun"
)

// Invocation is one request to run a function. The Invoker keeps no reference
// to Payload after Invoke returned, except for Event, where it copies it.
type Invocation struct {
	Function      string // name, partial ARN or full ARN
	Qualifier     string // version or alias; empty is $LATEST
	Type          string // empty is RequestResponse
	Payload       []byte
	ClientContext string // JSON text, decoded from the header's base64
	Tail          bool   // keep the last 4 KB of log for Result.LogTail
	TraceID       string // X-Amzn-Trace-Id value, empty for none
	RequestID     string // becomes the AWS request id; empty: one is made
	Caller        Caller
}

// Caller says on whose behalf a function is called, for its resource policy.
// The zero value is the owner of the account, who needs no permission.
type Caller struct {
	Service       string // "apigateway.amazonaws.com"
	SourceARN     string
	SourceAccount string
}

// Result is what a function answered.
type Result struct {
	RequestID       string
	StatusCode      int    // 200, 202 (Event) or 204 (DryRun)
	Payload         []byte // the function's answer, or AWS's error JSON when FunctionError is set
	FunctionError   string // empty, or "Unhandled"
	LogTail         []byte // at most 4 KB, not yet base64
	ExecutedVersion string
	Duration        time.Duration
	ColdStart       bool
}

// MaxPayload is how many bytes a function is called with at most (AWS's limit).
const MaxPayload = 6 << 20

// Reasons for which a function was not run.
const (
	NotFound              = "ResourceNotFoundException"
	PermissionDenied      = "AccessDeniedException"
	Throttled             = "TooManyRequestsException"
	RequestTooLarge       = "RequestTooLargeException"
	InvalidRequestContent = "InvalidRequestContentException"
	ResourceConflict      = "ResourceConflictException"
	InvalidRuntime        = "InvalidRuntimeException"
	ServiceFailure        = "ServiceException"
)

// Error says why a function was not run. A function that ran and failed is not
// an Error but a Result with FunctionError set.
type Error struct {
	Code    string // one of the reasons above: AWS's error type
	Reason  string // AWS's throttle reason, with Throttled
	Message string // AWS's words
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Invoker runs functions. Invoke returns when the function answered, failed,
// timed out or could not be run (*Error). It is safe for concurrent use.
type Invoker interface {
	Invoke(ctx context.Context, inv *Invocation) (*Result, error)
}
