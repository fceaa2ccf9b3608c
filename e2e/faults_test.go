package e2e

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/smithy-go"
	_ "modernc.org/sqlite" // to change a database behind weir's back
)

// onDatabase runs SQL on the database of a stopped server.
func onDatabase(t *testing.T, data, query string) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(data, "weir.db"))
	must(t, 0, err)
	defer db.Close()
	_, err = db.Exec(query)
	must(t, 0, err)
}

// checkDatabase holds a stopped server's database against SQLite's own check.
func checkDatabase(t *testing.T, data string) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(data, "weir.db"))
	must(t, 0, err)
	defer db.Close()
	var said string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&said); err != nil || said != "ok" {
		t.Errorf("SQLite says of the database: %s, %v", said, err)
	}
}

// overwrite puts bytes somewhere into a file.
func overwrite(t *testing.T, file string, at int64, text []byte) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	must(t, 0, err)
	defer f.Close()
	_, err = f.WriteAt(text, at)
	must(t, 0, err)
}

// TestServeRefuses starts the binary where it cannot work: it ends at once with
// exit code 1 and one line that says what to do, and what is there stays as it
// was.
func TestServeRefuses(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, 0, err)
	t.Cleanup(func() { taken.Close() }) // after the subtests
	for _, c := range []struct {
		name  string
		bend  func(t *testing.T, data string) (flags []string)
		wants []string
	}{
		{"a data folder of a newer version", func(t *testing.T, data string) []string {
			onDatabase(t, data, "PRAGMA user_version = 99")
			return nil
		}, []string{"schema version 99", "start the newer weir", "restore a backup"}},
		{"another program's database", func(t *testing.T, data string) []string {
			onDatabase(t, data, "PRAGMA application_id = 42")
			return nil
		}, []string{"weir.db is a database of another program"}},
		{"a file that is no database", func(t *testing.T, data string) []string {
			must(t, 0, os.WriteFile(filepath.Join(data, "weir.db"), bytes.Repeat([]byte("no database "), 1000), 0o600))
			return nil
		}, []string{"weir.db", "it is no database, or is damaged: restore a backup"}},
		{"a damaged database", func(t *testing.T, data string) []string {
			overwrite(t, filepath.Join(data, "weir.db"), 4096, bytes.Repeat([]byte{0xff}, 15*4096))
			return nil
		}, []string{"the database is damaged: stop the server and restore a backup"}},
		{"a port in use", func(*testing.T, string) []string {
			return []string{"--gateway-addr", taken.Addr().String()}
		}, []string{"--gateway-addr", "address already in use", "Give another address"}},
		{"a control port in use", func(*testing.T, string) []string {
			return []string{"--control-addr", taken.Addr().String()}
		}, []string{"--control-addr", "address already in use", "Give another address"}},
		{"the secret of another server", func(t *testing.T, data string) []string {
			other := filepath.Join(t.TempDir(), "other")
			start(t, other).stop(t)
			return []string{"--secret-file", filepath.Join(other, "secret")}
		}, []string{"is not the one that the data in", "put the right file back or name it with --secret-file"}},
		{"a secret file that is none", func(t *testing.T, _ string) []string {
			file := filepath.Join(t.TempDir(), "secret")
			must(t, 0, os.WriteFile(file, []byte("hunter2"), 0o600))
			return []string{"--secret-file", file}
		}, []string{"not a secret as weir writes them"}},
		{"a secret that others can read", func(t *testing.T, data string) []string {
			must(t, 0, os.Chmod(filepath.Join(data, "secret"), 0o644))
			return nil
		}, []string{"others can read or change", "run chmod 600"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			data := filepath.Join(t.TempDir(), "data")
			start(t, data).stop(t)
			flags := c.bend(t, data)
			before, err := os.ReadFile(filepath.Join(data, "weir.db"))
			must(t, 0, err)
			_, errs, err := weir(t, serveLine(data, flags...)...)
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 1 {
				t.Fatalf("weir serve: %v\n%s", err, errs)
			}
			last := lastLine(errs)
			for _, want := range c.wants {
				if !strings.Contains(last, want) {
					t.Errorf("it says %q, which lacks %q", last, want)
				}
			}
			if strings.Contains(errs, "hunter2") {
				t.Error("it repeats what the secret file holds")
			}
			after, err := os.ReadFile(filepath.Join(data, "weir.db"))
			must(t, 0, err)
			if strings.Contains(c.name, "database") || strings.Contains(c.name, "newer") {
				if !bytes.Equal(before, after) {
					t.Error("it changed the database")
				}
			}
		})
	}
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// TestOneFolderTwice: the second server on a folder ends at once and does the
// first no harm.
func TestOneFolderTwice(t *testing.T) {
	t.Parallel()
	s := start(t, filepath.Join(t.TempDir(), "data"))
	_, errs, err := weir(t, serveLine(s.data)...)
	if err == nil || !strings.Contains(lastLine(errs), "is in use by process "+strconv.Itoa(s.cmd.Process.Pid)) || !strings.Contains(errs, "--data") {
		t.Errorf("the second server: %v\n%s", err, errs)
	}
	if _, err := newSDK(t, s).agw.CreateApiKey(t.Context(), &apigateway.CreateApiKeyInput{Name: aws.String("k")}); err != nil {
		t.Errorf("the first server: %v", err)
	}
}

