package e2e

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// uprun is one running `weir up`.
type uprun struct {
	t       *testing.T
	cmd     *exec.Cmd
	out     *lines // what it prints
	errs    *lines // how it goes on
	done    chan error
	started time.Time
}

// lines is text that grows while it is read.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// beginUp starts weir up on any free ports and does not wait.
func beginUp(t *testing.T, data, dir string, flags ...string) *uprun {
	t.Helper()
	args := append([]string{"up", dir, "--data", data, "--gateway-addr", "127.0.0.1:0", "--control-addr", "127.0.0.1:0"}, flags...)
	u := &uprun{t: t, cmd: exec.Command(binary, args...), out: new(lines), errs: new(lines), done: make(chan error, 1), started: time.Now()}
	u.cmd.Stdout, u.cmd.Stderr = u.out, u.errs
	if err := u.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { u.done <- u.cmd.Wait() }()
	t.Cleanup(func() {
		_ = u.cmd.Process.Kill()
		if t.Failed() {
			t.Logf("weir up printed:\n%s\n%s", u.errs, u.out)
		}
	})
	return u
}

const upIsReady = "requests, until Ctrl-C:\n"

// startUp starts weir up and waits until it follows requests.
func startUp(t *testing.T, data, dir string, flags ...string) *uprun {
	t.Helper()
	u := beginUp(t, data, dir, flags...)
	within(t, 60*time.Second, "weir up follows requests", func() bool {
		select {
		case err := <-u.done:
			t.Fatalf("weir up ended at once: %v\n%s", err, u.errs)
		default:
		}
		return strings.Contains(u.out.String(), upIsReady)
	})
	t.Logf("%s: its lines were printed after %d ms", filepath.Base(dir), time.Since(u.started).Milliseconds())
	return u
}

// interrupt is Ctrl-C; the command ends well.
func (u *uprun) interrupt() {
	u.t.Helper()
	if err := u.cmd.Process.Signal(syscall.SIGINT); err != nil {
		u.t.Fatal(err)
	}
	u.ends()
}

func (u *uprun) ends() {
	u.t.Helper()
	select {
	case err := <-u.done:
		if err != nil {
			u.t.Fatalf("weir up ended with %v\n%s", err, u.errs)
		}
	case <-time.After(40 * time.Second):
		u.t.Fatal("weir up did not end within 40 s")
	}
}

// line is the line to paste below the comment that begins so.
func (u *uprun) line(comment string) string {
	u.t.Helper()
	m := regexp.MustCompile(`(?m)^# ` + regexp.QuoteMeta(comment) + `.*\n(.+)$`).FindStringSubmatch(u.out.String())
	if m == nil {
		u.t.Fatalf("weir up printed no line for %q:\n%s", comment, u.out)
	}
	return m[1]
}

// told waits for a text of standard error, which is read beside standard
// output and may come a moment after it.
func (u *uprun) told(text string) {
	u.t.Helper()
	within(u.t, 20*time.Second, text, func() bool { return strings.Contains(u.errs.String(), text) })
}

func (u *uprun) value(name string) string {
	u.t.Helper()
	m := regexp.MustCompile(`(?m)^` + name + ` +(\S+)`).FindStringSubmatch(u.out.String())
	if m == nil {
		u.t.Fatalf("weir up printed no %s:\n%s", name, u.out)
	}
	return m[1]
}

// paste runs a line in bash, as printed.
func paste(t *testing.T, line string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), tool(t, "bash"), "-c", line).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

// copied is a folder's copy, which may be edited.
func copied(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), filepath.Base(dir))
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

// TestUpProvesItsLimits is the walk of the README's first screen: the printed
// lines, pasted as they are, show every answer.
func TestUpProvesItsLimits(t *testing.T) {
	t.Parallel()
	tool(t, "curl")
	tool(t, "python3")
	awayFromMidnight(t, time.Minute)
	data, dir := filepath.Join(t.TempDir(), "data"), copied(t, "../examples/timestamper")
	u := startUp(t, data, dir)

	limitExceeded(t, u)
	if got := paste(t, u.line("403 Forbidden")); got != `{"message":"Forbidden"} 403`+"\n" {
		t.Errorf("without a key: %s", got)
	}
	key := u.value("key")
	within(t, 10*time.Second, "a line for each request", func() bool {
		_, shown, _ := strings.Cut(u.out.String(), upIsReady)
		return strings.Contains(shown, "admitted") && regexp.MustCompile(`refused QUOTA_EXCEEDED +429 `).MatchString(shown) && strings.Contains(shown, " 403 ") &&
			strings.Contains(shown, "timestamper") && !strings.Contains(shown, key)
	})
	u.interrupt()

	// The second up: the code is another, the key and what was used are not.
	edit(t, filepath.Join(dir, "lambda_function.py"), "'timestamp': now", "'now': now")
	again := startUp(t, data, dir)
	if again.value("key") != key {
		t.Error("the key is another")
	}
	again.told("function timestamper: changed\n")
	again.told("stage default: unchanged\n")
	if got := paste(t, again.line("200")); !strings.HasSuffix(got, `{"message":"Limit Exceeded"} 429`+"\n") && !strings.Contains(got, "Too Many Requests") {
		t.Errorf("the quota was forgotten: %s", got)
	}
	again.interrupt()

	third := startUp(t, data, dir, "--quota", "12/day", "--rate", "100", "--burst", "100")
	if got := paste(t, third.line("200")); !strings.HasPrefix(got, `{"now": `) || !strings.HasSuffix(got, " 200\n") {
		t.Errorf("the edited code answers %s", got)
	}
	third.interrupt()
}

