package protocol_test

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"weir/internal/control/protocol"
)

type answer struct {
	Item    []item            `json:"item" xml:"Items>member"`
	Tags    map[string]string `json:"tags" xml:"Tags>entry"`
	Rate    float64           `json:"rate" xml:"Rate"`
	Big     float64           `json:"big,omitempty" xml:"Big,omitempty"`
	Count   int64             `json:"count" xml:"Count"`
	On      bool              `json:"on" xml:"On"`
	When    protocol.Time     `json:"when,omitempty" xml:"When,omitempty"`
	Text    string            `json:"text,omitempty" xml:"Text,omitempty"`
	Pointer *item             `json:"pointer,omitempty" xml:"Pointer"`
	Null    *item             `json:"null" xml:"Null"`
	Empty   *[]string         `json:"empty,omitempty" xml:"Empty"`
	Data    []byte            `json:"data,omitempty" xml:"Data,omitempty"`
	Raw     json.RawMessage   `json:"raw,omitempty"`
	Any     any               `json:"any,omitempty"`
	Error   string            `header:"X-Amz-Function-Error"`
	Hidden  string
}

type item struct {
	Name string `json:"name" xml:"Name"`
}

func fixed(a *answer) *protocol.Service {
	return &protocol.Service{Name: "things", Operations: []protocol.Operation{
		protocol.REST("GetAnswer", "GET", "/answer", 200, func(context.Context, protocol.Call, *struct{}) (*answer, error) { return a, nil }),
	}}
}

func TestJSONAnswers(t *testing.T) {
	var none []string
	for want, a := range map[string]*answer{
		`{"item":[],"tags":{},"rate":0.0,"count":0,"on":false,"null":null}`: {},
		`{"item":[{"name":"a\"\\\u0001\n"}],"tags":{"a":"1","b":"2"},"rate":10.0,"big":12345678901.0,"count":-1,"on":true,"when":1508461860,` +
			`"text":"<ä&😀>","pointer":{"name":""},"null":null,"empty":[],"data":"aGk=","raw":{"x":1},"any":["<"]}`: {
			Item: []item{{"a\"\\\x01\n"}}, Tags: map[string]string{"b": "2", "a": "1"}, Rate: 10, Big: 12345678901, Count: -1, On: true,
			When: protocol.Time{Time: time.Unix(1508461860, 9e8)}, Text: "<ä&😀>", Pointer: &item{}, Empty: &none, Data: []byte("hi"),
			Raw: json.RawMessage(`{"x":1}`), Any: []string{"<"}, Hidden: "x",
		},
		`{"item":[],"tags":{},"rate":0.1,"count":0,"on":false,"text":"` + "a\ufffdb" + `","null":null}`: {Rate: .1, Text: "a\xffb"},
	} {
		w := call(fixed(a), "GET", "/answer", "")
		if w.Body.String() != want {
			t.Errorf("\n got %s\nwant %s", w.Body, want)
		}
		if !json.Valid(w.Body.Bytes()) || w.Header()["Content-Type"][0] != "application/json" {
			t.Errorf("no JSON: %s", w.Body)
		}
	}
}

func TestHeadersOfAnAnswer(t *testing.T) {
	w := call(fixed(&answer{Error: "Unhandled\r\nX-Evil: 1"}), "GET", "/answer", "")
	if got := w.Header()["X-Amz-Function-Error"]; len(got) != 1 || got[0] != "UnhandledX-Evil: 1" {
		t.Errorf("%q", got)
	}
	if _, there := call(fixed(&answer{}), "GET", "/answer", "").Header()["X-Amz-Function-Error"]; there {
		t.Error("an empty header was sent")
	}
}

func TestXMLAnswers(t *testing.T) {
	s := &protocol.Service{Name: "things", Wire: protocol.QueryXML, Version: "v1", Namespace: "urn:things", Operations: []protocol.Operation{
		protocol.Query("GetAnswer", func(context.Context, protocol.Call, *struct{}) (*answer, error) {
			return &answer{Item: []item{{"a<b"}, {"c"}}, Tags: map[string]string{"k": "v"}, Rate: 1.5, When: protocol.Time{Time: time.Unix(1508461860, 0)}}, nil
		}),
		protocol.Query("DoNothing", func(context.Context, protocol.Call, *struct{}) (*protocol.Nothing, error) { return nil, nil }),
	}}
	w := call(s, "POST", "/", "Action=GetAnswer&Version=v1")
	var out struct {
		XMLName xml.Name `xml:"urn:things GetAnswerResponse"`
		Names   []string `xml:"GetAnswerResult>Items>member>Name"`
		Key     string   `xml:"GetAnswerResult>Tags>entry>key"`
		Value   string   `xml:"GetAnswerResult>Tags>entry>value"`
		When    string   `xml:"GetAnswerResult>When"`
		ID      string   `xml:"ResponseMetadata>RequestId"`
	}
	if err := xml.Unmarshal(w.Body.Bytes(), &out); err != nil {
		t.Fatal(err)
	}
	if strings.Join(out.Names, ",") != "a<b,c" || out.Key != "k" || out.Value != "v" || out.When != "2017-10-20T01:11:00Z" || out.ID != "req-1" {
		t.Errorf("%+v\n%s", out, w.Body)
	}
	want := `<DoNothingResponse xmlns="urn:things">
  <ResponseMetadata>
    <RequestId>req-1</RequestId>
  </ResponseMetadata>
</DoNothingResponse>
`
	if w := call(s, "POST", "/", "Action=DoNothing&Version=v1"); w.Body.String() != want {
		t.Errorf("%s", w.Body)
	}
}

