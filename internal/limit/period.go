package limit

import (
	"math"
	"time"
)

// Period is a calendar period in UTC. AWS does not say when a quota's period
// begins; calendar periods in UTC are what its users report.
type Period uint8

// The periods. A week starts on Monday.
const (
	Daily Period = iota + 1
	Weekly
	Monthly
)

// ParsePeriod reads AWS's name of a period: "DAY", "WEEK" or "MONTH".
func ParsePeriod(s string) (Period, bool) {
	switch s {
	case "DAY":
		return Daily, true
	case "WEEK":
		return Weekly, true
	case "MONTH":
		return Monthly, true
	}
	return 0, false
}

// String returns AWS's name of the period.
func (p Period) String() string {
	switch p {
	case Weekly:
		return "WEEK"
	case Monthly:
		return "MONTH"
	}
	return "DAY"
}

// Start returns the first day of the period that holds d. A Period that is
// none of the three counts as Daily, the shortest that has a name.
func (p Period) Start(d Day) Day {
	switch p {
	case Weekly:
		return d - d.weekday()
	case Monthly:
		t := d.Time()
		return DayOf(time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC))
	}
	return d
}

// End returns the first day after the period that holds d.
func (p Period) End(d Day) Day {
	switch p {
	case Weekly:
		return d - d.weekday() + 7
	case Monthly:
		t := d.Time()
		return DayOf(time.Date(t.Year(), t.Month()+1, 1, 0, 0, 0, 0, time.UTC))
	}
	return d + 1
}

const daySeconds = 24 * 60 * 60

// Day is a calendar day in UTC, counted from 1970-01-01.
type Day int32

// DayOf returns the day that holds t. Instants beyond what a Day can count
// (five million years) are cut to the first or last Day.
func DayOf(t time.Time) Day {
	s := t.Unix()
	d := s / daySeconds
	if s%daySeconds < 0 {
		d--
	}
	return Day(min(max(d, math.MinInt32), math.MaxInt32))
}

// ParseDay reads a day as String writes it, "2026-11-24".
func ParseDay(s string) (Day, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return 0, err
	}
	return DayOf(t), nil
}

// String returns the day as "2026-11-24".
func (d Day) String() string { return d.Time().Format(time.DateOnly) }

// Time returns the first instant of the day.
func (d Day) Time() time.Time { return time.Unix(int64(d)*daySeconds, 0).UTC() }

// weekday counts from Monday, 0. Day 0 was a Thursday.
func (d Day) weekday() Day { return ((d+3)%7 + 7) % 7 }
