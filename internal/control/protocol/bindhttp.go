package protocol

import (
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// bindHTTP fills the members that travel in path, query and headers.
func bindHTTP(s *shape, dst reflect.Value, sent []bool, labels map[string]string, query url.Values, header http.Header) error {
	for _, f := range s.https {
		var values []string
		switch f.place {
		case inPath:
			if v, ok := labels[f.name]; ok {
				values = []string{v}
			}
		case inQuery:
			values = query[f.name]
		case inHeader:
			values = header.Values(f.name)
		}
		if len(values) == 0 {
			continue
		}
		v := dst.FieldByIndex(f.index)
		if f.shape.kind == kList {
			list := reflect.MakeSlice(v.Type(), 0, len(values))
			for _, text := range values {
				list = reflect.Append(list, reflect.ValueOf(text).Convert(v.Type().Elem()))
			}
			v.Set(list)
		} else if !parseText(values[0], f.shape, f.shape.target(v)) {
			return cannotConvert(javaString, f.shape.kind)
		}
		sent[f.n] = true
	}
	return nil
}

// parseText sets a scalar from its text in a URL, a header or a form; false
// when the text is not of that type.
func parseText(text string, s *shape, v reflect.Value) bool {
	switch s.kind {
	case kString:
		v.SetString(text)
	case kBool:
		switch strings.ToLower(text) {
		case "true":
			v.SetBool(true)
		case "false":
			v.SetBool(false)
		default:
			return false
		}
	case kInt:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || v.OverflowInt(n) {
			return false
		}
		v.SetInt(n)
	case kFloat:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return false
		}
		v.SetFloat(f)
	case kTime:
		return parseTime(text, s, v)
	case kBytes:
		return setText([]byte(text), s, v) == nil
	default:
		return false
	}
	return true
}

func parseTime(text string, s *shape, v reflect.Value) bool {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		setTime(v, t)
		return true
	}
	return setNumber(text, s, v) == nil
}
