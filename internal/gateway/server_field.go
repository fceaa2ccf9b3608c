package gateway

import (
	"bytes"
	"strconv"
)

// head is what the lines of one request said so far.
type head struct {
	http11   bool
	trailer  bool // the lines are those of a trailer section
	hosts    int
	lengths  int // Content-Length lines
	encoded  int // Transfer-Encoding lines
	expected int // Expect lines
}

// known are the header names that framing depends on.
type known uint8

const (
	other known = iota
	hostName
	contentLength
	transferEncoding
	expectName
)

// wholeLine returns the size of the line that p begins with, if all of it is
// there, nothing is wrong with it and its name is none that framing knows. It
// is a short cut through what follows, for most lines of most requests.
func wholeLine(p []byte) int {
	end := bytes.IndexByte(p, '\n')
	if end < 1 || p[end-1] != '\r' {
		return 0
	}
	line := p[:end-1]
	colon := span(line, &tokenBytes)
	if colon == 0 || colon == len(line) || line[colon] != ':' || nameOf(line[:colon]) != other {
		return 0
	}
	if value := line[colon+1:]; spanValue(value) != len(value) {
		return 0
	}
	return end + 1
}

// line takes the first byte of a line: the end of the section, or a name.
func (f *framing) line(c byte) int {
	switch {
	case c == '\r':
		f.part = headLF
		return 1
	case c == ' ' || c == '\t':
		f.problem = folded
	case c == ':':
		f.problem = noName
	default:
		f.part, f.size = inName, 0
	}
	return 0
}

func (f *framing) fieldName(p []byte) int {
	n := span(p, &tokenBytes)
	f.keep(p[:n])
	if n == len(p) {
		return n
	}
	if p[n] == ' ' || p[n] == '\t' {
		f.problem = blankInName
		return n
	}
	f.name = nameOf(f.word[:min(f.size, maxHost)])
	if f.head.trailer && f.name != other {
		f.problem = framingTrailer
		return n
	}
	f.size = 0
	return f.end(p, n, ':', inValue)
}

func nameOf(b []byte) known {
	switch len(b) {
	case len("Host"):
		if bytes.EqualFold(b, []byte("Host")) {
			return hostName
		}
	case len("Expect"):
		if bytes.EqualFold(b, []byte("Expect")) {
			return expectName
		}
	case len("Content-Length"):
		if bytes.EqualFold(b, []byte("Content-Length")) {
			return contentLength
		}
	case len("Transfer-Encoding"):
		if bytes.EqualFold(b, []byte("Transfer-Encoding")) {
			return transferEncoding
		}
	}
	return other
}

func (f *framing) value(p []byte) int {
	n := spanValue(p)
	if f.name != other {
		f.keep(p[:n])
	}
	return f.end(p, n, '\r', valueLF)
}

// keep appends to the word, as far as it fits.
func (f *framing) keep(b []byte) {
	if f.size < len(f.word) {
		copy(f.word[f.size:], b)
	}
	f.size += len(b)
}

// field takes a known header line as a whole.
func (f *framing) field() {
	if f.size > maxHost {
		f.problem = valueTooLong
		return
	}
	value := bytes.Trim(f.word[:f.size], " \t")
	switch f.name {
	case hostName:
		if f.head.hosts++; f.head.hosts > 1 {
			f.problem = manyHosts
		} else if !validHost(value) {
			f.problem = badHost
		}
	case contentLength:
		length, err := strconv.ParseUint(view(value), 10, 63)
		if f.head.lengths++; f.head.lengths > 1 || f.head.encoded > 0 {
			f.problem = twoLengths
		} else if err != nil || length > maxLength {
			f.problem = badLength
		}
		f.left = int64(length)
	case transferEncoding:
		if f.head.encoded++; f.head.encoded > 1 || f.head.lengths > 0 {
			f.problem = twoLengths
		} else if !f.head.http11 || len(value) != len("chunked") || !bytes.EqualFold(value, []byte("chunked")) { // a Kelvin sign folds to k
			f.problem = badEncoding
		}
	case expectName:
		if f.head.expected++; f.head.http11 && (f.head.expected > 1 || !bytes.EqualFold(value, []byte("100-continue"))) {
			f.problem = unknownExpectation
		}
	}
}

// validHost reports whether b can be a host and a port: a name, an IPv4
// address or a bracketed IPv6 address, and digits.
func validHost(b []byte) bool {
	name, port := b, []byte(nil)
	if i := bytes.LastIndexByte(b, ':'); i >= 0 && bytes.IndexByte(b[i:], ']') < 0 {
		name, port = b[:i], b[i+1:]
	}
	for _, c := range port {
		if !isDigit(c) {
			return false
		}
	}
	if inner, ok := bytes.CutPrefix(name, []byte("[")); ok {
		inner, ok = bytes.CutSuffix(inner, []byte("]"))
		for _, c := range inner {
			ok = ok && (isHex(c) || c == ':' || c == '.')
		}
		return ok && len(inner) > 0
	}
	return len(name) > 0 && span(name, &hostBytes) == len(name)
}
