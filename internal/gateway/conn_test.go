package gateway

import (
	"net"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// exhausted is a listener whose process has no descriptor left, a number of
// times.
type exhausted struct {
	net.Listener
	left atomic.Int32
}

func (l *exhausted) Accept() (net.Conn, error) {
	if l.left.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return l.Listener.Accept()
}

// TestAcceptOutlastsExhaustion: an address that could accept nobody for a
// while accepts again, and the log says once that it could not.
func TestAcceptOutlastsExhaustion(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	short := &exhausted{Listener: ln}
	short.left.Store(5)
	served := make(chan error, 1)
	t.Cleanup(func() { // after the rig's, which shuts the server down
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	r := newRig(t, ServerOptions{})
	go func() { served <- r.server.Serve(short) }()
	r.addr = ln.Addr().String()
	if got := r.wire(request("GET /prod/open", "")); status(got) != "200" {
		t.Errorf("got %q", got)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := strings.Count(r.logged.String(), "no connection can be accepted"); n != 1 {
		t.Errorf("it was said %d times: %s", n, r.logged.String())
	}
}
