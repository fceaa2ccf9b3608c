package apigateway

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	client "github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/apigateway/types"

	"weir/internal/catalog"
	"weir/internal/store"
)

const authorizerURI = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:judge/invocations"

const tokenAuthorizer = `{"name":"judge","type":"TOKEN","authorizerUri":"` + authorizerURI + `","identitySource":"method.request.header.Auth"}`

// authorizer makes one and gives its identifier.
func (s *server) authorizer(p site, body string) string {
	s.t.Helper()
	return s.ok(201, "POST", s.path(p, "/authorizers"), body)["id"].(string)
}

func TestAuthorizers(t *testing.T) {
	s := newServer(t)
	p := s.site()
	s.golden(`{"id":"ID","name":"judge","type":"TOKEN","authType":"custom","authorizerUri":"`+authorizerURI+`","identitySource":"method.request.header.Auth"}`,
		"POST", s.path(p, "/authorizers"), tokenAuthorizer)
	list := s.ok(200, "GET", s.path(p, "/authorizers"), "")["item"].([]any)
	id := list[0].(map[string]any)["id"].(string)
	if len(list) != 1 || len(id) != 6 {
		t.Errorf("list %v", list)
	}
	one := s.path(p, "/authorizers/"+id)
	s.ok(200, "GET", one, "")
	if s.action != "apigateway:GET arn:aws:apigateway:us-east-1::/restapis/"+p.api+"/authorizers/"+id {
		t.Errorf("authorised as %s", s.action)
	}
	role := "arn:aws:iam::000000000000:role/r"
	out := s.ok(200, "PATCH", one, patch(
		"replace", "/name", "jury", "replace", "/authorizerResultTtlInSeconds", "60", "replace", "/identityValidationExpression", "Bearer .*",
		"replace", "/authorizerCredentials", role, "replace", "/authType", "own", "replace", "/type", "REQUEST",
		"add", "/identitySource", "method.request.querystring.tenant", "add", "/identitySource", "context.identity.sourceIp",
		"remove", "/identitySource", "method.request.header.Auth",
	))
	for member, want := range map[string]any{
		"name": "jury", "authorizerResultTtlInSeconds": 60.0, "identityValidationExpression": "Bearer .*", "authorizerCredentials": role,
		"authType": "own", "type": "REQUEST", "identitySource": "method.request.querystring.tenant,context.identity.sourceIp",
	} {
		if out[member] != want {
			t.Errorf("%s is %v, want %v", member, out[member], want)
		}
	}
	for _, c := range [][3]string{
		{"replace", "/nope", "Invalid patch path /nope"},
		{"add", "/name", "Invalid patch operation specified. Must be one of: [replace]"},
		{"replace", "/authorizerResultTtlInSeconds", "Invalid authorizer result TTL specified, must be between 0 and 3600 seconds"},
	} {
		s.refused(400, "BadRequestException", c[2], "PATCH", one, patch(c[0], c[1], "x"))
	}
	s.ok(202, "DELETE", one, "")
	s.refused(404, "NotFoundException", "Invalid Authorizer identifier specified", "GET", one, "")
	s.refused(404, "NotFoundException", "Invalid Authorizer identifier specified", "DELETE", one, "")
	s.refused(404, "NotFoundException", "Invalid API identifier specified 000000000000:nope", "GET", "/restapis/nope/authorizers", "")
	s.refused(409, "ConflictException", "Unable to complete operation due to concurrent modification. Please try again later.",
		"POST", "/restapis/nope/authorizers", tokenAuthorizer)
}

