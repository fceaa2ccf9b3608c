package iam

import (
	"context"
	"maps"
	"slices"
	"strings"

	"weir/internal/catalog"
	"weir/internal/control/protocol"
	"weir/internal/policy"
	"weir/internal/store"
)

// roleInput names a role.
type roleInput struct {
	RoleName string `form:"RoleName" required:"true" min:"1" max:"64"`
}

type tag struct {
	Key   string `form:"Key" xml:"Key" required:"true" min:"1" max:"128"`
	Value string `form:"Value" xml:"Value" required:"true" max:"256"`
}

type createRoleInput struct {
	roleInputs
	AssumeRolePolicyDocument string `form:"AssumeRolePolicyDocument" required:"true" min:"1" max:"131072"`
	Path                     string `form:"Path" min:"1" max:"512"`
	PermissionsBoundary      string `form:"PermissionsBoundary" min:"20" max:"2048"`
	Tags                     []tag  `form:"Tags" max:"50"`
}

// roleInputs are what CreateRole and UpdateRole share.
type roleInputs struct {
	RoleName           string  `form:"RoleName" required:"true" min:"1" max:"64"`
	Description        *string `form:"Description" max:"1000" pattern:"[\\t\\n\\r\\x{0020}-\\x{007E}\\x{00A1}-\\x{00FF}]*"`
	MaxSessionDuration *int    `form:"MaxSessionDuration" min:"3600" max:"43200"`
}

// roleOutput is a role as IAM describes it; which members are there differs by
// operation.
type roleOutput struct {
	Path                     string        `xml:"Path"`
	RoleName                 string        `xml:"RoleName"`
	RoleID                   string        `xml:"RoleId"`
	Arn                      string        `xml:"Arn"`
	CreateDate               protocol.Time `xml:"CreateDate"`
	AssumeRolePolicyDocument string        `xml:"AssumeRolePolicyDocument"`
	Description              string        `xml:"Description,omitempty"`
	MaxSessionDuration       int           `xml:"MaxSessionDuration,omitempty"`
	PermissionsBoundary      *boundary     `xml:"PermissionsBoundary"`
	Tags                     []tag         `xml:"Tags>member,omitempty"`
	RoleLastUsed             *lastUsed     `xml:"RoleLastUsed"`
}

type boundary struct {
	Type string `xml:"PermissionsBoundaryType"`
	Arn  string `xml:"PermissionsBoundaryArn"`
}

// lastUsed is empty: nothing takes on a role here.
type lastUsed struct{}

type roleResult struct {
	Role roleOutput `xml:"Role"`
}

// describe gives the members that every description of a role has.
func describe(r catalog.Role) roleOutput {
	return roleOutput{
		Path: r.Path, RoleName: r.Name, RoleID: r.ID, Arn: r.ARN,
		CreateDate:               protocol.Time{Time: r.CreateDate},
		AssumeRolePolicyDocument: encoded(r.AssumeRolePolicyDocument),
		Description:              r.Description,
	}
}

// describeFully adds what lists leave out.
func describeFully(r catalog.Role) roleOutput {
	o := describe(r)
	o.Tags = tagsOf(r)
	if r.PermissionsBoundary != "" {
		o.PermissionsBoundary = &boundary{"PermissionsBoundaryPolicy", r.PermissionsBoundary}
	}
	return o
}

func role(tx *store.Tx, name string) (catalog.Role, error) {
	if err := catalog.CheckRoleName("roleName", name); err != nil {
		return catalog.Role{}, err
	}
	r, ok, err := store.Get[catalog.Role](tx, catalog.Role{Name: name}.Key())
	if err != nil {
		return r, err
	}
	if !ok {
		return r, noSuch("The role with name " + name + " cannot be found.")
	}
	return r, nil
}

// view reads one role.
func (h *handlers) view(ctx context.Context, name string) (r catalog.Role, err error) {
	err = h.store.View(ctx, func(tx *store.Tx) error {
		r, err = role(tx, name)
		return err
	})
	return r, err
}

// change reads a role, lets edit change it, and stores it when it is still one
// that IAM allows. edit gets a copy whose maps and lists are its own.
func (h *handlers) change(ctx context.Context, name string, edit func(r *catalog.Role) error) (r catalog.Role, err error) {
	err = h.store.Update(ctx, func(tx *store.Tx) error {
		if r, err = role(tx, name); err != nil {
			return err
		}
		r.InlinePolicies = maps.Clone(r.InlinePolicies)
		r.Tags = maps.Clone(r.Tags)
		r.AttachedPolicies = slices.Clone(r.AttachedPolicies)
		if err := edit(&r); err != nil {
			return err
		}
		if err := r.Check(); err != nil {
			return err
		}
		return store.Put(tx, r)
	})
	return r, err
}

