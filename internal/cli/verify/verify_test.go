package verify

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

var update = flag.Bool("update", false, "rewrite the golden screens")

// right is a stage that keeps every promise: rate 1, burst 1, 10 a day.
func right() *stage { return &stage{rate: 1, burst: 1, quota: 10} }

// verified runs everything against s and holds the run to what it announced.
func verified(t *testing.T, s *stage, change ...func(*Options)) (*Report, error) {
	t.Helper()
	o := s.start(t)
	o.Quota, o.Used = s.quota, s.spent
	for _, c := range change {
		c(&o)
	}
	plan, err := o.Plan()
	if err != nil {
		t.Fatal(err)
	}
	report, err := Run(t.Context(), o)
	if report == nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls != report.Calls || s.calls > plan.Calls || s.keyed > plan.Keyed {
		t.Errorf("%d calls came, %d of them with the key; reported %d, announced %+v", s.calls, s.keyed, report.Calls, plan)
	}
	return report, err
}

// screen compares a report with a golden file.
func screen(t *testing.T, name string, r *Report) {
	t.Helper()
	var b bytes.Buffer
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "CHECK\tSENT\tCAME BACK\tVERDICT")
	for _, c := range r.Checks {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", c.Name, c.Sent, c.Got, c.Verdict)
	}
	if err := table.Flush(); err != nil {
		t.Fatal(err)
	}
	b.WriteString(r.Notes())
	if strings.Contains(b.String(), theKey) {
		t.Errorf("the key is shown:\n%s", &b)
	}
	golden := filepath.Join("testdata", strings.ReplaceAll(name, " ", "-")+".txt")
	if *update {
		if err := os.WriteFile(golden, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("the screen has changed (go test ./internal/cli/verify -update, then read the diff):\n%s", &b)
	}
}

// not lists the checks that came to v.
func not(r *Report, v Verdict) (names []string) {
	for _, c := range r.Checks {
		if c.Verdict == v {
			names = append(names, c.Name)
		}
	}
	return names
}

func TestARightEndpointPasses(t *testing.T) {
	report, err := verified(t, right())
	if err != nil || !report.Passed() {
		t.Errorf("%v", err)
	}
	screen(t, "right", report)
}

