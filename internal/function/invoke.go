package function

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"weir/internal/invocation"
	"weir/internal/policy"
)

// Limits of a payload in bytes, beside invocation.MaxPayload. Source: Lambda
// quotas.
const (
	maxEventPayload = 1 << 20
	// maxResponse is what a function may answer: 6 MiB and 100 bytes of
	// envelope, as recorded from AWS.
	maxResponse = 6<<20 + 100
	// maxClientContext is AWS's bound of 3,583 bytes of base64, decoded.
	maxClientContext = 3583 / 4 * 3
)

// Invoke implements invocation.Invoker. When ctx ends first its error is
// returned and the function runs on until it is done or times out, as on AWS.
func (f *Functions) Invoke(ctx context.Context, inv *invocation.Invocation) (*invocation.Result, error) {
	if !f.gate.enter() {
		return nil, &invocation.Error{Code: invocation.ServiceFailure, Message: "The server is stopping."}
	}
	defer f.gate.leave()
	r, arn, err := f.find(inv)
	if err != nil {
		return nil, err
	}
	if err := r.admits(f, inv, arn); err != nil {
		return nil, err
	}
	if err := checkContent(inv); err != nil {
		return nil, err
	}
	id := inv.RequestID
	if !validID(id) {
		id = uuid.NewString()
	}
	switch inv.Type {
	case "", invocation.RequestResponse:
		return f.run(ctx, r, newCall(inv, id, arn))
	case invocation.Event:
		return f.enqueue(r.fn.Name, inv, id, arn)
	case invocation.DryRun:
		return &invocation.Result{RequestID: id, StatusCode: 204, ExecutedVersion: latest}, nil
	}
	return nil, &invocation.Error{Code: "InvalidParameterValueException", Message: "Unsupported invocation type: " + inv.Type}
}

// find gives the function that inv names, and the ARN it was invoked by.
func (f *Functions) find(inv *invocation.Invocation) (*revision, string, error) {
	name, qualifier, ok := f.parseName(inv.Function)
	if !ok {
		asked := inv.Function
		if !strings.HasPrefix(asked, "arn:") {
			asked = f.arn(asked, inv.Qualifier)
		}
		return nil, "", notFound(asked)
	}
	if inv.Qualifier != "" {
		if qualifier != "" && qualifier != inv.Qualifier {
			return nil, "", &invocation.Error{
				Code:    "InvalidParameterValueException",
				Message: "The derived qualifier from the function name does not match the specified qualifier.",
			}
		}
		qualifier = inv.Qualifier
	}
	r, ok := f.current.Load(name)
	if !ok || (qualifier != "" && qualifier != latest) {
		if qualifier == "" {
			qualifier = latest // as AWS says it, though nobody asked for it
		}
		return nil, "", notFound(f.arn(name, qualifier))
	}
	if qualifier == "" {
		return r, r.fn.ARN, nil
	}
	return r, f.arn(name, qualifier), nil
}

func notFound(arn string) error {
	return &invocation.Error{Code: invocation.NotFound, Message: "Function not found: " + arn}
}

// admits says whether the function may be called by whom, and now.
func (r *revision) admits(f *Functions, inv *invocation.Invocation, arn string) error {
	if inv.Caller.Service != "" && !r.allows(&inv.Caller) {
		return &invocation.Error{Code: invocation.PermissionDenied, Message: "User: " + inv.Caller.Service +
			" is not authorized to perform: lambda:InvokeFunction on resource: " + arn +
			" because no resource-based policy allows the lambda:InvokeFunction action"}
	}
	if s := r.fn.State; s == "Pending" || s == "Failed" {
		return &invocation.Error{
			Code:    invocation.ResourceConflict,
			Message: "The operation cannot be performed at this time. The function is currently in the following state: " + s,
		}
	}
	return nil
}

func (r *revision) allows(c *invocation.Caller) bool {
	if r.policy == nil {
		return false
	}
	context := make(map[string][]string, 2)
	if c.SourceARN != "" {
		context["aws:sourcearn"] = []string{c.SourceARN}
	}
	if c.SourceAccount != "" {
		context["aws:sourceaccount"] = []string{c.SourceAccount}
	}
	return r.policy.Evaluate(&policy.Request{
		Principal: policy.Principal{Service: c.Service},
		Action:    "lambda:InvokeFunction",
		Resource:  r.fn.ARN,
		Context:   context,
	}) == policy.Allowed
}

// checkContent refuses payloads and client contexts that AWS refuses.
func checkContent(inv *invocation.Invocation) error {
	limit := invocation.MaxPayload
	if inv.Type == invocation.Event {
		limit = maxEventPayload
	}
	if len(inv.Payload) > limit {
		return &invocation.Error{
			Code:    invocation.RequestTooLarge,
			Message: fmt.Sprintf("Request must be smaller than %d bytes for the InvokeFunction operation", limit),
		}
	}
	if len(inv.Payload) > 0 && !json.Valid(inv.Payload) {
		return &invocation.Error{
			Code:    invocation.InvalidRequestContent,
			Message: "Could not parse request body into json: " + jsonFault(inv.Payload),
		}
	}
	if c := inv.ClientContext; c != "" && (len(c) > maxClientContext || !json.Valid([]byte(c))) {
		return &invocation.Error{
			Code:    invocation.InvalidRequestContent,
			Message: "Client context must be a valid Base64-encoded JSON object.",
		}
	}
	return nil
}

// jsonFault says where and why text is not JSON, in the manner of AWS's parser.
func jsonFault(text []byte) string {
	var v json.RawMessage
	err := json.Unmarshal(text, &v)
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) {
		return "the body is not JSON"
	}
	at := min(int(syntax.Offset), len(text))
	before := text[:at]
	line := 1 + bytes.Count(before, []byte{'\n'})
	column := at - bytes.LastIndexByte(before, '\n')
	if strings.HasPrefix(syntax.Error(), "unexpected end") || at == 0 {
		return fmt.Sprintf("Unexpected end-of-input at [line: %d, column: %d]", line, column)
	}
	c := text[at-1]
	return fmt.Sprintf("Unexpected character ('%c' (code %d)): expected a valid value "+
		"(JSON String, Number, Array, Object or token 'null', 'true' or 'false') at [line: %d, column: %d]", c, c, line, column)
}

// validID says whether s can be a request id: it becomes a header and a part
// of a path.
func validID(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for _, c := range []byte(s) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-') {
			return false
		}
	}
	return true
}
