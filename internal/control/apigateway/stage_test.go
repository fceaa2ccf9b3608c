package apigateway

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	client "github.com/aws/aws-sdk-go-v2/service/apigateway"

	"weir/internal/catalog"
	"weir/internal/store"
)

const stageShape = `{"deploymentId":"ID","stageName":"dev","cacheClusterEnabled":false,"cacheClusterStatus":"NOT_AVAILABLE",` +
	`"methodSettings":{},"tracingEnabled":false,"createdDate":T,"lastUpdatedDate":T}`

func TestDeploymentMakesAndRepointsItsStage(t *testing.T) {
	s := newServer(t)
	p := s.empty()
	all := s.path(p, "/deployments")
	s.refused(400, "BadRequestException", "The REST API doesn't contain any methods", "POST", all, `{}`)
	method := s.path(p, "/resources/"+p.root+"/methods/GET")
	s.ok(201, "PUT", method, `{"authorizationType":"NONE"}`)
	s.refused(400, "BadRequestException", "No integration defined for method", "POST", all, `{}`)
	s.ok(201, "PUT", method+"/integration", `{"type":"MOCK"}`)

	s.golden(`{"id":"ID","createdDate":T}`, "POST", all, `{"stageName":"dev"}`)
	s.golden(stageShape, "GET", s.path(p, "/stages/dev"), "")
	first := s.ok(200, "GET", all, "")["item"].([]any)[0].(map[string]any)["id"].(string)
	if len(first) != 6 {
		t.Errorf("id %s", first)
	}
	s.refused(400, "BadRequestException", "Active stages pointing to this deployment must be moved or deleted", "DELETE", all+"/"+first, "")

	// What a later deployment freezes does not change the first.
	s.ok(200, "PATCH", method, patch("replace", "/apiKeyRequired", "true"))
	s.pass(time.Minute)
	second, err := s.sdk.CreateDeployment(ctx, &client.CreateDeploymentInput{
		RestApiId: &p.api, StageName: aws.String("dev"), StageDescription: aws.String("about"), Description: aws.String("second"),
		Variables: map[string]string{"v": "1"}, TracingEnabled: aws.Bool(true), CacheClusterEnabled: aws.Bool(true), CacheClusterSize: "0.5",
	})
	check(t, err)
	st, err := s.sdk.GetStage(ctx, &client.GetStageInput{RestApiId: &p.api, StageName: aws.String("dev")})
	check(t, err)
	if *st.DeploymentId != *second.Id || *st.Description != "about" || st.Variables["v"] != "1" || !st.TracingEnabled ||
		st.CacheClusterStatus != "AVAILABLE" || st.CacheClusterSize != "0.5" || !st.LastUpdatedDate.After(*st.CreatedDate) {
		t.Errorf("%+v", st)
	}
	for id, required := range map[string]bool{first: false, *second.Id: true} {
		d, err := s.sdk.GetDeployment(ctx, &client.GetDeploymentInput{RestApiId: &p.api, DeploymentId: &id, Embed: []string{"apisummary"}})
		check(t, err)
		if got := d.ApiSummary["/"]["GET"]; got.ApiKeyRequired != required || *got.AuthorizationType != "NONE" {
			t.Errorf("%s froze %+v", id, got)
		}
	}
	check(t, s.store.View(ctx, func(tx *store.Tx) error {
		d, _, err := store.Get[catalog.Deployment](tx, p.api, *second.Id)
		if d.API.ID != p.api || len(d.Resources) != 1 || d.Resources[0].Methods["GET"].Integration.Type != "MOCK" {
			t.Errorf("%+v", d)
		}
		return err
	}))

	// A deployment that names nothing else leaves the stage's settings alone.
	s.ok(201, "POST", all, `{"stageName":"dev"}`)
	if got := s.ok(200, "GET", s.path(p, "/stages/dev"), ""); got["description"] != "about" || got["tracingEnabled"] != true {
		t.Errorf("%v", got)
	}
	s.ok(202, "DELETE", all+"/"+first, "")
}

