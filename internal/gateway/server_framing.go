package gateway

import (
	"bytes"
	"encoding/binary"
)

// Limits on how a request may be framed, beside those on what it carries.
const (
	maxVerb       = 32      // bytes of the verb
	maxHost       = 264     // bytes of the Host header: a domain name and a port
	maxExtensions = 4_096   // bytes of all chunk extensions of a body
	maxTrailer    = 4_096   // bytes of all trailer lines
	maxLength     = 1 << 50 // a declared length beyond it is no number
	maxChunkSize  = 15      // digits of a chunk's size
)

// framing follows the bytes of one connection and knows of each which part of
// which request it is. It reads by the letter of RFC 9112 and stands before
// the engine, which is looser: what two readers could take differently is how
// requests are smuggled, and none of it reaches the engine. The zero value
// waits for a connection's first request.
type framing struct {
	part    part
	problem *problem // what is wrong with the byte at which scan stopped

	room int      // bytes that this part and those that share its limit may still take …
	over *problem // … and what it is when they take more
	left int64    // bytes of the body, or of the chunk, that are still to come

	blank bool // an empty line came before the request
	head  head
	name  known             // of the line that is being read
	word  [maxHost + 1]byte // the name, or the value of a known one, that is being read
	size  int               // bytes of it, of which word holds what fits
}

// part is a place in a request.
type part uint8

const (
	atStart part = iota
	blankLF
	inVerb
	inTarget
	inVersion
	lineStart
	inName
	inValue
	valueLF
	headLF
	inBody
	inSize
	inExtension
	sizeLF
	inChunk
	chunkCR
	chunkLF
)

// bytesOf makes a table of which bytes may stand somewhere.
func bytesOf(allowed func(c byte) bool) (t [256]bool) {
	for c := range 256 {
		t[c] = allowed(byte(c))
	}
	return t
}

func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
func isHex(c byte) bool    { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }

var (
	tokenBytes = bytesOf(func(c byte) bool {
		return isDigit(c) || isLetter(c) || bytes.IndexByte([]byte("!#$%&'*+-.^_`|~"), c) >= 0
	})
	targetBytes = bytesOf(func(c byte) bool { return c > ' ' && c != 0x7f })
	valueBytes  = bytesOf(func(c byte) bool { return c >= ' ' && c != 0x7f || c == '\t' })
	hostBytes   = bytesOf(func(c byte) bool { return isDigit(c) || isLetter(c) || c == '-' || c == '.' || c == '_' || c == '~' })
)

// scan follows p, the next bytes of the connection, and returns how many of
// them are well framed. When that is not all, problem says what is wrong with
// the one after them, and there is no more to follow.
func (f *framing) scan(p []byte) int {
	i := 0
	for i < len(p) && f.problem == nil {
		switch f.part {
		case inBody, inChunk:
			n := int(min(f.left, int64(len(p)-i)))
			i += n
			if f.left -= int64(n); f.left > 0 {
				continue
			}
			if f.part == inBody {
				f.part = atStart
			} else {
				f.part = chunkCR
			}
		case inVersion:
			i += f.version(p[i:])
		case atStart, blankLF, inSize, sizeLF, chunkCR, chunkLF:
			if f.step(p[i]) {
				i++
			}
		default:
			if f.room == 0 {
				f.problem = f.over
				continue
			}
			limit := f.over
			n := f.run(p[i:min(len(p), i+f.room)])
			i += n
			if f.over == limit { // else a limit of its own begins
				f.room -= n
			}
		}
	}
	return i
}

// begun reports whether a part of a request has come and not yet its end.
func (f *framing) begun() bool { return f.part != atStart && f.part != blankLF }

// run takes the bytes that belong to a part which has no length of its own and
// returns how many they are.
func (f *framing) run(p []byte) int {
	switch f.part {
	case inVerb:
		return f.verb(p)
	case inTarget:
		return f.target(p)
	case lineStart:
		if n := wholeLine(p); n > 0 {
			return n
		}
		return f.line(p[0])
	case inName:
		return f.fieldName(p)
	case inValue:
		return f.value(p)
	case inExtension:
		return f.end(p, spanValue(p), '\r', sizeLF)
	case valueLF:
		if p[0] == '\n' && f.name != other {
			f.field()
		}
		return f.end(p, 0, '\n', lineStart)
	default: // headLF
		if p[0] != '\n' {
			f.problem = badLineEnd
			return 0
		}
		return f.headEnd()
	}
}

// span returns how many bytes at the front of p are in the table.
func span(p []byte, table *[256]bool) int {
	for i, c := range p {
		if !table[c] {
			return i
		}
	}
	return len(p)
}

// spanValue is span for valueBytes, eight bytes at a time as long as it goes.
func spanValue(p []byte) int {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	n := 0
	for len(p) >= n+8 {
		w := binary.LittleEndian.Uint64(p[n:])
		del := w ^ ones*0x7f
		if (w-ones*' ')&^w&tops|(del-ones)&^del&tops != 0 {
			break // a byte below the space, or a DEL
		}
		n += 8
	}
	return n + span(p[n:], &valueBytes)
}

