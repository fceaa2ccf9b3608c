package lambda

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"

	"github.com/google/uuid"

	"weir/internal/catalog"
	"weir/internal/control/protocol"
	"weir/internal/policy"
	"weir/internal/store"
)

// statement is one permission, its members in AWS's order.
type statement struct {
	Sid       string          `json:"Sid"`
	Effect    string          `json:"Effect"`
	Principal json.RawMessage `json:"Principal"`
	Action    string          `json:"Action"`
	Resource  string          `json:"Resource"`
	Condition *conditions     `json:"Condition,omitempty"`
}

type conditions struct {
	StringEquals map[string]string `json:"StringEquals,omitempty"`
	Bool         map[string]string `json:"Bool,omitempty"`
	ArnLike      map[string]string `json:"ArnLike,omitempty"`
}

// document is a function's resource policy as it is stored and shown.
type document struct {
	Version   string      `json:"Version"`
	ID        string      `json:"Id"`
	Statement []statement `json:"Statement"`
}

func (d *document) find(sid string) int {
	return slices.IndexFunc(d.Statement, func(s statement) bool { return s.Sid == sid })
}

// documentOf reads a function's policy; without one it is empty.
func documentOf(fn *catalog.Function) (d document, err error) {
	if fn.Policy == "" {
		return document{Version: "2012-10-17", ID: "default"}, nil
	}
	if err = json.Unmarshal([]byte(fn.Policy), &d); err != nil {
		err = fmt.Errorf("lambda: stored policy of %s: %w", fn.Name, err)
	}
	return d, err
}

// compact writes JSON as AWS does, with <, > and & as they are.
func compact(v any) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "", err
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}

type addPermissionInput struct {
	qualified
	StatementID           string `json:"StatementId" required:"true" min:"1" max:"100" pattern:"([a-zA-Z0-9-_]+)"`
	Action                string `json:"Action" required:"true" pattern:"(lambda:[*]|lambda:[a-zA-Z]+|[*])"`
	Principal             string `json:"Principal" required:"true" pattern:"[^\\s]+"`
	SourceArn             string `json:"SourceArn" pattern:"arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9\\-])+:((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1})?:(\\d{12})?:(.*)"`
	SourceAccount         string `json:"SourceAccount" max:"12" pattern:"\\d{12}"`
	EventSourceToken      string `json:"EventSourceToken" max:"256" pattern:"[a-zA-Z0-9._\\-]+"`
	RevisionID            string `json:"RevisionId"`
	PrincipalOrgID        string `json:"PrincipalOrgID" min:"12" max:"34" pattern:"o-[a-z0-9]{10,32}"`
	FunctionURLAuthType   string `json:"FunctionUrlAuthType" enum:"NONE,AWS_IAM"`
	InvokedViaFunctionURL *bool  `json:"InvokedViaFunctionUrl"`
}

// Forms of a principal. AWS also asks whether it exists; here nobody knows.
var (
	servicePrincipal = regexp.MustCompile(`^[a-z0-9-]+(\.[a-z0-9-]+)*\.(amazonaws\.com(\.cn)?|amazon\.com)$`)
	accountPrincipal = regexp.MustCompile(`^\d{12}$`)
	arnPrincipal     = regexp.MustCompile(`^arn:aws[a-zA-Z-]*:(iam|sts)::\d{12}:(root|(user|role|assumed-role|federated-user)/\S+)$`)
)

// principal gives the Principal element for what AddPermission was given.
func principal(s string) (any, error) {
	switch {
	case s == "*":
		return s, nil
	case accountPrincipal.MatchString(s):
		return map[string]string{"AWS": "arn:aws:iam::" + s + ":root"}, nil
	case arnPrincipal.MatchString(s):
		return map[string]string{"AWS": s}, nil
	case servicePrincipal.MatchString(s):
		return map[string]string{"Service": s}, nil
	}
	return nil, invalid("The provided principal was invalid. Please check the principal and try again.")
}

// statement builds what the request asks for.
func (in *addPermissionInput) statement(resource string) (statement, error) {
	s := statement{Sid: in.StatementID, Effect: "Allow", Action: in.Action, Resource: resource}
	who, err := principal(in.Principal)
	if err != nil {
		return s, err
	}
	text, err := compact(who)
	if err != nil {
		return s, err
	}
	s.Principal = json.RawMessage(text)
	if in.FunctionURLAuthType != "" && in.Action != "lambda:InvokeFunctionUrl" {
		return s, invalid("FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action")
	}
	equals := map[string]string{}
	for _, c := range [...][2]string{
		{"AWS:SourceAccount", in.SourceAccount},
		{"lambda:EventSourceToken", in.EventSourceToken},
		{"lambda:FunctionUrlAuthType", in.FunctionURLAuthType},
		{"aws:PrincipalOrgID", in.PrincipalOrgID},
	} {
		if c[1] != "" {
			equals[c[0]] = c[1]
		}
	}
	c := conditions{StringEquals: equals}
	if in.SourceArn != "" {
		c.ArnLike = map[string]string{"AWS:SourceArn": in.SourceArn}
	}
	if in.InvokedViaFunctionURL != nil {
		c.Bool = map[string]string{"lambda:InvokedViaFunctionUrl": fmt.Sprint(*in.InvokedViaFunctionURL)}
	}
	if len(c.StringEquals)+len(c.ArnLike)+len(c.Bool) > 0 {
		s.Condition = &c
	}
	return s, nil
}

