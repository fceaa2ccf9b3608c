//go:build unix

package function

import (
	"strings"
	"testing"
	"time"

	"weir/internal/telemetry"
)

// TestWhatInitWroteComesBeforeTheCall: even when nobody read it yet.
func TestWhatInitWroteComesBeforeTheCall(t *testing.T) {
	var text strings.Builder
	l := newLogs("", "f", "stream", func(e telemetry.LogEvent) { text.WriteString(e.Message) }, time.Now)
	w, err := l.open()
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	defer w.Close()
	if _, err := w.WriteString("init\n"); err != nil {
		t.Fatal(err)
	}
	l.begin(&call{id: "1", tail: new(tail)})
	if want := "init\nSTART RequestId: 1 Version: $LATEST\n"; text.String() != want {
		t.Errorf("%q, want %q", text.String(), want)
	}
	if got := string(l.tail.bytes()); strings.Contains(got, "init") {
		t.Errorf("the call's log has what init wrote: %q", got)
	}
}
