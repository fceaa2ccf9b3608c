package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const sample = `package sample

import _ "embed"

type pair struct {
	a [2]int ` + "`json:\"1\"`" + `
}

const name = "a" + "b"

func low(n int) bool {
	if n <= 10 {
		n += 1
	}
	for ; n > 1e3; n-- {
	}
	return n-1 == 0 // 7 < 8
}
`

func TestMutantsOfASample(t *testing.T) {
	all, err := mutantsOf("sample.go", []byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range all {
		got = append(got, m.from+" "+m.to)
		if changed := string(m.changed()); len(changed) != len(sample)-len(m.from)+len(m.to) || changed == sample {
			t.Errorf("%s changes the file to\n%s", m, changed)
		}
	}
	slices.Sort(got)
	want := []string{"+= -=", "-- ++", "- +", "0 1", "1 0", "1 0", "1 2", "1 2", "10 11", "1e3 2000", "<= <", "<= >", "== !=", "> <=", "> >="}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if s := all[0].String(); s != "sample.go:12:7: <= becomes < in: if n <= 10 {" {
		t.Error(s)
	}
}

// A module of two functions, of which the tests hold one.
func TestSurvivorsAreTold(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module sample\n\ngo 1.26\n")
	write("sample.go", "package sample\n\nfunc low(n int) bool { return n < 3 }\n\nfunc high(n int) bool { return n > 5 } // not held\n\nvar none [0 - 0]int\n\nfunc wide(x float64) float64 { return x * (1 << 3) }\n")
	write("sample_test.go", `package sample

import "testing"

func TestLow(t *testing.T) {
	if !low(2) || low(3) {
		t.Error("low")
	}
	if wide(1) != 8 {
		t.Error("wide")
	}
	_ = high(4)
}
`)
	all, err := collect(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	r := &runner{root: dir, tests: []string{"."}, timeout: time.Minute}
	if err := r.unchanged(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.prepare(t.Context(), t.TempDir(), all); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	score := report(&out, all, r.all(t.Context(), all, 2))
	// low: < and 3 are held; high: > (twice) and 5 are not; of the array - and
	// both numbers compile or not, and nothing uses it.
	if !strings.Contains(out.String(), "sample.go:5:34: > becomes >= in: func high") || strings.Contains(out.String(), "func low") || strings.Contains(out.String(), "func wide") {
		t.Errorf("score %v:\n%s", score, &out)
	}
	if untouched, err := os.ReadFile(filepath.Join(dir, "sample.go")); err != nil || !strings.Contains(string(untouched), "n < 3") {
		t.Errorf("%v, the file is now %s", err, untouched)
	}
}

func TestEquivalentMutantsDoNotCount(t *testing.T) {
	name := filepath.Join(t.TempDir(), "equivalent.txt")
	text := "# reasons\n\nsample.go: <= becomes <: if n <= 10 { // it is never ten\nsample.go: 9 becomes 10: n = 9 // gone\n"
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	known, err := readEquivalent(name)
	if err != nil {
		t.Fatal(err)
	}
	all, err := mutantsOf("sample.go", []byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	rest, skipped, unused := known.without(all)
	if skipped != 1 || len(rest) != len(all)-1 || len(unused) != 1 || !strings.Contains(unused[0], "gone") {
		t.Errorf("%d skipped, %d of %d left, unused %q", skipped, len(rest), len(all), unused)
	}
	if n := len(known.of("ample")); n != 2 || len(known.of("other")) != 0 {
		t.Errorf("%d are of sample.go", n)
	}
	if err := os.WriteFile(name, []byte("sample.go: <= becomes <: if n <= 10 {\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readEquivalent(name); err == nil {
		t.Error("a line without a reason was accepted")
	}
}
