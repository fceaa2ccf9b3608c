package verify

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// checkEndpoint sends the first call, without a key. Not there: nothing else
// can be said, and the report ends.
func (r *run) checkEndpoint() (*answer, bool) {
	const name, sent = "endpoint", "no key"
	a := r.send(name, request{})
	switch {
	case a.err != nil:
		todo := "is the address right, and is the server running?"
		var authority x509.UnknownAuthorityError
		if errors.As(a.err, &authority) {
			todo = "its certificate is not signed by anybody known here: give --cacert, or --insecure for a test"
		}
		r.say(name, sent, a.String(), Fail, "nothing answers there: "+todo)
	case a.status/100 == 3:
		r.say(name, sent, a.String(), Fail, "it sends callers elsewhere, and nothing was sent there: give the address where the function answers")
	case bytes.Contains(a.body, []byte("Missing Authentication Token")):
		r.say(name, sent, a.String(), Fail, "this API has no such path or verb, or the method asks for a signature: look at the path behind the stage, and at --method")
	default:
		r.say(name, sent, strconv.Itoa(a.status), Pass, "")
		return a, true
	}
	return a, false
}

// closed judges an answer to a call without a valid key.
func (r *run) closed(name, sent string, a *answer, opened string) (open bool) {
	switch a.kind() {
	case forbidden:
		if a.status != 403 {
			r.say(name, sent, a.String(), Fail, "it is closed, but AWS says 403: clients that tell a bad key from a bad signature will not understand")
			return false
		}
		r.say(name, sent, a.String(), Pass, "")
	case letIn:
		if a.status/100 == 2 || a.status/100 == 3 {
			r.say(name, sent, a.String(), Fail, opened)
			return true
		}
		r.say(name, sent, a.String(), Unknown, "this is no refusal of a gate: when it is the function's own answer, anybody can call it. Send what the function takes (--method, --body)")
		return true
	case throttled, spent:
		r.say(name, sent, a.String(), Unknown, "it refused before it looked at the key: run again when it is quiet")
	case broken:
		r.say(name, sent, a.String(), Unknown, "something behind the endpoint fails: repair that, then run again")
	case lost:
		r.say(name, sent, a.String(), Unknown, "no answer came")
	}
	return false
}

func (r *run) checkNoKey(first *answer) {
	r.without = first.status
	r.open = r.closed("no key", "no key", first, "anybody can call it: set apiKeyRequired on the method, and deploy again")
}

func (r *run) checkWrongKey() {
	a := r.send("wrong key", request{header: keyHeader, key: wrongKey()})
	const name, sent = "wrong key", "x-api-key: 40 random letters"
	if r.open && a.kind() == letIn {
		r.say(name, sent, a.String(), Unknown, "it is open without a key, so a wrong one says nothing")
		return
	}
	r.closed(name, sent, a, "any key opens it: the value is not compared with the keys of the plan")
}

func (r *run) checkQuery(parameter string) {
	name, sent := "key in the query, "+parameter, "?"+parameter+"=<key>"
	a := r.send(name, request{query: parameter, key: r.o.Key})
	if r.open && a.kind() == letIn {
		r.say(name, sent, a.String(), Unknown, "it is open without a key, so a key in the query says nothing")
		return
	}
	r.closed(name, sent, a, "a key in the query opens it, and addresses end in logs and histories: read the key from the header only")
}

// opens judges an answer to a call with the right key.
func (r *run) opens(name, sent string, a *answer, refused string) bool {
	switch a.kind() {
	case letIn:
		if a.status >= 400 && a.status == r.without {
			r.say(name, sent, a.String(), Unknown, "the answer is the same as without a key: is the path right, and does the function take what is sent?")
			return false
		}
		r.say(name, sent, a.String(), Pass, "")
		return true
	case forbidden:
		r.say(name, sent, a.String(), Fail, refused)
	case throttled:
		r.say(name, sent, a.String(), Unknown, fmt.Sprintf("throttled %d times in a row: somebody else uses the key, or its plan is slower than --rate", tries))
	case spent:
		r.say(name, sent, a.String(), Unknown, "the key's quota is used up: run again in the next period, or with a new key")
	case broken:
		r.say(name, sent, a.String(), Unknown, "the key was let in or not, but what is behind it fails: repair that, then run again")
	case lost:
		r.say(name, sent, a.String(), Unknown, "no answer came")
	}
	return false
}

