package gateway

import (
	"testing"
	"time"
)

// TestClockJumps sets the clock forward by a day and back by an hour and by
// more: throttles do not notice, because they go by monotonic time; a quota
// goes by the calendar day that the ledger's clock shows, here the same clock,
// and no day ever admits more than its limit. That a day is used up is believed
// for a minute of true time.
func TestClockJumps(t *testing.T) {
	r := newRig(t, ServerOptions{}) // plan01: one a second, two a day; it is 09:00
	jump := func(d time.Duration) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.now.Wall = r.now.Wall.Add(d)
	}
	const admitted, throttled, exhausted = "hello", `{"message":"Too Many Requests"}`, `{"message":"Limit Exceeded"}`
	call := func(when, want string) {
		t.Helper()
		if got := body(r.wire(request("POST /prod/keyed", "", "x-api-key: "+goodKey))); got != want {
			t.Errorf("%s: got %q, want %q", when, got, want)
		}
	}
	call("the first call", admitted)
	jump(24 * time.Hour)
	call("a day later by the clock, at once in truth", throttled)
	r.pass(time.Second)
	call("a second later", admitted) // the first of this day
	jump(-time.Hour)
	call("an hour back, at once in truth", throttled)
	r.pass(time.Second)
	call("a second later", admitted) // the second of this day
	r.pass(time.Second)
	call("the day is used up", exhausted)
	jump(-time.Hour)
	r.pass(time.Second)
	call("another hour back in the same day", exhausted)
	jump(-22 * time.Hour)
	r.pass(time.Second)
	call("back on the day before, within the minute", exhausted)
	r.pass(time.Minute)
	call("back on the day before, of which one call is left", admitted)
	r.pass(time.Second)
	call("and that was the last", exhausted)
	jump(24 * time.Hour)
	r.pass(time.Minute)
	call("forth again: what was used up is used up", exhausted)
}
