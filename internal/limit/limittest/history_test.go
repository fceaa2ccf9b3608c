package limittest_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"weir/internal/limit"
	"weir/internal/limit/limittest"
)

// tuesday is in the middle of its day, week and month.
var tuesday = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func sec(s float64) time.Time { return tuesday.Add(time.Duration(s * float64(time.Second))) }

// calls admits one call against "b" and "q" at each of the instants.
func calls(h *limittest.History, seconds ...float64) {
	for _, s := range seconds {
		h.Admit(sec(s), sec(s), "q", "b")
	}
}

// many is n times s.
func many(n int, s float64) []float64 { return slices.Repeat([]float64{s}, n) }

const (
	day  = 86400.0
	half = day / 2 // from tuesday to midnight
)

// Each planted history is legal without its last call and illegal with it.
func TestHistoryFindsOneCallTooMany(t *testing.T) {
	bucket := func(h *limittest.History, r limit.Rate) { h.Rate("b", r, tuesday, limittest.Forever) }
	open := func(h *limittest.History) { bucket(h, limittest.Unlimited) }
	quota := func(h *limittest.History, q limit.Quota) { h.Quota("q", q, 0, tuesday, limittest.Forever) }
	free := func(h *limittest.History) { quota(h, limit.Quota{Limit: math.MaxInt64, Period: limit.Daily}) }
	for _, c := range []struct {
		name     string
		history  func(h *limittest.History)
		last     float64
		admitted int
		allowed  float64
	}{
		{"one token too many at once", func(h *limittest.History) {
			bucket(h, limit.Rate{PerSecond: 10, Burst: 5})
			free(h)
			calls(h, many(5, 1)...)
		}, 1, 6, 5},
		{"a microsecond before the token is back", func(h *limittest.History) {
			bucket(h, limit.Rate{PerSecond: 10, Burst: 1})
			free(h)
			calls(h, 1, 1.1)
		}, 1.199999, 2, 1.99999},
		{"a slow rate over hours", func(h *limittest.History) {
			bucket(h, limit.Rate{PerSecond: 0.001, Burst: 1})
			free(h)
			calls(h, 1, 1001, 2001)
		}, 2999, 2, 1.998},
		{"an edit to a lower burst is ignored", func(h *limittest.History) {
			h.Rate("b", limit.Rate{PerSecond: 1e-6, Burst: 10}, tuesday, sec(10))
			h.Rate("b", limit.Rate{PerSecond: 1e-6, Burst: 5}, sec(10), limittest.Forever)
			free(h)
			calls(h, many(4, 9)...)
			calls(h, 11)
		}, 11, 6, 5.000002},
		{"an edit to a lower rate is ignored", func(h *limittest.History) {
			h.Rate("b", limit.Rate{PerSecond: 10, Burst: 1}, tuesday, sec(10))
			h.Rate("b", limit.Rate{PerSecond: 1, Burst: 1}, sec(10), limittest.Forever)
			free(h)
			calls(h, 9.9, 10, 11)
		}, 11.1, 2, 1.1},
		{"a bucket that an edit filled again", func(h *limittest.History) {
			h.Rate("b", limit.Rate{PerSecond: 1, Burst: 10}, tuesday, sec(10))
			h.Rate("b", limit.Rate{PerSecond: 1, Burst: 11}, sec(10), limittest.Forever)
			free(h)
			calls(h, many(10, 10)...)
			calls(h, 10.5)
		}, 10.5, 12, 11.5},
		{"rate zero", func(h *limittest.History) {
			h.Rate("b", limit.Rate{PerSecond: 1, Burst: 1}, tuesday, sec(5))
			h.Rate("b", limit.Rate{Burst: 100}, sec(5), limittest.Forever)
			free(h)
			calls(h, 1)
		}, 6, 1, 0},
		{"before any setting", func(h *limittest.History) {
			h.Rate("b", limit.Rate{PerSecond: 1, Burst: 1}, sec(10), limittest.Forever)
			free(h)
			calls(h, 11)
		}, 5, 1, 0},
		{"used before there was no limit for a while does not count, after it does", func(h *limittest.History) {
			h.Rate("b", limit.Rate{PerSecond: 1, Burst: 2}, tuesday, sec(9))
			h.Rate("b", limittest.Unlimited, sec(9), sec(10))
			h.Rate("b", limit.Rate{PerSecond: 1, Burst: 2}, sec(10), limittest.Forever)
			free(h)
			calls(h, 8, 8)
			calls(h, many(1000, 9.5)...)
			calls(h, 10.5, 10.5)
		}, 10.5, 3, 2},
		{"a day over by one", func(h *limittest.History) {
			open(h)
			quota(h, limit.Quota{Limit: 3, Period: limit.Daily})
			calls(h, 1, 2, half-1, half, half+1)
		}, half - 0.5, 4, 3},
		{"the next day over by one", func(h *limittest.History) {
			open(h)
			quota(h, limit.Quota{Limit: 3, Period: limit.Daily})
			calls(h, half-1, half, half+1, half+2)
		}, half + 3, 4, 3},
		{"a week over by one", func(h *limittest.History) { // Monday is six days on
			open(h)
			quota(h, limit.Quota{Limit: 2, Period: limit.Weekly})
			calls(h, 1, half+5*day-1, half+5*day)
		}, half + 4*day, 3, 2},
		{"a month over by one", func(h *limittest.History) { // six days of November are left
			open(h)
			quota(h, limit.Quota{Limit: 2, Period: limit.Monthly})
			calls(h, 1, half+6*day-1, half+6*day)
		}, half + 5*day, 3, 2},
		{"the offset is forgotten", func(h *limittest.History) {
			open(h)
			h.Quota("q", limit.Quota{Limit: 3, Offset: 2, Period: limit.Daily}, limit.DayOf(tuesday), tuesday, limittest.Forever)
			calls(h, 1, half, half, half)
		}, 2, 2, 1},
		{"a quota lowered below what is used", func(h *limittest.History) {
			open(h)
			h.Quota("q", limit.Quota{Limit: 10, Period: limit.Daily}, 0, tuesday, sec(100))
			h.Quota("q", limit.Quota{Limit: 3, Period: limit.Daily}, 0, sec(100), limittest.Forever)
			calls(h, many(5, 50)...)
			calls(h, half)
		}, 101, 6, 3},
		{"an edit resets the counter", func(h *limittest.History) {
			open(h)
			h.Quota("q", limit.Quota{Limit: 10, Period: limit.Daily}, 0, tuesday, sec(100))
			h.Quota("q", limit.Quota{Limit: 12, Period: limit.Daily}, 0, sec(100), limittest.Forever)
			calls(h, many(10, 50)...)
			calls(h, 101, 101)
		}, 102, 13, 12},
		{"a quota edited from days to months counts the whole month", func(h *limittest.History) {
			open(h)
			h.Quota("q", limit.Quota{Limit: 3, Period: limit.Daily}, 0, tuesday, sec(day))
			h.Quota("q", limit.Quota{Limit: 5, Period: limit.Monthly}, 0, sec(day), limittest.Forever)
			calls(h, 1, 1, 1, half+1)
			calls(h, day+1)
		}, day + 2, 6, 5},
		{"more than UpdateUsage left", func(h *limittest.History) {
			open(h)
			quota(h, limit.Quota{Limit: 3, Period: limit.Daily})
			calls(h, 1, 1, 1)
			h.Grant("q", 2, sec(10), sec(11))
			calls(h, 12, 12, half, half, half)
		}, 13, 3, 2},
		{"UpdateUsage took the rest away, and calls beside it may have come before", func(h *limittest.History) {
			open(h)
			quota(h, limit.Quota{Limit: 30, Period: limit.Daily})
			calls(h, many(20, 1)...)
			h.Grant("q", 0, sec(10), sec(11))
			calls(h, many(10, 10.5)...)
		}, 10.5, 31, 30},
		{"UpdateUsage took the rest away", func(h *limittest.History) {
			open(h)
			quota(h, limit.Quota{Limit: 30, Period: limit.Daily})
			calls(h, 1, half)
			h.Grant("q", 0, sec(10), sec(11))
		}, 12, 1, 0},
		{"the same grant twice", func(h *limittest.History) {
			open(h)
			quota(h, limit.Quota{Limit: 1, Period: limit.Daily})
			calls(h, 1)
			h.Grant("q", 2, sec(10), sec(11))
			calls(h, 12)
			h.Grant("q", 2, sec(20), sec(21))
			calls(h, 22, 22)
		}, 23, 3, 2},
		{"a grant at the period's border counts in one of the two", func(h *limittest.History) {
			open(h)
			quota(h, limit.Quota{Limit: 1, Period: limit.Daily})
			calls(h, 1)
			h.Grant("q", 3, sec(half-1), sec(half+1))
			calls(h, half+2, half+2, half+2)
		}, half + 3, 4, 3},
		{"a grant is gone with its period", func(h *limittest.History) {
			open(h)
			quota(h, limit.Quota{Limit: 1, Period: limit.Daily})
			h.Grant("q", 3, sec(1), sec(2))
			calls(h, 3, 3, 3, half)
		}, half + 1, 2, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &limittest.History{}
			c.history(h)
			if found := h.Check(); len(found) != 0 {
				t.Fatalf("a legal history: %v", found)
			}
			calls(h, c.last)
			found := h.Check()
			if len(found) == 0 {
				t.Fatal("the call too many is not found")
			}
			e := found[0]
			if e.Admitted != c.admitted || math.Abs(e.Allowed-c.allowed) > 2e-6 {
				t.Errorf("%v; want %d admitted of %v", e, c.admitted, c.allowed)
			}
		})
	}
}

