package limit

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"
)

// stepped is a limiter on a scripted ledger, with a clock and fetches that the
// test runs.
type stepped struct {
	*Limiter
	t      *testing.T
	ledger *script
	clock  time.Duration
	fetch  []func()
	q      *Quota
}

func newStepped(t *testing.T) *stepped {
	s := &stepped{t: t, ledger: &script{}, q: &Quota{Limit: 100_000, Period: Daily}}
	s.Limiter = New(s.ledger, WithClock(func() time.Duration { return s.clock }),
		WithBackground(func(task func()) { s.fetch = append(s.fetch, task) }))
	return s
}

// leased returns the state of a lease of s.q that is valid until until; its
// period ends a hundred later.
func (s *stepped) leased(until int64) *state {
	day := DayOf(tuesday)
	return &state{stateKey{kind: leased, quota: s.q, lease: day, start: day, end: day + 1}, until, until + 100}
}

// meter returns a listed meter with this state and word.
func (s *stepped) meter(of *state, w word) *Meter {
	m := held(s.q, of, w)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listLocked(m)
	return m
}

func (s *stepped) locked(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
}

// overdueIs holds what is to be recorded of a meter against what is expected.
func (s *stepped) overdueIs(m *Meter, want ...tally) {
	s.t.Helper()
	if got := s.overdue[m.account]; !reflect.DeepEqual(got, want) && len(got)+len(want) > 0 {
		s.t.Errorf("overdue %+v, want %+v", got, want)
	}
}

// wordIs holds the parts of a meter's word against what is expected; its turn
// does not matter.
func (s *stepped) wordIs(m *Meter, held, used int64, size uint, idle int, flags word) {
	s.t.Helper()
	w := m.word.Load()
	if heldOf(w) != held || usedOf(w) != used || sizeOf(w) != size || idleOf(w) != idle || w&(1<<turnShift-1) != flags {
		s.t.Errorf("%d held, %d used, size %d, idle %d, flags %05b; want %d, %d, %d, %d, %05b",
			heldOf(w), usedOf(w), sizeOf(w), idleOf(w), w&(1<<turnShift-1), held, used, size, idle, flags)
	}
}

// The first call asks for itself; then a lease is 8 calls, and doubles with a
// second fetch in a tick, up to 262,144.
func TestHowMuchAClaimAsksFor(t *testing.T) {
	for _, c := range []struct {
		size    uint
		flags   word
		ahead   int64
		ok      bool
		to      uint
		becomes word
	}{
		{0, 0, 0, true, 3, fetching | fetched},
		{0, fetched | dry, 0, true, 3, fetching | fetched},
		{1, 0, 2, true, 1, fetching | fetched},
		{3, dry | listed, 8, true, 3, fetching | fetched | listed},
		{3, fetched, 16, true, 4, fetching | fetched},
		{17, 0, 131_072, true, 17, fetching | fetched},
		{17, fetched, 262_144, true, 18, fetching | fetched},
		{18, fetched, 262_144, true, 18, fetching | fetched},
		{4, fetching, 0, false, 4, fetching},
		{4, fetching | fetched | dry, 0, false, 4, fetching | fetched | dry},
	} {
		m := held(nil, nil, withSize(c.flags, c.size))
		ahead, ok := m.claim()
		if ahead != c.ahead || ok != c.ok || m.word.Load() != withSize(c.becomes, c.to) {
			t.Errorf("%+v: %d, %v; size %d, flags %05b", c, ahead, ok, sizeOf(m.word.Load()), m.word.Load()&31)
		}
	}
}

