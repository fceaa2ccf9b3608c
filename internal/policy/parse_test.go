package policy

import (
	"errors"
	"strings"
	"testing"
)

const sound = `"Effect":"Allow","Principal":"*","Action":"a:B","Resource":"*"`

func TestParseRefuses(t *testing.T) {
	deep := strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1)
	for _, c := range []struct{ text, want string }{
		{``, "Syntax errors in policy: it is not valid JSON."},
		{`{`, "Syntax errors in policy: it is not valid JSON."},
		{`[]`, "Syntax errors in policy: it is not a JSON object."},
		{`{"Statement":[]} x`, "Syntax errors in policy: something follows the policy."},
		{`{"Version":"2012-10-17"}`, "Syntax errors in policy: Statement is missing."},
		{`{"Statement":"x"}`, "Syntax errors in policy: Statement is neither an object nor a list."},
		{`{"Statement":[1]}`, "Syntax errors in policy: statement 1: it is not an object."},
		{`{"statement":[]}`, `Syntax errors in policy: "statement" is not an element of a policy.`},
		{`{"Version":"2020-01-01","Statement":[]}`, "Policy document must be version 2012-10-17 or greater."},
		{`{"Id":1,"Statement":[]}`, "Syntax errors in policy: Id is not a string."},
		{`{"Statement":[],"Statement":[]}`, `Syntax errors in policy: "Statement" occurs twice in one object.`},
		{`{"Statement":` + deep + `}`, "Syntax errors in policy: it is nested too deeply."},
		{`{"Id":"` + strings.Repeat("x", MaxSize) + `","Statement":[]}`, "Syntax errors in policy: it is longer than 65536 bytes."},
		{`{"Statement":{"Effect":"allow","Principal":"*","Action":"a:B"}}`, `Syntax errors in policy: statement 1: Effect is neither "Allow" nor "Deny".`},
		{`{"Statement":{"Principal":"*","Action":"a:B"}}`, "Syntax errors in policy: statement 1: Effect is missing."},
		{`{"Statement":[{` + sound + `},{"Effect":"Allow","Principal":"*"}]}`, "Syntax errors in policy: statement 2: Action is missing."},
		{`{"Statement":{` + sound + `,"Actoin":"x"}}`, `Syntax errors in policy: statement 1: "Actoin" is not an element of a statement.`},
		{`{"Statement":{` + sound + `,"NotAction":"x"}}`, "Syntax errors in policy: statement 1: Action and NotAction exclude each other."},
		{`{"Statement":{` + sound + `,"NotResource":"x"}}`, "Syntax errors in policy: statement 1: Resource and NotResource exclude each other."},
		{`{"Statement":{` + sound + `,"NotPrincipal":"*"}}`, "Syntax errors in policy: statement 1: Principal and NotPrincipal exclude each other."},
		{`{"Statement":{"Effect":"Allow","NotPrincipal":"*","Action":"a:B"}}`, "Syntax errors in policy: statement 1: NotPrincipal with Allow lets everybody else in and is refused."},
		{`{"Statement":{"Effect":"Allow","Principal":"x","Action":"a:B"}}`, `Syntax errors in policy: statement 1: Principal is neither "*" nor an object.`},
		{`{"Statement":{"Effect":"Allow","Principal":{},"Action":"a:B"}}`, `Syntax errors in policy: statement 1: Principal is neither "*" nor an object.`},
		{`{"Statement":{"Effect":"Allow","Principal":{"User":"x"},"Action":"a:B"}}`, `Syntax errors in policy: statement 1: "User" is not a kind of principal.`},
		{`{"Statement":{"Effect":"Allow","Principal":{"AWS":[]},"Action":"a:B"}}`, "Syntax errors in policy: statement 1: Principal.AWS is neither a string nor a list of strings."},
		{`{"Statement":{"Effect":"Allow","Principal":"*","Action":[]}}`, "Syntax errors in policy: statement 1: Action is empty."},
		{`{"Statement":{"Effect":"Allow","Principal":"*","Action":1}}`, "Syntax errors in policy: statement 1: Action is neither a string nor a list of strings."},
		{`{"Statement":{"Effect":"Allow","Principal":"*","Action":["a:B",""]}}`, "Syntax errors in policy: statement 1: Action is empty."},
		{`{"Statement":[{"Sid":"x",` + sound + `},{"Sid":"x",` + sound + `}]}`, "Statement IDs (SID) in a single policy must be unique."},
		{`{"Statement":{` + sound + `,"Condition":[]}}`, "Syntax errors in policy: statement 1: Condition is not an object."},
		{`{"Statement":{` + sound + `,"Condition":{"Equals":{"k":"v"}}}}`, `Syntax errors in policy: statement 1: "Equals" is not a condition operator.`},
		{`{"Statement":{` + sound + `,"Condition":{"NullIfExists":{"k":"true"}}}}`, `Syntax errors in policy: statement 1: "NullIfExists" is not a condition operator.`},
		{`{"Statement":{` + sound + `,"Condition":{"Null":{"k":"yes"}}}}`, `Syntax errors in policy: statement 1: Null on k takes "true" or "false".`},
		{`{"Statement":{` + sound + `,"Condition":{"StringEquals":{"k":[]}}}}`, "Syntax errors in policy: statement 1: StringEquals on k has no value."},
		{`{"Statement":{` + sound + `,"Condition":{"StringEquals":{"k":null}}}}`, "Syntax errors in policy: statement 1: StringEquals on k has no value."},
		{`{"Statement":{` + sound + `,"Condition":{"NumericEquals":{"k":"1e"}}}}`, `Syntax errors in policy: statement 1: NumericEquals on k: "1e" is not a number.`},
		{`{"Statement":{` + sound + `,"Condition":{"DateEquals":{"k":"now"}}}}`, `Syntax errors in policy: statement 1: DateEquals on k: "now" is not a date.`},
		{`{"Statement":{` + sound + `,"Condition":{"Bool":{"k":"1"}}}}`, `Syntax errors in policy: statement 1: Bool on k: "1" is neither "true" nor "false".`},
		{`{"Statement":{` + sound + `,"Condition":{"BinaryEquals":{"k":"?"}}}}`, `Syntax errors in policy: statement 1: BinaryEquals on k: "?" is not base64.`},
		{`{"Statement":{` + sound + `,"Condition":{"IpAddress":{"k":"10.0.0.0/33"}}}}`, `Syntax errors in policy: statement 1: IpAddress on k: "10.0.0.0/33" is not an IP address or CIDR range.`},
		{`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"a:B","Resource":"a${b"}}`, `Syntax errors in policy: statement 1: policy variable in "a${b" is not closed.`},
		{`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"a:B","Resource":"${a, b}"}}`, `Syntax errors in policy: statement 1: default value of policy variable ${a, b} is not in single quotes.`},
		{`{"Statement":{"Effect":"Allow","Principal":"*","Action":"` + strings.Repeat("a", maxPattern+1) + `"}}`, "Syntax errors in policy: statement 1: a value is longer than 4096 bytes."},
	} {
		d, err := Parse([]byte(c.text))
		var e *Error
		if !errors.As(err, &e) || e.Message != c.want || d != nil {
			t.Errorf("%.120s:\n got %v\nwant %s", c.text, err, c.want)
		}
	}
}

