package app_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"weir/internal/app"
)

// The engine's two housekeeping goroutines end by themselves, up to ten
// seconds after a stop.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(
		m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
	)
}

func options(data string) app.Options {
	return app.Options{Data: data, GatewayAddr: "127.0.0.1:0", ControlAddr: "127.0.0.1:0"}
}

func started(t *testing.T, o app.Options) *app.App {
	t.Helper()
	a, err := app.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	return a
}

func stopped(t *testing.T, a *app.App) {
	t.Helper()
	if err := a.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// TestStopEndsWhoFollows: a reader of the requests has no end of its own, so a
// stop that waited for it would never return.
func TestStopEndsWhoFollows(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	o := options(data)
	o.AnyCredentials = true
	a := started(t, o)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.Running().ControlURL+"/_weir/requests?follow=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "anything")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	call, err := http.Get(a.Running().GatewayURL + "/nowhere")
	if err != nil {
		t.Fatal(err)
	}
	call.Body.Close()
	stopped(t, a) // with a context that never ends
	text, err := io.ReadAll(res.Body)
	if err != nil || !strings.Contains(string(text), `"path":"/nowhere"`) {
		t.Errorf("followed %q, %v", text, err)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestStartStopStart(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	var key app.AccessKey
	for life := range 2 {
		a := started(t, options(data))
		running, err := app.FindRunning(data)
		if err != nil || running != a.Running() {
			t.Fatalf("FindRunning = %+v, %v; want %+v", running, err, a.Running())
		}
		for _, path := range []string{"/_weir/health", "/_weir/ready"} {
			res, err := http.Get(running.ControlURL + path)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != 200 {
				t.Errorf("%s: %d", path, res.StatusCode)
			}
		}
		k, err := app.RootAccessKey(data)
		if err != nil {
			t.Fatal(err)
		}
		if life > 0 && k != key {
			t.Error("a restart changed the root access key")
		}
		key = k
		http.DefaultClient.CloseIdleConnections()
		stopped(t, a)
		if _, err := app.FindRunning(data); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("after the stop FindRunning says %v", err)
		}
	}
}

// TestDataFolderIsPrivate: keys and secrets are the owner's alone.
func TestDataFolderIsPrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("skipped: Windows keeps no modes")
	}
	data := filepath.Join(t.TempDir(), "data")
	stopped(t, started(t, options(data)))
	for name, want := range map[string]fs.FileMode{".": 0o700, "secret": 0o600, "root-access-key.json": 0o600} {
		info, err := os.Stat(filepath.Join(data, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", name, got, want)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	other := filepath.Join(t.TempDir(), "data")
	stopped(t, started(t, options(other)))
	otherSecret, err := os.ReadFile(filepath.Join(other, "secret"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		bend func(t *testing.T, o *app.Options)
		want string
	}{
		{"a taken port", func(_ *testing.T, o *app.Options) { o.ControlAddr = taken.Addr().String() }, "is another server running there?"},
		{"a port that is none", func(_ *testing.T, o *app.Options) { o.ControlAddr = "127.0.0.1:99999" }, "--control-addr: listen tcp: address 99999: invalid port: give an address"},
		{"half a throttle of the account", func(_ *testing.T, o *app.Options) { o.AccountRate = 10 }, "--account-rate 10 --account-burst 0: give both"},
		{"an account's rate that is none", func(_ *testing.T, o *app.Options) { o.AccountRate, o.AccountBurst = math.NaN(), 1 }, "--account-rate NaN: give calls a second"},
		{"an account's burst below 0", func(_ *testing.T, o *app.Options) { o.AccountRate, o.AccountBurst = 1, -1 }, "--account-burst -1: give a number"},
		{"a missing secret file", func(t *testing.T, o *app.Options) { o.SecretFile = filepath.Join(t.TempDir(), "none") }, "secret"},
		{"another installation's secret", func(t *testing.T, o *app.Options) {
			stopped(t, started(t, *o))
			if err := os.WriteFile(filepath.Join(o.Data, "secret"), otherSecret, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "not the one that the data"},
		{"a broken root key", func(t *testing.T, o *app.Options) {
			stopped(t, started(t, *o))
			if err := os.WriteFile(filepath.Join(o.Data, "root-access-key.json"), []byte("{"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "remove it and restart"},
		{"a data folder that is a file", func(t *testing.T, o *app.Options) {
			if err := os.WriteFile(o.Data, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "data folder"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := options(filepath.Join(t.TempDir(), "data"))
			c.bend(t, &o)
			a, err := app.New(t.Context(), o)
			if err == nil {
				stopped(t, a)
				t.Fatal("New accepted it")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("New says %q, want something with %q", err, c.want)
			}
		})
	}
}

// TestFolderThatOthersCanWriteIsSaid: they could exchange its keys.
func TestFolderThatOthersCanWriteIsSaid(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("skipped: a mode says nothing there")
	}
	for mode, said := range map[os.FileMode]bool{0o700: false, 0o755: false, 0o777: true, 0o770: true} {
		o := options(t.TempDir())
		if err := os.Chmod(o.Data, mode); err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
		a := started(t, o)
		if err := a.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(log.String(), "others can change the data folder"); got != said {
			t.Errorf("mode %04o: said %v:\n%s", mode, got, &log)
		}
	}
}