func TestDeploymentErrors(t *testing.T) {
	s := newServer(t)
	p := s.site()
	all := s.path(p, "/deployments")
	const bad, missing = "BadRequestException", "NotFoundException"
	const canary = "Invalid deployment content specified."
	for _, c := range []struct {
		status                              int
		code, message, method, target, body string
	}{
		{404, missing, "Invalid API identifier specified 000000000000:nope", "POST", "/restapis/nope/deployments", `{}`},
		{404, missing, "Invalid Deployment identifier specified", "GET", all + "/nope", ``},
		{404, missing, "Invalid Deployment identifier specified", "PATCH", all + "/nope", `{}`},
		{404, missing, "Invalid Deployment identifier specified", "DELETE", all + "/nope", ``},
		{400, bad, "Stage name only allows a-zA-Z0-9_-", "POST", all, `{"stageName":"a b"}`},
		{400, bad, "Invalid patch path  '/x' specified for op 'replace'. Must be one of: [/description]", "PATCH", all + "/" + p.deployment, patch("replace", "/x", "y")},
		{400, bad, "Invalid patch path  '/description' specified for op 'add'. Please choose supported operations", "PATCH", all + "/" + p.deployment, patch("add", "/description", "y")},
		{400, bad, canary + "Non null and non empty stageName must be provided for canary deployment. Provided value is null", "POST", all, `{"canarySettings":{}}`},
		{400, bad, canary + "Non null and non empty stageName must be provided for canary deployment. Provided value is ", "POST", all, `{"canarySettings":{},"stageName":""}`},
		{400, bad, canary + "Stage nope must already be created before making a canary release deployment", "POST", all, `{"canarySettings":{},"stageName":"nope"}`},
		{400, bad, "Canary release deployments are not supported by this server", "POST", all, `{"canarySettings":{"percentTraffic":50},"stageName":"dev"}`},
	} {
		s.refused(c.status, c.code, c.message, c.method, c.target, c.body)
	}
	if got := s.ok(200, "PATCH", all+"/"+p.deployment, patch("replace", "/description", "d")); got["description"] != "d" {
		t.Errorf("%v", got)
	}
	if n := len(s.ok(200, "GET", all, "")["item"].([]any)); n != 1 {
		t.Errorf("%d deployments: a refused one was kept", n)
	}
}

func TestStageLifeCycle(t *testing.T) {
	s := newServer(t)
	p := s.site()
	all := s.path(p, "/stages")
	made, err := s.sdk.CreateStage(ctx, &client.CreateStageInput{
		RestApiId: &p.api, StageName: aws.String("s1"), DeploymentId: &p.deployment, Description: aws.String("d"),
		Variables: map[string]string{"v": "1"}, DocumentationVersion: aws.String("v123"), Tags: map[string]string{"k": "v"},
	})
	check(t, err)
	if *made.DocumentationVersion != "v123" || made.Tags["k"] != "v" || made.Variables["v"] != "1" || made.MethodSettings == nil {
		t.Errorf("%+v", made)
	}
	other := s.ok(201, "POST", s.path(p, "/deployments"), `{}`)["id"].(string)
	s.ok(200, "PATCH", all+"/s1", patch("replace", "/deploymentId", other))
	list, err := s.sdk.GetStages(ctx, &client.GetStagesInput{RestApiId: &p.api, DeploymentId: &p.deployment})
	check(t, err)
	if len(list.Item) != 1 || *list.Item[0].StageName != "dev" {
		t.Errorf("%+v", list.Item)
	}
	plan := s.plan(p)
	s.ok(202, "DELETE", all+"/dev", "")
	if got := s.ok(200, "GET", "/usageplans/"+plan, ""); len(got["apiStages"].([]any)) != 0 {
		t.Errorf("the plan keeps a deleted stage: %v", got)
	}
	s.ok(201, "POST", s.path(p, "/deployments"), `{"stageName":"dev"}`)
	if got := s.ok(200, "GET", "/usageplans/"+plan, ""); len(got["apiStages"].([]any)) != 0 {
		t.Errorf("a stage of the same name came back into the plan: %v", got)
	}
}

