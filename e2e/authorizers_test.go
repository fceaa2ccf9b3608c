package e2e

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	agw "github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

// judgeCode is an authorizer of either type. The token says what it does, and
// behind a dot which key it names.
const judgeCode = `
import time
def handler(event, context):
    if event['type'] == 'TOKEN':
        token = event['authorizationToken']
    else:
        token = event['headers']['Auth']
    kind, _, key = token.partition('.')
    if kind == 'stranger':
        raise Exception('Unauthorized')
    if kind == 'broken':
        raise ValueError(token)
    if kind == 'slow':
        time.sleep(60)
    if kind == 'nonsense':
        return {'isAuthorized': True}
    answer = {
        'principalId': 'user-' + kind,
        'policyDocument': {'Version': '2012-10-17', 'Statement': [{
            'Action': 'execute-api:Invoke', 'Effect': 'Deny' if kind == 'deny' else 'Allow',
            'Resource': 'arn:aws:execute-api:*:*:other/*' if kind == 'neither' else event['methodArn'].rsplit('/', 2)[0] + '/*',
        }]},
        'context': {'level': 7, 'admin': True, 'type': event['type']},
    }
    if key:
        answer['usageIdentifierKey'] = key
    return answer
`

// echoCode answers with what the event tells of the caller.
const echoCode = `
import json
def handler(event, context):
    c = event['requestContext']
    return {'statusCode': 200, 'body': json.dumps({'authorizer': c.get('authorizer'), 'keyId': c['identity'].get('apiKeyId')})}
`

// zipOf packs one file.
func zipOf(t *testing.T, name, text string) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	f, err := w.Create(name)
	must(t, f, err)
	_, err = io.WriteString(f, text)
	must(t, 0, err)
	must(t, 0, w.Close())
	return buf.Bytes()
}

// court is a gate whose method has an authorizer.
type court struct {
	*gate
	cli        *cli
	authorizer string
}

// newCourt makes the functions, the gate and an authorizer whose answers are
// kept for ttl seconds, and deploys it with that source of keys.
func newCourt(t *testing.T, kind, source string, keyRequired bool, ttl int32, rate float64, burst, quota int32) *court {
	t.Helper()
	tool(t, "python3")
	ctx := t.Context()
	s := start(t, filepath.Join(t.TempDir(), "data"))
	c := newSDK(t, s)
	judge := c.createFunction(ctx, "judge", "python3.12", "app.handler", zipOf(t, "app.py", judgeCode))
	echo := c.createFunction(ctx, "echo", "python3.12", "app.handler", zipOf(t, "app.py", echoCode))
	g := newGate(ctx, c, proxy(echo), rate, burst, quota)
	c.permit(ctx, "echo", g.api)
	g.permitAuthorizer(ctx)
	a, err := c.agw.CreateAuthorizer(ctx, &apigateway.CreateAuthorizerInput{
		RestApiId: &g.api, Name: aws.String("judge"), Type: agw.AuthorizerType(kind), AuthorizerResultTtlInSeconds: &ttl,
		IdentitySource: aws.String("method.request.header.Auth"),
		AuthorizerUri:  aws.String("arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/" + judge + "/invocations"),
	})
	must(t, a, err)
	_, err = c.agw.UpdateMethod(ctx, &apigateway.UpdateMethodInput{RestApiId: &g.api, ResourceId: &g.resource, HttpMethod: aws.String("POST"), PatchOperations: []agw.PatchOperation{
		{Op: agw.OpReplace, Path: aws.String("/authorizationType"), Value: aws.String("CUSTOM")},
		{Op: agw.OpReplace, Path: aws.String("/authorizerId"), Value: a.Id},
		{Op: agw.OpReplace, Path: aws.String("/apiKeyRequired"), Value: aws.String(fmt.Sprint(keyRequired))},
	}})
	must(t, 0, err)
	_, err = c.agw.UpdateRestApi(ctx, &apigateway.UpdateRestApiInput{RestApiId: &g.api, PatchOperations: []agw.PatchOperation{
		{Op: agw.OpReplace, Path: aws.String("/apiKeySource"), Value: &source},
	}})
	must(t, 0, err)
	k := &court{g, newCLI(t, s), *a.Id}
	k.deploy(ctx)
	return k
}

