package apigateway

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	client "github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/apigateway/types"

	"weir/internal/catalog"
	"weir/internal/store"
)

const apiShape = `{"id":"ID","name":"n","createdDate":T,"apiKeySource":"HEADER",` +
	`"endpointConfiguration":{"types":["EDGE"],"ipAddressType":"ipv4"},"disableExecuteApiEndpoint":false,"rootResourceId":"ID"}`

func TestRestAPIWire(t *testing.T) {
	s := newServer(t)
	s.golden(apiShape, "POST", "/restapis", `{"name":"n"}`)
	id := s.ok(200, "GET", "/restapis", "")["item"].([]any)[0].(map[string]any)["id"].(string)
	s.golden(apiShape, "GET", "/restapis/"+id, "")
	s.golden(`{"item":[`+apiShape+`]}`, "GET", "/restapis", "")
	// An update shows tags even when there are none.
	s.golden(strings.Replace(apiShape, `"disable`, `"tags":{},"disable`, 1), "PATCH", "/restapis/"+id, `{}`)
	s.golden(strings.Replace(apiShape, `"disable`, `"tags":{},"disable`, 1), "PATCH", "/restapis/"+id, `{"patchOperations":null}`)
	if s.action != "apigateway:PATCH arn:aws:apigateway:us-east-1::/restapis/"+id {
		t.Errorf("authorised as %s", s.action)
	}
}

func TestRestAPIMembersThroughSDK(t *testing.T) {
	s := newServer(t)
	const policy = `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "execute-api:Invoke", "Resource": "*"}]}`
	made, err := s.sdk.CreateRestApi(ctx, &client.CreateRestApiInput{
		Name: aws.String("n"), Description: aws.String("d"), Version: aws.String("v1"),
		BinaryMediaTypes: []string{"image/png"}, MinimumCompressionSize: aws.Int32(0),
		ApiKeySource:              types.ApiKeySourceTypeAuthorizer,
		EndpointConfiguration:     &types.EndpointConfiguration{Types: []types.EndpointType{types.EndpointTypePrivate}, VpcEndpointIds: []string{"vpce-1"}},
		Policy:                    aws.String(policy),
		Tags:                      map[string]string{"k": "v"},
		DisableExecuteApiEndpoint: true,
	})
	check(t, err)
	got, err := s.sdk.GetRestApi(ctx, &client.GetRestApiInput{RestApiId: made.Id})
	check(t, err)
	if *got.Description != "d" || *got.Version != "v1" || got.BinaryMediaTypes[0] != "image/png" || *got.MinimumCompressionSize != 0 ||
		got.ApiKeySource != "AUTHORIZER" || got.EndpointConfiguration.IpAddressType != "dualstack" ||
		got.EndpointConfiguration.VpcEndpointIds[0] != "vpce-1" || got.Tags["k"] != "v" || !got.DisableExecuteApiEndpoint ||
		!got.CreatedDate.Equal(s.now) {
		t.Errorf("%+v", got)
	}
	// AWS escapes the policy's quotes once more than JSON does.
	if !strings.HasPrefix(*got.Policy, `{\"Version\":\"2012-10-17\",`) {
		t.Errorf("policy %s", *got.Policy)
	}
	if len(*made.Id) != 10 || strings.ToLower(*made.Id) != *made.Id {
		t.Errorf("id %s", *made.Id)
	}

	clone, err := s.sdk.CreateRestApi(ctx, &client.CreateRestApiInput{Name: aws.String("c"), CloneFrom: made.Id})
	check(t, err)
	if *clone.RootResourceId != *made.RootResourceId || *clone.Description != "d" {
		t.Errorf("clone %+v", clone)
	}
}

