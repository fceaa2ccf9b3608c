package cli

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"weir/internal/app"
)

func newServe() *cobra.Command {
	var (
		o         app.Options
		logFormat string
		logLevel  string
	)
	c := &cobra.Command{
		Use:   "serve",
		Short: "Start the server",
		Long: `Start the server: the gateway address answers callers and nothing else; the
control address answers AWS's management APIs (signed), and callers too, for
tools that know only one port. Every flag can be given in the environment as
well: WEIR_GATEWAY_ADDR for --gateway-addr and so on.

SIGTERM and Ctrl-C drain: what is in flight is answered, then the server stops.`,
		Example: `  weir serve
  weir serve --data ./data --gateway-addr :8080 --control-addr 127.0.0.1:4566
  weir serve --gateway-addr 127.0.0.1:0 --control-addr 127.0.0.1:0   # any free ports; 'weir env' knows them`,
		Args: cobra.NoArgs,
		PreRunE: func(c *cobra.Command, _ []string) error {
			return fromEnvironment(c.Flags())
		},
		RunE: func(c *cobra.Command, _ []string) error {
			logger, err := newLogger(c, logFormat, logLevel)
			if err != nil {
				return err
			}
			o.Logger = logger
			if err := o.Validate(); err != nil {
				return err
			}
			return serve(c.Context(), o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.Data, "data", defaultData(), "data folder; made when missing")
	f.StringVar(&o.GatewayAddr, "gateway-addr", ":8080", "address for callers")
	f.StringVar(&o.ControlAddr, "control-addr", "127.0.0.1:4566", "address for AWS's tools")
	f.StringVar(&o.SecretFile, "secret-file", "", "server secret (default: made in the data folder)")
	f.StringVar(&o.Account, "account", "000000000000", "AWS account id to answer as: 12 digits")
	f.StringVar(&o.Region, "region", "us-east-1", "AWS region to answer as")
	f.BoolVar(&o.AnyCredentials, "any-credentials", false, "for tests: accept any signature; the control address must be loopback")
	f.DurationVar(&o.DrainLimit, "drain-limit", 30*time.Second, "how long a stop waits for calls in flight")
	f.StringVar(&logFormat, "log-format", "text", "format of the server's own log: text or json")
	f.StringVar(&logLevel, "log-level", "info", "least level logged: debug, info, warn or error")
	return c
}

func newLogger(c *cobra.Command, format, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("--log-level %q: choose debug, info, warn or error", level)
	}
	o := &slog.HandlerOptions{Level: l}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(c.ErrOrStderr(), o)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(c.ErrOrStderr(), o)), nil
	}
	return nil, fmt.Errorf("--log-format %q: choose text or json", format)
}

// serve runs an app until ctx is done, then drains it.
func serve(ctx context.Context, o app.Options) error {
	a, err := app.New(ctx, o)
	if err != nil {
		return &failure{exitFailure, err}
	}
	runErr := a.Start()
	if runErr == nil {
		select {
		case <-ctx.Done():
			o.Logger.Info("stopping: answering what is in flight", "limit", o.DrainLimit.String(), "pid", os.Getpid())
		case runErr = <-a.Failed():
		}
	}
	// ctx is done by now: the drain has a limit of its own.
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.DrainLimit)
	defer cancel()
	stopErr := a.Stop(stopCtx)
	if runErr != nil {
		return &failure{exitFailure, runErr}
	}
	if stopErr != nil {
		return &failure{exitFailure, stopErr}
	}
	o.Logger.Info("stopped")
	return nil
}
