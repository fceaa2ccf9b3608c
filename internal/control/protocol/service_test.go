package protocol_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"weir/internal/control/protocol"
)

// One operation from nothing: two types, a function, a line in the table.
// Between the marks there are no more than 15 lines, which the test counts.

// begin
type getThingInput struct {
	ID    string `path:"thing_id"`
	Limit *int   `query:"limit"`
}
type thing struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
}

func getThing(_ context.Context, _ protocol.Call, in *getThingInput) (*thing, error) {
	return &thing{ID: in.ID, Name: "wehr"}, nil
}

var things = protocol.Service{Name: "things", Operations: []protocol.Operation{
	protocol.REST("GetThing", "GET", "/things/{thing_id}", 200, getThing),
}}

// end

func call(s *protocol.Service, method, target, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	s.Serve(w, r, []byte(body), protocol.Call{Service: s.Name, RequestID: "req-1"}, nil)
	return w
}

func TestAnOperationIsAFewLines(t *testing.T) {
	w := call(&things, "GET", "/things/a%2Fb~1", "")
	if w.Code != http.StatusOK || w.Body.String() != `{"id":"a/b~1","name":"wehr"}` {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if got := w.Header()["x-amzn-RequestId"]; len(got) != 1 || got[0] != "req-1" {
		t.Fatalf("request id %q", got)
	}
	source, err := os.ReadFile("service_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(source), "// begin\n")
	part, _, found := strings.Cut(rest, "\n// end")
	lines := 0
	for line := range strings.SplitSeq(part, "\n") {
		if strings.TrimSpace(line) != "" {
			lines++
		}
	}
	if !found || lines == 0 || lines > 15 {
		t.Errorf("an operation takes %d lines", lines)
	}
}
