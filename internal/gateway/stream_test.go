package gateway

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"weir/internal/telemetry"
)

// streamer is a fallback that sends what it is told to, a flush each, until the
// channel is closed or the peer is gone.
type streamer struct {
	lines chan string
	ended chan error
}

func (s *streamer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	err := control.Flush()
	for line := range s.lines {
		if err != nil {
			break
		}
		if err = control.SetWriteDeadline(time.Now().Add(time.Minute)); err == nil {
			if _, err = io.WriteString(w, line+"\n"); err == nil {
				err = control.Flush()
			}
		}
	}
	if err == nil {
		err = r.Context().Err()
	}
	s.ended <- err
}

func newStreamer() *streamer { return &streamer{lines: make(chan string), ended: make(chan error, 1)} }

// TestShutdownLetsAStreamEnd: a handler goes on while the server drains, and
// its answer arrives to the end.
func TestShutdownLetsAStreamEnd(t *testing.T) {
	s := newStreamer()
	r := newRig(t, ServerOptions{Fallback: s})
	res, err := http.Get("http://" + r.addr + "/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer res.Body.Close()
	if res.StatusCode != 200 || res.ContentLength != -1 {
		t.Errorf("status %d, length %d", res.StatusCode, res.ContentLength)
	}
	got := bufio.NewScanner(res.Body)
	for _, line := range []string{"one", "two", "three"} {
		s.lines <- line
		if !got.Scan() || got.Text() != line { // the next line is not sent before this one arrived
			t.Fatalf("got %q, want %q", got.Text(), line)
		}
	}
	down := make(chan error, 1)
	go func() { down <- r.server.Shutdown(context.Background()) }()
	s.lines <- "four"
	close(s.lines)
	if !got.Scan() || got.Text() != "four" || got.Scan() || got.Err() != nil {
		t.Errorf("the end: %q, %v", got.Text(), got.Err())
	}
	if err := <-s.ended; err != nil {
		t.Errorf("a handler's context ended while the server was draining: %v", err)
	}
	if err := <-down; err != nil {
		t.Error(err)
	}
}

// TestStreamEndsWithItsPeer: writing to a peer that is gone fails.
func TestStreamEndsWithItsPeer(t *testing.T) {
	s := newStreamer()
	r := newRig(t, ServerOptions{Fallback: s})
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, request("GET /stream", "", "Host: localhost")); err != nil {
		t.Fatal(err)
	}
	s.lines <- "one"
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	c.Close()
	for {
		select {
		case s.lines <- strings.Repeat("x", 1000): // the first ones still find room in the socket
		case err := <-s.ended:
			if err == nil {
				t.Error("the stream ended without an error")
			}
			return
		}
	}
}

// TestRecordsAreBounded: what strangers choose is cut off.
func TestRecordsAreBounded(t *testing.T) {
	r := newRig(t, ServerOptions{})
	long := strings.Repeat("é", 2000)
	r.wire(request(strings.Repeat("M", maxVerb)+" /prod/"+long, "", "User-Agent: "+long))
	rec := r.lastRecord()
	if rec.Method != strings.Repeat("M", telemetry.MaxMethod) {
		t.Errorf("method %q", rec.Method)
	}
	if want := "/prod/" + strings.Repeat("é", (telemetry.MaxPath-6)/2); rec.Path != want {
		t.Errorf("path of %d bytes: %q", len(rec.Path), rec.Path)
	}
	if want := strings.Repeat("é", telemetry.MaxUserAgent/2); rec.UserAgent != want {
		t.Errorf("user agent of %d bytes: %q", len(rec.UserAgent), rec.UserAgent)
	}
	if len(rec.RequestID) != 36 || rec.Verdict != telemetry.Missed {
		t.Errorf("record %+v", rec)
	}
}
