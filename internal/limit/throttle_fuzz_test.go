package limit_test

import (
	"encoding/binary"
	"math"
	"testing"
	"time"

	"weir/internal/limit"
	"weir/internal/limit/limittest"
)

// FuzzThrottle takes, waits and edits with whatever rates and bursts a plan or
// a stage may be given: nothing panics, and what was admitted can be explained.
// A step is ten bytes: what to do, how long to wait, and a number.
func FuzzThrottle(f *testing.F) {
	step := func(what, wait byte, number uint64) []byte {
		return binary.BigEndian.AppendUint64([]byte{what, wait}, number)
	}
	seed := func(steps ...[]byte) (all []byte) {
		for _, s := range steps {
			all = append(all, s...)
		}
		return all
	}
	f.Add(10.0, 5, seed(step(1, 1, 9), step(1, 40, 9), step(0, 0, math.Float64bits(0.1)), step(1, 200, 200)))
	f.Add(0.1, 1, seed(step(1, 1, 3), step(2, 0, 4), step(1, 255, 3), step(2, 0, math.MaxUint64), step(1, 3, 3)))
	f.Add(math.Inf(1), math.MaxInt, seed(step(1, 1, 200), step(0, 0, 0), step(1, 1, 3)))
	f.Add(math.NaN(), -1, seed(step(1, 1, 200), step(0, 0, math.Float64bits(math.MaxFloat64)), step(2, 0, 7), step(1, 1, 30)))
	f.Add(math.SmallestNonzeroFloat64, math.MaxInt, seed(step(1, 255, 200), step(0, 1, math.Float64bits(1e6)), step(1, 255, 200)))
	f.Fuzz(func(t *testing.T, perSecond float64, burst int, steps []byte) {
		steps = steps[:min(len(steps), 400)]
		start := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
		now := time.Duration(0)
		r := limit.Rate{PerSecond: perSecond, Burst: burst}
		c := limit.NewCell(r, false, limit.Instant{})
		l := limit.New(nil, limit.WithClock(func() time.Duration { return now }))
		h := &limittest.History{}
		since := now
		for ; len(steps) >= 10 && now < 100*time.Hour; steps = steps[10:] {
			now += time.Duration(math.Pow(1.1, float64(steps[1]))) // up to 36 s
			number := binary.BigEndian.Uint64(steps[2:10])
			switch steps[0] % 3 {
			case 0, 2:
				h.Rate("bucket", judged(r), start.Add(since), start.Add(now))
				since = now
				if steps[0]%3 == 0 {
					r.PerSecond = math.Float64frombits(number)
					if r.PerSecond > 0 && r.PerSecond < 1e-3 {
						r.PerSecond = 1e-3 // slower ones forget, at an edit, what takes 2.2 years to come back
					}
				} else {
					r.Burst = int(number)
				}
				c.SetRate(r, limit.Instant{Mono: now})
			case 1:
				for range number % 256 {
					if _, v := l.Take(t.Context(), []*limit.Cell{c}, nil, nil, limit.Instant{Mono: now}); v.Outcome == limit.Granted {
						h.Admit(start.Add(now), start.Add(now), "", "bucket")
					}
				}
			}
			if used := c.Used(limit.Instant{Mono: now}); !(used >= 0) {
				t.Fatalf("%v used with %+v", used, r)
			}
		}
		h.Rate("bucket", judged(r), start.Add(since), limittest.Forever)
		for _, e := range h.Check() {
			t.Error(e)
		}
	})
}

// judged is a rate as a bucket keeps it: no faster than a token a nanosecond.
func judged(r limit.Rate) limit.Rate {
	r.PerSecond = min(r.PerSecond, 1e9) // NaN stays
	return r
}
