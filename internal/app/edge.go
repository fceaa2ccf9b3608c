package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"weir/internal/gateway"
)

// Edge says how the addresses meet the network. What is zero has the default
// named beside it.
type Edge struct {
	TLSCert, TLSKey               string // PEM files for the gateway address; default: plain HTTP
	ControlTLSCert, ControlTLSKey string // PEM files for the control address; default: plain HTTP
	// TrustedProxies are the networks ("10.0.0.0/8") and addresses of proxies
	// that are believed about who calls the gateway address; default: nobody.
	TrustedProxies []string
	ProxyProtocol  bool          // they begin every connection with a PROXY header
	HeaderTimeout  time.Duration // for the head of a request; default 10 s
	BodyTimeout    time.Duration // for the body of a call after it; default 30 s
	IdleTimeout    time.Duration // between two requests of a connection; default 75 s
	// MaxConnections may be open at once on the gateway address; default three
	// quarters of the files that the process may open, at most 10,000.
	MaxConnections           int
	MaxConnectionsPerAddress int // of one client (IPv6: a /64); default a tenth of MaxConnections, at least 16
	MaxBodyMemory            int // MiB that callers' bodies over 64 KB may take together; default 256
}

// longestTimeout bounds the deadlines that can be set: one over it is a typing
// error, such as 10m for 10ms.
const longestTimeout = time.Hour

func (e *Edge) validate() error {
	for _, p := range []struct{ flag, cert, key string }{
		{"--tls-cert", e.TLSCert, e.TLSKey},
		{"--control-tls-cert", e.ControlTLSCert, e.ControlTLSKey},
	} {
		if (p.cert == "") != (p.key == "") {
			return fmt.Errorf("%s and %s belong together: give both files, or neither for plain HTTP", p.flag, strings.Replace(p.flag, "cert", "key", 1))
		}
	}
	if _, err := e.proxies(); err != nil {
		return err
	}
	if e.ProxyProtocol && len(e.TrustedProxies) == 0 {
		return errors.New("--proxy-protocol says that proxies name the client: name those proxies with --trusted-proxies")
	}
	for _, t := range []struct {
		flag     string
		value    *time.Duration
		fallback time.Duration
	}{
		{"--header-timeout", &e.HeaderTimeout, 10 * time.Second},
		{"--body-timeout", &e.BodyTimeout, 30 * time.Second},
		{"--idle-timeout", &e.IdleTimeout, 75 * time.Second},
	} {
		if *t.value == 0 {
			*t.value = t.fallback
		}
		if *t.value < 0 || *t.value > longestTimeout {
			return fmt.Errorf("%s %s: give a duration between 0 and %s, such as %s", t.flag, *t.value, longestTimeout, t.fallback)
		}
	}
	if e.MaxConnections == 0 {
		e.MaxConnections = min(fileLimit()/4*3, 10_000)
	}
	if e.MaxConnectionsPerAddress == 0 {
		e.MaxConnectionsPerAddress = max(e.MaxConnections/10, 16)
	}
	if e.MaxBodyMemory == 0 {
		e.MaxBodyMemory = 256
	}
	switch {
	case e.MaxBodyMemory < 16 || e.MaxBodyMemory > 1<<20:
		return fmt.Errorf("--max-body-memory %d: give a number of MiB, 16 or more (one body may have 10), or 0 for the default", e.MaxBodyMemory)
	case e.MaxConnections < 0:
		return fmt.Errorf("--max-connections %d: give a number of connections, or 0 for the default", e.MaxConnections)
	case e.MaxConnectionsPerAddress < 0:
		return fmt.Errorf("--max-connections-per-address %d: give a number of connections, or 0 for the default", e.MaxConnectionsPerAddress)
	}
	return nil
}

// proxies reads TrustedProxies.
func (e *Edge) proxies() ([]netip.Prefix, error) {
	var trusted []netip.Prefix
	for _, text := range e.TrustedProxies {
		text = strings.TrimSpace(text)
		network, err := netip.ParsePrefix(text)
		if address, e := netip.ParseAddr(text); e == nil && address.Zone() == "" {
			network, err = netip.PrefixFrom(address, address.BitLen()), nil
		}
		if err != nil || network.Addr().Is4In6() {
			return nil, fmt.Errorf("--trusted-proxies %q: give addresses and networks, such as 10.0.0.0/8,192.0.2.7,fd00::/8", text)
		}
		trusted = append(trusted, network.Masked())
	}
	return trusted, nil
}

// callers is how the gateway address is served.
func (e *Edge) callers(cert *gateway.Certificate) gateway.ServerOptions {
	trusted, _ := e.proxies() // validate has seen them
	return gateway.ServerOptions{
		Certificate: cert, TrustedProxies: trusted, ProxyProtocol: e.ProxyProtocol,
		HeaderTimeout: e.HeaderTimeout, BodyTimeout: e.BodyTimeout, IdleTimeout: e.IdleTimeout,
		MaxConnections: e.MaxConnections, MaxConnectionsPerAddress: e.MaxConnectionsPerAddress,
		MaxBodyMemory: e.MaxBodyMemory << 20,
	}
}

// tools is how the control address is served. It has a share of the files of
// its own, so that a flood of callers does not lock its owner out.
func (e *Edge) tools(cert *gateway.Certificate) gateway.ServerOptions {
	return gateway.ServerOptions{
		Certificate:   cert,
		HeaderTimeout: e.HeaderTimeout, BodyTimeout: e.BodyTimeout, IdleTimeout: e.IdleTimeout,
		MaxConnections: min(fileLimit()/8, 1_000),
	}
}

// watchCertificates is how often certificate files are looked at.
const watchCertificates = 2 * time.Second

// loadCertificates reads the certificates before anything is touched, and
// follows their files from then on.
func (a *App) loadCertificates(ctx context.Context) error {
	for _, p := range []struct {
		flag, cert, key string
		to              **gateway.Certificate
	}{
		{"--tls-cert", a.o.TLSCert, a.o.TLSKey, &a.callersCert},
		{"--control-tls-cert", a.o.ControlTLSCert, a.o.ControlTLSKey, &a.toolsCert},
	} {
		if p.cert == "" {
			continue
		}
		c, err := gateway.LoadCertificate(p.cert, p.key, a.o.Logger)
		if err != nil {
			return fmt.Errorf("%s: %w", p.flag, err)
		}
		*p.to = c
		watching, cancel := context.WithCancel(context.WithoutCancel(ctx))
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			c.Watch(watching, watchCertificates)
		}()
		a.onStop(p.flag, func(context.Context) error {
			cancel()
			<-ended
			return nil
		})
	}
	return nil
}

// bindLocal gives what runs on this machine, functions and weir's own commands,
// an address without TLS when the control address has it: they need not trust
// its certificate then, nor find its name. Only loopback reaches it, and calls
// are signed all the same.
func (a *App) bindLocal(ctx context.Context) error {
	if a.local == nil {
		return nil
	}
	var listen net.ListenConfig
	l, err := listen.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("binding a loopback address for functions: %w", err)
	}
	a.localAddr = l
	a.onStopClose("local control address", l)
	return nil
}

// localURL is where what runs on this machine reaches the control address.
func (a *App) localURL() string {
	if a.localAddr != nil {
		return reachable(a.localAddr.Addr(), nil)
	}
	return reachable(a.controlAddr.Addr(), nil)
}
