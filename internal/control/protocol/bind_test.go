package protocol_test

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"weir/internal/control/protocol"
)

type inner struct {
	Size  int      `json:"size" form:"Size" min:"1" max:"10" required:"true"`
	Words []string `json:"words" form:"Words" max:"2" enum:"a,b"`
}

type shared struct {
	Position string `query:"position"`
}

// everything is an input with every sort of member.
type everything struct {
	shared
	ID     string                    `path:"thing_id" max:"9"`
	Limit  *int                      `query:"limit"`
	Keys   []string                  `query:"key"`
	Deep   bool                      `query:"deep"`
	Log    string                    `header:"X-Amz-Log-Type" enum:"None,Tail"`
	Name   string                    `json:"name" form:"Name" min:"2" pattern:"[a-z~]+"`
	Maybe  *string                   `json:"maybe" form:"Maybe"`
	On     *bool                     `json:"on" form:"On"`
	Count  int64                     `json:"count" form:"Count"`
	Rate   float64                   `json:"rate" form:"Rate" max:"2.5"`
	When   protocol.Time             `json:"when" form:"When"`
	Data   []byte                    `json:"data" form:"Data"`
	Inner  *inner                    `json:"inner" form:"Inner"`
	List   []inner                   `json:"list" form:"List"`
	Map    map[string]string         `json:"map" form:"Map" max:"2"`
	Deeper map[string][]inner        `json:"deeper"`
	Patch  []protocol.PatchOperation `json:"patchOperations"`
	Raw    json.RawMessage           `json:"raw"`
	Hidden string
}

// capture is a service that keeps the input it was called with.
func capture(got *everything, wire protocol.Wire) *protocol.Service {
	keep := func(_ context.Context, _ protocol.Call, in *everything) (*protocol.Nothing, error) {
		*got = *in
		return nil, nil
	}
	s := &protocol.Service{Name: "things", Wire: wire, Version: "v1", Namespace: "urn:things"}
	if wire == protocol.QueryXML {
		s.Operations = []protocol.Operation{protocol.Query("PutThing", keep)}
	} else {
		s.Operations = []protocol.Operation{protocol.REST("PutThing", "PUT", "/things/{thing_id}", 204, keep)}
	}
	return s
}

func ptr[T any](v T) *T { return &v }

