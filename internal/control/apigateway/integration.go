package apigateway

import (
	"context"
	"slices"
	"strconv"

	"weir/internal/catalog"
	"weir/internal/control/protocol"
)

const integrationPath = methodPath + "/integration"

func (s *service) integrationOperations() []protocol.Operation {
	return []protocol.Operation{
		protocol.REST("PutIntegration", "PUT", integrationPath, 201, s.putIntegration),
		protocol.REST("GetIntegration", "GET", integrationPath, 200, s.getIntegration),
		protocol.REST("UpdateIntegration", "PATCH", integrationPath, 200, s.updateIntegration),
		protocol.REST("DeleteIntegration", "DELETE", integrationPath, 204, s.deleteIntegration),
	}
}

type tlsConfig struct {
	InsecureSkipVerification bool `json:"insecureSkipVerification"`
}

type integrationView struct {
	Type                 string                              `json:"type"`
	HTTPMethod           string                              `json:"httpMethod,omitempty"`
	URI                  string                              `json:"uri,omitempty"`
	ConnectionType       string                              `json:"connectionType,omitempty"`
	ConnectionID         string                              `json:"connectionId,omitempty"`
	Credentials          string                              `json:"credentials,omitempty"`
	RequestParameters    map[string]string                   `json:"requestParameters,omitempty"`
	RequestTemplates     *map[string]*string                 `json:"requestTemplates,omitempty"`
	PassthroughBehavior  string                              `json:"passthroughBehavior,omitempty"`
	ContentHandling      string                              `json:"contentHandling,omitempty"`
	TimeoutInMillis      int                                 `json:"timeoutInMillis"`
	CacheNamespace       string                              `json:"cacheNamespace"`
	CacheKeyParameters   []string                            `json:"cacheKeyParameters"`
	Responses            map[string]*integrationResponseView `json:"integrationResponses,omitempty"`
	TLSConfig            *tlsConfig                          `json:"tlsConfig,omitempty"`
	ResponseTransferMode string                              `json:"responseTransferMode,omitempty"`
	IntegrationTarget    string                              `json:"integrationTarget,omitempty"`
}

func newIntegrationView(i *catalog.Integration) *integrationView {
	out := &integrationView{
		Type: i.Type, HTTPMethod: i.HTTPMethod, URI: i.URI, ConnectionType: i.ConnectionType, ConnectionID: i.ConnectionID,
		Credentials: i.Credentials, RequestParameters: i.RequestParameters,
		PassthroughBehavior: i.PassthroughBehavior, ContentHandling: i.ContentHandling, TimeoutInMillis: i.TimeoutInMillis,
		CacheNamespace: i.CacheNamespace, CacheKeyParameters: i.CacheKeyParameters,
		ResponseTransferMode: i.ResponseTransferMode, IntegrationTarget: i.IntegrationTarget,
	}
	if len(i.RequestTemplates) > 0 {
		out.RequestTemplates = templatesView(i.RequestTemplates)
	}
	if i.InsecureSkipVerify != nil {
		out.TLSConfig = &tlsConfig{*i.InsecureSkipVerify}
	}
	if len(i.Responses) > 0 {
		out.Responses = make(map[string]*integrationResponseView, len(i.Responses))
		for status, r := range i.Responses {
			out.Responses[status] = newIntegrationResponseView(r)
		}
	}
	return out
}

// templatesView prints mapping templates; AWS shows an empty one as null.
func templatesView(templates map[string]string) *map[string]*string {
	if templates == nil {
		return nil
	}
	out := make(map[string]*string, len(templates))
	for mediaType, text := range templates {
		out[mediaType] = nil
		if text != "" {
			out[mediaType] = &text
		}
	}
	return &out
}

// readTemplates takes null for an empty template.
func readTemplates(in map[string]*string) map[string]string {
	if in == nil {
		return nil
	}
	out := make(map[string]string, len(in))
	for mediaType, text := range in {
		out[mediaType] = ""
		if text != nil {
			out[mediaType] = *text
		}
	}
	return out
}

