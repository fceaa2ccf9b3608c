package limit

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestHoldNeitherLeaksNorMints: calls that hold tokens of two buckets while
// somebody else decides, in any order of holds, give-backs and spends, get no
// more out of a bucket than it allows in any window; and what is given back
// before anybody else took is all there again.
func TestHoldNeitherLeaksNorMints(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var now time.Duration
		l := New(nil, WithClock(func() time.Duration { return now }))
		rate := func(name string) Rate {
			return Rate{rates.Draw(t, name), rapid.IntRange(1, 5).Draw(t, name+" burst")}
		}
		cells := []*Cell{NewCell(rate("first"), false, at(0)), nil, NewCell(rate("second"), false, at(0))}
		type held struct {
			Hold
			at int64
		}
		var open []held
		var spent []admission
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			slowest := max(cells[0].setting.Load().interval, cells[2].setting.Load().interval)
			now += time.Duration(rapid.Int64Range(0, slowest/2).Draw(t, "pass"))
			switch rapid.IntRange(0, 2).Draw(t, "step") {
			case 0:
				before := [2]float64{cells[0].Used(Instant{Mono: now}), cells[2].Used(Instant{Mono: now})}
				h, v := l.Hold(t.Context(), cells, Instant{Mono: now})
				if v.Outcome == Granted {
					open = append(open, held{h, int64(now)})
					break
				}
				if after := [2]float64{cells[0].Used(Instant{Mono: now}), cells[2].Used(Instant{Mono: now})}; after != before {
					t.Fatalf("a refusal changed the buckets from %v to %v", before, after)
				}
			case 1: // the call is refused after all
				if n := len(open); n > 0 {
					i := rapid.IntRange(0, n-1).Draw(t, "back")
					l.GiveBack(&open[i].Hold)
					l.GiveBack(&open[i].Hold)
					open = slices.Delete(open, i, i+1)
				}
			case 2: // the call is admitted
				if n := len(open); n > 0 {
					i := rapid.IntRange(0, n-1).Draw(t, "spend")
					spent = append(spent, open[i].at)
					open = slices.Delete(open, i, i+1)
				}
			}
		}
		for _, h := range open {
			spent = append(spent, h.at)
		}
		for _, c := range []*Cell{cells[0], cells[2]} {
			checkBound(t, slices.Clone(spent), c.setting.Load())
		}
	})
}

func TestHoldGivesAllBack(t *testing.T) {
	l := New(nil, WithClock(func() time.Duration { return 0 }))
	stage, account := NewCell(Rate{1, 2}, false, at(0)), NewCell(Rate{1, 3}, false, at(0))
	for range 10 {
		h, v := l.Hold(t.Context(), []*Cell{account, nil, stage}, at(0))
		if v.Outcome != Granted {
			t.Fatalf("%+v", v)
		}
		l.GiveBack(&h)
	}
	for range 2 {
		if _, v := l.Hold(t.Context(), []*Cell{account, nil, stage}, at(0)); v.Outcome != Granted {
			t.Fatalf("%+v", v)
		}
	}
	_, v := l.Hold(t.Context(), []*Cell{account, nil, stage}, at(0))
	if v.Outcome != Throttled || v.Cell != 2 || account.Used(at(0)) != 2 {
		t.Errorf("%+v, and the account has used %v", v, account.Used(at(0)))
	}
	l.GiveBack(&Hold{})
}

func BenchmarkHoldAndGiveBack(b *testing.B) {
	l := New(nil, WithClock(func() time.Duration { return 0 }))
	cells := []*Cell{NewCell(Rate{1, 2}, false, at(0)), nil, NewCell(Rate{1, 2}, false, at(0))}
	b.ReportAllocs()
	for b.Loop() {
		h, v := l.Hold(b.Context(), cells, at(0))
		if v.Outcome != Granted {
			b.Fatal(v)
		}
		l.GiveBack(&h)
	}
}
