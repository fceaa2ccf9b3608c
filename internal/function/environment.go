package function

import (
	"bufio"
	"context"
	"net"
	"sync"
	"time"

	"weir/internal/function/sandbox"
	"weir/internal/invocation"
)

// state of an environment. Legal moves:
//
//	starting  -> claimed    it asked for work; who started it has a call for it
//	starting  -> finishing  it asked for work; who started it went away
//	claimed   -> busy       a call was given to it
//	busy      -> finishing  it answered
//	finishing -> idle       its call was reported and it asked for work
//	finishing -> claimed    the same, and a call waited for it
//	idle      -> claimed    a call takes it
//	any       -> dying      killed or gone; there is no way back
type state uint8

const (
	starting state = iota
	claimed
	busy
	finishing
	idle
	dying
)

// environment is one process of a function with its listener and its log.
type environment struct {
	f        *Functions
	pool     *pool
	stream   string
	listener net.Listener
	process  *sandbox.Process
	log      *logs
	started  time.Time

	// Guarded by pool.mu.
	state     state
	owned     bool    // starting: someone waits for it
	reported  bool    // finishing: END and REPORT were written
	parked    []*conn // connections that asked for work
	call      *call   // busy
	past      string  // id of the last call
	pastWord  string  // why past takes no answer any more
	deadline  time.Time
	idleSince time.Time
	initTook  time.Duration

	ready      chan struct{} // closed at the first request for work
	failed     chan struct{} // closed after initError was set
	initError  outcome
	exited     chan struct{} // closed when process and connections are gone
	exit       sandbox.Exit  // set before exited is closed
	conns      sync.WaitGroup
	connsMu    sync.Mutex // guards open and closing
	open       map[net.Conn]struct{}
	closing    bool
	eventSpace []byte // reused head of events; belongs to who claimed the environment
}

// begin gives a claimed environment its call. False: the environment is gone
// and the call did not reach it.
func (e *environment) begin(c *call) bool {
	now := e.f.o.Clock.Now()
	limit := time.Duration(e.pool.fn.Timeout) * time.Second
	c.sent = now
	if c.deadline.IsZero() {
		c.deadline = now.Add(limit)
	}
	e.pool.mu.Lock()
	if e.state != claimed || len(e.parked) == 0 {
		e.pool.mu.Unlock()
		return false
	}
	k := e.parked[len(e.parked)-1]
	e.parked = e.parked[:len(e.parked)-1]
	accepted := k.owes
	k.owes, k.waiting = false, false
	e.state, e.reported, e.call, e.deadline = busy, false, c, c.deadline
	e.pool.mu.Unlock()
	e.log.begin(c)
	if err := e.send(k, c, accepted); err != nil {
		// The process is ending or does not read: its end or the call's
		// deadline will say so.
		e.f.o.Logger.Debug("event not delivered", "function", e.pool.fn.Name, "error", err)
	}
	return true
}

// inOneWrite is the size up to which copying a payload behind its head is
// cheaper than handing the kernel two pieces.
const inOneWrite = 32 << 10

func (e *environment) send(k *conn, c *call, accepted bool) error {
	// A process that does not read must not hold the caller longer than the
	// call may take.
	if len(c.payload) > inOneWrite {
		_ = k.net.SetWriteDeadline(time.Now().Add(c.deadline.Sub(c.sent)))
		defer k.net.SetWriteDeadline(time.Time{})
	}
	e.eventSpace = c.event(e.eventSpace[:0], accepted)
	if len(c.payload) <= inOneWrite {
		e.eventSpace = append(e.eventSpace, c.payload...)
		_, err := k.net.Write(e.eventSpace)
		return err
	}
	pieces := net.Buffers{e.eventSpace, c.payload}
	_, err := pieces.WriteTo(k.net)
	return err
}

// await waits for what becomes of a call. ok is false when ctx ended first.
func (e *environment) await(ctx context.Context, c *call, late <-chan time.Time) (o outcome, ok bool) {
	select {
	case o = <-c.outcome:
	case <-e.exited:
		select {
		case o = <-c.outcome: // it answered and then ended
		default:
			o = exited(c, e.exit.Text)
		}
	case <-late:
		o = e.expire(c)
	case <-ctx.Done():
		return outcome{}, false
	}
	if o.status != "timeout" {
		o.took = e.f.o.Clock.Now().Sub(c.sent)
	}
	return o, true
}

