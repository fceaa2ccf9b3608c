package gateway

import (
	"bufio"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/pires/go-proxyproto"
	"github.com/pires/go-proxyproto/tlvparse"

	"weir/internal/gateway/message"
)

// proxies says whose word about the client counts. The zero value trusts
// nobody.
type proxies struct {
	trusted []netip.Prefix
	header  bool // they begin a connection with a PROXY header
}

func (p *proxies) trusts(a netip.Addr) bool {
	return slices.ContainsFunc(p.trusted, func(n netip.Prefix) bool { return n.Contains(a) })
}

// Errors of the PROXY protocol.
var (
	errNoAddress = errors.New("the PROXY header names no TCP address")
	errTooMany   = errors.New("this client has too many connections")
)

// readProxyHeader reads the PROXY header, version 1 or 2, that a trusted proxy
// begins a connection with. From then on the client is who it names.
func (c *conn) readProxyHeader() error {
	br := bufio.NewReaderSize(c.Conn, 512) // holds any header of version 1, as the library needs it
	if _, err := br.Peek(1); err != nil {
		return err // a proxy that looks whether the port is open
	}
	header, err := proxyproto.Read(br)
	if err == nil {
		err = c.isClient(header)
	}
	if err != nil {
		if errors.Is(err, errTooMany) {
			return err // it has been said
		}
		if n, ok := c.server.unproxied.note(); ok {
			c.server.log.Warn("connections of trusted proxies refused: they do not begin with a valid PROXY header. Have the proxy send one (haproxy: send-proxy-v2; nginx: proxy_protocol on), or leave --proxy-protocol out",
				"error", err, "proxy", c.source.String(), "refused", n)
		}
		return err
	}
	if n := br.Buffered(); n > 0 {
		rest, _ := br.Peek(n)
		c.Conn = &replay{Conn: c.Conn, rest: rest}
	}
	return nil
}

// isClient takes the client from a PROXY header. One of the proxy's own
// connections (LOCAL, UNKNOWN) names none: the client is the proxy.
func (c *conn) isClient(h *proxyproto.Header) error {
	if h.Command.IsLocal() {
		return nil
	}
	source, ok := h.SourceAddr.(*net.TCPAddr)
	if !ok {
		return errNoAddress
	}
	tlvs, err := h.TLVs()
	if err != nil {
		return err
	}
	if ssl, ok := tlvparse.FindSSL(tlvs); ok && ssl.ClientSSL() {
		c.scheme = "https" // the proxy ended the TLS
	}
	c.source = addressOf(source).Addr()
	if here, ok := h.DestinationAddr.(*net.TCPAddr); ok {
		c.port = strconv.Itoa(here.Port)
	}
	c.trusted = c.server.proxies.trusts(c.source) // a proxy before the proxy
	if !c.trusted && !c.server.open.claim(c, c.source) {
		return errTooMany
	}
	return nil
}

// replay is a connection of which the beginning was read already.
type replay struct {
	net.Conn
	rest []byte
}

func (r *replay) Read(p []byte) (int, error) {
	if len(r.rest) > 0 {
		n := copy(p, r.rest)
		r.rest = r.rest[n:]
		return n, nil
	}
	r.rest = nil
	return r.Conn.Read(p)
}

// CloseWrite ends our side, for lingering.
func (r *replay) CloseWrite() error { return closeWrite(r.Conn) }

// forwarded takes what a trusted proxy said of its client into a request: the
// address, and with which scheme and on which port the proxy was reached. What
// is left of X-Forwarded-For is what the client itself had sent: as on AWS, the
// client's address is appended to it later.
func (p *proxies) forwarded(req *message.Request) {
	if sent := values(req.Header, "X-Forwarded-For"); sent != "" {
		var before string
		req.Source, before = p.client(req.Source, sent)
		if before == "" {
			req.Header.Del("X-Forwarded-For")
		} else {
			req.Header.Set("X-Forwarded-For", before)
		}
	}
	proto, _ := req.Header.Last("X-Forwarded-Proto")
	switch strings.ToLower(proto) {
	case "https":
		req.Scheme, req.Port = "https", "443"
	case "http":
		req.Scheme, req.Port = "http", "80"
	}
	if port, _ := req.Header.Last("X-Forwarded-Port"); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err == nil && n > 0 {
			req.Port = strconv.FormatUint(n, 10)
		}
	}
}

// maxHops is how many trusted proxies are believed in a row.
const maxHops = 32

// client finds who sent a request that came from the trusted address peer: in
// X-Forwarded-For the rightmost address that is no trusted proxy. An entry that
// is no address ends the search, for whoever wrote it may have written what
// stands before it. before is what stands before the client.
func (p *proxies) client(peer netip.Addr, sent string) (client netip.Addr, before string) {
	client, before = peer, sent
	for range maxHops {
		i := strings.LastIndexByte(before, ',')
		hop, ok := hopOf(strings.Trim(before[i+1:], " \t"))
		if !ok {
			return client, before
		}
		client, before = hop, strings.TrimRight(before[:max(i, 0)], " \t")
		if before == "" || !p.trusts(hop) {
			return client, before
		}
	}
	return client, before
}

// hopOf reads one address of X-Forwarded-For; some proxies add the port.
func hopOf(text string) (netip.Addr, bool) {
	if a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")); err == nil && a.Zone() == "" {
		return a.Unmap(), true
	}
	if ap, err := netip.ParseAddrPort(text); err == nil && ap.Addr().Zone() == "" {
		return ap.Addr().Unmap(), true
	}
	return netip.Addr{}, false
}

// values are the values of all lines called name as one list.
func values(h message.Header, name string) string {
	var all []string
	for _, f := range h {
		if strings.EqualFold(f.Name, name) {
			all = append(all, f.Value)
		}
	}
	return strings.Join(all, ", ")
}
