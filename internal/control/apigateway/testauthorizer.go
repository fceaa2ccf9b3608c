package apigateway

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"weir/internal/catalog"
	"weir/internal/control/protocol"
	"weir/internal/store"
)

// AuthorizerTest is a run of an authorizer as it is configured now, deployed
// or not, on behalf of nobody.
type AuthorizerTest struct {
	API            catalog.RestAPI
	Authorizer     catalog.Authorizer
	RequestID      string
	Header         [][2]string // name and value
	Path, Query    string
	StageVariables map[string]string
}

// AuthorizerTestResult is what came of it.
type AuthorizerTestResult struct {
	ClientStatus int      // what a caller would have got; 0: the function answered with a policy
	Log          []string // lines, without time
	Latency      time.Duration
	PrincipalID  string
	Policy       string
}

type testAuthorizerInput struct {
	authorizerInput
	Headers             map[string]string   `json:"headers"`
	MultiValueHeaders   map[string][]string `json:"multiValueHeaders"`
	PathWithQueryString string              `json:"pathWithQueryString"`
	Body                string              `json:"body"` // an authorizer sees none
	StageVariables      map[string]string   `json:"stageVariables"`
	AdditionalContext   map[string]string   `json:"additionalContext"` // not used
}

type testAuthorizerOutput struct {
	ClientStatus int    `json:"clientStatus"`
	Log          string `json:"log"`
	Latency      int64  `json:"latency"` // milliseconds
	PrincipalID  string `json:"principalId,omitempty"`
	Policy       string `json:"policy,omitempty"`
}

// logTime is how AWS writes the time of a test's log line.
const logTime = "Mon Jan 02 15:04:05 UTC 2006"

func (s *service) testAuthorizer(ctx context.Context, call protocol.Call, in *testAuthorizerInput) (*testAuthorizerOutput, error) {
	t := AuthorizerTest{RequestID: call.RequestID, StageVariables: in.StageVariables}
	err := s.Store.View(ctx, func(tx *store.Tx) (err error) {
		if t.API, err = s.findRestAPI(tx, in.APIID); err != nil {
			return err
		}
		t.Authorizer, err = in.find(s, tx)
		return err
	})
	if err != nil {
		return nil, err
	}
	if t.Authorizer.Type == catalog.AuthorizerCognito {
		return nil, badRequest("Authorizers of type COGNITO_USER_POOLS are not run by this server")
	}
	if err := catalog.CheckVariables(t.StageVariables); err != nil {
		return nil, err
	}
	t.Path, t.Query, _ = strings.Cut(in.PathWithQueryString, "?")
	for _, name := range slices.Sorted(maps.Keys(in.Headers)) {
		if _, many := in.MultiValueHeaders[name]; !many {
			t.Header = append(t.Header, [2]string{name, in.Headers[name]})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(in.MultiValueHeaders)) {
		for _, value := range in.MultiValueHeaders[name] {
			t.Header = append(t.Header, [2]string{name, value})
		}
	}
	result, err := s.TestAuthorizer(ctx, t)
	if err != nil {
		return nil, badRequest(err.Error())
	}
	log := "Execution log for request " + t.RequestID + "\n"
	for _, line := range result.Log {
		log += call.Now.UTC().Format(logTime) + " : " + line + "\n"
	}
	return &testAuthorizerOutput{
		ClientStatus: result.ClientStatus, Log: log, Latency: result.Latency.Milliseconds(),
		PrincipalID: result.PrincipalID, Policy: result.Policy,
	}, nil
}
