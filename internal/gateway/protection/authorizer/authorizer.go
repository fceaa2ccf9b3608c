// Package authorizer asks Lambda authorizers: functions of the owner's that
// judge a caller by a token or by the whole request, and answer with a policy.
//
//	a, err := runner.Compile(authorizer.Spec{...}) // when a stage is published
//	v := runner.Ask(ctx, a, &authorizer.Question{Request: req, ...})
//	if v.Outcome != authorizer.Allowed { ... }
//
// An answer is kept for as long as the authorizer says (ResultTTL), under the
// values of its identity sources, and its policy is evaluated for every call
// anew: one answer has to cover every method that names the authorizer, as on
// AWS. Callers with the same identity that come while the function is being
// asked wait for that one answer. Failures, and "Unauthorized", are not kept.
//
// Everything is bounded: the time a function has, the size of its answer, how
// many answers are kept and what memory they take. An identity is kept as a
// digest only.
//
// Source: API Gateway developer guide, "Use API Gateway Lambda authorizers";
// where it is silent, docs/authorizers.md says what was decided.
package authorizer

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"weir/internal/catalog"
	"weir/internal/gateway/event"
	"weir/internal/gateway/mapping"
	"weir/internal/gateway/message"
	"weir/internal/gateway/route"
	"weir/internal/invocation"
)

// Timeout is how long a function has to answer. AWS does not say; it is the
// longest that a whole call may take there.
const Timeout = 29 * time.Second

// MaxMethodARN is the longest method ARN in bytes; a longer one is AWS's 414.
const MaxMethodARN = 1600

// Options is what a Runner is built from. All fields are required.
type Options struct {
	Account string
	Region  string
	Invoke  func(context.Context, *invocation.Invocation) (*invocation.Result, error)
	Now     func() time.Duration // monotonic
}

// Runner asks authorizers and keeps what they answered. Safe for concurrent
// use; made by New.
type Runner struct {
	o     Options
	cache *cache
}

// New returns a runner that keeps no answer yet.
func New(o Options) *Runner { return &Runner{o: o, cache: newCache()} }

// Spec is one method that names an authorizer.
type Spec struct {
	Authorizer *catalog.Authorizer
	Deployment *catalog.Deployment
	Stage      *catalog.Stage
	Method     *route.Method
	// Test says that nobody calls: an owner looks what the function answers.
	// No answer is kept, and the method ARN names AWS's stage for tests.
	Test bool
}

// testStage stands in the method ARN of a test, as recorded from AWS.
const testStage = "ESTestInvoke-stage"

// Authorizer is what was compiled of a Spec. Immutable.
type Authorizer struct {
	id         string
	token      bool
	function   string
	sourceARN  string
	methodARNs string // begin so: arn:aws:execute-api:…/{stage}/
	sources    []source
	expression *regexp.Regexp // nil: any token
	ttl        time.Duration
	scope      digest // of what identities are kept under: stage, authorizer as configured, flush
	parts      event.Parts
	broken     string // not "": why it can never be asked
}

// Compile makes the Authorizer of a method. An error says what can never have
// passed the catalog's rules; what may be mended without a deployment is told
// to every caller instead.
func (r *Runner) Compile(s Spec) (*Authorizer, error) {
	c := s.Authorizer
	arn := "arn:aws:execute-api:" + r.o.Region + ":" + r.o.Account + ":" + s.Stage.APIID + "/"
	a := &Authorizer{
		id: c.ID, token: c.Type == catalog.AuthorizerToken,
		sourceARN: arn + "authorizers/" + c.ID, methodARNs: arn + s.Stage.StageName + "/",
		ttl:   time.Duration(c.TTL()) * time.Second,
		parts: event.Compile(r.o.Account, s.Deployment, s.Stage, s.Method),
	}
	if s.Test {
		a.methodARNs, a.ttl = arn+testStage+"/", 0
	}
	var err error
	if a.scope, err = scopeOf(s.Stage, c); err != nil {
		return nil, err
	}
	for _, expression := range c.Sources() {
		src, ok := r.compileSource(expression, s)
		if !ok {
			return nil, fmt.Errorf("authorizer %s: %s is no identity source", c.Name, expression)
		}
		a.sources = append(a.sources, src)
	}
	if len(a.sources) == 0 && (a.token || c.TTL() > 0) {
		return nil, fmt.Errorf("authorizer %s has no identity source", c.Name)
	}
	if a.token && c.ValidationExpression != "" {
		// The whole token has to match: an expression that a part of it
		// matches would let through what it was written against.
		if a.expression, err = regexp.Compile(`\A(?:` + c.ValidationExpression + `)\z`); err != nil {
			return nil, fmt.Errorf("authorizer %s: %w", c.Name, err)
		}
	}
	uri := mapping.Expand(c.URI, s.Stage.Variables)
	function, ok := catalog.FunctionInvokedBy(uri)
	a.function = function
	switch {
	case !ok:
		a.broken = lineConfiguration + "Invalid Lambda function URI " + uri // AWS's words
	case c.Credentials != "":
		// Permissions of roles are not enforced yet: a role must not be what
		// lets a call through.
		a.broken = lineConfiguration + "Authorizer error (the authorizer's credentials role is not honoured by this version)"
	}
	return a, nil
}

// scopeOf names what an answer depends on besides the identity.
func scopeOf(st *catalog.Stage, c *catalog.Authorizer) (digest, error) {
	configured, err := json.Marshal(c)
	if err != nil {
		return digest{}, err
	}
	var scope []byte
	for _, part := range []string{
		st.APIID, st.StageName, fmt.Sprint(st.AuthorizersFlushed), mapping.Expand(c.URI, st.Variables), string(configured),
	} {
		scope = appendPart(scope, part)
	}
	return sha256.Sum256(scope), nil
}

// noPart ends a list of parts: no part begins so.
const noPart = 0

// appendPart appends a part with its length, so that no two lists of parts read
// alike.
func appendPart(dst []byte, part string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(part))+1)
	return append(dst, part...)
}

// Question is one call whose caller is to be judged.
type Question struct {
	Request    *message.Request
	Address    route.Address
	Params     []route.Param
	KeyID, Key string // of the API key, where it is known by now
}

// methodARN names what the caller asks for. The path is as sent, less what
// routing does not see: a policy must not be got around by a slash.
func (a *Authorizer) methodARN(q *Question) string {
	path := strings.TrimSuffix(strings.TrimLeft(q.Address.Path, "/"), "/")
	return a.methodARNs + q.Request.Method + "/" + path
}
