package protocol

import (
	"fmt"
	"slices"
	"strings"
)

// maxPatchOperations bounds one update.
const maxPatchOperations = 1000

// PatchOperation is AWS's JSON-patch dialect.
type PatchOperation struct {
	Op    string  `json:"op" enum:"add,remove,move,test,replace,copy"`
	Path  string  `json:"path"`
	Value *string `json:"value"`
	From  string  `json:"from"`
}

// Patch is the one mechanism by which every resource is updated: a table of
// rules over T. Path patterns hold {labels}; "~1" and "~0" in a segment are
// decoded before Set sees it. It is read only and safe for concurrent use.
type Patch[T any] struct {
	Rules []PatchRule[T]
	// Refuse words the error for an operation that no rule takes; nil: the
	// "Invalid patch path  '%s' specified for op '%s'. Must be one of: [...]" family.
	Refuse func(op PatchOperation, allowed []string) *Error
}

// PatchRule is what one path pattern does.
type PatchRule[T any] struct {
	Ops  string // "replace", "add,replace", "add,remove,replace"
	Path string // "/name", "/apiStages/{stage}/throttle/{path}/{verb}/rateLimit"
	Show string // the path in AWS's list of allowed ones; "" is Path, "-" leaves it out
	Set  func(t *T, p PatchCall) error
}

// PatchCall is one operation at the rule that takes it.
type PatchCall struct {
	Op     string
	Value  string // "" when none was sent
	Sent   bool   // a value was sent
	From   string
	Labels map[string]string
}

// Apply applies ops in order to t. An operation that no rule takes is refused
// with *Error; what Set returns is returned as it is. On an error t is half
// changed: throw it away.
func (p *Patch[T]) Apply(t *T, ops []PatchOperation) error {
	if len(ops) > maxPatchOperations {
		return &Error{Code: "BadRequestException", Status: 400, Message: "Too many patch operations"}
	}
	for _, op := range ops {
		rule, labels := p.find(op)
		if rule == nil {
			return p.refuse(op)
		}
		call := PatchCall{Op: op.Op, From: op.From, Labels: labels}
		if op.Value != nil {
			call.Value, call.Sent = *op.Value, true
		}
		if err := rule.Set(t, call); err != nil {
			return err
		}
	}
	return nil
}

func (p *Patch[T]) find(op PatchOperation) (*PatchRule[T], map[string]string) {
	segments := strings.Split(op.Path, "/")
	for i := range p.Rules {
		r := &p.Rules[i]
		if !r.takes(op.Op) {
			continue
		}
		if labels, ok := matchPointer(r.Path, segments); ok {
			return r, labels
		}
	}
	return nil, nil
}

func (r *PatchRule[T]) takes(op string) bool {
	return slices.Contains(strings.Split(r.Ops, ","), op)
}

// matchPointer holds a JSON pointer against a pattern, segment by segment, and
// gives its labels decoded.
func matchPointer(pattern string, segments []string) (map[string]string, bool) {
	words := strings.Split(pattern, "/")
	if len(words) != len(segments) {
		return nil, false
	}
	var labels map[string]string
	for i, w := range words {
		text := unescapePointer(segments[i])
		if name, ok := strings.CutPrefix(w, "{"); ok {
			if labels == nil {
				labels = map[string]string{}
			}
			labels[strings.TrimSuffix(name, "}")] = text
		} else if w != text {
			return nil, false
		}
	}
	return labels, true
}

// unescapePointer decodes a JSON pointer's segment (RFC 6901: ~1 first).
func unescapePointer(s string) string {
	if !strings.Contains(s, "~") {
		return s
	}
	return strings.ReplaceAll(strings.ReplaceAll(s, "~1", "/"), "~0", "~")
}

// EscapePointer is the other direction: what stands in a path for s.
func EscapePointer(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "~", "~0"), "/", "~1")
}

func (p *Patch[T]) refuse(op PatchOperation) *Error {
	var allowed []string
	for _, r := range p.Rules {
		show := r.Show
		if show == "" {
			show = r.Path
		}
		if show != "-" && r.takes(op.Op) && !slices.Contains(allowed, show) {
			allowed = append(allowed, show)
		}
	}
	if p.Refuse != nil {
		return p.Refuse(op, allowed)
	}
	return InvalidPatchPath(op, allowed)
}

// InvalidPatchPath is AWS's usual refusal of a patch operation.
func InvalidPatchPath(op PatchOperation, allowed []string) *Error {
	msg := fmt.Sprintf("Invalid patch path  '%s' specified for op '%s'. ", op.Path, op.Op)
	if len(allowed) == 0 {
		msg += "Please choose supported operations"
	} else {
		msg += "Must be one of: [" + strings.Join(allowed, ", ") + "]"
	}
	return &Error{Code: "BadRequestException", Status: 400, Message: msg}
}
