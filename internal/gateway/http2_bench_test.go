package gateway

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"testing"
)

// serveTLS serves a quiet gateway with a certificate.
func serveTLS(b *testing.B) (addr string) {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s := NewServer(quiet(b, hello), ServerOptions{Certificate: certificate(b)})
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	b.Cleanup(func() {
		if err := s.Shutdown(b.Context()); err != nil && b.Context().Err() == nil {
			b.Error(err)
		}
		if err := <-served; err != nil {
			b.Error(err)
		}
	})
	return ln.Addr().String()
}

func dialBench(b *testing.B, addr string, protos ...string) *tls.Conn {
	b.Helper()
	c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, NextProtos: protos})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.Close() })
	return c
}

// BenchmarkConnectionTLS is BenchmarkConnection through TLS.
func BenchmarkConnectionTLS(b *testing.B) {
	addr := serveTLS(b)
	for _, l := range lines {
		b.Run(l.name, func(b *testing.B) {
			c := dialBench(b, addr, "http/1.1")
			req := request(l.method+" "+l.path, "", "x-api-key: nosuchkeynosuchkeynosuchkeynosuchkey")
			br := bufio.NewReader(c)
			_, _ = io.WriteString(c, req)
			size := len(readResponse(b, br, l.method))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := io.WriteString(c, req); err != nil {
					b.Fatal(err)
				}
				if _, err := br.Discard(size); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkConnectionHTTP2 asks one request after the other on one HTTP/2
// connection. Allocations include those of the client.
func BenchmarkConnectionHTTP2(b *testing.B) {
	addr := serveTLS(b)
	for _, l := range lines {
		b.Run(l.name, func(b *testing.B) {
			c := newHTTP2Client(b, dialBench(b, addr, "h2"))
			req := request(l.method+" "+l.path, "", "x-api-key: nosuchkeynosuchkeynosuchkeynosuchkey")
			b.ReportAllocs()
			for b.Loop() {
				if got := c.ask(req); got.status == "" {
					b.Fatalf("got %+v", got)
				}
			}
		})
	}
}

// BenchmarkHandshake is what a new connection costs both sides.
func BenchmarkHandshake(b *testing.B) {
	addr := serveTLS(b)
	for b.Loop() {
		c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			b.Fatal(err)
		}
		_ = c.Close()
	}
}
