package cli

import (
	"strings"
	"unicode/utf8"
)

// table is rows under headings, each column as wide as its widest cell. On a
// terminal that is too narrow the elastic columns are cut, the widest first.
type table struct {
	columns []column
	rows    [][]cell
}

type column struct {
	heading string
	right   bool // numbers stand on the right
	elastic bool // may be cut; an ID or a URL must not be
}

// left, right and elastic are the kinds of column.
func left(heading string) column    { return column{heading: heading} }
func right(heading string) column   { return column{heading: heading, right: true} }
func elastic(heading string) column { return column{heading: heading, elastic: true} }

func newTable(columns ...column) *table { return &table{columns: columns} }

// cell is one text in a table. It may hold anything: it is cleaned.
type cell struct {
	text string
	in   style
}

func text(s string) cell             { return cell{text: clean(s)} }
func styled(in style, s string) cell { return cell{clean(s), in} }

// add appends a row, one cell a column.
func (t *table) add(cells ...cell) { t.rows = append(t.rows, cells) }

const (
	columnGap  = 2
	leastWidth = 8 // to which an elastic column is cut
)

// print writes the table. Nothing stands behind the last cell of a line.
func (t *table) print(s *screen) {
	widths := t.widths(s.columns)
	headings := make([]cell, len(t.columns))
	for i, c := range t.columns {
		headings[i] = cell{c.heading, faint}
	}
	t.line(s, widths, headings)
	for _, row := range t.rows {
		t.line(s, widths, row)
	}
}

// widths gives each column's width, at most limit in total where that can be
// had; 0 is no limit.
func (t *table) widths(limit int) []int {
	widths := make([]int, len(t.columns))
	total := columnGap * (len(widths) - 1)
	for i, c := range t.columns {
		widths[i] = utf8.RuneCountInString(c.heading)
		for _, row := range t.rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i].text))
		}
		total += widths[i]
	}
	for limit > 0 && total > limit {
		widest := -1
		for i, c := range t.columns {
			if c.elastic && widths[i] > leastWidth && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		widths[widest]--
		total--
	}
	return widths
}

func (t *table) line(s *screen, widths []int, row []cell) {
	last := len(row) - 1
	for last >= 0 && row[last].text == "" {
		last--
	}
	for i, c := range row[:last+1] {
		shown := cut(c.text, widths[i])
		pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(shown))
		if t.columns[i].right {
			s.WriteString(pad)
		}
		s.WriteString(s.paint(c.in, shown))
		if i == last {
			break
		}
		if !t.columns[i].right {
			s.WriteString(pad)
		}
		s.WriteString(strings.Repeat(" ", columnGap))
	}
	s.WriteByte('\n')
}

// cut shortens text to at most width characters, the last one then an ellipsis.
func cut(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	return string([]rune(text)[:width-1]) + "…"
}
