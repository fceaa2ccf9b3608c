package apigateway

import (
	"context"
	"maps"

	"weir/internal/catalog"
	"weir/internal/control/protocol"
	"weir/internal/store"
)

const methodPath = "/restapis/{restapi_id}/resources/{resource_id}/methods/{http_method}"

func (s *service) methodOperations() []protocol.Operation {
	return []protocol.Operation{
		protocol.REST("PutMethod", "PUT", methodPath, 201, s.putMethod),
		protocol.REST("GetMethod", "GET", methodPath, 200, s.getMethod),
		protocol.REST("UpdateMethod", "PATCH", methodPath, 200, s.updateMethod),
		protocol.REST("DeleteMethod", "DELETE", methodPath, 204, s.deleteMethod),
	}
}

// methodView is a method as AWS prints it. The zero value stands for a method
// whose contents were not asked for.
type methodView struct {
	HTTPMethod          string                         `json:"httpMethod,omitempty"`
	AuthorizationType   string                         `json:"authorizationType,omitempty"`
	AuthorizerID        string                         `json:"authorizerId,omitempty"`
	AuthorizationScopes []string                       `json:"authorizationScopes,omitempty"`
	APIKeyRequired      *bool                          `json:"apiKeyRequired,omitempty"`
	RequestValidatorID  string                         `json:"requestValidatorId,omitempty"`
	OperationName       string                         `json:"operationName,omitempty"`
	RequestParameters   map[string]bool                `json:"requestParameters,omitempty"`
	RequestModels       map[string]string              `json:"requestModels,omitempty"`
	Responses           map[string]*methodResponseView `json:"methodResponses,omitempty"`
	Integration         *integrationView               `json:"methodIntegration,omitempty"`
}

func newMethodView(m *catalog.Method) *methodView {
	out := &methodView{
		HTTPMethod: m.HTTPMethod, AuthorizationType: m.AuthorizationType, AuthorizerID: m.AuthorizerID,
		AuthorizationScopes: m.AuthorizationScopes, APIKeyRequired: &m.APIKeyRequired,
		RequestValidatorID: m.RequestValidatorID, OperationName: m.OperationName,
		RequestParameters: m.RequestParameters, RequestModels: m.RequestModels,
	}
	if len(m.Responses) > 0 {
		out.Responses = make(map[string]*methodResponseView, len(m.Responses))
		for status, r := range m.Responses {
			out.Responses[status] = newMethodResponseView(r)
		}
	}
	if m.Integration != nil {
		out.Integration = newIntegrationView(m.Integration)
	}
	return out
}

// editing is one method of a resource being changed: copies, so that what the
// store handed out stays as it is.
type editing struct {
	tx       *store.Tx
	resource catalog.Resource
	method   *catalog.Method
}

// edit opens the method for change.
func edit(tx *store.Tx, in *methodInput) (*editing, error) {
	r, err := findResource(tx, in.APIID, in.ResourceID)
	if err != nil {
		return nil, err
	}
	m := r.Methods[in.HTTPMethod]
	if m == nil {
		return nil, catalog.ErrMethod()
	}
	copied := *m
	return &editing{tx, r, &copied}, nil
}

// save puts the changed method into the store.
func (e *editing) save() error {
	e.resource.Methods = maps.Clone(e.resource.Methods)
	if e.resource.Methods == nil {
		e.resource.Methods = map[string]*catalog.Method{}
	}
	e.resource.Methods[e.method.HTTPMethod] = e.method
	return store.Put(e.tx, e.resource)
}

type methodInput struct {
	APIID      string `path:"restapi_id"`
	ResourceID string `path:"resource_id"`
	HTTPMethod string `path:"http_method"`
}

type putMethodInput struct {
	methodInput
	AuthorizationType   string            `json:"authorizationType" required:"true"`
	AuthorizerID        string            `json:"authorizerId"`
	APIKeyRequired      bool              `json:"apiKeyRequired"`
	OperationName       string            `json:"operationName"`
	RequestParameters   map[string]bool   `json:"requestParameters"`
	RequestModels       map[string]string `json:"requestModels"`
	RequestValidatorID  string            `json:"requestValidatorId"`
	AuthorizationScopes []string          `json:"authorizationScopes"`
}

func (s *service) putMethod(ctx context.Context, _ protocol.Call, in *putMethodInput) (out *methodView, err error) {
	m := &catalog.Method{
		HTTPMethod: in.HTTPMethod, AuthorizationType: in.AuthorizationType, AuthorizerID: in.AuthorizerID,
		AuthorizationScopes: in.AuthorizationScopes, APIKeyRequired: in.APIKeyRequired, OperationName: in.OperationName,
		RequestValidatorID: in.RequestValidatorID, RequestParameters: in.RequestParameters, RequestModels: in.RequestModels,
	}
	err = s.Store.Update(ctx, func(tx *store.Tx) error {
		r, err := findResource(tx, in.APIID, in.ResourceID)
		if err != nil {
			return err
		}
		if err := checkMethod(tx, in.APIID, m); err != nil {
			return err
		}
		if r.Methods[m.HTTPMethod] != nil {
			return &catalog.Error{Class: catalog.Conflict, Message: "Method already exists for this resource"}
		}
		out = newMethodView(m)
		return (&editing{tx, r, m}).save()
	})
	return out, err
}

