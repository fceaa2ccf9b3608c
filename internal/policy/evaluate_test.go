package policy

import (
	"fmt"
	"testing"
)

// decide evaluates one Allow statement made of the given members.
func decide(t *testing.T, members string, r Request) bool {
	t.Helper()
	d := parse(t, `{"Version":"2012-10-17","Statement":{"Effect":"Allow",`+members+`}}`)
	return d.Evaluate(&r) == Allowed
}

func TestPrincipals(t *testing.T) {
	const (
		user    = "arn:aws:iam::111111111111:user/u"
		session = "arn:aws:sts::111111111111:assumed-role/deploy/s1"
	)
	for _, c := range []struct {
		principal string
		who       Principal
		want      bool
	}{
		{`"Principal":"*"`, Principal{}, true},
		{`"Principal":"*"`, Principal{Service: "s3.amazonaws.com"}, true},
		{`"Principal":{"AWS":"*"}`, Principal{}, true},
		{`"Principal":{"AWS":"111111111111"}`, Principal{AWS: user}, true},
		{`"Principal":{"AWS":"arn:aws:iam::111111111111:root"}`, Principal{AWS: user}, true},
		{`"Principal":{"AWS":"arn:aws:iam::111111111111:root"}`, Principal{AWS: session}, true},
		{`"Principal":{"AWS":"arn:aws:iam::111111111111:root"}`, Principal{AWS: "111111111111"}, true},
		{`"Principal":{"AWS":"111111111111"}`, Principal{AWS: "arn:aws:iam::111111111112:user/u"}, false},
		{`"Principal":{"AWS":"111111111111"}`, Principal{}, false},
		{`"Principal":{"AWS":"111111111111"}`, Principal{Service: "111111111111"}, false},
		{`"Principal":{"AWS":["222222222222","` + user + `"]}`, Principal{AWS: user}, true},
		{`"Principal":{"AWS":"` + user + `"}`, Principal{AWS: user + "2"}, false},
		{`"Principal":{"AWS":"` + user + `"}`, Principal{AWS: "111111111111"}, false},
		{`"Principal":{"AWS":"arn:aws:iam::111111111111:role/path/deploy"}`, Principal{AWS: session}, true},
		{`"Principal":{"AWS":"arn:aws:iam::111111111111:role/deploy2"}`, Principal{AWS: session}, false},
		{`"Principal":{"AWS":"arn:aws:iam::222222222222:role/deploy"}`, Principal{AWS: session}, false},
		{`"Principal":{"AWS":"` + session + `"}`, Principal{AWS: session}, true},
		{`"Principal":{"Service":["a.amazonaws.com","b.amazonaws.com"]}`, Principal{Service: "b.amazonaws.com"}, true},
		{`"Principal":{"Service":"a.amazonaws.com"}`, Principal{AWS: "a.amazonaws.com"}, false},
		{`"Principal":{"Federated":"accounts.google.com"}`, Principal{Federated: "accounts.google.com"}, true},
		{`"Principal":{"CanonicalUser":"79a59df900b949e5"}`, Principal{AWS: user}, false},
		{`"Principal":{"AWS":"222222222222","Service":"a.amazonaws.com"}`, Principal{Service: "a.amazonaws.com"}, true},
	} {
		got := decide(t, c.principal+`,"Action":"a:B","Resource":"*"`, Request{Principal: c.who, Action: "a:B", Resource: "r"})
		if got != c.want {
			t.Errorf("%s and %+v: %v", c.principal, c.who, got)
		}
	}
}

