package gateway

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// writePair writes a certificate for 127.0.0.1 and the names, issued by itself,
// and its key.
func writePair(t testing.TB, certFile, keyFile string, names ...string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "weir test"}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	if len(names) == 0 {
		template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: cert}, keyFile: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// certificate is one for 127.0.0.1 and the names.
func certificate(t testing.TB, names ...string) *Certificate {
	t.Helper()
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	writePair(t, certFile, keyFile, names...)
	c, err := LoadCertificate(certFile, keyFile, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// dialTLS opens a TLS connection that speaks one of protos.
func (r *rig) dialTLS(protos ...string) *tls.Conn {
	r.t.Helper()
	c := tls.Client(r.dial(), &tls.Config{InsecureSkipVerify: true, NextProtos: protos})
	if err := c.Handshake(); err != nil {
		r.t.Fatal(err)
	}
	return c
}

// http2Client speaks HTTP/2 frame by frame, so that it can say what no proper
// client would.
type http2Client struct {
	t       testing.TB
	conn    net.Conn
	framer  *http2.Framer
	block   bytes.Buffer
	encoder *hpack.Encoder
	stream  uint32 // of the last request
}

func (r *rig) dialHTTP2() *http2Client {
	r.t.Helper()
	conn := r.dialTLS("h2")
	if got := conn.ConnectionState().NegotiatedProtocol; got != "h2" {
		r.t.Fatalf("agreed on %q", got)
	}
	return newHTTP2Client(r.t, conn)
}

func newHTTP2Client(t testing.TB, conn net.Conn) *http2Client {
	t.Helper()
	c := &http2Client{t: t, conn: conn, framer: http2.NewFramer(conn, conn)}
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.encoder = hpack.NewEncoder(&c.block)
	c.stream--
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	if err := c.framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	return c
}

// http2Response is what came back on one stream.
type http2Response struct {
	status  string
	headers map[string]string
	body    string
	reset   http2.ErrCode // with a reset and no answer
}

// fields makes HTTP/2 header fields of a raw HTTP/1.1 head.
func fields(head string) []hpack.HeaderField {
	line, rest, _ := strings.Cut(head, "\r\n")
	method, path, _ := strings.Cut(strings.TrimSuffix(line, " HTTP/1.1"), " ")
	pseudo := []hpack.HeaderField{{Name: ":method", Value: method}, {Name: ":scheme", Value: "https"}, {Name: ":path", Value: path}}
	var regular []hpack.HeaderField
	for l := range strings.SplitSeq(rest, "\r\n") {
		name, value, ok := strings.Cut(l, ": ")
		switch {
		case !ok:
		case strings.EqualFold(name, "Host"):
			pseudo = append(pseudo, hpack.HeaderField{Name: ":authority", Value: value})
		default:
			regular = append(regular, hpack.HeaderField{Name: strings.ToLower(name), Value: value})
		}
	}
	return append(pseudo, regular...)
}

// head sends the head of a raw HTTP/1.1 request.
func (c *http2Client) head(raw string, last bool) {
	c.t.Helper()
	c.stream += 2
	c.block.Reset()
	for _, f := range fields(raw) {
		if err := c.encoder.WriteField(f); err != nil {
			c.t.Fatal(err)
		}
	}
	block, first := c.block.Bytes(), true
	for first || len(block) > 0 {
		n := min(len(block), 16<<10)
		var err error
		if first {
			err = c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: c.stream, BlockFragment: block[:n], EndStream: last, EndHeaders: n == len(block)})
		} else {
			err = c.framer.WriteContinuation(c.stream, n == len(block), block[:n])
		}
		if err != nil {
			c.t.Fatal(err)
		}
		block, first = block[n:], false
	}
}

// ask sends a raw HTTP/1.1 request and reads the answer.
func (c *http2Client) ask(raw string) http2Response {
	c.t.Helper()
	head, body, _ := strings.Cut(raw, "\r\n\r\n")
	c.head(head, body == "")
	if body != "" {
		if err := c.framer.WriteData(c.stream, true, []byte(body)); err != nil {
			c.t.Fatal(err)
		}
	}
	return c.answer()
}

// answer reads frames until the stream of the last request has ended.
func (c *http2Client) answer() http2Response {
	c.t.Helper()
	got, err := c.read()
	if err != nil {
		c.t.Fatalf("reading the answer: %v, after %+v", err, got)
	}
	return got
}

func (c *http2Client) read() (got http2Response, err error) {
	for {
		f, err := c.framer.ReadFrame()
		if err != nil {
			return got, err
		}
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				err = c.framer.WriteSettingsAck()
			}
		case *http2.MetaHeadersFrame:
			got.status, got.headers = f.PseudoValue("status"), map[string]string{}
			for _, h := range f.RegularFields() {
				got.headers[h.Name] = h.Value
			}
		case *http2.DataFrame:
			got.body += string(f.Data())
			if n := len(f.Data()); n > 0 { // for the connection; no stream gets more than its first window
				err = c.framer.WriteWindowUpdate(0, uint32(n))
			}
		case *http2.RSTStreamFrame:
			if f.StreamID != c.stream {
				continue // of a body that was not wanted
			}
			got.reset = f.ErrCode
			return got, nil
		case *http2.GoAwayFrame:
			return got, goneAway{f.ErrCode}
		}
		if err != nil {
			return got, err
		}
		if f.Header().StreamID == c.stream && f.Header().Flags.Has(http2.FlagDataEndStream) && f.Header().Type != http2.FrameWindowUpdate {
			return got, nil
		}
	}
}

// goneAway is a GOAWAY in place of an answer.
type goneAway struct{ code http2.ErrCode }

func (g goneAway) Error() string { return fmt.Sprintf("GOAWAY %s", g.code) }

// same fails unless an HTTP/2 answer says what an HTTP/1.1 one says.
func (got http2Response) same(t testing.TB, want string) {
	t.Helper()
	if got.status != status(want) || got.body != body(want) {
		t.Errorf("HTTP/2 answered %s %q, HTTP/1.1 %q", got.status, got.body, want)
	}
	names := map[string]bool{}
	head, _, _ := strings.Cut(want, "\r\n\r\n")
	for l := range strings.SplitSeq(head, "\r\n") {
		name, value, ok := strings.Cut(l, ": ")
		if !ok || name == "Connection" {
			continue
		}
		names[strings.ToLower(name)] = true
		sent, ok := got.headers[strings.ToLower(name)]
		if !ok || mask(name+": "+sent+"\r") != mask(l+"\r") {
			t.Errorf("HTTP/2 has %s: %q, HTTP/1.1 %q", name, sent, value)
		}
	}
	for name, value := range got.headers {
		if !names[name] {
			t.Errorf("only HTTP/2 has %s: %s", name, value)
		}
	}
}

// mask takes out what differs between two answers that are the same.
func mask(line string) string {
	for _, v := range volatile {
		line = v.pattern.ReplaceAllString(line, v.word)
	}
	return line
}
