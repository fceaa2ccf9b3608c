package telemetry

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of Refusals.
const (
	KeptRefusals = 100_000 // the newest refusals that are kept
	refusalTexts = 158     // bytes that one keeps of texts
	chunkSize    = 1000    // refusals whose memory is taken at once
)

// Refusals keeps the newest refused and missed calls in memory, so that an
// owner can ask by a request's id why. Each takes 256 bytes, 24.4 MiB for all
// of them, in pieces that are taken as they fill: a server that refuses nothing
// has none. What is long is cut: of its texts a refusal keeps the ids first,
// then the path and the sentence as far as there is room; one that is cut ends
// in an ellipsis.
//
// There is no index: to find an id is to look at all, which takes milliseconds,
// an owner does it by hand, and a flood of refused calls does not pay for it.
// Safe for concurrent use; made by NewRefusals.
type Refusals struct {
	since  time.Time
	chunks []atomic.Pointer[[chunkSize]refusal]
	next   atomic.Uint64 // the number that the next refusal gets
}

// NewRefusals makes a ring of KeptRefusals places. since is when it begins to
// see refusals.
func NewRefusals(since time.Time) *Refusals { return newRefusals(since, KeptRefusals/chunkSize) }

func newRefusals(since time.Time, chunks int) *Refusals {
	return &Refusals{since: since, chunks: make([]atomic.Pointer[[chunkSize]refusal], chunks)}
}

// refusal is a place of the ring. It holds no pointer, so the collector does
// not look into it.
type refusal struct {
	mu sync.Mutex // guards the fields below

	number  uint64 // from 1; 0: nothing is here yet
	at      int64  // nanoseconds since 1970
	rate    float64
	tokens  float64
	most    int64
	used    int64
	clears  time.Duration
	source  [16]byte
	status  uint16
	cause   Cause
	kind    LimitKind
	missed  bool
	period  byte  // 'D', 'W' or 'M'
	family  uint8 // of source: 4, 6, or 0 for none
	lengths [11]uint8
	texts   [refusalTexts]byte
}

// kept are the texts of a Record that a refusal keeps, in the order in which
// they get room. What is of the configuration comes before what a stranger
// chose.
func (r *Record) kept() [11]*string {
	return [11]*string{
		&r.RequestID, &r.ExtendedID, &r.KeyID, &r.PlanID, &r.APIID, &r.Stage, &r.Reason, &r.Method, &r.ResourcePath, &r.Path, &r.Detail,
	}
}

// Add keeps a copy of r when it is a refusal or a miss.
func (q *Refusals) Add(r *Record) {
	if r.Verdict != Refused && r.Verdict != Missed {
		return
	}
	n := q.next.Add(1)
	q.place(n).keep(n, r)
}

// place is where the refusal with a number is kept; its memory is taken here
// when nothing was there before.
func (q *Refusals) place(n uint64) *refusal {
	i := (n - 1) % uint64(len(q.chunks)*chunkSize)
	at := &q.chunks[i/chunkSize]
	chunk := at.Load()
	if chunk == nil {
		at.CompareAndSwap(nil, new([chunkSize]refusal))
		chunk = at.Load()
	}
	return &chunk[i%chunkSize]
}

func (p *refusal) keep(n uint64, r *Record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.number > n {
		return // this one was overtaken by a whole round
	}
	p.number, p.at, p.status, p.cause, p.missed = n, r.Time.UnixNano(), uint16(r.Status), r.Cause, r.Verdict == Missed
	switch p.source = r.SourceIP.As16(); {
	case r.SourceIP.Is4():
		p.family = 4
	case r.SourceIP.IsValid():
		p.family = 6
	default:
		p.family = 0
	}
	l := &r.Limit
	p.kind, p.rate, p.tokens, p.used, p.clears, p.period = l.Kind, l.Rate, l.Tokens, l.Used, l.ClearsIn, 0
	if p.most = l.Most; l.Kind == Bucket {
		p.most = l.Burst
	}
	if l.Period != "" {
		p.period = l.Period[0]
	}
	room := p.texts[:]
	for i, text := range r.kept() {
		n := put(room[:min(len(room), 255)], *text)
		p.lengths[i], room = uint8(n), room[n:]
	}
}

