package lambda_test

import (
	"fmt"
	"strings"
	"testing"

	"weir/internal/policy"
)

func TestStatements(t *testing.T) {
	b := newBench(t)
	b.create("f", nil)
	at := "/2015-03-31/functions/f/policy"
	head := func(sid, principal string) string {
		return `{"Sid":"` + sid + `","Effect":"Allow","Principal":` + principal + `,"Action":"lambda:InvokeFunction","Resource":"` + prefix + `f"`
	}
	var want []string
	for _, c := range []struct {
		in   object
		want string
	}{
		{
			object{
				"StatementId": "apigw", "Action": "lambda:InvokeFunction", "Principal": "apigateway.amazonaws.com",
				"SourceArn": "arn:aws:execute-api:us-east-1:000000000000:abc123/*/POST/timestamper",
			},
			head("apigw", `{"Service":"apigateway.amazonaws.com"}`) + `,"Condition":{"ArnLike":{"AWS:SourceArn":"arn:aws:execute-api:us-east-1:000000000000:abc123/*/POST/timestamper"}}}`,
		},
		{
			object{"StatementId": "wild", "Action": "lambda:InvokeFunction", "Principal": "*", "SourceAccount": "111111111111"},
			head("wild", `"*"`) + `,"Condition":{"StringEquals":{"AWS:SourceAccount":"111111111111"}}}`,
		},
		{
			object{"StatementId": "account", "Action": "lambda:InvokeFunction", "Principal": "111111111111"},
			head("account", `{"AWS":"arn:aws:iam::111111111111:root"}`) + `}`,
		},
		{
			object{"StatementId": "user", "Action": "lambda:InvokeFunction", "Principal": "arn:aws:iam::111111111111:user/u"},
			head("user", `{"AWS":"arn:aws:iam::111111111111:user/u"}`) + `}`,
		},
		{
			object{"StatementId": "alexa", "Action": "lambda:InvokeFunction", "Principal": "alexa-appkit.amazon.com", "EventSourceToken": "amzn1.ask.skill.x"},
			head("alexa", `{"Service":"alexa-appkit.amazon.com"}`) + `,"Condition":{"StringEquals":{"lambda:EventSourceToken":"amzn1.ask.skill.x"}}}`,
		},
		{
			object{
				"StatementId": "url", "Action": "lambda:InvokeFunctionUrl", "Principal": "*", "FunctionUrlAuthType": "NONE",
				"SourceAccount": "111111111111", "PrincipalOrgID": "o-1234567890", "SourceArn": "arn:aws:s3:::b", "InvokedViaFunctionUrl": true,
			},
			strings.Replace(head("url", `"*"`), "InvokeFunction", "InvokeFunctionUrl", 1) + `,"Condition":{"StringEquals":{"AWS:SourceAccount":"111111111111","aws:PrincipalOrgID":"o-1234567890","lambda:FunctionUrlAuthType":"NONE"},` +
				`"Bool":{"lambda:InvokedViaFunctionUrl":"true"},"ArnLike":{"AWS:SourceArn":"arn:aws:s3:::b"}}}`,
		},
	} {
		got := decode(t, b.must(201, "POST", at, c.in))["Statement"]
		if got != c.want {
			t.Errorf("%v:\n got %s\nwant %s", c.in["StatementId"], got, c.want)
		}
		want = append(want, c.want)
	}
	stored := decode(t, b.must(200, "GET", at, nil))
	document := `{"Version":"2012-10-17","Id":"default","Statement":[` + strings.Join(want, ",") + `]}`
	if stored["Policy"] != document {
		t.Errorf("policy:\n got %s\nwant %s", stored["Policy"], document)
	}
	fn := decode(t, b.must(200, "GET", "/2015-03-31/functions/f/configuration", nil))
	if stored["RevisionId"] != fn["RevisionId"] {
		t.Error("the policy has a revision of its own")
	}
	d, err := policy.Parse([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	if got := d.Evaluate(&policy.Request{
		Principal: policy.Principal{Service: "apigateway.amazonaws.com"}, Action: "lambda:InvokeFunction", Resource: prefix + "f",
		Context: map[string][]string{"aws:sourcearn": {"arn:aws:execute-api:us-east-1:000000000000:abc123/default/POST/timestamper"}},
	}); got != policy.Allowed {
		t.Errorf("API Gateway is not let in: %v", got)
	}
	b.must(204, "DELETE", at+"/apigw", nil)
	for _, sid := range []string{"wild", "account", "user", "alexa", "url"} {
		b.must(204, "DELETE", at+"/"+sid+"?RevisionId="+decode(t, b.must(200, "GET", at, nil))["RevisionId"].(string), nil)
	}
	status, _, body := b.send("GET", at, nil)
	if status != 404 {
		t.Errorf("an empty policy is still there: %s", body)
	}
}

func TestPermissionRefusals(t *testing.T) {
	b := newBench(t)
	b.create("f", nil)
	at := "/2015-03-31/functions/"
	grant := func(changes object) object {
		in := object{"StatementId": "s3", "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"}
		for k, v := range changes {
			if in[k] = v; v == nil {
				delete(in, k)
			}
		}
		return in
	}
	const nf, ipv, ve, pre = "ResourceNotFoundException", "InvalidParameterValueException", "ValidationException", "PreconditionFailedException"
	b.refuses([]refusal{
		{"no policy", "GET", at + "f/policy", nil, 404, nf, "The resource you requested does not exist.", "Message", false},
		{"policy of unknown", "GET", at + "x/policy", nil, 404, nf, "The resource you requested does not exist.", "Message", false},
		{"nothing to remove", "DELETE", at + "f/policy/s3", nil, 404, nf, "No policy is associated with the given resource.", "Message", false},
		{"remove from unknown", "DELETE", at + "x/policy/s3", nil, 404, nf, "No policy found for: " + prefix + "x", "Message", false},
	})
	b.must(201, "POST", at+"f/policy", grant(nil))
	invalidPrincipal := "The provided principal was invalid. Please check the principal and try again."
	cases := []refusal{
		{"again", "POST", at + "f/policy", grant(nil), 409, "ResourceConflictException", "The statement id (s3) provided already exists. Please provide a new statement id, or remove the existing statement.", "", false},
		{"statement id", "POST", at + "f/policy", grant(object{"StatementId": "example.com"}), 400, ve, violation("'example.com'", "statementId", "Member must satisfy regular expression pattern: ([a-zA-Z0-9-_]+)"), "", false},
		{"action", "POST", at + "f/policy", grant(object{"StatementId": "n", "Action": "s3:Get"}), 400, ve, violation("'s3:Get'", "action", "Member must satisfy regular expression pattern: (lambda:[*]|lambda:[a-zA-Z]+|[*])"), "", false},
		{"no principal", "POST", at + "f/policy", grant(object{"Principal": nil}), 400, ve, violation("null", "principal", "Member must not be null"), "", false},
		{"latest", "POST", at + "f/policy?Qualifier=%24LATEST", grant(nil), 400, ipv, "We currently do not support adding policies for $LATEST.", "", false},
		{"contradiction", "POST", at + "f:alias/policy?Qualifier=other", grant(nil), 400, ipv, "The derived qualifier from the function name does not match the specified qualifier.", "", false},
		{"alias", "POST", at + "f/policy?Qualifier=alias-doesnotexist", grant(nil), 404, nf, "Cannot find alias arn: " + prefix + "f:alias-doesnotexist", "Message", false},
		{"version", "POST", at + "f/policy?Qualifier=42", grant(nil), 404, nf, "Function not found: " + prefix + "f:42", "Message", false},
		{"odd qualifier", "POST", at + "f/policy?Qualifier=valid-with-%24-but-doesnotexist", grant(nil), 404, nf, "Function not found: " + prefix + "f:valid-with-$-but-doesnotexist", "Message", false},
		{"unknown", "POST", at + "doesnotexist/policy", grant(nil), 404, nf, "Function not found: " + prefix + "doesnotexist", "Message", false},
		{"stale", "POST", at + "f/policy", grant(object{"StatementId": "n", "RevisionId": "x"}), 412, pre, "The Revision Id provided does not match the latest Revision Id. Call the GetPolicy API to retrieve the latest Revision Id", "", false},
		{"stale removal", "DELETE", at + "f/policy/s3?RevisionId=x", nil, 412, pre, "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id", "", false},
		{"unknown statement", "DELETE", at + "f/policy/non-existent", nil, 404, nf, "Statement non-existent is not found in resource policy.", "Message", false},
		{"auth type", "POST", at + "f/policy", grant(object{"StatementId": "n", "FunctionUrlAuthType": "NONE"}), 400, ipv, "FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action", "", false},
		{
			"open variable", "POST", at + "f/policy", grant(object{"StatementId": "n", "SourceArn": "arn:aws:s3:::a${b"}), 400, ipv,
			`Syntax errors in policy: statement 2: ArnLike on AWS:SourceArn: policy variable in "arn:aws:s3:::a${b" is not closed.`, "", false,
		},
	}
	for _, p := range []string{"invalid.nonaws.com", "s3", "11111111111", "arn:aws:iam::1:user/x", "arn:aws:s3:::b", ".amazonaws.com"} {
		cases = append(cases, refusal{"principal " + p, "POST", at + "f/policy", grant(object{"StatementId": "n", "Principal": p}), 400, ipv, invalidPrincipal, "", false})
	}
	b.refuses(cases)
	if got := decode(t, b.must(200, "GET", at+"f/policy", nil))["Policy"].(string); strings.Count(got, "Sid") != 1 {
		t.Errorf("a refused statement was stored: %s", got)
	}
}

func TestPolicySize(t *testing.T) {
	b := newBench(t)
	b.create("f", nil)
	for i := range 1000 {
		status, header, body := b.send("POST", "/2015-03-31/functions/f/policy", object{
			"StatementId": fmt.Sprintf("s%d", i), "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com",
			"SourceArn": "arn:aws:s3:::" + strings.Repeat("b", 1000),
		})
		if status == 201 {
			continue
		}
		stored := decode(t, b.must(200, "GET", "/2015-03-31/functions/f/policy", nil))["Policy"].(string)
		var n int
		if _, err := fmt.Sscanf(decode(t, body)["message"].(string), "The final policy size (%d) is bigger than the limit (20480).", &n); err != nil || n <= 20480 {
			t.Errorf("%s: %v", body, err)
		}
		if len(stored) > 20480 || len(stored) < 19000 || status != 400 || header.Get("x-amzn-ErrorType") != "PolicyLengthExceededException" {
			t.Errorf("%d bytes stored, then %d %s", len(stored), status, body)
		}
		return
	}
	t.Error("the policy grew without bound")
}
