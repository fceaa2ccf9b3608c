package limit

import (
	"math"
	"runtime"
	"sync/atomic"
	"time"
)

// Meter counts one account against its plan's quota. It holds no number that
// would be lost with it: what was spent, and what is held to be spent, is in
// the Ledger, and a second Meter of the same account goes on where the first
// was.
//
// A Meter holds calls ahead (a lease): to spend one of those is a
// compare-and-swap. When it holds none, and the quota is not known to be used
// up, a call waits for the ledger. Without a quota nothing is refused, and no
// call waits: calls are counted, and recorded by Limiter.Flush.
//
// Safe for concurrent use; made by NewMeter or NewSharedMeter, never copied.
// 48 bytes.
type Meter struct {
	account *Account
	quota   atomic.Pointer[Quota]
	state   atomic.Pointer[state] // what the word counts; nil: nothing yet
	word    atomic.Uint64
	next    *Meter // in the limiter's list; guarded by Limiter.mu
	joined  Day
	top     atomic.Uint32 // of the quota, used once all is spent that is held; known with a lease and with spent
}

// NewMeter returns the meter of an account that joined its plan at joined. With
// a nil q calls are counted and never refused. The Quota is not modified
// afterwards; meters of one plan are meant to share it.
func NewMeter(a Account, q *Quota, joined time.Time) *Meter {
	return NewSharedMeter(&a, q, joined)
}

// NewSharedMeter is NewMeter with an Account that its owner keeps and does not
// modify.
func NewSharedMeter(a *Account, q *Quota, joined time.Time) *Meter {
	m := &Meter{account: a, joined: DayOf(joined)}
	m.quota.Store(q)
	return m
}

// SetQuota edits the quota; what was used stays used. A raised limit is open
// again at once, a limit lowered below what was used refuses from the next
// call on, whatever the meter holds. An equal quota changes nothing. nil takes
// the quota away.
func (m *Meter) SetQuota(q *Quota) {
	// What is known, and what is held, is of one Quota value, by its address:
	// after an edit the next call gives back and asks, and an ask that is under
	// way cannot bring back what it learns.
	old := m.quota.Load()
	if old == q || old != nil && q != nil && *old == *q {
		return
	}
	m.quota.Store(q)
}

// Account returns whose meter it is.
func (m *Meter) Account() Account { return *m.account }

// state says what a meter's word counts. Immutable; the meters of a plan share
// one (see Limiter.intern).
type state struct {
	stateKey
	until int64 // nanoseconds of Instant.Mono: valid before it
	ends  int64 // … when the period is over
}

type stateKey struct {
	kind       kind
	quota      *Quota // whose answer it is
	extra      int64  // Standing.Extra, as far as Answer.Limit tells
	lease      Day    // leased: the day on which the ledger holds it
	start, end Day    // of the period; open: the day on which calls are counted, and the next
}

type kind uint8

const (
	open    kind = iota // calls are counted and not capped
	leased              // calls are held to be spent
	spent               // the quota is used up
	waiting             // others hold the rest: ask again, later
)

// limit returns what holds for m in the period.
func (s *state) limit(m *Meter) int64 { return s.quota.in(m.joined, s.start) + s.extra }

// dayAt returns the ledger's day at mono, kept within the period.
func (s *state) dayAt(mono int64) Day {
	if s.kind == open {
		return s.start
	}
	day := DayOf(s.end.Time().Add(-time.Duration(s.ends - mono)))
	return min(max(day, s.start), s.end-1)
}

// refusal describes a quota that refuses at mono.
func (s *state) refusal(m *Meter, mono int64) Detail {
	left := time.Duration(s.ends - mono)
	d := Detail{Limit: max(s.limit(m), 0), Used: int64(m.top.Load()), Wait: left, EndsIn: left}
	switch {
	case s.kind == waiting:
		d.Wait = time.Duration(s.until - mono)
	case s.quota.Limit <= 0:
		d.Wait = Never
	}
	return d
}

