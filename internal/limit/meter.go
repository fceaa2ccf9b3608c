package limit

import (
	"sync/atomic"
	"time"
)

// Meter counts one account against its plan's quota. It holds no number that
// would be lost with it: what was spent is in the Ledger, and a second Meter of
// the same account goes on where the first was. What a Meter knows is whether
// the quota is used up, so that an exhausted quota refuses without asking.
//
// Without a quota nothing is refused, and no call waits: calls are counted in
// memory and recorded by Limiter.Flush.
//
// Safe for concurrent use; made by NewMeter, never copied.
type Meter struct {
	account Account
	joined  Day
	quota   atomic.Pointer[Quota]
	spent   atomic.Pointer[exhaustion]
	open    atomic.Uint64 // uncapped calls since the last flush: day in the upper half, count in the lower
	owing   atomic.Int64  // uncapped calls taken from open and not recorded yet
}

// exhaustion is the knowledge that quota is used up.
type exhaustion struct {
	quota       *Quota
	until, ends int64 // nanoseconds of Instant.Mono: for how long it is believed, and the period's end
	limit, used int64
}

// NewMeter returns the meter of an account that joined its plan at joined. With
// a nil q calls are counted and never refused. The Quota is not modified
// afterwards; meters of one plan may share it.
func NewMeter(a Account, q *Quota, joined time.Time) *Meter {
	m := &Meter{account: a, joined: DayOf(joined)}
	m.quota.Store(q)
	return m
}

// SetQuota edits the quota; what was used stays used. A raised limit is open
// again at once, a limit lowered below what was used refuses from the next
// call on. An equal quota changes nothing. nil takes the quota away.
func (m *Meter) SetQuota(q *Quota) {
	// Exhaustion is known of one Quota value, by its address: an edit forgets
	// it, and a spend that is under way cannot bring it back.
	old := m.quota.Load()
	if old == q || old != nil && q != nil && *old == *q {
		return
	}
	m.quota.Store(q)
}

// Account returns whose meter it is.
func (m *Meter) Account() Account { return m.account }

// exhausted says whether q is known to be used up at mono, without asking.
func (m *Meter) exhausted(q *Quota, mono int64) (d Detail, is bool) {
	e := m.spent.Load()
	if e == nil || e.quota != q || mono >= e.until {
		return d, false
	}
	d = Detail{Limit: e.limit, Used: e.used, Wait: time.Duration(e.ends - mono)}
	if q.Limit <= 0 {
		d.Wait = Never
	}
	return d, true
}

// learn keeps what the ledger answered when it was asked at mono: q is used up.
func (m *Meter) learn(q *Quota, mono int64, a Answer) {
	// Counted from before the ledger was asked: its period is not over before.
	ends := mono + int64(a.EndsIn)
	m.spent.Store(&exhaustion{q, min(ends, mono+int64(believed)), ends, max(a.Limit, 0), a.Used})
}

const (
	openCount = 1<<32 - 1
	openShift = 32
)

// count adds one uncapped call on day. It returns what the caller has to hand
// to the limiter: first says that the meter has to be visited by the next
// flush, and late calls of an earlier day that were not flushed yet.
func (m *Meter) count(day Day) (first bool, earlier Day, late int64) {
	for {
		w := m.open.Load()
		at, n := Day(int32(w>>openShift)), w&openCount
		switch {
		case n == 0:
			if m.open.CompareAndSwap(w, uint64(uint32(day))<<openShift|1) {
				return true, 0, 0
			}
		case at == day && n < openCount:
			if m.open.CompareAndSwap(w, w+1) {
				return false, 0, 0
			}
		default:
			m.owing.Add(int64(n))
			if m.open.CompareAndSwap(w, uint64(uint32(day))<<openShift|1) {
				return false, at, int64(n)
			}
			m.owing.Add(-int64(n))
		}
	}
}

// empty takes what was counted since the last flush. It is owed until it is
// recorded: unrecorded never misses a call on its way.
func (m *Meter) empty() (Day, int64) {
	for {
		w := m.open.Load()
		n := int64(w & openCount)
		if n == 0 {
			return 0, 0
		}
		m.owing.Add(n)
		if m.open.CompareAndSwap(w, 0) {
			return Day(int32(w >> openShift)), n
		}
		m.owing.Add(-n)
	}
}

// unrecorded says whether uncapped calls of the meter are not in the ledger.
func (m *Meter) unrecorded() bool { return m.open.Load()&openCount != 0 || m.owing.Load() != 0 }
