// Package event writes what a function is called with on behalf of a caller:
// the proxy event of payload format 1.0 and the events of Lambda authorizers.
// Parts are compiled when a stage is published; a Builder puts the rest
// together, in the order in which AWS writes it.
package event

import (
	"encoding/base64"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"weir/internal/catalog"
	"weir/internal/gateway/mapping"
	"weir/internal/gateway/message"
	"weir/internal/gateway/route"
)

// Parts are the pieces of an event that are the same for every call of a
// method, with the JSON around them, and what decides over the others. Made by
// Compile; immutable.
type Parts struct {
	resource       string // "resource":…,"path":
	stageVariables string // …,"requestContext":{"resourceId":…
	resourcePath   string // ,"resourcePath":…,"httpMethod":
	account        string // ,"accountId":…,"protocol":
	stage          string // ,"stage":…,"domainPrefix":
	tail           string // ,"deploymentId":…,"apiId":…}
	noVariables    bool

	keyRequired bool
	iam         bool
	regional    bool // AWS supplies an Accept header on regional endpoints only
	binary      []string
}

// Call is what an event tells of one request.
type Call struct {
	Request *message.Request
	Address route.Address
	Params  []route.Param
	Trace   string // X-Amzn-Trace-Id
	KeyID   string // of the API key, for methods that require one
	Key     string // its value
	// Authorizer is what the method's Lambda authorizer said; its zero value:
	// there is none.
	Authorizer Authorizer
}

// Authorizer is what a Lambda authorizer said of a caller, as events tell it.
type Authorizer struct {
	Members []byte        // JSON members of requestContext.authorizer without braces, principalId among them; not modified
	Latency time.Duration // what it took to ask; 0 for an answer from the cache
}

// Compile makes the Parts of one method of a stage.
func Compile(account string, d *catalog.Deployment, st *catalog.Stage, m *route.Method) Parts {
	quote := func(s string) string { return string(AppendString(nil, s)) }
	variables := []byte{'{'}
	for i, name := range slices.Sorted(maps.Keys(st.Variables)) {
		if i > 0 {
			variables = append(variables, ',')
		}
		variables = append(AppendString(variables, name), ':')
		variables = AppendString(variables, st.Variables[name])
	}
	return Parts{
		resource:       `"resource":` + quote(m.ResourcePath) + `,"path":`,
		stageVariables: string(variables) + `},"requestContext":{"resourceId":` + quote(m.ResourceID),
		resourcePath:   `,"resourcePath":` + quote(m.ResourcePath) + `,"httpMethod":`,
		account:        `,"accountId":` + quote(account) + `,"protocol":`,
		stage:          `,"stage":` + quote(st.StageName) + `,"domainPrefix":`,
		tail:           `,"deploymentId":` + quote(d.ID) + `,"apiId":` + quote(st.APIID) + `}`,
		noVariables:    len(st.Variables) == 0,
		keyRequired:    m.Config.APIKeyRequired,
		iam:            m.Config.AuthorizationType == catalog.AuthorizationIAM,
		regional:       slices.Contains(d.API.EndpointTypes, catalog.EndpointRegional),
		binary:         d.API.BinaryMediaTypes,
	}
}

// Builder puts one event together. Its memory is used again for the next. Not
// safe for concurrent use; taken from Take.
type Builder struct {
	buf    []byte
	fields message.Header
	group  grouping
	empty  string // how a map without entries is written
}

var builders = sync.Pool{New: func() any { return new(Builder) }}

// maxKept bounds what a Builder keeps between calls.
const maxKept = 256 << 10

// Take lends a Builder, until Done.
func Take() *Builder { return builders.Get().(*Builder) }

// Done gives the Builder back with the memory of the event that it made, of
// which nobody may keep a reference.
func (b *Builder) Done() {
	if cap(b.buf) <= maxKept {
		builders.Put(b)
	}
}

// Proxy builds the event of a proxy integration. It lies in b's memory.
func (b *Builder) Proxy(p *Parts, c *Call) []byte {
	b.empty = "null"
	dst := append(b.buf[:0], '{')
	dst = b.request(dst, p, c, false)
	dst = append(dst, `,"body":`...)
	b.buf = appendBody(dst, p, c.Request)
	return b.buf
}

