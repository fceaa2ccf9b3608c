package app

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"time"

	"weir/internal/catalog"
	"weir/internal/control"
	"weir/internal/control/apigateway"
	"weir/internal/control/iam"
	"weir/internal/control/lambda"
	"weir/internal/control/logs"
	"weir/internal/control/protocol"
	"weir/internal/control/sts"
	"weir/internal/function"
	"weir/internal/function/sandbox"
	"weir/internal/gateway"
	"weir/internal/gateway/protection"
	"weir/internal/gateway/protection/authorizer"
	"weir/internal/invocation"
	"weir/internal/limit"
	"weir/internal/store"
	"weir/internal/telemetry"
)

// buildLimits makes the limiter and the guard. On a clean stop what is not yet
// recorded is recorded, and the buckets are saved, or what this node has of
// them is given back to the nodes that go on.
func (a *App) buildLimits(context.Context) error {
	options := []limit.Option{limit.WithClock(a.clock.Mono)}
	if a.store.Shared() {
		options = append(options, limit.WithRates(a.store, a.store.Node()))
	}
	a.limiter = limit.New(a.store, options...)
	o := protection.Options{Limiter: a.limiter, Digest: a.secret.Digest, Now: a.clock.Now}
	if t := a.accountThrottle(); t != nil {
		o.Account = &limit.Rate{PerSecond: t.RateLimit, Burst: t.BurstLimit}
	}
	a.authorizers = authorizer.New(authorizer.Options{
		Account: a.o.Account, Region: a.o.Region, Now: a.clock.Mono,
		Invoke: func(ctx context.Context, inv *invocation.Invocation) (*invocation.Result, error) {
			return a.functions.Invoke(ctx, inv) // built after this, and stopped before it
		},
	})
	o.Authorizers = a.authorizers
	a.guard = protection.NewGuard(o)
	a.onStop("buckets", a.saveBuckets)
	if a.store.Shared() {
		a.renewShares()
	}
	return nil
}

func (a *App) buildFunctions(context.Context) error {
	a.functions = function.New(function.Options{
		Account: a.o.Account, Region: a.o.Region, Dir: filepath.Join(a.o.Data, "functions"),
		Code: a.store.Code, Logs: a.logs.Add, Session: a.session, Logger: a.o.Logger,
		Endpoint: a.localURL,
	})
	a.onStop("functions", a.functions.Stop)
	return nil
}

func (a *App) buildGateway(context.Context) error {
	a.gateway = gateway.New(gateway.Options{
		Account: a.o.Account, Region: a.o.Region, Invoker: a.functions, Guard: a.guard, Logger: a.o.Logger,
		Record: func(r *telemetry.Record) {
			a.requests.Add(r)
			a.refusals.Add(r)
		},
		ExecutionLog: func(events []telemetry.LogEvent) {
			for _, e := range events {
				a.logs.Add(e)
			}
		},
	})
	a.callers = gateway.NewServer(a.gateway, a.o.Edge.callers(a.callersCert))
	return nil
}

// buildControl opens the door of the management APIs.
func (a *App) buildControl(context.Context) error {
	a.onStop("backup", a.stopBackup)
	gatewayAPI := apigateway.Options{
		Store: a.store, Secret: a.secret, Region: a.o.Region, Account: a.o.Account, FlushUsage: a.limiter.Flush,
		TestAuthorizer:  a.testAuthorizer,
		AccountThrottle: a.accountThrottle(),
	}
	door, err := control.New(control.Options{
		Region: a.o.Region, Account: a.o.Account, Credentials: a.credentials, AnyCredentials: a.o.AnyCredentials,
		Logger: a.o.Logger, Ready: a.ready,
		Own: map[string]http.Handler{
			backupPath:   only(http.MethodPost, a.serveBackup),
			codePath:     only(http.MethodGet, a.serveCode),
			requestsPath: control.RequestsHandler(a.requests),
			shadowPath:   only(http.MethodGet, a.serveShadow),
			statsPath:    only(http.MethodGet, serveStats),

			apigateway.KeyRoutes: apigateway.KeyHandler(gatewayAPI),
			control.ExplainPath:  control.ExplainHandler(a.refusals, a.requests),
		},
		Services: []protocol.Service{
			apigateway.Service(gatewayAPI),
			lambda.Service(lambda.Options{
				Store: a.store, Functions: a.functions, Region: a.o.Region, Account: a.o.Account, CodeURL: a.codeURL,
			}),
			logs.Service(logs.Options{Store: a.store, Flush: a.logs.Flush, Region: a.o.Region, Account: a.o.Account}),
			iam.Service(a.store),
			sts.Service(),
		},
	})
	if err != nil {
		return err
	}
	a.door = door
	serve := func(cert *gateway.Certificate) *gateway.Server {
		o := a.o.Edge.tools(cert)
		o.Fallback, o.Knows = door, door.Knows
		return gateway.NewServer(a.gateway, o)
	}
	a.tools = serve(a.toolsCert)
	if a.toolsCert != nil {
		a.local = serve(nil)
	}
	return nil
}

