package function

import (
	"context"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Interpreter is one interpreter on this machine.
type Interpreter struct {
	Family  string // "python" or "nodejs", as AWS begins the runtime's name
	Version string // "3.11.7"
	Path    string // the program itself, not a wrapper that chooses one
}

// Serves says whether the interpreter is of the very version that a runtime
// ("python3.12", "nodejs22.x") names. Where no interpreter is, the nearest
// stands in.
func (i Interpreter) Serves(runtime string) bool {
	version, ok := strings.CutPrefix(runtime, i.Family)
	return ok && minor(i.Family, strings.TrimSuffix(version, ".x")) == minor(i.Family, i.Version)
}

// FindInterpreters lists what functions can run on with a search path such as
// $PATH, best first in each family. It runs each interpreter once; ctx ends
// that.
func FindInterpreters(ctx context.Context, searchPath string) []Interpreter {
	s := newInterpreters(ctx, searchPath)
	return append(slices.Clone(s.family("python")), s.family("nodejs")...)
}

// familyOf is the family of interpreters that a runtime needs; "" for none.
func familyOf(runtime string) string {
	for family := range candidates {
		if strings.HasPrefix(runtime, family) {
			return family
		}
	}
	return ""
}

func interpreterName(family string) string {
	if family == "python" {
		return "Python"
	}
	return "Node.js"
}

// candidates are the names under which interpreters are installed.
var candidates = map[string][]string{
	"python": {"python3", "python3.14", "python3.13", "python3.12", "python3.11", "python3.10", "python3.9", "python"},
	"nodejs": {"node", "nodejs", "node24", "node22", "node20", "node18"},
}

// questions make an interpreter say its version and where it really is:
// version managers put wrappers on the PATH that cost more than the function.
var questions = map[string][]string{
	"python": {"-I", "-S", "-c", "import sys; print('%d.%d.%d' % sys.version_info[:3]); print(sys.executable)"},
	"nodejs": {"-p", "process.versions.node + '\\n' + process.execPath"},
}

// interpreters finds interpreters on a search path, once for each family.
type interpreters struct {
	life       context.Context // ends the search early
	searchPath string
	once       map[string]*sync.Once
	mu         sync.Mutex // guards found and begun
	begun      map[string]bool
	found      map[string][]Interpreter
}

func newInterpreters(life context.Context, searchPath string) *interpreters {
	return &interpreters{
		life: life, searchPath: searchPath, found: map[string][]Interpreter{}, begun: map[string]bool{},
		once: map[string]*sync.Once{"python": new(sync.Once), "nodejs": new(sync.Once)},
	}
}

// family gives the interpreters of a family in the order of the search.
func (s *interpreters) family(name string) []Interpreter {
	s.once[name].Do(func() {
		found := s.search(name)
		s.mu.Lock()
		s.found[name] = found
		s.mu.Unlock()
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.found[name]
}

// unknown says, once for each family, that nobody has begun the search.
func (s *interpreters) unknown(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.begun[name] {
		return false
	}
	s.begun[name] = true
	return true
}

func (s *interpreters) search(family string) []Interpreter {
	answers := make([]Interpreter, len(candidates[family]))
	var asking sync.WaitGroup
	for i, name := range candidates[family] {
		if path := s.look(name); path != "" {
			asking.Go(func() { answers[i] = ask(s.life, family, path) })
		}
	}
	asking.Wait()
	var found []Interpreter
	for _, a := range answers {
		known := slices.ContainsFunc(found, func(b Interpreter) bool { return a.Path == b.Path || a.Version == b.Version })
		if a.Path != "" && !known {
			found = append(found, a)
		}
	}
	return found
}

func (s *interpreters) look(name string) string {
	for _, dir := range filepath.SplitList(s.searchPath) {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil && filepath.IsAbs(path) {
			return path
		}
	}
	return ""
}

// ask runs an interpreter; the zero value means that it gave no good answer.
func ask(ctx context.Context, family, path string) Interpreter {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, questions[family]...)
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err != nil {
		return Interpreter{}
	}
	version, program, ok := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if !ok || !filepath.IsAbs(program) || minor(family, version) < 0 {
		return Interpreter{}
	}
	return Interpreter{Family: family, Version: version, Path: program}
}

// choose gives the interpreter for a runtime ("python3.12", "nodejs22.x"): of
// the same version, else the nearest, the newer of two.
func (s *interpreters) choose(runtime, family string) (best Interpreter, exact, ok bool) {
	want := minor(family, strings.TrimSuffix(strings.TrimPrefix(runtime, family), ".x"))
	distance := 1 << 30
	for _, i := range s.family(family) {
		d := 2 * (minor(family, i.Version) - want)
		if d < 0 {
			d = 1 - d // an older one loses against a newer one as near
		}
		if d < distance {
			best, distance = i, d
		}
	}
	return best, distance == 0, best.Path != ""
}

// minor is the number in which two runtimes of a family differ: 12 of Python
// 3.12.1, 20 of Node.js 20.4.0; -1 for none.
func minor(family, version string) int {
	parts := strings.Split(version, ".")
	if family == "python" {
		if len(parts) < 2 || parts[0] != "3" {
			return -1
		}
		parts = parts[1:]
	}
	n, err := strconv.Atoi(parts[0])
	if err != nil {
		return -1
	}
	return n
}
