package function

import (
	"bytes"
	"errors"
	"sync"
	"time"

	"weir/internal/invocation"
)

// eventQueue bounds the Event invocations that wait or run.
type eventQueue struct {
	mu           sync.Mutex // guards count and bytes
	count, bytes int
}

func (q *eventQueue) take(size, maxCount, maxBytes int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.count >= maxCount || q.bytes+size > maxBytes {
		return false
	}
	q.count++
	q.bytes += size
	return true
}

func (q *eventQueue) give(size int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.count--
	q.bytes -= size
}

// The waits between attempts of an event that finds no environment. Source:
// Lambda developer guide, "Asynchronous invocation": from 1 second to 5 minutes.
const (
	firstWait = time.Second
	lastWait  = 5 * time.Minute
)

// enqueue takes an Event invocation and answers at once. The event is run in
// the background by what the function is then; when no environment is free it
// waits and tries again. What still waits when weir stops is lost, and said.
func (f *Functions) enqueue(name string, inv *invocation.Invocation, id, arn string) (*invocation.Result, error) {
	size := len(inv.Payload)
	if !f.events.take(size, f.o.MaxQueuedEvents, f.o.MaxQueuedBytes) {
		return nil, &invocation.Error{Code: invocation.Throttled, Reason: "ConcurrentInvocationLimitExceeded", Message: "Rate Exceeded."}
	}
	own := *inv
	own.Payload = bytes.Clone(inv.Payload)
	own.Tail = false
	own.ClientContext = "" // AWS gives it to synchronous calls only
	f.gate.stay()
	started := f.background(func() {
		defer f.gate.leave()
		defer f.events.give(size)
		f.runEvent(name, &own, id, arn)
	})
	if !started {
		f.gate.leave()
		f.events.give(size)
		return nil, stopping()
	}
	return &invocation.Result{RequestID: id, StatusCode: 202, ExecutedVersion: latest}, nil
}

func (f *Functions) runEvent(name string, inv *invocation.Invocation, id, arn string) {
	for wait := firstWait; ; wait = min(2*wait, lastWait) {
		r, ok := f.current.Load(name)
		if !ok {
			f.o.Logger.Warn("event dropped: its function is gone", "function", name, "request_id", id)
			return
		}
		_, err := f.run(f.life, r, newCall(inv, id, arn))
		var refused *invocation.Error
		if !errors.As(err, &refused) || refused.Code != invocation.Throttled {
			if err != nil {
				f.o.Logger.Error("event failed", "function", name, "request_id", id, "error", err)
			}
			return
		}
		again, stop := f.o.Clock.Timer(wait)
		select {
		case <-again:
		case <-f.draining:
			stop()
			f.o.Logger.Warn("event dropped: the server is stopping", "function", name, "request_id", id)
			return
		}
	}
}
