package function

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"weir/internal/invocation"
)

// call is one invocation on its way through one environment.
type call struct {
	id            string
	arn           string
	payload       []byte
	clientContext string
	traceID       string
	tail          *tail // nil: nobody asked for the log

	outcome  chan outcome // takes exactly one answer of the function
	deadline time.Time
	sent     time.Time
	coldInit time.Duration // 0: warm
}

// outcome is how a call ended. The zero value is an empty answer.
type outcome struct {
	payload []byte
	// fault is the error type of a call that failed.
	fault string
	// status goes to the REPORT line: "timeout", "error" or nothing.
	status string
	// line goes to the log before END.
	line string
	took time.Duration
}

func newCall(inv *invocation.Invocation, id, arn string) *call {
	c := &call{id: id, arn: arn, payload: inv.Payload, clientContext: inv.ClientContext, traceID: inv.TraceID, outcome: make(chan outcome, 1)}
	if inv.Tail {
		c.tail = new(tail)
	}
	if len(c.payload) == 0 {
		c.payload = []byte("{}")
	}
	return c
}

// run takes a call from an environment to a result.
func (f *Functions) run(ctx context.Context, r *revision, c *call) (*invocation.Result, error) {
	for range 3 {
		e, err := r.pool.acquire(ctx, c)
		if err != nil {
			return f.startFailed(c, err)
		}
		if !e.begin(c) {
			// It went away between two calls; this call never reached it.
			e.kill()
			continue
		}
		return f.attend(ctx, e, c)
	}
	return nil, &invocation.Error{Code: invocation.ServiceFailure, Message: "No execution environment stayed long enough to take the call."}
}

// attend waits for the outcome of a call that e has begun.
func (f *Functions) attend(ctx context.Context, e *environment, c *call) (*invocation.Result, error) {
	late, stop := f.o.Clock.Timer(c.deadline.Sub(c.sent))
	if o, ok := e.await(ctx, c, late); ok {
		stop()
		return e.finish(c, o), nil
	}
	// The caller went away. The function is not told: it runs on, as on AWS.
	c.payload = nil
	f.gate.stay()
	follow := func() {
		defer f.gate.leave()
		defer stop()
		o, _ := e.await(context.Background(), c, late)
		e.finish(c, o)
	}
	if !f.background(follow) {
		follow() // everything is being killed, so this is short
	}
	return nil, ctx.Err()
}

// startFailed turns what went wrong before the call was given to a function
// into the caller's answer.
func (f *Functions) startFailed(c *call, err error) (*invocation.Result, error) {
	var failure *initFailure
	if !errors.As(err, &failure) {
		return nil, err
	}
	res := c.result(failure.outcome)
	res.ColdStart = true
	return res, nil
}

func (c *call) result(o outcome) *invocation.Result {
	r := &invocation.Result{RequestID: c.id, StatusCode: 200, Payload: o.payload, ExecutedVersion: latest, Duration: o.took, ColdStart: c.coldInit > 0}
	if o.fault != "" {
		r.FunctionError = "Unhandled"
	}
	if c.tail != nil {
		r.LogTail = c.tail.bytes()
	}
	return r
}

// The ways in which an environment fails a call, in AWS's words.

func timedOut(c *call, limit time.Duration) outcome {
	message := fmt.Sprintf("Task timed out after %.2f seconds", limit.Seconds())
	return outcome{
		payload: faultBody("Sandbox.Timedout", "RequestId: "+c.id+" Error: "+message),
		fault:   "Sandbox.Timedout", status: "timeout", line: "\t" + message, took: limit,
	}
}

func exited(c *call, how string) outcome {
	reason := "Runtime exited without providing a reason"
	if how != "" {
		reason = "Runtime exited with error: " + how
	}
	return platformFault(c, "Runtime.ExitError", reason)
}

func platformFault(c *call, fault, reason string) outcome {
	message := "RequestId: " + c.id + " Error: " + reason
	return outcome{payload: faultBody(fault, message), fault: fault, status: "error", line: message + "\n" + fault}
}

func responseTooLarge() outcome {
	const fault = "Function.ResponseSizeTooLarge"
	return outcome{
		payload: fmt.Appendf(nil, `{"errorMessage":"Response payload size exceeded maximum allowed payload size (%d bytes).","errorType":%q}`, maxResponse, fault),
		fault:   fault, status: "error",
	}
}

func faultBody(fault, message string) []byte {
	body, err := json.Marshal(struct {
		Type    string `json:"errorType"`
		Message string `json:"errorMessage"`
	}{fault, message})
	if err != nil {
		panic(err) // two strings always marshal
	}
	return body
}

// event is the answer to next: head and, when it is small, body in one piece.
func (c *call) event(into []byte, accepted bool) []byte {
	if accepted {
		into = append(into, acceptedAnswer...)
	}
	into = append(into, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nLambda-Runtime-Aws-Request-Id: "...)
	into = append(into, c.id...)
	into = append(into, "\r\nLambda-Runtime-Deadline-Ms: "...)
	into = strconv.AppendInt(into, c.deadline.UnixMilli(), 10)
	into = append(into, "\r\nLambda-Runtime-Invoked-Function-Arn: "...)
	into = append(into, c.arn...)
	into = append(into, "\r\nLambda-Runtime-Trace-Id: "...)
	if c.traceID != "" {
		into = appendFieldValue(into, c.traceID)
	} else {
		into = appendTraceID(into, c.sent)
	}
	if c.clientContext != "" {
		into = append(into, "\r\nLambda-Runtime-Client-Context: "...)
		into = appendFieldValue(into, c.clientContext)
	}
	into = append(into, "\r\nContent-Length: "...)
	into = strconv.AppendInt(into, int64(len(c.payload)), 10)
	return append(into, "\r\n\r\n"...)
}

// appendFieldValue keeps a caller's text from ending the header line: line ends
// between JSON's tokens become spaces.
func appendFieldValue(into []byte, s string) []byte {
	for _, c := range []byte(s) {
		if c < ' ' || c == 0x7f {
			c = ' '
		}
		into = append(into, c)
	}
	return into
}

// appendTraceID makes an X-Ray trace header for a call that came without one,
// because functions on AWS always see one. The ids need not be secret.
func appendTraceID(into []byte, now time.Time) []byte {
	return fmt.Appendf(into, "Root=1-%08x-%08x%016x;Parent=%016x;Sampled=0", uint32(now.Unix()), rand.Uint32(), rand.Uint64(), rand.Uint64())
}
