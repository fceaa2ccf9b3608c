package lambda

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"github.com/google/uuid"

	"weir/internal/catalog"
	"weir/internal/control/protocol"
	"weir/internal/store"
)

type createFunctionInput struct {
	FunctionName         string            `json:"FunctionName" required:"true" min:"1" max:"140" pattern:"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:)?(\\d{12}:)?(function:)?([a-zA-Z0-9-_]+)(:(\\$LATEST|[a-zA-Z0-9-_]+))?"`
	Role                 string            `json:"Role" required:"true" pattern:"arn:(aws[a-zA-Z-]*)?:iam::\\d{12}:role/?[a-zA-Z_0-9+=,.@\\-_/]+"`
	Code                 *codeSource       `json:"Code" required:"true"`
	Publish              bool              `json:"Publish"`
	PublishTo            string            `json:"PublishTo"`
	PackageType          string            `json:"PackageType" enum:"Zip,Image"`
	Architectures        []string          `json:"Architectures" min:"1" max:"1" enum:"x86_64,arm64"`
	Tags                 map[string]string `json:"Tags"`
	CodeSigningConfigArn string            `json:"CodeSigningConfigArn"`
	TenancyConfig        json.RawMessage   `json:"TenancyConfig"`
	settings
}

// createFunction makes a function that can be invoked when the call returns.
func (a *api) createFunction(ctx context.Context, _ protocol.Call, in *createFunctionInput) (*functionConfiguration, error) {
	fn, zip, err := a.newFunction(in)
	if err != nil {
		return nil, err
	}
	if fn.CodeSHA256, err = a.Store.PutCode(ctx, zip); err != nil {
		return nil, err
	}
	err = a.Store.Update(ctx, func(tx *store.Tx) error {
		if _, exists, err := store.Get[catalog.Function](tx, fn.Name); err != nil {
			return err
		} else if exists {
			return conflict("Function already exist: " + fn.Name)
		}
		touch(&fn, tx.Now(), uuid.NewString())
		return store.Put(tx, fn)
	})
	if err != nil {
		return nil, err
	}
	return a.created(fn), nil
}

// newFunction checks everything that needs no look at what is stored.
func (a *api) newFunction(in *createFunctionInput) (fn catalog.Function, zip []byte, err error) {
	n, err := a.locate(in.FunctionName, "")
	if err != nil {
		return fn, nil, err
	}
	if err := catalog.CheckFunctionName(n.name); err != nil {
		return fn, nil, err
	}
	if err := in.refuse(); err != nil {
		return fn, nil, err
	}
	fn = catalog.Function{
		Name: n.name, ARN: a.arn(n.name, ""), Role: in.Role,
		Timeout: catalog.DefaultFunctionTimeout, MemorySize: catalog.DefaultFunctionMemory,
		EphemeralStorage: catalog.DefaultFunctionStorage, Architectures: []string{catalog.DefaultArchitecture},
		LogFormat: catalog.DefaultFunctionLogFormat, LogGroup: catalog.FunctionLogGroupPrefix + n.name,
		TracingMode: catalog.DefaultFunctionTracing,
		State:       catalog.FunctionStateActive, LastUpdateStatus: catalog.FunctionUpdateSuccessful,
		Tags: in.Tags,
	}
	if len(in.Architectures) > 0 {
		fn.Architectures = in.Architectures
	}
	if err := in.apply(&fn); err != nil {
		return fn, nil, err
	}
	if err := complete(&fn); err != nil {
		return fn, nil, err
	}
	if err := catalog.CheckFunctionTags(in.Tags); err != nil {
		return fn, nil, err
	}
	zip, err = a.zip(in.Code)
	fn.CodeSize = int64(len(zip))
	return fn, zip, err
}

