package protocol

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"sort"
	"strconv"
	"time"
	"unicode/utf8"
)

// appendJSON writes a value by its compiled shape: compact, non-ASCII as it is
// and nothing escaped for HTML, as AWS does.
func appendJSON(b []byte, s *shape, v reflect.Value) ([]byte, error) {
	if s.ptr {
		if v.IsNil() {
			return append(b, "null"...), nil
		}
		v = v.Elem()
	}
	switch s.kind {
	case kString:
		return appendText(b, v.String()), nil
	case kBool:
		return strconv.AppendBool(b, v.Bool()), nil
	case kInt:
		return strconv.AppendInt(b, v.Int(), 10), nil
	case kFloat:
		return appendFloat(b, v.Float())
	case kBytes:
		b = append(b, '"')
		b = base64.StdEncoding.AppendEncode(b, v.Bytes())
		return append(b, '"'), nil
	case kTime:
		return strconv.AppendInt(b, timeOf(v).Unix(), 10), nil
	case kRaw, kAny:
		return appendAny(b, v)
	case kStruct:
		return appendObject(b, s, v)
	case kList:
		b = append(b, '[')
		var err error
		for i := range v.Len() {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = appendJSON(b, s.elem, v.Index(i)); err != nil {
				return nil, err
			}
		}
		return append(b, ']'), nil
	default:
		return appendMap(b, s, v)
	}
}

func appendObject(b []byte, s *shape, v reflect.Value) ([]byte, error) {
	b = append(b, '{')
	first := true
	for _, f := range s.fields {
		if f.place != inBody {
			continue
		}
		member := v.FieldByIndex(f.index)
		if f.omitEmpty && empty(member) {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(appendText(b, f.name), ':')
		var err error
		if b, err = appendJSON(b, f.shape, member); err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return append(b, '}'), nil
}

func appendMap(b []byte, s *shape, v reflect.Value) ([]byte, error) {
	keys := sortedKeys(v)
	b = append(b, '{')
	for i, k := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendText(b, k.String()), ':')
		var err error
		if b, err = appendJSON(b, s.elem, v.MapIndex(k)); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

func sortedKeys(v reflect.Value) []reflect.Value {
	keys := v.MapKeys()
	sort.Slice(keys, func(i, j int) bool { return keys[i].String() < keys[j].String() })
	return keys
}

// appendAny writes what has no compiled shape.
func appendAny(b []byte, v reflect.Value) ([]byte, error) {
	if (v.Kind() == reflect.Slice || v.Kind() == reflect.Interface) && v.IsNil() {
		return append(b, "null"...), nil
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v.Interface()); err != nil {
		return nil, err
	}
	return append(b, bytes.TrimRight(out.Bytes(), "\n")...), nil
}

// appendFloat keeps the decimal that AWS prints: 10.0, never 10 and never an
// exponent.
func appendFloat(b []byte, f float64) ([]byte, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, fmt.Errorf("%v has no form in JSON", f)
	}
	if f == math.Trunc(f) {
		return strconv.AppendFloat(b, f, 'f', 1, 64), nil
	}
	return strconv.AppendFloat(b, f, 'f', -1, 64), nil
}

const hexDigits = "0123456789abcdef"

func appendText(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				b = append(append(b, s[start:i]...), "\ufffd"...)
				start = i + 1
			}
			i += size
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		b = append(b, s[start:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\b':
			b = append(b, '\\', 'b')
		case '\f':
			b = append(b, '\\', 'f')
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		start = i
	}
	return append(append(b, s[start:]...), '"')
}

// empty says what omitempty leaves out. A structure is never empty, a time is
// when it is zero.
func empty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.Map, reflect.String:
		return v.Len() == 0
	case reflect.Struct:
		return (v.Type() == wireTime || v.Type() == timeType) && timeOf(v).IsZero()
	default:
		return v.IsZero()
	}
}

func timeOf(v reflect.Value) time.Time {
	if t, ok := v.Interface().(Time); ok {
		return t.Time
	}
	return v.Interface().(time.Time)
}
