package lambda

import (
	"context"

	"weir/internal/catalog"
	"weir/internal/control/protocol"
	"weir/internal/store"
)

// qualified is the input of operations on a function, or a version or alias.
type qualified struct {
	Qualifier    string `query:"Qualifier" min:"1" max:"128" pattern:"\\$(LATEST(\\.PUBLISHED)?)|[a-zA-Z0-9-_$]+"`
	FunctionName string `path:"FunctionName" min:"1" max:"256" pattern:"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:)?(\\d{12}:)?(function:)?([a-zA-Z0-9-_\\.]+)(:(\\$LATEST(\\.PUBLISHED)?|[a-zA-Z0-9-_]+))?"`
}

// unqualified is the input of operations on the function as such.
type unqualified struct {
	FunctionName string `path:"FunctionName" min:"1" max:"140" pattern:"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:)?(\\d{12}:)?(function:)?([a-zA-Z0-9-_]+)(:(\\$LATEST|[a-zA-Z0-9-_]+))?"`
}

type codeLocation struct {
	RepositoryType string `json:"RepositoryType"`
	Location       string `json:"Location,omitempty"`
}

type getFunctionOutput struct {
	Configuration functionConfiguration `json:"Configuration"`
	Code          codeLocation          `json:"Code"`
	Tags          map[string]string     `json:"Tags,omitempty"`
}

func (a *api) getFunction(ctx context.Context, call protocol.Call, in *qualified) (*getFunctionOutput, error) {
	fn, n, err := a.read(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	out := &getFunctionOutput{Configuration: a.describe(fn, n.qualifier), Code: codeLocation{RepositoryType: "S3"}, Tags: fn.Tags}
	if a.CodeURL != nil {
		out.Code.Location = a.CodeURL(fn, call.Host)
	}
	return out, nil
}

func (a *api) getFunctionConfiguration(ctx context.Context, _ protocol.Call, in *qualified) (*functionConfiguration, error) {
	fn, n, err := a.read(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	c := a.describe(fn, n.qualifier)
	return &c, nil
}

// largestPage is what AWS gives at most, whatever MaxItems says.
const largestPage = 50

type paging struct {
	Marker   string `query:"Marker"`
	MaxItems int    `query:"MaxItems" min:"1" max:"10000"`
}

func (p paging) cut(all []catalog.Function) (page []catalog.Function, next string) {
	limit := p.MaxItems
	if limit == 0 || limit > largestPage {
		limit = largestPage
	}
	return protocol.Cut(all, p.Marker, limit, catalog.Function.Key)
}

type listFunctionsInput struct {
	MasterRegion    string `query:"MasterRegion"` // of Lambda@Edge; there is one region
	FunctionVersion string `query:"FunctionVersion" enum:"ALL"`
	paging
}

type listFunctionsOutput struct {
	Functions  []functionConfiguration `json:"Functions"`
	NextMarker string                  `json:"NextMarker,omitempty"`
}

func (a *api) listFunctions(ctx context.Context, _ protocol.Call, in *listFunctionsInput) (*listFunctionsOutput, error) {
	all, err := a.all(ctx)
	if err != nil {
		return nil, err
	}
	qualifier := ""
	if in.FunctionVersion == "ALL" {
		qualifier = catalog.Latest
	}
	page, next := in.cut(all)
	out := &listFunctionsOutput{NextMarker: next, Functions: make([]functionConfiguration, 0, len(page))}
	for _, fn := range page {
		out.Functions = append(out.Functions, a.listed(fn, qualifier))
	}
	return out, nil
}

func (a *api) all(ctx context.Context) (all []catalog.Function, err error) {
	err = a.Store.View(ctx, func(tx *store.Tx) error {
		all, err = store.List[catalog.Function](tx)
		return err
	})
	return all, err
}

type listVersionsInput struct {
	qualified
	paging
}

type listVersionsOutput struct {
	Versions   []functionConfiguration `json:"Versions"`
	NextMarker string                  `json:"NextMarker,omitempty"`
}

func (a *api) listVersionsByFunction(ctx context.Context, _ protocol.Call, in *listVersionsInput) (*listVersionsOutput, error) {
	fn, _, err := a.read(ctx, in.FunctionName, "")
	if err != nil {
		return nil, err
	}
	page, next := in.cut([]catalog.Function{fn})
	out := &listVersionsOutput{NextMarker: next, Versions: make([]functionConfiguration, 0, len(page))}
	for _, fn := range page {
		out.Versions = append(out.Versions, a.listed(fn, catalog.Latest))
	}
	return out, nil
}

type concurrencyOutput struct {
	ReservedConcurrentExecutions *int `json:"ReservedConcurrentExecutions,omitempty"`
}

func (a *api) getFunctionConcurrency(ctx context.Context, _ protocol.Call, in *unqualified) (*concurrencyOutput, error) {
	_, _, err := a.read(ctx, in.FunctionName, "")
	return &concurrencyOutput{}, err
}

type codeSigningOutput struct {
	CodeSigningConfigArn string `json:"CodeSigningConfigArn,omitempty"`
	FunctionName         string `json:"FunctionName"`
}

func (a *api) getFunctionCodeSigningConfig(ctx context.Context, _ protocol.Call, in *unqualified) (*codeSigningOutput, error) {
	fn, _, err := a.read(ctx, in.FunctionName, "")
	return &codeSigningOutput{FunctionName: fn.Name}, err
}

type runtimeManagementOutput struct {
	UpdateRuntimeOn string `json:"UpdateRuntimeOn"`
	FunctionArn     string `json:"FunctionArn"`
}

func (a *api) getRuntimeManagementConfig(ctx context.Context, _ protocol.Call, in *qualified) (*runtimeManagementOutput, error) {
	_, n, err := a.read(ctx, in.FunctionName, in.Qualifier)
	return &runtimeManagementOutput{UpdateRuntimeOn: "Auto", FunctionArn: a.arn(n.name, n.qualifier)}, err
}

type accountLimit struct {
	TotalCodeSize                  int64 `json:"TotalCodeSize"`
	CodeSizeUnzipped               int64 `json:"CodeSizeUnzipped"`
	CodeSizeZipped                 int64 `json:"CodeSizeZipped"`
	ConcurrentExecutions           int   `json:"ConcurrentExecutions"`
	UnreservedConcurrentExecutions int   `json:"UnreservedConcurrentExecutions"`
}

type accountUsage struct {
	TotalCodeSize int64 `json:"TotalCodeSize"`
	FunctionCount int64 `json:"FunctionCount"`
}

type accountOutput struct {
	AccountLimit accountLimit `json:"AccountLimit"`
	AccountUsage accountUsage `json:"AccountUsage"`
}

func (a *api) getAccountSettings(ctx context.Context, _ protocol.Call, _ *protocol.Nothing) (*accountOutput, error) {
	all, err := a.all(ctx)
	if err != nil {
		return nil, err
	}
	out := &accountOutput{AccountLimit: accountLimit{
		TotalCodeSize: catalog.MaxCodeTotal, CodeSizeUnzipped: catalog.MaxCodeUnzipped, CodeSizeZipped: catalog.MaxCodeZipped,
		ConcurrentExecutions: catalog.LambdaConcurrency, UnreservedConcurrentExecutions: catalog.LambdaConcurrency,
	}}
	out.AccountUsage.FunctionCount = int64(len(all))
	for _, fn := range all {
		out.AccountUsage.TotalCodeSize += fn.CodeSize
	}
	return out, nil
}
