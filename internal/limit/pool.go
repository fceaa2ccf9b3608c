package limit

import (
	"math"
	"slices"
	"time"
)

// Pool is a bucket that nodes divide: the row of Rates. Its arithmetic is pure;
// it is exported for who stores it, as one JSON document. The zero Pool is of a
// bucket that nobody has used: it begins full.
//
// What holds at any time, and what soundness rests on: the tokens in the pool
// and the bursts of all shares together are at most the bucket's burst, and
// the rates of all shares at most its rate; what flows into the pool is the
// rate that no share has. A token is in one place: granting, renewing and
// giving back move it, and a share that ends takes its tokens with it. So all
// nodes together admit in any window no more than burst + rate × length,
// whatever is lost or late. (After an edit that lowers the setting, shares
// keep the old one until their nodes have heard of it or they end.)
//
// A renewal whose answer is on its way is counted with the greater of the share
// that the node had and the one that it gets: the answer may be lost, and then
// the node goes on with the old one. The node's next ask says which it has.
type Pool struct {
	Setting Rate    `json:"setting"`
	Version int64   `json:"version"`
	Seats   bool    `json:"seats,omitempty"`
	Tokens  float64 `json:"tokens"` // below zero after an edit that lowered the burst below what was used
	At      int64   `json:"at"`     // when Tokens was right: nanoseconds since 1970 by the database's clock; 0: the zero Pool
	Parts   []part  `json:"parts,omitempty"`
}

// part is what the pool knows of a node that asked lately.
type part struct {
	Node   string  `json:"node"`
	Number uint64  `json:"number"` // of its newest ask
	Demand float64 `json:"demand"`
	Until  int64   `json:"until"` // it is forgotten then
	New    share   `json:"new"`   // the answer to the newest ask
	Old    share   `json:"old"`   // what the node had when it asked
}

// share is a part of rate and burst that a node may use. The zero share is none.
type share struct {
	Number uint64  `json:"number,omitempty"` // of the ask that it answered
	Rate   float64 `json:"rate,omitempty"`
	Burst  float64 `json:"burst,omitempty"`
	Until  int64   `json:"until,omitempty"`
}

const (
	shareLife = 2 * time.Second
	// Seats are held longer: a call that sits cannot be ended with its share,
	// and no integration answers later than this.
	seatLife = 30 * time.Second

	renewAfter  = time.Second            // a share that is used
	settleAfter = 100 * time.Millisecond // while the split is moving
	waitAtMost  = time.Second            // that a node refuses alone

	// Below this rate there are no shares: each admission is an ask.
	fewestToShare = 10

	// A share's rate is less by this, so that nodes whose clocks run faster
	// than the database's by as much do not exceed the whole.
	rateMargin = 1e-3

	rounding  = 1e-9 // of what flows in: sums of fractions never mint
	grainBits = 10   // shares are whole grains of a token, whose sums are exact
	grain     = 1 << grainBits
	mostRate  = 1e12
)

// Share answers an ask. nodes is how many nodes live, as far as the database
// knows; now is the database's clock. The pool is changed and to be stored.
func (p *Pool) Share(a ShareAsk, nodes int, now time.Time) ShareAnswer {
	a.Setting.PerSecond = min(max(a.Setting.PerSecond, 0), mostRate)
	a.Setting.Burst = max(a.Setting.Burst, 0)
	p.advance(a, now)
	answer := ShareAnswer{Again: settleAfter, Setting: p.Setting, Version: p.Version, At: time.Unix(0, p.At)}
	me := p.find(a.Node)
	if me == nil {
		p.Parts = append(p.Parts, part{Node: a.Node})
		me = &p.Parts[len(p.Parts)-1]
	}
	if a.Number <= me.Number {
		return answer // overtaken by a later one: nobody waits for it
	}
	p.confirm(me, a)
	life := shareLife
	nodes = max(nodes, len(p.Parts))
	switch s := p.split(me, nodes); {
	case p.Seats:
		life = seatLife
		p.giveSeats(me, nodes, a, &answer)
	case p.Setting.PerSecond == 0 || p.Setting.Burst == 0:
		answer.Again = waitAtMost
	case p.Setting.PerSecond < fewestToShare || p.Setting.Burst < s.nodes || s.burst < 1 || s.rate <= 0 || p.Tokens < 0:
		p.admit(a.Want, &answer)
	default:
		p.give(me, s, a, &answer)
	}
	if me.New.Number != 0 {
		me.New.Until = p.At + int64(life)
		answer.Life = life
	}
	me.Until = max(p.At+int64(shareLife), me.New.Until, me.Old.Until)
	p.cut()
	return answer
}

