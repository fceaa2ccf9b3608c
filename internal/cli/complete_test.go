package cli

import (
	"context"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestCompletionOfNames(t *testing.T) {
	s := stock(t)
	s.does("keys", "create", "writer")
	key := s.key("reader").ID
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"keys", "rotate", "re"}, "reader\t" + key + "\n:4\n"},
		{[]string{"keys", "show", "x"}, ":4\n"},
		{[]string{"keys", "show", "reader", "w"}, ":4\n"}, // there is one argument
		{[]string{"keys", "create", "x", "--plan", "id"}, "idle\t"},
		{[]string{"usage", "--plan", "ten"}, "ten-a-day\t"},
		{[]string{"invoke", ""}, ":4\n"},
		{[]string{"unpublish", ""}, ":0\n"}, // files too: a folder will do
	} {
		// What is completed stands last.
		args := append([]string{"__complete", c.args[0]}, "--data", s.data)
		if code, out, _ := line(t, append(args, c.args[1:]...)...); code != exitOK || !strings.HasPrefix(out, c.want) {
			t.Errorf("%q: exit %d, %q, want %q", c.args, code, out, c.want)
		}
	}
}

func TestCompletionOfShells(t *testing.T) {
	if code, out, _ := line(t, "__complete", "completion", "f"); code != exitOK || out != "fish\n:4\n" {
		t.Errorf("exit %d, %q", code, out)
	}
}

// TestCompletionIsBounded: a shell never waits long for a server that does not
// answer, and sees no error.
func TestCompletionIsBounded(t *testing.T) {
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	defer silent.Close()
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIAAAAAAAAAAAAAAAAA")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "hush")
	t.Setenv("AWS_REGION", "us-east-1")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var out, errs strings.Builder
	code := run(ctx, []string{"__complete", "keys", "show", "--endpoint-url", "http://" + silent.Addr().String(), ""}, &out, &errs)
	if code != exitOK || out.String() != ":4\n" || ctx.Err() != nil {
		t.Errorf("exit %d, %q, %v", code, out.String(), ctx.Err())
	}
	if code, out, _ := line(t, "__complete", "keys", "show", "--data", t.TempDir(), ""); code != exitOK || out != ":4\n" {
		t.Errorf("without a server: exit %d, %q", code, out)
	}
}

// TestCompletionScripts: each shell that is installed takes its script.
func TestCompletionScripts(t *testing.T) {
	for shell, check := range map[string][]string{"bash": {"bash", "-n"}, "zsh": {"zsh", "-n"}, "fish": {"fish", "-n"}, "powershell": nil} {
		t.Run(shell, func(t *testing.T) {
			code, out, errs := line(t, "completion", shell)
			if code != exitOK || errs != "" || !strings.Contains(out, "weir") {
				t.Fatalf("exit %d: %s", code, errs)
			}
			if check == nil {
				return
			}
			path, err := exec.LookPath(check[0])
			if err != nil && os.Getenv("WEIR_TEST_ALL") == "1" {
				t.Fatalf("%s is not installed, and WEIR_TEST_ALL=1 demands it", check[0])
			}
			if err != nil {
				t.Skipf("skipped: %s is not installed", check[0])
			}
			cmd := exec.CommandContext(t.Context(), path, check[1:]...)
			cmd.Stdin = strings.NewReader(out)
			if said, err := cmd.CombinedOutput(); err != nil || len(said) > 0 {
				t.Errorf("%v: %s", err, said)
			}
		})
	}
}