// Of calls and edits only intervals are known: what some instants within them
// explain is legal, and one call more is not.
func TestHistoryOfIntervals(t *testing.T) {
	span := func(h *limittest.History, from, to float64) { h.Admit(sec(from), sec(to), "q", "b") }
	for _, c := range []struct {
		name        string
		history     func(h *limittest.History)
		from, until float64 // of the call too many
	}{
		{"calls of a second each", func(h *limittest.History) {
			for range 15 {
				span(h, 1, 2)
			}
		}, 1, 2},
		{"a long call counts where there is room", func(h *limittest.History) {
			span(h, 0, 100)
			for range 5 {
				span(h, 1, 1)
			}
		}, 1, 1},
		{"an edit of the burst that took a second", func(h *limittest.History) {
			h.Rate("b", limit.Rate{PerSecond: 10, Burst: 7}, sec(20), sec(22))
			for range 7 {
				span(h, 21, 21)
			}
		}, 21, 21},
		{"calls over midnight count in either day", func(h *limittest.History) {
			for i := range 40 {
				span(h, half-1-float64(i)/10, half+1+float64(i)/10)
			}
		}, half - 1.5, half + 1.5},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &limittest.History{}
			h.Rate("b", limit.Rate{PerSecond: 10, Burst: 5}, tuesday, limittest.Forever)
			h.Quota("q", limit.Quota{Limit: 20, Period: limit.Daily}, 0, tuesday, limittest.Forever)
			c.history(h)
			if found := h.Check(); len(found) != 0 {
				t.Fatalf("a legal history: %v", found)
			}
			span(h, c.from, c.until)
			if found := h.Check(); len(found) != 1 || math.Abs(found[0].Over()-1) > 1e-5 {
				t.Errorf("one call too many: %v", found)
			}
		})
	}
}

