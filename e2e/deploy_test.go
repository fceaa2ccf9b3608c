package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestSystemdUnit holds deploy/weir.service to systemd's own checks, and its
// command line to the binary.
func TestSystemdUnit(t *testing.T) {
	t.Parallel()
	analyze := tool(t, "systemd-analyze")
	text, err := os.ReadFile("../deploy/weir.service")
	must(t, 0, err)
	unit := string(text)
	setting := func(name string) string {
		m := regexp.MustCompile(`(?m)^` + name + `=(.*)$`).FindStringSubmatch(unit)
		if m == nil {
			t.Fatalf("the unit has no %s", name)
		}
		return m[1]
	}
	// The paths of an installed service, as far as systemd looks at them.
	file := filepath.Join(t.TempDir(), "weir.service")
	must(t, 0, os.WriteFile(file, []byte(strings.ReplaceAll(unit, "/usr/local/bin/weir ", binary+" ")), 0o600))
	if out, err := exec.Command(analyze, "verify", "--man=no", file).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	out, err := exec.Command(analyze, "security", "--offline=true", "--no-pager", file).CombinedOutput()
	m := regexp.MustCompile(`Overall exposure level for weir\.service: ([0-9.]+)`).FindSubmatch(out)
	if m == nil {
		t.Fatalf("systemd-analyze security: %v\n%s", err, out)
	}
	if exposed, err := strconv.ParseFloat(string(m[1]), 64); err != nil || exposed > 2 {
		t.Errorf("exposure level %s, want at most 2.0 of 10\n%s", m[1], out)
	}

	// A server starts with these flags, and its drain fits into the stop.
	fields := strings.Fields(strings.ReplaceAll(setting("ExecStart"), "${STATE_DIRECTORY}", "DATA"))
	flags := slices.DeleteFunc(fields[2:], func(f string) bool { return f == "--data" || f == "DATA" })
	s := start(t, filepath.Join(t.TempDir(), "data"), flags...)
	if out, err := exec.Command(binary, "health", "--data", s.data).CombinedOutput(); err != nil {
		t.Errorf("weir health: %v %s", err, out)
	}
	help, err := exec.Command(binary, "serve", "--help").Output()
	must(t, help, err)
	drain := regexp.MustCompile(`--drain-limit .*\(default ([0-9a-z]+)\)`).FindSubmatch(help)
	if drain == nil {
		t.Fatalf("the help shows no default of --drain-limit:\n%s", help)
	}
	limit, err := time.ParseDuration(string(drain[1]))
	must(t, 0, err)
	if stop, err := time.ParseDuration(setting("TimeoutStopSec")); err != nil || stop < limit+10*time.Second {
		t.Errorf("TimeoutStopSec=%v (%v) leaves too little time after a drain of %s", stop, err, limit)
	}
	s.stop(t)
}

// instruction is one line of a Dockerfile.
type instruction struct{ name, rest string }

func dockerfile(t *testing.T) (all []instruction) {
	t.Helper()
	text, err := os.ReadFile("../Dockerfile")
	must(t, 0, err)
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, rest, _ := strings.Cut(line, " ")
		if name != strings.ToUpper(name) || strings.HasSuffix(line, `\`) {
			t.Fatalf("not one instruction in one line: %s", line)
		}
		all = append(all, instruction{name, rest})
	}
	return all
}

// TestDockerfileBuilds runs the build stage of the Dockerfile in a folder that
// holds what the image builder would be sent, and holds what the last stage
// says against the binary that comes out. (The base images are not pulled.)
func TestDockerfileBuilds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var stages []map[string]string // the last instruction of each name, by stage
	workdir := "/"
	for _, in := range dockerfile(t) {
		if in.name == "FROM" {
			stages = append(stages, map[string]string{})
		}
		if len(stages) == 0 {
			continue // ARGs of the base images
		}
		stages[len(stages)-1][in.name] = in.rest
		building := strings.HasSuffix(stages[len(stages)-1]["FROM"], " AS build")
		switch fields := strings.Fields(in.rest); {
		case in.name == "WORKDIR" && building:
			workdir = in.rest
		case in.name == "COPY" && building:
			copySent(t, dir, fields)
		case in.name == "COPY" && fields[0] == "--from=build":
			source := fields[len(fields)-2]
			if _, err := os.Stat(filepath.Join(dir, strings.TrimPrefix(source, workdir))); err != nil {
				t.Errorf("COPY %s: the build made no such thing: %v", in.rest, err)
			}
		case in.name == "RUN" && building:
			cmd := exec.CommandContext(t.Context(), "sh", "-c", in.rest)
			cmd.Dir = dir
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("RUN %s: %v\n%s", in.rest, err, out)
			}
		case in.name == "RUN":
			t.Errorf("RUN %s: what runs outside of the build stage is not tried by this test", in.rest)
		}
	}
	last := stages[len(stages)-1]
	built := filepath.Join(dir, "bin", "weir")
	if out, err := exec.Command(built, "version").Output(); err != nil || !strings.HasPrefix(string(out), "weir ") {
		t.Errorf("the built weir version: %v %s", err, out)
	}
	if user := last["USER"]; user == "" || strings.HasPrefix(user, "0") || strings.HasPrefix(user, "root") {
		t.Errorf("USER %q", user)
	}
	if last["ENTRYPOINT"] != `["weir"]` || last["VOLUME"] != "/data" || last["EXPOSE"] != "8080 4566" {
		t.Errorf("ENTRYPOINT %s, VOLUME %s, EXPOSE %s", last["ENTRYPOINT"], last["VOLUME"], last["EXPOSE"])
	}
	var serve, health []string
	_, list, _ := strings.Cut(last["HEALTHCHECK"], "CMD ")
	must(t, 0, json.Unmarshal([]byte(list), &health))
	must(t, 0, json.Unmarshal([]byte(last["CMD"]), &serve))
	s := start(t, filepath.Join(t.TempDir(), "data"), serve[1:]...)
	if out, err := exec.Command(built, append(health[1:], "--data", s.data)...).CombinedOutput(); err != nil {
		t.Errorf("HEALTHCHECK %v: %v %s", health, err, out)
	}
	for _, v := range strings.Fields(last["ENV"]) {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "WEIR_") {
			flag := "--" + strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(name, "WEIR_")), "_", "-")
			if out, _ := exec.Command(built, "serve", "--help").Output(); !strings.Contains(string(out), flag+" ") {
				t.Errorf("ENV %s: weir serve has no %s", name, flag)
			}
		}
	}
}

// copySent copies what a COPY names and .dockerignore lets through.
func copySent(t *testing.T, dir string, fields []string) {
	t.Helper()
	text, err := os.ReadFile("../.dockerignore")
	must(t, 0, err)
	sent := strings.Fields(string(text))
	if sent[0] != "*" {
		t.Fatal(".dockerignore must begin with *: only what the build needs is sent")
	}
	for _, name := range fields[:len(fields)-1] {
		if !slices.Contains(sent, "!"+name) {
			t.Fatalf("COPY %s: .dockerignore keeps it back", name)
		}
		source, target := path.Join("..", name), filepath.Join(dir, name)
		info, err := os.Stat(source)
		must(t, info, err)
		if info.IsDir() {
			must(t, 0, os.CopyFS(target, os.DirFS(source)))
			continue
		}
		content, err := os.ReadFile(source)
		must(t, content, err)
		must(t, 0, os.WriteFile(target, content, 0o600))
	}
}
