// Package sandbox decides what a function's process may see, use and reach,
// and starts it that way.
//
// There is one tier now, "process": a plain child process with an environment
// of its own making, in a process group of its own, without weir's
// descriptors, that dies with weir. It keeps honest functions apart and tidy;
// it does not contain hostile code, and Guarantees says so line by line, so
// that the operator is told and not left to assume.
package sandbox

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"
)

// Tier is the name of the isolation that this build gives.
const Tier = "process"

// MaxOpenFiles is the number of file descriptors a function may hold, as on
// Lambda.
const MaxOpenFiles = 1024

// Guarantee is one thing that a sandbox holds or does not hold.
type Guarantee struct {
	Name string // what is promised
	Held bool
	Note string // how, or what is open because of it
}

// Guarantees lists what this tier holds and what it does not, in the order in
// which it is printed.
func Guarantees() []Guarantee {
	linux := runtime.GOOS == "linux"
	unix := runtime.GOOS != "windows"
	return []Guarantee{
		{"environment variables", true, "a function sees its own, never weir's"},
		{"file descriptors", true, "a function inherits its output pipe and nothing else"},
		{"end of a call", unix, "a timeout kills the function's whole process group"},
		{"end of weir", linux, "a function's process dies when weir is killed; what it started itself may live on"},
		{"open files", linux, fmt.Sprintf("at most %d a process", MaxOpenFiles)},
		{"files", false, "a function reads and writes what weir's user may"},
		{"processes", false, "a function sees other processes and may signal those of weir's user"},
		{"network", false, "a function reaches loopback, private networks and the internet"},
		{"other functions", false, "a function reaches other functions' Runtime API on loopback"},
		{"memory, CPU, processes", false, "memory size is reported to a function and not enforced"},
	}
}

// Spec is one process to start.
type Spec struct {
	Path   string   // program, absolute
	Args   []string // arguments, without the program's name
	Dir    string   // working directory
	Env    []string // the whole environment, "NAME=value"
	Output *os.File // standard output and error; the caller keeps and closes it
}

// ErrClosed is the answer of Start after Close.
var ErrClosed = errors.New("sandbox: closed")

// Spawner starts processes. It owns one operating-system thread that lives as
// long as the Spawner, because Linux delivers the parent-death signal when the
// starting thread ends, not when the process does. Safe for concurrent use.
type Spawner struct {
	requests chan request
	closing  chan struct{}
	done     chan struct{}
	once     sync.Once
}

type request struct {
	spec   Spec
	answer chan<- started
}

type started struct {
	process *Process
	err     error
}

// NewSpawner starts a Spawner. It also marks every descriptor that this
// process inherited as not to be inherited further.
func NewSpawner() *Spawner {
	sealDescriptors()
	s := &Spawner{requests: make(chan request), closing: make(chan struct{}), done: make(chan struct{})}
	go s.loop()
	return s
}

// Close ends the thread. Processes that still run are killed by that on Linux,
// so it is called after they were waited for.
func (s *Spawner) Close() {
	s.once.Do(func() { close(s.closing) })
	<-s.done
}

// Start runs a program. An error means that nothing was started.
func (s *Spawner) Start(spec Spec) (*Process, error) {
	answer := make(chan started, 1)
	select {
	case s.requests <- request{spec, answer}:
	case <-s.closing:
		return nil, ErrClosed
	}
	a := <-answer
	return a.process, a.err
}

func (s *Spawner) loop() {
	defer close(s.done)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	null, err := os.Open(os.DevNull)
	if err == nil {
		defer null.Close()
	}
	for {
		select {
		case r := <-s.requests:
			if err != nil {
				r.answer <- started{nil, err}
				continue
			}
			p, err := start(r.spec, null)
			r.answer <- started{p, err}
		case <-s.closing:
			return
		}
	}
}

func start(spec Spec, null *os.File) (*Process, error) {
	p := &Process{}
	proc, err := os.StartProcess(spec.Path, append([]string{spec.Path}, spec.Args...), &os.ProcAttr{
		Dir:   spec.Dir,
		Env:   spec.Env,
		Files: []*os.File{null, spec.Output, spec.Output},
		Sys:   attributes(p),
	})
	if err != nil {
		return nil, err
	}
	p.proc = proc
	p.PID = proc.Pid
	restrict(proc.Pid)
	return p, nil
}

// Process is a started process. Its methods are safe for concurrent use,
// except that Wait is called once.
type Process struct {
	PID int

	proc  *os.Process
	pidfd int // Linux: readable when the process ended; -1 for none

	mu     sync.Mutex // guards ended, so that Kill never meets a number that was given to someone else
	ended  bool
	peak   int64      // guarded by mu
	status *os.File   // guarded by mu; Linux: /proc/<pid>/status, kept open because it is read at every call
	space  [2048]byte // guarded by mu
}

// Exit is how a process ended.
type Exit struct {
	Text string        // "exit status 1", "signal: killed"; empty after exit status 0
	CPU  time.Duration // user and system time it used
}

// Kill ends the process and everything in its process group, at once. Killing
// what has ended does nothing.
func (p *Process) Kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		p.notePeakLocked()
		p.killGroup()
	}
}

// Wait waits for the end of the process, ends what is left of its group, and
// says how the process ended.
func (p *Process) Wait() Exit {
	state, err := p.reap()
	if err != nil {
		return Exit{Text: err.Error()}
	}
	e := Exit{CPU: state.UserTime() + state.SystemTime()}
	if !state.Success() {
		e.Text = state.String()
	}
	return e
}
