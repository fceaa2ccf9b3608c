package apigateway

import (
	"slices"
	"strings"

	"weir/internal/control/protocol"
)

// patchInput is the body of every update. No operations, or null, change
// nothing.
type patchInput struct {
	PatchOperations []protocol.PatchOperation `json:"patchOperations"`
}

var patchVerbs = []string{"add", "remove", "replace", "move", "copy", "test"}

// byPath makes a patch table for the resources (APIs, methods, integrations
// and their responses) that tell an operation refused from a path unknown:
// "Invalid patch operation specified. Must be one of: [replace]" and "Invalid
// patch path /x".
func byPath[T any](rules ...protocol.PatchRule[T]) protocol.Patch[T] {
	all := rules
	for _, r := range rules {
		allowed := strings.Split(r.Ops, ",")
		others := slices.DeleteFunc(slices.Clone(patchVerbs), func(op string) bool { return slices.Contains(allowed, op) })
		refused := badRequest(refusedOperation(allowed))
		all = append(all, protocol.PatchRule[T]{
			Ops: strings.Join(others, ","), Path: r.Path,
			Set: func(*T, protocol.PatchCall) error { return refused },
		})
	}
	return protocol.Patch[T]{Rules: all, Refuse: func(op protocol.PatchOperation, _ []string) *protocol.Error {
		path := op.Path
		if path == "" {
			path = "null"
		}
		return badRequest("Invalid patch path " + path)
	}}
}

func refusedOperation(allowed []string) string {
	if len(allowed) == 3 {
		return "Invalid patch operation specified. Must be 'add'|'remove'|'replace'"
	}
	return "Invalid patch operation specified. Must be one of: [" + strings.Join(allowed, ", ") + "]"
}

// setText makes a rule's action of a field of text.
func setText[T any](field func(*T) *string) func(*T, protocol.PatchCall) error {
	return func(t *T, p protocol.PatchCall) error {
		*field(t) = p.Value
		return nil
	}
}

// setEntry makes a rule's action of a map's entry, named by the label "name":
// add sets, replace and remove want it there and answer missing otherwise. The
// map is copied first, because entries read from the store are never written
// to.
func setEntry[T, V any](field func(*T) *map[string]V, value func(string) V, missing func() error) func(*T, protocol.PatchCall) error {
	return func(t *T, p protocol.PatchCall) error {
		m, name := field(t), p.Labels["name"]
		if _, there := (*m)[name]; !there && p.Op != "add" {
			return missing()
		}
		next := make(map[string]V, len(*m)+1)
		for k, v := range *m {
			next[k] = v
		}
		if p.Op == "remove" {
			delete(next, name)
		} else {
			next[name] = value(p.Value)
		}
		if len(next) == 0 {
			next = nil
		}
		*m = next
		return nil
	}
}

func asText(v string) string { return v }

// optional is a map as AWS prints it: left out when nil.
func optional[K comparable, V any](m map[K]V) *map[K]V {
	if m == nil {
		return nil
	}
	return &m
}

// always is a map that is printed even when it is empty.
func always[K comparable, V any](m map[K]V) *map[K]V {
	if m == nil {
		m = map[K]V{}
	}
	return &m
}

// some is a map that is printed unless it is empty.
func some[K comparable, V any](m map[K]V) *map[K]V {
	if len(m) == 0 {
		return nil
	}
	return &m
}
