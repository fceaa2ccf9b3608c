package apigateway

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	client "github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/apigateway/types"
)

const lambdaURI = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:f/invocations"

func TestMethodWire(t *testing.T) {
	s := newServer(t)
	p := s.empty()
	at := s.path(p, "/resources/"+p.root+"/methods/ANY")
	const plain = `{"httpMethod":"ANY","authorizationType":"NONE","apiKeyRequired":false}`
	s.golden(plain, "PUT", at, `{"authorizationType":"NONE","authorizerId":"ignored"}`)
	s.golden(plain, "GET", at, "")
	s.golden(plain, "PATCH", at, patch("replace", "/apiKeyRequired", "whatever", "replace", "/authorizerId", "ignored"))
	s.golden(`{"httpMethod":"ANY","authorizationType":"AWS_IAM","apiKeyRequired":true,"operationName":"Op",`+
		`"requestParameters":{"method.request.querystring.q":false},"requestModels":{"application/json":"Empty"}}`, "PATCH", at, patch(
		"add", "/requestParameters/method.request.querystring.q", "true", "add", "/requestModels/application~1json", "Empty",
		"replace", "/apiKeyRequired", "true", "replace", "/authorizationType", "AWS_IAM", "replace", "/operationName", "Op",
		"replace", "/requestParameters/method.request.querystring.q", "false"))
	s.ok(204, "DELETE", at, "")
	s.refused(404, "NotFoundException", "Invalid Method identifier specified", "GET", at, "")
	s.refused(404, "NotFoundException", "Invalid Method identifier specified", "DELETE", at, "")
}

func TestMethodErrors(t *testing.T) {
	s := newServer(t)
	p := s.empty()
	s.mock(p, p.root, "GET")
	const (
		bad        = "BadRequestException"
		missing    = "NotFoundException"
		authorizer = "Invalid authorizer ID specified. Setting the authorization type to CUSTOM or COGNITO_USER_POOLS requires a valid authorizer."
	)
	root := s.path(p, "/resources/"+p.root+"/methods/")
	for _, c := range []struct {
		status                              int
		code, message, method, target, body string
	}{
		{404, missing, "Invalid Resource identifier specified", "PUT", "/restapis/nope/resources/" + p.root + "/methods/GET", `{"authorizationType":"NONE"}`},
		{404, missing, "Invalid Resource identifier specified", "PUT", s.path(p, "/resources/nope/methods/GET"), `{"authorizationType":"NONE"}`},
		{404, missing, "Invalid Resource identifier specified", "PATCH", s.path(p, "/resources/nope/methods/GET"), `{}`},
		{400, bad, "Invalid HttpMethod specified. Valid options are GET,PUT,POST,DELETE,PATCH,OPTIONS,HEAD,ANY", "PUT", root + "TEST", `{"authorizationType":"NONE"}`},
		{400, "ValidationException", "1 validation error detected: Value null at 'putMethodInput.authorizationType' failed to satisfy constraint: Member must not be null", "PUT", root + "POST", `{}`},
		{400, bad, authorizer, "PUT", root + "POST", `{"authorizationType":"CUSTOM"}`},
		{400, bad, authorizer, "PUT", root + "POST", `{"authorizationType":"COGNITO_USER_POOLS","authorizerId":"abc123"}`},
		{400, bad, "Invalid Request Validator identifier specified", "PUT", root + "POST", `{"authorizationType":"NONE","requestValidatorId":"x"}`},
		{400, bad, "Invalid model identifier specified: petModel", "PUT", root + "POST", `{"authorizationType":"NONE","requestModels":{"application/json":"petModel"}}`},
		{400, bad, "Parameter names must be unique across querystring, header and path", "PUT", root + "POST", `{"authorizationType":"NONE","requestParameters":{"method.request.header.a":true,"method.request.querystring.a":true}}`},
		{409, "ConflictException", "Method already exists for this resource", "PUT", root + "GET", `{"authorizationType":"NONE"}`},
		{404, missing, "Invalid Method identifier specified", "PATCH", root + "PUT", patch("replace", "/operationName", "x")},
		{400, bad, "Invalid patch operation specified. Must be one of: [replace]", "PATCH", root + "GET", patch("add", "/operationName", "x")},
		{400, bad, "Invalid patch operation specified. Must be one of: [replace]", "PATCH", root + "GET", patch("add", "/requestValidatorId", "x")},
		{400, bad, "Invalid patch path /httpMethod", "PATCH", root + "GET", patch("add", "/httpMethod", "PUT")},
		{400, bad, "Invalid patch path /requestParameters", "PATCH", root + "GET", patch("replace", "/requestParameters", "x=false")},
		{400, bad, "Invalid patch path /requestModels/application/json", "PATCH", root + "GET", patch("add", "/requestModels/application/json", "Empty")},
		{400, bad, authorizer, "PATCH", root + "GET", patch("replace", "/authorizationType", "CUSTOM")},
		{400, bad, "Invalid Request Validator identifier specified", "PATCH", root + "GET", patch("replace", "/requestValidatorId", "x")},
		{400, "SerializationException", "class java.lang.Boolean can not be converted to an String", "PUT", root + "GET/integration", `{"type":"MOCK","requestParameters":{"integration.request.path.p":true}}`},
	} {
		s.refused(c.status, c.code, c.message, c.method, c.target, c.body)
	}
}

