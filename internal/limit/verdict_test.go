package limit_test

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"weir/internal/limit"
	"weir/internal/limit/limittest"
)

// TestWaitOfARefusalIsExact: whatever a bucket went through, a call is admitted
// after the wait that the refusal told, and not a nanosecond earlier.
func TestWaitOfARefusalIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rates := rapid.Custom(func(t *rapid.T) limit.Rate {
			return limit.Rate{PerSecond: rapid.Float64Range(0.01, 1e6).Draw(t, "rate"), Burst: rapid.IntRange(1, 1000).Draw(t, "burst")}
		})
		l := limit.New(nil)
		now := time.Duration(rapid.Int64Range(0, 1e15).Draw(t, "start"))
		cell := limit.NewCell(rates.Draw(t, "setting"), rapid.Bool().Draw(t, "empty"), limit.Instant{Mono: now})
		for range rapid.IntRange(0, 3).Draw(t, "edits") {
			cell.SetRate(rates.Draw(t, "edit"), limit.Instant{Mono: now})
			now += time.Duration(rapid.Int64Range(0, 1e9).Draw(t, "pause"))
		}
		take := func(at time.Duration) limit.Verdict {
			_, v := l.Take(t.Context(), []*limit.Cell{cell}, nil, nil, limit.Instant{Mono: at})
			return v
		}
		v := take(now)
		for range 2000 {
			if v.Outcome != limit.Granted {
				break
			}
			v = take(now)
		}
		if v.Outcome != limit.Throttled || v.Detail.Wait <= 0 || v.Detail.Rate != cell.Rate() {
			t.Fatalf("after all that its burst allows: %+v", v)
		}
		if v.Detail.Tokens < 0 || v.Detail.Tokens >= 1 {
			t.Errorf("%v tokens in a bucket that refused", v.Detail.Tokens)
		}
		if early := take(now + v.Detail.Wait - 1); early.Outcome != limit.Throttled || early.Detail.Wait != 1 {
			t.Errorf("a nanosecond before %v: %+v", v.Detail.Wait, early)
		}
		if in := take(now + v.Detail.Wait); in.Outcome != limit.Granted {
			t.Errorf("after %v: %+v", v.Detail.Wait, in)
		}
	})
}

// TestLevelPromisesWhatIsAdmitted: so many calls and not one more, and one more
// after the time it tells, not a nanosecond before.
func TestLevelPromisesWhatIsAdmitted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := limit.New(nil)
		rate := limit.Rate{PerSecond: rapid.Float64Range(0.01, 1e6).Draw(t, "rate"), Burst: rapid.IntRange(1, 50).Draw(t, "burst")}
		now := time.Duration(rapid.Int64Range(0, 1e15).Draw(t, "start"))
		cell := limit.NewCell(rate, rapid.Bool().Draw(t, "empty"), limit.Instant{Mono: now})
		admitted := func(at time.Duration) (n int64) {
			for {
				if _, v := l.Take(t.Context(), []*limit.Cell{cell}, nil, nil, limit.Instant{Mono: at}); v.Outcome != limit.Granted {
					return n
				}
				n++
			}
		}
		for range rapid.IntRange(0, 3).Draw(t, "calls") {
			l.Take(t.Context(), []*limit.Cell{cell}, nil, nil, limit.Instant{Mono: now})
			now += time.Duration(rapid.Int64Range(0, int64(2e9/rate.PerSecond)).Draw(t, "pause"))
		}
		if rapid.Bool().Draw(t, "edited") {
			rate.Burst = rapid.IntRange(1, 50).Draw(t, "new burst")
			cell.SetRate(rate, limit.Instant{Mono: now})
		}
		level := cell.Level(limit.Instant{Mono: now})
		if level.Rate != rate || level.Tokens > int64(rate.Burst) || level.Tokens == int64(rate.Burst) != (level.Next == 0) {
			t.Fatalf("%+v of %+v", level, rate)
		}
		if level.Next > 0 {
			later := now + level.Next
			if early, late := cell.Level(limit.Instant{Mono: later - 1}), cell.Level(limit.Instant{Mono: later}); early.Tokens != level.Tokens || late.Tokens != level.Tokens+1 {
				t.Errorf("%d tokens, and after %v %d, then %d", level.Tokens, level.Next, early.Tokens, late.Tokens)
			}
		}
		if n := admitted(now); n != level.Tokens {
			t.Errorf("%d calls are admitted of %+v", n, level)
		}
	})
}

func TestWhatLetsNothingThroughNeverClears(t *testing.T) {
	for _, r := range []limit.Rate{{}, {PerSecond: 1}, {Burst: 1}, {PerSecond: math.NaN(), Burst: 3}} {
		l := limit.New(nil)
		_, v := l.Take(t.Context(), []*limit.Cell{nil, limit.NewCell(r, false, limit.Instant{})}, nil, nil, limit.Instant{})
		if v.Outcome != limit.Throttled || v.Cell != 1 || v.Detail.Wait != limit.Never || v.Detail.Tokens != 0 {
			t.Errorf("%+v: %+v", r, v)
		}
		if level := limit.NewCell(r, false, limit.Instant{}).Level(limit.Instant{}); level.Tokens != 0 || level.Next != limit.Never {
			t.Errorf("%+v: %+v", r, level)
		}
	}
}

// TestQuotaSaysWhatIsUsedAndWhenItEnds: of the call that found it out and of
// those after it, which ask nobody.
func TestQuotaSaysWhatIsUsedAndWhenItEnds(t *testing.T) {
	noon := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC) // a Friday
	for name, c := range map[string]struct {
		quota       limit.Quota
		joined      time.Time
		admitted    int
		limit, used int64
		wait        time.Duration
	}{
		"day":                  {limit.Quota{Limit: 2, Period: limit.Daily}, noon, 2, 2, 2, 12 * time.Hour},
		"week":                 {limit.Quota{Limit: 1, Period: limit.Weekly}, noon, 1, 1, 1, 60 * time.Hour},
		"month":                {limit.Quota{Limit: 1, Period: limit.Monthly}, noon, 1, 1, 1, 84 * time.Hour},
		"an offset":            {limit.Quota{Limit: 3, Offset: 1, Period: limit.Weekly}, noon, 2, 2, 2, 60 * time.Hour},
		"all of it the offset": {limit.Quota{Limit: 3, Offset: 3, Period: limit.Weekly}, noon, 0, 0, 0, 60 * time.Hour},
		"nothing":              {limit.Quota{Period: limit.Daily}, noon, 0, 0, 0, limit.Never},
	} {
		t.Run(name, func(t *testing.T) {
			l := limit.New(&limittest.Ledger{Now: func() time.Time { return noon }})
			m := limit.NewMeter(limit.Account{PlanID: "plan1", KeyID: "key1"}, &c.quota, c.joined)
			now := limit.Instant{}
			for range c.admitted {
				if _, v := l.Take(t.Context(), nil, nil, m, now); v.Outcome != limit.Granted {
					t.Fatalf("%+v", v)
				}
			}
			for range 2 {
				_, v := l.Take(t.Context(), nil, nil, m, now)
				ends := c.wait
				if ends == limit.Never {
					ends = 12 * time.Hour
				}
				if v.Outcome != limit.Exhausted || v.Detail != (limit.Detail{Limit: c.limit, Used: c.used, Wait: c.wait, EndsIn: ends}) {
					t.Errorf("%+v", v)
				}
			}
		})
	}
}
