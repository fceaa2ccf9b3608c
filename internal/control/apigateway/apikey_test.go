package apigateway

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	client "github.com/aws/aws-sdk-go-v2/service/apigateway"

	"weir/internal/catalog"
	"weir/internal/store"
)

const keyValue = "abcdefghij0123456789"

func TestAPIKeyWire(t *testing.T) {
	s := newServer(t)
	s.golden(`{"id":"ID","value":"`+keyValue+`","name":"k","enabled":false,"createdDate":T,"lastUpdatedDate":T,"stageKeys":[]}`,
		"POST", "/apikeys", `{"name":"k","value":"`+keyValue+`","stageKeys":[{"restApiId":"a","stageName":"s"}],"generateDistinctId":false}`)
	s.golden(`{"item":[{"id":"ID","name":"k","enabled":false,"createdDate":T,"lastUpdatedDate":T,"stageKeys":[]}]}`, "GET", "/apikeys", "")
	id := s.ok(200, "GET", "/apikeys", "")["item"].([]any)[0].(map[string]any)["id"].(string)
	if len(id) != 10 || id == keyValue {
		t.Errorf("id %s", id)
	}
	s.golden(`{"id":"ID","name":"k","enabled":false,"createdDate":T,"lastUpdatedDate":T,"stageKeys":[],"tags":{}}`, "GET", "/apikeys/"+id, "")
	s.golden(`{"id":"ID","value":"`+keyValue+`","name":"k","enabled":false,"createdDate":T,"lastUpdatedDate":T,"stageKeys":[],"tags":{}}`,
		"GET", "/apikeys/"+id+"?includeValue=true", "")
	s.golden(`{"item":[{"id":"ID","value":"`+keyValue+`","name":"k","enabled":false,"createdDate":T,"lastUpdatedDate":T,"stageKeys":[]}]}`,
		"GET", "/apikeys?includeValues=true", "")
	// An update never shows the value, and what is no boolean is false.
	s.golden(`{"id":"ID","name":"m","customerId":"c","description":"d","enabled":true,"createdDate":T,"lastUpdatedDate":T,"stageKeys":[],"tags":{}}`,
		"PATCH", "/apikeys/"+id, `{"patchOperations":[{"op":"replace","path":"/name","value":"m"},{"op":"replace","path":"/enabled","value":"true"},`+
			`{"op":"replace","path":"/description","value":"d"},{"op":"replace","path":"/customerId","value":"c"}]}`)
	if got := s.ok(200, "PATCH", "/apikeys/"+id, patch("replace", "/enabled", "not-a-boolean")); got["enabled"] != false {
		t.Errorf("%v", got)
	}
	before := s.clock()
	s.pass(time.Hour)
	out, err := s.sdk.UpdateApiKey(ctx, &client.UpdateApiKeyInput{ApiKey: &id})
	check(t, err)
	if !out.LastUpdatedDate.Equal(before) {
		t.Errorf("an update of nothing touched the key")
	}
}

