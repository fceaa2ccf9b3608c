package gateway

import (
	"errors"
	"io"
	"sync/atomic"

	"github.com/valyala/fasthttp"
)

// Sizes of bodies in memory.
const (
	firstBody = 4 << 10  // bytes that a body is given before it is known to be longer
	smallBody = 64 << 10 // bytes of a body that are not counted; firstBody on HTTP/2
)

// bodyMemory is what the bodies over smallBody of all requests that a server
// reads and serves take together. A connection over HTTP/2 has a hundred of
// them, so there it is those over firstBody.
type bodyMemory struct {
	most int64
	used atomic.Int64
}

// bodyBuffer is where one request's body is read into.
type bodyBuffer struct {
	bytes   []byte
	counted int  // bytes of it that bodyMemory counts
	shared  bool // the connection has others at the same time
}

// free is how many bytes are not counted.
func (b *bodyBuffer) free() int {
	if b.shared {
		return firstBody
	}
	return smallBody
}

// read reads a body as it comes: memory is taken for what has come, never for
// what was announced, which costs a caller nothing. length is the declared
// one, -1 for none. The error is the reader's.
func (m *bodyMemory) read(b *bodyBuffer, from io.Reader, length, limit int) (*problem, error) {
	full := limit + 1 // to see that there is more
	if length >= 0 {
		full = min(length, full)
	}
	b.bytes = b.bytes[:0]
	if cap(b.bytes) > b.free() {
		b.bytes = nil
	}
	for len(b.bytes) != length {
		if len(b.bytes) == cap(b.bytes) && !m.grow(b, full) {
			return noMemory, nil
		}
		n, err := from.Read(b.bytes[len(b.bytes):cap(b.bytes)])
		b.bytes = b.bytes[:len(b.bytes)+n]
		switch {
		case len(b.bytes) > limit:
			return tooLong(limit), nil
		case errors.Is(err, io.EOF):
			return nil, nil
		case err != nil:
			return nil, err
		}
	}
	return nil, nil
}

// grow makes room for more, but not for more than full. false: there is none.
func (m *bodyMemory) grow(b *bodyBuffer, full int) bool {
	have := len(b.bytes)
	size := max(have+1, min(full, max(firstBody, 2*have)))
	if size > b.free() {
		more := int64(size - b.counted)
		if m.used.Add(more) > m.most {
			m.used.Add(-more)
			return false
		}
		b.counted = size
	}
	b.bytes = append(make([]byte, 0, size), b.bytes...)
	return true
}

// release ends the use of a body, of which small memory is kept for the next.
func (m *bodyMemory) release(b *bodyBuffer) {
	m.used.Add(-int64(b.counted))
	b.counted, b.shared = 0, false
	if cap(b.bytes) > smallBody {
		b.bytes = nil
	}
}

// readBody reads what follows a head over HTTP/1.1.
func (s *Server) readBody(ctx *fasthttp.RequestCtx, x *exchange) *problem {
	stream := ctx.RequestBodyStream()
	if stream == nil {
		return nil
	}
	h := &ctx.Request.Header
	limit := s.roomOf(h).bytes
	length := h.ContentLength()
	if length == 0 {
		if declared(h.RawHeaders()) > limit { // headerReceived took it away
			return tooLong(limit)
		}
		return nil
	}
	found, err := s.bodies.read(&x.body, stream, length, limit)
	if err != nil {
		found = troubleOf(ctx, err)
	}
	if len(x.body.bytes) > 0 {
		x.req.Body = x.body.bytes
	}
	return found
}
