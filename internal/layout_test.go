// Package internal_test keeps the house: which package may import which, who
// may touch an HTTP engine, and that every package says what it is for. It
// reads the source files themselves, so a cached result never hides a change.
package internal_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// rules is policy, not description: it is not edited to make a build pass. A
// new folder is argued in docs/architecture.md first, then added here.
//
// Each line lists all of ours that a package may import, below internal/. A
// name ending in "/*" means the package's children; test kits may import what
// they serve.
const rules = `
catalog                  :
invocation               :
secret                   :
policy                   :
sigv4                    :
limit                    :
telemetry                :
gateway/message          :
gateway/mapping          :
function/sandbox         :
control/protocol         :
store                    : catalog limit telemetry
function                 : catalog invocation policy secret telemetry function/sandbox
gateway/route            : catalog gateway/message
gateway/event            : catalog gateway/message gateway/mapping gateway/route
gateway/protection       : catalog invocation limit policy secret sigv4 telemetry gateway/event gateway/message gateway/mapping gateway/route gateway/protection/authorizer
gateway/protection/authorizer : catalog invocation policy gateway/event gateway/message gateway/mapping gateway/route
gateway/integration      : catalog invocation gateway/event gateway/message gateway/mapping gateway/route gateway/protection
gateway                  : catalog invocation telemetry gateway/*
control/SERVICE          : catalog invocation limit policy secret store telemetry function control/protocol
control                  : catalog policy sigv4 telemetry control/*
app                      : *
cli/publish              :
cli/verify               :
cli                      : app catalog cli/*
`

// engines are the HTTP engines. Under gateway/ only server*.go and the HTTP
// integration's client may import one.
var engines = []string{"net/http", "github.com/valyala/fasthttp"}

// nouns that say nothing about what a package holds.
var emptyNames = []string{"util", "utils", "common", "helper", "helpers", "manager", "core", "model", "types", "base", "misc"}

type source struct {
	pkg     string // below internal/, slash-separated; "" outside of it
	file    string
	imports []string
	doc     bool
	test    bool
}

func TestLayout(t *testing.T) {
	sources := readSources(t)
	table := parseRules(t)
	documented := map[string]bool{}
	built := map[string]bool{}
	for _, s := range sources {
		if !s.test {
			built[s.pkg] = true
			documented[s.pkg] = documented[s.pkg] || s.doc
		}
		checkEngine(t, s)
		if s.test {
			continue // tests may build whatever they need
		}
		rule, known := ruleOf(table, s.pkg)
		if !known {
			t.Errorf("%s: package %q has no rule: argue it in docs/architecture.md, then add it here", s.file, s.pkg)
			continue
		}
		for _, imp := range s.imports {
			if ours, ok := strings.CutPrefix(imp, "weir/internal/"); ok && !allowed(rule, s.pkg, ours) {
				t.Errorf("%s: %s may not import %s", s.file, s.pkg, ours)
			}
			if imp == "weir" || strings.HasPrefix(imp, "weir/cmd") {
				t.Errorf("%s: nothing imports %s", s.file, imp)
			}
		}
	}
	for pkg := range built {
		if !documented[pkg] {
			t.Errorf("package %s has no package comment", pkg)
		}
		if slices.Contains(emptyNames, path.Base(pkg)) {
			t.Errorf("package %s: the name does not say what it holds", pkg)
		}
	}
	for pkg := range table {
		if pkg != "control/SERVICE" && !built[pkg] {
			t.Errorf("rule for %s, but there is no such package", pkg)
		}
	}
}

