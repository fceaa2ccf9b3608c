package lambda_test

import (
	"encoding/base64"
	"reflect"
	"strings"
	"testing"

	"weir/internal/invocation"
)

func TestInvokeMapsHeaders(t *testing.T) {
	b := newBench(t)
	b.create("f", nil)
	context := base64.StdEncoding.EncodeToString([]byte(`{"custom":{"k":"v"}}`))
	const id = "8f507cfc-7f0f-4c1e-8a55-c5d1d9a7b1e2"
	ran := invocation.Result{StatusCode: 200, Payload: []byte(`{"ok":1}`), ExecutedVersion: "$LATEST", LogTail: []byte("START\nEND\n")}
	for _, c := range []struct {
		name, path string
		headers    []string
		answer     invocation.Result
		asked      invocation.Invocation
		status     int
		body       string
		want       map[string]string // response headers
	}{
		{
			"plain", "f/invocations", nil, ran,
			invocation.Invocation{Function: "f", Payload: []byte(`{"a":1}`), RequestID: id},
			200, `{"ok":1}`,
			map[string]string{"X-Amz-Executed-Version": "$LATEST", "X-Amz-Log-Result": "", "X-Amz-Function-Error": "", "Content-Type": "application/json"},
		},
		{
			"everything", prefix + "f:$LATEST/invocations",
			[]string{"X-Amz-Invocation-Type", "RequestResponse", "X-Amz-Log-Type", "Tail", "X-Amz-Client-Context", context, "X-Amzn-Trace-Id", "Root=1-2-3"},
			ran,
			invocation.Invocation{Function: "f", Qualifier: "$LATEST", Type: "RequestResponse", Payload: []byte(`{"a":1}`), ClientContext: `{"custom":{"k":"v"}}`, Tail: true, TraceID: "Root=1-2-3", RequestID: id},
			200, `{"ok":1}`,
			map[string]string{"X-Amz-Log-Result": base64.StdEncoding.EncodeToString(ran.LogTail)},
		},
		{
			"qualifier", "f/invocations?Qualifier=%24LATEST",
			[]string{"X-Amz-Log-Type", "None"},
			ran,
			invocation.Invocation{Function: "f", Qualifier: "$LATEST", Payload: []byte(`{"a":1}`), RequestID: id},
			200, `{"ok":1}`,
			map[string]string{"X-Amz-Log-Result": ""},
		},
		{
			"failed", "f/invocations", nil,
			invocation.Result{StatusCode: 200, Payload: []byte(`{"errorMessage":"x"}`), FunctionError: "Unhandled", ExecutedVersion: "$LATEST"},
			invocation.Invocation{Function: "f", Payload: []byte(`{"a":1}`), RequestID: id},
			200, `{"errorMessage":"x"}`,
			map[string]string{"X-Amz-Function-Error": "Unhandled", "X-Amz-Executed-Version": "$LATEST"},
		},
		{
			"event", "f/invocations",
			[]string{"X-Amz-Invocation-Type", "Event", "X-Amz-Log-Type", "Tail"},
			invocation.Result{StatusCode: 202, ExecutedVersion: "$LATEST"},
			invocation.Invocation{Function: "f", Type: "Event", Payload: []byte(`{"a":1}`), RequestID: id},
			202, "",
			map[string]string{"X-Amz-Executed-Version": "", "X-Amz-Log-Result": ""},
		},
		{
			"dry run", "f/invocations",
			[]string{"X-Amz-Invocation-Type", "DryRun"},
			invocation.Result{StatusCode: 204, ExecutedVersion: "$LATEST"},
			invocation.Invocation{Function: "f", Type: "DryRun", Payload: []byte(`{"a":1}`), RequestID: id},
			204, "",
			map[string]string{"X-Amz-Executed-Version": ""},
		},
	} {
		b.runner.asked, b.runner.answer = nil, c.answer
		status, header, body := b.send("POST", "/2015-03-31/functions/"+c.path, `{"a":1}`, c.headers...)
		if status != c.status || body != c.body {
			t.Errorf("%s: %d %q", c.name, status, body)
		}
		if len(b.runner.asked) != 1 || !reflect.DeepEqual(b.runner.asked[0], c.asked) {
			t.Errorf("%s: asked for %+v, want %+v", c.name, b.runner.asked, c.asked)
		}
		for k, want := range c.want {
			if got := header.Get(k); got != want {
				t.Errorf("%s: %s is %q, want %q", c.name, k, got, want)
			}
		}
	}
	b.runner.asked = nil
	if status, _, body := b.send("POST", "/2014-11-13/functions/f/invoke-async", `{"a":1}`); status != 202 || body != "" {
		t.Errorf("invoke-async: %d %q", status, body)
	}
	if len(b.runner.asked) != 1 || b.runner.asked[0].Type != invocation.Event {
		t.Errorf("invoke-async asked for %+v", b.runner.asked)
	}
}

