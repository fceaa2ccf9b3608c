package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

// badCall is a management call as a broken or hostile client makes it, and
// what it gets. In path, body and text {api} and the like stand for what the
// test has made.
type badCall struct {
	name               string
	service            string // "": apigateway
	method, path, body string
	target             string // X-Amz-Target
	contentType        string // "": what the service's clients send
	bend               func(*http.Request)
	sign               signing
	status             int
	code, text         string
}

// signing is how a call's signature is wrong; the zero value is right.
type signing struct {
	not          bool
	secret, key  string
	region, name string
	at           time.Duration // before now
	of           string        // the body that is signed
}

var badJSON = []badCall{
	{name: "malformed JSON", method: "POST", path: "/apikeys", body: `{"name":`, status: 400, code: "SerializationException", text: "Could not parse request body into json: unexpected end at byte 8"},
	{name: "more after the end", method: "POST", path: "/apikeys", body: `{} {}`, status: 400, code: "SerializationException", text: "Could not parse request body into json: more after the end at byte 3"},
	{name: "wrong type", method: "POST", path: "/apikeys", body: `{"name":1}`, status: 400, code: "SerializationException", text: "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to an String"},
	{name: "list for an object", method: "POST", path: "/apikeys", body: `[]`, status: 400, code: "SerializationException", text: "Start of list found where not expected"},
	{name: "nested deeply", method: "POST", path: "/apikeys", body: `{"tags":` + strings.Repeat("[", 100000), status: 400, code: "SerializationException", text: "Could not parse request body into json: nested too deeply at byte 107"},
	{name: "many values", method: "POST", path: "/apikeys", body: `{"x":[` + strings.Repeat("0,", 300000) + `0]}`, status: 400, code: "SerializationException", text: "Could not parse request body into json: too many values at byte 400004"},
	{name: "number too large", method: "POST", path: "/usageplans", body: `{"name":"p","quota":{"limit":99999999999999999999,"period":"DAY"}}`, status: 400, code: "SerializationException", text: "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to an Integer"},
	{name: "rate without end", method: "POST", path: "/usageplans", body: `{"name":"p","throttle":{"rateLimit":1e999,"burstLimit":1}}`, status: 400, code: "SerializationException", text: "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to an Double"},
	{name: "negative quota", method: "POST", path: "/usageplans", body: `{"name":"p","quota":{"limit":-1,"period":"DAY"}}`, status: 400, code: "BadRequestException", text: "Usage Plan quota limit must not be negative"},
	{name: "no such period", method: "POST", path: "/usageplans", body: `{"name":"p","quota":{"limit":1,"period":"YEAR"}}`, status: 400, code: "ValidationException", text: "1 validation error detected: Value 'YEAR' at 'createUsagePlanInput.quota.period' failed to satisfy constraint: Member must satisfy enum value set: [DAY, WEEK, MONTH]"},
	{name: "invalid UTF-8", method: "POST", path: "/apikeys", body: "{\"name\":\"\xff\"}", status: 400, code: "SerializationException", text: "Could not parse request body into json: invalid UTF-8 at byte 11"},
	{name: "no body", method: "POST", path: "/usageplans", body: ``, status: 400, code: "ValidationException", text: "1 validation error detected: Value null at 'createUsagePlanInput.name' failed to satisfy constraint: Member must not be null"},
	{name: "short key value", method: "POST", path: "/apikeys", body: `{"value":"short"}`, status: 400, code: "BadRequestException", text: "API Key value should be at least 20 characters"},
	{name: "duplicate member", method: "POST", path: "/apikeys", body: `{"value":"short","value":"longer-than-before"}`, status: 400, code: "BadRequestException", text: "API Key value should be at least 20 characters"},
	{name: "unknown member", method: "POST", path: "/apikeys", body: `{"colour":{"deep":[1]},"value":"short"}`, status: 400, code: "BadRequestException", text: "API Key value should be at least 20 characters"},
	{name: "wrong content type", method: "POST", path: "/apikeys", body: `{"value":"short"}`, contentType: "text/plain", status: 400, code: "BadRequestException", text: "API Key value should be at least 20 characters"},
	{name: "a form", method: "POST", path: "/apikeys", body: `value=short`, contentType: "application/x-www-form-urlencoded", status: 400, code: "SerializationException", text: "Could not parse request body into json: an unexpected character at byte 0"},
	{name: "zip that is no base64", service: "lambda", method: "POST", path: "/2015-03-31/functions", body: `{"FunctionName":"x","Role":"arn:aws:iam::000000000000:role/r","Runtime":"python3.12","Handler":"a.b","Code":{"ZipFile":"%%%"}}`, status: 400, code: "SerializationException", text: "Unable to decode a Base64 blob"},
	{name: "payload that is no JSON", service: "lambda", method: "POST", path: "/2015-03-31/functions/{function}/invocations", body: `{'a'}`, status: 400, code: "InvalidRequestContentException", text: "Could not parse request body into json: Unexpected character"},
}

