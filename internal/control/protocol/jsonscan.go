package protocol

import (
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// Bounds of a JSON body. Its size is bounded by the door.
const (
	maxDepth  = 100
	maxValues = 200_000 // a list of empty objects costs far more memory than bytes
)

// syntaxError is a body that is no JSON.
type syntaxError struct {
	off int
	msg string
}

func (e *syntaxError) Error() string { return fmt.Sprintf("%s at byte %d", e.msg, e.off) }

// scanner walks a JSON text once. It is stricter than lenient parsers and
// accepts exactly what RFC 8259 does, UTF-8 only.
type scanner struct {
	data   []byte
	off    int
	depth  int
	values int
}

func (s *scanner) fail(msg string) error { return &syntaxError{s.off, msg} }

func (s *scanner) space() {
	for s.off < len(s.data) {
		switch s.data[s.off] {
		case ' ', '\t', '\n', '\r':
			s.off++
		default:
			return
		}
	}
}

// peek gives the first byte of the next value, 0 at the end.
func (s *scanner) peek() byte {
	s.space()
	if s.off >= len(s.data) {
		return 0
	}
	return s.data[s.off]
}

func (s *scanner) enter() error {
	if s.depth++; s.depth > maxDepth {
		return s.fail("nested too deeply")
	}
	s.off++
	return nil
}

// next reports whether another member of an object or list follows, with its
// separator eaten; the closing bracket is eaten too. first is true for the
// first member.
func (s *scanner) next(closing byte, first bool) (bool, error) {
	switch c := s.peek(); {
	case c == closing:
		s.off++
		s.depth--
		return false, nil
	case first:
	case c == ',':
		s.off++
		if s.peek() == closing {
			return false, s.fail("a value is missing")
		}
	case c == 0:
		return false, s.fail("unexpected end")
	default:
		return false, s.fail("a comma or closing bracket is missing")
	}
	if s.values++; s.values > maxValues {
		return false, s.fail("too many values")
	}
	return true, nil
}

// member reads an object's member name and its colon.
func (s *scanner) member() (string, error) {
	if s.peek() != '"' {
		return "", s.fail("a member name is missing")
	}
	name, err := s.text()
	if err != nil {
		return "", err
	}
	if s.peek() != ':' {
		return "", s.fail("a colon is missing")
	}
	s.off++
	return string(name), nil
}

// text reads a string. What it returns may be part of the body.
func (s *scanner) text() ([]byte, error) {
	s.off++
	start := s.off
	for s.off < len(s.data) {
		switch c := s.data[s.off]; {
		case c == '"':
			out := s.data[start:s.off]
			s.off++
			if !utf8.Valid(out) {
				return nil, s.fail("invalid UTF-8")
			}
			return out, nil
		case c == '\\':
			return s.escaped(start)
		case c < ' ':
			return nil, s.fail("a control character in a string")
		default:
			s.off++
		}
	}
	return nil, s.fail("unexpected end")
}

func (s *scanner) escaped(start int) ([]byte, error) {
	out := append([]byte(nil), s.data[start:s.off]...)
	for s.off < len(s.data) {
		c := s.data[s.off]
		switch {
		case c == '"':
			s.off++
			if !utf8.Valid(out) {
				return nil, s.fail("invalid UTF-8")
			}
			return out, nil
		case c < ' ':
			return nil, s.fail("a control character in a string")
		case c != '\\':
			out = append(out, c)
			s.off++
			continue
		}
		if s.off+1 >= len(s.data) {
			break
		}
		s.off += 2
		switch e := s.data[s.off-1]; e {
		case '"', '\\', '/':
			out = append(out, e)
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, ok := s.hex4()
			if !ok {
				return nil, s.fail("a bad escape")
			}
			out = utf8.AppendRune(out, s.pair(r))
		default:
			return nil, s.fail("a bad escape")
		}
	}
	s.off = len(s.data)
	return nil, s.fail("unexpected end")
}

// pair completes a surrogate pair; half of one becomes U+FFFD.
func (s *scanner) pair(r rune) rune {
	if !utf16.IsSurrogate(r) {
		return r
	}
	at := s.off
	if at+1 < len(s.data) && s.data[at] == '\\' && s.data[at+1] == 'u' {
		s.off += 2
		if low, ok := s.hex4(); ok {
			if full := utf16.DecodeRune(r, low); full != utf8.RuneError {
				return full
			}
		}
		s.off = at
	}
	return utf8.RuneError
}

func (s *scanner) hex4() (r rune, ok bool) {
	if s.off+4 > len(s.data) {
		return 0, false
	}
	for _, c := range s.data[s.off : s.off+4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	s.off += 4
	return r, true
}

// number reads a number's text.
func (s *scanner) number() (string, error) {
	start := s.off
	digits := func() bool {
		from := s.off
		for s.off < len(s.data) && '0' <= s.data[s.off] && s.data[s.off] <= '9' {
			s.off++
		}
		return s.off > from
	}
	at := func(c byte) bool { return s.off < len(s.data) && s.data[s.off] == c }
	if at('-') {
		s.off++
	}
	zero := at('0')
	from := s.off
	if !digits() || zero && s.off > from+1 {
		return "", s.fail("a bad number")
	}
	if at('.') {
		s.off++
		if !digits() {
			return "", s.fail("a bad number")
		}
	}
	if at('e') || at('E') {
		s.off++
		if at('+') || at('-') {
			s.off++
		}
		if !digits() {
			return "", s.fail("a bad number")
		}
	}
	if s.off-start > 64 {
		return "", s.fail("too long a number")
	}
	return string(s.data[start:s.off]), nil
}

func (s *scanner) literal(word string) error {
	if len(s.data)-s.off < len(word) || string(s.data[s.off:s.off+len(word)]) != word {
		return s.fail("an unknown word")
	}
	s.off += len(word)
	return nil
}

// skip walks over one value of any sort.
func (s *scanner) skip() error {
	switch c := s.peek(); {
	case c == '{' || c == '[':
		closing := c + 2 // ']' and '}' follow their opening two places on in ASCII
		if err := s.enter(); err != nil {
			return err
		}
		for first := true; ; first = false {
			more, err := s.next(closing, first)
			if err != nil || !more {
				return err
			}
			if c == '{' {
				if _, err := s.member(); err != nil {
					return err
				}
			}
			if err := s.skip(); err != nil {
				return err
			}
		}
	case c == '"':
		_, err := s.text()
		return err
	case c == 't':
		return s.literal("true")
	case c == 'f':
		return s.literal("false")
	case c == 'n':
		return s.literal("null")
	case c == '-' || '0' <= c && c <= '9':
		_, err := s.number()
		return err
	case c == 0:
		return s.fail("unexpected end")
	default:
		return s.fail("an unexpected character")
	}
}
