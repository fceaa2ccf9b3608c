package e2e

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	agw "github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lam "github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// badFunction is a function's code and what becomes of a call to it: the
// answer of Invoke, the answer through the gateway, and the log.
type badFunction struct {
	name    string
	code    string
	handler string // "": app.handler or index.handler
	fault   string // errorType of Invoke's answer; "": it is no error
	payload string // a pattern that Invoke's payload matches
	status  int    // through the gateway; 0: 502
	body    string // through the gateway; "": AWS's words for the status
	log     string // a pattern that the end of the log matches
	exec    string // that the execution log has in it, at level ERROR
	timeout int32  // of the function in seconds; 0: 20
	within  int32  // of the integration in milliseconds; 0: 29,000
}

const proxyAnswer = "{'statusCode': 200, 'body': 'fine'}"

var badPython = []badFunction{
	{name: "raises", code: "def handler(e, c): raise ValueError('no')", fault: "ValueError", payload: `"errorMessage": "no"`, log: `\[ERROR\] ValueError: no\nTraceback`},
	{name: "no module", code: "", handler: "nowhere.handler", fault: "Runtime.ImportModuleError", payload: "Unable to import module 'nowhere': No module named 'nowhere'", log: `\[ERROR\] Runtime.ImportModuleError`},
	{name: "no handler", code: "x = 1", fault: "Runtime.HandlerNotFound", payload: "Handler 'handler' missing on module 'app'", log: `\[ERROR\] Runtime.HandlerNotFound`},
	{name: "malformed handler name", code: "", handler: "handler", fault: "Runtime.MalformedHandlerName", payload: "Bad handler 'handler'", log: `\[ERROR\] Runtime.MalformedHandlerName`},
	{name: "syntax error", code: "def handler(:", fault: "Runtime.UserCodeSyntaxError", payload: "Syntax error in module 'app'", log: `\[ERROR\] Runtime.UserCodeSyntaxError`},
	{name: "import error", code: "import not_installed", fault: "Runtime.ImportModuleError", payload: "No module named 'not_installed'", log: `\[ERROR\] Runtime.ImportModuleError`},
	{name: "init raises", code: "raise KeyError('k')", fault: "KeyError", payload: `"requestId": ""`, log: `\[ERROR\] KeyError`},
	{name: "not serialisable", code: "def handler(e, c): return {1, 2}", fault: "Runtime.MarshalError", payload: "Object of type set is not JSON serializable", log: `\[ERROR\] Runtime.MarshalError`},
	{name: "NaN", code: "def handler(e, c): return {'statusCode': float('nan')}", payload: `^\{"statusCode": NaN\}$`, exec: "Malformed Lambda proxy response"},
	{name: "not an object", code: "def handler(e, c): return 'text'", payload: `^"text"$`, exec: "Malformed Lambda proxy response"},
	{name: "unknown member", code: "def handler(e, c): return {'statusCode': 200, 'colour': 'red'}", payload: "colour", exec: "Malformed Lambda proxy response"},
	{name: "body is an object", code: "def handler(e, c): return {'statusCode': 200, 'body': {'a': 1}}", payload: `"a": 1`, exec: "Malformed Lambda proxy response"},
	{name: "status is a word", code: "def handler(e, c): return {'statusCode': 'two', 'body': ''}", payload: "two", exec: "Malformed Lambda proxy response"},
	{name: "bytes", code: "def handler(e, c): return b'\\xff\\xfe\\x00'", payload: "^\xff\xfe\x00$", exec: "Malformed Lambda proxy response"},
	{name: "exit 0", code: "import sys\ndef handler(e, c): sys.exit()", fault: "Runtime.ExitError", payload: "Runtime exited without providing a reason", log: `Runtime.ExitError\nEND`},
	{name: "exit 1", code: "import os\ndef handler(e, c): os._exit(1)", fault: "Runtime.ExitError", payload: "Runtime exited with error: exit status 1", log: `exit status 1\nRuntime.ExitError\nEND`},
	{name: "exit in init", code: "import os\nos._exit(3)", fault: "Runtime.ExitError", payload: "Runtime exited with error: exit status 3", log: `Runtime.ExitError\nEND`},
	{name: "abort", code: "import os\ndef handler(e, c): os.abort()", fault: "Runtime.ExitError", payload: "Runtime exited with error: signal: aborted", log: `Runtime.ExitError\nEND`},
	{name: "segmentation fault", code: "import os\ndef handler(e, c): os.kill(os.getpid(), 11); import time; time.sleep(9)", fault: "Runtime.ExitError", payload: "Runtime exited with error: signal: segmentation fault", log: `Runtime.ExitError\nEND`},
	{name: "hangs", code: "import time\ndef handler(e, c): time.sleep(1000)", timeout: 1, fault: "Sandbox.Timedout", payload: "Task timed out after 1.00 seconds", log: `Task timed out after 1.00 seconds\n\nEND.*\n.*Status: timeout`},
	{name: "outlasts the integration", code: "import time\ndef handler(e, c): time.sleep(3)", timeout: 10, within: 100, payload: "^null$", status: 504, exec: "Execution failed due to a timeout error"},
	{name: "returns 7 MB", code: "def handler(e, c): return 'x' * 7000000", fault: "Function.ResponseSizeTooLarge", payload: `Response payload size exceeded maximum allowed payload size \(6291556 bytes\)\.`, log: `Error Type: Function.ResponseSizeTooLarge`},
	{name: "closes its output", code: "import sys, os\ndef handler(e, c):\n    sys.stdout.close()\n    try: os.close(1); os.close(2)\n    except OSError: pass\n    return " + proxyAnswer, status: 200, body: "fine"},
	{name: "closes its output and raises", code: "import sys\ndef handler(e, c):\n    sys.stdout.close()\n    raise ValueError('no')", fault: "ValueError", payload: `"errorMessage": "no"`},
	{name: "prints bytes", code: "import sys\ndef handler(e, c):\n    sys.stdout.buffer.write(b'\\xff\\x00<\\n'); sys.stdout.buffer.flush()\n    return " + proxyAnswer, status: 200, body: "fine", log: "\ufffd\x00<\n"},
	{name: "floods its errors", code: "import sys\ndef handler(e, c):\n    for n in range(100): sys.stderr.write('e' * 99999 + '\\n')\n    sys.stderr.write('last\\n')\n    return " + proxyAnswer, status: 200, body: "fine", log: `eee\nlast\nEND`},
	{name: "leaves a child and a thread", code: "import subprocess, threading, time\ndef handler(e, c):\n    subprocess.Popen(['sleep', '1000']); threading.Thread(target=lambda: time.sleep(1000), daemon=True).start()\n    return " + proxyAnswer, status: 200, body: "fine"},
	{name: "deletes its code", code: "import os, shutil\ndef handler(e, c):\n    shutil.rmtree(os.environ['LAMBDA_TASK_ROOT'], True)\n    return " + proxyAnswer, status: 200, body: "fine"},
}

