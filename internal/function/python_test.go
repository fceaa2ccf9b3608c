package function

import (
	"context"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"weir/internal/catalog"
	"weir/internal/invocation"
)

func TestPythonAnswersAndStaysWarm(t *testing.T) {
	w := newWorld(t)
	w.python("n = 0\ndef handler(event, context):\n    global n\n    n += 1\n    return {'n': n, 'got': event}")
	cold := w.want(`{"a":"é"}`, `{"n": 1, "got": {"a": "\u00e9"}}`)
	for i := range 5 {
		warm := w.call(`null`)
		if want := `{"n": ` + string(rune('2'+i)) + `, "got": null}`; string(warm.Payload) != want || warm.ColdStart {
			t.Fatalf("answer %s, cold %v, want %s from the same environment", warm.Payload, warm.ColdStart, want)
		}
	}
	if !cold.ColdStart || cold.StatusCode != 200 || cold.ExecutedVersion != "$LATEST" || cold.Duration <= 0 || len(cold.RequestID) != 36 {
		t.Errorf("first result: %+v", cold)
	}
	w.want("", `{"n": 7, "got": {}}`) // no payload is an empty object
}

func TestPythonContext(t *testing.T) {
	w := newWorld(t)
	w.python(`
import os
def handler(event, c):
    return [c.aws_request_id, c.function_name, c.function_version, c.invoked_function_arn, c.memory_limit_in_mb,
        c.log_group_name, c.log_stream_name == os.environ['AWS_LAMBDA_LOG_STREAM_NAME'], 15000 < c.get_remaining_time_in_millis() <= 20000,
        c.client_context.custom, c.client_context.client.app_title, c.client_context.env, c.identity.cognito_identity_id,
        os.environ['_X_AMZN_TRACE_ID']]`)
	r, err := w.Invoke(context.Background(), &invocation.Invocation{
		Function: "arn:aws:lambda:us-east-1:000000000000:function:f:$LATEST", RequestID: "11111111-2222-3333-4444-555555555555",
		TraceID: "Root=1-5759e988-bd862e3fe1be46a994272793\r\nEvil: yes", ClientContext: "{\"custom\":{\"k\":\"v\"},\r\n\"client\":{\"app_title\":\"T\"}}",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `["11111111-2222-3333-4444-555555555555", "f", "$LATEST", "arn:aws:lambda:us-east-1:000000000000:function:f:$LATEST", "128", ` +
		`"/aws/lambda/f", true, true, {"k": "v"}, "T", null, null, "Root=1-5759e988-bd862e3fe1be46a994272793  Evil: yes"]`
	if string(r.Payload) != want {
		t.Errorf("context\n%s\nwant\n%s", r.Payload, want)
	}
}

func TestPythonEnvironment(t *testing.T) {
	t.Setenv("WEIR_SECRET", "of the host")
	w := newWorld(t, func(o *Options) {
		o.Session = func(fn catalog.Function) (string, string, string) {
			return "ASIA" + fn.Name, "secret", "token"
		}
		o.Endpoint = func() string { return "http://127.0.0.1:4566" }
	})
	w.python("import os, sys\ndef handler(event, context):\n    return {'env': dict(os.environ), 'cwd': os.getcwd(), 'path0': sys.path[0], 'argv': sys.argv}",
		func(fn *catalog.Function) {
			fn.Environment = map[string]string{"MINE": "yes", "LANG": "C", "_HANDLER": "evil", "A": "b\nc"}
		})
	var got struct {
		Env        map[string]string
		CWD, Path0 string
	}
	if err := json.Unmarshal(w.call("{}").Payload, &got); err != nil {
		t.Fatal(err)
	}
	root := got.Env["LAMBDA_TASK_ROOT"]
	if root == "" || got.CWD != root || got.Path0 != root || got.Env["PWD"] != root {
		t.Errorf("task root %q, working directory %q, first of sys.path %q", root, got.CWD, got.Path0)
	}
	for name, want := range map[string]string{
		"_HANDLER": "app.handler", "AWS_LAMBDA_FUNCTION_NAME": "f", "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128", "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/f", "AWS_REGION": "us-east-1",
		"AWS_DEFAULT_REGION": "us-east-1", "AWS_EXECUTION_ENV": "AWS_Lambda_python3.11", "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
		"TZ": ":UTC", "AWS_ACCESS_KEY_ID": "ASIAf", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token",
		"AWS_ENDPOINT_URL": "http://127.0.0.1:4566", "MINE": "yes", "LANG": "C", "A": "b\nc", "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
	} {
		if got.Env[name] != want {
			t.Errorf("%s=%q, want %q", name, got.Env[name], want)
		}
	}
	for _, name := range []string{"WEIR_SECRET", "HOME", "USER", "SHELL"} {
		if v, ok := got.Env[name]; ok {
			t.Errorf("%s=%q came from the host", name, v)
		}
	}
	if m := regexp.MustCompile(`^\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}$`); !m.MatchString(got.Env["AWS_LAMBDA_LOG_STREAM_NAME"]) {
		t.Errorf("log stream %q", got.Env["AWS_LAMBDA_LOG_STREAM_NAME"])
	}
}

func TestPythonFailures(t *testing.T) {
	for name, c := range map[string]struct {
		code, handler      string
		kind, message, log string
		trace              string // within the stack trace; "" means an empty one
		init               bool   // requestId is empty
	}{
		"exception": {
			"def handler(e, c):\n    raise ValueError('no\\ngood')", "app.handler", "ValueError", "no\ngood",
			"[ERROR] ValueError: no\ngood\nTraceback (most recent call last):\n\u00a0\u00a0File \"", "line 2, in handler\n    raise ValueError", false,
		},
		"own class":   {"class Bad(Exception): pass\ndef handler(e, c):\n    raise Bad()", "app.handler", "Bad", "", "[ERROR] Bad", "in handler", false},
		"marshal":     {"def handler(e, c):\n    return {1, 2}", "app.handler", "Runtime.MarshalError", "Unable to marshal response: Object of type set is not JSON serializable", "[ERROR] Runtime.MarshalError", "", false},
		"no module":   {"", "nowhere.handler", "Runtime.ImportModuleError", "Unable to import module 'nowhere': No module named 'nowhere'", "[ERROR] Runtime.ImportModuleError: Unable", "", true},
		"no function": {"x = 1", "app.handler", "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'app'", "[ERROR] Runtime.HandlerNotFound", "", true},
		"syntax":      {"def handler(:\n  pass", "app.handler", "Runtime.UserCodeSyntaxError", "Syntax error in module 'app': invalid syntax (app.py, line 1)", "[ERROR] Runtime.UserCodeSyntaxError", "app.py\" Line 1\n    def handler(:", true},
		"no dot":      {"", "handler", "Runtime.MalformedHandlerName", "Bad handler 'handler': not enough values to unpack (expected 2, got 1)", "[ERROR]", "", true},
		"built-in":    {"", "sys.exit", "Runtime.BuiltInModuleConflict", "Cannot use built-in module sys as a handler module", "[ERROR]", "", true},
		"init":        {"raise KeyError('k')", "app.handler", "KeyError", "'k'", "[ERROR] KeyError: 'k'", "in <module>", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.put("f", "python3.11", c.handler, files{"app.py": c.code})
			r := w.call("{}")
			e := failure(t, r)
			trace := strings.Join(e.StackTrace, "")
			if e.ErrorType != c.kind || e.ErrorMessage != c.message || e.StackTrace == nil || !strings.Contains(trace, c.trace) || (c.trace == "" && trace != "") {
				t.Errorf("payload %s", r.Payload)
			}
			if strings.Contains(trace, "python.py") {
				t.Errorf("the trace shows the runtime's own frames: %s", trace)
			}
			if want := map[bool]string{true: "", false: r.RequestID}[c.init]; e.RequestID != want {
				t.Errorf("requestId %q, want %q", e.RequestID, want)
			}
			if !strings.Contains(w.logText(), c.log) {
				t.Errorf("log lacks %q:\n%s", c.log, w.logText())
			}
		})
	}
}

func TestPythonEndsInEveryPhase(t *testing.T) {
	for name, c := range map[string]struct{ code, reason string }{
		"exit 0 in a call":   {"import sys\ndef handler(e, c):\n    sys.exit()", "Runtime exited without providing a reason"},
		"exit 127 in a call": {"import os\ndef handler(e, c):\n    os._exit(127)", "Runtime exited with error: exit status 127"},
		"killed in a call":   {"import os\ndef handler(e, c):\n    os.kill(os.getpid(), 9)", "Runtime exited with error: signal: killed"},
		"exit 0 in init":     {"import sys\nsys.exit()", "Runtime exited without providing a reason"},
		"exit 3 in init":     {"import os\nos._exit(3)", "Runtime exited with error: exit status 3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.python(c.code)
			for range 2 { // the next call begins anew
				r := w.call("{}")
				e := failure(t, r)
				if e.ErrorType != "Runtime.ExitError" || e.ErrorMessage != "RequestId: "+r.RequestID+" Error: "+c.reason {
					t.Errorf("payload %s", r.Payload)
				}
				if !strings.HasPrefix(string(r.Payload), `{"errorType":"Runtime.ExitError","errorMessage":`) {
					t.Errorf("order of members: %s", r.Payload)
				}
				if tail := string(r.LogTail); !strings.Contains(tail, "Error: "+c.reason+"\nRuntime.ExitError\nEND RequestId") {
					t.Errorf("log:\n%s", tail)
				}
			}
		})
	}
}