// Token builds the event of a TOKEN authorizer. It lies in b's memory.
func (b *Builder) Token(methodARN, token string) []byte {
	dst := append(b.buf[:0], `{"type":"TOKEN","methodArn":`...)
	dst = AppendString(dst, methodARN)
	dst = append(dst, `,"authorizationToken":`...)
	b.buf = append(AppendString(dst, token), '}')
	return b.buf
}

// Request builds the event of a REQUEST authorizer: the proxy event without a
// body, with {} where that has null. It lies in b's memory.
func (b *Builder) Request(p *Parts, c *Call, methodARN string) []byte {
	b.empty = "{}"
	dst := append(b.buf[:0], `{"type":"REQUEST","methodArn":`...)
	dst = append(AppendString(dst, methodARN), ',')
	b.buf = append(b.request(dst, p, c, true), '}')
	return b.buf
}

// request appends the members that tell of the request, up to its context.
func (b *Builder) request(dst []byte, p *Parts, c *Call, forAuthorizer bool) []byte {
	req := c.Request
	dst = append(dst, p.resource...)
	dst = append(dst, '"', '/') // however many slashes it began with
	dst = appendEscaped(dst, strings.TrimLeft(c.Address.Path, "/"))
	dst = append(dst, `","httpMethod":`...)
	dst = AppendString(dst, req.Method)

	b.headers(p, c, forAuthorizer)
	b.group.byName(b.fields, strings.EqualFold)
	dst = append(dst, `,"headers":`...)
	dst = b.appendSingle(dst)
	dst = append(dst, `,"multiValueHeaders":`...)
	dst = b.appendMulti(dst)

	b.fields = ParseQuery(b.fields[:0], req.Query)
	b.group.byName(b.fields, func(a, b string) bool { return a == b })
	dst = append(dst, `,"queryStringParameters":`...)
	dst = b.appendSingle(dst)
	dst = append(dst, `,"multiValueQueryStringParameters":`...)
	dst = b.appendMulti(dst)
	clear(b.fields[:cap(b.fields)]) // nothing of the request outlives it here

	dst = append(dst, `,"pathParameters":`...)
	dst = b.appendParams(dst, c.Params)
	dst = append(dst, `,"stageVariables":`...)
	return b.appendContext(dst, p, c)
}

func (b *Builder) appendSingle(dst []byte) []byte {
	if len(b.group.heads) == 0 {
		return append(dst, b.empty...)
	}
	return b.group.appendSingle(dst, b.fields)
}

func (b *Builder) appendMulti(dst []byte) []byte {
	if len(b.group.heads) == 0 {
		return append(dst, b.empty...)
	}
	return b.group.appendMulti(dst, b.fields)
}

// dropped are the headers that a function never sees (recorded behaviour of
// AWS).
var dropped = []string{
	"Connection", "Content-Length", "Content-MD5", "Expect", "Max-Forwards", "Proxy-Authenticate",
	"Server", "TE", "Transfer-Encoding", "Trailer", "Upgrade", "WWW-Authenticate",
}