func TestMethodResponses(t *testing.T) {
	s := newServer(t)
	p := s.empty()
	s.mock(p, p.root, "GET")
	at := s.path(p, "/resources/"+p.root+"/methods/GET/responses/200")
	s.golden(`{"statusCode":"200","responseParameters":{},"responseModels":{}}`, "PUT", at, `{"responseModels":{},"responseParameters":{}}`)
	s.golden(`{"statusCode":"200","responseParameters":{},"responseModels":{}}`, "GET", at, "")
	const full = `{"statusCode":"200","responseParameters":{"method.response.header.h":true},"responseModels":{"application/json":"Empty"}}`
	s.golden(full, "PATCH", at, patch("add", "/responseParameters/method.response.header.h", "true", "add", "/responseModels/application~1json", "Empty"))
	s.ok(201, "PATCH", at, `{}`) // AWS's status for this update
	s.golden(`{"httpMethod":"GET","authorizationType":"NONE","apiKeyRequired":false,"methodResponses":{"200":`+full+`},`+
		`"methodIntegration":{"type":"MOCK","passthroughBehavior":"WHEN_NO_MATCH","timeoutInMillis":29000,"cacheNamespace":"ID","cacheKeyParameters":[]}}`,
		"GET", strings.TrimSuffix(at, "/responses/200"), "")
	s.golden(`{"statusCode":"200"}`, "PATCH", at, patch("remove", "/responseParameters/method.response.header.h", "", "remove", "/responseModels/application~1json", ""))

	const bad, missing = "BadRequestException", "NotFoundException"
	const status = `1 validation error detected: Value 'wrong' at 'statusCode' failed to satisfy constraint: Member must satisfy regular expression pattern: [1-5]\d\d`
	base := strings.TrimSuffix(at, "200")
	for _, c := range []struct {
		status                              int
		code, message, method, target, body string
	}{
		{409, "ConflictException", "Response already exists for this resource", "PUT", at, `{}`},
		{400, "ValidationException", status, "PUT", base + "wrong", `{}`},
		{400, "ValidationException", status, "PATCH", base + "wrong", `{}`},
		{404, missing, "Invalid Response status code specified", "GET", base + "404", ``},
		{404, missing, "Invalid Response status code specified", "PATCH", base + "404", `{}`},
		{404, missing, "Invalid Response status code specified", "DELETE", base + "404", ``},
		{404, missing, "Invalid parameter name specified", "PATCH", at, patch("replace", "/responseParameters/wrong", "true")},
		{404, missing, "Invalid parameter name specified", "PATCH", at, patch("remove", "/responseParameters/method.response.header.h", "true")},
		{404, missing, "Content-Type specified was not found", "PATCH", at, patch("remove", "/responseModels/application~1json", "")},
		{400, bad, "Invalid patch path /wrong/method.response.header.h", "PATCH", at, patch("add", "/wrong/method.response.header.h", "true")},
		{400, bad, "Invalid model identifier specified: X", "PATCH", at, patch("add", "/responseModels/application~1json", "X")},
		{404, missing, "Invalid Resource identifier specified", "PATCH", s.path(p, "/resources/nope/methods/GET/responses/200"), `{}`},
		{404, missing, "Invalid Method identifier specified", "PATCH", s.path(p, "/resources/"+p.root+"/methods/PUT/responses/200"), `{}`},
	} {
		s.refused(c.status, c.code, c.message, c.method, c.target, c.body)
	}
	_, err := s.sdk.DeleteMethodResponse(ctx, &client.DeleteMethodResponseInput{RestApiId: &p.api, ResourceId: &p.root, HttpMethod: aws.String("GET"), StatusCode: aws.String("200")})
	check(t, err)
}

