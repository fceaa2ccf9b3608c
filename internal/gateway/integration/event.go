package integration

import (
	"encoding/base64"
	"maps"
	"slices"
	"strconv"
	"strings"

	"weir/internal/catalog"
	"weir/internal/gateway/mapping"
	"weir/internal/gateway/message"
	"weir/internal/gateway/route"
)

// eventParts are the pieces of an event that are the same for every call of a
// method, with the JSON around them.
type eventParts struct {
	resource       string // {"resource":…,"path":
	stageVariables string // "stageVariables":…,"requestContext":{"resourceId":…,"resourcePath":…,"httpMethod":
	account        string // ,"accountId":…,"protocol":
	stage          string // ,"stage":…,"domainPrefix":
	tail           string // ,"deploymentId":…,"apiId":…},"body":
}

func compileEvent(account string, d *catalog.Deployment, st *catalog.Stage, m *route.Method) eventParts {
	quote := func(s string) string { return string(appendString(nil, s)) }
	variables := []byte("null")
	if len(st.Variables) > 0 {
		variables = append(variables[:0], '{')
		for i, name := range slices.Sorted(maps.Keys(st.Variables)) {
			if i > 0 {
				variables = append(variables, ',')
			}
			variables = append(appendString(variables, name), ':')
			variables = appendString(variables, st.Variables[name])
		}
		variables = append(variables, '}')
	}
	return eventParts{
		resource: `{"resource":` + quote(m.ResourcePath) + `,"path":`,
		stageVariables: `,"stageVariables":` + string(variables) + `,"requestContext":{"resourceId":` + quote(m.ResourceID) +
			`,"resourcePath":` + quote(m.ResourcePath) + `,"httpMethod":`,
		account: `,"accountId":` + quote(account) + `,"protocol":`,
		stage:   `,"stage":` + quote(st.StageName) + `,"domainPrefix":`,
		tail:    `,"deploymentId":` + quote(d.ID) + `,"apiId":` + quote(st.APIID) + `},"body":`,
	}
}

// builder puts one event together. Its memory is used again for the next.
type builder struct {
	buf    []byte
	fields message.Header
	group  grouping
}

// event builds the proxy event of payload format 1.0 in b.buf, members in the
// order in which AWS writes them.
func (b *builder) event(f *function, c *Call, trace string) {
	req := c.Request
	dst := append(b.buf[:0], f.event.resource...)
	dst = append(dst, '"', '/') // however many slashes it began with
	dst = appendEscaped(dst, strings.TrimLeft(c.Address.Path, "/"))
	dst = append(dst, `","httpMethod":`...)
	dst = appendString(dst, req.Method)

	b.headers(f, c, trace)
	b.group.byName(b.fields, strings.EqualFold)
	dst = append(dst, `,"headers":`...)
	dst = b.group.appendSingle(dst, b.fields)
	dst = append(dst, `,"multiValueHeaders":`...)
	dst = b.group.appendMulti(dst, b.fields)

	b.fields = parseQuery(b.fields[:0], req.Query)
	b.group.byName(b.fields, func(a, b string) bool { return a == b })
	dst = append(dst, `,"queryStringParameters":`...)
	dst = b.group.appendSingle(dst, b.fields)
	dst = append(dst, `,"multiValueQueryStringParameters":`...)
	dst = b.group.appendMulti(dst, b.fields)

	dst = append(dst, `,"pathParameters":`...)
	dst = appendParams(dst, c.Params)
	dst = appendContext(dst, f, c)
	b.buf = appendBody(dst, f, req)
	clear(b.fields[:cap(b.fields)]) // nothing of the request outlives it here
}

