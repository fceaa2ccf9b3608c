package gateway

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
	"github.com/pires/go-proxyproto/tlvparse"

	"weir/internal/gateway/message"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

func TestForwardedForFindsTheClient(t *testing.T) {
	p := proxies{trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}}
	proxy := netip.MustParseAddr("10.0.0.1")
	for _, c := range []struct{ name, sent, client, before string }{
		{"one", "192.0.2.1", "192.0.2.1", ""},
		{"the rightmost that is no proxy", "198.51.100.9, 192.0.2.1, 10.2.3.4", "192.0.2.1", "198.51.100.9"},
		{"all are proxies", "10.0.0.3,10.0.0.2", "10.0.0.3", ""},
		{"with a port", "192.0.2.1:4711", "192.0.2.1", ""},
		{"IPv6", "2001:db8::1, fd00::2", "2001:db8::1", ""},
		{"IPv6 in brackets, with and without a port", "[2001:db8::1], [fd00::2]:443", "2001:db8::1", ""},
		{"IPv4 in IPv6", "::ffff:192.0.2.1", "192.0.2.1", ""},
		{"garbage", "unknown", "10.0.0.1", "unknown"},
		{"garbage behind a proxy", "192.0.2.1, evil, 10.0.0.7", "10.0.0.7", "192.0.2.1, evil"},
		{"a zone", "fe80::1%eth0", "10.0.0.1", "fe80::1%eth0"},
		{"nothing between commas", "192.0.2.1,, 10.0.0.7", "10.0.0.7", "192.0.2.1,"},
		{"more proxies than are believed", "192.0.2.1" + strings.Repeat(", 10.0.0.9", maxHops), "10.0.0.9", "192.0.2.1"},
	} {
		client, before := p.client(proxy, c.sent)
		if client.String() != c.client || before != c.before {
			t.Errorf("%s: %q is %s after %q, want %s after %q", c.name, c.sent, client, before, c.client, c.before)
		}
	}
}

