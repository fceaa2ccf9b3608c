package apigateway

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	client "github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/apigateway/types"

	"weir/internal/limit"
)

func (s *server) planWith(quota string) string {
	s.t.Helper()
	return s.ok(201, "POST", "/usageplans", `{"name":"n","quota":`+quota+`}`)["id"].(string)
}

// left asks the ledger for one call after the other until it says no.
func (s *server) left(plan, key string, q limit.Quota) (n int64) {
	s.t.Helper()
	for ; n < 100; n++ {
		a, err := s.store.Spend(ctx, limit.Ask{Account: limit.Account{PlanID: plan, KeyID: key}, Quota: q, Joined: limit.DayOf(s.clock()), Calls: 1})
		check(s.t, err)
		if !a.OK {
			return n
		}
	}
	return n
}

// Today is Tuesday, 2026-11-24.
func TestUpdateUsage(t *testing.T) {
	s := newServer(t)
	week := limit.Quota{Limit: 10, Period: limit.Weekly}
	plan := s.planWith(`{"limit":10,"period":"WEEK"}`)
	key, other := s.member(plan), s.member(plan)
	s.spend(plan, key, "2026-11-23", 3)
	s.spend(plan, key, "2026-11-24", 4)
	today := func(used, remaining int) string {
		return fmt.Sprintf(`{"usagePlanId":"ID","startDate":"2026-11-24","endDate":"2026-11-24","values":{"%s":[[%d,%d]]}}`, key, used, remaining)
	}
	at := "/usageplans/" + plan + "/keys/" + key + "/usage"
	for _, remaining := range []int{8, 0, 2147483647, 5} { // grants, takes, grants, takes
		s.golden(today(4, remaining), "PATCH", at, patch("replace", "/remaining", fmt.Sprint(remaining)))
	}
	// The next ones that are let in are as many, and GetUsage says so.
	if n := s.left(plan, key, week); n != 5 {
		t.Errorf("%d calls were let in, want 5", n)
	}
	s.golden(today(9, 0), "GET", "/usageplans/"+plan+"/usage?startDate=2026-11-24&endDate=2026-11-24&keyId="+key, "")
	if n := s.left(plan, other, week); n != 10 {
		t.Errorf("another key of the plan has %d calls, want 10", n)
	}
	// The last of several holds; none, and nothing changes.
	out, err := s.sdk.UpdateUsage(ctx, &client.UpdateUsageInput{UsagePlanId: &plan, KeyId: &key, PatchOperations: []types.PatchOperation{
		{Op: types.OpReplace, Path: aws.String("/remaining"), Value: aws.String("7")},
		{Op: types.OpReplace, Path: aws.String("/remaining"), Value: aws.String("2")},
	}})
	check(t, err)
	if got := out.Items[key]; len(got) != 1 || got[0][0] != 9 || got[0][1] != 2 || *out.UsagePlanId != plan {
		t.Errorf("%+v", out)
	}
	s.golden(today(9, 2), "PATCH", at, `{}`)
	// No edit of the plan or the key takes a grant back, and the next period begins as the plan says.
	s.ok(200, "PATCH", "/usageplans/"+plan, patch("replace", "/quota/limit", "12"))
	s.golden(today(9, 4), "PATCH", at, `{}`)
	s.pass(6 * 24 * time.Hour)
	s.golden(`{"usagePlanId":"ID","startDate":"2026-11-30","endDate":"2026-11-30","values":{"`+key+`":[[0,12]]}}`, "PATCH", at, `{}`)
}

// An offset is taken off in the period of joining: a grant says what remains,
// whatever was taken off.
func TestUpdateUsageInTheFirstPeriod(t *testing.T) {
	s := newServer(t)
	plan := s.planWith(`{"limit":10,"offset":3,"period":"WEEK"}`)
	key := s.member(plan)
	if got := s.ok(200, "PATCH", "/usageplans/"+plan+"/keys/"+key+"/usage", patch("replace", "/remaining", "4")); fmt.Sprint(got["values"]) != "map["+key+":[[0 4]]]" {
		t.Errorf("%v", got)
	}
	if n := s.left(plan, key, limit.Quota{Limit: 10, Offset: 3, Period: limit.Weekly}); n != 4 {
		t.Errorf("%d calls were let in, want 4", n)
	}
}

func TestUpdateUsageErrors(t *testing.T) {
	s := newServer(t)
	plan, open := s.planWith(`{"limit":10,"period":"DAY"}`), s.plan()
	key, stranger := s.member(plan), s.key("stranger")
	s.ok(201, "POST", "/usageplans/"+open+"/keys", `{"keyId":"`+key+`","keyType":"API_KEY"}`)
	at := func(plan, key string) string { return "/usageplans/" + plan + "/keys/" + key + "/usage" }
	give := patch("replace", "/remaining", "5")
	const bad = "BadRequestException"
	for _, c := range []struct {
		status                      int
		code, message, target, body string
	}{
		{404, "NotFoundException", "Invalid Usage Plan ID specified", at("nope", key), give},
		{404, "NotFoundException", "Invalid Key identifier specified", at(plan, "nope"), give},
		{404, "NotFoundException", "Invalid Key identifier specified", at(plan, stranger), give},
		{404, "NotFoundException", "Invalid Key identifier specified", at(plan, stranger), `{}`},
		{404, "NotFoundException", "Invalid Usage Plan ID specified", at("nope", key), `{}`},
		{400, bad, "Usage Plan " + open + " has no quota, so that nothing can remain of it", at(open, key), give},
		{400, bad, "Invalid patch path  '/extension' specified for op 'add'. Must be one of: []", at(plan, key), patch("add", "/extension", "5")},
		{400, bad, "Invalid patch path  '/remaining' specified for op 'add'. Must be one of: []", at(plan, key), patch("add", "/remaining", "5")},
		{400, bad, "Invalid patch path  '/used' specified for op 'replace'. Must be one of: [/remaining]", at(plan, key), patch("replace", "/used", "5")},
		{400, bad, "Invalid remaining specified, must be a number of calls from 0 to 2147483647: -1", at(plan, key), patch("replace", "/remaining", "-1")},
		{400, bad, "Invalid remaining specified, must be a number of calls from 0 to 2147483647: 2147483648", at(plan, key), patch("replace", "/remaining", "2147483648")},
		{400, bad, "Invalid remaining specified, must be a number of calls from 0 to 2147483647: 1.5", at(plan, key), patch("replace", "/remaining", "1.5")},
		{400, bad, "Invalid remaining specified, must be a number of calls from 0 to 2147483647: ", at(plan, key), `{"patchOperations":[{"op":"replace","path":"/remaining"}]}`},
		// A good operation before a bad one grants nothing.
		{400, bad, "Invalid remaining specified, must be a number of calls from 0 to 2147483647: x", at(plan, key), patch("replace", "/remaining", "5", "replace", "/remaining", "x")},
	} {
		s.refused(c.status, c.code, c.message, "PATCH", c.target, c.body)
	}
	if got := s.ok(200, "PATCH", at(plan, key), `{}`); fmt.Sprint(got["values"]) != "map["+key+":[[0 10]]]" {
		t.Errorf("%v", got)
	}
}
