package apigateway

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	client "github.com/aws/aws-sdk-go-v2/service/apigateway"

	"weir/internal/limit"
)

// spend records n calls of a key on a day.
func (s *server) spend(plan, key, day string, n int) {
	s.t.Helper()
	d, err := limit.ParseDay(day)
	check(s.t, err)
	s.recorded++
	check(s.t, s.store.Record(ctx, limit.Batch{Seq: s.recorded, Counts: []limit.Count{
		{Account: limit.Account{PlanID: plan, KeyID: key}, Day: d, Calls: int64(n)},
	}}))
}

func (s *server) member(plan string) string {
	s.t.Helper()
	key := s.key("k")
	s.ok(201, "POST", "/usageplans/"+plan+"/keys", `{"keyId":"`+key+`","keyType":"API_KEY"}`)
	return key
}

// Today is Tuesday, 2026-11-24.
func TestUsageRunsDownWithinAPeriod(t *testing.T) {
	s := newServer(t)
	for _, c := range []struct{ quota, from, to, want string }{
		{`{"limit":10,"period":"DAY"}`, "2026-11-20", "2026-11-24", `[[1,9],[0,10],[0,10],[3,7],[2,8]]`},
		// 2026-11-23 is a Monday: a new week.
		{`{"limit":10,"period":"WEEK"}`, "2026-11-20", "2026-11-24", `[[1,9],[0,9],[0,9],[3,7],[2,5]]`},
		// The range begins inside the month; what was used before counts.
		{`{"limit":10,"period":"MONTH"}`, "2026-11-21", "2026-11-24", `[[0,9],[0,9],[3,6],[2,4]]`},
		{`{"limit":4,"period":"MONTH"}`, "2026-11-23", "2026-11-24", `[[3,0],[2,0]]`},
		// The offset is taken off in the period of joining, and only there.
		{`{"limit":10,"offset":3,"period":"WEEK"}`, "2026-11-20", "2026-11-24", `[[1,9],[0,9],[0,9],[3,4],[2,2]]`},
		// Days to come are not there yet.
		{`{"limit":10,"period":"DAY"}`, "2026-11-24", "2026-11-30", `[[2,8]]`},
		{`{"limit":10,"period":"DAY"}`, "2026-11-25", "2026-11-30", `[]`},
		{``, "2026-11-23", "2026-11-24", `[[3,2147483647],[2,2147483647]]`},
	} {
		body := `{"name":"n"}`
		if c.quota != "" {
			body = `{"name":"n","quota":` + c.quota + `}`
		}
		plan := s.ok(201, "POST", "/usageplans", body)["id"].(string)
		key := s.member(plan)
		s.spend(plan, key, "2026-11-20", 1)
		s.spend(plan, key, "2026-11-23", 3)
		s.spend(plan, key, "2026-11-24", 2)
		want := fmt.Sprintf(`{"usagePlanId":"ID","startDate":"%s","endDate":"%s","values":{"%s":%s}}`, c.from, c.to, key, c.want)
		s.golden(want, "GET", "/usageplans/"+plan+"/usage?startDate="+c.from+"&endDate="+c.to, "")
	}
	if s.flushed != 8 {
		t.Errorf("flushed %d times, want once a call", s.flushed)
	}
}

