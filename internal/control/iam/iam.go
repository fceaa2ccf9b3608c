// Package iam is AWS's Identity and Access Management, as far as functions
// need it: the roles that every tool makes before it makes a function, with
// their policies and tags. Roles are stored and given back as they were made;
// nothing is enforced from them yet.
package iam

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"weir/internal/catalog"
	"weir/internal/control/protocol"
	"weir/internal/policy"
	"weir/internal/store"
)

// Service gives the operations of IAM over a store.
func Service(s *store.Store) protocol.Service {
	h := &handlers{s}
	return protocol.Service{
		Name:      "iam",
		Wire:      protocol.QueryXML,
		Version:   "2010-05-08",
		Namespace: "https://iam.amazonaws.com/doc/2010-05-08/",
		Global:    true,
		Operations: []protocol.Operation{
			protocol.Query("CreateRole", h.createRole),
			protocol.Query("GetRole", h.getRole),
			protocol.Query("ListRoles", h.listRoles),
			protocol.Query("UpdateRole", h.updateRole),
			protocol.Query("UpdateRoleDescription", h.updateRoleDescription),
			protocol.Query("UpdateAssumeRolePolicy", h.updateAssumeRolePolicy),
			protocol.Query("DeleteRole", h.deleteRole),
			protocol.Query("PutRolePolicy", h.putRolePolicy),
			protocol.Query("GetRolePolicy", h.getRolePolicy),
			protocol.Query("ListRolePolicies", h.listRolePolicies),
			protocol.Query("DeleteRolePolicy", h.deleteRolePolicy),
			protocol.Query("AttachRolePolicy", h.attachRolePolicy),
			protocol.Query("DetachRolePolicy", h.detachRolePolicy),
			protocol.Query("ListAttachedRolePolicies", h.listAttachedRolePolicies),
			protocol.Query("TagRole", h.tagRole),
			protocol.Query("UntagRole", h.untagRole),
			protocol.Query("ListRoleTags", h.listRoleTags),
			protocol.Query("ListInstanceProfilesForRole", h.listInstanceProfilesForRole),
		},
		Translate:         translate,
		AuthorizationForm: h.authorization,
	}
}

type handlers struct{ store *store.Store }

// authorization names the role that a call is about, with its path, which only
// the store knows unless the call makes the role.
func (h *handlers) authorization(ctx context.Context, call protocol.Call, form url.Values) (action, resource string) {
	action = "iam:" + call.Operation
	name := form.Get("RoleName")
	path := form.Get("Path")
	if name == "" { // ListRoles
		return action, catalog.RoleARN(call.Account, "/"+strings.TrimPrefix(form.Get("PathPrefix"), "/"), "")
	}
	if path == "" || call.Operation != "CreateRole" {
		path = "/"
		// A role that cannot be read is asked about by its bare name.
		_ = h.store.View(ctx, func(tx *store.Tx) error {
			r, err := role(tx, name)
			if err == nil {
				path = r.Path
			}
			return err
		})
	}
	return action, catalog.RoleARN(call.Account, path, name)
}

// translate gives IAM's names to the catalog's and policy's errors.
func translate(err error) *protocol.Error {
	var bad *policy.Error
	if errors.As(err, &bad) {
		return malformed(bad.Message)
	}
	var rule *catalog.Error
	if !errors.As(err, &rule) {
		return nil
	}
	switch rule.Class {
	case catalog.NotFound:
		return &protocol.Error{Code: "NoSuchEntity", Status: http.StatusNotFound, Message: rule.Message}
	case catalog.Conflict:
		return &protocol.Error{Code: "EntityAlreadyExists", Status: http.StatusConflict, Message: rule.Message}
	case catalog.LimitExceeded:
		return &protocol.Error{Code: "LimitExceeded", Status: http.StatusConflict, Message: rule.Message}
	default:
		return &protocol.Error{Code: "ValidationError", Status: http.StatusBadRequest, Message: rule.Message}
	}
}

func malformed(msg string) *protocol.Error {
	return &protocol.Error{Code: "MalformedPolicyDocument", Status: http.StatusBadRequest, Message: msg}
}

func deleteConflict(msg string) *protocol.Error {
	return &protocol.Error{Code: "DeleteConflict", Status: http.StatusConflict, Message: msg}
}

func noSuch(msg string) error { return &catalog.Error{Class: catalog.NotFound, Message: msg} }

// document checks the text of a policy for its use.
func document(text string, use policy.Use) error {
	d, err := policy.Parse([]byte(text))
	if err != nil {
		return err
	}
	return d.ValidFor(use)
}

// encoded is how IAM gives a policy back: percent-encoded (RFC 3986), and the
// SDKs undo it.
func encoded(text string) string {
	return strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
}

// newRoleID makes "AROA" and 17 characters, as IAM's ids for roles are.
func newRoleID() string {
	var b [11]byte
	_, _ = rand.Read(b[:]) // never fails
	return "AROA" + base32.StdEncoding.EncodeToString(b[:])[:17]
}

// Sizes of a page of IAM.
const defaultItems = 100

// pageInput is the paging of every list of IAM.
type pageInput struct {
	Marker   string `form:"Marker" min:"1"`
	MaxItems int    `form:"MaxItems" min:"1" max:"1000"`
}

// pageOutput is its answer; Marker is there only when more follows.
type pageOutput struct {
	IsTruncated bool   `xml:"IsTruncated"`
	Marker      string `xml:"Marker,omitempty"`
}

func page[T any](items []T, in pageInput, key func(T) string) ([]T, pageOutput) {
	limit := in.MaxItems
	if limit == 0 {
		limit = defaultItems
	}
	items, next := protocol.Cut(items, in.Marker, limit, key)
	return items, pageOutput{IsTruncated: next != "", Marker: next}
}