func TestValidFor(t *testing.T) {
	for _, c := range []struct {
		statement string
		use       Use
		want      string
	}{
		{`{` + sound + `}`, Resource, ""},
		{`{"Effect":"Allow","Action":"a:B","Resource":"*"}`, Resource, "Missing required field Principal"},
		{`[]`, Resource, "Syntax errors in policy: Statement is empty."},
		{`{"Effect":"Allow","Action":"a:B","Resource":"*"}`, Identity, ""},
		{`{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::b"}`, Identity, ""},
		{`{` + sound + `}`, Identity, "Policy document should not specify a principal."},
		{`{"Effect":"Allow","Action":"a:B"}`, Identity, "Policy statement must contain resources."},
		{`{"Effect":"Allow","Action":"a:B","Resource":"b"}`, Identity, `Resource b must be in ARN format or "*".`},
		{`{"Effect":"Allow","Action":"B","Resource":"*"}`, Identity, "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."},
		{`{"Effect":"Allow","Action":"a:B:C","Resource":"*"}`, Identity, "Actions/Condition can contain only one colon."},
		{`{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}`, Trust, ""},
		{`{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"lambda:Invoke"}`, Trust, "AssumeRole policy may only specify STS AssumeRole actions."},
		{`{"Effect":"Allow","Action":"sts:AssumeRole"}`, Trust, "Missing required field Principal"},
		{`{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole","Resource":"*"}`, Trust, "Has prohibited field Resource"},
	} {
		got := ""
		if err := parse(t, `{"Statement":`+c.statement+`}`).ValidFor(c.use); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s for %d: %q, want %q", c.statement, c.use, got, c.want)
		}
	}
}

// FuzzParse looks for panics, and for documents that decide differently when
// they are read twice.
func FuzzParse(f *testing.F) {
	f.Add(permission, "arn:aws:execute-api:us-east-1:000000000000:abc123/prod/POST/timestamper", "x")
	f.Add(`{"Version":"2012-10-17","Statement":{"Effect":"Deny","NotPrincipal":{"AWS":"1"},"NotAction":"a:*","NotResource":"${k}*?","Condition":{"ForAllValues:ArnLike":{"k":["arn:*:${k, 'x'}:::*"]}}}}`, "arn:a:b:c:d:e", "\xff*")
	f.Add(`{"Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Condition":{"NumericLessThan":{"k":1},"DateEquals":{"k":"2026"},"IpAddress":{"k":"::/0"},"Null":{"k":true}}}]}`, "1", "k")
	f.Fuzz(func(t *testing.T, text, value, other string) {
		d, err := Parse([]byte(text))
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Message == "" {
				t.Fatalf("%T without words", err)
			}
			return
		}
		again, err := Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range []Use{Resource, Identity, Trust} {
			_ = d.ValidFor(u)
		}
		r := &Request{
			Principal: Principal{AWS: value, Service: other}, Action: other, Resource: value, Identity: true,
			Context: map[string][]string{"k": {value, other}, "aws:sourcearn": {value}, "aws:sourceaccount": {"000000000000"}},
		}
		if a, b := d.Evaluate(r), again.Evaluate(r); a != b {
			t.Fatalf("%v, then %v", a, b)
		}
	})
}
