package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// verdict is what became of a mutant.
type verdict int

const (
	untried verdict = iota
	killed          // a test failed, or ran out of time
	survived
	invalid // does not compile
)

// runner runs tests on a changed package.
type runner struct {
	root    string
	tests   []string
	timeout time.Duration
}

// unchanged makes sure that the tests pass as things stand, and fills the
// build cache.
func (r runner) unchanged(ctx context.Context) error {
	for _, pkg := range r.tests {
		if out, err := r.test(ctx, pkg, ""); err != nil {
			return fmt.Errorf("%s fails without any change: %w\n%s", pkg, err, out)
		}
	}
	return nil
}

// try runs the tests on a mutant.
func (r runner) try(ctx context.Context, m mutant) verdict {
	dir, err := os.MkdirTemp("", "mutate")
	check(err)
	defer os.RemoveAll(dir)
	file, overlay := filepath.Join(dir, "mutant.go"), filepath.Join(dir, "overlay.json")
	check(os.WriteFile(file, m.changed(), 0o600))
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {m.file: file}})
	check(err)
	check(os.WriteFile(overlay, replace, 0o600))
	for _, pkg := range r.tests {
		out, err := r.test(ctx, pkg, overlay)
		switch {
		case ctx.Err() != nil:
			return untried
		case strings.Contains(out, "[build failed]"):
			return invalid
		case err != nil:
			return killed
		}
	}
	return survived
}

// test runs the short tests of one package.
func (r runner) test(ctx context.Context, pkg, overlay string) (string, error) {
	// The test binary ends itself; the deadline above it is for the compiler.
	ctx, cancel := context.WithTimeout(ctx, r.timeout+10*time.Minute)
	defer cancel()
	args := []string{"test", "-count=1", "-short", "-failfast", "-vet=off", "-timeout", r.timeout.String()}
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, pkg)...)
	cmd.Dir = r.root
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// report prints the survivors and returns the score in percent.
func report(w io.Writer, mutants []mutant, verdicts []verdict) float64 {
	var count [invalid + 1]int
	fmt.Fprintln(w)
	for i, v := range verdicts {
		count[v]++
		if v == survived {
			fmt.Fprintln(w, mutants[i])
		}
	}
	tried := count[killed] + count[survived]
	score := 100 * float64(count[killed]) / float64(max(tried, 1))
	fmt.Fprintf(w, "%d of %d mutants killed (%.1f %%), %d survived; %d did not compile, %d were not tried\n",
		count[killed], tried, score, count[survived], count[invalid], count[untried])
	return score
}
