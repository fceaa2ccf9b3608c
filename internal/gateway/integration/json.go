package integration

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// appendString appends s as a JSON string. What is not UTF-8 becomes U+FFFD,
// one for each malformed sequence as Java decodes it; nothing is escaped that
// JSON does not require, since functions compare events byte for byte.
func appendString[T string | []byte](dst []byte, s T) []byte {
	dst = append(dst, '"')
	return append(appendEscaped(dst, s), '"')
}

// appendEscaped appends what stands between the quotes of a JSON string.
func appendEscaped[T string | []byte](dst []byte, s T) []byte {
	const digits = "0123456789abcdef"
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			if size := sequence(s[i:]); size > 0 {
				i += size
				continue
			}
			dst = append(dst, s[start:i]...)
			dst = append(dst, "\uFFFD"...)
			i += malformed(s[i:])
			start = i
			continue
		}
		dst = append(dst, s[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\b':
			dst = append(dst, '\\', 'b')
		case '\f':
			dst = append(dst, '\\', 'f')
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		}
		i++
		start = i
	}
	return append(dst, s[start:]...)
}

// sequence returns the length of the valid multi-byte sequence that s begins
// with, or 0.
func sequence[T string | []byte](s T) int {
	var b [utf8.UTFMax]byte
	n := copy(b[:], s)
	r, size := utf8.DecodeRune(b[:n])
	if r == utf8.RuneError && size == 1 {
		return 0
	}
	return size
}

// malformed returns how many bytes of a malformed sequence one replacement
// character stands for: the longest beginning of a valid sequence, at least
// one byte (Unicode's "maximal subpart").
func malformed[T string | []byte](s T) int {
	low, high, need := byte(0x80), byte(0xBF), 0
	switch c := s[0]; {
	case 0xC2 <= c && c <= 0xDF:
		need = 1
	case c == 0xE0:
		need, low = 2, 0xA0
	case c == 0xED:
		need, high = 2, 0x9F
	case 0xE1 <= c && c <= 0xEF:
		need = 2
	case c == 0xF0:
		need, low = 3, 0x90
	case 0xF1 <= c && c <= 0xF3:
		need = 3
	case c == 0xF4:
		need, high = 3, 0x8F
	}
	n := 1
	for n <= need && n < len(s) && low <= s[n] && s[n] <= high {
		low, high = 0x80, 0xBF
		n++
	}
	return n
}

// cursor walks over text that json.Valid has accepted, in order, which a map
// would lose.
type cursor struct {
	b []byte
	i int
}

func (c *cursor) space() {
	for c.i < len(c.b) && (c.b[c.i] == ' ' || c.b[c.i] == '\t' || c.b[c.i] == '\n' || c.b[c.i] == '\r') {
		c.i++
	}
}

// value returns the next value's text.
func (c *cursor) value() []byte {
	c.space()
	start := c.i
	depth := 0
	for c.i < len(c.b) {
		switch c.b[c.i] {
		case '"':
			c.skipString()
			if depth == 0 {
				return c.b[start:c.i]
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return bytes.TrimRight(c.b[start:c.i], " \t\r\n")
			}
			if depth--; depth == 0 {
				c.i++
				return c.b[start:c.i]
			}
		case ',', ':':
			if depth == 0 {
				return bytes.TrimRight(c.b[start:c.i], " \t\r\n")
			}
		}
		c.i++
	}
	return bytes.TrimRight(c.b[start:c.i], " \t\r\n")
}

func (c *cursor) skipString() {
	for c.i++; c.i < len(c.b) && c.b[c.i] != '"'; c.i++ {
		if c.b[c.i] == '\\' {
			c.i++
		}
	}
	c.i++
}

// eachMember calls f with every member of an object; false ends the walk and
// is what eachMember returns.
func eachMember(object []byte, f func(key string, value []byte) bool) bool {
	return each(object, '{', func(c *cursor) bool {
		key, _ := unquote(c.value())
		c.space()
		c.i++ // the colon
		return f(string(key), c.value())
	})
}

// eachElement calls f with every element of an array, as eachMember does.
func eachElement(array []byte, f func(value []byte) bool) bool {
	return each(array, '[', func(c *cursor) bool { return f(c.value()) })
}

func each(text []byte, open byte, f func(*cursor) bool) bool {
	if len(text) == 0 || text[0] != open {
		return false
	}
	c := &cursor{b: text[1 : len(text)-1]}
	for c.space(); c.i < len(c.b); c.space() {
		if !f(c) {
			return false
		}
		if c.space(); c.i < len(c.b) {
			c.i++ // the comma
		}
	}
	return true
}

// unquote returns what a JSON string says; ok is false for any other value.
// Without escapes the result lies in text's memory.
func unquote(text []byte) (s []byte, ok bool) {
	if len(text) < 2 || text[0] != '"' {
		return nil, false
	}
	if inner := text[1 : len(text)-1]; bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner) {
		return inner, true
	}
	var decoded string
	if json.Unmarshal(text, &decoded) != nil {
		return nil, false
	}
	return []byte(decoded), true
}
