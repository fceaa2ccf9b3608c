package e2e

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// limited is a server with an API of two MOCK methods, GET / and GET
// /pets/{id}, on the stage "live", open to everybody.
type limited struct {
	*cli
	api string
}

func serveLimited(t *testing.T, flags ...string) *limited {
	t.Helper()
	s := start(t, filepath.Join(t.TempDir(), "data"), flags...)
	l := &limited{cli: newCLI(t, s)}
	l.api = l.run("apigateway", "create-rest-api", "--name", "pets").text("id")
	root := l.run("apigateway", "get-resources", "--rest-api-id", l.api).text("items", 0, "id")
	pets := l.run("apigateway", "create-resource", "--rest-api-id", l.api, "--parent-id", root, "--path-part", "pets").text("id")
	pet := l.run("apigateway", "create-resource", "--rest-api-id", l.api, "--parent-id", pets, "--path-part", "{id}").text("id")
	for _, id := range []string{root, pet} {
		on := []string{"--rest-api-id", l.api, "--resource-id", id, "--http-method", "GET"}
		l.run(append([]string{"apigateway", "put-method", "--authorization-type", "NONE"}, on...)...)
		l.run(append([]string{"apigateway", "put-integration", "--type", "MOCK", "--request-templates", `{"application/json":"{\"statusCode\": 200}"}`}, on...)...)
		l.run(append([]string{"apigateway", "put-method-response", "--status-code", "200"}, on...)...)
		l.run(append([]string{"apigateway", "put-integration-response", "--status-code", "200"}, on...)...)
	}
	l.run("apigateway", "create-deployment", "--rest-api-id", l.api, "--stage-name", "live")
	return l
}

// admitted counts how many of n calls are let in at once; the others must be
// refused in AWS's words.
func (l *limited) admitted(path string, n int) (in int) {
	l.t.Helper()
	for range n {
		got := l.call(path)
		switch {
		case got.StatusCode == 200:
			in++
		case got.StatusCode != 429 || got.Header.Get("X-Amzn-Errortype") != "TooManyRequestsException" || got.ContentLength != int64(len(`{"message":"Too Many Requests"}`)):
			l.t.Fatalf("GET %s: %d %v", path, got.StatusCode, got.Header)
		}
	}
	return in
}

func (l *limited) call(path string) *http.Response {
	l.t.Helper()
	res, err := http.Get(l.s.gateway + "/_aws/execute-api/" + l.api + "/live" + path)
	if err != nil {
		l.t.Fatal(err)
	}
	res.Body.Close()
	return res
}

// settings patches the stage's method settings: path and value by turns.
func (l *limited) settings(pairs ...string) document {
	l.t.Helper()
	var ops []map[string]string
	for i := 0; i < len(pairs); i += 2 {
		op := map[string]string{"op": "replace", "path": pairs[i], "value": pairs[i+1]}
		if pairs[i+1] == "remove" {
			op = map[string]string{"op": "remove", "path": pairs[i]}
		}
		ops = append(ops, op)
	}
	text, err := json.Marshal(ops) // the CLI's short form has no braces in a value
	if err != nil {
		l.t.Fatal(err)
	}
	return l.run("apigateway", "update-stage", "--rest-api-id", l.api, "--stage-name", "live", "--patch-operations", string(text))
}

// TestStageThrottlesWithTheAWSCLI holds AWS's forms of a method setting's path,
// each by what it lets in.
func TestStageThrottlesWithTheAWSCLI(t *testing.T) {
	t.Parallel()
	l := serveLimited(t)
	const rate, burst = "/throttling/rateLimit", "/throttling/burstLimit"
	slow := "0.001"
	wants := func(what string, root, pet int) {
		t.Helper()
		if got := l.admitted("/", 6); got != root {
			t.Errorf("%s: %d of 6 calls of GET / are let in, want %d", what, got, root)
		}
		if got := l.admitted("/pets/7", 6); got != pet {
			t.Errorf("%s: %d of 6 calls of GET /pets/{id} are let in, want %d", what, got, pet)
		}
	}
	wants("nothing set", 6, 6)
	st := l.settings("/*/*"+rate, slow, "/*/*"+burst, "2")
	st.is(slow, "methodSettings", "*/*", "throttlingRateLimit")
	st.is("2", "methodSettings", "*/*", "throttlingBurstLimit")
	wants("*/*, each method by itself", 2, 2)
	st = l.settings("//GET"+rate, slow, "//GET"+burst, "5") // as documented, the root
	st.is("5", "methodSettings", "//GET", "throttlingBurstLimit")
	wants("the root's own, of which two are used", 3, 0)
	st = l.settings("/~1/GET"+burst, "6") // the root, escaped
	st.is("6", "methodSettings", "//GET", "throttlingBurstLimit")
	wants("the same by another spelling", 1, 0)
	l.settings("/pets~1{id}/GET"+burst, "3")
	wants("a deeper path, escaped", 0, 1)
	l.settings("/pets/{id}/GET"+burst, "4")
	wants("a deeper path, plain", 0, 1)
	st = l.settings("/pets~1{id}/GET"+rate, "-1", "/pets~1{id}/GET"+burst, "-1")
	st.is("-1", "methodSettings", "pets/{id}/GET", "throttlingBurstLimit")
	wants("-1 takes the limit away", 0, 6)
	l.settings("/pets~1{id}/GET"+rate, "0", "/pets~1{id}/GET"+burst, "10")
	wants("rate 0 lets nothing through", 0, 0)
	st = l.settings("/pets~1{id}/GET", "remove", "//GET", "remove", "/*/*", "remove")
	st.is("{}", "methodSettings")
	wants("all removed", 6, 6)
}

// TestAccountThrottleWithTheAWSCLI: told by get-account, over all methods, in
// AWS's words; and a restart does not fill it.
func TestAccountThrottleWithTheAWSCLI(t *testing.T) {
	t.Parallel()
	l := serveLimited(t, "--account-rate", "0.001", "--account-burst", "5")
	account := l.run("apigateway", "get-account")
	account.is("5", "throttleSettings", "burstLimit")
	account.is("0.001", "throttleSettings", "rateLimit")
	if in := l.admitted("/", 3) + l.admitted("/pets/7", 4) + l.admitted("/", 2); in != 5 {
		t.Errorf("%d calls are let in, want 5", in)
	}
	out, errs, err := weir(t, "explain", "--data", l.s.data)
	if err != nil {
		t.Fatalf("%v: %s", err, errs)
	}
	for _, text := range []string{"account-throttle", "rate 0.001 a second, burst 5", "raise --account-rate"} {
		if !strings.Contains(out, text) {
			t.Errorf("no %q in\n%s", text, out)
		}
	}
	l.s.stop(t)
	l.s = start(t, l.s.data, "--account-rate", "0.001", "--account-burst", "5")
	if in := l.admitted("/", 3); in != 0 {
		t.Errorf("after a restart %d calls are let in, want none", in)
	}
	l.s.stop(t)
	l.s = start(t, l.s.data)
	l.run("apigateway", "get-account").is("5000", "throttleSettings", "burstLimit")
	if in := l.admitted("/", 20); in != 20 {
		t.Errorf("without the flags %d of 20 calls are let in", in)
	}
}
