package function

import (
	"fmt"
	"strings"
	"testing"

	"weir/internal/invocation"
)

func TestTailIsTheLastFourKilobytes(t *testing.T) {
	w := newWorld(t)
	w.python("def handler(e, c):\n    for i in range(e): print('line', i)\n    print('last', end='')")
	r := w.want("2000", "null")
	if len(r.LogTail) != 4096 || !strings.Contains(string(r.LogTail), "line 1999\nlast\nEND RequestId") {
		t.Errorf("%d bytes of log, end %q", len(r.LogTail), r.LogTail[max(0, len(r.LogTail)-300):])
	}
	log := w.logText()
	for i := range 2000 {
		if !strings.Contains(log, fmt.Sprintf("\nline %d\n", i)) {
			t.Fatalf("line %d was lost or came late", i)
		}
	}
	if quiet, err := w.Invoke(t.Context(), &invocation.Invocation{Function: "f", Payload: []byte("1")}); err != nil || quiet.LogTail != nil {
		t.Errorf("a log that nobody asked for: %+v %v", quiet, err)
	}
}

func TestLongLinesAreSplit(t *testing.T) {
	w := newWorld(t)
	w.python("def handler(e, c): print('é' * 300000)")
	w.want("{}", "null")
	w.mu.Lock()
	defer w.mu.Unlock()
	var total int
	for _, e := range w.logs {
		if len(e.Message) > maxLine {
			t.Errorf("event of %d bytes", len(e.Message))
		}
		if strings.Contains(e.Message, "\uFFFD") {
			t.Error("a character was cut in two")
		}
		total += strings.Count(e.Message, "é")
	}
	if total != 300000 {
		t.Errorf("%d characters of 300000", total)
	}
}