func TestActionsAndResources(t *testing.T) {
	for _, c := range []struct {
		members, action, resource string
		want                      bool
	}{
		{`"Action":"lambda:*","Resource":"*"`, "lambda:InvokeFunction", "arn:x", true},
		{`"Action":"lambda:Invoke*","Resource":"*"`, "LAMBDA:INVOKEFUNCTION", "arn:x", true},
		{`"Action":"lambda:Invoke*","Resource":"*"`, "lambda:Invok", "arn:x", false},
		{`"Action":"lambda:Get?","Resource":"*"`, "lambda:GetX", "arn:x", true},
		{`"Action":"lambda:Get?","Resource":"*"`, "lambda:Get", "arn:x", false},
		{`"Action":"lambda:Get?","Resource":"*"`, "lambda:GetXY", "arn:x", false},
		{`"Action":"*:*Function","Resource":"*"`, "lambda:InvokeFunction", "arn:x", true},
		{`"Action":["s3:*","lambda:GetFunction"],"Resource":"*"`, "lambda:GetFunction", "arn:x", true},
		{`"NotAction":"iam:*","Resource":"*"`, "lambda:GetFunction", "arn:x", true},
		{`"NotAction":"iam:*","Resource":"*"`, "iam:GetRole", "arn:x", false},
		{`"Action":"*","Resource":"arn:aws:s3:::b/*"`, "s3:Get", "arn:aws:s3:::b/k/l", true},
		{`"Action":"*","Resource":"arn:aws:s3:::b/*"`, "s3:Get", "arn:aws:s3:::b", false},
		{`"Action":"*","Resource":"arn:aws:s3:::b/*"`, "s3:Get", "arn:aws:s3:::B/k", false},
		{`"Action":"*","Resource":"arn:aws:s3:::b/?"`, "s3:Get", "arn:aws:s3:::b/ä", true},
		{`"Action":"*","Resource":"arn:*:b/a*c*e"`, "s3:Get", "arn:aws:s3:::b/abcde", true},
		{`"Action":"*","Resource":"arn:*:b/a*c*e"`, "s3:Get", "arn:aws:s3:::b/abcdef", false},
		{`"Action":"*","NotResource":"arn:aws:s3:::secret*"`, "s3:Get", "arn:aws:s3:::public", true},
		{`"Action":"*","NotResource":"arn:aws:s3:::secret*"`, "s3:Get", "arn:aws:s3:::secrets", false},
		{`"Action":"*","Resource":"arn:aws:s3:::${*}"`, "s3:Get", "arn:aws:s3:::*", true},
		{`"Action":"*","Resource":"arn:aws:s3:::${*}"`, "s3:Get", "arn:aws:s3:::x", false},
		{`"Action":"*","Resource":"arn:aws:s3:::${$}${?}"`, "s3:Get", "arn:aws:s3:::$?", true},
	} {
		if got := decide(t, `"Principal":"*",`+c.members, Request{Action: c.action, Resource: c.resource}); got != c.want {
			t.Errorf("%s, %s on %s: %v", c.members, c.action, c.resource, got)
		}
	}
}

func TestDecisions(t *testing.T) {
	allow := `{"Effect":"Allow","Principal":"*","Action":"a:*","Resource":"*"}`
	deny := `{"Effect":"Deny","Principal":"*","Action":"a:Deleted","Resource":"*"}`
	own := `{"Effect":"Allow","Action":"a:*","Resource":"*"}`
	others := `{"Effect":"Deny","NotPrincipal":{"AWS":"111111111111"},"Action":"a:*","Resource":"*"}`
	for _, c := range []struct {
		statements string
		r          Request
		want       Decision
	}{
		{`[` + allow + `,` + deny + `]`, Request{Action: "a:Deleted"}, Denied},
		{`[` + deny + `,` + allow + `]`, Request{Action: "a:Deleted"}, Denied},
		{`[` + deny + `,` + allow + `]`, Request{Action: "a:Read"}, Allowed},
		{`[` + deny + `]`, Request{Action: "a:Read"}, Implicit},
		{`[]`, Request{Action: "a:Read"}, Implicit},
		{own, Request{Action: "a:Read"}, Implicit}, // as a resource's policy it names nobody
		{own, Request{Action: "a:Read", Identity: true}, Allowed},
		{`[` + allow + `,` + others + `]`, Request{Action: "a:Read", Principal: Principal{AWS: "arn:aws:iam::111111111111:user/u"}}, Allowed},
		{`[` + allow + `,` + others + `]`, Request{Action: "a:Read", Principal: Principal{AWS: "arn:aws:iam::222222222222:user/u"}}, Denied},
	} {
		if got := parse(t, `{"Version":"2012-10-17","Statement":`+c.statements+`}`).Evaluate(&c.r); got != c.want {
			t.Errorf("%s: %v, want %v", c.statements, got, c.want)
		}
	}
}

