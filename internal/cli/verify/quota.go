package verify

import (
	"fmt"
	"time"
)

// checkQuota uses up what is left of the quota and looks at what comes then.
func (r *run) checkQuota() {
	const name = "over the quota"
	before := r.calls
	if !r.works {
		r.skip(name, "what is left of the quota, and one more")
		return
	}
	left := r.o.Quota - max(r.o.Used, 0)
	last := r.useUp(name, left)
	sent := fmt.Sprintf("%d more calls, one every %s", r.calls-before, r.o.interval().Round(time.Millisecond))
	got := fmt.Sprintf("%d let in in all, then %s", r.letIn, last)
	switch {
	case r.letIn > left:
		means := fmt.Sprintf("more got in than the quota of %d has left: either it is not counted call by call, or the plan's quota is another", r.o.Quota)
		r.say(name, sent, got, Fail, means+"; AWS calls its quotas a target it may miss")
	case last.kind() == spent:
		if again := r.confirm(name); again.kind() != spent && again.err == nil {
			r.say(name, sent, got+", then "+again.String(), Fail, "a quota that was used up opened again within the same period")
			break
		}
		r.say(name, sent, got, Pass, "")
		r.checkFree(left)
	case last.kind() == forbidden:
		r.say(name, sent, got, Fail, "over the quota is refused with 403 where AWS says 429")
	case last.err != nil:
		r.say(name, sent, got, Unknown, "the quota was not used up")
	default:
		r.say(name, sent, got, Unknown, "the quota was not used up: is the plan slower than --rate, or does somebody else use the key?")
	}
}

// useUp calls until the quota refuses, more got in than may, or nothing helps.
func (r *run) useUp(name string, left int) *answer {
	wait, slow := r.o.interval(), 0
	for {
		if err := r.pause(wait); err != nil {
			return &answer{err: err}
		}
		a := r.send(name, request{header: keyHeader, key: r.o.Key})
		switch a.kind() {
		case letIn, broken:
			if r.letIn > left || r.letIn+r.unclear > left+1 {
				return a
			}
		case throttled:
			if slow++; slow == slowDowns {
				return a
			}
			wait += r.o.interval() / 2
		default:
			return a
		}
	}
}

// confirm asks once more after the quota refused.
func (r *run) confirm(name string) *answer {
	if err := r.pause(r.o.interval()); err != nil {
		return &answer{err: err}
	}
	return r.send(name, request{header: keyHeader, key: r.o.Key})
}

// checkFree compares what got in with what the quota had left: the calls that
// were refused meanwhile must not have used any.
func (r *run) checkFree(left int) {
	if r.o.Used < 0 {
		return
	}
	const name = "refusals are free"
	sent := fmt.Sprintf("%d calls with the key in all", r.calls-2-len(queryNames))
	got := fmt.Sprintf("%d let in, %d were left", r.letIn, left)
	switch {
	case r.unclear > 0:
		r.say(name, sent, got, Unknown, fmt.Sprintf("of %d calls it is not to be seen whether they were let in", r.unclear))
	case r.letIn < left:
		r.say(name, sent, got, Fail, "calls that were refused have used quota, or somebody else used the key meanwhile, or --used is too small")
	default:
		r.say(name, sent, got, Pass, "")
	}
}