func TestStageMethodSettings(t *testing.T) {
	s := newServer(t)
	p := s.site()
	at := s.path(p, "/stages/dev")
	const rest = `,"cacheTtlInSeconds":300,"cacheDataEncrypted":false,"requireAuthorizationForCacheControl":true,"unauthorizedCacheControlHeaderStrategy":"SUCCEED_WITH_RESPONSE_HEADER"}`
	const gone = "Cannot remove method setting */* because there is no method setting for this method "
	s.refused(400, "BadRequestException", gone, "PATCH", at, patch("remove", "/*/*", ""))
	// A new entry begins with what holds for all methods.
	_, _, answer := s.raw("PATCH", at, patch("replace", "/*/*/throttling/burstLimit", "123", "replace", "/*/*/caching/enabled", "true", "replace", "/test/GET/throttling/burstLimit", "124"))
	want := `"methodSettings":{"*/*":{"metricsEnabled":false,"dataTraceEnabled":false,"throttlingBurstLimit":123,"throttlingRateLimit":10000.0,"cachingEnabled":true` + rest +
		`,"test/GET":{"metricsEnabled":false,"dataTraceEnabled":false,"throttlingBurstLimit":124,"throttlingRateLimit":10000.0,"cachingEnabled":true` + rest + `}`
	if !strings.Contains(answer, want) {
		t.Errorf("got %s\nwant %s", answer, want)
	}
	// Later changes of all methods leave a method's own entry alone.
	s.ok(200, "PATCH", at, patch("replace", "/*/*/throttling/burstLimit", "100"))
	settings := func() map[string]any {
		t.Helper()
		return s.ok(200, "GET", at, "")["methodSettings"].(map[string]any)
	}
	if m := settings()["test/GET"].(map[string]any); m["throttlingBurstLimit"] != 124.0 {
		t.Errorf("%v", m)
	}
	s.ok(200, "PATCH", at, patch("remove", "/*/*", "", "remove", "/test/GET", ""))
	if m := settings(); len(m) != 0 {
		t.Errorf("%v", m)
	}

	// Slashes of a resource's path come escaped and plain; the root has its own form.
	for path, key := range map[string]string{
		"/a~1b/GET": "a/b/GET", "/a/b/GET": "a/b/GET", "/~1a~1b/GET": "a/b/GET",
		"///GET": "//GET", "/~1/GET": "//GET", "//GET": "//GET",
	} {
		s.ok(200, "PATCH", at, patch("replace", path+"/throttling/rateLimit", "0.5"))
		m, ok := settings()[key].(map[string]any)
		if !ok || m["throttlingRateLimit"] != 0.5 || m["throttlingBurstLimit"] != 5000.0 || len(settings()) != 1 {
			t.Errorf("%s gave %v", path, settings())
		}
		s.ok(200, "PATCH", at, patch("remove", path, ""))
		if len(settings()) != 0 {
			t.Errorf("%s left %v", path, settings())
		}
	}
	s.ok(200, "PATCH", at, patch("replace", "/test/GET/throttling/rateLimit", "-1", "replace", "/test/GET/throttling/burstLimit", "-1",
		"replace", "/test/GET/metrics/enabled", "true", "replace", "/test/GET/logging/dataTrace", "true", "replace", "/test/GET/logging/loglevel", "OFF",
		"replace", "/test/GET/caching/ttlInSeconds", "3600", "replace", "/test/GET/caching/dataEncrypted", "true",
		"replace", "/test/GET/caching/requireAuthorizationForCacheControl", "false",
		"replace", "/test/GET/caching/unauthorizedCacheControlHeaderStrategy", "FAIL_WITH_403"))
	m := settings()["test/GET"].(map[string]any)
	for name, want := range map[string]any{
		"throttlingRateLimit": -1.0, "throttlingBurstLimit": -1.0, "metricsEnabled": true, "dataTraceEnabled": true, "loggingLevel": "OFF",
		"cacheTtlInSeconds": 3600.0, "cacheDataEncrypted": true, "requireAuthorizationForCacheControl": false,
		"unauthorizedCacheControlHeaderStrategy": "FAIL_WITH_403",
	} {
		if m[name] != want {
			t.Errorf("%s is %v, want %v", name, m[name], want)
		}
	}
}

