package sigv4

import (
	"slices"
	"strconv"
	"strings"
)

// canonicalRequest is the text that both sides hash. The path is encoded once
// more than it was sent (services other than S3), the query exactly once.
func (a *Authorization) canonicalRequest(r Request, bodyHash string, length int) string {
	var b strings.Builder
	b.WriteString(strings.ToUpper(r.Method))
	b.WriteByte('\n')
	path := r.Path
	if path == "" {
		path = "/"
	}
	escape(&b, path, true)
	b.WriteByte('\n')
	without := ""
	if a.Presigned {
		without = paramSignature
	}
	b.WriteString(canonicalQuery(r.Query, without))
	b.WriteByte('\n')
	for _, name := range a.SignedHeaders {
		b.WriteString(name)
		b.WriteByte(':')
		canonicalValue(&b, r, name, length)
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	b.WriteString(strings.Join(a.SignedHeaders, ";"))
	b.WriteByte('\n')
	b.WriteString(bodyHash)
	return b.String()
}

func canonicalValue(b *strings.Builder, r Request, name string, length int) {
	if name == "host" || name == ":authority" {
		b.WriteString(r.Host)
		return
	}
	values := r.Header(name)
	if len(values) == 0 && name == "content-length" {
		// HTTP engines take it out of the headers; the body is what it said.
		b.WriteString(strconv.Itoa(length))
		return
	}
	for i, v := range values {
		if i > 0 {
			b.WriteByte(',')
		}
		for j, word := range strings.Fields(v) {
			if j > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(word)
		}
	}
}

// canonicalQuery decodes and encodes each pair and sorts them by name, then by
// value. One name may be left out; "" leaves out none.
func canonicalQuery(raw, without string) string {
	if raw == "" {
		return ""
	}
	type pair struct{ name, value string }
	pairs := make([]pair, 0, strings.Count(raw, "&")+1)
	for p := range strings.SplitSeq(raw, "&") {
		if p == "" {
			continue
		}
		name, value, _ := strings.Cut(p, "=")
		if name = reescape(name); name == without && name != "" {
			continue
		}
		pairs = append(pairs, pair{name, reescape(value)})
	}
	slices.SortFunc(pairs, func(a, b pair) int {
		if c := strings.Compare(a.name, b.name); c != 0 {
			return c
		}
		return strings.Compare(a.value, b.value)
	})
	var b strings.Builder
	for i, p := range pairs {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(p.name)
		b.WriteByte('=')
		b.WriteString(p.value)
	}
	return b.String()
}

func reescape(s string) string {
	var b strings.Builder
	escape(&b, unescape(s), false)
	return b.String()
}

// unescape decodes a part of a query; what is no escape stays as it is.
func unescape(s string) string {
	if !strings.ContainsAny(s, "%+") {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '+':
			b = append(b, ' ')
		case s[i] == '%' && i+2 < len(s) && unhex(s[i+1]) < 16 && unhex(s[i+2]) < 16:
			b = append(b, unhex(s[i+1])<<4|unhex(s[i+2]))
			i += 2
		default:
			b = append(b, s[i])
		}
	}
	return string(b)
}

func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 16
}

// escape is RFC 3986 with upper-case hex; slashes stay when asked.
func escape(b *strings.Builder, s string, slashes bool) {
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			c == '-', c == '_', c == '.', c == '~', c == '/' && slashes:
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(digits[c>>4])
			b.WriteByte(digits[c&15])
		}
	}
}
