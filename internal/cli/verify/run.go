package verify

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// queryNames are the parameters in which other gateways take a key.
var queryNames = []string{"x-api-key", "apiKey"}

const keyHeader = "x-api-key"

// run is one run on its way.
type run struct {
	ctx    context.Context
	o      *Options
	client *http.Client
	report *Report

	calls   int
	most    int       // calls announced
	keyed   time.Time // the last call with the key
	letIn   int       // calls with the key that got through
	unclear int       // calls with the key of which that cannot be said
	kept    []*answer // every refusal
	open    bool      // it answers without a key
	without int       // the status of the call without a key
	works   bool      // the key opens it
}

func newRun(ctx context.Context, o *Options) *run {
	return &run{
		ctx: ctx, o: o, report: &Report{URL: o.URL}, most: o.plan().Calls,
		client: &http.Client{
			Transport:     newTransport(o.TLS),
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// all makes every check; false: nothing answers there.
func (r *run) all() bool {
	defer r.client.CloseIdleConnections()
	first, there := r.checkEndpoint()
	if !there {
		return first.err == nil
	}
	r.checkNoKey(first)
	r.checkWrongKey()
	for _, name := range queryNames {
		r.checkQuery(name)
	}
	r.checkKey()
	r.checkCase()
	r.checkFlood()
	if r.o.Quota > 0 {
		r.checkQuota()
	}
	r.checkAnswers()
	return true
}

// say adds one line to the report.
func (r *run) say(name, sent, got string, v Verdict, means string) {
	if v == Pass {
		means = ""
	}
	r.report.Checks = append(r.report.Checks, Check{name, sent, got, v, means})
}

// send sends one call and keeps what must be counted and compared.
func (r *run) send(check string, q request) *answer {
	if err := r.ended(); err != nil {
		return &answer{err: err}
	}
	r.calls++
	r.o.Progress(check, r.calls)
	a := r.do(r.ctx, q)
	r.take(q, a)
	return a
}

// ended says why nothing more may be sent.
func (r *run) ended() error {
	if r.ctx.Err() == context.DeadlineExceeded {
		return fmt.Errorf("the time of the run was over (%s)", r.o.MaxTime)
	}
	if r.ctx.Err() != nil {
		return fmt.Errorf("the run was interrupted")
	}
	if r.calls >= r.most {
		return fmt.Errorf("the announced number of calls was sent")
	}
	return nil
}

// take keeps a refusal, and counts what the key's quota may have paid for.
func (r *run) take(q request, a *answer) {
	k := a.kind()
	if k == forbidden || k == throttled || k == spent {
		r.kept = append(r.kept, a)
	}
	if q.key != r.o.Key {
		return
	}
	r.keyed = r.o.Clock.Now()
	switch {
	case q.query != "" && (r.open || k != letIn):
		// Nobody looked at the key.
	case k == letIn:
		r.letIn++
	case k == broken || k == lost:
		r.unclear++
	}
}

// enter sends a call that the plan has room for: after a pause, and again when
// it is throttled all the same.
func (r *run) enter(check, header string) *answer {
	var a *answer
	for n := range tries {
		if err := r.pause(time.Duration(1<<n) * r.o.interval()); err != nil {
			return &answer{err: err}
		}
		if a = r.send(check, request{header: header, key: r.o.Key}); a.kind() != throttled {
			return a
		}
	}
	return a
}

// pause waits until d after the last call with the key.
func (r *run) pause(d time.Duration) error {
	if left := d - r.o.Clock.Now().Sub(r.keyed); !r.keyed.IsZero() && left > 0 {
		if err := r.o.Clock.Sleep(r.ctx, left); err != nil {
			return r.ended()
		}
	}
	return r.ended()
}

// atOnce sends n calls with the key as fast as it can and says how long they took.
func (r *run) atOnce(check string, n int) (answers []*answer, took time.Duration) {
	n = min(n, r.most-r.calls)
	r.calls += n
	r.o.Progress(check, r.calls)
	q := request{header: keyHeader, key: r.o.Key}
	answers = make([]*answer, n)
	next := make(chan int)
	var senders sync.WaitGroup
	start := r.o.Clock.Now()
	for range min(n, atOnce) {
		senders.Go(func() {
			for i := range next {
				answers[i] = r.do(r.ctx, q)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	senders.Wait()
	took = r.o.Clock.Now().Sub(start)
	for _, a := range answers {
		r.take(q, a)
	}
	return answers, took
}

// wrongKey has the form of a key and is none.
func wrongKey() string { return (rand.Text() + rand.Text())[:40] }
