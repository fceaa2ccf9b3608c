// Package gateway is one client request from accept to answer: accepted,
// routed, protected, integrated, answered. The steps stand in serve, in order.
//
// What a stage needs for a call is compiled when the stage is published
// (Prepare) and swapped in whole, so a call sees one state of the world from
// its first step to its last and never waits for a change.
package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"weir/internal/gateway/integration"
	"weir/internal/gateway/message"
	"weir/internal/gateway/protection"
	"weir/internal/gateway/route"
	"weir/internal/invocation"
	"weir/internal/telemetry"
)

// Options is what a Gateway is built from. Guard and Invoker are required.
type Options struct {
	Account string // AWS account id, in events and ARNs
	Region  string
	Invoker invocation.Invoker
	Guard   *protection.Guard
	// Record gets one record a request, which is its own until it returns; what
	// it keeps is a Clone. It is called before the answer is sent and must not
	// wait. nil: none are made.
	Record func(*telemetry.Record)
	// ExecutionLog gets the lines of one request to a stage whose method has
	// logging on. It must not wait. nil: execution logging is off.
	ExecutionLog func([]telemetry.LogEvent)
	Logger       *slog.Logger // nil: slog.Default
}

// Gateway serves callers. It is safe for concurrent use.
type Gateway struct {
	options Options
	runner  integration.Runner
	log     *slog.Logger

	mu    sync.Mutex // serialises publishing
	state atomic.Pointer[state]
}

// New makes a Gateway without stages.
func New(o Options) *Gateway {
	g := &Gateway{
		options: o,
		runner:  integration.Runner{Account: o.Account, Region: o.Region, Invoker: o.Invoker},
		log:     o.Logger,
	}
	if g.log == nil {
		g.log = slog.Default()
	}
	g.state.Store(&state{table: route.NewTable(nil)})
	return g
}

// exchange is one request on its way along the line, with the memory that the
// next one uses again.
type exchange struct {
	req  message.Request
	resp message.Response
	call integration.Call
	body bodyBuffer // memory of req.Body

	stage       *stage // nil: none was found
	method      int    // index, -1: none was found
	admission   protection.Admission
	admitted    bool // the admission waits to be settled
	verdict     string
	cause       telemetry.Cause
	reason      string
	detail      string
	integration time.Duration
	record      *telemetry.Record // written over by every report; nil before the first
}

// reset forgets the request, keeping the memory of its lists.
func (x *exchange) reset() {
	clear(x.req.Header)
	clear(x.resp.Header)
	*x = exchange{
		req:    message.Request{Header: x.req.Header[:0]},
		resp:   message.Response{Header: x.resp.Header[:0]},
		body:   x.body,
		method: -1,
		record: x.record,
	}
}

// serve takes one accepted request to its answer in x.resp.
func (g *Gateway) serve(ctx context.Context, x *exchange) {
	defer g.finish(x)
	req, resp := &x.req, &x.resp
	now := g.state.Load()

	address, index, _ := now.table.Site(req.Host, req.Path)
	if index < 0 {
		x.miss(telemetry.CauseNoStage, "no such API or stage")
		refuse(req, resp, forbiddenAnswer, 0, "")
		return
	}
	x.stage = now.stages[index]
	if x.stage.endpointDisabled {
		x.miss(telemetry.CauseEndpointDisabled, "the API's default endpoint is disabled")
		refuse(req, resp, forbiddenAnswer, 0, "")
		return
	}

	match, ok := x.stage.site.Match(req.Method, address.Path)
	if !ok {
		x.miss(telemetry.CauseNoMethod, "no such resource or method")
		x.reason = miss(req, resp)
		return
	}
	x.method = match.Method
	if x.stage.logged[match.Method] != logOff && g.options.ExecutionLog != nil {
		req.Trail = &message.Trail{}
		req.Trail.Add("Extended Request Id: " + req.ExtendedID)
	}

	admission, refusal := g.options.Guard.Admit(ctx, req, x.stage.protection, address, match)
	x.admission = admission // a refused call has one too: who the caller is
	if refusal != nil {
		x.verdict, x.cause, x.reason, x.detail = telemetry.Refused, refusal.Cause, refusal.Type, refusal.Detail
		refuse(req, resp, answerOf(refusal), 0, "")
		g.tellLimits(x)
		return
	}
	x.verdict, x.admitted = telemetry.Admitted, true

	x.call = integration.Call{
		Request: req, Address: address, Params: match.Params, KeyID: admission.KeyID, Key: admission.KeyValue,
		Authorizer: admission.Authorizer,
	}
	answer(req, resp)
	began := time.Now()
	failure := g.runner.Do(ctx, x.stage.plans[match.Method], &x.call, resp)
	x.integration = time.Since(began)
	if failure != nil {
		x.fail(failure)
		refuse(req, resp, failure.Type, failure.Status, failure.Trace)
	}
	g.tellLimits(x)
}

func (x *exchange) miss(cause telemetry.Cause, detail string) {
	x.verdict, x.cause, x.detail = telemetry.Missed, cause, detail
}

func (x *exchange) fail(f *integration.Failure) {
	x.reason, x.detail = f.Type, f.Detail()
	for _, line := range f.Lines {
		x.req.Trail.Add(line)
	}
}

// finish ends every request, also one that panicked: the admission is settled
// once, the record and the execution log are handed over.
func (g *Gateway) finish(x *exchange) {
	if p := recover(); p != nil {
		g.broke(p, x.req.ID)
		x.verdict, x.reason, x.detail = telemetry.Broken, default5XX, "internal error"
		refuse(&x.req, &x.resp, default5XX, 0, "")
	}
	if x.admitted {
		x.admitted = false
		x.admission.Settle(x.resp.Status < 500)
	}
	g.logExecution(x)
	if g.options.Record != nil {
		g.options.Record(x.report())
	}
}

// broke reports a panic, once. The stack holds no values of the request.
func (g *Gateway) broke(p any, requestID string) {
	g.log.Error("request handler panicked",
		"panic", fmt.Sprint(p), "request_id", strings.Clone(requestID), "stack", string(debug.Stack()))
}

// report fills in the record of the request, whose texts stay the engine's.
func (x *exchange) report() *telemetry.Record {
	agent, _ := x.req.Header.Last("User-Agent")
	if x.record == nil {
		x.record = new(telemetry.Record)
	}
	r := x.record
	*r = telemetry.Record{
		RequestID:    x.req.ID,
		ExtendedID:   x.req.ExtendedID,
		Time:         x.req.Received,
		Method:       x.req.Method,
		Path:         x.req.Path,
		Status:       x.resp.Status,
		KeyID:        x.admission.KeyID,
		PlanID:       x.admission.PlanID,
		Verdict:      x.verdict,
		Reason:       x.reason,
		Cause:        x.cause,
		Shadow:       x.admission.Shadow,
		Limit:        x.admission.Limit,
		Detail:       x.detail,
		SourceIP:     x.req.Source,
		UserAgent:    agent,
		RequestSize:  len(x.req.Body),
		ResponseSize: len(x.resp.Body),
		Latency:      time.Since(x.req.Received),
		Integration:  x.integration,
	}
	if x.stage != nil {
		r.APIID, r.Stage = x.stage.name.APIID, x.stage.name.Stage
		if x.method >= 0 {
			r.ResourcePath = x.stage.site.Methods()[x.method].ResourcePath
		}
	}
	return r
}
