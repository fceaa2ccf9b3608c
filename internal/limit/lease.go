package limit

import (
	"context"
	"time"
)

// How leases are sized. A lease is about one second of what is spent: its size
// doubles when a second fetch comes within a tick (Tend is called once a
// second), and halves when a tick spends less than a quarter of it. What a
// ledger grants of it is bounded by Decide.
const (
	leastSize = 3  // 8 calls: what a key holds that is called now and then
	mostSize  = 18 // 262,144 calls
	// idleTicks after which a lease that nobody spends is given back.
	idleTicks = 30

	// leaseMargin is the part of the time to a period's end that a lease is
	// given back before it: a node's clock may be slow by so much.
	leaseMargin = 10

	// believed is for how long a used-up quota refuses without asking. Its
	// period may end sooner than the ledger said: a clock that ran ahead was
	// set right.
	believed = time.Minute
	// mostFetches run at a time; beyond them calls ask for themselves.
	mostFetches = 64
	// alone is for how long a node refuses by itself when others hold the rest.
	alone = time.Second
)

// lowWater is what is held when more is fetched beside the calls. A small lease
// runs out: then the call that spends the next one fetches, in the same
// transaction.
func lowWater(w word) int64 {
	if sizeOf(w) < 6 {
		return 0
	}
	return 1 << sizeOf(w) / 2
}

// claim makes the caller the one who fetches, and says how much. It fails while
// another does.
func (m *Meter) claim() (ahead int64, ok bool) {
	for {
		w, _ := m.read()
		if w&fetching != 0 {
			return 0, false
		}
		size := sizeOf(w)
		next := w&^dry | fetching | fetched
		switch {
		case size == 0: // the first call in a long time: it may be the only one
			next = withSize(next, leastSize)
		case w&fetched != 0 && size < mostSize:
			size++
			next = withSize(next, size)
		}
		if !m.word.CompareAndSwap(w, next) {
			continue
		}
		if size == 0 {
			return 0, true
		}
		return 1 << size, true
	}
}

// charge decides on a call by m's quota: from what is held, or by asking.
func (l *Limiter) charge(ctx context.Context, m *Meter, q *Quota, now Instant, v *Verdict) {
	low, ok := m.spend(q, now.nanos(), &v.Detail)
	switch {
	case !ok:
		*v = l.spend(ctx, m, q, now)
	case low:
		l.fetch(m, q, now.nanos())
	}
}

// spend decides on a call that m does not hold: it asks the ledger.
func (l *Limiter) spend(ctx context.Context, m *Meter, q *Quota, now Instant) (v Verdict) {
	mono := now.nanos()
	l.prepare(m, q, mono)
	ahead, mine := m.claim()
	a, err := l.ask(ctx, m, q, 1, ahead, mine, mono)
	if err == nil && a.OK {
		return Verdict{Outcome: Granted, Detail: Detail{Limit: a.Limit, Used: a.Used, EndsIn: a.EndsIn}}
	}
	// What is held is spent first, also what came just now by another's fetch.
	if _, ok := m.spend(q, mono, &v.Detail); ok {
		return v
	}
	switch {
	case err != nil && q.OpenWhenAway:
		l.count(m, DayOf(now.Wall), mono)
		return Verdict{Outcome: Granted, Err: err}
	case err != nil:
		return Verdict{Outcome: LedgerAway, Err: err}
	}
	d, is := m.refuses(q, mono)
	if !is { // edited meanwhile
		d = Detail{Limit: max(a.Limit, 0), Used: a.Used, Wait: a.EndsIn, EndsIn: a.EndsIn}
	}
	return Verdict{Outcome: Exhausted, Detail: d}
}

// Observe decides as Take would about m alone, and counts the call in any case:
// for a plan that only reports what it would refuse.
func (l *Limiter) Observe(ctx context.Context, m *Meter, now Instant) Verdict {
	q, mono := m.quota.Load(), now.nanos()
	if q == nil {
		l.count(m, DayOf(now.Wall), mono)
		return Verdict{}
	}
	d, is := m.refuses(q, mono)
	v := Verdict{Outcome: Exhausted, Detail: d}
	if !is {
		v = Verdict{}
		l.charge(ctx, m, q, now, &v)
	}
	if v.Outcome != Granted {
		l.count(m, DayOf(now.Wall), mono)
	}
	return v
}

