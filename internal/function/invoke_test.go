package function

import (
	"strings"
	"testing"

	"weir/internal/catalog"
	"weir/internal/invocation"
)

func TestNamesOfAFunction(t *testing.T) {
	w := newWorld(t)
	w.python("def handler(e, c): return c.invoked_function_arn")
	const arn = "arn:aws:lambda:us-east-1:000000000000:function:"
	for _, c := range []struct{ name, qualifier, answer, refusal string }{
		{"f", "", `"` + arn + `f"`, ""},
		{"f", "$LATEST", `"` + arn + `f:$LATEST"`, ""},
		{"f:$LATEST", "", `"` + arn + `f:$LATEST"`, ""},
		{"000000000000:function:f", "", `"` + arn + `f"`, ""},
		{arn + "f", "", `"` + arn + `f"`, ""},
		{arn + "f:$LATEST", "$LATEST", `"` + arn + `f:$LATEST"`, ""},
		{"g", "", "", "ResourceNotFoundException: Function not found: " + arn + "g:$LATEST"},
		{arn + "g", "", "", "ResourceNotFoundException: Function not found: " + arn + "g:$LATEST"},
		{"f", "1", "", "ResourceNotFoundException: Function not found: " + arn + "f:1"},
		{"f:prod", "", "", "ResourceNotFoundException: Function not found: " + arn + "f:prod"},
		{"arn:aws:lambda:eu-west-1:000000000000:function:f", "", "", "ResourceNotFoundException: Function not found: arn:aws:lambda:eu-west-1:000000000000:function:f"},
		{"111111111111:function:f", "", "", "ResourceNotFoundException: Function not found: "},
		{"", "", "", "ResourceNotFoundException: Function not found: "},
		{"f:1", "2", "", "InvalidParameterValueException: The derived qualifier from the function name does not match the specified qualifier."},
	} {
		inv := &invocation.Invocation{Function: c.name, Qualifier: c.qualifier}
		if c.refusal != "" {
			if e := w.refused(inv); !strings.HasPrefix(e.Error(), c.refusal) {
				t.Errorf("%s %s: %v, want %s", c.name, c.qualifier, e, c.refusal)
			}
			continue
		}
		r, err := w.Invoke(t.Context(), inv)
		if err != nil || string(r.Payload) != c.answer {
			t.Errorf("%s %s: %+v %v, want %s", c.name, c.qualifier, r, err, c.answer)
		}
	}
}

func TestPermission(t *testing.T) {
	w := newWorld(t)
	const arn = "arn:aws:lambda:us-east-1:000000000000:function:f"
	permit := func(fn *catalog.Function) {
		fn.Policy = `{"Version":"2012-10-17","Id":"default","Statement":[{"Sid":"a","Effect":"Allow","Principal":{"Service":"apigateway.amazonaws.com"},` +
			`"Action":"lambda:InvokeFunction","Resource":"` + arn + `","Condition":{"ArnLike":{"AWS:SourceArn":"arn:aws:execute-api:us-east-1:000000000000:abc/*/POST/stamp"}}}]}`
	}
	gateway := func(source string) *invocation.Invocation {
		return &invocation.Invocation{Function: "f", Type: invocation.DryRun, Caller: invocation.Caller{
			Service: "apigateway.amazonaws.com", SourceARN: source, SourceAccount: "000000000000",
		}}
	}
	const right = "arn:aws:execute-api:us-east-1:000000000000:abc/prod/POST/stamp"
	w.python("")
	if e := w.refused(gateway(right)); e.Code != invocation.PermissionDenied {
		t.Errorf("without a policy: %v", e)
	}
	w.python("", permit)
	if r, err := w.Invoke(t.Context(), gateway(right)); err != nil || r.StatusCode != 204 || r.Payload != nil {
		t.Errorf("permitted: %+v, %v", r, err)
	}
	for _, source := range []string{"", "arn:aws:execute-api:us-east-1:000000000000:abc/prod/GET/stamp", "arn:aws:execute-api:us-east-1:000000000000:xyz/prod/POST/stamp"} {
		if e := w.refused(gateway(source)); e.Code != invocation.PermissionDenied || !strings.HasSuffix(e.Message, "because no resource-based policy allows the lambda:InvokeFunction action") {
			t.Errorf("source %q: %v", source, e)
		}
	}
	other := gateway(right)
	other.Caller.Service = "s3.amazonaws.com"
	if e := w.refused(other); e.Code != invocation.PermissionDenied {
		t.Errorf("other service: %v", e)
	}
	if r, err := w.Invoke(t.Context(), &invocation.Invocation{Function: "f", Type: invocation.DryRun}); err != nil || r.StatusCode != 204 {
		t.Errorf("the owner: %+v, %v", r, err)
	}
	if _, err := w.Prepare(catalog.Function{Name: "f", Policy: "{"}); err == nil {
		t.Error("a policy that cannot be read was prepared")
	}
}

