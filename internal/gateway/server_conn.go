package gateway

import (
	"io"
	"net"
	"net/netip"
	"strconv"
	"sync/atomic"
	"time"
)

// listener hands out connections that know their peer and their server.
type listener struct {
	net.Listener
	server *Server
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	wrapped := &conn{Conn: c, server: l.server, source: addressOf(c.RemoteAddr()).Addr()}
	if local := addressOf(c.LocalAddr()); local.IsValid() {
		wrapped.port = strconv.Itoa(int(local.Port()))
	}
	l.server.mu.Lock()
	l.server.conns[wrapped] = struct{}{}
	l.server.mu.Unlock()
	return wrapped, nil
}

func addressOf(a net.Addr) netip.AddrPort {
	if tcp, ok := a.(*net.TCPAddr); ok {
		ap := tcp.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
	}
	ap, _ := netip.ParseAddrPort(a.String())
	return ap
}

// conn is one accepted connection.
type conn struct {
	net.Conn
	server *Server
	source netip.Addr
	port   string
	linger atomic.Bool // an answer was sent while the caller may still be sending
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
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok && c.linger.Swap(false) {
		if half.CloseWrite() == nil && c.SetReadDeadline(time.Now().Add(lingerTime)) == nil {
			_, _ = io.CopyN(io.Discard, c.Conn, lingerBytes)
		}
	}
	c.server.mu.Lock()
	delete(c.server.conns, c)
	c.server.mu.Unlock()
	return c.Conn.Close()
}
