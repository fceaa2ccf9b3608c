package catalog

import (
	"regexp"
	"strings"
)

// Timeouts of an integration, in milliseconds.
const (
	MinTimeoutMillis     = 50
	MaxTimeoutMillis     = 29_000
	DefaultTimeoutMillis = 29_000
)

// What becomes of a body that no request template matches.
const (
	PassthroughNoMatch     = "WHEN_NO_MATCH"
	PassthroughNever       = "NEVER"
	PassthroughNoTemplates = "WHEN_NO_TEMPLATES"
)

// How an HTTP integration is reached.
const (
	ConnectionInternet = "INTERNET"
	ConnectionVPCLink  = "VPC_LINK"
)

const maxTemplateSize = 300 << 10

// lambdaInvocation is the resource part of the ARN that invokes a function;
// stage variables may stand for any piece of the function's ARN.
var lambdaInvocation = regexp.MustCompile(
	`^path/(?:2015-03-31/functions/.+/invocations|2021-11-15/functions/.+/response-streaming-invocations)$`)

// FunctionInvokedBy finds the function in the uri of an integration or an
// authorizer, whose stage variables are filled in:
// arn:aws:apigateway:{region}:lambda:path/2015-03-31/functions/{function}/invocations.
// ok is false when the uri names none.
func FunctionInvokedBy(uri string) (function string, ok bool) {
	_, rest, _ := strings.Cut(uri, ":lambda:path/")
	_, rest, _ = strings.Cut(rest, "/functions/")
	function, ok = strings.CutSuffix(rest, "/invocations")
	return function, ok && function != "" && !strings.ContainsAny(function, "/ ${}")
}

var httpEndpoint = regexp.MustCompile(`^https?://[^\s/]+(?:/\S*)?$`)

// SetDefaults fills what an integration has when nobody says otherwise, and
// drops what its type does not have.
func (i *Integration) SetDefaults(resourceID string) {
	if i.PassthroughBehavior == "" {
		i.PassthroughBehavior = PassthroughNoMatch
	}
	if i.TimeoutInMillis == 0 {
		i.TimeoutInMillis = DefaultTimeoutMillis
	}
	if i.CacheNamespace == "" {
		i.CacheNamespace = resourceID
	}
	switch i.Type {
	case IntegrationMock:
		i.URI, i.HTTPMethod, i.ConnectionType, i.ConnectionID = "", "", "", ""
	case IntegrationHTTP, IntegrationHTTPProxy:
		if i.ConnectionType == "" {
			i.ConnectionType = ConnectionInternet
		}
	}
}

// Check holds an integration of m against AWS's rules.
func (i *Integration) Check(m *Method) error {
	switch i.Type {
	case IntegrationMock:
	case IntegrationHTTP, IntegrationHTTPProxy:
		if err := i.checkHTTP(); err != nil {
			return err
		}
	case IntegrationAWS, IntegrationAWSProxy:
		if err := i.checkAWS(); err != nil {
			return err
		}
	default:
		return violation(Invalid, "Invalid integration type specified")
	}
	if i.TimeoutInMillis < MinTimeoutMillis || i.TimeoutInMillis > MaxTimeoutMillis {
		return violation(Invalid, "Timeout should be between 50 ms and 29000 ms")
	}
	switch i.PassthroughBehavior {
	case PassthroughNoMatch, PassthroughNever, PassthroughNoTemplates:
	default:
		return violation(Invalid, "Invalid passthrough behavior specified. Valid options are WHEN_NO_MATCH,WHEN_NO_TEMPLATES,NEVER")
	}
	if err := i.checkEnums(); err != nil {
		return err
	}
	return i.checkMaps(m)
}

func (i *Integration) checkVerb() error {
	if i.HTTPMethod == "" {
		return violation(Invalid, "Enumeration value for HttpMethod must be non-empty")
	}
	return CheckVerb(i.HTTPMethod)
}

func (i *Integration) checkHTTP() error {
	if err := i.checkVerb(); err != nil {
		return err
	}
	switch i.ConnectionType {
	case ConnectionInternet:
	case ConnectionVPCLink:
		if i.ConnectionID == "" {
			return violation(Invalid, "VPC Link ID must be specified for a VPC_LINK connection")
		}
	default:
		return violation(Invalid, "Invalid connection type specified. Valid options are INTERNET,VPC_LINK")
	}
	if !httpEndpoint.MatchString(i.URI) {
		return violation(Invalid, "Invalid HTTP endpoint specified for URI")
	}
	return nil
}

