package apigateway

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	client "github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/apigateway/types"
)

func TestUsagePlanWire(t *testing.T) {
	s := newServer(t)
	p := s.site()
	s.golden(`{"id":"ID","name":"n","apiStages":[]}`, "POST", "/usageplans", `{"name":"n"}`)
	const full = `{"id":"ID","name":"n","description":"d","apiStages":[{"apiId":"ID","stage":"dev","throttle":{"//GET":{"burstLimit":2,"rateLimit":0.1}}}],` +
		`"throttle":{"burstLimit":20,"rateLimit":10.0},"quota":{"limit":10,"offset":0,"period":"DAY"}`
	const body = `{"name":"n","description":"d","apiStages":[{"apiId":"%s","stage":"dev","throttle":{"//GET":{"rateLimit":0.1,"burstLimit":2}}}],` +
		`"throttle":{"rateLimit":10,"burstLimit":20},"quota":{"limit":10,"period":"DAY"}%s}`
	s.golden(full+`,"tags":{"k":"v"}}`, "POST", "/usageplans", fmt.Sprintf(body, p.api, `,"tags":{"k":"v"}`))
	s.golden(full+`}`, "POST", "/usageplans", fmt.Sprintf(body, p.api, ""))
	id := s.plan(p)
	s.golden(`{"id":"ID","name":"plan","apiStages":[{"apiId":"ID","stage":"dev"}],"tags":{}}`, "GET", "/usageplans/"+id, "")
	s.golden(`{"id":"ID","name":"plan","apiStages":[{"apiId":"ID","stage":"dev"}],"tags":{}}`, "PATCH", "/usageplans/"+id, `{}`)
	for _, item := range s.ok(200, "GET", "/usageplans", "")["item"].([]any) {
		if item.(map[string]any)["tags"] != nil {
			t.Errorf("the list shows tags: %v", item)
		}
	}
	if len(id) != 6 {
		t.Errorf("id %s", id)
	}
}

// The whole table of patch operations, in one plan.
func TestUsagePlanPatches(t *testing.T) {
	s := newServer(t)
	p, q := s.site(), s.site()
	plan, err := s.sdk.CreateUsagePlan(ctx, &client.CreateUsagePlanInput{Name: aws.String("n")})
	check(t, err)
	at, stage := "/usageplans/"+*plan.Id, p.api+":dev"
	for _, step := range []struct {
		ops  []string
		want string // of the plan, without id, name and tags
	}{
		{
			[]string{"replace", "/quota/limit", "5000", "replace", "/quota/period", "MONTH", "replace", "/throttle/rateLimit", "200", "replace", "/throttle/burstLimit", "100"},
			`"apiStages":[],"throttle":{"burstLimit":100,"rateLimit":200.0},"quota":{"limit":5000,"offset":0,"period":"MONTH"}`,
		},
		{
			[]string{"add", "/quota/offset", "27", "add", "/quota/limit", "1", "add", "/throttle/rateLimit", "0.1", "add", "/throttle/burstLimit", "1"},
			`"apiStages":[],"throttle":{"burstLimit":1,"rateLimit":0.1},"quota":{"limit":1,"offset":27,"period":"MONTH"}`,
		},
		{
			[]string{"remove", "/quota", "", "remove", "/throttle", "", "add", "/productCode", "c", "replace", "/description", "d"},
			`"description":"d","apiStages":[],"productCode":"c"`,
		},
		{
			[]string{"remove", "/productCode", "", "replace", "/description", "", "add", "/apiStages", stage, "add", "/apiStages", q.api + ":dev"},
			`"apiStages":[{"apiId":"ID","stage":"dev"},{"apiId":"ID","stage":"dev"}]`,
		},
		{
			[]string{"remove", "/apiStages", q.api + ":dev", "add", "/apiStages/" + stage + "/throttle", `{"/pets/GET":{"rateLimit":1,"burstLimit":2}}`},
			`"apiStages":[{"apiId":"ID","stage":"dev","throttle":{"/pets/GET":{"burstLimit":2,"rateLimit":1.0}}}]`,
		},
		{
			[]string{"add", "/apiStages/" + stage + "/throttle/~1pets~1{id}/POST/rateLimit", "3", "replace", "/apiStages/" + stage + "/throttle/~1pets~1{id}/POST/burstLimit", "4"},
			`"apiStages":[{"apiId":"ID","stage":"dev","throttle":{"/pets/GET":{"burstLimit":2,"rateLimit":1.0},"/pets/{id}/POST":{"burstLimit":4,"rateLimit":3.0}}}]`,
		},
		// Terraform leaves the slashes as they are; the root's path is one slash.
		{
			[]string{"replace", "/apiStages/" + stage + "/throttle//pets/{id}/POST/rateLimit", "5", "replace", "/apiStages/" + stage + "/throttle/~1/ANY/rateLimit", "6", "remove", "/apiStages/" + stage + "/throttle/~1pets/GET", ""},
			`"apiStages":[{"apiId":"ID","stage":"dev","throttle":{"//ANY":{"burstLimit":0,"rateLimit":6.0},"/pets/{id}/POST":{"burstLimit":4,"rateLimit":5.0}}}]`,
		},
		{
			[]string{"replace", "/apiStages/" + stage + "/throttle", `{"//GET":{"rateLimit":1,"burstLimit":1}}`},
			`"apiStages":[{"apiId":"ID","stage":"dev","throttle":{"//GET":{"burstLimit":1,"rateLimit":1.0}}}]`,
		},
		{[]string{"remove", "/apiStages/" + stage + "/throttle", ""}, `"apiStages":[{"apiId":"ID","stage":"dev"}]`},
	} {
		_, _, answer := s.raw("PATCH", at, patch(step.ops...))
		if got, want := shape(answer), `{"id":"ID","name":"n",`+step.want+`,"tags":{}}`; got != want {
			t.Errorf("%v\n got: %s\nwant: %s", step.ops, got, want)
		}
		if _, _, again := s.raw("GET", at, ""); again != answer {
			t.Errorf("%v: the update answered %s, stored is %s", step.ops, answer, again)
		}
	}
	s.ok(200, "PATCH", at, patch("remove", "/apiStages", stage, "replace", "/name", "m"))
	s.ok(202, "DELETE", at, "")
}

