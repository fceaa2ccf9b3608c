package function

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"weir/internal/catalog"
	"weir/internal/invocation"
)

// meeting is a function that says which process it is and then waits until
// the test lets it go: two named pipes, opened by both sides, are the meeting.
const meeting = `
import os
def handler(event, context):
    if event.get('at'):
        with open(event['at'] + '.here', 'w') as f: f.write('x')
        with open(event['at'] + '.go') as f: f.read()
    return os.getpid()
`

type meetings struct {
	w   *world
	dir string
}

func newMeetings(t *testing.T, w *world) *meetings {
	t.Helper()
	if _, err := os.Stat("/proc"); err != nil {
		t.Skip("uses named pipes")
	}
	return &meetings{w, t.TempDir()}
}

// begin starts a call and returns when the function runs; the function ends
// when finish is called, which gives what the call gave.
func (m *meetings) begin(ctx context.Context, name string) (finish func() (*invocation.Result, error)) {
	m.w.t.Helper()
	at := filepath.Join(m.dir, name)
	mkfifo(m.w.t, at+".here")
	mkfifo(m.w.t, at+".go")
	type answer struct {
		r   *invocation.Result
		err error
	}
	done := make(chan answer, 1)
	go func() {
		r, err := m.w.Invoke(ctx, &invocation.Invocation{Function: "f", Payload: []byte(`{"at":"` + at + `"}`), Tail: true})
		done <- answer{r, err}
	}()
	if _, err := os.ReadFile(at + ".here"); err != nil {
		m.w.t.Fatal(err)
	}
	return func() (*invocation.Result, error) {
		if err := os.WriteFile(at+".go", nil, 0); err != nil {
			m.w.t.Error(err)
		}
		a := <-done
		return a.r, a.err
	}
}

func finished(t *testing.T, finish func() (*invocation.Result, error)) string {
	t.Helper()
	r, err := finish()
	if err != nil || r.FunctionError != "" {
		t.Fatalf("result %+v, error %v", r, err)
	}
	return string(r.Payload)
}

func TestOneEnvironmentForEachConcurrentCall(t *testing.T) {
	w := newWorld(t)
	w.python(meeting)
	m := newMeetings(t, w)
	a, b := m.begin(t.Context(), "a"), m.begin(t.Context(), "b")
	first, second := finished(t, a), finished(t, b)
	if first == second {
		t.Fatalf("both calls ran in process %s", first)
	}
	// b was used last, so it is used next, again and again.
	for range 3 {
		if r := w.want("{}", second); r.ColdStart {
			t.Error("a warm call says it was cold")
		}
	}
}

func TestLimitOfEnvironments(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.MaxEnvironments = 2 })
	w.python(meeting)
	w.put("g", "python3.11", "app.handler", files{"app.py": "def handler(e, c): return 'g'"})
	m := newMeetings(t, w)
	a, b := m.begin(t.Context(), "a"), m.begin(t.Context(), "b")
	for _, name := range []string{"f", "g"} {
		e := w.refused(&invocation.Invocation{Function: name})
		if *e != (invocation.Error{Code: "TooManyRequestsException", Reason: "ConcurrentInvocationLimitExceeded", Message: "Rate Exceeded."}) {
			t.Errorf("%+v", e)
		}
	}
	finished(t, a)
	finished(t, b)
	// Both environments are idle now: the one used longest ago makes room.
	r, err := w.Invoke(t.Context(), &invocation.Invocation{Function: "g"})
	if err != nil || string(r.Payload) != `"g"` {
		t.Fatalf("%+v, %v", r, err)
	}
	if n := w.slots.used.Load(); n != 2 {
		t.Errorf("%d environments", n)
	}
}

func TestUpdateGivesNewCallsTheNewCode(t *testing.T) {
	w := newWorld(t)
	w.python(meeting)
	m := newMeetings(t, w)
	old := m.begin(t.Context(), "old")
	before, _ := w.current.Load("f")
	w.python("def handler(e, c): return 'new'")
	w.want("{}", `"new"`)
	if pid := finished(t, old); pid == "" {
		t.Error("the call in flight did not finish")
	}
	waitEmpty(t, before.pool)
	// A change of policy or tags keeps the environments.
	w.python("def handler(e, c): return 'new'", func(fn *catalog.Function) { fn.Tags = map[string]string{"a": "b"} })
	if r := w.want("{}", `"new"`); r.ColdStart {
		t.Error("a tag cost a cold start")
	}
	w.python("def handler(e, c): return 'new'", func(fn *catalog.Function) { fn.Timeout = 7 })
	if r := w.want("{}", `"new"`); !r.ColdStart {
		t.Error("a changed timeout did not reach the environments")
	}
}

// waitEmpty waits until a pool's environments are gone.
func waitEmpty(t *testing.T, p *pool) {
	t.Helper()
	for {
		p.mu.Lock()
		var e *environment
		for e = range p.all {
			break
		}
		p.mu.Unlock()
		if e == nil {
			return
		}
		select {
		case <-e.exited:
		case <-t.Context().Done():
			t.Fatal("an environment stays")
		}
	}
}