func readSources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == "testdata" {
			return filepath.SkipDir
		}
		name = filepath.ToSlash(name)
		if d.IsDir() || !strings.HasSuffix(name, ".go") || path.Dir(name) == "." {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		all = append(all, source{
			pkg: path.Dir(name), file: name, imports: importsOf(f), doc: f.Doc != nil,
			test: strings.HasSuffix(name, "_test.go"),
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("read only %d source files: the test does not see the tree", len(all))
	}
	return all
}

func importsOf(f *ast.File) []string {
	var names []string
	for _, spec := range f.Imports {
		if name, err := strconv.Unquote(spec.Path.Value); err == nil {
			names = append(names, name)
		}
	}
	return names
}

func parseRules(t *testing.T) map[string][]string {
	t.Helper()
	table := map[string][]string{}
	for line := range strings.Lines(rules) {
		pkg, list, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		table[strings.TrimSpace(pkg)] = strings.Fields(list)
	}
	if len(table) < 15 {
		t.Fatalf("the table of rules did not parse: %v", table)
	}
	return table
}

// ruleOf finds the rule of a package; a test kit ("storetest" below "store")
// has the rule of what it serves, plus that package itself.
func ruleOf(table map[string][]string, pkg string) ([]string, bool) {
	if rule, ok := table[pkg]; ok {
		return rule, true
	}
	parent, name := path.Dir(pkg), path.Base(pkg)
	if strings.HasSuffix(name, "test") && path.Base(parent)+"test" == name {
		rule, ok := table[parent]
		return append(slices.Clone(rule), parent), ok
	}
	if parent == "control" {
		return table["control/SERVICE"], true
	}
	return nil, false
}

func allowed(rule []string, pkg, imported string) bool {
	for _, r := range rule {
		if r == "*" {
			return imported != "cli" && !strings.HasPrefix(imported, "cli/")
		}
		if r == imported {
			return true
		}
		if parent, ok := strings.CutSuffix(r, "/*"); ok && strings.HasPrefix(imported, parent+"/") && imported != pkg {
			return true
		}
	}
	return false
}

func checkEngine(t *testing.T, s source) {
	t.Helper()
	if s.test || (s.pkg != "gateway" && !strings.HasPrefix(s.pkg, "gateway/")) {
		return
	}
	base := path.Base(s.file)
	if s.pkg == "gateway" && strings.HasPrefix(base, "server") {
		return
	}
	if s.pkg == "gateway/integration" && strings.HasPrefix(base, "http") {
		return
	}
	for _, imp := range s.imports {
		for _, engine := range engines {
			if imp == engine || strings.HasPrefix(imp, engine+"/") {
				t.Errorf("%s: only server*.go and the HTTP integration's client import an HTTP engine (%s)", s.file, imp)
			}
		}
	}
}

// TestRulesCatchViolations plants what the layout test must refuse.
func TestRulesCatchViolations(t *testing.T) {
	table := parseRules(t)
	for _, c := range []struct {
		pkg, imported string
		ok            bool
	}{
		{"gateway", "store", false},
		{"gateway/protection", "function", false},
		{"gateway", "gateway/route", true},
		{"limit", "catalog", false},
		{"control/lambda", "store", true},
		{"control/lambda", "control/iam", false},
		{"control", "store", false},
		{"control", "control/lambda", true},
		{"store/storetest", "store", true},
		{"app", "gateway", true},
		{"app", "cli", false},
		{"app", "cli/publish", false},
		{"cli", "cli/publish", true},
		{"cli/publish", "app", false},
		{"cli", "gateway", false},
	} {
		rule, known := ruleOf(table, c.pkg)
		if !known {
			t.Errorf("%s has no rule", c.pkg)
		}
		if got := allowed(rule, c.pkg, c.imported); got != c.ok {
			t.Errorf("%s imports %s: allowed = %v, want %v", c.pkg, c.imported, got, c.ok)
		}
	}
	if _, known := ruleOf(table, "shiny"); known {
		t.Error("a package without a rule was accepted")
	}
}

// TestDependenciesAreArgued: every direct dependency has its reason written down.
func TestDependenciesAreArgued(t *testing.T) {
	mod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../docs/decisions/0001-dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	direct := 0
	for line := range strings.Lines(string(mod)) {
		fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		if len(fields) < 2 || !strings.Contains(fields[0], ".") || strings.Contains(line, "// indirect") {
			continue
		}
		direct++
		name, service := fields[0], ""
		if sdk := "github.com/aws/aws-sdk-go-v2/"; strings.HasPrefix(name, sdk) {
			name, service = strings.TrimSuffix(sdk, "/"), path.Base(name)
		}
		if !strings.Contains(string(page), "`"+name+"`") || !strings.Contains(string(page), service) {
			t.Errorf("docs/decisions/0001-dependencies.md does not say why %s is there", fields[0])
		}
	}
	if direct == 0 {
		t.Error("read no direct dependency from go.mod")
	}
}
