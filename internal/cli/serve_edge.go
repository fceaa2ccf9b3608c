package cli

import (
	"time"

	"github.com/spf13/pflag"

	"weir/internal/app"
)

// registerEdge adds the flags that say how the addresses meet the network.
func registerEdge(f *pflag.FlagSet, e *app.Edge) {
	f.DurationVar(&e.HeaderTimeout, "header-timeout", 10*time.Second, "for the head of a request, from its first byte, and for a TLS handshake")
	f.DurationVar(&e.BodyTimeout, "body-timeout", 30*time.Second, "for the whole body of a call; uploads to the control address have 5m")
	f.DurationVar(&e.IdleTimeout, "idle-timeout", 75*time.Second, "how long a connection may wait for its next request")
	f.IntVar(&e.MaxConnections, "max-connections", 0, "connections open at once on the gateway address (0: 3/4 of the file limit, at most 10000)")
	f.IntVar(&e.MaxConnectionsPerAddress, "max-connections-per-address", 0, "of one IPv4 address or IPv6 /64 (0: a tenth of --max-connections, at least 16)")
}