func (r *run) checkKey() {
	a := r.enter("key", keyHeader)
	r.works = r.opens("key", "x-api-key: <key>", a,
		"the key is unknown or disabled, or in no usage plan that covers this stage; on AWS a change may take minutes to be seen")
}

func (r *run) checkCase() {
	const odd = "X-aPi-KEY"
	if !r.works {
		r.skip("header in odd case", odd+": <key>")
		return
	}
	r.opens("header in odd case", odd+": <key>", r.enter("header in odd case", odd),
		"header names have no case, and proxies change it: compare them without regard to it")
}

// skip says that a check was not made because the key does not open.
func (r *run) skip(name, sent string) {
	r.say(name, sent, "not sent", Unknown, "the key did not open it")
}

// tally counts answers by kind.
func tally(answers []*answer) (n [broken + 1]int) {
	for _, a := range answers {
		n[a.kind()]++
	}
	return n
}

func tallied(n [broken + 1]int, took time.Duration) string {
	text := fmt.Sprintf("%d let in, %d too fast", n[letIn], n[throttled])
	if n[spent] > 0 {
		text += fmt.Sprintf(", %d over the quota", n[spent])
	}
	if n[forbidden] > 0 {
		text += fmt.Sprintf(", %d forbidden", n[forbidden])
	}
	if other := n[broken] + n[lost]; other > 0 {
		text += fmt.Sprintf(", %d failed", other)
	}
	return fmt.Sprintf("%s, in %s s", text, strconv.FormatFloat(took.Seconds(), 'f', 2, 64))
}

func (r *run) checkFlood() {
	const name = "too fast"
	count := r.o.flood()
	sent := fmt.Sprintf("%d calls at once", count)
	if !r.works {
		r.skip(name, sent)
		return
	}
	if err := r.pause(r.o.refill()); err != nil { // what was used so far must not count
		r.say(name, sent, err.Error(), Unknown, "it was not sent")
		return
	}
	answers, took := r.atOnce(name, count)
	n := tally(answers)
	got := tallied(n, took)
	allowed := float64(r.o.Burst) + r.o.Rate*took.Seconds()
	switch {
	case n[throttled] > 0:
		r.say(name, sent, got, Pass, "")
		r.checkRate(n, took, allowed)
	case n[forbidden] > 0:
		r.say(name, sent, got, Fail, "too fast is refused with 403 where AWS says 429: clients that wait and try again on 429 give up instead")
	case n[spent] > 0:
		r.say(name, sent, got, Unknown, "the quota was used up before the rate was: run again with a key that has more left")
	case n[letIn] == 0:
		r.say(name, sent, got, Unknown, "nothing was let in or refused")
	case r.o.Burst == 0:
		r.say(name, sent, got, Unknown, "all got in, which a plan with more than this may allow: give --rate and --burst of the plan")
	case float64(count) <= allowed:
		r.say(name, sent, got, Unknown, "this line is too slow to go over the plan's limits: use a plan with smaller ones")
	default:
		r.say(name, sent, got, Fail, "nothing is refused however fast it comes: give the plan a throttle (rateLimit, burstLimit) and see that the stage is in the plan")
	}
}

// checkRate holds what was let in at once to rate and burst.
func (r *run) checkRate(n [broken + 1]int, took time.Duration, allowed float64) {
	if r.o.Burst == 0 {
		return
	}
	const name = "rate and burst"
	sent := "the same calls"
	got := fmt.Sprintf("%d let in, at most %d allowed", n[letIn], int(allowed))
	switch {
	case float64(n[letIn]) > allowed:
		r.say(name, sent, got, Fail, fmt.Sprintf("more than burst %d and %v a second got in within %.2f s. AWS calls its throttles a target it may miss; a hard limit lets none through",
			r.o.Burst, r.o.Rate, took.Seconds()))
	case float64(n[letIn]+n[broken]+n[lost]) > allowed:
		r.say(name, sent, got, Unknown, "some calls failed, and whether they were let in is not to be seen")
	default:
		r.say(name, sent, got, Pass, "")
	}
}
