package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	agw "github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lam "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
)

// sdk is aws-sdk-go-v2 pointed at a server.
type sdk struct {
	t      *testing.T
	s      *server
	agw    *apigateway.Client
	lambda *lambda.Client
	iam    *iam.Client
	sts    *sts.Client
}

func newSDK(t *testing.T, s *server) *sdk {
	t.Helper()
	c := aws.Config{
		Region:           s.region,
		BaseEndpoint:     aws.String(s.control),
		Credentials:      credentials.NewStaticCredentialsProvider(s.keyID, s.secret, ""),
		RetryMaxAttempts: 1,
	}
	return &sdk{t, s, apigateway.NewFromConfig(c), lambda.NewFromConfig(c), iam.NewFromConfig(c), sts.NewFromConfig(c)}
}

// must returns v, or fails the test.
func must[T any](t *testing.T, v T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// gate is an API with one keyed method, a plan on it and a key in the plan.
type gate struct {
	*sdk
	api, resource, plan, key, keyValue string
}

// newGate makes POST /call behind a key with an integration, deployed to the
// stage "live".
func newGate(ctx context.Context, c *sdk, integration *apigateway.PutIntegrationInput, rate float64, burst int32, quota int32) *gate {
	t := c.t
	t.Helper()
	g := &gate{sdk: c}
	api, err := c.agw.CreateRestApi(ctx, &apigateway.CreateRestApiInput{Name: aws.String("gate")})
	must(t, api, err)
	g.api = *api.Id
	resource, err := c.agw.CreateResource(ctx, &apigateway.CreateResourceInput{RestApiId: api.Id, ParentId: api.RootResourceId, PathPart: aws.String("call")})
	must(t, resource, err)
	g.resource = *resource.Id
	_, err = c.agw.PutMethod(ctx, &apigateway.PutMethodInput{RestApiId: api.Id, ResourceId: resource.Id, HttpMethod: aws.String("POST"), AuthorizationType: aws.String("NONE"), ApiKeyRequired: true})
	must(t, 0, err)
	integration.RestApiId, integration.ResourceId, integration.HttpMethod = api.Id, resource.Id, aws.String("POST")
	_, err = c.agw.PutIntegration(ctx, integration)
	must(t, 0, err)
	if integration.Type == agw.IntegrationTypeMock {
		_, err = c.agw.PutMethodResponse(ctx, &apigateway.PutMethodResponseInput{RestApiId: api.Id, ResourceId: resource.Id, HttpMethod: aws.String("POST"), StatusCode: aws.String("200")})
		must(t, 0, err)
		_, err = c.agw.PutIntegrationResponse(ctx, &apigateway.PutIntegrationResponseInput{RestApiId: api.Id, ResourceId: resource.Id, HttpMethod: aws.String("POST"), StatusCode: aws.String("200")})
		must(t, 0, err)
	}
	_, err = c.agw.CreateDeployment(ctx, &apigateway.CreateDeploymentInput{RestApiId: api.Id, StageName: aws.String("live")})
	must(t, 0, err)
	key, err := c.agw.CreateApiKey(ctx, &apigateway.CreateApiKeyInput{Name: aws.String("caller"), Enabled: true})
	must(t, key, err)
	g.key, g.keyValue = *key.Id, *key.Value
	c.s.hidden = append(c.s.hidden, g.keyValue)
	plan, err := c.agw.CreateUsagePlan(ctx, &apigateway.CreateUsagePlanInput{
		Name: aws.String("plan"), Throttle: &agw.ThrottleSettings{RateLimit: rate, BurstLimit: burst},
		Quota:     &agw.QuotaSettings{Limit: quota, Period: agw.QuotaPeriodTypeDay},
		ApiStages: []agw.ApiStage{{ApiId: api.Id, Stage: aws.String("live")}},
	})
	must(t, plan, err)
	g.plan = *plan.Id
	_, err = c.agw.CreateUsagePlanKey(ctx, &apigateway.CreateUsagePlanKeyInput{UsagePlanId: plan.Id, KeyId: key.Id, KeyType: aws.String("API_KEY")})
	must(t, 0, err)
	return g
}

func mock() *apigateway.PutIntegrationInput {
	return &apigateway.PutIntegrationInput{Type: agw.IntegrationTypeMock, RequestTemplates: map[string]string{"application/json": `{"statusCode": 200}`}}
}

func (g *gate) url() string {
	return g.s.gateway + "/_aws/execute-api/" + g.api + "/live/call"
}

// call makes one call and returns status and body; 0 means that no answer came.
func (g *gate) call(client *http.Client, key string) (int, string) {
	req, err := http.NewRequest(http.MethodPost, g.url(), strings.NewReader(`{"timestamp": 1700000000}`))
	if err != nil {
		return 0, err.Error()
	}
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("X-Api-Key", key)
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(body)
}

// usedToday is what get-usage says of the gate's key.
func (g *gate) usedToday(ctx context.Context) (used, remaining int64) {
	g.t.Helper()
	today := aws.String(time.Now().UTC().Format(time.DateOnly))
	u, err := g.agw.GetUsage(ctx, &apigateway.GetUsageInput{UsagePlanId: &g.plan, StartDate: today, EndDate: today})
	must(g.t, u, err)
	days := u.Items[g.key]
	if len(days) != 1 || len(days[0]) != 2 {
		g.t.Fatalf("get-usage of one day = %v", u.Items)
	}
	return days[0][0], days[0][1]
}

// TestSDKDrivesFunctions runs the three examples through aws-sdk-go-v2: role,
// function, waiter, invoke, endpoint, call.
func TestSDKDrivesFunctions(t *testing.T) {
	t.Parallel()
	for _, f := range []struct {
		name, runtime, handler string
		zip                    func(t *testing.T) []byte
		needs                  string
	}{
		{"python", "python3.12", "lambda_function.lambda_handler", func(t *testing.T) []byte { return zipFolder(t, "../examples/timestamper") }, "python3"},
		{"node", "nodejs20.x", "index.handler", func(t *testing.T) []byte { return zipFolder(t, "../examples/timestamper-node") }, "node"},
		{"go", "provided.al2023", "bootstrap", buildGoExample, "go"},
	} {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			tool(t, f.needs)
			c := newSDK(t, start(t, filepath.Join(t.TempDir(), "data")))
			ctx := t.Context()
			arn := c.createFunction(ctx, "stamp", f.runtime, f.handler, f.zip(t))
			out, err := c.lambda.Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String("stamp"), Payload: []byte(testEvent)})
			must(t, out, err)
			if out.StatusCode != 200 || out.FunctionError != nil || !strings.Contains(string(out.Payload), "statusCode") {
				t.Fatalf("invoke: %d %v %s", out.StatusCode, out.FunctionError, out.Payload)
			}
			g := newGate(ctx, c, proxy(arn), 100, 100, 100)
			c.permit(ctx, "stamp", g.api)
			status, body := g.call(http.DefaultClient, g.keyValue)
			if status != 200 || body == "" {
				t.Fatalf("call: %d %s", status, body)
			}
			if status, body := g.call(http.DefaultClient, ""); status != 403 || body != `{"message":"Forbidden"}` {
				t.Fatalf("call without a key: %d %s", status, body)
			}
		})
	}
}

