package limit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// sharing is what the divided buckets of a limiter have in common.
type sharing struct {
	rates  Rates
	node   string
	clock  func() time.Duration
	number atomic.Uint64 // of the newest ask or return

	failed  atomic.Int64 // when an ask last failed, as Instant.nanos, and none has succeeded since; 0: they succeed
	probing atomic.Bool  // a caller is finding out

	closed atomic.Bool // this process is about to end

	renewing sync.Mutex // held by the one Renew under way

	mu     sync.Mutex
	stakes map[string]*stake
	active []*stake // have a share, or something to give back
}

const (
	askBatch   = 500 // asks in one Share
	probeAfter = int64(100 * time.Millisecond)
)

// WithRates makes the limiter divide buckets with other nodes. node names this
// run of this process. It needs WithClock.
func WithRates(rates Rates, node string) Option {
	return func(l *Limiter) {
		l.sharing = &sharing{rates: rates, node: node, stakes: map[string]*stake{}}
	}
}

// Divides says whether buckets may be divided with other nodes: then they are
// made by Bucket.
func (l *Limiter) Divides() bool { return l.sharing != nil }

// Bucket returns the bucket of this name, which all nodes divide; the same as
// before when it was asked for before. A new one has no share yet: its first
// call asks for one.
func (l *Limiter) Bucket(name string, s *Setting, now Instant) *Cell {
	k := l.sharing.stake(name, s, false)
	k.edit(s, now.nanos())
	return k.cell
}

// Seats returns the n seats of this name, which all nodes divide; the same as
// before when they were asked for before. The highest version counts. A seat is
// held for as long as its call lasts, and by a node that is out of reach for
// half a minute: then others may take it.
func (l *Limiter) Seats(name string, n int, version int64, now Instant) *Seats {
	s := CompileVersion(Rate{Burst: n}, version)
	k := l.sharing.stake(name, s, true)
	k.edit(s, now.nanos())
	return k.seats
}

// stake returns the stake of this name; it is made when there is none.
func (h *sharing) stake(name string, s *Setting, seats bool) *stake {
	h.mu.Lock()
	defer h.mu.Unlock()
	k := h.stakes[name]
	if k == nil {
		k = &stake{name: name, cell: &Cell{}, sharing: h, whole: s}
		if seats {
			k.seats = &Seats{cell: k.cell}
		}
		k.cell.setting.Store(k.fit(portion{}))
		h.stakes[name] = k
	}
	return k
}

// Forget says that a bucket is gone: calls that still reach it are refused. A
// cell that is not divided needs no such word.
func (l *Limiter) Forget(c *Cell) { l.forget(c.setting.Load().stake) }

// ForgetSeats is Forget for seats.
func (l *Limiter) ForgetSeats(s *Seats) { l.forget(s.stake()) }

func (l *Limiter) forget(k *stake) {
	if k == nil {
		return
	}
	h := l.sharing
	h.mu.Lock()
	if h.stakes[k.name] == k {
		delete(h.stakes, k.name)
	}
	h.mu.Unlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
	k.end(h.now())
}

// Renew asks ahead for the shares that are used, and gives back those that are
// not, and tokens that were too many. Its owner calls it about ten times a
// second; a second call at once does nothing. The error is what kept it from
// some of that: what was not renewed lasts until its end.
func (l *Limiter) Renew(ctx context.Context) error {
	h := l.sharing
	if h == nil || !h.renewing.TryLock() {
		return nil
	}
	defer h.renewing.Unlock()
	h.mu.Lock()
	active := slices.Clone(h.active)
	h.mu.Unlock()
	var (
		stakes []*stake
		asks   []ShareAsk
		back   []ShareReturn
		errs   []error
	)
	now := h.now()
	for _, k := range active {
		ask, gone := k.tend(now)
		back = append(back, gone...)
		if ask != nil {
			stakes, asks = append(stakes, k), append(asks, *ask)
		}
		if len(asks) == askBatch {
			errs = append(errs, h.share(ctx, stakes, asks))
			stakes, asks = nil, nil
			now = h.now()
		}
	}
	if len(asks) > 0 {
		errs = append(errs, h.share(ctx, stakes, asks))
	}
	return errors.Join(append(errs, h.giveBack(ctx, back))...)
}