// Each wrong endpoint is caught by the check that is meant for it, and by no
// other; what its fault hides from other checks cannot be told.
func TestWrongEndpointsAreCaught(t *testing.T) {
	message := func(change func(status int, body string, h http.Header) (int, string)) func(int, string, http.Header) (int, string) {
		return func(status int, m string, h http.Header) (int, string) {
			return change(status, `{"message":"`+m+`"}`, h)
		}
	}
	for _, c := range []struct {
		name    string
		change  func(*stage)
		fails   string
		unknown []string
	}{
		{"open without a key", func(s *stage) { s.open = true }, "no key", []string{"key in the query, x-api-key", "key in the query, apiKey"}},
		{"any key opens", func(s *stage) { s.anyKey = true }, "wrong key", nil},
		{"key in the query", func(s *stage) { s.inQuery = true }, "key in the query, apiKey", nil},
		{"header names have case", func(s *stage) { s.caseful = true }, "header in odd case", nil},
		{"403 for the throttle", func(s *stage) {
			s.answer = func(_ int, m string, h http.Header) (int, string) {
				if m == "Limit Exceeded" {
					return 429, `{"message":"Limit Exceeded"}`
				}
				h.Set("x-amzn-ErrorType", "ForbiddenException")
				return 403, `{"message":"Forbidden"}`
			}
		}, "too fast", nil},
		{"401 without a key", func(s *stage) {
			n := 0
			s.answer = message(func(status int, body string, h http.Header) (int, string) {
				if n++; n == 1 { // the first call only
					h.Set("x-amzn-ErrorType", "ForbiddenException")
					return 401, `{"message":"Forbidden"}`
				}
				return status, body
			})
		}, "no key", nil},
		{"never throttles", func(s *stage) { s.never = true; s.quota = 100 }, "too fast", nil},
		{"lets more in than the plan", func(s *stage) { s.burst = 3 }, "rate and burst", nil},
		{"counts refusals", func(s *stage) { s.countsRefusals = true }, "refusals are free", nil},
		{"never spends the quota", func(s *stage) { s.leaky = true }, "over the quota", nil},
		{"spaces in the JSON", func(s *stage) {
			s.answer = func(status int, m string, _ http.Header) (int, string) { return status, `{"message": "` + m + `"}` }
		}, "bodies", nil},
		{"a line end", func(s *stage) {
			s.answer = message(func(status int, body string, _ http.Header) (int, string) { return status, body + "\n" })
		}, "bodies", nil},
		{"charset", func(s *stage) {
			s.answer = message(func(status int, body string, h http.Header) (int, string) {
				h.Set("Content-Type", "application/json; charset=utf-8")
				return status, body
			})
		}, "types", nil},
		{"one error type for both", func(s *stage) {
			s.answer = message(func(status int, body string, h http.Header) (int, string) {
				if status == 429 {
					h.Set("x-amzn-ErrorType", "TooManyRequestsException")
				}
				return status, body
			})
		}, "types", nil},
		{"no request id", func(s *stage) {
			s.answer = message(func(status int, body string, h http.Header) (int, string) {
				h.Del("x-amzn-RequestId")
				return status, body
			})
		}, "request ids", nil},
		{"one request id for all", func(s *stage) {
			s.answer = message(func(status int, body string, h http.Header) (int, string) {
				h.Set("x-amzn-RequestId", "11111111-2222-3333-4444-555555555555")
				return status, body
			})
		}, "request ids", nil},
		{"Retry-After", func(s *stage) {
			s.answer = message(func(status int, body string, h http.Header) (int, string) {
				if status == 429 {
					h.Set("Retry-After", "1")
					h.Set("X-RateLimit-Remaining", "0")
				}
				return status, body
			})
		}, "nothing more", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := right()
			c.change(s)
			report, err := verified(t, s)
			if err != nil {
				t.Error(err)
			}
			if got := strings.Join(not(report, Fail), "; "); got != c.fails {
				t.Errorf("failed: %s; want %s", got, c.fails)
			}
			if got, want := strings.Join(not(report, Unknown), "; "), strings.Join(c.unknown, "; "); got != want {
				t.Errorf("could not be told: %s; want %s", got, want)
			}
			screen(t, c.name, report)
		})
	}
}

func TestWhatCannotBeTold(t *testing.T) {
	rest := "key; header in odd case; too fast; over the quota"
	for _, c := range []struct {
		name    string
		change  func(*stage)
		options func(*Options)
		unknown string
	}{
		{"the plan is not known", func(s *stage) { s.burst, s.quota = 1000, 0 }, func(o *Options) { o.Rate, o.Burst, o.Quota = 0, 0, 0 }, "too fast"},
		{"quota used up before", func(s *stage) { s.spent = 10 }, nil, rest},
		{"the function fails", func(s *stage) { s.broken = true }, nil, rest},
		{"hangs with the key", func(s *stage) { s.hangs = "key" }, func(o *Options) { o.Timeout = time.Second }, rest},
		{"not found with and without", func(s *stage) { s.notFound = true }, nil, "no key; wrong key; key in the query, x-api-key; key in the query, apiKey; " + rest + "; bodies; types; request ids; nothing more"},
		{"slower than it was said", func(s *stage) { s.rate = 0.001 }, nil, "header in odd case; over the quota"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := right()
			c.change(s)
			if c.options == nil {
				c.options = func(*Options) {}
			}
			report, err := verified(t, s, c.options)
			if got := strings.Join(not(report, Unknown), "; "); got != c.unknown || err != nil || len(not(report, Fail)) > 0 || report.Passed() {
				t.Errorf("could not be told: %s; want %s (%v, failed %v)", got, c.unknown, err, not(report, Fail))
			}
			screen(t, c.name, report)
		})
	}
}