func TestRemoveLetsCallsFinish(t *testing.T) {
	w := newWorld(t)
	w.python(meeting)
	m := newMeetings(t, w)
	call := m.begin(t.Context(), "a")
	r, _ := w.current.Load("f")
	w.Remove("f")
	w.Remove("f")
	if e := w.refused(&invocation.Invocation{Function: "f"}); e.Code != invocation.NotFound {
		t.Errorf("%+v", e)
	}
	finished(t, call)
	waitEmpty(t, r.pool)
}

func TestIdleEnvironmentsGo(t *testing.T) {
	clock := newManual()
	w := newWorld(t, func(o *Options) { o.Clock, o.IdleTimeout = clock.clock(), time.Minute })
	w.python("def handler(e, c): return 1")
	w.want("{}", "1")
	r, _ := w.current.Load("f")
	w.reap(clock.Now().Add(59 * time.Second))
	r.pool.mu.Lock()
	n := len(r.pool.idle)
	r.pool.mu.Unlock()
	if n != 1 {
		t.Fatalf("%d idle environments before their time is over", n)
	}
	w.reap(clock.Now().Add(time.Minute))
	waitEmpty(t, r.pool)
	if r := w.want("{}", "1"); !r.ColdStart {
		t.Error("the environment was not new")
	}
}

func TestStopCutsCallsShort(t *testing.T) {
	w := newWorld(t)
	w.python(meeting)
	m := newMeetings(t, w)
	finish := m.begin(t.Context(), "a")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := w.Stop(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Stop: %v", err)
	}
	reader, err := os.OpenFile(m.dir+"/a.go", os.O_RDWR, 0) // nobody else reads it any more
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	r, err := finish()
	if err != nil || !strings.Contains(string(r.Payload), "Runtime exited with error: signal: killed") {
		t.Errorf("result %+v, error %v", r, err)
	}
	if e := w.refused(&invocation.Invocation{Function: "f"}); e.Code != invocation.ServiceFailure {
		t.Errorf("%+v", e)
	}
}

func TestStopLetsCallsFinish(t *testing.T) {
	w := newWorld(t)
	w.python(meeting)
	m := newMeetings(t, w)
	finish := m.begin(t.Context(), "a")
	stopped := make(chan error, 1)
	go func() { stopped <- w.Stop(context.Background()) }()
	<-w.draining
	finished(t, finish)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestEvents(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.MaxQueuedEvents = 1 })
	w.python(meeting)
	dir := t.TempDir()
	mkfifo(t, dir+"/a.here")
	mkfifo(t, dir+"/a.go")
	payload := []byte(`{"at":"` + dir + `/a"}`)
	inv := &invocation.Invocation{Function: "f", Type: invocation.Event, Payload: payload}
	r, err := w.Invoke(t.Context(), inv)
	if err != nil || r.StatusCode != 202 || len(r.Payload) != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	clear(payload) // it was copied
	if e := w.refused(&invocation.Invocation{Function: "f", Type: invocation.Event}); e.Code != invocation.Throttled {
		t.Errorf("%+v", e)
	}
	if _, err := os.ReadFile(dir + "/a.here"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/a.go", nil, 0); err != nil {
		t.Fatal(err)
	}
	if err := w.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	if log := w.logText(); !strings.Contains(log, "END RequestId: "+r.RequestID) {
		t.Errorf("Stop did not wait for the event:\n%s", log)
	}
}

func TestEventWaitsForAnEnvironment(t *testing.T) {
	clock := newManual()
	w := newWorld(t, func(o *Options) { o.MaxEnvironments, o.Clock = 1, clock.clock() })
	w.python(meeting)
	m := newMeetings(t, w)
	busy := m.begin(t.Context(), "a")
	r, err := w.Invoke(t.Context(), &invocation.Invocation{Function: "f", Type: invocation.Event})
	if err != nil {
		t.Fatal(err)
	}
	// The first attempt finds no environment and waits a second, the next one
	// two. (The reaper's timer is a second too, so time goes on until the wait
	// of two seconds is there.)
	for waits := false; !waits; {
		clock.fire(firstWait)
		select {
		case d := <-clock.made:
			waits = d == 2*firstWait
		default:
			runtime.Gosched()
		}
	}
	finished(t, busy)
	for w.eventsWaiting() {
		for _, d := range []time.Duration{2, 4, 8, 16, 32, 64, 128, 256} {
			clock.fire(d * firstWait)
		}
		runtime.Gosched()
	}
	if log := w.logText(); !strings.Contains(log, "END RequestId: "+r.RequestID) {
		t.Errorf("the event was not run:\n%s", log)
	}
}

func (w *world) eventsWaiting() bool {
	w.events.mu.Lock()
	defer w.events.mu.Unlock()
	return w.events.count > 0
}

func TestManyConcurrentCalls(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.MaxEnvironments = 8 })
	w.python("def handler(e, c): return e")
	errs := make(chan error, 8)
	for g := range 8 {
		go func() {
			for i := range 50 {
				want, _ := json.Marshal([]int{g, i})
				r, err := w.Invoke(context.Background(), &invocation.Invocation{Function: "f", Payload: want})
				if err != nil {
					errs <- err
					return
				}
				if got := strings.ReplaceAll(string(r.Payload), " ", ""); got != string(want) {
					errs <- fmt.Errorf("answer %s, want %s", got, want)
					return
				}
			}
			errs <- nil
		}()
	}
	for range 8 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
