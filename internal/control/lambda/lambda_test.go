package lambda_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/internal/catalog"
	"weir/internal/control/lambda"
	"weir/internal/control/protocol"
	"weir/internal/invocation"
	"weir/internal/store"
)

const (
	account = "000000000000"
	region  = "us-east-1"
	prefix  = "arn:aws:lambda:us-east-1:000000000000:function:"
	role    = "arn:aws:iam::000000000000:role/lambda-ex"
)

var made = time.Date(2026, 11, 24, 3, 40, 0, 0, time.UTC)

// runner stands for the execution environments: it remembers what it was
// asked and answers what the test says.
type runner struct {
	mu     sync.Mutex
	asked  []invocation.Invocation
	answer invocation.Result
	err    error
}

func (r *runner) Invoke(_ context.Context, inv *invocation.Invocation) (*invocation.Result, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, *inv)
	if r.err != nil {
		return nil, r.err
	}
	answer := r.answer
	return &answer, nil
}

type bench struct {
	t      *testing.T
	store  *store.Store
	runner *runner
	s      protocol.Service
	url    string
	mu     sync.Mutex
	asked  [][2]string // actions and resources that were authorised
}

func newBench(t *testing.T) *bench {
	t.Helper()
	st, err := store.Open(context.Background(), store.Options{Dir: t.TempDir(), Now: func() time.Time { return made }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	b := &bench{t: t, store: st, runner: &runner{}}
	b.s = lambda.Service(lambda.Options{
		Store: st, Functions: b.runner, Region: region, Account: account,
		CodeURL: func(fn catalog.Function, host string) string { return "http://" + host + "/code/" + fn.Name },
	})
	if err := b.s.Compile(); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		b.s.Serve(w, r, body, protocol.Call{
			Service: "lambda", Region: region, Account: account, RequestID: "8f507cfc-7f0f-4c1e-8a55-c5d1d9a7b1e2", Now: made,
			Host: "127.0.0.1:4566",
		}, func(action, resource string) error {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.asked = append(b.asked, [2]string{action, resource})
			return nil
		})
	}))
	t.Cleanup(server.Close)
	b.url = server.URL
	return b
}

