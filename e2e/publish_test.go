package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

// publication is what publish --json prints, as far as tests read it.
type publication struct {
	Name, Runtime, Handler, APIID, Stage, Path, Endpoint, HostEndpoint, APIKey, APIKeyID string
	Changes                                                                              []struct{ Service, Operation string }
}

func (p publication) operations() string {
	var names []string
	for _, c := range p.Changes {
		names = append(names, c.Operation)
	}
	return strings.Join(names, " ")
}

// runWeir runs one command line and gives what it prints; it must end well.
func runWeir(t *testing.T, env []string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Env = env
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("weir %s: %v\n%s%s", strings.Join(args, " "), err, out, errs.String())
	}
	return out
}

func published(t *testing.T, env []string, args ...string) publication {
	t.Helper()
	out := runWeir(t, env, append([]string{"publish", "--json"}, args...)...)
	var p publication
	if err := json.Unmarshal(out, &p); err != nil {
		t.Fatalf("publish --json: %v: %s", err, out)
	}
	return p
}

// everything lists each thing of each kind that a publication is made of.
func everything(t *testing.T, c *sdk) []string {
	t.Helper()
	ctx := t.Context()
	var all []string
	roles, err := c.iam.ListRoles(ctx, &iam.ListRolesInput{})
	must(t, roles, err)
	for _, r := range roles.Roles {
		all = append(all, "role "+*r.RoleName)
	}
	functions, err := c.lambda.ListFunctions(ctx, &lambda.ListFunctionsInput{})
	must(t, functions, err)
	for _, f := range functions.Functions {
		all = append(all, fmt.Sprintf("function %s %s %d MB %d s %s", *f.FunctionName, f.Runtime, *f.MemorySize, *f.Timeout, *f.CodeSha256))
	}
	apis, err := c.agw.GetRestApis(ctx, &apigateway.GetRestApisInput{})
	must(t, apis, err)
	for _, a := range apis.Items {
		resources, err := c.agw.GetResources(ctx, &apigateway.GetResourcesInput{RestApiId: a.Id})
		must(t, resources, err)
		stages, err := c.agw.GetStages(ctx, &apigateway.GetStagesInput{RestApiId: a.Id})
		must(t, stages, err)
		text := "api " + *a.Name
		for _, s := range stages.Item {
			text += " " + *s.StageName
		}
		for _, r := range resources.Items {
			text += fmt.Sprintf(" %s with %d methods", *r.Path, len(r.ResourceMethods))
		}
		all = append(all, text)
	}
	plans, err := c.agw.GetUsagePlans(ctx, &apigateway.GetUsagePlansInput{})
	must(t, plans, err)
	for _, p := range plans.Items {
		keys, err := c.agw.GetUsagePlanKeys(ctx, &apigateway.GetUsagePlanKeysInput{UsagePlanId: p.Id})
		must(t, keys, err)
		text := fmt.Sprintf("plan %s for %d stages and %d keys", *p.Name, len(p.ApiStages), len(keys.Items))
		if p.Throttle != nil {
			text += fmt.Sprintf(" %v/%d", p.Throttle.RateLimit, p.Throttle.BurstLimit)
		}
		if p.Quota != nil {
			text += fmt.Sprintf(" %d/%s", p.Quota.Limit, p.Quota.Period)
		}
		all = append(all, text)
	}
	keys, err := c.agw.GetApiKeys(ctx, &apigateway.GetApiKeysInput{})
	must(t, keys, err)
	for _, k := range keys.Items {
		all = append(all, "key "+*k.Name)
	}
	slices.Sort(all)
	return all
}

