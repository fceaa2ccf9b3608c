package cli

import (
	"time"

	"github.com/spf13/pflag"

	"weir/internal/app"
)

// registerEdge adds the flags that say how the addresses meet the network.
func registerEdge(f *pflag.FlagSet, e *app.Edge) {
	f.StringVar(&e.TLSCert, "tls-cert", "", "certificate of the gateway address, with its chain (PEM); reloaded when it changes; with it HTTP/2")
	f.StringVar(&e.TLSKey, "tls-key", "", "its key (PEM, no passphrase)")
	f.StringVar(&e.ControlTLSCert, "control-tls-cert", "", "the same for the control address")
	f.StringVar(&e.ControlTLSKey, "control-tls-key", "", "its key")
	f.StringSliceVar(&e.TrustedProxies, "trusted-proxies", nil, "addresses and networks of the proxies before the gateway address that say who calls (X-Forwarded-For)")
	f.BoolVar(&e.ProxyProtocol, "proxy-protocol", false, "they begin every connection with a PROXY header, version 1 or 2")
	f.DurationVar(&e.HeaderTimeout, "header-timeout", 10*time.Second, "for the head of a request, from its first byte, and for a TLS handshake")
	f.DurationVar(&e.BodyTimeout, "body-timeout", 30*time.Second, "for the whole body of a call; uploads to the control address have 5m")
	f.DurationVar(&e.IdleTimeout, "idle-timeout", 75*time.Second, "how long a connection may wait for its next request")
	f.IntVar(&e.MaxConnections, "max-connections", 0, "connections open at once on the gateway address (0: 3/4 of the file limit, at most 10000)")
	f.IntVar(&e.MaxConnectionsPerAddress, "max-connections-per-address", 0, "of one IPv4 address or IPv6 /64 (0: a tenth of --max-connections, at least 16)")
	f.IntVar(&e.MaxBodyMemory, "max-body-memory", 256, "MiB that the bodies of calls over 64 KB may take together; what is over is refused (503)")
}