// send makes one raw call; in is a body, or a value to be made JSON.
func (b *bench) send(method, path string, in any, headers ...string) (int, http.Header, string) {
	b.t.Helper()
	var body []byte
	switch in := in.(type) {
	case nil:
	case string:
		body = []byte(in)
	default:
		var err error
		if body, err = json.Marshal(in); err != nil {
			b.t.Fatal(err)
		}
	}
	r, err := http.NewRequest(method, b.url+path, bytes.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(text)
}

// must is send that has to succeed with a status.
func (b *bench) must(status int, method, path string, in any) string {
	b.t.Helper()
	got, _, body := b.send(method, path, in)
	if got != status {
		b.t.Fatalf("%s %s: %d %s", method, path, got, body)
	}
	return body
}

type object = map[string]any

func zipOf(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for name, text := range files {
		f, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

var code = map[string]string{"lambda_function.py": "def lambda_handler(event, context):\n    return 1\n"}

// creation is a sound CreateFunction body with changes; nil removes a member.
func creation(t testing.TB, name string, changes object) object {
	in := object{
		"FunctionName": name, "Runtime": "python3.12", "Role": role, "Handler": "lambda_function.lambda_handler",
		"Code": object{"ZipFile": base64.StdEncoding.EncodeToString(zipOf(t, code))},
	}
	for k, v := range changes {
		if in[k] = v; v == nil {
			delete(in, k)
		}
	}
	return in
}

func (b *bench) create(name string, changes object) object {
	b.t.Helper()
	return decode(b.t, b.must(201, "POST", "/2015-03-31/functions", creation(b.t, name, changes)))
}

func decode(t testing.TB, text string) object {
	t.Helper()
	var o object
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return o
}

var uuids = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// TestShapes holds the raw answers against AWS's recorded ones, member by
// member.
func TestShapes(t *testing.T) {
	b := newBench(t)
	common := `"FunctionName":"timestamper","FunctionArn":"` + prefix + `timestamper","Runtime":"python3.12","Role":"` + role + `",` +
		`"Handler":"lambda_function.lambda_handler","CodeSize":CS,"Description":"","Timeout":3,"MemorySize":128,` +
		`"LastModified":"2026-11-24T03:40:00.000+0000","CodeSha256":"SHA","Version":"$LATEST",` +
		`"TracingConfig":{"Mode":"PassThrough"},"RevisionId":"UUID",`
	tail := `"PackageType":"Zip","Architectures":["x86_64"],"EphemeralStorage":{"Size":512},` +
		`"SnapStart":{"ApplyOn":"None","OptimizationStatus":"Off"},`
	version := `"RuntimeVersionConfig":{"RuntimeVersionArn":"arn:aws:lambda:us-east-1::runtime:HASH"},`
	logging := `"LoggingConfig":{"LogFormat":"Text","LogGroup":"/aws/lambda/timestamper"}}`
	pending := `"State":"Pending","StateReason":"The function is being created.","StateReasonCode":"Creating",`
	active := `"State":"Active","LastUpdateStatus":"Successful",`
	inProgress := `"State":"Active","LastUpdateStatus":"InProgress","LastUpdateStatusReason":"The function is being created.","LastUpdateStatusReasonCode":"Creating",`
	clean := func(s string) string {
		s = uuids.ReplaceAllString(s, "UUID")
		s = regexp.MustCompile(`runtime:[0-9a-f]{64}`).ReplaceAllString(s, "runtime:HASH")
		s = regexp.MustCompile(`"CodeSize":[1-9]\d*`).ReplaceAllString(s, `"CodeSize":CS`)
		return regexp.MustCompile(`"CodeSha256":"[A-Za-z0-9+/]{43}="`).ReplaceAllString(s, `"CodeSha256":"SHA"`)
	}
	for _, c := range []struct {
		name, method, path string
		in                 any
		status             int
		want               string
	}{
		{
			"create", "POST", "/2015-03-31/functions", creation(t, "timestamper", nil), 201,
			"{" + common + pending + tail + version + logging,
		},
		{
			"get", "GET", "/2015-03-31/functions/timestamper", nil, 200,
			`{"Configuration":{` + common + active + tail + version + logging +
				`,"Code":{"RepositoryType":"S3","Location":"http://127.0.0.1:4566/code/timestamper"}}`,
		},
		{
			"get configuration", "GET", "/2015-03-31/functions/timestamper/configuration", nil, 200,
			"{" + common + active + tail + version + logging,
		},
		{
			"get $LATEST", "GET", "/2015-03-31/functions/timestamper/configuration?Qualifier=%24LATEST", nil, 200,
			"{" + strings.Replace(common, `function:timestamper"`, `function:timestamper:$LATEST"`, 1) + active + tail + version + logging,
		},
		{
			"list", "GET", "/2015-03-31/functions", nil, 200,
			`{"Functions":[{` + common + tail + logging + `]}`,
		},
		{
			"list all", "GET", "/2015-03-31/functions?FunctionVersion=ALL", nil, 200,
			`{"Functions":[{` + strings.Replace(common, `function:timestamper"`, `function:timestamper:$LATEST"`, 1) + tail + logging + `]}`,
		},
		{
			"versions", "GET", "/2015-03-31/functions/timestamper/versions", nil, 200,
			`{"Versions":[{` + strings.Replace(common, `function:timestamper"`, `function:timestamper:$LATEST"`, 1) + tail + logging + `]}`,
		},
		{
			"update code", "PUT", "/2015-03-31/functions/timestamper/code",
			object{"ZipFile": zipOf(t, object2("a", "b"))},
			200,
			"{" + common + inProgress + tail + version + logging,
		},
		{
			"update configuration", "PUT", "/2015-03-31/functions/timestamper/configuration",
			object{},
			200,
			"{" + common + inProgress + tail + version + logging,
		},
		{"concurrency", "GET", "/2019-09-30/functions/timestamper/concurrency", nil, 200, `{}`},
		{"code signing", "GET", "/2020-06-30/functions/timestamper/code-signing-config", nil, 200, `{"FunctionName":"timestamper"}`},
		{
			"runtime management", "GET", "/2021-07-20/functions/timestamper/runtime-management-config", nil, 200,
			`{"UpdateRuntimeOn":"Auto","FunctionArn":"` + prefix + `timestamper"}`,
		},
		{
			"account", "GET", "/2016-08-19/account-settings", nil, 200,
			`{"AccountLimit":{"TotalCodeSize":80530636800,"CodeSizeUnzipped":262144000,"CodeSizeZipped":52428800,"ConcurrentExecutions":1000,"UnreservedConcurrentExecutions":1000},` +
				`"AccountUsage":{"TotalCodeSize":N,"FunctionCount":1}}`,
		},
		{"delete", "DELETE", "/2015-03-31/functions/timestamper", nil, 204, ``},
		{"list nothing", "GET", "/2015-03-31/functions", nil, 200, `{"Functions":[]}`},
	} {
		status, header, body := b.send(c.method, c.path, c.in)
		got := regexp.MustCompile(`("AccountUsage":\{"TotalCodeSize":)[1-9]\d*`).ReplaceAllString(clean(body), "${1}N")
		if status != c.status || got != c.want {
			t.Errorf("%s: %d\n got %s\nwant %s", c.name, status, got, c.want)
		}
		if ct := header.Get("Content-Type"); status == 200 && ct != "application/json" {
			t.Errorf("%s: content type %q", c.name, ct)
		}
	}
}

func object2(kv ...string) map[string]string {
	m := map[string]string{}
	for i := 0; i+1 < len(kv); i += 2 {
		m[kv[i]] = kv[i+1]
	}
	return m
}

func TestAuthorization(t *testing.T) {
	b := newBench(t)
	for _, c := range []struct{ method, path, action, resource string }{
		{"POST", "/2015-03-31/functions", "lambda:CreateFunction", prefix + "*"},
		{"GET", "/2015-03-31/functions", "lambda:ListFunctions", "*"},
		{"GET", "/2015-03-31/functions/f", "lambda:GetFunction", prefix + "f"},
		{"GET", "/2015-03-31/functions/" + prefix + "f:7/policy", "lambda:GetPolicy", prefix + "f:7"},
		{"POST", "/2015-03-31/functions/f/invocations", "lambda:InvokeFunction", prefix + "f"},
		{"GET", "/2017-03-31/tags/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af", "lambda:ListTags", prefix + "f"},
		{"GET", "/2016-08-19/account-settings", "lambda:GetAccountSettings", "*"},
		{"GET", "/2019-09-30/functions/f/concurrency", "lambda:GetFunctionConcurrency", prefix + "f"},
	} {
		b.asked = nil
		b.send(c.method, c.path, nil)
		if len(b.asked) != 1 || b.asked[0] != [2]string{c.action, c.resource} {
			t.Errorf("%s %s: asked for %v, want %s on %s", c.method, c.path, b.asked, c.action, c.resource)
		}
	}
}
