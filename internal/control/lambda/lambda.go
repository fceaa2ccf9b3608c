// Package lambda is AWS's Lambda API (2015-03-31 and the dated paths beside
// it): functions from a zip, their configuration, permissions and tags, and
// Invoke. Versions, aliases, layers, images and VPCs are refused in words that
// say so. One version of a function exists, $LATEST.
package lambda

import (
	"context"
	"errors"
	"strings"

	"weir/internal/catalog"
	"weir/internal/control/protocol"
	"weir/internal/function"
	"weir/internal/invocation"
	"weir/internal/store"
)

// Options say what the service works on.
type Options struct {
	Store *store.Store
	// Functions runs what Invoke asks for.
	Functions invocation.Invoker
	// CheckZip says in AWS's words why a zip cannot be a function's code; nil:
	// function.CheckZip.
	CheckZip func(zip []byte) error
	Region   string
	Account  string
	// CodeURL gives a URL on host from which a function's zip can be fetched for
	// ten minutes; nil: GetFunction answers without a Location.
	CodeURL func(fn catalog.Function, host string) string
}

// api holds the handlers.
type api struct{ Options }

// Service is the Lambda API over o.
func Service(o Options) protocol.Service {
	if o.CheckZip == nil {
		o.CheckZip = function.CheckZip
	}
	a := &api{o}
	return protocol.Service{
		Name:          "lambda",
		Wire:          protocol.RESTJSON,
		Operations:    a.operations(),
		Translate:     translate,
		Authorization: a.authorization,
	}
}

const (
	functions = "/2015-03-31/functions"
	one       = functions + "/{FunctionName}"
	tags      = "/2017-03-31/tags/{Resource}"
)

func (a *api) operations() []protocol.Operation {
	return []protocol.Operation{
		protocol.REST("CreateFunction", "POST", functions, 201, a.createFunction),
		protocol.REST("ListFunctions", "GET", functions, 200, a.listFunctions),
		protocol.REST("GetFunction", "GET", one, 200, a.getFunction),
		protocol.REST("DeleteFunction", "DELETE", one, 204, a.deleteFunction),
		protocol.REST("UpdateFunctionCode", "PUT", one+"/code", 200, a.updateFunctionCode),
		protocol.REST("GetFunctionConfiguration", "GET", one+"/configuration", 200, a.getFunctionConfiguration),
		protocol.REST("UpdateFunctionConfiguration", "PUT", one+"/configuration", 200, a.updateFunctionConfiguration),
		protocol.REST("ListVersionsByFunction", "GET", one+"/versions", 200, a.listVersionsByFunction),
		protocol.REST("Invoke", "POST", one+"/invocations", 200, a.invoke),
		protocol.REST("InvokeAsync", "POST", "/2014-11-13/functions/{FunctionName}/invoke-async", 202, a.invokeAsync),
		protocol.REST("AddPermission", "POST", one+"/policy", 201, a.addPermission),
		protocol.REST("GetPolicy", "GET", one+"/policy", 200, a.getPolicy),
		protocol.REST("RemovePermission", "DELETE", one+"/policy/{StatementId}", 204, a.removePermission),
		protocol.REST("ListTags", "GET", tags, 200, a.listTags),
		protocol.REST("TagResource", "POST", tags, 204, a.tagResource),
		protocol.REST("UntagResource", "DELETE", tags, 204, a.untagResource),
		protocol.REST("GetFunctionConcurrency", "GET", "/2019-09-30/functions/{FunctionName}/concurrency", 200, a.getFunctionConcurrency),
		protocol.REST("GetFunctionCodeSigningConfig", "GET", "/2020-06-30/functions/{FunctionName}/code-signing-config", 200, a.getFunctionCodeSigningConfig),
		protocol.REST("GetRuntimeManagementConfig", "GET", "/2021-07-20/functions/{FunctionName}/runtime-management-config", 200, a.getRuntimeManagementConfig),
		protocol.REST("GetAccountSettings", "GET", "/2016-08-19/account-settings", 200, a.getAccountSettings),
	}
}

// authorization names the action and resource of a call. The name of a new
// function stands in the body, which is not read before the call is
// authorised: CreateFunction asks for every function.
func (a *api) authorization(call protocol.Call, _, path string) (action, resource string) {
	action = "lambda:" + call.Operation
	switch call.Operation {
	case "Invoke":
		action = "lambda:InvokeFunction"
	case "ListFunctions", "GetAccountSettings":
		return action, "*"
	case "CreateFunction":
		return action, a.arn("*", "")
	}
	_, rest, ok := strings.Cut(path, "/functions/")
	if !ok {
		_, rest, ok = strings.Cut(path, "/tags/")
	}
	if !ok {
		return action, "*"
	}
	label, _, _ := strings.Cut(rest, "/")
	ref, ok := catalog.ParseFunctionRef(unescape(label))
	if !ok {
		return action, "*"
	}
	return action, a.arn(ref.Name, ref.Qualifier)
}

