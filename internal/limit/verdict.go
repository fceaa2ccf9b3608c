package limit

import (
	"math"
	"time"
)

// Outcome of Take.
type Outcome uint8

// The outcomes.
const (
	Granted    Outcome = iota
	Throttled          // Verdict.Cell says which of the cells refused
	Exhausted          // the quota is used up
	LedgerAway         // the quota could not be asked: refused as Limit Exceeded, with the reason in the record
	Crowded            // every seat is taken
)

// Verdict says how Take decided.
type Verdict struct {
	Outcome Outcome
	Cell    int    // index into cells, with Throttled
	Detail  Detail // of the limit that refused; with Granted and a quota, Limit and Used of that
	Err     error  // with LedgerAway; with Throttled and Crowded, when what nodes divide could not be asked for
}

// Never as Detail.Wait: no time ends the refusal, only an edit.
const Never time.Duration = math.MaxInt64

// Detail is one limit as the decision saw it. What a refusal saw is the
// counter before the call and after it: it takes nothing.
type Detail struct {
	Rate   Rate          // Throttled: the bucket's setting
	Tokens float64       // Throttled: what was in the bucket, less than the one token that a call takes
	Limit  int64         // Exhausted: the calls that the period allows, its offset subtracted; Crowded: the seats
	Used   int64         // Exhausted: the calls that the ledger has of the period; Crowded: the calls that sit
	Wait   time.Duration // until it would admit one call, should nobody else call; Never; 0: not known
	EndsIn time.Duration // of a quota: until its period ends
}

// Level is what is in a bucket at one moment.
type Level struct {
	Rate   Rate          // the bucket's setting
	Tokens int64         // whole ones: so many calls are admitted at once
	Next   time.Duration // until there is one more; 0: the bucket is full; Never
}

// Level tells what is in the bucket at now; of a bucket that nodes divide, what
// is in this node's share.
func (c *Cell) Level(now Instant) Level {
	w, s := c.read()
	l := Level{Rate: s.rate}
	if s.stake != nil && s.ended(now.nanos()) {
		d, _ := s.stake.refusesAlone(s, now.nanos())
		l.Next = d.Wait
		return l
	}
	if s.depth == 0 {
		l.Next = Never
		return l
	}
	used := max(int64(w>>tagBits)-now.nanos(), 0)
	left := s.depth - used
	if l.Tokens = max(left/s.interval, 0); used > 0 {
		l.Next = time.Duration((l.Tokens+1)*s.interval - left)
	}
	return l
}

// refusal describes a bucket that refused at now with this field in its word.
// The wait is exact: a call admitted so much later is admitted by this word,
// and one a nanosecond earlier is not.
func (s *Setting) refusal(field, now int64) Detail {
	d := Detail{Rate: s.rate, Tokens: s.tokens(field, now), Wait: Never}
	if s.depth != 0 {
		d.Wait = time.Duration(field + s.interval - s.depth - now)
	}
	return d
}

// tokens returns what is in a bucket: none while more is in use than its
// burst, which an edit can leave behind, and none where nothing is let through.
func (s *Setting) tokens(field, now int64) float64 {
	if s.depth == 0 {
		return 0
	}
	return float64(max(s.depth-max(field-now, 0), 0)) / float64(s.interval)
}
