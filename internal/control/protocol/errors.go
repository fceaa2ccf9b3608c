package protocol

import (
	"net/http"
	"strconv"
)

// Error is an error in AWS's shape. Everything in it goes to the caller, so it
// never holds a secret or an internal cause.
type Error struct {
	Code       string // NotFoundException
	Status     int    // 0 is 400
	Message    string
	Fields     map[string]any // further body members: Reason, Type
	MessageKey string         // "message" unless set ("Message")
	RetryAfter int            // seconds; 0: none
}

// Error implements error.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

func (e *Error) status() int {
	if e.Status == 0 {
		return http.StatusBadRequest
	}
	return e.Status
}

// InternalFailure tells a caller that we broke and where the log tells why.
func InternalFailure(requestID string) *Error {
	return &Error{
		Code:   "InternalFailure",
		Status: http.StatusInternalServerError,
		Message: "The request processing has failed because of an unknown error, exception or failure. " +
			"(RequestId: " + requestID + ")",
	}
}

// unknownPath is what AWS answers where no operation is.
func unknownPath() *Error {
	return &Error{
		Code:    "AccessDeniedException",
		Status:  http.StatusForbidden,
		Message: "Unable to determine service/operation name to be authorized",
	}
}

// TargetHeader names the operation of a call in the AWS JSON protocol.
const TargetHeader = "X-Amz-Target"

// setHeader sets a header without changing its case: AWS's x-amzn-RequestId is
// not X-Amzn-Requestid.
func setHeader(h http.Header, name, value string) { h[name] = []string{value} }

// WriteError answers a call with an error in the service's wire format and
// gives the status that went out.
func (s *Service) WriteError(w http.ResponseWriter, requestID string, e *Error) (status int) {
	status = e.status()
	if s.Wire == AWSJSON && status == http.StatusForbidden {
		status = http.StatusBadRequest // all that a caller did wrong is a 400 there
	}
	h := w.Header()
	setHeader(h, "x-amzn-RequestId", requestID)
	if e.RetryAfter > 0 {
		setHeader(h, "Retry-After", strconv.Itoa(e.RetryAfter))
	}
	setHeader(h, "Content-Type", s.contentType())
	var body []byte
	switch s.Wire {
	case QueryXML:
		body = xmlError(s.Namespace, requestID, e)
	case AWSJSON:
		body = jsonError(e, map[string]any{"__type": e.Code})
	default:
		setHeader(h, "x-amzn-ErrorType", e.Code)
		body = jsonError(e, map[string]any{})
	}
	setHeader(h, "Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the caller may be gone; nothing is left to tell it
	return status
}

// contentType is that of a service's answers.
func (s *Service) contentType() string {
	switch s.Wire {
	case QueryXML:
		return "text/xml"
	case AWSJSON:
		return "application/x-amz-json-1.1"
	default:
		return "application/json"
	}
}

func jsonError(e *Error, members map[string]any) []byte {
	for k, v := range e.Fields {
		members[k] = v
	}
	key := e.MessageKey
	if key == "" {
		key = "message"
	}
	members[key] = e.Message
	body, err := appendAny(nil, reflectValue(members))
	if err != nil { // a field that has no JSON form: the message still goes out
		body = append(append([]byte(`{"message":`), appendText(nil, e.Message)...), '}')
	}
	return body
}
