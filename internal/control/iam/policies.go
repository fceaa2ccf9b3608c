package iam

import (
	"context"
	"maps"
	"slices"
	"strings"

	"weir/internal/catalog"
	"weir/internal/control/protocol"
	"weir/internal/policy"
)

// rolePolicyInput names an inline policy of a role.
type rolePolicyInput struct {
	roleInput
	PolicyName string `form:"PolicyName" required:"true" min:"1" max:"128"`
}

type putRolePolicyInput struct {
	rolePolicyInput
	PolicyDocument string `form:"PolicyDocument" required:"true" min:"1" max:"131072"`
}

func (h *handlers) putRolePolicy(ctx context.Context, _ protocol.Call, in *putRolePolicyInput) (*protocol.Nothing, error) {
	if err := catalog.CheckRoleName("policyName", in.PolicyName); err != nil {
		return nil, err
	}
	_, err := h.change(ctx, in.RoleName, func(r *catalog.Role) error {
		if r.InlinePolicies == nil {
			r.InlinePolicies = map[string]string{}
		}
		r.InlinePolicies[in.PolicyName] = in.PolicyDocument
		return document(in.PolicyDocument, policy.Identity)
	})
	return nil, err
}

type rolePolicy struct {
	RoleName       string `xml:"RoleName"`
	PolicyName     string `xml:"PolicyName"`
	PolicyDocument string `xml:"PolicyDocument"`
}

func (h *handlers) getRolePolicy(ctx context.Context, _ protocol.Call, in *rolePolicyInput) (*rolePolicy, error) {
	r, err := h.view(ctx, in.RoleName)
	if err != nil {
		return nil, err
	}
	text, ok := r.InlinePolicies[in.PolicyName]
	if !ok {
		return nil, noPolicy(in.PolicyName)
	}
	return &rolePolicy{RoleName: r.Name, PolicyName: in.PolicyName, PolicyDocument: encoded(text)}, nil
}

func noPolicy(name string) error {
	return noSuch("The role policy with name " + name + " cannot be found.")
}

// roleListInput asks for a page of something that a role has.
type roleListInput struct {
	roleInput
	pageInput
}

type rolePolicyNames struct {
	pageOutput
	PolicyNames []string `xml:"PolicyNames>member"`
}

func (h *handlers) listRolePolicies(ctx context.Context, _ protocol.Call, in *roleListInput) (*rolePolicyNames, error) {
	r, err := h.view(ctx, in.RoleName)
	if err != nil {
		return nil, err
	}
	names, rest := page(slices.Sorted(maps.Keys(r.InlinePolicies)), in.pageInput, func(n string) string { return n })
	return &rolePolicyNames{rest, names}, nil
}

func (h *handlers) deleteRolePolicy(ctx context.Context, _ protocol.Call, in *rolePolicyInput) (*protocol.Nothing, error) {
	_, err := h.change(ctx, in.RoleName, func(r *catalog.Role) error {
		if _, ok := r.InlinePolicies[in.PolicyName]; !ok {
			return noPolicy(in.PolicyName)
		}
		delete(r.InlinePolicies, in.PolicyName)
		return nil
	})
	return nil, err
}

// attachmentInput names a managed policy and a role.
type attachmentInput struct {
	roleInput
	PolicyARN string `form:"PolicyArn" required:"true" min:"20" max:"2048"`
}

// attachRolePolicy remembers a managed policy of AWS's. That it exists is
// believed: there is no list of them here.
func (h *handlers) attachRolePolicy(ctx context.Context, _ protocol.Call, in *attachmentInput) (*protocol.Nothing, error) {
	if !strings.HasPrefix(in.PolicyARN, "arn:") {
		return nil, invalidInput("ARN " + in.PolicyARN + " is not valid.")
	}
	_, err := h.change(ctx, in.RoleName, func(r *catalog.Role) error {
		if !catalog.AWSManaged(in.PolicyARN) {
			return noSuch("Policy " + in.PolicyARN + " does not exist or is not attachable.")
		}
		if !slices.Contains(r.AttachedPolicies, in.PolicyARN) {
			r.AttachedPolicies = append(r.AttachedPolicies, in.PolicyARN)
		}
		return nil
	})
	return nil, err
}

func (h *handlers) detachRolePolicy(ctx context.Context, _ protocol.Call, in *attachmentInput) (*protocol.Nothing, error) {
	_, err := h.change(ctx, in.RoleName, func(r *catalog.Role) error {
		i := slices.Index(r.AttachedPolicies, in.PolicyARN)
		if i < 0 {
			return noSuch("Policy " + in.PolicyARN + " was not found.")
		}
		r.AttachedPolicies = slices.Delete(r.AttachedPolicies, i, i+1)
		return nil
	})
	return nil, err
}

type listAttachedInput struct {
	roleListInput
	PathPrefix string `form:"PathPrefix" min:"1" max:"512"`
}

type attachedPolicy struct {
	PolicyName string `xml:"PolicyName"`
	PolicyARN  string `xml:"PolicyArn"`
}

type attachedPolicies struct {
	pageOutput
	AttachedPolicies []attachedPolicy `xml:"AttachedPolicies>member"`
}

func (h *handlers) listAttachedRolePolicies(ctx context.Context, _ protocol.Call, in *listAttachedInput) (*attachedPolicies, error) {
	r, err := h.view(ctx, in.RoleName)
	if err != nil {
		return nil, err
	}
	var all []attachedPolicy
	for _, arn := range r.AttachedPolicies {
		_, path, _ := strings.Cut(arn, ":policy")
		if strings.HasPrefix(path, in.PathPrefix) {
			all = append(all, attachedPolicy{arn[strings.LastIndexByte(arn, '/')+1:], arn})
		}
	}
	all, rest := page(all, in.pageInput, func(p attachedPolicy) string { return p.PolicyARN })
	return &attachedPolicies{rest, all}, nil
}
