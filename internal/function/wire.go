package function

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
)

// This file reads HTTP/1.1 requests of the Runtime API. It is written by hand
// because a general server costs twice the CPU of a whole invocation
// (docs/performance.md), and because a runtime client may send one header line
// of a megabyte, where general servers stop reading.

// Bounds of one request's head.
const (
	maxHeadBytes   = 1<<20 + 64<<10 // the X-Ray cause alone may take just under 1 MiB
	maxHeaderLines = 128
	// maxDiscard is how much of a body that is too large is read and thrown
	// away before the connection is closed instead.
	maxDiscard = 64 << 20
)

// errMalformed is a request that is not HTTP/1.1 as RFC 9112 has it, or beyond
// a bound; the connection is closed after the answer 400.
var errMalformed = errors.New("malformed request")

// errBodyTooLarge is a body beyond the limit; it was read to its end.
var errBodyTooLarge = errors.New("body too large")

// request is one request's head, and its trailers after the body was read.
type request struct {
	method, path []byte // valid until the next read
	length       int64  // -1: none given
	chunked      bool
	closing      bool   // the client closes after this request
	expects      bool   // the client waits for 100 Continue
	errorType    string // Lambda-Runtime-Function-Error-Type, header or trailer
	errorBody    string // Lambda-Runtime-Function-Error-Body, trailer: base64 JSON

	head []byte // backs method and path
}

// reset makes r ready for the next request and keeps its buffer.
func (r *request) reset() { *r = request{length: -1, head: r.head[:0]} }

// readHead reads a request line and its header fields.
func (r *request) readHead(in *bufio.Reader) error {
	r.reset()
	budget := maxHeadBytes
	line, err := readLine(in, &budget)
	if err != nil {
		return err
	}
	r.head = append(r.head, line...)
	if !r.parseRequestLine() {
		return errMalformed
	}
	old := r.closing
	if err := readFields(in, &budget, r.headerField); err != nil {
		return err
	}
	if old && r.chunked {
		return errMalformed // HTTP/1.0 has no chunks, and others would take the body for a request
	}
	return nil
}

func (r *request) parseRequestLine() bool {
	method, rest, ok := bytes.Cut(r.head, []byte{' '})
	if !ok || len(method) == 0 || !isToken(method) {
		return false
	}
	path, version, ok := bytes.Cut(rest, []byte{' '})
	if !ok || len(path) == 0 || path[0] != '/' {
		return false
	}
	switch string(version) {
	case "HTTP/1.1":
	case "HTTP/1.0":
		r.closing = true
	default:
		return false
	}
	r.method, r.path = method, path
	return true
}

// headerField takes one header field of the request's head.
func (r *request) headerField(name, value []byte) error {
	switch {
	case is(name, "content-length"):
		n, ok := parseLength(value)
		if !ok || r.chunked || (r.length >= 0 && r.length != n) {
			return errMalformed
		}
		r.length = n
	case is(name, "transfer-encoding"):
		if !is(value, "chunked") || r.length >= 0 || r.chunked {
			return errMalformed
		}
		r.chunked = true
	case is(name, "connection"):
		r.closing = r.closing || is(value, "close")
	case is(name, "expect"):
		r.expects = is(value, "100-continue")
	default:
		return r.trailerField(name, value)
	}
	return nil
}

// trailerField takes one field that may come after the body.
func (r *request) trailerField(name, value []byte) error {
	switch {
	case is(name, "lambda-runtime-function-error-type"):
		r.errorType = string(value)
	case is(name, "lambda-runtime-function-error-body"):
		r.errorBody = string(value)
	}
	return nil
}

// readBody reads the whole body, at most limit bytes. A larger one is read to
// its end, so that the client lives to see the answer.
func (r *request) readBody(in *bufio.Reader, limit int) ([]byte, error) {
	if r.chunked {
		return r.readChunks(in, limit)
	}
	if r.length <= 0 {
		return nil, nil
	}
	if r.length > int64(limit) {
		if r.length > maxDiscard {
			return nil, errMalformed
		}
		if _, err := io.CopyN(io.Discard, in, r.length); err != nil {
			return nil, err
		}
		return nil, errBodyTooLarge
	}
	body := make([]byte, r.length)
	_, err := io.ReadFull(in, body)
	return body, err
}

