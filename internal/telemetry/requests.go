package telemetry

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of Requests. With the bounds of a Record's texts, the ring holds less
// than 20 MB whatever strangers send, and about 5 MB of usual requests; a
// follower who takes nothing holds 2 MB more.
const (
	KeptRequests = 10_000 // the newest Records that are kept
	MaxFollowers = 16     // who may follow at one time
	followerRoom = 1024   // Records that wait for a slow follower
	mostTexts    = maxRequestID + maxExtended + MaxMethod + MaxPath + MaxUserAgent + MaxDetail
)

// ErrManyFollowers refuses one follower more than MaxFollowers.
var ErrManyFollowers = errors.New("telemetry: too many follow the requests already")

// Filter chooses Records. A zero field lets everything through.
type Filter struct {
	APIID, KeyID, Verdict string
	MinStatus, MaxStatus  int
	Shadow                bool // only what a usage plan in shadow mode would have refused
}

func (f *Filter) matches(r *Record) bool {
	return (f.APIID == "" || f.APIID == r.APIID) &&
		(f.KeyID == "" || f.KeyID == r.KeyID) &&
		(f.Verdict == "" || f.Verdict == r.Verdict) &&
		(!f.Shadow || r.Shadow != 0) &&
		f.MinStatus <= r.Status && (f.MaxStatus == 0 || r.Status <= f.MaxStatus)
}

// Requests keeps the newest Records in memory, for owners who look on. One
// counter gives each Record its place in the ring, and only who is at the same
// place at the same moment is waited for, for the time of a copy. Safe for
// concurrent use; made by NewRequests.
type Requests struct {
	ring []place
	next atomic.Uint64 // the number that the next Record gets
	_    [64]byte      // what every call reads apart from what every call writes

	followers atomic.Pointer[[]*Follower] // never changed in place

	mu      sync.Mutex // guards changes of followers, and stopped
	stopped bool
}

// NewRequests makes a ring of KeptRequests places.
func NewRequests() *Requests { return newRequests(KeptRequests) }

func newRequests(places int) *Requests {
	q := &Requests{ring: make([]place, places)}
	q.followers.Store(&[]*Follower{})
	return q
}

// place is where one Record is kept, in memory that the next one there uses
// again: what is allocated for every request costs more than the request.
type place struct {
	mu      sync.Mutex // guards the fields below
	used    bool
	record  Record // without its borrowed texts
	texts   []byte // these, one after the other
	lengths [6]uint16
}

// Add keeps a copy of r and lends it to nobody.
func (q *Requests) Add(r *Record) {
	n := q.next.Add(1) - 1
	r.number = n
	// First the ring, then the followers: who begins to follow in between finds
	// the Record in one of the two.
	q.place(n).keep(r)
	var own *Record
	for _, f := range *q.followers.Load() {
		if f.filter.matches(r) {
			if own == nil {
				own = r.Clone()
			}
			f.offer(own)
		}
	}
}

func (q *Requests) place(n uint64) *place { return &q.ring[n%uint64(len(q.ring))] }

func (p *place) keep(r *Record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.used && p.record.number > r.number {
		return // this Record was overtaken by a whole round
	}
	p.used = true
	p.record = *r
	p.lengths = r.lengths()
	p.texts = r.appendTexts(p.texts[:0])
	for _, s := range p.record.borrowed() {
		*s = ""
	}
}

// get gives a copy of the Record with a number when the filter chooses it; here
// is false when it is not, or not yet, at this place. Nothing is allocated
// while a call could wait for it: texts is room for a copy.
func (p *place) get(n uint64, filter *Filter, texts []byte) (r *Record, here bool) {
	p.mu.Lock()
	if here = p.used && p.record.number == n; !here || !filter.matches(&p.record) {
		p.mu.Unlock()
		return nil, here
	}
	record, lengths := p.record, p.lengths
	texts = append(texts[:0], p.texts...)
	p.mu.Unlock()
	record.take(string(texts), lengths)
	return &record, true
}

// Newest gives the newest Records that a filter chooses, at most limit, oldest
// first.
func (q *Requests) Newest(limit int, filter Filter) []*Record {
	return q.newest(limit, filter).records
}

