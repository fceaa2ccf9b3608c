package storetest

import (
	"net"
	"net/url"
	"slices"
	"sync"
	"testing"
)

// Link is a way to a server that a test can break: a proxy for its bytes.
type Link struct {
	listener net.Listener
	to       string

	mu      sync.Mutex
	stalled chan struct{} // closed when bytes go on; nil: they do
	conns   []net.Conn
	closed  bool
}

// NewLink opens a link to an address, closed when the test ends.
func NewLink(t testing.TB, to string) *Link {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &Link{listener: listener, to: to}
	var running sync.WaitGroup
	running.Go(func() { l.serve(&running) })
	t.Cleanup(func() {
		listener.Close()
		l.mu.Lock()
		l.closed = true
		l.mu.Unlock()
		l.Resume()
		l.Cut()
		running.Wait()
	})
	return l
}

// URL is a database's URL by way of the link.
func (l *Link) URL(database string) string {
	u, err := url.Parse(database)
	if err != nil {
		panic(err) // made by Database
	}
	u.Host = l.listener.Addr().String()
	return u.String()
}

// Stall holds back every byte, in both directions and of new connections too,
// as a network does that loses everything. Resume lets them go on.
func (l *Link) Stall() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stalled == nil {
		l.stalled = make(chan struct{})
	}
}

// Resume ends Stall.
func (l *Link) Resume() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stalled != nil {
		close(l.stalled)
		l.stalled = nil
	}
}

// Cut closes every connection.
func (l *Link) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.conns {
		c.Close()
	}
	l.conns = nil
}

// Open is how many connections there are through the link.
func (l *Link) Open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.conns) / 2
}

func (l *Link) serve(running *sync.WaitGroup) {
	for {
		from, err := l.listener.Accept()
		if err != nil {
			return
		}
		to, err := net.Dial("tcp", l.to)
		if err != nil {
			from.Close()
			continue
		}
		if !l.add(from, to) {
			return
		}
		running.Go(func() { l.carry(from, to) })
		running.Go(func() { l.carry(to, from) })
	}
}

func (l *Link) add(from, to net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		from.Close()
		to.Close()
		return false
	}
	l.conns = append(l.conns, from, to)
	return true
}

func (l *Link) carry(from, to net.Conn) {
	defer func() {
		from.Close()
		to.Close()
		l.mu.Lock()
		defer l.mu.Unlock()
		l.conns = slices.DeleteFunc(l.conns, func(c net.Conn) bool { return c == from || c == to })
	}()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		l.mu.Lock()
		stalled := l.stalled
		l.mu.Unlock()
		if stalled != nil {
			<-stalled
		}
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
