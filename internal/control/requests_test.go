package control_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/control"
	"weir/internal/telemetry"
)

// peer is the other end of a stream: what was flushed to it, by when, and
// whether it is still there. It keeps what a real connection would.
type peer struct {
	header http.Header
	mu     sync.Mutex
	status int
	unsent strings.Builder
	got    strings.Builder
	gone   bool
	until  time.Time
}

func (p *peer) Header() http.Header { return p.header }

func (p *peer) WriteHeader(status int) { p.status = status }

func (p *peer) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone || time.Now().After(p.until) && p.status == 0 {
		return 0, errors.New("the peer is gone")
	}
	return p.unsent.Write(b)
}

func (p *peer) FlushError() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.got.WriteString(p.unsent.String())
	p.unsent.Reset()
	return nil
}

func (p *peer) SetWriteDeadline(t time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.until = t
	return nil
}

// has takes what arrived.
func (p *peer) has() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.got.String()
	p.got.Reset()
	return s
}

func (p *peer) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone = true
}

func paths(t *testing.T, text string) string {
	t.Helper()
	var all []string
	for line := range strings.Lines(text) {
		var r telemetry.Record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v: %q", err, line)
		}
		all = append(all, r.Path)
	}
	return strings.Join(all, " ")
}

func askRequests(q *telemetry.Requests, query string) *peer {
	p := &peer{header: http.Header{}}
	control.RequestsHandler(q).ServeHTTP(p, httptest.NewRequest("GET", "/_weir/requests?"+query, nil))
	_ = p.FlushError()
	return p
}

func TestRequestsQuery(t *testing.T) {
	q := telemetry.NewRequests()
	for _, r := range []telemetry.Record{
		{Path: "/a", APIID: "api1", KeyID: "key1", Verdict: telemetry.Admitted, Status: 200},
		{Path: "/b", APIID: "api1", KeyID: "key2", Verdict: telemetry.Refused, Status: 429},
		{Path: "/c", APIID: "api2", KeyID: "key1", Verdict: telemetry.Refused, Status: 403},
		{Path: "/d", Verdict: telemetry.Missed, Status: 403},
		{Path: "/e", Verdict: telemetry.Broken, Status: 500},
	} {
		q.Add(&r)
	}
	for query, want := range map[string]string{
		"":                        "/a /b /c /d /e",
		"limit=2":                 "/d /e",
		"limit=0":                 "",
		"limit=10000":             "/a /b /c /d /e",
		"api=api1":                "/a /b",
		"key=key1":                "/a /c",
		"verdict=refused":         "/b /c",
		"verdict=broken":          "/e",
		"status=403":              "/c /d",
		"status=4xx":              "/b /c /d",
		"status=5xx&limit=1":      "/e",
		"key=key1&verdict=missed": "",
		"follow=false&limit=1":    "/e",
	} {
		p := askRequests(q, query)
		if got := paths(t, p.has()); p.status != 0 || got != want || p.header.Get("Content-Type") != "application/x-ndjson" || p.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%q: %d %q, want %q", query, p.status, got, want)
		}
	}
	for query, want := range map[string]string{
		"limit=-1": "limit: give", "limit=10001": "limit: give", "limit=x": "limit: give", "verdict=allowed": "verdict: give",
		"status=42": "status: give", "status=4x": "status: give", "status=xxx": "status: give", "follow=perhaps": "follow: give",
		"verb=GET": "unknown parameter", "a=%zz": "malformed",
	} {
		p := askRequests(q, query)
		var said struct{ Message string }
		if err := json.Unmarshal([]byte(p.has()), &said); err != nil || p.status != 400 || !strings.Contains(said.Message, want) {
			t.Errorf("%q: %d %q, want %q", query, p.status, said.Message, want)
		}
	}
	w := httptest.NewRecorder()
	control.RequestsHandler(q).ServeHTTP(w, httptest.NewRequest("POST", "/_weir/requests", nil))
	if w.Code != 405 {
		t.Errorf("POST: %d", w.Code)
	}
}

// follow begins to follow in a goroutine; ended is closed when the handler
// returned.
func follow(q *telemetry.Requests, query url.Values) (p *peer, ended chan struct{}) {
	query.Set("follow", "true")
	p, ended = &peer{header: http.Header{}}, make(chan struct{})
	go func() {
		defer close(ended)
		control.RequestsHandler(q).ServeHTTP(p, httptest.NewRequest("GET", "/_weir/requests?"+query.Encode(), nil))
	}()
	synctest.Wait()
	return p, ended
}

func TestFollowRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := telemetry.NewRequests()
		q.Add(&telemetry.Record{Path: "/old", Status: 429})
		q.Add(&telemetry.Record{Path: "/older", Status: 200})
		p, ended := follow(q, url.Values{"limit": {"10"}, "status": {"4xx"}})
		if got := p.has(); paths(t, got) != "/old" {
			t.Errorf("first %q", got)
		}
		for _, path := range []string{"/x", "/y"} {
			q.Add(&telemetry.Record{Path: path, Status: 403})
			q.Add(&telemetry.Record{Path: "/other", Status: 200})
			synctest.Wait()
			if got := p.has(); paths(t, got) != path {
				t.Errorf("after %s: %q", path, got)
			}
		}
		time.Sleep(time.Minute) // longer than a write may take: silence is no failure
		synctest.Wait()
		if got := p.has(); got != strings.Repeat("\n", 12) {
			t.Errorf("in a minute of silence: %q", got)
		}
		q.Stop()
		<-ended
		if got := p.has(); got != "" {
			t.Errorf("at the end: %q", got)
		}
	})
}

func TestFollowingEndsWhenThePeerIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := telemetry.NewRequests()
		p, ended := follow(q, url.Values{})
		p.leave()
		<-ended // at the next empty line: no request came
		for range telemetry.MaxFollowers {
			p, _ := follow(q, url.Values{}) // its place is free again
			if p.status != 0 {
				t.Errorf("status %d", p.status)
			}
		}
		p, ended = follow(q, url.Values{})
		<-ended
		_ = p.FlushError()
		if got := p.has(); p.status != 429 || !strings.Contains(got, "end one of them") {
			t.Errorf("one too many: %d %q", p.status, got)
		}
		q.Stop()
	})
}

// TestSlowReaderIsTold: a reader that takes nothing for a while learns how
// many it missed, and no call waited for it.
func TestSlowReaderIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := telemetry.NewRequests()
		p, ended := follow(q, url.Values{"limit": {"0"}})
		p.mu.Lock() // it takes nothing
		for range 5000 {
			q.Add(&telemetry.Record{Path: "/x"})
		}
		p.mu.Unlock()
		synctest.Wait()
		q.Stop()
		<-ended
		got, lost := 0, 0
		for line := range strings.Lines(p.has()) {
			var r struct {
				Path string
				Lost int
			}
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatal(err)
			}
			lost += r.Lost
			if r.Path != "" {
				got++
			}
		}
		if got == 0 || lost == 0 || got+lost != 5000 {
			t.Errorf("%d shown, %d lost, of 5000", got, lost)
		}
	})
}
