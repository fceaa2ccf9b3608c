package catalog

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// broken fails unless err is a violation of that class whose text holds part;
// a part of "" wants no error.
func broken(t *testing.T, name string, err error, class Class, part string) {
	t.Helper()
	var rule *Error
	switch {
	case part == "" && err == nil:
	case part == "":
		t.Errorf("%s: %v", name, err)
	case !errors.As(err, &rule) || rule.Class != class || !strings.Contains(rule.Message, part):
		t.Errorf("%s: %v, want %q", name, err, part)
	}
}

func TestRestAPICheck(t *testing.T) {
	size := func(n int) func(*RestAPI) { return func(a *RestAPI) { a.MinimumCompressionSize = &n } }
	for name, c := range map[string]struct {
		change func(*RestAPI)
		want   string
	}{
		"plain":          {func(*RestAPI) {}, ""},
		"no name":        {func(a *RestAPI) { a.Name = "" }, "Name cannot"},
		"longest name":   {func(a *RestAPI) { a.Name = strings.Repeat("é", 1024) }, ""},
		"longer name":    {func(a *RestAPI) { a.Name = strings.Repeat("é", 1025) }, "1024"},
		"compression 0":  {size(0), ""},
		"compression -1": {size(-1), "Invalid minimum compression size"},
		"compression 10": {size(10_485_760), ""},
		"compression +1": {size(10_485_761), "Invalid minimum compression size"},
		"key source":     {func(a *RestAPI) { a.APIKeySource = "QUERY" }, "key source"},
		"policy":         {func(a *RestAPI) { a.Policy = strings.Repeat("x", 8192) }, ""},
		"policy longer":  {func(a *RestAPI) { a.Policy = strings.Repeat("x", 8193) }, "8192"},
		"no endpoint":    {func(a *RestAPI) { a.EndpointTypes = []string{} }, "DISABLED"},
		"private ipv4":   {func(a *RestAPI) { a.EndpointTypes = []string{EndpointPrivate} }, "Only dualstack"},
	} {
		a := RestAPI{Name: "n"}
		a.SetDefaults()
		c.change(&a)
		broken(t, name, a.Check(), Invalid, c.want)
	}
}

func TestPathParts(t *testing.T) {
	for _, ok := range []string{"pets", "a.b_c-d", "v1:x", "{id}", "{proxy+}", "a,b"} {
		broken(t, ok, CheckPathPart(ok), Invalid, "")
	}
	for _, bad := range []string{"", "a b", "{", "}", "{}", "{+}", "{a+}b", "a{b}", "a/b", "%20", "é", strings.Repeat("a", 1025)} {
		broken(t, bad, CheckPathPart(bad), Invalid, "path part")
	}
}

// However resources are made, renamed, moved and deleted, each path is its
// parent's and its own part, and no two siblings share one.
func TestTreeKeepsPaths(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tree := NewTree([]Resource{{APIID: "a", ID: "root", Path: "/"}})
		parts := rapid.SampledFrom([]string{"a", "b", "{v}", "{w}", "{p+}"})
		ids := rapid.SampledFrom([]string{"root", "1", "2", "3", "4", "5", "6"})
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			r := Resource{APIID: "a", ID: ids.Draw(t, "id"), ParentID: ids.Draw(t, "parent"), PathPart: parts.Draw(t, "part")}
			if r.ID == "root" {
				continue
			}
			if rapid.Float64().Draw(t, "delete") < 0.1 && tree[r.ID].ID != "" {
				for _, gone := range tree.Below(r.ID) {
					delete(tree, gone.ID)
				}
				continue
			}
			before := map[string]string{}
			for id, x := range tree {
				before[id] = x.Path
			}
			if tree.Check(r) != nil {
				continue
			}
			changed := map[string]bool{}
			for _, c := range tree.Put(r) {
				changed[c.ID] = true
			}
			for id, x := range tree {
				if x.Path != before[id] && !changed[id] {
					t.Fatalf("%s moved from %s to %s and Put does not tell", id, before[id], x.Path)
				}
			}
		}
		checkTree(t, tree)
	})
}

