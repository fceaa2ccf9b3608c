package function

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"weir/internal/catalog"
	"weir/internal/invocation"
)

// example reads the code of an example as its README zips it.
func example(t testing.TB, name, file string) files {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../examples", name, file))
	if err != nil {
		t.Fatal(err)
	}
	return files{file: string(text)}
}

// goExample builds the Go example, a module of its own.
func goExample(t testing.TB) files {
	t.Helper()
	need(t, "go")
	program := filepath.Join(t.TempDir(), "bootstrap")
	build := exec.Command("go", "build", "-tags", "lambda.norpc", "-o", program, ".")
	build.Dir = "../../examples/timestamper-go"
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		missing(t, "the Go example does not build here: "+string(out))
	}
	text, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	return files{"bootstrap": string(text)}
}

const gatewayEvent = `{"resource":"/timestamper","path":"/timestamper","httpMethod":"POST","headers":{"Host":"a"},` +
	`"requestContext":{"stage":"default"},"body":"{\"hello\":\"wörld\"}","isBase64Encoded":false}`

func TestTheExamplesAnswerTheSame(t *testing.T) {
	answer := regexp.MustCompile(`^\{"statusCode": ?200,(.*,)? ?"body": ?"\{\\"timestamp\\": ?\\"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(Z|\+00:00)\\", ?\\"received\\": ?\{\\"hello\\": ?\\"w(ö|\\\\u00f6|\\u00f6)rld\\"\}\}"(,.*)?\}$`)
	for name, c := range map[string]struct {
		runtime, handler string
		content          func(t testing.TB) files
	}{
		"python": {"python3.12", "lambda_function.lambda_handler", func(t testing.TB) files { return example(t, "timestamper", "lambda_function.py") }},
		"node": {"nodejs22.x", "index.handler", func(t testing.TB) files {
			need(t, "node")
			return example(t, "timestamper-node", "index.mjs")
		}},
		"go": {"provided.al2023", "bootstrap", goExample},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.put("f", c.runtime, c.handler, c.content(t))
			for i := range 3 {
				r := w.call(gatewayEvent)
				if r.FunctionError != "" || !answer.Match(r.Payload) || r.ColdStart != (i == 0) {
					t.Errorf("call %d: cold %v, error %q, payload %s\n%s", i, r.ColdStart, r.FunctionError, r.Payload, r.LogTail)
				}
			}
		})
	}
}

func TestGoRuntimeReportsErrorsAndPanics(t *testing.T) {
	w := newWorld(t)
	w.put("f", "provided.al2023", "bootstrap", goExample(t))
	e := failure(t, w.call(`{"body":"not JSON"}`))
	if e.ErrorType != "SyntaxError" || !strings.Contains(e.ErrorMessage, "invalid character") {
		t.Errorf("%+v", e)
	}
	if r := w.call(gatewayEvent); r.ColdStart {
		t.Error("the environment was not kept after an error")
	}
	if e := failure(t, w.call(`[]`)); e.ErrorType != "UnmarshalTypeError" {
		t.Errorf("%+v", e)
	}
}

func TestProvidedWithoutBootstrap(t *testing.T) {
	w := newWorld(t)
	w.put("f", "provided.al2023", "x", files{"main": "x"})
	r := w.call("{}")
	if want := `{"errorType":"Runtime.InvalidEntrypoint","errorMessage":"RequestId: ` + r.RequestID +
		` Error: Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"}`; string(r.Payload) != want {
		t.Errorf("payload %s, want %s", r.Payload, want)
	}
	w.put("f", "provided.al2023", "x", files{"bootstrap": "neither a program nor a script"})
	if e := failure(t, w.call("{}")); e.ErrorType != "Runtime.InvalidEntrypoint" || !strings.HasSuffix(e.ErrorMessage, "fork/exec /var/task/bootstrap: exec format error") {
		t.Errorf("%+v", e)
	}
}

func TestRuntimeThatCannotRunHere(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.SearchPath = t.TempDir() })
	w.put("f", "java21", "x", files{"x": "x"})
	if e := w.refused(&invocation.Invocation{Function: "f"}); e.Code != invocation.InvalidRuntime || !strings.Contains(e.Message, "java21") {
		t.Errorf("%+v", e)
	}
	w.python("")
	e := failure(t, w.call("{}"))
	if e.ErrorType != "Runtime.InvalidEntrypoint" || !strings.Contains(e.ErrorMessage, "no interpreter for runtime python3.11 was found on this machine; install Python") {
		t.Errorf("%+v", e)
	}
}

func TestNearestInterpreterIsSaid(t *testing.T) {
	w := newWorld(t)
	w.python("def handler(e, c): return 1", func(fn *catalog.Function) { fn.Runtime = "python3.99" })
	w.want("{}", "1")
	if !regexp.MustCompile(`\nWEIR Runtime python3\.99 is not on this machine; running on Python 3\.\d+\.\d+ \(/.*\)\n`).MatchString(w.logText()) {
		t.Errorf("log\n%s", w.logText())
	}
}

func TestChoiceOfInterpreter(t *testing.T) {
	s := newInterpreters(t.Context(), "")
	s.once["python"].Do(func() {})
	s.found["python"] = []Interpreter{{"python", "3.9.1", "/9"}, {"python", "3.11.2", "/11"}, {"python", "3.13.0", "/13"}}
	for runtime, want := range map[string]string{
		"python3.9": "/9", "python3.10": "/11", "python3.11": "/11", "python3.12": "/13", "python3.14": "/13", "python3.8": "/9",
	} {
		got, exact, ok := s.choose(runtime, "python")
		if !ok || got.Path != want || exact != strings.HasPrefix(got.Version, strings.TrimPrefix(runtime, "python")+".") {
			t.Errorf("%s: %s (exact %v), want %s", runtime, got.Path, exact, want)
		}
	}
}
