package apigateway

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"weir/internal/catalog"
	"weir/internal/control/protocol"
	"weir/internal/store"
)

func (s *service) authorizerOperations() []protocol.Operation {
	const all, one = "/restapis/{restapi_id}/authorizers", "/restapis/{restapi_id}/authorizers/{authorizer_id}"
	return []protocol.Operation{
		protocol.REST("CreateAuthorizer", "POST", all, 201, s.createAuthorizer),
		protocol.REST("GetAuthorizers", "GET", all, 200, s.getAuthorizers),
		protocol.REST("GetAuthorizer", "GET", one, 200, s.getAuthorizer),
		protocol.REST("UpdateAuthorizer", "PATCH", one, 200, s.updateAuthorizer),
		protocol.REST("DeleteAuthorizer", "DELETE", one, 202, s.deleteAuthorizer),
		protocol.REST("TestInvokeAuthorizer", "POST", one, 200, s.testAuthorizer),
		protocol.REST("FlushStageAuthorizersCache", "DELETE", "/restapis/{restapi_id}/stages/{stage_name}/cache/authorizers", 202, s.flushAuthorizers),
	}
}

type authorizer struct {
	ID                   string   `json:"id"`
	Name                 string   `json:"name"`
	Type                 string   `json:"type"`
	ProviderARNs         []string `json:"providerARNs,omitempty"`
	AuthType             string   `json:"authType,omitempty"`
	URI                  string   `json:"authorizerUri,omitempty"`
	Credentials          string   `json:"authorizerCredentials,omitempty"`
	IdentitySource       string   `json:"identitySource,omitempty"`
	ValidationExpression string   `json:"identityValidationExpression,omitempty"`
	ResultTTL            *int     `json:"authorizerResultTtlInSeconds,omitempty"`
}

func newAuthorizer(a catalog.Authorizer) *authorizer {
	return &authorizer{
		ID: a.ID, Name: a.Name, Type: a.Type, ProviderARNs: a.ProviderARNs, AuthType: a.AuthType, URI: a.URI,
		Credentials: a.Credentials, IdentitySource: a.IdentitySource, ValidationExpression: a.ValidationExpression,
		ResultTTL: a.ResultTTL,
	}
}

type createAuthorizerInput struct {
	restAPIInput
	Name                 string   `json:"name" required:"true"`
	Type                 string   `json:"type" required:"true" enum:"TOKEN,COGNITO_USER_POOLS,REQUEST"`
	ProviderARNs         []string `json:"providerARNs"`
	AuthType             string   `json:"authType"`
	URI                  string   `json:"authorizerUri"`
	Credentials          string   `json:"authorizerCredentials"`
	IdentitySource       string   `json:"identitySource"`
	ValidationExpression string   `json:"identityValidationExpression"`
	ResultTTL            *int     `json:"authorizerResultTtlInSeconds"`
}

// createAuthorizer answers an unknown API as AWS does: as a conflict. That AWS
// shows authType "custom" for what names a function is recorded.
func (s *service) createAuthorizer(ctx context.Context, _ protocol.Call, in *createAuthorizerInput) (*authorizer, error) {
	a := catalog.Authorizer{
		APIID: in.APIID, Name: in.Name, Type: in.Type, ProviderARNs: in.ProviderARNs, AuthType: in.AuthType, URI: in.URI,
		Credentials: in.Credentials, IdentitySource: in.IdentitySource, ValidationExpression: in.ValidationExpression,
		ResultTTL: in.ResultTTL,
	}
	if a.AuthType == "" {
		a.AuthType = "custom"
		if a.Type == catalog.AuthorizerCognito {
			a.AuthType = "cognito_user_pools"
		}
	}
	err := s.Store.Update(ctx, func(tx *store.Tx) error {
		_, ok, err := store.Get[catalog.RestAPI](tx, in.APIID)
		if err != nil {
			return err
		}
		if !ok {
			return &catalog.Error{
				Class:   catalog.Conflict,
				Message: "Unable to complete operation due to concurrent modification. Please try again later.",
			}
		}
		others, err := store.List[catalog.Authorizer](tx, in.APIID)
		if err != nil {
			return err
		}
		if len(others) >= catalog.MaxAuthorizers {
			return &catalog.Error{
				Class: catalog.LimitExceeded, Message: "Maximum number of Authorizers for this API has been reached. Please contact " +
					"AWS if you need additional Authorizers.",
			}
		}
		if err := a.Check(others); err != nil {
			return err
		}
		if a.ID, err = newID[catalog.Authorizer](tx, shortID, in.APIID); err != nil {
			return err
		}
		return store.Put(tx, a)
	})
	if err != nil {
		return nil, err
	}
	return newAuthorizer(a), nil
}

