package protocol

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// The words of AWS's SerializationException for a value of the wrong type.
const (
	javaString  = "class java.lang.String"
	javaBoolean = "class java.lang.Boolean"
	javaNumber  = "class com.amazon.coral.value.json.numbers.TruncatingBigNumber"
)

func serialization(msg string) *Error {
	return &Error{Code: "SerializationException", Status: 400, Message: msg}
}

func cannotConvert(from string, to kind) *Error {
	name := map[kind]string{
		kString: "String", kBool: "Boolean", kInt: "Integer", kFloat: "Double",
		kBytes: "Blob", kTime: "Date",
	}[to]
	return serialization(from + " can not be converted to an " + name)
}

// jsonBinder puts a JSON body into a struct by its compiled shape.
type jsonBinder struct {
	scan scanner
	bad  *violations
}

// bindJSON fills dst from a body that must be one JSON object; an empty body
// is an empty object. sent marks the members that came with a value.
func bindJSON(body []byte, s *shape, dst reflect.Value, sent []bool, at *trail, bad *violations) error {
	b := jsonBinder{scan: scanner{data: body}, bad: bad}
	switch b.scan.peek() {
	case 0:
		if b.scan.off == len(body) {
			return nil
		}
	case '[':
		return serialization("Start of list found where not expected")
	}
	err := b.object(s, dst, sent, at)
	if err == nil {
		b.scan.space()
		if b.scan.off < len(body) {
			err = b.scan.fail("more after the end")
		}
	}
	var syntax *syntaxError
	if errors.As(err, &syntax) {
		return serialization("Could not parse request body into json: " + syntax.Error())
	}
	return err
}

// object binds one JSON object to the members of a structure. Names are
// compared exactly, unknown ones skipped, null counts as not sent, and of two
// values with one name the last stands.
func (b *jsonBinder) object(s *shape, dst reflect.Value, sent []bool, at *trail) error {
	if b.scan.peek() != '{' {
		return b.mismatch(kStruct)
	}
	if err := b.scan.enter(); err != nil {
		return err
	}
	for first := true; ; first = false {
		more, err := b.scan.next('}', first)
		if err != nil || !more {
			return err
		}
		name, err := b.scan.member()
		if err != nil {
			return err
		}
		f := s.byName[name]
		if f == nil {
			err = b.scan.skip()
		} else {
			v := dst.FieldByIndex(f.index)
			v.SetZero()
			sent[f.n], err = b.value(f.shape, v, &trail{at, f.member})
		}
		if err != nil {
			return err
		}
	}
}

// value binds the next value, whatever it is; it reports false for null.
func (b *jsonBinder) value(s *shape, v reflect.Value, at *trail) (bool, error) {
	c := b.scan.peek()
	if c == 'n' {
		return false, b.scan.literal("null")
	}
	switch s.kind {
	case kRaw, kAny:
		start := b.scan.off
		if err := b.scan.skip(); err != nil {
			return false, err
		}
		raw := append(json.RawMessage(nil), b.scan.data[start:b.scan.off]...)
		if s.kind == kRaw {
			s.target(v).SetBytes(raw)
			return true, nil
		}
		return true, json.Unmarshal(raw, v.Addr().Interface())
	case kStruct:
		dst := s.target(v)
		sent := make([]bool, len(s.fields))
		if err := b.object(s, dst, sent, at); err != nil {
			return false, err
		}
		b.bad.checkMembers(s, dst, sent, at)
		return true, nil
	case kList:
		return true, b.list(s, s.target(v), at)
	case kMap:
		return true, b.mapping(s, s.target(v), at)
	}
	return true, b.scalar(c, s, v)
}

func (b *jsonBinder) list(s *shape, dst reflect.Value, at *trail) error {
	if b.scan.peek() != '[' {
		return b.mismatch(kList)
	}
	if err := b.scan.enter(); err != nil {
		return err
	}
	list := reflect.MakeSlice(dst.Type(), 0, 0)
	for n := 1; ; n++ {
		more, err := b.scan.next(']', n == 1)
		if err != nil {
			return err
		}
		if !more {
			dst.Set(list)
			return nil
		}
		item := reflect.New(dst.Type().Elem()).Elem()
		if _, err := b.value(s.elem, item, &trail{at, strconv.Itoa(n) + ".member"}); err != nil {
			return err
		}
		list = reflect.Append(list, item)
	}
}

