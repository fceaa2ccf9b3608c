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
		if m.word.Load()&owing == 0 {
			t.Error("counted, and nothing is owed")
		}
		r.err = err
		if got := l.Flush(t.Context()); got != err {
			t.Fatalf("Flush: %v", got)
		}
		if kept := l.batch.Seq != 0; kept != (err != nil) || len(l.overdue) != 0 {
			t.Errorf("after a flush with error %v: a batch is kept: %v; %d are overdue", err, kept, len(l.overdue))
		}
	}
	if err := l.Flush(t.Context()); err != nil || l.list != nil || m.word.Load()&listed != 0 {
		t.Errorf("%v; a meter that counted nothing is still listed", err)
	}
}