func TestAuthorizersThatAreRefused(t *testing.T) {
	s := newServer(t)
	p := s.site()
	s.authorizer(p, tokenAuthorizer)
	for name, c := range map[string]struct{ change, code, message string }{
		"a name taken":              {``, "BadRequestException", "Authorizer name must be unique. Authorizer judge already exists in this RestApi."},
		"no type of AWS's":          {`"type":"MAGIC"`, "ValidationException", ""},
		"a query as token":          {`"identitySource":"method.request.querystring.a"`, "BadRequestException", "Invalid token source expression: method.request.querystring.a. The source must be a method request header, matching 'method.request.header.[a-zA-Z0-9._-]+'."},
		"no token":                  {`"identitySource":""`, "BadRequestException", "Invalid token source expression"},
		"a function's own ARN":      {`"authorizerUri":"arn:aws:lambda:us-east-1:000000000000:function:judge"`, "BadRequestException", "Invalid Authorizer URI: arn:aws:lambda:us-east-1:000000000000:function:judge. Authorizer URI should be a valid API Gateway ARN that represents a Lambda function invocation."},
		"no function":               {`"authorizerUri":""`, "BadRequestException", "Invalid Authorizer URI"},
		"a TTL over an hour":        {`"authorizerResultTtlInSeconds":3601`, "BadRequestException", "between 0 and 3600"},
		"a TTL below zero":          {`"authorizerResultTtlInSeconds":-1`, "BadRequestException", "between 0 and 3600"},
		"look-around":               {`"identityValidationExpression":"(?=x)y"`, "BadRequestException", "look-around"},
		"an expression that grows":  {`"identityValidationExpression":"((a{100}){100})"`, "BadRequestException", "Invalid identity validation expression"},
		"an expression of 1,025":    {`"identityValidationExpression":"` + strings.Repeat("a", 1025) + `"`, "BadRequestException", "Invalid identity validation expression"},
		"kept without a source":     {`"type":"REQUEST","identitySource":""`, "BadRequestException", "Identity source must be set if authorizer caching is enabled (TTL is greater than 0)"},
		"a context that is no such": {`"type":"REQUEST","identitySource":"context.authorizer.x"`, "BadRequestException", "Invalid mapping expression specified"},
		"eleven sources":            {`"type":"REQUEST","identitySource":"` + strings.Repeat("method.request.header.A,", 11) + `"`, "LimitExceededException", "Too many identity sources"},
		"no user pool":              {`"type":"COGNITO_USER_POOLS"`, "BadRequestException", "At least one provider ARN"},
		"no ARN of a user pool":     {`"type":"COGNITO_USER_POOLS","providerARNs":["x"]`, "BadRequestException", "Invalid ARN"},
		"a role that is no ARN":     {`"authorizerCredentials":"role"`, "BadRequestException", "Invalid ARN"},
		"a name of 129":             {`"name":"` + strings.Repeat("n", 129) + `"`, "BadRequestException", "128"},
	} {
		t.Run(name, func(t *testing.T) {
			body := tokenAuthorizer
			if c.change != "" {
				body = strings.TrimSuffix(strings.Replace(tokenAuthorizer, `"judge"`, `"other"`, 1), "}")
				for _, member := range []string{"name", "type", "authorizerUri", "identitySource"} {
					if strings.Contains(c.change, `"`+member+`":`) { // a member twice is another error
						body = withoutMember(body, member)
					}
				}
				body = strings.TrimSuffix(body, ",") + "," + c.change + "}"
			}
			status, code, answer := s.raw("POST", s.path(p, "/authorizers"), body)
			if status < 400 || code != c.code || !strings.Contains(answer, c.message) {
				t.Errorf("%d %s %s, want %s %q", status, code, answer, c.code, c.message)
			}
		})
	}
	for n := range catalog.MaxAuthorizers - 1 {
		s.authorizer(p, strings.Replace(tokenAuthorizer, "judge", fmt.Sprint("judge", n), 1))
	}
	s.refused(429, "LimitExceededException", "Maximum number of Authorizers for this API has been reached. Please contact AWS if you need additional Authorizers.",
		"POST", s.path(p, "/authorizers"), strings.Replace(tokenAuthorizer, "judge", "eleventh", 1))
}

// withoutMember cuts a text member out of an object that is not closed yet.
func withoutMember(object, member string) string {
	before, rest, _ := strings.Cut(object, `"`+member+`":"`)
	_, after, _ := strings.Cut(rest, `"`)
	return before + strings.TrimPrefix(after, ",")
}