func (r *request) readChunks(in *bufio.Reader, limit int) ([]byte, error) {
	var body []byte
	var total int64
	for {
		n, err := readChunkSize(in)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			break
		}
		total += n
		if total > maxDiscard {
			return nil, errMalformed
		}
		if total > int64(limit) {
			body = nil
			_, err = io.CopyN(io.Discard, in, n)
		} else {
			body, err = readMore(in, body, int(n))
		}
		if err != nil {
			return nil, err
		}
		if err := readCRLF(in); err != nil {
			return nil, err
		}
	}
	budget := maxHeadBytes
	if err := readFields(in, &budget, r.trailerField); err != nil {
		return nil, err
	}
	if total > int64(limit) {
		return nil, errBodyTooLarge
	}
	return body, nil
}

// readMore appends n bytes. It grows as bytes arrive, not as they are
// announced, so an announcement alone costs no memory.
func readMore(in *bufio.Reader, body []byte, n int) ([]byte, error) {
	for n > 0 {
		step := min(n, 64<<10)
		at := len(body)
		if cap(body)-at < step {
			grown := make([]byte, at, max(2*cap(body), at+step))
			copy(grown, body)
			body = grown
		}
		body = body[:at+step]
		if _, err := io.ReadFull(in, body[at:]); err != nil {
			return nil, err
		}
		n -= step
	}
	return body, nil
}

func readChunkSize(in *bufio.Reader) (int64, error) {
	budget := 256
	line, err := readLine(in, &budget)
	if err != nil {
		return 0, err
	}
	line, _, _ = bytes.Cut(line, []byte{';'}) // extensions are for nobody here
	if len(line) == 0 || len(line) > 8 {
		return 0, errMalformed
	}
	for _, c := range line {
		if !isHex(c) {
			return 0, errMalformed
		}
	}
	n, err := strconv.ParseUint(string(line), 16, 32)
	if err != nil {
		return 0, errMalformed
	}
	return int64(n), nil
}

func readCRLF(in *bufio.Reader) error {
	for _, want := range []byte("\r\n") {
		c, err := in.ReadByte()
		if err != nil {
			return err
		}
		if c != want {
			return errMalformed
		}
	}
	return nil
}

// readFields reads header fields up to the empty line.
func readFields(in *bufio.Reader, budget *int, field func(name, value []byte) error) error {
	for range maxHeaderLines {
		line, err := readLine(in, budget)
		if err != nil {
			return err
		}
		if len(line) == 0 {
			return nil
		}
		name, value, ok := bytes.Cut(line, []byte{':'})
		if !ok || len(name) == 0 || !isToken(name) || hasControl(value) {
			return errMalformed // also a folded line and a space before the colon
		}
		if err := field(name, bytes.Trim(value, " \t")); err != nil {
			return err
		}
	}
	return errMalformed
}

// readLine reads one line without its CR LF, and takes its length from budget.
// The line is valid until the next read, unless it outgrew the reader's buffer.
func readLine(in *bufio.Reader, budget *int) ([]byte, error) {
	line, err := in.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		line, err = readLongLine(in, line, *budget)
	}
	if err != nil {
		return nil, err
	}
	*budget -= len(line)
	n := len(line) - 2
	if *budget < 0 || n < 0 || line[n] != '\r' || bytes.IndexByte(line[:n], '\r') >= 0 || bytes.IndexByte(line[:n], 0) >= 0 {
		return nil, errMalformed
	}
	return line[:n], nil
}

func readLongLine(in *bufio.Reader, start []byte, budget int) ([]byte, error) {
	long := bytes.Clone(start)
	for len(long) <= budget {
		part, err := in.ReadSlice('\n')
		long = append(long, part...)
		if err != bufio.ErrBufferFull {
			return long, err
		}
	}
	return nil, errMalformed
}

// is compares without regard to case; want is lower-case.
func is(got []byte, want string) bool {
	if len(got) != len(want) {
		return false
	}
	for i, c := range got {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != want[i] {
			return false
		}
	}
	return true
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// isToken says whether b holds only characters of an HTTP token.
func isToken(b []byte) bool {
	for _, c := range b {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '-', c == '_', c == '.', c == '!', c == '#', c == '$', c == '%', c == '&', c == '\'',
			c == '*', c == '+', c == '^', c == '`', c == '|', c == '~':
		default:
			return false
		}
	}
	return true
}

// hasControl says whether a field's value has a character that it may not.
func hasControl(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\t' || c == 0x7f {
			return true
		}
	}
	return false
}

func parseLength(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > 12 {
		return 0, false
	}
	var n int64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}
