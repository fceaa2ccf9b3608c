package protocol

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"runtime/debug"
	"strconv"
	"strings"
)

// Service is what a package of control hands to the door. After Compile it is
// safe for concurrent use.
type Service struct {
	Name       string // signing name: apigateway, lambda, iam, sts
	Wire       Wire
	Version    string // query protocol: "2010-05-08"
	Namespace  string // query protocol: XML namespace
	Target     string // AWS JSON: what stands before the operation in X-Amz-Target, "Logs_20140328"
	Operations []Operation
	// InputPrefix makes validation errors name members from the operation's
	// input on, "updateRestApiInput.name", as API Gateway does.
	InputPrefix bool
	// ValidationCode is the code of validation errors where it is a service's
	// own: InvalidParameterException. "": the wire's usual one.
	ValidationCode string
	// Global services are signed for us-east-1 too, wherever they are.
	Global bool
	// Translate turns an error that is not *Error (a catalog rule's, say) into
	// the service's own; nil or a nil result means an internal failure.
	Translate func(error) *Error
	// Authorization gives AWS's action and resource ARN of a call.
	Authorization func(call Call, method, path string) (action, resource string)
	// AuthorizationForm is Authorization for query services, whose resource
	// stands in the form; nil: Authorization is asked.
	AuthorizationForm func(ctx context.Context, call Call, form url.Values) (action, resource string)
	// Logger gets the cause of an internal failure; nil: slog.Default.
	Logger *slog.Logger

	table *table
}

// table is a service's operations, ready to be found.
type table struct {
	verbs   map[string]*node      // rest-json
	actions map[string]*Operation // query, AWS JSON
}

// Compile makes the table by which Serve finds operations. Without it every
// call makes its own.
func (s *Service) Compile() error {
	t, err := s.compile()
	if err == nil {
		s.table = t
	}
	return err
}

func (s *Service) compile() (*table, error) {
	if s.Wire == RESTJSON {
		verbs, err := newRouter(s.Operations)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.Name, err)
		}
		return &table{verbs: verbs}, nil
	}
	actions := make(map[string]*Operation, len(s.Operations))
	for i := range s.Operations {
		actions[s.Operations[i].Name] = &s.Operations[i]
	}
	return &table{actions: actions}, nil
}

// Outcome says what Serve did, for the log. Err is nil or the *Error that was
// answered; the cause of an internal failure is logged by itself.
type Outcome struct {
	Operation string // "" when none was found
	Status    int
	Err       error
}

// request is one call on its way to its handler.
type request struct {
	method, path string // the path as it was sent, still escaped
	query        url.Values
	header       http.Header
	labels       map[string]string
	form         url.Values
	body         []byte
}

// Serve finds the operation, decodes, handles and encodes. Authentication has
// happened; authorize (nil: everything is allowed) is asked between finding
// and decoding, and its *Error is answered as it is. Response headers keep
// AWS's case, so tests with a recorder read them by Header()["x-amzn-ErrorType"].
func (s *Service) Serve(w http.ResponseWriter, r *http.Request, body []byte, call Call, authorize func(action, resource string) error) Outcome {
	o := Outcome{Status: http.StatusOK}
	a, err := s.answer(r, body, &call, authorize)
	o.Operation = call.Operation
	if err != nil {
		e := s.translate(r.Context(), err, call)
		o.Status, o.Err = s.WriteError(w, call.RequestID, e), e
		return o
	}
	o.Status = a.status
	a.write(w, call.RequestID)
	return o
}

func (s *Service) translate(ctx context.Context, err error, call Call) *Error {
	var own *Error
	if errors.As(err, &own) {
		return own
	}
	if s.Translate != nil {
		if e := s.Translate(err); e != nil {
			return e
		}
	}
	log := s.Logger
	if log == nil {
		log = slog.Default()
	}
	log.ErrorContext(ctx, "management call failed",
		"service", call.Service, "operation", call.Operation, "request_id", call.RequestID, "error", err)
	failure := InternalFailure(call.RequestID)
	var told interface{ OwnerReason() string }
	if call.Caller.Root && errors.As(err, &told) {
		failure.Message = told.OwnerReason() + " (RequestId: " + call.RequestID + ")"
	}
	return failure
}

