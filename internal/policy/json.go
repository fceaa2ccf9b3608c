package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// node is one JSON value. encoding/json's struct decoding does not do here: it
// minds neither the case of member names nor their repetition, and a policy
// that says one thing to us and another to its reader is a hole.
type node struct {
	kind byte // '{', '[', 's' string, 'n' number, 'b' bool, '0' null
	text string
	list []node
	keys []string
	vals []node
}

const maxDepth = 8

func parseJSON(text []byte) (node, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	n, err := readNode(d, 0)
	if err != nil {
		return node{}, err
	}
	if _, err := d.Token(); err != io.EOF {
		return node{}, malformed("something follows the policy")
	}
	return n, nil
}

func readNode(d *json.Decoder, depth int) (node, error) {
	t, err := d.Token()
	if err != nil {
		return node{}, malformed("it is not valid JSON")
	}
	switch v := t.(type) {
	case json.Delim:
		if depth == maxDepth {
			return node{}, malformed("it is nested too deeply")
		}
		if v == '{' {
			return readObject(d, depth)
		}
		return readList(d, depth)
	case string:
		return node{kind: 's', text: v}, nil
	case json.Number:
		return node{kind: 'n', text: v.String()}, nil
	case bool:
		return node{kind: 'b', text: fmt.Sprint(v)}, nil
	}
	return node{kind: '0'}, nil
}

func readObject(d *json.Decoder, depth int) (node, error) {
	n := node{kind: '{'}
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		key, ok := t.(string)
		if err != nil || !ok {
			return node{}, malformed("it is not valid JSON")
		}
		if seen[key] {
			return node{}, malformed("%q occurs twice in one object", key)
		}
		seen[key] = true
		v, err := readNode(d, depth+1)
		if err != nil {
			return node{}, err
		}
		n.keys, n.vals = append(n.keys, key), append(n.vals, v)
	}
	if _, err := d.Token(); err != nil {
		return node{}, malformed("it is not valid JSON")
	}
	return n, nil
}

func readList(d *json.Decoder, depth int) (node, error) {
	n := node{kind: '['}
	for d.More() {
		v, err := readNode(d, depth+1)
		if err != nil {
			return node{}, err
		}
		n.list = append(n.list, v)
	}
	if _, err := d.Token(); err != nil {
		return node{}, malformed("it is not valid JSON")
	}
	return n, nil
}

// strings returns a string or a list of strings. With scalars, numbers and
// booleans count as their text (condition values).
func (n node) strings(scalars bool) ([]string, bool) {
	if n.kind == '[' {
		var out []string
		for _, v := range n.list {
			if v.kind == '[' {
				return nil, false
			}
			s, ok := v.strings(scalars)
			if !ok {
				return nil, false
			}
			out = append(out, s...)
		}
		return out, true
	}
	if n.kind == 's' || scalars && (n.kind == 'n' || n.kind == 'b') {
		return []string{n.text}, true
	}
	return nil, false
}
