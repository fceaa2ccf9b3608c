package app

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"weir/internal/gateway"
)

// Running is what a started server tells the other commands of itself. It
// stands in the data folder from Start to Stop; a killed server leaves it, so
// a reader asks whether the process is still there.
type Running struct {
	PID        int    `json:"pid"`
	GatewayURL string `json:"gatewayUrl"` // "http://127.0.0.1:8080"
	ControlURL string `json:"controlUrl"`
	LocalURL   string `json:"localUrl,omitempty"`  // control without TLS on loopback, when ControlURL has TLS
	GatewayCA  string `json:"gatewayCa,omitempty"` // certificate file that a client of GatewayURL has to trust
	ControlCA  string `json:"controlCa,omitempty"` // … of ControlURL
	Account    string `json:"account"`
	Region     string `json:"region"`
	Version    string `json:"version"`
}

func runningFile(data string) string { return filepath.Join(data, "running.json") }

// FindRunning returns the server that runs on a data folder, or an error that
// is fs.ErrNotExist when there is none.
func FindRunning(data string) (Running, error) {
	var r Running
	text, err := os.ReadFile(runningFile(data))
	if err != nil {
		return r, fmt.Errorf("looking for a running server: %w", err)
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("%s is not readable (%w): restart the server to write it anew", runningFile(data), err)
	}
	if !alive(r.PID) {
		return r, fmt.Errorf("the server that wrote %s (process %d) is gone: %w", runningFile(data), r.PID, fs.ErrNotExist)
	}
	return r, nil
}

// reachable is the URL under which this machine reaches a bound address: a
// wildcard address is reached through loopback, and one that speaks TLS under
// a name that its certificate has.
func reachable(addr net.Addr, cert *gateway.Certificate) string {
	scheme := "http://"
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return scheme + addr.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	if cert != nil {
		scheme, host = "https://", cert.Host(host)
	}
	return scheme + net.JoinHostPort(host, port)
}
