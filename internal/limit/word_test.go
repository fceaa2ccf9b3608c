package limit

import (
	"math"
	"testing"
	"time"
)

// The parts of a meter's word lie side by side: none in another, no gap.
func TestWordIsPackedWithoutGap(t *testing.T) {
	var all word
	for i, part := range []word{
		fetching, fetched, dry, listed, owing, fiveBits << turnShift, fiveBits << idleShift, fiveBits << sizeShift,
		mostUsed << usedShift, (1<<20 - 1) << heldShift,
	} {
		if all&part != 0 {
			t.Errorf("part %d lies in another: %x in %x", i, part, all)
		}
		all |= part
	}
	if all != math.MaxUint64 {
		t.Errorf("a gap: %x", all)
	}
	if heldOf(oneHeld) != 1 || usedOf(oneUsed) != 1 || usedOf(oneHeld) != 0 || heldOf(oneHeld-1) != 0 || usedOf(oneUsed-1) != 0 {
		t.Error("one is not one")
	}
	w := word(mostHeld)<<heldShift | word(mostUsed)<<usedShift
	if heldOf(w) != 1<<20-2 || usedOf(w) != 1<<24-1 || sizeOf(w) != 0 || idleOf(w) != 0 {
		t.Errorf("%d held, %d used, size %d, idle %d", heldOf(w), usedOf(w), sizeOf(w), idleOf(w))
	}
	if w|(oneHeld-1) == transit || word(mostHeld+1)<<heldShift|(oneHeld-1) != transit {
		t.Error("most held is not the most that keeps a word from being in transit")
	}
	w = withIdle(withSize(math.MaxUint64, 18), 30)
	if sizeOf(w) != 18 || idleOf(w) != 30 || w|fiveBits<<sizeShift|fiveBits<<idleShift != math.MaxUint64 {
		t.Errorf("size %d, idle %d in %x", sizeOf(w), idleOf(w), w)
	}
}

// Each change of state turns the word by one, and touches nothing else of it.
func TestEachStateTurnsTheWord(t *testing.T) {
	m := NewMeter(someone, nil, tuesday)
	rest := word(7)<<heldShift | 5<<usedShift | 4<<sizeShift | 3<<idleShift | listed
	m.word.Store(rest)
	for turn := word(1); turn < 70; turn++ {
		m.move(func(w word, s *state) (word, *state) { return w, s })
		if got := m.word.Load(); got != rest|turn%32<<turnShift {
			t.Fatalf("after %d changes: %x", turn, got)
		}
	}
}

// held gives a meter a word and a state, as if it had got there.
func held(q *Quota, s *state, w word) *Meter {
	m := NewMeter(someone, q, tuesday)
	m.state.Store(s)
	m.word.Store(w)
	return m
}

func TestSpendToTheLastHeldCall(t *testing.T) {
	q, other := &Quota{Limit: 900, Period: Daily}, &Quota{Limit: 900, Period: Daily}
	day := DayOf(tuesday)
	lease := func(k kind) *state {
		return &state{stateKey{kind: k, quota: q, extra: 50, start: day, end: day + 1}, 1000, 1200}
	}
	for _, c := range []struct {
		name string
		s    *state
		w    word
		mono int64
		ok   bool
	}{
		{"the last", lease(leased), oneHeld, 0, true},
		{"none", lease(leased), (oneHeld - 1) &^ (mostUsed << usedShift), 0, false},
		{"before its end", lease(leased), oneHeld, 999, true},
		{"at its end", lease(leased), oneHeld, 1000, false},
		{"of another state", lease(spent), oneHeld, 0, false},
		{"no room to count", lease(leased), 2*oneHeld | mostUsed<<usedShift, 0, false},
		{"room for one", lease(leased), 2*oneHeld | (mostUsed-1)<<usedShift, 0, true},
	} {
		m := held(q, c.s, c.w)
		m.top.Store(60)
		var d Detail
		_, ok := m.spend(q, c.mono, &d)
		if ok != c.ok {
			t.Errorf("%s: spent: %v", c.name, ok)
		}
		want := c.w
		if ok {
			want = c.w - oneHeld + oneUsed
			if seen := (Detail{Limit: 950, Used: 60 - heldOf(want), EndsIn: time.Duration(1200 - c.mono)}); d != seen {
				t.Errorf("%s: %+v, want %+v", c.name, d, seen)
			}
		}
		if m.word.Load() != want {
			t.Errorf("%s: %x became %x, want %x", c.name, c.w, m.word.Load(), want)
		}
	}
	if _, ok := held(q, lease(leased), oneHeld).spend(other, 0, &Detail{}); ok {
		t.Error("what is held of one quota is spent of another")
	}
}