// permitAuthorizer lets API Gateway run the function for the API's authorizers.
func (g *gate) permitAuthorizer(ctx context.Context) {
	g.t.Helper()
	_, err := g.lambda.AddPermission(ctx, &lambda.AddPermissionInput{
		FunctionName: aws.String("judge"), StatementId: aws.String("authorizer"), Action: aws.String("lambda:InvokeFunction"),
		Principal: aws.String("apigateway.amazonaws.com"), SourceArn: aws.String("arn:aws:execute-api:us-east-1:000000000000:" + g.api + "/authorizers/*"),
	})
	must(g.t, 0, err)
}

func (k *court) deploy(ctx context.Context) {
	k.t.Helper()
	_, err := k.agw.CreateDeployment(ctx, &apigateway.CreateDeploymentInput{RestApiId: &k.api, StageName: aws.String("live")})
	must(k.t, 0, err)
}

// ask calls with a token and, unless it is "", a key.
func (k *court) ask(token, key string) (status int, body string) {
	req, err := http.NewRequest(http.MethodPost, k.url(), strings.NewReader("{}"))
	if err != nil {
		return 0, err.Error()
	}
	if token != "" {
		req.Header.Set("Auth", token)
	}
	if key != "" {
		req.Header.Set("X-Api-Key", key)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(text)
}

func (k *court) expect(token, key string, status int, body string) string {
	k.t.Helper()
	got, text := k.ask(token, key)
	if got != status || body != "" && text != body {
		k.t.Fatalf("token %q, key %v: %d %s, want %d %s", strings.SplitN(token, ".", 2)[0], key != "", got, text, status, body)
	}
	return text
}

// runs is how often the authorizer's function was run.
func (k *court) runs() int {
	k.t.Helper()
	return k.cli.run("logs", "filter-log-events", "--log-group-name", "/aws/lambda/judge", "--filter-pattern", `"START RequestId"`).length("events")
}

const (
	unauthorized = `{"message":"Unauthorized"}`
	denied       = `{"Message":"User is not authorized to access this resource with an explicit deny"}`
	notAllowed   = `{"Message":"User is not authorized to access this resource"}`
	noMessage    = `{"message":null}`
	forbidden    = `{"message":"Forbidden"}`
	tooMany      = `{"message":"Too Many Requests"}`
	exceeded     = `{"message":"Limit Exceeded"}`
)

// TestLambdaAuthorizers: every outcome of both types, and what the function
// behind the method sees.
func TestLambdaAuthorizers(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"TOKEN", "REQUEST"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			k := newCourt(t, kind, "HEADER", false, 300, 100, 100, 100)
			k.expect("", "", 401, unauthorized)
			for range 3 {
				var said struct {
					Authorizer map[string]any
				}
				if err := json.Unmarshal([]byte(k.expect("allow", "", 200, "")), &said); err != nil {
					t.Fatal(err)
				}
				latency, timed := said.Authorizer["integrationLatency"].(float64)
				delete(said.Authorizer, "integrationLatency")
				if got := fmt.Sprint(said.Authorizer); got != "map[admin:true level:7 principalId:user-allow type:"+kind+"]" || !timed || latency < 0 {
					t.Errorf("the function sees %s, latency %v", got, latency)
				}
			}
			k.expect("deny", "", 403, denied)
			k.expect("deny", "", 403, denied)
			k.expect("neither", "", 403, notAllowed)
			if n := k.runs(); n != 3 {
				t.Errorf("the function ran %d times for three identities", n)
			}
			k.expect("stranger", "", 401, unauthorized)
			k.expect("stranger", "", 401, unauthorized)
			k.expect("broken", "", 500, noMessage)
			k.expect("nonsense", "", 500, noMessage)
			k.expect("slow", "", 500, noMessage)
			if n := k.runs(); n != 8 {
				t.Errorf("the function ran %d times, and no failure is kept: want 8", n)
			}
			_, err := k.agw.FlushStageAuthorizersCache(t.Context(), &apigateway.FlushStageAuthorizersCacheInput{RestApiId: &k.api, StageName: aws.String("live")})
			must(t, 0, err)
			k.expect("allow", "", 200, "")
			if n := k.runs(); n != 9 {
				t.Errorf("the function ran %d times, want one more after the flush", n)
			}
			_, err = k.lambda.RemovePermission(t.Context(), &lambda.RemovePermissionInput{FunctionName: aws.String("judge"), StatementId: aws.String("authorizer")})
			must(t, 0, err)
			k.expect("allow", "", 200, "") // known
			k.expect("allowed-later", "", 500, noMessage)
		})
	}
}

