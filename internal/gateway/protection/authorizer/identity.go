package authorizer

import (
	"crypto/sha256"
	"strings"
	"sync"

	"weir/internal/gateway/event"
	"weir/internal/gateway/message"
	"weir/internal/gateway/route"
)

// source is one place of a request that says who calls.
type source struct {
	expression string // as configured, for the log
	place      place
	name       string
	value      string // of placeFixed
}

type place uint8

const (
	placeHeader place = iota
	placeQuery
	placeFixed // the same for every call of the method
	placeHost
	placeVerb
	placePath
	placeProtocol
	placeAddress
	placeAgent
)

// compileSource reads one mapping expression; those of catalog.IdentityContext
// among the context's variables.
func (r *Runner) compileSource(expression string, s Spec) (source, bool) {
	fixed := func(v string) (source, bool) {
		return source{expression: expression, place: placeFixed, value: v}, true
	}
	if name, ok := strings.CutPrefix(expression, "method.request.header."); ok {
		return source{expression: expression, place: placeHeader, name: name}, true
	}
	if name, ok := strings.CutPrefix(expression, "method.request.querystring."); ok {
		return source{expression: expression, place: placeQuery, name: name}, true
	}
	if name, ok := strings.CutPrefix(expression, "stageVariables."); ok {
		return fixed(s.Stage.Variables[name])
	}
	varying := map[string]place{
		"context.domainName": placeHost, "context.httpMethod": placeVerb, "context.path": placePath,
		"context.protocol": placeProtocol, "context.identity.sourceIp": placeAddress, "context.identity.userAgent": placeAgent,
	}
	if p, ok := varying[expression]; ok {
		return source{expression: expression, place: p}, true
	}
	switch expression {
	case "context.accountId":
		return fixed(r.o.Account)
	case "context.apiId":
		return fixed(s.Stage.APIID)
	case "context.stage":
		return fixed(s.Stage.StageName)
	case "context.resourceId":
		return fixed(s.Method.ResourceID)
	case "context.resourcePath":
		return fixed(s.Method.ResourcePath)
	}
	return source{}, false
}

// identity is what a call's identity sources say, in memory that is used again.
type identity struct {
	parts []byte         // scope and values, each with its length
	query message.Header // of the request, decoded when a source asks for it
	lines []string       // for the log: "{source}={masked value}"
}

var identities = sync.Pool{New: func() any { return new(identity) }}

// maxKeptIdentity bounds the memory that an identity keeps for the next one.
const maxKeptIdentity = 16 << 10

func (i *identity) done() {
	clear(i.parts[:cap(i.parts)]) // tokens do not lie about
	clear(i.query[:cap(i.query)])
	clear(i.lines[:cap(i.lines)])
	if cap(i.parts) <= maxKeptIdentity {
		*i = identity{parts: i.parts[:0], query: i.query[:0], lines: i.lines[:0]}
		identities.Put(i)
	}
}

// read gathers the values of a call's identity sources. It is false when one
// is missing or empty. The last value of a repeated header or parameter is the
// one that counts, as in the event; all of them are part of the identity, so
// that an answer is never given to a request that the function would have seen
// differently there. token is the value of the first source.
func (i *identity) read(a *Authorizer, q *Question) (token string, ok bool) {
	i.parts = append(i.parts, a.scope[:]...)
	for k := range a.sources {
		s := &a.sources[k]
		value := i.value(s, q)
		if value == "" {
			return "", false
		}
		if k == 0 {
			token = value
		}
		if q.Request.Trail.On() {
			i.lines = append(i.lines, s.expression+"="+message.Masked(value))
		}
	}
	return token, true
}

// value returns what a source says and appends all it says to the parts.
func (i *identity) value(s *source, q *Question) (last string) {
	req := q.Request
	switch s.place {
	case placeHeader:
		for _, f := range req.Header {
			if len(f.Name) == len(s.name) && strings.EqualFold(f.Name, s.name) {
				i.parts, last = appendPart(i.parts, f.Value), f.Value
			}
		}
		i.parts = append(i.parts, noPart)
		return last
	case placeQuery:
		if len(i.query) == 0 {
			i.query = event.ParseQuery(i.query, req.Query)
		}
		for _, f := range i.query {
			if f.Name == s.name {
				i.parts, last = appendPart(i.parts, f.Value), f.Value
			}
		}
		i.parts = append(i.parts, noPart)
		return last
	case placeFixed:
		last = s.value
	case placeHost:
		last = route.Hostname(req.Host)
	case placeVerb:
		last = req.Method
	case placePath:
		last = "/" + q.Address.Stage + q.Address.Path
	case placeProtocol:
		last = req.Proto
	case placeAddress:
		last = req.Source.String()
	case placeAgent:
		last, _ = req.Header.Last("User-Agent")
	}
	i.parts = appendPart(i.parts, last)
	return last
}

// digest names the identity in the cache.
func (i *identity) digest(seed *[32]byte) digest {
	i.parts = append(i.parts, seed[:]...)
	return sha256.Sum256(i.parts)
}
