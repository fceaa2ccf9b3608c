package publish

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	agw "github.com/aws/aws-sdk-go-v2/service/apigateway/types"
)

// What a dry run calls the things that it does not make.
const (
	newAPI  = "NEW-API"
	newPlan = "NEW-PLAN"
	newKey  = "NEW-KEY"
)

func (b *builder) api(ctx context.Context) error {
	if b.have.apiID != "" {
		return nil
	}
	out, err := change(ctx, b.run, b.agw.CreateRestApi, &apigateway.CreateRestApiInput{
		Name: &b.name, Description: aws.String("made by weir publish"), Tags: b.tags(),
		EndpointConfiguration: &agw.EndpointConfiguration{Types: []agw.EndpointType{agw.EndpointTypeRegional}},
	}, &apigateway.CreateRestApiOutput{Id: aws.String(newAPI), RootResourceId: aws.String("NEW-ROOT")})
	if err != nil {
		return err
	}
	b.have.apiID, b.have.rootID = aws.ToString(out.Id), aws.ToString(out.RootResourceId)
	return nil
}

// methods makes the path and exactly the methods that are asked for: what an
// earlier publication had elsewhere would stay open, perhaps without a key.
func (b *builder) methods(ctx context.Context) error {
	id, err := b.resource(ctx)
	if err != nil {
		return err
	}
	for _, verb := range b.spec.Methods {
		if err := b.putMethod(ctx, id, verb); err != nil {
			return err
		}
	}
	for _, verb := range slices.Sorted(maps.Keys(b.have.method)) {
		if slices.Contains(b.spec.Methods, verb) {
			continue
		}
		if err := takeAway(ctx, b.run, b.agw.DeleteMethod, &apigateway.DeleteMethodInput{RestApiId: &b.have.apiID, ResourceId: &id, HttpMethod: &verb}); err != nil {
			return err
		}
	}
	return b.removeOtherPaths(ctx)
}

// resource makes the resources of the path and gives the last one's id.
func (b *builder) resource(ctx context.Context) (string, error) {
	parent, path := b.have.rootID, ""
	for _, part := range b.spec.segments() {
		path += "/" + part
		if have, ok := b.have.resources[path]; ok {
			parent = aws.ToString(have.Id)
			continue
		}
		out, err := change(ctx, b.run, b.agw.CreateResource, &apigateway.CreateResourceInput{
			RestApiId: &b.have.apiID, ParentId: aws.String(parent), PathPart: &part,
		}, &apigateway.CreateResourceOutput{Id: aws.String("NEW-RESOURCE")})
		if err != nil {
			return "", err
		}
		parent = aws.ToString(out.Id)
	}
	return parent, nil
}

func (b *builder) putMethod(ctx context.Context, resource, verb string) error {
	have := b.have.method[verb]
	if have == nil {
		_, err := change(ctx, b.run, b.agw.PutMethod, &apigateway.PutMethodInput{
			RestApiId: &b.have.apiID, ResourceId: &resource, HttpMethod: &verb,
			AuthorizationType: aws.String("NONE"), ApiKeyRequired: !b.spec.Open,
		}, nil)
		if err != nil {
			return err
		}
	} else if ops := b.methodPatch(have); len(ops) > 0 {
		_, err := change(ctx, b.run, b.agw.UpdateMethod, &apigateway.UpdateMethodInput{
			RestApiId: &b.have.apiID, ResourceId: &resource, HttpMethod: &verb, PatchOperations: ops,
		}, nil)
		if err != nil {
			return err
		}
	}
	if have != nil && have.MethodIntegration != nil && have.MethodIntegration.Type == agw.IntegrationTypeAwsProxy &&
		aws.ToString(have.MethodIntegration.Uri) == b.uri() {
		return nil
	}
	_, err := change(ctx, b.run, b.agw.PutIntegration, &apigateway.PutIntegrationInput{
		RestApiId: &b.have.apiID, ResourceId: &resource, HttpMethod: &verb, Type: agw.IntegrationTypeAwsProxy,
		IntegrationHttpMethod: aws.String("POST"), Uri: aws.String(b.uri()),
	}, nil)
	return err
}

func (b *builder) methodPatch(have *apigateway.GetMethodOutput) []agw.PatchOperation {
	var ops []agw.PatchOperation
	if aws.ToBool(have.ApiKeyRequired) == b.spec.Open {
		required := "true"
		if b.spec.Open {
			required = "false"
		}
		ops = append(ops, replace("/apiKeyRequired", required))
	}
	if aws.ToString(have.AuthorizationType) != "NONE" {
		ops = append(ops, replace("/authorizationType", "NONE"))
	}
	return ops
}

