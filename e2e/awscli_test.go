package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// cli is the unmodified aws command pointed at a server.
type cli struct {
	t    *testing.T
	path string
	s    *server
	env  []string
	dir  string // where commands run; small files for them are put here
}

func newCLI(t *testing.T, s *server) *cli {
	t.Helper()
	return &cli{t: t, path: tool(t, "aws"), s: s, env: s.environment(t), dir: t.TempDir()}
}

// run runs one aws command, which must succeed, and returns its JSON.
func (c *cli) run(args ...string) document {
	c.t.Helper()
	out, errText, err := c.try(args...)
	if err != nil {
		c.t.Fatalf("aws %s: %v\n%s", strings.Join(args, " "), err, errText)
	}
	var d any
	if len(bytes.TrimSpace(out)) > 0 {
		if err := json.Unmarshal(out, &d); err != nil {
			c.t.Fatalf("aws %s printed no JSON: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	return document{c.t, "aws " + strings.Join(args, " "), d}
}

// fails runs one aws command, which must be refused with code, and returns
// what the CLI printed.
func (c *cli) fails(code string, args ...string) string {
	c.t.Helper()
	_, errText, err := c.try(args...)
	if err == nil {
		c.t.Fatalf("aws %s succeeded, expected %s", strings.Join(args, " "), code)
	}
	if !strings.Contains(errText, "("+code+")") {
		c.t.Fatalf("aws %s: expected %s, got: %s", strings.Join(args, " "), code, errText)
	}
	return errText
}

func (c *cli) try(args ...string) (stdout []byte, stderr string, err error) {
	// Debian's version does not know AWS_ENDPOINT_URL.
	cmd := exec.CommandContext(c.t.Context(), c.path, append([]string{"--endpoint-url", c.s.control, "--output", "json"}, args...)...)
	cmd.Env, cmd.Dir = c.env, c.dir
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.Bytes(), errs.String(), err
}

// file puts a file beside the commands and returns its name.
func (c *cli) file(name string, content []byte) string {
	c.t.Helper()
	if err := os.WriteFile(filepath.Join(c.dir, name), content, 0o600); err != nil {
		c.t.Fatal(err)
	}
	return name
}

// document is a command's JSON output. at walks it: "items", 0, "id".
type document struct {
	t    *testing.T
	what string
	v    any
}

func (d document) at(path ...any) document {
	d.t.Helper()
	v := d.v
	for _, p := range path {
		switch p := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[p]
		case int:
			l, _ := v.([]any)
			if p >= len(l) {
				v = nil
			} else {
				v = l[p]
			}
		}
	}
	return document{d.t, d.what + " " + fmt.Sprint(path...), v}
}

func (d document) text(path ...any) string {
	d.t.Helper()
	v := d.at(path...)
	s, ok := v.v.(string)
	if !ok || s == "" {
		d.t.Fatalf("%s: no text at %v in %s", d.what, path, d.json())
	}
	return s
}

func (d document) length(path ...any) int {
	d.t.Helper()
	l, _ := d.at(path...).v.([]any)
	return len(l)
}

func (d document) json() string {
	b, _ := json.Marshal(d.v)
	return string(b)
}

// is fails unless the value at path is want, as JSON says it.
func (d document) is(want string, path ...any) {
	d.t.Helper()
	if got := d.at(path...).json(); got != want {
		d.t.Errorf("%s %v = %s, want %s", d.what, path, got, want)
	}
}

// walk is what the walk-through makes, in the order in which a reader of it
// makes things.
type walk struct {
	*cli
	function, roleARN, functionARN     string
	api, root, resource                string
	key, keyValue, plan, spare, spareV string
}

// TestWalkThroughWithTheAWSCLI is the product's main job, driven by AWS's own
// command line from an empty data folder to every refusal and back to nothing.
func TestWalkThroughWithTheAWSCLI(t *testing.T) {
	t.Parallel()
	tool(t, "python3")
	tool(t, "curl")
	s := start(t, filepath.Join(t.TempDir(), "data"))
	w := &walk{cli: newCLI(t, s), function: "timestamper"}
	w.identity()
	w.role()
	w.createFunction()
	w.invoke()
	w.updateFunction()
	w.endpoint()
	w.open()
	w.permission()
	w.keysAndPlans()
	w.requireKey()
	w.refusals()
	w.limits()
	w.patches()
	w.remove()
}

func (w *walk) identity() {
	d := w.run("sts", "get-caller-identity")
	d.is(`"000000000000"`, "Account")
	d.is(`"arn:aws:iam::000000000000:root"`, "Arn")
}

func (w *walk) role() {
	trust := w.file("trust.json", []byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`))
	logs := w.file("logs.json", []byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"logs:*","Resource":"*"}]}`))
	d := w.run("iam", "create-role", "--role-name", "timestamper-role", "--assume-role-policy-document", "file://"+trust)
	w.roleARN = d.text("Role", "Arn")
	w.run("iam", "get-role", "--role-name", "timestamper-role").is(`"lambda.amazonaws.com"`, "Role", "AssumeRolePolicyDocument", "Statement", 0, "Principal", "Service")
	if n := w.run("iam", "list-roles").length("Roles"); n != 1 {
		w.t.Errorf("list-roles shows %d roles", n)
	}
	w.run("iam", "put-role-policy", "--role-name", "timestamper-role", "--policy-name", "logs", "--policy-document", "file://"+logs)
	w.run("iam", "get-role-policy", "--role-name", "timestamper-role", "--policy-name", "logs").is(`"logs:*"`, "PolicyDocument", "Statement", 0, "Action")
	w.run("iam", "list-role-policies", "--role-name", "timestamper-role").is(`["logs"]`, "PolicyNames")
	w.run("iam", "list-attached-role-policies", "--role-name", "timestamper-role").is(`[]`, "AttachedPolicies")
	w.fails("EntityAlreadyExists", "iam", "create-role", "--role-name", "timestamper-role", "--assume-role-policy-document", "file://"+trust)
	w.fails("NoSuchEntity", "iam", "get-role", "--role-name", "nobody")
}

func (w *walk) createFunction() {
	zip := w.file("function.zip", zipFolder(w.t, "../examples/timestamper"))
	d := w.run(
		"lambda", "create-function", "--function-name", w.function, "--runtime", "python3.12",
		"--role", w.roleARN, "--handler", "lambda_function.lambda_handler", "--zip-file", "fileb://"+zip,
	)
	d.is(`"Pending"`, "State")
	w.functionARN = d.text("FunctionArn")
	w.run("lambda", "wait", "function-active", "--function-name", w.function)
	w.run("lambda", "wait", "function-exists", "--function-name", w.function)
	w.run("lambda", "get-function", "--function-name", w.function).is(`"Active"`, "Configuration", "State")
	w.run("lambda", "get-function-configuration", "--function-name", w.function).is(`128`, "MemorySize")
	w.run("lambda", "list-functions").is(`"timestamper"`, "Functions", 0, "FunctionName")
	w.fails(
		"ResourceConflictException", "lambda", "create-function", "--function-name", w.function, "--runtime", "python3.12",
		"--role", w.roleARN, "--handler", "lambda_function.lambda_handler", "--zip-file", "fileb://"+zip,
	)
}

// testEvent is shaped like what API Gateway sends, as the walk-through pastes
// it into the console's Test tab.
const testEvent = `{"resource":"/timestamper","path":"/timestamper","httpMethod":"POST","headers":{"Content-Type":"application/json"},"body":"{\"timestamp\": 1700000000}","isBase64Encoded":false,"requestContext":{"stage":"default","httpMethod":"POST"}}`

func (w *walk) invoke() {
	event := w.file("event.json", []byte(testEvent))
	d := w.run("lambda", "invoke", "--function-name", w.function, "--payload", "file://"+event, "--log-type", "Tail", "out.json")
	d.is(`200`, "StatusCode")
	d.is(`"$LATEST"`, "ExecutedVersion")
	logs, err := base64.StdEncoding.DecodeString(d.text("LogResult"))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, line := range []string{"START RequestId: ", "END RequestId: ", "REPORT RequestId: ", "Memory Size: 128 MB"} {
		if !strings.Contains(string(logs), line) {
			w.t.Errorf("the log tail lacks %q:\n%s", line, logs)
		}
	}
	out, err := os.ReadFile(filepath.Join(w.dir, "out.json"))
	if err != nil {
		w.t.Fatal(err)
	}
	var answer struct {
		StatusCode int
		Body       string
	}
	if err := json.Unmarshal(out, &answer); err != nil || answer.StatusCode != 200 || answer.Body == "" {
		w.t.Errorf("the function answered %s (%v)", out, err)
	}
	w.run("lambda", "invoke", "--function-name", w.function, "--payload", "file://"+event, "--invocation-type", "Event", "out.json").is(`202`, "StatusCode")
	w.run("lambda", "invoke", "--function-name", w.function, "--payload", "file://"+event, "--invocation-type", "DryRun", "out.json").is(`204`, "StatusCode")
	w.fails("ResourceNotFoundException", "lambda", "invoke", "--function-name", "nobody", "out.json")
}

func (w *walk) updateFunction() {
	zip := w.file("function2.zip", zipFolder(w.t, "../examples/timestamper"))
	w.run("lambda", "update-function-code", "--function-name", w.function, "--zip-file", "fileb://"+zip)
	w.run("lambda", "wait", "function-updated", "--function-name", w.function)
	d := w.run("lambda", "update-function-configuration", "--function-name", w.function, "--timeout", "10", "--memory-size", "256", "--environment", "Variables={GREETING=hello}")
	d.is(`10`, "Timeout")
	d.is(`"hello"`, "Environment", "Variables", "GREETING")
	w.run("lambda", "wait", "function-updated", "--function-name", w.function)
}

func (w *walk) endpoint() {
	d := w.run("apigateway", "create-rest-api", "--name", "timestamper-API", "--endpoint-configuration", "types=REGIONAL")
	w.api = d.text("id")
	d.is(`["REGIONAL"]`, "endpointConfiguration", "types")
	w.run("apigateway", "get-rest-api", "--rest-api-id", w.api).is(`"timestamper-API"`, "name")
	w.run("apigateway", "get-rest-apis").is(`"`+w.api+`"`, "items", 0, "id")
	w.root = w.run("apigateway", "get-resources", "--rest-api-id", w.api).text("items", 0, "id")
	w.resource = w.run("apigateway", "create-resource", "--rest-api-id", w.api, "--parent-id", w.root, "--path-part", "timestamper").text("id")
	w.run("apigateway", "get-resource", "--rest-api-id", w.api, "--resource-id", w.resource).is(`"/timestamper"`, "path")
	on := []string{"--rest-api-id", w.api, "--resource-id", w.resource, "--http-method", "POST"}
	w.run(append([]string{"apigateway", "put-method", "--authorization-type", "NONE"}, on...)...).is(`false`, "apiKeyRequired")
	w.run(append([]string{
		"apigateway", "put-integration", "--type", "AWS_PROXY", "--integration-http-method", "POST",
		"--uri", "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/" + w.functionARN + "/invocations",
	}, on...)...).is(`"AWS_PROXY"`, "type")
	w.run(append([]string{"apigateway", "get-integration"}, on...)...).is(`29000`, "timeoutInMillis")
	w.run(append([]string{"apigateway", "get-method"}, on...)...).is(`"AWS_PROXY"`, "methodIntegration", "type")
	w.run("apigateway", "create-deployment", "--rest-api-id", w.api, "--stage-name", "default")
	w.run("apigateway", "get-stage", "--rest-api-id", w.api, "--stage-name", "default").is(`"default"`, "stageName")
	if n := w.run("apigateway", "get-deployments", "--rest-api-id", w.api).length("items"); n != 1 {
		w.t.Errorf("get-deployments shows %d", n)
	}
	if n := w.run("apigateway", "get-stages", "--rest-api-id", w.api).length("item"); n != 1 {
		w.t.Errorf("get-stages shows %d", n)
	}
}

// open: no key is asked for yet, but the function has not yet allowed API
// Gateway to call it.
func (w *walk) open() {
	w.curl().answers(500, `{"message": "Internal server error"}`)
}

func (w *walk) permission() {
	source := "arn:aws:execute-api:us-east-1:000000000000:" + w.api + "/*/POST/timestamper"
	w.run(
		"lambda", "add-permission", "--function-name", w.function, "--statement-id", "gateway",
		"--action", "lambda:InvokeFunction", "--principal", "apigateway.amazonaws.com", "--source-arn", source,
	)
	policy := w.run("lambda", "get-policy", "--function-name", w.function).text("Policy")
	if !strings.Contains(policy, source) {
		w.t.Errorf("get-policy = %s", policy)
	}
	w.curl().answersTimestamp()
	w.run("lambda", "remove-permission", "--function-name", w.function, "--statement-id", "gateway")
	w.curl().answers(500, `{"message": "Internal server error"}`)
	w.run(
		"lambda", "add-permission", "--function-name", w.function, "--statement-id", "gateway",
		"--action", "lambda:InvokeFunction", "--principal", "apigateway.amazonaws.com", "--source-arn", source,
	)
	w.curl().answersTimestamp()
}

func (w *walk) keysAndPlans() {
	d := w.run("apigateway", "create-api-key", "--name", "reader", "--enabled")
	w.key, w.keyValue = d.text("id"), d.text("value")
	if len(w.keyValue) != 40 {
		w.t.Errorf("the generated key has %d characters", len(w.keyValue))
	}
	w.run("apigateway", "get-api-key", "--api-key", w.key).is(`null`, "value")
	w.run("apigateway", "get-api-key", "--api-key", w.key, "--include-value").is(`"`+w.keyValue+`"`, "value")
	d = w.run("apigateway", "create-api-key", "--name", "spare")
	w.spare, w.spareV = d.text("id"), d.text("value")
	w.s.hidden = append(w.s.hidden, w.keyValue, w.spareV)
	d.is(`false`, "enabled")
	w.plan = w.run(
		"apigateway", "create-usage-plan", "--name", "ten-a-day", "--throttle", "rateLimit=1,burstLimit=1",
		"--quota", "limit=10,period=DAY", "--api-stages", "apiId="+w.api+",stage=default",
	).text("id")
	w.run("apigateway", "create-usage-plan-key", "--usage-plan-id", w.plan, "--key-type", "API_KEY", "--key-id", w.key).is(`"reader"`, "name")
	w.run("apigateway", "get-usage-plan-key", "--usage-plan-id", w.plan, "--key-id", w.key).is(`"API_KEY"`, "type")
	w.run("apigateway", "get-usage-plan-keys", "--usage-plan-id", w.plan).is(`"`+w.key+`"`, "items", 0, "id")
	w.run("apigateway", "get-usage-plans").is(`"`+w.plan+`"`, "items", 0, "id")
	w.run("apigateway", "get-usage-plan", "--usage-plan-id", w.plan).is(`{"burstLimit":1,"rateLimit":1}`, "throttle")
}

// requireKey: the flag is a property of the method and reaches callers only
// with the next deployment.
func (w *walk) requireKey() {
	w.run(
		"apigateway", "update-method", "--rest-api-id", w.api, "--resource-id", w.resource, "--http-method", "POST",
		"--patch-operations", "op=replace,path=/apiKeyRequired,value=true",
	).is(`true`, "apiKeyRequired")
	w.curl().answersTimestamp()
	w.run("apigateway", "create-deployment", "--rest-api-id", w.api, "--stage-name", "default")
}

func (w *walk) refusals() {
	const forbidden = `{"message":"Forbidden"}`
	w.curl().answers(403, forbidden)
	w.curl("-H", "x-api-key: "+strings.Repeat("x", 40)).answers(403, forbidden)
	w.curl("-H", "x-api-key: "+w.spareV).answers(403, forbidden) // disabled
	w.run("apigateway", "update-api-key", "--api-key", w.spare, "--patch-operations", "op=replace,path=/enabled,value=true").is(`true`, "enabled")
	w.curl("-H", "x-api-key: "+w.spareV).answers(403, forbidden) // in no plan
	w.curlURL(w.url()+"?x-api-key="+w.keyValue).answers(403, forbidden)
}

func (w *walk) limits() {
	awayFromMidnight(w.t, time.Minute)
	w.usage(0)
	for n := 1; n <= 10; n++ {
		w.curl("-H", "x-api-key: "+w.keyValue).answersTimestamp()
		if n == 1 {
			// Sooner than a second later, in every form and on both addresses.
			w.curl("-H", "X-API-Key: "+w.keyValue).answers(429, `{"message":"Too Many Requests"}`)
		}
		if n == 1 || n == 4 {
			w.usage(n)
		}
		time.Sleep(1100 * time.Millisecond)
	}
	for _, url := range w.urls() {
		w.curlURL(url, "-H", "x-api-key: "+w.keyValue).answers(429, `{"message":"Limit Exceeded"}`)
	}
	w.usage(10)
}

// usage: get-usage shows each admitted call at once, and no refused one.
func (w *walk) usage(used int) {
	w.t.Helper()
	today := time.Now().UTC().Format(time.DateOnly)
	d := w.run("apigateway", "get-usage", "--usage-plan-id", w.plan, "--start-date", today, "--end-date", today)
	d.is(fmt.Sprintf("[[%d,%d]]", used, 10-used), "items", w.key)
}

// patches: what the walk-through's owner changes afterwards.
func (w *walk) patches() {
	edit := func(what string, args ...string) document {
		return w.run(append([]string{"apigateway", what}, args...)...)
	}
	edit("update-usage-plan", "--usage-plan-id", w.plan, "--patch-operations",
		"op=replace,path=/quota/limit,value=12", "op=replace,path=/throttle/rateLimit,value=5").is(`12`, "quota", "limit")
	time.Sleep(300 * time.Millisecond) // a token of the new rate; the old one's second has not passed
	w.curl("-H", "x-api-key: "+w.keyValue).answersTimestamp()
	w.usage12(11)
	edit("update-rest-api", "--rest-api-id", w.api, "--patch-operations", "op=replace,path=/name,value=renamed").is(`"renamed"`, "name")
	edit("update-resource", "--rest-api-id", w.api, "--resource-id", w.resource, "--patch-operations", "op=replace,path=/pathPart,value=stamp").is(`"/stamp"`, "path")
	edit("update-integration", "--rest-api-id", w.api, "--resource-id", w.resource, "--http-method", "POST",
		"--patch-operations", "op=replace,path=/timeoutInMillis,value=5000").is(`5000`, "timeoutInMillis")
	deployment := edit("get-deployments", "--rest-api-id", w.api).text("items", 0, "id")
	edit("update-deployment", "--rest-api-id", w.api, "--deployment-id", deployment, "--patch-operations", "op=replace,path=/description,value=first").is(`"first"`, "description")
	edit("update-stage", "--rest-api-id", w.api, "--stage-name", "default", "--patch-operations",
		"op=replace,path=/variables/color,value=blue", "op=replace,path=/*/*/throttling/rateLimit,value=100").is(`"blue"`, "variables", "color")
	w.fails("BadRequestException", "apigateway", "update-api-key", "--api-key", w.key, "--patch-operations", "op=replace,path=/value,value=x")
}

func (w *walk) usage12(used int) {
	today := time.Now().UTC().Format(time.DateOnly)
	w.run("apigateway", "get-usage", "--usage-plan-id", w.plan, "--start-date", today, "--end-date", today).
		is(fmt.Sprintf("[[%d,%d]]", used, 12-used), "items", w.key)
}

func (w *walk) remove() {
	if text := w.fails("BadRequestException", "apigateway", "delete-usage-plan", "--usage-plan-id", w.plan); !strings.Contains(text, "because there are API Stages associated with it") {
		w.t.Errorf("delete-usage-plan: %s", text)
	}
	w.run("apigateway", "update-usage-plan", "--usage-plan-id", w.plan, "--patch-operations", "op=remove,path=/apiStages,value="+w.api+":default")
	w.run("apigateway", "delete-usage-plan-key", "--usage-plan-id", w.plan, "--key-id", w.key)
	w.run("apigateway", "delete-usage-plan", "--usage-plan-id", w.plan)
	w.run("apigateway", "delete-api-key", "--api-key", w.key)
	w.run("apigateway", "delete-api-key", "--api-key", w.spare)
	on := []string{"--rest-api-id", w.api, "--resource-id", w.resource, "--http-method", "POST"}
	w.run(append([]string{"apigateway", "delete-integration"}, on...)...)
	w.run(append([]string{"apigateway", "delete-method"}, on...)...)
	w.run("apigateway", "delete-resource", "--rest-api-id", w.api, "--resource-id", w.resource)
	deployment := w.run("apigateway", "get-stage", "--rest-api-id", w.api, "--stage-name", "default").text("deploymentId")
	w.fails("BadRequestException", "apigateway", "delete-deployment", "--rest-api-id", w.api, "--deployment-id", deployment)
	w.run("apigateway", "delete-stage", "--rest-api-id", w.api, "--stage-name", "default")
	w.run("apigateway", "delete-deployment", "--rest-api-id", w.api, "--deployment-id", deployment)
	w.curl().answers(403, `{"message":"Forbidden"}`)
	w.run("apigateway", "delete-rest-api", "--rest-api-id", w.api)
	w.run("lambda", "remove-permission", "--function-name", w.function, "--statement-id", "gateway")
	w.run("lambda", "delete-function", "--function-name", w.function)
	w.fails("DeleteConflict", "iam", "delete-role", "--role-name", "timestamper-role")
	w.run("iam", "delete-role-policy", "--role-name", "timestamper-role", "--policy-name", "logs")
	w.run("iam", "delete-role", "--role-name", "timestamper-role")
	w.run("iam", "list-roles").is(`[]`, "Roles")
	w.run("lambda", "list-functions").is(`[]`, "Functions")
}