func TestAPIKeyErrors(t *testing.T) {
	s := newServer(t)
	id := s.ok(201, "POST", "/apikeys", `{"value":"`+keyValue+`"}`)["id"].(string)
	long := strings.Repeat("a", 125_001)
	const bad = "BadRequestException"
	for _, c := range []struct {
		status                              int
		code, message, method, target, body string
	}{
		{400, bad, "API Key value should be at least 20 characters", "POST", "", `{"value":"1234567890asdfghjkl"}`},
		{400, bad, "API Key value exceeds maximum size of 128 characters", "POST", "", `{"value":"` + strings.Repeat("a", 129) + `"}`},
		{400, bad, "API Key value can only contain printable ASCII characters without spaces", "POST", "", `{"value":"0123456789 0123456789"}`},
		{400, bad, "Invalid API Key name, can be at most 1024 characters.", "POST", "", `{"name":"` + strings.Repeat("a", 1025) + `"}`},
		{400, bad, "Invalid API Key description specified.", "POST", "", `{"description":"` + long + `"}`},
		{400, bad, "Invalid API Key description specified.", "PATCH", "/" + id, patch("replace", "/description", long)},
		{409, "ConflictException", "API Key already exists", "POST", "", `{"value":"` + keyValue + `"}`},
		{404, "NotFoundException", "Invalid API Key identifier specified", "GET", "/nope", ``},
		{404, "NotFoundException", "Invalid API Key identifier specified", "PATCH", "/nope", `{}`},
		{404, "NotFoundException", "Invalid API Key identifier specified", "DELETE", "/nope", ``},
		{400, bad, "Invalid patch path  '/id' specified for op 'replace'. Must be one of: [/description, /enabled, /name, /customerId]", "PATCH", "/" + id, patch("replace", "/id", "x")},
		{400, bad, "Invalid patch path  '/value' specified for op 'replace'. Must be one of: [/description, /enabled, /name, /customerId]", "PATCH", "/" + id, patch("replace", "/value", "x")},
		{400, bad, "Invalid patch path  '/name' specified for op 'add'. Please choose supported operations", "PATCH", "/" + id, patch("add", "/name", "x")},
		{429, "LimitExceededException", "A resource can have at most 50 tags", "POST", "", `{"tags":` + manyTags(51) + `}`},
		{400, bad, "Tag keys starting with 'aws:' are reserved for system use", "POST", "", `{"tags":{"AWS:x":"y"}}`},
	} {
		s.refused(c.status, c.code, c.message, c.method, "/apikeys"+c.target, c.body)
	}
	// Both ends of the value's length are taken, and an empty one is made.
	for _, value := range []string{strings.Repeat("b", 20), strings.Repeat("b", 128)} {
		s.ok(201, "POST", "/apikeys", `{"value":"`+value+`"}`)
	}
	made := s.ok(201, "POST", "/apikeys", `{"value":"","name":""}`)
	if v := made["value"].(string); !regexp.MustCompile(`^[A-Za-z0-9]{40}$`).MatchString(v) || made["name"] != nil {
		t.Errorf("%v", made)
	}
}

func manyTags(n int) string {
	var tags []string
	for i := range n {
		tags = append(tags, `"k`+strconv.Itoa(i)+`":"v"`)
	}
	return "{" + strings.Join(tags, ",") + "}"
}

func names(out *client.GetApiKeysOutput) (list []string) {
	for _, k := range out.Items {
		list = append(list, *k.Name)
	}
	return list
}

func TestAPIKeyLists(t *testing.T) {
	s := newServer(t)
	for _, name := range []string{"one", "two", "other"} {
		s.key(name)
		s.pass(time.Second)
	}
	list := func(in *client.GetApiKeysInput) []string {
		t.Helper()
		out, err := s.sdk.GetApiKeys(ctx, in)
		check(t, err)
		return names(out)
	}
	same(t, list(&client.GetApiKeysInput{}), "other", "two", "one")
	same(t, list(&client.GetApiKeysInput{NameQuery: aws.String("o")}), "other", "one")
	same(t, list(&client.GetApiKeysInput{NameQuery: aws.String("O")}))
	same(t, list(&client.GetApiKeysInput{NameQuery: aws.String("wo")}))
	same(t, list(&client.GetApiKeysInput{CustomerId: aws.String("c")}))
	var got []string
	pages := client.NewGetApiKeysPaginator(s.sdk, &client.GetApiKeysInput{Limit: aws.Int32(2)})
	for pages.HasMorePages() {
		out, err := pages.NextPage(ctx)
		check(t, err)
		got = append(got, names(out)...)
	}
	same(t, got, "other", "two", "one")
	// A limit that is none is tolerated.
	for _, limit := range []string{"test", "-1", "0", "99999999999999999999"} {
		if n := len(s.ok(200, "GET", "/apikeys?limit="+limit, "")["item"].([]any)); n != 3 {
			t.Errorf("limit=%s gave %d keys", limit, n)
		}
	}
	s.refused(400, "BadRequestException", "Invalid position parameter specified", "GET", "/apikeys?position=nope", "")
}