// TestKeysFromAnAuthorizer: the plan of the key that the authorizer names holds,
// and the header's is not looked at.
func TestKeysFromAnAuthorizer(t *testing.T) {
	t.Parallel()
	awayFromMidnight(t, time.Minute)
	k := newCourt(t, "TOKEN", "AUTHORIZER", true, 300, 0.5, 1, 2)
	token := "allow." + k.keyValue
	k.s.hidden = append(k.s.hidden, token)
	var said struct{ KeyID string }
	if err := json.Unmarshal([]byte(k.expect(token, "", 200, "")), &said); err != nil || said.KeyID != k.key {
		t.Errorf("the event's key is %q (%v), want %q", said.KeyID, err, k.key)
	}
	k.expect(token, "", 429, tooMany)
	k.expect("allow", k.keyValue, 403, forbidden)
	k.expect("allow."+strings.Repeat("x", 30), k.keyValue, 403, forbidden)
	within(t, 20*time.Second, "the second call of the day", func() bool { status, _ := k.ask(token, "nonsense"); return status == 200 })
	within(t, 20*time.Second, "the quota's refusal", func() bool { _, body := k.ask(token, ""); return body == exceeded })
	if used, left := k.usedToday(t.Context()); used != 2 || left != 0 {
		t.Errorf("used %d, %d left", used, left)
	}
	if n := k.runs(); n != 3 {
		t.Errorf("the function ran %d times for three identities", n)
	}
}

// TestAFloodOverTheStageThrottle runs the authorizer's function no more often
// than the throttle lets calls through.
func TestAFloodOverTheStageThrottle(t *testing.T) {
	t.Parallel()
	k := newCourt(t, "TOKEN", "AUTHORIZER", true, 0, 1000, 1000, 100000)
	_, err := k.agw.UpdateStage(t.Context(), &apigateway.UpdateStageInput{RestApiId: &k.api, StageName: aws.String("live"), PatchOperations: []agw.PatchOperation{
		{Op: agw.OpReplace, Path: aws.String("/~1call/POST/throttling/rateLimit"), Value: aws.String("0.001")},
		{Op: agw.OpReplace, Path: aws.String("/~1call/POST/throttling/burstLimit"), Value: aws.String("5")},
	}})
	must(t, 0, err)
	var mu sync.Mutex
	answers := map[string]int{}
	var all sync.WaitGroup
	for _, token := range []string{"allow." + k.keyValue, "allow." + strings.Repeat("x", 30), "deny", "stranger"} {
		for range 2 {
			all.Go(func() {
				for range 50 {
					_, body := k.ask(token, "")
					mu.Lock()
					answers[body]++
					mu.Unlock()
				}
			})
		}
	}
	all.Wait()
	if n := k.runs(); n != 5 || answers[tooMany] != 395 {
		t.Errorf("400 calls over a burst of 5: the function ran %d times, %d were refused by the throttle: %v", n, answers[tooMany], answers)
	}
}