// What an idle tick, a slow tick and a busy tick make of a lease.
func TestHowATickResizesALease(t *testing.T) {
	for _, c := range []struct {
		name       string
		held, used int64
		size       uint
		idle       int

		heldThen int64
		sizeThen uint
		idleThen int
		released int64
	}{
		{"a quarter is spent", 5, 4, 4, 9, 5, 4, 0, 0},
		{"less than a quarter", 5, 3, 4, 9, 5, 3, 0, 0},
		{"of the least", 5, 1, 3, 9, 5, 3, 0, 0},
		{"nothing", 5, 0, 4, 0, 5, 3, 1, 0},
		{"nothing, again", 5, 0, 3, 1, 5, 3, 2, 0},
		{"nothing, for thirty ticks", 5, 0, 3, 29, 5, 3, 30, 0},
		{"nothing, once more", 5, 0, 3, 30, 0, 0, 30, 5},
		{"a call, at last", 5, 1, 3, 30, 5, 3, 0, 0},
		{"four leases are held", 32, 2, 3, 0, 32, 3, 0, 0},
		{"and one call more", 33, 2, 3, 0, 16, 3, 0, 17},
		{"held beyond a lease that shrinks", 100, 3, 4, 0, 16, 3, 0, 84},
		{"nothing is held", 0, 0, 4, 9, 0, 4, 9, 0},
		{"one is held", 1, 0, 4, 9, 1, 3, 10, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStepped(t)
			day := DayOf(tuesday)
			s.clock = time.Hour
			of := s.leased(int64(2 * time.Hour))
			m := s.meter(of, withIdle(withSize(word(c.held)<<heldShift|word(c.used)<<usedShift|fetched|dry, c.size), c.idle))
			s.locked(func() { s.list = nil; s.ageLocked(m) }) // as sweep does
			flags := dry
			if c.heldThen > 0 {
				flags |= listed // something to come back for
			}
			s.wordIs(m, c.heldThen, 0, c.sizeThen, c.idleThen, flags)
			var want []tally
			if c.used+c.released > 0 {
				want = []tally{{day, day, c.used, c.used + c.released}}
			}
			s.overdueIs(m, want...)
		})
	}
}

// A meter is brought into the list, and what it holds is given back when it is
// of another quota or at its end; otherwise nothing of it is touched.
func TestPrepareGivesBackWhatIsStale(t *testing.T) {
	day := DayOf(tuesday)
	for _, c := range []struct {
		name   string
		kind   kind
		edited bool
		w      word
		mono   int64
		gone   bool // the state is forgotten
		used   int64
		flags  word
		want   []tally
	}{
		{"good", leased, false, 5<<heldShift | 3<<usedShift | listed, 99, false, 3, listed, nil},
		{"good, but not listed", leased, false, 5<<heldShift | 3<<usedShift | fetching, 99, false, 0, fetching | listed, []tally{{day, day, 3, 3}}},
		{"one is used", leased, false, 5<<heldShift | 1<<usedShift, 99, false, 0, listed, []tally{{day, day, 1, 1}}},
		{"no room", leased, false, 5<<heldShift | mostUsed<<usedShift | listed, 99, false, 0, listed, []tally{{day, day, mostUsed, mostUsed}}},
		{"room for one", leased, false, 5<<heldShift | (mostUsed-1)<<usedShift | listed, 99, false, mostUsed - 1, listed, nil},
		{"another quota", leased, true, 5<<heldShift | 3<<usedShift | listed, 0, true, 0, listed | owing, []tally{{day, day, 3, 8}}},
		{"at its end", leased, false, 5<<heldShift | listed, 100, true, 0, listed | owing, []tally{{day, day, 0, 5}}},
		{"one held, at its end", leased, false, 1<<heldShift | listed, 100, true, 0, listed | owing, []tally{{day, day, 0, 1}}},
		{"nothing held, at its end", leased, false, 3<<usedShift | listed, 100, true, 0, listed, []tally{{day, day, 3, 3}}},
		{"before its period's end", leased, false, 5<<heldShift | listed, 199, true, 0, listed | owing, []tally{{day, day, 0, 5}}},
		{"at its period's end: nobody waits for it", leased, false, 5<<heldShift | listed, 200, true, 0, listed, []tally{{day, day, 0, 5}}},
		{"used up, at its end", spent, false, 3<<usedShift | listed, 100, false, 0, listed, []tally{{day, 0, 3, 0}}},
		{"used up, of another quota", spent, true, listed, 0, false, 0, listed, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStepped(t)
			of := s.leased(100)
			of.kind = c.kind
			if c.kind != leased {
				of.lease = 0
			}
			m := held(s.q, of, c.w)
			if c.w&listed != 0 {
				s.list = m
			}
			q := s.q
			if c.edited {
				q = &Quota{Limit: 3, Period: Daily}
				m.SetQuota(q)
			}
			s.prepare(m, q, c.mono)
			if gone := m.state.Load() == nil; gone != c.gone {
				t.Errorf("forgotten: %v", gone)
			}
			keeps := heldOf(c.w)
			if c.gone {
				keeps = 0
			}
			s.wordIs(m, keeps, c.used, 0, 0, c.flags)
			s.overdueIs(m, c.want...)
			if s.list != m || m.next != nil {
				t.Error("not in the list, or more than once")
			}
		})
	}
	s := newStepped(t)
	m := NewMeter(someone, s.q, tuesday)
	s.prepare(m, s.q, 0)
	s.wordIs(m, 0, 0, 0, 0, listed)
}

