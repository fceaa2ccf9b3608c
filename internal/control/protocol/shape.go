package protocol

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"
)

// kind says how a Go type looks on the wire.
type kind uint8

const (
	kString kind = iota
	kBool
	kInt
	kFloat
	kBytes
	kTime
	kStruct
	kList
	kMap
	kRaw // json.RawMessage
	kAny
)

// shape is a type's compiled form: what the tags say, read once.
type shape struct {
	kind   kind
	ptr    bool // the Go type is a pointer to what kind says
	typ    reflect.Type
	elem   *shape // of lists and maps
	fields []*field
	byName map[string]*field // wire name of body members
	body   *field            // the whole body
	status *field
	https  []*field // path, query and header members
}

// place is where a member travels.
type place uint8

const (
	inBody place = iota
	inPath
	inQuery
	inHeader
	inPayload
	inStatus
)

type field struct {
	index     []int
	shape     *shape
	place     place
	name      string // wire name
	item      string // xml: name of a list's items
	member    string // name in validation errors
	omitEmpty bool
	n         int // position in shape.fields
	rules     *rules
}

var (
	timeType = reflect.TypeFor[time.Time]()
	wireTime = reflect.TypeFor[Time]()
	rawType  = reflect.TypeFor[json.RawMessage]()
)

func mustShape[T any](op, tag string) *shape {
	c := compiler{tag: tag, seen: map[reflect.Type]*shape{}}
	t := reflect.TypeFor[T]()
	if t.Kind() != reflect.Struct {
		panic(fmt.Sprintf("protocol: %s: %s is no struct", op, t))
	}
	s, err := c.compile(t)
	if err != nil {
		panic(fmt.Sprintf("protocol: %s: %v", op, err))
	}
	return s
}

type compiler struct {
	tag  string // which tag names body members: json, form or xml
	seen map[reflect.Type]*shape
}

func (c *compiler) compile(t reflect.Type) (*shape, error) {
	if s := c.seen[t]; s != nil {
		return s, nil
	}
	s := &shape{typ: t}
	c.seen[t] = s
	if t.Kind() == reflect.Pointer {
		s.ptr = true
		t = t.Elem()
	}
	switch {
	case t == timeType, t == wireTime:
		s.kind = kTime
		return s, nil
	case t == rawType:
		s.kind = kRaw
		return s, nil
	}
	switch t.Kind() {
	case reflect.String:
		s.kind = kString
	case reflect.Bool:
		s.kind = kBool
	case reflect.Int, reflect.Int64, reflect.Int32:
		s.kind = kInt
	case reflect.Float64:
		s.kind = kFloat
	case reflect.Interface:
		s.kind = kAny
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			s.kind = kBytes
			return s, nil
		}
		s.kind = kList
		return s, c.element(s, t.Elem())
	case reflect.Map:
		if t.Key().Kind() != reflect.String {
			return nil, fmt.Errorf("%s: keys must be strings", t)
		}
		s.kind = kMap
		return s, c.element(s, t.Elem())
	case reflect.Struct:
		s.kind = kStruct
		return s, c.structure(s, t, nil)
	default:
		return nil, fmt.Errorf("%s has no form on the wire", t)
	}
	return s, nil
}

func (c *compiler) element(s *shape, t reflect.Type) (err error) {
	s.elem, err = c.compile(t)
	return err
}

func (c *compiler) structure(s *shape, t reflect.Type, index []int) error {
	if s.byName == nil {
		s.byName = map[string]*field{}
	}
	for i := range t.NumField() {
		sf := t.Field(i)
		at := append(append([]int(nil), index...), i)
		if sf.Anonymous && sf.Type.Kind() == reflect.Struct && !c.tagged(sf) {
			if err := c.structure(s, sf.Type, at); err != nil {
				return err
			}
			continue
		}
		if !sf.IsExported() {
			continue
		}
		f, err := c.field(sf, at)
		if err != nil {
			return fmt.Errorf("%s.%s: %w", t, sf.Name, err)
		}
		if f == nil {
			continue
		}
		f.n = len(s.fields)
		s.fields = append(s.fields, f)
		switch f.place {
		case inBody:
			s.byName[f.name] = f
		case inPayload:
			s.body = f
		case inStatus:
			s.status = f
		default:
			s.https = append(s.https, f)
		}
	}
	return nil
}

func (c *compiler) tagged(sf reflect.StructField) bool {
	_, ok := sf.Tag.Lookup(c.tag)
	return ok
}

// field reads one field's tags; nil when the field is not on the wire.
func (c *compiler) field(sf reflect.StructField, index []int) (*field, error) {
	f := &field{index: index}
	switch tag := sf.Tag; {
	case tag.Get("path") != "":
		f.place, f.name = inPath, tag.Get("path")
	case tag.Get("query") != "":
		f.place, f.name = inQuery, tag.Get("query")
	case tag.Get("header") != "":
		f.place, f.name = inHeader, tag.Get("header")
	case tag.Get("body") != "":
		f.place = inPayload
		if sf.Type.Kind() != reflect.Slice || sf.Type.Elem().Kind() != reflect.Uint8 {
			return nil, fmt.Errorf("the body is []byte, not %s", sf.Type)
		}
	default:
		if _, ok := tag.Lookup("status"); ok {
			f.place = inStatus
			if sf.Type.Kind() != reflect.Int {
				return nil, fmt.Errorf("the status is int, not %s", sf.Type)
			}
			break
		}
		name, opts, _ := strings.Cut(tag.Get(c.tag), ",")
		if name == "" || name == "-" {
			return nil, nil
		}
		f.name, f.item, _ = strings.Cut(name, ">")
		f.omitEmpty = strings.Contains(opts, "omitempty")
	}
	var err error
	if f.shape, err = c.compile(sf.Type); err != nil {
		return nil, err
	}
	if f.place == inPath || f.place == inQuery || f.place == inHeader {
		if k := f.shape.kind; k > kFloat && k != kTime && (k != kList || f.place != inQuery || f.shape.elem.kind != kString) {
			return nil, fmt.Errorf("%s cannot travel outside the body", sf.Type)
		}
	}
	f.member = sf.Tag.Get("member")
	if f.member == "" {
		f.member = memberName(f.name)
	}
	f.rules, err = compileRules(sf.Tag, f.shape)
	return f, err
}

// memberName is the name that AWS's validation errors use: the wire name with
// its first letter in lower case, whatever follows ("kMSKeyArn").
func memberName(wire string) string {
	b := make([]byte, 0, len(wire))
	upper := false
	for i := range len(wire) {
		switch c := wire[i]; {
		case c == '_' || c == '-':
			upper = len(b) > 0
		case upper && 'a' <= c && c <= 'z':
			b = append(b, c-'a'+'A')
			upper = false
		case len(b) == 0 && 'A' <= c && c <= 'Z':
			b = append(b, c-'A'+'a')
		default:
			b = append(b, c)
			upper = false
		}
	}
	return string(b)
}

// target gives the value that holds what kind says, making what a pointer
// points to.
func (s *shape) target(v reflect.Value) reflect.Value {
	if !s.ptr {
		return v
	}
	if v.IsNil() {
		v.Set(reflect.New(s.typ.Elem()))
	}
	return v.Elem()
}
