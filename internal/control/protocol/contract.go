// Package protocol is AWS's wire formats: it decodes a request into an
// operation's input struct, encodes its output, and shapes its errors, all
// from struct tags, so that an operation is a type and a function.
package protocol

import (
	"context"
	"net/http"
	"time"
)

// CONTRACT SKELETON: replaced by the implementation; signatures stay.
//
// Input struct tags (fields may be pointers for "was it sent?"):
//   path:"restapi_id"              a {label} of the operation's pattern, percent-decoded
//   query:"limit"                  query parameter (string, *string, bool, int, []string)
//   header:"X-Amz-Log-Type"        request header
//   json:"name"                    member of the JSON body (rest-json), nested structs, lists, maps
//   body:"raw"                     []byte: the whole body as it is
//   form:"RoleName"                member of a query-protocol request; lists Tags.member.N, maps entry.N
//   required:"true" enum:"A,B" min:"1" max:"128" pattern:"..."   constraints, AWS's ValidationException text
// Output struct tags:
//   json:"name,omitempty"          body member; header:"X-Amz-Function-Error" (omitted when empty);
//   body:"raw"                     []byte payload; status:"" int: overrides the operation's status when not 0
//   xml:"Role", xml:"Roles>member" query-protocol results
// Time is epoch seconds in JSON and ISO 8601 in XML.

type Time struct{ time.Time }

// Call is who calls and where.
type Call struct {
	Service, Operation string
	Region, Account    string
	RequestID          string
	Caller             Caller
	Now                time.Time
}

// Caller is the identity that signed the call.
type Caller struct {
	ARN, UserID, Account string
	Root                 bool
}

// Operation is one operation of a service bound to the wire.
type Operation struct {
	Name    string
	Method  string // rest-json: verb
	Pattern string // rest-json: "/restapis/{restapi_id}/stages/{stage_name}", labels ending in "+" are greedy
	Status  int
}

// REST binds a rest-json operation.
func REST[In, Out any](name, method, pattern string, status int, h func(context.Context, Call, *In) (*Out, error)) Operation {
	panic("contract")
}

// Query binds an operation of the query protocol (Action=name in a form body).
func Query[In, Out any](name string, h func(context.Context, Call, *In) (*Out, error)) Operation {
	panic("contract")
}

// Nothing is the output of an operation without one.
type Nothing struct{}

// Wire is a protocol family.
type Wire int

const (
	RESTJSON Wire = iota
	QueryXML
)

// Service is what a package of control hands to the door.
type Service struct {
	Name       string // signing name: apigateway, lambda, iam, sts
	Wire       Wire
	Version    string // query protocol: "2010-05-08"
	Namespace  string // query protocol: XML namespace
	Operations []Operation
	// Translate turns an error that is not *Error (a catalog rule's, say) into
	// the service's own; nil or a nil result means an internal failure.
	Translate func(error) *Error
	// Authorization gives AWS's action and resource ARN of a call.
	Authorization func(call Call, method, path string) (action, resource string)
}

// Error is an error in AWS's shape.
type Error struct {
	Code       string // NotFoundException
	Status     int
	Message    string
	Fields     map[string]any // further body members: Reason, Type
	MessageKey string         // "message" unless set ("Message")
}

// Error implements error.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Serve finds the operation, decodes, handles, encodes. Authentication has
// happened; authorize is asked between finding and decoding.
func (s *Service) Serve(w http.ResponseWriter, r *http.Request, body []byte, call Call, authorize func(action, resource string) error) {
	panic("contract")
}

// PatchOperation is AWS's JSON-patch dialect.
type PatchOperation struct {
	Op    string  `json:"op" enum:"add,remove,move,test,replace,copy"`
	Path  string  `json:"path"`
	Value *string `json:"value"`
	From  string  `json:"from"`
}

// Patch is the one mechanism by which every resource is updated: a table of
// rules over T. Path patterns hold {labels}; "~1" and "~0" in a segment are
// decoded before Set sees it.
type Patch[T any] struct {
	Rules []PatchRule[T]
	// Refuse words the error for an operation that no rule takes; nil: the
	// "Invalid patch path  '%s' specified for op '%s'. Must be one of: [...]" family.
	Refuse func(op PatchOperation, allowed []string) *Error
}

type PatchRule[T any] struct {
	Ops  string // "replace", "add,replace", "add,remove,replace"
	Path string // "/name", "/apiStages/{stage}/throttle/{path}/{verb}/rateLimit"
	Set  func(t *T, p PatchCall) error
}

type PatchCall struct {
	Op     string
	Value  string // "" when none was sent
	Sent   bool   // a value was sent
	From   string
	Labels map[string]string
}

// Apply applies ops in order to t. On an error t is half changed: throw it away.
func (p *Patch[T]) Apply(t *T, ops []PatchOperation) error { panic("contract") }

// Page cuts one page out of items (ordered), default 25, at most 500; position
// is the opaque token of the page before and key names an item in it.
func Page[T any](items []T, position string, limit int, key func(T) string) (page []T, next string) {
	panic("contract")
}