func TestEndpointsThatAreNotThere(t *testing.T) {
	t.Run("hangs", func(t *testing.T) {
		s := right()
		s.hangs = "first"
		report, err := verified(t, s, func(o *Options) { o.Timeout = time.Second })
		if !errors.Is(err, ErrUnreachable) || report.Calls != 1 {
			t.Errorf("%v after %d calls", err, report.Calls)
		}
		screen(t, "hangs", report)
	})
	t.Run("nobody listens", func(t *testing.T) {
		o := right().start(t)
		o.URL = "http://127.0.0.1:1/"
		report, err := Run(t.Context(), o)
		if !errors.Is(err, ErrUnreachable) || !strings.Contains(report.Checks[0].Got, "connect") {
			t.Errorf("%v %+v", err, report)
		}
	})
	t.Run("redirects", func(t *testing.T) {
		elsewhere := right()
		o := elsewhere.start(t)
		s := right()
		s.redirect = o.URL
		report, err := verified(t, s)
		if err != nil || report.Calls != 1 || elsewhere.calls != 0 || strings.Join(not(report, Fail), "") != "endpoint" {
			t.Errorf("%v %+v, %d calls elsewhere", err, report, elsewhere.calls)
		}
	})
	t.Run("no such path", func(t *testing.T) {
		s := right()
		s.answer = func(int, string, http.Header) (int, string) {
			return 403, `{"message":"Missing Authentication Token"}`
		}
		report, err := verified(t, s)
		if err != nil || report.Calls != 1 || strings.Join(not(report, Fail), "") != "endpoint" {
			t.Errorf("%v %+v", err, report)
		}
		screen(t, "no such path", report)
	})
}

// A function may send back what it was sent, a redirect among it; the report
// shows neither the key nor where it did not go.
func TestTheKeyIsNeverShown(t *testing.T) {
	s := right()
	s.echo = true
	report, err := verified(t, s)
	if err != nil || !report.Passed() {
		t.Errorf("%v %+v", err, not(report, Fail))
	}
	screen(t, "echo", report)
	short := Report{Checks: []Check{{Got: "a 403, a call", Means: "a call was refused"}}}
	short.redact("a")
	if c := short.Checks[0]; c.Got != "<key> 403, <key> c<key>ll" || c.Means != "a call was refused" {
		t.Errorf("our own words are not the key: %+v", c)
	}
}

func TestARunThatIsInterrupted(t *testing.T) {
	s := right()
	o := s.start(t)
	o.Quota = 10
	ctx, cancel := context.WithCancel(t.Context())
	o.Progress = func(check string, _ int) {
		if check == "key" {
			cancel()
		}
	}
	report, err := Run(ctx, o)
	if err != nil || report.Passed() || s.calls > 5 {
		t.Errorf("%v %+v after %d calls", err, report, s.calls)
	}
}

func TestTimeOfARunIsBounded(t *testing.T) {
	s := right()
	s.hangs = "key"
	report, err := verified(t, s, func(o *Options) { o.MaxTime, o.Rate, o.Quota = 2*time.Second, 20, 0 })
	if err != nil || report.Passed() {
		t.Errorf("%v %+v", err, report)
	}
	if got := report.Checks[5].Got; got != "the time of the run was over (2s)" {
		t.Error(got)
	}
}

func TestOptionsThatAreRefused(t *testing.T) {
	good := Options{URL: "https://host/path", Key: theKey}
	if p, err := good.Plan(); err != nil || p.Calls != 2+2+10+20 {
		t.Errorf("%+v %v", p, err)
	}
	for _, c := range []struct {
		change func(*Options)
		want   string
	}{
		{func(o *Options) { o.URL = "host/path" }, "must be whole"},
		{func(o *Options) { o.URL = "ftp://host/" }, "must be whole"},
		{func(o *Options) { o.URL = "http://a:b@host/" }, "out of the URL"},
		{func(o *Options) { o.Key = "" }, "key is missing"},
		{func(o *Options) { o.Key = "a\r\nb" }, "no header can carry"},
		{func(o *Options) { o.Header = http.Header{"X-Api-Key": {"x"}} }, "--key"},
		{func(o *Options) { o.Rate = 1 }, "together"},
		{func(o *Options) { o.Rate, o.Burst = -1, 1 }, "positive"},
		{func(o *Options) { o.Quota = maxQuota + 1 }, "between 0 and"},
		{func(o *Options) { o.Used = 1 }, "more was used"},
		{func(o *Options) { o.Quota = 1000 }, "raise --max-time"},
	} {
		o := good
		c.change(&o)
		if _, err := o.Plan(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %s", err, c.want)
		}
		if report, err := Run(t.Context(), o); report != nil || err == nil {
			t.Errorf("%+v was run", o)
		}
	}
}
