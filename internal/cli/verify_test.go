package cli

import (
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const verifyKey = "0123456789abcdefghij"

// lenient lets everybody in who sends what the flags of the test say, and
// sends the key back.
func lenient(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Location", r.Header.Get("X-Api-Key"))
		if r.Method != http.MethodPost || r.Header.Get("X-Mine") != "yes" || string(body) != "hello" {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		w.WriteHeader(http.StatusCreated)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // of the handshake that is refused
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func TestVerifyOfAnOpenEndpoint(t *testing.T) {
	s := lenient(t)
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv(keyVariable, verifyKey)
	for _, trust := range [][]string{{"--cacert", ca}, {"--insecure"}} {
		code, out, errs := line(t, append([]string{"verify", s.URL, "--body", "hello", "--header", "X-Mine: yes"}, trust...)...)
		if code != exitFailure || !strings.Contains(out, "no key                       no key                        201") || !strings.Contains(errs, "at most 34 calls, 32 of them with the key") {
			t.Errorf("%v: exit %d\n%s%s", trust, code, out, errs)
		}
		if strings.Contains(out+errs, verifyKey) {
			t.Errorf("the key is shown:\n%s%s", out, errs)
		}
	}
	code, out, errs := line(t, "verify", s.URL)
	if code != exitUnreachable || !strings.Contains(out, "--cacert") || !strings.Contains(errs, "weir: the endpoint does not answer") {
		t.Errorf("unknown certificate: exit %d\n%s%s", code, out, errs)
	}
	code, out, _ = line(t, "verify", s.URL, "--insecure", "--json")
	var report struct {
		URL    string
		Calls  int
		Passed bool
		Checks []map[string]string
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil || code != exitFailure || report.Passed || report.Calls == 0 || len(report.Checks) < 8 {
		t.Errorf("exit %d: %v: %s", code, err, out)
	}
	if code, out, errs := line(t, "verify", "http://127.0.0.1:1/", "--json"); code != exitUnreachable || !json.Valid([]byte(out)) {
		t.Errorf("nobody listens: exit %d: %s%s", code, out, errs)
	}
}

func TestVerifyCommandLines(t *testing.T) {
	t.Setenv(keyVariable, "")
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"no URL", nil, "something is missing: write 'weir verify URL [flags]'"},
		{"no key", []string{"http://h/"}, "--key - to read it"},
		{"bad URL", []string{"h/p", "--key", "k"}, "must be whole"},
		{"rate alone", []string{"http://h/", "--key", "k", "--rate", "1"}, "rate and burst come together"},
		{"bad header", []string{"http://h/", "--key", "k", "--header", "x"}, "'Name: value'"},
		{"the key as a header", []string{"http://h/", "--key", "k", "--header", "x-api-key: k"}, "not as a header"},
		{"no such body", []string{"http://h/", "--key", "k", "--body", "@/nowhere"}, "--body"},
		{"no such certificates", []string{"http://h/", "--key", "k", "--cacert", "/nowhere"}, "--cacert"},
		{"no certificate in it", []string{"http://h/", "--key", "k", "--cacert", "verify_test.go"}, "no certificate in it"},
		{"too long", []string{"http://h/", "--key", "k", "--quota", "5000"}, "raise --max-time"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, _, errs := line(t, append([]string{"verify"}, c.args...)...)
			if code != exitUsage || !strings.Contains(errs, c.want) {
				t.Errorf("exit %d, want %d; printed %s, want %s", code, exitUsage, errs, c.want)
			}
		})
	}
}

func TestConfirmed(t *testing.T) {
	for said, want := range map[string]bool{"y\n": true, " YES \n": true, "y": true, "\n": false, "": false, "no\n": false, "yesterday\n": false} {
		var out strings.Builder
		if confirmed(t.Context(), strings.NewReader(said), &out, "Sure?") != want || out.String() != "Sure? [y/N] " {
			t.Errorf("%q: %v, asked %q", said, !want, out.String())
		}
	}
}
