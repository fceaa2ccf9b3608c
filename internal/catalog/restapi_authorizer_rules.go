package catalog

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"
)

// Bounds of an authorizer. Of the last three AWS says nothing.
const (
	MaxAuthorizers       = 10 // of one API
	maxAuthorizerTTL     = 3600
	maxAuthorizerName    = 128
	maxIdentitySources   = 10
	maxIdentitySource    = 512
	maxExpression        = 1024
	maxExpressionProgram = 2000 // instructions, so that a match costs at most so many steps a byte
)

var (
	tokenSource    = regexp.MustCompile(`^method\.request\.header\.[A-Za-z0-9._-]+$`)
	identitySource = regexp.MustCompile(`^(?:method\.request\.(?:header\.[A-Za-z0-9._-]+|querystring\.[^\s,]+)|stageVariables\.[A-Za-z0-9_]+|context\.[A-Za-z.]+)$`)
	userPool       = regexp.MustCompile(`^arn:aws[a-z-]*:cognito-idp:[a-z0-9-]+:\d{12}:userpool/\S+$`)
)

// IdentityContext are the context variables that can be an identity source.
var IdentityContext = []string{
	"accountId", "apiId", "domainName", "httpMethod", "identity.sourceIp", "identity.userAgent", "path", "protocol",
	"resourceId", "resourcePath", "stage",
}

// ErrAuthorizer answers an unknown authorizer.
func ErrAuthorizer() error { return violation(NotFound, "Invalid Authorizer identifier specified") }

// ErrAuthorizerID answers a method whose authorizer is not there or is of
// another type.
func ErrAuthorizerID() error {
	return violation(Invalid, "Invalid authorizer ID specified. Setting the authorization type to CUSTOM or "+
		"COGNITO_USER_POOLS requires a valid authorizer.")
}

// ErrAuthorizerTTL answers a time to live that is no number or out of range.
func ErrAuthorizerTTL() error {
	return violation(Invalid, "Invalid authorizer result TTL specified, must be between 0 and 3600 seconds")
}

// Sources is the identity source taken apart: mapping expressions.
func (a *Authorizer) Sources() []string {
	var list []string
	for s := range strings.SplitSeq(a.IdentitySource, ",") {
		if s = strings.TrimSpace(s); s != "" {
			list = append(list, s)
		}
	}
	return list
}

// Serves says whether a method of an authorization type can name a.
func (a *Authorizer) Serves(authorizationType string) bool {
	if a.Type == AuthorizerCognito {
		return authorizationType == AuthorizationCognito
	}
	return authorizationType == AuthorizationCustom
}

// Check holds an authorizer against AWS's rules; others are those of the same
// API.
func (a *Authorizer) Check(others []Authorizer) error {
	switch {
	case a.Name == "":
		return violation(Invalid, "Authorizer name cannot be empty")
	case utf8.RuneCountInString(a.Name) > maxAuthorizerName:
		return violation(Invalid, "Invalid authorizer name, can be at most 128 characters.")
	case utf8.RuneCountInString(a.AuthType) > maxNameLength:
		return violation(Invalid, "Invalid authType, can be at most 1024 characters.")
	case a.TTL() < 0 || a.TTL() > maxAuthorizerTTL:
		return ErrAuthorizerTTL()
	case slices.ContainsFunc(others, func(o Authorizer) bool { return o.ID != a.ID && o.Name == a.Name }):
		return violationf(Invalid, "Authorizer name must be unique. Authorizer %s already exists in this RestApi.", a.Name)
	}
	if err := a.checkSource(); err != nil {
		return err
	}
	if err := a.checkExpression(); err != nil {
		return err
	}
	switch a.Type {
	case AuthorizerToken, AuthorizerRequest:
		return a.checkFunction()
	case AuthorizerCognito:
		return a.checkPools()
	}
	return violation(Invalid, "Invalid authorizer type specified. Valid options are TOKEN,REQUEST,COGNITO_USER_POOLS")
}

// checkSource holds the identity source against what the type takes: one
// header, or for REQUEST any number of places, and at least one of them when
// answers are kept, because they are kept by it.
func (a *Authorizer) checkSource() error {
	sources := a.Sources()
	if a.Type != AuthorizerRequest {
		if !tokenSource.MatchString(a.IdentitySource) || len(a.IdentitySource) > maxIdentitySource {
			return violationf(Invalid, "Invalid token source expression: %s. The source must be a method request header, "+
				"matching 'method.request.header.[a-zA-Z0-9._-]+'.", a.IdentitySource)
		}
		return nil
	}
	if len(sources) == 0 && a.TTL() > 0 {
		return violation(Invalid, "Identity source must be set if authorizer caching is enabled (TTL is greater than 0)")
	}
	if len(sources) > maxIdentitySources {
		return violation(LimitExceeded, "Too many identity sources")
	}
	for _, s := range sources {
		name, variable := strings.CutPrefix(s, "context.")
		if !identitySource.MatchString(s) || len(s) > maxIdentitySource || variable && !slices.Contains(IdentityContext, name) {
			return mappingError("Invalid mapping expression specified: " + s)
		}
	}
	return nil
}

// checkExpression holds the validation expression against RE2, which matches
// in time linear in the token and does not know look-around and back references.
func (a *Authorizer) checkExpression() error {
	e := a.ValidationExpression
	if e == "" {
		return nil
	}
	if len(e) <= maxExpression {
		parsed, err := syntax.Parse(e, syntax.Perl)
		if err == nil {
			if program, err := syntax.Compile(parsed.Simplify()); err == nil && len(program.Inst) <= maxExpressionProgram {
				return nil
			}
		}
	}
	return violationf(Invalid, "Invalid identity validation expression specified: %.100s. It has to be a regular expression "+
		"of at most 1024 characters, without look-around and back references", e)
}

func (a *Authorizer) checkFunction() error {
	parts := strings.SplitN(a.URI, ":", 6)
	if len(parts) < 6 || parts[0] != "arn" || parts[2] != "apigateway" || parts[3] == "" || parts[4] != "lambda" ||
		!lambdaInvocation.MatchString(parts[5]) {
		return violationf(Invalid, "Invalid Authorizer URI: %s. Authorizer URI should be a valid API Gateway ARN that "+
			"represents a Lambda function invocation.", a.URI)
	}
	if c := a.Credentials; c != "" && !strings.HasPrefix(c, "arn:") {
		return violation(Invalid, "Invalid ARN specified in the request")
	}
	return nil
}

func (a *Authorizer) checkPools() error {
	if len(a.ProviderARNs) == 0 {
		return violation(Invalid, "At least one provider ARN is required for an authorizer of type COGNITO_USER_POOLS")
	}
	if len(a.ProviderARNs) > maxMapEntries {
		return violation(LimitExceeded, "Too many provider ARNs")
	}
	for _, arn := range a.ProviderARNs {
		if !userPool.MatchString(arn) {
			return violation(Invalid, "Invalid ARN specified in the request")
		}
	}
	return nil
}