type putIntegrationInput struct {
	methodInput
	Type                 string             `json:"type" required:"true" enum:"HTTP,MOCK,AWS_PROXY,HTTP_PROXY,AWS"`
	IntegrationMethod    string             `json:"httpMethod"`
	URI                  string             `json:"uri"`
	ConnectionType       string             `json:"connectionType" enum:"INTERNET,VPC_LINK"`
	ConnectionID         string             `json:"connectionId"`
	Credentials          string             `json:"credentials"`
	RequestParameters    map[string]string  `json:"requestParameters"`
	RequestTemplates     map[string]*string `json:"requestTemplates"`
	PassthroughBehavior  string             `json:"passthroughBehavior"`
	CacheNamespace       string             `json:"cacheNamespace"`
	CacheKeyParameters   []string           `json:"cacheKeyParameters"`
	ContentHandling      string             `json:"contentHandling" enum:"CONVERT_TO_BINARY,CONVERT_TO_TEXT"`
	TimeoutInMillis      *int               `json:"timeoutInMillis"`
	TLSConfig            *tlsConfig         `json:"tlsConfig"`
	ResponseTransferMode string             `json:"responseTransferMode" enum:"BUFFERED,STREAM"`
	IntegrationTarget    string             `json:"integrationTarget"`
}

func (in *putIntegrationInput) integration() *catalog.Integration {
	i := &catalog.Integration{
		Type: in.Type, HTTPMethod: in.IntegrationMethod, URI: in.URI, ConnectionType: in.ConnectionType,
		ConnectionID: in.ConnectionID, Credentials: in.Credentials, RequestParameters: in.RequestParameters,
		RequestTemplates: readTemplates(in.RequestTemplates), PassthroughBehavior: in.PassthroughBehavior,
		ContentHandling: in.ContentHandling, CacheNamespace: in.CacheNamespace, CacheKeyParameters: in.CacheKeyParameters,
		ResponseTransferMode: in.ResponseTransferMode, IntegrationTarget: in.IntegrationTarget,
	}
	if in.TLSConfig != nil {
		i.InsecureSkipVerify = &in.TLSConfig.InsecureSkipVerification
	}
	i.SetDefaults(in.ResourceID)
	if in.TimeoutInMillis != nil {
		i.TimeoutInMillis = *in.TimeoutInMillis // 0 was sent: no default
	}
	return i
}

// putIntegration sets what a method calls. Over an integration that is there
// it sets a new one, without the old one's responses.
func (s *service) putIntegration(ctx context.Context, _ protocol.Call, in *putIntegrationInput) (out *integrationView, err error) {
	i := in.integration()
	err = s.changeMethod(ctx, &in.methodInput, func(m *catalog.Method) error {
		m.Integration = i
		out = newIntegrationView(i)
		return i.Check(m)
	})
	return out, err
}

func (s *service) getIntegration(ctx context.Context, _ protocol.Call, in *methodInput) (out *integrationView, err error) {
	err = s.viewMethod(ctx, in, func(m *catalog.Method) error {
		if m.Integration == nil {
			return catalog.ErrIntegration()
		}
		out = newIntegrationView(m.Integration)
		return nil
	})
	return out, err
}

type integrationRule = protocol.PatchRule[catalog.Integration]

func integrationText(path string, field func(*catalog.Integration) *string) integrationRule {
	return integrationRule{Ops: "replace", Path: path, Set: setText(field)}
}

// notMock makes a rule that a MOCK integration does not have.
func notMock(path string, field func(*catalog.Integration) *string) integrationRule {
	return integrationRule{Ops: "replace", Path: path, Set: func(i *catalog.Integration, p protocol.PatchCall) error {
		if i.Type == catalog.IntegrationMock {
			return badRequest("Invalid patch path " + path)
		}
		*field(i) = p.Value
		return nil
	}}
}

