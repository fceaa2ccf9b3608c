package function

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"

	"weir/internal/catalog"
	"weir/internal/function/sandbox"
	"weir/internal/invocation"
)

// initFailure is a call that failed because its environment could not begin.
type initFailure struct{ outcome outcome }

func (e *initFailure) Error() string { return e.outcome.fault }

// program is what an environment runs.
type program struct {
	path     string
	args     []string
	env      []string
	taskRoot string
	version  string // for INIT_START: "python:3.11.v7"
	note     string // for the function's log; "" nothing to say
}

// coldStart starts an environment for a call and waits until it asks for work.
// It is the caller's then, in state claimed. When the caller goes away the
// environment goes on and becomes idle.
func (f *Functions) coldStart(ctx context.Context, p *pool, c *call) (*environment, error) {
	e, err := f.launch(ctx, p, c)
	if err != nil {
		return nil, err
	}
	late, stop := f.o.Clock.Timer(initLimit)
	defer stop()
	select {
	case <-late:
	default:
		if ready, err := e.awaitReady(ctx, c, late); ready || err != nil {
			return e, err
		}
	}
	// Init took longer than its phase may. As on AWS it is run once more, now
	// in the time of the call.
	e.kill()
	select {
	case <-e.exited:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	e.log.line(fmt.Sprintf("INIT_REPORT Init Duration: %.2f ms\tPhase: init\tStatus: timeout\n", ms(initLimit)))
	return f.startAgain(ctx, p, c)
}

// startAgain starts an environment within the time of the call.
func (f *Functions) startAgain(ctx context.Context, p *pool, c *call) (*environment, error) {
	limit := time.Duration(p.fn.Timeout) * time.Second
	c.deadline = f.o.Clock.Now().Add(limit)
	e, err := f.launch(ctx, p, c)
	if err != nil {
		return nil, err
	}
	late, stop := f.o.Clock.Timer(limit)
	defer stop()
	ready, err := e.awaitReady(ctx, c, late)
	if ready || err != nil {
		return e, err
	}
	e.kill()
	return nil, e.initFailed(c, timedOut(c, limit))
}

// awaitReady waits until an environment asks for work. Not ready and no error:
// late came first.
func (e *environment) awaitReady(ctx context.Context, c *call, late <-chan time.Time) (ready bool, err error) {
	select {
	case <-e.ready:
		c.coldInit = max(e.initTook, 1)
		return true, nil
	case <-e.failed:
		e.kill()
		return false, e.initFailed(c, e.initError)
	case <-e.exited:
		select {
		case <-e.failed:
			return false, e.initFailed(c, e.initError)
		default:
		}
		return false, e.initFailed(c, exited(c, e.exit.Text))
	case <-late:
		return false, nil
	case <-ctx.Done():
		e.disown()
		return false, ctx.Err()
	}
}

// disown leaves an environment to itself: it becomes idle when it is ready.
func (e *environment) disown() {
	e.pool.mu.Lock()
	e.owned = false
	kill := false
	switch e.state {
	case starting:
		e.deadline = e.started.Add(initLimit) // the reaper watches it from now on
	case claimed:
		e.state, e.reported = finishing, true
		e.pool.finishing++
		kill = e.pool.settleLocked(e)
	}
	e.pool.mu.Unlock()
	if kill {
		e.process.Kill()
	}
}

// initFailed writes the log of a call whose environment failed before it could
// take the call.
func (e *environment) initFailed(c *call, o outcome) error {
	c.coldInit = max(e.f.o.Clock.Now().Sub(e.started), 1)
	e.log.beginFailed(c)
	e.log.end(c, &o, e.pool.fn.MemorySize, e.process.PeakMemory())
	return &initFailure{o}
}

// launch starts a process with its listener and its log. What the function
// itself made impossible is an *initFailure.
func (f *Functions) launch(ctx context.Context, p *pool, c *call) (*environment, error) {
	if err := f.takeSlot(ctx); err != nil {
		return nil, err
	}
	e, err := f.build(ctx, p, c)
	if err != nil {
		f.slots.give()
		return nil, err
	}
	return e, nil
}

func (f *Functions) build(ctx context.Context, p *pool, c *call) (*environment, error) {
	now := f.o.Clock.Now()
	e := &environment{
		f: f, pool: p, started: now, stream: streamName(now), owned: true,
		ready: make(chan struct{}), failed: make(chan struct{}), exited: make(chan struct{}), open: map[net.Conn]struct{}{},
	}
	e.log = newLogs(p.fn.LogGroup, p.fn.Name, e.stream, f.o.Logs, f.o.Clock.Now)
	prog, err := f.program(ctx, &p.fn, e.stream)
	var refused *refusal
	if errors.As(err, &refused) {
		return nil, e.refuse(c, refused)
	}
	if err != nil {
		return nil, err
	}
	e.log.line(f.initStart(prog))
	if prog.note != "" {
		e.log.line(prog.note)
	}
	return e, f.spawn(e, prog, c)
}

// spawn starts the process and the goroutines that serve and watch it.
func (f *Functions) spawn(e *environment, prog *program, c *call) error {
	var err error
	if e.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return fmt.Errorf("function: Runtime API listener: %w", err)
	}
	output, err := e.log.open()
	if err != nil {
		e.listener.Close()
		return fmt.Errorf("function: output pipe: %w", err)
	}
	e.process, err = f.spawner.Start(sandbox.Spec{
		Path: prog.path, Args: prog.args, Dir: prog.taskRoot, Output: output,
		Env: append(prog.env, "AWS_LAMBDA_RUNTIME_API="+e.listener.Addr().String()),
	})
	output.Close()
	if err != nil {
		e.listener.Close()
		e.log.close()
		if errors.Is(err, sandbox.ErrClosed) {
			return stopping()
		}
		return e.refuse(c, &refusal{"Runtime.InvalidEntrypoint", strings.ReplaceAll(err.Error(), prog.taskRoot, "/var/task")})
	}
	e.pool.mu.Lock()
	e.pool.all[e] = struct{}{}
	e.pool.mu.Unlock()
	if !f.attach(e) {
		e.process.Kill()
		e.process.Wait()
		e.listener.Close()
		e.log.close()
		e.pool.remove(e)
		return stopping()
	}
	return nil
}

