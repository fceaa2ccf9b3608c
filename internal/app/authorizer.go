package app

import (
	"context"
	"net/netip"
	"time"

	"weir/internal/catalog"
	"weir/internal/control/apigateway"
	"weir/internal/gateway/message"
	"weir/internal/gateway/protection/authorizer"
	"weir/internal/gateway/route"
)

// What AWS puts in the place of what a test has not, as recorded from it.
const (
	testStage    = "test-invoke-stage"
	testResource = "test-invoke-resource-id"
	testHost     = "testPrefix.testDomainName"
)

// testAuthorizer runs an authorizer for its owner.
func (a *App) testAuthorizer(ctx context.Context, t apigateway.AuthorizerTest) (apigateway.AuthorizerTestResult, error) {
	compiled, err := a.authorizers.Compile(authorizer.Spec{
		Authorizer: &t.Authorizer, Deployment: &catalog.Deployment{API: t.API}, Test: true,
		Stage:  &catalog.Stage{APIID: t.API.ID, StageName: testStage, Variables: t.StageVariables},
		Method: &route.Method{ResourceID: testResource, ResourcePath: "/", Verb: "GET", Config: &catalog.Method{}},
	})
	if err != nil {
		return apigateway.AuthorizerTestResult{}, err
	}
	req := &message.Request{
		ID: t.RequestID, ExtendedID: t.RequestID, Received: time.Now(), Method: "GET", Host: testHost, Path: t.Path, Query: t.Query,
		Proto: "HTTP/1.1", Scheme: "https", Port: "443", Source: netip.AddrFrom4([4]byte{127, 0, 0, 1}), Trail: &message.Trail{},
	}
	for _, h := range t.Header {
		req.Header.Add(h[0], h[1])
	}
	v := a.authorizers.Test(ctx, compiled, &authorizer.Question{
		Request: req, Address: route.Address{APIID: t.API.ID, Stage: testStage, Path: t.Path},
	})
	result := apigateway.AuthorizerTestResult{Latency: time.Since(req.Received), PrincipalID: v.Principal, Policy: string(v.Policy)}
	switch v.Outcome {
	case authorizer.Allowed:
	case authorizer.Unauthorized:
		result.ClientStatus = 401
		req.Trail.Add("Unauthorized")
	case authorizer.TooLong:
		result.ClientStatus = 414
		req.Trail.Add(v.Detail)
	case authorizer.Misconfigured:
		result.ClientStatus = 500
		req.Trail.Add("AuthorizerConfigurationException")
	default:
		result.ClientStatus = 500
		req.Trail.Add("AuthorizerFailureException")
	}
	result.Log = req.Trail.Lines()
	return result, nil
}
