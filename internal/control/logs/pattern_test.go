package logs

import (
	"strings"
	"testing"
)

// TestFilterPattern holds the examples of AWS's page on filter patterns.
func TestFilterPattern(t *testing.T) {
	const (
		bad          = "[ERROR 400] BAD REQUEST"
		unauthorized = "[ERROR 401] UNAUTHORIZED REQUEST"
		missing      = "[ERROR 419] MISSING ARGUMENTS"
		internal     = "[ERROR 500] INTERNAL SERVER ERROR"
		fine         = "[INFO 200] SUCCESSFUL REQUEST"
	)
	all := []string{bad, unauthorized, missing, internal, fine}
	for text, want := range map[string][]string{
		"":                          all,
		"  ":                        all,
		`"   "`:                     all,
		"ERROR":                     {bad, unauthorized, missing, internal},
		"error":                     {},
		"ERR":                       {bad, unauthorized, missing, internal},
		"ERROR ARGUMENTS":           {missing},
		"  ERROR \t ARGUMENTS ":     {missing},
		"?ERROR ?SUCCESSFUL":        all,
		"?ARGUMENTS ?INTERNAL":      {missing, internal},
		"?ERROR ?ARGUMENTS REQUEST": {bad, unauthorized, fine}, // the optional ones have no effect
		"?ERROR -ARGUMENTS":         {bad, unauthorized, internal, fine},
		`"INTERNAL SERVER ERROR"`:   {internal},
		`"ERROR 4"`:                 {bad, unauthorized, missing},
		"ERROR -ARGUMENTS":          {bad, unauthorized, internal},
		"-REQUEST":                  {missing, internal},
		`-"BAD REQUEST" ERROR`:      {unauthorized, missing, internal},
		`?"400]" ?"500]"`:           {bad, internal},
		`"\[ERROR"`:                 {bad, unauthorized, missing, internal},
		`"no \"such\" phrase"`:      {},
	} {
		p, err := parsePattern(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		var got []string
		for _, message := range all {
			if p.matches(message) {
				got = append(got, message)
			}
		}
		if strings.Join(got, ",") != strings.Join(want, ",") {
			t.Errorf("%q matches %q, want %q", text, got, want)
		}
	}
	for text, want := range map[string]string{
		`{ $.x = "y" }`: "JSON", `[a, b]`: "space-delimited", `%AUTH%`: "regular expressions", `-%x%`: "regular expressions",
		"RequestId:": "term 'RequestId:'", "a-b": "term 'a-b'", `x"y"`: "Invalid character(s)", `"open`: "not closed", `"open\`: "not closed",
		"-": "Invalid filter pattern", "? x": "Invalid filter pattern", "$.x": "term '$.x'",
	} {
		if _, err := parsePattern(text); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "InvalidParameterException: Invalid") {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func FuzzFilterPattern(f *testing.F) {
	for _, s := range []string{"", "a -b ?c", `"a \" b"`, `-"`, "{", "%a%", `"\`} {
		f.Add(s, "a b c")
	}
	f.Fuzz(func(t *testing.T, text, message string) {
		p, err := parsePattern(text)
		if err == nil && p.matches(message) {
			for _, term := range p.exclude {
				if strings.Contains(message, term) {
					t.Errorf("%q lets %q through", text, message)
				}
			}
		}
	})
}
