package gateway

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"weir/internal/gateway/message"
)

// listener hands out connections that know their peer and their server. One
// goroutine accepts.
type listener struct {
	net.Listener
	server *Server
	warned time.Time // when it was last said that none can be accepted
}

// Pauses while no connection can be accepted, and between two warnings of it.
const (
	acceptPause    = 5 * time.Millisecond
	acceptMaxPause = 100 * time.Millisecond
	acceptWarnings = time.Minute
)

// accept waits out what passes by itself, such as having no descriptor left:
// to the engine every error is the end of the address.
func (l *listener) accept() (net.Conn, error) {
	for pause := acceptPause; ; pause = min(2*pause, acceptMaxPause) {
		c, err := l.Listener.Accept()
		var passing interface{ Temporary() bool }
		if err == nil || !errors.As(err, &passing) || !passing.Temporary() {
			return c, err
		}
		if now := time.Now(); now.Sub(l.warned) > acceptWarnings {
			l.warned = now
			l.server.log.Warn("no connection can be accepted; it is tried again (are there enough file descriptors? See ulimit -n)", "error", err)
		}
		time.Sleep(pause)
	}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.accept()
		if err != nil {
			return nil, err
		}
		if admitted := l.server.admit(c); admitted != nil {
			return admitted, nil
		}
	}
}

// admit makes a connection of ours of an accepted one, or closes it and
// returns nil when there are too many.
func (s *Server) admit(socket net.Conn) net.Conn {
	c := &conn{Conn: socket, socket: socket, server: s, scheme: "http", source: addressOf(socket.RemoteAddr()).Addr()}
	if local := addressOf(socket.LocalAddr()); local.IsValid() {
		c.port = strconv.Itoa(int(local.Port()))
	}
	if !s.open.add(c) {
		refuseConnection(socket)
		return nil
	}
	c.trusted = s.proxies.trusts(c.source)
	c.proxied = c.trusted && s.proxies.header
	if !c.trusted && !s.open.claim(c, c.source) {
		s.open.remove(c)
		refuseConnection(socket)
		return nil
	}
	if c.proxied || s.tls != nil {
		return &prepared{conn: c}
	}
	return c
}

// refuseConnection closes a socket so that nothing of it stays behind.
func refuseConnection(socket net.Conn) {
	if tcp, ok := socket.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = socket.Close()
}

func addressOf(a net.Addr) netip.AddrPort {
	if tcp, ok := a.(*net.TCPAddr); ok {
		ap := tcp.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
	}
	ap, _ := netip.ParseAddrPort(a.String())
	return ap
}

// conn is one accepted connection. The engine reads from it in one goroutine.
type conn struct {
	net.Conn           // what is read and written
	socket    net.Conn // below it
	server    *Server
	source    netip.Addr // the peer, or who a PROXY header names
	port      string     // that the caller reached us on
	scheme    string
	trusted   bool // source is a trusted proxy
	proxied   bool // a PROXY header comes first
	framing   framing
	linger    atomic.Bool // see lingers
	preparing atomic.Bool // what comes before the first request is under way

	counted netip.Addr // the client it counts for, guarded by connections.mu; invalid: none
	streams int        // requests over HTTP/2 that run, guarded by connections.mu
}

// connOf is the connection that the engine serves; nil when it is none of ours.
func connOf(c net.Conn) *conn {
	switch c := c.(type) {
	case *conn:
		return c
	case *prepared:
		return c.conn
	}
	return nil
}

// introduce says who sent a request, and how.
func (c *conn) introduce(req *message.Request) {
	if c == nil {
		req.Source, req.Scheme = netip.IPv4Unspecified(), "http"
		return
	}
	req.Source, req.Port, req.Scheme = c.source, c.port, c.scheme
	if c.trusted {
		c.server.proxies.forwarded(req)
	}
}

// lingers says that an answer was sent while the caller may still be sending.
func (c *conn) lingers() {
	if c != nil {
		c.linger.Store(true)
	}
}

// Read implements net.Conn for the engine, which gets what is well framed and
// then the problem. A byte that means nothing goes first, so that the engine
// has begun to read a request and answers it: where it has read none, it
// closes without a word.
func (c *conn) Read(p []byte) (n int, err error) {
	defer func() {
		if r := recover(); r != nil {
			c.server.gateway.broke(r, "")
			n, err = 0, broken
			if c.framing.part == atStart {
				p[0], n, err = 0, 1, nil
			}
			c.framing.problem = broken
		}
	}()
	if c.framing.problem != nil {
		return 0, c.framing.problem
	}
	n, err = c.Conn.Read(p)
	if good := c.framing.scan(p[:n]); c.framing.problem != nil {
		p[good] = 0
		return good + 1, nil
	}
	if err == nil || !c.framing.begun() || errors.Is(err, net.ErrClosed) {
		return n, err
	}
	// The engine does not answer every request that ends too early.
	c.framing.problem = incomplete
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.framing.problem = tooSlow
	}
	return n, c.framing.problem
}

// Bounds of lingering.
const (
	lingerTime  = time.Second
	lingerBytes = 32 << 20
)

// Close implements net.Conn. Closing while the caller still sends would reset
// the connection, and the caller would lose the answer; so it is read off for
// a short while first.
func (c *conn) Close() error {
	if c.linger.Swap(false) && closeWrite(c.Conn) == nil && c.SetReadDeadline(time.Now().Add(lingerTime)) == nil {
		_, _ = io.CopyN(io.Discard, c.socket, lingerBytes)
	}
	c.server.open.remove(c)
	return c.Conn.Close()
}