func TestJSONBinding(t *testing.T) {
	var got everything
	s := capture(&got, protocol.RESTJSON)
	body := `{"name":"abc","maybe":"","on":false,"count":9007199254740993,"rate":2.5,"when":1508461860.5,"data":"aGk=",
		"inner":{"size":3,"words":["a","b"],"unknown":{"deep":[1,{"x":null}]}},"list":[{"size":1},{"size":10}],
		"map":{"k":"\u00e4\ud83d\ude00\n","":"e"},"deeper":{"x":[{"size":1}]},"patchOperations":[{"op":"replace","path":"/a","value":"1"}],
		"raw": {"a": [1, 2]} ,"Hidden":"no","Name":"names are exact","count2":1}`
	r := httptest.NewRequest("PUT", "/things/a%2Fb%20c?limit=5&key=x&key=%C3%A4&deep=true&position=p", strings.NewReader(body))
	r.Header.Set("X-Amz-Log-Type", "Tail")
	w := httptest.NewRecorder()
	s.Serve(w, r, []byte(body), protocol.Call{}, nil)
	if w.Code != 204 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	want := everything{
		shared: shared{"p"}, ID: "a/b c", Limit: ptr(5), Keys: []string{"x", "ä"}, Deep: true, Log: "Tail",
		Name: "abc", Maybe: ptr(""), On: ptr(false), Count: 9007199254740993, Rate: 2.5,
		When: protocol.Time{Time: time.Unix(1508461860, 5e8).UTC()}, Data: []byte("hi"),
		Inner: &inner{3, []string{"a", "b"}}, List: []inner{{Size: 1}, {Size: 10}},
		Map: map[string]string{"k": "ä😀\n", "": "e"}, Deeper: map[string][]inner{"x": {{Size: 1}}},
		Patch: []protocol.PatchOperation{{Op: "replace", Path: "/a", Value: ptr("1")}}, Raw: json.RawMessage(`{"a": [1, 2]}`),
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
}

func TestFormBinding(t *testing.T) {
	var got everything
	s := capture(&got, protocol.QueryXML)
	form := "Action=PutThing&Version=v1&Name=abc&Maybe=&On=true&Count=-3&Rate=0.5&When=2017-10-20T01%3A11%3A00Z&Data=aGk%3D" +
		"&Inner.Size=3&Inner.Words.member.1=a&List.member.10.Size=2&List.member.2.Size=1" +
		"&Map.entry.1.key=k&Map.entry.1.value=%C3%A4+x&Nothing.member.1=x"
	if w := call(s, "POST", "/", form); w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	want := everything{
		Name: "abc", Maybe: ptr(""), On: ptr(true), Count: -3, Rate: .5,
		When: protocol.Time{Time: time.Unix(1508461860, 0).UTC()}, Data: []byte("hi"),
		Inner: &inner{3, []string{"a"}}, List: []inner{{Size: 1}, {Size: 2}}, Map: map[string]string{"k": "ä x"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
	got = everything{}
	if w := call(s, "GET", "/?Action=PutThing&Version=v1&List=", ""); w.Code != 200 || got.List == nil || len(got.List) != 0 {
		t.Errorf("%d %s %v: an empty list is sent as List=", w.Code, w.Body, got.List)
	}
}

func errorOf(t *testing.T, w *httptest.ResponseRecorder) (code, message string) {
	t.Helper()
	var body struct{ Message string }
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatalf("%v: %s", err, w.Body)
	}
	return strings.Join(w.Header()["x-amzn-ErrorType"], ","), body.Message
}

func TestViolationsAreGatheredInAWSWords(t *testing.T) {
	const path = "/things/x"
	for body, want := range map[string]string{
		`{"name":"A"}`: "2 validation errors detected: Value 'A' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-z~]+; " +
			"Value 'A' at 'name' failed to satisfy constraint: Member must have length greater than or equal to 2",
		`{"inner":{}}`:            "1 validation error detected: Value null at 'inner.size' failed to satisfy constraint: Member must not be null",
		`{"inner":{"size":null}}`: "1 validation error detected: Value null at 'inner.size' failed to satisfy constraint: Member must not be null",
		`{"inner":{"size":0}}`:    "1 validation error detected: Value '0' at 'inner.size' failed to satisfy constraint: Member must have value greater than or equal to 1",
		`{"inner":{"size":11}}`:   "1 validation error detected: Value '11' at 'inner.size' failed to satisfy constraint: Member must have value less than or equal to 10",
		`{"rate":2.6}`:            "1 validation error detected: Value '2.6' at 'rate' failed to satisfy constraint: Member must have value less than or equal to 2.5",
		`{"inner":{"size":1,"words":["a","x"]}}`: "1 validation error detected: Value '[a, x]' at 'inner.words' failed to satisfy constraint: Member must satisfy constraint: " +
			"[Member must satisfy enum value set: [a, b], Member must not be null]",
		`{"inner":{"size":1,"words":["a","a","a"]}}`: "1 validation error detected: Value '[a, a, a]' at 'inner.words' failed to satisfy constraint: Member must have length less than or equal to 2",
		`{"map":{"b":"2","a":"1","c":""}}`:           "1 validation error detected: Value '{a=1, b=2, c=}' at 'map' failed to satisfy constraint: Member must have length less than or equal to 2",
		`{"patchOperations":[{"op":"add","path":"/"},{"op":"X","path":"/"}]}`: "1 validation error detected: Value 'X' at 'patchOperations.2.member.op' failed to satisfy constraint: " +
			"Member must satisfy enum value set: [add, remove, move, test, replace, copy]",
		`{"list":[{"size":0}],"name":"a"}`: "2 validation errors detected: Value '0' at 'list.1.member.size' failed to satisfy constraint: Member must have value greater than or equal to 1; " +
			"Value 'a' at 'name' failed to satisfy constraint: Member must have length greater than or equal to 2",
	} {
		w := call(capture(new(everything), protocol.RESTJSON), "PUT", path, body)
		code, message := errorOf(t, w)
		if w.Code != 400 || code != "ValidationException" || message != want {
			t.Errorf("%s: %d %s\n got %s\nwant %s", body, w.Code, code, message, want)
		}
	}
	s := capture(new(everything), protocol.RESTJSON)
	s.InputPrefix = true
	_, message := errorOf(t, call(s, "PUT", "/things/0123456789", `{}`))
	if want := "1 validation error detected: Value '0123456789' at 'putThingInput.thingId' failed to satisfy constraint: Member must have length less than or equal to 9"; message != want {
		t.Errorf("\n got %s\nwant %s", message, want)
	}
	w := call(capture(new(everything), protocol.QueryXML), "POST", "/", "Action=PutThing&Version=v1&Name=A1")
	if !strings.Contains(w.Body.String(), "<Code>ValidationError</Code>") || w.Code != 400 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestWrongTypesAreSerializationExceptions(t *testing.T) {
	const (
		number = "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to an "
		text   = "class java.lang.String can not be converted to an "
	)
	for body, want := range map[string]string{
		`{"name":true}`:                          "class java.lang.Boolean can not be converted to an String",
		`{"name":1}`:                             number + "String",
		`{"on":"true"}`:                          text + "Boolean",
		`{"count":"1"}`:                          text + "Integer",
		`{"count":99999999999999999999}`:         number + "Integer",
		`{"rate":"1"}`:                           text + "Double",
		`{"name":{}}`:                            "Start of structure or map found where not expected.",
		`{"name":[]}`:                            "Start of list found where not expected",
		`{"list":{}}`:                            "Start of structure or map found where not expected.",
		`{"list":1}`:                             "Expected list or null",
		`{"inner":[]}`:                           "Start of list found where not expected",
		`{"map":"x"}`:                            "Expected structure, map or null",
		`{"data":"%"}`:                           "Unable to decode a Base64 blob",
		`[]`:                                     "Start of list found where not expected",
		`{"name":"a"`:                            "Could not parse request body into json: unexpected end at byte 11",
		`{"name":"a"} x`:                         "Could not parse request body into json: more after the end at byte 13",
		`{"name":"a",}`:                          "Could not parse request body into json: a value is missing at byte 12",
		`nonsense`:                               "Could not parse request body into json: an unknown word at byte 0",
		`{"x":` + strings.Repeat("[", 200):       "Could not parse request body into json: nested too deeply at byte 104",
		`{"x":[` + strings.Repeat("0,", 300_000): "Could not parse request body into json: too many values at byte 400004",
	} {
		w := call(capture(new(everything), protocol.RESTJSON), "PUT", "/things/x", body)
		code, message := errorOf(t, w)
		if w.Code != 400 || code != "SerializationException" || message != want {
			t.Errorf("%.40s: %d %s %s\nwant %s", body, w.Code, code, message, want)
		}
	}
	for _, target := range []string{"/things/x?limit=many", "/things/x?deep=perhaps"} {
		if w := call(capture(new(everything), protocol.RESTJSON), "PUT", target, ""); w.Code != 400 {
			t.Errorf("%s: %d", target, w.Code)
		}
	}
	for _, form := range []string{
		"Count=x", "Map.entry.1.key=a", "List.member.x.Size=1", "Inner.Size=", strings.Repeat("a.", 20) + "=1",
		strings.Repeat("a=1&", 10_001), "%zz=1",
	} {
		w := call(capture(new(everything), protocol.QueryXML), "POST", "/", "Action=PutThing&Version=v1&"+form)
		if w.Code != 400 || !strings.Contains(w.Body.String(), "<Code>MalformedInput</Code>") {
			t.Errorf("%.40s: %d %s", form, w.Code, w.Body)
		}
	}
}

func TestQueryServicesNameWhatTheyLack(t *testing.T) {
	s := capture(new(everything), protocol.QueryXML)
	for form, want := range map[string]string{
		"":                           "<Code>MissingAction</Code>",
		"Action=Nothing&Version=v1":  "<Message>Could not find operation Nothing for version v1</Message>",
		"Action=PutThing&Version=v0": "<Message>Could not find operation PutThing for version v0</Message>",
		"Action=PutThing":            "<Message>Could not find operation PutThing for version NO_VERSION_SPECIFIED</Message>",
		"Action=%3Cscript%3E":        "operation &lt;script&gt; for",
	} {
		w := call(s, "POST", "/", form)
		if w.Code != 400 || !strings.Contains(w.Body.String(), want) || !strings.Contains(w.Body.String(), "<Type>Sender</Type>") {
			t.Errorf("%q: %d %s", form, w.Code, w.Body)
		}
	}
}

// The scanner accepts what encoding/json accepts (within its bounds), and what
// both accept they read alike.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{
		`{}`, `{"name":"a\u00e4\ud83d\ude00\ud800x","count":-1.5e3,"list":[{"size":1}],"map":{"a":"b"},"raw":[1,{"x":null}]}`,
		` {"when":1.5,"data":"aGk=","inner":{"words":["a"]},"patchOperations":[{"op":"add","value":null}]} `, `{"a":01}`, `{"a":"` + "\xff" + `"}`, `{"a":tru}`, `[`, `{"maybe":"\/\b\q"}`, "{\"a\":\"\x01\"}",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var got everything
		w := httptest.NewRecorder()
		r := httptest.NewRequest("PUT", "/things/x", nil)
		capture(&got, protocol.RESTJSON).Serve(w, r, body, protocol.Call{}, nil)
		if w.Code == http.StatusInternalServerError {
			t.Fatalf("broke on %q", body)
		}
		parsed := w.Code == 204 || strings.Contains(strings.Join(w.Header()["x-amzn-ErrorType"], ""), "Validation")
		var ref struct {
			Name  *string         `json:"name"`
			Maybe *string         `json:"maybe"`
			Raw   json.RawMessage `json:"raw"`
		}
		if parsed && len(strings.TrimSpace(string(body))) > 0 {
			if !json.Valid(body) {
				t.Fatalf("accepted %q", body)
			}
			// encoding/json matches names without regard to case: compare only
			// where that plays no part.
			var top map[string]json.RawMessage
			if json.Unmarshal(body, &top) != nil {
				t.Fatalf("no object, but accepted: %q", body)
			}
			same := 0
			for k := range top {
				if strings.EqualFold(k, "name") || strings.EqualFold(k, "maybe") || strings.EqualFold(k, "raw") {
					same++
				}
			}
			if len(top) == same && same <= 1 && strings.Count(string(body), `"`) < 6 && json.Unmarshal(body, &ref) == nil {
				if v, ok := top["name"]; ok && w.Code == 204 && string(v) != "null" && got.Name != *ref.Name {
					t.Fatalf("name %q, want %q", got.Name, *ref.Name)
				}
			}
		}
		if !parsed && json.Valid(body) && strings.Contains(w.Body.String(), "Could not parse") &&
			!strings.Contains(w.Body.String(), "too ") && !strings.Contains(w.Body.String(), "UTF-8") {
			t.Fatalf("refused %q: %s", body, w.Body)
		}
	})
}