// Return takes back what a node no longer uses.
func (p *Pool) Return(r ShareReturn, now time.Time) {
	if p.At == 0 {
		return
	}
	p.pass(now)
	if r.Spare > 0 && r.Version == p.Version && !p.Seats {
		// As a cell's give-back: what the token has regained by itself since it
		// was taken is not returned once more.
		gained := p.Setting.PerSecond * time.Duration(p.At-r.At.UnixNano()).Seconds()
		p.Tokens += float64(r.Spare) * max(1-gained, 0) * (1 - rounding)
	}
	if me := p.find(r.Node); me != nil {
		p.Tokens += min(max(r.Tokens, 0), me.of(r.Has).Burst)
		switch {
		case r.Has == 0:
		case me.New.Number == r.Has: // it took the place of the old
			me.New, me.Old = share{}, share{}
		case me.Old.Number == r.Has:
			me.Old = share{}
		}
		if r.Has != 0 && me.New.Number == 0 && me.Old.Number == 0 {
			p.Parts = slices.DeleteFunc(p.Parts, func(q part) bool { return q.Node == r.Node })
		}
	}
	p.cut()
}

// Idle says since when, if nobody asks before, the pool is as good as a new one
// and its row may be deleted: as At; math.MaxInt64 is never.
func (p *Pool) Idle() int64 {
	idle := p.At
	for i := range p.Parts {
		idle = max(idle, p.Parts[i].Until)
	}
	missing := float64(p.Setting.Burst) - p.Tokens
	if p.Seats || missing <= float64(p.Setting.Burst)*rounding {
		return idle
	}
	wait := missing / p.Setting.PerSecond * (1 + 2*rounding) * float64(time.Second)
	if wait < 1<<62 { // not when the rate is zero
		return idle + int64(math.Ceil(wait))
	}
	return math.MaxInt64
}

// advance brings the pool to now and to the newest setting. An edit keeps what
// was used: a lowered burst is taken from the tokens, also below zero.
func (p *Pool) advance(a ShareAsk, now time.Time) {
	if p.At == 0 {
		*p = Pool{
			Setting: a.Setting, Version: a.Version, Seats: a.Seats,
			Tokens: float64(a.Setting.Burst), At: now.UnixNano(),
		}
		return
	}
	p.pass(now)
	if a.Version > p.Version {
		p.Tokens += float64(a.Setting.Burst) - float64(p.Setting.Burst)
		p.Setting, p.Version = a.Setting, a.Version
		p.cut()
	}
}

// pass lets time pass, from the end of one share to the next. A clock that goes
// back stands still until it has caught up.
func (p *Pool) pass(now time.Time) {
	for end := now.UnixNano(); p.At < end; {
		next := end
		for i := range p.Parts {
			q := &p.Parts[i]
			for _, u := range []int64{q.Until, q.New.Until, q.Old.Until} {
				if u > p.At {
					next = min(next, u)
				}
			}
		}
		rate, _ := p.lent(nil)
		free := max(p.Setting.PerSecond-rate, 0)
		p.Tokens += free * time.Duration(next-p.At).Seconds() * (1 - rounding)
		p.cut()
		p.At = next
		for i := range p.Parts {
			q := &p.Parts[i]
			if q.New.Until <= next {
				q.New = share{}
			}
			if q.Old.Until <= next {
				q.Old = share{}
			}
		}
		p.Parts = slices.DeleteFunc(p.Parts, func(q part) bool { return q.Until <= next })
	}
}

// cut drops tokens for which there is no room. Seats that nobody has are free,
// however they came back.
func (p *Pool) cut() {
	_, burst := p.lent(nil)
	room := float64(p.Setting.Burst) - burst
	if p.Seats {
		p.Tokens = room
		return
	}
	p.Tokens = min(p.Tokens, max(room, 0))
}

// lent returns what nodes other than me may use.
func (p *Pool) lent(me *part) (rate, burst float64) {
	for i := range p.Parts {
		if q := &p.Parts[i]; q != me {
			rate += max(q.New.Rate, q.Old.Rate)
			burst += max(q.New.Burst, q.Old.Burst)
		}
	}
	return rate, burst
}

func (p *Pool) find(node string) *part {
	for i := range p.Parts {
		if p.Parts[i].Node == node {
			return &p.Parts[i]
		}
	}
	return nil
}

// of returns the node's share with this number, or none.
func (q *part) of(number uint64) share {
	switch {
	case number == 0:
	case q.New.Number == number:
		return q.New
	case q.Old.Number == number:
		return q.Old
	}
	return share{}
}

// confirm notes what the node has: all else that it was given never reached it,
// or is no longer used. Tokens come back only out of a share that lasts: those
// of one that has ended have come back as time.
func (p *Pool) confirm(me *part, a ShareAsk) {
	back := min(max(a.Back, 0), me.of(a.BackOf).Burst)
	me.Old, me.New = me.of(a.Has), share{}
	me.Number, me.Demand = a.Number, max(a.Demand, 0)
	p.Tokens += back
	p.cut()
}

// slice is what a node may be given.
type slice struct {
	nodes, absent int     // of the cluster; those of them that did not ask lately
	keep          float64 // tokens to be left for those
	due           float64 // the rate that its demand deserves
	rate, burst   float64 // what of it can be had now
}

