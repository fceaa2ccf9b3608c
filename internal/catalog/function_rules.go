package catalog

import (
	"encoding/json"
	"slices"
	"strings"
)

// Limits and defaults of a function. Source: Lambda quotas and service model.
const (
	MaxFunctionName        = 64
	MaxCodeZipped          = 52428800    // bytes, uploaded directly
	MaxCodeUnzipped        = 262144000   // bytes
	MaxCodeTotal           = 80530636800 // bytes in an account and region
	MaxFunctionEnvironment = 4096        // bytes of the variables as JSON
	MaxFunctionPolicy      = 20480       // bytes of the resource policy
	MaxFunctionTags        = 50

	DefaultFunctionTimeout    = 3   // seconds
	DefaultFunctionMemory     = 128 // MB
	DefaultFunctionStorage    = 512 // MB
	DefaultFunctionLogFormat  = "Text"
	DefaultFunctionTracing    = "PassThrough"
	DefaultArchitecture       = "x86_64"
	FunctionLogGroupPrefix    = "/aws/lambda/"
	LambdaConcurrency         = 1000 // executions at once in an account and region
	FunctionStateActive       = "Active"
	FunctionStatePending      = "Pending"
	FunctionUpdateSuccessful  = "Successful"
	FunctionUpdateInProgress  = "InProgress"
	FunctionPackageZip        = "Zip"
	FunctionReasonCreating    = "The function is being created."
	FunctionReasonCodeCreates = "Creating"
)

// lambdaRuntimes are the runtimes AWS names in its error, in its order
// (recorded November 2025).
var lambdaRuntimes = []string{
	"nodejs20.x", "python3.14", "provided.al2023", "python3.12", "python3.13", "nodejs24.x", "nodejs22.x",
	"java25", "python3.10", "python3.11", "java21", "ruby3.3", "ruby3.4", "ruby3.2", "python3.8", "python3.9",
	"java17", "nodejs16.x", "dotnet10", "dotnet8", "java11", "dotnet6", "nodejs18.x", "provided.al2", "java8.al2",
}

// retiredRuntimes are those that AWS knows and no longer takes.
var retiredRuntimes = []string{
	"nodejs", "nodejs4.3", "nodejs4.3-edge", "nodejs6.10", "nodejs8.10", "nodejs10.x", "nodejs12.x", "nodejs14.x",
	"python2.7", "python3.6", "python3.7", "java8", "go1.x", "provided", "ruby2.5", "ruby2.7",
	"dotnetcore1.0", "dotnetcore2.0", "dotnetcore2.1", "dotnetcore3.1",
}

// RunnableRuntimes lists the runtimes that functions here can have, in order.
func RunnableRuntimes() []string {
	all := slices.DeleteFunc(slices.Clone(lambdaRuntimes), func(r string) bool { return CheckRuntime(r) != nil })
	slices.Sort(all)
	return all
}

// CheckRuntime says why a function cannot have this runtime.
func CheckRuntime(runtime string) error {
	switch {
	case slices.Contains(retiredRuntimes, runtime):
		return violation(Invalid, "The runtime parameter of "+runtime+" is no longer supported for creating or updating "+
			"AWS Lambda functions. We recommend you use a supported runtime while creating or updating functions.")
	case !slices.Contains(lambdaRuntimes, runtime) && runtime != "ruby4.0":
		return violation(Invalid, "Value "+clipped(runtime)+" at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: ["+
			strings.Join(lambdaRuntimes, ", ")+"] or be a valid ARN")
	case strings.HasPrefix(runtime, "python"), strings.HasPrefix(runtime, "nodejs"), strings.HasPrefix(runtime, "provided."):
		return nil
	}
	return violation(Invalid, "The runtime "+runtime+" cannot be run here: weir runs Python, Node.js and custom runtimes. "+
		"Put an executable named bootstrap that speaks the Runtime API into the zip and use provided.al2023.")
}

// clipped bounds what an error repeats of a request.
func clipped(s string) string {
	if len(s) > 128 {
		return strings.ToValidUTF8(s[:128], "") + "…"
	}
	return s
}

// CheckFunctionName says why a new function cannot have this name.
func CheckFunctionName(name string) error {
	if len(name) > MaxFunctionName {
		return violationf(Invalid, "1 validation error detected: Value '%s' at 'functionName' failed to satisfy constraint: "+
			"Member must have length less than or equal to %d", name, MaxFunctionName)
	}
	return nil
}

// reservedVariables belong to the execution environment. Source: developer
// guide, "Defined runtime environment variables".
var reservedVariables = []string{
	"AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_DEFAULT_REGION", "AWS_EXECUTION_ENV",
	"AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_VERSION",
	"AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME",
	"AWS_LAMBDA_RUNTIME_API", "AWS_REGION", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
	"LAMBDA_RUNTIME_DIR", "LAMBDA_TASK_ROOT", "_HANDLER", "_X_AMZN_TRACE_ID",
}

// CheckEnvironment says why a function cannot have these variables. The error
// names keys but, unlike AWS's, repeats no values: they may be secrets, and
// errors are logged.
func CheckEnvironment(variables map[string]string) error {
	const unable = "Lambda was unable to configure your environment variables because the environment variables you have provided "
	var reserved []string
	for _, name := range reservedVariables {
		if _, ok := variables[name]; ok {
			reserved = append(reserved, name)
		}
	}
	if len(reserved) > 0 {
		return violation(Invalid, unable+"contains reserved keys that are currently not supported for modification. "+
			"Reserved keys used in this request: "+strings.Join(reserved, ", "))
	}
	if n := environmentSize(variables); n > MaxFunctionEnvironment {
		return violationf(Invalid, "%sexceeded the 4KB limit. String measured: %d bytes", unable, n)
	}
	return nil
}

// environmentSize measures as AWS does: compact JSON.
func environmentSize(variables map[string]string) int {
	var n countingWriter
	e := json.NewEncoder(&n)
	e.SetEscapeHTML(false)
	if len(variables) == 0 || e.Encode(variables) != nil { // a map of strings always encodes
		return 0
	}
	return int(n) - 1 // Encode ends with a newline
}

type countingWriter int

func (w *countingWriter) Write(p []byte) (int, error) {
	*w += countingWriter(len(p))
	return len(p), nil
}

// CheckFunctionTags says why a function cannot have these tags.
func CheckFunctionTags(tags map[string]string) error {
	if len(tags) > MaxFunctionTags {
		return violation(Invalid, "Number of tags exceeds resource tag limit.")
	}
	for k, v := range tags {
		switch {
		case k == "" || len([]rune(k)) > 128:
			return violation(Invalid, "Tag keys must have between 1 and 128 characters.")
		case len([]rune(v)) > 256:
			return violation(Invalid, "Tag values must have at most 256 characters.")
		case strings.HasPrefix(strings.ToLower(k), "aws:"):
			return violation(Invalid, "Tag keys must not begin with aws:, which is reserved.")
		}
	}
	return nil
}
