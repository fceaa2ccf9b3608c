package app_test

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	agw "github.com/aws/aws-sdk-go-v2/service/apigateway/types"

	"weir/internal/app"
)

// shop is a server with one method that requires a key, and a plan for it.
type shop struct {
	t    *testing.T
	a    *app.App
	o    app.Options
	api  string
	plan string
}

func checked[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func openShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{t: t, o: options(filepath.Join(t.TempDir(), "data"))}
	s.o.AnyCredentials = true
	s.a = started(t, s.o)
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		stopped(t, s.a)
	})
	sdk, ctx := s.sdk(), t.Context()
	api := checked[*apigateway.CreateRestApiOutput](t)(sdk.CreateRestApi(ctx, &apigateway.CreateRestApiInput{Name: aws.String("shop")}))
	root, get := api.RootResourceId, aws.String("GET")
	checked[*apigateway.PutMethodOutput](t)(sdk.PutMethod(ctx, &apigateway.PutMethodInput{RestApiId: api.Id, ResourceId: root, HttpMethod: get, AuthorizationType: aws.String("NONE"), ApiKeyRequired: true}))
	checked[*apigateway.PutMethodResponseOutput](t)(sdk.PutMethodResponse(ctx, &apigateway.PutMethodResponseInput{RestApiId: api.Id, ResourceId: root, HttpMethod: get, StatusCode: aws.String("200")}))
	checked[*apigateway.PutIntegrationOutput](t)(sdk.PutIntegration(ctx, &apigateway.PutIntegrationInput{
		RestApiId: api.Id, ResourceId: root, HttpMethod: get, Type: agw.IntegrationTypeMock, RequestTemplates: map[string]string{"application/json": `{"statusCode": 200}`},
	}))
	checked[*apigateway.PutIntegrationResponseOutput](t)(sdk.PutIntegrationResponse(ctx, &apigateway.PutIntegrationResponseInput{RestApiId: api.Id, ResourceId: root, HttpMethod: get, StatusCode: aws.String("200")}))
	checked[*apigateway.CreateDeploymentOutput](t)(sdk.CreateDeployment(ctx, &apigateway.CreateDeploymentInput{RestApiId: api.Id, StageName: aws.String("live")}))
	plan := checked[*apigateway.CreateUsagePlanOutput](t)(sdk.CreateUsagePlan(ctx, &apigateway.CreateUsagePlanInput{
		Name: aws.String("plan"), ApiStages: []agw.ApiStage{{ApiId: api.Id, Stage: aws.String("live")}},
	}))
	s.api, s.plan = *api.Id, *plan.Id
	return s
}

func (s *shop) sdk() *apigateway.Client {
	return apigateway.New(apigateway.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(s.a.Running().ControlURL),
		Credentials: credentials.NewStaticCredentialsProvider("AKID", "secret", ""),
	})
}

func (s *shop) restart() {
	s.t.Helper()
	http.DefaultClient.CloseIdleConnections()
	stopped(s.t, s.a)
	s.a = started(s.t, s.o)
}

// key makes a key with tags in the plan, and gives its value.
func (s *shop) key(id *string, tags map[string]string) (value string) {
	s.t.Helper()
	k := checked[*apigateway.CreateApiKeyOutput](s.t)(s.sdk().CreateApiKey(s.t.Context(), &apigateway.CreateApiKeyInput{Enabled: true, Tags: tags}))
	checked[*apigateway.CreateUsagePlanKeyOutput](s.t)(s.sdk().CreateUsagePlanKey(s.t.Context(), &apigateway.CreateUsagePlanKeyInput{
		UsagePlanId: &s.plan, KeyId: k.Id, KeyType: aws.String("API_KEY"),
	}))
	*id = *k.Id
	return *k.Value
}

// rotate gives a key a new value by weir's own route.
func (s *shop) rotate(id, body string) (value string) {
	s.t.Helper()
	req := checked[*http.Request](s.t)(http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.a.Running().ControlURL+"/_weir/keys/"+id+"/rotate", strings.NewReader(body)))
	req.Header.Set("Authorization", "anything")
	res := checked[*http.Response](s.t)(http.DefaultClient.Do(req))
	defer res.Body.Close()
	var got struct{ Value, Message string }
	if err := json.NewDecoder(res.Body).Decode(&got); err != nil || res.StatusCode != 200 {
		s.t.Fatalf("rotate: %d %s %v", res.StatusCode, got.Message, err)
	}
	return got.Value
}

func (s *shop) want(when, value string, status int) {
	s.t.Helper()
	req := checked[*http.Request](s.t)(http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.a.Running().GatewayURL+"/restapis/"+s.api+"/live/_user_request_/", nil))
	req.Header.Set("x-api-key", value)
	res := checked[*http.Response](s.t)(http.DefaultClient.Do(req))
	res.Body.Close()
	if res.StatusCode != status {
		s.t.Errorf("%s: %d, want %d", when, res.StatusCode, status)
	}
}

// TestTermsOutliveARestart: what a key's tags and its rotation say holds from
// the moment the call returned, and is what the next start loads.
func TestTermsOutliveARestart(t *testing.T) {
	s := openShop(t)
	var id, other string
	plain := s.key(&other, nil)
	expired := s.key(&other, map[string]string{"weir:expires": "2020-01-01"})
	elsewhere := s.key(&other, map[string]string{"weir:source-ranges": "192.0.2.0/24"})
	here := s.key(&other, map[string]string{"weir:source-ranges": "127.0.0.0/8 ::1", "weir:max-concurrency": "1", "weir:expires": "2100-01-01"})
	first := s.key(&id, nil)
	s.want("before the rotation", first, 200)
	second := s.rotate(id, `{"keepSeconds":3600}`)
	all := func(when string, old int) {
		t.Helper()
		s.want(when+", plain", plain, 200)
		s.want(when+", expired", expired, 403)
		s.want(when+", elsewhere", elsewhere, 403)
		s.want(when+", here", here, 200)
		s.want(when+", here again", here, 200)
		s.want(when+", the old value", first, old)
		s.want(when+", the new value", second, 200)
	}
	all("at once", 200)
	s.restart()
	all("after a restart", 200)
	arn := aws.String("arn:aws:apigateway:us-east-1::/apikeys/" + id)
	checked[*apigateway.TagResourceOutput](t)(s.sdk().TagResource(t.Context(), &apigateway.TagResourceInput{
		ResourceArn: arn, Tags: map[string]string{"weir:previous-value-until": "2020-01-01"},
	}))
	all("moved into the past", 403)
	checked[*apigateway.TagResourceOutput](t)(s.sdk().TagResource(t.Context(), &apigateway.TagResourceInput{
		ResourceArn: arn, Tags: map[string]string{"weir:previous-value-until": "2100-01-01"},
	}))
	all("moved into the future", 200)
	checked[*apigateway.UntagResourceOutput](t)(s.sdk().UntagResource(t.Context(), &apigateway.UntagResourceInput{
		ResourceArn: arn, TagKeys: []string{"weir:previous-value-until"},
	}))
	all("without the tag", 403)
	s.restart()
	all("without the tag, after a restart", 403)
}
