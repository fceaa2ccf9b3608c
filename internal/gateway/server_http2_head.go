package gateway

import (
	"encoding/binary"
	"sync"
	"time"
)

// headTimer is an HTTP/2 connection on which nothing that opens a request may
// come slowly: the preface, a header block over all its frames, and any other
// frame but DATA has to be whole within a time from its first byte. (A body has
// the deadline of its stream, and a connection without streams that of being
// idle.) It reads along and knows where frames begin.
type headTimer struct {
	*conn
	timeout time.Duration
	once    sync.Once
	closed  chan struct{} // when Close was called

	preface int    // bytes of it that are still to come
	head    []byte // of a frame, as far as it is here
	left    int    // bytes of a frame's payload that are still to come
	data    bool   // it is a DATA frame
	block   bool   // a header block goes on in the next frame
	armed   bool   // the deadline is set
}

// Of HTTP/2's framing (RFC 9113): what is needed to know where a head ends.
const (
	preface           = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	frameHead         = 9 // bytes
	frameData         = 0x0
	frameHeaders      = 0x1
	frameContinuation = 0x9
	flagEndHeaders    = 0x4
)

func newHeadTimer(p *prepared, timeout time.Duration) *headTimer {
	t := &headTimer{
		conn: p.conn, timeout: timeout,
		closed: make(chan struct{}), preface: len(preface), head: make([]byte, 0, frameHead),
	}
	t.arm(true)
	return t
}

// Close implements net.Conn.
func (t *headTimer) Close() error {
	defer t.once.Do(func() { close(t.closed) })
	return t.conn.Close()
}

// SetReadDeadline implements net.Conn. The deadline is not the library's: it
// has none to set, and would take ours away.
func (t *headTimer) SetReadDeadline(time.Time) error { return nil }

// SetDeadline implements net.Conn.
func (t *headTimer) SetDeadline(end time.Time) error { return t.SetWriteDeadline(end) }

// Read implements net.Conn.
func (t *headTimer) Read(p []byte) (int, error) {
	n, err := t.conn.Conn.Read(p) // past framing, which reads HTTP/1.1
	done := t.follow(p[:n])
	due := t.preface > 0 || len(t.head) > 0 || t.block || t.left > 0 && !t.data
	if due && (done || !t.armed) || !due && t.armed {
		t.arm(due)
	}
	return n, err
}

func (t *headTimer) arm(on bool) {
	end := time.Time{}
	if on {
		end = time.Now().Add(t.timeout)
	}
	t.armed = on
	_ = t.conn.SetReadDeadline(end)
}

// follow takes what was read. done says that a header block or another frame
// ended in it, so that what is due now began later.
func (t *headTimer) follow(p []byte) (done bool) {
	for len(p) > 0 {
		switch {
		case t.preface > 0:
			n := min(t.preface, len(p))
			t.preface, p = t.preface-n, p[n:]
			done = done || t.preface == 0
			continue
		case t.left > 0:
			n := min(t.left, len(p))
			t.left, p = t.left-n, p[n:]
		default:
			n := min(frameHead-len(t.head), len(p))
			t.head, p = append(t.head, p[:n]...), p[n:]
			if len(t.head) < frameHead {
				continue
			}
			t.begin()
		}
		if t.left == 0 && !t.block {
			done = true
		}
	}
	return done
}

// begin reads a whole frame head.
func (t *headTimer) begin() {
	t.left = int(binary.BigEndian.Uint32(t.head) >> 8)
	kind, flags := t.head[3], t.head[4]
	t.data = kind == frameData
	if kind == frameHeaders || kind == frameContinuation {
		t.block = flags&flagEndHeaders == 0
	}
	t.head = t.head[:0]
}
