package control

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"weir/internal/telemetry"
)

// ExplainPath is below which ExplainHandler answers.
const ExplainPath = "/_weir/explain/"

const (
	leastOfID = 4  // characters of an id's beginning
	mostOfID  = 64 // of an id
	mostAlike = 10 // ids that are told of those that begin alike
)

// ExplainHandler says why a call was answered as it was. Below ExplainPath
// stands the call's request id or extended request id, or the beginning of one
// that no other has; without an id the newest refusal is explained, with key or
// api in the query the newest of that. The answer is a telemetry.Explanation;
// 404 says in its message what is known of an id that was not found, 409 lists
// the ids that begin alike.
func ExplainHandler(refusals *telemetry.Refusals, requests *telemetry.Requests) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		if r.Method != http.MethodGet {
			w.Header().Set("Allow", http.MethodGet)
			refuseRequests(w, http.StatusMethodNotAllowed, "Explanations are read with GET")
			return
		}
		id, filter, err := parseExplainQuery(r.URL)
		if err != nil {
			refuseRequests(w, http.StatusBadRequest, err.Error())
			return
		}
		var found []*telemetry.Record
		if id != "" {
			found = findRecords(refusals, requests, id)
		} else if newest := refusals.Newest(filter); newest != nil {
			found = append(found, newest)
		}
		switch len(found) {
		case 0:
			refuseRequests(w, http.StatusNotFound, whyNotFound(refusals, id))
		case 1:
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(telemetry.Explain(whole(requests, found[0]), time.Now())) // the reader may be gone
		default:
			ids := make([]string, len(found))
			for i, f := range found {
				ids[i] = f.RequestID
			}
			refuseRequests(w, http.StatusConflict, fmt.Sprintf("%d or more ids begin with %s: %s", len(ids), id, strings.Join(ids, ", ")))
		}
	})
}

func parseExplainQuery(u *url.URL) (id string, filter telemetry.Filter, err error) {
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return "", filter, fmt.Errorf("the query string is malformed")
	}
	for name, all := range values {
		switch name {
		case "key":
			filter.KeyID = all[0]
		case "api":
			filter.APIID = all[0]
		default:
			return "", filter, fmt.Errorf("unknown parameter: there are key and api")
		}
	}
	switch id = strings.TrimPrefix(u.Path, ExplainPath); {
	case id == "":
	case len(id) < leastOfID || len(id) > mostOfID:
		return "", filter, fmt.Errorf("a request id has 36 characters and an extended one 16: give one, or at least the first %d characters of it", leastOfID)
	case len(values) > 0:
		return "", filter, fmt.Errorf("give a request id, or choose by key and api, not both")
	}
	return id, filter, nil
}

// findRecords looks for a call among the refusals, and among the newest
// requests for those that were let in. A whole id names one call.
func findRecords(refusals *telemetry.Refusals, requests *telemetry.Requests, id string) []*telemetry.Record {
	found := refusals.Find(id, mostAlike)
	if len(found) == 1 && (found[0].RequestID == id || found[0].ExtendedID == id) {
		return found
	}
	for _, r := range requests.Find(id, mostAlike) {
		known := false
		for _, f := range found {
			known = known || f.RequestID == r.RequestID
		}
		if !known && len(found) < mostAlike {
			found = append(found, r)
		}
	}
	return found
}

// whole gives a refusal with everything that was recorded of it, while it is
// among the newest requests; of older ones the refusals keep less.
func whole(requests *telemetry.Requests, refusal *telemetry.Record) *telemetry.Record {
	for _, r := range requests.Find(refusal.RequestID, mostAlike) {
		if r.RequestID == refusal.RequestID && r.Time.Equal(refusal.Time) { // a caller may send one id twice
			return r
		}
	}
	return refusal
}

// whyNotFound says what can have become of a call that is not known.
func whyNotFound(refusals *telemetry.Refusals, id string) string {
	since, oldest, forgotten := refusals.Span()
	began := since.UTC().Format(time.RFC3339)
	switch {
	case id == "":
		return "Nothing that fits was refused since this server started, at " + began
	case forgotten > 0:
		return fmt.Sprintf("No call with the id %s is known here. Refusals are kept since %s (the newest %d; %d older ones are forgotten), "+
			"of calls that were let in the newest %d. Else the call went to another node",
			id, oldest.UTC().Format(time.RFC3339), telemetry.KeptRefusals, forgotten, telemetry.KeptRequests)
	}
	return fmt.Sprintf("No call with the id %s was refused here since the server started, at %s. It was let in, longer ago than the newest %d requests, "+
		"or it was refused before that start, or it went to another node", id, began, telemetry.KeptRequests)
}