func TestConditions(t *testing.T) {
	type ctx = map[string][]string
	with := func(kv ...string) ctx {
		c := ctx{}
		for i := 0; i+1 < len(kv); i += 2 {
			c[kv[i]] = append(c[kv[i]], kv[i+1])
		}
		return c
	}
	ip := func(s string) ctx { return with("aws:sourceip", s) }
	n := func(s string) ctx { return with("k", s) }
	for _, c := range []struct {
		condition string
		ctx       ctx
		want      bool
	}{
		{`"StringEquals":{"K":"v"}`, n("v"), true}, // keys without regard to case
		{`"StringEquals":{"k":"v"}`, n("V"), false},
		{`"StringEquals":{"k":["u","v"]}`, n("v"), true},
		{`"StringEquals":{"k":"v*"}`, n("vw"), false},
		{`"StringEquals":{"k":"v"}`, nil, false},
		{`"StringEquals":{"k":"v"}`, ctx{"k": {}}, false},
		{`"StringEqualsIfExists":{"k":"v"}`, nil, true},
		{`"StringEqualsIfExists":{"k":"v"}`, n("w"), false},
		{`"StringNotEquals":{"k":["u","v"]}`, n("w"), true},
		{`"StringNotEquals":{"k":["u","v"]}`, n("v"), false},
		{`"StringNotEquals":{"k":"v"}`, nil, true},
		{`"StringEqualsIgnoreCase":{"k":"VaL"}`, n("vAl"), true},
		{`"StringNotEqualsIgnoreCase":{"k":"VaL"}`, n("vAl"), false},
		{`"StringLike":{"k":"a*z?"}`, n("abz1"), true},
		{`"StringLike":{"k":"a*z?"}`, n("abz"), false},
		{`"StringNotLike":{"k":"a*"}`, n("abz"), false},
		{`"stringlike":{"k":"a*"}`, n("abz"), true},
		{`"StringEquals":{"k":"v","j":"w"}`, with("k", "v"), false}, // keys: and
		{`"StringEquals":{"k":"v"},"StringLike":{"j":"w*"}`, with("k", "v", "j", "wx"), true},
		{`"StringEquals":{"k":"v"},"StringLike":{"j":"w*"}`, with("k", "v", "j", "x"), false},
		{`"NumericEquals":{"k":10}`, n("10.0"), true},
		{`"NumericNotEquals":{"k":10}`, n("10"), false},
		{`"NumericLessThan":{"k":10}`, n("10"), false},
		{`"NumericLessThan":{"k":10}`, n("9.99"), true},
		{`"NumericLessThanEquals":{"k":"10"}`, n("10"), true},
		{`"NumericLessThanEquals":{"k":"10"}`, n("10.01"), false},
		{`"NumericGreaterThan":{"k":10}`, n("10"), false},
		{`"NumericGreaterThanEquals":{"k":10}`, n("10"), true},
		{`"NumericGreaterThanEquals":{"k":-1}`, n("NaN"), false},
		{`"NumericGreaterThan":{"k":10}`, n("0x20"), false},
		{`"DateLessThan":{"k":"2026-11-24T00:00:00Z"}`, n("2026-11-23T23:59:59Z"), true},
		{`"DateLessThan":{"k":"2026-11-24T00:00:00Z"}`, n("2026-11-24T00:00:00Z"), false},
		{`"DateGreaterThanEquals":{"k":"2026-11-24"}`, n("2026-11-24T00:00:00Z"), true},
		{`"DateGreaterThan":{"k":"2026-11-24T00:00:00+01:00"}`, n("2026-11-23T23:30:00Z"), true},
		{`"DateEquals":{"k":"1764000000"}`, n("2025-11-24T16:00:00Z"), true},
		{`"DateNotEquals":{"k":"2026"}`, n("2026-01-01T00:00:00Z"), false},
		{`"DateLessThan":{"k":"2026-11-24"}`, n("yesterday"), false},
		{`"Bool":{"aws:SecureTransport":"true"}`, with("aws:securetransport", "true"), true},
		{`"Bool":{"aws:SecureTransport":true}`, with("aws:securetransport", "false"), false},
		{`"Bool":{"aws:SecureTransport":false}`, with("aws:securetransport", "false"), true},
		{`"BinaryEquals":{"k":"QmluYXJ5"}`, n("QmluYXJ5"), true},
		{`"BinaryEquals":{"k":"QmluYXJ5"}`, n("QmluYXJ6"), false},
		{`"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}`, ip("203.0.113.255"), true},
		{`"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}`, ip("203.0.114.0"), false},
		{`"IpAddress":{"aws:SourceIp":"203.0.113.7"}`, ip("203.0.113.7"), true},
		{`"IpAddress":{"aws:SourceIp":"203.0.113.7/24"}`, ip("203.0.113.9"), true},
		{`"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}`, ip("::ffff:203.0.113.7"), true},
		{`"IpAddress":{"aws:SourceIp":"2001:db8::/32"}`, ip("2001:db8:1::1"), true},
		{`"IpAddress":{"aws:SourceIp":"2001:db8::/32"}`, ip("2001:db9::1"), false},
		{`"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}`, ip("nonsense"), false},
		{`"NotIpAddress":{"aws:SourceIp":["10.0.0.0/8","192.168.0.0/16"]}`, ip("192.168.1.1"), false},
		{`"NotIpAddress":{"aws:SourceIp":["10.0.0.0/8","192.168.0.0/16"]}`, ip("172.16.0.1"), true},
		{`"Null":{"k":"true"}`, nil, true},
		{`"Null":{"k":true}`, n("x"), false},
		{`"Null":{"k":"false"}`, n("x"), true},
		{`"Null":{"k":"false"}`, nil, false},
		{`"ArnLike":{"k":"arn:aws:s3:::b*"}`, n("arn:aws:s3:::bucket"), true},
		{`"ArnLike":{"k":"arn:aws:*:::b"}`, n("arn:aws:s3:::b"), true},
		{`"ArnLike":{"k":"arn:aws:s3*:b"}`, n("arn:aws:s3:::b"), false}, // not over colons
		{`"ArnLike":{"k":"arn:aws:*"}`, n("arn:aws:s3:::b"), false},
		{`"ArnLike":{"k":"arn:aws:sns:*:*:a:*"}`, n("arn:aws:sns:r:1:a:b:c"), true}, // the sixth part may hold colons
		{`"ArnLike":{"k":"arn:aws:sns:*:1:a"}`, n("arn:aws:sns:r:2:a"), false},
		{`"ArnLike":{"k":"*"}`, n("arn:aws:s3:::b"), true},
		{`"ArnLike":{"k":"*"}`, n("b"), false},
		{`"ArnLike":{"k":"*"}`, n("urn:aws:s3:::b"), false},
		{`"ArnEquals":{"k":"arn:aws:s3:::b?"}`, n("arn:aws:s3:::b1"), true},
		{`"ArnNotEquals":{"k":"arn:aws:s3:::b"}`, n("arn:aws:s3:::c"), true},
		{`"ArnNotLike":{"k":"arn:aws:s3:::*"}`, n("arn:aws:s3:::c"), false},
		{`"ForAnyValue:StringEquals":{"k":["a","b"]}`, with("k", "z", "k", "b"), true},
		{`"ForAnyValue:StringEquals":{"k":["a","b"]}`, with("k", "z"), false},
		{`"ForAnyValue:StringEquals":{"k":"a"}`, nil, false},
		{`"ForAnyValue:StringNotEquals":{"k":"a"}`, with("k", "a", "k", "b"), true},
		{`"ForAnyValue:StringNotEquals":{"k":"a"}`, with("k", "a"), false},
		{`"ForAnyValue:StringNotEquals":{"k":"a"}`, nil, false},
		{`"ForAnyValue:StringEqualsIfExists":{"k":"a"}`, nil, true},
		{`"ForAllValues:StringEquals":{"k":["a","b"]}`, with("k", "a", "k", "b"), true},
		{`"ForAllValues:StringEquals":{"k":["a","b"]}`, with("k", "a", "k", "z"), false},
		{`"ForAllValues:StringEquals":{"k":"a"}`, nil, true},
		{`"ForAllValues:StringNotEquals":{"k":"a"}`, with("k", "b", "k", "c"), true},
		{`"ForAllValues:StringNotEquals":{"k":"a"}`, with("k", "b", "k", "a"), false},
		{`"StringEquals":{"k":"${aws:username}"}`, with("k", "ann", "aws:username", "ann"), true},
		{`"StringEquals":{"k":"${aws:username}"}`, with("k", "ann", "aws:username", "bob"), false},
		{`"StringEquals":{"k":"${aws:username}"}`, n("${aws:username}"), false}, // no value: no match
		{`"StringEquals":{"k":"${aws:username, 'ann'}"}`, n("ann"), true},
		{`"StringLike":{"k":"home/${AWS:UserName}/*"}`, with("k", "home/ann/x", "aws:username", "ann"), true},
		{`"StringLike":{"k":"home/${aws:username}/*"}`, with("k", "home/ann/x", "aws:username", "*"), false}, // values are literal
		{`"StringLike":{"k":"${aws:username}"}`, with("k", "ann", "aws:username", "\xff"), false},
		{`"StringEqualsIgnoreCase":{"k":"${aws:username}"}`, with("k", "ANN", "aws:username", "Ann"), true},
		{`"ArnLike":{"k":"arn:aws:iam::${aws:principalaccount}:role/*"}`, with("k", "arn:aws:iam::1:role/r", "aws:principalaccount", "1"), true},
		{`"ArnLike":{"k":"arn:aws:iam::${aws:principalaccount}:role/*"}`, with("k", "arn:aws:iam::1:role/r", "aws:principalaccount", "2"), false},
	} {
		got := decide(t, `"Principal":"*","Action":"*","Resource":"*","Condition":{`+c.condition+`}`, Request{Action: "a:B", Context: c.ctx})
		if got != c.want {
			t.Errorf("%s with %v: %v", c.condition, c.ctx, got)
		}
	}
}