func FuzzForm(f *testing.F) {
	for _, s := range []string{
		"Name=a&List.member.1.Size=1&Map.entry.1.key=a&Map.entry.1.value=b", "Inner.Words.member.1=a&Inner.Size=2", "List=&On=TRUE&When=1",
		"List.member.1=x&List.member.1.Size=1", "%&=&.=.&a..b=1", "Map.entry.1.key.x=1&Map.entry.1.value=1", "Data=%%%&When=x",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, form string) {
		var got everything
		w := call(capture(&got, protocol.QueryXML), "POST", "/", "Action=PutThing&Version=v1&"+form)
		if w.Code != 200 && w.Code != 400 {
			t.Fatalf("%d %s on %q", w.Code, w.Body, form)
		}
		if err := xml.Unmarshal(w.Body.Bytes(), &struct{ XMLName xml.Name }{}); err != nil {
			t.Fatalf("no XML: %v: %s", err, w.Body)
		}
		if w.Code == 200 {
			compareForm(t, form, &got)
		}
		// Any text at all goes through a form unharmed.
		got = everything{}
		w = call(capture(&got, protocol.QueryXML), "POST", "/", "Action=PutThing&Version=v1&Maybe="+url.QueryEscape(form)+
			"&Map.entry.1.key=k&Map.entry.1.value="+url.QueryEscape(form))
		if w.Code != 200 || got.Maybe == nil || *got.Maybe != form || got.Map["k"] != form {
			t.Fatalf("%q came through as %v, %v: %s", form, got.Maybe, got.Map, w.Body)
		}
	})
}

