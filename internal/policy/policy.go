// Package policy is AWS's policy language: resource policies of APIs and
// functions, and the policies of IAM. Parse reads a document once and compiles
// everything in it (patterns, networks, dates); Evaluate then decides a request
// without compiling or, for documents without policy variables, allocating.
//
//	d, err := policy.Parse([]byte(text))
//	...
//	if d.Evaluate(&policy.Request{
//		Principal: policy.Principal{Service: "apigateway.amazonaws.com"},
//		Action:    "lambda:InvokeFunction",
//		Resource:  functionARN,
//		Context:   map[string][]string{"aws:sourcearn": {methodARN}},
//	}) != policy.Allowed { ... }
//
// The package decides one document. How the verdicts of several documents
// combine (an identity's, a resource's, a boundary's) is the caller's.
// Source: IAM user guide, "IAM JSON policy elements" and "Policy evaluation
// logic".
package policy

import "slices"

// Decision is what a document says about a request.
type Decision uint8

// The decisions. Implicit, the zero value, means that no statement matched:
// the document neither allows nor denies.
const (
	Implicit Decision = iota
	Allowed
	Denied // a Deny statement matched; it wins over any Allow
)

// String returns "implicit", "allowed" or "denied".
func (d Decision) String() string {
	switch d {
	case Allowed:
		return "allowed"
	case Denied:
		return "denied"
	}
	return "implicit"
}

// Principal is who asks. The zero value is an anonymous caller, whom only the
// principal "*" matches.
type Principal struct {
	Service   string // "apigateway.amazonaws.com"
	AWS       string // ARN of a user, role or assumed-role session, or an account id
	Federated string // identity provider
}

// Request is one question. Keys of Context are lower-case ("aws:sourcearn"); a
// key that is absent or has no values is missing in the sense of IAM.
type Request struct {
	Principal Principal
	Action    string // "lambda:InvokeFunction"
	Resource  string // ARN
	Context   map[string][]string
	// Identity says that the document belongs to who asks (an IAM identity
	// policy), so that statements without a Principal element apply. Without
	// it such statements match nobody.
	Identity bool
}

// Document is a parsed policy. It is immutable and safe for concurrent use. The
// zero value has no statement and decides Implicit.
type Document struct {
	version    string
	id         string
	statements []statement
}

// statement is one compiled statement. Of each pair (principal, action,
// resource) negated says that the Not form was written.
type statement struct {
	sid           string
	deny          bool
	principal     *principals // nil: no Principal element
	notPrincipal  bool
	actions       []pattern
	notAction     bool
	resources     []pattern // empty: no Resource element (trust policies)
	notResource   bool
	conditions    []condition
	resourceTexts []string // as written, for ValidFor
	actionTexts   []string
}

// Evaluate decides r. It is safe for concurrent use.
func (d *Document) Evaluate(r *Request) Decision {
	decision := Implicit
	for i := range d.statements {
		s := &d.statements[i]
		if decision == Allowed && !s.deny {
			continue // only a Deny can change the verdict now
		}
		if !s.matches(r) {
			continue
		}
		if s.deny {
			return Denied
		}
		decision = Allowed
	}
	return decision
}

// ReadsContext says whether a verdict can depend on Request.Context: whether
// there is a condition or a policy variable. Without one the context need not
// be gathered.
func (d *Document) ReadsContext() bool {
	for i := range d.statements {
		s := &d.statements[i]
		if len(s.conditions) > 0 || slices.ContainsFunc(s.resources, func(p pattern) bool { return p.form == formExpand }) {
			return true
		}
	}
	return false
}

func (s *statement) matches(r *Request) bool {
	if s.principal == nil {
		if !r.Identity {
			return false
		}
	} else if s.principal.match(r.Principal) == s.notPrincipal {
		return false
	}
	if matchAny(s.actions, r.Action, r.Context) == s.notAction {
		return false
	}
	if len(s.resources) > 0 && matchAny(s.resources, r.Resource, r.Context) == s.notResource {
		return false
	}
	for i := range s.conditions {
		if !s.conditions[i].holds(r.Context) {
			return false
		}
	}
	return true
}

func matchAny(patterns []pattern, s string, ctx map[string][]string) bool {
	for i := range patterns {
		if patterns[i].match(s, ctx) {
			return true
		}
	}
	return false
}