// attach starts an environment's goroutines, and makes sure that Stop finds
// it even when its function was replaced meanwhile.
func (f *Functions) attach(e *environment) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.life.Err() != nil {
		return false
	}
	f.pools[e.pool] = struct{}{}
	f.work.Go(e.serve)
	f.work.Go(e.log.read)
	f.work.Go(e.watch)
	return true
}

func stopping() error {
	return &invocation.Error{Code: invocation.ServiceFailure, Message: "The server is stopping."}
}

// refusal is why a function cannot run here at all.
type refusal struct{ fault, reason string }

func (r *refusal) Error() string { return r.fault + ": " + r.reason }

// refuse answers a call with the reason why nothing could be started.
func (e *environment) refuse(c *call, r *refusal) error {
	o := platformFault(c, r.fault, r.reason)
	e.log.begin(c)
	e.log.end(c, &o, e.pool.fn.MemorySize, 0)
	return &initFailure{o}
}

// program finds what to run for a function, and unpacks its code.
func (f *Functions) program(ctx context.Context, fn *catalog.Function, stream string) (*program, error) {
	root, err := f.code.folder(ctx, f.life, fn.CodeSHA256)
	if err != nil {
		return nil, err
	}
	shims, err := f.shims()
	if err != nil {
		return nil, fmt.Errorf("function: runtime shims: %w", err)
	}
	prog := &program{taskRoot: root, env: f.environ(fn, root, shims, stream)}
	switch family := familyOf(fn.Runtime); {
	case family == "python":
		err = f.interpret(prog, fn.Runtime, family, []string{"-S", shims + "/python.py"})
	case family == "nodejs":
		err = f.interpret(prog, fn.Runtime, family, []string{shims + "/node.cjs"})
	case fn.Runtime == "provided.al2" || fn.Runtime == "provided.al2023":
		err = prog.bootstrap(fn.Runtime)
	default:
		err = &invocation.Error{Code: invocation.InvalidRuntime, Message: "The runtime " + fn.Runtime +
			" cannot be run here. Use python3.x, nodejs, or provided.al2023 with a bootstrap of your own."}
	}
	return prog, err
}

func (f *Functions) interpret(prog *program, runtime, family string, args []string) error {
	found, exact, ok := f.interpreters.choose(runtime, family)
	if !ok {
		return &refusal{"Runtime.InvalidEntrypoint", fmt.Sprintf("no interpreter for runtime %s was found on this machine; "+
			"install %s so that it is on the PATH of weir, and call again", runtime, interpreterName(family))}
	}
	prog.path, prog.args = found.Path, args
	major, patch := found.Version, "0"
	if i := strings.LastIndexByte(found.Version, '.'); i >= 0 {
		major, patch = found.Version[:i], found.Version[i+1:]
	}
	prog.version = family + ":" + major + ".v" + patch
	if !exact {
		prog.note = fmt.Sprintf("WEIR Runtime %s is not on this machine; running on %s %s (%s)\n", runtime, interpreterName(family), found.Version, found.Path)
	}
	return nil
}

// bootstrap is the entry point of a provided runtime. Source of the words:
// Lambda's answers for a zip without one.
func (prog *program) bootstrap(runtime string) error {
	prog.path = prog.taskRoot + "/bootstrap"
	prog.version = strings.Replace(runtime, ".", ":", 1) + ".v1"
	info, err := os.Stat(prog.path)
	if err != nil || info.IsDir() {
		return &refusal{"Runtime.InvalidEntrypoint", "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"}
	}
	return nil
}

func (f *Functions) initStart(prog *program) string {
	sum := sha256.Sum256([]byte(prog.version + " " + prog.path))
	return "INIT_START Runtime Version: " + prog.version + "\tRuntime Version ARN: arn:aws:lambda:" + f.o.Region +
		"::runtime:" + hex.EncodeToString(sum[:]) + "\n"
}

func streamName(now time.Time) string {
	id := uuid.New()
	return now.UTC().Format("2006/01/02/") + "[" + latest + "]" + hex.EncodeToString(id[:])
}
