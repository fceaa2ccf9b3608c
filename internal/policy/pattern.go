package policy

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Markers in a compiled pattern. They are bytes that UTF-8 never contains, so
// that a literal "*" (written "${*}") and a wildcard cannot be confused.
const (
	markStar = 0xFF // any sequence, the empty one too
	markOne  = 0xFE // any one character
	markVar  = 0xFD // the next policy variable, in order
)

// maxPattern bounds one pattern, so that a match costs at most
// maxPattern × length of the value.
const maxPattern = 4096

type form uint8

const (
	formExact  form = iota // text is the value
	formPrefix             // text is the beginning
	formAny                // "*"
	formGlob               // text holds markStar or markOne
	formExpand             // text holds markVar
)

// pattern is a compiled string with wildcards and policy variables.
type pattern struct {
	form form
	fold bool // ASCII case does not count; text is lower-case
	text string
	vars []variable
}

// variable is one ${key} or ${key, 'fallback'}.
type variable struct {
	key      string // lower-case
	fallback string
	has      bool // a fallback was written
}

// syntax says what a string may contain.
type syntax struct {
	wild bool // * and ? are wildcards
	vars bool // ${...} is replaced
	fold bool
}

func compilePattern(s string, x syntax) (pattern, error) {
	if len(s) > maxPattern {
		return pattern{}, fmt.Errorf("a value is longer than %d bytes", maxPattern)
	}
	p := pattern{fold: x.fold}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case x.wild && c == '*':
			if len(b) == 0 || b[len(b)-1] != markStar {
				b = append(b, markStar)
			}
		case x.wild && c == '?':
			b = append(b, markOne)
		case x.vars && c == '$' && i+1 < len(s) && s[i+1] == '{':
			end := strings.IndexByte(s[i:], '}')
			if end < 0 {
				return pattern{}, fmt.Errorf("policy variable in %q is not closed", s)
			}
			lit, v, err := parseVariable(s[i+2 : i+end])
			if err != nil {
				return pattern{}, err
			}
			if lit != 0 {
				b = append(b, lit)
			} else {
				b, p.vars = append(b, markVar), append(p.vars, v)
			}
			i += end
		default:
			if x.fold {
				c = lowerASCII(c)
			}
			b = append(b, c)
		}
	}
	p.text = string(b)
	p.form = formOf(p.text)
	if p.form == formPrefix {
		p.text = p.text[:len(p.text)-1]
	}
	return p, nil
}

func formOf(text string) form {
	first := -1
	for i := range len(text) {
		switch text[i] {
		case markVar:
			return formExpand
		case markStar, markOne:
			if first < 0 {
				first = i
			}
		}
	}
	switch {
	case first < 0:
		return formExact
	case text[first] == markStar && len(text) == 1:
		return formAny
	case text[first] == markStar && first == len(text)-1:
		return formPrefix
	}
	return formGlob
}

// parseVariable reads the inside of ${...}. lit is not 0 for the three escapes.
func parseVariable(s string) (lit byte, v variable, err error) {
	if s == "*" || s == "?" || s == "$" {
		return s[0], v, nil
	}
	key, fallback, has := strings.Cut(s, ",")
	v.key = strings.ToLower(strings.TrimSpace(key))
	if v.key == "" {
		return 0, v, fmt.Errorf("policy variable ${%s} has no name", s)
	}
	if has {
		fallback = strings.TrimSpace(fallback)
		if len(fallback) < 2 || fallback[0] != '\'' || fallback[len(fallback)-1] != '\'' {
			return 0, v, fmt.Errorf("default value of policy variable ${%s} is not in single quotes", s)
		}
		v.fallback, v.has = fallback[1:len(fallback)-1], true
	}
	return 0, v, nil
}