func checkTree(t *rapid.T, tree Tree) {
	seen := map[string]string{}
	for id, r := range tree {
		if other, taken := seen[r.Path]; taken {
			t.Fatalf("%s and %s share %s", id, other, r.Path)
		}
		seen[r.Path] = id
		if r.Root() {
			continue
		}
		parent, ok := tree[r.ParentID]
		if !ok || r.Path != JoinPath(parent.Path, r.PathPart) || parent.Greedy() {
			t.Fatalf("%+v stands below %+v", r, parent)
		}
		for _, other := range tree {
			if other.ID != id && other.ParentID == r.ParentID && other.Variable() && r.Variable() {
				t.Fatalf("%+v and %+v are both variable", r, other)
			}
		}
	}
}

func TestIntegrationTimeouts(t *testing.T) {
	for timeout, want := range map[int]string{49: "Timeout", 50: "", 29_000: "", 29_001: "Timeout"} {
		i := Integration{Type: IntegrationMock}
		i.SetDefaults("r")
		i.TimeoutInMillis = timeout
		broken(t, "timeout", i.Check(&Method{}), Invalid, want)
	}
}

func TestStageNamesAndVariables(t *testing.T) {
	broken(t, "name", CheckStageName("Az09_-"), Invalid, "")
	broken(t, "longest", CheckStageName(strings.Repeat("a", 128)), Invalid, "")
	broken(t, "longer", CheckStageName(strings.Repeat("a", 129)), Invalid, "128")
	broken(t, "dot", CheckStageName("a.b"), Invalid, "Stage name only allows a-zA-Z0-9_-")
	broken(t, "empty", CheckStageName(""), Invalid, "Stage name only allows a-zA-Z0-9_-")
	broken(t, "variable", CheckVariables(map[string]string{strings.Repeat("a", 64): strings.Repeat("b", 512)}), Invalid, "")
	broken(t, "variable name", CheckVariables(map[string]string{strings.Repeat("a", 65): ""}), Invalid, "name")
	broken(t, "variable value", CheckVariables(map[string]string{"a": strings.Repeat("b", 513)}), Invalid, "value")
	broken(t, "variable text", CheckVariables(map[string]string{"a": "<"}), Invalid, "value")
}

func TestMethodKeys(t *testing.T) {
	for _, c := range []struct {
		path, verb, want string
		ok               bool
	}{
		{"*", "*", "*/*", true},
		{"/pets/{id}", "GET", "pets/{id}/GET", true},
		{"pets", "ANY", "pets/ANY", true},
		{"/", "GET", "//GET", true},
		{"", "GET", "//GET", true},
		{"*", "GET", "", false},
		{"pets", "*", "", false},
		{"pets", "get", "", false},
	} {
		if got, ok := MethodKey(c.path, c.verb); got != c.want || ok != c.ok {
			t.Errorf("%q %q: %q %v", c.path, c.verb, got, ok)
		}
	}
	for want, c := range map[string][2]string{"//GET": {"/", "GET"}, "/pets/GET": {"/pets", "GET"}, "/a/b/ANY": {"a/b/", "ANY"}} {
		if got := ThrottleKey(c[0], c[1]); got != want {
			t.Errorf("%v: %q, want %q", c, got, want)
		}
	}
}

func TestTagRules(t *testing.T) {
	broken(t, "longest", CheckTags(map[string]string{strings.Repeat("k", 128): strings.Repeat("v", 256)}), Invalid, "")
	broken(t, "key", CheckTags(map[string]string{strings.Repeat("k", 129): ""}), Invalid, "128")
	broken(t, "empty key", CheckTags(map[string]string{"": ""}), Invalid, "128")
	broken(t, "value", CheckTags(map[string]string{"k": strings.Repeat("v", 257)}), Invalid, "256")
	broken(t, "reserved", CheckTags(map[string]string{"Aws:k": ""}), Invalid, "reserved")
}