func TestUsagePlanErrors(t *testing.T) {
	s := newServer(t)
	p := s.site()
	id := s.plan(p)
	at, stage := "/"+id, p.api+":dev"
	const bad, missing = "BadRequestException", "NotFoundException"
	var throttles []string
	for i := range 21 {
		throttles = append(throttles, fmt.Sprintf(`"/p%d/GET":{"rateLimit":1,"burstLimit":1}`, i))
	}
	quota := func(period, offset string) string {
		return `{"name":"n","quota":{"limit":1,"offset":` + offset + `,"period":"` + period + `"}}`
	}
	for _, c := range []struct {
		status                              int
		code, message, method, target, body string
	}{
		{404, missing, "Invalid Usage Plan ID specified", "GET", "/nope", ``},
		{404, missing, "Invalid Usage Plan ID specified", "PATCH", "/nope", `{}`},
		{404, missing, "Invalid Usage Plan ID specified", "DELETE", "/nope", ``},
		{400, bad, "Usage Plan name cannot be an empty string", "POST", "", `{"name":""}`},
		{400, "ValidationException", "1 validation error detected: Value null at 'createUsagePlanInput.name' failed to satisfy constraint: Member must not be null", "POST", "", `{}`},
		{400, "ValidationException", "1 validation error detected: Value 'YEAR' at 'createUsagePlanInput.quota.period' failed to satisfy constraint: Member must satisfy enum value set: [DAY, WEEK, MONTH]", "POST", "", `{"name":"n","quota":{"limit":1,"period":"YEAR"}}`},
		{400, bad, "Invalid API Stage specified", "POST", "", `{"name":"n","apiStages":[{"apiId":"` + p.api + `"}]}`},
		{400, bad, "Usage Plan quota period must be one of: DAY, WEEK, MONTH", "POST", "", `{"name":"n","quota":{"limit":1}}`},
		{400, bad, "Usage Plan quota offset must be zero in the DAY period", "POST", "", quota("DAY", "1")},
		{400, bad, "Usage Plan quota offset must be between zero and six inclusive in the WEEK period", "POST", "", quota("WEEK", "7")},
		{400, bad, "Usage Plan quota offset must be between zero and 27 inclusive in the MONTH period", "POST", "", quota("MONTH", "28")},
		{400, bad, "Usage Plan quota offset must be between zero and 27 inclusive in the MONTH period", "POST", "", quota("MONTH", "-1")},
		{400, bad, "Usage Plan quota limit must not be negative", "POST", "", `{"name":"n","quota":{"limit":-1,"period":"DAY"}}`},
		{400, bad, "Usage Plan throttle rate limit must not be negative", "POST", "", `{"name":"n","throttle":{"rateLimit":-1}}`},
		{400, bad, "Invalid method throttle path /*/*. Must be {resourcePath}/{httpMethod}", "POST", "", `{"name":"n","apiStages":[{"apiId":"` + p.api + `","stage":"dev","throttle":{"*/*":{"rateLimit":1,"burstLimit":1}}}]}`},

		{400, bad, "Invalid API Stage specified", "PATCH", at, `{"patchOperations":[{"op":"remove","path":"/apiStages"}]}`},
		{400, bad, "Invalid API Stage specified", "PATCH", at, patch("remove", "/apiStages", "fakevalue")},
		{404, missing, "Invalid API Stage {api: " + p.api + "b, stage: dev} specified for usageplan " + id, "PATCH", at, patch("remove", "/apiStages", p.api+"b:dev")},
		{404, missing, "Invalid API Stage {api: " + p.api + ", stage: fake} specified for usageplan " + id, "PATCH", at, patch("remove", "/apiStages", p.api+":fake")},
		{404, missing, "Invalid API Stage {api: " + p.api + ", stage: fake} specified for usageplan " + id, "PATCH", at, patch("add", "/apiStages", p.api+":fake")},
		{409, "ConflictException", "API Stage " + stage + " is already in Usage Plan " + id, "PATCH", at, patch("add", "/apiStages", stage)},
		{400, bad, "Invalid patch path  '/apiStages/X:dev' specified for op 'remove'. Must be one of: [/apiStages, /quota, /throttle, /productCode, /apiStages/<apidId:stageName>/throttle/<resourcePath>/<httpMethod>, /apiStages/<apidId:stageName>/throttle]", "PATCH", at, patch("remove", "/apiStages/X:dev", "")},
		{400, bad, "Invalid patch path  '/name' specified for op 'move'. Please choose supported operations", "PATCH", at, patch("move", "/name", "")},
		{400, bad, "Invalid burst limit specified: x", "PATCH", at, patch("replace", "/throttle/burstLimit", "x")},
		{400, bad, "Invalid rate limit specified: Inf", "PATCH", at, patch("replace", "/throttle/rateLimit", "Inf")},
		{400, bad, "Invalid quota limit specified: 1.5", "PATCH", at, patch("replace", "/quota/limit", "1.5")},
		{400, bad, "Usage Plan quota period must be one of: DAY, WEEK, MONTH", "PATCH", at, patch("replace", "/quota/limit", "1")},
		{400, bad, "Usage Plan quota offset must be zero in the DAY period", "PATCH", at, patch("replace", "/quota/period", "DAY", "replace", "/quota/offset", "1")},
		{400, bad, "Invalid throttle specified for API Stage " + stage + `. Must be a map like {"/path/GET":{"rateLimit":1.0,"burstLimit":1}}`, "PATCH", at, patch("replace", "/apiStages/"+stage+"/throttle", "x")},
		{400, bad, "Invalid throttle specified for API Stage " + stage + `. Must be a map like {"/path/GET":{"rateLimit":1.0,"burstLimit":1}}`, "PATCH", at, patch("replace", "/apiStages/"+stage+"/throttle", "null")},
		{400, bad, "Invalid throttle specified for API Stage " + stage + `. Must be a map like {"/path/GET":{"rateLimit":1.0,"burstLimit":1}}`, "PATCH", at, patch("replace", "/apiStages/"+stage+"/throttle", `{"/a/GET":{"rateLimit":1e999,"burstLimit":1}}`)},
		{400, bad, "Two throttles are specified for method /a/GET", "PATCH", at, patch("add", "/apiStages/"+stage+"/throttle", `{"/a/GET":{"rateLimit":1,"burstLimit":1},"a/GET":{"rateLimit":2,"burstLimit":1}}`)},
		{400, bad, "Two throttles are specified for method //GET", "POST", "", `{"name":"n","apiStages":[{"apiId":"` + p.api + `","stage":"dev","throttle":{"//GET":{},"/GET":{}}}]}`},
		{400, bad, "Invalid rate limit specified: NaN", "PATCH", at, patch("replace", "/throttle/rateLimit", "NaN")},
		{400, bad, "Invalid rate limit specified: 1e999", "PATCH", at, patch("replace", "/throttle/rateLimit", "1e999")},
		{400, bad, "Invalid rate limit specified: 0x10", "PATCH", at, patch("replace", "/throttle/rateLimit", "0x10")},
		{400, bad, "Invalid rate limit specified: ", "PATCH", at, patch("replace", "/throttle/rateLimit", "")},
		{400, bad, "Usage Plan throttle rate limit must not be negative", "PATCH", at, patch("replace", "/throttle/rateLimit", "-0.1")},
		{400, bad, "Usage Plan throttle burst limit must not be negative", "PATCH", at, patch("replace", "/throttle/burstLimit", "-1")},
		{400, bad, "Invalid burst limit specified: 2147483648", "PATCH", at, patch("replace", "/throttle/burstLimit", "2147483648")},
		{400, bad, "Usage Plan throttle rate limit must not be negative", "PATCH", at, patch("add", "/apiStages/"+stage+"/throttle/~1a/GET/rateLimit", "-1")},
		{400, bad, "Invalid method throttle path /a/get. Must be {resourcePath}/{httpMethod}", "PATCH", at, patch("add", "/apiStages/"+stage+"/throttle/~1a/get/rateLimit", "1")},
		{400, bad, "No throttle is set for method /a/GET of API Stage " + stage, "PATCH", at, patch("remove", "/apiStages/"+stage+"/throttle/~1a/GET", "")},
		{404, missing, "Invalid API Stage {api: x, stage: y} specified for usageplan " + id, "PATCH", at, patch("replace", "/apiStages/x:y/throttle/~1a/GET/rateLimit", "1")},
		{429, "LimitExceededException", "A Usage Plan can throttle at most 20 methods of API Stage " + stage, "PATCH", at, patch("replace", "/apiStages/"+stage+"/throttle", "{"+strings.Join(throttles, ",")+"}")},
		{400, bad, "Cannot delete Usage Plan " + id + " because there are API Stages associated with it, including " + stage, "DELETE", at, ``},
	} {
		s.refused(c.status, c.code, c.message, c.method, "/usageplans"+c.target, c.body)
	}
	status, code, answer := s.raw("POST", "/usageplans", `{"name":"n","apiStages":[{"apiId":"nope","stage":"dev"}]}`)
	if status != 404 || code != missing || !strings.Contains(answer, "Invalid API Stage {api: nope, stage: dev} specified for usageplan ") {
		t.Errorf("%d %s %s", status, code, answer)
	}
	s.ok(200, "PATCH", "/usageplans"+at, patch("replace", "/apiStages/"+stage+"/throttle", "{"+strings.Join(throttles[1:], ",")+"}"))
	for period, offset := range map[string]string{"DAY": "0", "WEEK": "6", "MONTH": "27"} {
		s.ok(201, "POST", "/usageplans", quota(period, offset))
	}
}

