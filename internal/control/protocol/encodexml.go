package protocol

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"net/http"
	"reflect"
	"strconv"
	"time"
)

var nothingType = reflect.TypeFor[Nothing]()

func reflectValue(v any) reflect.Value { return reflect.ValueOf(v) }

// xmlResult writes the answer of a query-protocol operation.
func xmlResult(namespace, operation, requestID string, s *shape, v reflect.Value) []byte {
	var b bytes.Buffer
	b.WriteString("<" + operation + `Response xmlns="` + namespace + `">` + "\n")
	if s.typ != nothingType { // an operation may well have a result that is empty
		b.WriteString("  <" + operation + "Result>\n")
		xmlStruct(&b, s, v, "    ")
		b.WriteString("  </" + operation + "Result>\n")
	}
	b.WriteString("  <ResponseMetadata>\n    <RequestId>" + requestID + "</RequestId>\n  </ResponseMetadata>\n")
	b.WriteString("</" + operation + "Response>\n")
	return b.Bytes()
}

// xmlError writes an error of the query protocol.
func xmlError(namespace, requestID string, e *Error) []byte {
	side := "Sender"
	if e.status() >= http.StatusInternalServerError {
		side = "Receiver"
	}
	var b bytes.Buffer
	b.WriteString(`<ErrorResponse xmlns="` + namespace + `">` + "\n  <Error>\n    <Type>" + side + "</Type>\n    <Code>")
	escapeXML(&b, e.Code)
	b.WriteString("</Code>\n    <Message>")
	escapeXML(&b, e.Message)
	b.WriteString("</Message>\n  </Error>\n  <RequestId>" + requestID + "</RequestId>\n</ErrorResponse>\n")
	return b.Bytes()
}

func escapeXML(b *bytes.Buffer, s string) { _ = xml.EscapeText(b, []byte(s)) } // a Buffer never fails

func xmlStruct(b *bytes.Buffer, s *shape, v reflect.Value, indent string) {
	for _, f := range s.fields {
		if f.place != inBody {
			continue
		}
		member := v.FieldByIndex(f.index)
		if f.omitEmpty && empty(member) {
			continue
		}
		xmlElement(b, f.name, f.item, f.shape, member, indent)
	}
}

// xmlElement writes one element; nil pointers are left out.
func xmlElement(b *bytes.Buffer, name, item string, s *shape, v reflect.Value, indent string) {
	if s.ptr {
		if v.IsNil() {
			return
		}
		v = v.Elem()
	}
	switch s.kind {
	case kStruct:
		b.WriteString(indent + "<" + name + ">\n")
		xmlStruct(b, s, v, indent+"  ")
		b.WriteString(indent + "</" + name + ">\n")
	case kList, kMap:
		if v.Len() == 0 {
			b.WriteString(indent + "<" + name + "/>\n")
			return
		}
		b.WriteString(indent + "<" + name + ">\n")
		xmlItems(b, item, s, v, indent+"  ")
		b.WriteString(indent + "</" + name + ">\n")
	default:
		b.WriteString(indent + "<" + name + ">")
		escapeXML(b, xmlText(s, v))
		b.WriteString("</" + name + ">\n")
	}
}

func xmlItems(b *bytes.Buffer, item string, s *shape, v reflect.Value, indent string) {
	if s.kind == kList {
		if item == "" {
			item = "member"
		}
		for i := range v.Len() {
			xmlElement(b, item, "", s.elem, v.Index(i), indent)
		}
		return
	}
	if item == "" {
		item = "entry"
	}
	for _, k := range sortedKeys(v) {
		b.WriteString(indent + "<" + item + ">\n" + indent + "  <key>")
		escapeXML(b, k.String())
		b.WriteString("</key>\n")
		xmlElement(b, "value", "", s.elem, v.MapIndex(k), indent+"  ")
		b.WriteString(indent + "</" + item + ">\n")
	}
}

func xmlText(s *shape, v reflect.Value) string {
	switch s.kind {
	case kString:
		return v.String()
	case kBool:
		return strconv.FormatBool(v.Bool())
	case kInt:
		return strconv.FormatInt(v.Int(), 10)
	case kFloat:
		return strconv.FormatFloat(v.Float(), 'f', -1, 64)
	case kTime:
		return timeOf(v).UTC().Format(time.RFC3339)
	case kBytes:
		return base64.StdEncoding.EncodeToString(v.Bytes())
	default:
		return ""
	}
}
