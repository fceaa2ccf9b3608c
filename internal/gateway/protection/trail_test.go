package protection

import (
	"slices"
	"strings"
	"testing"
	"time"

	"weir/internal/catalog"
	"weir/internal/gateway/message"
	"weir/internal/limit/limittest"
)

const stars = "**********************************"

// The sentences are AWS's, as real logs have them.
func TestTrailLines(t *testing.T) {
	h := newHouse(t, &limittest.Ledger{})
	h.PutPlan(planOf("nnpegc", rate(5, 1), &catalog.Quota{Limit: 2, Period: "DAY"}))
	id := "wxyzabcdef"
	keyValue := strings.Repeat("k", 34) + "F0yrv6"
	h.PutKey(id, digest(keyValue), true)
	h.Link(catalog.UsagePlanKey{PlanID: "nnpegc", KeyID: id, AddedAt: noon})
	st := h.stage(map[string]catalog.MethodSetting{"//GET": setting(1, 1)})
	verify := "Verifying Usage Plan for request: req-1. API Key: "
	m := stars + "F0yrv6"
	cases := []struct {
		name, key string
		method    int
		pass      time.Duration
		want      []string
	}{
		{"passed", keyValue, keyedGet, 0, []string{
			verify + m + " API Stage: api1/dev",
			"Usage Plan check succeeded for API Key " + m + " and API Stage api1/dev",
		}},
		{"plan throttle", keyValue, keyedGet, 0, []string{
			verify + m + " API Stage: api1/dev",
			"API Key " + m + " exceeded throttle limit for API Stage api1/dev: Key throttle limit exceeded for Usage Plan ID nnpegc, RestApi api1, Stage dev, Resource res001, HttpMethod GET. Limit: 5.00 Burst: 1",
		}},
		{"passed again", keyValue, keyedGet, time.Second, []string{
			verify + m + " API Stage: api1/dev",
			"Usage Plan check succeeded for API Key " + m + " and API Stage api1/dev",
		}},
		{"quota", keyValue, keyedGet, time.Second, []string{
			verify + m + " API Stage: api1/dev",
			"API Key " + m + " exceeded quota limit for API Stage api1/dev: Key quota exhausted for Usage Plan ID nnpegc. Q Limit: 2 Period: DAY",
		}},
		{"no key", "", keyedGet, 0, []string{
			verify + " API Stage: api1/dev",
			"API Key  not authorized because method 'GET /pets' requires API Key and API Key is not associated with a Usage Plan for API Stage api1/dev: No Usage Plan found for key and API Stage",
		}},
		{"wrong key", strings.Repeat("a", 40), keyedGet, 0, []string{
			verify + stars + "aaaaaa API Stage: api1/dev",
			"API Key " + stars + "aaaaaa not authorized because method 'GET /pets' requires API Key and API Key is not associated with a Usage Plan for API Stage api1/dev: No Usage Plan found for key and API Stage",
		}},
		{"short junk shows nothing", "hunter2", keyedGet, 0, []string{
			verify + stars + " API Stage: api1/dev",
			"API Key " + stars + " not authorized because method 'GET /pets' requires API Key and API Key is not associated with a Usage Plan for API Stage api1/dev: No Usage Plan found for key and API Stage",
		}},
		{"not required", "", open, 0, []string{
			verify + " API Stage: api1/dev",
			"API Key  authorized because method 'GET /' does not require API Key. Request will not contribute to throttle or quota limits",
			"Usage Plan check succeeded for API Key  and API Stage api1/dev",
		}},
		{"stage throttle", "", open, 0, []string{
			verify + " API Stage: api1/dev",
			"API Key  authorized because method 'GET /' does not require API Key. Request will not contribute to throttle or quota limits",
			"Usage Plan check succeeded for API Key  and API Stage api1/dev",
			"Key throttle limit exceeded for RestApi api1, Stage dev, Resource res001, HttpMethod GET. Limit: 1.00 Burst: 1",
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			h.pass(c.pass)
			req := request("GET", c.key)
			req.Trail = &message.Trail{}
			a, r := h.Admit(t.Context(), req, st, c.method)
			a.Settle(true)
			if got := req.Trail.Lines(); !slices.Equal(got, c.want) {
				t.Errorf("lines\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
			for _, line := range req.Trail.Lines() {
				if c.key != "" && strings.Contains(line, c.key) {
					t.Errorf("the key is shown: %s", line)
				}
			}
			if r != nil && (r.Type == Throttled || r.Type == QuotaExceeded) && r.Detail != c.want[len(c.want)-1] {
				t.Errorf("detail %q", r.Detail)
			}
		})
	}
}

func TestMaskedKeepsLogLinesWhole(t *testing.T) {
	got := message.Masked(strings.Repeat("k", 30) + "a\nb\x00\xffc")
	if got != stars+"a?b??c" {
		t.Errorf("masked %q", got)
	}
}
