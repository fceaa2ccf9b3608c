package gateway

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/internal/catalog"
)

func taggedPlan(tags map[string]string) catalog.UsagePlan {
	return catalog.UsagePlan{
		ID: "plan01", Name: "basic", APIStages: []catalog.PlanStage{{APIID: "abc123", Stage: "prod"}}, Tags: tags,
		Throttle: &catalog.Throttle{RateLimit: 0.4, BurstLimit: 2}, Quota: &catalog.Quota{Limit: 3, Period: catalog.PeriodDay},
	}
}

// told are the headers that a tag asks for, each with its name.
func told(response string) (all []string) {
	for _, name := range []string{"RateLimit-Policy", "RateLimit", "Retry-After"} {
		if value := header(response, name); value != "" {
			all = append(all, name+": "+value)
		}
	}
	return all
}

// TestRateLimitHeaders: on answers that were let in and on those that a limit
// refused, what holds, what is left, and when there is more; Retry-After on
// refusals only, and not before every limit admits a call.
func TestRateLimitHeaders(t *testing.T) {
	keyed := request("POST /prod/keyed", "{}", "x-api-key: "+goodKey)
	const policy = `RateLimit-Policy: "plan-throttle";q=2;w=5, "quota";q=3;w=86400`
	steps := []struct {
		pass   time.Duration
		status string
		want   []string
	}{
		{0, "200", []string{policy, `RateLimit: "plan-throttle";r=1;t=3, "quota";r=2;t=54000`}},
		{time.Second, "200", []string{policy, `RateLimit: "plan-throttle";r=0;t=2, "quota";r=1;t=53999`}},
		{0, "429", []string{policy, `RateLimit: "plan-throttle";r=0;t=2`, "Retry-After: 2"}}, // the quota was not asked
		{1500 * time.Millisecond, "200", []string{policy, `RateLimit: "plan-throttle";r=0;t=3, "quota";r=0;t=53998`}},
		// Too fast and too often: the first is told, and to come back when neither refuses.
		{0, "429", []string{policy, `RateLimit: "plan-throttle";r=0;t=3, "quota";r=0;t=53998`, "Retry-After: 53998"}},
		{time.Minute, "429", []string{policy, `RateLimit: "plan-throttle";r=2, "quota";r=0;t=53938`, "Retry-After: 53938"}},
		{15 * time.Hour, "200", []string{policy, `RateLimit: "plan-throttle";r=1;t=3, "quota";r=2;t=86338`}},
	}
	r := newRig(t, ServerOptions{})
	r.guard.PutPlan(taggedPlan(map[string]string{catalog.TagRateLimitHeaders: "on"}))
	for i, s := range steps {
		r.pass(s.pass)
		got := r.wire(keyed)
		if status(got) != s.status || !slices.Equal(told(got), s.want) {
			t.Errorf("step %d: %s %q\nwant %s %q", i, status(got), told(got), s.status, s.want)
		}
	}
	// What is no decision over limits tells nothing of them.
	for _, other := range []string{request("POST /prod/keyed", "{}"), request("GET /prod/open", ""), request("GET /prod/nowhere", "")} {
		if got := r.wire(other); told(got) != nil {
			t.Errorf("%s", got)
		}
	}
	r.guard.PutPlan(taggedPlan(map[string]string{catalog.TagRateLimitHeaders: "off"})) // at once
	if got := r.wire(keyed); told(got) != nil {
		t.Errorf("%s", got)
	}
}