var integrationPatch = byPath(
	notMock("/httpMethod", func(i *catalog.Integration) *string { return &i.HTTPMethod }),
	notMock("/uri", func(i *catalog.Integration) *string { return &i.URI }),
	notMock("/connectionType", func(i *catalog.Integration) *string { return &i.ConnectionType }),
	notMock("/connectionId", func(i *catalog.Integration) *string { return &i.ConnectionID }),
	integrationText("/credentials", func(i *catalog.Integration) *string { return &i.Credentials }),
	integrationText("/cacheNamespace", func(i *catalog.Integration) *string { return &i.CacheNamespace }),
	integrationText("/contentHandling", func(i *catalog.Integration) *string { return &i.ContentHandling }),
	integrationText("/integrationTarget", func(i *catalog.Integration) *string { return &i.IntegrationTarget }),
	integrationText("/passthroughBehavior", func(i *catalog.Integration) *string { return &i.PassthroughBehavior }),
	integrationText("/responseTransferMode", func(i *catalog.Integration) *string { return &i.ResponseTransferMode }),
	integrationRule{Ops: "replace", Path: "/timeoutInMillis", Set: func(i *catalog.Integration, p protocol.PatchCall) error {
		n, err := strconv.Atoi(p.Value)
		if err != nil {
			n = 0 // Check words it
		}
		i.TimeoutInMillis = n
		return nil
	}},
	integrationRule{Ops: "replace", Path: "/tlsConfig/insecureSkipVerification", Set: func(i *catalog.Integration, p protocol.PatchCall) error {
		skip := catalog.Truth(p.Value)
		i.InsecureSkipVerify = &skip
		return nil
	}},
	integrationRule{Ops: "add,remove", Path: "/cacheKeyParameters", Set: cacheKeyParameter(func(p protocol.PatchCall) string { return p.Value })},
	integrationRule{Ops: "add,remove", Path: "/cacheKeyParameters/{name}", Set: cacheKeyParameter(func(p protocol.PatchCall) string { return p.Labels["name"] })},
	integrationRule{Ops: "add,remove,replace", Path: "/requestParameters/{name}", Set: setEntry(
		func(i *catalog.Integration) *map[string]string { return &i.RequestParameters }, asText, catalog.ErrParameter)},
	integrationRule{Ops: "add,remove,replace", Path: "/requestTemplates/{name}", Set: setEntry(
		func(i *catalog.Integration) *map[string]string { return &i.RequestTemplates }, asText, catalog.ErrMediaType)},
)

func cacheKeyParameter(name func(protocol.PatchCall) string) func(*catalog.Integration, protocol.PatchCall) error {
	return func(i *catalog.Integration, p protocol.PatchCall) error {
		rest := without(i.CacheKeyParameters, name(p))
		if p.Op == "remove" && len(rest) == len(i.CacheKeyParameters) {
			return catalog.ErrParameter()
		}
		i.CacheKeyParameters = rest
		if p.Op == "add" {
			i.CacheKeyParameters = append(slices.Clip(rest), name(p))
		}
		return nil
	}
}

type updateIntegrationInput struct {
	methodInput
	patchInput
}

func (s *service) updateIntegration(ctx context.Context, _ protocol.Call, in *updateIntegrationInput) (out *integrationView, err error) {
	err = s.changeMethod(ctx, &in.methodInput, func(m *catalog.Method) error {
		if m.Integration == nil {
			return catalog.ErrIntegration()
		}
		i := *m.Integration
		if err := integrationPatch.Apply(&i, in.PatchOperations); err != nil {
			return err
		}
		m.Integration = &i
		out = newIntegrationView(&i)
		return i.Check(m)
	})
	return out, err
}

func (s *service) deleteIntegration(ctx context.Context, _ protocol.Call, in *methodInput) (*accepted, error) {
	return nil, s.changeMethod(ctx, in, func(m *catalog.Method) error {
		if m.Integration == nil {
			return catalog.ErrIntegration()
		}
		m.Integration = nil
		return nil
	})
}
