package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"slices"
	"strings"
)

// chosen is the variable that says which mutant is alive in a program that
// holds them all, and where it reads it from.
const (
	chosen      = "mutantChosen"
	environment = "MUTANT"
)

// weave returns the files of a package with all mutants in them that can stand
// beside the original: a number in the environment chooses one, so that one
// build serves for all. The others (in constants, in the head of a loop) are
// marked as apart and compiled one by one.
func weave(mutants []mutant) (map[string]string, error) {
	sources := map[string][]byte{}
	for i := range mutants {
		mutants[i].id, mutants[i].apart = i+1, true
		sources[mutants[i].file] = mutants[i].source
	}
	fset := token.NewFileSet()
	var files []*ast.File
	var names []string
	dir := filepath.Dir(mutants[0].file)
	all, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	for _, name := range all {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, name, nil, 0)
		if err != nil {
			return nil, err
		}
		files, names = append(files, f), append(names, name)
	}
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}}
	config := types.Config{Importer: importer.ForCompiler(fset, "source", nil)}
	pkg, err := config.Check(dir, fset, files, info)
	if err != nil {
		return nil, err
	}
	woven := map[string]string{}
	for i, f := range files {
		source, ok := sources[names[i]]
		if !ok {
			continue
		}
		w := &weaver{fset: fset, file: f, pkg: pkg, info: info, source: string(source), at: map[int][]*mutant{}}
		for j := range mutants {
			if m := &mutants[j]; m.file == names[i] {
				w.at[m.offset] = append(w.at[m.offset], m)
			}
		}
		w.find()
		woven[names[i]] = w.text(f)
	}
	woven[filepath.Join(dir, "mutant_chosen.go")] = fmt.Sprintf(
		"package %s\n\nimport (\n\t\"os\"\n\t\"strconv\"\n)\n\nvar %s, _ = strconv.Atoi(os.Getenv(%q))\n", files[0].Name.Name, chosen, environment)
	return woven, nil
}

// weaver rewrites one file.
type weaver struct {
	fset   *token.FileSet
	file   *ast.File
	pkg    *types.Package
	info   *types.Info
	source string
	at     map[int][]*mutant
	fit    map[ast.Node][]*mutant // nodes that are rewritten
	typed  map[ast.Node]string    // and of what type they are
}

func (w *weaver) offset(p token.Pos) int { return w.fset.Position(p).Offset }

// find decides which nodes can be rewritten where they stand.
func (w *weaver) find() {
	w.fit, w.typed = map[ast.Node][]*mutant{}, map[ast.Node]string{}
	var stack []ast.Node
	ast.Inspect(w.file, func(n ast.Node) bool {
		if n == nil {
			stack = stack[:len(stack)-1]
			return true
		}
		switch n := n.(type) {
		case *ast.GenDecl:
			if n.Tok == token.CONST || n.Tok == token.IMPORT || n.Tok == token.TYPE {
				return false
			}
		case *ast.ArrayType:
			return false
		case *ast.BinaryExpr:
			w.typed[n] = w.typeOf(w.whole(n, stack))
			w.note(n, w.at[w.offset(n.OpPos)], w.typed[n] != "")
		case *ast.BasicLit:
			w.typed[n] = w.typeOf(w.whole(n, stack))
			w.note(n, w.at[w.offset(n.ValuePos)], w.typed[n] != "")
		case *ast.AssignStmt:
			w.note(n, w.at[w.offset(n.TokPos)], inBlock(stack))
		case *ast.IncDecStmt:
			w.note(n, w.at[w.offset(n.TokPos)], inBlock(stack))
		}
		stack = append(stack, n)
		return true
	})
}

// whole returns the largest constant that n is a part of: it is that which has
// the type that is wanted. It is nil for the count of a shift whose value is
// no integer: only a constant may be so.
func (w *weaver) whole(n ast.Expr, stack []ast.Node) ast.Expr {
	for i := len(stack) - 1; i >= 0; i-- {
		outer, ok := stack[i].(ast.Expr)
		if !ok || w.info.Types[outer].Value == nil || w.info.Types[n].Value == nil {
			break
		}
		switch outer := outer.(type) {
		case *ast.BinaryExpr:
			if isShifted(outer) && outer.Y == n && !isInteger(w.info.Types[outer].Type) {
				return nil
			}
			if isShifted(outer) && outer.Y == n || swaps[outer.Op] != nil && outer.Op != token.ADD && outer.Op != token.SUB {
				return n
			}
		case *ast.UnaryExpr, *ast.ParenExpr:
		default:
			return n
		}
		n = outer
	}
	return n
}