// compareForm holds what was read of a form to what net/url reads.
func compareForm(t *testing.T, form string, got *everything) {
	values, err := url.ParseQuery(form)
	if err != nil {
		t.Fatalf("accepted %q: %v", form, err)
	}
	if got.Name != values.Get("Name") {
		t.Fatalf("%q: Name %q", form, got.Name)
	}
	if v, sent := values["Maybe"]; sent != (got.Maybe != nil) || sent && *got.Maybe != v[0] {
		t.Fatalf("%q: Maybe %v", form, got.Maybe)
	}
	if v, sent := values["Count"]; sent {
		if n, err := strconv.ParseInt(v[0], 10, 64); err != nil || n != got.Count {
			t.Fatalf("%q: Count %d (%v)", form, got.Count, err)
		}
	}
	items := map[string]bool{}
	for name := range values {
		if index, ok := strings.CutPrefix(name, "List.member."); ok {
			index, _, _ = strings.Cut(index, ".")
			items[index] = true
		}
	}
	if len(got.List) != len(items) {
		t.Fatalf("%q: %d items, want %d", form, len(got.List), len(items))
	}
	if n := len(got.List) + len(got.Map); n > strings.Count(form, "&")+1 {
		t.Fatalf("%d items out of %q", n, form)
	}
}

func BenchmarkServe(b *testing.B) {
	body := `{"patchOperations":[{"op":"replace","path":"/throttle/rateLimit","value":"10"},{"op":"replace","path":"/name","value":"gold"}]}`
	s := capture(new(everything), protocol.RESTJSON)
	if err := s.Compile(); err != nil {
		b.Fatal(err)
	}
	r := httptest.NewRequest("PUT", "/things/abc", nil)
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		s.Serve(w, r, []byte(body), protocol.Call{RequestID: "r"}, nil)
		if w.Code != 204 {
			b.Fatal(fmt.Sprint(w.Code, w.Body))
		}
	}
}
