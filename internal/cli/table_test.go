package cli

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestTable(t *testing.T) {
	table := func() *table {
		made := newTable(left("ID"), elastic("NAME"), right("USED"), left("STATE"))
		made.add(text("a1"), text("reader of many things"), text("7"), styled(good, "on"))
		made.add(text("b22"), text("x\x1b[2J\u202ey"), text("12345"), text(""))
		return made
	}
	s := &screen{}
	table().print(s)
	const want = "" +
		"ID   NAME                    USED  STATE\n" +
		"a1   reader of many things      7  on\n" +
		"b22  x\\x1b[2J\\u202ey        12345\n"
	if s.String() != want {
		t.Errorf("piped:\n%swant\n%s", s, want)
	}
	s = &screen{terminal: true, columns: 30}
	table().print(s)
	for line := range strings.Lines(s.String()) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 30 {
			t.Errorf("%d columns on a terminal of 30: %q", n, line)
		}
	}
	if !strings.Contains(s.String(), "reader of …") {
		t.Errorf("what was cut is not marked:\n%s", s)
	}
	s = &screen{terminal: true, colour: true, columns: 80}
	table().print(s)
	if !strings.Contains(s.String(), "\x1b[32mon\x1b[0m\n") {
		t.Errorf("no colour: %q", s)
	}
}

// TestTableTooNarrow: an ID is never cut, whatever the terminal.
func TestTableTooNarrow(t *testing.T) {
	made := newTable(left("ID"), elastic("NAME"))
	made.add(text("0123456789"), text("a long name"))
	s := &screen{terminal: true, columns: 5}
	made.print(s)
	if !strings.Contains(s.String(), "0123456789  a long …\n") {
		t.Errorf("printed %q", s)
	}
}
