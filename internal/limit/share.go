package limit

import (
	"context"
	"errors"
	"math"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// stake is a node's side of a bucket that nodes divide. The cell holds the
// share of the moment: while it lives, a take is the cell's and nobody waits.
// A caller who finds no living share asks for one, or waits for who is asking:
// one ask is under way at a time. Limiter.Renew asks ahead.
type stake struct {
	name    string
	cell    *Cell
	seats   *Seats // nil: the bucket holds tokens
	sharing *sharing
	asked   atomic.Int64 // calls since the demand was last measured
	alone   atomic.Int64 // until when the node refuses without asking, as Instant.nanos

	mu     sync.Mutex
	whole  *Setting // the bucket's setting, which is divided
	told   int64    // version of the newest setting that the pool has heard of
	part   portion
	due    int64   // when to renew it
	sent   int64   // when the newest ask was
	since  int64   // when the demand was last measured
	demand float64 // calls a second
	back   float64 // tokens cut from the share of backOf
	backOf uint64
	spares []ShareReturn // tokens of the pool that let nobody in
	flight *flight       // the ask under way
	next   *flight       // who waits for the next
	closed bool          // the bucket is gone
	listed int           // its place in sharing.active, from 1; under sharing's lock
}

// portion is a share as it was granted.
type portion struct {
	number uint64 // of the ask that it answered; 0: none
	rate   float64
	burst  float64
	end    int64
}

// flight is one ask with the calls that wait for it.
type flight struct {
	done  chan struct{}
	calls int // that wait
	// of the ask:
	number uint64
	sent   int64
	// of the answer:
	over     bool
	err      error
	admitted int // calls that the pool let in, and that did not go on yet
	at       time.Time
	version  int64
}

const (
	shareWait  = 2 * time.Second        // for an answer, at most
	retryAfter = 200 * time.Millisecond // a renewal that failed
	idleAfter  = shareLife * 7 / 10     // an unused share is given back while it lasts
)

var errRatesAway = errors.New("the database that divides the throttle between nodes does not answer")

// refusesAlone says whether a call is refused without asking; s is what is left
// of a share that has ended.
func (k *stake) refusesAlone(s *Setting, now int64) (Detail, bool) {
	d := Detail{Rate: s.rate, Wait: Never}
	if (s.rate.PerSecond > 0 || k.seats != nil) && s.rate.Burst > 0 {
		d.Wait = max(time.Duration(k.alone.Load()-now), 0)
	}
	return d, d.Wait > 0
}

// take takes a token, or a seat, of the share.
func (k *stake) take(now int64) (taken, bool) {
	if k.seats == nil {
		return k.cell.take(now)
	}
	t := taken{setting: k.cell.setting.Load()}
	if k.seats.take(now) {
		t.cell = k.cell
	}
	return t, t.cell != nil
}

// enter takes a token for a call that found no living share, or no free seat.
// It waits for an answer, no longer than shareWait. What refuses is told in the
// Detail, or in the error that kept the node from asking.
func (k *stake) enter(ctx context.Context) (taken, Detail, error) {
	ctx, cancel := context.WithTimeout(ctx, shareWait)
	defer cancel()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.next == nil {
		k.next = &flight{done: make(chan struct{})}
	}
	f := k.next
	f.calls++
	for {
		now := k.sharing.now()
		t, ok := k.take(now)
		if ok {
			k.leave(f)
			return t, Detail{}, nil
		}
		s := t.setting
		if !s.ended(now) && k.seats == nil { // there may be a seat elsewhere
			k.leave(f)
			return taken{}, s.refusal(int64(t.before>>tagBits), now), nil
		}
		if f.over {
			return k.outcome(f, s, now)
		}
		d, is := k.refusesAlone(s, now)
		if is || k.isClosed() {
			k.leave(f)
			return taken{}, d, nil
		}
		if !k.await(ctx, f, now) && !f.over {
			k.leave(f)
			return taken{}, d, errRatesAway
		}
	}
}

// await waits until an ask is over, its own or the one before it; it sends the
// next if none is under way. It says no when there is nothing to wait for, or
// no longer. The lock is held before and after, not while it waits.
func (k *stake) await(ctx context.Context, f *flight, now int64) bool {
	if k.flight == nil {
		if !k.sharing.mayAsk(now) {
			return false
		}
		ask := k.depart(now)
		k.mu.Unlock()
		defer k.mu.Lock()
		k.sharing.share(ctx, []*stake{k}, []ShareAsk{ask})
		return true
	}
	if k.sharing.away() {
		return false
	}
	done := k.flight.done
	k.mu.Unlock()
	defer k.mu.Lock()
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return false
	}
}

