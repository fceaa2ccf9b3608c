// Package verify holds an endpoint, ours or anybody's, to what a key and a
// usage plan promise, by calling it from outside.
//
//	report, err := verify.Run(ctx, verify.Options{URL: url, Key: key, Rate: 1, Burst: 1, Quota: 10})
//
// It knows nothing of how the endpoint is built: what it sends is what a
// stranger or a customer could send, and what it says follows from the answers
// alone. It uses up quota of the key; Options.Plan says beforehand how much.
package verify

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Bounds of a run.
const (
	tries        = 5   // of one call that must get in, while it is throttled
	probes       = 20  // calls at once when the plan's limits are not known
	maxFlood     = 500 // calls at once
	maxQuota     = 10_000
	slowDowns    = 10 // throttled calls that counting the quota puts up with
	atOnce       = 32 // connections
	perCallGuess = 50 * time.Millisecond
)

// Options says what to check. URL and Key are required.
type Options struct {
	URL    string
	Method string      // "": GET, or POST with a Body
	Header http.Header // of every call; not the key's
	Body   []byte
	Key    string

	// Rate and Burst are the plan's, in calls a second and calls at once; 0:
	// not known, and then that calls are refused can be seen, but not that too
	// few are.
	Rate  float64
	Burst int
	// Quota is the plan's for one period; 0: it is not checked. Checking it
	// uses up what is left of it.
	Quota int
	// Used is how many calls of the quota were used before the run; negative:
	// not known, and then nothing says whether refused calls are free.
	Used int

	Timeout time.Duration // of one call; 0: 35 s, beyond AWS's longest
	MaxTime time.Duration // of the run; 0: 5 minutes
	TLS     *tls.Config   // nil: certificates are checked against the system's
	Clock   Clock
	// Progress is told what is being checked and how many calls were sent; nil:
	// nobody is. It is called from one goroutine.
	Progress func(check string, sent int)
}

// Clock is where the run has its time from; the zero value is the real one.
type Clock struct {
	Now   func() time.Time
	Sleep func(ctx context.Context, d time.Duration) error
}

// Plan is what a run will cost at most.
type Plan struct {
	Calls int           // at most
	Keyed int           // of these, calls with the key: what may be used of its quota
	Takes time.Duration // about; Options.MaxTime at most
}

// ErrUnreachable is an endpoint that did not answer the first call.
var ErrUnreachable = errors.New("the endpoint does not answer")

// check fills in what was left out, and says what is wrong in words for who
// wrote the command line.
func (o *Options) check() error {
	u, err := url.Parse(o.URL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return errors.New("the URL must be whole: http://host/path or https://host/path")
	}
	if u.User != nil {
		return errors.New("leave user and password out of the URL: give the header, --header 'Authorization: …'")
	}
	if strings.TrimSpace(o.Key) == "" || strings.ContainsFunc(o.Key, func(r rune) bool { return r < ' ' || r > '~' }) {
		return errors.New("the key is missing, or has characters that no header can carry")
	}
	if o.Method == "" {
		o.Method = http.MethodGet
		if len(o.Body) > 0 {
			o.Method = http.MethodPost
		}
	}
	if o.Header.Get("X-Api-Key") != "" {
		return errors.New("give the key with --key, not as a header")
	}
	if o.Rate < 0 || math.IsNaN(o.Rate) || math.IsInf(o.Rate, 0) || o.Burst < 0 || (o.Rate > 0) != (o.Burst > 0) {
		return errors.New("rate and burst come together, and both are positive")
	}
	if o.Quota < 0 || o.Quota > maxQuota {
		return fmt.Errorf("the quota must be between 0 and %d: for a larger one verify a key of a plan made for it", maxQuota)
	}
	if o.Used > o.Quota {
		return errors.New("more was used than the quota has")
	}
	o.fill()
	if p := o.plan(); p.Takes > o.MaxTime {
		return fmt.Errorf("this takes about %s and may take %s: raise --max-time, or take a plan with a smaller quota", p.Takes.Round(time.Second), o.MaxTime)
	}
	return nil
}

func (o *Options) fill() {
	if o.Timeout <= 0 {
		o.Timeout = 35 * time.Second
	}
	if o.MaxTime <= 0 {
		o.MaxTime = 5 * time.Minute
	}
	if o.Progress == nil {
		o.Progress = func(string, int) {}
	}
	if o.Clock.Now == nil {
		o.Clock.Now = time.Now
	}
	if o.Clock.Sleep == nil {
		o.Clock.Sleep = sleep
	}
}

// Plan says what a run of these options costs. The error is a sentence about
// the options, for who wrote the command line.
func (o Options) Plan() (Plan, error) {
	err := o.check()
	return o.plan(), err
}

func (o *Options) plan() Plan {
	const without = 2 // no key, a wrong key
	keyed := len(queryNames) + 2*tries + o.flood()
	paced := 2
	if o.Quota > 0 {
		keyed += o.Quota + 2 + slowDowns
		paced += o.Quota + 2
	}
	calls := without + keyed
	oneByOne := calls - o.flood() + o.flood()/atOnce
	return Plan{Calls: calls, Keyed: keyed, Takes: time.Duration(paced)*o.interval() + o.refill() + time.Duration(oneByOne)*perCallGuess}
}

// flood is how many calls are sent at once so that one must be refused.
func (o *Options) flood() int {
	if o.Burst == 0 {
		return probes
	}
	return int(min(float64(o.Burst)+math.Ceil(o.Rate)+5, maxFlood))
}

// interval is the pause between calls that must all get in.
func (o *Options) interval() time.Duration {
	rate := o.Rate
	if rate == 0 {
		rate = 1
	}
	return time.Duration(1.1 / rate * float64(time.Second))
}

// refill is the pause after which the plan's bucket is full, or full enough.
func (o *Options) refill() time.Duration {
	return min(time.Duration(max(o.Burst, 1))*o.interval(), max(o.interval(), 10*time.Second))
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Run checks the endpoint. When ctx ends, or the time of the run, the report
// holds what was found until then. ErrUnreachable comes with a report of one
// failed check; any other error is about the options, and nothing was sent.
func Run(ctx context.Context, o Options) (*Report, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, o.MaxTime)
	defer cancel()
	r := newRun(limited, &o)
	reached := r.all()
	r.report.Calls = r.calls
	r.report.redact(o.Key)
	if !reached && ctx.Err() == nil {
		return r.report, ErrUnreachable
	}
	return r.report, nil
}
