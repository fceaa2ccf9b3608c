package apigateway

import (
	"context"

	"weir/internal/catalog"
	"weir/internal/control/protocol"
)

func (s *service) integrationResponseOperations() []protocol.Operation {
	const path = integrationPath + "/responses/{status_code}"
	return []protocol.Operation{
		protocol.REST("PutIntegrationResponse", "PUT", path, 201, s.putIntegrationResponse),
		protocol.REST("GetIntegrationResponse", "GET", path, 200, s.getIntegrationResponse),
		protocol.REST("UpdateIntegrationResponse", "PATCH", path, 200, s.updateIntegrationResponse),
		protocol.REST("DeleteIntegrationResponse", "DELETE", path, 204, s.deleteIntegrationResponse),
	}
}

type integrationResponseView struct {
	StatusCode         string              `json:"statusCode"`
	SelectionPattern   *string             `json:"selectionPattern,omitempty"`
	ResponseParameters *map[string]string  `json:"responseParameters,omitempty"`
	ResponseTemplates  *map[string]*string `json:"responseTemplates,omitempty"`
	ContentHandling    string              `json:"contentHandling,omitempty"`
}

func newIntegrationResponseView(r *catalog.IntegrationResponse) *integrationResponseView {
	out := &integrationResponseView{
		StatusCode: r.StatusCode, ResponseParameters: optional(r.ResponseParameters),
		ResponseTemplates: templatesView(r.ResponseTemplates), ContentHandling: r.ContentHandling,
	}
	if r.PatternGiven || r.SelectionPattern != "" {
		out.SelectionPattern = &r.SelectionPattern
	}
	return out
}

type putIntegrationResponseInput struct {
	statusInput
	SelectionPattern   *string            `json:"selectionPattern"`
	ResponseParameters map[string]string  `json:"responseParameters"`
	ResponseTemplates  map[string]*string `json:"responseTemplates"`
	ContentHandling    string             `json:"contentHandling" enum:"CONVERT_TO_BINARY,CONVERT_TO_TEXT"`
}

// changeIntegration changes the integration of a method, a copy, in one
// transaction.
func (s *service) changeIntegration(ctx context.Context, in *methodInput, fn func(*catalog.Method, *catalog.Integration) error) error {
	return s.changeMethod(ctx, in, func(m *catalog.Method) error {
		if m.Integration == nil {
			return catalog.ErrIntegration()
		}
		i := *m.Integration
		m.Integration = &i
		return fn(m, &i)
	})
}

func (s *service) putIntegrationResponse(ctx context.Context, _ protocol.Call, in *putIntegrationResponseInput) (out *integrationResponseView, err error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	r := &catalog.IntegrationResponse{
		StatusCode: in.StatusCode, ResponseParameters: in.ResponseParameters,
		ResponseTemplates: readTemplates(in.ResponseTemplates), ContentHandling: in.ContentHandling,
	}
	if in.SelectionPattern != nil {
		r.SelectionPattern, r.PatternGiven = *in.SelectionPattern, true
	}
	err = s.changeIntegration(ctx, &in.methodInput, func(m *catalog.Method, i *catalog.Integration) error {
		i.Responses = with(i.Responses, in.StatusCode, r)
		out = newIntegrationResponseView(r)
		return r.Check(m)
	})
	return out, err
}

func (s *service) getIntegrationResponse(ctx context.Context, _ protocol.Call, in *statusInput) (out *integrationResponseView, err error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	err = s.viewMethod(ctx, &in.methodInput, func(m *catalog.Method) error {
		if m.Integration == nil {
			return catalog.ErrIntegration()
		}
		r := m.Integration.Responses[in.StatusCode]
		if r == nil {
			return catalog.ErrStatusCode()
		}
		out = newIntegrationResponseView(r)
		return nil
	})
	return out, err
}

type integrationResponseRule = protocol.PatchRule[catalog.IntegrationResponse]

var integrationResponsePatch = byPath(
	integrationResponseRule{Ops: "replace", Path: "/contentHandling", Set: setText(
		func(r *catalog.IntegrationResponse) *string { return &r.ContentHandling })},
	integrationResponseRule{Ops: "replace", Path: "/selectionPattern", Set: func(r *catalog.IntegrationResponse, p protocol.PatchCall) error {
		r.SelectionPattern, r.PatternGiven = p.Value, true
		return nil
	}},
	integrationResponseRule{Ops: "add,remove,replace", Path: "/responseParameters/{name}", Set: setEntry(
		func(r *catalog.IntegrationResponse) *map[string]string { return &r.ResponseParameters }, asText, catalog.ErrParameter)},
	integrationResponseRule{Ops: "add,remove,replace", Path: "/responseTemplates/{name}", Set: setEntry(
		func(r *catalog.IntegrationResponse) *map[string]string { return &r.ResponseTemplates }, asText, catalog.ErrMediaType)},
)

type updateIntegrationResponseInput struct {
	statusInput
	patchInput
}

func (s *service) updateIntegrationResponse(ctx context.Context, _ protocol.Call, in *updateIntegrationResponseInput) (out *integrationResponseView, err error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	err = s.changeIntegration(ctx, &in.methodInput, func(m *catalog.Method, i *catalog.Integration) error {
		before := i.Responses[in.StatusCode]
		if before == nil {
			return catalog.ErrStatusCode()
		}
		r := *before
		if err := integrationResponsePatch.Apply(&r, in.PatchOperations); err != nil {
			return err
		}
		i.Responses = with(i.Responses, in.StatusCode, &r)
		out = newIntegrationResponseView(&r)
		return r.Check(m)
	})
	return out, err
}

func (s *service) deleteIntegrationResponse(ctx context.Context, _ protocol.Call, in *statusInput) (*accepted, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	err := s.changeIntegration(ctx, &in.methodInput, func(_ *catalog.Method, i *catalog.Integration) error {
		if i.Responses[in.StatusCode] == nil {
			return catalog.ErrStatusCode()
		}
		i.Responses = less(i.Responses, in.StatusCode)
		return nil
	})
	if err != nil && err.Error() == catalog.ErrMethod().Error() {
		err = catalog.ErrIntegration() // of this operation alone AWS is recorded to say so
	}
	return nil, err
}