func (h *handlers) createRole(ctx context.Context, call protocol.Call, in *createRoleInput) (*roleResult, error) {
	if in.Path == "" {
		in.Path = "/"
	}
	r := catalog.Role{
		Name: in.RoleName, ID: newRoleID(), Path: in.Path,
		ARN:                      catalog.RoleARN(call.Account, in.Path, in.RoleName),
		AssumeRolePolicyDocument: in.AssumeRolePolicyDocument,
		PermissionsBoundary:      in.PermissionsBoundary,
		MaxSessionDuration:       catalog.DefaultSessionDuration,
	}
	in.apply(&r)
	if err := checkNew(r); err != nil {
		return nil, err
	}
	if err := addTags(&r, in.Tags); err != nil {
		return nil, err
	}
	if err := r.Check(); err != nil {
		return nil, err
	}
	err := h.store.Update(ctx, func(tx *store.Tx) error {
		_, exists, err := store.Get[catalog.Role](tx, r.Key())
		if err != nil {
			return err
		}
		if exists {
			return &catalog.Error{Class: catalog.Conflict, Message: "Role with name " + r.Name + " already exists."}
		}
		r.CreateDate = tx.Now().UTC()
		return store.Put(tx, r)
	})
	if err != nil {
		return nil, err
	}
	return &roleResult{describeFully(r)}, nil
}

func checkNew(r catalog.Role) error {
	if err := catalog.CheckRoleName("roleName", r.Name); err != nil {
		return err
	}
	if err := catalog.CheckRolePath(r.Path); err != nil {
		return err
	}
	return document(r.AssumeRolePolicyDocument, policy.Trust)
}

func (in *roleInputs) apply(r *catalog.Role) {
	if in.Description != nil {
		r.Description = *in.Description
	}
	if in.MaxSessionDuration != nil {
		r.MaxSessionDuration = *in.MaxSessionDuration
	}
}

func (h *handlers) getRole(ctx context.Context, _ protocol.Call, in *roleInput) (*roleResult, error) {
	r, err := h.view(ctx, in.RoleName)
	if err != nil {
		return nil, err
	}
	o := describeFully(r)
	o.MaxSessionDuration = r.MaxSessionDuration
	o.RoleLastUsed = &lastUsed{}
	return &roleResult{o}, nil
}

type listRolesInput struct {
	pageInput
	PathPrefix string `form:"PathPrefix" min:"1" max:"512"`
}

type listRolesOutput struct {
	pageOutput
	Roles []roleOutput `xml:"Roles>member"`
}

func (h *handlers) listRoles(ctx context.Context, _ protocol.Call, in *listRolesInput) (*listRolesOutput, error) {
	var all []catalog.Role
	err := h.store.View(ctx, func(tx *store.Tx) (err error) {
		all, err = store.List[catalog.Role](tx)
		return err
	})
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(r catalog.Role) bool { return !strings.HasPrefix(r.Path, in.PathPrefix) })
	all, rest := page(all, in.pageInput, catalog.Role.Key)
	out := &listRolesOutput{pageOutput: rest, Roles: make([]roleOutput, 0, len(all))}
	for _, r := range all {
		o := describe(r)
		o.MaxSessionDuration = r.MaxSessionDuration
		out.Roles = append(out.Roles, o)
	}
	return out, nil
}

// updated is the empty result that IAM gives for UpdateRole: there is a result
// element, with nothing in it.
type updated struct{}

func (h *handlers) updateRole(ctx context.Context, _ protocol.Call, in *roleInputs) (*updated, error) {
	_, err := h.change(ctx, in.RoleName, func(r *catalog.Role) error {
		in.apply(r)
		return nil
	})
	return &updated{}, err
}

type updateRoleDescriptionInput struct {
	RoleName    string `form:"RoleName" required:"true" min:"1" max:"64"`
	Description string `form:"Description" required:"true" max:"1000"`
}

func (h *handlers) updateRoleDescription(ctx context.Context, _ protocol.Call, in *updateRoleDescriptionInput) (*roleResult, error) {
	r, err := h.change(ctx, in.RoleName, func(r *catalog.Role) error {
		r.Description = in.Description
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &roleResult{describeFully(r)}, nil
}

type updateAssumeRolePolicyInput struct {
	roleInput
	PolicyDocument string `form:"PolicyDocument" required:"true" min:"1" max:"131072"`
}

func (h *handlers) updateAssumeRolePolicy(ctx context.Context, _ protocol.Call, in *updateAssumeRolePolicyInput) (*protocol.Nothing, error) {
	_, err := h.change(ctx, in.RoleName, func(r *catalog.Role) error {
		r.AssumeRolePolicyDocument = in.PolicyDocument
		return document(in.PolicyDocument, policy.Trust)
	})
	return nil, err
}

func (h *handlers) deleteRole(ctx context.Context, _ protocol.Call, in *roleInput) (*protocol.Nothing, error) {
	return nil, h.store.Update(ctx, func(tx *store.Tx) error {
		r, err := role(tx, in.RoleName)
		switch {
		case err != nil:
			return err
		case len(r.InlinePolicies) > 0:
			return deleteConflict("Cannot delete entity, must delete policies first.")
		case len(r.AttachedPolicies) > 0:
			return deleteConflict("Cannot delete entity, must detach all policies first.")
		}
		return store.Delete[catalog.Role](tx, r.Key())
	})
}