var badIDs = []badCall{
	{name: "no such API", method: "GET", path: "/restapis/nosuchapi1", status: 404, code: "NotFoundException", text: "Invalid API identifier specified 000000000000:nosuchapi1"},
	{name: "no such resource", method: "GET", path: "/restapis/{api}/resources/nosuch", status: 404, code: "NotFoundException", text: "Invalid Resource identifier specified"},
	{name: "no such method", method: "GET", path: "/restapis/{api}/resources/{resource}/methods/GET", status: 404, code: "NotFoundException", text: "Invalid Method identifier specified"},
	{name: "no such deployment", method: "GET", path: "/restapis/{api}/deployments/nosuch", status: 404, code: "NotFoundException", text: "Invalid Deployment identifier specified"},
	{name: "no such stage", method: "GET", path: "/restapis/{api}/stages/nosuch", status: 404, code: "NotFoundException", text: "Invalid stage identifier specified"},
	{name: "no such key", method: "GET", path: "/apikeys/nosuchkey1", status: 404, code: "NotFoundException", text: "Invalid API Key identifier specified"},
	{name: "no such plan", method: "GET", path: "/usageplans/nosuch", status: 404, code: "NotFoundException", text: "Invalid Usage Plan ID specified"},
	{name: "no such key of a plan", method: "GET", path: "/usageplans/{plan}/keys/nosuch", status: 404, code: "NotFoundException", text: "Invalid API Key identifier specified"},
	{name: "no such function", service: "lambda", method: "GET", path: "/2015-03-31/functions/nosuch", status: 404, code: "ResourceNotFoundException", text: "Function not found: arn:aws:lambda:us-east-1:000000000000:function:nosuch"},
	{name: "NUL for an id", method: "GET", path: "/restapis/%00", status: 404, code: "NotFoundException", text: "Invalid API identifier specified 000000000000:\\u0000"},
	{name: "path for an id", method: "GET", path: "/restapis/..%2F..%2Fetc", status: 404, code: "NotFoundException", text: "Invalid API identifier specified 000000000000:../../etc"},
	{name: "long id", method: "GET", path: "/restapis/" + strings.Repeat("a", 5000), status: 404, code: "NotFoundException", text: "Invalid API identifier specified"},
	{name: "key of no plan deleted", method: "DELETE", path: "/usageplans/{plan}/keys/nosuch", status: 404, code: "NotFoundException", text: "Invalid API Key identifier specified"},
}

var badPatches = []badCall{
	{name: "patch path", method: "PATCH", path: "/usageplans/{plan}", body: `{"patchOperations":[{"op":"replace","path":"/colour","value":"1"}]}`, status: 400, code: "BadRequestException", text: "Invalid patch path  '/colour' specified for op 'replace'. Must be one of: [/productCode, "},
	{name: "patch op", method: "PATCH", path: "/usageplans/{plan}", body: `{"patchOperations":[{"op":"paint","path":"/name","value":"1"}]}`, status: 400, code: "ValidationException", text: "Value 'paint' at 'updateUsagePlanInput.patchOperations.1.member.op' failed to satisfy constraint: Member must satisfy enum value set: [add, remove, move, test, replace, copy]"},
	{name: "op that the path has not", method: "PATCH", path: "/usageplans/{plan}", body: `{"patchOperations":[{"op":"remove","path":"/name"}]}`, status: 400, code: "BadRequestException", text: "Invalid patch path  '/name' specified for op 'remove'. Must be one of: [/apiStages, /quota, /throttle, /productCode, "},
	{name: "op without a path", method: "PATCH", path: "/usageplans/{plan}", body: `{"patchOperations":[{"op":"replace","value":"1"}]}`, status: 400, code: "BadRequestException", text: "Invalid patch path  '' specified for op 'replace'. Must be one of: ["},
	{name: "pointer with a bad escape", method: "PATCH", path: "/usageplans/{plan}", body: `{"patchOperations":[{"op":"replace","path":"/~2","value":"1"}]}`, status: 400, code: "BadRequestException", text: "Invalid patch path  '/~2' specified for op 'replace'. Must be one of: ["},
	{name: "value of a patch", method: "PATCH", path: "/usageplans/{plan}", body: `{"patchOperations":[{"op":"replace","path":"/throttle/rateLimit","value":"fast"}]}`, status: 400, code: "BadRequestException", text: "Invalid rate limit specified: fast"},
	{name: "value of a patch is a number", method: "PATCH", path: "/usageplans/{plan}", body: `{"patchOperations":[{"op":"replace","path":"/throttle/rateLimit","value":1}]}`, status: 400, code: "SerializationException", text: "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to an String"},
	{name: "patch of an unknown stage", method: "PATCH", path: "/usageplans/{plan}", body: `{"patchOperations":[{"op":"add","path":"/apiStages","value":"nosuch:live"}]}`, status: 404, code: "NotFoundException", text: "Invalid API Stage {api: nosuch, stage: live} specified for usageplan {plan}"},
	{name: "half of the operations are good", method: "PATCH", path: "/usageplans/{plan}", body: `{"patchOperations":[{"op":"replace","path":"/name","value":"changed"},{"op":"replace","path":"/colour","value":"1"}]}`, status: 400, code: "BadRequestException", text: "Invalid patch path  '/colour' specified for op 'replace'. Must be one of: ["},
}