type addPermissionOutput struct {
	Statement string `json:"Statement"`
}

func (a *api) addPermission(ctx context.Context, _ protocol.Call, in *addPermissionInput) (*addPermissionOutput, error) {
	n, err := a.locate(in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	if n.qualifier == catalog.Latest {
		return nil, invalid("We currently do not support adding policies for $LATEST.")
	}
	out := &addPermissionOutput{}
	err = a.Store.Update(ctx, func(tx *store.Tx) error {
		fn, err := a.load(tx, n)
		if err != nil {
			return err
		}
		if err := checkRevision(fn, in.RevisionID, "GetPolicy"); err != nil {
			return err
		}
		if out.Statement, err = in.grant(&fn, a.arn(n.name, "")); err != nil {
			return err
		}
		fn.RevisionID = uuid.NewString() // the policy's revision is the function's
		return store.Put(tx, fn)
	})
	return out, err
}

// grant adds the statement to fn's policy and gives its text.
func (in *addPermissionInput) grant(fn *catalog.Function, resource string) (string, error) {
	d, err := documentOf(fn)
	if err != nil {
		return "", err
	}
	if d.find(in.StatementID) >= 0 {
		return "", conflict("The statement id (" + in.StatementID + ") provided already exists. " +
			"Please provide a new statement id, or remove the existing statement.")
	}
	s, err := in.statement(resource)
	if err != nil {
		return "", err
	}
	d.Statement = append(d.Statement, s)
	if fn.Policy, err = compact(d); err != nil {
		return "", err
	}
	if n := len(fn.Policy); n > catalog.MaxFunctionPolicy {
		return "", &protocol.Error{
			Code: "PolicyLengthExceededException", Status: 400, Fields: user,
			Message: fmt.Sprintf("The final policy size (%d) is bigger than the limit (%d).", n, catalog.MaxFunctionPolicy),
		}
	}
	// What cannot be compiled is never stored: a source ARN may hold an
	// unfinished policy variable.
	if _, err := policy.Parse([]byte(fn.Policy)); err != nil {
		return "", invalid(err.Error())
	}
	return compact(s)
}

type getPolicyOutput struct {
	Policy     string `json:"Policy"`
	RevisionID string `json:"RevisionId"`
}

// getPolicy answers an unknown function and one without policy alike, as AWS
// does.
func (a *api) getPolicy(ctx context.Context, _ protocol.Call, in *qualified) (*getPolicyOutput, error) {
	n, err := a.locate(in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	var fn catalog.Function
	err = a.Store.View(ctx, func(tx *store.Tx) error {
		fn, _, err = store.Get[catalog.Function](tx, n.name)
		return err
	})
	if err != nil {
		return nil, err
	}
	if fn.Policy == "" || n.qualifier != "" && n.qualifier != catalog.Latest {
		return nil, notFound("The resource you requested does not exist.")
	}
	return &getPolicyOutput{Policy: fn.Policy, RevisionID: fn.RevisionID}, nil
}

type removePermissionInput struct {
	qualified
	StatementID string `path:"StatementId" min:"1" max:"100" pattern:"([a-zA-Z0-9-_.]+)"`
	RevisionID  string `query:"RevisionId"`
}

func (a *api) removePermission(ctx context.Context, _ protocol.Call, in *removePermissionInput) (*protocol.Nothing, error) {
	n, err := a.locate(in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	return nil, a.Store.Update(ctx, func(tx *store.Tx) error {
		if _, known, err := store.Get[catalog.Function](tx, n.name); err != nil {
			return err
		} else if !known {
			return notFound("No policy found for: " + a.arn(n.name, ""))
		}
		fn, err := a.load(tx, n)
		if err != nil {
			return err
		}
		if fn.Policy == "" {
			return notFound("No policy is associated with the given resource.")
		}
		d, err := documentOf(&fn)
		if err != nil {
			return err
		}
		i := d.find(in.StatementID)
		if i < 0 {
			return notFound("Statement " + in.StatementID + " is not found in resource policy.")
		}
		if err := checkRevision(fn, in.RevisionID, revisionOfFunction); err != nil {
			return err
		}
		if d.Statement = slices.Delete(d.Statement, i, i+1); len(d.Statement) == 0 {
			fn.Policy = ""
		} else if fn.Policy, err = compact(d); err != nil {
			return err
		}
		fn.RevisionID = uuid.NewString()
		return store.Put(tx, fn)
	})
}