// TestAuthorizersAndTheirMethods: who names one has to be able to, and one that
// is named stays.
func TestAuthorizersAndTheirMethods(t *testing.T) {
	s := newServer(t)
	p := s.site()
	id := s.authorizer(p, tokenAuthorizer)
	pool := s.authorizer(p, `{"name":"pool","type":"COGNITO_USER_POOLS","identitySource":"method.request.header.Auth","providerARNs":["arn:aws:cognito-idp:us-east-1:000000000000:userpool/us-east-1_a"]}`)
	method := s.path(p, "/resources/"+p.root+"/methods/POST")
	const invalid = "Invalid authorizer ID specified. Setting the authorization type to CUSTOM or COGNITO_USER_POOLS requires a valid authorizer."
	s.refused(400, "BadRequestException", invalid, "PUT", method, `{"authorizationType":"CUSTOM"}`)
	s.refused(400, "BadRequestException", invalid, "PUT", method, `{"authorizationType":"CUSTOM","authorizerId":"nope00"}`)
	s.refused(400, "BadRequestException", invalid, "PUT", method, `{"authorizationType":"CUSTOM","authorizerId":"`+pool+`"}`)
	s.refused(400, "BadRequestException", invalid, "PUT", method, `{"authorizationType":"COGNITO_USER_POOLS","authorizerId":"`+id+`"}`)
	s.ok(201, "PUT", method, `{"authorizationType":"CUSTOM","authorizerId":"`+id+`"}`)
	one := s.path(p, "/authorizers/"+id)
	s.refused(409, "ConflictException", "Cannot delete authorizer 'judge', is referenced in method: POST//", "DELETE", one, "")
	s.refused(400, "BadRequestException", invalid, "PATCH", one, patch("replace", "/type", "COGNITO_USER_POOLS",
		"add", "/providerARNs", "arn:aws:cognito-idp:us-east-1:000000000000:userpool/us-east-1_a"))
	if out := s.ok(200, "PATCH", method, patch("replace", "/authorizationType", "AWS_IAM")); out["authorizerId"] != nil {
		t.Errorf("a method without an authorizer names one: %v", out)
	}
	s.ok(202, "DELETE", one, "")
	if out := s.ok(201, "PUT", s.path(p, "/resources/"+p.root+"/methods/PUT"), `{"authorizationType":"NONE","authorizerId":"`+pool+`"}`); out["authorizerId"] != nil {
		t.Errorf("a method without an authorizer names one: %v", out)
	}
	s.ok(202, "DELETE", s.path(p, "/authorizers/"+pool), "")
}

// TestDeploymentsFreezeAuthorizers: what callers meet is the copy; and what
// belongs to an API is cloned and deleted with it.
func TestDeploymentsFreezeAuthorizers(t *testing.T) {
	s := newServer(t)
	p := s.site()
	id := s.authorizer(p, tokenAuthorizer)
	dep, err := s.sdk.CreateDeployment(ctx, &client.CreateDeploymentInput{RestApiId: &p.api, StageName: aws.String("dev")})
	check(t, err)
	s.ok(200, "PATCH", s.path(p, "/authorizers/"+id), patch("replace", "/name", "later"))
	clone, err := s.sdk.CreateRestApi(ctx, &client.CreateRestApiInput{Name: aws.String("clone"), CloneFrom: &p.api})
	check(t, err)
	got, err := s.sdk.GetAuthorizer(ctx, &client.GetAuthorizerInput{RestApiId: clone.Id, AuthorizerId: &id})
	check(t, err)
	if *got.Name != "later" || got.Type != types.AuthorizerTypeToken {
		t.Errorf("the clone's authorizer: %+v", got)
	}
	check(t, s.store.View(ctx, func(tx *store.Tx) error {
		d, _, err := store.Get[catalog.Deployment](tx, p.api, *dep.Id)
		if len(d.Authorizers) != 1 || d.Authorizers[0].Name != "judge" {
			t.Errorf("deployed: %+v", d.Authorizers)
		}
		return err
	}))
	s.ok(202, "DELETE", "/restapis/"+p.api, "")
	check(t, s.store.View(ctx, func(tx *store.Tx) error {
		left, err := store.List[catalog.Authorizer](tx, p.api)
		if len(left) > 0 {
			t.Errorf("left behind: %+v", left)
		}
		return err
	}))
}