func TestContentThatIsRefused(t *testing.T) {
	w := newWorld(t)
	w.python("")
	for name, c := range map[string]struct {
		inv  invocation.Invocation
		want string
	}{
		"not JSON":          {invocation.Invocation{Payload: []byte("{'a'}")}, "InvalidRequestContentException: Could not parse request body into json: Unexpected character (''' (code 39)): expected a valid value (JSON String, Number, Array, Object or token 'null', 'true' or 'false') at [line: 1, column: 3]"},
		"second line":       {invocation.Invocation{Payload: []byte("{\n\"a\": x}")}, "InvalidRequestContentException: Could not parse request body into json: Unexpected character ('x' (code 120)): expected a valid value (JSON String, Number, Array, Object or token 'null', 'true' or 'false') at [line: 2, column: 7]"},
		"ends early":        {invocation.Invocation{Payload: []byte(`{"a":`)}, "InvalidRequestContentException: Could not parse request body into json: Unexpected end-of-input"},
		"too large":         {invocation.Invocation{Payload: make([]byte, 6<<20+1)}, "RequestTooLargeException: Request must be smaller than 6291456 bytes for the InvokeFunction operation"},
		"too large, event":  {invocation.Invocation{Type: "Event", Payload: make([]byte, 1<<20+1)}, "RequestTooLargeException: Request must be smaller than 1048576 bytes for the InvokeFunction operation"},
		"client context":    {invocation.Invocation{ClientContext: "{"}, "InvalidRequestContentException: Client context must be a valid Base64-encoded JSON object."},
		"long context":      {invocation.Invocation{ClientContext: `"` + strings.Repeat("x", 3000) + `"`}, "InvalidRequestContentException: Client context"},
		"type":              {invocation.Invocation{Type: "Later"}, "InvalidParameterValueException: Unsupported invocation type: Later"},
		"dry run, not JSON": {invocation.Invocation{Type: "DryRun", Payload: []byte("x")}, "InvalidRequestContentException: "},
	} {
		c.inv.Function = "f"
		if e := w.refused(&c.inv); !strings.HasPrefix(e.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, e, c.want)
		}
	}
}

func TestStateOfAFunction(t *testing.T) {
	w := newWorld(t)
	w.python("", func(fn *catalog.Function) { fn.State = "Pending" })
	if e := w.refused(&invocation.Invocation{Function: "f"}); e.Code != invocation.ResourceConflict ||
		e.Message != "The operation cannot be performed at this time. The function is currently in the following state: Pending" {
		t.Errorf("%v", e)
	}
}

func TestRequestIDsOfStrangers(t *testing.T) {
	for id, want := range map[string]bool{
		"": false, "a": true, "1b2c-3D": true, "a b": false, "a\r\nb": false, "../x": false, "a/b": false,
		strings.Repeat("a", 64): true, strings.Repeat("a", 65): false, "é": false,
	} {
		if validID(id) != want {
			t.Errorf("%q: %v", id, !want)
		}
	}
}

// What a function deletes of its own code the next environment has again.
func TestFunctionThatDeletesItsCode(t *testing.T) {
	for name, how := range map[string]string{
		"its file":   "os.remove(__file__)",
		"everything": "shutil.rmtree(os.environ['LAMBDA_TASK_ROOT'])",
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.python("import os, shutil\ndef handler(e, c):\n    if e: os._exit(1)\n    " + how + "\n    return 1")
			for range 3 {
				if r := w.want("{}", "1"); !r.ColdStart {
					t.Error("the environment was kept")
				}
				if e := failure(t, w.call(`{"end": "this environment"}`)); e.ErrorType != "Runtime.ExitError" {
					t.Error(e)
				}
			}
		})
	}
}

func TestCodeThatCannotBeRead(t *testing.T) {
	w := newWorld(t)
	w.python("", func(fn *catalog.Function) { fn.CodeSHA256 = "AAAA" })
	if _, err := w.Invoke(t.Context(), &invocation.Invocation{Function: "f"}); err == nil || !strings.Contains(err.Error(), "no such code") {
		t.Errorf("error %v", err)
	}
	if n := w.slots.used.Load(); n != 0 {
		t.Errorf("%d slots are taken", n)
	}
}
