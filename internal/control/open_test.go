package control_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"weir/internal/control"
	"weir/internal/control/protocol"
)

func TestAnyCredentials(t *testing.T) {
	d := newDoor(t, func(o *control.Options) { o.AnyCredentials, o.Credentials = true, nil })
	mock := "AWS4-HMAC-SHA256 Credential=mock/20220101/eu-central-1/sts/aws4_request, SignedHeaders=host, Signature=0"
	cases := []struct {
		name, host, authorization string
		status                    int
	}{
		{"mock signature", "localhost:4566", mock, 200},
		{"any text", "127.0.0.1:4566", "anything", 200},
		{"ipv6", "[::1]:4566", "anything", 200},
		{"no authorization", "localhost:4566", "", 403},
		{"a name bound to 127.0.0.1", "evil.example:4566", mock, 403},
		{"a name that looks alike", "localhost.evil.example:4566", mock, 403},
		{"another region", "localhost", strings.Replace(mock, "eu-central-1", "eu-west-1", 1), 403},
		{"another service", "localhost", strings.Replace(mock, "/sts/", "/s3/", 1), 404},
	}
	for _, c := range cases {
		a := identity()
		a.unsigned = true
		r := a.request()
		r.Host = c.host
		if c.authorization != "" {
			r.Header.Set("Authorization", c.authorization)
		}
		w := httptest.NewRecorder()
		d.ServeHTTP(w, r)
		if w.Code != c.status {
			t.Errorf("%s: %d %s", c.name, w.Code, w.Body)
		}
	}
	w := d.do(ask{unsigned: true, header: map[string]string{"Authorization": "x"}, body: "{}"})
	if w.Code != 201 {
		t.Errorf("by path: %d %s", w.Code, w.Body)
	}
}

func TestHealthAndReadyAreOpen(t *testing.T) {
	var broken error
	d := newDoor(t, func(o *control.Options) { o.Ready = func() error { return broken } })
	get := func(method, path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		d.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		return w
	}
	if w := get("GET", "/_weir/health"); w.Code != 200 || w.Body.String() != `{"status":"ok"}` {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := get("GET", "/_weir/ready"); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	broken = errors.New("no database at /var/lib/x")
	if w := get("GET", "/_weir/ready"); w.Code != 503 || strings.Contains(w.Body.String(), "/var") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := get("GET", "/_weir/other"); w.Code != 404 {
		t.Errorf("%d", w.Code)
	}
	if w := get("POST", "/_weir/health"); w.Code != 405 {
		t.Errorf("%d", w.Code)
	}
}

// TestOwnRoutesAreForRoot: what Options.Own adds answers root's signature for
// the service "weir" and nobody else's.
func TestOwnRoutesAreForRoot(t *testing.T) {
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(append([]byte("got "), body...))
	})
	d := newDoor(t, func(o *control.Options) { o.Own = map[string]http.Handler{"/_weir/echo": echo} })
	own := ask{target: "/_weir/echo?n=1", service: "weir", body: "hello"}
	if w := d.do(own); w.Code != 200 || w.Body.String() != "got hello" {
		t.Errorf("root: %d %s", w.Code, w.Body)
	}
	for name, edit := range map[string]func(*ask){
		"unsigned":        func(a *ask) { a.unsigned = true },
		"another service": func(a *ask) { a.service = "sts" },
		"another region":  func(a *ask) { a.region = "eu-west-1" },
		"wrong secret":    func(a *ask) { a.secret = "guess" },
		"a session":       func(a *ask) { a.key, a.secret, a.token = sessionKey, "session-secret", "live" },
		"cross-origin":    func(a *ask) { a.header = map[string]string{"Origin": "https://evil.example"} },
	} {
		a := own
		edit(&a)
		if w := d.do(a); w.Code != 403 || strings.Contains(w.Body.String(), "got") {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	if w := d.do(ask{target: "/_weir/other", service: "weir"}); w.Code != 404 {
		t.Errorf("no such route: %d", w.Code)
	}
}

// TestOwnRoutesBelowAFolder: an entry that ends in a slash is for all paths
// below it, the nearest first, and is as closed as any.
func TestOwnRoutesBelowAFolder(t *testing.T) {
	says := func(text string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) })
	}
	d := newDoor(t, func(o *control.Options) {
		o.Own = map[string]http.Handler{"/_weir/keys/": says("keys"), "/_weir/keys/all": says("all"), "/_weir/keys/a/": says("a")}
	})
	for path, want := range map[string]string{
		"/_weir/keys/b": "keys", "/_weir/keys/b/c": "keys", "/_weir/keys/": "keys", "/_weir/keys/all": "all",
		"/_weir/keys/a/c": "a", "/_weir/keys": `{"message":"Not Found"}`, "/_weir/keysx": `{"message":"Not Found"}`,
	} {
		if w := d.do(ask{target: path, service: "weir"}); w.Body.String() != want {
			t.Errorf("%s: %d %s, want %s", path, w.Code, w.Body, want)
		}
	}
	if w := d.do(ask{target: "/_weir/keys/b", service: "weir", unsigned: true}); w.Code != 403 {
		t.Errorf("unsigned: %d %s", w.Code, w.Body)
	}
	d = newDoor(t, func(o *control.Options) {
		o.AnyCredentials, o.Own = true, map[string]http.Handler{"/_weir/keys/": says("keys")}
	})
	r := httptest.NewRequest("GET", "http://127.0.0.1/_weir/keys/b", nil)
	r.Header.Set("Authorization", "anything")
	w := httptest.NewRecorder()
	if d.ServeHTTP(w, r); w.Body.String() != "keys" {
		t.Errorf("with any credentials: %d %s", w.Code, w.Body)
	}
}