func TestUsagePlanKeys(t *testing.T) {
	s := newServer(t)
	plan := s.plan()
	at := "/usageplans/" + plan + "/keys"
	one := s.ok(201, "POST", "/apikeys", `{"name":"one","value":"`+keyValue+`"}`)["id"].(string)
	two := s.key("two")
	s.golden(`{"id":"ID","type":"API_KEY","value":"`+keyValue+`","name":"one"}`, "POST", at, `{"keyId":"`+one+`","keyType":"API_KEY"}`)
	s.golden(`{"id":"ID","type":"API_KEY","value":"`+keyValue+`","name":"one"}`, "GET", at+"/"+one, "")
	s.golden(`{"item":[{"id":"ID","type":"API_KEY","value":"`+keyValue+`","name":"one"}]}`, "GET", at, "")
	_, err := s.sdk.CreateUsagePlanKey(ctx, &client.CreateUsagePlanKeyInput{UsagePlanId: &plan, KeyId: &two, KeyType: aws.String("API_KEY")})
	check(t, err)
	list := func(query string) (names []string) {
		t.Helper()
		in := &client.GetUsagePlanKeysInput{UsagePlanId: &plan, Limit: aws.Int32(1)}
		if query != "" {
			in.NameQuery = &query
		}
		pages := client.NewGetUsagePlanKeysPaginator(s.sdk, in)
		for pages.HasMorePages() {
			out, err := pages.NextPage(ctx)
			check(t, err)
			for _, k := range out.Items {
				names = append(names, *k.Name)
			}
		}
		return names
	}
	same(t, list(""), "two", "one")
	same(t, list("o"), "one")
	same(t, list("O"))
	s.golden(`{"item":[]}`, "GET", "/usageplans/nope/keys", "")

	plans, err := s.sdk.GetUsagePlans(ctx, &client.GetUsagePlansInput{KeyId: &one})
	check(t, err)
	if s.plan(); len(plans.Items) != 1 || *plans.Items[0].Id != plan {
		t.Errorf("plans of the key: %v", plans.Items)
	}

	const missing = "NotFoundException"
	for _, c := range []struct {
		status                              int
		code, message, method, target, body string
	}{
		{404, missing, "Invalid Usage Plan ID specified", "POST", "/usageplans/nope/keys", `{"keyId":"` + one + `","keyType":"API_KEY"}`},
		{404, missing, "Invalid API Key identifier specified", "POST", at, `{"keyId":"nope","keyType":"API_KEY"}`},
		{400, "BadRequestException", "Invalid key type specified. Valid options are API_KEY", "POST", at, `{"keyId":"` + one + `","keyType":"X"}`},
		{400, "ValidationException", "2 validation errors detected: Value null at 'createUsagePlanKeyInput.keyId' failed to satisfy constraint: Member must not be null; Value null at 'createUsagePlanKeyInput.keyType' failed to satisfy constraint: Member must not be null", "POST", at, `{}`},
		{409, "ConflictException", "API Key " + one + " is already in Usage Plan " + plan, "POST", at, `{"keyId":"` + one + `","keyType":"API_KEY"}`},
		{404, missing, "Invalid API Key identifier specified", "GET", at + "/nope", ``},
		{404, missing, "Invalid API Key identifier specified", "DELETE", at + "/nope", ``},
		{404, missing, "Invalid Usage Plan ID specified", "DELETE", "/usageplans/nope/keys/" + one, ``},
	} {
		s.refused(c.status, c.code, c.message, c.method, c.target, c.body)
	}
	_, err = s.sdk.DeleteUsagePlanKey(ctx, &client.DeleteUsagePlanKeyInput{UsagePlanId: &plan, KeyId: &two})
	check(t, err)
	same(t, list(""), "one")
	s.ok(202, "DELETE", "/usageplans/"+plan, "") // keys do not hold a plan
	s.ok(200, "GET", "/apikeys/"+one, "")
}

