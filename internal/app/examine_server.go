package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"
)

// server looks at the server that runs on the data folder.
func (e *examiner) server(ctx context.Context) {
	const check = "server"
	r, err := FindRunning(e.o.Data)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.ok(check, "none runs on %s", e.o.Data)
		return
	case err != nil:
		e.add(check, Failing, "restart the server, as the user who owns the folder", "%v", err)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	control := cmp.Or(r.LocalURL, r.ControlURL)
	if err := ask(ctx, control+"/_weir/health"); errors.Is(err, syscall.ECONNREFUSED) {
		e.add(check, Warning, "none when it was killed: the next start writes running.json anew",
			"process %d, which running.json names, is there but nobody answers at %s", r.PID, control)
		return
	} else if err != nil {
		e.add(check, Failing, "look into its log; restart it if it does not recover", "process %d does not answer: %v", r.PID, err)
		return
	}
	e.running = &r
	if err := ask(ctx, control+"/_weir/ready"); err != nil {
		e.add(check, Failing, "its log says why: the database does not answer", "process %d lives and is not ready: %v", r.PID, err)
	} else if r.Version != e.o.Version {
		e.add(check, Warning, "restart the server to run the version that is installed", "process %d is ready and runs %s; this is %s", r.PID, r.Version, e.o.Version)
	} else {
		e.ok(check, "process %d is ready, %s, callers at %s", r.PID, r.Version, r.GatewayURL)
	}
}

func ask(ctx context.Context, target string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", target, res.Status)
	}
	return nil
}

// address looks whether an address can be had, or is held by our own server.
func (e *examiner) address(ctx context.Context, check, flag, addr string) {
	var listen net.ListenConfig
	l, err := listen.Listen(ctx, "tcp", addr)
	if err == nil {
		l.Close()
		e.ok(check, "%s is free", addr)
		return
	}
	_, port, _ := net.SplitHostPort(addr)
	if e.running != nil {
		for _, u := range []string{e.running.GatewayURL, e.running.ControlURL} {
			if own, parseErr := url.Parse(u); parseErr == nil && own.Port() == port {
				e.ok(check, "%s is held by the server that runs (process %d)", addr, e.running.PID)
				return
			}
		}
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		e.add(check, Failing, "stop that program, or give another address with "+flag, "%s is held by %s", addr, holder(e.proc, port))
	case errors.Is(err, fs.ErrPermission):
		e.add(check, Failing, "give a port from 1024 on with "+flag+", or allow low ones (systemd: AmbientCapabilities=CAP_NET_BIND_SERVICE)", "%s may not be bound by this user", addr)
	default:
		e.add(check, Failing, "give an address of this machine with "+flag, "%v", err)
	}
}

// holder names the process that listens on a port, as far as it can be told.
func holder(proc, port string) string {
	inodes := listeners(proc, port)
	if len(inodes) == 0 {
		return "another program"
	}
	processes, _ := os.ReadDir(proc)
	for _, p := range processes {
		if strings.Trim(p.Name(), "0123456789") != "" {
			continue
		}
		descriptors, _ := os.ReadDir(proc + "/" + p.Name() + "/fd") // of other users: not readable
		for _, d := range descriptors {
			link, err := os.Readlink(proc + "/" + p.Name() + "/fd/" + d.Name())
			if err == nil && inodes[link] {
				name, _ := os.ReadFile(proc + "/" + p.Name() + "/comm")
				return fmt.Sprintf("process %s (%s)", p.Name(), strings.TrimSpace(string(name)))
			}
		}
	}
	return "a program of another user"
}

// listeners are the sockets that listen on a port, as descriptors name them.
func listeners(proc, port string) map[string]bool {
	const listening = "0A"
	found := map[string]bool{}
	for _, table := range []string{"/net/tcp", "/net/tcp6"} {
		text, _ := os.ReadFile(proc + table) // only Linux has it
		for line := range strings.Lines(string(text)) {
			// sl local_address rem_address st … uid timeout inode
			f := strings.Fields(line)
			if len(f) < 10 || f[3] != listening {
				continue
			}
			var n int
			_, hex, _ := strings.Cut(f[1], ":")
			if _, err := fmt.Sscanf(hex, "%x", &n); err == nil && fmt.Sprint(n) == port {
				found["socket:["+f[9]+"]"] = true
			}
		}
	}
	return found
}
