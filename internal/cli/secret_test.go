package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSecretCreate: the file is its owner's alone, is never overwritten, and
// what it holds is not printed.
func TestSecretCreate(t *testing.T) {
	file := filepath.Join(t.TempDir(), "weir.secret")
	code, out, errs := line(t, "secret", "create", file, "--json")
	var made madeSecret
	if err := json.Unmarshal([]byte(out), &made); err != nil || code != exitOK || len(made.ID) != 8 || made.File != file {
		t.Fatalf("exit %d: %v: %s%s", code, err, out, errs)
	}
	text, err := os.ReadFile(file)
	must(t, err)
	info, err := os.Stat(file)
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %04o", info.Mode().Perm())
	}
	if value := strings.Fields(string(text))[1]; strings.Contains(out, value) {
		t.Error("it prints the secret")
	}
	code, _, errs = line(t, "secret", "create", file)
	if code != exitFailure || !strings.Contains(errs, "is there already") {
		t.Errorf("a second time: exit %d: %s", code, errs)
	}
	if again, err := os.ReadFile(file); err != nil || string(again) != string(text) {
		t.Errorf("the file was changed: %v", err)
	}
	code, out, _ = line(t, "secret", "create", filepath.Join(t.TempDir(), "second"))
	if code != exitOK || !strings.Contains(out, "copy it to every node, mode 0600") {
		t.Errorf("exit %d: %s", code, out)
	}
}
