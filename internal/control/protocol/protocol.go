// Package protocol is AWS's wire formats: it decodes a request into an
// operation's input struct, encodes its output, and shapes its errors, all
// from struct tags, so that an operation is two types, a function and a line
// in a table:
//
//	type getThingInput struct {
//		ID string `path:"thing_id"`
//	}
//	type thing struct {
//		ID   string `json:"id"`
//		Name string `json:"name,omitempty"`
//	}
//	protocol.REST("GetThing", "GET", "/things/{thing_id}", 200, s.getThing)
//
// Tags are read once, when the operation is made; a type that cannot be bound
// panics there, which any test of the service finds.
//
// Input struct tags (a field may be a pointer, to know whether it was sent):
//
//	path:"restapi_id"        a {label} of the operation's pattern, percent-decoded
//	query:"limit"            query parameter (string, bool, int, list of strings)
//	header:"X-Amz-Log-Type"  request header
//	json:"name"              member of the JSON body (rest-json, AWS JSON)
//	form:"RoleName"          member of a query-protocol request; a list is
//	                         Tags.member.N, a map Tags.entry.N.key and .value
//	body:"raw"               []byte: the whole body as it is
//	required:"true"          the member must be sent and not null
//	enum:"A,B"               allowed values, in the order AWS's error lists them
//	enumtail:" or …"         text that AWS puts after the enum's list
//	min:"1" max:"128"        value of a number, length of a string, list or map
//	pattern:"[a-z]+"         the whole string must match (RE2)
//	member:"restApiId"       the name in validation errors, when it differs
//
// Output struct tags:
//
//	json:"name,omitempty"    body member; omitempty leaves out nil, "", 0, false and empty lists and maps
//	header:"X-Amz-…"         response header, left out when empty
//	body:"raw"               []byte: the payload as it is
//	status:""                int: replaces the operation's status when not 0
//	xml:"Role,omitempty"     query-protocol result; lists xml:"Roles>member", maps xml:"Tags>entry"
//
// An embedded struct's fields count as the outer struct's own. Time is epoch
// seconds in JSON and ISO 8601 in XML. A nil list without omitempty is [] and
// a nil map {}, as AWS answers; a nil pointer without omitempty is null.
package protocol

import (
	"context"
	"time"
)

// Time is an instant on the wire: whole epoch seconds in JSON, ISO 8601 in
// XML. Its zero value is left out with omitempty.
type Time struct{ time.Time }

// Nothing is the output of an operation without one: an empty body.
type Nothing struct{}

// Call is who calls what, where and when. The door fills it; Serve adds
// Operation.
type Call struct {
	Service, Operation string
	Region, Account    string
	RequestID          string
	Caller             Caller
	Now                time.Time
	Host               string // as the caller named this address, "127.0.0.1:4566"
}

// Caller is the identity that signed the call. Root is the owner of the
// account.
type Caller struct {
	ARN, UserID, Account string
	Root                 bool
}

// Wire is a protocol family.
type Wire int

// The families.
const (
	RESTJSON Wire = iota // verb and path name the operation, bodies are JSON
	QueryXML             // Action=name in a form body, answers are XML
	AWSJSON              // X-Amz-Target names the operation, bodies are JSON (version 1.1)
)

// Operation is one operation of a service bound to the wire. It is made by
// REST, Query or Target; the zero value answers nothing.
type Operation struct {
	Name    string
	Method  string // rest-json: verb
	Pattern string // rest-json: "/restapis/{restapi_id}/stages/{stage_name}"; a label ending in "+" takes the rest of the path; "?mode=import" must be in the query
	Status  int    // of the answer

	input, output *shape
	newInput      func() any
	handle        func(ctx context.Context, call Call, in any) (any, error)
}

// REST binds a rest-json operation. It panics when In, Out or the pattern
// cannot be bound.
func REST[In, Out any](name, method, pattern string, status int, h func(context.Context, Call, *In) (*Out, error)) Operation {
	op := bind(name, status, "json", h)
	op.Method, op.Pattern = method, pattern
	if _, _, _, err := parsePattern(pattern); err != nil {
		panic("protocol: " + name + ": " + err.Error())
	}
	return op
}

// Query binds an operation of the query protocol (Action=name in a form body).
// It panics when In or Out cannot be bound.
func Query[In, Out any](name string, h func(context.Context, Call, *In) (*Out, error)) Operation {
	return bind(name, 200, "form", h)
}

// Target binds an operation of the AWS JSON protocol (X-Amz-Target:
// prefix.name). It panics when In or Out cannot be bound.
func Target[In, Out any](name string, h func(context.Context, Call, *In) (*Out, error)) Operation {
	return bind(name, 200, "json", h)
}

func bind[In, Out any](name string, status int, wire string, h func(context.Context, Call, *In) (*Out, error)) Operation {
	return Operation{
		Name:     name,
		Status:   status,
		input:    mustShape[In](name, wire),
		output:   mustShape[Out](name, outputTag(wire)),
		newInput: func() any { return new(In) },
		handle: func(ctx context.Context, call Call, in any) (any, error) {
			out, err := h(ctx, call, in.(*In))
			if err != nil {
				return nil, err
			}
			if out == nil {
				return new(Out), nil
			}
			return out, nil
		},
	}
}

func outputTag(wire string) string {
	if wire == "form" {
		return "xml"
	}
	return wire
}