func (w *weaver) note(n ast.Node, mutants []*mutant, fits bool) {
	if len(mutants) == 0 || !fits {
		return
	}
	for _, m := range mutants {
		m.apart = false
	}
	w.fit[n] = mutants
}

func inBlock(stack []ast.Node) bool {
	switch stack[len(stack)-1].(type) {
	case *ast.BlockStmt, *ast.CaseClause, *ast.CommClause:
		return true
	}
	return false
}

// typeOf writes an expression's type as this file can; "" when it cannot.
func (w *weaver) typeOf(e ast.Expr) string {
	t := w.info.Types[e].Type
	if t == nil || isShifted(e) && !isInteger(t) { // 1<<20 as a float64
		return ""
	}
	cannot := false
	name := types.TypeString(types.Default(t), func(p *types.Package) string {
		if p == w.pkg {
			return ""
		}
		for _, spec := range w.file.Imports {
			if spec.Name == nil && spec.Path.Value == `"`+p.Path()+`"` {
				return p.Name()
			}
		}
		cannot = true
		return p.Name()
	})
	if cannot {
		return ""
	}
	return name
}

func isShifted(e ast.Expr) bool {
	shift, ok := ast.Unparen(e).(*ast.BinaryExpr)
	return ok && (shift.Op == token.SHL || shift.Op == token.SHR)
}

func isInteger(t types.Type) bool {
	basic, ok := types.Default(t).Underlying().(*types.Basic)
	return ok && basic.Info()&types.IsInteger != 0
}

// text returns a node's source with everything in it rewritten.
func (w *weaver) text(n ast.Node) string {
	from, to := w.offset(n.Pos()), w.offset(n.End())
	if _, whole := n.(*ast.File); whole {
		from, to = 0, len(w.source)
	}
	var inner []ast.Node
	ast.Inspect(n, func(c ast.Node) bool {
		if c == nil || c == n {
			return true
		}
		if _, ok := w.fit[c]; ok {
			inner = append(inner, c)
			return false
		}
		return true
	})
	slices.SortFunc(inner, func(a, b ast.Node) int { return cmp.Compare(a.Pos(), b.Pos()) })
	var b strings.Builder
	for _, c := range inner {
		b.WriteString(w.source[from:w.offset(c.Pos())])
		b.WriteString(w.rewrite(c, w.fit[c]))
		from = w.offset(c.End())
	}
	b.WriteString(w.source[from:to])
	return b.String()
}

// rewrite returns a node with its mutants beside it.
func (w *weaver) rewrite(n ast.Node, mutants []*mutant) string {
	switch n := n.(type) {
	case *ast.BinaryExpr:
		x, y := w.operand(n.X), w.operand(n.Y)
		if n.Op == token.ADD || n.Op == token.SUB {
			return w.choice(w.typed[n], mutants, func(op string) string { return x + " " + op + " " + y }, n.Op.String())
		}
		var b strings.Builder
		none := ""
		for _, m := range mutants {
			fmt.Fprintf(&b, "%s == %d && (%s %s %s) || ", chosen, m.id, x, m.to, y)
			none += fmt.Sprintf("%s != %d && ", chosen, m.id)
		}
		return "(" + b.String() + none + "(" + x + " " + n.Op.String() + " " + y + "))"
	case *ast.BasicLit:
		return w.choice(w.typed[n], mutants, func(s string) string { return s }, n.Value)
	case *ast.AssignStmt:
		left, right := w.operand(n.Lhs[0]), w.operand(n.Rhs[0])
		return fmt.Sprintf("if %s == %d { %s %s %s } else { %s %s %s }", chosen, mutants[0].id, left, mutants[0].to, right, left, mutants[0].from, right)
	case *ast.IncDecStmt:
		x := w.operand(n.X)
		return fmt.Sprintf("if %s == %d { %s%s } else { %s%s }", chosen, mutants[0].id, x, mutants[0].to, x, mutants[0].from)
	}
	panic("mutate: nothing to rewrite")
}

// operand is the text of an operand, which may be a rewritten node itself.
func (w *weaver) operand(e ast.Expr) string {
	if mutants, ok := w.fit[e]; ok {
		return w.rewrite(e, mutants)
	}
	return w.text(e)
}

// choice is an expression that is one of several texts.
func (w *weaver) choice(typed string, mutants []*mutant, text func(string) string, original string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "func() %s { ", typed)
	for _, m := range mutants {
		fmt.Fprintf(&b, "if %s == %d { return %s }; ", chosen, m.id, text(m.to))
	}
	fmt.Fprintf(&b, "return %s }()", text(original))
	return b.String()
}