// More is fetched when less than half a lease of 64 calls or more is held, and
// nobody fetches, and the last fetch brought all that it asked for.
func TestLowWater(t *testing.T) {
	for size, want := range map[uint]int64{0: 0, 3: 0, 5: 0, 6: 32, 7: 64, 18: 131_072} {
		if got := lowWater(withSize(0, size)); got != want {
			t.Errorf("size %d: %d", size, got)
		}
	}
	q := &Quota{Limit: 900, Period: Daily}
	s := &state{stateKey{kind: leased, quota: q}, 10, 10}
	for _, c := range []struct {
		held  word
		flags word
		low   bool
	}{{33, 0, false}, {32, 0, true}, {1, 0, true}, {32, fetched | listed | owing, true}, {32, fetching, false}, {32, dry, false}, {32, fetching | dry, false}} {
		if low, ok := held(q, s, withSize(c.held<<heldShift|c.flags, 6)).spend(q, 0, &Detail{}); low != c.low || !ok {
			t.Errorf("%+v: low %v, spent %v", c, low, ok)
		}
	}
}

func TestRefusesUntilExactlyThen(t *testing.T) {
	q := &Quota{Limit: 9, Period: Daily}
	for _, c := range []struct {
		kind kind
		q    *Quota
		mono int64
		is   bool
	}{
		{spent, q, 99, true},
		{spent, q, 100, false},
		{waiting, q, 99, true},
		{waiting, q, 101, false},
		{leased, q, 0, false},
		{open, q, 0, false},
		{spent, &Quota{Limit: 9, Period: Daily}, 0, false},
	} {
		if _, is := held(c.q, &state{stateKey{kind: c.kind, quota: q}, 100, 200}, 0).refuses(c.q, c.mono); is != c.is {
			t.Errorf("kind %d at %d: %v", c.kind, c.mono, is)
		}
	}
	if _, is := NewMeter(someone, q, tuesday).refuses(q, 0); is {
		t.Error("a meter that knows nothing refuses")
	}
}

func TestRefusalTellsLimitAndWait(t *testing.T) {
	for _, c := range []struct {
		kind         kind
		limit, extra int64
		want         Detail
	}{
		{spent, 5, 0, Detail{Limit: 5, Used: 6, Wait: 70, EndsIn: 70}},
		{spent, 1, 2, Detail{Limit: 3, Used: 6, Wait: 70, EndsIn: 70}},
		{spent, 5, -8, Detail{Limit: 0, Used: 6, Wait: 70, EndsIn: 70}},
		{spent, 0, 6, Detail{Limit: 6, Used: 6, Wait: Never, EndsIn: 70}},
		{spent, -1, 0, Detail{Limit: 0, Used: 6, Wait: Never, EndsIn: 70}},
		{waiting, 5, 0, Detail{Limit: 5, Used: 6, Wait: 20, EndsIn: 70}},
		{waiting, 0, 6, Detail{Limit: 6, Used: 6, Wait: 20, EndsIn: 70}},
	} {
		q := &Quota{Limit: c.limit, Period: Daily}
		s := &state{stateKey{kind: c.kind, quota: q, extra: c.extra}, 50, 100}
		m := held(q, s, 0)
		m.top.Store(6)
		if got := s.refusal(m, 30); got != c.want {
			t.Errorf("kind %d, limit %d, extra %d: %+v, want %+v", c.kind, c.limit, c.extra, got, c.want)
		}
	}
}

