package app_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weir/internal/app"
)

func TestEdgeDefaults(t *testing.T) {
	o := options("data")
	if err := o.Validate(); err != nil {
		t.Fatal(err)
	}
	if o.HeaderTimeout != 10*time.Second || o.BodyTimeout != 30*time.Second || o.IdleTimeout != 75*time.Second {
		t.Errorf("deadlines %+v", o.Edge)
	}
	if o.MaxConnections < 100 || o.MaxConnections > 10_000 || o.MaxConnectionsPerAddress != max(16, o.MaxConnections/10) {
		t.Errorf("caps %+v", o.Edge)
	}
}

func TestEdgeRefusesWhatCannotBeRun(t *testing.T) {
	for _, c := range []struct {
		change func(*app.Edge)
		want   string
	}{
		{func(e *app.Edge) { e.TLSCert = "c" }, "--tls-cert and --tls-key belong together"},
		{func(e *app.Edge) { e.ControlTLSKey = "k" }, "--control-tls-cert and --control-tls-key belong together"},
		{func(e *app.Edge) { e.TrustedProxies = []string{"10.0.0.0/8", "proxy.local"} }, `--trusted-proxies "proxy.local": give addresses and networks`},
		{func(e *app.Edge) { e.TrustedProxies = []string{"10.0.0.0/33"} }, `--trusted-proxies "10.0.0.0/33"`},
		{func(e *app.Edge) { e.TrustedProxies = []string{""} }, `--trusted-proxies ""`},
		{func(e *app.Edge) { e.ProxyProtocol = true }, "name those proxies with --trusted-proxies"},
		{func(e *app.Edge) { e.HeaderTimeout = -time.Second }, "--header-timeout -1s: give a duration"},
		{func(e *app.Edge) { e.BodyTimeout = 2 * time.Hour }, "--body-timeout 2h0m0s: give a duration between 0 and 1h0m0s, such as 30s"},
		{func(e *app.Edge) { e.IdleTimeout = -1 }, "--idle-timeout"},
		{func(e *app.Edge) { e.MaxConnections = -1 }, "--max-connections -1"},
		{func(e *app.Edge) { e.MaxConnectionsPerAddress = -1 }, "--max-connections-per-address -1"},
		{func(e *app.Edge) { e.MaxBodyMemory = 9 }, "--max-body-memory 9"},
	} {
		o := options("data")
		c.change(&o.Edge)
		if err := o.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}

// TestBadCertificateTouchesNothing: one clear error, and no data folder.
func TestBadCertificateTouchesNothing(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	o := options(data)
	o.TLSCert, o.TLSKey = filepath.Join(data, "tls.crt"), filepath.Join(data, "tls.key")
	_, err := app.New(t.Context(), o)
	if err == nil || !strings.HasPrefix(err.Error(), "--tls-cert: reading the TLS certificate: open") || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(data); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the data folder was made: %v", err)
	}
}
