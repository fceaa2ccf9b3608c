//go:build !race

package secret

import (
	"strings"
	"testing"
)

// Not under the race detector: it makes sync.Pool drop what it holds.
func TestDigestDoesNotAllocate(t *testing.T) {
	s := fixed(1)
	value := strings.Repeat("k", 40)
	if n := testing.AllocsPerRun(500, func() { s.Digest(value) }); n >= 1 {
		t.Errorf("%v allocations", n)
	}
}