// A key is in one plan per stage, whichever end is joined last.
func TestOnePlanPerKeyAndStage(t *testing.T) {
	s := newServer(t)
	p, q := s.site(), s.site()
	first, second, key := s.plan(p, q), s.plan(p), s.key("k")
	join := func(plan string) error {
		_, err := s.sdk.CreateUsagePlanKey(ctx, &client.CreateUsagePlanKeyInput{UsagePlanId: &plan, KeyId: &key, KeyType: aws.String("API_KEY")})
		return err
	}
	taken := "API Key " + key + " is already in Usage Plan " + first + " for API Stage " + p.api + ":dev; a key can be in one Usage Plan per API Stage"
	check(t, join(first))
	answered(t, join(second), "ConflictException", taken)

	third := s.plan()
	check(t, join(third))
	_, err := s.sdk.UpdateUsagePlan(ctx, &client.UpdateUsagePlanInput{UsagePlanId: &third, PatchOperations: []types.PatchOperation{
		{Op: types.OpAdd, Path: aws.String("/apiStages"), Value: aws.String(p.api + ":dev")},
	}})
	answered(t, err, "ConflictException", taken)

	// Once the first plan lets go of the stage, both may have it.
	s.ok(200, "PATCH", "/usageplans/"+first, patch("remove", "/apiStages", p.api+":dev"))
	check(t, join(second))
	answered(t, join(s.plan(q)), "ConflictException", "API Key "+key+" is already in Usage Plan "+first+" for API Stage "+q.api+":dev; a key can be in one Usage Plan per API Stage")
	// A stage that the plan has already is no new one.
	s.ok(200, "PATCH", "/usageplans/"+first, patch("replace", "/name", "x"))
}

func TestTenPlansPerKey(t *testing.T) {
	s := newServer(t)
	key := s.key("k")
	for range 10 {
		s.ok(201, "POST", "/usageplans/"+s.plan()+"/keys", `{"keyId":"`+key+`","keyType":"API_KEY"}`)
	}
	s.refused(429, "LimitExceededException", "API Key "+key+" is in 10 Usage Plans, which is the limit",
		"POST", "/usageplans/"+s.plan()+"/keys", `{"keyId":"`+key+`","keyType":"API_KEY"}`)
}
