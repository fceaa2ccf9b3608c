package lambda

import (
	"encoding/json"
	"fmt"
	"regexp"

	"weir/internal/catalog"
	"weir/internal/control/protocol"
)

// settings are the members that CreateFunction and UpdateFunctionConfiguration
// share. A nil member was not sent and is left as it is.
type settings struct {
	Runtime          *string           `json:"Runtime"`
	Handler          *string           `json:"Handler" max:"128" pattern:"[^\\s]+"`
	Description      *string           `json:"Description" max:"256"`
	Timeout          *int              `json:"Timeout" min:"1" max:"900"`
	MemorySize       *int              `json:"MemorySize" min:"128" max:"10240"`
	Environment      *variables        `json:"Environment"`
	TracingConfig    *tracingConfig    `json:"TracingConfig"`
	EphemeralStorage *ephemeralStorage `json:"EphemeralStorage"`
	LoggingConfig    *loggingConfig    `json:"LoggingConfig"`
	SnapStart        *snapStart        `json:"SnapStart"`
	unsupported
}

// unsupported members are read so that asking for them is refused, not
// silently ignored. Their empty forms mean "none" and pass.
type unsupported struct {
	KMSKeyArn              string          `json:"KMSKeyArn"`
	Layers                 []string        `json:"Layers"`
	FileSystemConfigs      json.RawMessage `json:"FileSystemConfigs"`
	ImageConfig            json.RawMessage `json:"ImageConfig"`
	CapacityProviderConfig json.RawMessage `json:"CapacityProviderConfig"`
	DurableConfig          json.RawMessage `json:"DurableConfig"`
	VpcConfig              *struct {
		SubnetIDs        []string `json:"SubnetIds"`
		SecurityGroupIDs []string `json:"SecurityGroupIds"`
	} `json:"VpcConfig"`
	DeadLetterConfig *struct {
		TargetArn string `json:"TargetArn"`
	} `json:"DeadLetterConfig"`
}

func (u *unsupported) check() error {
	for _, c := range []struct {
		name string
		sent bool
	}{
		{"KMSKeyArn", u.KMSKeyArn != ""},
		{"Layers", len(u.Layers) > 0},
		{"FileSystemConfigs", asks(u.FileSystemConfigs)},
		{"ImageConfig", asks(u.ImageConfig)},
		{"CapacityProviderConfig", asks(u.CapacityProviderConfig)},
		{"DurableConfig", asks(u.DurableConfig)},
		{"VpcConfig", u.VpcConfig != nil && len(u.VpcConfig.SubnetIDs)+len(u.VpcConfig.SecurityGroupIDs) > 0},
		{"DeadLetterConfig", u.DeadLetterConfig != nil && u.DeadLetterConfig.TargetArn != ""},
	} {
		if c.sent {
			return unavailable(c.name)
		}
	}
	return nil
}

func unavailable(member string) error {
	return invalid(member + " is not supported by weir. Remove it from the request and try again.")
}

// asks says whether a raw member holds anything.
func asks(raw json.RawMessage) bool {
	switch string(raw) {
	case "", "{}", "[]", "null":
		return false
	}
	return true
}

