package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"weir/internal/app"
	"weir/internal/cli/publish"
)

func newUp() *cobra.Command {
	var (
		server serverFlags
		what   publicationFlags
		shown  display
		watch  bool
		own    []string // flags that are a server's, which the environment may give
	)
	c := &cobra.Command{
		Use:   "up DIR",
		Short: "Start, publish a folder, and show who calls",
		Long: `Start the server, publish a folder as a function behind an endpoint with a key,
print curl lines that prove the limits, and then a line for each request until
Ctrl-C, which drains as it does for serve.

Where a server runs on the data folder already, that one is used, and Ctrl-C
leaves it running. A second up of the same folder brings the function up to date
and keeps its key. When a default address is taken by another program, any free
port is used instead; one that is named by a flag is not replaced.`,
		Example: `  weir up examples/timestamper
  weir up examples/timestamper-node --rate 5 --burst 10 --quota 1000/month
  weir up ./hello --watch                      # publish again whenever a file changes
  weir up ./hello --gateway-addr 127.0.0.1:0   # any free port`,
		Args: oneArg,
		PreRunE: func(c *cobra.Command, _ []string) error {
			return fromEnvironment(c.Flags(), own...)
		},
		RunE: func(c *cobra.Command, args []string) error {
			spec, err := what.check(c.Flags(), args[0])
			if err != nil {
				return err
			}
			o, err := server.options(c.ErrOrStderr())
			if err != nil {
				return err
			}
			u := up{cmd: c, spec: spec, shown: shown, watch: watch}
			if running, err := connect(o.Data); err == nil {
				return u.join(c.Context(), running)
			} else if !absent(err) {
				return err
			}
			if err := u.chooseAddresses(&o); err != nil {
				return err
			}
			return serve(c.Context(), o, func(lasting context.Context) error {
				started, err := connect(o.Data)
				if err != nil {
					return err
				}
				return u.publish(c.Context(), lasting, started)
			})
		},
	}
	flags := pflag.NewFlagSet("server", pflag.ContinueOnError)
	server.register(flags, "warn")
	flags.VisitAll(func(f *pflag.Flag) { own = append(own, f.Name) })
	c.Flags().AddFlagSet(flags)
	what.register(c.Flags())
	shown.jsonFlag(c)
	c.Flags().BoolVar(&watch, "watch", false, "publish again when a file of the folder changes")
	return c
}

// up is one run of the command.
type up struct {
	cmd   *cobra.Command
	spec  publish.Spec
	shown display
	watch bool
}

// note says something beside the result.
func (u *up) note(format string, args ...any) {
	if !u.shown.json {
		fmt.Fprintf(u.cmd.ErrOrStderr(), format+"\n", args...)
	}
}

// join publishes to the server that runs already.
func (u *up) join(ctx context.Context, server *connection) error {
	u.note("a server runs on %s already (process %d): using it", server.data, server.running.PID)
	if err := u.publish(ctx, ctx, server); err != nil {
		return err
	}
	u.note("the server goes on")
	return nil
}

// chooseAddresses takes any free port where a default one is taken. What was
// asked for by name is left to fail in the server's words.
func (u *up) chooseAddresses(o *app.Options) error {
	for _, a := range []struct {
		flag string
		addr *string
	}{{"gateway-addr", &o.GatewayAddr}, {"control-addr", &o.ControlAddr}} {
		if u.cmd.Flags().Changed(a.flag) {
			continue
		}
		var listen net.ListenConfig
		l, err := listen.Listen(u.cmd.Context(), "tcp", *a.addr)
		if errors.Is(err, syscall.EADDRINUSE) {
			host, _, err := net.SplitHostPort(*a.addr)
			if err != nil {
				return err
			}
			u.note("%s is taken by another program: using any free port (--%s chooses one)", *a.addr, a.flag)
			*a.addr = net.JoinHostPort(host, "0")
			continue
		}
		if err == nil {
			if err := l.Close(); err != nil {
				return asFailure(err)
			}
		}
	}
	return nil
}

// publish publishes within ctx and then shows requests within lasting, which
// ends after the drain, so that the last answers are seen.
func (u *up) publish(ctx, lasting context.Context, server *connection) error {
	publisher := publish.Publisher{Config: server.aws}
	if !u.shown.json {
		publisher.Report = (&steps{u.cmd.ErrOrStderr()}).report
	}
	made, err := publisher.Publish(ctx, u.spec)
	if err != nil {
		return unfinished(err)
	}
	p := newPublished(u.spec, made)
	p.onWeir(server.callerURL(), server.running.GatewayCA)
	out := u.cmd.OutOrStdout()
	if err := u.shown.once(out, p); err != nil {
		return err
	}
	if u.watch {
		go u.republish(lasting, publisher)
	}
	if u.shown.json {
		<-ctx.Done()
		return nil
	}
	if err := write(out, []byte("\nrequests, until Ctrl-C:\n")); err != nil {
		return err
	}
	return server.showRequests(lasting, out, requestsOptions{follow: true, api: made.APIID, failed: func() {
		logs := "weir logs " + made.Name
		if server.data != defaultData() {
			logs += " --data " + shellQuote(server.data)
		}
		u.note("the function failed; this says why: %s", logs)
	}})
}

// republish publishes again whenever the folder has changed. A version that
// cannot be published is told, and the one before it goes on.
func (u *up) republish(ctx context.Context, publisher publish.Publisher) {
	report := publisher.Report
	publisher.Report = func(e publish.Event) {
		if report != nil && (e.State == publish.Changed || e.State == publish.Failed) {
			report(e)
		}
	}
	publish.Watch(ctx, u.spec.Folder, func() {
		if _, err := publisher.Publish(ctx, u.spec); err != nil && ctx.Err() == nil {
			_, message := verdict(err)
			u.note("%s", message)
		}
	})
}
