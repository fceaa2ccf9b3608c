package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"weir/internal/invocation"
)

// TestBodyMemoryFollowsWhatCame: what a caller announces takes no memory.
func TestBodyMemoryFollowsWhatCame(t *testing.T) {
	const limit = 1 << 20
	for _, c := range []struct {
		name         string
		come, length int
		most         int // capacity
		counted      bool
	}{
		{"nothing of a megabyte", 0, limit, firstBody, false},
		{"a byte of a megabyte", 1, limit, firstBody, false},
		{"a byte of no length", 1, -1, firstBody, false},
		{"all of a few", 10, 10, 10, false},
		{"64 KB", smallBody, smallBody, smallBody, false},
		{"64 KB of a megabyte", smallBody - 1, limit, smallBody, false},
		{"200 KB of a megabyte", 200_000, limit, 2 * 200_000, true},
		{"a megabyte", limit, limit, limit, true},
		{"a megabyte of no length", limit, -1, limit + 1, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := &bodyMemory{most: 10 << 20}
			var b bodyBuffer
			cut := errors.New("cut")
			sent := bytes.Repeat([]byte("x"), c.come)
			from := io.Reader(bytes.NewReader(sent))
			if c.length > c.come {
				from = io.MultiReader(from, iotest.ErrReader(cut))
			}
			found, err := m.read(&b, from, c.length, limit)
			if found != nil || (err != nil) != (c.length > c.come) || !bytes.Equal(b.bytes, sent) {
				t.Errorf("%v, %v, %d bytes", found, err, len(b.bytes))
			}
			if cap(b.bytes) > c.most || (m.used.Load() > 0) != c.counted || c.counted && m.used.Load() != int64(cap(b.bytes)) {
				t.Errorf("takes %d bytes and counts %d, want at most %d", cap(b.bytes), m.used.Load(), c.most)
			}
			m.release(&b)
			if m.used.Load() != 0 || cap(b.bytes) > smallBody {
				t.Errorf("keeps %d bytes and counts %d", cap(b.bytes), m.used.Load())
			}
		})
	}
}

// TestBodyMemoryIsBounded: large bodies are refused while others take what
// there is; small ones are not.
func TestBodyMemoryIsBounded(t *testing.T) {
	r := newRig(t, ServerOptions{MaxBodyMemory: 300_000})
	entered, release := make(chan struct{}), make(chan struct{})
	r.invoker.does(func(context.Context, *invocation.Invocation) (*invocation.Result, error) {
		entered <- struct{}{}
		<-release
		return &invocation.Result{Payload: []byte(`{}`)}, nil
	})
	large, small := request("POST /prod/open", strings.Repeat("x", 200_000)), request("POST /prod/open", strings.Repeat("x", smallBody))
	answers := make(chan string, 2)
	go func() { answers <- r.wire(large) }()
	<-entered
	if got := volatile[0].pattern.ReplaceAllString(r.wire(large), volatile[0].word); got != refusedForFraming(noMemory) {
		t.Errorf("the second large one: got %q", got)
	}
	if rec := r.lastRecord(); rec.Reason != "OUT_OF_BODY_MEMORY" {
		t.Errorf("record %+v", rec)
	}
	go func() { answers <- r.wire(small) }()
	<-entered
	close(release)
	go func() { <-entered }()
	for _, got := range []string{<-answers, <-answers, r.wire(large)} {
		if status(got) != "200" {
			t.Errorf("got %q", got)
		}
	}
	if used := r.server.bodies.used.Load(); used != 0 {
		t.Errorf("%d bytes are still counted", used)
	}
}