// TestAuthorizersWithTheAWSCLI: the management of authorizers, and a key from
// the header before an authorizer.
func TestAuthorizersWithTheAWSCLI(t *testing.T) {
	t.Parallel()
	k := newCourt(t, "TOKEN", "HEADER", true, 300, 100, 100, 100)
	c := k.cli
	k.expect("allow", "", 403, forbidden)
	k.expect("allow", strings.Repeat("x", 30), 403, forbidden)
	c.run("logs", "describe-log-groups", "--log-group-name-prefix", "/aws/lambda/judge").is("[]", "logGroups") // nobody without a key ran it
	k.expect("allow", k.keyValue, 200, "")
	k.expect("deny", k.keyValue, 403, denied)
	if used, _ := k.usedToday(t.Context()); used != 2 {
		t.Errorf("used %d: a call that an authorizer denies has used one", used)
	}

	c.fails("ConflictException", "apigateway", "delete-authorizer", "--rest-api-id", k.api, "--authorizer-id", k.authorizer)
	d := c.run("apigateway", "get-authorizer", "--rest-api-id", k.api, "--authorizer-id", k.authorizer)
	d.is(`"judge"`, "name")
	d.is(`300`, "authorizerResultTtlInSeconds")
	c.run("apigateway", "update-authorizer", "--rest-api-id", k.api, "--authorizer-id", k.authorizer, "--patch-operations",
		`[{"op":"replace","path":"/identityValidationExpression","value":"[a-z]+"},{"op":"replace","path":"/authorizerResultTtlInSeconds","value":"0"}]`).is(`0`, "authorizerResultTtlInSeconds")
	k.expect("Allow.1", k.keyValue, 200, "") // not before it is deployed
	k.deploy(t.Context())
	k.expect("Allow.1", k.keyValue, 401, unauthorized)
	k.expect("allow", k.keyValue, 200, "")

	test := func(token string) document {
		return c.run("apigateway", "test-invoke-authorizer", "--rest-api-id", k.api, "--authorizer-id", k.authorizer, "--headers", "Auth="+token)
	}
	d = test("deny")
	d.is(`0`, "clientStatus")
	d.is(`"user-deny"`, "principalId")
	if log, policy := d.text("log"), d.text("policy"); !strings.Contains(policy, k.api+"/ESTestInvoke-stage/*") || !strings.HasPrefix(log, "Execution log for request ") ||
		!strings.Contains(log, " : Starting authorizer: "+k.authorizer) || !strings.HasSuffix(log, " : Successfully completed authorizer execution\n") {
		t.Errorf("policy %s, log %s", policy, log)
	}
	d = test("stranger")
	d.is(`401`, "clientStatus")
	if log := d.text("log"); !strings.HasSuffix(log, " : Unauthorized\n") {
		t.Errorf("log %s", log)
	}
	test("nonsense").is(`500`, "clientStatus")
	test("UPPER").is(`401`, "clientStatus")

	uri := c.run("apigateway", "get-authorizer", "--rest-api-id", k.api, "--authorizer-id", k.authorizer).text("authorizerUri")
	request := c.run("apigateway", "create-authorizer", "--rest-api-id", k.api, "--name", "other", "--type", "REQUEST", "--identity-source",
		"method.request.header.Auth, context.identity.sourceIp", "--authorizer-uri", uri).text("id")
	if n := c.run("apigateway", "get-authorizers", "--rest-api-id", k.api).length("items"); n != 2 {
		t.Errorf("%d authorizers", n)
	}
	c.run("apigateway", "test-invoke-authorizer", "--rest-api-id", k.api, "--authorizer-id", request, "--headers", "Auth=allow",
		"--path-with-query-string", "/call?x=1").is(`"user-allow"`, "principalId")
	c.run("apigateway", "flush-stage-authorizers-cache", "--rest-api-id", k.api, "--stage-name", "live")
	c.run("apigateway", "delete-authorizer", "--rest-api-id", k.api, "--authorizer-id", request)
	c.fails("NotFoundException", "apigateway", "get-authorizer", "--rest-api-id", k.api, "--authorizer-id", request)
	c.fails("BadRequestException", "apigateway", "create-authorizer", "--rest-api-id", k.api, "--name", "bad", "--type", "REQUEST", "--authorizer-uri", uri)
}
