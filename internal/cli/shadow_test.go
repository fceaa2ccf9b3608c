package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
)

// TestShadowIsShown where plans, usage and requests are.
func TestShadowIsShown(t *testing.T) {
	g := serveGated(t)
	run := func(want string, args ...string) string {
		t.Helper()
		code, out, errs := line(t, append(args, "--data", g.data)...)
		if code != exitOK || !strings.Contains(out, want) {
			t.Errorf("%v: exit %d, no %q in\n%s%s", args, code, want, out, errs)
		}
		return out
	}
	if out := run("plan", "plans"); strings.Contains(out, "WOULD REFUSE") {
		t.Errorf("no plan is in shadow mode:\n%s", out)
	}
	conn, err := connect(g.data)
	must(t, err)
	api := apigateway.NewFromConfig(conn.aws)
	plans, err := api.GetUsagePlans(t.Context(), &apigateway.GetUsagePlansInput{})
	must(t, err)
	_, err = api.TagResource(t.Context(), &apigateway.TagResourceInput{
		ResourceArn: aws.String("arn:aws:apigateway:us-east-1::/usageplans/" + *plans.Items[0].Id), Tags: map[string]string{"weir:shadow": "on"},
	})
	must(t, err)
	for range 3 { // the plan lets one an hour in
		g.call("/", g.value, 200)
	}
	if out := run("WOULD REFUSE", "plans"); !strings.Contains(out, "  2  "+g.api+":live") {
		t.Errorf("%s", out)
	}
	if out := run("WOULD REFUSE", "usage"); !strings.Contains(out, "me") || !strings.HasSuffix(strings.TrimRight(out, "\n"), " 2") {
		t.Errorf("%s", out)
	}
	run("admitted", "requests", "--limit", "3")
	if out := run("shadow plan-throttle", "requests", "--verdict", "shadow"); strings.Count(out, "\n") != 2 {
		t.Errorf("%s", out)
	}
	var listed struct {
		Plans []struct {
			Shadow *struct {
				On                   bool
				Throttled, Exhausted int64
			}
		}
	}
	if err := json.Unmarshal([]byte(run("shadow", "plans", "--json")), &listed); err != nil || listed.Plans[0].Shadow == nil ||
		!listed.Plans[0].Shadow.On || listed.Plans[0].Shadow.Throttled != 2 || listed.Plans[0].Shadow.Exhausted != 0 {
		t.Errorf("%v: %+v", err, listed)
	}
	run(`"wouldRefuse": {`, "usage", "--json")
	var r struct{ RequestID string }
	if err := json.Unmarshal([]byte(run("shadow", "requests", "--verdict", "shadow", "--limit", "1", "--json")), &r); err != nil {
		t.Fatal(err)
	}
	run("because its usage plan is in shadow mode", "explain", r.RequestID)
}
