// Package function runs Lambda functions: it starts execution environments,
// gives them calls over the Runtime API, keeps them warm, and ends them.
//
// One environment is one process of the function with one listener of its own;
// who speaks on that listener is that environment, so one function cannot
// answer for another. An environment runs one call at a time. A call takes the
// environment that was used last (so that the others can age and go), or
// starts one, up to a limit over all functions; then it is throttled.
//
//	f := function.New(function.Options{Dir: dir, Code: store.Code, ...})
//	publish, err := f.Prepare(fn) // inside a change of the catalog
//	publish()                     // after its commit
//	result, err := f.Invoke(ctx, &invocation.Invocation{Function: "timestamper", Payload: event})
//	err = f.Stop(ctx)
//
// A function whose code or configuration changes gets new environments for new
// calls; the old ones finish theirs and go. What a process may see and use is
// decided by package sandbox.
package function

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/puzpuzpuz/xsync/v4"

	"weir/internal/catalog"
	"weir/internal/function/sandbox"
	"weir/internal/invocation"
	"weir/internal/policy"
	"weir/internal/telemetry"
)

// Options configure Functions. Account, Region, Dir and Code are required.
type Options struct {
	Account string
	Region  string
	// Dir holds unpacked code and the runtime shims. It is a cache: what an
	// earlier run left is deleted at the first use.
	Dir string
	// Code reads a function's zip by its catalog.Function.CodeSHA256.
	Code func(ctx context.Context, sha string) ([]byte, error)
	// Logs takes what functions write. It must not wait. Nil: nobody reads it.
	Logs func(telemetry.LogEvent)
	// Session makes the credentials of one environment. Nil: none are given.
	Session func(fn catalog.Function) (accessKeyID, secretKey, token string)
	// Endpoint is the AWS_ENDPOINT_URL that a function sees; "" or nil: none.
	Endpoint func() string
	Logger   *slog.Logger // nil: nothing is logged
	// MaxEnvironments bounds the environments of all functions together; 0
	// means 100.
	MaxEnvironments int
	// IdleTimeout is how long an environment waits for its next call; 0 means
	// ten minutes.
	IdleTimeout time.Duration
	// MaxQueuedEvents and MaxQueuedBytes bound the Event invocations that wait
	// or run; 0 means 1,000 and 64 MiB.
	MaxQueuedEvents int
	MaxQueuedBytes  int
	// SearchPath is where interpreters are looked for; "" means $PATH.
	SearchPath string
	// Clock is time itself in its zero value.
	Clock Clock
}

// Clock is where deadlines come from, so that tests own them.
type Clock struct {
	Now func() time.Time
	// Timer sends once after d, unless stop is called before.
	Timer func(d time.Duration) (c <-chan time.Time, stop func() bool)
}

func realTimer(d time.Duration) (<-chan time.Time, func() bool) {
	t := time.NewTimer(d)
	return t.C, t.Stop
}

// initLimit is how long a function may take until it first asks for work;
// beyond it, init is run again within the function's own timeout. Source:
// Lambda developer guide, "Lambda execution environment lifecycle".
const initLimit = 10 * time.Second

// reapEvery is how often environments that are idle too long are looked for.
const reapEvery = time.Second

// Functions runs functions. It implements invocation.Invoker and is safe for
// concurrent use.
type Functions struct {
	o            Options
	current      *xsync.Map[string, *revision] // by function name
	slots        slots
	code         *codeCache
	interpreters *interpreters
	shims        func() (dir string, err error) // where the runtime shims are
	arnPrefix    string                         // of every function here
	spawner      *sandbox.Spawner
	events       eventQueue
	gate         gate

	mu    sync.Mutex         // guards pools, and orders publishes
	pools map[*pool]struct{} // with environments, or current

	life     context.Context // ends when Stop begins to kill
	end      context.CancelFunc
	draining chan struct{}  // closed when Stop begins
	work     sync.WaitGroup // every goroutine of this package
}

var _ invocation.Invoker = (*Functions)(nil)

// revision is one function as it was configured last: its rules, and the
// environments that run its code and configuration.
type revision struct {
	fn     catalog.Function
	policy *policy.Document // nil: no policy
	pool   *pool
}

// New starts the housekeeping. Stop ends it. The folders are made when the
// first environment needs them; that they cannot be made fails calls, not New.
func New(o Options) *Functions {
	setDefaults(&o)
	life, end := context.WithCancel(context.Background())
	f := &Functions{
		o: o, current: xsync.NewMap[string, *revision](), slots: slots{max: int64(o.MaxEnvironments)},
		code: newCodeCache(filepath.Join(o.Dir, "code"), o.Code), interpreters: newInterpreters(life, o.SearchPath),
		spawner:   sandbox.NewSpawner(),
		arnPrefix: catalog.FunctionARN(o.Region, o.Account, "", ""), gate: newGate(),
		pools: map[*pool]struct{}{}, life: life, end: end, draining: make(chan struct{}),
	}
	f.shims = sync.OnceValues(func() (string, error) { return writeShims(filepath.Join(o.Dir, "runtime")) })
	f.work.Go(f.reapLoop)
	return f
}

