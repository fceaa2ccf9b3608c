package limit

import (
	"context"
	"fmt"
	"math"
	"sync/atomic"
	"time"
)

// Ledger keeps what was spent of quotas. It is declared here and implemented
// by store; the handle that a Limiter is given belongs to one node (one running
// process: a restart is a new node), and one Limiter uses it. Safe for
// concurrent use.
//
// A ledger decides nothing itself: it loads a Standing under a lock, asks
// Decide, and stores what the Answer says, in one transaction. So every
// database decides alike.
type Ledger interface {
	// Spend decides on a, and returns once what it decided is durable. After an
	// error nothing may be assumed: the calls are not admitted, nothing new is
	// held, and it may still have been recorded that they were.
	Spend(ctx context.Context, a Ask) (Answer, error)

	// Record adds what was admitted without asking and takes back what is held
	// no more, all of a batch in one transaction. After an error nothing may be
	// assumed: the same batch is brought again, unchanged, until it gets through.
	Record(ctx context.Context, b Batch) error
}

// Ask is a question about one account's quota.
type Ask struct {
	Account Account
	Quota   Quota
	Joined  Day   // when the key joined the plan: Quota.Offset counts in that period
	Calls   int64 // to spend now: 1, or 0 when only a lease is wanted
	Ahead   int64 // calls that the node would like to hold beyond them
	Unspent int64 // calls of earlier leases that the node still holds and has not spent
}

// Days returns the day that now is on, and the first day of its period and of
// the next one.
func (a Ask) Days(now time.Time) (day, start, end Day) {
	day = DayOf(now)
	return day, a.Quota.Period.Start(day), a.Quota.Period.End(day)
}

// Standing is what a ledger holds of an account in the period of an ask: the
// sums over all days from its start to its end, also those that are to come (a
// clock may have gone back).
type Standing struct {
	Used  int64 // recorded as used
	Extra int64 // granted on top of the limit, or taken from it when below 0 (see Extra)

	Own    int64 // held by the node that asks
	OwnDay Day   // the newest day on which it holds any; no matter when Own is 0
	Others int64 // held by other nodes, living or dead
}

// Answer is what a ledger decided, and what it stores: Ask.Calls more are used
// on Day, when OK, and Held more are held by the node on Lease.
type Answer struct {
	OK        bool  // Ask.Calls are admitted and recorded as used; false when Ask.Calls is 0
	Held      int64 // calls that the node now holds in addition: the new lease
	Lease     Day   // the day on which they are held; Count.Lease names it
	Used      int64 // recorded as used in the period, after this
	Elsewhere int64 // held by other nodes in the period, living or dead
	Left      int64 // neither used nor held, after this; below 0 when a limit was lowered
	Limit     int64 // what holds in this period: the quota's limit, less its offset, and Standing.Extra

	Day, Start, End Day           // by the ledger's clock; the period is Start..End-1
	EndsIn          time.Duration // until the period ends, by the ledger's clock
}

const (
	// unleased is how many calls are left when nothing is leased any more: each
	// spend is then a transaction of its own, and no node holds back a call
	// that another could let in.
	unleased = 100
	// leasePart bounds what one node holds unspent: the leasePart-th part of
	// what it could still spend. That is what its crash costs at most.
	leasePart = 16
)

// Decide says what a ledger does about a at the instant now of its clock, given
// how the account stands.
func Decide(a Ask, now time.Time, s Standing) Answer {
	var out Answer
	out.Day, out.Start, out.End = a.Days(now)
	out.EndsIn = out.End.Time().Sub(now)
	out.Limit = a.Quota.in(a.Joined, out.Start) + s.Extra
	out.Used, out.Elsewhere = s.Used, s.Others
	out.Left = out.Limit - s.Used - s.Own - s.Others
	if a.Calls > 0 && a.Calls <= out.Left {
		out.OK = true
		out.Used += a.Calls
		out.Left -= a.Calls
	}
	out.Lease = out.Day
	if s.Own > 0 {
		out.Lease = s.OwnDay
	}
	if out.Left > unleased {
		most := (out.Left+a.Unspent)/leasePart - a.Unspent
		out.Held = max(min(a.Ahead, most), 0)
		out.Left -= out.Held
	}
	return out
}

// in returns the limit that holds in the period that begins at start, for a key
// that joined on a day.
func (q Quota) in(joined, start Day) int64 {
	if q.Offset > 0 && q.Period.Start(joined) == start {
		return q.Limit - q.Offset
	}
	return q.Limit
}

// Extra says what is to be added to Standing.Extra on the ledger's day, so
// that exactly remaining calls are left in the period of now to whoever lives:
// what the dead hold is lost until the period ends. living is the part of
// Standing.Own and Others that living nodes hold; they give it back on hearing
// of the change, and what they spend before that is spent of remaining.
func Extra(a Ask, now time.Time, s Standing, living, remaining int64) int64 {
	_, start, _ := a.Days(now)
	lost := s.Own + s.Others - living
	return s.Used + lost + remaining - (a.Quota.in(a.Joined, start) + s.Extra)
}

// Batch is a number of counts that are recorded together. A ledger keeps the
// number of a node's newest batch, and the same number again does nothing.
type Batch struct {
	Seq    int64 // 1, 2, 3 … of one node
	Last   bool  // the node stops: what it still holds after the batch is given back
	Counts []Count
}

// Count is a number of admitted calls of one account on one day.
type Count struct {
	Account Account
	Day     Day
	Calls   int64 // more that were used on Day; not below 0
	Lease   Day   // what the node holds since Lease goes down
	Release int64 // … by so many; not below 0
}

// Follows says whether the batch seq of a node whose newest batch is newest is
// still to be recorded. The error tells of a number that can be neither: a
// second Limiter on one node, say.
func Follows(newest, seq int64) (bool, error) {
	switch seq {
	case newest:
		return false, nil
	case newest + 1:
		return true, nil
	}
	return false, fmt.Errorf("limit: batch %d after batch %d of a node", seq, newest)
}

// Check says what is wrong with a batch: a ledger goes down by nothing.
func (b Batch) Check() error {
	if b.Seq <= 0 {
		return fmt.Errorf("limit: a batch has the number %d", b.Seq)
	}
	for _, c := range b.Counts {
		if c.Calls < 0 || c.Release < 0 || c.Calls > math.MaxInt64/2 {
			return fmt.Errorf("limit: cannot record %d calls and %d given back", c.Calls, c.Release)
		}
	}
	return nil
}

// ledgerWait bounds how long a call waits for the ledger.
const ledgerWait = 2 * time.Second

// outage is what is known of a ledger that does not answer: while it is away
// one caller finds out, and the others are refused at once.
type outage struct {
	err     atomic.Pointer[error] // of the wait that ran out; nil: the ledger is not away
	probing atomic.Bool
}

// enter lets a caller ask, or says why not. probe is handed to leave.
func (o *outage) enter() (probe bool, err error) {
	away := o.err.Load()
	if away == nil {
		return false, nil
	}
	if !o.probing.CompareAndSwap(false, true) {
		return false, *away
	}
	return true, nil
}

// leave ends what enter let in: err is how it ended, late that it took all the
// time that there is.
func (o *outage) leave(probe bool, err error, late bool) {
	switch {
	case err == nil:
		o.err.Store(nil)
	case late:
		o.err.Store(&err)
	}
	if probe {
		o.probing.Store(false)
	}
}
