package app

import (
	"context"
	"fmt"
	"math"
	"os"
	"path"
	"runtime"
	"strconv"
	"strings"
	"time"

	"weir/internal/catalog"
	"weir/internal/function"
	"weir/internal/function/sandbox"
)

// interpreters looks for what functions run on.
func (e *examiner) interpreters(ctx context.Context) {
	found := function.FindInterpreters(ctx, e.searchPath)
	for _, f := range []struct{ family, name, install string }{
		{"python", "Python", "python3 (Debian: apt-get install python3)"},
		{"nodejs", "Node.js", "node (Debian: apt-get install nodejs)"},
	} {
		var have, exact, near []string
		for _, i := range found {
			if i.Family == f.family {
				have = append(have, i.Version+" ("+i.Path+")")
			}
		}
		for _, r := range catalog.RunnableRuntimes() {
			if !strings.HasPrefix(r, f.family) {
				continue
			}
			if serves(found, r) {
				exact = append(exact, r)
			} else {
				near = append(near, r)
			}
		}
		switch {
		case len(have) == 0:
			e.add(f.name, Warning, "install "+f.install+" so that it is on the PATH of weir", "none found: functions of the runtimes %s cannot run", strings.Join(near, ", "))
		case len(exact) == 0:
			e.add(f.name, Warning, "install the version of your functions", "%s; it is the version of no runtime, and stands in for all", strings.Join(have, ", "))
		default:
			e.ok(f.name, "%s serves %s; the nearest version stands in for %s", strings.Join(have, ", "), strings.Join(exact, ", "), strings.Join(near, ", "))
		}
	}
}

func serves(found []function.Interpreter, runtime string) bool {
	for _, i := range found {
		if i.Serves(runtime) {
			return true
		}
	}
	return false
}

// sandbox says what functions are kept from on this machine.
func (e *examiner) sandbox() {
	for _, g := range sandbox.Guarantees() {
		check := "sandbox: " + g.Name
		if g.Held {
			e.ok(check, "%s", g.Note)
		} else {
			e.add(check, Warning, "give weir only functions that you trust as much as its user: docs/security.md", "not held: %s", g.Note)
		}
	}
}

// clock looks at what quotas and signatures go by. The time zone is of no
// interest: everything is UTC.
func (e *examiner) clock() {
	const check = "clock"
	before := time.Now()
	time.Sleep(50 * time.Millisecond)
	after := time.Now()
	// Round takes the monotonic reading off.
	jumped := after.Round(0).Sub(before.Round(0)) - after.Sub(before)
	synced, known := clockSynchronised()
	switch {
	case after.Year() < 2025 || after.Year() > 2100:
		e.add(check, Failing, "set it: signatures are refused, and quotas count on wrong days", "it says %s", after.UTC().Format(time.RFC3339))
	case jumped.Abs() > 20*time.Millisecond:
		e.add(check, Warning, "let one program set it, slowly (chrony, systemd-timesyncd)", "it jumped by %s while it was looked at", jumped)
	case known && !synced:
		e.add(check, Warning, "run a time service (chrony, systemd-timesyncd): quotas begin and end by this clock, and signatures allow 5 minutes", "%s, synchronised with nobody", after.UTC().Format(time.RFC3339))
	case known:
		e.ok(check, "%s, synchronised", after.UTC().Format(time.RFC3339))
	default:
		e.ok(check, "%s; whether it is synchronised cannot be told", after.UTC().Format(time.RFC3339))
	}
}

// process is the folder in /proc of the server that runs, or our own.
func (e *examiner) process() string {
	if e.running != nil {
		return path.Join(e.proc, strconv.Itoa(e.running.PID))
	}
	return path.Join(e.proc, "self")
}

// filesBeside is how many files a server has open beside its connections:
// database, logs, and some for each function that runs.
const filesBeside = 256

// files compares the limit of open files with the connections that are let in.
func (e *examiner) files() {
	const check = "open files"
	limit := fileLimit()
	text, _ := os.ReadFile(path.Join(e.process(), "limits"))
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 3 && strings.HasPrefix(line, "Max open files") {
			if n, err := strconv.Atoi(f[3]); err == nil {
				limit = n
			}
		}
	}
	if limit == math.MaxInt32 {
		e.ok(check, "no limit")
		return
	}
	if need := e.o.MaxConnections + filesBeside; limit < need {
		e.add(check, Warning, fmt.Sprintf("raise it to %d (ulimit -n, systemd: LimitNOFILE=), or lower --max-connections", need), "at most %d, and --max-connections is %d", limit, e.o.MaxConnections)
		return
	}
	e.ok(check, "at most %d, for at most %d connections", limit, e.o.MaxConnections)
}

const littleMemory = 256 << 20

// memory says what this machine, or the control group, leaves to a server.
func (e *examiner) memory() {
	const check = "memory"
	available, ok := meminfo(path.Join(e.proc, "meminfo"))
	if !ok {
		return // not on this system
	}
	limit, limited := e.memoryLimit()
	least := available
	text := humanBytes(available) + " available"
	if limited {
		least = min(least, limit)
		text += ", this control group may use " + humanBytes(limit)
	}
	text += fmt.Sprintf(", %d CPUs", runtime.GOMAXPROCS(0))
	if least < littleMemory {
		e.add(check, Warning, "give it 256 MiB, and what the functions use", "%s", text)
		return
	}
	e.ok(check, "%s", text)
}

func meminfo(file string) (available uint64, ok bool) {
	text, _ := os.ReadFile(file)
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "MemAvailable:" {
			n, err := strconv.ParseUint(f[1], 10, 64)
			return n << 10, err == nil
		}
	}
	return 0, false
}

// memoryLimit is the least limit of the control groups that hold the server.
func (e *examiner) memoryLimit() (least uint64, ok bool) {
	text, _ := os.ReadFile(path.Join(e.process(), "cgroup"))
	for line := range strings.Lines(strings.TrimSpace(string(text))) {
		part := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(part) != 3 {
			continue
		}
		root, file := path.Join(e.sys, "fs/cgroup"), "memory.max"
		switch {
		case part[1] == "memory": // version 1
			root, file = path.Join(root, "memory"), "memory.limit_in_bytes"
		case part[0] != "0":
			continue
		}
		for group := path.Join("/", part[2]); ; group = path.Dir(group) {
			value, _ := os.ReadFile(path.Join(root, group, file))
			n, err := strconv.ParseUint(strings.TrimSpace(string(value)), 10, 64)
			if err == nil && n < 1<<60 && (!ok || n < least) { // version 1 says "no limit" by a huge number
				least, ok = n, true
			}
			if group == "/" {
				break
			}
		}
	}
	return least, ok
}