func setDefaults(o *Options) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Logs == nil {
		o.Logs = func(telemetry.LogEvent) {}
	}
	if o.MaxEnvironments <= 0 {
		o.MaxEnvironments = 100
	}
	if o.IdleTimeout <= 0 {
		o.IdleTimeout = 10 * time.Minute
	}
	if o.MaxQueuedEvents <= 0 {
		o.MaxQueuedEvents = 1000
	}
	if o.MaxQueuedBytes <= 0 {
		o.MaxQueuedBytes = 64 << 20
	}
	if o.SearchPath == "" {
		o.SearchPath = os.Getenv("PATH")
	}
	if o.Clock.Now == nil {
		o.Clock.Now = time.Now
	}
	if o.Clock.Timer == nil {
		o.Clock.Timer = realTimer
	}
}

// Prepare compiles a new or changed function aside. An error means that its
// resource policy cannot be read. Publish makes it what new calls get. Prepare
// does no slow work: code is unpacked at the first call.
func (f *Functions) Prepare(fn catalog.Function) (publish func(), err error) {
	next := &revision{fn: fn}
	if fn.Policy != "" {
		if next.policy, err = policy.Parse([]byte(fn.Policy)); err != nil {
			return nil, fmt.Errorf("policy of function %s: %w", fn.Name, err)
		}
	}
	return func() {
		f.publish(next)
		if family := familyOf(fn.Runtime); family != "" && f.interpreters.unknown(family) {
			// Version managers' wrappers take long to answer: ask before the
			// first call has to wait for it.
			f.background(func() { f.interpreters.family(family) })
		}
	}, nil
}

func (f *Functions) publish(next *revision) {
	f.mu.Lock()
	defer f.mu.Unlock()
	old, _ := f.current.Load(next.fn.Name)
	if old != nil && sameEnvironment(&old.fn, &next.fn) {
		next.pool = old.pool
		f.current.Store(next.fn.Name, next)
		return
	}
	next.pool = newPool(f, next.fn)
	f.pools[next.pool] = struct{}{}
	f.current.Store(next.fn.Name, next)
	if old != nil {
		f.retireLocked(old.pool)
	}
}

// Remove forgets a function. Calls in flight finish. Removing what is not
// there does nothing.
func (f *Functions) Remove(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if old, ok := f.current.LoadAndDelete(name); ok {
		f.retireLocked(old.pool)
	}
}

func (f *Functions) retireLocked(p *pool) {
	if p.retire() {
		delete(f.pools, p)
	}
}

// sameEnvironment says whether environments of a can run calls for b: a change
// of policy or tags does not cost a cold start.
func sameEnvironment(a, b *catalog.Function) bool {
	return a.CodeSHA256 == b.CodeSHA256 && a.ARN == b.ARN && a.Runtime == b.Runtime && a.Handler == b.Handler &&
		a.Role == b.Role && a.Timeout == b.Timeout && a.MemorySize == b.MemorySize &&
		a.EphemeralStorage == b.EphemeralStorage && a.LogFormat == b.LogFormat && a.LogGroup == b.LogGroup &&
		a.TracingMode == b.TracingMode && maps.Equal(a.Environment, b.Environment) &&
		slices.Equal(a.Architectures, b.Architectures)
}

// Stop lets calls in flight finish until ctx ends, then kills what is left.
// When it returns, no process, listener or goroutine of this package is left.
// The error is ctx's when calls were cut short.
func (f *Functions) Stop(ctx context.Context) error {
	f.mu.Lock()
	select {
	case <-f.draining:
	default:
		close(f.draining)
	}
	f.mu.Unlock()
	var err error
	select {
	case <-f.gate.close():
	case <-ctx.Done():
		err = ctx.Err()
	}
	f.mu.Lock()
	f.end()
	f.mu.Unlock()
	for _, p := range f.allPools() {
		p.killAll()
	}
	f.work.Wait()
	f.spawner.Close()
	return err
}

// background runs work in a goroutine that Stop waits for. False: it was not
// started, because everything is being ended.
func (f *Functions) background(work func()) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.life.Err() != nil {
		return false
	}
	f.work.Go(work)
	return true
}

func (f *Functions) allPools() []*pool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Collect(maps.Keys(f.pools))
}

func (f *Functions) reapLoop() {
	for {
		tick, stop := f.o.Clock.Timer(reapEvery)
		select {
		case <-tick:
			f.reap(f.o.Clock.Now())
		case <-f.life.Done():
			stop()
			return
		}
	}
}

// reap ends environments that are idle too long or past a deadline that
// nobody waits for, and forgets retired pools that are empty.
func (f *Functions) reap(now time.Time) {
	for _, p := range f.allPools() {
		if p.reap(now, f.o.IdleTimeout) {
			f.mu.Lock()
			delete(f.pools, p)
			f.mu.Unlock()
		}
	}
}