// What a meter learns of an answer: its state to the nanosecond, what it holds
// and its flags.
func TestWhatIsLearntOfAnAnswer(t *testing.T) {
	day := DayOf(tuesday)
	const hour = int64(time.Hour)
	for _, c := range []struct {
		name         string
		a            Answer
		calls, ahead int64
		kind         kind // open: nothing is learnt
		lease        Day
		until        int64
		held         int64
		dry          bool
	}{
		{"a lease", Answer{OK: true, Held: 8, Used: 1, Limit: 100}, 1, 8, leased, day, 7 + 9*hour, 8, false},
		{"a lease of one", Answer{OK: true, Held: 1, Used: 1, Limit: 100}, 1, 1, leased, day, 7 + 9*hour, 1, false},
		{"less than was asked for", Answer{OK: true, Held: 7, Used: 1, Limit: 100}, 1, 8, leased, day, 7 + 9*hour, 7, true},
		{"a lease, and all else is used", Answer{OK: true, Held: 7, Used: 100, Limit: 100}, 1, 7, leased, day, 7 + 9*hour, 7, false},
		{"a lease of one, and all else is used", Answer{OK: true, Held: 1, Used: 100, Limit: 100}, 1, 1, leased, day, 7 + 9*hour, 1, false},
		{"none, and it was asked for", Answer{OK: true, Used: 1, Limit: 100}, 1, 1, open, 0, 0, 0, true},
		{"none, nor asked for", Answer{OK: true, Used: 1, Limit: 100}, 1, 0, open, 0, 0, 0, false},
		{"used up", Answer{Used: 100, Limit: 100}, 1, 0, spent, 0, 7 + int64(time.Minute), 0, false},
		{"by the call itself", Answer{OK: true, Used: 100, Limit: 100}, 1, 0, spent, 0, 7 + int64(time.Minute), 0, false},
		{"one is left, to others", Answer{Used: 99, Elsewhere: 1, Limit: 100}, 1, 0, waiting, 0, 7 + int64(time.Second), 0, false},
		{"only a lease was asked for", Answer{Used: 99, Elsewhere: 1, Limit: 100}, 0, 8, open, 0, 0, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStepped(t)
			m := s.meter(nil, 0)
			c.a.Day, c.a.Lease, c.a.Start, c.a.End, c.a.EndsIn = day, day, day, day+1, 10*time.Hour
			s.locked(func() { s.learnLocked(m, s.q, c.a, 0, c.calls, c.ahead, 7) })
			got := m.state.Load()
			if c.kind == open {
				if got != nil {
					t.Errorf("learnt %+v", got)
				}
			} else if want := (state{stateKey{c.kind, s.q, 100 - 100_000, c.lease, day, day + 1}, c.until, 7 + 10*hour}); got == nil || *got != want {
				t.Errorf("learnt %+v, want %+v", got, want)
			}
			flags := listed
			if c.dry {
				flags |= dry
			}
			s.wordIs(m, c.held, 0, 0, 0, flags)
			s.overdueIs(m)
		})
	}
	// Near the period's end that is what ends it.
	for _, a := range []Answer{{Used: 5, Limit: 5}, {Used: 4, Limit: 5}} {
		s := newStepped(t)
		m := s.meter(nil, 0)
		a.EndsIn = 30
		s.locked(func() { s.learnLocked(m, s.q, a, 0, 1, 0, 7) })
		if got := m.state.Load(); got == nil || got.until != 37 || got.ends != 37 {
			t.Errorf("%+v", got)
		}
	}
}