func (a *api) arn(name, qualifier string) string {
	return catalog.FunctionARN(a.Region, a.Account, name, qualifier)
}

// named is a function as an operation names it.
type named struct{ name, qualifier string }

// locate reads a function's name in the forms AWS takes, with the qualifier
// of the query, which must not contradict one in the name.
func (a *api) locate(name, qualifier string) (named, error) {
	ref, ok := catalog.ParseFunctionRef(name)
	switch {
	case !ok:
		return named{}, notFound("Function not found: " + a.arn(name, qualifier))
	case ref.Region != "" && ref.Region != a.Region:
		return named{}, notFound("Functions from '" + ref.Region + "' are not reachable in this region ('" + a.Region + "')")
	case ref.Qualifier != "" && qualifier != "" && ref.Qualifier != qualifier:
		return named{}, invalid("The derived qualifier from the function name does not match the specified qualifier.")
	}
	if ref.Qualifier != "" {
		qualifier = ref.Qualifier
	}
	if ref.Account != "" && ref.Account != a.Account {
		return named{}, notFound("Function not found: " + catalog.FunctionARN(a.Region, ref.Account, ref.Name, qualifier))
	}
	return named{ref.Name, qualifier}, nil
}

// load gives the function, whose only version is $LATEST.
func (a *api) load(tx *store.Tx, n named) (catalog.Function, error) {
	fn, ok, err := store.Get[catalog.Function](tx, n.name)
	switch {
	case err != nil:
		return fn, err
	case !ok:
		return fn, notFound("Function not found: " + a.arn(n.name, n.qualifier))
	case n.qualifier == "" || n.qualifier == catalog.Latest:
		return fn, nil
	case catalog.IsAlias(n.qualifier):
		return fn, notFound("Cannot find alias arn: " + a.arn(n.name, n.qualifier))
	}
	return fn, notFound("Function not found: " + a.arn(n.name, n.qualifier))
}

// read is load in a transaction of its own.
func (a *api) read(ctx context.Context, name, qualifier string) (fn catalog.Function, n named, err error) {
	if n, err = a.locate(name, qualifier); err != nil {
		return fn, n, err
	}
	err = a.Store.View(ctx, func(tx *store.Tx) error {
		fn, err = a.load(tx, n)
		return err
	})
	return fn, n, err
}

// checkRevision is AWS's optimistic lock; where names the call that tells the
// latest revision. An empty id asks for nothing.
func checkRevision(fn catalog.Function, id, where string) error {
	if id == "" || id == fn.RevisionID {
		return nil
	}
	return &protocol.Error{
		Code: "PreconditionFailedException", Status: 412, Fields: user,
		Message: "The Revision Id provided does not match the latest Revision Id. Call the " + where +
			" API to retrieve the latest Revision Id",
	}
}

// user is the member that says whose fault an error is.
var user = map[string]any{"Type": "User"}

func invalid(message string) *protocol.Error {
	return &protocol.Error{Code: "InvalidParameterValueException", Status: 400, Message: message, Fields: user}
}

func notFound(message string) *protocol.Error {
	return &protocol.Error{Code: "ResourceNotFoundException", Status: 404, Message: message, MessageKey: "Message", Fields: user}
}

func conflict(message string) *protocol.Error {
	return &protocol.Error{Code: "ResourceConflictException", Status: 409, Message: message, Fields: user}
}

// violated is AWS's ValidationException for constraints that tags cannot say.
func violated(text string) *protocol.Error {
	return &protocol.Error{Code: "ValidationException", Status: 400, Message: "1 validation error detected: " + text}
}

// translate gives Lambda's words for the errors of rules and of invocations.
// Which member holds the message differs by error: model and recordings.
func translate(err error) *protocol.Error {
	var rule *catalog.Error
	if errors.As(err, &rule) {
		switch rule.Class {
		case catalog.NotFound:
			return notFound(rule.Message)
		case catalog.Conflict:
			return conflict(rule.Message)
		}
		return invalid(rule.Message)
	}
	var run *invocation.Error
	if !errors.As(err, &run) {
		return nil
	}
	e := &protocol.Error{Code: run.Code, Message: run.Message, Status: 400, Fields: user}
	switch run.Code {
	case invocation.NotFound:
		return notFound(run.Message)
	case invocation.ResourceConflict:
		e.Status = 409
	case invocation.Throttled:
		e.Status = 429
		if run.Reason != "" {
			e.Fields = map[string]any{"Type": "User", "Reason": run.Reason}
		}
	case invocation.RequestTooLarge:
		e.Status, e.MessageKey, e.Fields = 413, "Message", nil
	case invocation.PermissionDenied:
		e.Status, e.MessageKey, e.Fields = 403, "Message", nil
	case invocation.InvalidRuntime:
		e.Status, e.MessageKey = 502, "Message"
	case invocation.ServiceFailure:
		e.Status, e.MessageKey, e.Fields = 500, "Message", map[string]any{"Type": "Service"}
	}
	return e
}
