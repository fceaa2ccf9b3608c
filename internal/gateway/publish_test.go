package gateway

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"weir/internal/catalog"
)

func TestPublishWhileServing(t *testing.T) {
	r := newRig(t, ServerOptions{})
	with, without := resources(), resources()[:3]
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			c, err := net.Dial("tcp", r.addr)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			br := bufio.NewReader(c)
			for {
				select {
				case <-done:
					return
				default:
				}
				_, _ = io.WriteString(c, request("GET /prod/items/7", ""))
				resp, err := http.ReadResponse(br, nil)
				if err != nil {
					t.Error(err)
					return
				}
				text, _ := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if !(resp.StatusCode == 200 && string(text) == "hello") && !(resp.StatusCode == 403 && bytes.Contains(text, []byte("Missing Authentication Token"))) {
					t.Errorf("got %d %s", resp.StatusCode, text)
					return
				}
			}
		}()
	}
	for i := range 200 {
		r.publish([][]catalog.Resource{with, without}[i%2], nil)
	}
	close(done)
	wg.Wait()
}

func TestRemovedStageAndRejectedChange(t *testing.T) {
	r := newRig(t, ServerOptions{})
	bad := []catalog.Resource{{APIID: "abc123", ID: "x", Path: "/{a+}/b", Methods: map[string]*catalog.Method{}}}
	if _, err := r.gateway.Prepare([]StageChange{
		{APIID: "abc123", StageName: "prod"},
		{APIID: "abc123", StageName: "dev", Stage: &catalog.Stage{APIID: "abc123", StageName: "dev"}, Deployment: &catalog.Deployment{Resources: bad}},
	}); err == nil || !strings.Contains(err.Error(), "dev") {
		t.Errorf("a deployment that cannot be routed: %v", err)
	}
	if _, err := r.gateway.Prepare([]StageChange{{APIID: "abc123", StageName: "dev", Stage: &catalog.Stage{}}}); err == nil {
		t.Error("a stage without a deployment was compiled")
	}
	if got := r.wire(request("GET /prod", "")); status(got) != "200" {
		t.Errorf("after a rejected change: got %q", got)
	}
	publish, err := r.gateway.Prepare([]StageChange{{APIID: "abc123", StageName: "prod"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.wire(request("GET /prod", "")); status(got) != "200" {
		t.Errorf("prepared, not published: got %q", got)
	}
	publish()
	if got := r.wire(request("GET /prod", "")); status(got) != "403" {
		t.Errorf("removed: got %q", got)
	}
}

func TestExecutionLog(t *testing.T) {
	for _, c := range []struct {
		level string
		path  string
		want  []string
	}{
		{"INFO", "/prod", []string{"Extended Request Id: ", "Method completed with status: 200"}},
		{"INFO", "/prod/badmock", []string{"Extended Request Id: ", "Unable to parse statusCode", "Method completed with status: 500"}},
		{"ERROR", "/prod/badmock", []string{"Extended Request Id: ", "Unable to parse statusCode", "Method completed with status: 500"}},
		{"ERROR", "/prod", nil},
		{"OFF", "/prod/badmock", nil},
		{"", "/prod/badmock", nil},
	} {
		r := newRig(t, ServerOptions{})
		r.publish(resources(), func(s *catalog.Stage, _ *catalog.RestAPI) {
			s.MethodSettings = map[string]catalog.MethodSetting{"*/*": {LoggingLevel: c.level, ThrottlingBurstLimit: -1, ThrottlingRateLimit: -1}}
		})
		id := header(r.wire(request("GET "+c.path, "")), "x-amzn-RequestId")
		all := ""
		r.mu.Lock()
		for _, e := range r.events {
			if e.Group != "API-Gateway-Execution-Logs_abc123/prod" || len(e.Stream) != 32 || !strings.HasPrefix(e.Message, "("+id+") ") {
				t.Errorf("event %+v", e)
			}
			all += e.Message + "\n"
		}
		r.mu.Unlock()
		if len(c.want) == 0 && all != "" {
			t.Errorf("%s %s: got %s", c.level, c.path, all)
		}
		for _, want := range c.want {
			if !strings.Contains(all, want) {
				t.Errorf("%s %s: no %q in\n%s", c.level, c.path, want, all)
			}
		}
	}
}

func TestMethodSettingBeatsStageSetting(t *testing.T) {
	r := newRig(t, ServerOptions{})
	r.publish(resources(), func(s *catalog.Stage, _ *catalog.RestAPI) {
		s.MethodSettings = map[string]catalog.MethodSetting{"*/*": {LoggingLevel: "INFO", ThrottlingBurstLimit: -1, ThrottlingRateLimit: -1}, "//GET": {LoggingLevel: "OFF", ThrottlingBurstLimit: -1, ThrottlingRateLimit: -1}, "open/ANY": {LoggingLevel: "OFF", ThrottlingBurstLimit: -1, ThrottlingRateLimit: -1}}
	})
	r.wire(request("GET /prod", ""))
	r.wire(request("GET /prod/open", ""))
	if len(r.events) != 0 {
		t.Errorf("logged %v", r.events)
	}
	r.wire(request("GET /prod/items/1", ""))
	if len(r.events) == 0 {
		t.Error("the stage's setting was forgotten")
	}
}