// An answer that comes after an edit or a recall is not learnt; what it
// granted is given back.
func TestLateAnswersGiveBack(t *testing.T) {
	day := DayOf(tuesday)
	for _, c := range []struct {
		held     int64
		edit     bool
		recalled bool
		taken    bool
	}{{8, true, false, false}, {1, false, true, false}, {0, true, false, false}, {8, false, false, true}} {
		s := newStepped(t)
		m := s.meter(nil, 0)
		q := s.q
		if c.edit {
			m.SetQuota(&Quota{Limit: 7, Period: Daily})
		}
		if c.recalled {
			s.Recall(m)
		}
		a := Answer{Held: c.held, Day: day, Lease: day - 1, Start: day, End: day + 1, EndsIn: time.Hour, Limit: 100}
		s.locked(func() { s.learnLocked(m, q, a, 0, 0, 8, 0) })
		switch {
		case c.taken:
			s.wordIs(m, 8, 0, 0, 0, listed)
			s.overdueIs(m)
		case c.held == 0:
			s.wordIs(m, 0, 0, 0, 0, listed)
			s.overdueIs(m)
		default:
			s.wordIs(m, 0, 0, 0, 0, listed|owing)
			s.overdueIs(m, tally{day, day - 1, 0, c.held})
		}
	}
}

// A lease adds to what is held, of the same lease; of another it takes the place.
func TestInstallAddsToTheSameLeaseOnly(t *testing.T) {
	day := DayOf(tuesday)
	const full = mostHeld
	for _, c := range []struct {
		name     string
		was      func(s *stepped, to *state) *state
		held     int64
		more     int64
		heldThen int64
		used     int64
		want     []tally
	}{
		{"nothing known", func(*stepped, *state) *state { return nil }, 0, 5, 5, 0, nil},
		{"the same state", func(_ *stepped, to *state) *state { return to }, 4, 5, 9, 3, nil},
		{"the same lease, longer", func(s *stepped, _ *state) *state { return s.leased(50) }, 4, 5, 9, 0, []tally{{day, day, 3, 3}}},
		{"of yesterday", func(s *stepped, _ *state) *state { of := s.leased(50); of.lease--; return of }, 4, 5, 5, 0, []tally{{day, day - 1, 3, 7}}},
		{"used up", func(s *stepped, _ *state) *state { of := s.leased(50); of.kind, of.lease = spent, 0; return of }, 0, 5, 5, 0, []tally{{day, 0, 3, 0}}},
		{"to the most", func(_ *stepped, to *state) *state { return to }, full - 5, 5, full, 3, nil},
		{"beyond it", func(_ *stepped, to *state) *state { return to }, full - 5, 6, full, 3, []tally{{day + 1, day + 2, 0, 1}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStepped(t)
			to := s.leased(100)
			was := c.was(s, to)
			used := word(3)
			if was == nil {
				used = 0
			}
			m := s.meter(was, withIdle(withSize(word(c.held)<<heldShift|used<<usedShift|dry|fetching, 4), 12))
			s.locked(func() {
				s.installLocked(m, to, Answer{Day: day + 1, Lease: day + 2, Held: c.more, Limit: 1000, Left: 300, Elsewhere: 40})
			})
			s.wordIs(m, c.heldThen, c.used, 4, 0, dry|fetching|listed)
			s.overdueIs(m, c.want...)
			if m.state.Load() != to || m.top.Load() != 660 {
				t.Errorf("state %+v, top %d", m.state.Load(), m.top.Load())
			}
		})
	}
}

