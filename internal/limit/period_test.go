package limit

import (
	"math"
	"testing"
	"time"
)

func TestPeriodBounds(t *testing.T) {
	cases := []struct{ name, day, period, start, end string }{
		{"day", "2026-11-24", "DAY", "2026-11-24", "2026-11-25"},
		{"week begins on Monday", "2026-11-23", "WEEK", "2026-11-23", "2026-11-30"},
		{"week holds Sunday", "2026-11-29", "WEEK", "2026-11-23", "2026-11-30"},
		{"week over the year's end", "2027-01-01", "WEEK", "2026-12-28", "2027-01-04"},
		{"month", "2026-11-24", "MONTH", "2026-11-01", "2026-12-01"},
		{"month's last day", "2024-02-29", "MONTH", "2024-02-01", "2024-03-01"},
		{"December", "2026-12-31", "MONTH", "2026-12-01", "2027-01-01"},
		{"week before 1970", "1969-12-28", "WEEK", "1969-12-22", "1969-12-29"},
		{"month before 1970", "1969-12-31", "MONTH", "1969-12-01", "1970-01-01"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d, err := ParseDay(c.day)
			if err != nil {
				t.Fatal(err)
			}
			p, ok := ParsePeriod(c.period)
			if !ok || p.String() != c.period {
				t.Fatalf("ParsePeriod(%q) = %v, %v", c.period, p, ok)
			}
			if s, e := p.Start(d).String(), p.End(d).String(); s != c.start || e != c.end {
				t.Errorf("%s..%s, want %s..%s", s, e, c.start, c.end)
			}
		})
	}
}

func TestPeriodsTile(t *testing.T) {
	for _, p := range []Period{Daily, Weekly, Monthly} {
		for d := Day(-800); d < 22000; d++ {
			s, e := p.Start(d), p.End(d)
			if s > d || e <= d || p.Start(s) != s || p.End(s) != e || p.Start(e) != e || p.Start(e-1) != s {
				t.Fatalf("%v of %v is %v..%v", p, d, s, e)
			}
			if p == Weekly && (e-s != 7 || s.Time().Weekday() != time.Monday) {
				t.Fatalf("week of %v begins on %v", d, s.Time().Weekday())
			}
		}
	}
}

func TestDayOf(t *testing.T) {
	east := time.FixedZone("east", 9*60*60)
	cases := []struct {
		at   time.Time
		want string
	}{
		{time.Date(2026, 11, 24, 23, 59, 59, 999, time.UTC), "2026-11-24"},
		{time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC), "2026-11-25"},
		{time.Date(2026, 11, 25, 8, 59, 59, 0, east), "2026-11-24"},
		{time.Date(1969, 12, 31, 23, 59, 59, 0, time.UTC), "1969-12-31"},
		{time.Time{}, "0001-01-01"},
	}
	for _, c := range cases {
		if got := DayOf(c.at).String(); got != c.want {
			t.Errorf("DayOf(%v) = %s, want %s", c.at, got, c.want)
		}
	}
	if d := DayOf(time.Unix(1<<62, 0)); d != math.MaxInt32 {
		t.Errorf("a far future is day %d", d)
	}
	for _, bad := range []string{"", "2026-1-2", "2026-13-01", "2026-11-24T00:00:00Z", "24.11.2026"} {
		if d, err := ParseDay(bad); err == nil {
			t.Errorf("ParseDay(%q) = %v", bad, d)
		}
	}
	for _, bad := range []string{"", "day", "YEAR"} {
		if p, ok := ParsePeriod(bad); ok {
			t.Errorf("ParsePeriod(%q) = %v", bad, p)
		}
	}
}