func holds(t *testing.T, when string, got []string, want ...string) {
	t.Helper()
	if !slices.EqualFunc(got, want, strings.HasPrefix) {
		t.Errorf("%s there is\n  %s\nwant\n  %s", when, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// TestPublishTakesItsFlags gives every flag, then fewer, then takes all away.
func TestPublishTakesItsFlags(t *testing.T) {
	t.Parallel()
	tool(t, "python3")
	s := start(t, filepath.Join(t.TempDir(), "data"))
	c := newSDK(t, s)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "app.py"), []byte("import os\ndef run(event, context):\n    return {'statusCode': 200, 'body': event['httpMethod'] + ' ' + event['pathParameters']['id'] + ' ' + os.environ['GREETING']}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	flags := []string{
		dir, "--data", s.data, "--name", "greeter", "--handler", "app.run", "--runtime", "python3.11", "--path", "/greet/{id}",
		"--method", "GET,PUT", "--rate", "50.5", "--burst", "20", "--quota", "3/month", "--memory", "256", "--timeout", "7",
		"--env", "GREETING=hello=you", "--env", "OTHER=2", "--stage", "live",
	}

	planned := runWeir(t, nil, append([]string{"publish", "--dry-run"}, flags...)...)
	if n := bytes.Count(planned, []byte("\n")); n < 12 || bytes.Contains(planned, []byte("hello=you")) {
		t.Errorf("the dry run printed %d calls:\n%s", n, planned)
	}
	holds(t, "after a dry run", everything(t, c))

	p := published(t, nil, flags...)
	if p.Name != "greeter" || p.Handler != "app.run" || p.Path != "/greet/{id}" || !strings.HasPrefix(p.Endpoint, s.gateway+"/_aws/execute-api/") || !strings.Contains(p.HostEndpoint, p.APIID+".execute-api.us-east-1.localhost:") {
		t.Errorf("made %+v", p)
	}
	holds(t, "with every flag", everything(t, c),
		"api greeter live / with 0 methods /greet with 0 methods /greet/{id} with 2 methods", "function greeter python3.11 256 MB 7 s",
		"key greeter", "plan greeter for 1 stages and 1 keys 50.5/20 3/MONTH", "role greeter")
	url := strings.Replace(p.Endpoint, "{id}", "anna", 1)
	for _, method := range []string{"GET", "PUT"} {
		if status, body := ask(t, method, url, p.APIKey); status != 200 || body != method+" anna hello=you" {
			t.Errorf("%s: %d %s", method, status, body)
		}
	}
	if status, body := ask(t, "POST", url, p.APIKey); status != 403 {
		t.Errorf("a verb that is not there: %d %s", status, body)
	}

	before := everything(t, c)
	if again := published(t, nil, flags...); len(again.Changes) > 0 || again.APIKey != p.APIKey {
		t.Errorf("the same again made %+v", again.Changes)
	}
	open := append(slices.Clone(flags), "--no-key", "--quota", "none")
	if again := published(t, nil, open...); again.operations() != "UpdateMethod UpdateMethod UpdateStage CreateDeployment" {
		t.Errorf("--no-key made %s", again.operations())
	}
	if status, body := ask(t, "GET", url, ""); status != 200 {
		t.Errorf("without a key: %d %s", status, body)
	}
	published(t, nil, flags...)
	if status, body := ask(t, "GET", url, ""); status != 403 {
		t.Errorf("behind the key again: %d %s", status, body)
	}
	holds(t, "in the end", everything(t, c), before...)

	runWeir(t, nil, "unpublish", "greeter", "--data", s.data, "--dry-run")
	holds(t, "after a removal's dry run", everything(t, c), before...)
	if out := runWeir(t, nil, "unpublish", "greeter", "--data", s.data); !strings.Contains(string(out), "greeter is gone") {
		t.Errorf("unpublish printed %s", out)
	}
	holds(t, "after the removal", everything(t, c))
	if status, _ := ask(t, "GET", url, p.APIKey); status != 403 {
		t.Errorf("the endpoint answers %d after its removal", status)
	}
	if out := runWeir(t, nil, "unpublish", "greeter", "--data", s.data); !strings.Contains(string(out), "nothing of greeter is there") {
		t.Errorf("a second unpublish printed %s", out)
	}
}

func ask(t *testing.T, method, url, key string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		req.Header.Set("X-Api-Key", key)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(res.Body); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, body.String()
}

// TestPublishTheExamples publishes each example as its README says.
func TestPublishTheExamples(t *testing.T) {
	t.Parallel()
	s := start(t, filepath.Join(t.TempDir(), "data"))
	for name, needs := range map[string]string{"timestamper": "python3", "timestamper-node": "node", "timestamper-go": "go"} {
		t.Run(name, func(t *testing.T) {
			tool(t, needs)
			if needs == "go" {
				buildGoExample(t) // skips where its module cannot be had
			}
			p := published(t, nil, "../examples/"+name, "--data", s.data)
			if status, body := ask(t, "POST", p.Endpoint, p.APIKey); status != 200 || !strings.Contains(body, `"timestamp"`) {
				t.Errorf("%d %s", status, body)
			}
		})
	}
}

// TestPublishKilledInTheMiddle kills publish at each of its lines and then lets
// one through.
func TestPublishKilledInTheMiddle(t *testing.T) {
	t.Parallel()
	tool(t, "python3")
	s := start(t, filepath.Join(t.TempDir(), "data"))
	c := newSDK(t, s)
	args := []string{"publish", "../examples/timestamper", "--data", s.data}
	for at := 2; at <= 10; at++ {
		cmd := exec.CommandContext(t.Context(), binary, args...)
		pipe, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		scanner := bufio.NewScanner(pipe)
		for range at {
			scanner.Scan()
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // killed, or already over
		p := published(t, nil, args[1:]...)
		holds(t, fmt.Sprintf("killed at line %d", at), everything(t, c),
			"api timestamper default / with 0 methods /timestamper with 1 methods", "function timestamper python3.12", "key timestamper",
			"plan timestamper for 1 stages and 1 keys 1/1 10/DAY", "role timestamper")
		if status, body := ask(t, "POST", p.Endpoint, p.APIKey); status != 200 && !strings.Contains(body, "Too Many Requests") {
			t.Errorf("killed at line %d: %d %s", at, status, body)
		}
		runWeir(t, nil, "unpublish", "timestamper", "--data", s.data)
		holds(t, "after unpublish", everything(t, c))
	}
}

// TestUpKilledInTheMiddle kills server and publication together.
func TestUpKilledInTheMiddle(t *testing.T) {
	t.Parallel()
	tool(t, "curl")
	tool(t, "python3")
	data := filepath.Join(t.TempDir(), "data")
	for _, told := range []string{"role timestamper:", "API timestamper:", "usage plan"} {
		u := beginUp(t, data, "../examples/timestamper")
		within(t, 60*time.Second, told, func() bool { return strings.Contains(u.errs.String(), told) })
		if err := u.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		<-u.done
	}
	u := startUp(t, data, "../examples/timestamper", "--rate", "100", "--burst", "100")
	if got := paste(t, u.line("200")); !strings.HasSuffix(got, " 200\n") {
		t.Errorf("after the kills: %s", got)
	}
	out := runWeir(t, nil, "unpublish", "../examples/timestamper", "--data", data, "--json")
	if n := strings.Count(string(out), `"DeleteRestApi"`) + strings.Count(string(out), `"DeleteApiKey"`) + strings.Count(string(out), `"DeleteUsagePlan"`); n != 3 {
		t.Errorf("it had to remove more than one of each: %s", out)
	}
	u.interrupt()
}

// moto starts moto_server, which somebody else wrote after AWS. It is on PyPI
// only, so a machine without it skips, whatever WEIR_TEST_ALL says.
func moto(t *testing.T) *server {
	t.Helper()
	path, err := exec.LookPath("moto_server")
	if err != nil {
		t.Skip("skipped: moto_server is not installed ('pip install moto[server]'; Debian has no package of it)")
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, 0, err)
	_, port, err := net.SplitHostPort(free.Addr().String())
	must(t, 0, err)
	free.Close()
	cmd := exec.Command(path, "-H", "127.0.0.1", "-p", port)
	cmd.Env = append(os.Environ(), "MOTO_IAM_LOAD_MANAGED_POLICIES=true")
	log := new(lines)
	cmd.Stdout, cmd.Stderr = log, log
	must(t, 0, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("moto_server's log:\n%s", tail(log.String(), 4000))
		}
	})
	within(t, 60*time.Second, "moto_server answers", func() bool {
		conn, err := net.DialTimeout("tcp", "127.0.0.1:"+port, time.Second)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return &server{control: "http://127.0.0.1:" + port, keyID: "AKIATESTTESTTESTTEST", secret: "test", region: "eu-central-1"}
}

// TestPublishToAWS drives another implementation of AWS's APIs with the very
// calls that a weir gets. moto keeps a plan's patched limits as strings, which
// no SDK can read, so the limits are not changed here.
func TestPublishToAWS(t *testing.T) {
	t.Parallel()
	s := moto(t)
	c := newSDK(t, s)
	env := s.environment(t)
	dir := copied(t, "../examples/timestamper")
	before := everything(t, c)
	args := []string{dir, "--to", "aws", "--no-wait"}

	planned := runWeir(t, env, append([]string{"publish", "--dry-run"}, args...)...)
	holds(t, "after a dry run", everything(t, c), before...)
	p := published(t, env, args...)
	if p.Endpoint != "https://"+p.APIID+".execute-api.eu-central-1.amazonaws.com/default/timestamper" || len(p.APIKey) < 20 {
		t.Errorf("made %+v", p)
	}
	if n := bytes.Count(planned, []byte("\n")); n != len(p.Changes) {
		t.Errorf("the dry run listed %d calls, %d were made", n, len(p.Changes))
	}
	holds(t, "after publish", everything(t, c),
		"api timestamper default / with 0 methods /timestamper with 1 methods", "function timestamper python3.12 128 MB 3 s", "key timestamper",
		"plan timestamper for 1 stages and 1 keys 1/1 10/DAY", "role timestamper")
	if again := published(t, env, args...); len(again.Changes) > 0 || again.APIKey != p.APIKey {
		t.Errorf("the same again made %s", again.operations())
	}
	edit(t, filepath.Join(dir, "lambda_function.py"), "'timestamp': now", "'now': now")
	other := append(slices.Clone(args), "--memory", "256", "--path", "/v2/now", "--stage", "live", "--method", "GET")
	const want = "UpdateFunctionCode UpdateFunctionConfiguration CreateResource CreateResource PutMethod PutIntegration DeleteResource " +
		"AddPermission RemovePermission CreateDeployment UpdateUsagePlan DeleteStage"
	made := strings.Fields(published(t, env, other...).operations())
	wanted := strings.Fields(want)
	slices.Sort(made)
	slices.Sort(wanted)
	if !slices.Equal(made, wanted) {
		t.Errorf("the changes took %v\nwant %v", made, wanted)
	}
	holds(t, "after the changes", everything(t, c),
		"api timestamper live / with 0 methods /v2 with 0 methods /v2/now with 1 methods", "function timestamper python3.12 256 MB 3 s", "key timestamper",
		"plan timestamper for 1 stages and 1 keys 1/1 10/DAY", "role timestamper")

	refused := exec.CommandContext(t.Context(), binary, "unpublish", "timestamper", "--to", "aws")
	refused.Env = env
	if out, err := refused.CombinedOutput(); err == nil || !strings.Contains(string(out), "--yes") {
		t.Errorf("unpublish without --yes: %v %s", err, out)
	}
	runWeir(t, env, "unpublish", "timestamper", "--to", "aws", "--yes")
	holds(t, "after unpublish", everything(t, c), before...)
}
