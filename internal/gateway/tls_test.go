package gateway

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// event is what the function saw of a call.
type event struct {
	Path              string
	MultiValueHeaders map[string][]string
	RequestContext    struct {
		Protocol string
		Identity struct{ SourceIP string }
	}
}

func (r *rig) event() (e event) {
	r.t.Helper()
	if err := json.Unmarshal([]byte(r.invoker.lastEvent()), &e); err != nil {
		r.t.Fatal(err)
	}
	return e
}

func (e event) header(name string) string { return strings.Join(e.MultiValueHeaders[name], "|") }

func TestHTTP1OverTLS(t *testing.T) {
	r := newRig(t, ServerOptions{Certificate: certificate(t)})
	for _, protos := range [][]string{{"http/1.1"}, nil} { // nil: a client that knows no ALPN
		c := r.dialTLS(protos...)
		served(t, c)
		_, _ = io.WriteString(c, request("GET /prod/open", "", "tEsT: CaSe"))
		if got := readResponse(t, bufio.NewReader(c), "GET"); status(got) != "200" {
			t.Errorf("the second request: %q", got)
		}
	}
	e := r.event()
	_, port, _ := net.SplitHostPort(r.addr)
	if e.header("X-Forwarded-Proto") != "https" || e.header("X-Forwarded-Port") != port || e.header("tEsT") != "CaSe" ||
		e.RequestContext.Protocol != "HTTP/1.1" || e.RequestContext.Identity.SourceIP != "127.0.0.1" {
		t.Errorf("event %+v", e)
	}
}

// TestLargeBodiesOverTLS: the refusal arrives although the caller still sends.
func TestLargeBodiesOverTLS(t *testing.T) {
	r := newRig(t, ServerOptions{Certificate: certificate(t)})
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	for size, want := range map[int64]int{1 << 20: 200, maxBody + 1<<20: 413} {
		resp, err := client.Post("https://"+r.addr+"/_aws/execute-api/abc123/prod/open", "", io.LimitReader(zeros{}, size))
		if err != nil {
			t.Errorf("%d bytes: %v", size, err)
			continue
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want || resp.ProtoMajor != 1 {
			t.Errorf("%d bytes: %s %d, want %d", size, resp.Proto, resp.StatusCode, want)
		}
	}
}

// TestTLSPortTurnsStrangersAway: what is no TLS 1.2 ends, and the log says
// nothing of it.
func TestTLSPortTurnsStrangersAway(t *testing.T) {
	r := newRig(t, ServerOptions{Certificate: certificate(t)})
	hasty := newRig(t, ServerOptions{Certificate: certificate(t), HeaderTimeout: 200 * time.Millisecond})
	for _, c := range []struct {
		name         string
		rig          *rig
		sent, answer string
	}{
		{"plain HTTP", r, request("GET /prod", ""), "HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nThis address speaks TLS: use https://.\n"},
		{"bytes that are no TLS", r, "SSH-2.0-OpenSSH_9.2\r\n", ""},
		{"HTTP/2 without TLS", r, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ""},
		{"a handshake that never ends", hasty, "\x16\x03\x01\x00\xff", ""},
		{"silence", hasty, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := c.rig.dial()
			_, _ = io.WriteString(conn, c.sent)
			got, err := io.ReadAll(conn)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the connection did not end")
			}
			if answer := string(got); answer != c.answer && (c.answer != "" || bytes.HasPrefix(got, []byte("HTTP"))) { // an alert may come
				t.Errorf("got %q", answer)
			}
		})
	}
	t.Run("TLS 1.1", func(t *testing.T) {
		c := tls.Client(r.dial(), &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
		if err := c.Handshake(); err == nil || !strings.Contains(err.Error(), "protocol version") {
			t.Errorf("handshake: %v", err)
		}
	})
	served(t, r.dialTLS("http/1.1"))
	if log := r.log() + hasty.log(); log != "" {
		t.Errorf("logged %q", log)
	}
}

func TestShutdownEndsHandshakes(t *testing.T) {
	r := newRig(t, ServerOptions{Certificate: certificate(t), HeaderTimeout: time.Hour})
	c := r.dial()
	_, _ = io.WriteString(c, "\x16\x03\x01")
	for r.server.open.count() == 0 {
		time.Sleep(time.Millisecond)
	}
	if err := r.server.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the connection is still open")
	}
}