func TestDeletedKeyLeavesItsPlans(t *testing.T) {
	s := newServer(t)
	plan, key := s.plan(), s.key("k")
	s.ok(201, "POST", "/usageplans/"+plan+"/keys", `{"keyId":"`+key+`","keyType":"API_KEY"}`)
	s.ok(202, "DELETE", "/apikeys/"+key, "")
	check(t, s.store.View(ctx, func(tx *store.Tx) error {
		links, err := tx.PlanLinks(plan)
		if len(links) != 0 {
			t.Errorf("left %v", links)
		}
		return err
	}))
	s.refused(404, "NotFoundException", "Invalid API Key identifier specified", "GET", "/apikeys/"+key, "")
}

// The value is in no column of the store but sealed.
func TestKeyValueIsSealed(t *testing.T) {
	s := newServer(t)
	id := s.ok(201, "POST", "/apikeys", `{"value":"`+keyValue+`"}`)["id"].(string)
	check(t, s.store.View(ctx, func(tx *store.Tx) error {
		k, _, err := store.Get[catalog.APIKey](tx, id)
		if strings.Contains(string(k.Sealed), keyValue) || len(k.Sealed) == 0 || k.Digest == [32]byte{} {
			t.Errorf("%+v", k)
		}
		return err
	}))
	_, _, answer := s.raw("POST", "/apikeys", `{"value":"`+keyValue+`"}`)
	if strings.Contains(answer, keyValue) {
		t.Errorf("the error shows the value: %s", answer)
	}
}

func TestTags(t *testing.T) {
	s := newServer(t)
	p := s.site()
	key, plan := s.key("k"), s.plan()
	for _, resource := range []string{"/restapis/" + p.api, "/restapis/" + p.api + "/stages/dev", "/apikeys/" + key, "/usageplans/" + plan} {
		arn := "arn:aws:apigateway:us-east-1::" + resource
		_, err := s.sdk.TagResource(ctx, &client.TagResourceInput{ResourceArn: &arn, Tags: map[string]string{"a": "1", "b": "2"}})
		check(t, err)
		_, err = s.sdk.UntagResource(ctx, &client.UntagResourceInput{ResourceArn: &arn, TagKeys: []string{"a"}})
		check(t, err)
		out, err := s.sdk.GetTags(ctx, &client.GetTagsInput{ResourceArn: &arn})
		check(t, err)
		if len(out.Tags) != 1 || out.Tags["b"] != "2" {
			t.Errorf("%s: %v", resource, out.Tags)
		}
		if got := s.ok(200, "GET", resource, "")["tags"].(map[string]any); got["b"] != "2" {
			t.Errorf("%s: %v", resource, got)
		}
	}
	s.golden(`{"tags":{}}`, "GET", "/tags/arn:aws:apigateway:us-east-1::/usageplans/"+s.plan(), "")
	_, err := s.sdk.GetTags(ctx, &client.GetTagsInput{ResourceArn: aws.String("arn:aws:apigateway:us-east-1::/domainnames/x")})
	answered(t, err, "BadRequestException", "Invalid resource ARN specified: arn:aws:apigateway:us-east-1::/domainnames/x")
	_, err = s.sdk.TagResource(ctx, &client.TagResourceInput{ResourceArn: aws.String("arn:aws:apigateway:us-east-1::/apikeys/nope"), Tags: map[string]string{}})
	answered(t, err, "NotFoundException", "Invalid API Key identifier specified")
}

func TestAccount(t *testing.T) {
	s := newServer(t)
	s.golden(`{"apiKeyVersion":"4","features":["UsagePlans"],"throttleSettings":{"burstLimit":5000,"rateLimit":10000.0}}`, "GET", "/account", "")
	if got := s.ok(200, "PATCH", "/account", patch("replace", "/cloudwatchRoleArn", "arn:aws:iam::1:role/r", "add", "/features", "UsagePlans")); got["cloudwatchRoleArn"] != "arn:aws:iam::1:role/r" {
		t.Errorf("%v", got)
	}
	if got := s.ok(200, "GET", "/account", ""); got["cloudwatchRoleArn"] != "arn:aws:iam::1:role/r" {
		t.Errorf("%v", got)
	}
	s.refused(400, "BadRequestException", "Usage Plans cannot be disabled once they are enabled", "PATCH", "/account", patch("remove", "/features", "UsagePlans"))
	s.refused(400, "BadRequestException", "Invalid ARN specified in the request", "PATCH", "/account", patch("replace", "/cloudwatchRoleArn", "r"))
}
