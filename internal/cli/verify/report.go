package verify

import (
	"fmt"
	"net/url"
	"strings"
)

// Verdict is what a check came to.
type Verdict string

// The verdicts. Unknown is a check whose answers say neither.
const (
	Pass    Verdict = "pass"
	Fail    Verdict = "fail"
	Unknown Verdict = "could not tell"
)

// Check is one line of a report.
type Check struct {
	Name    string  `json:"name"`
	Sent    string  `json:"sent"`
	Got     string  `json:"got"`
	Verdict Verdict `json:"verdict"`
	// Means says what a verdict other than Pass means and what to do.
	Means string `json:"means,omitempty"`
}

// Report is what a run found.
type Report struct {
	URL    string  `json:"url"`
	Calls  int     `json:"calls"`
	Checks []Check `json:"checks"`
}

// Count says how many checks came to v.
func (r *Report) Count(v Verdict) int {
	n := 0
	for _, c := range r.Checks {
		if c.Verdict == v {
			n++
		}
	}
	return n
}

// Passed says whether every check passed.
func (r *Report) Passed() bool { return len(r.Checks) > 0 && r.Count(Pass) == len(r.Checks) }

// Notes are what stands below the table of the checks: one line for each that
// did not pass, then the sum.
func (r *Report) Notes() string {
	var b strings.Builder
	for _, c := range r.Checks {
		if c.Verdict != Pass {
			fmt.Fprintf(&b, "\n%s: %s: %s", c.Verdict, c.Name, c.Means)
		}
	}
	if b.Len() > 0 {
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "\n%d passed, %d failed, %d could not be told; calls sent: %d\n", r.Count(Pass), r.Count(Fail), r.Count(Unknown), r.Calls)
	return b.String()
}

// redact takes the key out of what is not our own words: an endpoint may send
// back what it was sent.
func (r *Report) redact(key string) {
	hide := strings.NewReplacer(key, "<key>", url.QueryEscape(key), "<key>", url.PathEscape(key), "<key>")
	r.URL = hide.Replace(r.URL)
	for i := range r.Checks {
		r.Checks[i].Got = hide.Replace(r.Checks[i].Got)
	}
}
