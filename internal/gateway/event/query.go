package event

import (
	"strings"

	"weir/internal/gateway/message"
)

// ParseQuery appends the parameters of a raw query in order, decoded. Both "&"
// and ";" separate them, as AWS's known issues say; a malformed escape stays
// as it was sent.
func ParseQuery(dst message.Header, query string) message.Header {
	for query != "" {
		part := query
		if i := strings.IndexAny(query, "&;"); i >= 0 {
			part, query = query[:i], query[i+1:]
		} else {
			query = ""
		}
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		dst = append(dst, message.Field{Name: unescape(name), Value: unescape(value)})
	}
	return dst
}

// unescape decodes percent-encoding and "+".
func unescape(s string) string {
	if !strings.ContainsAny(s, "%+") {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '+':
			b.WriteByte(' ')
		case c == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			b.WriteByte(unhex(s[i+1])<<4 | unhex(s[i+2]))
			i += 2
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c >= 'a':
		return c - 'a' + 10
	default:
		return c - 'A' + 10
	}
}

// grouping joins fields of one name: heads lists the first of each name in
// order, next the following one of the same name (0: none; the first field
// follows nobody), last the final one by head.
type grouping struct {
	heads []int
	next  []int
	last  []int
}

// few is up to how many fields names are compared one by one; beyond it a map
// keeps a caller from making us compare thousands with thousands.
const few = 24

// byName groups fields whose names are the same.
func (g *grouping) byName(fields message.Header, same func(a, b string) bool) {
	g.heads, g.last = g.heads[:0], g.last[:0]
	g.next = append(g.next[:0], make([]int, len(fields))...)
	var known map[string]int
	if len(fields) > few {
		known = make(map[string]int, len(fields))
	}
	fold := same("a", "A")
	for i := range fields {
		at := -1
		if known != nil {
			key := fields[i].Name
			if fold {
				key = strings.ToLower(key)
			}
			if k, ok := known[key]; ok {
				at = k
			} else {
				known[key] = len(g.heads)
			}
		} else {
			for k, head := range g.heads {
				if same(fields[head].Name, fields[i].Name) {
					at = k
					break
				}
			}
		}
		if at < 0 {
			g.heads, g.last = append(g.heads, i), append(g.last, i)
			continue
		}
		g.next[g.last[at]] = i
		g.last[at] = i
	}
}

// appendSingle appends the map of names to their last value.
func (g *grouping) appendSingle(dst []byte, fields message.Header) []byte {
	dst = append(dst, '{')
	for k, head := range g.heads {
		if k > 0 {
			dst = append(dst, ',')
		}
		dst = append(AppendString(dst, fields[head].Name), ':')
		dst = AppendString(dst, fields[g.last[k]].Value)
	}
	return append(dst, '}')
}

// appendMulti appends the map of names to all their values.
func (g *grouping) appendMulti(dst []byte, fields message.Header) []byte {
	dst = append(dst, '{')
	for k, head := range g.heads {
		if k > 0 {
			dst = append(dst, ',')
		}
		dst = append(AppendString(dst, fields[head].Name), ':', '[')
		for i := head; ; i = g.next[i] {
			if i != head {
				dst = append(dst, ',')
			}
			dst = AppendString(dst, fields[i].Value)
			if g.next[i] == 0 {
				break
			}
		}
		dst = append(dst, ']')
	}
	return append(dst, '}')
}