func TestRefuseKeepsNothingUsed(t *testing.T) {
	s := newStepped(t)
	day := DayOf(tuesday)
	to := &state{stateKey{kind: spent, quota: s.q}, 50, 60}
	m := s.meter(s.leased(100), 3<<usedShift|dry)
	s.locked(func() { s.refuseLocked(m, to, Answer{Limit: 1000, Left: -300, Elsewhere: 40}) })
	s.wordIs(m, 0, 0, 0, 0, dry|listed)
	s.overdueIs(m, tally{day, day, 3, 3})
	if m.state.Load() != to || m.top.Load() != 1260 {
		t.Errorf("state %+v, top %d", m.state.Load(), m.top.Load())
	}
}

func TestRecallForgetsAndOwes(t *testing.T) {
	day := DayOf(tuesday)
	for _, c := range []struct {
		w     word
		flags word
		want  []tally
	}{
		{5<<heldShift | 3<<usedShift | dry, dry | listed | owing, []tally{{day, day, 3, 8}}},
		{5<<heldShift | fetching | fetched, fetching | fetched | listed | owing, []tally{{day, day, 0, 5}}}, // who fetches still does
		{1 << heldShift, listed | owing, []tally{{day, day, 0, 1}}},
		{1 << usedShift, listed, []tally{{day, day, 1, 1}}},
		{0, listed, nil},
	} {
		s := newStepped(t)
		m := held(s.q, s.leased(100), withIdle(withSize(c.w, 7), 9))
		s.Recall(m)
		s.wordIs(m, 0, 0, 7, 9, c.flags)
		s.overdueIs(m, c.want...)
		if m.state.Load() != nil || s.recalls.Load() == 0 {
			t.Errorf("%+v is still known", m.state.Load())
		}
		s.Recall(m) // of nothing
		s.wordIs(m, 0, 0, 7, 9, c.flags)
		s.overdueIs(m, c.want...)
	}
}

// States are shared between meters when they end less than a second apart, and
// never one that lasts longer than was said.
func TestStatesAreSharedWhenTheyEndTogether(t *testing.T) {
	const s = int64(time.Second)
	for _, c := range []struct {
		until, ends int64
		shared      bool
	}{
		{100 * s, 200 * s, true},
		{101*s - 1, 200 * s, true},
		{101 * s, 200 * s, false},
		{100*s - 1, 200 * s, false},
		{100 * s, 201*s - 1, true},
		{100 * s, 201 * s, false},
		{100 * s, 200*s - 1, false},
	} {
		l := New(nil)
		key := stateKey{kind: leased, start: 5}
		first := l.intern(key, 100*s, 200*s)
		got := l.intern(key, c.until, c.ends)
		if (got == first) != c.shared || !c.shared && *got != (state{key, c.until, c.ends}) {
			t.Errorf("%+v: %+v", c, got)
		}
		if key.lease++; l.intern(key, 100*s, 200*s) == first {
			t.Error("shared under another key")
		}
	}
}

func TestInternedStatesAreBounded(t *testing.T) {
	l := New(nil)
	for day := Day(0); day < 10_000; day++ {
		l.intern(stateKey{start: day}, 0, 0)
	}
	if len(l.states) != 10_000 {
		t.Errorf("%d are kept of 10,000", len(l.states))
	}
	if l.intern(stateKey{start: 10_000}, 0, 0); len(l.states) != 1 {
		t.Errorf("%d are kept beyond 10,000", len(l.states))
	}
}

