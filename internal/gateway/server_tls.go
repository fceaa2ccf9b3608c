package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// maxPEM bounds a certificate or key file.
const maxPEM = 1 << 20

// Certificate is a TLS certificate with its key that follows its two files.
// Reload is for one goroutine; the rest is safe for concurrent use.
type Certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	current atomic.Pointer[tls.Certificate]
	seen    [sha256.Size]byte // of the pair that was looked at last, good or not
}

// LoadCertificate reads a certificate (PEM, with the chain after it) and its
// key (PEM, no passphrase).
func LoadCertificate(certFile, keyFile string, log *slog.Logger) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile, log: log}
	pair, seen, err := c.read()
	if err != nil {
		return nil, err
	}
	c.seen = seen
	c.current.Store(pair)
	if time.Now().After(pair.Leaf.NotAfter) {
		log.Warn("the TLS certificate has expired; clients will refuse it", "file", certFile, "expired", pair.Leaf.NotAfter)
	}
	return c, nil
}

func (c *Certificate) read() (pair *tls.Certificate, seen [sha256.Size]byte, err error) {
	cert, err := readPEM(c.certFile)
	if err != nil {
		return nil, seen, fmt.Errorf("reading the TLS certificate: %w", err)
	}
	key, err := readPEM(c.keyFile)
	if err != nil {
		return nil, seen, fmt.Errorf("reading the key of the TLS certificate: %w", err)
	}
	seen = sha256.Sum256(bytes.Join([][]byte{cert, key}, []byte{0}))
	made, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, seen, fmt.Errorf("%s and %s are no certificate and its key: %w: give PEM files, the certificate with its chain, the key without a passphrase", c.certFile, c.keyFile, err)
	}
	return &made, seen, nil
}

// readPEM reads a whole small file. What is a link is followed, so that a
// mounted secret may be swapped by its link.
func readPEM(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxPEM+1))
	if err == nil && len(text) > maxPEM {
		err = fmt.Errorf("%s has more than %d bytes: it is no PEM file", file, maxPEM)
	}
	return text, err
}

// Reload takes what the files hold now. A pair that is missing, half written or
// does not belong together changes nothing; it is reported once.
func (c *Certificate) Reload() {
	pair, seen, err := c.read()
	if seen == c.seen {
		return
	}
	c.seen = seen
	if err != nil {
		c.log.Error("the TLS certificate was not reloaded; the one in use stays", "error", err, "in_use_until", c.current.Load().Leaf.NotAfter)
		return
	}
	c.current.Store(pair)
	c.log.Info("TLS certificate reloaded", "file", c.certFile, "names", pair.Leaf.DNSNames, "expires", pair.Leaf.NotAfter)
}

// Watch reloads as the files change, looking once an interval, until ctx ends.
func (c *Certificate) Watch(ctx context.Context, interval time.Duration) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			c.Reload()
		}
	}
}

// Host is a name under which the certificate lets a client reach this address:
// host itself, localhost for a loopback address, or the first name in the
// certificate; host when there is none.
func (c *Certificate) Host(host string) string {
	leaf := c.current.Load().Leaf
	if leaf.VerifyHostname(host) == nil {
		return host
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsLoopback() && leaf.VerifyHostname("localhost") == nil {
		return "localhost"
	}
	for _, name := range leaf.DNSNames {
		if !strings.Contains(name, "*") {
			return name
		}
	}
	return host
}

// SelfIssued reports whether the certificate is its own issuer, so that a
// client has to be given the file to trust it.
func (c *Certificate) SelfIssued() bool {
	leaf := c.current.Load().Leaf
	return bytes.Equal(leaf.RawIssuer, leaf.RawSubject)
}

// config is for the handshakes of one address.
func (c *Certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current.Load(), nil },
	}
}

// prepared is a connection on which something comes before the first request:
// a PROXY header, a TLS handshake. The engine asks for both by Handshake, on
// the connection's own goroutine and under the deadline for heads.
type prepared struct {
	*conn
	state tls.ConnectionState
}

// Handshake is called once, before anything is read. The engine would go on
// after an error, so the connection ends for it.
func (p *prepared) Handshake() error {
	p.preparing.Store(true)
	defer p.preparing.Store(false)
	err := p.prepare()
	if err != nil {
		p.Conn = ended{p.Conn}
	}
	return err
}

func (p *prepared) prepare() error {
	if p.proxied {
		if err := p.readProxyHeader(); err != nil {
			return err
		}
	}
	if p.server.tls == nil {
		return nil
	}
	secure := tls.Server(p.Conn, p.server.tls)
	if err := secure.Handshake(); err != nil {
		var plain tls.RecordHeaderError
		if errors.As(err, &plain) && plain.Conn != nil && looksLikeHTTP(plain.RecordHeader) {
			p.lingers()
			_, _ = io.WriteString(p.Conn, plainOnTLS)
		}
		p.server.log.Debug("a TLS handshake failed", "error", err)
		return err
	}
	p.state = secure.ConnectionState()
	p.Conn, p.scheme = secure, "https"
	return nil
}

// ended is a connection on which nothing is read or written any more.
type ended struct{ net.Conn }

func (ended) Read([]byte) (int, error)  { return 0, io.EOF }
func (ended) Write([]byte) (int, error) { return 0, net.ErrClosed }

// CloseWrite ends our side, for lingering.
func (e ended) CloseWrite() error { return closeWrite(e.Conn) }

func closeWrite(c net.Conn) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// ConnectionState tells the engine which protocol was agreed on.
func (p *prepared) ConnectionState() tls.ConnectionState { return p.state }

// plainOnTLS is what a caller gets who says http:// to a TLS address.
const plainOnTLS = "HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n" +
	"This address speaks TLS: use https://.\n"

func looksLikeHTTP(head [5]byte) bool {
	switch string(head[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO", "DELET", "PATCH":
		return true
	}
	return false
}