var badNode = []badFunction{
	{name: "throws", code: "exports.handler = async () => { throw new TypeError('no') }", fault: "TypeError", payload: `"errorMessage":"no"`, log: `ERROR\tInvoke Error \t\{"errorType":"TypeError"`},
	{name: "module missing", code: "", handler: "nowhere.handler", fault: "Runtime.ImportModuleError", payload: "Cannot find module 'nowhere'", log: "Uncaught Exception"},
	{name: "handler missing", code: "exports.x = 1", fault: "Runtime.HandlerNotFound", payload: "index.handler is undefined or not exported", log: "Uncaught Exception"},
	{name: "syntax", code: "exports.handler = (", fault: "Runtime.UserCodeSyntaxError", payload: "SyntaxError", log: "Uncaught Exception"},
	{name: "circular", code: "exports.handler = async () => { const a = {}; a.a = a; return a }", fault: "Error", payload: "Unable to stringify response body", log: "Invoke Error"},
	{name: "NaN as null", code: "exports.handler = async () => ({ statusCode: NaN })", payload: `^\{"statusCode":null\}$`, status: 200},
	{name: "never resolves", code: "exports.handler = () => new Promise(() => {})", payload: "^null$", exec: "Malformed Lambda proxy response"},
	{name: "process.exit(0)", code: "exports.handler = async () => { process.exit(0) }", fault: "Runtime.ExitError", payload: "Runtime exited without providing a reason", log: `Runtime.ExitError\nEND`},
	{name: "process.exit(1)", code: "exports.handler = async () => { process.exit(1) }", fault: "Runtime.ExitError", payload: "exit status 1", log: `Runtime.ExitError\nEND`},
	{name: "process.abort()", code: "exports.handler = async () => { process.abort() }", fault: "Runtime.ExitError", payload: "signal: aborted", log: `Runtime.ExitError\nEND`},
	{name: "endless loop", code: "exports.handler = async () => { for (;;); }", timeout: 1, fault: "Sandbox.Timedout", payload: "Task timed out after 1.00 seconds", log: `Status: timeout`},
	{name: "answers 7 MB", code: "exports.handler = async () => 'x'.repeat(7e6)", fault: "Function.ResponseSizeTooLarge", payload: "exceeded maximum allowed payload size", log: `Error Type: Function.ResponseSizeTooLarge`},
	{name: "closes stdout", code: "exports.handler = async () => { try { require('fs').closeSync(1) } catch {}; console.log('x'); return " + proxyAnswer + " }", status: 200, body: "fine"},
	{name: "closes stdout and throws", code: "exports.handler = async () => { try { require('fs').closeSync(1) } catch {}; throw new TypeError('no') }", fault: "TypeError", payload: `"errorMessage":"no"`},
}

