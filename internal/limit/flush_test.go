package limit

import (
	"context"
	"errors"
	"testing"
	"time"
)

// recorder is a ledger that only records.
type recorder struct {
	Ledger
	err error
}

func (r *recorder) Record(context.Context, Batch) error { return r.err }

// A spend flushes first while calls of its meter are not recorded; if that
// never ended, every spend would.
func TestMeterOwesNothingAfterAFlush(t *testing.T) {
	r := &recorder{}
	l := New(r)
	m := NewMeter(Account{"plan", "key"}, nil, time.Time{})
	take := func(day Day) { l.Take(t.Context(), nil, nil, m, Instant{Wall: day.Time()}) }
	for _, err := range []error{nil, errors.New("away"), nil} {
		take(100)
		take(101) // what day 100 counted is overdue now
		take(101)
		if !m.unrecorded() {
			t.Error("counted, and nothing is owed")
		}
		r.err = err
		if got := l.Flush(t.Context()); got != err {
			t.Fatalf("Flush: %v", got)
		}
		if m.unrecorded() != (err != nil) {
			t.Errorf("after a flush with error %v: unrecorded %v", err, m.unrecorded())
		}
	}
	if len(l.overdue) != 0 || len(l.dirty) != 0 {
		t.Errorf("%d overdue and %d dirty are kept", len(l.overdue), len(l.dirty))
	}
}
