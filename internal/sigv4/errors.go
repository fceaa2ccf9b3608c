package sigv4

// Reason is why a signature is refused.
type Reason int

// The reasons.
const (
	Missing      Reason = iota // there is no Authorization header
	Incomplete                 // it is no signature, or lacks a part
	Invalid                    // wrong signature, time or scope
	UnknownToken               // nobody has this access key or session token
	ExpiredToken               // a session that is over
)

// Error is a refusal in AWS's words. Message never holds the header itself.
type Error struct {
	Reason  Reason
	Message string
}

// Error implements error.
func (e *Error) Error() string { return e.Message }

// Code is AWS's name and status for the refusal. The query services (IAM, STS)
// have names of their own.
func (e *Error) Code(query bool) (code string, status int) {
	if query {
		switch e.Reason {
		case Missing:
			return "MissingAuthenticationToken", 403
		case Incomplete:
			return "IncompleteSignature", 400
		case UnknownToken:
			return "InvalidClientTokenId", 403
		case ExpiredToken:
			return "ExpiredToken", 403
		default:
			return "SignatureDoesNotMatch", 403
		}
	}
	switch e.Reason {
	case Missing:
		return "MissingAuthenticationTokenException", 403
	case Incomplete:
		return "IncompleteSignatureException", 403
	case UnknownToken:
		return "UnrecognizedClientException", 403
	case ExpiredToken:
		return "ExpiredTokenException", 403
	default:
		return "InvalidSignatureException", 403
	}
}

// UnknownKey is the refusal of an access key or session token that nobody has.
func UnknownKey() *Error {
	return &Error{UnknownToken, "The security token included in the request is invalid."}
}

// Expired is the refusal of a session that is over.
func Expired() *Error {
	return &Error{ExpiredToken, "The security token included in the request is expired"}
}

func incomplete(msg string) *Error { return &Error{Incomplete, msg} }
func invalid(msg string) *Error    { return &Error{Invalid, msg} }

func mismatch() *Error {
	return invalid("The request signature we calculated does not match the signature you provided. " +
		"Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
}
