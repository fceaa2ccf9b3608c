package integration

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"

	"weir/internal/gateway/mapping"
	"weir/internal/gateway/message"
)

// reply is what a function returned to a proxy integration.
type reply struct {
	status int
	header message.Header // both maps, merged
	body   []byte
	base64 bool
}

// maxReplyHeader bounds the header lines of a function's answer, each counted
// with headerCost bytes more, as HTTP/2 counts them: 1,024 lines at most. AWS
// does not say where it ends; few clients take as much.
const (
	maxReplyHeader = 32 << 10
	headerCost     = 32
)

// parseReply reads a function's answer by the rules recorded from AWS: an
// object with none but the five known members, none of them required. problem
// is the execution log's line for anything else. The body may lie in payload's
// memory.
func parseReply(payload []byte) (r reply, problem string) {
	if !json.Valid(payload) {
		return reply{}, lineMalformed
	}
	top := cursor{b: payload}
	r.status = 200
	var single message.Header
	var ok bool
	ok = eachMember(top.value(), func(key string, value []byte) bool {
		switch key {
		case "statusCode":
			r.status, ok = replyStatus(value)
		case "headers":
			single, ok = replyHeaders(value)
		case "multiValueHeaders":
			r.header, ok = replyMultiHeaders(value)
		case "body":
			r.body, ok = nil, true
			if !isNull(value) {
				r.body, ok = unquote(value)
			}
		case "isBase64Encoded":
			r.base64, ok = replyFlag(value)
		default:
			ok = false
		}
		return ok
	})
	if headerSize(r.header)+headerSize(single) > maxReplyHeader {
		return reply{}, lineHeaders
	}
	if !ok {
		return reply{}, lineMalformed
	}
	r.header = merge(r.header, single)
	return r, ""
}

func headerSize(h message.Header) (n int) {
	for _, f := range h {
		n += len(f.Name) + len(f.Value) + headerCost
	}
	return n
}

func isNull(value []byte) bool { return string(value) == "null" }

// replyStatus reads 201 and "201" alike. Codes that are no final status are
// malformed: they would break the connection's framing.
func replyStatus(value []byte) (int, bool) {
	if isNull(value) {
		return 200, true
	}
	text := string(value)
	if s, ok := unquote(value); ok {
		text = string(s)
	}
	status, err := strconv.Atoi(text)
	return status, err == nil && status >= 200 && status <= 599
}

func replyFlag(value []byte) (set, ok bool) {
	switch string(value) {
	case "true", `"true"`:
		return true, true
	case "false", `"false"`, "null":
		return false, true
	}
	return false, false
}

// replyHeaders reads the single-value map; null stands for an empty one.
func replyHeaders(value []byte) (message.Header, bool) {
	if isNull(value) {
		return nil, true
	}
	var h message.Header
	ok := eachMember(value, func(name string, value []byte) bool {
		return addHeader(&h, name, value)
	})
	return h, ok
}

// replyMultiHeaders reads the map of lists.
func replyMultiHeaders(value []byte) (message.Header, bool) {
	if isNull(value) {
		return nil, true
	}
	var h message.Header
	ok := eachMember(value, func(name string, value []byte) bool {
		return eachElement(value, func(value []byte) bool { return addHeader(&h, name, value) })
	})
	return h, ok
}

// addHeader appends one header; numbers and booleans are written as JSON
// writes them, null is left out.
func addHeader(h *message.Header, name string, value []byte) bool {
	if isNull(value) {
		return true
	}
	text := string(value)
	if s, ok := unquote(value); ok {
		text = string(s)
	} else if value[0] == '{' || value[0] == '[' {
		return false
	}
	if !validName(name) || !validValue(text) {
		return false
	}
	h.Add(name, text)
	return len(*h) <= maxReplyHeader/headerCost // no need to read on
}

// merge joins both maps into one list: the multi-value map first, in its
// casing, then what the single-value map adds to it.
func merge(multi, single message.Header) message.Header {
	if len(multi) == 0 {
		return single
	}
	known := len(multi)
	for _, f := range single {
		name, present := f.Name, false
		for _, m := range multi[:known] {
			if strings.EqualFold(m.Name, f.Name) {
				name = m.Name
				present = present || m.Value == f.Value
			}
		}
		if !present {
			multi.Add(name, f.Value)
		}
	}
	return multi
}

// reply turns a function's payload into the caller's response.
func (f *function) reply(payload []byte, c *Call, resp *message.Response) *Failure {
	r, problem := parseReply(payload)
	if problem != "" {
		return &Failure{Type: Default5XX, Status: 502, Lines: []string{problem}}
	}
	body := r.body
	if r.base64 && len(body) > 0 {
		// Only a caller that says it takes binary gets it decoded.
		accept, _ := c.Request.Header.Last("Accept")
		if mapping.Binary(f.binary, mapping.FirstOf(accept)) {
			decoded := make([]byte, base64.StdEncoding.DecodedLen(len(body)))
			n, err := base64.StdEncoding.Decode(decoded, body)
			if err != nil {
				return configurationError("Execution failed due to configuration error: Unable to base64 decode the body.")
			}
			body = decoded[:n]
		}
	}
	resp.Status = r.status
	if !r.header.Has("Content-Type") {
		resp.Header.Add("Content-Type", "application/json")
	}
	for _, h := range r.header {
		addFromFunction(&resp.Header, h.Name, h.Value)
	}
	resp.Body = body
	return nil
}
