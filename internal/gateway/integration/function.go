package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"weir/internal/catalog"
	"weir/internal/gateway/event"
	"weir/internal/gateway/mapping"
	"weir/internal/gateway/message"
	"weir/internal/gateway/route"
	"weir/internal/invocation"
)

// function is a compiled AWS_PROXY integration.
type function struct {
	arn       string
	sourceARN string // up to the verb: arn:aws:execute-api:…/stage/
	path      string // resource path
	timeout   time.Duration
	binary    []string
	event     event.Parts
}

// Lines of the execution log, as recorded from AWS.
const (
	lineMalformed   = "Execution failed due to configuration error: Malformed Lambda proxy response"
	lineHeaders     = lineMalformed + ": its headers are larger than 32768 bytes"
	linePermissions = "Execution failed due to configuration error: Invalid permissions on Lambda function"
	lineRate        = "Execution failed due to configuration error: Rate Exceeded."
	lineTimeout     = "Execution failed due to a timeout error"
)

// compileFunction makes an AWS_PROXY Plan. The uri is
// arn:aws:apigateway:{region}:lambda:path/2015-03-31/functions/{arn}/invocations,
// in which stage variables may stand.
func (r *Runner) compileFunction(d *catalog.Deployment, st *catalog.Stage, m *route.Method) *Plan {
	in := m.Config.Integration
	if in.HTTPMethod != "POST" {
		return brokenPlan("Execution failed due to configuration error: the integration's HTTP method for a Lambda function is POST, not " + in.HTTPMethod)
	}
	arn, ok := catalog.FunctionInvokedBy(mapping.Expand(in.URI, st.Variables))
	if !ok {
		return brokenPlan("Execution failed due to configuration error: Invalid Lambda function URI " + in.URI)
	}
	if in.Credentials != "" {
		// Permissions of roles are not enforced yet: a role must not be what
		// lets a call through.
		return &Plan{broken: &Failure{Type: ConfigurationError, Lines: []string{
			linePermissions + " (the integration's credentials role is not honoured by this version)",
		}}}
	}
	f := &function{
		arn:       arn,
		sourceARN: "arn:aws:execute-api:" + r.Region + ":" + r.Account + ":" + st.APIID + "/" + st.StageName + "/",
		path:      m.ResourcePath,
		timeout:   timeoutOf(in),
		binary:    d.API.BinaryMediaTypes,
		event:     event.Compile(r.Account, d, st, m),
	}
	return &Plan{function: f}
}

// invoke calls the function and reads its answer.
func (r *Runner) invoke(ctx context.Context, f *function, c *Call, resp *message.Response) *Failure {
	if len(c.Request.Body) > invocation.MaxPayload {
		// An event is no smaller than the body in it: it need not be made.
		return invocationFailure(&invocation.Error{
			Code:    invocation.RequestTooLarge,
			Message: fmt.Sprintf("Request must be smaller than %d bytes for the InvokeFunction operation", invocation.MaxPayload),
		}, false)
	}
	trace, root := event.NewTrace(c.Request.Received, c.Request.Header)
	b := event.Take()
	payload := b.Proxy(&f.event, &event.Call{
		Request: c.Request, Address: c.Address, Params: c.Params, Trace: trace, KeyID: c.KeyID, Key: c.Key, Authorizer: c.Authorizer,
	})
	if c.Request.Trail.On() {
		c.Request.Trail.Add("Endpoint request URI: " + f.arn)
	}
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	result, err := r.Invoker.Invoke(ctx, &invocation.Invocation{
		Function: f.arn,
		Payload:  payload,
		TraceID:  root,
		Caller: invocation.Caller{
			Service:       "apigateway.amazonaws.com",
			SourceARN:     f.sourceARN + c.Request.Method + f.path,
			SourceAccount: r.Account,
		},
	})
	timedOut := errors.Is(ctx.Err(), context.DeadlineExceeded)
	cancel()
	b.Done() // the Invoker keeps no reference to the payload
	var failure *Failure
	switch {
	case err != nil:
		failure = invocationFailure(err, timedOut)
	case result.FunctionError != "":
		failure = functionFailure(result)
	default:
		failure = f.reply(result.Payload, c, resp)
	}
	if failure != nil {
		failure.Trace = root
		return failure
	}
	resp.Header.Add("X-Amzn-Trace-Id", root)
	return nil
}

// invocationFailure is the answer to a function that was not run.
func invocationFailure(err error, timedOut bool) *Failure {
	var refused *invocation.Error
	if !errors.As(err, &refused) {
		if timedOut {
			return &Failure{Type: IntegrationTimeout, Lines: []string{lineTimeout}}
		}
		return &Failure{Type: Default5XX, Status: 500, Lines: []string{
			"Execution failed due to an internal error: " + err.Error(),
		}}
	}
	switch refused.Code {
	case invocation.PermissionDenied, invocation.NotFound:
		// AWS says the same for both: a function that is not there gave no
		// permission.
		return configurationError(linePermissions)
	case invocation.Throttled:
		// Seen on AWS as 500, not 429 or 502.
		return &Failure{Type: Default5XX, Status: 500, Lines: []string{
			"Lambda invocation failed with status: 429.", lineRate,
		}}
	case invocation.RequestTooLarge:
		return &Failure{Type: RequestTooLarge, Lines: []string{
			"Lambda invocation failed with status: 413. " + refused.Message,
		}}
	}
	return &Failure{Type: Default5XX, Status: 500, Lines: []string{
		"Execution failed due to configuration error: " + refused.Code + ": " + refused.Message,
	}}
}

// functionFailure is the answer to a function that ran and failed.
func functionFailure(result *invocation.Result) *Failure {
	var said struct {
		ErrorMessage string `json:"errorMessage"`
	}
	_ = json.Unmarshal(result.Payload, &said) // a custom runtime may say anything
	return &Failure{Type: Default5XX, Status: 502, Lines: []string{
		"Lambda execution failed with status 200 due to customer function error: " + said.ErrorMessage +
			". Lambda request id: " + result.RequestID,
	}}
}
