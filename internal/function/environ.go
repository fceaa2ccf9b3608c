package function

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"weir/internal/catalog"
)

// environ is the whole environment of a function's process but for the address
// of its Runtime API. Source: recorded from Lambda's python3.14.
func (f *Functions) environ(fn *catalog.Function, taskRoot, shims, stream string) []string {
	group := fn.LogGroup
	if group == "" {
		group = "/aws/lambda/" + fn.Name
	}
	format := fn.LogFormat
	if format == "" {
		format = "Text"
	}
	env := map[string]string{
		// An owner's own values win over these.
		"LANG":                     "en_US.UTF-8",
		"PATH":                     "/usr/local/bin:/usr/bin:/bin:/opt/bin",
		"LD_LIBRARY_PATH":          taskRoot + ":" + taskRoot + "/lib",
		"AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
		"AWS_LAMBDA_LOG_FORMAT":    format,
	}
	switch familyOf(fn.Runtime) {
	case "python":
		env["PYTHONPATH"] = shims
	case "nodejs":
		env["NODE_PATH"] = taskRoot
	}
	if f.o.Endpoint != nil {
		if url := f.o.Endpoint(); url != "" {
			env["AWS_ENDPOINT_URL"] = url
		}
	}
	for name, value := range fn.Environment {
		if !strings.ContainsAny(name, "=\x00") && name != "" && !strings.Contains(value, "\x00") {
			env[name] = value
		}
	}
	maps.Copy(env, platformVariables(fn, f.o.Region, taskRoot, shims, group, stream))
	if strings.HasPrefix(fn.Runtime, "provided") {
		delete(env, "AWS_EXECUTION_ENV") // as on AWS: a provided runtime names itself
	}
	if f.o.Session != nil {
		id, secret, token := f.o.Session(*fn)
		env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"], env["AWS_SESSION_TOKEN"] = id, secret, token
	}
	list := make([]string, 0, len(env)+1) // and the address of the Runtime API
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	slices.Sort(list)
	return list
}

// platformVariables are Lambda's own: catalog refuses functions that set them.
func platformVariables(fn *catalog.Function, region, taskRoot, shims, group, stream string) map[string]string {
	return map[string]string{
		"_HANDLER":                        fn.Handler,
		"AWS_LAMBDA_FUNCTION_NAME":        fn.Name,
		"AWS_LAMBDA_FUNCTION_VERSION":     latest,
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": strconv.Itoa(fn.MemorySize),
		"AWS_LAMBDA_LOG_GROUP_NAME":       group,
		"AWS_LAMBDA_LOG_STREAM_NAME":      stream,
		"AWS_LAMBDA_INITIALIZATION_TYPE":  "on-demand",
		"AWS_REGION":                      region,
		"AWS_DEFAULT_REGION":              region,
		"AWS_EXECUTION_ENV":               "AWS_Lambda_" + fn.Runtime,
		"LAMBDA_TASK_ROOT":                taskRoot,
		"LAMBDA_RUNTIME_DIR":              shims,
		"PWD":                             taskRoot,
		"TZ":                              ":UTC",
	}
}
