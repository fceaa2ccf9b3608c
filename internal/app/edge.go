package app

import (
	"fmt"
	"time"

	"weir/internal/gateway"
)

// Edge says how the addresses meet the network. What is zero has the default
// named beside it.
type Edge struct {
	HeaderTimeout time.Duration // for the head of a request; default 10 s
	BodyTimeout   time.Duration // for the body of a call after it; default 30 s
	IdleTimeout   time.Duration // between two requests of a connection; default 75 s
	// MaxConnections may be open at once on the gateway address; default three
	// quarters of the files that the process may open, at most 10,000.
	MaxConnections           int
	MaxConnectionsPerAddress int // of one client (IPv6: a /64); default a tenth of MaxConnections, at least 16
}

// longestTimeout bounds the deadlines that can be set: one over it is a typing
// error, such as 10m for 10ms.
const longestTimeout = time.Hour

func (e *Edge) validate() error {
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
	switch {
	case e.MaxConnections < 0:
		return fmt.Errorf("--max-connections %d: give a number of connections, or 0 for the default", e.MaxConnections)
	case e.MaxConnectionsPerAddress < 0:
		return fmt.Errorf("--max-connections-per-address %d: give a number of connections, or 0 for the default", e.MaxConnectionsPerAddress)
	}
	return nil
}

// callers is how the gateway address is served.
func (e *Edge) callers() gateway.ServerOptions {
	return gateway.ServerOptions{
		HeaderTimeout: e.HeaderTimeout, BodyTimeout: e.BodyTimeout, IdleTimeout: e.IdleTimeout,
		MaxConnections: e.MaxConnections, MaxConnectionsPerAddress: e.MaxConnectionsPerAddress,
	}
}

// tools is how the control address is served. It has a share of the files of
// its own, so that a flood of callers does not lock its owner out.
func (e *Edge) tools() gateway.ServerOptions {
	return gateway.ServerOptions{
		HeaderTimeout: e.HeaderTimeout, BodyTimeout: e.BodyTimeout, IdleTimeout: e.IdleTimeout,
		MaxConnections: min(fileLimit()/8, 1_000),
	}
}
