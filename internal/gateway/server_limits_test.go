package gateway

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"
)

// turnedAway dials and fails unless the server closes without a word. That may
// be so fast that dialling already fails.
func turnedAway(t testing.TB, addr string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err == nil {
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		var text []byte
		if text, err = io.ReadAll(c); len(text) > 0 {
			t.Errorf("a connection over the cap got %q", text)
		}
	}
	if err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a connection over the cap: %v", err)
	}
}

// served fails unless a request on c is answered.
func served(t testing.TB, c net.Conn) {
	t.Helper()
	if _, err := io.WriteString(c, request("GET /prod", "")); err != nil {
		t.Fatal(err)
	}
	if got := readResponse(t, bufio.NewReader(c), "GET"); status(got) != "200" {
		t.Errorf("got %q", got)
	}
}

func (r *rig) log() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.logged.String()
}

func TestConnectionCaps(t *testing.T) {
	for _, c := range []struct {
		name    string
		options ServerOptions
		logged  string
	}{
		{"in total", ServerOptions{MaxConnections: 2}, "--max-connections allows"},
		{"of one address", ServerOptions{MaxConnections: 9, MaxConnectionsPerAddress: 2}, "--max-connections-per-address allows"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, c.options)
			first, second := r.dial(), r.dial()
			served(t, first)
			served(t, second)
			for range 5 {
				turnedAway(t, r.addr)
			}
			served(t, first) // those that are in stay in
			served(t, second)
			if log := r.log(); strings.Count(log, c.logged) != 1 || strings.Count(log, "\n") != 1 {
				t.Errorf("logged %q", log)
			}
			_ = first.Close()
			for again := ""; again == ""; { // until the server has noticed
				if third, err := net.Dial("tcp", r.addr); err == nil {
					_, _ = io.WriteString(third, request("GET /prod", ""))
					again, _ = bufio.NewReader(third).ReadString('\n')
					_ = third.Close()
				}
			}
		})
	}
}

func TestClientIsAnAddressOrA64(t *testing.T) {
	for _, c := range []struct{ a, b string }{
		{"192.0.2.1", "192.0.2.1"},
		{"::ffff:192.0.2.1", "192.0.2.1"},
		{"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"},
		{"2001:db8:1:3::1", "2001:db8:1:3::"},
		{"fe80::1%eth0", "fe80::"},
	} {
		if got := clientOf(netip.MustParseAddr(c.a)); got != netip.MustParseAddr(c.b) {
			t.Errorf("%s counts for %s, want %s", c.a, got, c.b)
		}
	}
}

// TestConnectionsAreCountedDown: whatever the order, nothing is left.
func TestConnectionsAreCountedDown(t *testing.T) {
	var k connections
	k.init(ServerOptions{MaxConnections: 2, MaxConnectionsPerAddress: 1}, nil)
	a, b := &conn{}, &conn{}
	one, two := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	if !k.add(a) || !k.claim(a, one) || !k.add(b) || !k.claim(b, two) {
		t.Fatal("refused")
	}
	k.remove(a)
	k.remove(a)
	if !k.add(a) || !k.claim(a, one) {
		t.Error("a place that was left is not given again")
	}
	k.remove(a)
	k.remove(b)
	if len(k.all) != 0 || len(k.clients) != 0 {
		t.Errorf("left: %d connections, clients %v", len(k.all), k.clients)
	}
}

// TestRequestsOfAClosedConnectionAreCountedDown: they run on when it is gone.
func TestRequestsOfAClosedConnectionAreCountedDown(t *testing.T) {
	var k connections
	k.init(ServerOptions{MaxConnections: 9, MaxConnectionsPerAddress: 9}, nil)
	c := &conn{}
	if !k.add(c) || !k.claim(c, netip.MustParseAddr("192.0.2.1")) || !k.begin(c) || !k.begin(c) || !k.begin(c) {
		t.Fatal("refused")
	}
	k.end(c)
	k.remove(c)
	if k.streams != 1 || len(k.clients) != 1 {
		t.Errorf("%d requests and clients %v are counted while two run", k.streams, k.clients)
	}
	k.end(c)
	k.end(c)
	if len(k.all) != 0 || k.streams != 0 || len(k.clients) != 0 {
		t.Errorf("left: %d connections, %d requests, clients %v", len(k.all), k.streams, k.clients)
	}
}

// TestSlowCallersAreCutOff sends a byte at a time, each of them soon enough: it
// is the whole that has to be there in time.
func TestSlowCallersAreCutOff(t *testing.T) {
	for _, c := range []struct{ name, at, slowly string }{
		{"head", "", request("GET /prod/open", "")},
		{"body", request("POST /prod/open", "", "Content-Length: 100"), strings.Repeat("x", 100)},
		{"chunked body", request("POST /prod/open", "", "Transfer-Encoding: chunked"), strings.Repeat("1\r\nx\r\n", 20) + "0\r\n\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, ServerOptions{HeaderTimeout: 200 * time.Millisecond, BodyTimeout: 200 * time.Millisecond})
			conn := r.dial()
			go func() {
				_, _ = io.WriteString(conn, c.at)
				for i := range len(c.slowly) {
					if _, err := io.WriteString(conn, c.slowly[i:i+1]); err != nil {
						return
					}
					time.Sleep(10 * time.Millisecond)
				}
			}()
			if got := readAll(t, conn); status(got) != "408" || len(r.invoker.events) != 0 {
				t.Errorf("got %q, events %q", got, r.invoker.events)
			}
		})
	}
}

// TestSlowReadersAreCutOff: an answer that nobody takes is given up.
func TestSlowReadersAreCutOff(t *testing.T) {
	r := newRig(t, ServerOptions{WriteTimeout: 200 * time.Millisecond})
	r.invoker.returns(`{"body":"` + strings.Repeat("x", 16<<20) + `"}`)
	c := r.dial()
	_, _ = io.WriteString(c, request("GET /prod/open", ""))
	for r.server.open.count() == 0 { // accepted
		time.Sleep(time.Millisecond)
	}
	for r.server.open.count() > 0 { // given up
		time.Sleep(10 * time.Millisecond)
	}
	if all, _ := io.ReadAll(c); len(all) >= 16<<20 {
		t.Errorf("%d bytes arrived", len(all))
	}
}

// TestUploadsHaveRoom: what is no call has a deadline of its own.
func TestUploadsHaveRoom(t *testing.T) {
	s := NewServer(newRig(t, ServerOptions{}).gateway, ServerOptions{Fallback: &seen{}, BodyTimeout: time.Second})
	if got := s.roomFor("localhost:4566", "/2015-03-31/functions"); got != (room{75_000_000, 5 * time.Minute}) {
		t.Errorf("an upload has %+v", got)
	}
	if got := s.roomFor("localhost:4566", "/_aws/execute-api/abc123/prod/open"); got != (room{maxBody, time.Second}) {
		t.Errorf("a call has %+v", got)
	}
}
