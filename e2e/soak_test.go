package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	agw "github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

// soakTime is how long TestSoak loads a server: SOAK=10m, or 20 s.
func soakTime(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("SOAK")
	if text == "" {
		return 20 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 10*time.Second {
		t.Fatalf("SOAK=%s: give a duration of at least 10s, such as 10m", text)
	}
	return d
}

// TestSoak loads a server with good, bad and slow clients while it is changed,
// and holds at the end that nothing grew, that every count adds up, and that
// the server had nothing to complain of.
func TestSoak(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("skipped: what a process holds is read from /proc")
	}
	tool(t, "python3")
	took := soakTime(t)
	awayFromMidnight(t, took+3*time.Minute)
	s := newSoak(t)
	records := s.follow()

	warm := min(took/4, time.Minute)
	s.load(warm)
	before := s.settled(nil)
	t.Logf("after %s of warming up: %s", warm, before)
	s.load(took - warm)
	after := s.settled(&before)
	t.Logf("after %s of load: %s", took, after)

	if after.files > before.files+10+after.startedSince(before) {
		t.Errorf("open files: %d after warming up, %d at the end", before.files, after.files)
	}
	// A short run is still filling its caches when it ends.
	if most := before.live*3/2 + 16<<20; after.live > most {
		t.Errorf("live heap: %d MiB after warming up, %d MiB at the end", before.live>>20, after.live>>20)
	}
	if most := before.anonymous*13/10 + 32<<20; after.anonymous > most {
		t.Errorf("memory: %d MiB after warming up, %d MiB at the end", before.anonymous>>20, after.anonymous>>20)
	}
	s.countsAddUp(records)
	s.s.stop(t)
	for line := range strings.Lines(s.s.log.String()) {
		if strings.Contains(line, "level=ERROR") || strings.Contains(line, "panic") {
			t.Errorf("the server logged: %s", line)
		}
	}
}

// soakKey is a key of its own for each kind of client.
type soakKey struct{ id, value, plan string }

// soak is an API with a mock and a function behind keys, and what its clients
// have seen.
type soak struct {
	*gate
	function string   // URL
	zips     [][]byte // the function's code, in turn
	keys     map[string]soakKey
	pid      int
	began    time.Time // before the first call

	mu   sync.Mutex
	seen map[string]map[int]int64 // kind of client → status → answers; 0 is none
}

const (
	spentQuota = 40
	fastRate   = 5
)

func newSoak(t *testing.T) *soak {
	t.Helper()
	srv := start(t, filepath.Join(t.TempDir(), "data"), "--log-level", "info",
		"--header-timeout", "2s", "--body-timeout", "2s", "--idle-timeout", "5s", "--max-connections-per-address", "500")
	c := newSDK(t, srv)
	ctx := t.Context()
	s := &soak{keys: map[string]soakKey{}, seen: map[string]map[int]int64{}, began: time.Now(), pid: srv.cmd.Process.Pid}
	for n := range 2 {
		s.zips = append(s.zips, zipped(t, "stamp.py", fmt.Sprintf("def handler(e, c):\n    return {'statusCode': 200, 'body': 'code %d'}\n", n)))
	}
	arn := c.createFunction(ctx, "stamp", "python3.12", "stamp.handler", s.zips[0])
	s.gate = newGate(ctx, c, mock(), 10000, 5000, 50_000_000)
	s.addFunction(ctx, arn)
	for _, kind := range []string{"good", "function", "half", "aborted"} {
		s.keys[kind] = s.addKey(ctx, kind, s.plan)
	}
	s.keys["fast"] = s.addKey(ctx, "fast", s.addPlan(ctx, "fast", fastRate, fastRate, 50_000_000))
	s.keys["spent"] = s.addKey(ctx, "spent", s.addPlan(ctx, "spent", 10000, 5000, spentQuota))
	return s
}

func (s *soak) addFunction(ctx context.Context, arn string) {
	api, err := s.agw.GetRestApi(ctx, &apigateway.GetRestApiInput{RestApiId: &s.api})
	must(s.t, api, err)
	r, err := s.agw.CreateResource(ctx, &apigateway.CreateResourceInput{RestApiId: &s.api, ParentId: api.RootResourceId, PathPart: aws.String("fn")})
	must(s.t, r, err)
	_, err = s.agw.PutMethod(ctx, &apigateway.PutMethodInput{RestApiId: &s.api, ResourceId: r.Id, HttpMethod: aws.String("POST"), AuthorizationType: aws.String("NONE"), ApiKeyRequired: true})
	must(s.t, 0, err)
	in := proxy(arn)
	in.RestApiId, in.ResourceId, in.HttpMethod = &s.api, r.Id, aws.String("POST")
	_, err = s.agw.PutIntegration(ctx, in)
	must(s.t, 0, err)
	_, err = s.lambda.AddPermission(ctx, &lambda.AddPermissionInput{
		FunctionName: aws.String("stamp"), StatementId: aws.String("gateway"), Action: aws.String("lambda:InvokeFunction"), Principal: aws.String("apigateway.amazonaws.com"),
	})
	must(s.t, 0, err)
	s.function = strings.TrimSuffix(s.url(), "/call") + "/fn"
	s.deploy(ctx)
}

func (s *soak) deploy(ctx context.Context) (id string) {
	s.t.Helper()
	d, err := s.agw.CreateDeployment(ctx, &apigateway.CreateDeploymentInput{RestApiId: &s.api, StageName: aws.String("live")})
	must(s.t, d, err)
	return *d.Id
}