// refuse names what is asked for and is not here.
func (in *createFunctionInput) refuse() error {
	switch {
	case in.PackageType == "Image" || in.Code.ImageURI != "":
		return invalid("Container images are not supported by weir. Use PackageType Zip.")
	case in.Publish || in.PublishTo != "":
		return unavailable("Publish")
	case in.CodeSigningConfigArn != "":
		return unavailable("CodeSigningConfigArn")
	case asks(in.TenancyConfig):
		return unavailable("TenancyConfig")
	}
	return nil
}

// edit changes a function in one transaction, on a copy.
func (a *api) edit(ctx context.Context, name string, revision, where string, change func(fn *catalog.Function) error) (fn catalog.Function, err error) {
	n, err := a.locate(name, "")
	if err != nil {
		return fn, err
	}
	// Updates are of the function: AWS ignores nothing but $LATEST here.
	if n.qualifier != "" && n.qualifier != catalog.Latest {
		return fn, invalid("Function updates are not allowed on versions and aliases. Please specify a function name without qualifier.")
	}
	n.qualifier = ""
	err = a.Store.Update(ctx, func(tx *store.Tx) error {
		if fn, err = a.load(tx, n); err != nil {
			return err
		}
		if err := checkRevision(fn, revision, where); err != nil {
			return err
		}
		if err := change(&fn); err != nil {
			return err
		}
		touch(&fn, tx.Now(), uuid.NewString())
		return store.Put(tx, fn)
	})
	return fn, err
}

type updateConfigurationInput struct {
	unqualified
	RevisionID string  `json:"RevisionId"`
	Role       *string `json:"Role" pattern:"arn:(aws[a-zA-Z-]*)?:iam::\\d{12}:role/?[a-zA-Z_0-9+=,.@\\-_/]+"`
	settings
}

func (a *api) updateFunctionConfiguration(ctx context.Context, _ protocol.Call, in *updateConfigurationInput) (*functionConfiguration, error) {
	fn, err := a.edit(ctx, in.FunctionName, in.RevisionID, revisionOfFunction, func(fn *catalog.Function) error {
		set(&fn.Role, in.Role)
		if err := in.apply(fn); err != nil {
			return err
		}
		return complete(fn)
	})
	if err != nil {
		return nil, err
	}
	return a.updated(fn), nil
}

// revisionOfFunction names the calls that tell a function's revision.
const revisionOfFunction = "GetFunction/GetAlias"

type updateCodeInput struct {
	unqualified
	codeSource
	Architectures []string `json:"Architectures" min:"1" max:"1" enum:"x86_64,arm64"`
	DryRun        bool     `json:"DryRun"`
	Publish       bool     `json:"Publish"`
	PublishTo     string   `json:"PublishTo"`
	RevisionID    string   `json:"RevisionId"`
}