func isDropped(name string) bool {
	for _, n := range dropped {
		if len(n) == len(name) && strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

// headers gathers the headers that the function sees. A signature is no news
// to an integration (AWS leaves it out); an authorizer may want to check it.
func (b *Builder) headers(p *Parts, c *Call, forAuthorizer bool) {
	req := c.Request
	h := b.fields[:0]
	forwarded := ""
	for _, field := range req.Header {
		switch {
		case isDropped(field.Name):
			continue
		case strings.EqualFold(field.Name, "X-Forwarded-For"):
			if forwarded != "" {
				forwarded += ", "
			}
			forwarded += field.Value
			continue
		case strings.EqualFold(field.Name, "X-Forwarded-Port"), strings.EqualFold(field.Name, "X-Forwarded-Proto"),
			strings.EqualFold(field.Name, "X-Amzn-Trace-Id"):
			continue
		case strings.EqualFold(field.Name, "Authorization"):
			if !forAuthorizer && (p.iam || strings.HasPrefix(field.Value, "AWS4-HMAC-SHA256")) {
				continue
			}
			field.Name = "Authorization" // these two arrive in title case, however sent
		case strings.EqualFold(field.Name, "User-Agent"):
			field.Name = "User-Agent"
		}
		h = append(h, field)
	}
	if p.regional && !req.Header.Has("Accept") {
		h.Add("Accept", "application/json")
	}
	if forwarded != "" {
		forwarded += ", "
	}
	h.Add("X-Amzn-Trace-Id", c.Trace)
	h.Add("X-Forwarded-For", forwarded+req.Source.String())
	h.Add("X-Forwarded-Port", req.Port)
	h.Add("X-Forwarded-Proto", req.Scheme)
	b.fields = h
}

func (b *Builder) appendParams(dst []byte, params []route.Param) []byte {
	if len(params) == 0 {
		return append(dst, b.empty...)
	}
	dst = append(dst, '{')
	for i, p := range params {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(AppendString(dst, p.Name), ':')
		dst = AppendString(dst, p.Value)
	}
	return append(dst, '}')
}

// appendContext appends the stage variables and requestContext.
func (b *Builder) appendContext(dst []byte, p *Parts, c *Call) []byte {
	req := c.Request
	domain := route.Hostname(req.Host)
	prefix, _, _ := strings.Cut(domain, ".")
	received := req.Received.UTC()

	variables := p.stageVariables
	if p.noVariables {
		dst, variables = append(dst, b.empty...), variables[len("{}"):]
	}
	dst = append(dst, variables...)
	if a := &c.Authorizer; a.Members != nil {
		dst = append(dst, `,"authorizer":{`...)
		dst = append(dst, a.Members...)
		dst = append(dst, `,"integrationLatency":`...)
		dst = append(strconv.AppendInt(dst, a.Latency.Milliseconds(), 10), '}')
	}
	dst = append(dst, p.resourcePath...)
	dst = AppendString(dst, req.Method)
	dst = append(dst, `,"extendedRequestId":`...)
	dst = AppendString(dst, req.ExtendedID)
	dst = append(dst, `,"requestTime":"`...)
	dst = received.AppendFormat(dst, "02/Jan/2006:15:04:05 -0700")
	dst = append(dst, `","path":"/`...)
	dst = append(dst, c.Address.Stage...)
	dst = appendEscaped(dst, c.Address.Path)
	dst = append(dst, '"')
	dst = append(dst, p.account...)
	dst = AppendString(dst, req.Proto)
	dst = append(dst, p.stage...)
	dst = AppendString(dst, prefix)
	dst = append(dst, `,"requestTimeEpoch":`...)
	dst = strconv.AppendInt(dst, received.UnixMilli(), 10)
	dst = append(dst, `,"requestId":`...)
	dst = AppendString(dst, req.ID)
	dst = append(dst, `,"identity":{"cognitoIdentityPoolId":null,"accountId":null,"cognitoIdentityId":null,`...)
	if p.keyRequired && c.KeyID != "" {
		dst = append(dst, `"apiKey":`...)
		dst = append(AppendString(dst, c.Key), ',')
	}
	dst = append(dst, `"caller":null,"sourceIp":`...)
	dst = AppendString(dst, req.Source.String())
	dst = append(dst, `,"principalOrgId":null,"accessKey":null,"cognitoAuthenticationType":null,"cognitoAuthenticationProvider":null,"userArn":null,`...)
	if p.keyRequired && c.KeyID != "" {
		dst = append(dst, `"apiKeyId":`...)
		dst = append(AppendString(dst, c.KeyID), ',')
	}
	dst = append(dst, `"userAgent":`...)
	if agent, ok := req.Header.Last("User-Agent"); ok {
		dst = AppendString(dst, agent)
	} else {
		dst = append(dst, "null"...)
	}
	dst = append(dst, `,"user":null},"domainName":`...)
	dst = AppendString(dst, domain)
	return append(dst, p.tail...)
}

// appendBody appends the body and closes the event.
func appendBody(dst []byte, p *Parts, req *message.Request) []byte {
	if len(req.Body) == 0 {
		return append(dst, `null,"isBase64Encoded":false}`...)
	}
	contentType, _ := req.Header.Last("Content-Type")
	if mapping.Binary(p.binary, contentType) {
		dst = append(dst, '"')
		dst = base64.StdEncoding.AppendEncode(dst, req.Body)
		return append(dst, `","isBase64Encoded":true}`...)
	}
	dst = AppendString(dst, req.Body)
	return append(dst, `,"isBase64Encoded":false}`...)
}
