// Package app is the process as a value: it builds all parts of weir, joins
// them, starts them and stops them in reverse. It is the only package that
// knows everybody.
//
//	a, err := app.New(ctx, app.Options{Data: dir, GatewayAddr: "127.0.0.1:0", ControlAddr: "127.0.0.1:0"})
//	err = a.Start()
//	…
//	err = a.Stop(ctx)
package app

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"regexp"
	"time"

	"weir/internal/store"
)

// Options says how a server is run. Data, GatewayAddr and ControlAddr are
// required; what else is zero has the default named beside it.
type Options struct {
	Data           string        // data folder; made when missing, owner-only
	GatewayAddr    string        // host:port for callers; port 0 is any free one
	ControlAddr    string        // host:port for AWS's tools
	SecretFile     string        // server secret; default: "secret" in the data folder, made at the first start
	Database       string        // URL of a PostgreSQL database that nodes share; needs SecretFile; default: SQLite in the data folder
	DatabaseWait   time.Duration // how long New waits for a PostgreSQL that does not answer; default 1 min
	Account        string        // 12 digits; default 000000000000
	Region         string        // default us-east-1
	AnyCredentials bool          // for tests: any signature is accepted; loopback control address only
	AccountRate    float64       // throttle over all stages, calls a second; 0, with AccountBurst 0: none
	AccountBurst   int           // calls at once; given together with AccountRate
	DrainLimit     time.Duration // how long a stop waits for calls in flight; default 30 s
	Logger         *slog.Logger  // default: discards
	Version        string        // of this weir, for what outlives the process; default "development"
	Edge
}

var (
	accountPattern = regexp.MustCompile(`^[0-9]{12}$`)
	regionPattern  = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]{1,2}$`)
)

// Validate fills the defaults in and refuses what cannot be run, saying what
// to give instead. It touches nothing outside of o.
func (o *Options) Validate() error {
	if o.Account == "" {
		o.Account = "000000000000"
	}
	if o.Region == "" {
		o.Region = "us-east-1"
	}
	if o.Version == "" {
		o.Version = "development"
	}
	if o.DrainLimit == 0 {
		o.DrainLimit = 30 * time.Second
	}
	if o.DatabaseWait == 0 {
		o.DatabaseWait = time.Minute
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	switch {
	case o.Data == "":
		return fmt.Errorf("--data is empty: name a folder to keep data in")
	case !accountPattern.MatchString(o.Account):
		return fmt.Errorf("--account %q: give an AWS account id, 12 digits", o.Account)
	case !regionPattern.MatchString(o.Region):
		return fmt.Errorf("--region %q: give an AWS region such as us-east-1", o.Region)
	case (o.AccountRate != 0) != (o.AccountBurst != 0):
		return fmt.Errorf("--account-rate %v --account-burst %d: give both, or neither for no throttle of the account", o.AccountRate, o.AccountBurst)
	case o.AccountRate < 0 || math.IsNaN(o.AccountRate) || math.IsInf(o.AccountRate, 0):
		return fmt.Errorf("--account-rate %v: give calls a second, more than 0", o.AccountRate)
	case o.AccountBurst < 0 || o.AccountBurst > math.MaxInt32:
		return fmt.Errorf("--account-burst %d: give a number of calls from 1 to %d", o.AccountBurst, math.MaxInt32)
	case o.DrainLimit < 0:
		return fmt.Errorf("--drain-limit %s: give a positive duration such as 30s", o.DrainLimit)
	}
	if err := o.validateDatabase(); err != nil {
		return err
	}
	if err := o.Edge.validate(); err != nil {
		return err
	}
	for _, a := range []struct{ flag, value string }{{"--gateway-addr", o.GatewayAddr}, {"--control-addr", o.ControlAddr}} {
		if _, _, err := net.SplitHostPort(a.value); err != nil {
			return fmt.Errorf("%s %q: give host:port, such as 127.0.0.1:4566 or :8080", a.flag, a.value)
		}
	}
	if o.AnyCredentials && !loopback(o.ControlAddr) {
		return fmt.Errorf("--any-credentials lets anybody who reaches the control address do anything: it needs --control-addr on a loopback address such as 127.0.0.1:4566, not %q", o.ControlAddr)
	}
	return nil
}

// validateDatabase never repeats the URL: it may hold a password.
func (o *Options) validateDatabase() error {
	if o.DatabaseWait < 0 {
		return fmt.Errorf("--database-wait %s: give a positive duration such as 1m", o.DatabaseWait)
	}
	if o.Database == "" {
		return nil
	}
	if _, err := store.DatabaseOf(o.Database); err != nil {
		return fmt.Errorf("--database: %w", err)
	}
	if o.SecretFile == "" {
		return errors.New("--database needs --secret-file: nodes that share a database share one server secret. Make it once with 'weir secret create weir.secret', copy it to every node, and name it on each")
	}
	return nil
}

// loopback reports whether only this machine reaches an address.
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