func (a *api) updateFunctionCode(ctx context.Context, _ protocol.Call, in *updateCodeInput) (*functionConfiguration, error) {
	switch {
	case in.ImageURI != "":
		return nil, invalid("Please don't provide ImageUri when updating a function with packageType Zip.")
	case in.Publish || in.PublishTo != "":
		return nil, unavailable("Publish")
	}
	// An unknown function or old revision is said before its code is read.
	fn, _, err := a.read(ctx, in.FunctionName, "")
	if err != nil {
		return nil, err
	}
	if err := checkRevision(fn, in.RevisionID, revisionOfFunction); err != nil {
		return nil, err
	}
	zip, err := a.zip(&in.codeSource)
	if err != nil {
		return nil, err
	}
	if in.DryRun { // what is asked for is sound; nothing changes
		c := a.describe(fn, "")
		return &c, nil
	}
	sha, err := a.Store.PutCode(ctx, zip)
	if err != nil {
		return nil, err
	}
	fn, err = a.edit(ctx, in.FunctionName, in.RevisionID, revisionOfFunction, func(fn *catalog.Function) error {
		fn.CodeSHA256, fn.CodeSize = sha, int64(len(zip))
		if len(in.Architectures) > 0 {
			fn.Architectures = slices.Clone(in.Architectures)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return a.updated(fn), nil
}

// deleteFunction answers 204: what AWS is recorded to send, although its
// newest model says 200. Clients take both.
func (a *api) deleteFunction(ctx context.Context, _ protocol.Call, in *qualified) (*protocol.Nothing, error) {
	n, err := a.locate(in.FunctionName, in.Qualifier)
	switch {
	case err != nil:
		return nil, err
	case n.qualifier == catalog.Latest:
		return nil, invalid("$LATEST version cannot be deleted without deleting the function.")
	case n.qualifier != "" && catalog.IsAlias(n.qualifier):
		return nil, invalid("Deletion of aliases is not currently supported.")
	}
	return nil, a.Store.Update(ctx, func(tx *store.Tx) error {
		if _, err := a.load(tx, named{name: n.name}); err != nil {
			return err
		}
		if n.qualifier != "" { // a version that is not there: nothing to do
			return nil
		}
		return store.Delete[catalog.Function](tx, n.name)
	})
}

// tagged is the ARN in a tag operation's path.
type tagged struct {
	Resource string `path:"Resource" min:"1" max:"256" pattern:"arn:(aws[a-zA-Z-]*):lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:\\d{12}:(function:[a-zA-Z0-9-_]+(:(\\$LATEST|[a-zA-Z0-9-_]+))?|layer:([a-zA-Z0-9-_]+)|code-signing-config:csc-[a-z0-9]{17}|event-source-mapping:[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}|capacity-provider:[a-zA-Z0-9-_]+)"`
}

// function gives the name of the function whose tags are meant.
func (a *api) tagsOf(arn string) (named, error) {
	n, err := a.locate(arn, "")
	if err == nil && n.qualifier != "" {
		err = invalid("Tags on function aliases and versions are not supported. Please specify a function ARN.")
	}
	return n, err
}

type listTagsOutput struct {
	Tags map[string]string `json:"Tags"`
}

func (a *api) listTags(ctx context.Context, _ protocol.Call, in *tagged) (*listTagsOutput, error) {
	n, err := a.tagsOf(in.Resource)
	if err != nil {
		return nil, err
	}
	fn, _, err := a.read(ctx, n.name, "")
	return &listTagsOutput{fn.Tags}, err
}

type tagResourceInput struct {
	tagged
	Tags map[string]string `json:"Tags" required:"true"`
}

func (a *api) tagResource(ctx context.Context, _ protocol.Call, in *tagResourceInput) (*protocol.Nothing, error) {
	if len(in.Tags) == 0 {
		return nil, invalid("An error occurred and the request cannot be processed.")
	}
	return nil, a.retag(ctx, in.Resource, func(tags map[string]string) { maps.Copy(tags, in.Tags) })
}

type untagResourceInput struct {
	tagged
	TagKeys []string `query:"tagKeys" required:"true"`
}

func (a *api) untagResource(ctx context.Context, _ protocol.Call, in *untagResourceInput) (*protocol.Nothing, error) {
	return nil, a.retag(ctx, in.Resource, func(tags map[string]string) {
		for _, k := range in.TagKeys {
			delete(tags, k)
		}
	})
}

// retag changes a copy of a function's tags. It is no change of the function:
// its revision stays.
func (a *api) retag(ctx context.Context, arn string, change func(map[string]string)) error {
	n, err := a.tagsOf(arn)
	if err != nil {
		return err
	}
	return a.Store.Update(ctx, func(tx *store.Tx) error {
		fn, err := a.load(tx, n)
		if err != nil {
			return err
		}
		tags := make(map[string]string, len(fn.Tags))
		maps.Copy(tags, fn.Tags)
		change(tags)
		if err := catalog.CheckFunctionTags(tags); err != nil {
			return err
		}
		if fn.Tags = tags; len(tags) == 0 {
			fn.Tags = nil
		}
		return store.Put(tx, fn)
	})
}