// ReturnShares gives every share back: the end of a clean stop. A bucket that
// is divided refuses from then on.
func (l *Limiter) ReturnShares(ctx context.Context) error {
	h := l.sharing
	if h == nil {
		return nil
	}
	h.mu.Lock()
	active := slices.Clone(h.active)
	h.closed.Store(true) // an answer on its way is used by nobody
	h.mu.Unlock()
	var back []ShareReturn
	for _, k := range active {
		k.mu.Lock()
		k.end(h.now())
		back = append(back, k.collect()...)
		k.mu.Unlock()
	}
	return h.giveBack(ctx, back)
}

// tend says what is to be done for a bucket now: an ask, or what to give back.
func (k *stake) tend(now int64) (*ShareAsk, []ShareReturn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, s := k.cell.read()
	used, edited := k.asked.Load() > 0 || k.back >= 1 || k.seats != nil && k.seats.Taken() > 0, k.sent != 0 && k.told < k.whole.version
	switch {
	case k.flight != nil:
		return nil, nil
	case now >= k.due && (edited || used && !s.ended(now)):
		ask := k.depart(now)
		return &ask, nil
	case s.ended(now) && (k.next == nil || k.next.calls == 0):
		k.sharing.unlist(k)
	case !used && now >= k.sent+int64(idleAfter):
		k.end(now)
	default:
		return nil, nil
	}
	return nil, k.collect()
}

func (h *sharing) now() int64 { return Instant{Mono: h.clock()}.nanos() }

// list sees to it that Renew looks at k.
func (h *sharing) list(k *stake) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if k.listed == 0 {
		h.active = append(h.active, k)
		k.listed = len(h.active)
	}
}

func (h *sharing) unlist(k *stake) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if k.listed == 0 {
		return
	}
	last := len(h.active) - 1
	h.active[k.listed-1] = h.active[last]
	h.active[k.listed-1].listed = k.listed
	h.active[last], k.listed = nil, 0
	h.active = h.active[:last]
}

// away says whether the last ask failed.
func (h *sharing) away() bool { return h.failed.Load() != 0 }

// mayAsk says whether a caller may ask. When the database does not answer, one
// finds out for all, now and then.
func (h *sharing) mayAsk(now int64) bool {
	failed := h.failed.Load()
	return failed == 0 || now >= failed+probeAfter && h.probing.CompareAndSwap(false, true)
}

// share asks for several buckets at once, and brings them the answers. A caller
// that goes away does not end it: others wait for the same answer.
func (h *sharing) share(ctx context.Context, stakes []*stake, asks []ShareAsk) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shareWait)
	defer cancel()
	answers, err := h.rates.Share(ctx, asks)
	if err == nil && len(answers) != len(asks) {
		err = fmt.Errorf("%d answers to %d asks", len(answers), len(asks))
	}
	if err == nil {
		h.failed.Store(0)
	} else {
		answers = make([]ShareAnswer, len(asks))
		h.failed.Store(max(h.now(), 1))
	}
	h.probing.Store(false)
	for i, k := range stakes {
		k.arrive(answers[i], err)
	}
	return err
}

// giveBack tells what is given back. It is told once: after an error it is not
// known whether it was heard.
func (h *sharing) giveBack(ctx context.Context, back []ShareReturn) error {
	ctx, cancel := context.WithTimeout(ctx, shareWait)
	defer cancel()
	var errs []error
	for batch := range slices.Chunk(back, askBatch) {
		errs = append(errs, h.rates.Return(ctx, batch))
	}
	return errors.Join(errs...)
}
