package internal_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestFailureModesAreHeld: every row of docs/failure-modes.md names a test that
// is there, subtest included.
func TestFailureModesAreHeld(t *testing.T) {
	page, err := os.ReadFile("../docs/failure-modes.md")
	if err != nil {
		t.Fatal(err)
	}
	tests := testFiles(t)
	named := regexp.MustCompile("`(Test[A-Za-z0-9_]+)(?:/([^`]+))?`")
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(strings.ReplaceAll(strings.TrimSpace(line), `\|`, "\x00"), "|")
		if len(cells) < 3 || strings.Contains(line, "---") || strings.TrimSpace(cells[1]) == "input" {
			continue
		}
		held := named.FindAllStringSubmatch(cells[len(cells)-2], -1)
		if len(cells) != 7 || len(held) == 0 {
			t.Errorf("the row does not end in the test that holds it, or has not five cells: %s", line)
		}
		for _, h := range held {
			text, ok := tests[h[1]]
			if !ok {
				t.Errorf("there is no test %s: %s", h[1], line)
			} else if h[2] != "" && !strings.Contains(text, `"`+h[2]+`"`) {
				t.Errorf("%s has no subtest %q: %s", h[1], h[2], line)
			}
		}
	}
}

// testFiles maps every top-level test of the tree to the text of its file.
func testFiles(t *testing.T) map[string]string {
	t.Helper()
	function := regexp.MustCompile(`(?m)^func (Test[A-Za-z0-9_]+)\(t \*testing\.T\)`)
	found := map[string]string{}
	for _, root := range []string{".", "../e2e"} {
		err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(name, "_test.go") {
				return err
			}
			text, err := os.ReadFile(name)
			for _, m := range function.FindAllStringSubmatch(string(text), -1) {
				found[m[1]] += string(text)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(found) < 100 {
		t.Fatalf("found only %d tests: this test does not see the tree", len(found))
	}
	return found
}
