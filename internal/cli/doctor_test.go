package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"weir/internal/app"
)

// TestDoctorScreen holds what people see.
func TestDoctorScreen(t *testing.T) {
	holdScreen(t, "doctor.screen", []app.Finding{
		{Check: "server", Verdict: app.Fine, Found: "none runs on /var/lib/weir"},
		{Check: "gateway address", Verdict: app.Failing, Found: ":8080 is held by process 123 (nginx)", Do: "stop that program, or give another address with --gateway-addr"},
		{Check: "data folder", Verdict: app.Warning, Found: "/var/lib/weir can be read by others (mode 0755)", Do: "chmod 700 /var/lib/weir"},
		{Check: "sandbox: files", Verdict: app.Warning, Found: "not held: it reads", Do: "give weir only functions that you trust"},
		{Check: "sandbox: network", Verdict: app.Warning, Found: "not held: it calls", Do: "give weir only functions that you trust"},
		{Check: "clock", Verdict: app.Fine, Found: "2026-11-24T10:00:00Z, \x1b[31msynchronised"},
	})
	holdScreen(t, "doctor-postgres.screen", []app.Finding{
		{Check: "server", Verdict: app.Fine, Found: "none runs on /var/lib/weir"},
		{Check: "database", Verdict: app.Fine, Found: "PostgreSQL 15.4 at 10.0.0.7:5432 (weir on db1:5432 or db2:5432), schema 3"},
		{Check: "durability", Verdict: app.Fine, Found: "fsync and full_page_writes are on; weir asks for synchronous_commit = on by itself (the server's is on)"},
		{Check: "failover", Verdict: app.Warning, Found: "db2 follows without being waited for: a failover to it forgets the last calls that were counted, and limits are exceeded by them", Do: "set synchronous_standby_names to the standby that would take over"},
		{Check: "connections", Verdict: app.Warning, Found: "31 of 40 in use, by 3 nodes and others; a node takes up to 10", Do: "raise max_connections to 53 or more before another node is started"},
		{Check: "database's clock", Verdict: app.Fine, Found: "within 1ms of this machine's"},
		{Check: "commit", Verdict: app.Fine, Found: "1.3ms"},
		{Check: "server secret", Verdict: app.Failing, Found: "/etc/weir/weir.secret holds secret 1a2b3c4d, and the data was stored under another", Do: "copy the file of a node that runs, or name it with --secret-file"},
	})
}

// holdScreen compares what is shown of findings with what was agreed.
func holdScreen(t *testing.T, name string, findings []app.Finding) {
	t.Helper()
	s := newScreen(nil)
	examined{Findings: findings}.print(s)
	golden := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(golden, s.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if s.String() != string(want) {
		t.Errorf("the screen has changed (go test ./internal/cli -update, then read the diff):\n%s", s)
	}
}

// TestDoctor looks at a real folder: the exit code says whether something
// fails.
func TestDoctor(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("skipped: Windows keeps no modes")
	}
	data := t.TempDir()
	look := func(want int) (seen examined, screen string) {
		t.Helper()
		flags := []string{"--data", data, "--gateway-addr", "127.0.0.1:0", "--control-addr", "127.0.0.1:0"}
		code, out, errs := line(t, append([]string{"doctor", "--json"}, flags...)...)
		if err := json.Unmarshal([]byte(out), &seen); err != nil || code != want || seen.OK != (want == exitOK) || len(seen.Findings) < 10 {
			t.Errorf("exit %d, want %d: %v\n%s%s", code, want, err, out, errs)
		}
		_, screen, _ = line(t, append([]string{"doctor"}, flags...)...)
		return seen, screen
	}
	_, screen := look(exitOK)
	if !strings.Contains(screen, "0 to mend\n") {
		t.Errorf("the screen says\n%s", screen)
	}
	if err := os.WriteFile(filepath.Join(data, "secret"), []byte("weir-secret-1 x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(data, "secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, screen = look(exitFailure); !strings.Contains(screen, "fail  server secret") || !strings.Contains(screen, "1 to mend\n") {
		t.Errorf("the screen says\n%s", screen)
	}
}
