package e2e

import (
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
)

// TestKillNineForgetsNothing kills the server under load, again and again, and
// counts with its own clients: what was admitted is never forgotten, what was
// in flight may be counted though unanswered, and the quota is never exceeded
// by one call over all its lives. What each of them held ahead is lost: the
// sixteenth part of what was left at most.
func TestKillNineForgetsNothing(t *testing.T) {
	t.Parallel()
	awayFromMidnight(t, time.Minute)
	const (
		quota   = 5000
		clients = 8
	)
	data := filepath.Join(t.TempDir(), "data")
	s := start(t, data)
	ctx := t.Context()
	g := newGate(ctx, newSDK(t, s), mock(), 100000, 10000, quota)

	var admitted, unanswered atomic.Int64
	var lost int64 // at most, by the kills so far
	for life := range 3 {
		goal := admitted.Load() + 200
		var clientsDone sync.WaitGroup
		killed := make(chan struct{})
		for range clients {
			clientsDone.Go(func() {
				client := &http.Client{Transport: &http.Transport{}, Timeout: 10 * time.Second}
				defer client.CloseIdleConnections()
				for {
					status, body := g.call(client, g.keyValue)
					switch {
					case status == 200:
						admitted.Add(1)
					case status == 0:
						select {
						case <-killed:
							unanswered.Add(1)
							return
						default:
							t.Errorf("no answer before the kill: %s", body)
							return
						}
					case status == 429 && body == `{"message":"Too Many Requests"}`:
						// after an unclean stop buckets begin empty
					default:
						t.Errorf("life %d: %d %s", life, status, body)
						return
					}
				}
			})
		}
		within(t, 30*time.Second, "two hundred admitted calls", func() bool { return admitted.Load() >= goal || t.Failed() })
		close(killed) // from here on a call may stay unanswered
		s.kill(t)
		clientsDone.Wait()
		if t.Failed() {
			return
		}
		s = start(t, data)
		g.sdk = newSDK(t, s)
		lost += (quota - admitted.Load()) / 16
		used, remaining := g.usedToday(ctx)
		if least, most := admitted.Load(), admitted.Load()+unanswered.Load(); used > most || quota-remaining < least || quota-remaining > most+lost {
			t.Fatalf("life %d: clients saw %d admitted and %d unanswered, the ledger says %d used and %d remaining; %d may be lost",
				life, least, unanswered.Load(), used, remaining, lost)
		}
		key, err := g.agw.GetApiKey(ctx, &apigateway.GetApiKeyInput{ApiKey: &g.key, IncludeValue: aws.Bool(true)})
		must(t, key, err)
		if *key.Value != g.keyValue || !key.Enabled {
			t.Fatalf("life %d: the key came back as %+v", life, key)
		}
	}

	// A clean stop and start in between changes nothing either.
	before, _ := g.usedToday(ctx)
	s.stop(t)
	s = start(t, data)
	g.sdk = newSDK(t, s)
	if after, _ := g.usedToday(ctx); after != before {
		t.Fatalf("used %d before a clean stop, %d after", before, after)
	}
	g.exhaust(&admitted)
	if _, remaining := g.usedToday(ctx); remaining != 0 {
		t.Errorf("at the end the ledger says that %d remain", remaining)
	}
	if total := admitted.Load(); total > quota || total+unanswered.Load()+lost < quota {
		t.Errorf("clients saw %d admitted and %d unanswered of a quota of %d, and %d may be lost", total, unanswered.Load(), quota, lost)
	} else {
		t.Logf("%d of %d admitted, %d unanswered; %d might have been lost", total, quota, unanswered.Load(), lost)
	}
}

// exhaust calls until the quota is used up.
func (g *gate) exhaust(admitted *atomic.Int64) {
	g.t.Helper()
	for range 100000 {
		status, body := g.call(http.DefaultClient, g.keyValue)
		switch {
		case status == 200:
			admitted.Add(1)
		case status == 429 && body == `{"message":"Limit Exceeded"}`:
			return
		case status == 429 && body == `{"message":"Too Many Requests"}`:
		default:
			g.t.Fatalf("%d %s", status, body)
		}
	}
	g.t.Fatal("the quota never ends")
}