// TestRateLimitHeadersOfAStage: its tag is for calls without a key, too.
func TestRateLimitHeadersOfAStage(t *testing.T) {
	r := newRig(t, ServerOptions{})
	tag := func(value string, settings map[string]catalog.MethodSetting) {
		r.publish(resources(), func(st *catalog.Stage, _ *catalog.RestAPI) {
			st.Tags, st.MethodSettings = map[string]string{catalog.TagRateLimitHeaders: value}, settings
		})
	}
	stage := map[string]catalog.MethodSetting{"*/*": {ThrottlingRateLimit: 10, ThrottlingBurstLimit: 1}, "items/{id}/GET": {ThrottlingBurstLimit: 5}}
	open, keyed, closed := request("GET /prod", ""), request("POST /prod/keyed", "{}", "x-api-key: "+goodKey), request("GET /prod/items/7", "")
	tag("on", stage)
	for _, s := range []struct {
		request, status string
		want            []string
	}{
		{open, "200", []string{`RateLimit-Policy: "stage-throttle";q=1;w=1`, `RateLimit: "stage-throttle";r=0;t=1`}},
		{open, "429", []string{`RateLimit-Policy: "stage-throttle";q=1;w=1`, `RateLimit: "stage-throttle";r=0;t=1`, "Retry-After: 1"}},
		{keyed, "200", []string{
			`RateLimit-Policy: "plan-throttle";q=1;w=1, "stage-throttle";q=1;w=1, "quota";q=2;w=86400`,
			`RateLimit: "plan-throttle";r=0;t=1, "stage-throttle";r=0;t=1, "quota";r=1;t=54000`,
		}},
		{closed, "429", []string{`RateLimit-Policy: "stage-throttle";q=0`, `RateLimit: "stage-throttle";r=0`}}, // it never opens
	} {
		if got := r.wire(s.request); status(got) != s.status || !slices.Equal(told(got), s.want) {
			t.Errorf("%q: %s %q\nwant %s %q", s.request[:20], status(got), told(got), s.status, s.want)
		}
	}
	tag("on", nil)
	if got := r.wire(open); told(got) != nil { // there is no limit to tell
		t.Errorf("%s", got)
	}
	tag("off", stage)
	if got := r.wire(open); told(got) != nil {
		t.Errorf("%s", got)
	}
}

var (
	ownOfACall = regexp.MustCompile(`(?m)^(Date|x-amzn-RequestId|x-amz-apigw-id|X-Amzn-Trace-Id): .*\r\n`)
	toldLines  = regexp.MustCompile(`(?m)^(RateLimit-Policy|RateLimit|Retry-After): .*\r\n`)
)

// TestWithoutTheTagNoByteChanges: an answer without the tag, with it off, and
// with it on but for what it asks for, are the same.
func TestWithoutTheTagNoByteChanges(t *testing.T) {
	answers := map[string][]string{}
	for _, value := range []string{"", "off", "on"} {
		r := newRig(t, ServerOptions{})
		tags := map[string]string{catalog.TagRateLimitHeaders: value}
		if value == "" {
			tags = nil
		}
		r.guard.PutPlan(taggedPlan(tags))
		r.publish(resources(), func(st *catalog.Stage, _ *catalog.RestAPI) { st.Tags = tags })
		for range 4 { // let in, too fast, over the quota
			for _, path := range []string{"POST /prod/keyed", "GET /prod", "GET /prod/slow", "GET /prod/nowhere"} {
				body := ""
				if strings.HasPrefix(path, "POST") {
					body = "{}"
				}
				answers[value] = append(answers[value], ownOfACall.ReplaceAllString(r.wire(request(path, body, "x-api-key: "+goodKey)), ""))
			}
			r.pass(time.Second)
		}
	}
	added := 0
	for i, plain := range answers[""] {
		if answers["off"][i] != plain {
			t.Errorf("with the tag off:\n%s\nwithout it:\n%s", answers["off"][i], plain)
		}
		on := answers["on"][i]
		if bare := toldLines.ReplaceAllString(on, ""); bare != plain {
			t.Errorf("with the tag on, but for what it adds:\n%s\nwithout it:\n%s", bare, plain)
		} else if on != plain {
			added++
		}
		if strings.Contains(strings.ToLower(plain), "ratelimit") || strings.Contains(strings.ToLower(plain), "retry-after") {
			t.Errorf("without the tag: %s", plain)
		}
	}
	if added != 4 {
		t.Errorf("the tag added something to %d answers, want the 4 with a key", added)
	}
}