var badForms = []badCall{
	{name: "no Action", service: "iam", body: "Version=2010-05-08", status: 400, code: "MissingAction", text: ""},
	{name: "unknown Action", service: "iam", body: "Action=Paint&Version=2010-05-08", status: 400, code: "InvalidAction", text: "Could not find operation Paint for version 2010-05-08"},
	{name: "unknown Version", service: "iam", body: "Action=ListRoles&Version=1999-01-01", status: 400, code: "InvalidAction", text: "Could not find operation ListRoles for version 1999-01-01"},
	{name: "bad escape in a form", service: "iam", body: "Action=ListRoles&Version=2010-05-08&PathPrefix=%zz", status: 400, code: "MalformedInput", text: ""},
	{name: "missing parameter", service: "iam", body: "Action=GetRole&Version=2010-05-08", status: 400, code: "ValidationError", text: "at 'roleName' failed to satisfy constraint: Member must not be null"},
	{name: "no such role", service: "iam", body: "Action=GetRole&Version=2010-05-08&RoleName=nosuch", status: 404, code: "NoSuchEntity", text: "The role with name nosuch cannot be found."},
	{name: "number that is a word", service: "iam", body: "Action=ListRoles&Version=2010-05-08&MaxItems=many", status: 400, code: "MalformedInput", text: ""},
	{name: "list with an odd index", service: "iam", body: "Action=TagRole&Version=2010-05-08&RoleName=r&Tags.member.x.Key=a", status: 400, code: "MalformedInput", text: ""},
	{name: "list with a huge index", service: "iam", body: "Action=TagRole&Version=2010-05-08&RoleName=r&Tags.member.999999999999.Key=a", status: 400, code: "ValidationError", text: ""},
	{name: "many pairs", service: "iam", body: "Action=ListRoles&Version=2010-05-08" + strings.Repeat("&a=1", 20000), status: 400, code: "MalformedInput", text: ""},
	{name: "JSON for a form", service: "iam", body: `{"Action":"ListRoles"}`, contentType: "application/json", status: 400, code: "MissingAction", text: ""},
	{name: "policy that is no policy", service: "iam", body: "Action=CreateRole&Version=2010-05-08&RoleName=x&AssumeRolePolicyDocument=%7B", status: 400, code: "MalformedPolicyDocument", text: ""},
	{name: "unknown target", service: "logs", method: "POST", path: "/", target: "Logs_20140328.Paint", contentType: "application/x-amz-json-1.1", body: "{}", status: 400, code: "UnknownOperationException", text: "The operation Logs_20140328.Paint is not served here"},
	{name: "no target", service: "logs", method: "POST", path: "/", contentType: "application/x-amz-json-1.1", body: "{}", status: 400, code: "UnknownOperationException", text: "The header X-Amz-Target is missing: it names the operation"},
	{name: "malformed JSON for a target", service: "logs", method: "POST", path: "/", target: "Logs_20140328.DescribeLogGroups", contentType: "application/x-amz-json-1.1", body: "{", status: 400, code: "SerializationException", text: "Could not parse request body into json: a member name is missing at byte 1"},
	{name: "no such log group", service: "logs", method: "POST", path: "/", target: "Logs_20140328.DescribeLogStreams", contentType: "application/x-amz-json-1.1", body: `{"logGroupName":"nosuch"}`, status: 400, code: "ResourceNotFoundException", text: "The specified log group does not exist."},
	{name: "unknown Action of STS", service: "sts", body: "Action=Paint&Version=2011-06-15", status: 400, code: "InvalidAction", text: "Could not find operation Paint for version 2011-06-15"},
}

