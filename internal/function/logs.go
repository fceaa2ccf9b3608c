package function

import (
	"bytes"
	"math"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode/utf8"

	"weir/internal/telemetry"
)

const (
	maxLine  = 256 << 10 // CloudWatch Logs takes no larger event
	tailSize = 4 << 10
	// maxDrain bounds what is read after an answer, against a function that
	// goes on writing from another thread.
	maxDrain = 1 << 20
)

// logs is the log stream of one environment: what its process writes, and the
// lines around each call. Every line belongs to the call that ran when it was
// read, and END comes after everything that was written before the answer.
type logs struct {
	group, stream string
	sink          func(telemetry.LogEvent)
	now           func() time.Time

	mu      sync.Mutex // guards the fields below and the order of lines
	pipe    *os.File   // nil: never opened, or closed
	raw     syscall.RawConn
	buffer  []byte
	partial []byte // a line without its end
	tail    *tail  // of init, then of the call whose log was asked for; nil: of nothing
}

func newLogs(group, name, stream string, sink func(telemetry.LogEvent), now func() time.Time) *logs {
	if group == "" {
		group = "/aws/lambda/" + name
	}
	return &logs{group: group, stream: stream, sink: sink, now: now, tail: new(tail)}
}

// line writes a line of the platform's own.
func (l *logs) line(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.emitLocked(text)
}

// begin starts a call's part of the stream. What was written before, by init or
// after the answer of the call before, is read first: it is no part of this one.
func (l *logs) begin(c *call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drainLocked()
	l.flushLocked()
	l.tail = c.tail
	l.emitLocked("START RequestId: " + c.id + " Version: " + latest + "\n")
}

// beginFailed starts the part of a call whose environment failed in its init.
// Who asked for the call's log gets what init wrote as well: it says why.
func (l *logs) beginFailed(c *call) {
	l.mu.Lock()
	init := l.tail
	l.mu.Unlock()
	l.begin(c)
	if c.tail != nil && init != nil {
		c.tail.add(string(init.bytes()))
	}
}

// end reads what the function wrote before its answer, then writes the last
// lines of the call. Source of their form: recordings of Lambda.
func (l *logs) end(c *call, o *outcome, memorySize int, peak int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drainLocked()
	l.flushLocked()
	if o.status == "timeout" {
		l.emitLocked(l.now().UTC().Format("2006-01-02T15:04:05.000Z") + " " + c.id + " " + strings.TrimPrefix(o.line, "\t") + "\n\n")
	} else if o.line != "" {
		l.emitLocked(o.line + "\n")
	}
	l.emitLocked("END RequestId: " + c.id + "\n")
	l.emitLocked(report(c, o, memorySize, peak))
	l.tail = nil
}

func report(c *call, o *outcome, memorySize int, peak int64) string {
	b := make([]byte, 0, 256)
	b = append(b, "REPORT RequestId: "...)
	b = append(b, c.id...)
	b = append(b, "\tDuration: "...)
	b = strconv.AppendFloat(b, ms(o.took), 'f', 2, 64)
	b = append(b, " ms\tBilled Duration: "...)
	b = strconv.AppendFloat(b, math.Ceil(ms(o.took+c.coldInit)), 'f', 0, 64)
	b = append(b, " ms\tMemory Size: "...)
	b = strconv.AppendInt(b, int64(memorySize), 10)
	b = append(b, " MB\tMax Memory Used: "...)
	b = strconv.AppendInt(b, (peak+1<<20-1)>>20, 10)
	b = append(b, " MB\t"...)
	if c.coldInit > 0 {
		b = append(b, "Init Duration: "...)
		b = strconv.AppendFloat(b, ms(c.coldInit), 'f', 2, 64)
		b = append(b, " ms\t"...)
	}
	if o.status != "" {
		b = append(b, "Status: "...)
		b = append(b, o.status...)
		if o.status == "error" && o.fault != "" {
			b = append(b, "\tError Type: "...)
			b = append(b, o.fault...)
		}
	}
	return string(append(b, '\n'))
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// emitLocked hands one line on. It never waits: the sink does not.
func (l *logs) emitLocked(text string) {
	if l.tail != nil {
		l.tail.add(text)
	}
	l.sink(telemetry.LogEvent{Group: l.group, Stream: l.stream, Time: l.now(), Message: text})
}

// takeLocked cuts what was read into lines.
func (l *logs) takeLocked(b []byte) {
	for len(b) > 0 {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			l.partial = append(l.partial, b...)
			b = nil
		} else if len(l.partial) == 0 {
			l.writtenLocked(b[:i])
			b = b[i+1:]
			continue
		} else {
			l.partial = append(l.partial, b[:i]...)
			b = b[i+1:]
			l.flushLocked()
			continue
		}
		for len(l.partial) >= maxLine {
			l.splitLocked()
		}
	}
}

// splitLocked takes the front of a line that is too long for one event, not
// in the middle of a character.
func (l *logs) splitLocked() {
	cut := maxLine - 1
	for back := 0; back < utf8.UTFMax && cut > 1 && !utf8.RuneStart(l.partial[cut]); back++ {
		cut--
	}
	l.writtenLocked(l.partial[:cut])
	l.partial = append(l.partial[:0], l.partial[cut:]...)
}

// flushLocked ends a line that the function did not end.
func (l *logs) flushLocked() {
	if len(l.partial) > 0 {
		l.writtenLocked(l.partial)
		l.partial = l.partial[:0]
		if cap(l.partial) > 64<<10 {
			l.partial = nil
		}
	}
}

// writtenLocked emits a line of the function. Runtime clients that have only a
// pipe join the lines of one message by carriage returns.
func (l *logs) writtenLocked(b []byte) {
	for len(b) >= maxLine {
		l.emitLocked(clean(b[:maxLine-1]) + "\n")
		b = b[maxLine-1:]
	}
	l.emitLocked(clean(b) + "\n")
}

func clean(b []byte) string {
	s := strings.TrimRight(string(b), "\r")
	if strings.IndexByte(s, '\r') >= 0 {
		s = strings.ReplaceAll(s, "\r", "\n")
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// close reads the rest and closes the pipe.
func (l *logs) close() {
	l.mu.Lock()
	l.drainLocked()
	l.flushLocked()
	pipe := l.pipe
	l.pipe = nil
	l.mu.Unlock()
	if pipe != nil {
		pipe.Close()
	}
}

// tail is the last 4 KB of a call's log.
type tail struct{ kept []byte }

func (t *tail) add(s string) {
	if len(s) > tailSize {
		s = s[len(s)-tailSize:]
	}
	t.kept = append(t.kept, s...)
	if len(t.kept) > 4*tailSize {
		t.kept = append(t.kept[:0], t.kept[len(t.kept)-tailSize:]...)
	}
}

func (t *tail) bytes() []byte {
	return bytes.Clone(t.kept[max(0, len(t.kept)-tailSize):])
}
