package integration

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

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