// FuzzForwardedFor: whatever is sent, the client is the peer or was named, and
// what is left is a beginning of it.
func FuzzForwardedFor(f *testing.F) {
	for _, s := range []string{"192.0.2.1", "a, 10.0.0.1", ",,", "[::1]:80, 10.0.0.1:1", strings.Repeat("10.0.0.1,", 99)} {
		f.Add(s)
	}
	p := proxies{trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	peer := netip.MustParseAddr("10.0.0.1")
	f.Fuzz(func(t *testing.T, sent string) {
		client, before := p.client(peer, sent)
		if !client.IsValid() || !strings.HasPrefix(sent, before) || client == peer && before == "" && sent != "" && !strings.Contains(sent, "10.") {
			t.Errorf("%q is %s after %q", sent, client, before)
		}
	})
}

func TestTrustedProxyNamesTheClient(t *testing.T) {
	r := newRig(t, ServerOptions{TrustedProxies: loopback, MaxConnectionsPerAddress: 1})
	_, port, _ := net.SplitHostPort(r.addr)
	for _, c := range []struct {
		name, source, forwarded, proto, port string
		headers                              []string
	}{
		{"says nothing", "127.0.0.1", "127.0.0.1", "http", port, nil},
		{"names the client", "192.0.2.1", "192.0.2.1", "http", port, []string{"X-Forwarded-For: 192.0.2.1"}},
		{"keeps what the client sent", "192.0.2.1", "6.6.6.6, 192.0.2.1", "http", port, []string{"x-forwarded-for: 6.6.6.6", "X-Forwarded-For: 192.0.2.1, 127.0.0.9"}},
		{"ended the TLS", "192.0.2.1", "192.0.2.1", "https", "443", []string{"X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https"}},
		{"on a port", "127.0.0.1", "127.0.0.1", "https", "8443", []string{"X-Forwarded-Proto: HTTPS", "X-Forwarded-Port: 8443"}},
		{"nonsense", "127.0.0.1", "x', 127.0.0.1", "http", port, []string{"X-Forwarded-For: x'", "X-Forwarded-Proto: gopher", "X-Forwarded-Port: 99999"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.wire(request("GET /prod/open", "", c.headers...))
			e := r.event()
			if e.RequestContext.Identity.SourceIP != c.source || e.header("X-Forwarded-For") != c.forwarded || e.header("X-Forwarded-Proto") != c.proto || e.header("X-Forwarded-Port") != c.port {
				t.Errorf("event %+v", e)
			}
			if got := r.lastRecord().SourceIP.String(); got != c.source {
				t.Errorf("recorded %s", got)
			}
		})
	}
	first, second := r.dial(), r.dial() // a proxy is no client: it has as many as it needs
	served(t, first)
	served(t, second)
}

// TestUntrustedPeersAreNotBelieved: their headers reach the function as on AWS,
// and move nothing.
func TestUntrustedPeersAreNotBelieved(t *testing.T) {
	r := newRig(t, ServerOptions{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, ProxyProtocol: true})
	_, port, _ := net.SplitHostPort(r.addr)
	r.wire(request("GET /prod/open", "", "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https", "X-Forwarded-Port: 443"))
	e := r.event()
	if e.RequestContext.Identity.SourceIP != "127.0.0.1" || e.header("X-Forwarded-For") != "192.0.2.1, 127.0.0.1" || e.header("X-Forwarded-Proto") != "http" || e.header("X-Forwarded-Port") != port {
		t.Errorf("event %+v", e)
	}
	if got := r.wire("PROXY TCP4 192.0.2.1 127.0.0.1 4711 443\r\n" + request("GET /prod/open", "")); status(got) != "400" {
		t.Errorf("a PROXY header of a stranger: %q", got)
	}
}

// version2 is a PROXY header of version 2.
func version2(t testing.TB, source, destination string, tlvs ...proxyproto.TLV) string {
	t.Helper()
	h := proxyproto.HeaderProxyFromAddrs(2, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(source)), net.TCPAddrFromAddrPort(netip.MustParseAddrPort(destination)))
	if err := h.SetTLVs(tlvs); err != nil {
		t.Fatal(err)
	}
	text, err := h.Format()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestProxyProtocol(t *testing.T) {
	r := newRig(t, ServerOptions{TrustedProxies: loopback, ProxyProtocol: true})
	_, port, _ := net.SplitHostPort(r.addr)
	ssl, err := tlvparse.PP2SSL{
		Client: tlvparse.PP2_BITFIELD_CLIENT_SSL, Verify: 1,
		TLV: []proxyproto.TLV{{Type: proxyproto.PP2_SUBTYPE_SSL_VERSION, Value: []byte("TLSv1.3")}},
	}.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	local := string(proxyproto.SIGV2) + "\x20\x00\x00\x00"
	for _, c := range []struct{ name, header, source, port, proto string }{
		{"version 1", "PROXY TCP4 192.0.2.1 198.51.100.1 4711 443\r\n", "192.0.2.1", "443", "http"},
		{"version 1, IPv6", "PROXY TCP6 2001:db8::1 2001:db8::2 4711 443\r\n", "2001:db8::1", "443", "http"},
		{"version 1, unknown", "PROXY UNKNOWN\r\n", "127.0.0.1", port, "http"},
		{"version 2", version2(t, "192.0.2.1:4711", "198.51.100.1:443"), "192.0.2.1", "443", "http"},
		{"version 2, IPv6", version2(t, "[2001:db8::1]:4711", "[2001:db8::2]:8443"), "2001:db8::1", "8443", "http"},
		{"version 2, the proxy ended the TLS", version2(t, "192.0.2.1:4711", "198.51.100.1:443", ssl), "192.0.2.1", "443", "https"},
		{"version 2, local", local, "127.0.0.1", port, "http"},
		{"version 2, 4,000 bytes more", version2(t, "192.0.2.1:4711", "198.51.100.1:443", proxyproto.TLV{Type: proxyproto.PP2_TYPE_NOOP, Value: make([]byte, 4000)}), "192.0.2.1", "443", "http"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := r.wire(c.header + request("GET /prod/open", "", "X-Forwarded-For: 6.6.6.6")); status(got) != "200" {
				t.Fatalf("got %q", got)
			}
			want, forwarded := c.source, "6.6.6.6, "+c.source
			if c.source == "127.0.0.1" { // a connection of the proxy's own, and it is believed
				want, forwarded = "6.6.6.6", "6.6.6.6"
			}
			e := r.event()
			if e.RequestContext.Identity.SourceIP != want || e.header("X-Forwarded-For") != forwarded || e.header("X-Forwarded-Port") != c.port || e.header("X-Forwarded-Proto") != c.proto {
				t.Errorf("event %+v", e)
			}
		})
	}
	c := r.dial() // the rest of what came with the header is the request, however it is cut
	for _, part := range []string{"PROXY TCP4 192.0.2.1 198.51.100.1 4711 443\r\nGET /pr", "od HTTP/1.1\r\nHost: abc123.execute-api.x.y\r\nConnection: close\r\n\r\n"} {
		_, _ = io.WriteString(c, part)
		time.Sleep(time.Millisecond)
	}
	if got := readAll(t, c); status(got) != "200" {
		t.Errorf("in two parts: %q", got)
	}
}

