package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	agw "github.com/aws/aws-sdk-go-v2/service/apigateway/types"
)

// verify runs weir verify against the gate and gives its exit code.
func (g *gate) verify(args ...string) (code int, stdout, stderr string) {
	g.t.Helper()
	cmd := exec.Command(binary, append([]string{"verify", g.url(), "--key", "-", "--method", "POST", "--rate", "2", "--burst", "2"}, args...)...)
	cmd.Stdin = strings.NewReader(g.keyValue + "\n")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run() // the code says it
	if strings.Contains(out.String()+errs.String(), g.keyValue) {
		g.t.Errorf("the key is shown:\n%s%s", &out, &errs)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// TestVerifyHoldsWeirToItsPromises: what weir verify asks of any endpoint weir
// itself keeps, and weir verify sees when an owner leaves the gate open.
func TestVerifyHoldsWeirToItsPromises(t *testing.T) {
	t.Parallel()
	awayFromMidnight(t, time.Minute)
	ctx := t.Context()
	s := start(t, filepath.Join(t.TempDir(), "data"))
	g := newGate(ctx, newSDK(t, s), mock(), 2, 2, 8)
	code, out, errs := g.verify("--quota", "8", "--used", "0")
	if code != 0 || strings.Count(out, "pass\n") != 15 {
		t.Errorf("exit %d:\n%s%s", code, out, errs)
	}
	if used, left := g.usedToday(ctx); used != 8 || left != 0 {
		t.Errorf("used %d, left %d: verify counted 8", used, left)
	}

	_, err := g.agw.UpdateMethod(ctx, &apigateway.UpdateMethodInput{
		RestApiId: &g.api, ResourceId: &g.resource, HttpMethod: aws.String("POST"),
		PatchOperations: []agw.PatchOperation{{Op: agw.OpReplace, Path: aws.String("/apiKeyRequired"), Value: aws.String("false")}},
	})
	must(t, 0, err)
	_, err = g.agw.CreateDeployment(ctx, &apigateway.CreateDeploymentInput{RestApiId: &g.api, StageName: aws.String("live")})
	must(t, 0, err)
	code, out, errs = g.verify("--json")
	var report struct {
		Passed bool
		Checks []struct{ Name, Verdict string }
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatalf("%v: %s%s", err, out, errs)
	}
	if code != 1 || report.Passed || report.Checks[1].Name != "no key" || report.Checks[1].Verdict != "fail" {
		t.Errorf("exit %d:\n%s", code, out)
	}

	// On a terminal it asks, and sends nothing to who does not say yes.
	before, _ := g.usedToday(ctx)
	out = onTerminal(t, "n\n", append(os.Environ(), "WEIR_VERIFY_KEY="+g.keyValue), binary, "verify", g.url(), "--method", "POST")
	if !strings.Contains(out, "Go on? [y/N]") || !strings.Contains(out, "nothing was sent") || !strings.HasSuffix(out, "exit 1\n") {
		t.Errorf("on a terminal: %s", out)
	}
	if after, _ := g.usedToday(ctx); after != before {
		t.Errorf("%d calls were sent without a yes", after-before)
	}

	s.stop(t)
	if code, out, errs := g.verify(); code != 4 || !strings.Contains(errs, "does not answer") {
		t.Errorf("a stopped server: exit %d:\n%s%s", code, out, errs)
	}
}

// onTerminal runs a command on a terminal of its own, answers its question, and
// gives what it showed and how it ended.
func onTerminal(t *testing.T, answer string, env []string, command ...string) string {
	t.Helper()
	const script = `
import os, pty, sys
answer, command = sys.argv[1].encode(), sys.argv[2:]
pid, fd = pty.fork()
if pid == 0:
    os.execv(command[0], command)
seen = b""
while True:
    try:
        more = os.read(fd, 4096)
    except OSError:
        break
    if not more:
        break
    seen += more
    if b"] " in seen and answer:
        os.write(fd, answer)
        answer = b""
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
sys.stdout.write(seen.decode() + "exit %d\n" % status)
`
	cmd := exec.CommandContext(t.Context(), tool(t, "python3"), append([]string{"-c", script, answer}, command...)...)
	cmd.Env = env
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}
