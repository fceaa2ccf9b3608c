package route

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"weir/internal/catalog"
)

// verbs are the ones that ANY stands for; a request with any other verb
// matches no method.
var verbs = []string{"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"}

// anyVerb is the configured verb that stands for all of them.
const anyVerb = "ANY"

// Method is one configured method of a Site. Its place in Site.Methods is the
// dense index by which others keep what they compiled for it.
type Method struct {
	ResourceID   string
	ResourcePath string
	Verb         string // as configured: a verb or ANY
	Config       *catalog.Method
}

// Param is a path parameter. Value is as sent, percent-encoding kept, and lies
// in the memory of the path that was matched.
type Param struct {
	Name  string
	Value string
}

// Match is the method that answers a request.
type Match struct {
	Method int // index into Site.Methods
	Params []Param
}

// Site is the compiled routes of one deployment. It is immutable and safe for
// concurrent use.
type Site struct {
	methods []Method
	root    *node
}

// node is one position in the tree of resources.
type node struct {
	literal map[string]*node
	param   *node
	greedy  *node
	verbs   []verbIndex
	names   []name // path parameters from the root to here
}

type verbIndex struct {
	verb  string
	index int
}

type name struct {
	name    string
	segment int
	greedy  bool
}

// Compile builds the routes of a deployment's resources. Methods are numbered
// by path and verb, so equal deployments have equal indexes. An error says
// which resource cannot be routed.
func Compile(resources []catalog.Resource) (*Site, error) {
	s := &Site{root: &node{}}
	sorted := slices.Clone(resources)
	slices.SortFunc(sorted, func(a, b catalog.Resource) int { return cmp.Compare(a.Path, b.Path) })
	for i := range sorted {
		r := &sorted[i]
		if i > 0 && sorted[i-1].Path == r.Path {
			return nil, fmt.Errorf("two resources at path %s", r.Path)
		}
		n, err := s.root.grow(r.Path)
		if err != nil {
			return nil, fmt.Errorf("resource %s at path %s: %w", r.ID, r.Path, err)
		}
		for _, verb := range slices.Sorted(keys(r.Methods)) {
			if verb != anyVerb && !slices.Contains(verbs, verb) {
				return nil, fmt.Errorf("resource %s at path %s: no such verb as %s", r.ID, r.Path, verb)
			}
			n.verbs = append(n.verbs, verbIndex{verb, len(s.methods)})
			s.methods = append(s.methods, Method{
				ResourceID: r.ID, ResourcePath: r.Path, Verb: verb, Config: r.Methods[verb],
			})
		}
	}
	return s, nil
}

func keys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// grow returns the node at a resource path, making what is missing.
func (n *node) grow(path string) (*node, error) {
	rest, ok := strings.CutPrefix(path, "/")
	if !ok {
		return nil, fmt.Errorf("a path begins with a slash")
	}
	if rest == "" {
		return n, nil
	}
	parts := strings.Split(rest, "/")
	for i, part := range parts {
		parameter, isParameter := strings.CutPrefix(part, "{")
		switch {
		case part == "":
			return nil, fmt.Errorf("an empty path part")
		case !isParameter:
			if n.literal == nil {
				n.literal = map[string]*node{}
			}
			next := n.literal[part]
			if next == nil {
				next = &node{names: n.names}
				n.literal[part] = next
			}
			n = next
		default:
			parameter, closed := strings.CutSuffix(parameter, "}")
			parameter, greedy := strings.CutSuffix(parameter, "+")
			if !closed || parameter == "" || strings.ContainsAny(parameter, "{}+") {
				return nil, fmt.Errorf("malformed path part %s", part)
			}
			if greedy && i != len(parts)-1 {
				return nil, fmt.Errorf("a greedy path variable has no children")
			}
			slot := &n.param
			if greedy {
				slot = &n.greedy
			}
			if *slot == nil {
				names := append(slices.Clone(n.names), name{parameter, i, greedy})
				*slot = &node{names: names}
			} else if last := (*slot).names[len((*slot).names)-1]; last.name != parameter {
				return nil, fmt.Errorf("siblings {%s} and {%s} are one path part with two names", last.name, parameter)
			}
			n = *slot
		}
	}
	return n, nil
}

// Methods returns the methods by their index. The slice is not modified.
func (s *Site) Methods() []Method { return s.methods }

// Match finds the method that answers verb at path (the part below the stage).
//
// A literal path part beats {param}, which beats {proxy+}, which takes at
// least one segment; within one resource a verb beats ANY. A resource without
// the verb does not end the search: a less specific one that has it answers.
// Leading slashes count as one and one trailing slash is ignored; case and
// percent-encoding are taken as sent (recorded behaviour of AWS).
func (s *Site) Match(verb, path string) (Match, bool) {
	if !slices.Contains(verbs, verb) {
		return Match{}, false
	}
	path = trim(path)
	n, index := s.root.find(path, path != "", verb)
	if n == nil {
		return Match{}, false
	}
	return Match{Method: index, Params: n.params(path)}, true
}

// trim makes a path relative: no leading slash, not one trailing slash.
func trim(path string) string {
	path = strings.TrimLeft(path, "/")
	return strings.TrimSuffix(path, "/")
}

// find searches depth first, most specific child first. Every node is entered
// at most once, whatever the path.
func (n *node) find(rest string, more bool, verb string) (*node, int) {
	if !more {
		return n.pick(verb)
	}
	segment, tail, more := strings.Cut(rest, "/")
	if child := n.literal[segment]; child != nil {
		if found, index := child.find(tail, more, verb); found != nil {
			return found, index
		}
	}
	if n.param != nil && segment != "" {
		if found, index := n.param.find(tail, more, verb); found != nil {
			return found, index
		}
	}
	if n.greedy != nil && rest != "" {
		return n.greedy.pick(verb)
	}
	return nil, 0
}

// pick returns the node itself and its method for verb, or nil.
func (n *node) pick(verb string) (*node, int) {
	wild := -1
	for _, v := range n.verbs {
		if v.verb == verb {
			return n, v.index
		}
		if v.verb == anyVerb {
			wild = v.index
		}
	}
	if wild >= 0 {
		return n, wild
	}
	return nil, 0
}

// params cuts the values of the path parameters out of a trimmed path.
func (n *node) params(path string) []Param {
	if len(n.names) == 0 {
		return nil
	}
	params := make([]Param, 0, len(n.names))
	for segment, next := 0, n.names; len(next) > 0; segment++ {
		value, tail, _ := strings.Cut(path, "/")
		if next[0].segment == segment {
			if next[0].greedy {
				value = path
			}
			params = append(params, Param{next[0].name, value})
			next = next[1:]
		}
		path = tail
	}
	return params
}
