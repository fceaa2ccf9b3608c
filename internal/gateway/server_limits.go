package gateway

import (
	"log/slog"
	"net/netip"
	"sync"
	"time"
)

// connections are the open ones of a Server, counted in total and by client.
// It is asked once when a connection begins and once when it ends, and for the
// requests of one over HTTP/2, never for those over HTTP/1.1.
type connections struct {
	max, perAddress int // 0: no cap
	log             *slog.Logger
	many, greedy    seldom

	mu      sync.Mutex // guards what follows
	all     map[*conn]struct{}
	streams int                // that count, see begin
	clients map[netip.Addr]int // connections and streams
}

func (k *connections) init(o ServerOptions, log *slog.Logger) {
	k.max, k.perAddress, k.log = o.MaxConnections, o.MaxConnectionsPerAddress, log
	k.all, k.clients = map[*conn]struct{}{}, map[netip.Addr]int{}
}

// add counts a new connection. It says no, and counts nothing, when there are
// too many.
func (k *connections) add(c *conn) bool {
	k.mu.Lock()
	full := k.max > 0 && len(k.all) >= k.max
	if !full {
		k.all[c] = struct{}{}
	}
	k.mu.Unlock()
	if full {
		if n, ok := k.many.note(); ok {
			k.log.Warn("connections refused: as many are open as --max-connections allows", "max", k.max, "refused", n)
		}
	}
	return !full
}

// claim counts a connection for its client. It says no when that client has
// too many; the connection is still to be removed.
func (k *connections) claim(c *conn, client netip.Addr) bool {
	if k.perAddress <= 0 {
		return true
	}
	client = clientOf(client)
	k.mu.Lock()
	full := k.clients[client] >= k.perAddress
	if !full {
		k.clients[client]++
		c.counted = client
	}
	k.mu.Unlock()
	if full {
		if n, ok := k.greedy.note(); ok {
			k.log.Warn("connections refused: one client has as many as --max-connections-per-address allows; a proxy of yours is to be named with --trusted-proxies",
				"client", client.String(), "max", k.perAddress, "refused", n)
		}
	}
	return !full
}

// remove forgets a connection. Doing it twice is no harm.
func (k *connections) remove(c *conn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, open := k.all[c]; !open {
		return
	}
	delete(k.all, c)
	k.leave(c.counted)
}

// leave takes one from what a client has, if it counts at all.
func (k *connections) leave(client netip.Addr) {
	if !client.IsValid() {
		return
	}
	if k.clients[client]--; k.clients[client] <= 0 {
		delete(k.clients, client)
	}
}

// begin counts a request over HTTP/2. A hundred of them come on one connection
// and take as much as a connection each, so all but the first that runs count
// as one. It says no, and counts nothing, when there are too many.
func (k *connections) begin(c *conn) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if c.streams > 0 {
		if k.max > 0 && len(k.all)+k.streams >= k.max {
			return false
		}
		if c.counted.IsValid() {
			if k.clients[c.counted] >= k.perAddress {
				return false
			}
			k.clients[c.counted]++
		}
		k.streams++
	}
	c.streams++
	return true
}

// end is for each request that began, also when its connection is gone.
func (k *connections) end(c *conn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if c.streams--; c.streams > 0 {
		k.streams--
		k.leave(c.counted)
	}
}

// count is how many are open.
func (k *connections) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.all)
}

// cut closes the socket of every connection that which picks. Whoever serves
// it closes the rest.
func (k *connections) cut(which func(*conn) bool) {
	k.mu.Lock()
	left := make([]*conn, 0, len(k.all))
	for c := range k.all {
		if which(c) {
			left = append(left, c)
		}
	}
	k.mu.Unlock()
	for _, c := range left {
		_ = c.socket.Close()
	}
}

// clientOf is what one client has: an IPv4 address, or the /64 that is given
// to an IPv6 host.
func clientOf(a netip.Addr) netip.Addr {
	if a = a.Unmap(); !a.Is6() {
		return a
	}
	p, err := a.WithZone("").Prefix(64)
	if err != nil {
		return a
	}
	return p.Addr()
}

// seldom lets through one event in ten seconds and counts the others, so that
// strangers do not fill the log. The zero value is ready.
type seldom struct {
	mu    sync.Mutex
	last  time.Time
	count int
}

// note counts an event. ok says to report it, with n events since the last
// report.
func (s *seldom) note() (n int, ok bool) {
	const every = 10 * time.Second
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count++
	now := time.Now()
	if !s.last.IsZero() && now.Sub(s.last) < every {
		return 0, false
	}
	n, s.count, s.last = s.count, 0, now
	return n, true
}
