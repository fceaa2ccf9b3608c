package verify

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
)

const theKey = "the-key-of-the-plan-0123456789"

// stage is an endpoint that keeps what the walk-through promises, unless a
// field says otherwise. Its time passes only when the run sleeps, so that a
// test has neither waits nor chances.
type stage struct {
	rate  float64
	burst int
	quota int
	spent int // before the run

	open, anyKey, inQuery, caseful, never, countsRefusals, leaky bool
	broken                                                       bool   // the function fails
	hangs                                                        string // at which check: "first" or "key"
	redirect                                                     string
	notFound                                                     bool // whatever is sent: there is no gate
	answer                                                       func(status int, message string, h http.Header) (int, string)
	echo                                                         bool // the function sends the key back

	mu     sync.Mutex
	now    time.Time
	tokens float64
	filled time.Time
	calls  int
	keyed  int
}

func (s *stage) clock() Clock {
	return Clock{
		Now: func() time.Time {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.now
		},
		Sleep: func(ctx context.Context, d time.Duration) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.now = s.now.Add(d)
			return ctx.Err()
		},
	}
}

// start serves s and gives the options of a run against it.
func (s *stage) start(t *testing.T) Options {
	t.Helper()
	s.now = time.Unix(1_700_000_000, 0)
	s.filled, s.tokens = s.now, float64(s.burst)
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return Options{URL: server.URL + "/default/timestamper", Key: theKey, Rate: 1, Burst: 1, Clock: s.clock()}
}

func (s *stage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.calls++
	first := s.calls == 1
	sent := r.Header.Get("X-Api-Key")
	inQuery := s.inQuery && (r.URL.Query().Get("apiKey") == theKey)
	if s.caseful && s.calls == 6 {
		sent = "" // the sixth call is the one in odd case; Go's server does not show it
	}
	if sent == theKey {
		s.keyed++
	}
	refused := s.admit(sent, inQuery)
	s.mu.Unlock()
	if s.hangs == "first" && first || s.hangs == "key" && sent == theKey {
		<-r.Context().Done()
		return
	}
	if s.redirect != "" && first {
		http.Redirect(w, r, s.redirect, http.StatusFound)
		return
	}
	if s.notFound {
		http.NotFound(w, r)
		return
	}
	s.write(w, r, refused)
}

// admit decides as a gate does: key, throttle, quota; "" lets in.
func (s *stage) admit(sent string, inQuery bool) string {
	switch {
	case sent == theKey, inQuery:
	case sent == "" && s.open:
		return ""
	case sent != "" && s.anyKey:
		return ""
	default:
		return "Forbidden"
	}
	s.tokens = min(float64(s.burst), s.tokens+s.rate*s.now.Sub(s.filled).Seconds())
	s.filled = s.now
	if s.tokens < 1 && !s.never {
		if s.countsRefusals {
			s.spent++
		}
		return "Too Many Requests"
	}
	if s.quota > 0 && s.spent >= s.quota && !s.leaky {
		return "Limit Exceeded"
	}
	s.tokens--
	s.spent++
	return ""
}

func (s *stage) write(w http.ResponseWriter, r *http.Request, refused string) {
	h := w.Header()
	h.Set("x-amzn-RequestId", uuid.NewString())
	h.Set("x-amz-apigw-id", rand.Text()[:15]+"=")
	h.Set("Content-Type", "application/json")
	if refused == "" {
		if s.broken {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		if s.echo {
			w.Header().Set("Location", "/?"+r.Header.Get("X-Api-Key"))
			w.WriteHeader(http.StatusSeeOther)
			return
		}
		fmt.Fprint(w, `"timestamp"`)
		return
	}
	status := map[string]int{"Forbidden": 403}[refused]
	if status == 0 {
		status = 429
	}
	h.Set("x-amzn-ErrorType", map[string]string{
		"Forbidden": "ForbiddenException", "Too Many Requests": "TooManyRequestsException", "Limit Exceeded": "LimitExceededException",
	}[refused])
	body := `{"message":"` + refused + `"}`
	if s.answer != nil { // calls of a burst come at once, and some answers count
		s.mu.Lock()
		status, body = s.answer(status, refused, h)
		s.mu.Unlock()
	}
	w.WriteHeader(status)
	fmt.Fprint(w, body)
}
