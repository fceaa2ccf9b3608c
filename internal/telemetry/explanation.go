package telemetry

import (
	"strings"
	"time"
)

// Explanation is a Record with what is told of its verdict: why, by which
// limit, when that clears and what to do. It marshals to what /_weir/explain
// answers.
type Explanation struct {
	*Record
	Layer    string     `json:"layer,omitempty"` // of the line: which step refused
	What     string     `json:"what"`            // a sentence: what happened
	Do       string     `json:"do,omitempty"`    // a sentence: what ends it
	ClearsAt *time.Time `json:"clearsAt,omitempty"`
	Cleared  bool       `json:"cleared"` // ClearsAt is over
}

// Explain says why a call was answered as it was; now is when it is asked.
func Explain(r *Record, now time.Time) Explanation {
	e := Explanation{Record: r}
	switch told := causes[min(r.Cause, causeCount-1)]; {
	case r.Verdict == Admitted && r.Status >= 500:
		e.What = "The call was let in; what failed is behind the gate, in the integration."
		e.Do = "Look into the function's log: weir logs."
	case r.Shadow == CauseLedgerAway:
		e.Layer, e.What = layerQuota, "The call was let in although its quota could not be asked: a tag of its usage plan says so. It is counted when the ledger is back."
		e.Do = causes[CauseLedgerAway].do
	case r.Shadow != 0:
		told = causes[min(r.Shadow, causeCount-1)]
		e.Layer, e.What = told.layer, "The call was let in because its usage plan is in shadow mode. It would have been refused: "+told.what
		e.Do = "Nothing now; the plan refuses such calls once its tag weir:shadow is gone or off."
	case r.Verdict == Admitted:
		e.What = "The call was let in, and no limit refused it."
	case r.Verdict == Broken:
		e.What = "Weir itself failed at the call."
		e.Do = "Look for the request id in the server's own log, and report what it says."
	default:
		e.Layer, e.What, e.Do = told.layer, told.what, told.do
	}
	switch wait := r.Limit.ClearsIn; {
	case wait == Never:
		e.Do = noWaiting.Replace(e.Do)
	case wait > 0:
		at := r.Time.Add(wait)
		if end := at.Round(24 * time.Hour); r.Limit.Kind == Quota && end.Sub(at).Abs() < decided {
			at = end // periods end at 00:00 UTC
		}
		e.ClearsAt, e.Cleared = &at, !now.Before(at)
	}
	return e
}

// decided is how much later than it was received a call may have been decided,
// and a wait begins with the decision.
const decided = 5 * time.Second

// noWaiting takes out of what to do what ends nothing.
var noWaiting = strings.NewReplacer("Wait, or raise", "Raise", "Wait for the next period, raise", "Raise")
