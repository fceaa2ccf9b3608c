package telemetry

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// LogEvent is one line of a log stream.
type LogEvent struct {
	Group   string // "/aws/lambda/timestamper"
	Stream  string // "2026/11/24/[$LATEST]0123…"
	Time    time.Time
	Message string
}

// eventOverhead is what an event is counted for beside its message, so that a
// flood of empty lines is bounded in bytes too.
const eventOverhead = 128

func (e *LogEvent) size() int {
	return eventOverhead + len(e.Message) + len(e.Group) + len(e.Stream)
}

// Where a sink reports that it dropped events.
const (
	DropGroup  = "/weir/logs"
	DropStream = "dropped"
)

// LogSinkOptions configure a LogSink. Write is required.
type LogSinkOptions struct {
	// Write keeps a batch. It is called by one goroutine at a time and may be
	// slow; an error makes the sink try the batch again.
	Write func(context.Context, []LogEvent) error
	// MaxEvents and MaxBytes bound what waits to be written; 0 means 65,536
	// events and 32 MiB.
	MaxEvents int
	MaxBytes  int
	// BatchEvents bounds one call of Write; 0 means 1,000.
	BatchEvents int
	// Attempts bounds how often one batch is tried; 0 means 5. Then it is
	// counted as dropped.
	Attempts int
	// Wait is how long to wait before trying again; nil: a second, doubled
	// each time. It returns early when ctx ends.
	Wait func(ctx context.Context, attempt int)
	Now  func() time.Time // nil: time.Now
	// Failed is told of every failed Write; nil: nobody is.
	Failed func(error)
}

// LogSink takes log events from functions and stages and writes them in
// batches. Add never waits: when writing is slower than logging for long, the
// oldest events are dropped and counted, and an event in DropGroup says how
// many. Safe for concurrent use.
type LogSink struct {
	o LogSinkOptions

	mu      sync.Mutex // guards the fields below
	ring    []LogEvent // a ring: count events from first
	first   int
	count   int
	bytes   int
	added   uint64        // events ever queued
	settled uint64        // queued events that were written or dropped, which happens in order
	dropped uint64        // events dropped
	told    uint64        // dropped events that an event spoke of
	moved   chan struct{} // made by who waits for settled to move, closed when it does
	stopped bool

	wake   chan struct{} // something to write, or stopped
	done   chan struct{} // the writer ended
	cancel context.CancelFunc
}

// NewLogSink starts a sink. Stop ends it.
func NewLogSink(o LogSinkOptions) *LogSink {
	setDefault(&o.MaxEvents, 65_536)
	setDefault(&o.MaxBytes, 32<<20)
	setDefault(&o.BatchEvents, 1000)
	setDefault(&o.Attempts, 5)
	if o.Wait == nil {
		o.Wait = waitDoubling
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &LogSink{o: o, wake: make(chan struct{}, 1), done: make(chan struct{}), cancel: cancel}
	go s.write(ctx)
	return s
}

func setDefault(n *int, value int) {
	if *n <= 0 {
		*n = value
	}
}

func waitDoubling(ctx context.Context, attempt int) {
	t := time.NewTimer(time.Second << min(attempt, 5))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// Add takes one event. It never waits. After Stop the event counts as dropped.
func (s *LogSink) Add(e LogEvent) {
	size := e.size()
	s.mu.Lock()
	if s.stopped || size > s.o.MaxBytes {
		s.dropped++ // never queued, so Flush does not count it
		s.mu.Unlock()
		return
	}
	s.added++
	for s.count > 0 && (s.count == s.o.MaxEvents || s.bytes+size > s.o.MaxBytes) {
		s.popLocked()
		s.dropLocked(1)
	}
	s.pushLocked(e, size)
	s.mu.Unlock()
	s.signal()
}

func (s *LogSink) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Dropped is the number of events that were dropped since the start.
func (s *LogSink) Dropped() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dropped
}

// Flush returns when every event that was added before it was called has been
// written or dropped, or with ctx's error.
func (s *LogSink) Flush(ctx context.Context) error {
	s.mu.Lock()
	target := s.added
	for s.settled < target {
		if s.moved == nil {
			s.moved = make(chan struct{})
		}
		moved := s.moved
		s.mu.Unlock()
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
		s.mu.Lock()
	}
	s.mu.Unlock()
	return nil
}

// Stop writes what waits and ends the sink. When ctx ends first, the rest is
// dropped and ctx's error returned. Stopping twice does nothing more.
func (s *LogSink) Stop(ctx context.Context) error {
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	s.signal()
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
	}
	s.cancel()
	<-s.done
	return ctx.Err()
}

// pushLocked appends to the ring, which grows by doubling up to MaxEvents.
func (s *LogSink) pushLocked(e LogEvent, size int) {
	if s.count == len(s.ring) {
		grown := make([]LogEvent, min(max(2*len(s.ring), 64), s.o.MaxEvents))
		for i := range s.count {
			grown[i] = s.ring[(s.first+i)%len(s.ring)]
		}
		s.ring, s.first = grown, 0
	}
	s.ring[(s.first+s.count)%len(s.ring)] = e
	s.count++
	s.bytes += size
}

func (s *LogSink) popLocked() LogEvent {
	e := s.ring[s.first]
	s.ring[s.first] = LogEvent{}
	s.first = (s.first + 1) % len(s.ring)
	s.count--
	s.bytes -= e.size()
	return e
}

func (s *LogSink) dropLocked(n uint64) {
	s.dropped += n
	s.settleLocked(n)
}

func (s *LogSink) settleLocked(n uint64) {
	s.settled += n
	if s.moved != nil {
		close(s.moved)
		s.moved = nil
	}
}

// write is the one goroutine that calls Write.
func (s *LogSink) write(ctx context.Context) {
	defer close(s.done)
	defer s.cancel()
	var batch []LogEvent
	for {
		batch = s.take(batch[:0])
		if len(batch) == 0 {
			if s.finished() {
				return
			}
			<-s.wake
			continue
		}
		s.keep(ctx, batch)
		clear(batch)
	}
}

func (s *LogSink) finished() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopped && s.count == 0 && s.told == s.dropped
}

// take moves the oldest events into batch, after one that tells of drops.
func (s *LogSink) take(batch []LogEvent) []LogEvent {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.dropped - s.told; n > 0 {
		s.told = s.dropped
		s.added++
		batch = append(batch, LogEvent{Group: DropGroup, Stream: DropStream, Time: s.o.Now(), Message: fmt.Sprintf(
			"%d log events were dropped because they came faster than they could be written\n", n)})
	}
	for s.count > 0 && len(batch) < s.o.BatchEvents {
		batch = append(batch, s.popLocked())
	}
	return batch
}

// keep writes one batch, again when it fails, and settles it.
func (s *LogSink) keep(ctx context.Context, batch []LogEvent) {
	for attempt := 0; ctx.Err() == nil; {
		err := s.o.Write(ctx, batch)
		if err == nil {
			s.mu.Lock()
			s.settleLocked(uint64(len(batch)))
			s.mu.Unlock()
			return
		}
		if s.o.Failed != nil {
			s.o.Failed(err)
		}
		if attempt++; attempt == s.o.Attempts {
			break
		}
		s.o.Wait(ctx, attempt)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropLocked(uint64(len(batch)))
	if s.stopped {
		// Nobody is left to write that the last batches could not be written.
		s.told = s.dropped
	}
}