func TestUsageOfKeys(t *testing.T) {
	s := newServer(t)
	plan := s.ok(201, "POST", "/usageplans", `{"name":"n","quota":{"limit":10,"period":"DAY"}}`)["id"].(string)
	var keys []string
	for range 3 {
		keys = append(keys, s.member(plan))
	}
	s.spend(plan, keys[1], "2026-11-24", 2)
	in := &client.GetUsageInput{UsagePlanId: &plan, StartDate: aws.String("2026-11-24"), EndDate: aws.String("2026-11-24"), Limit: aws.Int32(2)}
	got := map[string][][]int64{}
	calls := 0
	for pages := client.NewGetUsagePaginator(s.sdk, in); pages.HasMorePages(); calls++ {
		out, err := pages.NextPage(ctx)
		check(t, err)
		for key, values := range out.Items {
			got[key] = values
		}
	}
	if calls != 2 || len(got) != 3 || got[keys[1]][0][0] != 2 || got[keys[1]][0][1] != 8 || got[keys[0]][0][0] != 0 || got[keys[0]][0][1] != 10 {
		t.Errorf("%d pages: %v", calls, got)
	}
	in.KeyId = &keys[1]
	out, err := s.sdk.GetUsage(ctx, in)
	check(t, err)
	if len(out.Items) != 1 || out.Items[keys[1]][0][0] != 2 {
		t.Errorf("%v", out.Items)
	}
	// What a key used stays readable when it left the plan.
	s.ok(202, "DELETE", "/usageplans/"+plan+"/keys/"+keys[1], "")
	out, err = s.sdk.GetUsage(ctx, in)
	check(t, err)
	if out.Items[keys[1]][0][0] != 2 {
		t.Errorf("%v", out.Items)
	}
	in.KeyId = aws.String("nope")
	_, err = s.sdk.GetUsage(ctx, in)
	answered(t, err, "NotFoundException", "Invalid Key identifier specified")
}

func TestUsageErrors(t *testing.T) {
	s := newServer(t)
	at := "/usageplans/" + s.plan() + "/usage"
	const bad = "BadRequestException"
	for _, c := range []struct {
		status                int
		code, message, target string
	}{
		{400, "ValidationException", "1 validation error detected: Value null at 'getUsageInput.endDate' failed to satisfy constraint: Member must not be null", at + "?startDate=2026-11-24"},
		{400, bad, "Invalid start date specified, must be YYYY-MM-DD: x", at + "?startDate=x&endDate=2026-11-24"},
		{400, bad, "Invalid end date specified, must be YYYY-MM-DD: 2026-02-30", at + "?startDate=2026-11-24&endDate=2026-02-30"},
		{400, bad, "Invalid date range specified, the start date is after the end date", at + "?startDate=2026-11-24&endDate=2026-11-23"},
		{400, bad, "Invalid date range specified, it can be at most 90 days", at + "?startDate=2026-01-01&endDate=2026-04-01"},
		{404, "NotFoundException", "Invalid Usage Plan ID specified", "/usageplans/nope/usage?startDate=2026-11-24&endDate=2026-11-24"},
	} {
		s.refused(c.status, c.code, c.message, "GET", c.target, "")
	}
	s.ok(200, "GET", at+"?startDate=2026-01-01&endDate=2026-03-31", "") // 90 days
}

func TestRandomText(t *testing.T) {
	seen := map[rune]int{}
	for _, c := range randomText(36_000, idAlphabet) {
		seen[c]++
	}
	for _, c := range idAlphabet {
		if seen[c] < 700 || seen[c] > 1300 { // 1000 expected; 9 standard deviations away
			t.Errorf("%c came %d times of 36000", c, seen[c])
		}
	}
	if len(seen) != 36 {
		t.Errorf("%d characters", len(seen))
	}
	if a, b := randomText(10, idAlphabet), randomText(10, idAlphabet); a == b || strings.ToLower(a) != a {
		t.Errorf("%s %s", a, b)
	}
}

// A page of usage asks the ledger once a key: what a full page costs.
func BenchmarkGetUsage(b *testing.B) {
	s := newServer(b)
	plan := s.ok(201, "POST", "/usageplans", `{"name":"n","quota":{"limit":10,"period":"MONTH"}}`)["id"].(string)
	for range 25 {
		s.member(plan)
	}
	b.ReportAllocs()
	for b.Loop() {
		s.ok(200, "GET", "/usageplans/"+plan+"/usage?startDate=2026-11-01&endDate=2026-11-30", "")
	}
}
