package protocol

import (
	"fmt"
	"reflect"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"unicode/utf16"
)

// Bounds of what a validation error repeats of the request.
const (
	maxViolations = 50
	maxShown      = 2048 // bytes of one value
)

// rules are a member's constraints.
type rules struct {
	required    bool
	enum        []string
	enumText    string
	hasMin      bool
	hasMax      bool
	min, max    float64
	minText     string
	maxText     string
	pattern     *regexp.Regexp
	patternText string
}

func compileRules(tag reflect.StructTag, s *shape) (*rules, error) {
	r := &rules{required: tag.Get("required") == "true"}
	any := r.required
	if e, ok := tag.Lookup("enum"); ok {
		r.enum = strings.Split(e, ",")
		r.enumText = "Member must satisfy enum value set: [" + strings.Join(r.enum, ", ") + "]" + tag.Get("enumtail")
		any = true
	}
	var err error
	if r.minText, r.hasMin = tag.Lookup("min"); r.hasMin {
		if r.min, err = strconv.ParseFloat(r.minText, 64); err != nil {
			return nil, fmt.Errorf("min: %w", err)
		}
		any = true
	}
	if r.maxText, r.hasMax = tag.Lookup("max"); r.hasMax {
		if r.max, err = strconv.ParseFloat(r.maxText, 64); err != nil {
			return nil, fmt.Errorf("max: %w", err)
		}
		any = true
	}
	if p, ok := tag.Lookup("pattern"); ok {
		if r.pattern, err = regexp.Compile(`^(?:` + p + `)$`); err != nil {
			return nil, fmt.Errorf("pattern: %w", err)
		}
		r.patternText = p
		any = true
	}
	if !any {
		return nil, nil
	}
	scalar := s
	if s.kind == kList {
		scalar = s.elem
	}
	if (r.enum != nil || r.pattern != nil) && scalar.kind != kString {
		return nil, fmt.Errorf("enum and pattern are for strings")
	}
	return r, nil
}

// trail is the way to a member, for error texts only.
type trail struct {
	up   *trail
	name string
}

func (t *trail) String() string {
	if t == nil {
		return ""
	}
	if up := t.up.String(); up != "" {
		return up + "." + t.name
	}
	return t.name
}

// violations gathers what a request breaks, in AWS's words.
type violations struct {
	list []string
}

func (v *violations) add(shown, path, constraint string) {
	if len(v.list) < maxViolations {
		v.list = append(v.list, "Value "+shown+" at '"+path+"' failed to satisfy constraint: "+constraint)
	}
}

// error is AWS's ValidationException over all of them, nil when there is none.
func (v *violations) error() *Error {
	if len(v.list) == 0 {
		return nil
	}
	plural := ""
	if len(v.list) > 1 {
		plural = "s"
	}
	return &Error{
		Code:    "ValidationException",
		Status:  400,
		Message: fmt.Sprintf("%d validation error%s detected: %s", len(v.list), plural, strings.Join(v.list, "; ")),
	}
}

// checkMembers holds a structure's members against their rules; sent says
// which of them the request carried.
func (v *violations) checkMembers(s *shape, dst reflect.Value, sent []bool, at *trail) {
	for i, f := range s.fields {
		if f.rules == nil {
			continue
		}
		if !sent[i] {
			if f.rules.required {
				v.add("null", (&trail{at, f.member}).String(), "Member must not be null")
			}
			continue
		}
		v.check(f, dst.FieldByIndex(f.index), at)
	}
}

func (v *violations) check(f *field, val reflect.Value, at *trail) {
	r := f.rules
	if val.Kind() == reflect.Pointer {
		val = val.Elem()
	}
	report := func(constraint string) {
		v.add("'"+show(val)+"'", (&trail{at, f.member}).String(), constraint)
	}
	switch f.shape.kind {
	case kString:
		for _, c := range r.broken(val.String()) {
			report(c)
		}
	case kInt:
		r.number(float64(val.Int()), report)
	case kFloat:
		r.number(val.Float(), report)
	case kList:
		r.length(val.Len(), report)
		bare := rules{enum: r.enum, enumText: r.enumText, pattern: r.pattern, patternText: r.patternText}
		for i := range val.Len() {
			if r.enum == nil && r.pattern == nil {
				break
			}
			if len(bare.broken(val.Index(i).String())) > 0 {
				report("Member must satisfy constraint: [" + bare.elementText() + "]")
				break
			}
		}
	case kMap, kBytes:
		r.length(val.Len(), report)
	}
}

// broken gives the texts of the constraints that a string breaks.
func (r *rules) broken(s string) (texts []string) {
	if r.enum != nil {
		found := false
		for _, e := range r.enum {
			found = found || e == s
		}
		if !found {
			texts = append(texts, r.enumText)
		}
	}
	if r.pattern != nil && !r.pattern.MatchString(s) {
		texts = append(texts, "Member must satisfy regular expression pattern: "+r.patternText)
	}
	if r.hasMin || r.hasMax {
		r.length(javaLen(s), func(c string) { texts = append(texts, c) })
	}
	return texts
}

// elementText is what AWS prints for the elements of a list, all constraints
// together and always with the last one.
func (r *rules) elementText() string {
	var parts []string
	if r.pattern != nil {
		parts = append(parts, "Member must satisfy regular expression pattern: "+r.patternText)
	}
	if r.enum != nil {
		parts = append(parts, r.enumText)
	}
	return strings.Join(append(parts, "Member must not be null"), ", ")
}

func (r *rules) number(n float64, report func(string)) {
	if r.hasMin && n < r.min {
		report("Member must have value greater than or equal to " + r.minText)
	}
	if r.hasMax && n > r.max {
		report("Member must have value less than or equal to " + r.maxText)
	}
}

func (r *rules) length(n int, report func(string)) {
	if r.hasMin && float64(n) < r.min {
		report("Member must have length greater than or equal to " + r.minText)
	}
	if r.hasMax && float64(n) > r.max {
		report("Member must have length less than or equal to " + r.maxText)
	}
}

// javaLen counts as AWS does: UTF-16 units.
func javaLen(s string) int {
	n := 0
	for _, c := range s {
		n += max(1, utf16.RuneLen(c))
	}
	return n
}

// show writes a value the way AWS's errors do: [a, b] and {k=v}.
func show(v reflect.Value) string {
	s := shown(v)
	if len(s) > maxShown {
		return strings.ToValidUTF8(s[:maxShown], "") + "…"
	}
	return s
}

func shown(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Slice:
		parts := make([]string, 0, min(v.Len(), maxShown))
		for i := range min(v.Len(), maxShown) {
			parts = append(parts, show(v.Index(i)))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case reflect.Map:
		parts := make([]string, 0, v.Len())
		for _, k := range v.MapKeys() {
			parts = append(parts, k.String()+"="+show(v.MapIndex(k)))
		}
		sort.Strings(parts)
		return "{" + strings.Join(parts, ", ") + "}"
	case reflect.Pointer:
		if v.IsNil() {
			return "null"
		}
		return shown(v.Elem())
	default:
		return fmt.Sprint(v.Interface())
	}
}