func TestFlushStageAuthorizersCache(t *testing.T) {
	s := newServer(t)
	p := s.site()
	for range 2 {
		_, err := s.sdk.FlushStageAuthorizersCache(ctx, &client.FlushStageAuthorizersCacheInput{RestApiId: &p.api, StageName: aws.String("dev")})
		check(t, err)
	}
	check(t, s.store.View(ctx, func(tx *store.Tx) error {
		st, _, err := store.Get[catalog.Stage](tx, p.api, "dev")
		if st.AuthorizersFlushed != 2 {
			t.Errorf("flushed %d times", st.AuthorizersFlushed)
		}
		return err
	}))
	s.refused(404, "NotFoundException", "Invalid stage identifier specified", "DELETE", s.path(p, "/stages/nope/cache/authorizers"), "")
}

func TestTestInvokeAuthorizer(t *testing.T) {
	s := newServer(t)
	p := s.site()
	id := s.authorizer(p, tokenAuthorizer)
	out, err := s.sdk.TestInvokeAuthorizer(ctx, &client.TestInvokeAuthorizerInput{
		RestApiId: &p.api, AuthorizerId: &id, PathWithQueryString: aws.String("/a?b=c?d"), StageVariables: map[string]string{"v": "1"},
		Headers: map[string]string{"B": "1", "A": "2", "M": "lost"}, MultiValueHeaders: map[string][]string{"M": {"3", "4"}},
		AdditionalContext: map[string]string{"x": "y"}, Body: aws.String("body"),
	})
	check(t, err)
	if out.ClientStatus != 401 || out.Latency != 1500 || *out.PrincipalId != "u" || *out.Policy != `{"Statement":[]}` ||
		*out.Log != "Execution log for request r\nTue Nov 24 10:00:00 UTC 2026 : one\nTue Nov 24 10:00:00 UTC 2026 : two\n" {
		t.Errorf("%+v, log %q", out, *out.Log)
	}
	got := s.tested
	if got.API.ID != p.api || got.Authorizer.ID != id || got.RequestID != "r" || got.Path != "/a" || got.Query != "b=c?d" || got.StageVariables["v"] != "1" ||
		fmt.Sprint(got.Header) != "[[A 2] [B 1] [M 3] [M 4]]" {
		t.Errorf("asked for %+v", got)
	}
	one := s.path(p, "/authorizers/"+id)
	s.refused(400, "BadRequestException", "Invalid stage variable name: a b. Names have 1 to 64 of the characters a-zA-Z0-9_", "POST", one, `{"stageVariables":{"a b":""}}`)
	s.refused(404, "NotFoundException", "Invalid Authorizer identifier specified", "POST", one+"x", `{}`)
	s.refused(404, "NotFoundException", "Invalid API identifier specified 000000000000:nope", "POST", "/restapis/nope/authorizers/"+id, `{}`)
	broken := s.authorizer(p, strings.Replace(tokenAuthorizer, "judge", "broken", 1))
	s.refused(400, "BadRequestException", "it has no identity source", "POST", s.path(p, "/authorizers/"+broken), `{}`)
	pool := s.authorizer(p, `{"name":"pool","type":"COGNITO_USER_POOLS","identitySource":"method.request.header.Auth","providerARNs":["arn:aws:cognito-idp:us-east-1:000000000000:userpool/us-east-1_a"]}`)
	s.refused(400, "BadRequestException", "Authorizers of type COGNITO_USER_POOLS are not run by this server", "POST", s.path(p, "/authorizers/"+pool), `{}`)
}
