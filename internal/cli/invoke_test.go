package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const fixtureCode = `
def handler(event, context):
    print("said\x1b[2J something")
    if event.get("fail"):
        raise ValueError("no \x1b[31m good")
    return {"event": event}
`

func TestInvoke(t *testing.T) {
	s := stock(t)
	s.function("echo", fixtureCode)
	if out := s.does("invoke", "echo", "--payload", `{"a": 1}`); out != `{"event": {"a": 1}}`+"\n" {
		t.Errorf("invoke printed %q", out)
	}
	file := filepath.Join(t.TempDir(), "event.json")
	must(t, os.WriteFile(file, []byte(`{"b": 2}`), 0o600))
	got := decode[invoked](t, s.does("invoke", "echo", "--payload", "@"+file, "--tail", "--json"))
	if got.StatusCode != 200 || got.FunctionError != "" || got.RequestID == "" || got.Version != "$LATEST" || !strings.Contains(got.Log, "REPORT RequestId: "+got.RequestID) {
		t.Errorf("invoke --tail --json: %+v", got)
	}
	if payload := strings.Join(strings.Fields(string(got.Payload)), ""); payload != `{"event":{"b":2}}` {
		t.Errorf("payload %s", payload)
	}
	if got := decode[invoked](t, s.does("invoke", "echo", "--event", "--json")); got.StatusCode != 202 || got.Payload != nil {
		t.Errorf("invoke --event: %+v", got)
	}
	code, out, errs := s.run("invoke", "echo", "--tail", "--payload", "{}")
	if code != exitOK || out != `{"event": {}}`+"\n" || !strings.Contains(errs, `said\x1b[2J something`) || !strings.Contains(errs, "REPORT") {
		t.Errorf("invoke --tail: exit %d, %q, %q", code, out, errs)
	}
	s.refuses([]string{"echo failed (Unhandled): ValueError: no \\x1b[31m good"}, "invoke", "echo", "--payload", `{"fail": true}`)
	code, out, errs = s.run("invoke", "echo", "--json", "--payload", `{"fail": true}`)
	if got := decode[invoked](t, out); code != exitFailure || got.FunctionError != "Unhandled" || !strings.Contains(errs, "ValueError") {
		t.Errorf("a failure with --json: exit %d, %+v, %q", code, got, errs)
	}
	s.refuses([]string{"ResourceNotFoundException", "Function not found", "'weir functions' lists"}, "invoke", "none")
	s.refuses([]string{"InvalidRequestContentException"}, "invoke", "echo", "--payload", "{")
	s.refuses([]string{"no such file"}, "invoke", "echo", "--payload", "@"+file+".none")
	large := filepath.Join(t.TempDir(), "large")
	must(t, os.WriteFile(large, bytes.Repeat([]byte("1"), maxPayload+1), 0o600))
	s.refuses([]string{"larger than 6 MiB"}, "invoke", "echo", "--payload", "@"+large)
	if code, _, errs := s.run("invoke", "echo", "--tail", "--event"); code != exitUsage || !strings.Contains(errs, "give one") {
		t.Errorf("--tail --event: exit %d: %s", code, errs)
	}
}

// TestInvokeReadsStdin: "-" reads what is piped in.
func TestInvokeReadsStdin(t *testing.T) {
	in := invokeRequest{payload: "-"}
	if err := in.read(strings.NewReader("[1]")); err != nil || string(in.body) != "[1]" {
		t.Errorf("%q, %v", in.body, err)
	}
}

func TestFunctionError(t *testing.T) {
	for payload, want := range map[string]string{
		`{"errorType":"T","errorMessage":"m"}`: "T: m",
		`{"errorMessage":"m"}`:                 "m",
		`{"errorType":"T"}`:                    "T: ",
		`"text"`:                               `"text"`,
		"a\nb":                                 `a\nb`,
	} {
		if got := functionError([]byte(payload)); got != want {
			t.Errorf("%s: %q, want %q", payload, got, want)
		}
	}
}