// viewMethod reads a method or answers which part of its path is unknown.
func (s *service) viewMethod(ctx context.Context, in *methodInput, fn func(*catalog.Method) error) error {
	return s.Store.View(ctx, func(tx *store.Tx) error {
		e, err := edit(tx, in)
		if err != nil {
			return err
		}
		return fn(e.method)
	})
}

// changeMethod changes a method in one transaction.
func (s *service) changeMethod(ctx context.Context, in *methodInput, fn func(*catalog.Method) error) error {
	return s.changeMethodIn(ctx, in, func(_ *store.Tx, m *catalog.Method) error { return fn(m) })
}

// changeMethodIn is changeMethod for who asks the store for more.
func (s *service) changeMethodIn(ctx context.Context, in *methodInput, fn func(*store.Tx, *catalog.Method) error) error {
	return s.Store.Update(ctx, func(tx *store.Tx) error {
		e, err := edit(tx, in)
		if err != nil {
			return err
		}
		if err := fn(tx, e.method); err != nil {
			return err
		}
		return e.save()
	})
}

func (s *service) getMethod(ctx context.Context, _ protocol.Call, in *methodInput) (out *methodView, err error) {
	err = s.viewMethod(ctx, in, func(m *catalog.Method) error {
		out = newMethodView(m)
		return nil
	})
	return out, err
}

type methodRule = protocol.PatchRule[catalog.Method]

var methodPatch = byPath(
	methodRule{Ops: "replace", Path: "/apiKeyRequired", Set: func(m *catalog.Method, p protocol.PatchCall) error {
		m.APIKeyRequired = catalog.Truth(p.Value)
		return nil
	}},
	methodRule{Ops: "replace", Path: "/authorizationType", Set: func(m *catalog.Method, p protocol.PatchCall) error {
		m.AuthorizationType = p.Value
		return nil
	}},
	methodRule{Ops: "replace", Path: "/authorizerId", Set: func(m *catalog.Method, p protocol.PatchCall) error {
		if m.AuthorizationType != catalog.AuthorizationNone { // AWS ignores it otherwise
			m.AuthorizerID = p.Value
		}
		return nil
	}},
	methodRule{Ops: "replace", Path: "/operationName", Set: setText(func(m *catalog.Method) *string { return &m.OperationName })},
	methodRule{Ops: "replace", Path: "/requestValidatorId", Set: setText(func(m *catalog.Method) *string { return &m.RequestValidatorID })},
	methodRule{Ops: "add,remove", Path: "/authorizationScopes", Set: func(m *catalog.Method, p protocol.PatchCall) error {
		m.AuthorizationScopes = without(m.AuthorizationScopes, p.Value)
		if p.Op == "add" {
			m.AuthorizationScopes = append(m.AuthorizationScopes, p.Value)
		}
		return nil
	}},
	methodRule{Ops: "add,remove,replace", Path: "/requestParameters/{name}", Set: setEntry(
		func(m *catalog.Method) *map[string]bool { return &m.RequestParameters }, catalog.Truth, catalog.ErrParameter)},
	methodRule{Ops: "add,remove,replace", Path: "/requestModels/{name}", Set: setEntry(
		func(m *catalog.Method) *map[string]string { return &m.RequestModels }, asText, catalog.ErrMediaType)},
)

type updateMethodInput struct {
	methodInput
	patchInput
}

func (s *service) updateMethod(ctx context.Context, _ protocol.Call, in *updateMethodInput) (out *methodView, err error) {
	err = s.changeMethodIn(ctx, &in.methodInput, func(tx *store.Tx, m *catalog.Method) error {
		if err := methodPatch.Apply(m, in.PatchOperations); err != nil {
			return err
		}
		if err := checkMethod(tx, in.APIID, m); err != nil {
			return err
		}
		out = newMethodView(m)
		return nil
	})
	return out, err
}

// checkMethod drops the authorizer of a method that has no use for one, as AWS
// does, and holds the method against AWS's rules.
func checkMethod(tx *store.Tx, apiID string, m *catalog.Method) error {
	if m.AuthorizationType != catalog.AuthorizationCustom && m.AuthorizationType != catalog.AuthorizationCognito {
		m.AuthorizerID = ""
	}
	var named *catalog.Authorizer
	if m.AuthorizerID != "" {
		a, ok, err := store.Get[catalog.Authorizer](tx, apiID, m.AuthorizerID)
		if err != nil {
			return err
		}
		if ok {
			named = &a
		}
	}
	return m.Check(named)
}

func (s *service) deleteMethod(ctx context.Context, _ protocol.Call, in *methodInput) (*accepted, error) {
	return nil, s.Store.Update(ctx, func(tx *store.Tx) error {
		e, err := edit(tx, in)
		if err != nil {
			return err
		}
		e.resource.Methods = maps.Clone(e.resource.Methods)
		delete(e.resource.Methods, in.HTTPMethod)
		return store.Put(tx, e.resource)
	})
}