type invokeInput struct {
	Payload []byte `body:"raw"`
}

type invokeOutput struct {
	Status  int    `status:""`
	Payload []byte `body:"raw"`
	Type    string `header:"Content-Type"`
}

func TestRawBodiesAndStatus(t *testing.T) {
	s := &protocol.Service{Name: "things", Operations: []protocol.Operation{
		protocol.REST("Invoke", "POST", "/invoke", 200, func(_ context.Context, _ protocol.Call, in *invokeInput) (*invokeOutput, error) {
			return &invokeOutput{Status: 202, Payload: append([]byte("got "), in.Payload...), Type: "text/plain"}, nil
		}),
	}}
	w := call(s, "POST", "/invoke", "not json \x00")
	if w.Code != 202 || w.Body.String() != "got not json \x00" || w.Header()["Content-Type"][0] != "text/plain" {
		t.Errorf("%d %q %v", w.Code, w.Body, w.Header())
	}
}

func TestErrorsInTheServicesShape(t *testing.T) {
	var cause error
	var logs strings.Builder
	s := &protocol.Service{
		Name: "things",
		Operations: []protocol.Operation{protocol.REST("Fail", "GET", "/fail", 200,
			func(context.Context, protocol.Call, *struct{}) (*answer, error) {
				if cause == nil {
					panic("secret of a panic")
				}
				return &answer{Rate: math.NaN()}, cause
			})},
		Translate: func(err error) *protocol.Error {
			if strings.HasPrefix(err.Error(), "rule") {
				return &protocol.Error{Code: "NotFoundException", Status: 404, Message: err.Error(), RetryAfter: 3}
			}
			return nil
		},
		Logger: slog.New(slog.NewTextHandler(&logs, nil)),
	}
	for _, c := range []struct {
		err    error
		status int
		code   string
		body   string
		logged bool
	}{
		{&protocol.Error{Code: "ResourceNotFoundException", Status: 404, Message: "ä <x>", Fields: map[string]any{"Type": "User"}}, 404, "ResourceNotFoundException", `{"Type":"User","message":"ä <x>"}`, false},
		{&protocol.Error{Code: "X", Message: "m", MessageKey: "Message"}, 400, "X", `{"Message":"m"}`, false},
		{errors.Join(errors.New("context"), &protocol.Error{Code: "X", Message: "m"}), 400, "X", `{"message":"m"}`, false},
		{errors.New("rule broken"), 404, "NotFoundException", `{"message":"rule broken"}`, false},
		{errors.New("secret"), 500, "InternalFailure", `{"message":"The request processing has failed because of an unknown error, exception or failure. (RequestId: req-1)"}`, true},
		{nil, 500, "InternalFailure", `{"message":"The request processing has failed because of an unknown error, exception or failure. (RequestId: req-1)"}`, true},
	} {
		logs.Reset()
		cause = c.err
		w := call(s, "GET", "/fail", "")
		if w.Code != c.status || w.Header()["x-amzn-ErrorType"][0] != c.code || w.Body.String() != c.body {
			t.Errorf("%v: %d %v %s", c.err, w.Code, w.Header(), w.Body)
		}
		if (strings.Count(logs.String(), "level=ERROR") == 1) != c.logged || c.logged && !strings.Contains(logs.String(), "secret") {
			t.Errorf("%v: logged %q", c.err, logs.String())
		}
		if c.code == "NotFoundException" && w.Header()["Retry-After"][0] != "3" {
			t.Errorf("no Retry-After")
		}
	}
	// What cannot be encoded is our failure too, not half an answer.
	if w := call(fixed(&answer{Rate: math.Inf(1)}), "GET", "/answer", ""); w.Code != http.StatusInternalServerError {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestPermissionIsAskedBeforeDecoding(t *testing.T) {
	s := things
	s.Authorization = func(c protocol.Call, method, path string) (string, string) {
		return "things:" + method, "arn:" + c.Region + ":" + c.Operation + path
	}
	var asked []string
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/things/a%2Fb?limit=broken", nil)
	o := s.Serve(w, r, nil, protocol.Call{Region: "r"}, func(action, resource string) error {
		asked = append(asked, action, resource)
		return &protocol.Error{Code: "AccessDeniedException", Status: 403, Message: "no"}
	})
	if strings.Join(asked, " ") != "things:GET arn:r:GetThing/things/a%2Fb" || w.Code != 403 {
		t.Errorf("%q %d", asked, w.Code)
	}
	if o.Operation != "GetThing" || o.Status != 403 || o.Err == nil {
		t.Errorf("%+v", o)
	}
}

func FuzzJSONText(f *testing.F) {
	f.Add("a\"\\/\b\f\n\r\t\x00\x7f\u2028ä😀\xff\xf0\x9f")
	f.Fuzz(func(t *testing.T, text string) {
		w := call(fixed(&answer{Text: text, Tags: map[string]string{text: text}}), "GET", "/answer", "")
		var out struct {
			Text string            `json:"text"`
			Tags map[string]string `json:"tags"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
			t.Fatalf("%v: %s", err, w.Body)
		}
		want := strings.ToValidUTF8(text, "\ufffd")
		if strings.ReplaceAll(out.Text, "\ufffd", "") != strings.ReplaceAll(want, "\ufffd", "") {
			t.Fatalf("%q became %q", text, out.Text)
		}
	})
}
