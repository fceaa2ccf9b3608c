package cli

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// arguments gives a command the arguments that its usage names ("create NAME"
// has one) and that must be there; for DIR a folder that holds a function.
func arguments(c *cobra.Command, function string) []string {
	args := strings.Fields(c.CommandPath())[1:]
	for _, word := range strings.Fields(c.Use)[1:] {
		if strings.HasPrefix(word, "[") {
			continue // it may be left out
		}
		if word == "DIR" {
			args = append(args, function)
			continue
		}
		if c.CommandPath() == "weir keys import" {
			args = append(args, filepath.Join(function, "keys.csv"))
			continue
		}
		args = append(args, strings.ToLower(strings.TrimRight(strings.SplitN(word, "|", 2)[0], ".")))
	}
	return args
}

// alone are the clients that do something useful without a server.
var alone = map[string]bool{
	"weir backup": true, // of the folder itself
}

// TestWalk goes through every command there is: a wrong command line is exit
// 2 and names the command's help, and a client without a server is exit 3.
func TestWalk(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIAAAAAAAAAAAAAAAAA")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "hush")
	t.Setenv("AWS_REGION", "us-east-1")
	t.Setenv("AWS_MAX_ATTEMPTS", "1")
	function := t.TempDir()
	must(t, os.WriteFile(filepath.Join(function, "lambda_function.py"), []byte("def lambda_handler(event, context): pass\n"), 0o600))
	must(t, os.WriteFile(filepath.Join(function, "keys.csv"), []byte("name,key\nn,apikey1234abcdefghij\n"), 0o600))
	clients := 0
	for _, c := range everyCommand() {
		if !c.Runnable() {
			continue
		}
		path := strings.Fields(c.CommandPath())[1:]
		args := arguments(c, function)
		exits(t, exitUsage, "--help' for usage", append(args, "--no-such-flag")...)
		exits(t, exitUsage, "--help' for usage", append(args, "one", "two", "three")...)
		if len(args) > len(path) {
			exits(t, exitUsage, "--help' for usage", path...)
		}
		if c.Flags().Lookup("endpoint-url") == nil || alone[c.CommandPath()] {
			continue
		}
		clients++
		exits(t, exitAbsent, "weir serve", append(args, "--data", t.TempDir())...)
		exits(t, exitAbsent, "127.0.0.1:1", append(args, "--endpoint-url", "http://127.0.0.1:1")...)
		exits(t, exitUsage, "not both", append(args, "--endpoint-url", "http://127.0.0.1:1", "--data", "x")...)
	}
	if clients < 10 {
		t.Errorf("walked only %d clients", clients)
	}
}

// exits runs a command line that has to end by itself, with this code and
// these words.
func exits(t *testing.T, code int, words string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var out, errs strings.Builder
	t.Chdir(t.TempDir())
	got := run(ctx, args, &out, &errs)
	if got != code || !strings.Contains(errs.String(), words) || out.String() != "" {
		t.Errorf("weir %s: exit %d, want %d; said %q%q, want %q", strings.Join(args, " "), got, code, out.String(), errs.String(), words)
	}
	if left, err := filepath.Glob("*"); err != nil || len(left) > 0 {
		t.Errorf("weir %s left %v %v", strings.Join(args, " "), left, err)
	}
}

// TestEveryCommandIsDocumented: docs/commands.md names every command.
func TestEveryCommandIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/commands.md")
	must(t, err)
	for _, c := range everyCommand() {
		if name := c.CommandPath(); name != "weir" && name != "weir exit-codes" && !strings.Contains(string(page), "`"+name) {
			t.Errorf("docs/commands.md has no line for %s", name)
		}
	}
}