// TestVariablesNeedTheNewVersion: before 2012 a ${ is text.
func TestVariablesNeedTheNewVersion(t *testing.T) {
	r := Request{Action: "a:B", Resource: "arn:${aws:username}", Context: map[string][]string{"aws:username": {"ann"}}}
	for version, want := range map[string]Decision{`"Version":"2008-10-17",`: Allowed, ``: Allowed, `"Version":"2012-10-17",`: Implicit} {
		d := parse(t, `{`+version+`"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"arn:${aws:username}"}}`)
		if got := d.Evaluate(&r); got != want {
			t.Errorf("%q: %v, want %v", version, got, want)
		}
	}
}

// slowGlob is the definition of a wildcard match.
func slowGlob(pattern, s []rune) bool {
	if len(pattern) == 0 {
		return len(s) == 0
	}
	switch pattern[0] {
	case '*':
		return slowGlob(pattern[1:], s) || len(s) > 0 && slowGlob(pattern, s[1:])
	case '?':
		return len(s) > 0 && slowGlob(pattern[1:], s[1:])
	}
	return len(s) > 0 && s[0] == pattern[0] && slowGlob(pattern[1:], s[1:])
}

// TestGlobAgainstDefinition tries every small pattern on every small string.
func TestGlobAgainstDefinition(t *testing.T) {
	words := func(alphabet string, longest int) []string {
		all, last := []string{""}, []string{""}
		for range longest {
			var next []string
			for _, w := range last {
				for _, c := range alphabet {
					next = append(next, w+string(c))
				}
			}
			all, last = append(all, next...), next
		}
		return all
	}
	values := words("aä", 5)
	for _, p := range words("aä*?", 5) {
		compiled, err := compilePattern(p, syntax{wild: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range values {
			if got := compiled.match(v, nil); got != slowGlob([]rune(p), []rune(v)) {
				t.Fatalf("%q on %q: %v", p, v, got)
			}
		}
	}
}

func BenchmarkEvaluateManyStatements(b *testing.B) {
	text := `{"Version":"2012-10-17","Statement":[`
	for i := range 100 {
		text += fmt.Sprintf(`{"Effect":"Allow","Principal":{"Service":"apigateway.amazonaws.com"},"Action":"lambda:InvokeFunction","Resource":"*",`+
			`"Condition":{"ArnLike":{"AWS:SourceArn":"arn:aws:execute-api:us-east-1:000000000000:api%d/*/POST/x"}}},`, i)
	}
	d, r := parse(b, text[:len(text)-1]+`]}`), gatewayRequest()
	b.ReportAllocs()
	for b.Loop() {
		if d.Evaluate(r) != Implicit {
			b.Fatal("allowed")
		}
	}
}
