package e2e

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	agw "github.com/aws/aws-sdk-go-v2/service/apigateway/types"

	"weir/internal/limit/limittest"
)

// field is an API with one method, POST /call, behind a key, and as many plans
// and keys on it as a test wants.
type field struct {
	*sdk
	api string
}

// keyed is a key in a plan.
type keyed struct {
	plan, id, value string
	path            string // of the method, on any node
}

// A throttle that no test's clients reach.
const noRate, noBurst = 10000, 5000

// newField makes an API that answers by itself, so that nothing but the
// decision is loaded.
func newField(ctx context.Context, c *sdk) *field {
	c.t.Helper()
	return &field{sdk: c, api: newGate(ctx, c, mock(), 1, 1, 1).api}
}

// addPlan makes a plan on the field's stage. A quota of 0 is none.
func (f *field) addPlan(ctx context.Context, name string, rate float64, burst, quota int32) (id string) {
	f.t.Helper()
	in := &apigateway.CreateUsagePlanInput{
		Name: &name, Throttle: &agw.ThrottleSettings{RateLimit: rate, BurstLimit: burst},
		ApiStages: []agw.ApiStage{{ApiId: &f.api, Stage: aws.String("live")}},
	}
	if quota > 0 {
		in.Quota = &agw.QuotaSettings{Limit: quota, Period: agw.QuotaPeriodTypeDay}
	}
	plan, err := f.agw.CreateUsagePlan(ctx, in)
	must(f.t, plan, err)
	return *plan.Id
}

// addKey makes a key in a plan.
func (f *field) addKey(ctx context.Context, plan, name string) *keyed {
	f.t.Helper()
	key, err := f.agw.CreateApiKey(ctx, &apigateway.CreateApiKeyInput{Name: &name, Enabled: true})
	must(f.t, key, err)
	f.s.hidden = append(f.s.hidden, *key.Value)
	_, err = f.agw.CreateUsagePlanKey(ctx, &apigateway.CreateUsagePlanKeyInput{UsagePlanId: &plan, KeyId: key.Id, KeyType: aws.String("API_KEY")})
	must(f.t, 0, err)
	return &keyed{plan: plan, id: *key.Id, value: *key.Value, path: "/_aws/execute-api/" + f.api + "/live/call"}
}

// addKeys makes many keys in a plan, from a file.
func (f *field) addKeys(ctx context.Context, plan, name string, n int) (keys []*keyed) {
	f.t.Helper()
	const most = 5000 // of one file
	for from := 0; from < n; from += most {
		file := new(strings.Builder)
		file.WriteString("name,key,enabled,usageplanids\n")
		for i := from; i < min(from+most, n); i++ {
			k := &keyed{plan: plan, value: rand.Text() + rand.Text(), path: "/_aws/execute-api/" + f.api + "/live/call"}
			fmt.Fprintf(file, "%s-%d,%s,true,%s\n", name, i, k.value, plan)
			keys = append(keys, k)
		}
		out, err := f.agw.ImportApiKeys(ctx, &apigateway.ImportApiKeysInput{Body: []byte(file.String()), Format: agw.ApiKeysFormatCsv, FailOnWarnings: true})
		must(f.t, out, err)
		for i, id := range out.Ids {
			keys[from+i].id = id
		}
	}
	return keys
}

// recorder is what clients saw of each key, whichever node they asked.
type recorder struct {
	limittest.History // of what was surely admitted

	mu   sync.Mutex
	seen map[string]*tally // by key id
}

// tally is what clients saw of one key.
type tally struct {
	admitted int64
	unknown  int64            // no answer came: admitted or not
	refused  map[string]int64 // by what the answer said
	odd      []string         // answers that nothing explains
}

// call makes one call with a key and records what came of it.
func (r *recorder) call(ctx context.Context, client *http.Client, gateway string, k *keyed) (status int, body string) {
	start := time.Now()
	status, body, sent := post(ctx, client, gateway+k.path, k.value)
	end := time.Now()
	if status == 200 {
		r.Admit(start, end, k.id, k.id)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := r.of(k)
	switch {
	case status == 200:
		seen.admitted++
	case status == 0 && sent:
		seen.unknown++
	case status == 0: // nobody listened
	case status == 429 || status == 403:
		seen.refused[body]++
	default:
		seen.odd = append(seen.odd, body)
	}
	return status, body
}

// of needs r.mu.
func (r *recorder) of(k *keyed) *tally {
	if r.seen == nil {
		r.seen = map[string]*tally{}
	}
	if r.seen[k.id] == nil {
		r.seen[k.id] = &tally{refused: map[string]int64{}}
	}
	return r.seen[k.id]
}

// sum gives what clients saw of a key until now.
func (r *recorder) sum(k *keyed) (admitted, unknown int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := r.of(k)
	return seen.admitted, seen.unknown
}

// post makes one call. The status is 0 when no answer came; sent tells whether
// the call may have arrived all the same.
func post(ctx context.Context, client *http.Client, url, key string) (status int, body string, sent bool) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(`{}`))
	if err != nil {
		return 0, err.Error(), false
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Api-Key", key)
	res, err := client.Do(req)
	if err != nil {
		var op *net.OpError
		return 0, err.Error(), !errors.As(err, &op) || op.Op != "dial"
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error(), true
	}
	return res.StatusCode, string(text), true
}

// explained fails the test when what was admitted cannot be explained by what
// the limits were, or an answer by anything.
func (r *recorder) explained(t *testing.T) {
	t.Helper()
	for _, excess := range r.Check() {
		t.Errorf("over: %s", excess)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, seen := range r.seen {
		if n := len(seen.odd); n > 0 {
			t.Errorf("key %s: %d answers that are none of a gate's: %s", id, n, seen.odd[0])
		}
	}
}

// load is clients that call until they are told to stop.
type load struct {
	cancel context.CancelFunc
	ended  sync.WaitGroup
}

// start lets a number of clients call keys by turns, each with a pause between
// two calls. where gives the gateway URL to ask, "" while there is none.
func (r *recorder) start(ctx context.Context, clients int, pause time.Duration, where func() string, keys ...*keyed) *load {
	ctx, cancel := context.WithCancel(ctx)
	l := &load{cancel: cancel}
	for n := range clients {
		l.ended.Go(func() {
			client := &http.Client{Transport: &http.Transport{}, Timeout: 8 * time.Second}
			defer client.CloseIdleConnections()
			for i := n * len(keys) / clients; ctx.Err() == nil; i++ {
				status := 0
				if gateway := where(); gateway != "" {
					// A call that is under way when the load ends is finished.
					status, _ = r.call(context.WithoutCancel(ctx), client, gateway, keys[i%len(keys)])
				}
				wait := pause
				if status == 0 {
					wait = max(pause, 50*time.Millisecond) // nobody is there
				}
				select {
				case <-ctx.Done():
				case <-time.After(wait):
				}
			}
		})
	}
	return l
}

// stop waits until every client has its last answer.
func (l *load) stop() {
	l.cancel()
	l.ended.Wait()
}