// answer runs the call. A panic of a handler is an error like any other: it
// must not take other calls with it.
func (s *Service) answer(r *http.Request, body []byte, call *Call, authorize func(action, resource string) error) (a *reply, err error) {
	defer func() {
		if p := recover(); p != nil {
			a, err = nil, fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	req, op, err := s.find(r, body)
	if err != nil {
		return nil, err
	}
	call.Operation = op.Name
	if authorize != nil {
		action, resource := s.Name+":"+op.Name, "*"
		switch {
		case s.AuthorizationForm != nil && s.Wire == QueryXML:
			action, resource = s.AuthorizationForm(r.Context(), *call, req.form)
		case s.Authorization != nil:
			action, resource = s.Authorization(*call, req.method, req.path)
		}
		if err := authorize(action, resource); err != nil {
			return nil, err
		}
	}
	in := op.newInput()
	if err := s.decode(op, req, reflect.ValueOf(in).Elem()); err != nil {
		return nil, err
	}
	out, err := op.handle(r.Context(), *call, in)
	if err != nil {
		return nil, err
	}
	return s.encode(op, call, reflect.ValueOf(out).Elem())
}

// Lookup gives the name of the operation that a request asks for, "" when it
// asks for none of this service. rest-json and AWS JSON need no body for that.
func (s *Service) Lookup(r *http.Request, body []byte) string {
	_, op, err := s.find(r, body)
	if err != nil {
		return ""
	}
	return op.Name
}

// find takes the request apart and gives the operation it asks for.
func (s *Service) find(r *http.Request, body []byte) (*request, *Operation, error) {
	t := s.table
	if t == nil {
		var err error
		if t, err = s.compile(); err != nil {
			return nil, nil, err
		}
	}
	path, rawQuery := RawTarget(r)
	if s.Wire == QueryXML {
		text := string(body)
		if r.Method == http.MethodGet || len(body) == 0 {
			text = rawQuery // a presigned POST too has its form there
		}
		return s.findAction(t, r.Method, path, text)
	}
	if s.Wire == AWSJSON {
		return s.findTarget(t, r, path, body)
	}
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return nil, nil, serialization("The query string is malformed")
	}
	op, labels, ok := find(t.verbs, r.Method, path, query)
	if !ok {
		return nil, nil, unknownPath()
	}
	return &request{r.Method, path, query, r.Header, labels, nil, body}, op, nil
}

func (s *Service) findAction(t *table, method, path, text string) (*request, *Operation, error) {
	form, err := parseForm(text)
	if err != nil {
		return nil, nil, err
	}
	action, version := form.Get("Action"), form.Get("Version")
	if action == "" {
		return nil, nil, &Error{Code: "MissingAction", Status: 400, Message: "The request is missing an action or a required parameter."}
	}
	if version == "" {
		version = "NO_VERSION_SPECIFIED"
	}
	op := t.actions[action]
	if op == nil || version != s.Version {
		return nil, nil, &Error{
			Code: "InvalidAction", Status: 400,
			Message: "Could not find operation " + clip(action) + " for version " + clip(version),
		}
	}
	return &request{method: method, path: path, form: form}, op, nil
}

// findTarget gives the operation that the header names. Path and query say
// nothing in this protocol.
func (s *Service) findTarget(t *table, r *http.Request, path string, body []byte) (*request, *Operation, error) {
	target := r.Header.Get(TargetHeader)
	name, ok := strings.CutPrefix(target, s.Target+".")
	op := t.actions[name]
	if !ok || op == nil || r.Method != http.MethodPost {
		message := "The operation " + clip(target) + " is not served here"
		if target == "" {
			message = "The header " + TargetHeader + " is missing: it names the operation"
		}
		return nil, nil, &Error{Code: "UnknownOperationException", Message: message}
	}
	return &request{method: r.Method, path: path, header: r.Header, body: body}, op, nil
}

func clip(s string) string { return s[:min(len(s), 128)] }

// RawTarget gives a request's path and query as they were sent.
func RawTarget(r *http.Request) (path, query string) {
	target := r.RequestURI
	if target == "" {
		return r.URL.EscapedPath(), r.URL.RawQuery
	}
	if !strings.HasPrefix(target, "/") { // absolute form, http://host/path
		if _, rest, ok := strings.Cut(target, "://"); ok {
			slash := strings.IndexAny(rest, "/?")
			if slash < 0 {
				return "/", ""
			}
			target = rest[slash:]
		}
	}
	path, query, _ = strings.Cut(target, "?")
	if path == "" {
		path = "/"
	}
	return path, query
}

// decode fills an operation's input and holds it against its constraints.
func (s *Service) decode(op *Operation, req *request, dst reflect.Value) error {
	var at *trail
	if s.InputPrefix {
		at = &trail{nil, memberName(op.Name) + "Input"}
	}
	sent := make([]bool, len(op.input.fields))
	bad := &violations{}
	if s.Wire == QueryXML {
		tree, err := formTree(req.form)
		if err != nil {
			return err
		}
		if err := bindForm(tree, op.input, dst, sent, at, bad); err != nil {
			return err
		}
	} else {
		if err := bindHTTP(op.input, dst, sent, req.labels, req.query, req.header); err != nil {
			return err
		}
		if f := op.input.body; f != nil {
			dst.FieldByIndex(f.index).SetBytes(req.body)
			sent[f.n] = true
		} else if len(op.input.byName) > 0 {
			if err := bindJSON(req.body, op.input, dst, sent, at, bad); err != nil {
				return err
			}
		}
	}
	bad.checkMembers(op.input, dst, sent, at)
	e := bad.error()
	if e == nil {
		return nil
	}
	switch {
	case s.ValidationCode != "":
		e.Code = s.ValidationCode
	case s.Wire == QueryXML:
		e.Code = "ValidationError" // the query services' name for it
	}
	return e
}

// reply is a finished answer.
type reply struct {
	status int
	header [][2]string
	body   []byte
}

func (a *reply) write(w http.ResponseWriter, requestID string) {
	h := w.Header()
	setHeader(h, "x-amzn-RequestId", requestID)
	for _, kv := range a.header {
		setHeader(h, kv[0], kv[1])
	}
	if a.status != http.StatusNoContent {
		setHeader(h, "Content-Length", strconv.Itoa(len(a.body)))
	}
	w.WriteHeader(a.status)
	if len(a.body) > 0 {
		_, _ = w.Write(a.body) // the caller may be gone; nothing is left to tell it
	}
}

func (s *Service) encode(op *Operation, call *Call, v reflect.Value) (*reply, error) {
	if s.Wire == QueryXML {
		return &reply{
			status: op.Status,
			header: [][2]string{{"Content-Type", s.contentType()}},
			body:   xmlResult(s.Namespace, op.Name, call.RequestID, op.output, v),
		}, nil
	}
	a := &reply{status: op.Status}
	if f := op.output.status; f != nil {
		if code := int(v.FieldByIndex(f.index).Int()); code != 0 {
			a.status = code
		}
	}
	contentType := s.contentType()
	for _, f := range op.output.https {
		text := headerText(f, v.FieldByIndex(f.index))
		switch {
		case text == "":
		case f.name == "Content-Type":
			contentType = text
		default:
			a.header = append(a.header, [2]string{f.name, text})
		}
	}
	var err error
	switch {
	case a.status == http.StatusNoContent:
		return a, nil
	case op.output.body != nil:
		a.body = v.FieldByIndex(op.output.body.index).Bytes()
	case len(op.output.byName) > 0:
		if a.body, err = appendObject(make([]byte, 0, 512), op.output, v); err != nil {
			return nil, err
		}
	}
	a.header = append(a.header, [2]string{"Content-Type", contentType})
	return a, nil
}

// headerText is a member's header value, "" for none. Line ends would split
// the header and are dropped.
func headerText(f *field, v reflect.Value) string {
	if empty(v) {
		return ""
	}
	if f.shape.ptr {
		v = v.Elem()
	}
	return strings.NewReplacer("\r", "", "\n", "").Replace(xmlText(f.shape, v))
}
