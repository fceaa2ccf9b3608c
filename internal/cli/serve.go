package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"weir/internal/app"
)

func newServe() *cobra.Command {
	var s serverFlags
	c := &cobra.Command{
		Use:   "serve",
		Short: "Start the server",
		Long: `Start the server: the gateway address answers callers and nothing else; the
control address answers AWS's management APIs (signed), and callers too, for
tools that know only one port. Every flag can be given in the environment as
well: WEIR_GATEWAY_ADDR for --gateway-addr and so on.

Everything is kept in the data folder, by one server. Several servers (nodes)
behind a balancer share a PostgreSQL database: each has the same --database and
--secret-file, and a data folder of its own. A password in the URL is better
given as WEIR_DATABASE, PGPASSWORD or in a password file (~/.pgpass): other
users of the machine can read command lines.

SIGTERM and Ctrl-C drain: what is in flight is answered, then the server stops.`,
		Example: `  weir serve
  weir serve --data ./data --gateway-addr :8080 --control-addr 127.0.0.1:4566
  weir serve --gateway-addr 127.0.0.1:0 --control-addr 127.0.0.1:0   # any free ports; 'weir env' knows them
  weir serve --database postgres://weir@db.internal/weir --secret-file /etc/weir/weir.secret`,
		Args: cobra.NoArgs,
		PreRunE: func(c *cobra.Command, _ []string) error {
			return fromEnvironment(c.Flags())
		},
		RunE: func(c *cobra.Command, _ []string) error {
			o, err := s.options(c.ErrOrStderr())
			if err != nil {
				return err
			}
			return serve(c.Context(), o, nil)
		},
	}
	s.register(c.Flags(), "info")
	return c
}

// serverFlags is what every command that starts a server takes.
type serverFlags struct {
	app.Options
	logFormat, logLevel string
}

func (s *serverFlags) register(f *pflag.FlagSet, logLevel string) {
	f.StringVar(&s.Data, "data", defaultData(), "data folder; made when missing")
	f.StringVar(&s.GatewayAddr, "gateway-addr", ":8080", "address for callers")
	f.StringVar(&s.ControlAddr, "control-addr", "127.0.0.1:4566", "address for AWS's tools")
	f.StringVar(&s.Database, "database", "", "`URL` of a PostgreSQL database that nodes share (default: SQLite in the data folder); needs --secret-file")
	f.DurationVar(&s.DatabaseWait, "database-wait", time.Minute, "how long a start waits for a PostgreSQL that does not answer")
	f.StringVar(&s.SecretFile, "secret-file", "", "server secret (default: made in the data folder); the same on all nodes")
	f.StringVar(&s.Account, "account", "000000000000", "AWS account id to answer as: 12 digits")
	f.Float64Var(&s.AccountRate, "account-rate", 0, "throttle over all stages: calls a second (0: none)")
	f.IntVar(&s.AccountBurst, "account-burst", 0, "calls at once under --account-rate")
	f.StringVar(&s.Region, "region", "us-east-1", "AWS region to answer as")
	f.BoolVar(&s.AnyCredentials, "any-credentials", false, "for tests: accept any signature; the control address must be loopback")
	registerEdge(f, &s.Edge)
	f.DurationVar(&s.DrainLimit, "drain-limit", 30*time.Second, "how long a stop waits for calls in flight")
	f.StringVar(&s.logFormat, "log-format", "text", "format of the server's own log: text or json")
	f.StringVar(&s.logLevel, "log-level", logLevel, "least level logged: debug, info, warn or error")
}

// options gives what app.New takes, checked, with a logger that writes to log.
func (s *serverFlags) options(log io.Writer) (app.Options, error) {
	logger, err := newLogger(log, s.logFormat, s.logLevel)
	if err != nil {
		return app.Options{}, err
	}
	o := s.Options
	o.Logger = logger
	o.Version = currentVersion().name()
	return o, o.Validate()
}

func newLogger(w io.Writer, format, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("--log-level %q: choose debug, info, warn or error", level)
	}
	o := &slog.HandlerOptions{Level: l}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, o)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, o)), nil
	}
	return nil, fmt.Errorf("--log-format %q: choose text or json", format)
}

// lastWords is how long what runs beside a server has to end by itself when
// the server has stopped.
const lastWords = 2 * time.Second

// serve runs an app until ctx is done, then drains it. beside, when there is
// one, runs while the server does, with a context that ends some time after the
// server has stopped; when it returns, the server stops, with its error.
func serve(ctx context.Context, o app.Options, beside func(context.Context) error) error {
	a, err := app.New(ctx, o)
	if err != nil {
		return &failure{exitFailure, err}
	}
	lasting, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	ended := make(chan error, 1)
	runErr := a.Start()
	if runErr == nil {
		if beside != nil {
			go func() { ended <- beside(lasting) }()
		}
		select {
		case runErr = <-ended:
			beside = nil
			if ctx.Err() != nil {
				runErr = nil // it was told to end, as we were
			}
		case <-ctx.Done():
			o.Logger.Info("stopping: answering what is in flight", "limit", o.DrainLimit.String(), "pid", os.Getpid())
		case runErr = <-a.Failed():
		}
	}
	// ctx is done by now: the drain has a limit of its own.
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.DrainLimit)
	defer cancel()
	stopErr := a.Stop(stopCtx)
	if beside != nil && runErr == nil {
		select { // ended by the stop, so whatever it says is no failure
		case <-ended:
		case <-time.After(lastWords):
			end()
			<-ended
		}
	}
	if runErr != nil {
		return asFailure(runErr)
	}
	if stopErr != nil {
		return &failure{exitFailure, stopErr}
	}
	o.Logger.Info("stopped")
	return nil
}
