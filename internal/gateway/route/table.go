// Package route finds who answers: host and path give the stage, verb and path
// below it give the method with its path parameters. It is pure: tables are
// compiled when something changes and only read when a request comes.
//
// Indexes are dense. A Table numbers its stages and a Site its methods from
// zero, so that whoever compiles something for a stage or a method keeps it in
// a slice beside the table.
package route

// Name is what a stage is found by.
type Name struct {
	APIID string
	Stage string
}

// Table finds stages. It is immutable and safe for concurrent use; the zero
// value finds nothing.
type Table struct {
	index map[Name]int
}

// NewTable numbers stages by their place in names, which must be distinct (of
// two equal names the later is found).
func NewTable(names []Name) *Table {
	t := &Table{index: make(map[Name]int, len(names))}
	for i, n := range names {
		t.index[n] = i
	}
	return t
}

// Site finds the stage that a request names. called is false when the request
// is in no caller's form; index is -1 when no such stage is published.
func (t *Table) Site(host, path string) (a Address, index int, called bool) {
	a, called = ParseAddress(host, path)
	if !called {
		return a, -1, false
	}
	if i, ok := t.index[Name{a.APIID, a.Stage}]; ok {
		return a, i, true
	}
	return a, -1, true
}
