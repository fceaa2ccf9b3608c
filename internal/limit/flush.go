package limit

import "context"

// flushBatch bounds one transaction, so that a flush of very many accounts
// does not stand in the way of a spend for long.
const flushBatch = 1000

// tallies is what is to be recorded, by account.
type tallies map[*Account][]tally

// tally is a number of calls on a day, and how much less is held since a day.
type tally struct {
	day, lease     Day
	calls, release int64
}

func (t tallies) add(a *Account, more tally) {
	if more.calls == 0 && more.release == 0 {
		return
	}
	of := t[a]
	for i := range of {
		if of[i].day == more.day && of[i].lease == more.lease {
			of[i].calls += more.calls
			of[i].release += more.release
			return
		}
	}
	t[a] = append(of, more)
}

// Tend is called once a second: it gives back leases that nobody spends and
// records what was admitted, as Flush does.
func (l *Limiter) Tend(ctx context.Context) error { return l.flush(ctx, (*Limiter).ageLocked) }

// Flush records the calls that were admitted without asking the ledger, and
// returns when they are durable: calls without a quota, and calls that were
// held. Tend does it once a second; it is called besides before usage is shown.
// A kill loses what was counted since without a quota; what was held is in the
// ledger. After an error the calls that were not recorded are brought again by
// the next Flush.
func (l *Limiter) Flush(ctx context.Context) error { return l.flush(ctx, (*Limiter).keepLocked) }