func (k *stake) isClosed() bool { return k.closed || k.sharing.closed.Load() }

// leave takes a call off a flight that it does not wait for.
func (k *stake) leave(f *flight) {
	f.calls--
	if f.over && f.admitted > f.calls {
		f.admitted--
		k.spare(f.at, f.version, 1)
	}
}

// outcome is what a flight brought a call that waited for it.
func (k *stake) outcome(f *flight, s *Setting, now int64) (taken, Detail, error) {
	f.calls--
	d := Detail{Rate: s.rate, Wait: max(time.Duration(k.alone.Load()-now), 1)}
	switch {
	case f.err != nil:
		return taken{}, d, errors.Join(errRatesAway, f.err)
	case f.admitted > 0:
		f.admitted--
		return taken{cell: k.cell, before: uint64(f.version), at: f.at.UnixNano()}, d, nil
	}
	return taken{}, d, nil
}

// spare notes tokens that the pool gave to calls that did not go on.
func (k *stake) spare(at time.Time, version int64, n int) {
	k.spares = append(k.spares, ShareReturn{Bucket: k.name, Node: k.sharing.node, Spare: n, At: at, Version: version})
	k.sharing.list(k)
}

// refund takes a token back that the pool gave.
func (k *stake) refund(t taken) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.spare(time.Unix(0, t.at), int64(t.before), 1)
}

// depart puts the next flight on its way.
func (k *stake) depart(now int64) ShareAsk {
	f := k.next
	if f == nil {
		f = &flight{done: make(chan struct{})}
	}
	k.flight, k.next = f, nil
	f.number, f.sent = k.sharing.number.Add(1), now

	k.measure(now)
	k.sent = now

	a := ShareAsk{
		Bucket: k.name, Setting: k.whole.rate, Version: k.whole.version, Node: k.sharing.node, Number: f.number,
		Back: k.back, BackOf: k.backOf, Demand: k.demand, Want: f.calls,
	}
	if w, s := k.cell.read(); !s.ended(now) {
		a.Has, a.Tokens = k.part.number, s.tokens(int64(w>>tagBits), now)
	}
	if k.seats != nil {
		a.Seats, a.Sits = true, k.seats.Taken()
		if k.demand > 0 {
			a.Want = max(a.Want, 1-a.Sits) // calls come one after the other
		}
	}
	k.back, k.backOf = 0, 0 // gone with the ask, whether it arrives or not
	return a
}

// measure tells the demand from the calls that came, when they have been enough
// or for long enough. What has risen much is believed at once, the rest smoothed.
func (k *stake) measure(now int64) {
	since := time.Duration(now - k.since)
	n := k.asked.Load()
	if k.since == 0 || since > time.Second {
		since = time.Second
	}
	if since < time.Second/2 && n < 10 {
		return
	}
	k.asked.Add(-n)
	k.since = now
	lately := float64(n) / max(since, time.Millisecond).Seconds()
	if k.demand = (k.demand + lately) / 2; lately > k.demand*4/3 {
		k.demand = lately
	}
}

// arrive ends the flight.
func (k *stake) arrive(a ShareAnswer, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f, now := k.flight, k.sharing.now()
	k.flight = nil
	f.over, f.err = true, err
	defer close(f.done)
	if err != nil {
		k.due = now + int64(retryAfter) // meanwhile what the node has is good
		return
	}
	if k.told = a.Version; a.Version > k.whole.version {
		k.whole = CompileVersion(a.Setting, a.Version)
	}
	f.at, f.version = a.At, a.Version
	f.admitted = min(a.Admitted, f.calls)
	if gone := a.Admitted - f.admitted; gone > 0 {
		k.spare(a.At, a.Version, gone)
	}
	k.due = f.sent + int64(a.Again)
	k.sharing.list(k)
	if a.Life == 0 {
		k.alone.Store(now + int64(a.Again))
		if k.seats != nil {
			k.end(now) // unless somebody sat down meanwhile
			return
		}
		k.replace(portion{}, 0, now)
		return
	}
	k.replace(portion{f.number, a.Rate, a.Burst, f.sent + int64(a.Life-a.Life/10)}, a.Tokens, now)
	switch {
	case k.isClosed(), k.seats == nil && a.Version < k.whole.version:
		k.end(now)
	case k.seats != nil && k.seats.Taken() >= k.seats.Limit():
		k.alone.Store(now + int64(settleAfter))
	}
}

