package route

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"weir/internal/catalog"
)

func resources(t testing.TB, specs ...string) []catalog.Resource {
	t.Helper()
	var all []catalog.Resource
	for i, spec := range specs {
		path, list, _ := strings.Cut(spec, " ")
		r := catalog.Resource{APIID: "a", ID: fmt.Sprintf("r%d", i), Path: path, Methods: map[string]*catalog.Method{}}
		for verb := range strings.SplitSeq(list, ",") {
			if verb != "" {
				r.Methods[verb] = &catalog.Method{HTTPMethod: verb}
			}
		}
		all = append(all, r)
	}
	return all
}

func compile(t testing.TB, specs ...string) *Site {
	t.Helper()
	s, err := Compile(resources(t, specs...))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestMatchFollowsAWSRules(t *testing.T) {
	s := compile(t, "/ GET", "/test GET", "/{proxy+} OPTIONS,ANY", "/pets/{id} GET,ANY", "/pets/mine GET", "/part1/{x} POST",
		"/deep/{a}/{b} GET", "/deep/{a}/x/{rest+} GET")
	for _, c := range []struct {
		verb, path, want string // "verb path params", empty: no match
	}{
		{"GET", "", "GET / []"},
		{"GET", "/", "GET / []"},
		{"GET", "//", "GET / []"},
		{"POST", "/", ""}, // {proxy+} takes at least one segment
		{"GET", "/test", "GET /test []"},
		{"GET", "/test/", "GET /test []"},
		{"GET", "///test", "GET /test []"},
		{"OPTIONS", "/test", "OPTIONS /{proxy+} [{proxy test}]"},
		{"HEAD", "/test", "ANY /{proxy+} [{proxy test}]"}, // GET does not imply HEAD
		{"GET", "/Test", "ANY /{proxy+} [{proxy Test}]"},
		{"GET", "/pets/7", "GET /pets/{id} [{id 7}]"},
		{"PUT", "/pets/7", "ANY /pets/{id} [{id 7}]"},
		{"GET", "/pets/mine", "GET /pets/mine []"},
		{"DELETE", "/pets/mine", "ANY /pets/{id} [{id mine}]"},
		{"GET", "/pets", "ANY /{proxy+} [{proxy pets}]"},
		{"GET", "/pets/7/toys", "ANY /{proxy+} [{proxy pets/7/toys}]"},
		{"GET", "/part1/random", "ANY /{proxy+} [{proxy part1/random}]"},
		{"POST", "/part1/a%2Fb", "POST /part1/{x} [{x a%2Fb}]"},
		{"GET", "/a//b/", "ANY /{proxy+} [{proxy a//b}]"},
		{"GET", "/pets//", "ANY /{proxy+} [{proxy pets/}]"},
		{"GET", "/deep/1/2", "GET /deep/{a}/{b} [{a 1} {b 2}]"},
		{"GET", "/deep/1/x/2/3", "GET /deep/{a}/x/{rest+} [{a 1} {rest 2/3}]"},
		{"GET", "/deep/1/x", "GET /deep/{a}/{b} [{a 1} {b x}]"},
		{"TRACE", "/anything", ""},
		{"ANY", "/anything", ""},
		{"get", "/test", ""},
	} {
		got := ""
		if m, ok := s.Match(c.verb, c.path); ok {
			got = fmt.Sprintf("%s %s %v", s.Methods()[m.Method].Verb, s.Methods()[m.Method].ResourcePath, m.Params)
		}
		if got != c.want {
			t.Errorf("%s %s: got %q, want %q", c.verb, c.path, got, c.want)
		}
	}
}

func TestCompileRefusesWhatCannotBeRouted(t *testing.T) {
	for _, specs := range [][]string{
		{"pets GET"},
		{"//x GET"},
		{"/a/ GET"},
		{"/{} GET"},
		{"/{a GET"},
		{"/{+} GET"},
		{"/{a}x GET"},
		{"/{a+}/b GET"},
		{"/{a} GET", "/{b} GET"},
		{"/{a+} GET", "/{b+} GET"},
		{"/a GET", "/a POST"},
		{"/a FETCH"},
	} {
		if _, err := Compile(resources(t, specs...)); err == nil {
			t.Errorf("%v was compiled", specs)
		}
	}
}

func TestMethodIndexesAreDenseAndStable(t *testing.T) {
	a := compile(t, "/b GET,ANY", "/a POST,GET")
	b := compile(t, "/a GET,POST", "/b ANY,GET")
	var names [2][]string
	for i, s := range []*Site{a, b} {
		for _, m := range s.Methods() {
			names[i] = append(names[i], m.ResourcePath+" "+m.Verb)
		}
	}
	want := []string{"/a GET", "/a POST", "/b ANY", "/b GET"}
	if !reflect.DeepEqual(names[0], want) || !reflect.DeepEqual(names[1], want) {
		t.Errorf("got %v and %v, want %v", names[0], names[1], want)
	}
}

// slowMatch is the rules as one would say them: of all resources that fit the
// path and have the verb, the one whose parts are most specific from the left.
func slowMatch(all []catalog.Resource, verb, path string) (string, string, bool) {
	path = strings.TrimSuffix(strings.TrimLeft(path, "/"), "/")
	var segments []string
	if path != "" {
		segments = strings.Split(path, "/")
	}
	best, bestRank, bestVerb := "", "", ""
	for _, r := range all {
		var parts []string
		if r.Path != "/" {
			parts = strings.Split(r.Path[1:], "/")
		}
		rank, fits := "", true
		for i, part := range parts {
			switch {
			case strings.HasSuffix(part, "+}"):
				fits = fits && i < len(segments) && strings.Join(segments[i:], "/") != ""
				rank += "2"
			case strings.HasPrefix(part, "{"):
				fits = fits && i < len(segments) && segments[i] != ""
				rank += "1"
			default:
				fits = fits && i < len(segments) && segments[i] == part
				rank += "0"
			}
		}
		if !strings.HasSuffix(r.Path, "+}") && len(parts) != len(segments) {
			fits = false
		}
		chosen := ""
		if r.Methods[verb] != nil {
			chosen = verb
		} else if r.Methods["ANY"] != nil {
			chosen = "ANY"
		}
		if fits && chosen != "" && (bestVerb == "" || rank < bestRank) {
			best, bestRank, bestVerb = r.Path, rank, chosen
		}
	}
	return best, bestVerb, bestVerb != ""
}

// TestMatchAgainstSlowMatcher walks every set of up to three small resources
// with every small path.
func TestMatchAgainstSlowMatcher(t *testing.T) {
	var patterns []string
	parts := []string{"a", "b", "{x}", "{y+}"}
	patterns = append(patterns, "/")
	for _, p := range parts {
		patterns = append(patterns, "/"+p)
		if p == "{y+}" {
			continue
		}
		for _, q := range parts {
			patterns = append(patterns, "/"+p+"/"+q)
		}
	}
	var paths []string
	segments := []string{"", "a", "b", "c"}
	paths = append(paths, "", "/")
	for _, p := range segments {
		paths = append(paths, "/"+p)
		for _, q := range segments {
			paths = append(paths, "/"+p+"/"+q)
			for _, r := range segments {
				paths = append(paths, "/"+p+"/"+q+"/"+r)
			}
		}
	}
	verbSets := []string{"GET", "POST", "ANY", "GET,ANY"}
	n := 0
	for i := range patterns {
		for j := i; j < len(patterns); j++ {
			for k := j; k < len(patterns); k += 1 + (i+j)%2 {
				specs := []string{patterns[i] + " " + verbSets[(i+j+k)%4]}
				if j != i {
					specs = append(specs, patterns[j]+" "+verbSets[(j+2*k)%4])
				}
				if k != j {
					specs = append(specs, patterns[k]+" "+verbSets[(i+3*k)%4])
				}
				all := resources(t, specs...)
				site, err := Compile(all)
				if err != nil {
					t.Fatalf("%v: %v", specs, err)
				}
				for _, path := range paths {
					wantPath, wantVerb, want := slowMatch(all, "GET", path)
					m, ok := site.Match("GET", path)
					n++
					if ok != want {
						t.Fatalf("%v %q: match %v, want %v", specs, path, ok, want)
					}
					if ok && (site.Methods()[m.Method].ResourcePath != wantPath || site.Methods()[m.Method].Verb != wantVerb) {
						t.Fatalf("%v %q: got %v, want %s %s", specs, path, site.Methods()[m.Method], wantVerb, wantPath)
					}
				}
			}
		}
	}
	if n < 10000 {
		t.Fatalf("compared only %d matches", n)
	}
}

func TestParseAddress(t *testing.T) {
	for _, c := range []struct {
		host, path string
		want       Address
		ok         bool
	}{
		{"abc123.execute-api.us-east-1.localhost:8080", "/prod/x/y", Address{"abc123", "prod", "/x/y", true}, true},
		{"ABC123.Execute-API.eu-west-1.amazonaws.com", "/prod", Address{"abc123", "prod", "", true}, true},
		{"abc.execute-api.localhost", "/", Address{"abc", "", "", true}, true},
		{"abc.execute-api.localhost", "//prod/x", Address{"abc", "", "/prod/x", true}, true},
		{"abc.execute-api.localhost", "/restapis/zzz/prod/_user_request_/x", Address{"abc", "restapis", "/zzz/prod/_user_request_/x", true}, true},
		{"abc.execute-apix.localhost", "/prod", Address{}, false},
		{"execute-api.localhost", "/prod", Address{}, false},
		{".execute-api.localhost", "/prod", Address{}, false},
		{"abc.execute-api", "/prod", Address{}, false},
		{"localhost:4566", "/restapis/abc/prod/_user_request_/x/", Address{"abc", "prod", "/x/", false}, true},
		{"localhost:4566", "/restapis/abc/prod/_user_request_", Address{"abc", "prod", "", false}, true},
		{"localhost:4566", "/restapis/abc/prod/_user_request_x", Address{}, false},
		{"localhost:4566", "/restapis/abc/resources/r1", Address{}, false},
		{"localhost:4566", "/restapis/abc/stages/_user_request_", Address{"abc", "stages", "", false}, true},
		{"localhost:4566", "/restapis", Address{}, false},
		{"localhost:4566", "/restapis//prod/_user_request_", Address{}, false},
		{"localhost", "/_aws/execute-api/abc/prod/x?y", Address{"abc", "prod", "/x?y", false}, true},
		{"localhost", "/_aws/execute-api/abc", Address{"abc", "", "", false}, true},
		{"localhost", "/_aws/execute-api/", Address{}, false},
		{"", "", Address{}, false},
	} {
		got, ok := ParseAddress(c.host, c.path)
		if !c.ok {
			got = Address{}
		}
		if got != c.want || ok != c.ok {
			t.Errorf("%s %s: got %+v %v, want %+v %v", c.host, c.path, got, ok, c.want, c.ok)
		}
	}
}

func TestTable(t *testing.T) {
	table := NewTable([]Name{{"abc", "prod"}, {"abc", "dev"}})
	for _, c := range []struct {
		path   string
		index  int
		called bool
	}{
		{"/_aws/execute-api/abc/dev/x", 1, true},
		{"/_aws/execute-api/abc/prod", 0, true},
		{"/_aws/execute-api/abc/Prod", -1, true},
		{"/_aws/execute-api/zzz/prod", -1, true},
		{"/elsewhere", -1, false},
	} {
		if _, index, called := table.Site("localhost", c.path); index != c.index || called != c.called {
			t.Errorf("%s: got %d %v, want %d %v", c.path, index, called, c.index, c.called)
		}
	}
	if _, index, _ := new(Table).Site("abc.execute-api.x", "/prod"); index != -1 {
		t.Errorf("the zero table found stage %d", index)
	}
}

func TestMatchAllocatesOnlyPathParameters(t *testing.T) {
	s := compile(t, "/a/b GET", "/p/{x}/{y} GET")
	if n := testing.AllocsPerRun(100, func() { s.Match("GET", "/a/b") }); n != 0 {
		t.Errorf("a literal match allocates %v times", n)
	}
	if n := testing.AllocsPerRun(100, func() { s.Match("GET", "/p/1/2") }); n != 1 {
		t.Errorf("a match with parameters allocates %v times", n)
	}
}

// The forms of callers' addresses as one would say them.
var (
	executeForm = regexp.MustCompile(`(?s)^/_aws/execute-api/([^/]+)(?:/([^/]*)(/.*)?)?$`)
	restForm    = regexp.MustCompile(`(?s)^/restapis/([^/]+)/([^/]*)/_user_request_(/.*)?$`)
	hostForm    = regexp.MustCompile(`(?s)^/([^/]*)(/.*)?$`)
)

func slowAddress(host, path string) (Address, bool) {
	if labels := strings.SplitN(host, ".", 3); len(labels) == 3 && labels[0] != "" && strings.EqualFold(labels[1], "execute-api") {
		a := Address{APIID: strings.ToLower(labels[0]), Host: true}
		if m := hostForm.FindStringSubmatch(path); m != nil {
			a.Stage, a.Path = m[1], m[2]
		}
		return a, true
	}
	for _, form := range []*regexp.Regexp{executeForm, restForm} {
		if m := form.FindStringSubmatch(path); m != nil {
			return Address{APIID: m[1], Stage: m[2], Path: m[3]}, true
		}
	}
	return Address{}, false
}

func FuzzAddress(f *testing.F) {
	f.Add("abc.execute-api.us-east-1.localhost:8080", "/prod/x")
	f.Add("localhost", "/restapis/a/b/_user_request_/c")
	f.Add("[::1]:80", "/_aws/execute-api/a/b//c/")
	f.Add("A.EXECUTE-API.", "")
	f.Add("", "/_aws/execute-api/a")
	f.Add("", "/restapis/a//_user_request_")
	f.Fuzz(func(t *testing.T, host, path string) {
		a, ok := ParseAddress(host, path)
		want, wantOK := slowAddress(host, path)
		if ok != wantOK || ok && a != want {
			t.Errorf("%q %q: %+v %v, want %+v %v", host, path, a, ok, want, wantOK)
		}
	})
}

// slowParams is what stands for the variables of a resource path.
func slowParams(resource, path string) (params []Param) {
	segments := strings.Split(strings.TrimSuffix(strings.TrimLeft(path, "/"), "/"), "/")
	for i, part := range strings.Split(resource[1:], "/") {
		if name, ok := strings.CutSuffix(part, "+}"); ok {
			params = append(params, Param{name[1:], strings.Join(segments[i:], "/")})
		} else if name, ok := strings.CutSuffix(part, "}"); ok {
			params = append(params, Param{name[1:], segments[i]})
		}
	}
	return params
}

// FuzzMatch matches against every choice of these resources.
func FuzzMatch(f *testing.F) {
	pool := []string{
		"/ GET", "/a GET", "/a/{x} POST,ANY", "/{y} GET", "/{z+} ANY", "/a/b/{w+} GET", "/a/b GET,POST", "/{y}/b POST", "/{y}/{v}/c ANY", "/a/{x}/{u+} DELETE",
	}
	type api struct {
		all  []catalog.Resource
		site *Site
	}
	apis := map[uint16]*api{}
	for _, path := range []string{"", "/", "/a//b/", "/a/b/c/d", "//a/%2f/", "a", "/a/b/", "/x/b", "/x/y/c", "/..;/a", "/a\x00/\xff"} {
		f.Add("GET", path, uint16(0xffff))
		f.Add("POST", path, uint16(0x0294))
	}
	f.Fuzz(func(t *testing.T, verb, path string, choice uint16) {
		choice &= 1<<len(pool) - 1
		chosen := apis[choice]
		if chosen == nil {
			var specs []string
			for i, spec := range pool {
				if choice&(1<<i) != 0 {
					specs = append(specs, spec)
				}
			}
			chosen = &api{resources(t, specs...), compile(t, specs...)}
			apis[choice] = chosen
		}
		m, ok := chosen.site.Match(verb, path)
		wantPath, wantVerb, want := slowMatch(chosen.all, verb, path)
		if !validVerb(verb) {
			want = false // a method called ANY is not asked for by name, nor does ANY stand for more than the seven
		}
		if ok != want {
			t.Fatalf("%q: got %v %v, want %s %s", path, m, ok, wantVerb, wantPath)
		}
		if !ok {
			return
		}
		if got := chosen.site.Methods()[m.Method]; got.ResourcePath != wantPath || got.Verb != wantVerb {
			t.Fatalf("%q: got %s %s, want %s %s", path, got.Verb, got.ResourcePath, wantVerb, wantPath)
		}
		if params := slowParams(wantPath, path); !slices.Equal(m.Params, params) {
			t.Fatalf("%q: parameters %v, want %v", path, m.Params, params)
		}
	})
}

func validVerb(verb string) bool {
	for _, v := range verbs {
		if v == verb {
			return true
		}
	}
	return false
}

func BenchmarkMatch(b *testing.B) {
	var specs []string
	for i := range 100 {
		specs = append(specs, fmt.Sprintf("/kind%d GET,POST", i), fmt.Sprintf("/kind%d/{id} GET,ANY", i), fmt.Sprintf("/kind%d/{id}/{rest+} ANY", i))
	}
	s := compile(b, specs...)
	for _, c := range []struct{ name, path string }{
		{"literal", "/kind50"}, {"parameter", "/kind50/17"}, {"greedy", "/kind50/17/a/b/c"}, {"miss", "/other/17"},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.Match("GET", c.path)
			}
		})
	}
}

func BenchmarkSite(b *testing.B) {
	table := NewTable([]Name{{"abcdefghij", "prod"}})
	b.ReportAllocs()
	for b.Loop() {
		table.Site("abcdefghij.execute-api.us-east-1.localhost:8080", "/prod/timestamper")
	}
}
