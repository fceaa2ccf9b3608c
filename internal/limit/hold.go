package limit

import "context"

// Hold is what an early decision took from cells for a call that others are
// still to decide about: the throttles that stand before an authorizer, while
// it is being asked. It ends in one of two ways: the tokens are spent, for
// which nothing is done, or they go back by GiveBack. The zero Hold holds
// nothing. Not safe for concurrent use.
type Hold struct {
	receipts [2]taken
	n        int
}

// Hold takes from every cell or from none (nil cells are skipped; two at most
// are not nil), as Take does before it asks the meter: it waits for a divided
// bucket of which this node has no share, and ctx ends that wait. The outcome of
// the verdict is Granted or Throttled.
func (l *Limiter) Hold(ctx context.Context, cells []*Cell, now Instant) (h Hold, v Verdict) {
	var few [len(h.receipts)]taken
	receipts, v := l.takeCells(ctx, cells, now.nanos(), few[:0])
	if len(receipts) > len(h.receipts) {
		panic("limit: a Hold of more cells than it has room for")
	}
	h.n = copy(h.receipts[:], receipts)
	return h, v
}

// GiveBack returns the tokens of a call that was refused after all, as a
// refusing Take does. A second call does nothing.
func (l *Limiter) GiveBack(h *Hold) {
	l.giveBack(h.receipts[:h.n])
	*h = Hold{}
}
