// Package mapping turns what an owner wrote about a request or a response into
// values: templates, parameter mappings and stage variables. It holds what can
// be settled when a stage is published; there is no template engine yet, so a
// template is either literal text or known not to be runnable.
package mapping

import (
	"slices"
	"strings"
)

// Template is a mapping template. Runnable is false for a text that needs the
// template language ("$" or "#" in it), which cannot be evaluated yet: whoever
// would use it refuses instead of sending the text as it stands.
type Template struct {
	Text     string
	Body     []byte // Text again, ready to be sent; not modified
	Runnable bool
}

// Compile reads a template's text.
func Compile(text string) Template {
	return Template{Text: text, Body: []byte(text), Runnable: !strings.ContainsAny(text, "$#")}
}

// Templates is a set of templates by media type, in a fixed order.
type Templates struct {
	byType map[string]Template
	first  string // the first media type, in order
}

// CompileAll reads a set of templates by media type.
func CompileAll(texts map[string]string) Templates {
	t := Templates{byType: make(map[string]Template, len(texts))}
	var types []string
	for media, text := range texts {
		key := MediaType(media)
		t.byType[key] = Compile(text)
		types = append(types, key)
	}
	if len(types) > 0 {
		t.first = slices.Min(types)
	}
	return t
}

// Len returns the number of templates.
func (t Templates) Len() int { return len(t.byType) }

// ForRequest chooses by the request's Content-Type header, where an absent one
// counts as application/json.
func (t Templates) ForRequest(contentType string) (Template, bool) {
	tpl, ok := t.byType[MediaType(contentType)]
	return tpl, ok
}

// ForResponse chooses by the first type of the request's Accept header, where
// an absent one counts as application/json; a set without that type answers
// with its first. media is the chosen template's type.
func (t Templates) ForResponse(accept string) (tpl Template, media string, ok bool) {
	if len(t.byType) == 0 {
		return Template{}, "", false
	}
	media = MediaType(FirstOf(accept))
	if tpl, ok := t.byType[media]; ok {
		return tpl, media, true
	}
	return t.byType[t.first], t.first, true
}

// FirstOf returns the first element of a comma-separated header value.
func FirstOf(list string) string {
	first, _, _ := strings.Cut(list, ",")
	return strings.TrimSpace(first)
}

// MediaType returns the type of a Content-Type or Accept element in lower
// case, without parameters; application/json when there is none.
func MediaType(value string) string {
	media, _, _ := strings.Cut(value, ";")
	media = strings.TrimSpace(media)
	if media == "" {
		return "application/json"
	}
	return strings.ToLower(media)
}

// Static reads a parameter mapping's literal, text in single quotes. ok is
// false when it is a reference instead.
func Static(value string) (text string, ok bool) {
	if len(value) >= 2 && value[0] == '\'' && value[len(value)-1] == '\'' {
		return value[1 : len(value)-1], true
	}
	return "", false
}

// Expand replaces each ${stageVariables.name} by the variable's value; one that
// the stage does not have becomes nothing, as on AWS.
func Expand(text string, variables map[string]string) string {
	const open = "${stageVariables."
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, open)
		if !found {
			break
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			break
		}
		b.WriteString(before)
		b.WriteString(variables[name])
		text = after
	}
	if b.Len() == 0 {
		return text
	}
	b.WriteString(text)
	return b.String()
}

// Binary reports whether a media type is one of an API's binaryMediaTypes:
// named exactly, by "image/*", or by "*/*".
func Binary(types []string, contentType string) bool {
	if len(types) == 0 {
		return false
	}
	media := MediaType(contentType)
	for _, t := range types {
		if t == "*/*" || strings.EqualFold(t, media) {
			return true
		}
		if family, ok := strings.CutSuffix(t, "/*"); ok && family != "" &&
			len(media) > len(family) && media[len(family)] == '/' && strings.EqualFold(media[:len(family)], family) {
			return true
		}
	}
	return false
}