// noted is a service of the AWS JSON protocol.
func noted() protocol.Service {
	return protocol.Service{
		Name: "notes", Wire: protocol.AWSJSON, Target: "Notes_20260101",
		Operations: []protocol.Operation{
			protocol.Target("Note", func(_ context.Context, c protocol.Call, in *struct {
				Text string `json:"text" max:"5"`
			},
			) (*echoOutput, error) {
				return &echoOutput{Name: c.Operation, Text: in.Text, Caller: c.Caller.ARN}, nil
			}),
		},
	}
}

// TestTargetsAreFound: X-Amz-Target names the operation, whatever the path and
// the body look like, and all errors are 400s with their name in the body.
func TestTargetsAreFound(t *testing.T) {
	note := map[string]string{"X-Amz-Target": "Notes_20260101.Note", "Content-Type": "application/x-amz-json-1.1"}
	open := newDoor(t, func(o *control.Options) {
		o.AnyCredentials, o.Credentials = true, nil
		o.Services = append(o.Services, noted())
	})
	strict := newDoor(t, func(o *control.Options) { o.Services = append(o.Services, noted()) })
	header := func(more ...string) map[string]string {
		h := maps.Clone(note)
		for i := 0; i < len(more); i += 2 {
			h[more[i]] = more[i+1]
		}
		return h
	}
	for _, c := range []struct {
		name   string
		door   *bench
		ask    ask
		status int
		text   string
	}{
		{"any credentials", open, ask{unsigned: true, header: header("Authorization", "x"), body: `{"text":"hi"}`}, 200, `{"name":"Note","text":"hi","caller":"arn:aws:iam::000000000000:root"}`},
		{"a path that another service has", open, ask{unsigned: true, target: "/things/x", header: header("Authorization", "x"), body: `{"text":"hi"}`}, 200, `"name":"Note"`},
		{"an unknown target", open, ask{unsigned: true, target: "/things/x", header: header("Authorization", "x", "X-Amz-Target", "Notes_20260101.Sing"), body: `{}`}, 400, `{"__type":"AccessDeniedException","message":"Unable to determine service/operation name to be authorized"}`},
		{"signed", strict, ask{service: "notes", target: "/", header: note, body: `{"text":"hi"}`}, 200, `"name":"Note"`},
		{"signed, no such operation", strict, ask{service: "notes", target: "/", header: header("X-Amz-Target", "Notes_20260101.Sing"), body: `{}`}, 400, `"__type":"UnknownOperationException"`},
		{"signed, another service's target", strict, ask{service: "notes", target: "/", header: header("X-Amz-Target", "Songs_20260101.Note"), body: `{}`}, 400, `"__type":"UnknownOperationException"`},
		{"signed, too long", strict, ask{service: "notes", target: "/", header: note, body: `{"text":"longer"}`}, 400, `"__type":"ValidationException"`},
		{"the target not signed", strict, ask{service: "notes", target: "/", header: note, body: `{}`, targetUnsigned: true}, 400, "which were not signed: x-amz-target"},
		{"wrong secret", strict, ask{service: "notes", target: "/", secret: "guess", header: note, body: `{}`}, 400, `"__type":"InvalidSignatureException"`},
		{"unknown key", strict, ask{service: "notes", target: "/", key: "AKIANOBODY", header: note, body: `{}`}, 400, `"__type":"UnrecognizedClientException"`},
		{"a function's session", strict, ask{service: "notes", target: "/", key: sessionKey, secret: "session-secret", token: "live", header: note, body: `{}`}, 400, `"__type":"AccessDeniedException"`},
		{"unsigned", strict, ask{unsigned: true, target: "/", header: note, body: `{}`}, 400, `"__type":"MissingAuthenticationTokenException"`},
	} {
		w := c.door.do(c.ask)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.text) || w.Header().Get("Content-Type") != "application/x-amz-json-1.1" {
			t.Errorf("%s: %d %s %s, want %s", c.name, w.Code, w.Header().Get("Content-Type"), w.Body, c.text)
		}
	}
	// Without a target the paths count as before.
	w := open.do(ask{unsigned: true, header: map[string]string{"Authorization": "x"}, body: "{}"})
	if w.Code != 201 {
		t.Errorf("by path: %d %s", w.Code, w.Body)
	}
}