func TestIntegrationKinds(t *testing.T) {
	s := newServer(t)
	p := s.empty()
	at := s.path(p, "/resources/"+p.root+"/methods/GET")
	s.ok(201, "PUT", at, `{"authorizationType":"NONE","requestParameters":{"method.request.header.h":true}}`)
	const tail = `"passthroughBehavior":"WHEN_NO_MATCH","timeoutInMillis":29000,"cacheNamespace":"ID","cacheKeyParameters":[]}`
	const bad = "BadRequestException"
	const mapping = "Invalid mapping expression specified: Validation Result: warnings : [], errors : [Invalid mapping expression "
	for _, c := range []struct{ body, want, message string }{
		{body: `{"type":"MOCK","uri":"http://example.com"}`, want: `{"type":"MOCK",` + tail},
		{body: `{"type":"HTTP","uri":"http://example.com","httpMethod":"POST"}`, want: `{"type":"HTTP","httpMethod":"POST","uri":"http://example.com","connectionType":"INTERNET",` + tail},
		{
			body: `{"type":"HTTP_PROXY","uri":"http://${stageVariables.host}/x","httpMethod":"ANY","connectionType":"VPC_LINK","connectionId":"${stageVariables.l}"}`,
			want: `{"type":"HTTP_PROXY","httpMethod":"ANY","uri":"http://${stageVariables.host}/x","connectionType":"VPC_LINK","connectionId":"${stageVariables.l}",` + tail,
		},
		{body: `{"type":"AWS_PROXY","uri":"` + lambdaURI + `","httpMethod":"POST"}`, want: `{"type":"AWS_PROXY","httpMethod":"POST","uri":"` + lambdaURI + `",` + tail},
		{
			body: `{"type":"AWS","uri":"arn:aws:apigateway:us-east-1:s3:path/b/k","httpMethod":"POST","credentials":"arn:aws:iam::000000000000:role/r"}`,
			want: `{"type":"AWS","httpMethod":"POST","uri":"arn:aws:apigateway:us-east-1:s3:path/b/k","credentials":"arn:aws:iam::000000000000:role/r",` + tail,
		},
		{
			body: `{"type":"MOCK","requestTemplates":{"application/json":""},"requestParameters":{"integration.request.header.x":"method.request.header.h","integration.request.querystring.y":"'s'"}}`,
			want: `{"type":"MOCK","requestParameters":{"integration.request.header.x":"method.request.header.h","integration.request.querystring.y":"'s'"},"requestTemplates":{"application/json":null},` + tail,
		},

		{body: `{"type":"HTTP","uri":"http://example.com"}`, message: "Enumeration value for HttpMethod must be non-empty"},
		{body: `{"type":"AWS_PROXY","uri":"` + lambdaURI + `"}`, message: "Enumeration value for HttpMethod must be non-empty"},
		{body: `{"type":"HTTP","uri":"example.com","httpMethod":"POST"}`, message: "Invalid HTTP endpoint specified for URI"},
		{body: `{"type":"HTTP","httpMethod":"POST"}`, message: "Invalid HTTP endpoint specified for URI"},
		{body: `{"type":"AWS","uri":"non-valid-arn","httpMethod":"POST"}`, message: "Invalid ARN specified in the request"},
		{body: `{"type":"AWS","uri":"arn:aws:iam::0000000000:role/service-role/asdf","httpMethod":"POST"}`, message: "AWS ARN for integration must contain path or action"},
		{body: `{"type":"AWS","uri":"arn:aws:apigateway:us-east-1:s3:path/b/k","httpMethod":"POST"}`, message: "Role ARN must be specified for AWS integrations"},
		{body: `{"type":"AWS_PROXY","uri":"arn:aws:apigateway:us-east-1:s3:path/b/k","httpMethod":"POST"}`, message: "Integrations of type 'AWS_PROXY' currently only supports Lambda function and Firehose stream invocations."},
		{body: `{"type":"AWS_PROXY","uri":"arn:aws:apigateway:us-east-1:lambda:path/functions/f","httpMethod":"POST"}`, message: "Invalid ARN specified in the request"},
		{body: `{"type":"MOCK","timeoutInMillis":49}`, message: "Timeout should be between 50 ms and 29000 ms"},
		{body: `{"type":"MOCK","timeoutInMillis":29001}`, message: "Timeout should be between 50 ms and 29000 ms"},
		{body: `{"type":"MOCK","requestParameters":{"integration.request.path.p":"true"}}`, message: mapping + "specified: true]"},
		{body: `{"type":"MOCK","requestParameters":{"integration.request.path.p":"method.request.header.undeclared"}}`, message: mapping + "parameter specified: method.request.header.undeclared]"},
		{body: `{"type":"MOCK","requestTemplates":{"123":"x"}}`, message: "Validation Result: warnings : [], errors : [Invalid content type specified: 123]"},
	} {
		if c.want != "" {
			s.golden(c.want, "PUT", at+"/integration", c.body)
			s.golden(c.want, "GET", at+"/integration", "")
		} else {
			s.refused(400, bad, c.message, "PUT", at+"/integration", c.body)
		}
	}
	s.refused(400, "ValidationException", "1 validation error detected: Value 'HTTPS_PROXY' at 'putIntegrationInput.type' failed to satisfy constraint: Member must satisfy enum value set: [HTTP, MOCK, AWS_PROXY, HTTP_PROXY, AWS]",
		"PUT", at+"/integration", `{"type":"HTTPS_PROXY"}`)
}