// expire ends a call whose time is over, and its environment with it, unless
// the function answered in the same instant.
func (e *environment) expire(c *call) outcome {
	e.pool.mu.Lock()
	if e.call != c {
		e.pool.mu.Unlock()
		select {
		case o := <-c.outcome:
			return o
		case <-e.exited:
			return exited(c, e.exit.Text)
		}
	}
	e.call, e.past, e.pastWord = nil, c.id, "The invocation has timed out"
	e.pool.leaveLocked(e)
	e.pool.mu.Unlock()
	e.process.Kill()
	return timedOut(c, time.Duration(e.pool.fn.Timeout)*time.Second)
}

// finish writes the last lines of a call's log and lets the environment go on.
func (e *environment) finish(c *call, o outcome) *invocation.Result {
	e.log.end(c, &o, e.pool.fn.MemorySize, e.process.PeakMemory())
	res := c.result(o)
	e.pool.mu.Lock()
	e.reported = true
	kill := e.pool.settleLocked(e)
	e.pool.mu.Unlock()
	if kill {
		e.process.Kill()
	}
	return res
}

// kill ends an environment in whatever state.
func (e *environment) kill() {
	e.pool.mu.Lock()
	e.pool.leaveLocked(e)
	e.pool.mu.Unlock()
	e.process.Kill()
}

// asked takes a connection's request for work. The answer is nil, or why there
// will be none.
func (e *environment) asked(k *conn) *apiError {
	e.pool.mu.Lock()
	if e.state == busy {
		e.pool.mu.Unlock()
		return invalidTransition("the invocation in progress was not answered")
	}
	if e.state == dying || len(e.parked) >= maxConns {
		e.pool.mu.Unlock()
		return &apiError{410, "Sandbox.Failure", "the execution environment is ending"}
	}
	k.waiting = true
	e.parked = append(e.parked, k)
	if e.state == starting {
		e.initTook = e.f.o.Clock.Now().Sub(e.started)
		if e.owned {
			e.state = claimed
		} else {
			e.state, e.reported = finishing, true
			e.pool.finishing++
		}
		close(e.ready)
	}
	kill := e.pool.settleLocked(e)
	e.pool.mu.Unlock()
	if kill {
		e.process.Kill()
	}
	return nil
}

// unpark takes back a request for work because its connection moved on. False:
// it was not waiting.
func (e *environment) unpark(k *conn) bool {
	e.pool.mu.Lock()
	defer e.pool.mu.Unlock()
	if !k.waiting {
		return false
	}
	k.waiting = false
	for i, other := range e.parked {
		if other == k {
			e.parked = append(e.parked[:i], e.parked[i+1:]...)
			break
		}
	}
	return true
}

// answered takes a function's answer to the call with the id.
func (e *environment) answered(id string, o outcome) *apiError {
	e.pool.mu.Lock()
	defer e.pool.mu.Unlock()
	c := e.call
	switch {
	case e.state == busy && c != nil && c.id == id:
	case id == e.past && id != "":
		return &apiError{403, "InvalidStateTransition", e.pastWord}
	default:
		return &apiError{400, "InvalidRequestID", "Invalid request ID"}
	}
	e.state, e.call, e.past, e.pastWord = finishing, nil, id, "The invocation has already been answered"
	e.pool.finishing++
	c.outcome <- o
	return nil
}

// failedInit takes the error that a runtime reports instead of asking for work.
func (e *environment) failedInit(o outcome) *apiError {
	e.pool.mu.Lock()
	defer e.pool.mu.Unlock()
	if e.state != starting || e.initError.fault != "" {
		return invalidTransition("init is over")
	}
	e.initError = o
	close(e.failed)
	return nil
}

// watch waits for the end of the process and then leaves nothing of the
// environment behind.
func (e *environment) watch() {
	exit := e.process.Wait()
	e.stopServing()
	e.log.close()
	e.pool.remove(e)
	e.f.slots.give()
	e.exit = exit
	close(e.exited)
}

// newReader is sized for heads; bodies go past it.
func newReader(c net.Conn) *bufio.Reader { return bufio.NewReaderSize(c, 4096) }