func TestRestAPIErrors(t *testing.T) {
	s := newServer(t)
	id := s.ok(201, "POST", "/restapis", `{"name":"n"}`)["id"].(string)
	const bad = "BadRequestException"
	for _, c := range []struct {
		status                              int
		code, message, method, target, body string
	}{
		{400, "ValidationException", "1 validation error detected: Value null at 'createRestApiInput.name' failed to satisfy constraint: Member must not be null", "POST", "", `{}`},
		{400, bad, "Name cannot be an empty string", "POST", "", `{"name":""}`},
		{400, bad, "Description cannot be an empty string", "POST", "", `{"name":"n","description":"","endpointConfiguration":{"types":["PRIVATE"],"ipAddressType":"ipv4"}}`},
		{400, bad, "Invalid minimum compression size, must be between 0 and 10485760", "POST", "", `{"name":"n","minimumCompressionSize":"x"}`},
		{400, bad, "Invalid minimum compression size, must be between 0 and 10485760", "POST", "", `{"name":"n","minimumCompressionSize":10485761}`},
		{400, bad, "REGIONAL Configuration and EDGE Configuration cannot be both DISABLED.", "POST", "", `{"name":"n","endpointConfiguration":{"types":[]}}`},
		{400, bad, "Cannot create an api with multiple Endpoint Types.", "POST", "", `{"name":"n","endpointConfiguration":{"types":["EDGE","REGIONAL"]}}`},
		{400, bad, "Only dualstack ipAddressType is supported for Private APIs.", "POST", "", `{"name":"n","endpointConfiguration":{"types":["PRIVATE"],"ipAddressType":"ipv4"}}`},
		{400, "ValidationException", "2 validation errors detected: Value '[wrong]' at 'createRestApiInput.endpointConfiguration.types' failed to satisfy constraint: Member must satisfy constraint: [Member must satisfy enum value set: [PRIVATE, EDGE, REGIONAL]]; Value 'wrong' at 'createRestApiInput.endpointConfiguration.ipAddressType' failed to satisfy constraint: Member must satisfy enum value set: [ipv4, dualstack]", "POST", "", `{"name":"n","endpointConfiguration":{"types":["wrong"],"ipAddressType":"wrong"}}`},
		{400, bad, "Invalid policy document. Please check the policy syntax and ensure that Principals are valid.", "POST", "", `{"name":"n","policy":"{"}`},
		{404, "NotFoundException", "Invalid API identifier specified 000000000000:nope", "POST", "", `{"name":"n","cloneFrom":"nope"}`},
		{404, "NotFoundException", "Invalid API identifier specified 000000000000:" + strings.ToUpper(id), "GET", "/" + strings.ToUpper(id), ""},
		{404, "NotFoundException", "Invalid API identifier specified 000000000000:nope", "PATCH", "/nope", patch("replace", "/name", "x")},
		{404, "NotFoundException", "Invalid API identifier specified 000000000000:nope", "DELETE", "/nope", ""},
		{400, bad, "Invalid patch path /binaryMediaTypes", "PATCH", "/" + id, patch("add", "/binaryMediaTypes", "x")},
		{400, bad, "Invalid patch path null", "PATCH", "/" + id, `{"patchOperations":[{"op":"add"}]}`},
		{400, bad, "Invalid patch operation specified. Must be one of: [replace]", "PATCH", "/" + id, patch("add", "/minimumCompressionSize", "10")},
		{400, bad, "Invalid patch operation specified. Must be one of: [replace]", "PATCH", "/" + id, patch("remove", "/endpointConfiguration/ipAddressType", "dualstack")},
		{400, bad, "Invalid patch operation specified. Must be 'add'|'remove'|'replace'", "PATCH", "/" + id, patch("remove", "/endpointConfiguration/types/0", "EDGE")},
		{400, bad, "Invalid EndpointTypes specified. Valid options are REGIONAL,EDGE,PRIVATE", "PATCH", "/" + id, patch("replace", "/endpointConfiguration/types/0", "wrong")},
		{400, bad, "ipAddressType must be either ipv4 or dualstack.", "PATCH", "/" + id, patch("replace", "/endpointConfiguration/ipAddressType", "wrong")},
		{400, bad, "Only dualstack ipAddressType is supported for Private APIs.", "PATCH", "/" + id, patch("replace", "/endpointConfiguration/types/EDGE", "PRIVATE", "replace", "/endpointConfiguration/ipAddressType", "ipv4")},
		{400, bad, "Invalid minimum compression size, must be between 0 and 10485760", "PATCH", "/" + id, patch("replace", "/minimumCompressionSize", "-1")},
		{400, "ValidationException", "1 validation error detected: Value 'wrong' at 'updateRestApiInput.patchOperations.1.member.op' failed to satisfy constraint: Member must satisfy enum value set: [add, remove, move, test, replace, copy]", "PATCH", "/" + id, patch("wrong", "/name", "x")},
	} {
		s.refused(c.status, c.code, c.message, c.method, "/restapis"+c.target, c.body)
	}
	// A refused update leaves the API as it was.
	if got := s.ok(200, "GET", "/restapis/"+id, ""); got["endpointConfiguration"].(map[string]any)["types"].([]any)[0] != "EDGE" {
		t.Errorf("%v", got)
	}
}