// What brings a meter into the state in which calls are counted.
func TestCountBringsAMeterIntoItsDay(t *testing.T) {
	day := DayOf(tuesday)
	fresh := state{stateKey{kind: open, start: day, end: day + 1}, 0, 0}
	for _, c := range []struct {
		name  string
		was   func(s *stepped) *state
		w     word
		mono  int64
		keeps bool // the state
		flags word
		used  int64
		want  []tally
	}{
		{"nothing known", func(*stepped) *state { return nil }, 0, 0, false, owing | listed, 1, nil},
		{"a lease", func(s *stepped) *state { return s.leased(100) }, 5<<heldShift | 3<<usedShift, 0, false, owing | listed, 1, []tally{{day, day, 3, 8}}},
		{"its day", func(*stepped) *state { return &fresh }, 3 << usedShift, 0, true, owing | listed, 4, nil},
		{"another day", func(*stepped) *state { return &state{stateKey{kind: open, start: day - 1, end: day}, 0, 0} }, 3 << usedShift, 0, false, owing | listed, 1, []tally{{day - 1, 0, 3, 0}}},
		{"used up", func(s *stepped) *state { of := s.leased(100); of.kind = spent; return of }, 3 << usedShift, 99, true, owing | listed, 4, nil},
		{"used up, at its end", func(s *stepped) *state { of := s.leased(100); of.kind = spent; return of }, 3 << usedShift, 100, false, owing | listed, 1, []tally{{day, 0, 3, 0}}},
		{"no room", func(*stepped) *state { return &fresh }, mostUsed << usedShift, 0, true, owing | listed, 1, []tally{{day, 0, mostUsed, 0}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStepped(t)
			was := c.was(s)
			m := held(nil, was, c.w)
			s.count(m, day, c.mono)
			s.wordIs(m, 0, c.used, 0, 0, c.flags)
			s.overdueIs(m, c.want...)
			if got := m.state.Load(); c.keeps && got != was || !c.keeps && *got != fresh {
				t.Errorf("state %+v", got)
			}
		})
	}
}

// A limiter without a clock takes the period's first day, as early as can be.
func TestWithoutAClockItIsEarly(t *testing.T) {
	if mono := New(nil).mono(nil); mono != 0 {
		t.Errorf("%d", mono)
	}
}

// 64 fetches run at a time; one more is left to the calls. None is a call.
func TestFetchesAreBounded(t *testing.T) {
	s := newStepped(t)
	var all []*Meter
	for i := range 65 {
		m := NewMeter(Account{"plan", fmt.Sprint(i)}, s.q, tuesday)
		m.word.Store(withSize(0, 7))
		all = append(all, m)
		s.Limiter.fetch(m, s.q, 0)
	}
	if len(s.fetch) != 64 || s.running.Load() != 64 {
		t.Fatalf("%d fetches, %d run", len(s.fetch), s.running.Load())
	}
	s.wordIs(all[63], 0, 0, 7, 0, fetching|fetched)
	s.wordIs(all[64], 0, 0, 7, 0, fetched)
	s.Limiter.fetch(all[0], s.q, 0) // one is under way
	if len(s.fetch) != 64 || s.running.Load() != 64 {
		t.Fatalf("%d fetches, %d run", len(s.fetch), s.running.Load())
	}
	for _, run := range s.fetch {
		run()
	}
	if s.fetch = nil; s.running.Load() != 0 {
		t.Errorf("%d run after all are done", s.running.Load())
	}
	s.fetches.Wait()
	s.wordIs(all[63], 128, 0, 7, 0, fetched|listed)
	for _, a := range s.ledger.asks {
		if a.Calls != 0 || a.Ahead != 128 || a.Unspent != 0 {
			t.Errorf("asked %+v", a)
		}
	}
	s.Limiter.fetch(all[64], s.q, 0)
	if len(s.fetch) != 1 {
		t.Error("no fetch after the others are done")
	}
	s.fetch[0]()
	s.stopped.Store(true)
	s.Limiter.fetch(all[0], s.q, 0)
	s.wordIs(all[0], 128, 0, 8, 0, fetched|listed)
	if len(s.fetch) != 1 || s.running.Load() != 0 {
		t.Error("a limiter that stops fetches")
	}
}

