package function

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"weir/internal/catalog"
	"weir/internal/invocation"
)

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