// TestNoInterpreters: functions can be made where their interpreter is missing;
// a call says what to install, and so does doctor.
func TestNoInterpreters(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	cmd := exec.Command(binary, serveLine(data)...)
	cmd.Env = append(os.Environ(), "PATH="+t.TempDir())
	s := begin(t, data, cmd)
	s.find(t)
	c := newSDK(t, s)
	ctx := t.Context()
	for _, f := range []struct{ name, runtime, install string }{{"python", "python3.12", "install Python"}, {"node", "nodejs22.x", "install Node.js"}} {
		arn := c.createFunction(ctx, f.name, f.runtime, "index.handler", zipFolder(t, "../examples/timestamper"))
		out, err := c.lambda.Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String(f.name), Payload: []byte("{}")})
		must(t, out, err)
		if out.FunctionError == nil || !strings.Contains(string(out.Payload), "Runtime.InvalidEntrypoint") || !strings.Contains(string(out.Payload), f.install) {
			t.Errorf("%s: invoke answers %s", f.name, out.Payload)
		}
		g := newGate(ctx, c, proxy(arn), 100, 100, 100)
		c.permit(ctx, f.name, g.api)
		if status, body := g.call(http.DefaultClient, g.keyValue); status != 502 || body != `{"message": "Internal server error"}` {
			t.Errorf("%s: the gateway answers %d %s", f.name, status, body)
		}
	}
	doctor := exec.Command(binary, "doctor", "--data", data, "--gateway-addr", "127.0.0.1:0", "--control-addr", "127.0.0.1:0")
	doctor.Env = cmd.Env
	out, err := doctor.Output()
	must(t, 0, err)
	for _, want := range []string{"install python3", "install node"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("doctor does not say %q:\n%s", want, out)
		}
	}
}

// TestDamagedCode: a function whose file of code is damaged says so, to who
// invokes it, and nothing else is harmed.
func TestDamagedCode(t *testing.T) {
	t.Parallel()
	tool(t, "python3")
	s := start(t, filepath.Join(t.TempDir(), "data"))
	c := newSDK(t, s)
	ctx := t.Context()
	c.createFunction(ctx, "stamp", "python3.12", "lambda_function.lambda_handler", zipFolder(t, "../examples/timestamper"))
	code, err := filepath.Glob(filepath.Join(s.data, "code", "*"))
	must(t, 0, err)
	overwrite(t, code[0], 10, []byte("damage"))
	_, err = c.lambda.Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String("stamp"), Payload: []byte(testEvent)})
	if status, message := refusedWith(t, err); status != 500 || !strings.Contains(message, "is damaged: update the function's code, or restore a backup") {
		t.Errorf("invoke answers %d %s", status, message)
	}
	_, err = c.lambda.UpdateFunctionCode(ctx, &lambda.UpdateFunctionCodeInput{FunctionName: aws.String("stamp"), ZipFile: zipFolder(t, "../examples/timestamper")})
	must(t, 0, err)
	out, err := c.lambda.Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String("stamp"), Payload: []byte(testEvent)})
	must(t, out, err)
	if out.FunctionError != nil {
		t.Errorf("with its code put again it answers %s", out.Payload)
	}
}

