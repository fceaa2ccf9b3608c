package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weir/internal/app"
)

// TestHealthOfASickServer: whatever is wrong with what answers, the exit code
// and one line tell.
func TestHealthOfASickServer(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc // nil: nothing answers
		text   string
	}{
		{"not ready", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(`{"status":"unavailable"}`))
		}, "the server is unavailable: its log says why"},
		{"another program", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) }, "is no weir"},
		{"nobody", nil, "does not answer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := httptest.NewServer(c.answer)
			defer server.Close()
			if c.answer == nil {
				server.Close()
			}
			data := t.TempDir()
			writeJSON(t, filepath.Join(data, "running.json"), app.Running{PID: os.Getpid(), ControlURL: server.URL, GatewayURL: server.URL})
			writeJSON(t, filepath.Join(data, "root-access-key.json"), app.AccessKey{ID: "AKIA", Secret: "s"})
			code, out, errs := line(t, "health", "--data", data)
			if code != exitFailure || out != "" || !strings.Contains(errs, c.text) {
				t.Errorf("exit %d: %s%s", code, out, errs)
			}
		})
	}
}

// unwritable is an output that nothing can be written to, such as a full disk.
type unwritable struct{}

func (unwritable) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

// TestOutputThatCannotBeWritten: it is a failure, and no wrong command line.
func TestOutputThatCannotBeWritten(t *testing.T) {
	data, _ := serving(t)
	for _, command := range []string{"version", "health --data " + data, "keys --data " + data, "env --data " + data} {
		for _, form := range []string{"", " --json"} {
			var errs bytes.Buffer
			if code := run(t.Context(), strings.Fields(command+form), unwritable{}, &errs); code != exitFailure || !strings.Contains(errs.String(), "no space left") {
				t.Errorf("%s%s: exit %d: %s", command, form, code, errs.String())
			}
		}
	}
}

func writeJSON(t *testing.T, file string, v any) {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
