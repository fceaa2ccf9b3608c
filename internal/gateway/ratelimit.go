package gateway

import (
	"strconv"

	"weir/internal/gateway/protection"
)

// tellLimits adds what a tag of the stage or the plan asks for, and AWS never
// sends: RateLimit-Policy and RateLimit, as draft-ietf-httpapi-ratelimit-headers
// has them in version 10 (lists of structured fields, one item a policy),
// and Retry-After on what a limit refused, in seconds, not earlier than any of
// the limits would admit a call.
func (g *Gateway) tellLimits(x *exchange) {
	if !x.admission.Told() {
		return
	}
	var few [4]protection.Policy
	policies := g.options.Guard.Policies(few[:0], &x.admission)
	if len(policies) > 0 {
		x.resp.Header.Add("RateLimit-Policy", policyList(policies))
	}
	if limits := limitList(policies); limits != "" {
		x.resp.Header.Add("RateLimit", limits)
	}
	if x.resp.Status != 429 || x.admitted {
		return
	}
	if after, ok := x.admission.RetryAfter(policies); ok {
		x.resp.Header.Add("Retry-After", strconv.FormatInt(after, 10))
	}
}

// policyList says what holds: "plan-throttle";q=10;w=5, "quota";q=1000;w=86400.
func policyList(policies []protection.Policy) string {
	var b []byte
	for _, p := range policies {
		b = append(item(b, p.Name), ";q="...)
		b = strconv.AppendInt(b, p.Quota, 10)
		if p.Window > 0 {
			b = strconv.AppendInt(append(b, ";w="...), p.Window, 10)
		}
	}
	return string(b)
}

// limitList says what is left: "plan-throttle";r=9;t=1, "quota";r=740;t=3600.
func limitList(policies []protection.Policy) string {
	var b []byte
	for _, p := range policies {
		if p.Left < 0 {
			continue
		}
		b = append(item(b, p.Name), ";r="...)
		b = strconv.AppendInt(b, p.Left, 10)
		if p.Reset > 0 {
			b = strconv.AppendInt(append(b, ";t="...), p.Reset, 10)
		}
	}
	return string(b)
}

// item begins an item of a list: its name as a structured field's string. Our
// names have no quote and no backslash.
func item(b []byte, name string) []byte {
	if len(b) > 0 {
		b = append(b, ", "...)
	}
	return append(append(append(b, '"'), name...), '"')
}
