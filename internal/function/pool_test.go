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

func TestTimeout(t *testing.T) {
	clock := newManual()
	w := newWorld(t, func(o *Options) { o.Clock = clock.clock() })
	w.python("import time, subprocess\ndef handler(e, c):\n    if e: subprocess.Popen(['sleep', '1000']); print('before', flush=True); time.sleep(1000)\n    return 1",
		func(fn *catalog.Function) { fn.Timeout = 3 })
	w.want("{}", "1")
	for drained := false; !drained; {
		select {
		case <-clock.made:
		default:
			drained = true
		}
	}
	done := make(chan *invocation.Result, 1)
	go func() {
		r, err := w.Invoke(context.Background(), &invocation.Invocation{Function: "f", Payload: []byte(`{"a":1}`), Tail: true, RequestID: "slow"})
		if err != nil {
			t.Error(err)
		}
		done <- r
	}()
	clock.await(3 * time.Second)
	clock.fire(3 * time.Second)
	r := <-done
	if want := `{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: slow Error: Task timed out after 3.00 seconds"}`; string(r.Payload) != want || r.FunctionError != "Unhandled" {
		t.Errorf("payload %s, want %s", r.Payload, want)
	}
	if r.Duration != 3*time.Second {
		t.Errorf("duration %v", r.Duration)
	}
	tail := string(r.LogTail)
	if !strings.Contains(tail, "Z slow Task timed out after 3.00 seconds\n\nEND RequestId: slow\nREPORT RequestId: slow\tDuration: 3000.00 ms\tBilled Duration: 3000 ms\tMemory Size: 128 MB\tMax Memory Used: ") ||
		!strings.HasSuffix(tail, " MB\tStatus: timeout\n") {
		t.Errorf("log\n%s", tail)
	}
	p, _ := w.current.Load("f")
	waitEmpty(t, p.pool) // the process is gone, and its child, or the pipe would stay open
	if r := w.want("{}", "1"); !r.ColdStart {
		t.Error("the environment outlived a timeout")
	}
}

func TestInitThatTakesTooLong(t *testing.T) {
	clock := newManual()
	w := newWorld(t, func(o *Options) { o.Clock = clock.clock() })
	w.python("import time\ntime.sleep(1000)", func(fn *catalog.Function) { fn.Timeout = 3 })
	done := make(chan *invocation.Result, 1)
	go func() {
		r, err := w.Invoke(context.Background(), &invocation.Invocation{Function: "f", RequestID: "slow"})
		if err != nil {
			t.Error(err)
		}
		done <- r
	}()
	clock.await(initLimit)
	clock.fire(initLimit)
	clock.await(3 * time.Second) // init again, in the time of the call
	clock.fire(3 * time.Second)
	r := <-done
	if want := `{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: slow Error: Task timed out after 3.00 seconds"}`; string(r.Payload) != want || !r.ColdStart {
		t.Errorf("payload %s, want %s", r.Payload, want)
	}
	if log := w.logText(); strings.Count(log, "INIT_START") != 2 || !strings.Contains(log, "INIT_REPORT Init Duration: 10000.00 ms\tPhase: init\tStatus: timeout\n") {
		t.Errorf("log\n%s", log)
	}
}

func TestCallerThatGoesAwayDoesNotEndTheFunction(t *testing.T) {
	w := newWorld(t)
	w.python(meeting)
	m := newMeetings(t, w)
	ctx, cancel := context.WithCancel(t.Context())
	finish := m.begin(ctx, "a")
	cancel()
	if r, err := finish(); !errors.Is(err, context.Canceled) {
		t.Errorf("result %+v, error %v", r, err)
	}
	// The environment becomes idle when its function is done, and serves on.
	r, _ := w.current.Load("f")
	var pid string
	for pid == "" {
		res := w.call("{}")
		pid = string(res.Payload)
		r.pool.mu.Lock()
		if len(r.pool.idle) != len(r.pool.all) {
			pid = ""
		}
		r.pool.mu.Unlock()
	}
	if log := w.logText(); strings.Count(log, "START Req") != strings.Count(log, "REPORT Req") {
		t.Errorf("log\n%s", log)
	}
}

func TestCallerThatGoesAwayDuringInit(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	mkfifo(t, dir+"/here")
	mkfifo(t, dir+"/go")
	w.python(fmt.Sprintf("open(%q, 'w').write('x')\nopen(%q).read()\ndef handler(e, c): return 1", dir+"/here", dir+"/go"))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := w.Invoke(ctx, &invocation.Invocation{Function: "f"})
		done <- err
	}()
	if _, err := os.ReadFile(dir + "/here"); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	r, _ := w.current.Load("f")
	var e *environment
	r.pool.mu.Lock()
	for e = range r.pool.all {
	}
	r.pool.mu.Unlock()
	if err := os.WriteFile(dir+"/go", nil, 0); err != nil {
		t.Fatal(err)
	}
	<-e.ready
	if r := w.want("{}", "1"); r.ColdStart {
		t.Error("the environment that was left to itself is not used")
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

func TestTailIsTheLastFourKilobytes(t *testing.T) {
	w := newWorld(t)
	w.python("def handler(e, c):\n    for i in range(e): print('line', i)\n    print('last', end='')")
	r := w.want("2000", "null")
	if len(r.LogTail) != 4096 || !strings.Contains(string(r.LogTail), "line 1999\nlast\nEND RequestId") {
		t.Errorf("%d bytes of log, end %q", len(r.LogTail), r.LogTail[max(0, len(r.LogTail)-300):])
	}
	log := w.logText()
	for i := range 2000 {
		if !strings.Contains(log, fmt.Sprintf("\nline %d\n", i)) {
			t.Fatalf("line %d was lost or came late", i)
		}
	}
	if quiet, err := w.Invoke(t.Context(), &invocation.Invocation{Function: "f", Payload: []byte("1")}); err != nil || quiet.LogTail != nil {
		t.Errorf("a log that nobody asked for: %+v %v", quiet, err)
	}
}

func TestLongLinesAreSplit(t *testing.T) {
	w := newWorld(t)
	w.python("def handler(e, c): print('é' * 300000)")
	w.want("{}", "null")
	w.mu.Lock()
	defer w.mu.Unlock()
	var total int
	for _, e := range w.logs {
		if len(e.Message) > maxLine {
			t.Errorf("event of %d bytes", len(e.Message))
		}
		if strings.Contains(e.Message, "\uFFFD") {
			t.Error("a character was cut in two")
		}
		total += strings.Count(e.Message, "é")
	}
	if total != 300000 {
		t.Errorf("%d characters of 300000", total)
	}
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