func TestUpdateIntegration(t *testing.T) {
	s := newServer(t)
	p := s.empty()
	s.mock(p, p.root, "GET")
	at := s.path(p, "/resources/"+p.root+"/methods/GET/integration")
	s.refused(400, "BadRequestException", "Invalid patch path /uri", "PATCH", at, patch("replace", "/uri", "http://x"))
	s.refused(400, "BadRequestException", "Invalid patch path /type", "PATCH", at, patch("replace", "/type", "HTTP"))
	s.refused(400, "BadRequestException", "Timeout should be between 50 ms and 29000 ms", "PATCH", at, patch("replace", "/timeoutInMillis", "x"))
	s.refused(404, "NotFoundException", "Content-Type specified was not found", "PATCH", at, patch("remove", "/requestTemplates/text~1xml", ""))
	s.ok(201, "PUT", at, `{"type":"HTTP","uri":"http://a","httpMethod":"GET"}`)
	out, err := s.sdk.UpdateIntegration(ctx, &client.UpdateIntegrationInput{RestApiId: &p.api, ResourceId: &p.root, HttpMethod: aws.String("GET"), PatchOperations: []types.PatchOperation{
		{Op: types.OpReplace, Path: aws.String("/uri"), Value: aws.String("https://b/c")},
		{Op: types.OpReplace, Path: aws.String("/httpMethod"), Value: aws.String("POST")},
		{Op: types.OpReplace, Path: aws.String("/timeoutInMillis"), Value: aws.String("100")},
		{Op: types.OpReplace, Path: aws.String("/tlsConfig/insecureSkipVerification"), Value: aws.String("true")},
		{Op: types.OpReplace, Path: aws.String("/passthroughBehavior"), Value: aws.String("NEVER")},
		{Op: types.OpReplace, Path: aws.String("/credentials"), Value: aws.String("arn:aws:iam::000000000000:role/r")},
		{Op: types.OpAdd, Path: aws.String("/requestTemplates/application~1json"), Value: aws.String("{}")},
		{Op: types.OpAdd, Path: aws.String("/cacheKeyParameters/method.request.path.p")},
	}})
	check(t, err)
	if *out.Uri != "https://b/c" || *out.HttpMethod != "POST" || out.TimeoutInMillis != 100 || !out.TlsConfig.InsecureSkipVerification ||
		*out.PassthroughBehavior != "NEVER" || *out.Credentials == "" || out.RequestTemplates["application/json"] != "{}" || out.CacheKeyParameters[0] != "method.request.path.p" {
		t.Errorf("%+v", out)
	}
	s.ok(204, "DELETE", at, "")
	for _, method := range []string{"GET", "PATCH", "DELETE"} {
		s.refused(404, "NotFoundException", "Invalid Integration identifier specified", method, at, "")
	}
	s.refused(404, "NotFoundException", "Invalid Method identifier specified", "GET", s.path(p, "/resources/"+p.root+"/methods/PUT/integration"), "")
	s.refused(404, "NotFoundException", "Invalid Resource identifier specified", "GET", "/restapis/nope/resources/x/methods/GET/integration", "")
}

