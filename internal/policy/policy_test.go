package policy

import (
	"strings"
	"testing"
)

const (
	functionARN = "arn:aws:lambda:us-east-1:000000000000:function:timestamper"
	methodARN   = "arn:aws:execute-api:us-east-1:000000000000:abc123/prod/POST/timestamper"
)

// permission is what lambda add-permission stores for API Gateway.
const permission = `{"Version":"2012-10-17","Id":"default","Statement":[{"Sid":"apigw","Effect":"Allow",
	"Principal":{"Service":"apigateway.amazonaws.com"},"Action":"lambda:InvokeFunction",
	"Resource":"` + functionARN + `",
	"Condition":{"StringEquals":{"AWS:SourceAccount":"000000000000"},
	"ArnLike":{"AWS:SourceArn":"arn:aws:execute-api:us-east-1:000000000000:abc123/*/POST/timestamper"}}}]}`

func parse(t testing.TB, text string) *Document {
	t.Helper()
	d, err := Parse([]byte(text))
	if err != nil {
		t.Fatalf("Parse(%s): %v", text, err)
	}
	return d
}

func gatewayRequest() *Request {
	return &Request{
		Principal: Principal{Service: "apigateway.amazonaws.com"},
		Action:    "lambda:InvokeFunction",
		Resource:  functionARN,
		Context: map[string][]string{
			"aws:sourcearn": {methodARN}, "aws:sourceaccount": {"000000000000"},
		},
	}
}

func TestFunctionPermission(t *testing.T) {
	d := parse(t, permission)
	cases := []struct {
		name string
		edit func(*Request)
		want Decision
	}{
		{"as granted", func(*Request) {}, Allowed},
		{"other stage", func(r *Request) {
			r.Context["aws:sourcearn"] = []string{strings.Replace(methodARN, "/prod/", "/dev/", 1)}
		}, Allowed},
		{"other verb", func(r *Request) {
			r.Context["aws:sourcearn"] = []string{strings.Replace(methodARN, "POST", "GET", 1)}
		}, Implicit},
		{"other API", func(r *Request) {
			r.Context["aws:sourcearn"] = []string{strings.Replace(methodARN, "abc123", "abc124", 1)}
		}, Implicit},
		{"other service", func(r *Request) { r.Principal.Service = "events.amazonaws.com" }, Implicit},
		{"anonymous", func(r *Request) { r.Principal = Principal{} }, Implicit},
		{"other action", func(r *Request) { r.Action = "lambda:GetFunction" }, Implicit},
		{"action in another case", func(r *Request) { r.Action = "LAMBDA:invokefunction" }, Allowed},
		{"other function", func(r *Request) { r.Resource += "2" }, Implicit},
		{"qualified", func(r *Request) { r.Resource += ":1" }, Implicit},
		{"other account", func(r *Request) { r.Context["aws:sourceaccount"] = []string{"000000000001"} }, Implicit},
		{"source missing", func(r *Request) { delete(r.Context, "aws:sourcearn") }, Implicit},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := gatewayRequest()
			c.edit(r)
			if got := d.Evaluate(r); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func BenchmarkEvaluate(b *testing.B) {
	d, r := parse(b, permission), gatewayRequest()
	b.ReportAllocs()
	for b.Loop() {
		if d.Evaluate(r) != Allowed {
			b.Fatal("not allowed")
		}
	}
}

func TestEvaluateDoesNotAllocate(t *testing.T) {
	d, r := parse(t, permission), gatewayRequest()
	if n := testing.AllocsPerRun(100, func() { d.Evaluate(r) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