func TestRestAPIPatches(t *testing.T) {
	s := newServer(t)
	id := s.ok(201, "POST", "/restapis", `{"name":"n","description":"d"}`)["id"].(string)
	update := func(ops ...string) map[string]any { return s.ok(200, "PATCH", "/restapis/"+id, patch(ops...)) }
	got := update("add", "/binaryMediaTypes/image~1png", "", "add", "/binaryMediaTypes/image~1jpeg", "")
	if list := got["binaryMediaTypes"].([]any); list[0] != "image/png" || list[1] != "image/jpeg" {
		t.Errorf("%v", list)
	}
	got = update("replace", "/binaryMediaTypes/image~1png", "image/gif")
	if list := got["binaryMediaTypes"].([]any); list[0] != "image/jpeg" || list[1] != "image/gif" {
		t.Errorf("%v", list)
	}
	got = update("remove", "/binaryMediaTypes/image~1gif", "", "remove", "/description", "",
		"replace", "/minimumCompressionSize", "10", "replace", "/name", "m", "replace", "/apiKeySource", "AUTHORIZER",
		"replace", "/disableExecuteApiEndpoint", "true", "replace", "/endpointConfiguration/types/EDGE", "REGIONAL")
	if got["description"] != nil || got["minimumCompressionSize"] != 10.0 || got["name"] != "m" || got["apiKeySource"] != "AUTHORIZER" ||
		got["disableExecuteApiEndpoint"] != true || len(got["binaryMediaTypes"].([]any)) != 1 {
		t.Errorf("%v", got)
	}
	if got = update("replace", "/minimumCompressionSize", ""); got["minimumCompressionSize"] != nil {
		t.Errorf("%v", got)
	}
}

func TestDeletedAPILeavesNothing(t *testing.T) {
	s := newServer(t)
	gone, stays := s.site(), s.site()
	plan := s.plan(gone, stays)
	s.ok(202, "DELETE", s.path(gone, ""), "")
	check(t, s.store.View(ctx, func(tx *store.Tx) error {
		r, err := store.List[catalog.Resource](tx, gone.api)
		check(t, err)
		d, err := store.List[catalog.Deployment](tx, gone.api)
		check(t, err)
		st, err := store.List[catalog.Stage](tx, gone.api)
		check(t, err)
		p, _, err := store.Get[catalog.UsagePlan](tx, plan)
		check(t, err)
		if len(r)+len(d)+len(st) != 0 || len(p.APIStages) != 1 || p.APIStages[0].APIID != stays.api {
			t.Errorf("left: %v %v %v %v", r, d, st, p)
		}
		return nil
	}))
	s.ok(200, "GET", s.path(stays, "/stages/dev"), "")
}

func TestRestAPIPaging(t *testing.T) {
	s := newServer(t)
	var want []string
	for range 3 {
		want = append(want, s.ok(201, "POST", "/restapis", `{"name":"n"}`)["id"].(string))
		s.pass(1)
	}
	var got []string
	pages := client.NewGetRestApisPaginator(s.sdk, &client.GetRestApisInput{Limit: aws.Int32(2)})
	for pages.HasMorePages() {
		out, err := pages.NextPage(ctx)
		check(t, err)
		for _, a := range out.Items {
			got = append(got, *a.Id)
		}
	}
	if strings.Join(got, ",") != strings.Join(want, ",") {
		t.Errorf("pages hold %v, want %v", got, want)
	}
}

// What a watcher cannot compile is never stored, and its words reach the
// caller.
func TestWatcherRefuses(t *testing.T) {
	s := newServer(t)
	s.store.Watch(func(_ *store.Tx, changes []store.Change) (func(), error) {
		for _, c := range changes {
			if a, ok := c.New.(catalog.RestAPI); ok && a.Name == "bad" {
				return nil, &catalog.Error{Class: catalog.Invalid, Message: "cannot be compiled"}
			}
		}
		return nil, nil
	})
	s.refused(400, "BadRequestException", "cannot be compiled", "POST", "/restapis", `{"name":"bad"}`)
	if got := s.ok(200, "GET", "/restapis", ""); len(got["item"].([]any)) != 0 {
		t.Errorf("stored: %v", got)
	}
}