// prepare gives back what m holds of another quota or of a period that is over,
// and brings m into the limiter's list.
func (l *Limiter) prepare(m *Meter, q *Quota, mono int64) {
	w, s := m.read()
	stale := s != nil && (s.quota != q || mono >= s.until)
	if w&listed != 0 && !stale && usedOf(w) < mostUsed {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if s = m.state.Load(); stale && s != nil && s.kind == leased && (s.quota != q || mono >= s.until) {
		l.dropLocked(m, mono >= s.ends)
	} else {
		l.collectLocked(m)
	}
	l.listLocked(m)
}

// ask asks the ledger for calls and for a lease, and lets m learn of the
// answer. mine says that m was claimed for it.
func (l *Limiter) ask(ctx context.Context, m *Meter, q *Quota, calls, ahead int64, mine bool, mono int64) (Answer, error) {
	if l.stopped.Load() {
		ahead = 0
	}
	asked := l.recalls.Load()
	a, err := l.answer(ctx, m, Ask{Account: *m.account, Quota: *q, Joined: m.joined, Calls: calls, Ahead: ahead})
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.learnLocked(m, q, a, asked, calls, ahead, mono)
	}
	if mine {
		m.set(func(w word) word { return w &^ fetching })
	}
	return a, err
}

// answer waits for the ledger, no longer than ledgerWait. Before it asks, the
// ledger is told what it has to know: calls counted before there was a quota,
// and what was given back.
func (l *Limiter) answer(ctx context.Context, m *Meter, a Ask) (Answer, error) {
	probe, err := l.away.enter()
	if err != nil {
		return Answer{}, err
	}
	bounded, cancel := l.timeout(ctx, ledgerWait)
	defer cancel()
	w, _ := m.read()
	if w&owing != 0 {
		err = l.settle(bounded, m)
	}
	var out Answer
	if err == nil {
		a.Unspent = heldOf(w)
		out, err = l.ledger.Spend(bounded, a)
	}
	l.away.leave(probe, err, bounded.Err() != nil && ctx.Err() == nil)
	return out, err
}

// learnLocked takes over what an answer says, unless the quota was edited or
// recalled since it was asked for, or the limiter was stopped: then what it
// granted is given back.
func (l *Limiter) learnLocked(m *Meter, q *Quota, a Answer, asked, calls, ahead, mono int64) {
	if m.quota.Load() != q || l.recalls.Load() != asked || l.stopped.Load() {
		if a.Held > 0 {
			l.overdue.add(m.account, tally{a.Day, a.Lease, 0, a.Held})
			m.set(func(w word) word { return w | owing })
		}
		return
	}
	// Counted from before the ledger was asked: its period is not over before.
	ends := mono + int64(a.EndsIn)
	key := stateKey{quota: q, start: a.Start, end: a.End}
	key.extra = a.Limit - q.in(m.joined, a.Start)
	switch {
	case a.Held > 0:
		key.kind, key.lease = leased, a.Lease
		l.installLocked(m, l.intern(key, ends-int64(a.EndsIn)/leaseMargin, ends), a)
		if a.Held < ahead {
			m.set(func(w word) word { return w | dry })
		}
	case ahead > 0:
		m.set(func(w word) word { return w | dry })
	}
	if w, _ := m.read(); heldOf(w) > 0 {
		return
	}
	switch key.lease = 0; {
	case a.Used >= a.Limit:
		key.kind = spent
		l.refuseLocked(m, l.intern(key, min(ends, mono+int64(believed)), ends), a)
	case calls > 0 && !a.OK:
		// The rest is held: by others, who may give it back, or it was spent by
		// this node and is about to be recorded.
		key.kind = waiting
		l.refuseLocked(m, &state{key, min(ends, mono+int64(alone)), ends}, a)
	}
}

// refuseLocked lets m, which holds nothing, refuse by itself.
func (l *Limiter) refuseLocked(m *Meter, to *state, a Answer) {
	m.top.Store(saturated(a.Limit - a.Left - a.Elsewhere))
	m.move(func(w word, s *state) (word, *state) {
		if s == nil {
			return w, to
		}
		l.bookLocked(m, w, s)
		return w &^ (mostUsed << usedShift), to
	})
}

// installLocked adds a lease to what m holds.
func (l *Limiter) installLocked(m *Meter, to *state, a Answer) {
	l.listLocked(m)
	m.move(func(w word, s *state) (word, *state) {
		held := heldOf(w)
		if s != nil && s != to {
			l.bookLocked(m, w, s)
			w &^= mostUsed << usedShift
			if s.kind != leased {
				held = 0
			} else if s.stateKey != to.stateKey {
				// Of another period, or held since another day.
				l.overdue.add(m.account, tally{s.start, s.lease, 0, held})
				held = 0
			}
		}
		held += a.Held
		if held > mostHeld {
			l.overdue.add(m.account, tally{a.Day, a.Lease, 0, held - mostHeld})
			held = mostHeld
		}
		// Neither left nor held by others: used, or held here.
		m.top.Store(saturated(a.Limit - a.Left - a.Elsewhere))
		return withIdle(w&(oneHeld-1), 0) | word(held)<<heldShift, to
	})
}

