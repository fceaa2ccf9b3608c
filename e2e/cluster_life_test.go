package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	agw "github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"weir/internal/limit"
	"weir/internal/limit/limittest"
	"weir/internal/store/storetest"
)

// TestClusterRefuses starts nodes that cannot be one of a cluster: each ends
// and says what to do, and none tells the password.
func TestClusterRefuses(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	other := filepath.Join(t.TempDir(), "other.secret")
	_, errs, err := weir(t, "secret", "create", other)
	if err != nil {
		t.Fatal(errs)
	}
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, 0, err)
	nobody.Close()
	bend := func(change func(*url.URL)) string {
		u, err := url.Parse(c.database)
		must(t, 0, err)
		change(u)
		return u.String()
	}
	for _, r := range []struct {
		name     string
		database string
		flags    []string
		code     int
		wants    []string
	}{
		{"no secret file", c.database, nil, 2, []string{"--database needs --secret-file", "weir secret create"}},
		{"a secret file that is not there", c.database, []string{"--secret-file", other + ".none"}, 1, []string{"copy the one of the other nodes there", "weir secret create"}},
		{"the secret of others", c.database, []string{"--secret-file", other}, 1, []string{"is not the one that the data in", "--secret-file"}},
		{
			"no PostgreSQL", bend(func(u *url.URL) { u.Host = nobody.Addr().String() }),
			[]string{"--secret-file", c.secret, "--database-wait", "1s"},
			1,
			[]string{"the database has not answered for 1s", "weir doctor"},
		},
		{"another password", bend(func(u *url.URL) { u.User = url.UserPassword("weir", "not the pass word at all") }), []string{"--secret-file", c.secret}, 1, []string{"does not take the user's password"}},
		{"no such database", bend(func(u *url.URL) { u.Path = "/nowhere" }), []string{"--secret-file", c.secret}, 1, []string{"there is no such database", "createdb"}},
		{"no URL", "mysql://weir:hush-hush-hush-hush@db/weir", []string{"--secret-file", c.secret}, 2, []string{"give the URL of a PostgreSQL database"}},
		{"a URL that cannot be read", "postgres://weir:hush-hush-hush-hush@db:port/weir", []string{"--secret-file", c.secret}, 2, []string{"--database", "postgres://USER@HOST:5432/NAME"}},
	} {
		t.Run(r.name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), binary, serveLine(filepath.Join(t.TempDir(), "data"), r.flags...)...)
			cmd.Env = append(os.Environ(), "WEIR_DATABASE="+r.database)
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != r.code {
				t.Fatalf("it ended with %v, want exit %d:\n%s", err, r.code, out)
			}
			for _, want := range r.wants {
				if !strings.Contains(string(out), want) {
					t.Errorf("it does not say %q:\n%s", want, out)
				}
			}
			tellsNothing(t, "what it says", out, append(hiddenDatabase(c.database), "hush-hush-hush-hush", "not the pass word at all"))
		})
	}
}

// TestClusterStart: nodes start in any order, before their database too, share
// the root access key, and say apart who logged what.
func TestClusterStart(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	a, b := c.nodes[0], c.nodes[1]
	if a.keyID != b.keyID || a.server.secret != b.server.secret {
		t.Error("the nodes have different root access keys")
	}
	ctx := t.Context()
	id, err := b.sdk().sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	must(t, id, err)
	a.leave()
	b.leave()

	c.postgres.Stop()
	a.begin()
	time.Sleep(time.Second)
	select {
	case err := <-a.done:
		t.Fatalf("it did not wait for the database: %v\n%s", err, a.log)
	default:
	}
	c.postgres.Start(t)
	a.await()
	a.leave()
	if n := strings.Count(a.log.String(), "the database does not answer; it is asked again"); n == 0 {
		t.Errorf("it waited without a word:\n%s", a.log)
	}

	// The password may come from elsewhere than the URL.
	u, err := url.Parse(b.database)
	must(t, 0, err)
	u.User = url.User("weir")
	cmd := b.command()
	cmd.Env = append(os.Environ(), "WEIR_DATABASE="+u.String(), "PGPASSWORD="+storetest.PostgresPassword)
	b.server = begin(t, b.folder, cmd)
	b.await()
	b.leave()

	// weir up is a node as well.
	folder := filepath.Join(t.TempDir(), "up")
	up := exec.Command(binary, "up", "../examples/timestamper", "--data", folder, "--gateway-addr", "127.0.0.1:0", "--control-addr", "127.0.0.1:0", "--secret-file", c.secret)
	up.Env = append(os.Environ(), "WEIR_DATABASE="+a.database)
	s := begin(t, folder, up)
	s.find(t)
	if s.keyID != a.keyID {
		t.Error("weir up has a root access key of its own")
	}
	s.stop(t)
}