func TestStageErrors(t *testing.T) {
	s := newServer(t)
	p := s.site()
	all, at := s.path(p, "/stages"), s.path(p, "/stages/dev")
	const bad = "BadRequestException"
	const accessLog = "Invalid accessLogSettings path. Must be one of : [/accessLogSettings/destinationArn, /accessLogSettings/format]"
	const paths = ". Must be one of: [/deploymentId, /description, /cacheClusterEnabled, /cacheClusterSize, /clientCertificateId, /accessLogSettings, /accessLogSettings/destinationArn, /accessLogSettings/format, /{resourcePath}/{httpMethod}/metrics/enabled, /{resourcePath}/{httpMethod}/logging/dataTrace, /{resourcePath}/{httpMethod}/logging/loglevel, /{resourcePath}/{httpMethod}/throttling/burstLimit/{resourcePath}/{httpMethod}/throttling/rateLimit/{resourcePath}/{httpMethod}/caching/ttlInSeconds, /{resourcePath}/{httpMethod}/caching/enabled, /{resourcePath}/{httpMethod}/caching/dataEncrypted, /{resourcePath}/{httpMethod}/caching/requireAuthorizationForCacheControl, /{resourcePath}/{httpMethod}/caching/unauthorizedCacheControlHeaderStrategy, /*/*/metrics/enabled, /*/*/logging/dataTrace, /*/*/logging/loglevel, /*/*/throttling/burstLimit /*/*/throttling/rateLimit /*/*/caching/ttlInSeconds, /*/*/caching/enabled, /*/*/caching/dataEncrypted, /*/*/caching/requireAuthorizationForCacheControl, /*/*/caching/unauthorizedCacheControlHeaderStrategy, /variables/{variable_name}, /tracingEnabled]"
	copied := func(from, to string) string {
		return `{"patchOperations":[{"op":"copy","from":"` + from + `","path":"` + to + `"}]}`
	}
	for _, c := range []struct {
		status                              int
		code, message, method, target, body string
	}{
		{404, "NotFoundException", "Invalid API identifier specified 000000000000:nope", "GET", "/restapis/nope/stages", ``},
		{404, "NotFoundException", "Invalid stage identifier specified", "GET", all + "/nope", ``},
		{404, "NotFoundException", "Invalid stage identifier specified", "PATCH", all + "/nope", `{}`},
		{404, "NotFoundException", "Invalid stage identifier specified", "DELETE", all + "/nope", ``},
		{400, bad, "Stage name only allows a-zA-Z0-9_-", "POST", all, `{"stageName":"a.b","deploymentId":"` + p.deployment + `"}`},
		{400, bad, "Deployment id does not exist", "POST", all, `{"stageName":"s","deploymentId":"nope"}`},
		{409, "ConflictException", "Stage already exists", "POST", all, `{"stageName":"dev","deploymentId":"` + p.deployment + `"}`},
		{400, bad, "Deployment id does not exist", "POST", all, `{"stageName":"s","deploymentId":"` + p.deployment + `","canarySettings":{"deploymentId":"nope"}}`},
		{400, bad, "Canary release deployments are not supported by this server", "POST", all, `{"stageName":"s","deploymentId":"` + p.deployment + `","canarySettings":{"percentTraffic":1}}`},
		{400, "ValidationException", "1 validation error detected: Value '9' at 'createStageInput.cacheClusterSize' failed to satisfy constraint: Member must satisfy enum value set: [0.5, 1.6, 6.1, 13.5, 28.4, 58.2, 118, 237]", "POST", all, `{"stageName":"s","deploymentId":"` + p.deployment + `","cacheClusterSize":"9"}`},
		{400, bad, "Invalid stage variable name: a-b. Names have 1 to 64 of the characters a-zA-Z0-9_", "PATCH", at, patch("replace", "/variables/a-b", "x")},
		{400, bad, "Deployment id does not exist", "PATCH", at, patch("replace", "/deploymentId", "nope")},
		{400, bad, "Invalid method setting path: /documentation_version" + paths, "PATCH", at, patch("replace", "/documentation_version", "1")},
		{400, bad, "Invalid method setting path: /tags/tag1" + paths, "PATCH", at, patch("replace", "/tags/tag1", "1")},
		{400, bad, "Invalid method setting path: /test/FOO/throttling/rateLimit" + paths, "PATCH", at, patch("replace", "/test/FOO/throttling/rateLimit", "1")},
		{400, bad, "Invalid method setting path: /test/GET/throttling/other" + paths, "PATCH", at, patch("replace", "/test/GET/throttling/other", "1")},
		{400, bad, "Invalid throttling rate limit specified: NaN", "PATCH", at, patch("replace", "/test/GET/throttling/rateLimit", "NaN")},
		{400, bad, "Invalid throttling rate limit specified: -0.5", "PATCH", at, patch("replace", "/test/GET/throttling/rateLimit", "-0.5")},
		{400, bad, "Invalid throttling burst limit specified: 1.5", "PATCH", at, patch("replace", "/test/GET/throttling/burstLimit", "1.5")},
		{400, bad, "Invalid cache TTL specified, must be between 0 and 3600", "PATCH", at, patch("replace", "/test/GET/caching/ttlInSeconds", "3601")},
		{400, bad, "CloudWatch Logs role ARN must be set in account settings to enable logging", "PATCH", at, patch("replace", "/*/*/logging/loglevel", "INFO")},
		{400, bad, "Cannot remove method setting accessLogSettings/randomValue because there is no method setting for this method ", "PATCH", at, patch("remove", "/accessLogSettings/randomValue", "x")},
		{400, bad, accessLog, "PATCH", at, patch("add", "/accessLogSettings/randomValue", "x")},
		{400, bad, accessLog, "PATCH", at, patch("replace", "/accessLogSettings/*", "x")},
		{400, bad, accessLog, "PATCH", at, patch("replace", "/accessLogSettings", "x")},
		{400, bad, "Access Log value must not be empty", "PATCH", at, patch("replace", "/accessLogSettings/format", "")},
		{400, bad, "Access Log format must include $context.requestId or $context.extendedRequestId", "PATCH", at, patch("replace", "/accessLogSettings/format", "$context.status")},
		{400, bad, "Invalid method setting path: /canarySettings" + paths, "PATCH", at, patch("replace", "/canarySettings", "x")},
		{400, bad, "Invalid method setting path: /canarySettings/badPath" + paths, "PATCH", at, patch("replace", "/canarySettings/badPath", "x")},
		{400, bad, "Cannot remove method setting canarySettings/badPath because there is no method setting for this method ", "PATCH", at, patch("remove", "/canarySettings/badPath", "")},
		{400, bad, "Invalid add operation with path: /canarySettings/deploymentId", "PATCH", at, patch("add", "/canarySettings/deploymentId", p.deployment)},
		{400, bad, "Deployment id does not exist", "PATCH", at, patch("replace", "/canarySettings/deploymentId", "nope")},
		{400, bad, "Canary release deployments are not supported by this server", "PATCH", at, patch("replace", "/canarySettings/percentTraffic", "50")},
		{400, bad, "Promotion not available. Canary does not exist.", "PATCH", at, copied("/canarySettings/deploymentId", "/deploymentId")},
		{400, bad, "Invalid copy operation with path: /canarySettings/stageVariableOverrides and from /variables. Valid copy:path are [/deploymentId, /variables] and valid copy:from are [/canarySettings/deploymentId, /canarySettings/stageVariableOverrides]", "PATCH", at, copied("/variables", "/canarySettings/stageVariableOverrides")},
	} {
		s.refused(c.status, c.code, c.message, c.method, c.target, c.body)
	}
	s.golden(stageShape, "GET", at, "")
}

