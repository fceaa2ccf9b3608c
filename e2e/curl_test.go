package e2e

import (
	"bytes"
	"fmt"
	"net/url"
	"os/exec"
	"strings"
	"testing"
)

// reply is what curl printed for one call.
type reply struct {
	t      *testing.T
	url    string
	status string // "HTTP/1.1 403 Forbidden"
	header string
	body   string
}

// url is the walk-through's own form: the API in the host, the stage first.
func (w *walk) url() string {
	return w.urls()[0]
}

// urls are all the forms in which a caller may address the walk-through's
// method: by host and by both paths, on both addresses.
func (w *walk) urls() []string {
	var all []string
	for _, base := range []string{w.s.gateway, w.s.control} {
		u, err := url.Parse(base)
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(
			all,
			fmt.Sprintf("http://%s.execute-api.us-east-1.localhost:%s/default/timestamper", w.api, u.Port()),
			base+"/restapis/"+w.api+"/default/_user_request_/timestamper",
			base+"/_aws/execute-api/"+w.api+"/default/timestamper",
		)
	}
	return all
}

func (w *walk) curl(args ...string) reply {
	w.t.Helper()
	return w.curlURL(w.url(), args...)
}

func (w *walk) curlURL(url string, args ...string) reply {
	w.t.Helper()
	all := append([]string{"-sS", "-i", "--max-time", "20", "-X", "POST", "-H", "Content-Type: application/json", "--data", `{"timestamp": 1700000000}`}, args...)
	cmd := exec.CommandContext(w.t.Context(), tool(w.t, "curl"), append(all, url)...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		w.t.Fatalf("curl %s: %v %s", url, err, errs.String())
	}
	head, body, _ := strings.Cut(string(out), "\r\n\r\n")
	status, header, _ := strings.Cut(head, "\r\n")
	return reply{w.t, url, status, header, body}
}

func (r reply) answers(status int, body string) {
	r.t.Helper()
	if !strings.HasPrefix(r.status, fmt.Sprintf("HTTP/1.1 %d ", status)) || r.body != body {
		r.t.Fatalf("%s answered %s\n%s\n\n%s\nwant %d %s", r.url, r.status, r.header, r.body, status, body)
	}
}

func (r reply) answersTimestamp() {
	r.t.Helper()
	if !strings.HasPrefix(r.status, "HTTP/1.1 200 ") || !strings.Contains(r.body, "20") {
		r.t.Fatalf("%s answered %s\n%s\n\n%s\nwant 200 and a timestamp", r.url, r.status, r.header, r.body)
	}
}
