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
	skip    string // tests that are left out; "" none

	programs []string // the tests, built with all mutants in them
}

// unchanged makes sure that the tests pass as things stand, and fills the
// build cache.
func (r *runner) unchanged(ctx context.Context) error {
	for _, pkg := range r.tests {
		if out, err := r.test(ctx, pkg, ""); err != nil {
			return fmt.Errorf("%s fails without any change: %w\n%s", pkg, err, out)
		}
	}
	return nil
}

// prepare builds the tests with all mutants that can stand beside each other.
func (r *runner) prepare(ctx context.Context, dir string, mutants []mutant) error {
	woven, err := weave(mutants)
	if err != nil {
		return err
	}
	replace := map[string]string{}
	for name, text := range woven {
		file := filepath.Join(dir, filepath.Base(name))
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return err
		}
		replace[name] = file
	}
	overlay, err := writeOverlay(dir, replace)
	if err != nil {
		return err
	}
	for i, pkg := range r.tests {
		program := filepath.Join(dir, fmt.Sprintf("tests%d", i))
		cmd := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-overlay", overlay, "-o", program, pkg)
		cmd.Dir = r.root
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("with all mutants %s does not compile: %w\n%s", pkg, err, out)
		}
		r.programs = append(r.programs, program)
	}
	if v := r.choose(ctx, 0); v != survived {
		return fmt.Errorf("with all mutants asleep the tests fail")
	}
	return nil
}

func writeOverlay(dir string, replace map[string]string) (string, error) {
	text, err := json.Marshal(map[string]map[string]string{"Replace": replace})
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, "overlay.json")
	return name, os.WriteFile(name, text, 0o600)
}

// choose runs the tests that are built, with one mutant alive.
func (r *runner) choose(ctx context.Context, id int) verdict {
	for i, program := range r.programs {
		// The program ends itself at its time-out; the one above it is for a
		// program that cannot.
		bounded, cancel := context.WithTimeout(ctx, 2*r.timeout)
		cmd := exec.CommandContext(bounded, program, "-test.short", "-test.failfast", "-test.skip", r.skip, "-test.timeout", r.timeout.String())
		cmd.Dir = filepath.Join(r.root, r.tests[i])
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", environment, id))
		cmd.WaitDelay = 10 * time.Second
		err := cmd.Run()
		cancel()
		switch {
		case ctx.Err() != nil:
			return untried
		case err != nil:
			return killed
		}
	}
	return survived
}

// try runs the tests on a mutant.
func (r *runner) try(ctx context.Context, m mutant) verdict {
	if !m.apart {
		return r.choose(ctx, m.id)
	}
	dir, err := os.MkdirTemp("", "mutate")
	check(err)
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "mutant.go")
	check(os.WriteFile(file, m.changed(), 0o600))
	overlay, err := writeOverlay(dir, map[string]string{m.file: file})
	check(err)
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
func (r *runner) test(ctx context.Context, pkg, overlay string) (string, error) {
	// The test binary ends itself; the deadline above it is for the compiler.
	ctx, cancel := context.WithTimeout(ctx, r.timeout+10*time.Minute)
	defer cancel()
	args := []string{"test", "-count=1", "-short", "-failfast", "-skip", r.skip, "-vet=off", "-timeout", r.timeout.String()}
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