func TestStageVariablesAndAccessLog(t *testing.T) {
	s := newServer(t)
	p := s.site()
	at := s.path(p, "/stages/dev")
	got := s.ok(200, "PATCH", at, patch("replace", "/variables/a", "1", "add", "/variables/b", "2", "replace", "/description", "d", "replace", "/tracingEnabled", "true"))
	if v := got["variables"].(map[string]any); v["a"] != "1" || v["b"] != "2" || got["description"] != "d" || got["tracingEnabled"] != true {
		t.Errorf("%v", got)
	}
	if got = s.ok(200, "PATCH", at, patch("remove", "/variables/a", "")); len(got["variables"].(map[string]any)) != 1 {
		t.Errorf("%v", got)
	}
	s.ok(200, "PATCH", "/account", patch("replace", "/cloudwatchRoleArn", "arn:aws:iam::000000000000:role/r"))
	const arn = "arn:aws:logs:us-east-1:000000000000:log-group:g"
	got = s.ok(200, "PATCH", at, patch("add", "/accessLogSettings/destinationArn", arn, "add", "/accessLogSettings/format", "$context.requestId", "replace", "/*/*/logging/loglevel", "INFO"))
	if a := got["accessLogSettings"].(map[string]any); a["destinationArn"] != arn || a["format"] != "$context.requestId" {
		t.Errorf("%v", got)
	}
	if got = s.ok(200, "PATCH", at, patch("remove", "/accessLogSettings", "")); got["accessLogSettings"] != nil {
		t.Errorf("%v", got)
	}
	// Up to a hundred variables.
	var ops []string
	for i := range 100 {
		ops = append(ops, "replace", "/variables/v"+string(rune('a'+i%26))+string(rune('a'+i/26)), "x")
	}
	s.refused(429, "LimitExceededException", "A stage can have at most 100 stage variables", "PATCH", at, patch(ops...))
	s.ok(200, "PATCH", at, patch(ops[3:]...))
}
