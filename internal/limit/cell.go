package limit

import (
	"math"
	"math/bits"
	"runtime"
	"sync/atomic"
	"time"
)

// A cell's word holds, above tagBits, its theoretical arrival time: the
// instant (nanoseconds of Instant.Mono) at which the bucket will be full
// again. In the past or now, it is full; each token taken moves it one interval
// further. The tag makes a word differ from an earlier one that happens to
// name the same instant; it moves with an edit and with a give-back that was
// not an exact undo, never with a take.
const (
	tagBits = 6
	tagMask = 1<<tagBits - 1
	moving  = math.MaxUint64 // an edit is converting the word right now

	maxMono     = 1<<57 - 1 // 4.5 years of uptime
	maxDepth    = 1 << 56   // 2.2 years of refill
	maxInterval = 1 << 55   // 1.1 years for one token

	frozenShift = 20 // fraction bits of a token in the word of a cell without a rate
)

// Setting is a Rate made ready for use. It is immutable, and one Setting is
// meant to be shared by all cells that an owner's one setting governs: then a
// cell costs 16 bytes.
//
// The interval of a token is rounded up to whole nanoseconds, so that the rate
// is never exceeded. A bucket that would take more than 2.2 years to refill is
// cut to that depth (fewer tokens, never more), and a token that takes longer
// than 1.1 years comes back after that.
type Setting struct {
	rate     Rate
	interval int64 // ns until a token is back; 0: never, the rate is zero
	depth    int64 // most that may be outstanding after a take, in ns; 0 lets nothing through

	// Of a bucket that nodes divide. What is above but for rate is then of this
	// node's share, and the Setting is that of one cell.
	version int64
	end     int64  // when the share ends, as Instant.nanos
	stake   *stake // nil: the bucket is of this node alone, and has no end
}

// Compile makes r ready for use.
func Compile(r Rate) *Setting { return CompileVersion(r, 0) }

// CompileVersion is Compile for a bucket that nodes may divide: of two settings
// of a bucket the one with the higher version is the newer, on every node.
func CompileVersion(r Rate, version int64) *Setting {
	s := &Setting{rate: r, version: version, end: math.MaxInt64}
	if !(r.PerSecond > 0) { // NaN too
		return s
	}
	s.interval = maxInterval
	if ns := math.Ceil(1e9 / r.PerSecond); ns < maxInterval {
		s.interval = max(int64(ns), 1)
	}
	if r.Burst <= 0 {
		return s
	}
	s.depth = maxDepth
	if hi, lo := bits.Mul64(uint64(s.interval), uint64(r.Burst)); hi == 0 && lo < maxDepth {
		s.depth = int64(lo)
	}
	return s
}

// Rate returns what the setting was compiled from.
func (s *Setting) Rate() Rate { return s.rate }

// admits says what the word's time becomes when a token is taken at now.
func (s *Setting) admits(tat, now int64) (after int64, ok bool) {
	after = max(tat, now) + s.interval
	return after, s.depth != 0 && after-now <= s.depth && now < s.end
}

// ended says that this node has no living share of the bucket.
func (s *Setting) ended(now int64) bool { return now >= s.end }

// outstanding returns the tokens in use as the fraction num/den.
func (s *Setting) outstanding(field, now int64) (num, den uint64) {
	if s.interval == 0 {
		return uint64(field), 1 << frozenShift
	}
	return uint64(max(field-now, 0)), uint64(s.interval)
}

// place is the inverse of outstanding: the word's field for num/den tokens in
// use, rounded up, cut to what the word can hold.
func (s *Setting) place(num, den uint64, now int64) int64 {
	unit, from := uint64(s.interval), now
	if s.interval == 0 {
		unit, from = 1<<frozenShift, 0
	}
	hi, lo := bits.Mul64(num, unit)
	lo, carry := bits.Add64(lo, den-1, 0)
	hi += carry
	if hi >= den {
		return from + maxDepth
	}
	q, _ := bits.Div64(hi, lo, den)
	return from + int64(min(q, maxDepth))
}

// Cell is one token bucket that outlives edits of its rate: what was used
// stays used. A take is one compare-and-swap; nobody waits, except for the few
// instructions that an edit takes. Safe for concurrent use; made by NewCell or
// one of its like, never copied. 16 bytes.
type Cell struct {
	setting atomic.Pointer[Setting]
	word    atomic.Uint64
}

// NewCell returns a bucket that begins full, or, when empty is true, without a
// token (what existed before an unclean stop begins empty).
func NewCell(r Rate, empty bool, now Instant) *Cell {
	return NewSharedCell(Compile(r), empty, now)
}

// NewSharedCell is NewCell with a Setting that other cells share.
func NewSharedCell(s *Setting, empty bool, now Instant) *Cell {
	used := 0.0
	if empty {
		used = math.Inf(1)
	}
	return RestoreSharedCell(s, min(used, float64(max(s.rate.Burst, 0))), now)
}

// RestoreCell returns a bucket in which used tokens are missing, as Used told
// at a clean stop. What is not a positive number counts as none.
func RestoreCell(r Rate, used float64, now Instant) *Cell {
	return RestoreSharedCell(Compile(r), used, now)
}

// RestoreSharedCell is RestoreCell with a Setting that other cells share.
func RestoreSharedCell(s *Setting, used float64, now Instant) *Cell {
	c := &Cell{}
	c.setting.Store(s)
	if used > 0 {
		const most = 1 << 40 // tokens; more would not fit the word at any rate
		num := uint64(math.Ceil(min(used, most) * (1 << frozenShift)))
		c.word.Store(uint64(s.place(num, 1<<frozenShift, now.nanos())) << tagBits)
	}
	return c
}