// gatewayWords are AWS's bodies where the integration failed.
var gatewayWords = map[int]string{502: `{"message": "Internal server error"}`, 504: `{"message": "Endpoint request timed out"}`}

func TestBadPythonFunctions(t *testing.T) {
	t.Parallel()
	tool(t, "python3")
	holdBadFunctions(t, badPython, "python3.12", "app")
}

func TestBadNodeFunctions(t *testing.T) {
	t.Parallel()
	tool(t, "node")
	holdBadFunctions(t, badNode, "nodejs20.x", "index")
}

func holdBadFunctions(t *testing.T, cases []badFunction, runtimeName, module string) {
	s := start(t, filepath.Join(t.TempDir(), "data"))
	file := module + map[string]string{"app": ".py", "index": ".js"}[module]
	_, err := newSDK(t, s).agw.UpdateAccount(t.Context(), &apigateway.UpdateAccountInput{PatchOperations: []agw.PatchOperation{
		{Op: agw.OpReplace, Path: aws.String("/cloudwatchRoleArn"), Value: aws.String("arn:aws:iam::000000000000:role/logs")},
	}})
	must(t, 0, err)
	for i, f := range cases {
		t.Run(f.name, func(t *testing.T) {
			c := newSDK(t, s)
			name := fmt.Sprintf("f%d", i)
			if f.handler == "" {
				f.handler = module + ".handler"
			}
			g := newBadGate(c, name, runtimeName, f, zipOfFile(t, file, f.code))
			g.holdInvoke(name, f)
			g.holdCall(f)
			g.holdExecutionLog(f.exec)
		})
	}
	// After all that the server still works, and at once.
	if res, err := http.Get(s.control + "/_weir/ready"); err != nil || res.StatusCode != 200 {
		t.Errorf("ready: %v %v", res, err)
	}
}

// newBadGate puts a function behind a gate.
func newBadGate(c *sdk, name, runtimeName string, f badFunction, code []byte) *gate {
	c.t.Helper()
	ctx := c.t.Context()
	arn := c.createFunction(ctx, name, runtimeName, f.handler, code)
	if f.timeout == 0 {
		f.timeout = 20
	}
	_, err := c.lambda.UpdateFunctionConfiguration(ctx, &lambda.UpdateFunctionConfigurationInput{FunctionName: &name, Timeout: &f.timeout})
	must(c.t, 0, err)
	in := proxy(arn)
	if f.within != 0 {
		in.TimeoutInMillis = aws.Int32(f.within)
	}
	g := newGate(ctx, c, in, 1000, 1000, 1000)
	c.permit(ctx, name, g.api)
	if f.exec != "" {
		_, err := c.agw.UpdateStage(ctx, &apigateway.UpdateStageInput{RestApiId: &g.api, StageName: aws.String("live"), PatchOperations: []agw.PatchOperation{
			{Op: agw.OpReplace, Path: aws.String("/*/*/logging/loglevel"), Value: aws.String("ERROR")},
		}})
		must(c.t, 0, err)
	}
	return g
}

// holdExecutionLog reads what the stage logged of the calls.
func (g *gate) holdExecutionLog(want string) {
	g.t.Helper()
	if want == "" {
		return
	}
	status, _, text := g.send(g.t, badCall{
		service: "logs", method: "POST", path: "/", target: "Logs_20140328.FilterLogEvents", contentType: "application/x-amz-json-1.1",
		body: `{"logGroupName":"API-Gateway-Execution-Logs_` + g.api + `/live"}`,
	})
	if status != 200 || !strings.Contains(text, want) {
		g.t.Errorf("the execution log lacks %q: %d %s", want, status, text)
	}
}

