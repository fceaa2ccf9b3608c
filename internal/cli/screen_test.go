package cli

import (
	"strings"
	"testing"
	"unicode/utf8"

	"weir/internal/cli/verify"
)

// TestHang: only a terminal of some width breaks a line, and between words.
func TestHang(t *testing.T) {
	for _, c := range []struct {
		name    string
		columns int
		text    string
		want    string
	}{
		{"a file", 0, "one two  three", "> one two  three\n"},
		{"it fits", 22, "12345 7890 12345 7é90", "> 12345 7890 12345\n  7é90\n"},
		{"to the last column", 23, "12345 7890 12345 7é90", "> 12345 7890 12345 7é90\n"},
		{"a long word", 22, "a 1234567890123456789012345 b", "> a\n  1234567890123456789012345\n  b\n"},
		{"too narrow", 21, "12345 7890 12345 7é90", "> 12345 7890 12345 7é90\n"},
		{"nothing", 80, "", "> \n"},
	} {
		s := &screen{columns: c.columns}
		s.printf("> ")
		if s.hang(2, c.text); s.String() != c.want {
			t.Errorf("%s: %q, want %q", c.name, s.String(), c.want)
		}
	}
}

// TestVerifyFitsATerminal: a narrow one sees every verdict, a file every word.
func TestVerifyFitsATerminal(t *testing.T) {
	const got = `30 let in in all, then 429 {"message":"Limit Exceeded"}`
	report := &verify.Report{Calls: 3, Checks: []verify.Check{
		{Name: "key in the query, x-api-key", Sent: "27 more calls, one every 550ms", Got: got, Verdict: verify.Pass},
		{Name: "too fast", Sent: "20 calls at once", Got: "20 let in", Verdict: verify.Unknown, Means: "give --rate"},
	}}
	for _, columns := range []int{0, 80} {
		s := &screen{columns: columns}
		printReport(s, report)
		table, notes, _ := strings.Cut(s.String(), "\n\n")
		for i, line := range strings.Split(table, "\n") {
			if verdict := []string{"VERDICT", "pass", "could not tell"}[i]; !strings.HasSuffix(line, verdict) || columns > 0 && utf8.RuneCountInString(line) > columns {
				t.Errorf("%d columns: %q does not end with %s in time", columns, line, verdict)
			}
		}
		if strings.Contains(table, got) != (columns == 0) {
			t.Errorf("%d columns:\n%s", columns, table)
		}
		if notes != "could not tell: too fast: give --rate\n\n1 passed, 0 failed, 1 could not be told; calls sent: 3\n" {
			t.Errorf("below the table: %q", notes)
		}
	}
}
