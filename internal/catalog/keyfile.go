package catalog

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds of one import of API keys. AWS allows 10,000 keys in an account.
const (
	MaxKeyFile     = 10 << 20 // bytes
	MaxKeyFileRows = 10_000   // without the header
)

// KeyFileRow is one API key of a file. Problem is why it cannot become one; it
// never holds the value.
type KeyFileRow struct {
	Line        int // where the row begins, from 1
	Name        string
	Value       string
	Description string
	Enabled     bool
	PlanIDs     []string
	Problem     error
}

// The columns that a file of keys may have; others are ignored.
const (
	columnName = iota
	columnKey
	columnDescription
	columnEnabled
	columnPlans
	columns
)

var columnNames = [columns]string{"name", "key", "description", "enabled", "usageplanids"}

// ReadKeyFile reads AWS's API key file format: comma-separated values in UTF-8,
// with or without a byte order mark, whose lines end in LF, CR LF or CR. The first
// line names the columns, in any order and case: Name and Key, and Description,
// Enabled and UsagePlanIds where there are any. A cell that is missing or empty is
// an empty text, or true. Blanks around a cell are not part of it, unless it is
// in quotes, double or single; several plan ids are one cell in quotes.
//
// A row that cannot be a key has a Problem. The error answers a file that cannot
// be told apart into rows, or has more than max, of which nothing is to be
// imported.
//
// Source: the "API Gateway API key file format" page of AWS's developer guide.
func ReadKeyFile(text []byte, max int) ([]KeyFileRow, error) {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	if !utf8.Valid(text) {
		return nil, violation(Invalid, "A file of API Keys must be UTF-8 text")
	}
	r := cellReader{text: string(text), line: 1}
	var at [columns]int // the column's place in a line, from 1; 0: it is not there
	var width int
	var rows []KeyFileRow
	for {
		line, cells, err := r.next()
		switch {
		case err != nil:
			return nil, err
		case cells == nil && width == 0:
			return nil, violation(Invalid, "A file of API Keys must begin with a line of column names, with Name and Key among them")
		case cells == nil:
			return rows, nil
		case width == 0:
			if at, err = placeColumns(line, cells); err != nil {
				return nil, err
			}
			width = len(cells)
			continue
		case len(rows) == max:
			return nil, violationf(Invalid, "A file of API Keys can have at most %d keys", max)
		}
		rows = append(rows, newKeyFileRow(line, cells, at, width))
	}
}

func placeColumns(line int, cells []string) (at [columns]int, err error) {
	for i, c := range cells {
		for column, name := range columnNames {
			if lower(c) != name {
				continue
			}
			if at[column] > 0 {
				return at, violationf(Invalid, "Line %d: the column %s is there twice", line, name)
			}
			at[column] = i + 1
		}
	}
	if at[columnName] == 0 || at[columnKey] == 0 {
		return at, violationf(Invalid, "Line %d: the column names must have Name and Key among them", line)
	}
	return at, nil
}

func newKeyFileRow(line int, cells []string, at [columns]int, width int) KeyFileRow {
	cell := func(column int) string {
		if i := at[column]; i > 0 && i <= len(cells) {
			return cells[i-1]
		}
		return ""
	}
	for len(cells) > width && cells[len(cells)-1] == "" {
		cells = cells[:len(cells)-1] // spreadsheets end lines in commas
	}
	row := KeyFileRow{Line: line, Name: cell(columnName), Value: cell(columnKey), Description: cell(columnDescription)}
	switch lower(cell(columnEnabled)) {
	case "true", "":
		row.Enabled = true
	case "false":
	default:
		row.Problem = violation(Invalid, "Enabled must be true or false")
	}
	for _, id := range strings.Split(cell(columnPlans), ",") {
		if id = strings.TrimSpace(id); id != "" {
			row.PlanIDs = append(row.PlanIDs, id)
		}
	}
	switch {
	case len(cells) > width:
		// Most likely several plan ids without quotes: to leave out all but the
		// first would be a guess.
		row.Problem = violationf(Invalid, "there are %d cells under %d column names; several usage plan ids are one cell in quotes", len(cells), width)
	case len(row.PlanIDs) > MaxPlansPerKey:
		row.Problem = violationf(Invalid, "an API Key can be in at most %d Usage Plans", MaxPlansPerKey)
	case row.Problem == nil:
		if row.Problem = CheckKeyValue(row.Value); row.Problem == nil {
			row.Problem = (&APIKey{Name: row.Name, Description: row.Description}).Check()
		}
	}
	return row
}