func (b *jsonBinder) mapping(s *shape, dst reflect.Value, at *trail) error {
	if b.scan.peek() != '{' {
		return b.mismatch(kMap)
	}
	if err := b.scan.enter(); err != nil {
		return err
	}
	m := reflect.MakeMap(dst.Type())
	for first := true; ; first = false {
		more, err := b.scan.next('}', first)
		if err != nil {
			return err
		}
		if !more {
			dst.Set(m)
			return nil
		}
		name, err := b.scan.member()
		if err != nil {
			return err
		}
		item := reflect.New(dst.Type().Elem()).Elem()
		if _, err := b.value(s.elem, item, &trail{at, name + ".member"}); err != nil {
			return err
		}
		m.SetMapIndex(reflect.ValueOf(name).Convert(dst.Type().Key()), item)
	}
}

// mismatch is the error for a value that is no object or list where one
// belongs; broken JSON is told first.
func (b *jsonBinder) mismatch(want kind) error {
	c := b.scan.peek()
	if err := b.scan.skip(); err != nil {
		return err
	}
	switch {
	case c == '{':
		return serialization("Start of structure or map found where not expected.")
	case c == '[':
		return serialization("Start of list found where not expected")
	case want == kList:
		return serialization("Expected list or null")
	default:
		return serialization("Expected structure, map or null")
	}
}

func (b *jsonBinder) scalar(c byte, s *shape, v reflect.Value) error {
	switch c {
	case '"':
		text, err := b.scan.text()
		if err != nil {
			return err
		}
		return setText(text, s, s.target(v))
	case 't', 'f':
		word := strconv.FormatBool(c == 't')
		if err := b.scan.literal(word); err != nil {
			return err
		}
		if s.kind != kBool {
			return cannotConvert(javaBoolean, s.kind)
		}
		s.target(v).SetBool(c == 't')
		return nil
	case '{', '[':
		return b.mismatch(s.kind)
	}
	if c != '-' && (c < '0' || c > '9') {
		return b.scan.skip() // words the error
	}
	text, err := b.scan.number()
	if err != nil {
		return err
	}
	return setNumber(text, s, s.target(v))
}

func setText(text []byte, s *shape, v reflect.Value) error {
	switch s.kind {
	case kString:
		v.SetString(string(text))
	case kBytes:
		out := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
		n, err := base64.StdEncoding.Decode(out, text)
		if err != nil {
			return serialization("Unable to decode a Base64 blob")
		}
		v.SetBytes(out[:n])
	case kTime:
		t, err := time.Parse(time.RFC3339, string(text))
		if err != nil {
			return cannotConvert(javaString, kTime)
		}
		setTime(v, t)
	default:
		return cannotConvert(javaString, s.kind)
	}
	return nil
}

func setNumber(text string, s *shape, v reflect.Value) error {
	switch s.kind {
	case kInt:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			// AWS cuts fractions off ("TruncatingBigNumber").
			f, ferr := strconv.ParseFloat(text, 64)
			if ferr != nil || f >= math.MaxInt64 || f <= math.MinInt64 || !strings.ContainsAny(text, ".eE") {
				return cannotConvert(javaNumber, kInt)
			}
			n = int64(f)
		}
		if v.OverflowInt(n) {
			return cannotConvert(javaNumber, kInt)
		}
		v.SetInt(n)
	case kFloat, kTime:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return cannotConvert(javaNumber, s.kind)
		}
		if s.kind == kFloat {
			v.SetFloat(f)
			return nil
		}
		if math.Abs(f) > 1e11 { // year 5138; beyond it no date of ours lies
			return cannotConvert(javaNumber, kTime)
		}
		whole, frac := math.Modf(f)
		setTime(v, time.Unix(int64(whole), int64(frac*1e9)).UTC())
	default:
		return cannotConvert(javaNumber, s.kind)
	}
	return nil
}

func setTime(v reflect.Value, t time.Time) {
	if v.Type() == wireTime {
		v.Set(reflect.ValueOf(Time{t}))
		return
	}
	v.Set(reflect.ValueOf(t))
}
