package control

import (
	"net/http"

	"weir/internal/control/protocol"
)

// authorize decides whether a caller may do an action on a resource. The
// account's root may do everything; the session of a function may only ask who
// it is, which AWS lets everybody do.
func authorize(s *protocol.Service, caller protocol.Caller, action, resource string) error {
	if caller.Root || action == "sts:GetCallerIdentity" {
		return nil
	}
	e := denied("User: " + caller.ARN + " is not authorized to perform: " + action + " on resource: " + resource +
		" because no identity-based policy allows the " + action + " action")
	e.MessageKey = "Message"
	return named(e, s.Wire == protocol.QueryXML)
}

func denied(message string) *protocol.Error {
	return &protocol.Error{Code: "AccessDeniedException", Status: http.StatusForbidden, Message: message}
}

// named gives an error the name that the query services have for it.
func named(e *protocol.Error, query bool) *protocol.Error {
	if query && e.Code == "AccessDeniedException" {
		renamed := *e
		renamed.Code = "AccessDenied"
		return &renamed
	}
	return e
}