func TestInvokeErrors(t *testing.T) {
	b := newBench(t)
	at := "/2015-03-31/functions/f/invocations"
	for _, c := range []struct {
		err    invocation.Error
		status int
		body   string
	}{
		{invocation.Error{Code: invocation.NotFound, Message: "Function not found: x"}, 404, `{"Message":"Function not found: x","Type":"User"}`},
		{
			invocation.Error{Code: invocation.Throttled, Reason: "ReservedFunctionConcurrentInvocationLimitExceeded", Message: "Rate Exceeded."},
			429,
			`{"Reason":"ReservedFunctionConcurrentInvocationLimitExceeded","Type":"User","message":"Rate Exceeded."}`,
		},
		{
			invocation.Error{Code: invocation.RequestTooLarge, Message: "Request must be smaller than 6291456 bytes for the InvokeFunction operation"},
			413,
			`{"Message":"Request must be smaller than 6291456 bytes for the InvokeFunction operation"}`,
		},
		{invocation.Error{Code: invocation.InvalidRequestContent, Message: "Could not parse request body into json: x"}, 400, `{"Type":"User","message":"Could not parse request body into json: x"}`},
		{invocation.Error{Code: invocation.ResourceConflict, Message: "x"}, 409, `{"Type":"User","message":"x"}`},
		{invocation.Error{Code: invocation.PermissionDenied, Message: "x"}, 403, `{"Message":"x"}`},
		{invocation.Error{Code: invocation.InvalidRuntime, Message: "x"}, 502, `{"Message":"x","Type":"User"}`},
		{invocation.Error{Code: invocation.ServiceFailure, Message: "x"}, 500, `{"Message":"x","Type":"Service"}`},
		{invocation.Error{Code: "InvalidParameterValueException", Message: "x"}, 400, `{"Type":"User","message":"x"}`},
	} {
		b.runner.err = &c.err
		status, header, body := b.send("POST", at, "{}")
		if status != c.status || body != c.body || header.Get("x-amzn-ErrorType") != c.err.Code {
			t.Errorf("%s: %d %s %s", c.err.Code, status, header.Get("x-amzn-ErrorType"), body)
		}
	}
	b.runner.err, b.runner.asked = nil, nil
	for name, c := range map[string][]string{
		"type":          {"ValidationException", "X-Amz-Invocation-Type", "Sync"},
		"log type":      {"ValidationException", "X-Amz-Log-Type", "All"},
		"not base64":    {"InvalidRequestContentException", "X-Amz-Client-Context", "{}"},
		"not JSON":      {"InvalidRequestContentException", "X-Amz-Client-Context", base64.StdEncoding.EncodeToString([]byte("x"))},
		"not an object": {"InvalidRequestContentException", "X-Amz-Client-Context", base64.StdEncoding.EncodeToString([]byte("null"))},
		"too long":      {"InvalidRequestContentException", "X-Amz-Client-Context", base64.StdEncoding.EncodeToString([]byte(`{"a":"` + strings.Repeat("x", 2700) + `"}`))},
	} {
		status, header, body := b.send("POST", at, "{}", c[1], c[2])
		if status != 400 || header.Get("x-amzn-ErrorType") != c[0] {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	if len(b.runner.asked) != 0 {
		t.Errorf("refused calls ran: %v", b.runner.asked)
	}
}
