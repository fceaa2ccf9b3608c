package policy

import (
	"fmt"
	"strings"
)

// MaxSize is the most bytes Parse reads. AWS's own limits are lower and depend
// on the use (20,480 for a function, 8,192 for an API); the caller applies them.
const MaxSize = 64 << 10

// Error says what is wrong with a document, in the words of IAM's
// MalformedPolicyDocument where it has words for it.
type Error struct{ Message string }

func (e *Error) Error() string { return e.Message }

func malformed(format string, args ...any) *Error {
	return &Error{"Syntax errors in policy: " + fmt.Sprintf(format, args...) + "."}
}

func refuse(format string, args ...any) *Error {
	return &Error{fmt.Sprintf(format, args...)}
}

// Versions of the language. Policy variables count in the newer one only.
const (
	version2008 = "2008-10-17"
	version2012 = "2012-10-17"
)

// Parse reads and compiles a document. Every error is an *Error. What is legal
// depends on where the document is attached: see ValidFor.
func Parse(text []byte) (*Document, error) {
	if len(text) > MaxSize {
		return nil, malformed("it is longer than %d bytes", MaxSize)
	}
	root, err := parseJSON(text)
	if err != nil {
		return nil, err
	}
	if root.kind != '{' {
		return nil, malformed("it is not a JSON object")
	}
	d := &Document{version: version2008}
	var list []node
	found := false
	for i, key := range root.keys {
		v := root.vals[i]
		switch key {
		case "Version":
			if v.text != version2008 && v.text != version2012 || v.kind != 's' {
				return nil, refuse("Policy document must be version 2012-10-17 or greater.")
			}
			d.version = v.text
		case "Id":
			if v.kind != 's' {
				return nil, malformed("Id is not a string")
			}
			d.id = v.text
		case "Statement":
			found = true
			if list = v.list; v.kind == '{' {
				list = []node{v}
			} else if v.kind != '[' {
				return nil, malformed("Statement is neither an object nor a list")
			}
		default:
			return nil, malformed("%q is not an element of a policy", key)
		}
	}
	if !found {
		return nil, malformed("Statement is missing")
	}
	if err := d.compile(list); err != nil {
		return nil, err
	}
	return d, nil
}

func (d *Document) compile(list []node) error {
	sids := map[string]bool{}
	for i, n := range list {
		s, err := compileStatement(n, d.version == version2012)
		if err != nil {
			return malformed("statement %d: %s", i+1, err)
		}
		if s.sid != "" && sids[s.sid] {
			return refuse("Statement IDs (SID) in a single policy must be unique.")
		}
		sids[s.sid] = true
		d.statements = append(d.statements, s)
	}
	return nil
}

func compileStatement(n node, vars bool) (statement, error) {
	var s statement
	if n.kind != '{' {
		return s, fmt.Errorf("it is not an object")
	}
	written := map[string]bool{}
	for i, key := range n.keys {
		v := n.vals[i]
		written[key] = true
		var err error
		switch key {
		case "Sid":
			if s.sid = v.text; v.kind != 's' {
				err = fmt.Errorf("Sid is not a string")
			}
		case "Effect":
			s.deny = v.text == "Deny"
			if v.kind != 's' || !s.deny && v.text != "Allow" {
				err = fmt.Errorf("Effect is neither \"Allow\" nor \"Deny\"")
			}
		case "Principal", "NotPrincipal":
			s.notPrincipal = key == "NotPrincipal"
			s.principal, err = compilePrincipals(key, v)
		case "Action", "NotAction":
			s.notAction = key == "NotAction"
			s.actionTexts, s.actions, err = compilePatterns(key, v, syntax{wild: true, fold: true})
		case "Resource", "NotResource":
			s.notResource = key == "NotResource"
			s.resourceTexts, s.resources, err = compilePatterns(key, v, syntax{wild: true, vars: vars})
		case "Condition":
			s.conditions, err = compileConditions(v, vars)
		default:
			err = fmt.Errorf("%q is not an element of a statement", key)
		}
		if err != nil {
			return s, err
		}
	}
	return s, s.complete(written)
}

// complete checks what must and what must not stand together.
func (s *statement) complete(written map[string]bool) error {
	for _, pair := range [...][2]string{
		{"Principal", "NotPrincipal"}, {"Action", "NotAction"}, {"Resource", "NotResource"},
	} {
		if written[pair[0]] && written[pair[1]] {
			return fmt.Errorf("%s and %s exclude each other", pair[0], pair[1])
		}
	}
	if !written["Effect"] {
		return fmt.Errorf("Effect is missing")
	}
	if len(s.actions) == 0 {
		return fmt.Errorf("Action is missing")
	}
	if s.notPrincipal && !s.deny {
		return fmt.Errorf("NotPrincipal with Allow lets everybody else in and is refused")
	}
	return nil
}

