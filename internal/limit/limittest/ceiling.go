package limittest

import (
	"math"
	"slices"
	"sort"
	"time"

	"weir/internal/limit"
)

// ceiling is what a limit allows, as two functions of time. A call at instant
// t is allowed if, for every x before it, the calls from x to t (this one
// included) are at most top(t) - credit(x).
//
// For a bucket credit is the tokens that came back since the beginning, and
// top is that plus the burst. For a quota credit steps, by what a period could
// admit, at the period's end, and top is that plus the limit.
//
// Steps are sorted by from, and the first begins before every call; credits have
// the steps of their own time.
type ceiling struct {
	steps   []step
	credits []step
}

// step is a stretch of time that lasts until the next step begins.
type step struct {
	from  int64
	base  float64 // credit at from
	rate  float64 // more of it each nanosecond
	burst float64 // allowed above the credit
}

func (s step) credit(t int64) float64 { return s.base + s.rate*float64(t-s.from) }

// at finds the step that holds t.
func at(steps []step, t int64) int {
	return sort.Search(len(steps), func(i int) bool { return steps[i].from > t }) - 1
}

// highest returns the highest top on the closed interval from..to, and how many
// calls at most some instant of it allows.
func (c ceiling) highest(from, to int64) (top, room float64) {
	top = math.Inf(-1)
	for i := at(c.steps, to); i >= 0; i-- {
		s := c.steps[i]
		last := to
		if i+1 < len(c.steps) {
			last = min(to, c.steps[i+1].from-1)
		}
		top = max(top, s.credit(last)+s.burst)
		room = max(room, s.base+s.burst-c.credits[i].base)
		if s.from <= from {
			break
		}
	}
	return top, room
}