// TestOutOfDescriptors lets callers take every file descriptor there is: who
// comes then waits, and is answered when there is one again.
func TestOutOfDescriptors(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	line := append([]string{"-c", `ulimit -n 64; exec "$0" "$@"`, binary}, serveLine(data, "--max-connections", "500", "--max-connections-per-address", "500")...)
	s := begin(t, data, exec.Command("sh", line...))
	s.find(t)
	g := newGate(t.Context(), newSDK(t, s), mock(), 100000, 10000, 1000)
	if status, body := g.call(http.DefaultClient, g.keyValue); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	var held []net.Conn
	defer func() {
		for _, c := range held {
			c.Close()
		}
	}()
	for range 100 {
		c, err := net.Dial("tcp", strings.TrimPrefix(s.gateway, "http://"))
		must(t, 0, err)
		held = append(held, c)
	}
	client := &http.Client{Transport: &http.Transport{}, Timeout: 500 * time.Millisecond}
	if status, body := g.call(client, g.keyValue); status != 0 {
		t.Errorf("with no descriptor left a call is answered %d %s: the test does not reach the limit", status, body)
	}
	for _, c := range held {
		c.Close()
	}
	within(t, 20*time.Second, "calls are answered again", func() bool {
		status, _ := g.call(client, g.keyValue)
		return status == 200
	})
	g.sdk = newSDK(t, s)
	if used, _ := g.usedToday(t.Context()); used < 2 {
		t.Errorf("used %d", used)
	}
	s.stop(t)
	if n := strings.Count(s.log.String(), "no connection can be accepted"); n == 0 || n > 3 {
		t.Errorf("it was said %d times that no connection can be accepted", n)
	}
}

// TestSecondSignal: the first SIGTERM drains, a second ends the process at
// once, and the next start has everything.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	tool(t, "python3")
	awayFromMidnight(t, time.Minute)
	s := start(t, filepath.Join(t.TempDir(), "data"), "--drain-limit", "60s")
	ctx := t.Context()
	c := newSDK(t, s)
	dir := t.TempDir()
	must(t, 0, os.WriteFile(filepath.Join(dir, "lambda_function.py"), []byte("import time\ndef lambda_handler(e, c):\n    time.sleep(50)\n"), 0o600))
	_, err := c.lambda.UpdateFunctionConfiguration(ctx, &lambda.UpdateFunctionConfigurationInput{
		FunctionName: aws.String(c.createFunction(ctx, "slow", "python3.12", "lambda_function.lambda_handler", zipFolder(t, dir))), Timeout: aws.Int32(60),
	})
	must(t, 0, err)
	g := newGate(ctx, c, proxy("arn:aws:lambda:us-east-1:000000000000:function:slow"), 100, 100, 100)
	c.permit(ctx, "slow", g.api)
	ended := make(chan int, 1)
	go func() {
		status, _ := g.call(&http.Client{Transport: &http.Transport{}}, g.keyValue)
		ended <- status
	}()
	within(t, 20*time.Second, "the call is counted", func() bool { used, _ := g.usedToday(ctx); return used == 1 })
	must(t, 0, s.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case err := <-s.done:
		t.Fatalf("the first signal ended it at once: %v", err)
	case <-time.After(300 * time.Millisecond): // it drains
	}
	must(t, 0, s.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case err := <-s.done:
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
			t.Errorf("the second signal ended it with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the second signal did not end it")
	}
	if status := <-ended; status != 0 {
		t.Errorf("the call that was cut off got %d", status)
	}
	g.sdk = newSDK(t, start(t, s.data))
	if used, _ := g.usedToday(ctx); used != 1 {
		t.Errorf("after it the ledger says %d", used)
	}
}

// refusedWith says why a management call failed.
func refusedWith(t *testing.T, err error) (status int, message string) {
	t.Helper()
	var api smithy.APIError
	var res interface{ HTTPStatusCode() int }
	if !errors.As(err, &api) || !errors.As(err, &res) {
		t.Fatalf("no answer of the server: %v", err)
	}
	return res.HTTPStatusCode(), api.ErrorCode() + ": " + api.ErrorMessage()
}

// lastDetail is what the newest request's record says of it.
func lastDetail(ctx context.Context, t *testing.T, s *server) string {
	t.Helper()
	out, err := exec.CommandContext(ctx, binary, "requests", "--data", s.data, "--limit", "1", "--json").Output()
	return string(must(t, out, err))
}