func TestHistoryNamesTheWindow(t *testing.T) {
	h := &limittest.History{}
	h.Rate("plan1/key1", limit.Rate{PerSecond: 10, Burst: 2}, tuesday, limittest.Forever)
	h.Rate("plan1/key2", limit.Rate{PerSecond: 10, Burst: 2}, tuesday, limittest.Forever)
	h.Quota("plan1/key1", limit.Quota{Limit: 3, Period: limit.Daily}, 0, tuesday, limittest.Forever)
	for _, s := range []float64{1, 5, 5, 5, 5, 9} {
		h.Admit(sec(s), sec(s), "plan1/key1", "plan1/key1")
		h.Admit(sec(2*s), sec(2*s), "", "plan1/key2")
	}
	var lines []string
	for _, e := range h.Check() {
		lines = append(lines, e.String())
	}
	want := `quota plan1/key1 (DAY): 6 admitted from 2026-11-24T12:00:01Z to 2026-11-24T12:00:09Z (8s), 3 allowed, 3 too many; calls 0 1 2 3 4 5
bucket plan1/key1: 4 admitted from 2026-11-24T12:00:05Z to 2026-11-24T12:00:05Z (0s), 2 allowed, 2 too many; calls 1 2 3 4
bucket plan1/key2: 4 admitted from 2026-11-24T12:00:10Z to 2026-11-24T12:00:10Z (0s), 2 allowed, 2 too many; calls 1 2 3 4`
	if got := strings.Join(lines, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// drawn is a random setting with its stretch of time, in tenths of a second.
type drawn struct {
	rate        limit.Rate
	from, until int
}

func drawSettings(t *rapid.T, last int) []drawn {
	var all []drawn
	for from := 0; from <= last; {
		until := from + rapid.IntRange(1, last+1).Draw(t, "holds")
		r := limit.Rate{
			PerSecond: rapid.SampledFrom([]float64{0, 0.5, 1, 2, 10}).Draw(t, "rate"),
			Burst:     rapid.IntRange(0, 4).Draw(t, "burst"),
		}
		all = append(all, drawn{r, from, until})
		from = until
	}
	return all
}

// level is the textbook's bucket: what is used drains at the rate in force,
// and a call passes when, with it, no more than the burst is used.
type level struct {
	settings []drawn
	used     float64
	at       int
}

func (l *level) setting(tenth int) limit.Rate {
	for _, s := range l.settings {
		if tenth >= s.from && tenth < s.until {
			return s.rate
		}
	}
	return limit.Rate{}
}

func (l *level) pass(tenth int) {
	for ; l.at < tenth; l.at++ {
		l.used = max(l.used-l.setting(l.at).PerSecond/10, 0)
	}
}

func (l *level) take(tenth int) (ok bool) {
	l.pass(tenth)
	l.used++
	r := l.setting(tenth)
	return r.PerSecond > 0 && l.used <= float64(r.Burst)+1e-9
}

func tenth(n int) time.Time { return sec(float64(n) / 10) }

// Whatever a bucket with edits admits is legal, known exactly or by intervals
// around it; and among instants, what it would not admit is found.
func TestHistoryAgreesWithABucket(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const last = 60
		settings := drawSettings(t, last)
		h, wide := &limittest.History{}, &limittest.History{}
		for _, s := range settings {
			h.Rate("b", s.rate, tenth(s.from), tenth(s.until).Add(-1))
			slack := rapid.IntRange(0, 3).Draw(t, "edit takes")
			wide.Rate("b", s.rate, tenth(s.from-slack), tenth(s.until).Add(-1))
		}
		cheats := rapid.Bool().Draw(t, "cheats")
		model := &level{settings: settings}
		over := false
		now := 0
		for range rapid.IntRange(0, 40).Draw(t, "calls") {
			now = min(now+rapid.IntRange(0, 4).Draw(t, "pass"), last)
			before := *model
			if !model.take(now) {
				if !cheats || rapid.IntRange(0, 5).Draw(t, "let through") > 0 {
					*model = before
					continue
				}
				over = true
			}
			h.Admit(tenth(now), tenth(now), "", "b")
			early, late := rapid.IntRange(0, 5).Draw(t, "early"), rapid.IntRange(0, 5).Draw(t, "late")
			wide.Admit(tenth(now-early), tenth(now+late), "", "b")
		}
		found := h.Check()
		if over != (len(found) > 0) {
			t.Fatalf("over: %v, but the checker says %v", over, found)
		}
		if found := wide.Check(); !over && len(found) > 0 {
			t.Fatalf("a legal history, known by intervals: %v", found)
		}
	})
}

