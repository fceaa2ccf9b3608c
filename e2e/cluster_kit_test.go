package e2e

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"weir/internal/store/storetest"
)

// cluster is several nodes on one PostgreSQL, each with a data folder and a
// link to the database of its own.
type cluster struct {
	t        *testing.T
	postgres *storetest.Postgres
	database string // the database's URL, past every link
	secret   string // file
	nodes    []*node
}

// node is one weir of a cluster, through all its lives.
type node struct {
	*server  // of the present life
	cluster  *cluster
	name     string
	folder   string
	link     *storetest.Link
	database string // as this node reaches it
	flags    []string
	gateway  atomic.Pointer[string] // for callers; nil while there is no server
}

// newCluster starts PostgreSQL and n nodes.
func newCluster(t *testing.T, n int, flags ...string) *cluster {
	t.Helper()
	c := &cluster{t: t, postgres: storetest.StartPostgres(t, "log_statement=none", "max_connections=100")}
	c.database = c.postgres.Database(t)
	c.secret = filepath.Join(t.TempDir(), "weir.secret")
	if out, err := exec.Command(binary, "secret", "create", c.secret).CombinedOutput(); err != nil {
		t.Fatalf("weir secret create: %v\n%s", err, out)
	}
	for i := range n {
		link := storetest.NewLink(t, c.postgres.Addr())
		c.nodes = append(c.nodes, &node{
			cluster: c, name: string(rune('A' + i)), folder: filepath.Join(t.TempDir(), "data"), link: link,
			database: link.URL(c.database), flags: flags,
		})
	}
	for _, n := range c.nodes {
		n.begin()
	}
	for _, n := range c.nodes {
		n.await()
	}
	return c
}

// begin starts a node's process.
func (n *node) begin() {
	n.cluster.t.Helper()
	n.server = begin(n.cluster.t, n.folder, n.command(n.flags...))
	n.hidden = append(n.hidden, hiddenDatabase(n.database)...)
}

// await waits until the node answers.
func (n *node) await() {
	n.cluster.t.Helper()
	n.find(n.cluster.t)
	gateway := n.server.gateway
	n.gateway.Store(&gateway)
}

// start begins a node's next life and waits until it answers.
func (n *node) start() {
	n.cluster.t.Helper()
	n.begin()
	n.await()
}

// command is the node's command line. The URL holds a password, so it is in
// the environment, as it should be for others.
func (n *node) command(flags ...string) *exec.Cmd {
	cmd := exec.Command(binary, serveLine(n.folder, append([]string{"--secret-file", n.cluster.secret}, flags...)...)...)
	cmd.Env = append(os.Environ(), "WEIR_DATABASE="+n.database)
	return cmd
}

// hiddenDatabase is what nothing may tell of a database's URL.
func hiddenDatabase(text string) []string {
	u, err := url.Parse(text)
	if err != nil {
		return nil
	}
	encoded := strings.TrimPrefix(u.User.String(), u.User.Username()+":")
	return []string{storetest.PostgresPassword, encoded}
}

// url is where callers reach the node now, "" while it has no server.
func (n *node) url() string {
	if g := n.gateway.Load(); g != nil {
		return *g
	}
	return ""
}

// leave stops the node's server cleanly.
func (n *node) leave() {
	n.cluster.t.Helper()
	n.gateway.Store(nil)
	n.server.stop(n.cluster.t)
}

// sdk drives the node's management APIs.
func (n *node) sdk() *sdk { return newSDK(n.cluster.t, n.server) }

// heard is how long after a change's call has returned the last node acts by
// it, when its link stands.
const heard = time.Second

// usage is what get-usage says of a key today.
type usage struct{ used, remaining int64 }

func (n *node) usage(ctx context.Context, k *keyed) usage {
	n.cluster.t.Helper()
	today := aws.String(time.Now().UTC().Format(time.DateOnly))
	u, err := n.sdk().agw.GetUsage(ctx, &apigateway.GetUsageInput{UsagePlanId: &k.plan, KeyId: &k.id, StartDate: today, EndDate: today})
	must(n.cluster.t, u, err)
	days := u.Items[k.id]
	if len(days) != 1 || len(days[0]) != 2 {
		n.cluster.t.Fatalf("get-usage of one key and day = %v", u.Items)
	}
	return usage{days[0][0], days[0][1]}
}

// askReady asks a node whether it can work.
func (n *node) askReady(t *testing.T) (status int, body string) {
	t.Helper()
	return get(t, n.control+"/_weir/ready")
}

// pass lets time go by while the clients load.
func pass(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// get asks for a URL of weir's own that needs no signature.
func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	res, err := client.Get(url)
	must(t, res, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	must(t, text, err)
	return res.StatusCode, string(text)
}

// session drives the node's STS with a function's credentials.
func (n *node) session(environment map[string]string) *sts.Client {
	return sts.NewFromConfig(aws.Config{
		Region: n.region, BaseEndpoint: aws.String(n.control), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"], environment["AWS_SESSION_TOKEN"]),
	})
}
