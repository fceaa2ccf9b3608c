package apigateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	client "github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	"github.com/aws/smithy-go"

	"weir/internal/control/protocol"
	"weir/internal/secret"
	"weir/internal/store"
)

// server is the service over HTTP on a real store, and AWS's client of it.
type server struct {
	t      testing.TB
	url    string
	sdk    *client.Client
	store  *store.Store
	action string // of the last call, as authorize was asked

	mu      sync.Mutex
	now     time.Time
	flushed int
	tested  AuthorizerTest // the last one

	recorded int64 // batches
}

var ctx = context.Background()

func newServer(t testing.TB) *server {
	t.Helper()
	s := &server{t: t, now: time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)}
	var err error
	s.store, err = store.Open(ctx, store.Options{Dir: t.TempDir(), Now: s.clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.store.Close(); err != nil {
			t.Error(err)
		}
	})
	o := Options{
		Store: s.store, Secret: secret.Random(), Region: "us-east-1", Account: "000000000000",
		FlushUsage: func(context.Context) error { s.flushed++; return nil },
		TestAuthorizer: func(_ context.Context, t AuthorizerTest) (AuthorizerTestResult, error) {
			s.tested = t
			if t.Authorizer.Name == "broken" {
				return AuthorizerTestResult{}, errors.New("it has no identity source")
			}
			return AuthorizerTestResult{ClientStatus: 401, Log: []string{"one", "two"}, Latency: 1500 * time.Millisecond, PrincipalID: "u", Policy: `{"Statement":[]}`}, nil
		},
	}
	svc, keys := Service(o), KeyHandler(o)
	if err := svc.Compile(); err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, KeyRoutes) {
			keys.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		call := protocol.Call{Service: svc.Name, Region: "us-east-1", Account: "000000000000", RequestID: "r", Now: s.clock()}
		svc.Serve(w, r, body, call, func(action, resource string) error {
			s.action = action + " " + resource
			return nil
		})
	}))
	t.Cleanup(h.Close)
	s.url = h.URL
	s.sdk = client.New(client.Options{
		Region: "us-east-1", BaseEndpoint: &h.URL, Credentials: credentials.NewStaticCredentialsProvider("AKID", "secret", ""),
		RetryMaxAttempts: 1, // a 429 of ours is an answer, not a reason to wait
	})
	return s
}

func (s *server) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// pass moves the clock.
func (s *server) pass(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(d)
}

// raw sends a request as it is and gives status, error type and body.
func (s *server) raw(method, path, body string) (status int, errorType, answer string) {
	s.t.Helper()
	r, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header.Get("x-amzn-ErrorType"), string(text)
}

// ok sends a request that must succeed with status and gives its JSON.
func (s *server) ok(status int, method, path, body string) map[string]any {
	s.t.Helper()
	got, code, answer := s.raw(method, path, body)
	if got != status {
		s.t.Fatalf("%s %s %s: status %d %s %s, want %d", method, path, body, got, code, answer, status)
	}
	out := map[string]any{}
	if answer != "" {
		if err := json.Unmarshal([]byte(answer), &out); err != nil {
			s.t.Fatalf("%s %s: %v in %s", method, path, err, answer)
		}
	}
	return out
}

// refused sends a request that must be answered with an error.
func (s *server) refused(status int, code, message, method, path, body string) {
	s.t.Helper()
	got, errorType, answer := s.raw(method, path, body)
	var e struct{ Message string }
	if err := json.Unmarshal([]byte(answer), &e); err != nil {
		s.t.Errorf("%s %s: status %d, no error body: %s", method, path, got, answer)
		return
	}
	if got != status || errorType != code || e.Message != message {
		s.t.Errorf("%s %s %s\n got: %d %s %q\nwant: %d %s %q", method, path, body, got, errorType, e.Message, status, code, message)
	}
}

// patch gives the body of an update of triples op, path, value.
func patch(ops ...string) string {
	list := []map[string]string{}
	for i := 0; i+2 < len(ops); i += 3 {
		list = append(list, map[string]string{"op": ops[i], "path": ops[i+1], "value": ops[i+2]})
	}
	out, _ := json.Marshal(map[string]any{"patchOperations": list})
	return string(out)
}

// answered fails unless err is AWS's error of that code and message.
func answered(t testing.TB, err error, code, message string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) {
		t.Fatalf("error %v, want %s", err, code)
	}
	if api.ErrorCode() != code || api.ErrorMessage() != message {
		t.Fatalf("error %s %q, want %s %q", api.ErrorCode(), api.ErrorMessage(), code, message)
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var identifiers = regexp.MustCompile(`"(id|rootResourceId|parentId|deploymentId|apiId|cacheNamespace|usagePlanId)":"[a-z0-9]{6,10}"`)

// shape replaces identifiers and the clock's number, which differ in each run.
func shape(answer string) string {
	answer = identifiers.ReplaceAllString(answer, `"$1":"ID"`)
	return regexp.MustCompile(`"(createdDate|lastUpdatedDate)":1795514400\b`).ReplaceAllString(answer, `"$1":T`)
}

// golden holds a raw answer against its recorded form.
func (s *server) golden(want, method, path, body string) {
	s.t.Helper()
	_, _, answer := s.raw(method, path, body)
	var compact bytes.Buffer
	if err := json.Compact(&compact, []byte(answer)); err != nil || compact.String() != answer {
		s.t.Errorf("%s %s: not compact JSON: %s", method, path, answer)
	}
	if got := shape(answer); got != want {
		s.t.Errorf("%s %s %s\n got: %s\nwant: %s", method, path, body, got, want)
	}
}

// site is an API with GET / as a MOCK, deployed to stage dev.
type site struct{ api, root, deployment string }

func (s *server) site() site {
	s.t.Helper()
	api := s.ok(201, "POST", "/restapis", `{"name":"site"}`)
	p := site{api: api["id"].(string), root: api["rootResourceId"].(string)}
	s.mock(p, p.root, "GET")
	p.deployment = s.ok(201, "POST", "/restapis/"+p.api+"/deployments", `{"stageName":"dev"}`)["id"].(string)
	return p
}

// mock puts a method with a MOCK integration on a resource.
func (s *server) mock(p site, resource, verb string) {
	s.t.Helper()
	path := "/restapis/" + p.api + "/resources/" + resource + "/methods/" + verb
	s.ok(201, "PUT", path, `{"authorizationType":"NONE"}`)
	s.ok(201, "PUT", path+"/integration", `{"type":"MOCK"}`)
}

func (s *server) path(p site, rest string) string { return "/restapis/" + p.api + rest }

// key makes an enabled key and gives its identifier.
func (s *server) key(name string) string {
	s.t.Helper()
	out, err := s.sdk.CreateApiKey(ctx, &client.CreateApiKeyInput{Name: &name, Enabled: true})
	check(s.t, err)
	return *out.Id
}

// plan makes a plan that covers a site's stage dev.
func (s *server) plan(sites ...site) string {
	s.t.Helper()
	in := &client.CreateUsagePlanInput{Name: aws.String("plan")}
	for _, p := range sites {
		in.ApiStages = append(in.ApiStages, types.ApiStage{ApiId: aws.String(p.api), Stage: aws.String("dev")})
	}
	out, err := s.sdk.CreateUsagePlan(ctx, in)
	check(s.t, err)
	return *out.Id
}