func (p *pattern) match(s string, ctx map[string][]string) bool {
	switch p.form {
	case formAny:
		return true
	case formExact:
		return len(s) == len(p.text) && p.equal(s)
	case formPrefix:
		return len(s) >= len(p.text) && p.equal(s[:len(p.text)])
	case formExpand:
		text, ok := p.expand(ctx)
		return ok && globMatch(text, s, p.fold)
	}
	return globMatch(p.text, s, p.fold)
}

func (p *pattern) equal(s string) bool {
	if !p.fold {
		return s == p.text
	}
	for i := range len(s) {
		if lowerASCII(s[i]) != p.text[i] {
			return false
		}
	}
	return true
}

// expand puts the request's values in place of the variables. A variable
// without a single value makes the pattern match nothing.
func (p *pattern) expand(ctx map[string][]string) (string, bool) {
	var b strings.Builder
	next := 0
	for i := range len(p.text) {
		if p.text[i] != markVar {
			b.WriteByte(p.text[i])
			continue
		}
		v := &p.vars[next]
		next++
		value := v.fallback
		if values := ctx[v.key]; len(values) == 1 {
			value = values[0]
		} else if len(values) > 1 || !v.has {
			return "", false
		}
		if !utf8.ValidString(value) {
			return "", false // could hold a marker
		}
		for j := range len(value) {
			c := value[j]
			if p.fold {
				c = lowerASCII(c)
			}
			b.WriteByte(c)
		}
	}
	return b.String(), true
}

// globMatch is the greedy match with one point of return: the last star.
func globMatch(text, s string, fold bool) bool {
	t, i := 0, 0
	star, back := -1, 0
	for i < len(s) {
		if t < len(text) {
			switch c := text[t]; {
			case c == markStar:
				star, back = t, i
				t++
				continue
			case c == markOne:
				_, n := utf8.DecodeRuneInString(s[i:])
				t, i = t+1, i+n
				continue
			case c == s[i] || fold && c == lowerASCII(s[i]):
				t, i = t+1, i+1
				continue
			}
		}
		if star < 0 {
			return false
		}
		_, n := utf8.DecodeRuneInString(s[back:])
		back += n
		t, i = star+1, back
	}
	for t < len(text) && text[t] == markStar {
		t++
	}
	return t == len(text)
}

func lowerASCII(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// arnPattern is a pattern whose first five colons must stand where the
// value's do: a wildcard does not reach over them.
type arnPattern struct {
	any   bool // "*": any ARN
	parts [6]pattern
	valid bool // six parts were written; otherwise nothing matches
}

func compileARN(s string, vars bool) (arnPattern, error) {
	whole, err := compilePattern(s, syntax{wild: true, vars: vars})
	if err != nil {
		return arnPattern{}, err
	}
	if whole.form == formAny {
		return arnPattern{any: true}, nil
	}
	text := whole.text
	if whole.form == formPrefix {
		text += string([]byte{markStar})
	}
	a := arnPattern{valid: true}
	next := 0
	for i := range a.parts {
		part, rest := text, ""
		if i < 5 {
			var ok bool
			if part, rest, ok = strings.Cut(text, ":"); !ok {
				return arnPattern{}, nil
			}
		}
		n := strings.Count(part, string([]byte{markVar}))
		p := pattern{form: formOf(part), text: part, vars: whole.vars[next : next+n]}
		if p.form == formPrefix {
			p.text = part[:len(part)-1]
		}
		a.parts[i], text, next = p, rest, next+n
	}
	return a, nil
}

func (a *arnPattern) match(s string, ctx map[string][]string) bool {
	if !a.any && !a.valid {
		return false
	}
	for i := range a.parts {
		part, rest := s, ""
		if i < 5 {
			var ok bool
			if part, rest, ok = strings.Cut(s, ":"); !ok {
				return false
			}
		}
		if i == 0 && part != "arn" {
			return false
		}
		if !a.any && !a.parts[i].match(part, ctx) {
			return false
		}
		s = rest
	}
	return true
}