// With one setting and intervals, the checker finds the very window that
// counting every window finds.
func TestHistoryAgreesWithEveryWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := limit.Rate{PerSecond: rapid.SampledFrom([]float64{0.1, 1, 5}).Draw(t, "rate"), Burst: rapid.IntRange(1, 4).Draw(t, "burst")}
		h := &limittest.History{}
		h.Rate("b", r, tuesday, limittest.Forever)
		type interval struct{ from, to int }
		var all []interval
		for range rapid.IntRange(1, 30).Draw(t, "calls") {
			from := rapid.IntRange(0, 100).Draw(t, "from")
			i := interval{from, from + rapid.IntRange(0, 20).Draw(t, "takes")}
			all = append(all, i)
			h.Admit(tenth(i.from), tenth(i.to), "", "b")
		}
		most := 0.0
		for _, a := range all {
			for _, b := range all {
				inside := 0
				for _, c := range all {
					if c.from >= a.from && c.to <= b.to {
						inside++
					}
				}
				if inside > 0 {
					most = max(most, float64(inside-r.Burst)-r.PerSecond*float64(b.to-a.from)/10)
				}
			}
		}
		found := h.Check()
		if most < 1e-5 {
			if len(found) > 0 {
				t.Fatalf("no window is over, but %v", found)
			}
			return
		}
		if len(found) != 1 || math.Abs(found[0].Over()-most) > 1e-5 {
			t.Fatalf("%v; the worst window is over by %v", found, most)
		}
	})
}

