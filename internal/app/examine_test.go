package app

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"weir/internal/store"
)

// machine is a /proc, a /sys and a PATH of real files for the examiner.
type machine struct {
	*examiner
	t *testing.T
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("skipped: the fakes are scripts and modes of Unix")
	}
	dir := t.TempDir()
	o := Options{Data: filepath.Join(dir, "data"), GatewayAddr: "127.0.0.1:0", ControlAddr: "127.0.0.1:0", Version: "v1", Edge: Edge{MaxConnections: 1000}}
	if err := o.Validate(); err != nil {
		t.Fatal(err)
	}
	m := &machine{&examiner{o: o, proc: filepath.Join(dir, "proc"), sys: filepath.Join(dir, "sys"), searchPath: filepath.Join(dir, "bin")}, t}
	m.write(m.proc+"/meminfo", "MemTotal: 8000000 kB\nMemAvailable:    4194304 kB\n")
	m.write(m.proc+"/self/limits", "Limit  Soft Limit  Hard Limit  Units\nMax open files            20000                20000                files\n")
	m.interpreter("python3", "3.12.4")
	m.interpreter("node", "22.1.0")
	return m
}

func (m *machine) write(file, text string) {
	m.t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

// interpreter is a program that answers as an interpreter does.
func (m *machine) interpreter(name, version string) {
	m.t.Helper()
	file := filepath.Join(m.searchPath, name)
	m.write(file, fmt.Sprintf("#!/bin/sh\necho %s\necho %s\n", version, file))
	if err := os.Chmod(file, 0o700); err != nil {
		m.t.Fatal(err)
	}
}

// served makes the data folder that a server leaves at its stop.
func (m *machine) served() {
	m.t.Helper()
	a, err := New(m.t.Context(), Options{Data: m.o.Data, GatewayAddr: "127.0.0.1:0", ControlAddr: "127.0.0.1:0"})
	if err == nil {
		err = a.Stop(m.t.Context())
	}
	if err != nil {
		m.t.Fatal(err)
	}
}

// header changes four bytes of the database.
func (m *machine) header(at int64, value uint32) {
	m.t.Helper()
	f, err := os.OpenFile(filepath.Join(m.o.Data, store.DatabaseFile), os.O_WRONLY, 0)
	if err != nil {
		m.t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(binary.BigEndian.AppendUint32(nil, value), at); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) find(check string) Finding {
	m.t.Helper()
	for _, f := range m.examine(m.t.Context()) {
		if f.Check == check {
			return f
		}
	}
	m.t.Fatalf("nothing is said of %s", check)
	return Finding{}
}

func TestExamineFindsNothingWrong(t *testing.T) {
	for _, state := range []string{"before the first start", "after a stop"} {
		m := newMachine(t)
		if state == "after a stop" {
			m.served()
		}
		before := tree(t, m.o.Data)
		for _, f := range m.examine(t.Context()) {
			switch {
			case f.Verdict == Failing:
				t.Errorf("%s: %+v", state, f)
			case f.Verdict == Warning && !strings.HasPrefix(f.Check, "sandbox: ") && f.Check != "clock" && f.Check != "file system":
				t.Errorf("%s: %+v", state, f) // the three depend on this machine
			case (f.Verdict == Fine) != (f.Do == ""):
				t.Errorf("%s: what is to be done? %+v", state, f)
			}
		}
		if after := tree(t, m.o.Data); after != before {
			t.Errorf("%s: the look changed the data folder from %s to %s", state, before, after)
		}
	}
}

// tree is a folder's content, times included.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // it is not there
		}
		info, err := d.Info()
		fmt.Fprintln(&b, name, info.Mode(), info.Size(), info.ModTime())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestExamine(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	for _, c := range []struct {
		name    string
		bend    func(m *machine)
		check   string
		verdict Verdict
		found   string
		do      string
	}{
		{"a data folder that is a file", func(m *machine) { m.write(m.o.Data, "") }, "data folder", Failing, "is a file", "--data"},
		{"a data folder that others read", func(m *machine) { m.served(); os.Chmod(m.o.Data, 0o755) }, "data folder", Warning, "mode 0755", "chmod 700"},
		{"a restore cut short", func(m *machine) { m.served(); os.Mkdir(filepath.Join(m.o.Data, store.Restoring), 0o700) }, "data folder", Failing, "cut short", "restore again"},
		{"a newer schema", func(m *machine) { m.served(); m.header(60, 99) }, "database", Failing, "schema 99", "newer weir"},
		{"another program's database", func(m *machine) { m.served(); m.header(68, 42) }, "database", Failing, "another program", "--data"},
		{"a damaged database", func(m *machine) { m.served(); m.header(0, 0) }, "database", Failing, "damaged", "restore a backup"},
		{"a secret that others read", func(m *machine) { m.served(); os.Chmod(filepath.Join(m.o.Data, secretName), 0o640) }, "server secret", Failing, "mode 0640", "mend"},
		{"a lost secret", func(m *machine) { m.served(); os.Remove(filepath.Join(m.o.Data, secretName)) }, "server secret", Failing, "is not there", "from a backup"},
		{"a missing secret file", func(m *machine) { m.served(); m.o.SecretFile = "/nowhere/secret" }, "server secret", Failing, "/nowhere/secret", "--secret-file"},
		{"a root key that others read", func(m *machine) { m.served(); os.Chmod(rootKeyFile(m.o.Data), 0o644) }, "root access key", Warning, "mode 0644", "chmod 600"},
		{"a broken root key", func(m *machine) { m.served(); m.write(rootKeyFile(m.o.Data), "{") }, "root access key", Failing, "access key", "mend"},
		{"a taken port", func(m *machine) { m.o.GatewayAddr = taken.Addr().String() }, "gateway address", Failing, "held by another program", "--gateway-addr"},
		{"a taken port whose holder is known", func(m *machine) {
			var n int
			fmt.Sscan(port, &n)
			m.write(m.proc+"/net/tcp", fmt.Sprintf("  sl  local_address rem_address   st\n   0: 0100007F:%04X 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0\n", n))
			m.write(m.proc+"/123/comm", "nginx\n")
			if err := os.MkdirAll(m.proc+"/123/fd", 0o700); err != nil {
				m.t.Fatal(err)
			}
			if err := os.Symlink("socket:[4711]", m.proc+"/123/fd/7"); err != nil {
				m.t.Fatal(err)
			}
			m.o.GatewayAddr = taken.Addr().String()
		}, "gateway address", Failing, "held by process 123 (nginx)", "stop that program"},
		{"an address of another machine", func(m *machine) { m.o.ControlAddr = "203.0.113.1:4566" }, "control address", Failing, "203.0.113.1", "--control-addr"},
		{"no Python", func(m *machine) { os.Remove(filepath.Join(m.searchPath, "python3")) }, "Python", Warning, "python3.12", "install python3"},
		{"no Node.js", func(m *machine) { os.Remove(filepath.Join(m.searchPath, "node")) }, "Node.js", Warning, "nodejs22.x", "install node"},
		{"an interpreter of no runtime's version", func(m *machine) { m.interpreter("python3", "3.7.1") }, "Python", Warning, "3.7.1", "install the version"},
		{"a Python", func(*machine) {}, "Python", Fine, "serves python3.12;", ""},
		{"few open files", func(m *machine) {
			m.write(m.proc+"/self/limits", "Max open files            1024                 4096                 files\n")
		}, "open files", Warning, "at most 1024", "LimitNOFILE"},
		{"little memory", func(m *machine) { m.write(m.proc+"/meminfo", "MemAvailable: 100000 kB\n") }, "memory", Warning, "97 MiB available", "256 MiB"},
		{"a small control group", func(m *machine) {
			m.write(m.proc+"/self/cgroup", "0::/system.slice/weir.service\n")
			m.write(m.sys+"/fs/cgroup/system.slice/weir.service/memory.max", "max\n")
			m.write(m.sys+"/fs/cgroup/system.slice/memory.max", "134217728\n")
		}, "memory", Warning, "may use 128 MiB", "256 MiB"},
		{"a small control group of version 1", func(m *machine) {
			m.write(m.proc+"/self/cgroup", "5:memory:/box\n4:cpu:/box\n")
			m.write(m.sys+"/fs/cgroup/memory/box/memory.limit_in_bytes", "134217728\n")
			m.write(m.sys+"/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
		}, "memory", Warning, "may use 128 MiB", "256 MiB"},
		{"what is not held", func(*machine) {}, "sandbox: files", Warning, "not held", "docs/security.md"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMachine(t)
			c.bend(m)
			f := m.find(c.check)
			for i := len(m.findings) - 1; i >= 0 && f.Verdict == Fine && c.verdict != Fine; i-- { // said after it
				if m.findings[i].Check == c.check {
					f = m.findings[i]
					break
				}
			}
			if f.Verdict != c.verdict || !strings.Contains(f.Found, c.found) || !strings.Contains(f.Do, c.do) {
				t.Errorf("found %+v, want %s with %q and %q", f, c.verdict, c.found, c.do)
			}
		})
	}
}

// TestExamineARunningServer: its addresses are its own, and another version is
// told.
func TestExamineARunningServer(t *testing.T) {
	m := newMachine(t)
	a, err := New(t.Context(), Options{Data: m.o.Data, GatewayAddr: "127.0.0.1:0", ControlAddr: "127.0.0.1:0", Version: "v1"})
	if err == nil {
		err = a.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	m.o.GatewayAddr = a.callersAddr.Addr().String()
	for _, version := range []string{"v1", "v2"} {
		m.o.Version, m.findings = version, nil
		server := m.find("server")
		if want := map[string]Verdict{"v1": Fine, "v2": Warning}[version]; server.Verdict != want || !strings.Contains(server.Found, fmt.Sprint(os.Getpid())) {
			t.Errorf("%s: %+v", version, server)
		}
		m.findings = nil
		if f := m.find("gateway address"); f.Verdict != Fine || !strings.Contains(f.Found, "held by the server that runs") {
			t.Errorf("%s: %+v", version, f)
		}
	}
	if err := a.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	// What a kill leaves names a process that may be another one now.
	if err := writeOwnerOnly(runningFile(m.o.Data), a.Running()); err != nil {
		t.Fatal(err)
	}
	m.findings = nil
	if f := m.find("server"); f.Verdict != Warning || !strings.Contains(f.Found, "nobody answers") {
		t.Errorf("%+v", f)
	}
}