// Stop ends the fetches under way, gives every lease back, records everything,
// and tells the ledger that this node holds nothing any more. It is called once
// nothing is taken any more, and once. After an error this node's leases, or
// some, are lost until their periods end.
func (l *Limiter) Stop(ctx context.Context) error {
	l.mu.Lock() // see begin and learnLocked: what comes later begins nothing, and holds nothing
	l.stopped.Store(true)
	l.mu.Unlock()
	fetched := make(chan struct{})
	go func() {
		defer close(fetched)
		l.fetches.Wait()
	}()
	select {
	case <-fetched:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := l.flush(ctx, (*Limiter).endLocked); err != nil {
		return err
	}
	select {
	case <-l.flushing:
		defer func() { l.flushing <- struct{}{} }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if l.ledger == nil {
		return nil
	}
	return l.record(ctx, Batch{Last: true})
}

// flush visits every meter in the list and records what there is.
func (l *Limiter) flush(ctx context.Context, visit func(*Limiter, *Meter)) error {
	select {
	case <-l.flushing:
		defer func() { l.flushing <- struct{}{} }()
	case <-ctx.Done():
		return ctx.Err()
	}
	l.sweep(visit)
	l.mu.Lock()
	all := l.overdue
	l.overdue = tallies{}
	l.mu.Unlock()
	return l.recordAll(ctx, all)
}

// settle records what there is of one meter: the ledger has to know of it
// before it is asked. While nothing is, it costs no transaction.
func (l *Limiter) settle(ctx context.Context, m *Meter) error {
	select {
	case <-l.flushing:
		defer func() { l.flushing <- struct{}{} }()
	case <-ctx.Done():
		return ctx.Err()
	}
	l.mu.Lock()
	l.collectLocked(m)
	one := tallies{}
	if of := l.overdue[m.account]; of != nil {
		one[m.account] = of
		delete(l.overdue, m.account)
	}
	l.mu.Unlock()
	if err := l.recordAll(ctx, one); err != nil {
		return err
	}
	m.set(func(w word) word {
		if usedOf(w) == 0 {
			w &^= owing
		}
		return w
	})
	return nil
}

// recordAll records the batch whose outcome is not known, if there is one, and
// then all. What it does not get to is overdue again.
func (l *Limiter) recordAll(ctx context.Context, all tallies) (err error) {
	counts := merge(all)
	if l.batch.Seq != 0 {
		// Brought as it was, so that the ledger knows it again if it got through.
		err = l.bring(ctx)
	}
	for len(counts) > 0 && err == nil {
		n := min(len(counts), flushBatch)
		err = l.record(ctx, Batch{Counts: counts[:n]})
		counts = counts[n:]
	}
	if len(counts) == 0 {
		return err
	}
	owner := make(map[Account]*Account, len(all))
	for a := range all {
		owner[*a] = a
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range counts {
		l.overdue.add(owner[c.Account], tally{c.Day, c.Lease, c.Calls, c.Release})
	}
	return err
}

// record brings a new batch.
func (l *Limiter) record(ctx context.Context, b Batch) error {
	l.seq++
	b.Seq = l.seq
	l.batch = b
	return l.bring(ctx)
}

// bring brings the batch whose outcome is not known.
func (l *Limiter) bring(ctx context.Context) error {
	err := l.ledger.Record(ctx, l.batch)
	if err == nil {
		l.batch = Batch{}
	}
	return err
}

// merge makes one count of each account, day and lease: an account may have had
// two meters.
func merge(all tallies) []Count {
	type key struct {
		account    Account
		day, lease Day
	}
	at := make(map[key]int, len(all))
	counts := make([]Count, 0, len(all))
	for a, of := range all {
		for _, t := range of {
			k := key{*a, t.day, t.lease}
			i, seen := at[k]
			if !seen {
				i = len(counts)
				at[k] = i
				counts = append(counts, Count{Account: k.account, Day: k.day, Lease: k.lease})
			}
			counts[i].Calls += t.calls
			counts[i].Release += t.release
		}
	}
	return counts
}

// sweep visits the meters in the list, a few at a time, and leaves out those
// that have nothing to come back for.
func (l *Limiter) sweep(visit func(*Limiter, *Meter)) {
	const few = 64 // a call that needs the lock waits for so many
	l.mu.Lock()
	m := l.list
	l.list = nil
	l.mu.Unlock()
	for m != nil {
		l.mu.Lock()
		for i := 0; i < few && m != nil; i++ {
			next := m.next
			visit(l, m)
			m = next
		}
		l.mu.Unlock()
	}
}

// keepLocked collects what m admitted, and keeps it in the list while it admits
// or holds anything.
func (l *Limiter) keepLocked(m *Meter) {
	w, s := m.read()
	l.collectLocked(m)
	if s != nil && s.kind == leased && (s.quota != m.quota.Load() || l.clock != nil && l.mono(s) >= s.until) {
		l.dropLocked(m, s.quota == m.quota.Load())
	}
	for {
		now, _ := m.read()
		if usedOf(w) > 0 || heldOf(now) > 0 || now&fetching != 0 || usedOf(now) > 0 {
			m.next, l.list = l.list, m
			return
		}
		if m.word.CompareAndSwap(now, now&^(listed|fetched)) {
			m.next = nil
			return
		}
	}
}

// ageLocked is keepLocked once a tick: it looks at how much of its lease m
// spent, and gives back what it holds for nothing.
func (l *Limiter) ageLocked(m *Meter) {
	w, s := m.read()
	if s != nil && s.kind == leased && heldOf(w) > 0 {
		l.resizeLocked(m, w, s)
	} else {
		m.set(func(w word) word { return w &^ fetched })
	}
	l.keepLocked(m)
}

func (l *Limiter) resizeLocked(m *Meter, w word, s *state) {
	used, size, idle := usedOf(w), sizeOf(w), 0
	switch {
	case used == 0 && idleOf(w) >= idleTicks:
		// The ledger is told at once (see Tend), so nobody owes it anything.
		l.dropLocked(m, true)
		m.set(func(w word) word { return withSize(w, 0) &^ fetched })
		return
	case used == 0:
		idle = idleOf(w) + 1
	}
	if used < 1<<size/4 && size > leastSize {
		size--
	}
	m.set(func(w word) word { return withIdle(withSize(w, size), idle) &^ fetched })
	for {
		w, _ = m.read()
		surplus := heldOf(w) - 2<<size
		if surplus <= 2<<size {
			return
		}
		if m.word.CompareAndSwap(w, w-word(surplus)<<heldShift) {
			l.overdue.add(m.account, tally{s.start, s.lease, 0, surplus})
			return
		}
	}
}

// endLocked gives back everything.
func (l *Limiter) endLocked(m *Meter) {
	l.dropLocked(m, true)
	l.keepLocked(m)
}
