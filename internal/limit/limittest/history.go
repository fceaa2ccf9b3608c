package limittest

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"weir/internal/limit"
)

// History is what a run admitted, beside the settings that were in force, and
// it says whether the one can be explained by the other: whether no window of
// a bucket saw more calls than burst + rate × time, and no period of a quota
// more than its limit.
//
// Nobody outside of a limiter knows the very instant at which a call counted,
// so an admission is an interval (a client's: from before it asked until it
// had its answer), and so is an edit. Check names an excess only if no choice
// of instants within the intervals explains it: no false alarm, whatever the
// timing. Of a window those calls count that lie wholly inside it. With instants for
// intervals (a simulation) the check is exact; with intervals it may miss less
// than one call a window, where whole calls do not fit although their sum does.
//
// All times are readings of one clock; periods are those of that clock, so it is
// the database's. The zero History is ready and safe for concurrent use.
type History struct {
	mu      sync.Mutex
	buckets map[string]*bucketHistory
	quotas  map[string]*quotaHistory
}

type bucketHistory struct {
	settings []rateSetting
	calls    []span
}

type quotaHistory struct {
	settings []quotaSetting
	grants   []usageGrant
	calls    []span
}

// span is a closed interval in Unix nanoseconds.
type span struct{ start, end int64 }

type rateSetting struct {
	span
	rate limit.Rate
}

type quotaSetting struct {
	span
	quota  limit.Quota
	joined limit.Day
}

type usageGrant struct {
	span
	remaining int64
}

// Forever is an end that does not come within a history.
var Forever = time.Unix(0, math.MaxInt64)

// Unlimited is the setting of a bucket while no throttle is set; a quota's is a
// Limit of math.MaxInt64. Where no setting was given, nothing may be admitted.
var Unlimited = limit.Rate{PerSecond: math.Inf(1), Burst: math.MaxInt}

func spanOf(start, end time.Time) span {
	if end.Before(start) {
		panic(fmt.Sprintf("limittest: an interval from %v to %v", start, end))
	}
	return span{start.UnixNano(), end.UnixNano()}
}

// Rate tells that r may have been the bucket's setting at any instant from
// from to until: from when the call that set it was sent until the last node
// had heard of the next one. Where several may have been, the larger counts.
// What was used before an edit stays used.
func (h *History) Rate(bucket string, r limit.Rate, from, until time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := h.bucket(bucket)
	b.settings = append(b.settings, rateSetting{spanOf(from, until), r})
}

// Quota is Rate for the quota of an account, whose key joined its plan on
// joined (which matters with an offset only).
func (h *History) Quota(account string, q limit.Quota, joined limit.Day, from, until time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	a := h.quota(account)
	a.settings = append(a.settings, quotaSetting{spanOf(from, until), q, joined})
}

// Grant tells that UpdateUsage, called at start and returned at end, set what
// remained of the account's period: after it at most that many calls may follow
// within the period (and what a later edit adds to the limit).
func (h *History) Grant(account string, remaining int64, start, end time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	a := h.quota(account)
	a.grants = append(a.grants, usageGrant{spanOf(start, end), remaining})
}

// Admit tells of one admitted call, which counted at some instant from start
// to end against each of the buckets and, unless account is empty, a quota.
func (h *History) Admit(start, end time.Time, account string, buckets ...string) {
	s := spanOf(start, end)
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, name := range buckets {
		b := h.bucket(name)
		b.calls = append(b.calls, s)
	}
	if account != "" {
		a := h.quota(account)
		a.calls = append(a.calls, s)
	}
}

func (h *History) bucket(name string) *bucketHistory {
	b := h.buckets[name]
	if b == nil {
		if h.buckets == nil {
			h.buckets = map[string]*bucketHistory{}
		}
		b = &bucketHistory{}
		h.buckets[name] = b
	}
	return b
}

func (h *History) quota(name string) *quotaHistory {
	a := h.quotas[name]
	if a == nil {
		if h.quotas == nil {
			h.quotas = map[string]*quotaHistory{}
		}
		a = &quotaHistory{}
		h.quotas[name] = a
	}
	return a
}

// Excess is a window in which more was admitted than any choice of instants
// allows.
type Excess struct {
	Limit    string // "bucket NAME", "quota NAME (DAY)"
	From, To time.Time
	Admitted int     // calls wholly inside From..To
	Allowed  float64 // at most
	First    []int   // up to ten of those calls, by order of Admit for this limit
}

// Over is by how much.
func (e Excess) Over() float64 { return float64(e.Admitted) - e.Allowed }

// String tells the window, by how much, and which calls.
func (e Excess) String() string {
	calls := strings.Trim(fmt.Sprint(e.First), "[]")
	if len(e.First) < e.Admitted {
		calls += " …"
	}
	return fmt.Sprintf("%s: %d admitted from %s to %s (%v), %.6g allowed, %.6g too many; calls %s", e.Limit, e.Admitted,
		e.From.UTC().Format(time.RFC3339Nano), e.To.UTC().Format(time.RFC3339Nano), e.To.Sub(e.From), e.Allowed, e.Over(), calls)
}

// Check returns the worst window of each limit that was exceeded, the worst of
// all first; none when the history can be explained. It takes O(n log n) for n
// calls.
func (h *History) Check() []Excess {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []Excess
	add := func(name string, calls []span, c ceiling) {
		if e, found := c.worst(calls); found {
			e.Limit = name
			all = append(all, e)
		}
	}
	for name, b := range h.buckets {
		if len(b.calls) > 0 {
			add("bucket "+name, b.calls, b.ceiling())
		}
	}
	for name, a := range h.quotas {
		if len(a.calls) == 0 {
			continue
		}
		for _, p := range a.periods() {
			add(fmt.Sprintf("quota %s (%s)", name, p), a.calls, a.ceiling(p))
		}
	}
	slices.SortFunc(all, func(a, b Excess) int {
		return cmp.Or(cmp.Compare(b.Over(), a.Over()), cmp.Compare(a.Limit, b.Limit))
	})
	return all
}

// Admitted returns the number of calls told of a bucket and of a quota.
func (h *History) Admitted(name string) (bucket, quota int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if b := h.buckets[name]; b != nil {
		bucket = len(b.calls)
	}
	if a := h.quotas[name]; a != nil {
		quota = len(a.calls)
	}
	return bucket, quota
}