// The day of the ledger is told from how long its period still lasts, and kept
// within the period.
func TestDayWithinThePeriod(t *testing.T) {
	const day = int64(24 * time.Hour)
	s := &state{stateKey{kind: leased, start: 100, end: 107}, 0, 7 * day}
	for mono, want := range map[int64]Day{0: 100, day - 1: 100, day: 101, 3 * day: 103, 7*day - 1: 106, 7 * day: 106, 9 * day: 106} {
		if got := s.dayAt(mono); got != want {
			t.Errorf("at %v: day %d, want %d", time.Duration(mono), got, want)
		}
	}
	if got := (&state{s.stateKey, 0, 9 * day}).dayAt(0); got != 100 {
		t.Errorf("before the period: day %d", got)
	}
	if got := (&state{stateKey{kind: open, start: 50, end: 51}, 0, 0}).dayAt(3 * day); got != 50 {
		t.Errorf("uncapped: day %d", got)
	}
}

func TestCountWhatIsNotCapped(t *testing.T) {
	const day = Day(100)
	for _, c := range []struct {
		name string
		s    *state
		w    word
		day  Day
		mono int64
		ok   bool
	}{
		{"on its day", &state{stateKey{kind: open, start: day}, 0, 0}, listed, day, 5, true},
		{"on another", &state{stateKey{kind: open, start: day}, 0, 0}, listed, day + 1, 5, false},
		{"not listed", &state{stateKey{kind: open, start: day}, 0, 0}, fetching, day, 5, false},
		{"in no state", nil, listed, day, 5, false},
		{"with a lease", &state{stateKey{kind: leased, start: day}, 50, 50}, listed, day, 5, false},
		{"used up, before its end", &state{stateKey{kind: spent, start: day}, 50, 50}, listed, day + 9, 49, true},
		{"used up, at its end", &state{stateKey{kind: spent, start: day}, 50, 50}, listed, day, 50, false},
		{"no room", &state{stateKey{kind: open, start: day}, 0, 0}, listed | mostUsed<<usedShift, day, 5, false},
		{"room for one", &state{stateKey{kind: open, start: day}, 0, 0}, listed | (mostUsed-1)<<usedShift, day, 5, true},
	} {
		m := held(nil, c.s, c.w)
		want := c.w
		if c.ok {
			want = c.w + oneUsed | owing
		}
		if ok := m.count(c.day, c.mono); ok != c.ok || m.word.Load() != want {
			t.Errorf("%s: %v, the word is %x, want %x", c.name, ok, m.word.Load(), want)
		}
	}
}

func TestKnownUntilExactlyThen(t *testing.T) {
	q := &Quota{Limit: 10, Period: Daily}
	for _, c := range []struct {
		kind  kind
		top   uint32
		extra int64
		mono  int64
		ok    bool
		want  Known
	}{
		{leased, 7, 0, 99, true, Known{10, 7, 101}}, // 3 used, 4 of 7 held
		{leased, 7, 0, 100, false, Known{}},
		{leased, 7, 5, 0, true, Known{15, 12, 200}},
		{leased, 14, 0, 0, true, Known{10, 0, 200}},
		{leased, 15, 0, 0, true, Known{10, 0, 200}},
		{leased, 2, 0, 0, true, Known{10, 10, 200}},
		{leased, 2, -11, 0, true, Known{0, 0, 200}},
		{open, 7, 0, 0, false, Known{}},
	} {
		m := held(q, &state{stateKey{kind: c.kind, quota: q, extra: c.extra}, 100, 200}, 4<<heldShift)
		m.top.Store(c.top)
		if k, ok := m.Known(at(time.Duration(c.mono))); ok != c.ok || k != c.want {
			t.Errorf("%+v: %+v, %v", c, k, ok)
		}
	}
	other := held(&Quota{Limit: 10, Period: Daily}, &state{stateKey{kind: leased, quota: q}, 100, 200}, 4<<heldShift)
	if k, ok := other.Known(at(0)); ok {
		t.Errorf("%+v is known of another quota", k)
	}
}

func TestSaturated(t *testing.T) {
	for n, want := range map[int64]uint32{math.MinInt64: 0, -1: 0, 0: 0, 1: 1, 1<<32 - 1: 1<<32 - 1, 1 << 32: 1<<32 - 1, math.MaxInt64: 1<<32 - 1} {
		if got := saturated(n); got != want {
			t.Errorf("%d: %d", n, got)
		}
	}
}
