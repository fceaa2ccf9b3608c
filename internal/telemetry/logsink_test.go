package telemetry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// book keeps what a sink wrote. While gate is not nil, each Write first takes
// one value from it: that value is its answer.
type book struct {
	mu      sync.Mutex
	events  []LogEvent
	batches int
	entered chan struct{}
	gate    chan error
}

func (b *book) write(ctx context.Context, events []LogEvent) error {
	if b.gate != nil {
		b.entered <- struct{}{}
		select {
		case err := <-b.gate:
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.batches++
	b.events = append(b.events, events...)
	return nil
}

func (b *book) messages() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var m []string
	for _, e := range b.events {
		m = append(m, e.Message)
	}
	return m
}

func gated() *book {
	return &book{entered: make(chan struct{}), gate: make(chan error)}
}

func stop(t *testing.T, s *LogSink) {
	t.Helper()
	if err := s.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestSinkWritesEverythingInOrder(t *testing.T) {
	b := &book{}
	s := NewLogSink(LogSinkOptions{Write: b.write, BatchEvents: 7})
	for i := range 200 {
		s.Add(LogEvent{Message: fmt.Sprint(i)})
	}
	if err := s.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	got := b.messages()
	if len(got) != 200 {
		t.Fatalf("%d events after Flush", len(got))
	}
	for i, m := range got {
		if m != fmt.Sprint(i) {
			t.Fatalf("event %d is %q", i, m)
		}
	}
	if b.batches < 200/7 {
		t.Errorf("%d batches, each holds at most 7", b.batches)
	}
	stop(t, s)
}

func TestSinkDropsTheOldestAndSaysSo(t *testing.T) {
	b := gated()
	s := NewLogSink(LogSinkOptions{Write: b.write, MaxEvents: 4})
	s.Add(LogEvent{Message: "first"})
	<-b.entered // the writer holds "first" and is stuck
	for i := range 10 {
		s.Add(LogEvent{Message: fmt.Sprint(i)})
	}
	if got := s.Dropped(); got != 6 {
		t.Errorf("dropped %d, want 6", got)
	}
	b.gate <- nil
	<-b.entered
	b.gate <- nil
	stop(t, s)
	got := strings.Join(b.messages(), ",")
	want := "first,6 log events were dropped because they came faster than they could be written\n,6,7,8,9"
	if got != want {
		t.Errorf("written %q, want %q", got, want)
	}
	if e := b.events[1]; e.Group != DropGroup || e.Stream != DropStream || e.Time.IsZero() {
		t.Errorf("event about drops: %+v", e)
	}
}

func TestSinkIsBoundedInBytes(t *testing.T) {
	b := gated()
	s := NewLogSink(LogSinkOptions{Write: b.write, MaxBytes: 4 * 1024})
	s.Add(LogEvent{Message: "first"})
	<-b.entered
	line := strings.Repeat("x", 1000)
	for range 100 {
		s.Add(LogEvent{Message: line})
	}
	s.mu.Lock()
	held, count := s.bytes, s.count
	s.mu.Unlock()
	if held > 4*1024 || count != 3 {
		t.Errorf("holds %d events of %d bytes, may hold 4096", count, held)
	}
	s.Add(LogEvent{Message: strings.Repeat("y", 5000)}) // greater than all that may wait
	if got := s.Dropped(); got != 98 {
		t.Errorf("dropped %d, want 98", got)
	}
	b.gate <- nil
	<-b.entered
	b.gate <- nil
	stop(t, s)
}

func TestSinkTriesAgainThenDrops(t *testing.T) {
	b := gated()
	var failures int
	s := NewLogSink(LogSinkOptions{Write: b.write, Attempts: 2, Wait: func(context.Context, int) {}, Failed: func(error) { failures++ }})
	broken := errors.New("disk full")
	s.Add(LogEvent{Message: "kept at the second attempt"})
	<-b.entered
	b.gate <- broken
	<-b.entered
	b.gate <- nil
	s.Add(LogEvent{Message: "lost"})
	for range 2 {
		<-b.entered
		b.gate <- broken
	}
	<-b.entered // the event that tells of the loss
	b.gate <- nil
	stop(t, s)
	if got := b.messages(); len(got) != 2 || got[0] != "kept at the second attempt" || !strings.HasPrefix(got[1], "1 log events were dropped") {
		t.Errorf("written %q", got)
	}
	if s.Dropped() != 1 || failures != 3 {
		t.Errorf("dropped %d, failures %d", s.Dropped(), failures)
	}
}

func TestStopGivesUpWhenItsTimeIsOver(t *testing.T) {
	b := gated()
	s := NewLogSink(LogSinkOptions{Write: b.write})
	s.Add(LogEvent{Message: "stuck"})
	<-b.entered
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Stop(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	s.Add(LogEvent{Message: "too late"})
	if got := s.Dropped(); got != 2 {
		t.Errorf("dropped %d, want 2", got)
	}
}

func TestFlushEndsWithItsContext(t *testing.T) {
	b := gated()
	s := NewLogSink(LogSinkOptions{Write: b.write})
	s.Add(LogEvent{Message: "stuck"})
	<-b.entered
	ctx, cancel := context.WithTimeout(context.Background(), time.Nanosecond)
	defer cancel()
	if err := s.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	b.gate <- nil
	stop(t, s)
}

func BenchmarkLogSinkAdd(b *testing.B) {
	s := NewLogSink(LogSinkOptions{Write: func(context.Context, []LogEvent) error { return nil }})
	e := LogEvent{Group: "/aws/lambda/f", Stream: "s", Message: strings.Repeat("x", 80)}
	b.ReportAllocs()
	for b.Loop() {
		s.Add(e)
	}
	_ = s.Stop(context.Background())
}