var (
	anyAddress = regexp.MustCompile(`(127\.0\.0\.1|localhost):[0-9]+`)
	anyAPI     = regexp.MustCompile(`execute-api/[a-z0-9]{10}/|[a-z0-9]{10}\.execute-api`)
	anyKey     = regexp.MustCompile(`[A-Za-z0-9]{40}`)
)

// TestTheReadmeShowsWhatUpPrints holds the README's first screen against the
// program, but for what differs from start to start.
func TestTheReadmeShowsWhatUpPrints(t *testing.T) {
	t.Parallel()
	tool(t, "python3")
	u := startUp(t, filepath.Join(t.TempDir(), "data"), "../examples/timestamper")
	printed := u.out.String()
	u.interrupt()
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?ms)^```text\n(.*?)^```$").FindSubmatch(readme)
	if block == nil {
		t.Fatal("the README shows nothing")
	}
	same := func(text string) string {
		return anyKey.ReplaceAllString(anyAPI.ReplaceAllString(anyAddress.ReplaceAllString(text, "ADDRESS"), "API"), "KEY")
	}
	if got, want := same(strings.TrimLeft(printed, "\n")), same(string(block[1])); got != want {
		t.Errorf("weir up printed\n%s\nthe README shows\n%s", got, want)
	}
}

