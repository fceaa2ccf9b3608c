package apigateway

import (
	"context"
	"maps"

	"weir/internal/catalog"
	"weir/internal/control/protocol"
)

func (s *service) methodResponseOperations() []protocol.Operation {
	const path = methodPath + "/responses/{status_code}"
	return []protocol.Operation{
		protocol.REST("PutMethodResponse", "PUT", path, 201, s.putMethodResponse),
		protocol.REST("GetMethodResponse", "GET", path, 200, s.getMethodResponse),
		protocol.REST("UpdateMethodResponse", "PATCH", path, 201, s.updateMethodResponse), // 201 is AWS's
		protocol.REST("DeleteMethodResponse", "DELETE", path, 204, s.deleteMethodResponse),
	}
}

type methodResponseView struct {
	StatusCode         string             `json:"statusCode"`
	ResponseParameters *map[string]bool   `json:"responseParameters,omitempty"`
	ResponseModels     *map[string]string `json:"responseModels,omitempty"`
}

func newMethodResponseView(r *catalog.MethodResponse) *methodResponseView {
	return &methodResponseView{r.StatusCode, optional(r.ResponseParameters), optional(r.ResponseModels)}
}

// statusInput names one response of a method or of its integration.
type statusInput struct {
	methodInput
	StatusCode string `path:"status_code"`
}

// check holds the status code against its form. AWS names the member without
// its operation here.
func (in *statusInput) check() error {
	if catalog.ValidStatus(in.StatusCode) {
		return nil
	}
	e := badRequest("1 validation error detected: Value '" + in.StatusCode + "' at 'statusCode' failed to satisfy " +
		`constraint: Member must satisfy regular expression pattern: [1-5]\d\d`)
	e.Code = "ValidationException"
	return e
}

type putMethodResponseInput struct {
	statusInput
	ResponseParameters map[string]bool   `json:"responseParameters"`
	ResponseModels     map[string]string `json:"responseModels"`
}

func (s *service) putMethodResponse(ctx context.Context, _ protocol.Call, in *putMethodResponseInput) (out *methodResponseView, err error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	r := &catalog.MethodResponse{StatusCode: in.StatusCode, ResponseParameters: in.ResponseParameters, ResponseModels: in.ResponseModels}
	err = s.changeMethod(ctx, &in.methodInput, func(m *catalog.Method) error {
		if m.Responses[in.StatusCode] != nil {
			return &catalog.Error{Class: catalog.Conflict, Message: "Response already exists for this resource"}
		}
		m.Responses = with(m.Responses, in.StatusCode, r)
		out = newMethodResponseView(r)
		return r.Check()
	})
	return out, err
}

// with gives a copy of m that holds v under key.
func with[V any](m map[string]V, key string, v V) map[string]V {
	next := make(map[string]V, len(m)+1)
	maps.Copy(next, m)
	next[key] = v
	return next
}

// less gives a copy of m that does not hold key.
func less[V any](m map[string]V, key string) map[string]V {
	next := maps.Clone(m)
	delete(next, key)
	return next
}

func (s *service) getMethodResponse(ctx context.Context, _ protocol.Call, in *statusInput) (out *methodResponseView, err error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	err = s.viewMethod(ctx, &in.methodInput, func(m *catalog.Method) error {
		r := m.Responses[in.StatusCode]
		if r == nil {
			return catalog.ErrStatusCode()
		}
		out = newMethodResponseView(r)
		return nil
	})
	return out, err
}

type methodResponseRule = protocol.PatchRule[catalog.MethodResponse]

var methodResponsePatch = byPath(
	methodResponseRule{Ops: "add,remove,replace", Path: "/responseParameters/{name}", Set: setEntry(
		func(r *catalog.MethodResponse) *map[string]bool { return &r.ResponseParameters }, catalog.Truth, catalog.ErrParameter)},
	methodResponseRule{Ops: "add,remove,replace", Path: "/responseModels/{name}", Set: setEntry(
		func(r *catalog.MethodResponse) *map[string]string { return &r.ResponseModels }, asText, catalog.ErrMediaType)},
)

type updateMethodResponseInput struct {
	statusInput
	patchInput
}

func (s *service) updateMethodResponse(ctx context.Context, _ protocol.Call, in *updateMethodResponseInput) (out *methodResponseView, err error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	err = s.changeMethod(ctx, &in.methodInput, func(m *catalog.Method) error {
		before := m.Responses[in.StatusCode]
		if before == nil {
			return catalog.ErrStatusCode()
		}
		r := *before
		if err := methodResponsePatch.Apply(&r, in.PatchOperations); err != nil {
			return err
		}
		m.Responses = with(m.Responses, in.StatusCode, &r)
		out = newMethodResponseView(&r)
		return r.Check()
	})
	return out, err
}

func (s *service) deleteMethodResponse(ctx context.Context, _ protocol.Call, in *statusInput) (*accepted, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	return nil, s.changeMethod(ctx, &in.methodInput, func(m *catalog.Method) error {
		if m.Responses[in.StatusCode] == nil {
			return catalog.ErrStatusCode()
		}
		m.Responses = less(m.Responses, in.StatusCode)
		return nil
	})
}