// put writes a text, or as much of its front as there is room for, with an
// ellipsis when it is cut.
func put(room []byte, text string) (n int) {
	const more = "…"
	if len(text) <= len(room) || len(room) < len(more) {
		return copy(room, clip(text, len(room)))
	}
	n = copy(room, clip(text, len(room)-len(more)))
	return n + copy(room[n:], more)
}

// is says whether the refusal is the one that id names: its request id, its
// extended request id, or the beginning of one of them.
func (p *refusal) is(id string) (whole, is bool) {
	requestID, extended := p.texts[:p.lengths[0]], p.texts[p.lengths[0]:][:p.lengths[1]]
	for _, own := range [][]byte{requestID, extended} {
		if len(id) <= len(own) && string(own[:len(id)]) == id {
			return len(id) == len(own), true
		}
	}
	return false, false
}

// record gives the refusal as it was added, but for what it did not keep.
func (p *refusal) record() *Record {
	r := &Record{
		Time: time.Unix(0, p.at), Status: int(p.status), Verdict: Refused, Cause: p.cause,
		Limit: Limit{Kind: p.kind, Rate: p.rate, Tokens: p.tokens, Most: p.most, Used: p.used, ClearsIn: p.clears},
	}
	if p.missed {
		r.Verdict = Missed
	}
	if p.kind == Bucket {
		r.Limit.Most, r.Limit.Burst = 0, p.most
	}
	for _, period := range []string{"DAY", "WEEK", "MONTH"} {
		if period[0] == p.period {
			r.Limit.Period = period
		}
	}
	switch p.family {
	case 4:
		r.SourceIP = netip.AddrFrom16(p.source).Unmap()
	case 6:
		r.SourceIP = netip.AddrFrom16(p.source)
	}
	texts := string(p.texts[:])
	for i, text := range r.kept() {
		*text, texts = texts[:p.lengths[i]], texts[p.lengths[i]:]
	}
	return r
}

// Find gives the refusals that id names, newest first: by a request id or an
// extended one, or the beginning of one. Of several with one request id, which
// a caller can choose itself, it gives the newest, and it gives at most limit.
func (q *Refusals) Find(id string, limit int) []*Record {
	var found []*Record
	seen := map[string]bool{}
	q.each(func(p *refusal) bool {
		whole, is := p.is(id)
		if !is {
			return true
		}
		if r := p.record(); !seen[r.RequestID] {
			seen[r.RequestID] = true
			found = append(found, r)
		}
		return !whole && len(found) < limit
	})
	return found
}

// Newest gives the newest refusal that filter chooses, or nil.
func (q *Refusals) Newest(filter Filter) (newest *Record) {
	q.each(func(p *refusal) bool {
		if r := p.record(); filter.matches(r) {
			newest = r
		}
		return newest == nil
	})
	return newest
}

// each visits what is kept, newest first, while visit says so. A refusal that
// is on its way into its place is not visited.
func (q *Refusals) each(visit func(*refusal) bool) {
	end := q.next.Load()
	oldest := end - min(end, uint64(len(q.chunks)*chunkSize))
	for n := end; n > oldest; n-- {
		p := q.place(n)
		p.mu.Lock()
		on := p.number != n || visit(p)
		p.mu.Unlock()
		if !on {
			return
		}
	}
}

// Span says since when refusals are seen, of when the oldest is that is kept
// (the zero time: none), and how many were forgotten for newer ones.
func (q *Refusals) Span() (since, oldest time.Time, forgotten uint64) {
	q.each(func(p *refusal) bool {
		oldest = time.Unix(0, p.at)
		return true
	})
	end := q.next.Load()
	return q.since, oldest, end - min(end, uint64(len(q.chunks)*chunkSize))
}