// leafOf is the serial number of the certificate that an address shows.
func leafOf(t testing.TB, addr string) string {
	t.Helper()
	c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

func TestCertificateFollowsItsFiles(t *testing.T) {
	// As Kubernetes mounts a secret: the files are links into a folder that is
	// itself a link, and only that one is swapped.
	dir := t.TempDir()
	folder := func(name string) {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		writePair(t, filepath.Join(dir, name, "tls.crt"), filepath.Join(dir, name, "tls.key"))
	}
	swap := func(to string) {
		if err := os.Symlink(to, filepath.Join(dir, "..new")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..new"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	folder("one")
	folder("two")
	swap("one")
	certFile, keyFile := filepath.Join(dir, "..data", "tls.crt"), filepath.Join(dir, "..data", "tls.key")
	var logged bytes.Buffer
	c, err := LoadCertificate(certFile, keyFile, slog.New(slog.NewTextHandler(&logged, nil)))
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, ServerOptions{Certificate: c})
	old := r.dialTLS("http/1.1")
	served(t, old)
	first := leafOf(t, r.addr)

	c.Reload() // nothing changed
	swap("two")
	c.Reload()
	second := leafOf(t, r.addr)
	if second == first {
		t.Error("the certificate was not reloaded")
	}
	served(t, old)
	if got := logged.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "TLS certificate reloaded") {
		t.Errorf("logged %q", got)
	}

	for _, broken := range []struct {
		name  string
		spoil func()
	}{
		{"a half-written certificate", func() {
			text, _ := os.ReadFile(certFile)
			_ = os.WriteFile(certFile, text[:len(text)/2], 0o600)
		}},
		{"a key of another certificate", func() {
			writePair(t, certFile, filepath.Join(dir, "stray.key"))
		}},
		{"a key that is none", func() { _ = os.WriteFile(keyFile, []byte("secret"), 0o600) }},
	} {
		logged.Reset()
		broken.spoil()
		c.Reload()
		c.Reload() // and is not reported again
		if got := leafOf(t, r.addr); got != second {
			t.Errorf("%s: shows %s, want %s", broken.name, got, second)
		}
		if got := logged.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "the one in use stays") || strings.Contains(got, "secret") {
			t.Errorf("%s: logged %q", broken.name, got)
		}
	}
	writePair(t, certFile, keyFile)
	c.Reload()
	if got := leafOf(t, r.addr); got == second {
		t.Error("a good pair after broken ones was not taken")
	}
}

func TestCertificateThatCannotBeUsed(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "a.crt"), filepath.Join(dir, "a.key")
	writePair(t, cert, key)
	writePair(t, filepath.Join(dir, "b.crt"), filepath.Join(dir, "b.key"))
	huge := filepath.Join(dir, "huge")
	if err := os.WriteFile(huge, make([]byte, maxPEM+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, cert, key, want string }{
		{"missing", filepath.Join(dir, "none"), key, "reading the TLS certificate: open"},
		{"no key", cert, filepath.Join(dir, "none"), "reading the key of the TLS certificate: open"},
		{"swapped", key, cert, "are no certificate and its key"},
		{"of another", cert, filepath.Join(dir, "b.key"), "private key does not match public key"},
		{"huge", huge, key, "it is no PEM file"},
	} {
		if _, err := LoadCertificate(c.cert, c.key, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestCertificateHost(t *testing.T) {
	for _, c := range []struct {
		names      []string
		host, want string
	}{
		{nil, "127.0.0.1", "127.0.0.1"},
		{[]string{"gate.example.com", "localhost"}, "127.0.0.1", "localhost"},
		{[]string{"*.example.com", "gate.example.com"}, "127.0.0.1", "gate.example.com"},
		{[]string{"gate.example.com", "localhost"}, "10.0.0.1", "gate.example.com"},
		{[]string{"*.example.com"}, "10.0.0.1", "10.0.0.1"},
	} {
		if got := certificate(t, c.names...).Host(c.host); got != c.want {
			t.Errorf("%v: %s is reached as %s, want %s", c.names, c.host, got, c.want)
		}
	}
}
