package publish

import (
	"errors"
	"math"
	"strings"
	"testing"
)

func TestASpecThatCannotBePublished(t *testing.T) {
	quota := &Quota{1, "DAY"}
	for _, c := range []struct {
		name  string
		spec  Spec
		fails string
	}{
		{"all defaults", Spec{Folder: "a/demo"}, ""},
		{"no folder", Spec{}, "name the folder"},
		{"name", Spec{Folder: "x", Name: "a b"}, `--name "a b"`},
		{"long name", Spec{Folder: "x", Name: strings.Repeat("n", 65)}, "1 to 64"},
		{"longest name", Spec{Folder: "x", Name: strings.Repeat("n", 64)}, ""},
		{"stage", Spec{Folder: "x", Stage: "a/b"}, "--stage"},
		{"rate", Spec{Folder: "x", Rate: -1}, "cannot be negative"},
		{"no rate", Spec{Folder: "x", Rate: math.NaN()}, "give a number"},
		{"endless rate", Spec{Folder: "x", Rate: math.Inf(1)}, "give a number"},
		{"burst", Spec{Folder: "x", Burst: -1}, "cannot be negative"},
		{"little memory", Spec{Folder: "x", Memory: 127}, "128 to 10240"},
		{"much memory", Spec{Folder: "x", Memory: 10241}, "128 to 10240"},
		{"timeout", Spec{Folder: "x", Timeout: 901}, "1 to 900"},
		{"longest timeout", Spec{Folder: "x", Timeout: 900}, ""},
		{"a variable", Spec{Folder: "x", Env: map[string]string{"A_1": "é 'q' $x"}}, ""},
		{"a variable of one letter", Spec{Folder: "x", Env: map[string]string{"A": "x"}}, "at least one more"},
		{"a variable with a dash", Spec{Folder: "x", Env: map[string]string{"A-B": "x"}}, "at least one more"},
		{"a folder without a name", Spec{Folder: "/"}, "choose one with --name"},
		{"no key and a quota", Spec{Folder: "x", Open: true, Quota: quota}, "exclude each other"},
		{"method", Spec{Folder: "x", Methods: []string{"get", "FETCH"}}, `--method "FETCH"`},
		{"root", Spec{Folder: "x", Path: "/"}, ""},
		{"no slash", Spec{Folder: "x", Path: "demo"}, "begin with a slash"},
		{"two slashes", Spec{Folder: "x", Path: "/a//b"}, `the part ""`},
		{"slash at the end", Spec{Folder: "x", Path: "/a/"}, `the part ""`},
		{"a parameter", Spec{Folder: "x", Path: "/a/{id}/b"}, ""},
		{"a greedy one", Spec{Folder: "x", Path: "/a/{proxy+}"}, ""},
		{"a greedy one inside", Spec{Folder: "x", Path: "/{proxy+}/a"}, "must be last"},
		{"a space", Spec{Folder: "x", Path: "/a b"}, `the part "a b"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.spec.complete()
			var refused *SpecError
			if c.fails == "" && err != nil || c.fails != "" && (!errors.As(err, &refused) || !strings.Contains(err.Error(), c.fails)) {
				t.Errorf("it said %v, want %q", err, c.fails)
			}
		})
	}
}

func TestNameOf(t *testing.T) {
	for folder, want := range map[string]string{
		"examples/timestamper": "timestamper", "./demo/": "demo", "/x/my function.v2": "my-function-v2", ".": "publish", "/": "",
	} {
		if got := NameOf(folder); got != want {
			t.Errorf("NameOf(%q) = %q, want %q", folder, got, want)
		}
	}
}

func TestParseQuota(t *testing.T) {
	for text, want := range map[string]Quota{"10/day": {10, "DAY"}, "1/WEEK": {1, "WEEK"}, "2147483647/month": {2147483647, "MONTH"}} {
		if got, err := ParseQuota(text); err != nil || *got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	if got, err := ParseQuota("none"); got != nil || err != nil {
		t.Errorf("none: %v, %v", got, err)
	}
	for _, text := range []string{"", "10", "10/year", "0/day", "-1/day", "ten/day", "2147483648/day", "10/day/x"} {
		if _, err := ParseQuota(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}