// WriteKeyFile writes rows so that ReadKeyFile reads them, Problems left out,
// and gives the line on which each begins.
func WriteKeyFile(rows []KeyFileRow) (text []byte, lines []int) {
	var b bytes.Buffer
	line := 1
	write := func(cells ...string) {
		for i, c := range cells {
			cells[i] = `"` + strings.ReplaceAll(c, `"`, `""`) + `"`
			line += lineEnds(c)
		}
		b.WriteString(strings.Join(cells, ",") + "\n")
		line++
	}
	write("Name", "Key", "Description", "Enabled", "UsagePlanIds")
	for _, r := range rows {
		lines = append(lines, line)
		write(r.Name, r.Value, r.Description, strconv.FormatBool(r.Enabled), strings.Join(r.PlanIDs, ","))
	}
	return b.Bytes(), lines
}

// cellReader takes a text apart into lines of cells.
type cellReader struct {
	text string
	line int // of what comes next
}

// next gives the cells of the next line that has any, and its number; nil at
// the end.
func (r *cellReader) next() (line int, cells []string, err error) {
	for r.text != "" {
		line, cells = r.line, nil
		for more := true; more; {
			var cell string
			if cell, more, err = r.cell(); err != nil {
				return line, nil, err
			}
			cells = append(cells, cell)
		}
		if len(cells) > 1 || cells[0] != "" {
			return line, cells, nil
		}
	}
	return r.line, nil, nil
}

const blanks = " \t"

// cell takes one cell and what ends it; more says that this was a comma.
func (r *cellReader) cell() (cell string, more bool, err error) {
	at := strings.TrimLeft(r.text, blanks)
	if at != "" && (at[0] == '"' || at[0] == '\'') {
		inside, rest, ok := quoted(at)
		if ok {
			begun := r.line
			r.line += lineEnds(at[:len(at)-len(rest)])
			r.text = strings.TrimLeft(rest, blanks)
			if r.text != "" && !strings.ContainsRune(",\r\n", rune(r.text[0])) {
				return "", false, violationf(Invalid, "Line %d: there is text behind a cell in quotes", begun)
			}
			return inside, r.end(), nil
		}
		if at[0] == '"' {
			return "", false, violationf(Invalid, "Line %d: a cell in quotes does not end", r.line)
		}
		// A single quote that nothing closes is an apostrophe.
	}
	i := strings.IndexAny(r.text, ",\r\n")
	if i < 0 {
		i = len(r.text)
	}
	cell = strings.Trim(r.text[:i], blanks)
	r.text = r.text[i:]
	return cell, r.end(), nil
}

// end takes what ends a cell.
func (r *cellReader) end() (more bool) {
	switch {
	case r.text == "":
		return false
	case r.text[0] == ',':
		r.text = r.text[1:]
		return true
	case strings.HasPrefix(r.text, "\r\n"):
		r.text = r.text[2:]
	default:
		r.text = r.text[1:]
	}
	r.line++
	return false
}

// quoted takes a cell in quotes, in which two quotes are one. A cell in single
// quotes ends on its line, before a comma or the line's end: otherwise its quote
// is an apostrophe.
func quoted(text string) (inside, rest string, ok bool) {
	quote := text[:1]
	var b strings.Builder
	rest = text[1:]
	for {
		i := strings.Index(rest, quote)
		if i < 0 || quote == "'" && strings.ContainsAny(rest[:i], "\r\n") {
			return "", "", false
		}
		b.WriteString(rest[:i])
		rest = rest[i+1:]
		if !strings.HasPrefix(rest, quote) {
			break
		}
		b.WriteString(quote)
		rest = rest[1:]
	}
	if after := strings.TrimLeft(rest, blanks); quote == "'" && after != "" && !strings.ContainsRune(",\r\n", rune(after[0])) {
		return "", "", false
	}
	return b.String(), rest, true
}

// lineEnds counts the ends of lines: LF, CR LF, CR.
func lineEnds(text string) int {
	return strings.Count(text, "\n") + strings.Count(text, "\r") - strings.Count(text, "\r\n")
}
