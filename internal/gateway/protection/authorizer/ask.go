package authorizer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"weir/internal/gateway/event"
	"weir/internal/gateway/message"
	"weir/internal/invocation"
	"weir/internal/policy"
)

// Outcome is what came of asking.
type Outcome uint8

// The outcomes. The zero Outcome is none.
const (
	_             Outcome = iota
	Allowed               // the policy allows the method
	Denied                // a Deny statement matches
	NotAllowed            // no statement matches
	Unauthorized          // no identity, a token that cannot be one, or the function said so
	Failed                // the function failed
	Misconfigured         // it could not be asked, or its answer is none
	TooLong               // the method ARN is longer than MaxMethodARN
)

// Verdict is an authorizer's word on one call.
type Verdict struct {
	Outcome Outcome
	Detail  string // unless Allowed, for people: the execution log's sentence. Nothing of the caller's is in it
	Ran     bool   // the function was run for this very call

	Principal string
	Policy    []byte           // as the function wrote it; not modified
	Key       string           // usageIdentifierKey
	Event     event.Authorizer // what the integration's event tells
}

// failure is why there is no answer.
type failure struct {
	outcome Outcome
	line    string
}

// Lines of the execution log.
const (
	lineConfiguration = "Execution failed due to configuration error: "
	lineUnauthorized  = "Unauthorized request: "
	lineForbidden     = "The client is not authorized to perform this operation."
)

// Ask asks an authorizer about one call. It waits for the function, for no
// longer than Timeout, unless the answer is known; ctx ends the wait.
func (r *Runner) Ask(ctx context.Context, a *Authorizer, q *Question) Verdict {
	v, said, methodARN := r.hear(ctx, a, q)
	if said == nil {
		return v
	}
	asked := evaluation(said.policy, q.Request, methodARN)
	switch said.policy.Evaluate(&asked) {
	case policy.Allowed:
		v.Outcome = Allowed
		return v
	case policy.Denied:
		v.Outcome, v.Detail = Denied, "the authorizer's policy denies the method"
	default:
		v.Outcome, v.Detail = NotAllowed, "the authorizer's policy does not allow the method"
	}
	q.Request.Trail.Add(lineForbidden)
	return v
}

// Test asks an authorizer that was compiled for a test. Its policy is not
// evaluated: Allowed says no more than that there is one.
func (r *Runner) Test(ctx context.Context, a *Authorizer, q *Question) Verdict {
	v, said, _ := r.hear(ctx, a, q)
	if said != nil {
		v.Outcome = Allowed
	}
	return v
}

// hear gets an authorizer's answer; without one the verdict says why.
func (r *Runner) hear(ctx context.Context, a *Authorizer, q *Question) (v Verdict, _ *answer, methodARN string) {
	req := q.Request
	if req.Trail.On() {
		req.Trail.Add("Starting authorizer: " + a.id + " for request: " + req.ID)
	}
	if a.broken != "" {
		return failed(req, failure{Misconfigured, a.broken}, false), nil, ""
	}
	methodARN = a.methodARN(q)
	if len(methodARN) > MaxMethodARN {
		return Verdict{Outcome: TooLong, Detail: "The method ARN is longer than " + strconv.Itoa(MaxMethodARN) + " bytes."}, nil, ""
	}
	id := identities.Get().(*identity)
	defer id.done()
	token, ok := id.read(a, q)
	if !ok {
		return failed(req, failure{Unauthorized, "an identity source of the authorizer is missing or empty"}, false), nil, ""
	}
	if req.Trail.On() {
		req.Trail.Add("Incoming identity: " + shown(a, id, token))
	}
	if a.expression != nil && !a.expression.MatchString(token) {
		return failed(req, failure{Unauthorized, "the token does not match the authorizer's validation expression"}, false), nil, ""
	}
	v, said, f := r.answer(ctx, a, q, id, methodARN, token)
	if said == nil {
		return failed(req, f, v.Ran), nil, ""
	}
	if req.Trail.On() {
		req.Trail.Add("Using valid authorizer policy for principal: " + message.Masked(said.principal))
		req.Trail.Add("Successfully completed authorizer execution")
	}
	v.Principal, v.Policy, v.Key, v.Event.Members = said.principal, said.text, said.key, said.members
	return v, said, methodARN
}

// shown is an identity as AWS's log shows it, masked.
func shown(a *Authorizer, id *identity, token string) string {
	if a.token {
		return message.Masked(token)
	}
	return "{" + strings.Join(id.lines, ", ") + "}"
}

// failed makes the verdict of a failure, with AWS's lines.
func failed(req *message.Request, f failure, ran bool) Verdict {
	switch {
	case !req.Trail.On():
	case f.outcome == Unauthorized:
		req.Trail.Add(lineUnauthorized + req.ID)
	default:
		req.Trail.Add(f.line)
	}
	return Verdict{Outcome: f.outcome, Detail: f.line, Ran: ran}
}

