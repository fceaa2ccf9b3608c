package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	agw "github.com/aws/aws-sdk-go-v2/service/apigateway/types"
)

// gated is a running server with a fixed answer at POST / of the stage "live",
// behind the key "me" that may call it once an hour.
type gated struct {
	t               *testing.T
	data, api       string
	key, value, url string
	stop            context.CancelFunc
	ended           chan int
}

func serveGated(t *testing.T) *gated {
	t.Helper()
	g := &gated{t: t, data: filepath.Join(t.TempDir(), "data"), ended: make(chan int, 1)}
	ctx, stop := context.WithCancel(t.Context())
	g.stop = stop
	go func() {
		var log bytes.Buffer
		defer close(g.ended)
		g.ended <- run(ctx, []string{"serve", "--data", g.data, "--gateway-addr", "127.0.0.1:0", "--control-addr", "127.0.0.1:0"}, &log, &log)
	}()
	t.Cleanup(func() {
		stop()
		<-g.ended
		http.DefaultClient.CloseIdleConnections()
	})
	if code, _, errs := line(t, "env", "--data", g.data, "--wait", "30s"); code != exitOK {
		t.Fatalf("env: exit %d: %s", code, errs)
	}
	g.build()
	return g
}

func (g *gated) build() {
	g.t.Helper()
	check := func(err error) {
		if err != nil {
			g.t.Helper()
			g.t.Fatal(err)
		}
	}
	conn, err := connect(g.data)
	check(err)
	ctx, c := g.t.Context(), apigateway.NewFromConfig(conn.aws)
	api, err := c.CreateRestApi(ctx, &apigateway.CreateRestApiInput{Name: aws.String("hello")})
	check(err)
	post := aws.String("POST")
	_, err = c.PutMethod(ctx, &apigateway.PutMethodInput{RestApiId: api.Id, ResourceId: api.RootResourceId, HttpMethod: post, AuthorizationType: aws.String("NONE"), ApiKeyRequired: true})
	check(err)
	_, err = c.PutIntegration(ctx, &apigateway.PutIntegrationInput{
		RestApiId: api.Id, ResourceId: api.RootResourceId, HttpMethod: post,
		Type: agw.IntegrationTypeMock, RequestTemplates: map[string]string{"application/json": `{"statusCode": 200}`},
	})
	check(err)
	_, err = c.PutMethodResponse(ctx, &apigateway.PutMethodResponseInput{RestApiId: api.Id, ResourceId: api.RootResourceId, HttpMethod: post, StatusCode: aws.String("200")})
	check(err)
	_, err = c.PutIntegrationResponse(ctx, &apigateway.PutIntegrationResponseInput{RestApiId: api.Id, ResourceId: api.RootResourceId, HttpMethod: post, StatusCode: aws.String("200")})
	check(err)
	_, err = c.CreateDeployment(ctx, &apigateway.CreateDeploymentInput{RestApiId: api.Id, StageName: aws.String("live")})
	check(err)
	key, err := c.CreateApiKey(ctx, &apigateway.CreateApiKeyInput{Name: aws.String("me"), Enabled: true})
	check(err)
	_, err = c.CreateApiKey(ctx, &apigateway.CreateApiKeyInput{Name: aws.String("me too"), Enabled: true}) // begins alike
	check(err)
	plan, err := c.CreateUsagePlan(ctx, &apigateway.CreateUsagePlanInput{
		Name: aws.String("plan"), Throttle: &agw.ThrottleSettings{RateLimit: 1.0 / 3600, BurstLimit: 1},
		ApiStages: []agw.ApiStage{{ApiId: api.Id, Stage: aws.String("live")}},
	})
	check(err)
	_, err = c.CreateUsagePlanKey(ctx, &apigateway.CreateUsagePlanKeyInput{UsagePlanId: plan.Id, KeyId: key.Id, KeyType: aws.String("API_KEY")})
	check(err)
	g.api, g.key, g.value = *api.Id, *key.Id, *key.Value
	g.url = conn.running.GatewayURL + "/_aws/execute-api/" + g.api + "/live"
}

