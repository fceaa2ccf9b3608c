package catalog_test

import (
	"errors"
	"strings"
	"testing"

	"weir/internal/catalog"
)

func TestFunctionRef(t *testing.T) {
	const arn = "arn:aws:lambda:us-east-1:123456789012:function:f"
	for s, want := range map[string]catalog.FunctionRef{
		"f":                           {Name: "f"},
		"f:live":                      {Name: "f", Qualifier: "live"},
		"f:$LATEST":                   {Name: "f", Qualifier: "$LATEST"},
		"function:f":                  {Name: "f"},
		"123456789012:function:f:7":   {Account: "123456789012", Name: "f", Qualifier: "7"},
		arn:                           {Region: "us-east-1", Account: "123456789012", Name: "f"},
		arn + ":7":                    {Region: "us-east-1", Account: "123456789012", Name: "f", Qualifier: "7"},
		strings.TrimSuffix(arn, ":f"): {Region: "us-east-1", Account: "123456789012", Name: "function"},
		strings.Repeat("a", 256):      {Name: strings.Repeat("a", 256)},
		"arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:f": {Region: "us-gov-west-1", Account: "123456789012", Name: "f"},
	} {
		if got, ok := catalog.ParseFunctionRef(s); !ok || got != want {
			t.Errorf("%s: %+v %v", s, got, ok)
		}
	}
	for _, s := range []string{
		"", ":", "f:", ":f", "a b", "f/g", "f.g", "f!", "f:1:2", "12345678901:function:f", "arn:aws:lambda:f", "arn:aws:s3:::b",
		"arn:aws:lambda::123456789012:function:f", "arn:aws:lambda:us-east-1::function:f", strings.Repeat("a", 257),
	} {
		if got, ok := catalog.ParseFunctionRef(s); ok {
			t.Errorf("%q read as %+v", s, got)
		}
	}
}

func FuzzFunctionRef(f *testing.F) {
	f.Add("arn:aws:lambda:us-east-1:123456789012:function:f:7")
	f.Add("123456789012:function:f")
	f.Fuzz(func(t *testing.T, s string) {
		ref, ok := catalog.ParseFunctionRef(s)
		if !ok {
			return
		}
		if ref.Region == "" || ref.Account == "" {
			return
		}
		again, ok := catalog.ParseFunctionRef(catalog.FunctionARN(ref.Region, ref.Account, ref.Name, ref.Qualifier))
		if !ok || again != ref {
			t.Fatalf("%q: %+v, then %+v", s, ref, again)
		}
	})
}

func TestIsAlias(t *testing.T) {
	for q, want := range map[string]bool{"live": true, "7a": true, "7": false, "$LATEST": false, "a$b": false, "a-_": true} {
		if catalog.IsAlias(q) != want {
			t.Errorf("%s: %v", q, !want)
		}
	}
}

// TestEnvironmentErrorsHoldNoValues: they may be secrets, and errors are logged.
func TestEnvironmentErrorsHoldNoValues(t *testing.T) {
	for _, vars := range []map[string]string{
		{"AWS_REGION": "sesame"},
		{"KEY": strings.Repeat("sesame", 800)},
	} {
		err := catalog.CheckEnvironment(vars)
		var e *catalog.Error
		if !errors.As(err, &e) || e.Class != catalog.Invalid || strings.Contains(e.Message, "sesame") {
			t.Errorf("%v", err)
		}
	}
}