// A call that asks spends one, and says what the node still holds; a limiter
// that stops wants no lease.
func TestWhatACallAsksFor(t *testing.T) {
	s := newStepped(t)
	m := s.meter(s.leased(100), withSize(6<<heldShift, 4))
	s.spend(t.Context(), m, s.q, at(50))
	s.stopped.Store(true)
	s.spend(t.Context(), m, s.q, at(50))
	if a := s.ledger.asks; len(a) != 2 || a[0].Calls != 1 || a[0].Ahead != 16 || a[0].Unspent != 6 || a[1].Calls != 1 || a[1].Ahead != 0 || a[1].Unspent != 22 {
		t.Errorf("%+v", a)
	}
	s.wordIs(m, 22, 0, 5, 0, fetched|listed)
}

// What a meter owes is told before it is asked; a meter that owes nothing does
// not bring what others owe.
func TestOnlyWhoOwesSettles(t *testing.T) {
	s := newStepped(t)
	broken := errors.New("away")
	s.ledger.record = func(Batch) error { return broken }
	other := NewMeter(Account{"plan", "other"}, nil, tuesday)
	s.count(other, DayOf(tuesday), 0)
	if err := s.Flush(t.Context()); err != broken || s.batch.Seq != 1 {
		t.Fatalf("%v, %+v", err, s.batch)
	}
	m := s.meter(nil, 0)
	if v := s.spend(t.Context(), m, s.q, at(0)); v.Outcome != Granted || len(s.ledger.batches) != 1 {
		t.Errorf("%+v after %d batches", v, len(s.ledger.batches))
	}
	m.set(func(w word) word { return w | owing })
	if v := s.spend(t.Context(), m, s.q, at(0)); v.Outcome != LedgerAway || v.Err != broken || len(s.ledger.asks) != 1 {
		t.Errorf("%+v after %d asks", v, len(s.ledger.asks))
	}
	s.ledger.record = nil
	if v := s.spend(t.Context(), m, s.q, at(0)); v.Outcome != Granted || m.word.Load()&owing != 0 {
		t.Errorf("%+v, flags %b", v, m.word.Load()&31)
	}
	if n := len(s.ledger.batches); n != 3 || s.ledger.batches[2].Seq != 1 {
		t.Errorf("%+v", s.ledger.batches)
	}
}

// A call that finds its quota edited while it asked is told what the answer said.
func TestRefusalOfAnEditedQuota(t *testing.T) {
	for most, want := range map[int64]int64{-5: 0, 0: 0, 3: 3} {
		s := newStepped(t)
		m := s.meter(nil, 0)
		s.ledger.spend = func(context.Context, Ask) (Answer, error) {
			m.SetQuota(&Quota{Limit: 9, Period: Daily})
			return Answer{Limit: most, Used: 4, EndsIn: time.Hour}, nil
		}
		if v := s.spend(t.Context(), m, s.q, at(0)); v.Outcome != Exhausted || v.Detail != (Detail{Limit: want, Used: 4, Wait: time.Hour, EndsIn: time.Hour}) {
			t.Errorf("%+v", v)
		}
	}
}

// A plan that only reports counts each call once, whatever it would say.
func TestObserveCountsOnce(t *testing.T) {
	s := newStepped(t)
	day := DayOf(tuesday)
	now := Instant{Wall: tuesday}
	for name, c := range map[string]struct {
		q    *Quota
		of   *state
		used int64
		out  Outcome
	}{
		"no quota": {nil, nil, 1, Granted},
		"a lease":  {s.q, s.leased(100), 1, Granted},
		"used up":  {s.q, &state{stateKey{kind: spent, quota: s.q, start: day, end: day + 1}, 100, 100}, 1, Exhausted},
	} {
		w := word(0)
		if c.out == Granted && c.q != nil {
			w = oneHeld
		}
		m := s.meter(c.of, w)
		m.SetQuota(c.q)
		if v := s.Observe(t.Context(), m, now); v.Outcome != c.out || usedOf(m.word.Load()) != c.used || heldOf(m.word.Load()) != 0 {
			t.Errorf("%s: %+v, %d used", name, v, usedOf(m.word.Load()))
		}
	}
	if len(s.ledger.asks) != 0 {
		t.Errorf("asked %+v", s.ledger.asks)
	}
}