func (g *gate) holdInvoke(name string, f badFunction) {
	g.t.Helper()
	out, err := g.lambda.Invoke(g.t.Context(), &lambda.InvokeInput{FunctionName: &name, LogType: lam.LogTypeTail})
	must(g.t, out, err)
	log, err := base64.StdEncoding.DecodeString(aws.ToString(out.LogResult))
	must(g.t, 0, err)
	wantError := map[bool]string{true: "", false: "Unhandled"}[f.fault == ""]
	if out.StatusCode != 200 || aws.ToString(out.FunctionError) != wantError {
		g.t.Errorf("Invoke: %d, error %q, %.300q\n%s", out.StatusCode, aws.ToString(out.FunctionError), out.Payload, log)
	}
	typed := regexp.MustCompile(`"errorType": ?"` + regexp.QuoteMeta(f.fault) + `"`)
	if f.fault != "" && !typed.Match(out.Payload) || !matches(f.payload, out.Payload) {
		g.t.Errorf("Invoke answered %.300q, want %s %q", out.Payload, f.fault, f.payload)
	}
	if !matches(f.log, log) || !matches(`END RequestId: .*\nREPORT RequestId: `, log) {
		g.t.Errorf("the log lacks %q:\n%s", f.log, log)
	}
}

// matches is of bytes: what a function returns need not be text.
func matches(pattern string, text []byte) bool {
	if strings.Contains(pattern, "\xff") {
		return string(text) == strings.Trim(pattern, "^$")
	}
	return regexp.MustCompile(`(?s)` + pattern).Match(text)
}

func (g *gate) holdCall(f badFunction) {
	g.t.Helper()
	if f.status == 0 {
		f.status = 502
	}
	if f.body == "" {
		f.body = gatewayWords[f.status]
	}
	for range 2 { // the second call meets what the first left behind
		if status, body := g.call(http.DefaultClient, g.keyValue); status != f.status || body != f.body {
			g.t.Errorf("call: %d %.300s, want %d %s", status, body, f.status, f.body)
		}
	}
}

func zipOfFile(t *testing.T, name, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create(name)
	must(t, w, err)
	_, err = w.Write([]byte(text))
	must(t, 0, err)
	must(t, 0, z.Close())
	return b.Bytes()
}

// TestFunctionThatPrintsALot: 100 MB of log neither hold up the call nor stay
// in memory, and the end of it is there.
func TestFunctionThatPrintsALot(t *testing.T) {
	t.Parallel()
	tool(t, "python3")
	s := start(t, filepath.Join(t.TempDir(), "data"))
	c := newSDK(t, s)
	f := badFunction{
		handler: "app.handler", status: 200, body: "fine", log: `xxx\nlast\nEND`,
		code: "def handler(e, c):\n    for n in range(100000): print('x' * 999)\n    print('last')\n    return " + proxyAnswer,
	}
	g := newBadGate(c, "loud", "python3.12", f, zipOfFile(t, "app.py", f.code))
	before := s.residentMiB(t)
	g.holdInvoke("loud", f)
	g.holdCall(f)
	grown := s.residentMiB(t) - before
	t.Logf("300 MB of log made the server grow by %d MiB", grown)
	if grown > 200 {
		t.Errorf("300 MB of log made the server grow by %d MiB", grown)
	}
	// Another function is not held up, and its log is not lost.
	calm := badFunction{handler: "app.handler", status: 200, body: "fine", log: `hello\nEND`, code: "def handler(e, c):\n    print('hello')\n    return " + proxyAnswer}
	calmGate := newBadGate(c, "calm", "python3.12", calm, zipOfFile(t, "app.py", calm.code))
	calmGate.holdInvoke("calm", calm)
	calmGate.holdCall(calm)
}

// residentMiB is what the server holds in memory; 0 where nobody tells.
func (s *server) residentMiB(t *testing.T) int {
	t.Helper()
	if runtime.GOOS != "linux" {
		return 0
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	must(t, status, err)
	kib := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(status)
	n, err := strconv.Atoi(string(kib[1]))
	must(t, n, err)
	return n >> 10
}