// TestProxyProtocolRefusals: a trusted proxy that does not begin as agreed is
// not answered.
func TestProxyProtocolRefusals(t *testing.T) {
	r := newRig(t, ServerOptions{TrustedProxies: loopback, ProxyProtocol: true, HeaderTimeout: 200 * time.Millisecond})
	huge := []byte(string(proxyproto.SIGV2) + "\x21\x11")
	huge = binary.BigEndian.AppendUint16(huge, 65_535)
	for _, c := range []struct{ name, sent string }{
		{"no header", request("GET /prod/open", "")},
		{"one that never ends", "PROXY TCP4 192.0.2.1"},
		{"silence", ""},
		{"no line end in 107 bytes", "PROXY TCP4 " + strings.Repeat("1", 200) + "\r\n"},
		{"an address that is none", "PROXY TCP4 localhost 198.51.100.1 4711 443\r\n" + request("GET /prod/open", "")},
		{"a port that is none", "PROXY TCP4 192.0.2.1 198.51.100.1 4711 65536\r\n" + request("GET /prod/open", "")},
		{"version 2 with 64 KB", string(huge) + strings.Repeat("x", 65_535)},
		{"version 2 of a datagram", string(proxyproto.SIGV2) + "\x21\x12\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x01\x12\x67\x01\xbb" + request("GET /prod/open", "")},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := r.dial()
			_, _ = io.WriteString(conn, c.sent)
			if got, err := io.ReadAll(conn); len(got) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	if n := len(r.invoker.events); n != 0 {
		t.Errorf("a function was asked %d times", n)
	}
	if log := r.log(); strings.Count(log, "\n") != 1 || !strings.Contains(log, "do not begin with a valid PROXY header") {
		t.Errorf("logged %q", log)
	}
}

func TestProxyProtocolBeforeTLS(t *testing.T) {
	r := newRig(t, ServerOptions{TrustedProxies: loopback, ProxyProtocol: true, Certificate: certificate(t)})
	r.preamble = version2(t, "192.0.2.1:4711", "198.51.100.1:443")
	if got := r.dialHTTP2().ask(request("GET /prod/open", "")); got.status != "200" {
		t.Fatalf("got %+v", got)
	}
	e := r.event()
	if e.RequestContext.Identity.SourceIP != "192.0.2.1" || e.header("X-Forwarded-Proto") != "https" || e.header("X-Forwarded-Port") != "443" {
		t.Errorf("event %+v", e)
	}
}

// TestProxyProtocolCapsTheClient: the cap is on who the header names.
func TestProxyProtocolCapsTheClient(t *testing.T) {
	r := newRig(t, ServerOptions{TrustedProxies: loopback, ProxyProtocol: true, MaxConnectionsPerAddress: 2})
	open := func(client string) net.Conn {
		c := r.dial()
		_, _ = io.WriteString(c, "PROXY TCP6 "+client+" 2001:db8::ffff 4711 443\r\n")
		return c
	}
	served(t, open("2001:db8:0:1::1"))
	served(t, open("2001:db8:0:1::2"))
	third := open("2001:db8:0:1::3") // of the same /64
	_, _ = io.WriteString(third, request("GET /prod", ""))
	if got, _ := io.ReadAll(third); len(got) > 0 {
		t.Errorf("over the cap: %q", got)
	}
	served(t, open("2001:db8:0:2::1"))
	if log := r.log(); strings.Count(log, "\n") != 1 || !strings.Contains(log, "client=2001:db8:0:1::") {
		t.Errorf("logged %q", log)
	}
}

// TestForwardedLeavesOtherHeaders: order and case of the rest stay.
func TestForwardedLeavesOtherHeaders(t *testing.T) {
	p := proxies{trusted: loopback}
	req := message.Request{Source: netip.MustParseAddr("127.0.0.1"), Header: message.Header{
		{Name: "A", Value: "1"}, {Name: "x-forwarded-for", Value: "192.0.2.1"}, {Name: "b", Value: "2"},
	}}
	p.forwarded(&req)
	if len(req.Header) != 2 || req.Header[0].Name != "A" || req.Header[1].Name != "b" {
		t.Errorf("headers %v", req.Header)
	}
}

// fed is a connection that was sent some bytes and then ended.
type fed struct {
	net.Conn
	sent io.Reader
}

func (f fed) Read(p []byte) (int, error) { return f.sent.Read(p) }

// FuzzProxyHeader: whatever comes, it is refused, or the client is named and
// all that came behind the header is still there.
func FuzzProxyHeader(f *testing.F) {
	get := request("GET /prod", "")
	f.Add([]byte("PROXY TCP4 192.0.2.1 198.51.100.1 4711 443\r\n" + get))
	f.Add([]byte("PROXY UNKNOWN\r\n" + get))
	f.Add([]byte(version2(f, "[2001:db8::1]:4711", "[2001:db8::2]:443", proxyproto.TLV{Type: proxyproto.PP2_TYPE_NOOP, Value: []byte("x")}) + get))
	f.Add([]byte(string(proxyproto.SIGV2) + "\x20\x00\x00\x00" + get))
	s := NewServer(quiet(f, hello), ServerOptions{TrustedProxies: loopback, ProxyProtocol: true})
	s.log = slog.New(slog.DiscardHandler)
	f.Fuzz(func(t *testing.T, sent []byte) {
		c := &conn{Conn: fed{sent: bytes.NewReader(sent)}, server: s, source: netip.MustParseAddr("127.0.0.1")}
		if c.readProxyHeader() != nil {
			return
		}
		rest, err := io.ReadAll(c.Conn)
		if err != nil || len(rest) >= len(sent) || !bytes.HasSuffix(sent, rest) || !c.source.IsValid() {
			t.Errorf("%q: the client is %s, and %q is left: %v", sent, c.source, rest, err)
		}
	})
}
