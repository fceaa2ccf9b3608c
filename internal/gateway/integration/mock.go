package integration

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"weir/internal/catalog"
	"weir/internal/gateway/mapping"
	"weir/internal/gateway/message"
)

// mock answers without calling anybody: the request template says which
// status, the status says which integration response.
type mock struct {
	requests    mapping.Templates
	statuses    map[string]int // by request template text; absent: no integer statusCode in it
	passthrough string
	responses   []mockResponse // those with a pattern first
}

type mockResponse struct {
	status    int
	pattern   *regexp.Regexp // nil: a default
	header    message.Header
	templates mapping.Templates
	failure   *Failure // set: this response cannot be made
}

func compileMock(in *catalog.Integration, st *catalog.Stage) *Plan {
	m := &mock{
		requests:    mapping.CompileAll(in.RequestTemplates),
		statuses:    map[string]int{},
		passthrough: in.PassthroughBehavior,
	}
	for _, text := range in.RequestTemplates {
		if status, ok := mockStatus([]byte(text)); ok {
			m.statuses[text] = status
		}
	}
	var codes []string
	for code := range in.Responses {
		codes = append(codes, code)
	}
	slices.Sort(codes)
	var defaults []mockResponse
	for _, code := range codes {
		r, ok := compileMockResponse(in.Responses[code], st)
		switch {
		case !ok:
			// Not a status, or a pattern that matches nothing.
		case r.pattern != nil:
			m.responses = append(m.responses, r)
		default:
			defaults = append(defaults, r)
		}
	}
	m.responses = append(m.responses, defaults...)
	return &Plan{mock: m}
}

func compileMockResponse(ir *catalog.IntegrationResponse, st *catalog.Stage) (mockResponse, bool) {
	status, err := strconv.Atoi(ir.StatusCode)
	if err != nil || status < 200 || status > 599 {
		return mockResponse{}, false
	}
	r := mockResponse{status: status, templates: mapping.CompileAll(ir.ResponseTemplates)}
	if ir.SelectionPattern != "" {
		if r.pattern, err = regexp.Compile(`^(?:` + ir.SelectionPattern + `)$`); err != nil {
			return mockResponse{}, false
		}
	}
	var targets []string
	for target := range ir.ResponseParameters {
		targets = append(targets, target)
	}
	slices.Sort(targets)
	for _, target := range targets {
		name, ok := strings.CutPrefix(target, "method.response.header.")
		if !ok {
			continue
		}
		source := ir.ResponseParameters[target]
		value, static := mapping.Static(source)
		if variable, ok := strings.CutPrefix(source, "stageVariables."); ok {
			value, static = st.Variables[variable], true
		}
		switch {
		case static && validName(name) && validValue(value):
			r.header.Set(name, value)
		case static:
			r.failure = configurationError("Execution failed due to configuration error: Invalid value for header " + name)
		case strings.HasPrefix(source, "integration.response."):
			// A mock has no integration response to take it from.
		default:
			r.failure = configurationError("Execution failed due to configuration error: this version does not evaluate the response parameter " +
				source + " yet")
		}
	}
	return r, true
}

// answer runs the mock.
func (m *mock) answer(c *Call, resp *message.Response) *Failure {
	status, failure := m.status(c)
	if failure != nil {
		return failure
	}
	r := m.choose(status)
	if r == nil {
		return configurationError("Execution failed due to configuration error: No match for output mapping and no default output mapping configured. Endpoint Response Status Code: " +
			strconv.Itoa(status))
	}
	if r.failure != nil {
		return r.failure
	}
	accept, _ := c.Request.Header.Last("Accept")
	tpl, media, ok := r.templates.ForResponse(accept)
	if ok && !tpl.Runnable {
		return templateFailure("response template")
	}
	if !ok {
		media = "application/json"
	}
	resp.Status = r.status
	if !r.header.Has("Content-Type") {
		resp.Header.Add("Content-Type", media)
	}
	resp.Header = append(resp.Header, r.header...)
	resp.Body = tpl.Body
	return nil
}

// status finds the status that the request template asks for.
func (m *mock) status(c *Call) (int, *Failure) {
	contentType, _ := c.Request.Header.Last("Content-Type")
	tpl, ok := m.requests.ForRequest(contentType)
	if ok {
		if !tpl.Runnable {
			return 0, templateFailure("request template")
		}
		if status, ok := m.statuses[tpl.Text]; ok {
			return status, nil
		}
		return 0, noStatus()
	}
	if m.passthrough == "NEVER" || m.passthrough == "WHEN_NO_TEMPLATES" && m.requests.Len() > 0 {
		return 0, &Failure{Type: UnsupportedMediaType, Lines: []string{
			"Execution failed: Unsupported Media Type",
		}}
	}
	// No template for this type: the body goes on as it is.
	if status, ok := mockStatus(c.Request.Body); ok {
		return status, nil
	}
	return 0, noStatus()
}

func noStatus() *Failure {
	return &Failure{Type: Default5XX, Status: 500, Lines: []string{
		"Execution failed due to configuration error: Unable to parse statusCode. It should be an integer defined in the request template.",
	}}
}

// choose finds the integration response: the first pattern that matches the
// whole status, else the default of that very status, else any default.
func (m *mock) choose(status int) *mockResponse {
	var fallback *mockResponse
	for i := range m.responses {
		r := &m.responses[i]
		switch {
		case r.pattern != nil && r.pattern.MatchString(strconv.Itoa(status)):
			return r
		case r.pattern != nil:
		case r.status == status:
			return r
		case fallback == nil:
			fallback = r
		}
	}
	return fallback
}

// mockStatus reads the integer statusCode of a template's result. AWS takes
// keys without quotes too, and people's templates rely on it.
func mockStatus(text []byte) (int, bool) {
	if !json.Valid(text) {
		text = quoteKeys(text)
	}
	var result struct {
		StatusCode json.RawMessage `json:"statusCode"`
	}
	if json.Unmarshal(text, &result) != nil {
		return 0, false
	}
	status, err := strconv.Atoi(string(result.StatusCode))
	return status, err == nil
}

// quoteKeys puts quotes around bare words that stand before a colon, and turns
// single quotes into double ones.
func quoteKeys(text []byte) []byte {
	var out bytes.Buffer
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c == '"' || c == '\'':
			end := i + 1
			for end < len(text) && text[end] != c {
				if text[end] == '\\' {
					end++
				}
				end++
			}
			out.WriteByte('"')
			out.Write(text[i+1 : min(end, len(text))])
			out.WriteByte('"')
			i = end + 1
		case isWord(c):
			end := i
			for end < len(text) && isWord(text[end]) {
				end++
			}
			rest := bytes.TrimLeft(text[end:], " \t\r\n")
			if len(rest) > 0 && rest[0] == ':' {
				out.WriteByte('"')
				out.Write(text[i:end])
				out.WriteByte('"')
			} else {
				out.Write(text[i:end])
			}
			i = end
		default:
			out.WriteByte(c)
			i++
		}
	}
	return out.Bytes()
}

func isWord(c byte) bool {
	return c == '_' || c == '-' || c == '.' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
