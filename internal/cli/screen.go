package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// screen collects what a command shows and knows where it will be seen: on a
// terminal of some size, or in a file or pipe, which gets it uncut and plain.
type screen struct {
	bytes.Buffer
	terminal       bool
	redraws        bool // what was written can be written over
	colour         bool
	columns, lines int // of the terminal; 0 for none
}

// newScreen makes a screen for out. NO_COLOR (set to anything) and TERM=dumb
// are obeyed.
func newScreen(out io.Writer) *screen {
	s := &screen{}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		s.terminal = true
		s.redraws = os.Getenv("TERM") != "dumb"
		s.colour = s.redraws && os.Getenv("NO_COLOR") == ""
		if columns, lines, err := term.GetSize(int(f.Fd())); err == nil {
			s.columns, s.lines = columns, lines
		}
	}
	return s
}

// printf adds text that we wrote ourselves. What others named goes through
// clean first.
func (s *screen) printf(format string, args ...any) { fmt.Fprintf(s, format, args...) }

// hang ends a line of which indent columns are written. On a terminal what is
// longer than the line goes on below, between words and as far in.
func (s *screen) hang(indent int, text string) {
	room := s.columns - indent
	if room < 20 { // or no terminal
		s.printf("%s\n", text)
		return
	}
	at := 0
	for i, word := range strings.Fields(text) {
		width := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case at+1+width > room:
			s.printf("\n%*s", indent, "")
			at = 0
		default:
			s.WriteByte(' ')
			at++
		}
		s.WriteString(word)
		at += width
	}
	s.WriteByte('\n')
}

// style is how a text stands out on a terminal with colour.
type style string

const (
	plain style = ""
	good  style = "32" // green
	bad   style = "31" // red
	warn  style = "33" // yellow
	faint style = "2"
)

// paint gives text in a style, unchanged where there is no colour.
func (s *screen) paint(in style, text string) string {
	if !s.colour || in == plain || text == "" {
		return text
	}
	return "\x1b[" + string(in) + "m" + text + "\x1b[0m"
}

// clean makes text that others chose safe to print in one line: a name must
// not move the cursor or recolour the terminal.
func clean(text string) string {
	if strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		quoted := strconv.QuoteRuneToASCII(r)
		b.WriteString(quoted[1 : len(quoted)-1])
	}
	return b.String()
}

// fields prints names and values, one pair a line; empty values are left out.
func (s *screen) fields(pairs [][2]string) {
	width := 0
	for _, p := range pairs {
		if p[1] != "" {
			width = max(width, len(p[0]))
		}
	}
	for _, p := range pairs {
		if p[1] != "" {
			s.printf("%s  %s\n", s.paint(faint, fmt.Sprintf("%-*s", width, p[0])), clean(p[1]))
		}
	}
}

// sortedPairs gives a map as "key=value", sorted.
func sortedPairs(m map[string]string) []string {
	pairs := make([]string, 0, len(m))
	for k, v := range m {
		pairs = append(pairs, k+"="+v)
	}
	slices.Sort(pairs)
	return pairs
}