// headers gathers the headers that the function sees.
func (b *builder) headers(f *function, c *Call, trace string) {
	req := c.Request
	h := b.fields[:0]
	forwarded := ""
	for _, field := range req.Header {
		switch {
		case listed(droppedToFunction, field.Name):
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
			if f.iam || strings.HasPrefix(field.Value, "AWS4-HMAC-SHA256") {
				continue
			}
			field.Name = "Authorization" // these two arrive in title case, however sent
		case strings.EqualFold(field.Name, "User-Agent"):
			field.Name = "User-Agent"
		}
		h = append(h, field)
	}
	if f.regional && !req.Header.Has("Accept") {
		h.Add("Accept", "application/json")
	}
	if forwarded != "" {
		forwarded += ", "
	}
	h.Add("X-Amzn-Trace-Id", trace)
	h.Add("X-Forwarded-For", forwarded+req.Source.String())
	h.Add("X-Forwarded-Port", req.Port)
	h.Add("X-Forwarded-Proto", req.Scheme)
	b.fields = h
}

func appendParams(dst []byte, params []route.Param) []byte {
	if len(params) == 0 {
		return append(dst, "null"...)
	}
	dst = append(dst, '{')
	for i, p := range params {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendString(dst, p.Name), ':')
		dst = appendString(dst, p.Value)
	}
	return append(dst, '}')
}

// appendContext appends stageVariables and requestContext up to the body.
func appendContext(dst []byte, f *function, c *Call) []byte {
	req := c.Request
	domain := route.Hostname(req.Host)
	prefix, _, _ := strings.Cut(domain, ".")
	received := req.Received.UTC()

	dst = append(dst, f.event.stageVariables...)
	dst = appendString(dst, req.Method)
	dst = append(dst, `,"extendedRequestId":`...)
	dst = appendString(dst, req.ExtendedID)
	dst = append(dst, `,"requestTime":"`...)
	dst = received.AppendFormat(dst, "02/Jan/2006:15:04:05 -0700")
	dst = append(dst, `","path":"/`...)
	dst = append(dst, c.Address.Stage...)
	dst = appendEscaped(dst, c.Address.Path)
	dst = append(dst, '"')
	dst = append(dst, f.event.account...)
	dst = appendString(dst, req.Proto)
	dst = append(dst, f.event.stage...)
	dst = appendString(dst, prefix)
	dst = append(dst, `,"requestTimeEpoch":`...)
	dst = strconv.AppendInt(dst, received.UnixMilli(), 10)
	dst = append(dst, `,"requestId":`...)
	dst = appendString(dst, req.ID)
	dst = append(dst, `,"identity":{"cognitoIdentityPoolId":null,"accountId":null,"cognitoIdentityId":null,`...)
	if f.keyRequired {
		dst = append(dst, `"apiKey":`...)
		dst = append(appendString(dst, c.Key), ',')
	}
	dst = append(dst, `"caller":null,"sourceIp":`...)
	dst = appendString(dst, req.Source.String())
	dst = append(dst, `,"principalOrgId":null,"accessKey":null,"cognitoAuthenticationType":null,"cognitoAuthenticationProvider":null,"userArn":null,`...)
	if f.keyRequired {
		dst = append(dst, `"apiKeyId":`...)
		dst = append(appendString(dst, c.KeyID), ',')
	}
	dst = append(dst, `"userAgent":`...)
	if agent, ok := req.Header.Last("User-Agent"); ok {
		dst = appendString(dst, agent)
	} else {
		dst = append(dst, "null"...)
	}
	dst = append(dst, `,"user":null},"domainName":`...)
	dst = appendString(dst, domain)
	return append(dst, f.event.tail...)
}

// appendBody appends the body and closes the event.
func appendBody(dst []byte, f *function, req *message.Request) []byte {
	if len(req.Body) == 0 {
		return append(dst, `null,"isBase64Encoded":false}`...)
	}
	contentType, _ := req.Header.Last("Content-Type")
	if mapping.Binary(f.binary, contentType) {
		dst = append(dst, '"')
		dst = base64.StdEncoding.AppendEncode(dst, req.Body)
		return append(dst, `","isBase64Encoded":true}`...)
	}
	dst = appendString(dst, req.Body)
	return append(dst, `,"isBase64Encoded":false}`...)
}