func compilePatterns(key string, n node, x syntax) ([]string, []pattern, error) {
	texts, ok := n.strings(false)
	if !ok {
		return nil, nil, fmt.Errorf("%s is neither a string nor a list of strings", key)
	}
	if len(texts) == 0 {
		return nil, nil, fmt.Errorf("%s is empty", key)
	}
	out := make([]pattern, 0, len(texts))
	for _, t := range texts {
		if t == "" {
			return nil, nil, fmt.Errorf("%s is empty", key)
		}
		p, err := compilePattern(t, x)
		if err != nil {
			return nil, nil, err
		}
		out = append(out, p)
	}
	return texts, out, nil
}

func compilePrincipals(key string, n node) (*principals, error) {
	p := &principals{}
	if n.kind == 's' {
		if n.text != "*" {
			return nil, fmt.Errorf("%s is neither \"*\" nor an object", key)
		}
		p.everyone = true
		return p, nil
	}
	if n.kind != '{' || len(n.keys) == 0 {
		return nil, fmt.Errorf("%s is neither \"*\" nor an object", key)
	}
	for i, kind := range n.keys {
		values, ok := n.vals[i].strings(false)
		if !ok || len(values) == 0 {
			return nil, fmt.Errorf("%s.%s is neither a string nor a list of strings", key, kind)
		}
		switch kind {
		case "AWS":
			for _, v := range values {
				p.everyone = p.everyone || v == "*"
				p.aws = append(p.aws, compileAWSPrincipal(v))
			}
		case "Service":
			p.services = values
		case "Federated":
			p.federated = values
		case "CanonicalUser":
			p.canonical = values
		default:
			return nil, fmt.Errorf("%q is not a kind of principal", kind)
		}
	}
	return p, nil
}

func compileConditions(n node, vars bool) ([]condition, error) {
	if n.kind != '{' {
		return nil, fmt.Errorf("Condition is not an object")
	}
	var out []condition
	for i, op := range n.keys {
		keys := n.vals[i]
		if keys.kind != '{' {
			return nil, fmt.Errorf("%s is not an object", op)
		}
		for j, key := range keys.keys {
			values, ok := keys.vals[j].strings(true)
			if !ok || len(values) == 0 {
				return nil, fmt.Errorf("%s on %s has no value", op, key)
			}
			c, err := compileCondition(op, key, values, vars)
			if err != nil {
				return nil, err
			}
			out = append(out, c)
		}
	}
	return out, nil
}

// Use is where a document is attached; it decides which elements it needs.
type Use uint8

// The uses.
const (
	Resource   Use = iota // attached to what is called: every statement names principals
	Identity              // attached to who calls: no principals, resources are ARNs
	Trust                 // who may take on a role: principals, no resources, sts actions
	Authorizer            // what a Lambda authorizer answers: as Identity, with resources of at most MaxMethodResource
)

// MaxMethodResource is the longest resource of an authorizer's policy, in
// bytes. Source: API Gateway developer guide, "Output from an API Gateway
// Lambda authorizer".
const MaxMethodResource = 512

// ValidFor checks what Parse leaves open because it depends on the use. The
// texts are IAM's.
func (d *Document) ValidFor(u Use) error {
	if len(d.statements) == 0 {
		return malformed("Statement is empty")
	}
	for i := range d.statements {
		if err := d.statements[i].validFor(u); err != nil {
			return err
		}
	}
	return nil
}

func (s *statement) validFor(u Use) error {
	for _, a := range s.actionTexts {
		vendor, name, ok := strings.Cut(a, ":")
		switch {
		case a == "*":
		case !ok || vendor == "" || name == "":
			return refuse("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")
		case strings.Contains(name, ":"):
			return refuse("Actions/Condition can contain only one colon.")
		case u == Trust && !strings.EqualFold(vendor, "sts"):
			return refuse("AssumeRole policy may only specify STS AssumeRole actions.")
		}
	}
	switch u {
	case Identity, Authorizer:
		if s.principal != nil {
			return refuse("Policy document should not specify a principal.")
		}
		if len(s.resources) == 0 {
			return refuse("Policy statement must contain resources.")
		}
		for _, r := range s.resourceTexts {
			if r != "*" && strings.Count(r, ":") < 5 && !(strings.HasPrefix(r, "arn:") && strings.HasSuffix(r, "*")) {
				return refuse("Resource %s must be in ARN format or \"*\".", r)
			}
			if u == Authorizer && len(r) > MaxMethodResource {
				return refuse("A resource is longer than %d bytes.", MaxMethodResource)
			}
		}
	case Trust:
		if s.principal == nil {
			return refuse("Missing required field Principal")
		}
		if len(s.resources) > 0 {
			return refuse("Has prohibited field Resource")
		}
	default:
		if s.principal == nil {
			return refuse("Missing required field Principal")
		}
	}
	return nil
}