// dropLocked gives back what m holds, and forgets what it knows. over says that
// the period is over, in which case nobody waits for it.
func (l *Limiter) dropLocked(m *Meter, over bool) {
	m.move(func(w word, s *state) (word, *state) {
		if s == nil {
			return w, nil
		}
		l.bookLocked(m, w, s)
		if held := heldOf(w); s.kind == leased && held > 0 {
			l.overdue.add(m.account, tally{s.start, s.lease, 0, held})
			if !over {
				w |= owing
			}
		}
		return w & (oneUsed - 1), nil
	})
}

// collectLocked takes what m admitted and is not recorded.
func (l *Limiter) collectLocked(m *Meter) {
	for {
		w, s := m.read()
		if usedOf(w) == 0 {
			return
		}
		if m.word.CompareAndSwap(w, w&^(mostUsed<<usedShift)) {
			l.bookLocked(m, w, s)
			return
		}
	}
}

// bookLocked notes what a word has admitted in a state.
func (l *Limiter) bookLocked(m *Meter, w word, s *state) {
	used := usedOf(w)
	switch {
	case used == 0:
	case s.kind == leased:
		l.overdue.add(m.account, tally{s.dayAt(l.mono(s)), s.lease, used, used})
	default:
		l.overdue.add(m.account, tally{s.dayAt(l.mono(s)), 0, used, 0})
	}
}

// mono reads the clock; without one it is as early as can be.
func (l *Limiter) mono(s *state) int64 {
	if l.clock == nil {
		return 0
	}
	return Instant{Mono: l.clock()}.nanos()
}

// intern returns one state for all meters of which the same is known, so that
// a lease costs a meter no memory. What ends a little sooner serves as well.
func (l *Limiter) intern(key stateKey, until, ends int64) *state {
	const close = int64(time.Second)
	if s := l.states[key]; s != nil && s.until <= until && until-s.until < close && s.ends <= ends && ends-s.ends < close {
		return s
	}
	if len(l.states) >= 10_000 { // of plans long edited and periods long over
		clear(l.states)
	}
	s := &state{key, until, ends}
	l.states[key] = s
	return s
}

// count notes a call that is not capped.
func (l *Limiter) count(m *Meter, day Day, mono int64) {
	for !m.count(day, mono) {
		l.mu.Lock()
		w, s := m.read()
		switch {
		case s == nil || s.kind == leased || s.kind == open && s.start != day || s.kind != open && mono >= s.until:
			l.dropLocked(m, false)
			to := l.intern(stateKey{kind: open, start: day, end: day + 1}, 0, 0)
			m.move(func(w word, _ *state) (word, *state) { return w, to })
		case usedOf(w) == mostUsed:
			l.collectLocked(m)
		}
		l.listLocked(m)
		l.mu.Unlock()
	}
}

// listLocked brings m into the list that Tend and Flush go through.
func (l *Limiter) listLocked(m *Meter) {
	if m.word.Load()&listed == 0 {
		m.set(func(w word) word { return w | listed })
		m.next, l.list = l.list, m
	}
}

// fetch asks for a lease beside the calls, unless that is under way or too much
// else is.
func (l *Limiter) fetch(m *Meter, q *Quota, mono int64) {
	ahead, ok := m.claim()
	if !ok {
		return
	}
	if l.running.Add(1) > mostFetches || !l.begin() {
		l.running.Add(-1)
		m.set(func(w word) word { return w &^ fetching })
		return
	}
	l.background(func() {
		defer l.fetches.Done()
		defer l.running.Add(-1)
		_, _ = l.ask(context.Background(), m, q, 0, ahead, true, mono)
	})
}

// begin counts a fetch for Stop to wait for; it fails after Stop.
func (l *Limiter) begin() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped.Load() {
		return false
	}
	l.fetches.Add(1)
	return true
}

// Recall gives back what m holds and forgets what it knows: its quota's
// standing was changed in the ledger, or its key has gone. The next call asks.
func (l *Limiter) Recall(m *Meter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recalls.Add(1)
	l.dropLocked(m, false)
	l.listLocked(m)
}

// Known is what a node can tell of a quota without asking.
type Known struct {
	Limit  int64         // what holds in the period
	Left   int64         // as far as this node knows: others may have spent of it
	EndsIn time.Duration // until the period ends
}

// Known tells how m stands at now; ok is false when the ledger has to be asked.
func (m *Meter) Known(now Instant) (k Known, ok bool) {
	w, s := m.read()
	mono := now.nanos()
	if s == nil || s.kind == open || s.quota != m.quota.Load() || mono >= s.until {
		return k, false
	}
	k = Known{Limit: max(s.limit(m), 0), EndsIn: time.Duration(s.ends - mono)}
	k.Left = min(max(k.Limit-int64(m.top.Load())+heldOf(w), 0), k.Limit)
	return k, true
}

func saturated(n int64) uint32 { return uint32(min(max(n, 0), 1<<32-1)) }
