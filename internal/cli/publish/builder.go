package publish

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lam "github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// builder brings what is there to what is asked for, one part at a time, and
// keeps in have what the parts after it need to know.
type builder struct {
	*run
	spec *Spec
	have *state
	code code
}

func (b *builder) tags() map[string]string { return map[string]string{tag: b.name} }

const trustLambda = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`

func (b *builder) role(ctx context.Context) error {
	if b.have.roleARN == "" {
		out, err := change(ctx, b.run, b.iam.CreateRole, &iam.CreateRoleInput{
			RoleName: &b.name, AssumeRolePolicyDocument: aws.String(trustLambda),
			Description: aws.String("made by weir publish"),
			Tags:        []iamtypes.Tag{{Key: aws.String(tag), Value: &b.name}},
		}, &iam.CreateRoleOutput{Role: &iamtypes.Role{Arn: aws.String(fmt.Sprintf("arn:%s:iam::%s:role/%s", b.have.partition, b.have.account, b.name))}})
		if err != nil {
			return err
		}
		b.have.roleARN = aws.ToString(out.Role.Arn)
	}
	if b.have.attached {
		return nil
	}
	_, err := change(ctx, b.run, b.iam.AttachRolePolicy, &iam.AttachRolePolicyInput{
		RoleName: &b.name, PolicyArn: aws.String(b.have.logsPolicy()),
	}, nil)
	return err
}

func (b *builder) function(ctx context.Context) error {
	if b.have.function == nil {
		return b.createFunction(ctx)
	}
	have := b.have.function.Configuration
	if have.State == lam.StatePending || have.LastUpdateStatus == lam.LastUpdateStatusInProgress {
		if err := b.settled(ctx); err != nil { // an earlier run was interrupted here
			return err
		}
	}
	if aws.ToString(have.CodeSha256) != b.code.sha256 || !slices.Contains(have.Architectures, b.code.architecture) {
		_, err := change(ctx, b.run, b.fns.UpdateFunctionCode, &lambda.UpdateFunctionCodeInput{
			FunctionName: &b.name, ZipFile: b.code.zip, Architectures: []lam.Architecture{b.code.architecture},
		}, nil)
		if err != nil {
			return err
		}
		if err := b.settled(ctx); err != nil {
			return err
		}
	}
	var variables map[string]string
	if have.Environment != nil {
		variables = have.Environment.Variables
	}
	if string(have.Runtime) == b.spec.Runtime && aws.ToString(have.Handler) == b.spec.Handler &&
		aws.ToInt32(have.MemorySize) == b.spec.Memory && aws.ToInt32(have.Timeout) == b.spec.Timeout &&
		aws.ToString(have.Role) == b.have.roleARN && maps.Equal(variables, b.spec.Env) {
		return nil
	}
	_, err := change(ctx, b.run, b.fns.UpdateFunctionConfiguration, &lambda.UpdateFunctionConfigurationInput{
		FunctionName: &b.name, Runtime: lam.Runtime(b.spec.Runtime), Handler: &b.spec.Handler, Role: &b.have.roleARN,
		MemorySize: &b.spec.Memory, Timeout: &b.spec.Timeout, Environment: b.variables(),
	}, nil)
	if err != nil {
		return err
	}
	return b.settled(ctx)
}

func (b *builder) variables() *lam.Environment {
	variables := b.spec.Env
	if variables == nil {
		variables = map[string]string{} // takes away what was there
	}
	return &lam.Environment{Variables: variables}
}

func (b *builder) createFunction(ctx context.Context) error {
	in := &lambda.CreateFunctionInput{
		FunctionName: &b.name, Runtime: lam.Runtime(b.spec.Runtime), Handler: &b.spec.Handler, Role: &b.have.roleARN,
		MemorySize: &b.spec.Memory, Timeout: &b.spec.Timeout,
		Architectures: []lam.Architecture{b.code.architecture},
		Code:          &lam.FunctionCode{ZipFile: b.code.zip}, Tags: b.tags(),
	}
	if len(b.spec.Env) > 0 {
		in.Environment = b.variables()
	}
	out, err := change(ctx, b.run, b.fns.CreateFunction, in, &lambda.CreateFunctionOutput{
		FunctionArn: aws.String(fmt.Sprintf("arn:%s:lambda:%s:%s:function:%s", b.have.partition, b.region, b.have.account, b.name)),
	})
	if err != nil {
		return err
	}
	b.have.functionARN = aws.ToString(out.FunctionArn)
	return b.settled(ctx)
}

// settled waits until a function takes calls and changes again.
func (b *builder) settled(ctx context.Context) error {
	if b.DryRun {
		return nil
	}
	in := &lambda.GetFunctionInput{FunctionName: &b.name}
	if err := lambda.NewFunctionActiveV2Waiter(b.fns).Wait(ctx, in, patience); err != nil {
		return err
	}
	return lambda.NewFunctionUpdatedV2Waiter(b.fns).Wait(ctx, in, patience)
}

// permission lets our API's method, and nothing else, invoke the function.
func (b *builder) permission(ctx context.Context) error {
	want := map[string]string{}
	for _, verb := range b.spec.Methods {
		want["weir-"+verb] = b.sourceARN(verb)
	}
	for _, id := range slices.Sorted(maps.Keys(b.have.statements)) {
		if !strings.HasPrefix(id, "weir-") || b.have.statements[id] == want[id] {
			continue
		}
		if err := takeAway(ctx, b.run, b.fns.RemovePermission, &lambda.RemovePermissionInput{FunctionName: &b.name, StatementId: &id}); err != nil {
			return err
		}
	}
	for _, id := range slices.Sorted(maps.Keys(want)) {
		if b.have.statements[id] == want[id] {
			continue
		}
		_, err := change(ctx, b.run, b.fns.AddPermission, &lambda.AddPermissionInput{
			FunctionName: &b.name, StatementId: &id, Action: aws.String("lambda:InvokeFunction"),
			Principal: aws.String("apigateway.amazonaws.com"), SourceArn: aws.String(want[id]),
		}, nil)
		if err != nil {
			return err
		}
	}
	return nil
}

// sourceARN names one method of the API, as a permission wants it: what a
// caller fills in is a star.
func (b *builder) sourceARN(verb string) string {
	if verb == "ANY" {
		verb = "*"
	}
	segments := b.spec.segments()
	for i, s := range segments {
		if strings.HasPrefix(s, "{") {
			segments[i] = "*"
		}
	}
	return fmt.Sprintf("arn:%s:execute-api:%s:%s:%s/%s/%s/%s", b.have.partition, b.region, b.have.account, b.have.apiID,
		b.spec.Stage, verb, strings.Join(segments, "/"))
}

// digest names what a deployment freezes, so that a stage is deployed to only
// when that changed.
func (b *builder) digest() string {
	h := sha256.New()
	fmt.Fprintln(h, b.spec.Path, !b.spec.Open, b.uri(), b.spec.verbs())
	return "weir publish " + hex.EncodeToString(h.Sum(nil)[:8])
}

func (b *builder) uri() string {
	return fmt.Sprintf("arn:%s:apigateway:%s:lambda:path/2015-03-31/functions/%s/invocations", b.have.partition, b.region, b.have.functionARN)
}
