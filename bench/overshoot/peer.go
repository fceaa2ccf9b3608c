//go:build unix

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Peer says how a gateway is started and reached. In every text @DIR@ is a
// folder of this run, @PORT@ and @PORT2@ free ports, @UPSTREAM@ the address to
// proxy to, @LIMIT@ "second" or "minute", @WEIR@ weir's program and @FUNCTION@
// the folder it publishes. A file of the peer with the ending .second or
// .minute is written for that limit only, without the ending.
type Peer struct {
	Name    string
	Files   []string // beside the peer's own file; written to @DIR@
	Start   []string
	Setup   map[string][]string // by limit; run once it answers; its output is JSON with endpoint and apiKey
	Reload  map[string][]string // by limit
	Signal  string              // sent for a reload, when there is no command: HUP, USR2
	Kill    string              // how it is stopped for a restart: KILL, TERM
	URL     string
	Method  string
	Headers map[string]string

	files map[string]string
}

func readPeer(dir fs.FS, name string) (*Peer, error) {
	text, err := fs.ReadFile(dir, name)
	if err != nil {
		return nil, err
	}
	p := &Peer{files: map[string]string{}}
	if err := json.Unmarshal(text, p); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	for _, file := range p.Files {
		text, err := fs.ReadFile(dir, file)
		if err != nil {
			return nil, err
		}
		p.files[file] = string(text)
	}
	return p, nil
}

// find says whether the peer's program is there.
func (p *Peer) find(weir string) error {
	program := strings.ReplaceAll(p.Start[0], "@WEIR@", weir)
	if program == "" {
		return fmt.Errorf("%s: no -weir given", p.Name)
	}
	if _, err := exec.LookPath(program); err != nil {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	return nil
}

// process is a peer that runs.
type process struct {
	*Peer
	words map[string]string
	limit string
	cmd   *exec.Cmd
}

func (p *process) fill(text string) string {
	for word, with := range p.words {
		text = strings.ReplaceAll(text, "@"+word+"@", with)
	}
	return text
}

func (p *process) command(ctx context.Context, line []string) *exec.Cmd {
	var full []string
	for _, word := range line {
		full = append(full, p.fill(word))
	}
	return exec.CommandContext(ctx, full[0], full[1:]...)
}

// begin writes the peer's files, starts it, waits for its port, and sets it up.
func (p *Peer) begin(ctx context.Context, words map[string]string, limit string) (*process, error) {
	dir, err := os.MkdirTemp("", "overshoot")
	if err != nil {
		return nil, err
	}
	words["DIR"] = dir
	for _, port := range []string{"PORT", "PORT2"} {
		if words[port], err = freePort(); err != nil {
			return nil, err
		}
	}
	run := &process{Peer: p, words: words, limit: limit}
	for name, text := range p.files {
		ending := filepath.Ext(name)
		if (ending == ".second" || ending == ".minute") && ending != "."+limit {
			continue
		}
		name = strings.TrimSuffix(name, "."+limit)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(run.fill(text)), 0o600); err != nil {
			return nil, err
		}
	}
	words["URL"] = run.fill(p.URL)
	if err := run.start(ctx); err != nil {
		return run, err
	}
	if len(p.Setup) == 0 {
		return run, nil
	}
	out, err := run.command(ctx, p.Setup[limit]).Output()
	if err != nil {
		return run, fmt.Errorf("%v: %w%s", p.Setup[limit], err, stderr(err))
	}
	var made struct{ Endpoint, APIKey string }
	if err := json.Unmarshal(out, &made); err != nil {
		return run, err
	}
	words["ENDPOINT"], words["KEY"] = made.Endpoint, made.APIKey
	words["URL"] = run.fill(p.URL)
	return run, nil
}

func stderr(err error) string {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return "\n" + string(exit.Stderr)
	}
	return ""
}

// start starts the process and waits until its port answers. It has a group of
// its own, so that a kill takes its workers too.
func (p *process) start(ctx context.Context) error {
	p.cmd = p.command(context.Background(), p.Start)
	log, err := os.OpenFile(filepath.Join(p.words["DIR"], "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	for range 400 {
		c, err := net.Dial("tcp", "127.0.0.1:"+p.words["PORT"])
		if err == nil {
			return c.Close()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	text, _ := os.ReadFile(log.Name())
	return fmt.Errorf("does not answer\n%s", text)
}

// reload is what an operator does to a gateway whose configuration changed.
func (p *process) reload(ctx context.Context) error {
	if line := p.Reload[p.limit]; len(line) > 0 {
		out, err := p.command(ctx, line).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%v: %w\n%s", line, err, out)
		}
		return nil
	}
	return p.cmd.Process.Signal(signals[p.Signal])
}

var signals = map[string]syscall.Signal{"HUP": syscall.SIGHUP, "USR2": syscall.SIGUSR2, "KILL": syscall.SIGKILL, "TERM": syscall.SIGTERM}

// restart stops the process, the way its peer says, and starts it again.
func (p *process) restart(ctx context.Context) error {
	p.end(signals[p.Kill])
	return p.start(ctx)
}

func (p *process) end(how syscall.Signal) {
	if p == nil || p.cmd == nil || p.cmd.Process == nil {
		return
	}
	if how == syscall.SIGTERM {
		p.cmd.Process.Signal(how)
	} else {
		syscall.Kill(-p.cmd.Process.Pid, how)
	}
	p.cmd.Wait()
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port), nil
}