// call makes one call; its Record is kept when it returns.
func (g *gated) call(path, key string, status int) {
	g.t.Helper()
	req, err := http.NewRequestWithContext(g.t.Context(), http.MethodPost, g.url+path, nil)
	if err != nil {
		g.t.Fatal(err)
	}
	if key != "" {
		req.Header.Set("x-api-key", key)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != status {
		g.t.Fatalf("POST %s: %d, want %d", path, res.StatusCode, status)
	}
}

// requests runs 'weir requests' and gives its lines without their times.
func (g *gated) requests(args ...string) []string {
	g.t.Helper()
	code, out, errs := line(g.t, append([]string{"requests", "--data", g.data}, args...)...)
	if code != exitOK || errs != "" {
		g.t.Fatalf("requests %v: exit %d: %s", args, code, errs)
	}
	return timeless(strings.Split(strings.TrimSuffix(out, "\n"), "\n"))
}

var changing = regexp.MustCompile(`^\d\d:\d\d:\d\d | +\d+\.\d ms$`)

func timeless(lines []string) []string {
	for i := range lines {
		lines[i] = strings.Join(strings.Fields(changing.ReplaceAllString(lines[i], "")), " ")
	}
	return lines
}

func TestRequestsShowsWhatCallersGot(t *testing.T) {
	g := serveGated(t)
	g.call("", g.value, 200)
	g.call("", g.value, 429)
	g.call("", "", 403)
	g.call("/%1b%5b31m/no", "", 403)
	admitted := "POST /live me admitted 200"
	throttled := "POST /live me refused THROTTLED 429"
	keyless := "POST /live - refused INVALID_API_KEY 403"
	missed := "POST /live/%1b%5b31m/no - missed MISSING_AUTHENTICATION_TOKEN 403"
	for _, c := range []struct {
		args string
		want []string
	}{
		{"", []string{admitted, throttled, keyless, missed}},
		{"--limit 2", []string{keyless, missed}},
		{"--verdict refused", []string{throttled, keyless}},
		{"--status 403", []string{keyless, missed}},
		{"--status 4xx --limit 1", []string{missed}},
		{"--key me", []string{admitted, throttled}},
		{"--key " + g.key + " --status 200", []string{admitted}},
		{"--api " + g.api + " --limit 1", []string{missed}},
		{"--api other", []string{""}},
	} {
		if got := g.requests(strings.Fields(c.args)...); strings.Join(got, "\n") != strings.Join(c.want, "\n") {
			t.Errorf("%s\n got %q\nwant %q", c.args, got, c.want)
		}
	}
	code, out, _ := line(t, "requests", "--data", g.data, "--json", "--key", "me", "--limit", "1")
	var r map[string]any
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != exitOK || r["keyId"] != g.key || r["apiId"] != g.api || r["reason"] != "THROTTLED" || r["latencyNs"] == nil {
		t.Errorf("--json: exit %d: %v: %s", code, err, out)
	}
	if code, _, errs := line(t, "requests", "--data", g.data, "--key", "nobody"); code != exitFailure || !strings.Contains(errs, `no API key has the ID or name "nobody"`) {
		t.Errorf("--key nobody: exit %d: %s", code, errs)
	}
	for flag, want := range map[string]string{"--verdict=allowed": "--verdict: give", "--status=42": "--status: give", "--limit=-1": "--limit: give"} {
		if code, _, errs := line(t, "requests", "--data", g.data, flag); code != exitUsage || !strings.Contains(errs, want) {
			t.Errorf("%s: exit %d: %s", flag, code, errs)
		}
	}
}

// following is a running 'weir requests --follow'.
type following struct {
	lines  *bufio.Scanner
	ended  chan int
	stderr bytes.Buffer
}

func (g *gated) follow(ctx context.Context, args ...string) *following {
	read, write := io.Pipe()
	f := &following{lines: bufio.NewScanner(read), ended: make(chan int, 1)}
	go func() {
		f.ended <- run(ctx, append([]string{"requests", "--data", g.data}, args...), write, &f.stderr)
		write.Close()
	}()
	return f
}

func (f *following) next(t *testing.T) string {
	t.Helper()
	if !f.lines.Scan() {
		t.Fatalf("it ended with exit %d: %s", <-f.ended, f.stderr.String())
	}
	return timeless([]string{f.lines.Text()})[0]
}

func TestFollowingRequests(t *testing.T) {
	g := serveGated(t)
	g.call("", g.value, 200)
	ctx, interrupt := context.WithCancel(t.Context())
	first := g.follow(ctx, "--follow")
	second := g.follow(t.Context(), "--watch", "--limit", "1", "--json", "--key", "me")
	if got := second.next(t); !strings.Contains(got, `"keyId":"`+g.key+`"`) {
		t.Errorf("in JSON: %q", got)
	}
	if got := first.next(t); got != "POST /live me admitted 200" {
		t.Errorf("what was before: %q", got)
	}
	for i := range 3 {
		g.call(fmt.Sprintf("/%d", i), "", 403)
		if got := first.next(t); !strings.HasPrefix(got, fmt.Sprintf("POST /live/%d - missed", i)) {
			t.Errorf("call %d: %q", i, got)
		}
	}
	interrupt()
	if code := <-first.ended; code != exitOK || first.stderr.Len() > 0 {
		t.Errorf("after Ctrl-C: exit %d: %s", code, first.stderr.String())
	}
	g.stop()
	if code := <-g.ended; code != exitOK {
		t.Errorf("serve: exit %d", code)
	}
	if code := <-second.ended; code != exitAbsent || !strings.Contains(second.stderr.String(), "stopped: start it and run this again") {
		t.Errorf("after the server's stop: exit %d: %s", code, second.stderr.String())
	}
}

func TestRequestsWithoutAServer(t *testing.T) {
	if code, _, errs := line(t, "requests", "--data", t.TempDir()); code != exitAbsent || !strings.Contains(errs, "weir serve --data") {
		t.Errorf("exit %d: %s", code, errs)
	}
	if code, _, errs := line(t, "requests", "x"); code != exitUsage {
		t.Errorf("an argument: exit %d: %s", code, errs)
	}
}

func TestRequestLine(t *testing.T) {
	base := func(edit func(*shownRequest)) *shownRequest {
		r := &shownRequest{Method: "POST", Path: "/live/hello", Verdict: "admitted", Status: 200, LatencyNs: 1_250_000}
		edit(r)
		return r
	}
	for _, c := range []struct {
		name    string
		r       *shownRequest
		width   int
		colours bool
		want    string // after the time
	}{
		{"to a file", base(func(*shownRequest) {}), 0, false, "POST   /live/hello                  me           admitted                200    1.2 ms"},
		{"to a terminal of 80", base(func(*shownRequest) {}), 80, false, "POST   /live/hello     me         admitted                200    1.2 ms"},
		{"a long path to it", base(func(r *shownRequest) { r.Path = "/live/0123456789abcdef" }), 80, false, "POST   /live/01234567… me         admitted                200    1.2 ms"},
		{"a long path to a file", base(func(r *shownRequest) { r.Path = "/live/0123456789abcdef0123456789abcdef" }), 0, false, "POST   /live/0123456789abcdef0123456789abcdef me           admitted                200    1.2 ms"},
		{"a narrow terminal", base(func(*shownRequest) {}), 20, false, "POST   /live/hello  me         admitted                200    1.2 ms"},
		{"a wide terminal", base(func(*shownRequest) {}), 120, false, "POST   /live/hello                                   me                   admitted                200    1.2 ms"},
		{"admitted in colour", base(func(*shownRequest) {}), 80, true, "POST   /live/hello     me         \x1b[32madmitted                200\x1b[0m    1.2 ms"},
		{"refused in colour", base(func(r *shownRequest) { r.Verdict, r.Reason, r.Status = "refused", "QUOTA_EXCEEDED", 429 }), 80, true, "POST   /live/hello     me         \x1b[33mrefused QUOTA_EXCEEDED  429\x1b[0m    1.2 ms"},
		{"failed in colour", base(func(r *shownRequest) { r.Status, r.Reason = 502, "DEFAULT_5XX" }), 80, true, "POST   /live/hello     me         \x1b[31madmitted DEFAULT_5XX    502\x1b[0m    1.2 ms"},
		{"refused before it was a request", &shownRequest{Verdict: "refused", Reason: "BAD", Status: 400}, 80, false, "-      -               me         refused BAD             400    0.0 ms"},
		{"what strangers choose", base(func(r *shownRequest) { r.Method, r.Path = "\x1b[2J", "/\x1b]0;x\x07\u202e\u00e9" }), 0, false, `\x1b[2J /\x1b]0;x\a\u202eé           me           admitted                200    1.2 ms`},
	} {
		if got := c.r.format(&screen{columns: c.width, colour: c.colours}, "me")[len("15:04:05 "):]; got != c.want {
			t.Errorf("%s\n got %q\nwant %q", c.name, got, c.want)
		}
	}
	key := base(func(*shownRequest) {}).format(&screen{columns: 80}, "a key with a long name\n") // names are the owner's
	if !strings.Contains(key, " a key wit… ") || strings.Contains(key, "\n") {
		t.Errorf("key name: %q", key)
	}
	if key := base(func(*shownRequest) {}).format(&screen{columns: 120}, "a key with a long name"); !strings.Contains(key, " a key with a long n… ") {
		t.Errorf("key name on a wide terminal: %q", key)
	}
}

func TestShortPath(t *testing.T) {
	for path, want := range map[string]string{
		"/live/x":                              "/live/x",
		"/_aws/execute-api/abc/live/x":         "/live/x",
		"/_aws/execute-api/other/live/x":       "/_aws/execute-api/other/live/x",
		"/restapis/abc/live/_user_request_/x":  "/live/x",
		"/restapis/abc/live/_user_request_":    "/live",
		"/restapis/abc/other/_user_request_/x": "/restapis/abc/other/_user_request_/x",
	} {
		r := shownRequest{Path: path, APIID: "abc", Stage: "live"}
		if got := r.shortPath(); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

// TestPrintableJSON: the text is another, what it says is the same.
func TestPrintableJSON(t *testing.T) {
	said := "a/é日\u009b31m\u202e\U000e0041\U0001f600\x7f\x1b"
	plain, err := json.Marshal(said)
	must(t, err)
	got := printableJSON(string(plain))
	if !strings.Contains(got, `é日\u009b31m\u202e\udb40\udc41`) {
		t.Errorf("%s", got)
	}
	var back string
	if err := json.Unmarshal([]byte(got), &back); err != nil || back != said {
		t.Errorf("%v: %q", err, back)
	}
}