// checkAWS holds the URI against the form of AWS's integration ARNs,
// arn:aws:apigateway:{region}:{service}:path/… or :action/….
func (i *Integration) checkAWS() error {
	if err := i.checkVerb(); err != nil {
		return err
	}
	if !strings.HasPrefix(i.URI, "arn:") {
		return violation(Invalid, "Invalid ARN specified in the request")
	}
	parts := strings.SplitN(i.URI, ":", 6)
	if len(parts) < 6 || !strings.HasPrefix(parts[5], "path/") && !strings.HasPrefix(parts[5], "action/") {
		return violation(Invalid, "AWS ARN for integration must contain path or action")
	}
	if parts[2] != "apigateway" || parts[3] == "" || parts[4] == "" {
		return violation(Invalid, "Invalid ARN specified in the request")
	}
	switch service := parts[4]; {
	case service == "lambda":
		if !lambdaInvocation.MatchString(parts[5]) {
			return violation(Invalid, "Invalid ARN specified in the request")
		}
	case i.Type == IntegrationAWSProxy && service != "firehose":
		return violation(Invalid, "Integrations of type 'AWS_PROXY' currently only supports Lambda function and Firehose stream invocations.")
	case i.Credentials == "":
		return violation(Invalid, "Role ARN must be specified for AWS integrations")
	}
	if c := i.Credentials; c != "" && !strings.HasPrefix(c, "arn:") {
		return violation(Invalid, "Invalid ARN specified in the request")
	}
	return nil
}

func (i *Integration) checkEnums() error {
	if err := checkContentHandling(i.ContentHandling); err != nil {
		return err
	}
	switch i.ResponseTransferMode {
	case "", "BUFFERED", "STREAM":
		return nil
	}
	return violation(Invalid, "Invalid response transfer mode specified. Valid options are BUFFERED,STREAM")
}

func checkContentHandling(c string) error {
	switch c {
	case "", "CONVERT_TO_BINARY", "CONVERT_TO_TEXT":
		return nil
	}
	return violation(Invalid, "Invalid content handling specified. Valid options are CONVERT_TO_BINARY,CONVERT_TO_TEXT")
}

func (i *Integration) checkMaps(m *Method) error {
	if len(i.RequestParameters) > maxMapEntries || len(i.CacheKeyParameters) > maxMapEntries {
		return violation(LimitExceeded, "Too many entries")
	}
	for target, source := range i.RequestParameters {
		if !integrationParameter.MatchString(target) {
			return mappingError("Invalid mapping expression specified: " + target)
		}
		if !requestSource.MatchString(source) {
			return mappingError("Invalid mapping expression specified: " + source)
		}
		if methodParameter.MatchString(source) && !m.declares(source) {
			return mappingError("Invalid mapping expression parameter specified: " + source)
		}
	}
	return checkTemplates(i.RequestTemplates)
}

// declares says whether the method's requestParameters hold a parameter.
func (m *Method) declares(parameter string) bool {
	_, ok := m.RequestParameters[parameter]
	return ok
}

func checkTemplates(templates map[string]string) error {
	if len(templates) > maxMapEntries {
		return violation(LimitExceeded, "Too many entries")
	}
	for mediaType, text := range templates {
		if err := checkMediaType(mediaType); err != nil {
			return err
		}
		if len(text) > maxTemplateSize {
			return violation(Invalid, "Mapping template exceeds maximum size of 300 KB")
		}
	}
	return nil
}

// Check holds an integration response of m against AWS's rules.
func (r *IntegrationResponse) Check(m *Method) error {
	if err := checkContentHandling(r.ContentHandling); err != nil {
		return err
	}
	if r.SelectionPattern != "" {
		if _, err := regexp.Compile(r.SelectionPattern); err != nil {
			return violationf(Invalid, "Invalid selection pattern specified: %s", r.SelectionPattern)
		}
	}
	if len(r.ResponseParameters) > maxMapEntries {
		return violation(LimitExceeded, "Too many entries")
	}
	declared := m.Responses[r.StatusCode]
	for target, source := range r.ResponseParameters {
		if !methodRespParameter.MatchString(target) {
			return mappingError("Invalid mapping expression specified: " + target)
		}
		if declared == nil {
			return mappingError("Invalid mapping expression parameter specified: " + target)
		}
		if _, ok := declared.ResponseParameters[target]; !ok {
			return mappingError("Invalid mapping expression parameter specified: " + target)
		}
		if !responseSource.MatchString(source) {
			return mappingError("Invalid mapping expression specified: " + source)
		}
	}
	return checkTemplates(r.ResponseTemplates)
}
