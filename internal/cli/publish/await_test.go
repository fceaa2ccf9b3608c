package publish

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestAKeyIsWaitedFor: a stage that is not there yet, a key that is not known
// yet, and then the first answer that is no refusal of the key.
func TestAKeyIsWaitedFor(t *testing.T) {
	for _, last := range []int{200, 429, 502} {
		statuses := []int{403, 403, last}
		asked := 0
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodPut || r.Header.Get("X-Api-Key") != "value" {
				t.Errorf("asked with %s and %q", r.Method, r.Header.Get("X-Api-Key"))
			}
			w.WriteHeader(statuses[asked])
			_, _ = io.WriteString(w, `{"message":"Forbidden"}`)
			asked++
		}))
		defer s.Close()
		var told []string
		waits := 0
		err := awaitKey(t.Context(), s.Client(), "PUT", s.URL, "value", 5,
			func(context.Context, time.Duration) error { waits++; return nil },
			func(why string) { told = append(told, why) })
		if err != nil || asked != 3 || waits != 2 || len(told) != 2 || told[0] != `403 {"message":"Forbidden"}` {
			t.Errorf("until %d: %v after %d questions and %d waits; told %q", last, err, asked, waits, told)
		}
	}
}

func TestWaitingForAKeyEnds(t *testing.T) {
	client := &http.Client{Transport: lost{}}
	asks := 0
	err := awaitKey(t.Context(), client, "GET", "https://abc.execute-api.eu-central-1.amazonaws.com/x", "value", 4,
		func(context.Context, time.Duration) error { return nil }, func(string) { asks++ })
	if err == nil || asks != 4 || !strings.Contains(err.Error(), "the line is cut") || strings.Contains(err.Error(), "value") {
		t.Errorf("after %d questions: %v", asks, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := awaitKey(ctx, client, "GET", "https://abc/x", "value", 4, pause, func(string) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("after Ctrl-C: %v", err)
	}
}

type lost struct{}

func (lost) RoundTrip(*http.Request) (*http.Response, error) { return nil, errLost }

func TestEndpoint(t *testing.T) {
	p := Publication{APIID: "abc", Region: "eu-west-1", Stage: "live", Path: "/x"}
	if got := Endpoint(p); got != "https://abc.execute-api.eu-west-1.amazonaws.com/live/x" {
		t.Error(got)
	}
	p.Region = "cn-north-1"
	if got := Endpoint(p); got != "https://abc.execute-api.cn-north-1.amazonaws.com.cn/live/x" {
		t.Error(got)
	}
}
