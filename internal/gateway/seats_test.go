package gateway

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"testing"
	"time"

	"weir/internal/catalog"
	"weir/internal/invocation"
	"weir/internal/telemetry"
)

// capped gives key01 a plan without limits and n seats, and the API one method,
// POST /keyed, with that timeout.
func (r *rig) capped(n string, timeout time.Duration) {
	r.t.Helper()
	r.guard.PutPlan(catalog.UsagePlan{ID: "plan01", APIStages: []catalog.PlanStage{{APIID: "abc123", Stage: "prod"}}})
	r.guard.PutKeyWithTerms(catalog.APIKey{
		ID: "key01", Digest: sha256.Sum256([]byte(goodKey)), Enabled: true, Tags: map[string]string{catalog.TagMaxConcurrent: n},
	})
	keyed := proxy(catalog.Method{APIKeyRequired: true})
	keyed.Integration.TimeoutInMillis = int(timeout.Milliseconds())
	r.publish([]catalog.Resource{{APIID: "abc123", ID: "keyed", Path: "/keyed", Methods: map[string]*catalog.Method{"POST": keyed}}}, nil)
}

// untilRecords waits until n requests are over, also those that nobody waits
// for.
func (r *rig) untilRecords(n int) {
	r.t.Helper()
	for range 10_000 {
		r.mu.Lock()
		have := len(r.records)
		r.mu.Unlock()
		if have >= n {
			return
		}
		time.Sleep(time.Millisecond)
	}
	r.t.Fatalf("there are not %d records", n)
}

// TestASeatIsGivenBackOnce: whatever becomes of a call, the next one with its
// key is let in when it is over, one and no more.
func TestASeatIsGivenBackOnce(t *testing.T) {
	ok := &invocation.Result{StatusCode: 200, Payload: []byte(`{"statusCode":200}`)}
	for _, c := range []struct {
		name    string
		want    string // the status of the call that sat; "": its caller is gone
		timeout time.Duration
		does    func(ctx context.Context) (*invocation.Result, error)
	}{
		{"answered", "200", time.Minute, func(context.Context) (*invocation.Result, error) { return ok, nil }},
		{"a function's error", "502", time.Minute, func(context.Context) (*invocation.Result, error) {
			return &invocation.Result{StatusCode: 200, FunctionError: "Unhandled", Payload: []byte(`{}`)}, nil
		}},
		{"not invoked", "500", time.Minute, func(context.Context) (*invocation.Result, error) { return nil, errors.New("no function") }},
		{"a panic", "500", time.Minute, func(context.Context) (*invocation.Result, error) { panic("boom") }},
		{"a timeout", "504", 300 * time.Millisecond, func(ctx context.Context) (*invocation.Result, error) { <-ctx.Done(); return nil, ctx.Err() }},
		{"its caller gone", "", time.Minute, func(context.Context) (*invocation.Result, error) { return ok, nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, ServerOptions{})
			r.capped("1", c.timeout)
			call := request("POST /prod/keyed", "{}", "x-api-key: "+goodKey)
			// Twice, so that a seat that is given back twice would show.
			for i := range 2 {
				began, leave, left := make(chan struct{}), make(chan struct{}), make(chan struct{})
				r.invoker.does(func(ctx context.Context, _ *invocation.Invocation) (*invocation.Result, error) {
					defer close(left)
					close(began)
					<-leave
					return c.does(ctx)
				})
				conn := r.dial()
				_, _ = io.WriteString(conn, call)
				<-began
				if got := r.wire(call); status(got) != "429" || body(got) != `{"message":"Too Many Requests"}` {
					t.Fatalf("beside a call that sits: %q", got)
				}
				if rec := r.lastRecord(); rec.Cause != telemetry.CauseKeyConcurrency || rec.Limit != (telemetry.Limit{Kind: telemetry.Seats, Most: 1, Used: 1}) || rec.KeyID != "key01" {
					t.Fatalf("record %+v", rec)
				}
				if c.want == "" {
					_ = conn.Close()
				}
				close(leave)
				if c.want != "" {
					if got := readResponse(t, bufio.NewReader(conn), "POST"); status(got) != c.want {
						t.Fatalf("the call that sat: %q", got)
					}
				}
				<-left
				r.untilRecords(2 * (i + 1))
			}
			r.invoker.does(func(context.Context, *invocation.Invocation) (*invocation.Result, error) { return ok, nil })
			if got := r.wire(call); status(got) != "200" {
				t.Errorf("when all have left: %q", got)
			}
		})
	}
}