// split finds the node's part: by demand, the smaller ones in full, the larger
// ones to one level, the rest in equal parts. For each node that may come a
// part is kept free: half of an equal part against a first ask, an eighth
// against a node that goes on asking. What flows into the free part then is not
// lost: renewals bring it out, which is why it is no more than the burst that is
// kept has room for, in the time between two.
func (p *Pool) split(me *part, nodes int) slice {
	n, whole := float64(len(p.Parts)), Rate(p.Setting)
	s := slice{nodes: nodes, absent: nodes - len(p.Parts)}
	kept := 1 / (8 * float64(nodes))
	if me.Old.Number == 0 {
		kept = 1 / (2 * float64(nodes))
	}
	burst := float64(whole.Burst)
	free := min(float64(s.absent)*max(1, burst*kept), max(burst-n, 0))
	if s.absent > 0 {
		s.keep = max(1, free/2)
	}
	keptRate := float64(s.absent) * kept * whole.PerSecond
	if me.Old.Number != 0 {
		keptRate = min(keptRate, max(free-s.keep, 0)/renewAfter.Seconds())
	}
	rate := whole.PerSecond - keptRate
	s.due = p.due(me, rate, nodes)
	lentRate, lentBurst := p.lent(me)
	s.rate = down(min(s.due, rate-lentRate), grain*grain)
	s.burst = down(min(1+s.due/rate*(burst-free-n), burst-free-lentBurst), grain)
	return s
}

// due returns the part of the whole rate that the node's demand deserves.
func (p *Pool) due(me *part, whole float64, nodes int) float64 {
	wants := make([]float64, len(p.Parts))
	var mine, sum float64
	for i := range p.Parts {
		q := &p.Parts[i]
		w := max(q.Demand*1.05, whole/(16*float64(nodes)))
		if q == me && q.Old.Number == 0 {
			w = max(w, whole/float64(nodes)) // what it will need is not known yet
		}
		if q == me {
			mine = w
		}
		wants[i] = w
		sum += w
	}
	if sum <= whole {
		return mine + (whole-sum)/float64(len(wants))
	}
	slices.Sort(wants)
	left := whole
	for i, w := range wants {
		level := left / float64(len(wants)-i)
		if w >= level {
			return min(mine, level)
		}
		left -= w
	}
	return mine
}

// down rounds down to a fraction whose sums are exact.
func down(f, grain float64) float64 { return math.Floor(max(f, 0)*grain) / grain }

// give makes the node's share. Tokens go with it, as far as it has room, but
// for some for nodes that may come.
func (p *Pool) give(me *part, s slice, a ShareAsk, answer *ShareAnswer) {
	has := me.Old
	left := 0.0
	if has.Number != 0 {
		left = min(max(a.Tokens, 0), s.burst)
	}
	tokens := down(min(s.burst-left, p.Tokens-s.keep), grain)
	p.Tokens -= tokens
	me.New = share{Number: a.Number, Rate: s.rate, Burst: s.burst}
	answer.Rate, answer.Burst, answer.Tokens = s.rate*(1-rateMargin), s.burst, tokens
	const much = 0.95
	switch {
	case has.Number == 0, s.rate < much*has.Rate, s.burst < much*has.Burst:
		// The first says how much it needs; what a node no longer has is free
		// when it says so.
		answer.Again = settleAfter
	case s.rate < much*s.due:
		answer.Again = 2 * settleAfter // until others have made room
	default:
		answer.Again = renewAfter
	}
}

// admit lets waiting calls in on tokens of the pool, and says until when there
// is no other.
func (p *Pool) admit(want int, answer *ShareAnswer) {
	n := min(float64(max(want, 0)), max(math.Floor(p.Tokens), 0))
	p.Tokens -= n
	answer.Admitted = int(n)
	if p.Tokens >= 1 {
		answer.Again = 0
		return
	}
	rate, burst := p.lent(nil)
	if free := p.Setting.PerSecond - rate; free > 0 {
		wait := (1 - p.Tokens) / free * (1 + 2*rounding) * float64(time.Second)
		answer.Again = time.Duration(min(math.Ceil(wait), float64(waitAtMost)))
	}
	if burst > 0 {
		answer.Again = min(answer.Again, 2*settleAfter) // others make room
	}
}

// giveSeats makes the node's share of seats: those in use there, which are never
// taken away, those that calls wait for, and some of what is free, so that not
// every call has to ask.
func (p *Pool) giveSeats(me *part, nodes int, a ShareAsk, answer *ShareAnswer) {
	_, lent := p.lent(me)
	free := float64(p.Setting.Burst) - lent
	need := float64(a.Sits + max(a.Want, 0))
	more := max(free-need, 0)
	if nodes > 1 {
		more = math.Floor(more / float64(2*nodes))
	}
	seats := max(min(need+more, free), float64(a.Sits))
	if seats == 0 {
		return
	}
	me.New = share{Number: a.Number, Burst: seats}
	answer.Burst, answer.Tokens = seats, seats
	if seats >= need {
		answer.Again = renewAfter
	}
}
