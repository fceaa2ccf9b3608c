package event

import (
	"math/rand/v2"
	"strings"
	"time"

	"weir/internal/gateway/message"
)

// NewTrace returns the X-Amzn-Trace-Id that the function gets and the
// "Root=…" part that the caller gets. A trace id that the caller sent is kept,
// with our own as "Self=" before it, as AWS's load balancers and API Gateway do.
func NewTrace(now time.Time, h message.Header) (event, root string) {
	own := traceID(now)
	sent, ok := h.Last("X-Amzn-Trace-Id")
	if !ok {
		return own, own
	}
	if at := rootOf(sent); at != "" {
		root = "Root=" + at
	} else {
		root = own
		sent = own + ";" + sent
	}
	return "Self=" + own[len("Root="):] + ";" + withoutSelf(sent), root
}

// traceID makes "Root=1-{time}-{96 random bits}".
func traceID(now time.Time) string {
	const digits = "0123456789abcdef"
	var b [len("Root=1-xxxxxxxx-") + 24]byte
	copy(b[:], "Root=1-xxxxxxxx-")
	hex := func(dst []byte, v uint64) {
		for i := len(dst) - 1; i >= 0; i-- {
			dst[i] = digits[v&15]
			v >>= 4
		}
	}
	hex(b[7:15], uint64(now.Unix()))
	hex(b[16:32], rand.Uint64())
	hex(b[32:40], rand.Uint64())
	return string(b[:])
}

// rootOf returns the Root of a trace header, or "" when there is none that
// looks like one.
func rootOf(trace string) string {
	for field := range strings.SplitSeq(trace, ";") {
		if id, ok := strings.CutPrefix(strings.TrimSpace(field), "Root="); ok && validTrace(id) {
			return id
		}
	}
	return ""
}

func validTrace(id string) bool {
	if id == "" || len(id) > 64 {
		return false
	}
	for i := 0; i < len(id); i++ {
		if c := id[i]; c != '-' && c != '_' && c != '.' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}

func withoutSelf(trace string) string {
	if !strings.Contains(trace, "Self=") {
		return trace
	}
	var kept []string
	for field := range strings.SplitSeq(trace, ";") {
		if !strings.HasPrefix(strings.TrimSpace(field), "Self=") {
			kept = append(kept, field)
		}
	}
	return strings.Join(kept, ";")
}