// word is a meter's numbers: what is held (20 bits), what was admitted and is
// not recorded (24), the lease's size as a power of two (5), for how many ticks
// no call came (5), a turn that makes words of different states differ (5), and
// five flags.
type word = uint64

const (
	fetching word = 1 << iota // an ask for a lease is under way
	fetched                   // there was one since the last tick
	dry                       // the last one brought less than it asked for
	listed                    // in the limiter's list
	owing                     // the ledger has to be told something before it is asked

	turnShift = 5
	idleShift = 10
	sizeShift = 15
	usedShift = 20
	heldShift = 44

	fiveBits = 1<<5 - 1
	oneUsed  = 1 << usedShift
	oneHeld  = 1 << heldShift
	mostUsed = 1<<24 - 1
	mostHeld = 1<<20 - 2 // so that no word is in transit by its value

	transit = math.MaxUint64 // the state is being changed right now
)

func heldOf(w word) int64 { return int64(w >> heldShift) }
func usedOf(w word) int64 { return int64(w >> usedShift & mostUsed) }
func sizeOf(w word) uint  { return uint(w >> sizeShift & fiveBits) }
func idleOf(w word) int   { return int(w >> idleShift & fiveBits) }

func withSize(w word, n uint) word { return w&^(fiveBits<<sizeShift) | word(n)<<sizeShift }
func withIdle(w word, n int) word  { return w&^(fiveBits<<idleShift) | word(n)<<idleShift }

// read returns a word with the state that it counts in.
func (m *Meter) read() (word, *state) {
	for {
		w := m.word.Load()
		s := m.state.Load()
		if w != transit && m.word.Load() == w {
			return w, s
		}
		runtime.Gosched()
	}
}

// set changes flags, size and idle of the word.
func (m *Meter) set(change func(word) word) {
	for {
		w, _ := m.read()
		if m.word.CompareAndSwap(w, change(w)) {
			return
		}
	}
}

// move exchanges state and word: with the word in transit nobody counts in the
// one what belongs to the other. change is told what was and says what is to
// be. It is called by the holder of Limiter.mu.
func (m *Meter) move(change func(w word, s *state) (word, *state)) {
	for {
		w, s := m.read()
		if !m.word.CompareAndSwap(w, transit) {
			continue
		}
		next, to := change(w, s)
		m.state.Store(to)
		turn := (w>>turnShift + 1) & fiveBits
		m.word.Store(next&^(fiveBits<<turnShift) | turn<<turnShift)
		return
	}
}

// refuses says whether q is known to refuse at mono, without asking.
func (m *Meter) refuses(q *Quota, mono int64) (d Detail, is bool) {
	s := m.state.Load()
	if s == nil || s.kind < spent || s.quota != q || mono >= s.until {
		return d, false
	}
	return s.refusal(m, mono), true
}

// spend takes one of the calls that are held, and tells how the quota stands
// then. low says that it is time to fetch more.
func (m *Meter) spend(q *Quota, mono int64, d *Detail) (low, ok bool) {
	for {
		w, s := m.read()
		if w < oneHeld || s.kind != leased || s.quota != q || mono >= s.until || usedOf(w) == mostUsed {
			return false, false
		}
		next := w - oneHeld + oneUsed
		if m.word.CompareAndSwap(w, next) {
			held := heldOf(next)
			d.Limit, d.Used, d.EndsIn = s.limit(m), int64(m.top.Load())-held, time.Duration(s.ends-mono)
			return held < lowWater(next) && next&(fetching|dry) == 0, true
		}
	}
}

// count adds one call that is not capped. It fails when the meter has to be
// brought into another state first, or into the limiter's list.
func (m *Meter) count(day Day, mono int64) bool {
	for {
		w, s := m.read()
		switch {
		case s == nil || s.kind == leased || w&listed == 0 || usedOf(w) == mostUsed:
			return false
		case s.kind == open && s.start != day, s.kind != open && mono >= s.until:
			return false
		case m.word.CompareAndSwap(w, w+oneUsed|owing):
			return true
		}
	}
}
