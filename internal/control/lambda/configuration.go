package lambda

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"time"

	"weir/internal/catalog"
)

// lastModifiedFormat is Lambda's own form of an instant, always in UTC.
const lastModifiedFormat = "2006-01-02T15:04:05.000+0000"

type variables struct {
	Variables map[string]string `json:"Variables"`
}

type tracingConfig struct {
	Mode string `json:"Mode" enum:"Active,PassThrough"`
}

type ephemeralStorage struct {
	Size int `json:"Size" required:"true" min:"512" max:"10240"`
}

type snapStart struct {
	ApplyOn            string `json:"ApplyOn" enum:"PublishedVersions,None"`
	OptimizationStatus string `json:"OptimizationStatus,omitempty"`
}

type runtimeVersionConfig struct {
	RuntimeVersionArn string `json:"RuntimeVersionArn"`
}

type loggingConfig struct {
	LogFormat           string `json:"LogFormat,omitempty" enum:"JSON,Text"`
	ApplicationLogLevel string `json:"ApplicationLogLevel,omitempty" enum:"TRACE,DEBUG,INFO,WARN,ERROR,FATAL"`
	SystemLogLevel      string `json:"SystemLogLevel,omitempty" enum:"DEBUG,INFO,WARN"`
	LogGroup            string `json:"LogGroup,omitempty" min:"1" max:"512" pattern:"[\\.\\-_/#A-Za-z0-9]+"`
}

// functionConfiguration is AWS's FunctionConfiguration.
type functionConfiguration struct {
	FunctionName               string                `json:"FunctionName"`
	FunctionArn                string                `json:"FunctionArn"`
	Runtime                    string                `json:"Runtime"`
	Role                       string                `json:"Role"`
	Handler                    string                `json:"Handler"`
	CodeSize                   int64                 `json:"CodeSize"`
	Description                string                `json:"Description"`
	Timeout                    int                   `json:"Timeout"`
	MemorySize                 int                   `json:"MemorySize"`
	LastModified               string                `json:"LastModified"`
	CodeSha256                 string                `json:"CodeSha256"`
	Version                    string                `json:"Version"`
	Environment                *variables            `json:"Environment,omitempty"`
	TracingConfig              tracingConfig         `json:"TracingConfig"`
	RevisionID                 string                `json:"RevisionId"`
	State                      string                `json:"State,omitempty"`
	StateReason                string                `json:"StateReason,omitempty"`
	StateReasonCode            string                `json:"StateReasonCode,omitempty"`
	LastUpdateStatus           string                `json:"LastUpdateStatus,omitempty"`
	LastUpdateStatusReason     string                `json:"LastUpdateStatusReason,omitempty"`
	LastUpdateStatusReasonCode string                `json:"LastUpdateStatusReasonCode,omitempty"`
	PackageType                string                `json:"PackageType"`
	Architectures              []string              `json:"Architectures"`
	EphemeralStorage           ephemeralStorage      `json:"EphemeralStorage"`
	SnapStart                  snapStart             `json:"SnapStart"`
	RuntimeVersionConfig       *runtimeVersionConfig `json:"RuntimeVersionConfig,omitempty"`
	LoggingConfig              loggingConfig         `json:"LoggingConfig"`
}

// describe shows a function as GetFunction does. With a qualifier the ARN
// holds it.
func (a *api) describe(fn catalog.Function, qualifier string) functionConfiguration {
	c := functionConfiguration{
		FunctionName:               fn.Name,
		FunctionArn:                a.arn(fn.Name, qualifier),
		Runtime:                    fn.Runtime,
		Role:                       fn.Role,
		Handler:                    fn.Handler,
		CodeSize:                   fn.CodeSize,
		Description:                fn.Description,
		Timeout:                    fn.Timeout,
		MemorySize:                 fn.MemorySize,
		LastModified:               fn.LastModified.UTC().Format(lastModifiedFormat),
		CodeSha256:                 fn.CodeSHA256,
		Version:                    catalog.Latest,
		TracingConfig:              tracingConfig{fn.TracingMode},
		RevisionID:                 fn.RevisionID,
		State:                      fn.State,
		StateReason:                fn.StateReason,
		StateReasonCode:            fn.StateReasonCode,
		LastUpdateStatus:           fn.LastUpdateStatus,
		LastUpdateStatusReason:     fn.LastUpdateStatusReason,
		LastUpdateStatusReasonCode: fn.LastUpdateStatusReasonCode,
		PackageType:                catalog.FunctionPackageZip,
		Architectures:              fn.Architectures,
		EphemeralStorage:           ephemeralStorage{fn.EphemeralStorage},
		SnapStart:                  snapStart{ApplyOn: "None", OptimizationStatus: "Off"},
		RuntimeVersionConfig:       &runtimeVersionConfig{runtimeVersion(a.Region, fn.Runtime)},
		LoggingConfig: loggingConfig{
			LogFormat: fn.LogFormat, ApplicationLogLevel: fn.ApplicationLogLevel,
			SystemLogLevel: fn.SystemLogLevel, LogGroup: fn.LogGroup,
		},
	}
	if fn.Environment != nil {
		c.Environment = &variables{fn.Environment}
	}
	return c
}

// created is the answer to CreateFunction. Here a function is ready when the
// call returns; AWS's is not, and waiters expect to see the change.
func (a *api) created(fn catalog.Function) *functionConfiguration {
	c := a.describe(fn, "")
	c.State, c.StateReason, c.StateReasonCode = catalog.FunctionStatePending, catalog.FunctionReasonCreating, catalog.FunctionReasonCodeCreates
	c.LastUpdateStatus = ""
	return &c
}

// updated is the answer to an update, for the same reason.
func (a *api) updated(fn catalog.Function) *functionConfiguration {
	c := a.describe(fn, "")
	c.LastUpdateStatus = catalog.FunctionUpdateInProgress
	c.LastUpdateStatusReason, c.LastUpdateStatusReasonCode = catalog.FunctionReasonCreating, catalog.FunctionReasonCodeCreates
	return &c
}

// listed shows a function as lists do: without state and runtime version.
func (a *api) listed(fn catalog.Function, qualifier string) functionConfiguration {
	c := a.describe(fn, qualifier)
	c.State, c.StateReason, c.StateReasonCode = "", "", ""
	c.LastUpdateStatus, c.LastUpdateStatusReason, c.LastUpdateStatusReasonCode = "", "", ""
	c.RuntimeVersionConfig = nil
	return c
}

// runtimeVersion stands for the build of a runtime, which AWS names by a hash.
// Ours comes with the host: one version a runtime.
func runtimeVersion(region, runtime string) string {
	sum := sha256.Sum256([]byte(runtime))
	return "arn:aws:lambda:" + region + "::runtime:" + hex.EncodeToString(sum[:])
}

// touch marks a change of fn.
func touch(fn *catalog.Function, now time.Time, revision string) {
	fn.LastModified = now.UTC().Truncate(time.Millisecond)
	fn.RevisionID = revision
}

func unescape(label string) string {
	if s, err := url.PathUnescape(label); err == nil {
		return s
	}
	return label
}