// A counter that resets at midnight, with edits and grants, never alarms; one
// that forgets a call now and then does whenever a limit was passed.
func TestHistoryAgreesWithACounter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &limittest.History{}
		quota := limit.Quota{Limit: rapid.Int64Range(0, 6).Draw(t, "limit"), Period: limit.Daily}
		now, since, used, extra, over := 0.0, 0.0, int64(0), int64(0), false
		end := func() { h.Quota("q", quota, 0, sec(since), sec(now).Add(-1)); since = now }
		midnight := half
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			now += rapid.Float64Range(1, 10000).Draw(t, "pass")
			for now >= midnight {
				used, extra, midnight = 0, 0, midnight+day
			}
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0:
				end()
				quota.Limit = rapid.Int64Range(0, 6).Draw(t, "limit")
			case 1:
				r := rapid.Int64Range(0, 4).Draw(t, "remaining")
				h.Grant("q", r, sec(now), sec(now))
				extra = used + r - quota.Limit
			default:
				if used >= quota.Limit+extra {
					if rapid.IntRange(0, 9).Draw(t, "let through") > 0 {
						continue
					}
					over = true
				}
				used++
				h.Admit(sec(now), sec(now), "q")
			}
		}
		now++
		end()
		if found := h.Check(); over != (len(found) > 0) {
			t.Fatalf("over: %v, but the checker says %v", over, found)
		}
	})
}

// busy fills a history with calls of a bucket that is always empty: as many
// as it allows, each known by an interval.
func busy(n int) *limittest.History {
	h := &limittest.History{}
	r := limit.Rate{PerSecond: 1000, Burst: 100}
	h.Rate("b", r, tuesday, limittest.Forever)
	h.Quota("q", limit.Quota{Limit: int64(n), Period: limit.Monthly}, 0, tuesday, limittest.Forever)
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		at := max(float64(i-99), 0) / 1000
		h.Admit(sec(at-rnd.Float64()/10), sec(at+rnd.Float64()/10), "q", "b")
	}
	return h
}

func TestHistoryOfVeryMany(t *testing.T) {
	h := busy(200_000)
	if found := h.Check(); len(found) > 0 {
		t.Fatal(found)
	}
	// Half a second sees no more than 600, wherever they are placed.
	for range 601 {
		h.Admit(sec(100.2), sec(100.7), "", "b")
	}
	found := h.Check()
	if len(found) != 1 || found[0].Over() < 1 || found[0].From.After(sec(100.2)) || found[0].To.Before(sec(100.7)) {
		t.Fatal(found)
	}
}

// A million calls, each against a bucket and a quota.
func BenchmarkHistory(b *testing.B) {
	h := busy(1_000_000)
	for b.Loop() {
		h.Check()
	}
}
