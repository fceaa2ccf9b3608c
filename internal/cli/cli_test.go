package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

var update = flag.Bool("update", false, "rewrite the golden files from what the commands print")

// line runs one command line in this process.
func line(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

// everyCommand gives all command lines that name a command: "", "keys",
// "keys create" …
func everyCommand() []*cobra.Command {
	all := []*cobra.Command{newRoot()}
	for i := 0; i < len(all); i++ {
		all = append(all, all[i].Commands()...)
	}
	return all
}

// TestHelpScreens holds every command's help, so that a changed screen is seen
// and read by a person.
func TestHelpScreens(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", "/data") // the default folder is printed
	for _, c := range everyCommand() {
		args := append(strings.Fields(c.CommandPath())[1:], "--help")
		code, out, errs := line(t, args...)
		if code != exitOK || errs != "" {
			t.Errorf("%v: exit %d, %s", args, code, errs)
		}
		if c.Runnable() && !strings.Contains(out, "Examples:") {
			t.Errorf("%v shows no example", args)
		}
		golden(t, strings.ReplaceAll(c.CommandPath(), " ", "-")+".help", out)
	}
}

// golden holds out against a file in testdata.
func golden(t *testing.T, name, out string) {
	t.Helper()
	name = filepath.Join("testdata", strings.TrimPrefix(name, "weir-"))
	if *update {
		if err := os.WriteFile(name, []byte(out), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if out != string(want) {
		t.Errorf("%s has changed (go test ./internal/cli -update, then read the diff):\n%s", name, out)
	}
}

func TestExitCodes(t *testing.T) {
	empty := t.TempDir()
	for _, c := range []struct {
		name   string
		args   []string
		code   int
		stderr string
	}{
		{"no such command", []string{"serv"}, exitUsage, `unknown command "serv"`},
		{"no such flag", []string{"serve", "--prot", "1"}, exitUsage, "unknown flag: --prot"},
		{"hint names the command", []string{"serve", "--prot", "1"}, exitUsage, "weir serve --help"},
		{"too many arguments", []string{"env", "x"}, exitUsage, `unknown command "x"`},
		{"no argument", []string{"up"}, exitUsage, "something is missing: write 'weir up DIR [flags]'"},
		{"two for one", []string{"up", "my", "folder"}, exitUsage, "2 arguments are too many: write 'weir up DIR [flags]', with quotes"},
		{"bad account", []string{"serve", "--account", "12"}, exitUsage, "12 digits"},
		{"bad region", []string{"serve", "--region", "here"}, exitUsage, "such as us-east-1"},
		{"bad address", []string{"serve", "--gateway-addr", "8080"}, exitUsage, "give host:port"},
		{"bad log level", []string{"serve", "--log-level", "loud"}, exitUsage, "debug, info, warn or error"},
		{"bad log format", []string{"serve", "--log-format", "xml"}, exitUsage, "text or json"},
		{"any credentials in public", []string{"serve", "--any-credentials", "--control-addr", "0.0.0.0:0"}, exitUsage, "loopback"},
		{"no server", []string{"env", "--data", empty}, exitAbsent, "weir serve --data " + empty},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out, errs := line(t, c.args...)
			if code != c.code || !strings.Contains(errs, c.stderr) {
				t.Errorf("exit %d, want %d; printed %s%s, want %q", code, c.code, out, errs, c.stderr)
			}
		})
	}
}

func TestVersion(t *testing.T) {
	code, out, _ := line(t, "version", "--json")
	var v versionInfo
	if err := json.Unmarshal([]byte(out), &v); err != nil || code != exitOK || v.Version == "" || v.Go == "" || v.Platform == "" {
		t.Errorf("exit %d: %s: %v", code, out, err)
	}
	if _, out, _ := line(t, "version"); !strings.HasPrefix(out, "weir ") {
		t.Errorf("weir version printed %q", out)
	}
}

// TestServeAndEnv starts a server as main would, finds it with env, and stops
// it by ending its context, as a signal does.
func TestServeAndEnv(t *testing.T) {
	data := filepath.Join(t.TempDir(), "it's data") // a name that a shell would trip over
	t.Setenv("WEIR_DATA", data)
	t.Setenv("WEIR_CONTROL_ADDR", "127.0.0.1:0")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	var log bytes.Buffer
	go func() {
		ended <- run(ctx, []string{"serve", "--gateway-addr", "127.0.0.1:0", "--log-format", "json"}, &log, &log)
	}()
	code, out, errs := line(t, "env", "--wait", "20s")
	if code != exitOK {
		t.Errorf("env: exit %d: %s", code, errs)
	}
	for _, want := range []string{"export AWS_ENDPOINT_URL=http://127.0.0.1:", "export AWS_ACCESS_KEY_ID=AKIA", "export AWS_SECRET_ACCESS_KEY=", "export AWS_REGION=us-east-1\n", "export WEIR_GATEWAY_URL=http://127.0.0.1:"} {
		if !strings.Contains(out, want) {
			t.Errorf("env lacks %q:\n%s", want, out)
		}
	}
	if code, out, errs := line(t, "health"); code != exitOK || out != "ready\n" {
		t.Errorf("health: exit %d: %s%s", code, out, errs)
	}
	if code, out, _ := line(t, "health", "--json"); code != exitOK || decode[healthy](t, out).Status != "ready" {
		t.Errorf("health --json: exit %d: %s", code, out)
	}
	// One data folder, one server.
	code, _, errs = line(t, "serve", "--gateway-addr", "127.0.0.1:0")
	if code != exitFailure || !strings.Contains(errs, "data") {
		t.Errorf("a second server on one data folder: exit %d: %s", code, errs)
	}
	stop()
	if code := <-ended; code != exitOK {
		t.Errorf("serve: exit %d:\n%s", code, log.String())
	}
	for _, command := range []string{"env", "health"} {
		if code, _, _ := line(t, command); code != exitAbsent {
			t.Errorf("%s after the stop: exit %d", command, code)
		}
	}
}

func TestShellQuote(t *testing.T) {
	for _, c := range [][2]string{
		{"http://127.0.0.1:4566", "http://127.0.0.1:4566"},
		{"", "''"},
		{"a b", "'a b'"},
		{"$(rm)", "'$(rm)'"},
		{"it's", `'it'\''s'`},
	} {
		if got := shellQuote(c[0]); got != c[1] {
			t.Errorf("shellQuote(%q) = %s, want %s", c[0], got, c[1])
		}
	}
}
