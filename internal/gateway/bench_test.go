package gateway

import (
	"bufio"
	"context"
	"crypto/sha256"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"weir/internal/catalog"
	"weir/internal/gateway/message"
	"weir/internal/gateway/protection"
	"weir/internal/invocation"
	"weir/internal/limit"
	"weir/internal/limit/limittest"
	"weir/internal/telemetry"
)

// saying is a function that says what it is told to.
type saying struct{ payload []byte }

func (s *saying) Invoke(context.Context, *invocation.Invocation) (*invocation.Result, error) {
	return &invocation.Result{StatusCode: 200, Payload: s.payload, RequestID: "inv-1"}, nil
}

var hello = &saying{[]byte(`{"statusCode":200,"body":"hello"}`)}

// quiet is a gateway with the rig's API that reports nothing.
func quiet(tb testing.TB, function invocation.Invoker) *Gateway {
	tb.Helper()
	guard := protection.NewGuard(protection.Options{
		Limiter: limit.New(&limittest.Ledger{}), Now: limit.NewClock().Now,
		Digest: func(value string) [sha256.Size]byte {
			var b [128]byte // allocates nothing, as the real one
			return sha256.Sum256(b[:copy(b[:], value)])
		},
	})
	guard.Started(limit.NewClock().Now())
	g := New(Options{Account: "000000000000", Region: "us-east-1", Invoker: function, Guard: guard})
	publish, err := g.Prepare([]StageChange{{
		APIID: "abc123", StageName: "prod", Stage: &catalog.Stage{APIID: "abc123", StageName: "prod"},
		Deployment: &catalog.Deployment{ID: "dep001", Resources: resources(), API: catalog.RestAPI{ID: "abc123"}},
	}})
	if err != nil {
		tb.Fatal(err)
	}
	publish()
	return g
}

// prepare fills an exchange as accept does.
func prepare(x *exchange, method, path string) {
	x.req.Method, x.req.Path, x.req.Proto, x.req.Scheme, x.req.Port = method, path, "HTTP/1.1", "http", "8080"
	x.req.Host = "abc123.execute-api.us-east-1.localhost:8080"
	x.req.Received = time.Now()
	x.req.Source = netip.IPv4Unspecified()
	x.req.Header = append(x.req.Header[:0],
		message.Field{Name: "Host", Value: x.req.Host}, message.Field{Name: "User-Agent", Value: "bench"},
		message.Field{Name: "Accept", Value: "*/*"}, message.Field{Name: "x-api-key", Value: "nosuchkeynosuchkeynosuchkeynosuchkey"})
	identify(&x.req)
}

var lines = []struct{ name, method, path string }{
	{"refused", "POST", "/prod/keyed"}, {"missed", "GET", "/prod/nowhere"}, {"mock", "GET", "/prod"}, {"proxy", "GET", "/prod/items/7"},
}

// TestRefusalAllocatesOnlyItsIDs keeps a flood of refused calls cheap.
func TestRefusalAllocatesOnlyItsIDs(t *testing.T) {
	g := quiet(t, hello)
	x := &exchange{}
	for _, l := range lines[:2] {
		n := testing.AllocsPerRun(200, func() {
			x.reset()
			prepare(x, l.method, l.path)
			g.serve(t.Context(), x)
		})
		if x.resp.Status != 403 || n > 1 {
			t.Errorf("%s: status %d, %v allocations", l.name, x.resp.Status, n)
		}
	}
}

func BenchmarkLine(b *testing.B) {
	benchmarkLine(b, quiet(b, hello))
}

// BenchmarkLineRecorded is BenchmarkLine with its Records kept, as a server
// keeps them.
func BenchmarkLineRecorded(b *testing.B) {
	g := quiet(b, hello)
	requests, refusals := telemetry.NewRequests(), telemetry.NewRefusals(time.Now())
	g.options.Record = func(r *telemetry.Record) {
		requests.Add(r)
		refusals.Add(r)
	}
	benchmarkLine(b, g)
}

func benchmarkLine(b *testing.B, g *Gateway) {
	b.Helper()
	for _, l := range lines {
		b.Run(l.name, func(b *testing.B) {
			x := &exchange{}
			b.ReportAllocs()
			for b.Loop() {
				x.reset()
				prepare(x, l.method, l.path)
				g.serve(b.Context(), x)
			}
		})
	}
}

func BenchmarkConnection(b *testing.B) {
	g := quiet(b, hello)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s := NewServer(g, ServerOptions{})
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	for _, l := range lines {
		b.Run(l.name, func(b *testing.B) {
			c, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
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
	if err := s.Shutdown(b.Context()); err != nil {
		b.Error(err)
	}
	if err := <-served; err != nil {
		b.Error(err)
	}
}