func replace(path, value string) agw.PatchOperation {
	return agw.PatchOperation{Op: agw.OpReplace, Path: &path, Value: &value}
}

func remove(path, value string) agw.PatchOperation {
	op := agw.PatchOperation{Op: agw.OpRemove, Path: &path}
	if value != "" {
		op.Value = &value
	}
	return op
}

// removeOtherPaths takes away the resources that do not lead to our path, each
// with what is below it.
func (b *builder) removeOtherPaths(ctx context.Context) error {
	gone := ""
	for _, path := range slices.Sorted(maps.Keys(b.have.resources)) {
		leads := path == "/" || path == b.spec.Path || strings.HasPrefix(b.spec.Path, path+"/")
		if gone != "" && strings.HasPrefix(path, gone) {
			continue
		}
		resource := b.have.resources[path]
		if !leads {
			gone = path + "/"
			if err := takeAway(ctx, b.run, b.agw.DeleteResource, &apigateway.DeleteResourceInput{RestApiId: &b.have.apiID, ResourceId: resource.Id}); err != nil {
				return err
			}
			continue
		}
		if path == b.spec.Path {
			continue
		}
		for _, verb := range slices.Sorted(maps.Keys(resource.ResourceMethods)) {
			if err := takeAway(ctx, b.run, b.agw.DeleteMethod, &apigateway.DeleteMethodInput{RestApiId: &b.have.apiID, ResourceId: resource.Id, HttpMethod: &verb}); err != nil {
				return err
			}
		}
	}
	return nil
}

// deploy puts the stage onto what was made, when that is not what it serves,
// and gives it the throttle of a publication without a key: first, where there
// is a stage, so that nothing is open without a limit.
func (b *builder) deploy(ctx context.Context) error {
	if b.spec.Open && b.have.stage(b.spec.Stage) != nil {
		if err := b.throttleStage(ctx); err != nil {
			return err
		}
		return b.createDeployment(ctx)
	}
	if err := b.createDeployment(ctx); err != nil {
		return err
	}
	return b.throttleStage(ctx)
}

func (b *builder) createDeployment(ctx context.Context) error {
	if b.have.deployed == b.digest() {
		return nil
	}
	_, err := change(ctx, b.run, b.agw.CreateDeployment, &apigateway.CreateDeploymentInput{
		RestApiId: &b.have.apiID, StageName: &b.spec.Stage, Description: aws.String(b.digest()),
	}, nil)
	return err
}

func (b *builder) throttleStage(ctx context.Context) error {
	rate, burst := b.stageThrottle()
	wantRate, wantBurst := float64(unlimited), int32(unlimited)
	if b.spec.Open {
		wantRate, wantBurst = b.spec.Rate, b.spec.Burst
	}
	if rate == wantRate && burst == wantBurst {
		return nil
	}
	_, err := change(ctx, b.run, b.agw.UpdateStage, &apigateway.UpdateStageInput{
		RestApiId: &b.have.apiID, StageName: &b.spec.Stage,
		PatchOperations: []agw.PatchOperation{
			replace("/*/*/throttling/rateLimit", number(wantRate)),
			replace("/*/*/throttling/burstLimit", number(float64(wantBurst))),
		},
	}, nil)
	return err
}

// unlimited is how a stage is told to have no throttle of its own.
const unlimited = -1

// stageThrottle is what the stage has for all its methods. A stage with other
// settings tells the account's limits when it has no throttle of its own.
func (b *builder) stageThrottle() (rate float64, burst int32) {
	const accountRate, accountBurst = 10000, 5000
	stage := b.have.stage(b.spec.Stage)
	if stage == nil {
		return unlimited, unlimited
	}
	s, ok := stage.MethodSettings["*/*"]
	if !ok || s.ThrottlingRateLimit == accountRate && s.ThrottlingBurstLimit == accountBurst {
		return unlimited, unlimited
	}
	return s.ThrottlingRateLimit, s.ThrottlingBurstLimit
}

// leftovers removes the stages of an earlier publication: each is an endpoint
// of its own.
func (b *builder) leftovers(ctx context.Context) error {
	for _, name := range b.otherStages() {
		if err := takeAway(ctx, b.run, b.agw.DeleteStage, &apigateway.DeleteStageInput{RestApiId: &b.have.apiID, StageName: &name}); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) otherStages() []string {
	var names []string
	for _, stage := range b.have.stages {
		if name := aws.ToString(stage.StageName); name != b.spec.Stage {
			names = append(names, name)
		}
	}
	return names
}
