package protocol

import (
	"fmt"
	"net/url"
	"strings"
)

// maxSegments bounds the path of a management call.
const maxSegments = 32

// node is one segment of the rest-json paths: what follows it by a fixed word,
// by a label, or by a label that takes the rest.
type node struct {
	fixed map[string]*node
	label *node
	rest  []leaf
	here  []leaf
}

// leaf is an operation at its place. Labels are kept by position because
// operations that share a path name them differently.
type leaf struct {
	op     *Operation
	labels []string
	query  url.Values // must be in the request's query
}

// parsePattern splits "/a/{b}/{c+}?mode=import".
func parsePattern(p string) (segments, labels []string, query url.Values, err error) {
	path, q, _ := strings.Cut(p, "?")
	if query, err = url.ParseQuery(q); err != nil {
		return nil, nil, nil, err
	}
	if !strings.HasPrefix(path, "/") {
		return nil, nil, nil, fmt.Errorf("pattern %q does not begin with /", p)
	}
	segments = split(path)
	for i, s := range segments {
		if !strings.HasPrefix(s, "{") {
			continue
		}
		name, ok := strings.CutSuffix(s[1:], "}")
		if !ok || name == "" || strings.HasSuffix(name, "+") && i < len(segments)-1 {
			return nil, nil, nil, fmt.Errorf("pattern %q: bad label %q", p, s)
		}
		labels = append(labels, strings.TrimSuffix(name, "+"))
	}
	return segments, labels, query, nil
}

// split cuts a path at its slashes; one at the end counts for nothing, as
// Lambda's old "/functions/" shows.
func split(path string) []string {
	path = strings.TrimSuffix(strings.TrimPrefix(path, "/"), "/")
	if path == "" {
		return nil
	}
	return strings.SplitN(path, "/", maxSegments+1)
}

// newRouter compiles the paths of a service by verb.
func newRouter(ops []Operation) (map[string]*node, error) {
	verbs := map[string]*node{}
	for i := range ops {
		op := &ops[i]
		segments, labels, query, err := parsePattern(op.Pattern)
		if err != nil {
			return nil, err
		}
		n := verbs[op.Method]
		if n == nil {
			n = &node{}
			verbs[op.Method] = n
		}
		l := leaf{op, labels, query}
		greedy := false
		for _, s := range segments {
			if greedy = strings.HasSuffix(s, "+}"); greedy {
				n.rest = addLeaf(n.rest, l)
				break
			}
			n = n.step(s)
		}
		if !greedy {
			n.here = addLeaf(n.here, l)
		}
	}
	return verbs, nil
}

// addLeaf keeps leaves that ask more of the query first.
func addLeaf(leaves []leaf, l leaf) []leaf {
	at := 0
	for at < len(leaves) && len(leaves[at].query) >= len(l.query) {
		at++
	}
	return append(leaves[:at:at], append([]leaf{l}, leaves[at:]...)...)
}

func (n *node) step(segment string) *node {
	if strings.HasPrefix(segment, "{") {
		if n.label == nil {
			n.label = &node{}
		}
		return n.label
	}
	if n.fixed == nil {
		n.fixed = map[string]*node{}
	}
	if n.fixed[segment] == nil {
		n.fixed[segment] = &node{}
	}
	return n.fixed[segment]
}

// find gives the operation at a raw path with its labels decoded. Fixed words
// win over labels and labels over the rest.
func find(verbs map[string]*node, verb, rawPath string, query url.Values) (*Operation, map[string]string, bool) {
	root := verbs[verb]
	segments := split(rawPath)
	if root == nil || len(segments) > maxSegments {
		return nil, nil, false
	}
	values := make([]string, 0, 8)
	l, values := root.match(segments, values, query)
	if l == nil {
		return nil, nil, false
	}
	labels := make(map[string]string, len(values))
	for i, v := range values {
		text, err := url.PathUnescape(v)
		if err != nil {
			return nil, nil, false
		}
		labels[l.labels[i]] = text
	}
	return l.op, labels, true
}

func (n *node) match(segments, values []string, query url.Values) (*leaf, []string) {
	if len(segments) == 0 {
		return pick(n.here, query), values
	}
	word := segments[0]
	if plain, err := url.PathUnescape(word); err == nil {
		if next := n.fixed[plain]; next != nil {
			if l, v := next.match(segments[1:], values, query); l != nil {
				return l, v
			}
		}
	}
	if n.label != nil && word != "" {
		if l, v := n.label.match(segments[1:], append(values, word), query); l != nil {
			return l, v
		}
	}
	if l := pick(n.rest, query); l != nil {
		return l, append(values, strings.Join(segments, "/"))
	}
	return nil, nil
}

func pick(leaves []leaf, query url.Values) *leaf {
next:
	for i := range leaves {
		for name, want := range leaves[i].query {
			if query.Get(name) != want[0] {
				continue next
			}
		}
		return &leaves[i]
	}
	return nil
}
