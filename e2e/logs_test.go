package e2e

import (
	"bufio"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestLogsWithTheAWSCLI reads what a function logged with AWS's own command
// line, as its manual says.
func TestLogsWithTheAWSCLI(t *testing.T) {
	t.Parallel()
	tool(t, "python3")
	s := start(t, filepath.Join(t.TempDir(), "data"))
	c := newCLI(t, s)
	c.fails("ResourceNotFoundException", "logs", "filter-log-events", "--log-group-name", "/aws/lambda/hello")
	c.run("logs", "describe-log-groups").is("[]", "logGroups")

	role := c.run("iam", "create-role", "--role-name", "hello", "--assume-role-policy-document",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`).text("Role", "Arn")
	zip := c.file("hello.zip", zipFolder(t, "../examples/timestamper"))
	c.run("lambda", "create-function", "--function-name", "hello", "--runtime", "python3.12", "--handler", "lambda_function.lambda_handler",
		"--role", role, "--zip-file", "fileb://"+zip)
	c.run("lambda", "wait", "function-active-v2", "--function-name", "hello")
	for range 2 {
		c.run("lambda", "invoke", "--function-name", "hello", "out.json")
	}

	const group = "/aws/lambda/hello"
	groups := c.run("logs", "describe-log-groups", "--log-group-name-prefix", "/aws/lambda/")
	groups.is(`"`+group+`"`, "logGroups", 0, "logGroupName")
	streams := c.run("logs", "describe-log-streams", "--log-group-name", group, "--order-by", "LastEventTime", "--descending")
	stream := streams.text("logStreams", 0, "logStreamName")
	// What was logged before a call is in its answer: nothing is waited for.
	reports := c.run("logs", "filter-log-events", "--log-group-name", group, "--filter-pattern", `"REPORT RequestId"`)
	if n := reports.length("events"); n != 2 {
		t.Errorf("%d reports of two calls: %s", n, reports.json())
	}
	reports.is(`"`+stream+`"`, "events", 1, "logStreamName")
	paged := c.run("logs", "filter-log-events", "--log-group-name", group, "--page-size", "1")
	all := c.run("logs", "get-log-events", "--log-group-name", group, "--log-stream-name", stream, "--start-from-head")
	if n := all.length("events"); n < 6 || n != paged.length("events") {
		t.Errorf("%d events of the stream, %d of the group in pages of one", n, paged.length("events"))
	}
	last := c.run("logs", "get-log-events", "--log-group-name", group, "--log-stream-name", stream, "--limit", "1")
	if text := last.text("events", 0, "message"); !strings.HasPrefix(text, "REPORT RequestId: ") || !strings.HasSuffix(text, "\n") {
		t.Errorf("the last event is %q", text)
	}
	c.fails("InvalidParameterException", "logs", "filter-log-events", "--log-group-name", group, "--filter-pattern", "{ $.a = 1 }")
	c.fails("ResourceNotFoundException", "logs", "get-log-events", "--log-group-name", group, "--log-stream-name", "none")

	version, err := exec.CommandContext(t.Context(), c.path, "--version").CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(version), "aws-cli/2") {
		t.Logf("aws logs tail is not tried: %s has none", strings.TrimSpace(string(version)))
		return
	}
	out, errText, err := c.try("logs", "tail", group, "--since", "1h")
	if err != nil || strings.Count(string(out), "START RequestId") != 2 {
		t.Errorf("aws logs tail: %v: %s\n%s", err, errText, out)
	}
}

// TestRequestsEndWithTheServer: who follows the requests is not waited for by
// a stop, and learns of the end.
func TestRequestsEndWithTheServer(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	s := start(t, data)
	res, err := http.Get(s.gateway + "/nowhere")
	must(t, res, err).Body.Close()
	follow := exec.CommandContext(t.Context(), binary, "requests", "--follow", "--data", data)
	var errs strings.Builder
	follow.Stderr = &errs
	out, err := follow.StdoutPipe()
	must(t, out, err)
	must(t, 0, follow.Start())
	lines := bufio.NewScanner(out)
	if !lines.Scan() || !strings.Contains(lines.Text(), "GET    /nowhere") || !strings.Contains(lines.Text(), "missed") {
		t.Errorf("it shows %q", lines.Text())
	}
	s.stop(t)
	if lines.Scan() {
		t.Errorf("after the stop it shows %q", lines.Text())
	}
	_ = follow.Wait()
	if code := follow.ProcessState.ExitCode(); code != 3 || !strings.Contains(errs.String(), "stopped: start it and run this again") {
		t.Errorf("exit %d: %s", code, errs.String())
	}
}
