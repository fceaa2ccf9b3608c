package catalog

// Class is the family of a rule's violation. Each service of control maps a
// class to the error code that its AWS counterpart uses (Invalid is
// BadRequestException in API Gateway and InvalidParameterValueException in
// Lambda).
type Class int

// The classes of Error.
const (
	Invalid Class = iota
	NotFound
	Conflict
	LimitExceeded
)

// Error is a rule's violation in AWS's own words. Message is sent to callers
// as it is, so it never holds a key value or a secret.
type Error struct {
	Class   Class
	Message string
}

func (e *Error) Error() string { return e.Message }