// apply puts what was sent into fn, in the order in which AWS checks.
func (s *settings) apply(fn *catalog.Function) error {
	if err := s.check(); err != nil {
		return err
	}
	if s.Runtime != nil {
		if err := catalog.CheckRuntime(*s.Runtime); err != nil {
			return err
		}
		fn.Runtime = *s.Runtime
	}
	if s.Environment != nil {
		if err := checkVariables(s.Environment.Variables); err != nil {
			return err
		}
		fn.Environment = s.Environment.Variables
		if fn.Environment == nil {
			fn.Environment = map[string]string{}
		}
	}
	if s.SnapStart != nil && s.SnapStart.ApplyOn == "PublishedVersions" {
		return unavailable("SnapStart")
	}
	set(&fn.Handler, s.Handler)
	set(&fn.Description, s.Description)
	set(&fn.Timeout, s.Timeout)
	set(&fn.MemorySize, s.MemorySize)
	if s.TracingConfig != nil && s.TracingConfig.Mode != "" {
		fn.TracingMode = s.TracingConfig.Mode
	}
	if s.EphemeralStorage != nil {
		fn.EphemeralStorage = s.EphemeralStorage.Size
	}
	return s.LoggingConfig.apply(fn)
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

func (l *loggingConfig) apply(fn *catalog.Function) error {
	if l == nil {
		return nil
	}
	if l.LogFormat != "" {
		fn.LogFormat = l.LogFormat
	}
	if l.LogGroup != "" {
		fn.LogGroup = l.LogGroup
	}
	if fn.LogFormat != "JSON" {
		fn.ApplicationLogLevel, fn.SystemLogLevel = "", ""
		if l.ApplicationLogLevel != "" || l.SystemLogLevel != "" {
			return invalid(`LogLevel is not supported when LogFormat is set to "Text". ` +
				`Remove LogLevel from your request or change the LogFormat to "JSON" and try again.`)
		}
		return nil
	}
	for _, level := range []struct {
		to   *string
		from string
	}{{&fn.ApplicationLogLevel, l.ApplicationLogLevel}, {&fn.SystemLogLevel, l.SystemLogLevel}} {
		if level.from != "" {
			*level.to = level.from
		} else if *level.to == "" {
			*level.to = "INFO"
		}
	}
	return nil
}

// variableName is the pattern of an environment variable's name.
const variableName = `[a-zA-Z]([a-zA-Z0-9_])+`

var variableNames = regexp.MustCompile(`^` + variableName + `$`)

// checkVariables words a bad name as AWS does, whose text holds no values
// because they are sensitive.
func checkVariables(vars map[string]string) error {
	for name := range vars {
		if !variableNames.MatchString(name) {
			return violated("Value at 'environment.variables' failed to satisfy constraint: " +
				"Map keys must satisfy constraint: [Member must satisfy regular expression pattern: " + variableName + "]")
		}
	}
	return catalog.CheckEnvironment(vars)
}

// complete checks what every function must have.
func complete(fn *catalog.Function) error {
	if fn.Runtime == "" || fn.Handler == "" {
		return invalid("Runtime and Handler are mandatory parameters for functions created with deployment packages.")
	}
	return nil
}

// codeSource is where code comes from.
type codeSource struct {
	ZipFile         []byte `json:"ZipFile"`
	S3Bucket        string `json:"S3Bucket"`
	S3Key           string `json:"S3Key"`
	S3ObjectVersion string `json:"S3ObjectVersion"`
	ImageURI        string `json:"ImageUri"`
	SourceKMSKeyArn string `json:"SourceKMSKeyArn"`
}

// zip gives the code, checked.
func (a *api) zip(c *codeSource) ([]byte, error) {
	switch {
	case c.S3Bucket != "" || c.S3Key != "":
		return nil, invalid("weir has no S3 to read " + c.S3Bucket + "/" + c.S3Key + " from. Send the code as ZipFile.")
	case c.SourceKMSKeyArn != "":
		return nil, unavailable("SourceKMSKeyArn")
	case c.ZipFile == nil:
		return nil, invalid("Please provide a source for function code.")
	case len(c.ZipFile) == 0:
		return nil, invalid("Uploaded file must be a non-empty zip")
	case len(c.ZipFile) >= catalog.MaxCodeZipped:
		return nil, &protocol.Error{
			Code: "RequestEntityTooLargeException", Status: 413,
			Message: fmt.Sprintf("Zipped size must be smaller than %d bytes", catalog.MaxCodeZipped),
		}
	}
	if err := a.CheckZip(c.ZipFile); err != nil {
		return nil, invalid(err.Error())
	}
	return c.ZipFile, nil
}