// edges returns the instants at which one of the spans begins to hold or holds
// no more, sorted, and before them the first call's start: what was before it
// does not count.
func edges(calls []span, spans ...span) []int64 {
	first := calls[0].start
	for _, c := range calls {
		first = min(first, c.start)
	}
	all := []int64{first}
	for _, s := range spans {
		if s.start > first {
			all = append(all, s.start)
		}
		if s.end >= first && s.end < math.MaxInt64 {
			all = append(all, s.end+1)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (b *bucketHistory) ceiling() ceiling {
	var spans []span
	for _, s := range b.settings {
		spans = append(spans, s.span)
	}
	all := float64(len(b.calls) + 1) // as good as no limit
	var steps []step
	for _, from := range edges(b.calls, spans...) {
		rate, burst, limited := b.largest(from, all)
		base := 0.0
		if n := len(steps); n > 0 {
			base = steps[n-1].credit(from)
			if steps[n-1].burst > all { // no limit: nothing before bounds anything after
				base += all
			}
		}
		if !limited {
			burst = all + 1
		}
		steps = append(steps, step{from, base, rate, burst})
	}
	return ceiling{steps, steps}
}

// largest returns the largest rate and burst that may have been in force at t.
func (b *bucketHistory) largest(t int64, all float64) (rate, burst float64, limited bool) {
	for _, s := range b.settings {
		switch {
		case s.start > t || s.end < t:
		case math.IsInf(s.rate.PerSecond, 1):
			return 0, 0, false
		case s.rate.PerSecond > 0: // otherwise nothing may pass, whatever the burst
			rate = max(rate, s.rate.PerSecond/1e9)
			burst = max(burst, min(float64(s.rate.Burst), all))
		}
	}
	return rate, burst, true
}

// periods returns the kinds of period that ever held.
func (a *quotaHistory) periods() []limit.Period {
	var kinds []limit.Period
	for _, s := range a.settings {
		if !slices.Contains(kinds, s.quota.Period) {
			kinds = append(kinds, s.quota.Period)
		}
	}
	if len(kinds) == 0 {
		kinds = append(kinds, limit.Daily) // no setting: nothing may be admitted
	}
	slices.Sort(kinds)
	return kinds
}

// ceiling of the quotas with periods of one kind; while a quota of another
// kind held, or may have held, this one bounds nothing.
func (a *quotaHistory) ceiling(kind limit.Period) ceiling {
	var spans []span
	for _, s := range a.settings {
		spans = append(spans, s.span)
	}
	for _, g := range a.grants {
		spans = append(spans, g.span)
	}
	for _, b := range a.borders(kind) {
		spans = append(spans, span{b, math.MaxInt64})
	}
	all := int64(len(a.calls) + 1)
	var c ceiling
	base, highest := int64(0), int64(0) // credit before this part of a period, and what the part allows
	credit := int64(0)
	for i, from := range edges(a.calls, spans...) {
		if i > 0 && (a.isBorder(kind, from) || a.granted(from)) {
			base, highest = base+highest, 0
		}
		level := a.allows(kind, from, all)
		highest = max(highest, level)
		c.steps = append(c.steps, step{from: from, base: float64(base), burst: float64(level)})
		// A call that began while a grant was under way may have counted
		// before it.
		if !a.granting(from) {
			credit = base
		}
		c.credits = append(c.credits, step{from: from, base: float64(credit)})
	}
	return c
}

// borders returns the instants at which a period ended, from the first call to
// the last.
func (a *quotaHistory) borders(kind limit.Period) []int64 {
	first, last := int64(math.MaxInt64), int64(math.MinInt64)
	for _, c := range a.calls {
		first, last = min(first, c.start), max(last, c.end)
	}
	var borders []int64
	for d := kind.End(dayOf(first)); d.Time().UnixNano() <= last; d = kind.End(d) {
		borders = append(borders, d.Time().UnixNano())
	}
	return borders
}

func dayOf(t int64) limit.Day { return limit.DayOf(time.Unix(0, t)) }

func (a *quotaHistory) isBorder(kind limit.Period, t int64) bool {
	d := dayOf(t)
	return d.Time().UnixNano() == t && kind.Start(d) == d
}

func (a *quotaHistory) granted(t int64) bool {
	return slices.ContainsFunc(a.grants, func(g usageGrant) bool { return g.start == t })
}

func (a *quotaHistory) granting(t int64) bool {
	return slices.ContainsFunc(a.grants, func(g usageGrant) bool { return g.start <= t && t <= g.end })
}

// allows returns how many calls the part of a period that holds t allows, as
// known at t: the limit, or after a grant what it left and what an edit has
// added since.
func (a *quotaHistory) allows(kind limit.Period, t, all int64) int64 {
	most, other := a.limits(kind, span{t, t}, all, false)
	if other {
		return all
	}
	granted, either := int64(-1), false
	for _, g := range a.latestGrants(kind, t) {
		least, other := a.limits(kind, g.span, all, true)
		if other { // granted in a period of another kind: what it adds to this one is not known
			return all
		}
		granted = max(granted, g.remaining+most-least, 0)
		either = either || kind.Start(dayOf(g.start)) != kind.Start(dayOf(g.end))
	}
	switch {
	case granted < 0:
	case either: // granted over a border: in this period or in the other
		most = max(most, granted)
	default:
		most = granted
	}
	return min(max(most, 0), all)
}

// limits returns the largest (or least) limit that may have been in force
// within s, and whether another kind of quota may have been.
func (a *quotaHistory) limits(kind limit.Period, s span, all int64, least bool) (n int64, other bool) {
	found := false
	for _, q := range a.settings {
		if q.start > s.end || q.end < s.start {
			continue
		}
		if q.quota.Period != kind || q.quota.Limit == math.MaxInt64 {
			return 0, true
		}
		most := q.quota.Limit
		if d := dayOf(s.start); kind.Start(d) == kind.Start(q.joined) {
			most -= max(q.quota.Offset, 0)
		}
		if !found || (least && most < n) || (!least && most > n) {
			n, found = most, true
		}
	}
	return n, false
}

// latestGrants returns the grants of t's period that may be the latest at t.
func (a *quotaHistory) latestGrants(kind limit.Period, t int64) []usageGrant {
	var of []usageGrant
	latest := int64(math.MinInt64)
	for _, g := range a.grants {
		if g.start <= t && (kind.Start(dayOf(g.start)) == kind.Start(dayOf(t)) || kind.Start(dayOf(g.end)) == kind.Start(dayOf(t))) {
			of = append(of, g)
			latest = max(latest, g.start)
		}
	}
	return slices.DeleteFunc(of, func(g usageGrant) bool { return g.end < latest })
}
