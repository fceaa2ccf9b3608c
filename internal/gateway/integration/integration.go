// Package integration runs what a method calls: a function (AWS_PROXY) or
// nothing at all (MOCK). A Plan is compiled when a stage is published, so that
// a call only fills in what differs from call to call.
//
// A Plan never fails to compile: an integration that AWS would accept and then
// answer 500 for is compiled into a Plan that gives that Failure.
package integration

import (
	"context"
	"time"

	"weir/internal/catalog"
	"weir/internal/gateway/event"
	"weir/internal/gateway/message"
	"weir/internal/gateway/route"
	"weir/internal/invocation"
)

// Gateway response types that an integration ends in.
const (
	ConfigurationError   = "API_CONFIGURATION_ERROR"
	IntegrationTimeout   = "INTEGRATION_TIMEOUT"
	UnsupportedMediaType = "UNSUPPORTED_MEDIA_TYPE"
	RequestTooLarge      = "REQUEST_TOO_LARGE"
	Default5XX           = "DEFAULT_5XX"
)

// Runner runs integrations. Its fields are set before the first Compile and
// not changed; it is safe for concurrent use.
type Runner struct {
	Account string
	Region  string
	Invoker invocation.Invoker
}

// Call is one request that was admitted to a method.
type Call struct {
	Request *message.Request
	Address route.Address
	Params  []route.Param
	KeyID   string // of the API key, for methods that require one
	Key     string // its value, which the event carries
	// Authorizer is what the method's Lambda authorizer said of the caller.
	Authorizer event.Authorizer
}

// Failure is an integration that gave no response. It is a value, not an
// error: what went wrong is the owner's configuration or function.
type Failure struct {
	Type   string   // gateway response type
	Status int      // 0: the type's own
	Lines  []string // execution log, the last one says it best
	Trace  string   // X-Amzn-Trace-Id of the answer, empty for none
}

// Detail is the failure's sentence for people.
func (f *Failure) Detail() string {
	if len(f.Lines) == 0 {
		return ""
	}
	return f.Lines[len(f.Lines)-1]
}

// Plan is one method's compiled integration. It is immutable and safe for
// concurrent use.
type Plan struct {
	broken   *Failure  // set: every call ends so
	mock     *mock     // set: type MOCK
	function *function // set: type AWS_PROXY
}

// Compile makes the Plan of one method of a stage.
func (r *Runner) Compile(d *catalog.Deployment, st *catalog.Stage, m *route.Method) *Plan {
	in := m.Config.Integration
	if in == nil {
		return brokenPlan("Execution failed due to configuration error: No integration defined for method")
	}
	switch in.Type {
	case catalog.IntegrationMock:
		return compileMock(in, st)
	case catalog.IntegrationAWSProxy:
		return r.compileFunction(d, st, m)
	default:
		return brokenPlan("Execution failed due to configuration error: this version does not run integrations of type " +
			in.Type + " yet")
	}
}

// brokenPlan is a Plan whose every call is a configuration error.
func brokenPlan(line string) *Plan {
	return &Plan{broken: configurationError(line)}
}

func configurationError(line string) *Failure {
	return &Failure{Type: ConfigurationError, Lines: []string{line}}
}

// Do runs a Plan and fills in resp, whose Header it appends to. A Failure is
// returned instead of an answer; resp is then not to be used.
func (r *Runner) Do(ctx context.Context, p *Plan, c *Call, resp *message.Response) *Failure {
	switch {
	case p.broken != nil:
		return p.broken
	case p.mock != nil:
		return p.mock.answer(c, resp)
	default:
		return r.invoke(ctx, p.function, c, resp)
	}
}

// timeoutOf is how long an integration may take (AWS: 50 to 29,000 ms unless
// raised, 29,000 when nothing is set).
func timeoutOf(in *catalog.Integration) time.Duration {
	if in.TimeoutInMillis <= 0 {
		return 29 * time.Second
	}
	return time.Duration(in.TimeoutInMillis) * time.Millisecond
}

// templateFailure refuses a template that needs the template language.
func templateFailure(what string) *Failure {
	return configurationError("Execution failed due to configuration error: the " + what +
		" uses the mapping template language, which this version does not run yet")
}
