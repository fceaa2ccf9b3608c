//go:build unix

package main

import (
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// As a peer this test binary is a gateway that lets the first so many calls in.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "gate" {
		most, _ := strconv.ParseInt(os.Args[3], 10, 64)
		var admitted atomic.Int64
		http.ListenAndServe("127.0.0.1:"+os.Args[2], http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if admitted.Add(1) > most {
				w.WriteHeader(http.StatusTooManyRequests)
			}
		}))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// A gateway that counts to 20 and forgets when it is restarted.
func TestOvershootIsSeen(t *testing.T) {
	for event, want := range map[string]string{"none": " | 20 | 20 | within", "restart": " | 40 | 20 | **40 of 20.0 in"} {
		p := &Peer{Name: "gate", Start: []string{os.Args[0], "gate", "@PORT@", "20"}, Kill: "KILL", URL: "http://127.0.0.1:@PORT@/", Method: "GET"}
		r := run{peer: p, limit: "minute", burst: 20, event: event, clients: 8, pause: 10 * time.Millisecond, lasts: 4 * time.Second, words: map[string]string{}}
		row, err := r.play(t.Context())
		if err != nil || !strings.Contains(row, want) {
			t.Errorf("%s: %q, %v; want %q", event, row, err, want)
		}
	}
}

func TestPeersAreComplete(t *testing.T) {
	peers, err := readPeers("")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range peers {
		if len(p.Start) == 0 || p.URL == "" || p.Method == "" || signals[p.Kill] == 0 || (len(p.Reload) == 0 && signals[p.Signal] == 0) {
			t.Errorf("%+v", p)
		}
	}
}