// limitExceeded pastes the lines of the rate and the quota and reads what they
// print. The first of all answers is the cold start's.
func limitExceeded(t *testing.T, u *uprun) {
	t.Helper()
	begun := time.Now()
	if got := paste(t, u.line("200")); !strings.HasPrefix(got, `{"timestamp": `) || !strings.HasSuffix(got, ` "received": {"hello": "world"}} 200`+"\n") {
		t.Errorf("with the key: %s", got)
	}
	t.Logf("the first answer took %d ms", time.Since(begun).Milliseconds())
	if got := paste(t, u.line("429 Too Many Requests")); !strings.Contains(got, `{"message":"Too Many Requests"} 429`+"\n") {
		t.Errorf("too fast: %s", got)
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-c", u.line("429 Limit Exceeded"))
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exceeded, last := time.Duration(0), ""
	for s := bufio.NewScanner(pipe); s.Scan(); {
		last = s.Text()
		if exceeded == 0 && strings.Contains(last, "Limit Exceeded") {
			exceeded = time.Since(u.started)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if last != `{"message":"Limit Exceeded"} 429` {
		t.Errorf("the quota's line ends with %s", last)
	}
	t.Logf("the first Limit Exceeded came %.1f s after the start", exceeded.Seconds())
}

func edit(t *testing.T, file, old, new string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(text), old, new, 1)
	if changed == string(text) {
		t.Fatalf("%s has no %q", file, old)
	}
	if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestUpJoinsARunningServer: Ctrl-C leaves a server alone that up only found.
func TestUpJoinsARunningServer(t *testing.T) {
	t.Parallel()
	tool(t, "curl")
	tool(t, "python3")
	data := filepath.Join(t.TempDir(), "data")
	s := start(t, data)
	u := startUp(t, data, "../examples/timestamper", "--rate", "100", "--burst", "100", "--quota", "none")
	u.told("a server runs on " + data + " already")
	if !strings.HasPrefix(u.value("endpoint"), s.gateway) {
		t.Errorf("it published to %s, the server is at %s", u.value("endpoint"), s.gateway)
	}
	u.interrupt()
	if !strings.Contains(u.errs.String(), "the server goes on\n") {
		t.Errorf("it told:\n%s", u.errs)
	}
	if got := paste(t, u.line("200")); !strings.HasSuffix(got, " 200\n") {
		t.Errorf("after up's end: %s", got)
	}
	s.stop(t)
}

const slowPython = `
import os, time
def handler(event, context):
    open(os.environ["STARTED"], "w").close()
    time.sleep(1.5)
    return {"statusCode": 200, "body": "slowly"}
`

// TestUpDrains: what is in flight at Ctrl-C is answered, and shown.
func TestUpDrains(t *testing.T) {
	t.Parallel()
	tool(t, "python3")
	dir := t.TempDir()
	begun := filepath.Join(dir, "started")
	function := filepath.Join(dir, "slow")
	if err := os.Mkdir(function, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(function, "main.py"), []byte(slowPython), 0o600); err != nil {
		t.Fatal(err)
	}
	u := startUp(t, filepath.Join(dir, "data"), function, "--timeout", "20", "--env", "STARTED="+begun)
	answer := make(chan string, 1)
	go func() {
		req, _ := http.NewRequest(http.MethodPost, u.value("endpoint"), http.NoBody)
		req.Header.Set("X-Api-Key", u.value("key"))
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			answer <- err.Error()
			return
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		answer <- fmt.Sprint(res.StatusCode, " ", string(body))
	}()
	within(t, 20*time.Second, "the function runs", func() bool {
		_, err := os.Stat(begun)
		return err == nil
	})
	u.interrupt()
	if got := <-answer; got != "200 slowly" {
		t.Errorf("the call in flight got %s", got)
	}
	if _, shown, _ := strings.Cut(u.out.String(), upIsReady); !strings.Contains(shown, "admitted") {
		t.Errorf("the last request is not shown: %q", shown)
	}
}

// TestUpWatches: a saved file is published; one that cannot be is told, and
// the version before it goes on.
func TestUpWatches(t *testing.T) {
	t.Parallel()
	tool(t, "curl")
	tool(t, "python3")
	dir := copied(t, "../examples/timestamper")
	u := startUp(t, filepath.Join(t.TempDir(), "data"), dir, "--watch", "--rate", "1000", "--burst", "1000", "--quota", "none")
	file := filepath.Join(dir, "lambda_function.py")
	edit(t, file, "'timestamp': now", "'now': now")
	within(t, 20*time.Second, "the new code answers", func() bool { return strings.HasPrefix(paste(t, u.line("200")), `{"now": `) })
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	within(t, 20*time.Second, "what is missing is told", func() bool {
		return strings.Contains(u.errs.String(), "nothing to publish was found")
	})
	if got := paste(t, u.line("200")); !strings.HasPrefix(got, `{"now": `) {
		t.Errorf("the version before answers %s", got)
	}
	u.interrupt()
}

// TestUpSaysWhereAFailureIsTold, and after the first it is known.
func TestUpSaysWhereAFailureIsTold(t *testing.T) {
	t.Parallel()
	tool(t, "curl")
	tool(t, "python3")
	dir := copied(t, "../examples/timestamper")
	edit(t, filepath.Join(dir, "lambda_function.py"), "def lambda_handler", "raise ValueError('on purpose')\n\ndef lambda_handler")
	data := filepath.Join(t.TempDir(), "da'ta")
	u := startUp(t, data, dir, "--name", "wrong", "--rate", "100", "--burst", "100")
	for range 2 {
		if got := paste(t, u.line("200")); !strings.HasSuffix(got, " 502\n") {
			t.Errorf("a function that fails: %s", got)
		}
	}
	const says = "the function failed; this says why: "
	u.told(says)
	_, rest, _ := strings.Cut(u.errs.String(), says)
	command, _, _ := strings.Cut(rest, "\n")
	if log := paste(t, strings.Replace(command, "weir", binary, 1)); !strings.Contains(log, "on purpose") {
		t.Errorf("%s prints %s", command, log)
	}
	u.interrupt()
	if strings.Count(u.errs.String(), says) != 1 {
		t.Errorf("it was told more than once:\n%s", u.errs)
	}
}

// TestUpAnswersForItself: what is wrong is said before anything is started.
func TestUpAnswersForItself(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"no folder":       {[]string{"up"}, 2, "weir up DIR"},
		"nothing in it":   {[]string{"up", t.TempDir()}, 2, "nothing to publish was found"},
		"a wrong quota":   {[]string{"up", "../examples/timestamper", "--quota", "ten"}, 2, "--quota"},
		"a taken address": {[]string{"up", "../examples/timestamper", "--gateway-addr", start(t, filepath.Join(t.TempDir(), "other")).gateway[len("http://"):]}, 1, "port 0 for any free one"},
	} {
		cmd := exec.CommandContext(t.Context(), binary, append(c.args, "--data", data)...)
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != c.code || !strings.Contains(string(out), c.says) {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
}