// evaluation is the question to the policy. The context's keys are made only
// for a policy that reads them.
func evaluation(d *policy.Document, req *message.Request, methodARN string) policy.Request {
	r := policy.Request{Action: "execute-api:Invoke", Resource: methodARN, Identity: true}
	if !d.ReadsContext() {
		return r
	}
	r.Context = map[string][]string{
		"aws:sourceip":        {req.Source.String()},
		"aws:securetransport": {strconv.FormatBool(req.Scheme == "https")},
		"aws:currenttime":     {req.Received.UTC().Format(time.RFC3339)},
		"aws:epochtime":       {strconv.FormatInt(req.Received.Unix(), 10)},
	}
	for key, header := range map[string]string{"aws:useragent": "User-Agent", "aws:referer": "Referer"} {
		if v, ok := req.Header.Last(header); ok {
			r.Context[key] = []string{v}
		}
	}
	return r
}

// answer gets the answer for an identity: a kept one, the one that somebody
// else is waiting for, or a new one.
func (r *Runner) answer(ctx context.Context, a *Authorizer, q *Question, id *identity, methodARN, token string) (v Verdict, _ *answer, _ failure) {
	if a.ttl == 0 {
		said, f, took := r.run(ctx, a, q, methodARN, token)
		return Verdict{Ran: true, Event: event.Authorizer{Latency: took}}, said, f
	}
	key := id.digest(&r.cache.seed)
	said, under, mine := r.cache.get(key, r.o.Now())
	switch {
	case said != nil:
		return Verdict{}, said, failure{}
	case !mine:
		began := r.o.Now()
		select {
		case <-under.done:
			return Verdict{Event: event.Authorizer{Latency: r.o.Now() - began}}, under.answer, under.failure
		case <-ctx.Done():
			return Verdict{}, nil, failure{Failed, "the caller went away while the authorizer was asked"}
		}
	}
	// What the others wait for does not end with the caller who came first.
	under.failure = failure{Failed, lineConfiguration + "Authorizer error"} // should run panic
	began := r.o.Now()
	defer func() { r.cache.settle(key, under, began+a.ttl) }()
	var took time.Duration
	under.answer, under.failure, took = r.run(context.WithoutCancel(ctx), a, q, methodARN, token)
	return Verdict{Ran: true, Event: event.Authorizer{Latency: took}}, under.answer, under.failure
}

// run calls the function and reads its answer.
func (r *Runner) run(ctx context.Context, a *Authorizer, q *Question, methodARN, token string) (*answer, failure, time.Duration) {
	trace, root := event.NewTrace(q.Request.Received, q.Request.Header)
	b := event.Take()
	defer b.Done() // the Invoker keeps no reference to the payload
	payload := b.Token(methodARN, token)
	if !a.token {
		payload = b.Request(&a.parts, &event.Call{
			Request: q.Request, Address: q.Address, Params: q.Params, Trace: trace, KeyID: q.KeyID, Key: q.Key,
		}, methodARN)
	}
	q.Request.Trail.Add("Sending request to " + a.function)
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	began := r.o.Now()
	result, err := r.o.Invoke(ctx, &invocation.Invocation{
		Function: a.function, Payload: payload, TraceID: root,
		Caller: invocation.Caller{Service: "apigateway.amazonaws.com", SourceARN: a.sourceARN, SourceAccount: r.o.Account},
	})
	took := r.o.Now() - began
	if err != nil {
		return nil, notRun(ctx, err), took
	}
	if result.FunctionError != "" {
		return nil, functionError(result), took
	}
	said, err := parseAnswer(result.Payload)
	if err != nil {
		return nil, failure{Misconfigured, lineConfiguration + "Invalid JSON in response: " + err.Error()}, took
	}
	return said, failure{}, took
}

// notRun is why a function gave no answer at all.
func notRun(ctx context.Context, err error) failure {
	var refused *invocation.Error
	switch {
	case errors.As(err, &refused):
		line := lineConfiguration + "Authorizer error: " + refused.Code
		if refused.Code == invocation.PermissionDenied || refused.Code == invocation.NotFound {
			// The same for both: a function that is not there gave no permission.
			line = lineConfiguration + "Invalid permissions on Lambda function"
		}
		return failure{Misconfigured, line}
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return failure{Failed, fmt.Sprintf("Execution failed due to a timeout error: the authorizer took longer than %v", Timeout)}
	}
	return failure{Failed, "Execution failed due to an internal error: " + err.Error()}
}

// functionError is what a function that failed means: one error text is AWS's
// word for a caller who is not known. What else it said is in its own log.
func functionError(result *invocation.Result) failure {
	var said struct {
		ErrorMessage string `json:"errorMessage"`
		ErrorType    string `json:"errorType"`
	}
	_ = json.Unmarshal(result.Payload, &said) // a custom runtime may say anything
	if said.ErrorMessage == "Unauthorized" {
		return failure{Unauthorized, "the authorizer answered Unauthorized"}
	}
	return failure{Failed, fmt.Sprintf("Execution failed due to an authorizer error: the function failed with %.100q. Lambda request id: %s",
		said.ErrorType, result.RequestID)}
}
