package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestProfileDrivesTheAWSCLI: after weir env --profile, the real aws CLI needs
// nothing but --profile.
func TestProfileDrivesTheAWSCLI(t *testing.T) {
	t.Parallel()
	cli := tool(t, "aws")
	s := start(t, filepath.Join(t.TempDir(), "data"))
	home := t.TempDir()
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "AWS_") && !strings.HasPrefix(v, "HOME=") {
			env = append(env, v)
		}
	}
	env = append(env, "HOME="+home, "AWS_EC2_METADATA_DISABLED=true")
	weir := exec.CommandContext(t.Context(), binary, "env", "--profile", "gate", "--data", s.data)
	weir.Env = env
	if out, err := weir.CombinedOutput(); err != nil || bytes.Contains(out, []byte(s.secret)) {
		t.Fatalf("weir env --profile: %v: %s", err, out)
	}
	info, err := os.Stat(filepath.Join(home, ".aws", "credentials"))
	must(t, info, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the credentials have mode %o", info.Mode().Perm())
	}
	args := []string{"--profile", "gate", "sts", "get-caller-identity", "--query", "Arn", "--output", "text"}
	if !knowsEndpoints(t, cli) {
		args = append(args, "--endpoint-url", s.control)
	}
	aws := exec.CommandContext(t.Context(), cli, args...)
	aws.Env = env
	out, err := aws.CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "arn:aws:iam::000000000000:root" {
		t.Errorf("aws %v: %v: %s", args, err, out)
	}
}

// knowsEndpoints says whether this aws CLI reads a profile's endpoint_url:
// version 2 from 2.13, version 1 with botocore from 1.31.
func knowsEndpoints(t *testing.T, cli string) bool {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), cli, "--version").CombinedOutput()
	must(t, out, err)
	for pattern, least := range map[string]int{`aws-cli/2\.(\d+)`: 13, `aws-cli/1\..*botocore/1\.(\d+)`: 31} {
		if m := regexp.MustCompile(pattern).FindSubmatch(out); m != nil {
			minor, err := strconv.Atoi(string(m[1]))
			return err == nil && minor >= least
		}
	}
	t.Fatalf("aws --version printed %s", out)
	return false
}

// TestWatchEndsWell: --watch appends to a pipe and to a terminal that obeys
// nothing, repaints any other, and Ctrl-C ends it with 0 in all.
func TestWatchEndsWell(t *testing.T) {
	t.Parallel()
	s := start(t, filepath.Join(t.TempDir(), "data"))
	t.Run("piped", func(t *testing.T) {
		cmd := exec.CommandContext(t.Context(), binary, "keys", "--watch=0.2", "--data", s.data)
		out := new(lockedBuffer)
		cmd.Stdout, cmd.Stderr = out, out
		must(t, 0, cmd.Start())
		within(t, 20*time.Second, "three pictures in a pipe", func() bool { return strings.Count(out.String(), "no API keys") >= 3 })
		must(t, 0, cmd.Process.Signal(os.Interrupt))
		if err := cmd.Wait(); err != nil || strings.Contains(out.String(), "\x1b") {
			t.Errorf("after Ctrl-C: %v: %q", err, out.String())
		}
	})
	for _, c := range []struct {
		kind, picture string
		repaints      bool
	}{{"xterm", "\x1b[H", true}, {"dumb", "no API keys", false}} {
		t.Run("terminal "+c.kind, func(t *testing.T) {
			script := tool(t, "script")
			// What is typed reaches the command through the terminal, as Ctrl-C does;
			// exec, since some shells would stay, get it too and end with 130.
			cmd := exec.CommandContext(t.Context(), script, "-qefc", "exec "+binary+" keys --watch=0.2 --data "+s.data, "/dev/null")
			cmd.Env = append(os.Environ(), "TERM="+c.kind)
			stdin, err := cmd.StdinPipe()
			must(t, stdin, err)
			out := new(lockedBuffer)
			cmd.Stdout, cmd.Stderr = out, out
			must(t, 0, cmd.Start())
			within(t, 20*time.Second, "three pictures on a terminal", func() bool {
				return strings.Count(out.String(), c.picture) >= 3
			})
			if _, err := stdin.Write([]byte{3}); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err != nil || strings.Contains(out.String(), "\x1b") != c.repaints {
				t.Errorf("after Ctrl-C: %v: %q", err, tail(out.String(), 500))
			}
		})
	}
}

// lockedBuffer collects what a process prints while a test reads it.
type lockedBuffer struct {
	lock sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.lock.Lock()
	defer b.lock.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.lock.Lock()
	defer b.lock.Unlock()
	return b.text.String()
}
