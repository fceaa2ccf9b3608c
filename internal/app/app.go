package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"weir/internal/control"
	"weir/internal/function"
	"weir/internal/gateway"
	"weir/internal/gateway/protection"
	"weir/internal/gateway/protection/authorizer"
	"weir/internal/limit"
	"weir/internal/secret"
	"weir/internal/store"
	"weir/internal/telemetry"
)

// App is one weir. Made by New; Start and Stop are each called once.
type App struct {
	o     Options
	clock limit.Clock
	began time.Time

	store       *store.Store
	secret      *secret.Secret
	root        AccessKey
	logs        *telemetry.LogSink
	requests    *telemetry.Requests
	refusals    *telemetry.Refusals
	limiter     *limit.Limiter
	guard       *protection.Guard
	authorizers *authorizer.Runner
	functions   *function.Functions
	gateway     *gateway.Gateway
	door        *control.Door

	callers, tools           *gateway.Server // on the gateway and on the control address
	callersAddr, controlAddr net.Listener
	callersCert, toolsCert   *gateway.Certificate // nil: plain HTTP
	local                    *gateway.Server      // nil: the control address is plain, and serves
	localAddr                net.Listener         // … what runs on this machine

	backup sync.Mutex // held while a backup of this server is made

	failed chan error
	stops  []step
}

// step is one named thing that Stop does.
type step struct {
	name string
	do   func(context.Context) error
}

// onStop registers what ends a thing that has just begun. Steps run in
// reverse, so that nothing is ended before what uses it.
func (a *App) onStop(name string, do func(context.Context) error) {
	a.stops = append(a.stops, step{name, do})
}

// New builds all parts, loads what is stored and binds both addresses, which
// are known from then on; nothing answers before Start. When it fails,
// everything that had begun is ended again.
func New(ctx context.Context, o Options) (*App, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	began := time.Now()
	a := &App{o: o, clock: limit.NewClock(), began: began, requests: telemetry.NewRequests(), refusals: telemetry.NewRefusals(began), failed: make(chan error, 4)}
	for _, build := range []func(context.Context) error{
		a.loadCertificates, a.openStore, a.loadSecret, a.startLogs, a.buildLimits, a.buildFunctions, a.buildGateway, a.load, a.buildControl, a.bind, a.bindLocal,
	} {
		if err := build(ctx); err != nil {
			return nil, errors.Join(err, a.unwind(ctx))
		}
	}
	return a, nil
}

// startLogs starts the one sink for everything that is logged for owners.
func (a *App) startLogs(context.Context) error {
	a.logs = telemetry.NewLogSink(telemetry.LogSinkOptions{Write: a.store.AppendLogs})
	a.onStop("logs", a.logs.Stop)
	return nil
}

// bind binds both addresses, so that a taken port is known before anything is
// served.
func (a *App) bind(ctx context.Context) error {
	var listen net.ListenConfig
	for _, b := range []struct {
		flag, addr string
		to         *net.Listener
	}{
		{"--gateway-addr", a.o.GatewayAddr, &a.callersAddr},
		{"--control-addr", a.o.ControlAddr, &a.controlAddr},
	} {
		l, err := listen.Listen(ctx, "tcp", b.addr)
		if errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("%s: %w: is another server running there? Give another address, or port 0 for any free one", b.flag, err)
		}
		if err != nil {
			return fmt.Errorf("%s: %w: give an address of this machine and a port that may be used, such as 127.0.0.1:8080", b.flag, err)
		}
		*b.to = l
		a.onStopClose(b.flag, l)
	}
	return nil
}

// onStopClose registers the end of a listener. A server that served it has
// closed it already, which is no error.
func (a *App) onStopClose(name string, l net.Listener) {
	a.onStop(name, func(context.Context) error {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
}

// Start serves both addresses and tells the other commands where they are.
func (a *App) Start() error {
	// Stopped in reverse: while callers are still being answered, functions may
	// ask the control address, and who follows requests sees the last of them.
	a.serve("control", a.tools, a.controlAddr)
	if a.local != nil {
		a.serve("local control", a.local, a.localAddr)
	}
	a.onStop("requests", a.stopRequests) // before the control servers, which would wait for who follows
	a.serve("gateway", a.callers, a.callersAddr)
	a.tendLimits()
	a.heedStore()
	running := a.Running()
	if err := writeOwnerOnly(runningFile(a.o.Data), running); err != nil {
		return fmt.Errorf("writing %s: %w", runningFile(a.o.Data), err)
	}
	a.onStop("running.json", func(context.Context) error { return os.Remove(runningFile(a.o.Data)) })
	a.o.Logger.Info("weir is up", "gateway", running.GatewayURL, "control", running.ControlURL, "data", a.o.Data,
		"account", a.o.Account, "region", a.o.Region, "sandbox", sandboxSummary())
	if a.o.AnyCredentials {
		a.o.Logger.Warn("--any-credentials: every signature is accepted on the control address")
	}
	return nil
}

// serve runs one server until its stop step; a failure of its listener is
// reported through Failed.
func (a *App) serve(name string, s *gateway.Server, l net.Listener) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := s.Serve(l); err != nil {
			a.failed <- fmt.Errorf("the %s address: %w", name, err)
		}
	}()
	a.onStop(name+" server", func(ctx context.Context) error {
		err := s.Shutdown(ctx)
		<-ended
		return err
	})
}

// tendLimits gives back, once a second, what is held of quotas for nothing, and
// records what was used without asking the ledger.
func (a *App) tendLimits() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if err := a.limiter.Tend(ctx); err != nil && ctx.Err() == nil {
					a.o.Logger.Error("recording usage; it is tried again", "error", err)
				}
			}
		}
	}()
	a.onStop("usage", func(context.Context) error {
		cancel()
		<-ended
		return nil
	})
}

func (a *App) stopRequests(context.Context) error {
	a.requests.Stop()
	return nil
}

// Failed tells when a server ended by itself.
func (a *App) Failed() <-chan error { return a.failed }

// Running says where this server is reached.
func (a *App) Running() Running {
	r := Running{
		PID:        os.Getpid(),
		GatewayURL: reachable(a.callersAddr.Addr(), a.callersCert),
		ControlURL: reachable(a.controlAddr.Addr(), a.toolsCert),
		Account:    a.o.Account,
		Region:     a.o.Region,
		Version:    a.o.Version,
	}
	if a.local != nil {
		r.LocalURL = a.localURL()
	}
	if a.callersCert != nil && a.callersCert.SelfIssued() {
		r.GatewayCA, _ = filepath.Abs(a.o.TLSCert)
	}
	if a.toolsCert != nil && a.toolsCert.SelfIssued() {
		r.ControlCA, _ = filepath.Abs(a.o.ControlTLSCert)
	}
	return r
}

// Stop drains both addresses and ends all parts in reverse order. ctx limits
// the draining; what has to be written is written all the same.
func (a *App) Stop(ctx context.Context) error { return a.unwind(ctx) }

func (a *App) unwind(ctx context.Context) error {
	var failures []error
	for _, s := range slices.Backward(a.stops) {
		if err := s.do(ctx); err != nil {
			failures = append(failures, fmt.Errorf("stopping %s: %w", s.name, err))
		}
	}
	a.stops = nil
	return errors.Join(failures...)
}
