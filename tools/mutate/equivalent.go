package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// equivalents are mutants that behave as the original does, with the reason.
type equivalents []equivalent

type equivalent struct {
	file, from, to, text string
	line                 string // as written
}

// readEquivalent reads a list with one mutant a line, and the reason after it:
//
//	cell.go: < becomes <=: line as it stands // why no test can tell
//
// A line of source is named by its text, so that the list outlives edits
// elsewhere; text that stands in a file several times names all of them.
func readEquivalent(name string) (equivalents, error) {
	if name == "" {
		return nil, nil
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var all equivalents
	for i, line := range strings.Split(string(text), "\n") {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		what, reason, ok := strings.Cut(line, " // ")
		file, rest, ok1 := strings.Cut(what, ": ")
		change, source, ok2 := strings.Cut(rest, ": ")
		from, to, ok3 := strings.Cut(change, " becomes ")
		if !ok || !ok1 || !ok2 || !ok3 || strings.TrimSpace(reason) == "" {
			return nil, fmt.Errorf("%s:%d: want \"file.go: < becomes <=: source // reason\"", name, i+1)
		}
		all = append(all, equivalent{file, from, to, strings.TrimSpace(source), line})
	}
	return all, nil
}

// of returns those in files whose name contains only: the others cannot match.
func (all equivalents) of(only string) (some equivalents) {
	for _, e := range all {
		if strings.Contains(e.file, only) {
			some = append(some, e)
		}
	}
	return some
}

// without returns the mutants that are not listed, the number of those that
// are, and the lines that match none.
func (all equivalents) without(mutants []mutant) (rest []mutant, skipped int, unused []string) {
	used := make([]bool, len(all))
	for _, m := range mutants {
		listed := false
		for i, e := range all {
			if e.file == filepath.Base(m.file) && e.from == m.from && e.to == m.to && e.text == sourceOf(m) {
				used[i], listed = true, true
			}
		}
		if listed {
			skipped++
			continue
		}
		rest = append(rest, m)
	}
	for i, e := range all {
		if !used[i] {
			unused = append(unused, e.line)
		}
	}
	return rest, skipped, unused
}

// sourceOf is a mutant's line without the comment at its end.
func sourceOf(m mutant) string {
	code, _, _ := strings.Cut(m.text, " // ")
	return strings.TrimSpace(code)
}
