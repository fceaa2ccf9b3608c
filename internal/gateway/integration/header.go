package integration

import (
	"strings"

	"weir/internal/gateway/message"
)

// droppedFromFunction are the headers of a function's answer that a caller
// never sees: hop-by-hop ones, and those that we make ourselves.
var droppedFromFunction = []string{
	"Content-Length", "Expect", "Host", "Proxy-Authenticate", "TE", "Trailer", "Transfer-Encoding", "Upgrade", "Via",
	"X-Amz-Apigw-Id", "X-Amzn-Trace-Id", "Keep-Alive", "Proxy-Connection",
}

// remappedFromFunction reach the caller under another name, "x-amzn-Remapped-"
// in front, because the gateway's own header of that name counts (AWS's table
// of "known issues").
var remappedFromFunction = []string{
	"Authorization", "Connection", "Content-MD5", "Date", "Max-Forwards", "Server", "User-Agent",
	"WWW-Authenticate", "X-Amzn-RequestId",
}

func listed(names []string, name string) bool {
	for _, n := range names {
		if len(n) == len(name) && strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

// addFromFunction appends a header of a function's answer as the caller gets it.
func addFromFunction(h *message.Header, name, value string) {
	switch {
	case listed(droppedFromFunction, name):
	case listed(remappedFromFunction, name):
		h.Add("x-amzn-Remapped-"+name, value)
	default:
		h.Add(name, value)
	}
}

// validName reports whether s is a header name (an RFC 9110 token).
func validName(s string) bool {
	if s == "" {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' {
			continue
		}
		if strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return true
}

// validValue reports whether s can be a header's value: a line break in one
// would let a function write further headers and answers.
func validValue(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < 0x20 && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
