package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

// TestSizes measures what docs/operations.md says of memory and disk, with
// SIZES keys; without the variable it runs through once with few. It holds
// only what cannot depend on the machine.
func TestSizes(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("skipped: memory is read from /proc")
	}
	tool(t, "python3")
	awayFromMidnight(t, 5*time.Minute)
	keys := 100
	if text := os.Getenv("SIZES"); text != "" {
		var err error
		keys, err = strconv.Atoi(text)
		must(t, keys, err)
	}
	ctx := t.Context()
	data := filepath.Join(t.TempDir(), "data")
	s := start(t, data, "--log-level", "info")
	t.Logf("idle, nothing configured: %.1f MiB resident", resident(t, s.cmd.Process.Pid))
	c := newSDK(t, s)
	c.createFunction(ctx, "stamp", "python3.12", "stamp.handler", zipped(t, "stamp.py", "def handler(e, c):\n    return 1\n"))
	g := &soak{gate: newGate(ctx, c, mock(), 100000, 100000, 1000000)}
	g.restart(data)
	empty := diskOf(t, data)
	t.Logf("a data folder with one API and one function: %d KiB", empty>>10)

	made := inParallel(keys, func(n int) soakKey { return g.addKey(ctx, fmt.Sprintf("customer-%06d", n), g.plan) })
	s = g.restart(data)
	withKeys := diskOf(t, data)
	t.Logf("%d keys in a plan: %.0f bytes of disk each; %.1f MiB resident after a start", keys, float64(withKeys-empty)/float64(keys), resident(t, s.cmd.Process.Pid))

	inParallel(keys, func(n int) int {
		status, body := g.call(http.DefaultClient, made[n].value)
		if status != 200 {
			t.Errorf("%d %s", status, body)
		}
		return status
	})
	t.Logf("after a call with each key: %.1f MiB resident", resident(t, s.cmd.Process.Pid))
	g.restart(data)
	withUsage := diskOf(t, data)
	t.Logf("usage: %.0f bytes of disk for a key and day", float64(withUsage-withKeys)/float64(keys))
	if withUsage < withKeys || withKeys <= empty {
		t.Errorf("the data folder had %d, %d, %d bytes: nothing was kept", empty, withKeys, withUsage)
	}

	inParallel(keys, func(int) int {
		out, err := g.lambda.Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String("stamp")})
		if err != nil {
			t.Error(err)
			return 0
		}
		return int(out.StatusCode)
	})
	g.restart(data)
	t.Logf("function logs: %.0f bytes of disk for an invocation that prints nothing itself", float64(diskOf(t, data)-withUsage)/float64(keys))
}

// restart stops the server cleanly, so that all is in the data folder, and
// starts it again.
func (s *soak) restart(data string) *server {
	s.t.Helper()
	http.DefaultClient.CloseIdleConnections()
	s.s.stop(s.t)
	next := start(s.t, data, "--log-level", "info")
	s.sdk = newSDK(s.t, next)
	return next
}

// inParallel does n things, eight at a time.
func inParallel[T any](n int, do func(int) T) []T {
	all := make([]T, n)
	var workers sync.WaitGroup
	for w := range 8 {
		workers.Go(func() {
			for i := w; i < n; i += 8 {
				all[i] = do(i)
			}
		})
	}
	workers.Wait()
	return all
}

func resident(t *testing.T, pid int) float64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	must(t, status, err)
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	must(t, kib, err)
	return float64(kib) / 1024
}

func diskOf(t *testing.T, dir string) (bytes int64) {
	t.Helper()
	entries, err := filepath.Glob(filepath.Join(dir, "*"))
	must(t, entries, err)
	for _, name := range entries {
		if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() {
			bytes += info.Size()
		}
	}
	return bytes
}
