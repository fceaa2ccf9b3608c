package catalog

import (
	"fmt"
	"unicode/utf8"
)

// Bounds of an API.
const (
	maxNameLength         = 1024
	maxDescriptionLength  = 125_000
	maxPolicyLength       = 8192
	maxBinaryMediaTypes   = 200
	MaxCompressionSize    = 10_485_760 // bytes, largest RestAPI.MinimumCompressionSize
	invalidCompressionMsg = "Invalid minimum compression size, must be between 0 and 10485760"
)

// Types of an API's endpoint and of its addresses.
const (
	EndpointEdge     = "EDGE"
	EndpointRegional = "REGIONAL"
	EndpointPrivate  = "PRIVATE"

	IPv4      = "ipv4"
	DualStack = "dualstack"
)

// violation words a broken rule.
func violation(c Class, message string) error { return &Error{Class: c, Message: message} }

func violationf(c Class, format string, args ...any) error {
	return violation(c, fmt.Sprintf(format, args...))
}

// ErrCompressionSize answers a minimumCompressionSize that is no number or out
// of range.
func ErrCompressionSize() error { return violation(Invalid, invalidCompressionMsg) }

// SetDefaults fills what an API has when nobody says otherwise: keys from the
// header, an edge endpoint, the addresses that go with its type.
func (a *RestAPI) SetDefaults() {
	if a.APIKeySource == "" {
		a.APIKeySource = KeySourceHeader
	}
	if a.EndpointTypes == nil {
		a.EndpointTypes = []string{EndpointEdge}
	}
	if a.IPAddressType == "" {
		a.IPAddressType = IPv4
		if a.Private() {
			a.IPAddressType = DualStack
		}
	}
}

// Private says whether the API is for callers inside a network only.
func (a *RestAPI) Private() bool {
	return len(a.EndpointTypes) == 1 && a.EndpointTypes[0] == EndpointPrivate
}

// Check holds an API against AWS's rules.
func (a *RestAPI) Check() error {
	switch {
	case a.Name == "":
		return violation(Invalid, "Name cannot be an empty string")
	case utf8.RuneCountInString(a.Name) > maxNameLength:
		return violation(Invalid, "Invalid REST API name, can be at most 1024 characters.")
	case utf8.RuneCountInString(a.Description) > maxDescriptionLength:
		return violation(Invalid, "Invalid REST API description specified.")
	case a.MinimumCompressionSize != nil && (*a.MinimumCompressionSize < 0 || *a.MinimumCompressionSize > MaxCompressionSize):
		return ErrCompressionSize()
	case a.APIKeySource != KeySourceHeader && a.APIKeySource != KeySourceAuthorizer:
		return violation(Invalid, "Invalid API key source specified. Valid options are HEADER,AUTHORIZER")
	case len(a.Policy) > maxPolicyLength:
		return violation(Invalid, "Policy exceeds maximum size of 8192 characters")
	case len(a.BinaryMediaTypes) > maxBinaryMediaTypes:
		return violation(LimitExceeded, "Too many binary media types")
	}
	return a.checkEndpoint()
}

func (a *RestAPI) checkEndpoint() error {
	if len(a.EndpointTypes) == 0 {
		return violation(Invalid, "REGIONAL Configuration and EDGE Configuration cannot be both DISABLED.")
	}
	if len(a.EndpointTypes) > 1 {
		return violation(Invalid, "Cannot create an api with multiple Endpoint Types.")
	}
	switch a.EndpointTypes[0] {
	case EndpointEdge, EndpointRegional, EndpointPrivate:
	default:
		return violation(Invalid, "Invalid EndpointTypes specified. Valid options are REGIONAL,EDGE,PRIVATE")
	}
	switch a.IPAddressType {
	case DualStack:
	case IPv4:
		if a.Private() {
			return violation(Invalid, "Only dualstack ipAddressType is supported for Private APIs.")
		}
	default:
		return violation(Invalid, "ipAddressType must be either ipv4 or dualstack.")
	}
	return nil
}

// Bounds of tags, on every kind that carries them; MaxTags is how many.
const (
	maxTagKey   = 128
	maxTagValue = 256
)

// CheckTags holds a set of tags against AWS's rules.
func CheckTags(tags map[string]string) error {
	if len(tags) > MaxTags {
		return violation(LimitExceeded, "A resource can have at most 50 tags")
	}
	for k, v := range tags {
		switch {
		case k == "" || utf8.RuneCountInString(k) > maxTagKey:
			return violation(Invalid, "Tag keys must have between 1 and 128 characters")
		case utf8.RuneCountInString(v) > maxTagValue:
			return violation(Invalid, "Tag values can have at most 256 characters")
		case len(k) >= 4 && lower(k[:4]) == "aws:":
			return violation(Invalid, "Tag keys starting with 'aws:' are reserved for system use")
		}
	}
	return nil
}
