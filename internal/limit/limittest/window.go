package limittest

import (
	"cmp"
	"math"
	"slices"
	"sort"
	"time"
)

// worst finds the window with most calls above what c allows.
//
// The windows that matter begin with a call's start and end with a call's end.
// Of a window x..y the calls that lie wholly inside are n(x, y), the latest of
// them began at m(y) or later, so the last instant was in m(y)..y, and what is
// allowed is highest(m(y), y) - credit(x): the first part hangs on y alone and
// the second on x alone. So x sweeps from the last start to the first; each
// call adds one to every y from its own end on, and a tree knows the y where
// n - highest is largest.
func (c ceiling) worst(calls []span) (Excess, bool) {
	if e, found := c.shut(calls); found {
		return e, true
	}
	ends, latest := endsOf(calls)
	tops := make([]float64, len(ends))
	for i, y := range ends {
		tops[i], _ = c.highest(latest[i], y)
	}
	scale := float64(1 << 20) // a millionth of a token, in whole numbers: sums are exact
	most := math.Abs(tops[0]) + float64(len(calls))
	for _, top := range tops {
		most = max(most, math.Abs(top))
	}
	for most*scale > 1<<60 {
		scale /= 2
	}
	grains := func(tokens float64) int64 { return int64(math.Round(tokens * scale)) }

	tree := newTree(len(ends))
	for i, top := range tops {
		tree.add(i, -grains(top))
		if i > 0 {
			tree.add(i, grains(tops[i-1]))
		}
	}
	byStart := make([]int, len(calls))
	for i := range calls {
		byStart[i] = i
	}
	slices.SortFunc(byStart, func(a, b int) int { return cmp.Compare(calls[b].start, calls[a].start) })

	const rounding = 4 // each of the two sides is rounded once, and floats before that
	over, from, to := int64(rounding), 0, -1
	earliest := len(ends)
	one := grains(1)
	for i, call := range byStart {
		y := sort.Search(len(ends), func(i int) bool { return ends[i] >= calls[call].end })
		tree.add(y, one)
		earliest = min(earliest, y)
		x := calls[call].start
		if i+1 < len(byStart) && calls[byStart[i+1]].start == x {
			continue
		}
		above, which := tree.best(earliest)
		above += grains(c.credits[at(c.credits, x)].credit(x))
		if above > over {
			over, from, to = above, i, which
		}
	}
	if to < 0 {
		return Excess{}, false
	}
	window := span{calls[byStart[from]].start, ends[to]}
	return c.report(calls, window, tops[to]-c.credits[at(c.credits, window.start)].credit(window.start)), true
}

// shut finds a call that was admitted while nothing may pass.
func (c ceiling) shut(calls []span) (Excess, bool) {
	for _, call := range calls {
		if _, room := c.highest(call.start, call.end); room < 1-1e-6 {
			return c.report(calls, call, room), true
		}
	}
	return Excess{}, false
}

// endsOf returns the calls' ends, sorted and each once, and for each the
// latest start of a call that had ended by then.
func endsOf(calls []span) (ends, latest []int64) {
	byEnd := slices.Clone(calls)
	slices.SortFunc(byEnd, func(a, b span) int { return cmp.Compare(a.end, b.end) })
	start := int64(math.MinInt64)
	for i, call := range byEnd {
		start = max(start, call.start)
		if i == 0 || call.end != byEnd[i-1].end {
			ends, latest = append(ends, call.end), append(latest, start)
			continue
		}
		latest[len(latest)-1] = start
	}
	return ends, latest
}

func (c ceiling) report(calls []span, window span, allowed float64) Excess {
	e := Excess{From: time.Unix(0, window.start), To: time.Unix(0, window.end), Allowed: allowed}
	for i, call := range calls {
		if call.start < window.start || call.end > window.end {
			continue
		}
		e.Admitted++
		if len(e.First) < 10 {
			e.First = append(e.First, i)
		}
	}
	return e
}

// tree holds numbers and finds the largest sum of a beginning of them: adding
// to one number adds to the sums from there on.
type tree struct {
	leaves int
	nodes  []node
}

// node tells of a stretch of the numbers: their sum, and the largest sum of a
// beginning that ends within the stretch, and where.
type node struct {
	sum, best int64
	which     int
}

const never = math.MinInt64 / 2

func newTree(n int) *tree {
	t := &tree{leaves: 1}
	for t.leaves < n {
		t.leaves *= 2
	}
	t.nodes = make([]node, 2*t.leaves)
	for i := range t.leaves {
		t.nodes[t.leaves+i] = node{which: i}
		if i >= n {
			t.nodes[t.leaves+i].best = never
		}
	}
	for i := t.leaves - 1; i > 0; i-- {
		t.nodes[i] = join(t.nodes[2*i], t.nodes[2*i+1])
	}
	return t
}

func join(left, right node) node {
	n := node{left.sum + right.sum, left.best, left.which}
	if best := left.sum + right.best; best > n.best {
		n.best, n.which = best, right.which
	}
	return n
}

func (t *tree) add(i int, n int64) {
	i += t.leaves
	t.nodes[i].sum += n
	t.nodes[i].best = t.nodes[i].sum
	for i /= 2; i > 0; i /= 2 {
		t.nodes[i] = join(t.nodes[2*i], t.nodes[2*i+1])
	}
}

// best returns the largest sum of a beginning that ends at from or later.
func (t *tree) best(from int) (int64, int) {
	i := from + t.leaves
	before, after := int64(0), t.nodes[i]
	for ; i > 1; i /= 2 {
		if i%2 == 1 {
			before += t.nodes[i-1].sum
		} else {
			after = join(after, t.nodes[i+1])
		}
	}
	return before + after.best, after.which
}