// accountThrottle is what the operator set for the whole account, or nil.
func (a *App) accountThrottle() *catalog.Throttle {
	if a.o.AccountRate == 0 {
		return nil
	}
	return &catalog.Throttle{RateLimit: a.o.AccountRate, BurstLimit: a.o.AccountBurst}
}

// load brings everything that is stored into memory, as the watcher would have,
// and begins to watch the store: from here on a change of this node reaches
// everybody before its call returns, and one of another node soon after.
func (a *App) load(ctx context.Context) error {
	if err := a.loadBuckets(ctx); err != nil {
		return err
	}
	a.store.Watch(a.watch)
	return a.store.Follow(ctx, func(tx *store.Tx) error {
		if err := a.loadKeys(tx); err != nil {
			return err
		}
		if err := a.loadStages(tx); err != nil {
			return err
		}
		a.guard.Started(a.clock.Now()) // what comes from now on is new
		return a.loadFunctions(tx)
	})
}

// loadBuckets takes what the last stop saved. Nodes that share a database save
// nothing: what was used of a bucket is there.
func (a *App) loadBuckets(ctx context.Context) error {
	if a.store.Shared() {
		return nil
	}
	buckets, savedAt, clean, err := a.store.LoadBuckets(ctx)
	if err != nil {
		return err
	}
	if clean {
		a.guard.Restore(savedBuckets(buckets), time.Since(savedAt))
	} else {
		a.o.Logger.Warn("the last stop was not clean: throttles of existing keys and stages begin without a token")
		a.guard.BeginEmpty()
	}
	return nil
}

func (a *App) loadKeys(tx *store.Tx) error {
	a.guard.SetVersion(tx.Version())
	plans, err := store.List[catalog.UsagePlan](tx)
	if err != nil {
		return err
	}
	for _, p := range plans {
		a.guard.PutPlan(p)
	}
	err = tx.EachKey(func(k store.KeyRow) error {
		a.guard.PutKey(k.ID, k.Digest, k.Enabled)
		return nil
	})
	if err != nil {
		return err
	}
	err = tx.KeysWithTerms(func(k catalog.APIKey) error {
		a.guard.PutKeyWithTerms(k)
		return nil
	})
	if err != nil {
		return err
	}
	return tx.EachLink(func(l catalog.UsagePlanKey) error {
		a.guard.Link(l)
		return nil
	})
}

func (a *App) loadStages(tx *store.Tx) error {
	stages, err := store.List[catalog.Stage](tx)
	if err != nil {
		return err
	}
	var changes []gateway.StageChange
	for _, s := range stages {
		c, err := compiledStage(tx, s)
		if err != nil {
			return err
		}
		changes = append(changes, c)
	}
	publish, err := a.gateway.Prepare(changes)
	if err != nil {
		return err
	}
	publish()
	return nil
}

func (a *App) loadFunctions(tx *store.Tx) error {
	functions, err := store.List[catalog.Function](tx)
	if err != nil {
		return err
	}
	for _, f := range functions {
		publish, err := a.functions.Prepare(f)
		if err != nil {
			return err
		}
		publish()
	}
	return nil
}

// renewShares renews, ten times a second and until callers have gone, what this
// node has of buckets that nodes divide.
func (a *App) renewShares() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		var said time.Time
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			err := a.limiter.Renew(ctx)
			if err != nil && ctx.Err() == nil && time.Since(said) > 10*time.Second {
				a.o.Logger.Error("asking the database for shares of throttles; it is tried again", "error", err)
				said = time.Now()
			}
		}
	}()
	a.onStop("shares", func(context.Context) error {
		cancel()
		<-ended
		return nil
	})
}

// saveBuckets gives back what is held of quotas, marks the stop as clean and
// keeps what was used of each bucket.
func (a *App) saveBuckets(ctx context.Context) error {
	// The drain's limit is no reason to forget.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if a.store.Shared() {
		return errors.Join(a.limiter.Stop(ctx), a.limiter.ReturnShares(ctx))
	}
	if err := a.limiter.Stop(ctx); err != nil {
		return err
	}
	var saved []store.SavedBucket
	for _, b := range a.guard.SaveBuckets() {
		saved = append(saved, store.SavedBucket{Name: b.Name, Used: b.Used})
	}
	return a.store.SaveBuckets(ctx, saved)
}

func savedBuckets(saved []store.SavedBucket) []protection.Bucket {
	buckets := make([]protection.Bucket, 0, len(saved))
	for _, b := range saved {
		buckets = append(buckets, protection.Bucket{Name: b.Name, Used: b.Used})
	}
	return buckets
}

// sandboxSummary says what functions are kept from, for the start line.
func sandboxSummary() string { return sandbox.Tier }