// Rate returns the rate in force.
func (c *Cell) Rate() Rate { return c.setting.Load().rate }

// SetRate edits the rate. Tokens in use stay in use, also those above a
// lowered burst, and come back at the new rate. An equal rate changes nothing.
// (What would take more than 2.2 years to come back at the new rate is cut to
// that, as Setting says.)
func (c *Cell) SetRate(r Rate, now Instant) {
	if c.Rate() != r {
		c.Apply(Compile(r), now)
	}
}

// Apply is SetRate with a Setting that other cells share. A Setting that was
// replaced is not applied again: an owner's next edit is a Compile of its own
// (a take that is given back tells by the Setting whether there was an edit).
//
// The word is exchanged for a mark while it is converted, so that a take sees
// either the old word with the old setting or the new one with the new: not
// one call slips through between them.
//
// In a bucket that nodes divide the setting with the higher version counts, and
// the share goes down with it at once, and up with the next ask.
func (c *Cell) Apply(s *Setting, now Instant) {
	if k := c.setting.Load().stake; k != nil {
		k.edit(s, now.nanos())
		return
	}
	w, old := c.freeze()
	if old == s || old.rate == s.rate {
		c.word.Store(w)
		return
	}
	at := now.nanos()
	num, den := old.outstanding(int64(w>>tagBits), at)
	c.thaw(w, s, s.place(num, den, at))
}

// freeze keeps everybody from the cell until thaw, and returns what is in it.
func (c *Cell) freeze() (uint64, *Setting) {
	for {
		if w := c.word.Load(); w != moving && c.word.CompareAndSwap(w, moving) {
			return w, c.setting.Load()
		}
		runtime.Gosched()
	}
}

// thaw ends what freeze began: w was there, s and field are from now on.
func (c *Cell) thaw(w uint64, s *Setting, field int64) {
	c.setting.Store(s)
	c.word.Store(uint64(field)<<tagBits | (w+1)&tagMask)
}

// Used returns the tokens in use, those not yet refilled: what a clean stop
// saves. It may exceed the burst after an edit.
func (c *Cell) Used(now Instant) float64 {
	w, s := c.read()
	num, den := s.outstanding(int64(w>>tagBits), now.nanos())
	return float64(num) / float64(den)
}

// read returns a word with the setting that belongs to it.
func (c *Cell) read() (uint64, *Setting) {
	for {
		w := c.word.Load()
		s := c.setting.Load()
		if w != moving && c.word.Load() == w {
			return w, s
		}
		runtime.Gosched()
	}
}

// refuses says whether a take at now would be refused, and how. It takes
// nothing.
func (c *Cell) refuses(now int64) (d Detail, is bool) {
	w, s := c.read()
	if s.ended(now) {
		if d, is = s.stake.refusesAlone(s, now); is {
			s.stake.asked.Add(1) // a call that is refused is demand too
		}
		return d, is
	}
	if _, ok := s.admits(int64(w>>tagBits), now); ok {
		return d, false
	}
	if s.stake != nil {
		s.stake.asked.Add(1)
	}
	return s.refusal(int64(w>>tagBits), now), true
}

// taken is one token's receipt. Without a setting it is of a token that the
// Pool gave: at is its time and before its version.
type taken struct {
	cell          *Cell
	setting       *Setting
	before, after uint64
	at            int64
}

// take takes a token at now. What it returns without one is no receipt: its
// setting and before are what refused.
func (c *Cell) take(now int64) (t taken, ok bool) {
	for {
		w, s := c.read()
		after, ok := s.admits(int64(w>>tagBits), now)
		if !ok {
			return taken{setting: s, before: w}, false
		}
		next := uint64(after)<<tagBits | w&tagMask
		if c.word.CompareAndSwap(w, next) {
			return taken{c, s, w, next, now}, true
		}
	}
}

// giveBack returns the token, and never more than would be there had it not
// been taken.
//
// While nobody has touched the bucket since, the word goes back to what it was:
// an exact undo. Otherwise time counts. Had the token not been taken, the
// bucket might have been full for a while since, and a full bucket gains
// nothing; so what this token has regained by itself since it was taken must
// not be returned once more. A token is back after one interval at the
// earliest, so interval − elapsed of it is surely outstanding, whatever the
// others did, took or gave back: that much is returned, the rest comes by
// itself. The clock is read after the word, and the swap fails if the word
// moved on, so every take that the word tells of is older than the reading.
//
// Without a clock, or after an edit of the rate, only the exact undo is sound;
// otherwise the token is left to come back by itself.
func (t taken) giveBack(clock func() time.Duration) {
	c := t.cell
	if t.setting == nil {
		c.setting.Load().stake.refund(t)
		return
	}
	if c.word.CompareAndSwap(t.after, t.before) || clock == nil {
		return
	}
	for {
		w, s := c.read()
		if s != t.setting {
			return
		}
		rest := s.interval - (Instant{Mono: clock()}.nanos() - t.at)
		if rest <= 0 {
			return
		}
		tat := max(int64(w>>tagBits)-rest, 0)
		if c.word.CompareAndSwap(w, uint64(tat)<<tagBits|(w+1)&tagMask) {
			return
		}
	}
}
