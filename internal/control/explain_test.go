package control_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"weir/internal/control"
	"weir/internal/telemetry"
)

// looked is a server's memory with one call of every kind.
func looked(t *testing.T) http.Handler {
	t.Helper()
	refusals, requests := telemetry.NewRefusals(time.Date(2026, 11, 27, 3, 0, 0, 0, time.UTC)), telemetry.NewRequests()
	for i, r := range []telemetry.Record{
		{
			RequestID: "aaaa0000-0000-4000-8000-000000000001", ExtendedID: "ExtendedExtend0=", Verdict: telemetry.Refused, Status: 429, Reason: "THROTTLED", KeyID: "key1",
			Cause: telemetry.CausePlanThrottle, Limit: telemetry.Limit{Kind: telemetry.Bucket, Rate: 1, Burst: 1, Tokens: 0.5, ClearsIn: 500 * time.Millisecond},
		},
		{RequestID: "aaaa0000-0000-4000-8000-000000000002", Verdict: telemetry.Refused, Status: 403, Reason: "INVALID_API_KEY", Cause: telemetry.CauseNoKey, APIID: "api1"},
		{RequestID: "bbbb0000-0000-4000-8000-000000000003", Verdict: telemetry.Admitted, Status: 200, KeyID: "key1"},
		{RequestID: "cccc0000-0000-4000-8000-000000000004", Verdict: telemetry.Admitted, Status: 502},
		{RequestID: "dddd0000-0000-4000-8000-000000000005", Verdict: telemetry.Broken, Status: 500},
		{RequestID: "eeee0000-0000-4000-8000-000000000006", Verdict: telemetry.Missed, Status: 403, Cause: telemetry.CauseNoStage},
	} {
		r.Time = time.Date(2026, 11, 27, 3, 0, i+1, 0, time.UTC)
		requests.Add(&r)
		refusals.Add(&r)
	}
	return control.ExplainHandler(refusals, requests)
}

// TestExplainTellsAllThatIsKnown: what is long is cut in the memory of refusals,
// and whole while the call is among the newest requests.
func TestExplainTellsAllThatIsKnown(t *testing.T) {
	refusals, requests := telemetry.NewRefusals(time.Now()), telemetry.NewRequests()
	long := telemetry.Record{
		RequestID: "aaaa0000-0000-4000-8000-000000000001", ExtendedID: "ExtendedExtend0=", Time: time.Now(), Verdict: telemetry.Refused, Status: 500,
		Cause: telemetry.CauseAuthorizerMisconfigured, Path: "/" + strings.Repeat("p", 100), Detail: "the answer of the authorizer is none: it has no principalId",
	}
	detail := func() string {
		t.Helper()
		w := httptest.NewRecorder()
		control.ExplainHandler(refusals, requests).ServeHTTP(w, httptest.NewRequest("GET", control.ExplainPath+long.RequestID, nil))
		var told struct{ Detail string }
		if err := json.Unmarshal(w.Body.Bytes(), &told); err != nil {
			t.Fatalf("%v: %s", err, w.Body)
		}
		return told.Detail
	}
	refusals.Add(&long)
	if d := detail(); !strings.HasSuffix(d, "…") {
		t.Errorf("forgotten by the requests: %q", d)
	}
	requests.Add(&long)
	if d := detail(); d != long.Detail {
		t.Errorf("among the requests: %q", d)
	}
	later := long
	later.Time, later.Detail = long.Time.Add(time.Second), "another call, whose caller chose the same id"
	requests.Add(&later)
	if d := detail(); d == later.Detail {
		t.Errorf("told of another call: %q", d)
	}
}

func TestExplainFindsACall(t *testing.T) {
	h := looked(t)
	for _, c := range []struct {
		path   string
		status int
		has    []string
	}{
		{"aaaa0000-0000-4000-8000-000000000001", 200, []string{
			`"cause":"plan-throttle"`, `"limit":{"rateLimit":1,"burstLimit":1,"tokens":0.5,"clearsInMs":500}`,
			`"layer":"throttle"`, `"clearsAt":"2026-11-27T03:00:01.5Z"`, `"cleared":true`, `"do":"Wait, or raise the plan's`,
		}},
		{"ExtendedExtend0=", 200, []string{`"requestId":"aaaa0000-0000-4000-8000-000000000001"`}},
		{"ExtendedExtend0%3D", 200, []string{`"requestId":"aaaa0000-0000-4000-8000-000000000001"`}},
		{"eeee", 200, []string{`"verdict":"missed"`, `"cause":"no-stage"`, `"layer":"routing"`}},
		{"bbbb", 200, []string{`"verdict":"admitted"`, `"what":"The call was let in, and no limit refused it."`}},
		{"cccc", 200, []string{`"what":"The call was let in; what failed is behind the gate`, "weir logs"}},
		{"dddd", 200, []string{`"verdict":"broken"`, `"what":"Weir itself failed`}},
		{"aaaa", 409, []string{"2 or more ids begin with aaaa: aaaa0000-0000-4000-8000-000000000002, aaaa0000-0000-4000-8000-000000000001"}},
		{"", 200, []string{`"requestId":"eeee`}},
		{"?key=key1", 200, []string{`"requestId":"aaaa0000-0000-4000-8000-000000000001"`}},
		{"?api=api1", 200, []string{`"cause":"no-key"`}},
		{"?key=key2", 404, []string{"Nothing that fits was refused since this server started, at 2026-11-27T03:00:00Z"}},
		{"ffff", 404, []string{"No call with the id ffff was refused here since the server started, at 2026-11-27T03:00:00Z. It was let in, longer ago than the newest 10000"}},
		{"fff", 400, []string{"at least the first 4 characters"}},
		{strings.Repeat("f", 65), 400, []string{"a request id has 36 characters"}},
		{"ffff?key=key1", 400, []string{"not both"}},
		{"?colour=red", 400, []string{"there are key and api"}},
		{"?%zz", 400, []string{"malformed"}},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, control.ExplainPath+c.path, nil))
		body := w.Body.String()
		if w.Code != c.status || !json.Valid([]byte(body)) || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%q: %d, want %d: %s", c.path, w.Code, c.status, body)
		}
		for _, text := range c.has {
			if !strings.Contains(body, text) {
				t.Errorf("%q: no %s in %s", c.path, text, body)
			}
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, control.ExplainPath, nil))
	if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET" {
		t.Errorf("POST: %d", w.Code)
	}
}

// TestExplainSaysWhatIsForgotten, once more was refused than is kept.
func TestExplainSaysWhatIsForgotten(t *testing.T) {
	refusals := telemetry.NewRefusals(time.Unix(0, 0))
	for n := range telemetry.KeptRefusals + 3 {
		refusals.Add(&telemetry.Record{RequestID: fmt.Sprintf("%08d", n), Verdict: telemetry.Refused, Time: time.Unix(int64(n), 0)})
	}
	w := httptest.NewRecorder()
	control.ExplainHandler(refusals, telemetry.NewRequests()).ServeHTTP(w, httptest.NewRequest(http.MethodGet, control.ExplainPath+"00000002", nil))
	want := "Refusals are kept since 1970-01-01T00:00:03Z (the newest 100000; 3 older ones are forgotten)"
	if w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), want) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