var badSignatures = []badCall{
	{name: "unsigned", method: "GET", path: "/restapis", sign: signing{not: true}, status: 403, code: "MissingAuthenticationTokenException", text: "Missing Authentication Token"},
	{name: "unsigned form", service: "sts", body: "Action=GetCallerIdentity&Version=2011-06-15", sign: signing{not: true}, status: 403, code: "MissingAuthenticationToken", text: "Request is missing Authentication Token"},
	{name: "wrong secret", method: "GET", path: "/restapis", sign: signing{secret: strings.Repeat("x", 40)}, status: 403, code: "InvalidSignatureException", text: "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method."},
	{name: "unknown access key", method: "GET", path: "/restapis", sign: signing{key: "AKIAAAAAAAAAAAAAAAAA"}, status: 403, code: "UnrecognizedClientException", text: "The security token included in the request is invalid."},
	{name: "old signature", method: "GET", path: "/restapis", sign: signing{at: 20 * time.Minute}, status: 403, code: "InvalidSignatureException", text: "Signature expired: 2"},
	{name: "signature of tomorrow", method: "GET", path: "/restapis", sign: signing{at: -20 * time.Minute}, status: 403, code: "InvalidSignatureException", text: "Signature not yet current: 2"},
	{name: "other region", method: "GET", path: "/restapis", sign: signing{region: "eu-west-1"}, status: 403, code: "InvalidSignatureException", text: "Credential should be scoped to a valid region. "},
	{name: "other service", method: "GET", path: "/restapis", sign: signing{name: "lambda"}, status: 403, code: "AccessDeniedException", text: "Unable to determine service/operation name to be authorized"},
	{name: "service that is not here", method: "GET", path: "/", sign: signing{name: "s3"}, status: 404, code: "UnknownOperationException", text: "The service \\\"s3\\\" is not served here. Served: apigateway, lambda, "},
	{name: "body changed after signing", method: "POST", path: "/apikeys", body: `{"name":"evil"}`, sign: signing{of: `{"name":"good"}`}, status: 403, code: "InvalidSignatureException", text: "The request signature we calculated does not match"},
	{name: "path changed after signing", method: "GET", path: "/restapis", bend: func(r *http.Request) { r.URL.Path = "/apikeys" }, status: 403, code: "InvalidSignatureException", text: "The request signature we calculated does not match"},
	{name: "header that is no signature", method: "GET", path: "/restapis", bend: func(r *http.Request) { r.Header.Set("Authorization", "Bearer me") }, status: 403, code: "IncompleteSignatureException", text: "Invalid key=value pair (missing equal-sign) in Authorization header (hashed with SHA-256 and encoded with Base64): '"},
	{name: "half a signature", status: 403, code: "IncompleteSignatureException", text: "Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter.", method: "GET", path: "/restapis", bend: func(r *http.Request) {
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIA/20261126/us-east-1/apigateway/aws4_request")
	}},
	{name: "unknown operation", method: "GET", path: "/paint", status: 403, code: "AccessDeniedException", text: "Unable to determine service/operation name to be authorized"},
	{name: "verb that the path has not", method: "DELETE", path: "/apikeys", status: 403, code: "AccessDeniedException", text: "Unable to determine service/operation name to be authorized"},
	{name: "unknown verb", method: "PAINT", path: "/apikeys", status: 403, code: "AccessDeniedException", text: "Unable to determine service/operation name to be authorized"},
	{name: "from a web page", method: "GET", path: "/restapis", bend: func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }, status: 403, code: "AccessDeniedException", text: "Requests from web pages of another origin are not accepted"},
}