type getAuthorizersInput struct {
	restAPIInput
	paging
}

type authorizers struct {
	Item     []*authorizer `json:"item"`
	Position string        `json:"position,omitempty"`
}

func (s *service) getAuthorizers(ctx context.Context, _ protocol.Call, in *getAuthorizersInput) (*authorizers, error) {
	out := &authorizers{}
	err := s.Store.View(ctx, func(tx *store.Tx) error {
		if _, err := s.findRestAPI(tx, in.APIID); err != nil {
			return err
		}
		all, err := store.List[catalog.Authorizer](tx, in.APIID)
		if err != nil {
			return err
		}
		all, out.Position = page(&in.paging, all, func(a catalog.Authorizer) string { return a.ID })
		for _, a := range all {
			out.Item = append(out.Item, newAuthorizer(a))
		}
		return nil
	})
	return out, err
}

type authorizerInput struct {
	restAPIInput
	AuthorizerID string `path:"authorizer_id"`
}

// find reads the authorizer or answers which part of its path is unknown.
func (in *authorizerInput) find(s *service, tx *store.Tx) (catalog.Authorizer, error) {
	if _, err := s.findRestAPI(tx, in.APIID); err != nil {
		return catalog.Authorizer{}, err
	}
	a, ok, err := store.Get[catalog.Authorizer](tx, in.APIID, in.AuthorizerID)
	if err == nil && !ok {
		err = catalog.ErrAuthorizer()
	}
	return a, err
}

func (s *service) getAuthorizer(ctx context.Context, _ protocol.Call, in *authorizerInput) (out *authorizer, err error) {
	err = s.Store.View(ctx, func(tx *store.Tx) error {
		a, err := in.find(s, tx)
		out = newAuthorizer(a)
		return err
	})
	return out, err
}

type authorizerRule = protocol.PatchRule[catalog.Authorizer]

func authorizerText(path string, field func(*catalog.Authorizer) *string) authorizerRule {
	return authorizerRule{Ops: "replace", Path: path, Set: setText(field)}
}

// authorizerPatch is AWS's table for authorizers (patch-operations page).
var authorizerPatch = byPath(
	authorizerText("/name", func(a *catalog.Authorizer) *string { return &a.Name }),
	authorizerText("/type", func(a *catalog.Authorizer) *string { return &a.Type }),
	authorizerText("/authType", func(a *catalog.Authorizer) *string { return &a.AuthType }),
	authorizerText("/authorizerUri", func(a *catalog.Authorizer) *string { return &a.URI }),
	authorizerText("/authorizerCredentials", func(a *catalog.Authorizer) *string { return &a.Credentials }),
	authorizerText("/identityValidationExpression", func(a *catalog.Authorizer) *string { return &a.ValidationExpression }),
	authorizerRule{Ops: "replace", Path: "/authorizerResultTtlInSeconds", Set: func(a *catalog.Authorizer, p protocol.PatchCall) error {
		n, err := strconv.Atoi(p.Value)
		if err != nil {
			return catalog.ErrAuthorizerTTL()
		}
		a.ResultTTL = &n
		return nil
	}},
	authorizerRule{Ops: "add,remove,replace", Path: "/identitySource", Set: patchIdentitySource},
	authorizerRule{Ops: "add,remove", Path: "/providerARNs", Set: func(a *catalog.Authorizer, p protocol.PatchCall) error {
		a.ProviderARNs = without(a.ProviderARNs, p.Value)
		if p.Op == "add" {
			a.ProviderARNs = append(a.ProviderARNs, p.Value)
		}
		return nil
	}},
)

