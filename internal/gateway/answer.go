package gateway

import (
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"

	"weir/internal/gateway/message"
	"weir/internal/gateway/protection"
	"weir/internal/telemetry"
)

// gatewayResponse is the default of one of AWS's gateway response types.
type gatewayResponse struct {
	status    int
	errorType string // x-amzn-ErrorType; "": the message itself is sent, as text
	message   string // "" is JSON null
	capital   bool   // the member is called Message
	spaced    bool   // `{"message": "x"}`: made by the integration layer
}

// The gateway response types that the line itself answers with.
const (
	accessDenied    = "ACCESS_DENIED"
	default4XX      = "DEFAULT_4XX"
	default5XX      = "DEFAULT_5XX"
	invalidSig      = "INVALID_SIGNATURE"
	missingToken    = "MISSING_AUTHENTICATION_TOKEN"
	forbiddenAnswer = "" // unknown API or stage: no type of AWS's stands for it

	explicitDeny = accessDenied + " with an explicit deny" // the same type with another text
)

// gatewayResponses is the closed table of AWS's types with their defaults, and
// three lines more: for the second text of a type, and for what AWS refuses
// without a type.
var gatewayResponses = map[string]gatewayResponse{
	forbiddenAnswer:                  {403, "ForbiddenException", "Forbidden", false, false},
	accessDenied:                     {403, "AccessDeniedException", "User is not authorized to access this resource", true, false},
	explicitDeny:                     {403, "AccessDeniedException", "User is not authorized to access this resource with an explicit deny", true, false},
	protection.URITooLong:            {414, "", "Request URI too long", false, false},
	"API_CONFIGURATION_ERROR":        {500, "InternalServerErrorException", "Internal server error", false, true},
	"AUTHORIZER_CONFIGURATION_ERROR": {500, "AuthorizerConfigurationException", "", false, false},
	"AUTHORIZER_FAILURE":             {500, "AuthorizerFailureException", "", false, false},
	"BAD_REQUEST_BODY":               {400, "BadRequestException", "Invalid request body", false, false},
	"BAD_REQUEST_PARAMETERS":         {400, "BadRequestException", "Missing required request parameters", false, false},
	default4XX:                       {400, "BadRequestException", "Bad Request", false, false},
	default5XX:                       {500, "InternalServerErrorException", "Internal server error", false, true},
	"EXPIRED_TOKEN":                  {403, "ExpiredTokenException", "The security token included in the request is expired", false, false},
	"INTEGRATION_FAILURE":            {504, "InternalServerErrorException", "Network error communicating with endpoint", false, true},
	"INTEGRATION_TIMEOUT":            {504, "InternalServerErrorException", "Endpoint request timed out", false, true},
	"INVALID_API_KEY":                {403, "ForbiddenException", "Forbidden", false, false},
	invalidSig:                       {403, "InvalidSignatureException", "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.", false, false},
	missingToken:                     {403, "MissingAuthenticationTokenException", "Missing Authentication Token", false, false},
	"QUOTA_EXCEEDED":                 {429, "LimitExceededException", "Limit Exceeded", false, false},
	"REQUEST_TOO_LARGE":              {413, "RequestEntityTooLargeException", "Request Too Long", false, false},
	"RESOURCE_NOT_FOUND":             {404, "NotFoundException", "Not Found", false, false},
	"THROTTLED":                      {429, "TooManyRequestsException", "Too Many Requests", false, false},
	"UNAUTHORIZED":                   {401, "UnauthorizedException", "Unauthorized", false, false},
	"UNSUPPORTED_MEDIA_TYPE":         {415, "BadRequestException", "Unsupported Media Type", false, false},
	"WAF_FILTERED":                   {403, "ForbiddenException", "Forbidden", false, false},
}

// bodies are the default bodies, made once.
var bodies = func() map[string][]byte {
	made := map[string][]byte{}
	for name, r := range gatewayResponses {
		made[name] = r.body(r.message)
	}
	return made
}()

func (r gatewayResponse) body(text string) []byte {
	if r.errorType == "" {
		return []byte(text)
	}
	b := []byte(`{"message":`)
	if r.capital {
		b[2] = 'M'
	}
	if r.spaced {
		b = append(b, ' ')
	}
	if text == "" {
		return append(b, "null}"...)
	}
	return append(strconv.AppendQuote(b, text), '}')
}

// answer begins a response: the ids that every answer carries.
func answer(req *message.Request, resp *message.Response) {
	resp.Status, resp.Body = 0, nil
	resp.Header = append(resp.Header[:0],
		message.Field{Name: "x-amzn-RequestId", Value: req.ID},
		message.Field{Name: "x-amz-apigw-id", Value: req.ExtendedID})
}

// refuse makes the whole answer of a gateway response type. status 0 is the
// type's own; trace is sent when an integration had begun.
func refuse(req *message.Request, resp *message.Response, name string, status int, trace string) {
	r, known := gatewayResponses[name]
	if !known {
		name = default5XX
		r = gatewayResponses[name]
	}
	r.write(req, resp, bodies[name])
	if status != 0 {
		resp.Status = status
	}
	if trace != "" {
		resp.Header.Add("X-Amzn-Trace-Id", trace)
	}
}

// answerOf names the gateway response of a refusal.
func answerOf(r *protection.Refusal) string {
	if r.Cause == telemetry.CauseAuthorizerDenied {
		return explicitDeny
	}
	return r.Type
}

func (r gatewayResponse) write(req *message.Request, resp *message.Response, body []byte) {
	resp.Status, resp.Body = r.status, body
	if r.errorType == "" {
		resp.Header = append(resp.Header[:0],
			message.Field{Name: "Content-Type", Value: "text/plain"},
			message.Field{Name: "x-amzn-RequestId", Value: req.ID},
			message.Field{Name: "x-amz-apigw-id", Value: req.ExtendedID})
		return
	}
	resp.Header = append(resp.Header[:0],
		message.Field{Name: "Content-Type", Value: "application/json"},
		message.Field{Name: "x-amzn-RequestId", Value: req.ID},
		message.Field{Name: "x-amzn-ErrorType", Value: r.errorType},
		message.Field{Name: "x-amz-apigw-id", Value: req.ExtendedID})
}

// miss answers a path or verb that the deployed API does not have. AWS then
// takes the call for one of its own APIs and looks for a signature: without
// one it misses it, and an Authorization header that is none is malformed.
func miss(req *message.Request, resp *message.Response) (name string) {
	sent, ok := req.Header.Last("Authorization")
	if !ok || sent == "" || strings.HasPrefix(sent, "AWS4-HMAC-SHA256") {
		refuse(req, resp, missingToken, 0, "")
		return missingToken
	}
	sum := sha256.Sum256([]byte(sent))
	r := gatewayResponse{status: 403, errorType: "IncompleteSignatureException"}
	r.write(req, resp, r.body("Invalid key=value pair (missing equal-sign) in Authorization header "+
		"(hashed with SHA-256 and encoded with Base64): '"+base64.StdEncoding.EncodeToString(sum[:])+"'."))
	return invalidSig
}
