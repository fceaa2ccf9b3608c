package logs

import (
	"strings"
	"testing"

	"weir/internal/store"
)

// TestFinderIsBounded: a page ends at its limit, and a filter that finds
// nothing gives up for now; both know where to go on.
func TestFinderIsBounded(t *testing.T) {
	needle, err := parsePattern("needle")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name          string
		f             finder
		message       string
		found, looked int64
	}{
		{"as many as a page holds", finder{limit: maxEvents}, "x", maxEvents, maxEvents},
		{"as many as were asked for", finder{limit: 3}, "x", 3, 3},
		{"a megabyte", finder{limit: maxEvents}, strings.Repeat("x", 100<<10), 10, 10},
		{"nothing among many", finder{limit: maxEvents, pattern: needle}, "x", 0, maxScanned},
		{"nothing in much", finder{limit: maxEvents, pattern: needle}, strings.Repeat("x", 1<<20), 0, 33},
		{"nothing of other streams", finder{limit: maxEvents, streams: []string{"other"}}, "x", 0, maxScanned},
	} {
		f := c.f
		looked := int64(0)
		for f.take(store.LoggedEvent{Stream: "s", Message: c.message, Position: store.LogPosition{Time: 7, Seq: looked + 1}}) {
			looked++
		}
		if int64(len(f.out.Events)) != c.found || looked != c.looked || !f.more || f.last.Seq != looked {
			t.Errorf("%s: found %d, looked at %d up to %d, more %v; want %d of %d", c.name, len(f.out.Events), looked, f.last.Seq, f.more, c.found, c.looked)
		}
	}
}