// patchIdentitySource changes the list of mapping expressions: replace sets
// the whole, add and remove one of it; remove without a value empties it.
func patchIdentitySource(a *catalog.Authorizer, p protocol.PatchCall) error {
	if p.Op == "replace" || p.Op == "remove" && p.Value == "" {
		a.IdentitySource = ""
		if p.Op == "replace" {
			a.IdentitySource = p.Value
		}
		return nil
	}
	list := without(a.Sources(), p.Value)
	if p.Op == "add" {
		list = append(list, p.Value)
	}
	a.IdentitySource = strings.Join(list, ",")
	return nil
}

type updateAuthorizerInput struct {
	authorizerInput
	patchInput
}

// updateAuthorizer also sees to it that the methods that name the authorizer
// still can.
func (s *service) updateAuthorizer(ctx context.Context, _ protocol.Call, in *updateAuthorizerInput) (out *authorizer, err error) {
	err = s.Store.Update(ctx, func(tx *store.Tx) error {
		a, err := in.find(s, tx)
		if err != nil {
			return err
		}
		if err := authorizerPatch.Apply(&a, in.PatchOperations); err != nil {
			return err
		}
		others, err := store.List[catalog.Authorizer](tx, in.APIID)
		if err != nil {
			return err
		}
		if err := a.Check(others); err != nil {
			return err
		}
		_, m, err := namedBy(tx, a)
		if err != nil {
			return err
		}
		if m != nil && !a.Serves(m.AuthorizationType) {
			return catalog.ErrAuthorizerID()
		}
		out = newAuthorizer(a)
		return store.Put(tx, a)
	})
	return out, err
}

// namedBy finds a method that names the authorizer, and its path; nil: none
// does.
func namedBy(tx *store.Tx, a catalog.Authorizer) (path string, _ *catalog.Method, err error) {
	resources, err := store.List[catalog.Resource](tx, a.APIID)
	if err != nil {
		return "", nil, err
	}
	slices.SortFunc(resources, func(a, b catalog.Resource) int { return strings.Compare(a.Path, b.Path) })
	for _, r := range resources {
		for _, verb := range slices.Sorted(maps.Keys(r.Methods)) {
			if m := r.Methods[verb]; m.AuthorizerID == a.ID {
				return r.Path, m, nil
			}
		}
	}
	return "", nil, nil
}

// deleteAuthorizer refuses what a method names; the slash too many is AWS's.
func (s *service) deleteAuthorizer(ctx context.Context, _ protocol.Call, in *authorizerInput) (*accepted, error) {
	return nil, s.Store.Update(ctx, func(tx *store.Tx) error {
		a, err := in.find(s, tx)
		if err != nil {
			return err
		}
		path, m, err := namedBy(tx, a)
		if err != nil {
			return err
		}
		if m != nil {
			return &catalog.Error{
				Class:   catalog.Conflict,
				Message: "Cannot delete authorizer '" + a.Name + "', is referenced in method: " + m.HTTPMethod + "/" + path,
			}
		}
		return store.Delete[catalog.Authorizer](tx, in.APIID, a.ID)
	})
}

// flushAuthorizers forgets what the stage's authorizers answered, on every
// node.
func (s *service) flushAuthorizers(ctx context.Context, _ protocol.Call, in *stageInput) (*accepted, error) {
	return nil, s.Store.Update(ctx, func(tx *store.Tx) error {
		st, err := in.find(s, tx)
		if err != nil {
			return err
		}
		st.AuthorizersFlushed++
		return store.Put(tx, st)
	})
}