// TestClusterFunctions: a function that was published on one node runs on every
// node, its credentials are good on every node, and its logs are read on every
// node.
func TestClusterFunctions(t *testing.T) {
	t.Parallel()
	tool(t, "python3")
	c := newCluster(t, 2)
	a, b := c.nodes[0], c.nodes[1]
	ctx := t.Context()
	dir := t.TempDir()
	must(t, 0, os.WriteFile(filepath.Join(dir, "lambda_function.py"), []byte(`import json, os
def lambda_handler(event, context):
    print("ran in", context.log_stream_name)
    return {"statusCode": 200, "body": json.dumps({n: os.environ[n] for n in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")})}
`), 0o600))
	arn := a.sdk().createFunction(ctx, "shared", "python3.12", "lambda_function.lambda_handler", zipFolder(t, dir))
	g := newGate(ctx, a.sdk(), proxy(arn), 100, 100, 100)
	g.permit(ctx, "shared", g.api)
	within(t, heard, "the other node knows the function", func() bool {
		_, err := b.sdk().lambda.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: aws.String("shared")})
		return err == nil
	})
	var streams []string
	for _, n := range c.nodes {
		there := *g
		there.sdk = n.sdk()
		var status int
		var body string
		within(t, 10*time.Second, "node "+n.name+" answers", func() bool {
			status, body = there.call(http.DefaultClient, g.keyValue)
			return status == 200
		})
		var session map[string]string
		must(t, 0, json.Unmarshal([]byte(body), &session))
		n.hidden = append(n.hidden, session["AWS_SECRET_ACCESS_KEY"])
		for _, other := range c.nodes {
			id, err := other.session(session).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
			if err != nil || !strings.Contains(*id.Arn, "assumed-role/shared-role/shared") {
				t.Errorf("credentials that node %s gave, on node %s: %v", n.name, other.name, err)
			}
		}
	}
	for _, n := range c.nodes {
		var out []byte
		within(t, 10*time.Second, "node "+n.name+" shows what each node logged", func() bool {
			var err error
			out, err = exec.CommandContext(ctx, binary, "logs", "shared", "--data", n.folder, "--filter", `"ran in"`).Output()
			must(t, out, err)
			return strings.Count(string(out), "ran in") == len(c.nodes)
		})
		streams = append(streams, string(out))
	}
	if streams[0] != streams[1] {
		t.Errorf("the nodes show different logs:\n%s\n%s", streams[0], streams[1])
	}
	if code, err := filepath.Glob(filepath.Join(b.folder, "code", "*")); err != nil || len(code) == 0 {
		t.Errorf("the code is not kept on the node that ran it: %v", err)
	}
}

