package protocol

import (
	"net/url"
	"reflect"
	"sort"
	"strconv"
	"strings"
)

// Bounds of a form.
const (
	maxFormBytes  = 1 << 20
	maxFormParams = 10_000
	maxFormDepth  = 16
)

// formNode is one step of the dotted names of a form: Tags.member.1.Key.
type formNode struct {
	value string
	set   bool
	kids  map[string]*formNode
}

func malformed(msg string) *Error {
	return &Error{Code: "MalformedInput", Status: 400, Message: msg}
}

// parseForm reads a form's parameters; of two with one name the first counts.
func parseForm(text string) (url.Values, error) {
	if len(text) > maxFormBytes {
		return nil, malformed("The request is too large")
	}
	if strings.Count(text, "&") >= maxFormParams {
		return nil, malformed("Too many parameters")
	}
	values, err := url.ParseQuery(text)
	if err != nil {
		return nil, malformed("The request body is no form")
	}
	return values, nil
}

func formTree(values url.Values) (*formNode, error) {
	root := &formNode{}
	for name, v := range values {
		if strings.Count(name, ".") >= maxFormDepth {
			return nil, malformed("A parameter is nested too deeply")
		}
		n := root
		for rest := name; ; {
			step, more, dotted := strings.Cut(rest, ".")
			if n.kids == nil {
				n.kids = map[string]*formNode{}
			}
			if n.kids[step] == nil {
				n.kids[step] = &formNode{}
			}
			n = n.kids[step]
			if !dotted {
				break
			}
			rest = more
		}
		n.value, n.set = v[0], true
	}
	return root, nil
}

// bindForm puts a form into a struct by its compiled shape. Unknown members
// are skipped.
func bindForm(n *formNode, s *shape, dst reflect.Value, sent []bool, at *trail, bad *violations) error {
	for _, f := range s.fields {
		kid := n.kids[f.name]
		if f.place != inBody || kid == nil {
			continue
		}
		ok, err := bindFormValue(kid, f.shape, dst.FieldByIndex(f.index), &trail{at, f.member}, bad)
		if err != nil {
			return err
		}
		sent[f.n] = ok
	}
	return nil
}

func bindFormValue(n *formNode, s *shape, v reflect.Value, at *trail, bad *violations) (bool, error) {
	switch s.kind {
	case kStruct:
		if n.kids == nil {
			return false, nil
		}
		dst := s.target(v)
		sent := make([]bool, len(s.fields))
		if err := bindForm(n, s, dst, sent, at, bad); err != nil {
			return false, err
		}
		bad.checkMembers(s, dst, sent, at)
		return true, nil
	case kList:
		return bindFormList(n, s, v, at, bad)
	case kMap:
		return bindFormMap(n, s, v, at, bad)
	case kRaw, kAny:
		return false, malformed("Unexpected structure")
	}
	if !n.set {
		return false, malformed("Unexpected complex element termination")
	}
	if !parseText(n.value, s, s.target(v)) {
		return false, cannotConvertForm(n.value, s.kind)
	}
	return true, nil
}

func cannotConvertForm(value string, to kind) *Error {
	e := cannotConvert(javaString, to)
	return malformed(e.Message + ": " + strconv.Quote(value[:min(len(value), 64)]))
}

// bindFormList reads Name.member.1, Name.member.2 …; "Name=" is the empty
// list, which is how the tools send one.
func bindFormList(n *formNode, s *shape, v reflect.Value, at *trail, bad *violations) (bool, error) {
	members := n.kids["member"]
	if members == nil {
		if n.set && n.value == "" {
			s.target(v).Set(reflect.MakeSlice(s.target(v).Type(), 0, 0))
			return true, nil
		}
		return false, nil
	}
	dst := s.target(v)
	order, err := formOrder(members)
	if err != nil {
		return false, err
	}
	list := reflect.MakeSlice(dst.Type(), 0, len(order))
	for i, name := range order {
		item := reflect.New(dst.Type().Elem()).Elem()
		place := &trail{at, strconv.Itoa(i+1) + ".member"}
		if _, err := bindFormValue(members.kids[name], s.elem, item, place, bad); err != nil {
			return false, err
		}
		list = reflect.Append(list, item)
	}
	dst.Set(list)
	return true, nil
}

func bindFormMap(n *formNode, s *shape, v reflect.Value, at *trail, bad *violations) (bool, error) {
	entries := n.kids["entry"]
	if entries == nil {
		return false, nil
	}
	dst := s.target(v)
	order, err := formOrder(entries)
	if err != nil {
		return false, err
	}
	m := reflect.MakeMap(dst.Type())
	for _, name := range order {
		entry := entries.kids[name]
		key, value := entry.kids["key"], entry.kids["value"]
		if key == nil || value == nil || !key.set {
			return false, malformed("A map entry lacks its key or value")
		}
		item := reflect.New(dst.Type().Elem()).Elem()
		if _, err := bindFormValue(value, s.elem, item, &trail{at, key.value + ".member"}, bad); err != nil {
			return false, err
		}
		m.SetMapIndex(reflect.ValueOf(key.value).Convert(dst.Type().Key()), item)
	}
	dst.Set(m)
	return true, nil
}

// formOrder gives a list's indexes in their numeric order; gaps are closed, as
// AWS does.
func formOrder(n *formNode) ([]string, error) {
	names := make([]string, 0, len(n.kids))
	for name := range n.kids {
		if i, err := strconv.Atoi(name); err != nil || i < 0 {
			return nil, malformed("A list index is no number")
		}
		names = append(names, name)
	}
	sort.Slice(names, func(i, j int) bool {
		a, _ := strconv.Atoi(names[i])
		b, _ := strconv.Atoi(names[j])
		return a < b || a == b && names[i] < names[j]
	})
	return names, nil
}
