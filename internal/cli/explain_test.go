package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestExplainScreens holds what is shown of a call of every kind; the texts are
// the server's.
func TestExplainScreens(t *testing.T) {
	call := `"requestId":"6a9d0c8e-32f5-4a5b-9f0e-0d8f3f6f2b1c","extendedRequestId":"K2Ib_G66IAMEF6g=","time":"2026-11-27T03:00:00.25Z",` +
		`"method":"GET","path":"/live/pets","apiId":"abcdefghij","stage":"live","resourcePath":"/pets","sourceIp":"192.0.2.7",`
	keyed := call + `"keyId":"keykeykey1","planId":"plan01",`
	cases := []struct{ name, json string }{
		{"a throttle", `{` + keyed + `"status":429,"verdict":"refused","reason":"THROTTLED","cause":"plan-throttle","layer":"throttle",` +
			`"what":"The key's calls came faster than its usage plan's throttle.","do":"Wait, or raise the plan's rateLimit and burstLimit.","detail":"over the throttle",` +
			`"limit":{"rateLimit":0.5,"burstLimit":1,"tokens":0.25,"clearsInMs":1500},"clearsAt":"2026-11-27T03:00:01.75Z","cleared":true}`},
		{"a quota", `{` + keyed + `"status":429,"verdict":"refused","reason":"QUOTA_EXCEEDED","cause":"quota","layer":"quota",` +
			`"what":"The key has used up its usage plan's quota.","do":"Wait for the next period, raise the plan's quota, or grant more for this period.",` +
			`"limit":{"limit":10,"period":"DAY","used":10,"left":0,"clearsInMs":75600000},"clearsAt":"2026-11-28T00:00:00Z","cleared":false}`},
		{"what never clears", `{` + keyed + `"status":429,"verdict":"refused","reason":"THROTTLED","cause":"stage-throttle","layer":"throttle","what":"W.","do":"D.",` +
			`"limit":{"rateLimit":0,"burstLimit":5,"tokens":0,"never":true},"cleared":false}`},
		{"seats", `{` + keyed + `"status":429,"verdict":"refused","reason":"THROTTLED","cause":"c","layer":"throttle","what":"W.","do":"D.","limit":{"atATime":3,"inUse":3},"cleared":false}`},
		{"no key", `{` + call + `"status":403,"verdict":"refused","reason":"INVALID_API_KEY","cause":"no-key","layer":"API key",` +
			`"what":"The method requires an API key, and the call sent none.","do":"Send the key in the x-api-key header.","detail":"no x-api-key header","cleared":false}`},
		{"no request", `{"requestId":"6a9d0c8e-32f5-4a5b-9f0e-0d8f3f6f2b1c","time":"2026-11-27T03:00:00Z","method":"","path":"","status":400,"sourceIp":"192.0.2.7",` +
			`"verdict":"refused","reason":"MALFORMED_REQUEST","cause":"framing","layer":"connection","what":"It was refused before it was a request.",` +
			`"do":"Send what the detail names.","detail":"A header line has no name.","cleared":false}`},
		{"shadow mode", `{` + keyed + `"status":200,"verdict":"admitted","shadow":"plan-throttle","layer":"throttle","what":"W.","do":"D.",` +
			`"limit":{"rateLimit":1,"burstLimit":1,"tokens":0.5,"clearsInMs":500},"clearsAt":"2026-11-27T03:00:00.75Z","cleared":true}`},
		{"let in", `{` + keyed + `"status":200,"verdict":"admitted","what":"The call was let in, and no limit refused it.","cleared":false}`},
	}
	now := time.Date(2026, 11, 27, 3, 4, 0, 0, time.UTC)
	var all strings.Builder
	for _, columns := range []int{0, 80} {
		for _, c := range cases {
			e := &explanation{now: now, keyName: "mobile\x1b", planName: "basic"}
			if err := json.Unmarshal([]byte(c.json), e); err != nil {
				t.Fatal(err)
			}
			if e.KeyID == "" {
				e.keyName, e.planName = "", ""
			}
			s := &screen{columns: columns, terminal: columns > 0}
			e.print(s)
			fmt.Fprintf(&all, "--- %s, %d columns\n%s", c.name, columns, s.String())
		}
	}
	golden(t, "explain.screen", all.String())
}

// TestExplain asks a server for calls of its own.
func TestExplain(t *testing.T) {
	g := serveGated(t)
	g.call("/", g.value, 200)
	g.call("/", g.value, 429)
	g.call("/", "", 403)
	explain := func(want int, args ...string) (out, errs string) {
		t.Helper()
		code, out, errs := line(t, append([]string{"explain", "--data", g.data}, args...)...)
		if code != want {
			t.Fatalf("explain %v: exit %d, want %d: %s%s", args, code, want, out, errs)
		}
		return out, errs
	}
	if out, _ := explain(exitOK); !strings.Contains(out, "refused at the API key: 403 INVALID_API_KEY") || !strings.Contains(out, "no-key") {
		t.Errorf("the newest:\n%s", out)
	}
	out, _ := explain(exitOK, "--key", "me")
	for _, text := range []string{
		"refused at the throttle: 429 THROTTLED", "plan-throttle", "rate 0.0002777777777777778 a second, burst 1",
		"0.000 of 1 tokens", "me (" + g.key + ")", "plan (", "POST /_aws/execute-api/" + g.api + "/live/, resource /, stage live of API " + g.api,
	} {
		if !strings.Contains(out, text) {
			t.Errorf("of the key: no %q in\n%s", text, out)
		}
	}
	out, _ = explain(exitOK, "--key", "me", "--json")
	var e struct {
		RequestID, ExtendedRequestID, Cause string
		Limit                               struct{ Tokens *float64 }
	}
	if err := json.Unmarshal([]byte(out), &e); err != nil || e.Cause != "plan-throttle" || e.Limit.Tokens == nil || len(e.ExtendedRequestID) != 16 {
		t.Fatalf("%v: %s", err, out)
	}
	for _, id := range []string{e.RequestID, e.RequestID[:30], e.ExtendedRequestID} {
		if out, _ := explain(exitOK, id, "--json"); !strings.Contains(out, e.RequestID) {
			t.Errorf("%s: %s", id, out)
		}
	}
	if _, errs := explain(exitFailure, "00000000-0000-4000-8000-00000000zzzz"); !strings.Contains(errs, "was refused here since the server started") {
		t.Errorf("unknown: %s", errs)
	}
	if _, errs := explain(exitFailure, "--api", "nosuchapi1"); !strings.Contains(errs, "Nothing that fits was refused") {
		t.Errorf("unknown API: %s", errs)
	}
	if _, errs := explain(exitUsage, "abc"); !strings.Contains(errs, "at least the first 4") {
		t.Errorf("short: %s", errs)
	}
	explain(exitUsage, e.RequestID, "--key", "me")
	explain(exitUsage, "a", "b")
	explain(exitFailure, "--key", "nobody")
	g.stop()
	<-g.ended
	explain(exitAbsent)
	if bytes.Contains([]byte(out), []byte(g.value)) {
		t.Error("the key's value is shown")
	}
}