// TestBadManagementCalls: every call gets AWS's answer, in the shape of its
// service, and changes nothing.
func TestBadManagementCalls(t *testing.T) {
	t.Parallel()
	s := start(t, filepath.Join(t.TempDir(), "data"))
	c := newSDK(t, s)
	arn := c.createFunction(t.Context(), "f", "python3.12", "app.handler", zipOfFile(t, "app.py", "def handler(e, c): return 1"))
	g := newGate(t.Context(), c, proxy(arn), 100, 100, 100)
	before := g.everything()
	for _, group := range [][]badCall{badJSON, badIDs, badPatches, badForms, badSignatures} {
		for _, b := range group {
			t.Run(b.name, func(t *testing.T) {
				status, code, text := g.send(t, b)
				if status != b.status || code != b.code || !strings.Contains(text, g.named(b.text)) {
					t.Errorf("%d %s %.400s\nwant %d %s %s", status, code, text, b.status, b.code, g.named(b.text))
				}
			})
		}
	}
	if after := g.everything(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	if log := s.log.String(); strings.Contains(log, "panic") || strings.Contains(log, "level=ERROR") || strings.Contains(log, s.secret) {
		t.Error("the log has a failure or the secret in it")
	} else if calls, named := strings.Count(log, " status=40"), strings.Count(log, " code="); calls != named || calls < 60 {
		t.Errorf("%d refusals are logged, %d with their code", calls, named)
	}
}

// named puts what the test made in the place of its names.
func (g *gate) named(s string) string {
	return strings.NewReplacer("{api}", g.api, "{resource}", g.resource, "{plan}", g.plan, "{key}", g.key, "{function}", "f").Replace(s)
}

// everything is what a management call could have changed.
func (g *gate) everything() string {
	g.t.Helper()
	ctx := g.t.Context()
	apis, err := g.agw.GetRestApis(ctx, &apigateway.GetRestApisInput{})
	must(g.t, apis, err)
	keys, err := g.agw.GetApiKeys(ctx, &apigateway.GetApiKeysInput{})
	must(g.t, keys, err)
	plans, err := g.agw.GetUsagePlans(ctx, &apigateway.GetUsagePlansInput{})
	must(g.t, plans, err)
	functions, err := g.lambda.ListFunctions(ctx, &lambda.ListFunctionsInput{})
	must(g.t, functions, err)
	return fmt.Sprintln(dump(apis.Items), dump(keys.Items), dump(plans.Items), dump(functions.Functions))
}

func dump(v any) string {
	text, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// send makes the call and gives its answer: status, error code and text.
func (g *gate) send(t *testing.T, b badCall) (status int, code, text string) {
	t.Helper()
	if b.service == "" {
		b.service = "apigateway"
	}
	form := b.service == "iam" || b.service == "sts"
	if form {
		b.method, b.path = http.MethodPost, "/"
	}
	if b.contentType == "" {
		b.contentType = "application/json"
		if form {
			b.contentType = "application/x-www-form-urlencoded; charset=utf-8"
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), b.method, g.s.control+g.named(b.path), strings.NewReader(b.body))
	must(t, r, err)
	r.Header.Set("Content-Type", b.contentType)
	if b.target != "" {
		r.Header.Set("X-Amz-Target", b.target)
	}
	g.sign(t, r, b)
	if b.bend != nil {
		b.bend(r)
	}
	res, err := http.DefaultClient.Do(r)
	must(t, res, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	must(t, body, err)
	if len(body) > 10_000 {
		t.Errorf("an answer of %d bytes", len(body))
	}
	if form || strings.HasPrefix(res.Header.Get("Content-Type"), "text/xml") {
		if found := regexp.MustCompile("<Code>(.*)</Code>").FindSubmatch(body); found != nil {
			code = string(found[1])
		}
		return res.StatusCode, code, html.UnescapeString(string(body))
	}
	code = res.Header.Get("x-amzn-ErrorType")
	if found := regexp.MustCompile(`^\{"__type":"(\w+)"`).FindSubmatch(body); found != nil {
		code = string(found[1])
	}
	return res.StatusCode, code, string(body)
}

// sign signs a call as the row says.
func (g *gate) sign(t *testing.T, r *http.Request, b badCall) {
	t.Helper()
	if b.sign.not {
		return
	}
	or := func(a, b string) string {
		if a != "" {
			return a
		}
		return b
	}
	sum := sha256.Sum256([]byte(or(b.sign.of, b.body)))
	who := aws.Credentials{AccessKeyID: or(b.sign.key, g.s.keyID), SecretAccessKey: or(b.sign.secret, g.s.secret)}
	err := v4.NewSigner().SignHTTP(t.Context(), who, r, hex.EncodeToString(sum[:]), or(b.sign.name, b.service), or(b.sign.region, g.s.region), time.Now().Add(-b.sign.at))
	must(t, 0, err)
}