// TestClusterWithoutDatabase: while the database is away a node says so, changes
// nothing, and lets in what it holds; when it is back all is as it was.
func TestClusterWithoutDatabase(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	n := c.nodes[0]
	ctx := t.Context()
	f := newField(ctx, n.sdk())
	r := &recorder{}
	k := f.addKey(ctx, f.addPlan(ctx, "large", noRate, noBurst, 1000), "large")
	r.Rate(k.id, limit.Rate{PerSecond: noRate, Burst: noBurst}, time.Now().Add(-time.Minute), limittest.Forever)
	r.Quota(k.id, limit.Quota{Limit: 1000, Period: limit.Daily}, 0, time.Now().Add(-time.Minute), limittest.Forever)
	client := &http.Client{Transport: &http.Transport{}, Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	if status, body := r.call(ctx, client, n.url(), k); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	if status, body := n.askReady(t); status != 200 || body != `{"status":"ready"}` {
		t.Fatalf("ready: %d %s", status, body)
	}

	c.postgres.Stop()
	within(t, 10*time.Second, "it says that its database is away", func() bool {
		status, body := n.askReady(t)
		return status == 503 && body == `{"status":"unavailable","reason":"the database does not answer"}`
	})
	if _, errs, err := weir(t, "health", "--data", n.folder); err == nil || !strings.Contains(errs, "the database does not answer") {
		t.Errorf("weir health: %v %s", err, errs)
	}
	_, err := f.agw.CreateApiKey(ctx, &apigateway.CreateApiKeyInput{Name: aws.String("not now")})
	if status, message := refusedWith(t, err); status != 500 || !strings.Contains(message, "PostgreSQL does not answer") {
		t.Errorf("a change: %d %s", status, message)
	}
	within(t, 60*time.Second, "what the node holds is used up", func() bool {
		status, body := r.call(ctx, client, n.url(), k)
		if status != 200 && (status != 429 || body != exceeded) {
			t.Fatalf("while the database is away: %d %s", status, body)
		}
		return status == 429
	})
	if admitted, _ := r.sum(k); admitted >= 1000 {
		t.Errorf("%d calls were admitted without a database", admitted)
	}

	c.postgres.Start(t)
	within(t, 20*time.Second, "it is ready again", func() bool { status, _ := n.askReady(t); return status == 200 })
	within(t, 60*time.Second, "the quota is used up", func() bool {
		status, body := r.call(ctx, client, n.url(), k)
		return status == 429 && body == exceeded && n.usage(ctx, k).remaining == 0
	})
	// What was asked when the database went may be on record and unanswered.
	if admitted, _ := r.sum(k); admitted > 1000 || admitted < 1000-2 {
		t.Errorf("a quota of 1000 admitted %d", admitted)
	}
	r.explained(t)
	if _, err := f.agw.CreateApiKey(ctx, &apigateway.CreateApiKeyInput{Name: aws.String("now")}); err != nil {
		t.Error(err)
	}
	n.leave()
}

// TestClusterFailover: a synchronous standby takes the place of a killed
// database. The nodes go on with it, and nothing that was admitted is forgotten.
func TestClusterFailover(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	standby := c.postgres.Standby(t)
	u, err := url.Parse(c.database)
	must(t, 0, err)
	u.Host = c.postgres.Addr() + "," + standby.Addr()
	u.RawQuery = "target_session_attrs=read-write"
	for _, n := range c.nodes {
		n.leave()
		n.database = u.String()
		n.start()
	}
	ctx := t.Context()
	f := newField(ctx, c.nodes[0].sdk())
	r := &recorder{}
	keys := map[int64]*keyed{}
	for quota, name := range map[int64]string{2000: "large", 60: "few"} {
		k := f.addKey(ctx, f.addPlan(ctx, name, noRate, noBurst, int32(quota)), name)
		r.Rate(k.id, limit.Rate{PerSecond: noRate, Burst: noBurst}, time.Now().Add(-time.Minute), limittest.Forever)
		r.Quota(k.id, limit.Quota{Limit: quota, Period: limit.Daily}, 0, time.Now().Add(-time.Minute), limittest.Forever)
		keys[quota] = k
	}
	var loads []*load
	for _, n := range c.nodes {
		loads = append(loads, r.start(ctx, 2, 10*time.Millisecond, n.url, keys[2000]), r.start(ctx, 1, 200*time.Millisecond, n.url, keys[60]))
	}
	pass(ctx, 2*time.Second)
	c.postgres.Kill()
	standby.Promote(t)
	before, _ := r.sum(keys[60])
	failedOver := time.Now()
	within(t, 30*time.Second, "calls are admitted by way of the standby", func() bool {
		after, _ := r.sum(keys[60])
		return after > before+1
	})
	t.Logf("calls went on %s after the standby was promoted", time.Since(failedOver).Round(time.Millisecond))
	pass(ctx, 2*time.Second)
	for _, l := range loads {
		l.stop()
	}
	pass(ctx, 2*time.Second) // what the other node admitted is on record within a second
	for quota, k := range keys {
		admitted, unknown := r.sum(k)
		if u := c.nodes[0].usage(ctx, k); u.used < admitted || u.used > admitted+unknown+2*int64(len(c.nodes)) {
			t.Errorf("clients saw %d admitted and %d unanswered of a quota of %d, get-usage says %+v", admitted, unknown, quota, u)
		}
	}
	r.explained(t)
	for _, n := range c.nodes {
		n.leave()
	}
}

// TestClusterFollows measures how soon a change on one node is in force on the
// others: within a second, and mostly at once.
func TestClusterFollows(t *testing.T) {
	c := newCluster(t, 3)
	ctx := t.Context()
	f := newField(ctx, c.nodes[0].sdk())
	plan := f.addPlan(ctx, "followed", noRate, noBurst, 0)
	client := &http.Client{Transport: &http.Transport{}, Timeout: 5 * time.Second}
	defer client.CloseIdleConnections()
	var took []time.Duration
	follow := func(k *keyed, want int) {
		t.Helper()
		began := time.Now()
		for _, n := range c.nodes {
			within(t, 5*time.Second, fmt.Sprintf("node %s answers %d", n.name, want), func() bool {
				status, _, _ := post(ctx, client, n.url()+k.path, k.value)
				return status == want
			})
		}
		took = append(took, time.Since(began))
	}
	for i := range 10 {
		n := c.nodes[i%len(c.nodes)]
		f.sdk = n.sdk()
		k := f.addKey(ctx, plan, fmt.Sprint("followed-", i))
		follow(k, 200)
		for _, enabled := range []string{"false", "true"} {
			_, err := f.agw.UpdateApiKey(ctx, &apigateway.UpdateApiKeyInput{ApiKey: &k.id, PatchOperations: []agw.PatchOperation{{Op: agw.OpReplace, Path: aws.String("/enabled"), Value: &enabled}}})
			must(t, 0, err)
			follow(k, map[string]int{"false": 403, "true": 200}[enabled])
		}
		_, err := f.agw.DeleteApiKey(ctx, &apigateway.DeleteApiKeyInput{ApiKey: &k.id})
		must(t, 0, err)
		follow(k, 403)
	}
	slices.Sort(took)
	t.Logf("%d changes were in force on all nodes after: median %s, longest %s", len(took), took[len(took)/2], took[len(took)-1])
	if longest := took[len(took)-1]; longest > heard {
		t.Errorf("a change took %s until it was in force on all nodes", longest)
	}
}
