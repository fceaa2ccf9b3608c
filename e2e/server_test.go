package e2e

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// binary is the weir that TestMain built.
var binary string

func TestMain(m *testing.M) {
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "weir-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "weir")
	build := exec.Command("go", "build", "-o", binary, "../cmd/weir")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building weir: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// tool returns the path of a program that a test needs. Without it the test is
// skipped, or failed when WEIR_TEST_ALL=1.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("WEIR_TEST_ALL") == "1" {
		t.Fatalf("%s is not installed, and WEIR_TEST_ALL=1 demands it", name)
	}
	t.Skipf("skipped: %s is not installed", name)
	return ""
}

// server is one running weir on a data folder that outlives it.
type server struct {
	data    string
	gateway string // "http://127.0.0.1:41234"
	control string
	keyID   string
	secret  string
	region  string
	cmd     *exec.Cmd
	done    chan error
	log     *bytes.Buffer // whole once the process has ended
	hidden  []string      // what the log must not tell, besides the server's own secrets
}

// start runs weir serve on data and waits until it answers. It logs all it
// can, and at the end its log is held to telling no secret.
func start(t *testing.T, data string, flags ...string) *server {
	t.Helper()
	s := begin(t, data, exec.Command(binary, serveLine(data, flags...)...))
	s.find(t)
	return s
}

// serveLine is the command line of a server on free ports.
func serveLine(data string, flags ...string) []string {
	return append([]string{"serve", "--data", data, "--gateway-addr", "127.0.0.1:0", "--control-addr", "127.0.0.1:0", "--log-level", "debug"}, flags...)
}

// begin starts a command that becomes weir serve on data, and ends it with the
// test.
func begin(t *testing.T, data string, cmd *exec.Cmd) *server {
	t.Helper()
	s := &server{data: data, cmd: cmd, done: make(chan error, 1), log: new(bytes.Buffer)}
	s.cmd.Stderr = s.log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.done <- s.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		<-ended
		tellsNothing(t, "the server's log", s.log.Bytes(), s.secrets(t))
		if t.Failed() {
			t.Logf("the server's log:\n%s", tail(s.log.String(), 6000))
		}
	})
	return s
}

// find asks `weir env` until it knows the server that was just started.
func (s *server) find(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		out, err := exec.Command(binary, "env", "--json", "--data", s.data).Output()
		if err == nil {
			var env map[string]string
			if err := json.Unmarshal(out, &env); err != nil {
				t.Fatalf("weir env --json: %v: %s", err, out)
			}
			s.control, s.gateway = env["AWS_ENDPOINT_URL"], env["WEIR_GATEWAY_URL"]
			s.keyID, s.secret, s.region = env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"], env["AWS_REGION"]
			return
		}
		select {
		case err := <-s.done:
			t.Fatalf("weir serve ended at once: %v\n%s", err, s.log)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("weir serve is not there after 20 s: %v\n%s", err, s.log)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// stop asks for a clean stop and waits for it.
func (s *server) stop(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-s.done:
		if err != nil {
			t.Fatalf("weir serve did not stop cleanly: %v\n%s", err, s.log)
		}
	case <-time.After(40 * time.Second):
		t.Fatal("weir serve did not stop within 40 s")
	}
}

// kill ends the server without a chance to say goodbye.
func (s *server) kill(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	err := <-s.done
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		t.Fatalf("kill -9: %v", err)
	}
}

// environment is what eval "$(weir env)" would give a tool, and nothing of the
// account of whoever runs the tests.
func (s *server) environment(t *testing.T) []string {
	t.Helper()
	config := filepath.Join(t.TempDir(), "config")
	// AWS CLI 2 wants this to take --payload as it is written; version 1 ignores it.
	if err := os.WriteFile(config, []byte("[default]\ncli_binary_format = raw-in-base64-out\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "AWS_") {
			env = append(env, v)
		}
	}
	return append(
		env,
		"AWS_ENDPOINT_URL="+s.control, "AWS_ACCESS_KEY_ID="+s.keyID, "AWS_SECRET_ACCESS_KEY="+s.secret,
		"AWS_REGION="+s.region, "AWS_DEFAULT_REGION="+s.region,
		"AWS_CONFIG_FILE="+config, "AWS_SHARED_CREDENTIALS_FILE="+config+".none",
		"AWS_PAGER=", "AWS_MAX_ATTEMPTS=1", "AWS_EC2_METADATA_DISABLED=true",
	)
}

// zipFolder packs a folder's files as a user would with `zip -r`.
func zipFolder(t *testing.T, dir string) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	if err := w.AddFS(os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// awayFromMidnight waits when the UTC day is about to end: a quota of the day
// that a test is counting would begin anew.
func awayFromMidnight(t *testing.T, needed time.Duration) {
	t.Helper()
	now := time.Now().UTC()
	left := now.Truncate(24 * time.Hour).Add(24 * time.Hour).Sub(now)
	if left < needed {
		t.Logf("waiting %s for the UTC day to end", left.Round(time.Second))
		time.Sleep(left + time.Second)
	}
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

// within fails the test when what it waits for does not come true in time.
func within(t *testing.T, limit time.Duration, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for !done() {
		if ctx.Err() != nil {
			t.Fatalf("not within %s: %s", limit, what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
