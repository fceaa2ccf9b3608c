package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// mutant is a file with one change.
type mutant struct {
	file   string // absolute
	line   int
	column int
	text   string // the line as it stands, without the blanks around it
	from   string // what is replaced
	to     string
	offset int // of from in the file
	source []byte
	id     int  // by which it is chosen
	apart  bool // it needs a build of its own
}

func (m mutant) String() string {
	return fmt.Sprintf("%s:%d:%d: %s becomes %s in: %s", filepath.Base(m.file), m.line, m.column, m.from, m.to, m.text)
}

// changed returns the whole file with the change.
func (m mutant) changed() []byte {
	return bytes.Join([][]byte{m.source[:m.offset], m.source[m.offset+len(m.from):]}, []byte(m.to))
}

// swaps are what an operator becomes: the neighbour at the boundary, and the
// opposite.
var swaps = map[token.Token][]string{
	token.LSS: {"<=", ">="},
	token.LEQ: {"<", ">"},
	token.GTR: {">=", "<="},
	token.GEQ: {">", "<"},
	token.EQL: {"!="},
	token.NEQ: {"=="},
	token.ADD: {"-"},
	token.SUB: {"+"},
}

// assigns are the same for x += y.
var assigns = map[token.Token]string{token.ADD_ASSIGN: "-=", token.SUB_ASSIGN: "+="}

// collect finds the mutants of the Go files of a folder, tests left out.
func collect(dir, only string) ([]mutant, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	var all []mutant
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") || !strings.Contains(filepath.Base(name), only) {
			continue
		}
		source, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		of, err := mutantsOf(name, source)
		if err != nil {
			return nil, err
		}
		all = append(all, of...)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("nothing to change in %s", dir)
	}
	return all, nil
}

func mutantsOf(name string, source []byte) ([]mutant, error) {
	files := token.NewFileSet()
	f, err := parser.ParseFile(files, name, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	lines := strings.Split(string(source), "\n")
	var all []mutant
	add := func(pos token.Pos, from, to string) {
		p := files.Position(pos)
		all = append(all, mutant{
			file: name, line: p.Line, column: p.Column, text: strings.TrimSpace(lines[p.Line-1]),
			from: from, to: to, offset: p.Offset, source: source,
		})
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec, *ast.Field: // paths, types and tags
			return false
		case *ast.BinaryExpr:
			if n.Op == token.ADD && (isText(n.X) || isText(n.Y)) {
				return true
			}
			for _, to := range swaps[n.Op] {
				add(n.OpPos, n.Op.String(), to)
			}
		case *ast.AssignStmt:
			if to := assigns[n.Tok]; to != "" && !isText(n.Rhs[0]) {
				add(n.TokPos, n.Tok.String(), to)
			}
		case *ast.IncDecStmt:
			to := map[token.Token]string{token.INC: "--", token.DEC: "++"}[n.Tok]
			add(n.TokPos, n.Tok.String(), to)
		case *ast.BasicLit:
			for _, to := range neighbours(n) {
				add(n.ValuePos, n.Value, to)
			}
		}
		return true
	})
	return all, nil
}

func isText(e ast.Expr) bool {
	lit, ok := e.(*ast.BasicLit)
	return ok && lit.Kind == token.STRING
}

// neighbours are what a number becomes.
func neighbours(lit *ast.BasicLit) []string {
	switch lit.Kind {
	case token.INT:
		n, err := strconv.ParseInt(lit.Value, 0, 64)
		if err != nil {
			return nil
		}
		if n == 1 {
			return []string{"0", "2"}
		}
		return []string{strconv.FormatInt(n+1, 10)}
	case token.FLOAT:
		x, err := strconv.ParseFloat(lit.Value, 64)
		if err != nil {
			return nil
		}
		if x == 0 {
			return []string{"1.0"}
		}
		return []string{strconv.FormatFloat(2*x, 'g', -1, 64)}
	}
	return nil
}
