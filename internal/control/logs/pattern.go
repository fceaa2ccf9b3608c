package logs

import (
	"strings"
	"unicode"
)

// pattern is AWS's filter pattern for unstructured events: an event matches
// when it contains every include and no exclude; or, of a pattern that has
// only optional terms, any of them. Terms are parts of the message, in their
// case. The zero value matches everything.
type pattern struct {
	include, exclude, optional []string
}

// parsePattern reads terms, "quoted phrases", -excluded and ?optional ones.
// Patterns for JSON and for space-delimited events and regular expressions are
// refused: to let everything through in their stead would be worse.
func parsePattern(text string) (pattern, error) {
	var p pattern
	rest := strings.TrimSpace(text)
	if rest != "" {
		switch rest[0] {
		case '{':
			return p, invalid("Invalid filter pattern: patterns for JSON events ({ … }) are not supported here yet; use terms and \"phrases\"")
		case '[':
			return p, invalid("Invalid filter pattern: patterns for space-delimited events ([ … ]) are not supported here yet; use terms and \"phrases\"")
		}
	}
	for rest != "" {
		to := &p.include
		switch rest[0] {
		case '-':
			to, rest = &p.exclude, rest[1:]
		case '?':
			to, rest = &p.optional, rest[1:]
		}
		term, after, err := cutTerm(rest)
		if err != nil {
			return p, err
		}
		if strings.TrimSpace(term) != "" { // "   " matches everything
			*to = append(*to, term)
		}
		rest = strings.TrimSpace(after)
	}
	if len(p.include)+len(p.exclude) > 0 {
		p.optional = nil // AWS ignores them beside other terms
	}
	return p, nil
}

// cutTerm takes a phrase or a word from the front of a pattern.
func cutTerm(text string) (term, rest string, err error) {
	if strings.HasPrefix(text, `"`) {
		return cutPhrase(text[1:])
	}
	end := strings.IndexFunc(text, unicode.IsSpace)
	if end < 0 {
		end = len(text)
	}
	term, rest = text[:end], text[end:]
	switch {
	case strings.HasPrefix(term, "%"):
		return "", "", invalid("Invalid filter pattern: regular expressions (%…%) are not supported here yet; use terms and \"phrases\"")
	case term == "":
		return "", "", invalid("Invalid filter pattern")
	case strings.IndexFunc(term, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }) >= 0:
		return "", "", invalid("Invalid character(s) in term '" + term + "': enclose it in double quotation marks")
	}
	return term, rest, nil
}

// cutPhrase reads up to the closing quotation mark; a backslash takes the next
// character as it is.
func cutPhrase(text string) (phrase, rest string, err error) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			return b.String(), text[i+1:], nil
		case '\\':
			if i++; i == len(text) {
				break
			}
			b.WriteByte(text[i])
		default:
			b.WriteByte(text[i])
		}
	}
	return "", "", invalid("Invalid filter pattern: a quotation mark is not closed")
}

func (p *pattern) matches(message string) bool {
	for _, t := range p.include {
		if !strings.Contains(message, t) {
			return false
		}
	}
	for _, t := range p.exclude {
		if strings.Contains(message, t) {
			return false
		}
	}
	for _, t := range p.optional {
		if strings.Contains(message, t) {
			return true
		}
	}
	return len(p.optional) == 0
}
