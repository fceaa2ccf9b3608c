package catalog

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// MethodAny is the verb of a method that answers every verb.
const MethodAny = "ANY"

// verbs are that a method can have, in AWS's order.
var verbs = []string{"GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "HEAD", MethodAny}

// The models that every API has. Others belong to a later part of the product.
var defaultModels = []string{"Empty", "Error"}

const maxMapEntries = 300

// Places of a parameter that can be mapped.
var (
	methodParameter      = regexp.MustCompile(`^method\.request\.(?:path|querystring|header)\.[^\s'"]+$`)
	methodRespParameter  = regexp.MustCompile(`^method\.response\.header\.[^\s'"]+$`)
	integrationParameter = regexp.MustCompile(`^integration\.request\.(?:path|querystring|header)\.[^\s'"]+$`)
	requestSource        = regexp.MustCompile(`^(?:'[^']*'|method\.request\.(?:path|querystring|header|multivaluequerystring|multivalueheader)\.[^\s'"]+|method\.request\.body(?:\..+|\[.+)?|context\.\S+|stageVariables\.[A-Za-z0-9_]+)$`)
	responseSource       = regexp.MustCompile(`^(?:'[^']*'|integration\.response\.(?:header|multivalueheader)\.[^\s'"]+|integration\.response\.body(?:\..+|\[.+)?|context\.\S+|stageVariables\.[A-Za-z0-9_]+)$`)
	statusForm           = regexp.MustCompile(`^[1-5]\d\d$`)
)

// ErrMethod answers an unknown method.
func ErrMethod() error { return violation(NotFound, "Invalid Method identifier specified") }

// ErrStatusCode answers an unknown response of a method or an integration.
func ErrStatusCode() error { return violation(NotFound, "Invalid Response status code specified") }

// ErrParameter answers an unknown parameter of a map.
func ErrParameter() error { return violation(NotFound, "Invalid parameter name specified") }

// ErrMediaType answers an unknown media type of a map.
func ErrMediaType() error { return violation(NotFound, "Content-Type specified was not found") }

// ErrIntegration answers a method without an integration.
func ErrIntegration() error { return violation(NotFound, "Invalid Integration identifier specified") }

// ValidStatus says whether s is a status code as AWS writes it.
func ValidStatus(s string) bool { return statusForm.MatchString(s) }

// CheckVerb holds a verb against those that a method can have.
func CheckVerb(verb string) error {
	if !slices.Contains(verbs, verb) {
		return violationf(Invalid, "Invalid HttpMethod specified. Valid options are %s", strings.Join(verbs, ","))
	}
	return nil
}

func mappingError(what string) error {
	return violationf(Invalid, "Invalid mapping expression specified: Validation Result: warnings : [], errors : [%s]", what)
}

// Check holds a method against AWS's rules; authorizer is the one that it
// names, nil when there is none. Validators and models of an API's own are not
// offered yet, so none can be named.
func (m *Method) Check(authorizer *Authorizer) error {
	if err := CheckVerb(m.HTTPMethod); err != nil {
		return err
	}
	switch m.AuthorizationType {
	case AuthorizationNone, AuthorizationIAM:
	case AuthorizationCustom, AuthorizationCognito:
		if authorizer == nil || !authorizer.Serves(m.AuthorizationType) {
			return ErrAuthorizerID()
		}
	default:
		return violation(Invalid, "Invalid authorization type specified. Valid options are NONE,AWS_IAM,CUSTOM,COGNITO_USER_POOLS")
	}
	if m.RequestValidatorID != "" {
		return violation(Invalid, "Invalid Request Validator identifier specified")
	}
	if utf8.RuneCountInString(m.OperationName) > maxNameLength {
		return violation(Invalid, "Invalid operation name specified.")
	}
	if len(m.AuthorizationScopes) > maxMapEntries {
		return violation(LimitExceeded, "Too many entries")
	}
	if err := m.checkParameters(); err != nil {
		return err
	}
	return CheckModels(m.RequestModels)
}

func (m *Method) checkParameters() error {
	if len(m.RequestParameters) > maxMapEntries {
		return violation(LimitExceeded, "Too many entries")
	}
	names := make(map[string]bool, len(m.RequestParameters))
	for p := range m.RequestParameters {
		if !methodParameter.MatchString(p) {
			return mappingError("Invalid mapping expression specified: " + p)
		}
		name := strings.SplitN(p, ".", 4)[3]
		if names[name] {
			return violation(Invalid, "Parameter names must be unique across querystring, header and path")
		}
		names[name] = true
	}
	return nil
}

// CheckModels holds a map from media type to model name against the models
// there are.
func CheckModels(models map[string]string) error {
	if len(models) > maxMapEntries {
		return violation(LimitExceeded, "Too many entries")
	}
	for mediaType, model := range models {
		if err := checkMediaType(mediaType); err != nil {
			return err
		}
		if !slices.Contains(defaultModels, model) {
			return violationf(Invalid, "Invalid model identifier specified: %s", model)
		}
	}
	return nil
}

func checkMediaType(t string) error {
	kind, sub, ok := strings.Cut(t, "/")
	if t != "$default" && (!ok || kind == "" || sub == "" || strings.ContainsAny(t, " \t\r\n")) {
		return violationf(Invalid, "Validation Result: warnings : [], errors : [Invalid content type specified: %s]", t)
	}
	return nil
}

// Check holds a method response against AWS's rules.
func (r *MethodResponse) Check() error {
	if len(r.ResponseParameters) > maxMapEntries {
		return violation(LimitExceeded, "Too many entries")
	}
	for p := range r.ResponseParameters {
		if !methodRespParameter.MatchString(p) {
			return mappingError("Invalid mapping expression specified: " + p)
		}
	}
	return CheckModels(r.ResponseModels)
}
