package integration

import (
	"testing"

	"weir/internal/catalog"
)

func TestMock(t *testing.T) {
	responses := map[string]*catalog.IntegrationResponse{
		"200": {
			StatusCode: "200", ResponseTemplates: map[string]string{"application/json": `{"ok":true}`, "text/xml": "<ok/>"},
			ResponseParameters: map[string]string{"method.response.header.X-A": "'b'", "method.response.header.X-V": "stageVariables.v", "method.response.header.X-I": "integration.response.header.none"},
		},
		"404": {StatusCode: "404", SelectionPattern: `4\d\d`, ResponseParameters: map[string]string{"method.response.header.Content-Type": "'text/plain'"}},
		"201": {StatusCode: "201"},
		"500": {StatusCode: "500", SelectionPattern: "5..", ResponseTemplates: map[string]string{"application/json": "$input.body"}},
		"502": {StatusCode: "502", SelectionPattern: "dyn", ResponseParameters: map[string]string{"method.response.header.X": "context.requestId"}},
	}
	for _, c := range []struct {
		name, template, passthrough, contentType, accept, body string
		status                                                 int
		header, want                                           string
		fails                                                  string
	}{
		{name: "default", template: `{"statusCode": 200}`, status: 200, header: "Content-Type: application/json|X-A: b|X-V: 7", want: `{"ok":true}`},
		{name: "by Accept", template: `{"statusCode": 200}`, accept: "text/xml;q=1, */*", status: 200, header: "Content-Type: text/xml|X-A: b|X-V: 7", want: "<ok/>"},
		{name: "bare keys", template: `{ statusCode: 201, 'x': 'it' }`, status: 201, header: "Content-Type: application/json"},
		{name: "pattern", template: `{"statusCode": 418}`, status: 404, header: "Content-Type: text/plain"},
		{name: "no pattern, no such status: a default", template: `{"statusCode": 333}`, status: 200, header: "Content-Type: application/json|X-A: b|X-V: 7", want: `{"ok":true}`},
		{name: "string status", template: `{"statusCode": "200"}`, fails: Default5XX},
		{name: "no status", template: `{}`, fails: Default5XX},
		{name: "not JSON", template: `ok`, fails: Default5XX},
		{name: "template language", template: `{"statusCode": $x}`, fails: ConfigurationError},
		{name: "template language in the answer", template: `{"statusCode": 500}`, fails: ConfigurationError},
		{name: "no template for the type: body", template: `{"statusCode": 200}`, contentType: "text/plain", body: `{"statusCode": 201}`, status: 201, header: "Content-Type: application/json"},
		{name: "NEVER", template: `{"statusCode": 200}`, contentType: "text/plain", passthrough: "NEVER", fails: UnsupportedMediaType},
		{name: "WHEN_NO_TEMPLATES", template: `{"statusCode": 200}`, contentType: "text/plain", passthrough: "WHEN_NO_TEMPLATES", fails: UnsupportedMediaType},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScene(nil)
			s.stage.Variables = map[string]string{"v": "7"}
			s.integration = catalog.Integration{
				Type: catalog.IntegrationMock, PassthroughBehavior: c.passthrough,
				RequestTemplates: map[string]string{"application/json": c.template}, Responses: responses,
			}
			if c.contentType != "" {
				s.req.Header.Add("Content-Type", c.contentType)
			}
			if c.accept != "" {
				s.req.Header.Add("Accept", c.accept)
			}
			s.req.Body = []byte(c.body)
			resp, failure := s.do(t)
			if c.fails != "" {
				if failure == nil || failure.Type != c.fails || failure.Detail() == "" {
					t.Fatalf("got %+v, want %s", failure, c.fails)
				}
				return
			}
			check(t, resp, failure, c.status, c.header, c.want, 0)
			if resp.Header.Has("X-Amzn-Trace-Id") {
				t.Error("a mock's answer carries a trace id")
			}
		})
	}
}

func TestMockWithoutDefaultResponse(t *testing.T) {
	s := newScene(nil)
	s.integration = catalog.Integration{
		Type: catalog.IntegrationMock, RequestTemplates: map[string]string{"application/json": `{"statusCode":200}`},
		Responses: map[string]*catalog.IntegrationResponse{"404": {StatusCode: "404", SelectionPattern: "404"}},
	}
	if _, failure := s.do(t); failure == nil || failure.Type != ConfigurationError {
		t.Errorf("got %+v", failure)
	}
}

func FuzzMockStatus(f *testing.F) {
	f.Add([]byte(`{statusCode: 200, 'a': "b\""}`))
	f.Fuzz(func(t *testing.T, text []byte) { mockStatus(text) })
}