func TestIntegrationResponses(t *testing.T) {
	s := newServer(t)
	p := s.empty()
	s.mock(p, p.root, "GET")
	base := s.path(p, "/resources/"+p.root+"/methods/GET/integration/responses/")
	at := base + "200"
	s.golden(`{"statusCode":"200","selectionPattern":"","responseTemplates":{"application/json":"\"created\""}}`, "PUT", at, `{"selectionPattern":"","responseTemplates":{"application/json":"\"created\""}}`)
	s.golden(`{"statusCode":"200","selectionPattern":"p","responseTemplates":{"application/json":"\"created\""}}`, "PATCH", at, patch("replace", "/selectionPattern", "p"))
	s.golden(`{"statusCode":"200","selectionPattern":"","responseTemplates":{"application/json":null}}`, "PUT", at, `{"selectionPattern":"","responseTemplates":{"application/json":null}}`)
	s.golden(`{"statusCode":"200","responseTemplates":{}}`, "PUT", at, `{"responseTemplates":{}}`)
	s.golden(`{"statusCode":"200","responseTemplates":{}}`, "GET", at, "")
	s.golden(`{"statusCode":"200","selectionPattern":"2\\d{2}","contentHandling":"CONVERT_TO_BINARY"}`, "PUT", at, `{"selectionPattern":"2\\d{2}","contentHandling":"CONVERT_TO_BINARY"}`)

	s.ok(201, "PUT", s.path(p, "/resources/"+p.root+"/methods/GET/responses/200"), `{"responseParameters":{"method.response.header.h":false}}`)
	s.ok(201, "PUT", at, `{"responseParameters":{"method.response.header.h":"'v'"}}`)

	const bad, missing = "BadRequestException", "NotFoundException"
	const mapping = "Invalid mapping expression specified: Validation Result: warnings : [], errors : [Invalid mapping expression "
	other := s.path(p, "/resources/"+p.root+"/methods/PUT/integration/responses/200")
	for _, c := range []struct {
		status                              int
		code, message, method, target, body string
	}{
		{400, bad, mapping + "parameter specified: method.response.header.other]", "PUT", at, `{"responseParameters":{"method.response.header.other":"'v'"}}`},
		{400, bad, mapping + "specified: v]", "PUT", at, `{"responseParameters":{"method.response.header.h":"v"}}`},
		{400, bad, "Invalid selection pattern specified: (", "PUT", at, `{"selectionPattern":"("}`},
		{400, bad, "Validation Result: warnings : [], errors : [Invalid content type specified: 123]", "PUT", at, `{"responseTemplates":{"123":"x"}}`},
		{400, "SerializationException", "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to an String", "PUT", at, `{"responseTemplates":{"application/json":123}}`},
		{400, "ValidationException", `1 validation error detected: Value 'wrong' at 'statusCode' failed to satisfy constraint: Member must satisfy regular expression pattern: [1-5]\d\d`, "GET", base + "wrong", ``},
		{404, missing, "Invalid Response status code specified", "GET", base + "201", ``},
		{404, missing, "Invalid Response status code specified", "PATCH", base + "201", `{}`},
		{404, missing, "Invalid Response status code specified", "DELETE", base + "201", ``},
		{404, missing, "Invalid Method identifier specified", "PUT", other, `{}`},
		{404, missing, "Invalid Method identifier specified", "GET", other, ``},
		{404, missing, "Invalid Integration identifier specified", "DELETE", other, ``}, // recorded so
		{404, missing, "Invalid Resource identifier specified", "DELETE", strings.Replace(other, p.root, "nope", 1), ``},
	} {
		s.refused(c.status, c.code, c.message, c.method, c.target, c.body)
	}
	s.ok(204, "DELETE", at, "")
	s.ok(204, "DELETE", strings.TrimSuffix(base, "/responses/"), "")
	s.refused(404, missing, "Invalid Integration identifier specified", "GET", at, "")
	s.refused(404, missing, "Invalid Integration identifier specified", "PUT", at, "{}")
}