// Find gives the Records that id names, as Refusals.Find does.
func (q *Requests) Find(id string, limit int) []*Record {
	var found []*Record
	seen := map[string]bool{}
	for _, r := range slices.Backward(q.Newest(len(q.ring), Filter{})) {
		whole := r.RequestID == id || r.ExtendedID == id
		if !whole && !strings.HasPrefix(r.RequestID, id) && !strings.HasPrefix(r.ExtendedID, id) {
			continue
		}
		if !seen[r.RequestID] {
			seen[r.RequestID] = true
			found = append(found, r)
		}
		if whole || len(found) == limit {
			break
		}
	}
	return found
}

// past is what stood in the ring when somebody looked: the Records chosen of
// the numbers from first to before end. Missing are those that were on their
// way into it.
type past struct {
	records    []*Record
	first, end uint64
	missing    []uint64
}

func (q *Requests) newest(limit int, filter Filter) past {
	p := past{end: q.next.Load()}
	p.first = p.end
	oldest := p.end - min(p.end, uint64(len(q.ring)))
	texts := make([]byte, 0, mostTexts)
	for p.first > oldest && len(p.records) < limit {
		p.first--
		r, here := q.place(p.first).get(p.first, &filter, texts)
		if !here {
			p.missing = append(p.missing, p.first)
		} else if r != nil {
			p.records = append(p.records, r)
		}
	}
	slices.Reverse(p.records)
	return p
}

// has reports whether a Record's turn came in the past already.
func (p *past) has(r *Record) bool {
	return p.first <= r.number && r.number < p.end && !slices.Contains(p.missing, r.number)
}

// Follow gives the newest Records as Newest does, and then every one that is
// added, without a gap and none twice. The caller closes the Follower. The
// error is ErrManyFollowers.
func (q *Requests) Follow(limit int, filter Filter) (*Follower, error) {
	f := &Follower{requests: q, filter: filter, live: make(chan *Record, followerRoom), ended: make(chan struct{})}
	q.mu.Lock()
	others := *q.followers.Load()
	if len(others) >= MaxFollowers {
		q.mu.Unlock()
		return nil, ErrManyFollowers
	}
	if q.stopped {
		close(f.ended)
	} else {
		all := append(slices.Clone(others), f)
		q.followers.Store(&all)
	}
	q.mu.Unlock()
	f.past = q.newest(limit, filter)
	return f, nil
}

// Stop ends all followers, now and later. Records are kept on.
func (q *Requests) Stop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.stopped {
		return
	}
	q.stopped = true
	for _, f := range *q.followers.Swap(&[]*Follower{}) {
		close(f.ended)
	}
}

// Follower is one who looks on. Its methods are for one goroutine.
type Follower struct {
	requests *Requests
	filter   Filter
	past     past // given first
	live     chan *Record
	lost     atomic.Uint64 // Records that found no room
	told     uint64        // of those, how many Next spoke of
	ended    chan struct{} // closed by Requests.Stop
}

// offer runs in the call that a Record is of.
func (f *Follower) offer(r *Record) {
	select {
	case f.live <- r:
	default:
		f.lost.Add(1)
	}
}

// Next gives the next Record, nil when none came within wait, and how many
// were lost since the last time because this follower was too slow for them.
// ok is false when the requests were stopped.
func (f *Follower) Next(wait time.Duration) (r *Record, lost uint64, ok bool) {
	if len(f.past.records) > 0 {
		r, f.past.records = f.past.records[0], f.past.records[1:]
		return r, 0, true
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		var r *Record
		select {
		case r = <-f.live: // what is there goes before any end
		default:
			select {
			case r = <-f.live:
			case <-f.ended:
				return nil, f.newlyLost(), false
			case <-timer.C:
				return nil, f.newlyLost(), true
			}
		}
		if !f.past.has(r) {
			return r, f.newlyLost(), true
		}
	}
}

func (f *Follower) newlyLost() uint64 {
	all := f.lost.Load()
	n := all - f.told
	f.told = all
	return n
}

// Waiting reports whether there is more at once.
func (f *Follower) Waiting() bool { return len(f.past.records) > 0 || len(f.live) > 0 }

// Close ends following.
func (f *Follower) Close() {
	q := f.requests
	q.mu.Lock()
	defer q.mu.Unlock()
	left := slices.DeleteFunc(slices.Clone(*q.followers.Load()), func(other *Follower) bool { return other == f })
	q.followers.Store(&left)
}
