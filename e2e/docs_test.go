package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"weir/internal/store/storetest"
)

// TestDocsRun runs every command of the README and of docs/ as a reader would:
// the sh blocks of one page are one bash session in a copy of the tree. A line
// that ends in "# => text" must print text.
func TestDocsRun(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append(pages, "../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		script := scriptOf(t, page, string(text))
		if script == "" {
			continue
		}
		t.Run(filepath.Base(page), func(t *testing.T) {
			t.Parallel()
			for _, name := range []string{"bash", "aws", "curl", "python3"} {
				tool(t, name)
			}
			awayFromMidnight(t, time.Minute)
			runPage(t, script)
		})
	}
}

func runPage(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	for _, part := range []string{"cmd", "internal", "examples"} {
		if err := os.CopyFS(filepath.Join(dir, part), os.DirFS("../"+part)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile("../" + name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// Older AWS CLIs, Debian's among them, do not know AWS_ENDPOINT_URL.
	tools := filepath.Join(t.TempDir(), "tools")
	if err := os.Mkdir(tools, 0o700); err != nil {
		t.Fatal(err)
	}
	wrapper := fmt.Sprintf("#!/bin/sh\nexec %s --endpoint-url \"$AWS_ENDPOINT_URL\" \"$@\"\n", tool(t, "aws"))
	if err := os.WriteFile(filepath.Join(tools, "aws"), []byte(wrapper), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-c", script)
	cmd.Dir = dir
	cmd.WaitDelay = 10 * time.Second
	cmd.Env = append((&server{}).environment(t),
		"PATH="+tools+":"+os.Getenv("PATH"), "WEIR_DATA="+filepath.Join(dir, "data"),
		"WEIR_GATEWAY_ADDR=127.0.0.1:0", "WEIR_CONTROL_ADDR=127.0.0.1:0")
	var hidden []string
	if strings.Contains(script, "$WEIR_DATABASE") { // the page is about several nodes
		database := storetest.StartPostgres(t, "log_statement=none").Database(t)
		cmd.Env = append(cmd.Env, "WEIR_DATABASE="+database)
		hidden = hiddenDatabase(database)
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, tail(out.String(), 6000))
	}
	// What a reader sees, the logs of the servers among it, may be pasted.
	tellsNothing(t, "the page's output", out.Bytes(), append(secretsBelow(t, dir), hidden...))
}

var (
	shBlock     = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")
	makeTarget  = regexp.MustCompile(`^make ([a-z0-9-]+)`)
	expectation = " # => "
)

// scriptOf turns a page's sh blocks into one script.
func scriptOf(t *testing.T, page, text string) string {
	t.Helper()
	var b strings.Builder
	for _, block := range shBlock.FindAllStringSubmatch(text, -1) {
		for _, line := range strings.Split(strings.ReplaceAll(block[1], "\\\n", " "), "\n") {
			command, want, expects := strings.Cut(line, expectation)
			command = strings.TrimSpace(command)
			switch m := makeTarget.FindStringSubmatch(command); {
			case m != nil:
				hasTarget(t, page, m[1]) // long-running: that it exists is checked
			case strings.HasPrefix(command, "go test"):
				// This very test is part of it.
			case strings.HasPrefix(command, "go run ./cmd/weir up "):
				// It stays, so it runs beside the rest; go run would outlive a kill.
				b.WriteString("go build -o up ./cmd/weir\n./up" + strings.TrimPrefix(command, "go run ./cmd/weir") + " >up.out & up=$!\n" +
					"until grep -q '^requests, until Ctrl-C' up.out; do kill -0 $up; sleep 0.1; done\n")
			case expects:
				fmt.Fprintf(&b, "out=$(%s) || true\n", command)
				fmt.Fprintf(&b, "case \"$out\" in *%s*) ;; *) echo %s; echo \"it printed: $out\"; exit 1;; esac\n",
					quote(strings.TrimSpace(want)), quote(page+": expected "+want+" from: "+command))
			default:
				b.WriteString(line + "\n")
			}
		}
	}
	if b.Len() == 0 {
		return ""
	}
	return "set -e\ntrap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT\n" + b.String()
}

func hasTarget(t *testing.T, page, target string) {
	t.Helper()
	text, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "\n"+target+":") {
		t.Errorf("%s names make %s, which the Makefile does not have", page, target)
	}
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
