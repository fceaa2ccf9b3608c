package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	agw "github.com/aws/aws-sdk-go-v2/service/apigateway/types"
)

// callsOf is what clients saw of one key.
type callsOf struct {
	admitted, unanswered atomic.Int64
}

// TestKillNineWithManyKeys kills the server at random moments while clients
// call 10,000 keys, one of which has half of the calls. Key by key: what was
// admitted is never forgotten, the ledger never counts more than what was asked,
// and a kill costs a key the sixteenth part of its quota at most. After a clean
// stop the ledger's numbers are the clients', to the call.
func TestKillNineWithManyKeys(t *testing.T) {
	t.Parallel()
	awayFromMidnight(t, time.Minute)
	const (
		keys    = 10_000
		quota   = 20_000
		clients = 12
	)
	data := filepath.Join(t.TempDir(), "data")
	s := start(t, data)
	ctx := t.Context()
	g := newGate(ctx, newSDK(t, s), mock(), 100000, 10000, quota)
	values := make([]string, keys)
	ids := make([]string, keys)
	values[0], ids[0] = g.keyValue, g.key
	var file strings.Builder
	file.WriteString("name,key,enabled,usageplanids\n")
	for i := 1; i < keys; i++ {
		values[i] = fmt.Sprintf("manykeys%032d", i)
		fmt.Fprintf(&file, "k%d,%s,true,%s\n", i, values[i], g.plan)
	}
	in, err := g.agw.ImportApiKeys(ctx, &apigateway.ImportApiKeysInput{Body: []byte(file.String()), Format: agw.ApiKeysFormatCsv})
	must(t, in, err)
	if len(in.Ids) != keys-1 {
		t.Fatalf("%d keys imported, %v", len(in.Ids), in.Warnings)
	}
	copy(ids[1:], in.Ids)

	seen := make([]callsOf, keys)
	// load calls until stop, and returns how many calls each life admitted.
	load := func(stop chan struct{}) (admitted *atomic.Int64, done *sync.WaitGroup) {
		admitted, done = &atomic.Int64{}, &sync.WaitGroup{}
		for range clients {
			done.Go(func() {
				client := &http.Client{Transport: &http.Transport{}, Timeout: 10 * time.Second}
				defer client.CloseIdleConnections()
				for {
					k := 0
					if rand.IntN(2) == 0 {
						k = rand.IntN(keys)
					}
					status, body := g.call(client, values[k])
					stopped := false
					select {
					case <-stop:
						stopped = true
					default:
					}
					switch {
					case status == 200:
						seen[k].admitted.Add(1)
						admitted.Add(1)
					case status == 0 && stopped:
						seen[k].unanswered.Add(1)
					case status == 429 && body == `{"message":"Too Many Requests"}`: // buckets begin empty
					default:
						t.Errorf("key %d: %d %s", k, status, body)
						return
					}
					if stopped {
						return
					}
				}
			})
		}
		return admitted, done
	}

	const lives = 3
	for range lives {
		stop := make(chan struct{})
		admitted, done := load(stop)
		goal := int64(200 + rand.IntN(800))
		within(t, 30*time.Second, "calls admitted", func() bool { return admitted.Load() >= goal || t.Failed() })
		close(stop) // from here on a call may stay unanswered
		s.kill(t)
		done.Wait()
		if t.Failed() {
			return
		}
		s = start(t, data)
		g.sdk = newSDK(t, s)
	}
	check := func(exact bool, before map[string][2]int64, since []int64) map[string][2]int64 {
		now := g.usageOfAll()
		for k, id := range ids {
			admitted, unanswered := seen[k].admitted.Load(), seen[k].unanswered.Load()
			used, gone := now[id][0], quota-now[id][1]
			if used > admitted+unanswered || gone < admitted || gone > admitted+unanswered+lives*quota/16 {
				t.Errorf("key %d: clients saw %d admitted and %d unanswered; the ledger has %d used and %d gone", k, admitted, unanswered, used, gone)
			}
			if exact && used-before[id][0] != admitted-since[k] {
				t.Errorf("key %d: %d admitted since, the ledger counts %d", k, admitted-since[k], used-before[id][0])
			}
		}
		return now
	}
	before := check(false, nil, nil)
	since := make([]int64, keys)
	for k := range seen {
		since[k] = seen[k].admitted.Load()
	}

	stop := make(chan struct{})
	admitted, done := load(stop)
	within(t, 30*time.Second, "calls admitted", func() bool { return admitted.Load() >= 500 || t.Failed() })
	close(stop)
	done.Wait()
	s.stop(t)
	s = start(t, data)
	g.sdk = newSDK(t, s)
	check(true, before, since)
	t.Logf("%d admitted since the last kill, %d of them with one key", admitted.Load(), seen[0].admitted.Load()-since[0])
}

// usageOfAll is what get-usage says of every key of the gate's plan today: used
// and remaining.
func (g *gate) usageOfAll() map[string][2]int64 {
	g.t.Helper()
	today := aws.String(time.Now().UTC().Format(time.DateOnly))
	in := &apigateway.GetUsageInput{UsagePlanId: &g.plan, StartDate: today, EndDate: today, Limit: aws.Int32(500)}
	all := map[string][2]int64{}
	for pages := apigateway.NewGetUsagePaginator(g.agw, in); pages.HasMorePages(); {
		page, err := pages.NextPage(g.t.Context())
		must(g.t, page, err)
		for id, days := range page.Items {
			if len(days) == 1 && len(days[0]) == 2 {
				all[id] = [2]int64{days[0][0], days[0][1]}
			}
		}
	}
	return all
}
