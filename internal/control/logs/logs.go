// Package logs is AWS's CloudWatch Logs API (Logs_20140328), as far as reading
// goes: what functions and stages logged, by group and stream, filtered and
// page by page. What was logged before a call is in its answer.
package logs

import (
	"context"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"

	"weir/internal/control/protocol"
	"weir/internal/store"
)

// Options say what the service reads from.
type Options struct {
	Store *store.Store
	// Flush returns when everything that was logged before it was called can be
	// read, or with ctx's error; nil: there is nothing to wait for.
	Flush   func(ctx context.Context) error
	Region  string
	Account string
}

// api holds the handlers.
type api struct{ Options }

// Service is the CloudWatch Logs API over o.
func Service(o Options) protocol.Service {
	a := &api{o}
	return protocol.Service{
		Name:           "logs",
		Wire:           protocol.AWSJSON,
		Target:         "Logs_20140328",
		ValidationCode: "InvalidParameterException",
		Operations: []protocol.Operation{
			protocol.Target("DescribeLogGroups", a.describeLogGroups),
			protocol.Target("DescribeLogStreams", a.describeLogStreams),
			protocol.Target("FilterLogEvents", a.filterLogEvents),
			protocol.Target("GetLogEvents", a.getLogEvents),
		},
		Translate: translate,
		Authorization: func(call protocol.Call, _, _ string) (action, resource string) {
			return "logs:" + call.Operation, "*"
		},
	}
}

// flushTime bounds how long a reader waits for what was logged just before it
// asked: with a disk that hangs it gets what there is.
const flushTime = 3 * time.Second

func (a *api) flush(ctx context.Context) error {
	if a.Flush == nil {
		return nil
	}
	waiting, cancel := context.WithTimeout(ctx, flushTime)
	defer cancel()
	_ = a.Flush(waiting)
	return ctx.Err()
}

func translate(err error) *protocol.Error {
	switch {
	case errors.Is(err, store.ErrNoLogGroup):
		return noGroup()
	case errors.Is(err, store.ErrNoLogStream):
		return &protocol.Error{Code: "ResourceNotFoundException", Message: "The specified log stream does not exist."}
	}
	return nil
}

func noGroup() *protocol.Error {
	return &protocol.Error{Code: "ResourceNotFoundException", Message: "The specified log group does not exist."}
}

func invalid(message string) *protocol.Error {
	return &protocol.Error{Code: "InvalidParameterException", Message: message}
}

func badToken() *protocol.Error { return invalid("The specified nextToken is invalid.") }

// groupInput is how an operation names a group: by name, or by name or ARN.
type groupInput struct {
	LogGroupName       *string `json:"logGroupName" min:"1" max:"512" pattern:"[\\.\\-_/#A-Za-z0-9]+"`
	LogGroupIdentifier *string `json:"logGroupIdentifier" min:"1" max:"2048" pattern:"[\\w#+=/:,.@-]*"`
}

// group is the name of the group that is meant. Groups of other accounts and
// regions are not here.
func (a *api) group(in groupInput) (string, error) {
	switch {
	case in.LogGroupName != nil && in.LogGroupIdentifier != nil:
		return "", &protocol.Error{Code: "ValidationException", Message: "LogGroup name and LogGroup ARN are mutually exclusive parameters."}
	case in.LogGroupName != nil:
		return *in.LogGroupName, nil
	case in.LogGroupIdentifier != nil:
		return a.identified(*in.LogGroupIdentifier)
	}
	return "", invalid("1 validation error detected: Value null at 'logGroupName' failed to satisfy constraint: Member must not be null")
}

func (a *api) identified(nameOrARN string) (string, error) {
	if !strings.HasPrefix(nameOrARN, "arn:") {
		return nameOrARN, nil
	}
	name, ok := strings.CutPrefix(nameOrARN, a.groupARN(""))
	if !ok {
		return "", noGroup()
	}
	return name, nil
}

func (a *api) groupARN(name string) string {
	return "arn:aws:logs:" + a.Region + ":" + a.Account + ":log-group:" + name
}

// milliseconds of a time; nil for the zero time.
func milliseconds(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	ms := t.UnixMilli()
	return &ms
}

// nanoseconds of a time; 0 for the zero time.
func nanoseconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// at is the time that a caller gave in milliseconds, and some more; the zero
// time for none. Later times than the store can hold are its last.
func at(ms *int64, more int64) time.Time {
	if ms == nil {
		return time.Time{}
	}
	const last = 1<<63/1_000_000 - 2
	return time.UnixMilli(min(*ms, last) + more)
}

// Tokens are opaque to callers: parts with ":" between them. A kind keeps one
// operation's tokens out of another's.
func token(kind string, parts ...string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(kind + ":" + strings.Join(parts, ":")))
}

// parseToken takes a token apart into n parts, the last of which may hold ":".
func parseToken(text, kind string, n int) ([]string, error) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil, badToken()
	}
	parts := strings.SplitN(string(raw), ":", n+1)
	if len(parts) != n+1 || parts[0] != kind {
		return nil, badToken()
	}
	return parts[1:], nil
}

func number(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, badToken()
	}
	return n, nil
}
