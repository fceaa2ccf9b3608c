package control

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"weir/internal/telemetry"
)

const (
	defaultRequests = 100
	heartbeat       = 5 * time.Second  // a silent stream says that it lives this often
	streamPatience  = 10 * time.Second // for a peer to take what is written
)

// RequestsHandler shows what callers asked and what they got: one Record a
// line (NDJSON), the newest limit (default 100), oldest first. With follow=true
// every further one comes when its answer leaves; an empty line comes when
// nothing happens, so that both sides notice when the other is gone, and
// {"lost":n} when the reader was too slow for n of them. api, key, verdict and
// status (429 or 4xx) choose. It needs a ResponseWriter that flushes.
func RequestsHandler(q *telemetry.Requests) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		ask, err := parseRequestsQuery(r.URL.RawQuery)
		switch {
		case r.Method != http.MethodGet:
			refuseRequests(w, http.StatusMethodNotAllowed, "Requests are read with GET")
		case err != nil:
			refuseRequests(w, http.StatusBadRequest, err.Error())
		case ask.follow:
			followRequests(w, q, ask)
		default:
			s := newLineStream(w)
			_ = s.flush() // so that the answer is sent as it is made
			for _, record := range q.Newest(ask.limit, ask.filter) {
				s.line(record)
			}
			_ = s.flush() // the reader may be gone; nothing is left to tell it
		}
	})
}

func refuseRequests(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": message})
}

type requestsQuery struct {
	limit  int
	follow bool
	filter telemetry.Filter
}

func parseRequestsQuery(raw string) (requestsQuery, error) {
	ask := requestsQuery{limit: defaultRequests}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return ask, fmt.Errorf("the query string is malformed")
	}
	for name, all := range values {
		text := all[0]
		switch name {
		case "limit":
			if ask.limit, err = strconv.Atoi(text); err != nil || ask.limit < 0 || ask.limit > telemetry.KeptRequests {
				return ask, fmt.Errorf("limit: give a number from 0 to %d, as many as are kept", telemetry.KeptRequests)
			}
		case "follow":
			if ask.follow, err = strconv.ParseBool(text); err != nil {
				return ask, fmt.Errorf("follow: give true or false")
			}
		case "api":
			ask.filter.APIID = text
		case "key":
			ask.filter.KeyID = text
		case "verdict":
			switch text {
			case "", telemetry.Admitted, telemetry.Refused, telemetry.Missed, telemetry.Broken:
				ask.filter.Verdict = text
			case "shadow":
				ask.filter.Shadow = true
			default:
				return ask, fmt.Errorf("verdict: give admitted, refused, missed, broken, or shadow for what a usage plan in shadow mode would have refused")
			}
		case "status":
			if ask.filter.MinStatus, ask.filter.MaxStatus, err = statusRange(text); err != nil {
				return ask, err
			}
		default:
			return ask, fmt.Errorf("unknown parameter: there are limit, follow, api, key, verdict and status")
		}
	}
	return ask, nil
}

// statusRange reads "429", or "4xx" for all from 400 to 499.
func statusRange(text string) (low, high int, err error) {
	if text == "" {
		return 0, 0, nil
	}
	if n, err := strconv.Atoi(text); err == nil && len(text) == 3 && n >= 100 {
		return n, n, nil
	}
	if len(text) == 3 && text[0] >= '1' && text[0] <= '9' && text[1:] == "xx" {
		low = int(text[0]-'0') * 100
		return low, low + 99, nil
	}
	return 0, 0, fmt.Errorf("status: give a status such as 429, or a class such as 4xx")
}

// followRequests ends when the reader is gone or the server stops.
func followRequests(w http.ResponseWriter, q *telemetry.Requests, ask requestsQuery) {
	f, err := q.Follow(ask.limit, ask.filter)
	if err != nil {
		refuseRequests(w, http.StatusTooManyRequests, fmt.Sprintf("%d readers follow the requests already: end one of them", telemetry.MaxFollowers))
		return
	}
	defer f.Close()
	s := newLineStream(w)
	if s.flush() != nil {
		return
	}
	for {
		record, lost, ok := f.Next(heartbeat)
		if lost > 0 {
			s.line(map[string]uint64{"lost": lost})
		}
		if record != nil {
			s.line(record)
		} else if ok {
			s.empty()
		}
		if f.Waiting() && s.err == nil && ok {
			continue
		}
		if s.flush() != nil || !ok {
			return
		}
	}
}

// lineStream writes JSON lines. After the first error it writes nothing more.
type lineStream struct {
	control *http.ResponseController
	to      *bufio.Writer
	lines   *json.Encoder
	err     error
}

func newLineStream(w http.ResponseWriter) *lineStream {
	w.Header().Set("Content-Type", "application/x-ndjson")
	s := &lineStream{control: http.NewResponseController(w)}
	s.to = bufio.NewWriterSize(deadlined{w, s.control}, 16<<10)
	s.lines = json.NewEncoder(s.to)
	s.lines.SetEscapeHTML(false)
	return s
}

func (s *lineStream) line(v any) {
	if s.err == nil {
		s.err = s.lines.Encode(v)
	}
}

func (s *lineStream) empty() {
	if s.err == nil {
		s.err = s.to.WriteByte('\n')
	}
}

// flush sends what was written, and the head of the answer when nothing was.
func (s *lineStream) flush() error {
	if s.err == nil {
		s.err = s.to.Flush()
	}
	if s.err == nil {
		s.err = s.control.Flush()
	}
	return s.err
}

// deadlined gives every write its own time: a stream has no end that a
// deadline for the whole answer could be for.
type deadlined struct {
	http.ResponseWriter
	control *http.ResponseController
}

func (d deadlined) Write(b []byte) (int, error) {
	if err := d.control.SetWriteDeadline(time.Now().Add(streamPatience)); err != nil {
		return 0, err
	}
	return d.ResponseWriter.Write(b)
}