func TestPythonLogging(t *testing.T) {
	w := newWorld(t)
	w.python(`
import logging, sys
logging.getLogger().setLevel('INFO')
def handler(e, c):
    logging.info('hello\nworld')
    logging.debug('not this')
    print('printed')
    sys.stderr.write('to stderr')
    return None`)
	r := w.want("{}", "null")
	stamp := `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`
	want := `^START RequestId: ` + r.RequestID + ` Version: \$LATEST\n` +
		`\[INFO\]\t` + stamp + `\t` + r.RequestID + `\thello\nworld\n` +
		`printed\nto stderr\n` +
		`END RequestId: ` + r.RequestID + `\n` +
		`REPORT RequestId: ` + r.RequestID + `\tDuration: \d+\.\d\d ms\tBilled Duration: \d+ ms\tMemory Size: 128 MB\tMax Memory Used: \d+ MB\tInit Duration: \d+\.\d\d ms\t\n$`
	if !regexp.MustCompile(want).Match(r.LogTail) {
		t.Errorf("log\n%q\nwant\n%s", r.LogTail, want)
	}
	if all := w.logText(); !regexp.MustCompile(`^INIT_START Runtime Version: python:3\.\d+\.v\d+\tRuntime Version ARN: arn:aws:lambda:us-east-1::runtime:[0-9a-f]{64}\n`).MatchString(all) {
		t.Errorf("log begins %q", all[:min(len(all), 200)])
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.logs {
		if e.Group != "/aws/lambda/f" || e.Stream == "" || e.Time.IsZero() || !strings.HasSuffix(e.Message, "\n") {
			t.Errorf("event %+v", e)
		}
	}
}

func TestPythonHandlerInAPackage(t *testing.T) {
	w := newWorld(t)
	w.put("f", "python3.11", "src/deep/app.handler", files{
		"src/__init__.py": "", "src/deep/__init__.py": "", "src/deep/app.py": "from src.other import x\ndef handler(e, c):\n    return x", "src/other.py": "x = 42",
	})
	w.want("{}", "42")
}

func TestPythonSeesOnlyWhatLambdaProvides(t *testing.T) {
	w := newWorld(t)
	// pip is on about every machine and not in Lambda's path of a function.
	w.python("def handler(e, c):\n    try:\n        import pip\n        return 'pip of this machine'\n    except ImportError:\n        return 'clean'")
	w.want("{}", `"clean"`)
}

func TestBigPayloads(t *testing.T) {
	w := newWorld(t)
	w.python("def handler(e, c):\n    return 'é' * e['n'] if e['n'] else len(e['big'])", func(fn *catalog.Function) { fn.Runtime = "python3.12" })
	big := strings.Repeat("x", 6<<20-20)
	w.want(`{"n":0,"big":"`+big+`"}`, "6291436")
	r := w.call(`{"n":3145700}`)
	if len(r.Payload) != 2*3145700+2 || r.FunctionError != "" {
		t.Errorf("answer of %d bytes, error %q", len(r.Payload), r.FunctionError)
	}
	over := w.call(`{"n":3145800}`)
	if string(over.Payload) != `{"errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes).","errorType":"Function.ResponseSizeTooLarge"}` || over.FunctionError != "Unhandled" {
		t.Errorf("answer %.300s, error %q", over.Payload, over.FunctionError)
	}
	if again := w.call(`{"n":0,"big":""}`); again.ColdStart || string(again.Payload) != "0" {
		t.Errorf("after a too large answer: %s, cold %v", again.Payload, again.ColdStart)
	}
}