func (s *soak) addPlan(ctx context.Context, name string, rate float64, burst, quota int32) (id string) {
	p, err := s.agw.CreateUsagePlan(ctx, &apigateway.CreateUsagePlanInput{
		Name: &name, Throttle: &agw.ThrottleSettings{RateLimit: rate, BurstLimit: burst},
		Quota:     &agw.QuotaSettings{Limit: quota, Period: agw.QuotaPeriodTypeDay},
		ApiStages: []agw.ApiStage{{ApiId: &s.api, Stage: aws.String("live")}},
	})
	must(s.t, p, err)
	return *p.Id
}

func (s *soak) addKey(ctx context.Context, name, plan string) soakKey {
	k, err := s.agw.CreateApiKey(ctx, &apigateway.CreateApiKeyInput{Name: &name, Enabled: true})
	must(s.t, k, err)
	_, err = s.agw.CreateUsagePlanKey(ctx, &apigateway.CreateUsagePlanKeyInput{UsagePlanId: &plan, KeyId: k.Id, KeyType: aws.String("API_KEY")})
	must(s.t, 0, err)
	return soakKey{*k.Id, *k.Value, plan}
}

// own asks one of weir's own routes, signed by root.
func (s *server) own(ctx context.Context, t *testing.T, target string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.control+target, nil)
	must(t, req, err)
	sum := sha256.Sum256(nil)
	must(t, 0, v4.NewSigner().SignHTTP(ctx, aws.Credentials{AccessKeyID: s.keyID, SecretAccessKey: s.secret},
		req, hex.EncodeToString(sum[:]), "weir", s.region, time.Now()))
	res, err := http.DefaultClient.Do(req)
	must(t, res, err)
	if res.StatusCode != 200 {
		t.Fatalf("%s: %s", target, res.Status)
	}
	return res
}

// held is what the server's process holds at one time.
type held struct {
	goroutines, files, children int
	live, anonymous             int64 // bytes; of the heap, and resident without mapped files
}

func (h held) String() string {
	return fmt.Sprintf("%d goroutines, %d open files, %d function processes, %.1f MiB live heap, %.1f MiB resident without files",
		h.goroutines, h.files, h.children, float64(h.live)/(1<<20), float64(h.anonymous)/(1<<20))
}

// startedSince is what the function processes that one sample has more than
// the other may take of weir's files, and of its goroutines: pipes and the
// Runtime API's sockets, eight at most for each.
func (h held) startedSince(before held) int { return 8 * max(0, h.children-before.children) }

func (s *soak) held() held {
	s.t.Helper()
	res := s.s.own(s.t.Context(), s.t, "/_weir/stats")
	defer res.Body.Close()
	var stats struct{ Goroutines, LiveBytes int64 }
	must(s.t, 0, json.NewDecoder(res.Body).Decode(&stats))
	h := held{goroutines: int(stats.Goroutines), live: stats.LiveBytes}
	proc := "/proc/" + strconv.Itoa(s.pid)
	files, err := os.ReadDir(proc + "/fd")
	must(s.t, files, err)
	h.files = len(files)
	status, err := os.ReadFile(proc + "/status")
	must(s.t, status, err)
	_, rest, _ := bytes.Cut(status, []byte("RssAnon:"))
	kib, err := strconv.ParseInt(string(bytes.Fields(rest)[0]), 10, 64)
	must(s.t, kib, err)
	h.anonymous = kib << 10
	tasks, err := os.ReadDir(proc + "/task")
	must(s.t, tasks, err)
	for _, task := range tasks { // a process is the child of the thread that began it
		children, _ := os.ReadFile(proc + "/task/" + task.Name() + "/children")
		h.children += len(bytes.Fields(children))
	}
	return h
}

// settled waits until what the load held for a moment is let go: connections,
// and the goroutines of calls. With a level to come back to it fails when that
// is not reached within 40 s.
func (s *soak) settled(level *held) held {
	s.t.Helper()
	if level == nil {
		// The engine keeps idle workers for ten seconds.
		time.Sleep(12 * time.Second)
		return s.held()
	}
	now := s.held()
	for end := time.Now().Add(40 * time.Second); now.goroutines > level.goroutines+10+now.startedSince(*level); now = s.held() {
		if time.Now().After(end) {
			s.t.Errorf("goroutines: %d after warming up, %d at the end", level.goroutines, now.goroutines)
			break
		}
		time.Sleep(time.Second)
	}
	return now
}

// recorded is what the server's own records say, by kind of client and status.
type recorded struct {
	mu   sync.Mutex
	seen map[string]map[int]int64
	lost int64
}

// refusedAs is which clients are refused before there is a request, and why.
var refusedAs = map[string]string{"MALFORMED_REQUEST": "malformed", "REQUEST_TIMEOUT": "slow", "INCOMPLETE_REQUEST": "aborted"}

// follow reads every record from now on.
func (s *soak) follow() *recorded {
	r := &recorded{seen: map[string]map[int]int64{}}
	res := s.s.own(s.t.Context(), s.t, "/_weir/requests?follow=true&limit=0")
	s.t.Cleanup(func() { res.Body.Close() })
	go func() {
		lines := bufio.NewScanner(res.Body)
		for lines.Scan() {
			var line struct {
				UserAgent, Reason string
				Status            int
				Lost              int64
			}
			if json.Unmarshal(lines.Bytes(), &line) != nil {
				continue // the stream's sign of life
			}
			r.mu.Lock()
			r.lost += line.Lost
			kind := line.UserAgent
			if kind == "" { // what is no request has nothing of the caller in its record
				kind = refusedAs[line.Reason]
			}
			count(r.seen, kind, line.Status)
			r.mu.Unlock()
		}
	}()
	return r
}

func count(seen map[string]map[int]int64, kind string, status int) {
	if seen[kind] == nil {
		seen[kind] = map[int]int64{}
	}
	seen[kind][status]++
}