func proxy(functionARN string) *apigateway.PutIntegrationInput {
	return &apigateway.PutIntegrationInput{
		Type: agw.IntegrationTypeAwsProxy, IntegrationHttpMethod: aws.String("POST"),
		Uri: aws.String("arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/" + functionARN + "/invocations"),
	}
}

func (c *sdk) createFunction(ctx context.Context, name, runtime, handler string, zip []byte) (arn string) {
	c.t.Helper()
	role, err := c.iam.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String(name + "-role"), AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`)})
	must(c.t, role, err)
	f, err := c.lambda.CreateFunction(ctx, &lambda.CreateFunctionInput{
		FunctionName: &name, Runtime: lam.Runtime(runtime), Handler: &handler, Role: role.Role.Arn, Code: &lam.FunctionCode{ZipFile: zip},
	})
	must(c.t, f, err)
	err = lambda.NewFunctionActiveV2Waiter(c.lambda).Wait(ctx, &lambda.GetFunctionInput{FunctionName: &name}, 30*time.Second)
	must(c.t, 0, err)
	return *f.FunctionArn
}

func (c *sdk) permit(ctx context.Context, function, api string) {
	c.t.Helper()
	_, err := c.lambda.AddPermission(ctx, &lambda.AddPermissionInput{
		FunctionName: &function, StatementId: aws.String("gateway"), Action: aws.String("lambda:InvokeFunction"),
		Principal: aws.String("apigateway.amazonaws.com"), SourceArn: aws.String(fmt.Sprintf("arn:aws:execute-api:us-east-1:000000000000:%s/*/POST/call", api)),
	})
	must(c.t, 0, err)
}

// TestSignaturesAreChecked: the control address is closed from the first
// minute, in AWS's words.
func TestSignaturesAreChecked(t *testing.T) {
	t.Parallel()
	s := start(t, filepath.Join(t.TempDir(), "data"))
	for _, c := range []struct {
		name string
		bend func(*server)
		code string
	}{
		{"wrong secret", func(s *server) { s.secret = strings.Repeat("x", 40) }, "SignatureDoesNotMatch"},
		{"unknown key", func(s *server) { s.keyID = "AKIAAAAAAAAAAAAAAAAA" }, "InvalidClientTokenId"},
	} {
		bent := *s
		c.bend(&bent)
		_, err := newSDK(t, &bent).sts.GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
		var api smithy.APIError
		if !errors.As(err, &api) || api.ErrorCode() != c.code {
			t.Errorf("%s: %v, want %s", c.name, err, c.code)
		}
	}
	res, err := http.Get(s.control + "/restapis")
	must(t, res, err)
	body, _ := io.ReadAll(res.Body)
	res.Body.Close()
	if res.StatusCode != 403 || !strings.Contains(string(body), "Missing Authentication Token") {
		t.Errorf("unsigned: %d %s", res.StatusCode, body)
	}
	// The gateway address answers callers and nothing else, signed or not.
	bent := *s
	bent.control = s.gateway
	if _, err := newSDK(t, &bent).sts.GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{}); err == nil {
		t.Error("the gateway address answered a management call")
	}
}