// replace puts a share in the place of what the node has, whose tokens it
// keeps, with some more. What there is no room for goes back with the next ask.
func (k *stake) replace(p portion, tokens float64, now int64) {
	next, from := k.fit(p), p.number
	if k.seats != nil {
		k.seats.limit.Store(min(int64(p.burst), int64(k.whole.rate.Burst)))
		k.cell.setting.Store(next)
		k.part = p
		return
	}
	w, old := k.cell.freeze()
	if !old.ended(now) {
		tokens += old.tokens(int64(w>>tagBits), now)
		from = k.part.number
	}
	kept := uint64(max(min(tokens, next.burst())*grain, 0))
	k.cell.thaw(w, next, now+next.depth-grains(next.interval, kept))
	if more := tokens - float64(kept)/grain; more > 0 {
		if k.backOf == 0 || from < k.backOf {
			k.backOf = from // of two the older: it is the first to end
		}
		k.back += more
	}
	k.part = p
}

// fit makes the setting of a share; without one, that of a cell that asks.
func (k *stake) fit(p portion) *Setting {
	s := &Setting{rate: k.whole.rate, version: k.whole.version, stake: k}
	if k.seats != nil {
		s.end = p.end
	} else if p.rate > 0 {
		s.end = p.end
		s.interval = int64(min(math.Ceil(1e9/p.rate), maxInterval))
		s.depth = grains(s.interval, uint64(p.burst*grain))
	}
	return s
}

// grains returns n grains of a token, in time.
func grains(interval int64, n uint64) int64 {
	hi, lo := bits.Mul64(uint64(interval), n)
	if hi >= grain {
		return maxDepth
	}
	return int64(min(hi<<(64-grainBits)|lo>>grainBits, maxDepth))
}

// burst returns the most tokens that the setting lets lie in its cell.
func (s *Setting) burst() float64 {
	if s.depth == 0 {
		return 0
	}
	return float64(s.depth) / float64(s.interval)
}

// edit brings the bucket to another setting. What was used stays used, by all
// nodes together: each gives back what it has and tells the pool of the edit,
// also if nobody calls, and the next call asks anew.
func (k *stake) edit(whole *Setting, now int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if whole.version < k.whole.version || whole == k.whole {
		return
	}
	old := k.whole
	k.whole = whole
	if old.rate == whole.rate {
		if k.told == old.version {
			k.told = whole.version // there is nothing to tell
		}
		return
	}
	k.alone.Store(0)
	k.due = now
	if k.seats == nil {
		k.end(now)
		return
	}
	k.replace(k.part, 0, now) // who sits stays seated
	k.sharing.list(k)
}

// end gives the share back, with the next ask or Renew, and leaves a cell that
// asks. Seats are kept as long as somebody sits.
func (k *stake) end(now int64) {
	if k.seats != nil {
		k.seats.limit.Store(0)
		if k.seats.Taken() > 0 {
			k.replace(k.part, 0, now)
			return
		}
	}
	if _, s := k.cell.read(); !s.ended(now) && k.backOf == 0 {
		k.backOf = k.part.number
	}
	k.replace(portion{}, 0, now)
	k.sharing.list(k)
}

// collect returns what is to be told when nothing is asked.
func (k *stake) collect() []ShareReturn {
	back := k.spares
	if k.backOf != 0 {
		back = append(back, ShareReturn{Bucket: k.name, Node: k.sharing.node, Has: k.backOf, Tokens: k.back})
	}
	k.spares, k.back, k.backOf = nil, 0, 0
	return back
}
