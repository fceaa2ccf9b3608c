package publish

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	agw "github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

// Unpublish removes what a publication made, and what is gone already is no
// error. The keys go first, so that nothing is let in any more, and the role
// last: while it is there, an interrupted Unpublish can be made again. It
// returns the changing calls; none when there is nothing of that name.
func (p Publisher) Unpublish(ctx context.Context, name string) ([]Call, error) {
	if !namePattern.MatchString(name) {
		return nil, refuse("%q is not the name of a publication: use 1 to 64 letters, digits, - and _", name)
	}
	r := p.newRun(name)
	var have state
	err := r.read("account", "what is there", func() (found string, err error) {
		have, err = r.look(ctx)
		return have.place(r.region), err
	})
	if err != nil {
		return nil, err
	}
	for _, s := range []struct {
		name, detail string
		there        bool
		do           func(context.Context, *state) error
	}{
		{"key", "API key " + name, len(have.keys) > 0, r.removeKeys},
		{"plan", "usage plan " + name, len(have.plans) > 0, r.removePlans},
		{"api", "API " + name, len(have.apis) > 0, r.removeAPIs},
		{"function", "function " + name, have.function != nil, r.removeFunction},
		{"logs", "log group /aws/lambda/" + name, p.AWS && have.roleARN != "", r.removeLogs},
		{"role", "role " + name, have.roleARN != "", r.removeRole},
	} {
		if !s.there {
			continue
		}
		if err := r.step(s.name, s.detail, func() error { return s.do(ctx, &have) }); err != nil {
			return r.calls, err
		}
	}
	return r.calls, nil
}

func (r *run) removeKeys(ctx context.Context, have *state) error {
	for _, k := range have.keys {
		if err := takeAway(ctx, r, r.agw.DeleteApiKey, &apigateway.DeleteApiKeyInput{ApiKey: &k.id}); err != nil {
			return err
		}
	}
	return nil
}

// removePlans takes the stages off a plan first: AWS refuses to delete a plan
// that has some.
func (r *run) removePlans(ctx context.Context, have *state) error {
	for _, plan := range have.plans {
		var ops []agw.PatchOperation
		for _, s := range plan.ApiStages {
			ops = append(ops, remove("/apiStages", aws.ToString(s.ApiId)+":"+aws.ToString(s.Stage)))
		}
		if len(ops) > 0 {
			if err := takeAway(ctx, r, r.agw.UpdateUsagePlan, &apigateway.UpdateUsagePlanInput{UsagePlanId: plan.Id, PatchOperations: ops}); err != nil {
				return err
			}
		}
		if err := takeAway(ctx, r, r.agw.DeleteUsagePlan, &apigateway.DeleteUsagePlanInput{UsagePlanId: plan.Id}); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) removeAPIs(ctx context.Context, have *state) error {
	for _, api := range have.apis {
		if err := takeAway(ctx, r, r.agw.DeleteRestApi, &apigateway.DeleteRestApiInput{RestApiId: api.Id}); err != nil {
			return err
		}
	}
	return nil
}

// removeFunction takes the function away, and its permissions with it.
func (r *run) removeFunction(ctx context.Context, _ *state) error {
	return takeAway(ctx, r, r.fns.DeleteFunction, &lambda.DeleteFunctionInput{FunctionName: &r.name})
}

// removeLogs removes the log group that Lambda makes with the first call.
func (r *run) removeLogs(ctx context.Context, _ *state) error {
	return takeAway(ctx, r, r.logs.DeleteLogGroup, &cloudwatchlogs.DeleteLogGroupInput{LogGroupName: aws.String("/aws/lambda/" + r.name)})
}

// removeRole empties the role first: AWS refuses to delete one that has
// policies.
func (r *run) removeRole(ctx context.Context, _ *state) error {
	attached, err := r.iam.ListAttachedRolePolicies(ctx, &iam.ListAttachedRolePoliciesInput{RoleName: &r.name})
	if err != nil && !absent(err) {
		return err
	}
	if err == nil {
		for _, p := range attached.AttachedPolicies {
			if err := takeAway(ctx, r, r.iam.DetachRolePolicy, &iam.DetachRolePolicyInput{RoleName: &r.name, PolicyArn: p.PolicyArn}); err != nil {
				return err
			}
		}
	}
	inline, err := r.iam.ListRolePolicies(ctx, &iam.ListRolePoliciesInput{RoleName: &r.name})
	if err != nil && !absent(err) {
		return err
	}
	if err == nil {
		for _, name := range inline.PolicyNames {
			if err := takeAway(ctx, r, r.iam.DeleteRolePolicy, &iam.DeleteRolePolicyInput{RoleName: &r.name, PolicyName: &name}); err != nil {
				return err
			}
		}
	}
	return takeAway(ctx, r, r.iam.DeleteRole, &iam.DeleteRoleInput{RoleName: &r.name})
}
