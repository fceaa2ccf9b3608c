package cli

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/apigateway/types"
)

func TestPeriod(t *testing.T) {
	quota := func(p types.QuotaPeriodType) *types.QuotaSettings { return &types.QuotaSettings{Limit: 10, Period: p} }
	for _, c := range []struct {
		name            string
		quota           *types.QuotaSettings
		now             string
		what, start, to string
	}{
		{"no quota counts the day", nil, "2026-11-26T23:59:59Z", "DAY", "2026-11-26", "2026-11-27"},
		{"day", quota(types.QuotaPeriodTypeDay), "2026-11-26T00:00:00Z", "DAY", "2026-11-26", "2026-11-27"},
		{"day in UTC", quota(types.QuotaPeriodTypeDay), "2026-11-26T23:30:00-02:00", "DAY", "2026-11-27", "2026-11-28"},
		{"week on a Thursday", quota(types.QuotaPeriodTypeWeek), "2026-11-26T12:00:00Z", "WEEK", "2026-11-23", "2026-11-30"},
		{"week on a Monday", quota(types.QuotaPeriodTypeWeek), "2026-11-23T00:00:00Z", "WEEK", "2026-11-23", "2026-11-30"},
		{"week on a Sunday", quota(types.QuotaPeriodTypeWeek), "2026-11-29T23:59:59Z", "WEEK", "2026-11-23", "2026-11-30"},
		{"month", quota(types.QuotaPeriodTypeMonth), "2026-02-28T12:00:00Z", "MONTH", "2026-02-01", "2026-03-01"},
		{"month at the year's end", quota(types.QuotaPeriodTypeMonth), "2026-12-31T12:00:00Z", "MONTH", "2026-12-01", "2027-01-01"},
	} {
		t.Run(c.name, func(t *testing.T) {
			now, err := time.Parse(time.RFC3339, c.now)
			must(t, err)
			p := periodOf(c.quota, now)
			if p.name != c.what || p.start.Format(time.DateOnly) != c.start || p.end.Format(time.DateOnly) != c.to || p.start.Location() != time.UTC {
				t.Errorf("%+v, want %s from %s to %s", p, c.what, c.start, c.to)
			}
		})
	}
}

func TestSum(t *testing.T) {
	if got, want := sum([][]int64{{3, 7}, {0, 7}, {2, 5}}), (spent{Used: 5, UsedToday: 2, Remaining: 5}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := sum(nil); got != (spent{}) {
		t.Errorf("nothing adds up to %+v", got)
	}
}

func TestWords(t *testing.T) {
	const day = 24 * time.Hour
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 0: "0s", 59 * time.Second: "59s", time.Minute: "1m", 59 * time.Minute: "59m", time.Hour: "1h",
		day - time.Second: "23h", day: "1d", 729 * day: "729d", 730 * day: "2y",
	} {
		if got := span(d); got != want {
			t.Errorf("span(%s) = %s, want %s", d, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1 << 20: "1.0 MiB", 50 << 20: "50.0 MiB"} {
		if got := size(n); got != want {
			t.Errorf("size(%d) = %s, want %s", n, got, want)
		}
	}
	if got := ago(time.Time{}, time.Now()); got != "" {
		t.Errorf("no time was %s ago", got)
	}
}
