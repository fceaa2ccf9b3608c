//go:build !race

package simulation

import (
	"time"

	"weir/internal/limit"
)

// perfect is the limiter that cannot be built: one place that knows every call
// at the instant it comes and never fails. What it admits of the same demand is
// what ours is measured against.
type perfect struct {
	buckets  map[string]*perfectBucket
	accounts map[string]*perfectAccount
	admitted int
}

type perfectBucket struct {
	rate limit.Rate
	used float64
	at   time.Duration
}

func (b *perfectBucket) pass(now time.Duration) {
	b.used = max(b.used-b.rate.PerSecond*(now-b.at).Seconds(), 0)
	b.at = now
}

func (b *perfectBucket) open(now time.Duration) bool {
	b.pass(now)
	return b.rate.PerSecond > 0 && b.used+1 <= float64(b.rate.Burst)+1e-9
}

type perfectAccount struct {
	quota limit.Quota
	start limit.Day // of the period that the counters below belong to
	used  map[limit.Day]int64
	extra map[limit.Day]int64
}

func (a *perfectAccount) sums(now time.Time) (used, extra int64, day limit.Day) {
	day = limit.DayOf(now)
	for d := a.quota.Period.Start(day); d < a.quota.Period.End(day); d++ {
		used += a.used[d]
		extra += a.extra[d]
	}
	return used, extra, day
}

func (a *perfectAccount) left(now time.Time) (int64, limit.Day) {
	used, extra, day := a.sums(now)
	return a.quota.Limit + extra - used - a.offset(day), day
}

// offset: every key of a simulation joined on the day the run began.
func (a *perfectAccount) offset(day limit.Day) int64 {
	if a.quota.Period.Start(day) == a.quota.Period.Start(a.start) {
		return max(a.quota.Offset, 0)
	}
	return 0
}

func (p *perfect) take(now time.Duration, wall time.Time, account string, buckets ...string) {
	for _, name := range buckets {
		if !p.buckets[name].open(now) {
			return
		}
	}
	a := p.accounts[account]
	left, day := a.left(wall)
	if left <= 0 {
		return
	}
	a.used[day]++
	for _, name := range buckets {
		p.buckets[name].used++
	}
	p.admitted++
}

func (p *perfect) setRate(now time.Duration, bucket string, r limit.Rate) {
	b := p.buckets[bucket]
	b.pass(now)
	b.rate = r
}

func (p *perfect) grant(wall time.Time, account string, remaining int64) {
	a := p.accounts[account]
	left, day := a.left(wall)
	a.extra[day] += remaining - left
}