// end takes the byte behind n others, which ends the part if it is there.
func (f *framing) end(p []byte, n int, c byte, follows part) int {
	if n < len(p) && f.expect(p[n], c, follows) {
		n++
	}
	return n
}

// expect goes on to another part if a byte is the one that ends this one.
func (f *framing) expect(got, want byte, follows part) bool {
	switch {
	case f.problem != nil:
	case got == want:
		f.part = follows
	case want == '\n':
		f.problem = badLineEnd
	default:
		f.problem = unexpected(got)
	}
	return f.problem == nil
}

// step takes one byte of a part that is a few bytes long; false leaves the
// byte to the part that begins with it.
func (f *framing) step(c byte) bool {
	switch f.part {
	case atStart:
		return f.start(c)
	case blankLF:
		return f.expect(c, '\n', atStart)
	case inSize:
		return f.chunkSize(c)
	case chunkCR:
		return f.expect(c, '\r', chunkLF)
	case chunkLF:
		f.left, f.size = 0, 0
		return f.expect(c, '\n', inSize)
	default: // sizeLF
		if f.left > 0 {
			return f.expect(c, '\n', inChunk)
		}
		f.head.trailer = true
		f.room, f.over = maxTrailer, trailerTooLarge
		return f.expect(c, '\n', lineStart)
	}
}

// start takes what stands between two requests: nothing, or one empty line,
// which some clients send after a body.
func (f *framing) start(c byte) bool {
	if c == '\r' && !f.blank {
		f.part, f.blank = blankLF, true
		return true
	}
	if !tokenBytes[c] {
		f.problem = unexpected(c)
		return false
	}
	f.part, f.blank, f.head = inVerb, false, head{}
	f.left, f.size = 0, 0
	f.room, f.over = maxVerb+1, verbTooLong // and the space
	return false
}

func (f *framing) verb(p []byte) int {
	n := span(p, &tokenBytes)
	f.keep(p[:n])
	if n == len(p) {
		return n
	}
	if string(f.word[:f.size]) == "CONNECT" {
		f.problem = noTunnel
		return n
	}
	f.size = 0
	f.room, f.over = maxURL+1, urlTooLong // and the space
	return f.end(p, n, ' ', inTarget)
}

func (f *framing) target(p []byte) int {
	n := span(p, &targetBytes)
	f.keep(p[:n])
	switch {
	case n == len(p):
		return n
	case p[n] == '\r' || p[n] == '\n':
		f.problem = badVersion // HTTP/0.9 has none
	case f.size == 0 || f.word[0] != '/' && !webURL(f.word[:min(f.size, len("https://"))]):
		f.problem = badTarget
	default:
		f.size = 0
		return f.end(p, n, ' ', inVersion)
	}
	return n
}

// webURL reports whether front is how an absolute target begins.
func webURL(front []byte) bool {
	scheme, _, found := bytes.Cut(front, []byte("://"))
	return found && (bytes.EqualFold(scheme, []byte("http")) || bytes.EqualFold(scheme, []byte("https")))
}

func (f *framing) version(p []byte) int {
	const line = "HTTP/1.1\r\n"
	for i, c := range p {
		switch {
		case f.size == len("HTTP/1.") && (c == '0' || c == '1'):
			f.head.http11 = c == '1'
		case c == line[f.size]:
		case f.size >= len("HTTP/1.1"):
			f.problem = unexpected(c)
			return i
		default:
			f.problem = badVersion
			return i
		}
		if f.size++; f.size == len(line) {
			f.part = lineStart
			f.room, f.over = maxHeader, headerTooLarge
			return i + 1
		}
	}
	return len(p)
}

// headEnd takes the last byte of a head, or of a trailer section, and knows
// what follows.
func (f *framing) headEnd() int {
	switch {
	case f.head.trailer:
		f.part = atStart
	case f.head.http11 && f.head.hosts == 0:
		f.problem = noHost
		return 0
	case f.head.encoded > 0:
		f.part, f.size = inSize, 0
		f.room, f.over = maxExtensions, extensionsTooLong
	case f.left > 0:
		f.part = inBody
	default:
		f.part = atStart
	}
	return 1
}

// chunkSize takes the digits of a chunk's size and what ends them.
func (f *framing) chunkSize(c byte) bool {
	switch {
	case isHex(c) && f.size < maxChunkSize:
		digit := c - '0'
		if !isDigit(c) {
			digit = c | 0x20 - 'a' + 10
		}
		f.left, f.size = f.left<<4|int64(digit), f.size+1
	case c == '\r' && f.size > 0:
		f.part = sizeLF
	case c == ';' && f.size > 0:
		f.part = inExtension
	default:
		f.problem = badChunkSize
		return false
	}
	return true
}
