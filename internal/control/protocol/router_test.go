package protocol_test

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"

	"weir/internal/control/protocol"
)

type labels struct {
	A string `path:"a"`
	B string `path:"b"`
}

func routes(t testing.TB) *protocol.Service {
	s := &protocol.Service{Name: "things"}
	for name, at := range map[string]string{
		"List": "GET /things", "Create": "POST /things", "Import": "POST /things?mode=import",
		"Get": "GET /things/{a}", "Special": "GET /things/special", "Sub": "GET /things/{a}/sub/{b}", "SpecialTop": "GET /things/special/top",
		"Tags": "GET /tags/{a+}", "Root": "GET /",
	} {
		verb, pattern, _ := strings.Cut(at, " ")
		s.Operations = append(s.Operations, protocol.REST(name, verb, pattern, 200,
			func(_ context.Context, c protocol.Call, in *labels) (*answer, error) {
				return &answer{Text: c.Operation + "(" + in.A + "," + in.B + ")"}, nil
			}))
	}
	if err := s.Compile(); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRoutes(t *testing.T) {
	s := routes(t)
	for request, want := range map[string]string{
		"GET /things":               "List(,)",
		"GET /things/":              "List(,)",
		"GET /things?limit=1":       "List(,)",
		"POST /things":              "Create(,)",
		"POST /things?mode=import":  "Import(,)",
		"POST /things?mode=other":   "Create(,)",
		"GET /things/special":       "Special(,)",
		"GET /things/speci%61l":     "Special(,)",
		"GET /things/special/top":   "SpecialTop(,)",
		"GET /things/special/sub/x": "Sub(special,x)",
		"GET /things/x%2Fy%20z":     "Get(x/y z,)",
		"GET /things/%C3%A4/sub/b":  "Sub(ä,b)",
		"GET /tags/arn:aws:x::/a/b": "Tags(arn:aws:x::/a/b,)",
		"GET /tags/arn%3Ax%2Fb":     "Tags(arn:x/b,)",
		"GET /":                     "Root(,)",
		"GET http://h/things/x":     "Get(x,)",
		"GET /things/x/sub":         "",
		"GET /things//sub/x":        "",
		"GET /things/%zz":           "",
		"PUT /things":               "",
		"GET /tags":                 "",
		"GET /nothing":              "",
	} {
		verb, target, _ := strings.Cut(request, " ")
		r := httptest.NewRequest(verb, "/", nil)
		r.RequestURI = target
		w := httptest.NewRecorder()
		s.Serve(w, r, nil, protocol.Call{}, nil)
		if want == "" {
			if w.Code != 403 || w.Body.String() != `{"message":"Unable to determine service/operation name to be authorized"}` {
				t.Errorf("%s: %d %s", request, w.Code, w.Body)
			}
			continue
		}
		if !strings.Contains(w.Body.String(), `"text":"`+want+`"`) {
			t.Errorf("%s: %s, want %s", request, w.Body, want)
		}
		if name, _, _ := strings.Cut(want, "("); s.Lookup(r, nil) != name {
			t.Errorf("%s: looked up %q", request, s.Lookup(r, nil))
		}
	}
}

func FuzzRoute(f *testing.F) {
	s := routes(f)
	f.Add("GET", "/things/a%2f/sub/%ff?x=%")
	f.Add("GET", "/tags/"+strings.Repeat("a/", 40))
	f.Add("", "?")
	f.Fuzz(func(t *testing.T, verb, target string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Method, r.RequestURI = verb, target
		w := httptest.NewRecorder()
		s.Serve(w, r, nil, protocol.Call{}, nil)
		if w.Code != 200 && w.Code != 403 && w.Code != 400 {
			t.Fatalf("%s %s: %d", verb, target, w.Code)
		}
	})
}

func TestWhatCannotBeBoundPanicsWhenItIsMade(t *testing.T) {
	type badPath struct {
		A struct{} `path:"a"`
	}
	type badRegexp struct {
		A string `json:"a" pattern:"("`
	}
	type badBound struct {
		A string `json:"a" min:"x"`
	}
	type badType struct {
		A chan int `json:"a"`
	}
	type badEnum struct {
		A int `json:"a" enum:"1,2"`
	}
	try := map[string]func(){
		"path": func() {
			protocol.REST("X", "GET", "/", 200, func(context.Context, protocol.Call, *badPath) (*answer, error) { return nil, nil })
		},
		"pattern": func() {
			protocol.REST("X", "GET", "/", 200, func(context.Context, protocol.Call, *badRegexp) (*answer, error) { return nil, nil })
		},
		"bound": func() {
			protocol.REST("X", "GET", "/", 200, func(context.Context, protocol.Call, *badBound) (*answer, error) { return nil, nil })
		},
		"type": func() {
			protocol.REST("X", "GET", "/", 200, func(context.Context, protocol.Call, *badType) (*answer, error) { return nil, nil })
		},
		"enum": func() {
			protocol.REST("X", "GET", "/", 200, func(context.Context, protocol.Call, *badEnum) (*answer, error) { return nil, nil })
		},
		"route": func() {
			protocol.REST("X", "GET", "/{a+}/b", 200, func(context.Context, protocol.Call, *labels) (*answer, error) { return nil, nil })
		},
		"in": func() {
			protocol.REST("X", "GET", "/", 200, func(context.Context, protocol.Call, *string) (*answer, error) { return nil, nil })
		},
	}
	for name, make := range try {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: bound", name)
				}
			}()
			make()
		}()
	}
}
