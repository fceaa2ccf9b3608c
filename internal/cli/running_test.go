package cli

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	agw "github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lam "github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"weir/internal/app"
)

// serving runs an app in this process and gives its data folder.
func serving(t *testing.T) (data string, conn *connection) {
	t.Helper()
	data = filepath.Join(t.TempDir(), "data")
	a, err := app.New(t.Context(), app.Options{Data: data, GatewayAddr: "127.0.0.1:0", ControlAddr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	conn, err = connect(data)
	if err != nil {
		t.Fatal(err)
	}
	return data, conn
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// decode reads one JSON document of a known shape, and nothing else.
func decode[T any](t *testing.T, text string) (v T) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil || d.More() {
		t.Fatalf("%v: %s", err, text)
	}
	return v
}

// stocked is a server that holds a little of everything.
type stocked struct {
	t            *testing.T
	data         string
	conn         *connection
	api          *apigateway.Client
	apiID, stage string
}

// stock makes an API "shop" with a stage "live": GET / open, GET /pets with a
// key; the plan "ten-a-day" that covers it and the plan "idle" that covers
// nothing; and the key "reader", which made three calls.
func stock(t *testing.T) *stocked {
	t.Helper()
	s := &stocked{t: t, stage: "live"}
	s.data, s.conn = serving(t)
	s.api = apigateway.NewFromConfig(s.conn.aws)
	api, err := s.api.CreateRestApi(t.Context(), &apigateway.CreateRestApiInput{Name: aws.String("shop")})
	must(t, err)
	s.apiID = *api.Id
	pets, err := s.api.CreateResource(t.Context(), &apigateway.CreateResourceInput{RestApiId: api.Id, ParentId: api.RootResourceId, PathPart: aws.String("pets")})
	must(t, err)
	s.mock(api.RootResourceId, false)
	s.mock(pets.Id, true)
	_, err = s.api.CreateDeployment(t.Context(), &apigateway.CreateDeploymentInput{RestApiId: api.Id, StageName: &s.stage})
	must(t, err)
	_, err = s.api.CreateUsagePlan(t.Context(), &apigateway.CreateUsagePlanInput{
		Name: aws.String("ten-a-day"), ApiStages: []agw.ApiStage{{ApiId: api.Id, Stage: &s.stage}},
		Throttle: &agw.ThrottleSettings{RateLimit: 100.5, BurstLimit: 100}, Quota: &agw.QuotaSettings{Limit: 10, Period: agw.QuotaPeriodTypeDay},
	})
	must(t, err)
	_, err = s.api.CreateUsagePlan(t.Context(), &apigateway.CreateUsagePlanInput{Name: aws.String("idle")})
	must(t, err)
	for range 3 {
		if status := s.call(s.create("reader")); status != 200 {
			t.Fatalf("a call with the key: %d", status)
		}
	}
	return s
}

func (s *stocked) mock(resource *string, key bool) {
	s.t.Helper()
	ctx, verb := s.t.Context(), aws.String("GET")
	_, err := s.api.PutMethod(ctx, &apigateway.PutMethodInput{RestApiId: &s.apiID, ResourceId: resource, HttpMethod: verb, AuthorizationType: aws.String("NONE"), ApiKeyRequired: key})
	must(s.t, err)
	_, err = s.api.PutMethodResponse(ctx, &apigateway.PutMethodResponseInput{RestApiId: &s.apiID, ResourceId: resource, HttpMethod: verb, StatusCode: aws.String("200")})
	must(s.t, err)
	_, err = s.api.PutIntegration(ctx, &apigateway.PutIntegrationInput{
		RestApiId: &s.apiID, ResourceId: resource, HttpMethod: verb, Type: agw.IntegrationTypeMock,
		RequestTemplates: map[string]string{"application/json": `{"statusCode": 200}`},
	})
	must(s.t, err)
	_, err = s.api.PutIntegrationResponse(ctx, &apigateway.PutIntegrationResponseInput{RestApiId: &s.apiID, ResourceId: resource, HttpMethod: verb, StatusCode: aws.String("200")})
	must(s.t, err)
}

// create gives the value of the key of this name in "ten-a-day", which it
// makes when there is none.
func (s *stocked) create(name string) string {
	s.t.Helper()
	if code, out, _ := s.run("keys", "show", name, "--value"); code == exitOK {
		return strings.TrimSpace(out)
	}
	return decode[keyMade](s.t, s.does("keys", "create", name, "--plan", "ten-a-day", "--json")).Value
}

// call calls GET /pets with a key.
func (s *stocked) call(value string) int {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.conn.callerURL()+"/_aws/execute-api/"+s.apiID+"/live/pets", nil)
	must(s.t, err)
	req.Header.Set("x-api-key", value)
	res, err := http.DefaultClient.Do(req)
	must(s.t, err)
	res.Body.Close()
	return res.StatusCode
}

// function makes a Python function of this code.
func (s *stocked) function(name, code string) {
	s.t.Helper()
	if _, err := exec.LookPath("python3"); err != nil {
		s.t.Skip("skipped: python3 is not installed")
	}
	var packed bytes.Buffer
	z := zip.NewWriter(&packed)
	f, err := z.Create("lambda_function.py")
	must(s.t, err)
	_, err = f.Write([]byte(code))
	must(s.t, err)
	must(s.t, z.Close())
	role, err := iam.NewFromConfig(s.conn.aws).CreateRole(s.t.Context(), &iam.CreateRoleInput{RoleName: aws.String(name), AssumeRolePolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`,
	)})
	must(s.t, err)
	client := lambda.NewFromConfig(s.conn.aws)
	_, err = client.CreateFunction(s.t.Context(), &lambda.CreateFunctionInput{
		FunctionName: &name, Runtime: lam.RuntimePython312, Handler: aws.String("lambda_function.handler"),
		Role: role.Role.Arn, Code: &lam.FunctionCode{ZipFile: packed.Bytes()},
	})
	must(s.t, err)
	must(s.t, lambda.NewFunctionActiveV2Waiter(client).Wait(s.t.Context(), &lambda.GetFunctionInput{FunctionName: &name}, 30*time.Second))
}

// TestScreens holds what people see, piped and on terminals of 80 and of 120
// columns: IDs, ports and times are the only things that differ between runs.
func TestScreens(t *testing.T) {
	s := stock(t)
	s.function("stamp", "def handler(event, context):\n    return event\n")
	for _, name := range []string{"a key with a name that is longer than anybody would want to read on a screen", "red\x1b[31m"} {
		_, err := s.api.CreateApiKey(t.Context(), &apigateway.CreateApiKeyInput{Name: &name, Description: aws.String("for the test")})
		must(t, err)
	}
	awayFromMidnight(t)
	pictures := s.pictures(&listing{limit: 3})
	var all []string
	for _, p := range pictures {
		var doc bytes.Buffer
		must(t, printJSON(&doc, p))
		all = append(all, doc.String())
	}
	steady := s.steadier(strings.Join(all, ""))
	for _, name := range slices.Sorted(maps.Keys(pictures)) {
		var all strings.Builder
		for _, form := range []screen{{}, {terminal: true, columns: 80, lines: 24}, {terminal: true, columns: 120, lines: 40}} {
			pictures[name].print(&form)
			all.WriteString(map[int]string{0: "--- piped\n", 80: "--- 80 columns\n", 120: "--- 120 columns\n"}[form.columns])
			all.WriteString(steady(form.String()))
			for row := range strings.Lines(form.String()) {
				if n := len([]rune(row)) - 1; form.columns > 0 && n > form.columns {
					t.Errorf("%s: %d columns on a terminal of %d: %s", name, n, form.columns, row)
				}
			}
		}
		golden(t, name+".screen", all.String())
		var doc bytes.Buffer
		must(t, printJSON(&doc, pictures[name]))
		golden(t, name+".json", steady(doc.String()))
	}
}

// pictures looks at all there is. Ages and ends are made to be in the middle
// of an hour, so that they do not depend on how fast the test is.
func (s *stocked) pictures(l *listing) map[string]picture {
	s.t.Helper()
	ctx, now := s.t.Context(), time.Now()
	later := now.Add(3*time.Hour + 30*time.Minute)
	keys, err := s.conn.keys(ctx, l, now)
	must(s.t, err)
	keys.now = later
	plans, err := s.conn.plans(ctx, l)
	must(s.t, err)
	usage, err := s.conn.usage(ctx, l, "", now)
	must(s.t, err)
	usage.now = usage.Usage[0].Ends.Add(-150 * time.Minute)
	functions, err := s.conn.functions(ctx, l, later)
	must(s.t, err)
	apis, err := s.conn.apis(ctx, l)
	must(s.t, err)
	return map[string]picture{"keys": keys, "plans": plans, "usage": usage, "functions": functions, "apis": apis}
}

// awayFromMidnight waits when the UTC day is about to end: calls of yesterday
// are not today's.
func awayFromMidnight(t *testing.T) {
	t.Helper()
	now := time.Now().UTC()
	if left := now.Truncate(24 * time.Hour).Add(24 * time.Hour).Sub(now); left < time.Minute {
		t.Logf("waiting %s for the UTC day to end", left)
		time.Sleep(left + time.Second)
	}
}

var (
	timeText = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`)
	idText   = regexp.MustCompile(`"(?:id|apiId|planId|keyId|deploymentId)": "([a-z0-9]+)"`)
)

// steadier finds the IDs in documents and gives what puts steady texts of the
// same length in place of all that differs between runs.
func (s *stocked) steadier(documents string) func(string) string {
	pairs := []string{s.conn.callerURL(), "http://127.0.0.1:8080"}
	for _, m := range idText.FindAllStringSubmatch(documents, -1) {
		pairs = append(pairs, m[1], strings.Repeat("x", len(m[1])))
	}
	r := strings.NewReplacer(pairs...)
	return func(text string) string {
		return timeText.ReplaceAllString(r.Replace(text), "2026-11-26T12:00:00Z")
	}
}
