package verify

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// refusals are the answers of a gate, byte for byte as AWS API Gateway gives
// them. Source: recorded answers and AWS's table of gateway responses.
var refusals = map[kind]struct{ body, errorType string }{
	forbidden: {`{"message":"Forbidden"}`, "ForbiddenException"},
	throttled: {`{"message":"Too Many Requests"}`, "TooManyRequestsException"},
	spent:     {`{"message":"Limit Exceeded"}`, "LimitExceededException"},
}

var (
	requestID = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	extended  = regexp.MustCompile(`^[A-Za-z0-9_+/-]{10,}={0,2}$`)
)

// checkAnswers compares every refusal of the run with AWS's.
func (r *run) checkAnswers() {
	ids := map[string]int{}
	for _, a := range r.kept {
		ids[a.header.Get("X-Amzn-Requestid")]++
	}
	r.compare("bodies", "each is AWS's text", "Clients and tests compare these bytes: send exactly them",
		func(a *answer) string {
			if want := refusals[a.kind()].body; string(a.body) != want {
				return fmt.Sprintf("%s (%d bytes), AWS: %s (%d)", shown(a.body), len(a.body), want, len(want))
			}
			return ""
		})
	r.compare("types", "application/json, AWS's error types", "SDKs name the error by x-amzn-ErrorType and read the body by Content-Type: send these",
		func(a *answer) string {
			if got := a.header.Get("Content-Type"); got != "application/json" {
				return fmt.Sprintf("%d: Content-Type %q, AWS: \"application/json\"", a.status, shown([]byte(got)))
			}
			if got, want := a.header.Get("X-Amzn-Errortype"), refusals[a.kind()].errorType; got != want {
				return fmt.Sprintf("%d: x-amzn-ErrorType %q, AWS: %q", a.status, shown([]byte(got)), want)
			}
			return ""
		})
	r.compare("request ids", "x-amzn-RequestId, x-amz-apigw-id", "A caller who complains names these ids, and you find the call in the log by them: send both",
		func(a *answer) string {
			id := a.header.Get("X-Amzn-Requestid")
			switch {
			case !requestID.MatchString(id):
				return fmt.Sprintf("x-amzn-RequestId %q is no UUID", shown([]byte(id)))
			case ids[id] > 1:
				return "two calls have one x-amzn-RequestId"
			case !extended.MatchString(a.header.Get("X-Amz-Apigw-Id")):
				return fmt.Sprintf("x-amz-apigw-id %q", shown([]byte(a.header.Get("X-Amz-Apigw-Id"))))
			}
			return ""
		})
	r.compare("nothing more", "no Retry-After, no rate-limit headers", "AWS sends no such header, and clients that obey it behave otherwise there: switch it off, or accept the drift", drift)
}

// drift names a header that AWS does not send with a refusal.
func drift(a *answer) string {
	var more []string
	for name := range a.header {
		lower := strings.ToLower(name)
		if name == "Retry-After" || name == "Www-Authenticate" || strings.HasPrefix(lower, "x-ratelimit") || strings.HasPrefix(lower, "ratelimit") {
			more = append(more, name)
		}
	}
	slices.Sort(more)
	if len(more) == 0 {
		return ""
	}
	return fmt.Sprintf("%d %s with %s", a.status, http.StatusText(a.status), strings.Join(more, ", "))
}

// compare makes one line about all refusals: what differs in the first that
// differs of each kind.
func (r *run) compare(name, right, means string, differs func(*answer) string) {
	sent := fmt.Sprintf("the %d refusals above", len(r.kept))
	if len(r.kept) == 0 {
		r.say(name, sent, "nothing was refused", Unknown, "there is no refusal to look at")
		return
	}
	var found []string
	seen := map[kind]bool{}
	for _, a := range r.kept {
		if why := differs(a); why != "" && !seen[a.kind()] {
			seen[a.kind()] = true
			found = append(found, why)
		}
	}
	if len(found) > 0 {
		r.say(name, sent, "other than AWS's", Fail, strings.Join(found, "; ")+". "+means)
		return
	}
	r.say(name, sent, right, Pass, "")
}
