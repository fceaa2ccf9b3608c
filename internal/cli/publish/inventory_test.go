package publish

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

// inventory lists every kind of thing that a publication is made of.
func inventory(ctx context.Context, r *run) ([]string, error) {
	var lines []string
	for _, part := range []func(context.Context, *run) ([]string, error){listRoles, listFunctions, listAPIs, listPlans} {
		some, err := part(ctx, r)
		if err != nil {
			return nil, err
		}
		lines = append(lines, some...)
	}
	return lines, nil
}

func listRoles(ctx context.Context, r *run) (lines []string, err error) {
	roles, err := r.iam.ListRoles(ctx, &iam.ListRolesInput{})
	if err != nil {
		return nil, err
	}
	for _, role := range roles.Roles {
		policies, err := r.iam.ListAttachedRolePolicies(ctx, &iam.ListAttachedRolePoliciesInput{RoleName: role.RoleName})
		if err != nil {
			return nil, err
		}
		lines = append(lines, fmt.Sprintf("role %s with %d policies", *role.RoleName, len(policies.AttachedPolicies)))
	}
	return lines, nil
}

func listFunctions(ctx context.Context, r *run) (lines []string, err error) {
	functions, err := r.fns.ListFunctions(ctx, &lambda.ListFunctionsInput{})
	if err != nil {
		return nil, err
	}
	for _, f := range functions.Functions {
		state := state{}
		policy, err := r.fns.GetPolicy(ctx, &lambda.GetPolicyInput{FunctionName: f.FunctionName})
		if err != nil && !absent(err) {
			return nil, err
		}
		if err == nil {
			if err := state.readPolicy(*policy.Policy); err != nil {
				return nil, err
			}
		}
		env := map[string]string{}
		if f.Environment != nil {
			env = f.Environment.Variables
		}
		lines = append(lines, fmt.Sprintf("function %s %s %s %d MB %d s code %s env %v", *f.FunctionName, f.Runtime, *f.Handler, *f.MemorySize, *f.Timeout, *f.CodeSha256, env))
		for _, id := range slices.Sorted(maps.Keys(state.statements)) {
			lines = append(lines, fmt.Sprintf("  permission %s %s", id, idInARN.ReplaceAllString(state.statements[id], "${1}ID/")))
		}
	}
	return lines, nil
}

func listAPIs(ctx context.Context, r *run) (lines []string, err error) {
	apis, err := r.agw.GetRestApis(ctx, &apigateway.GetRestApisInput{})
	if err != nil {
		return nil, err
	}
	for _, api := range apis.Items {
		lines = append(lines, "api "+*api.Name)
		resources, err := r.agw.GetResources(ctx, &apigateway.GetResourcesInput{RestApiId: api.Id})
		if err != nil {
			return nil, err
		}
		for _, resource := range resources.Items {
			lines = append(lines, "  resource "+*resource.Path)
			for _, verb := range slices.Sorted(maps.Keys(resource.ResourceMethods)) {
				m, err := r.agw.GetMethod(ctx, &apigateway.GetMethodInput{RestApiId: api.Id, ResourceId: resource.Id, HttpMethod: &verb})
				if err != nil {
					return nil, err
				}
				lines = append(lines, fmt.Sprintf("    method %s key %t to %s", verb, *m.ApiKeyRequired, aws.ToString(m.MethodIntegration.Uri)))
			}
		}
		stages, err := r.agw.GetStages(ctx, &apigateway.GetStagesInput{RestApiId: api.Id})
		if err != nil {
			return nil, err
		}
		for _, s := range stages.Item {
			d, err := r.agw.GetDeployment(ctx, &apigateway.GetDeploymentInput{RestApiId: api.Id, DeploymentId: s.DeploymentId, Embed: []string{"apisummary"}})
			if err != nil {
				return nil, err
			}
			all := s.MethodSettings["*/*"]
			lines = append(lines, fmt.Sprintf("  stage %s throttle %v %d serves", *s.StageName, all.ThrottlingRateLimit, all.ThrottlingBurstLimit))
			for _, path := range slices.Sorted(maps.Keys(d.ApiSummary)) {
				for _, verb := range slices.Sorted(maps.Keys(d.ApiSummary[path])) {
					lines = append(lines, fmt.Sprintf("    %s %s key %t", verb, path, d.ApiSummary[path][verb].ApiKeyRequired))
				}
			}
		}
	}
	return lines, nil
}

func listPlans(ctx context.Context, r *run) (lines []string, err error) {
	plans, err := r.agw.GetUsagePlans(ctx, &apigateway.GetUsagePlansInput{})
	if err != nil {
		return nil, err
	}
	for _, p := range plans.Items {
		text := fmt.Sprintf("plan %s %v/%d", *p.Name, p.Throttle.RateLimit, p.Throttle.BurstLimit)
		if p.Quota != nil {
			text += fmt.Sprintf(" quota %d/%s", p.Quota.Limit, p.Quota.Period)
		}
		for _, s := range p.ApiStages {
			text += " stage " + *s.Stage
		}
		keys, err := r.agw.GetUsagePlanKeys(ctx, &apigateway.GetUsagePlanKeysInput{UsagePlanId: p.Id})
		if err != nil {
			return nil, err
		}
		for _, k := range keys.Items {
			text += " key " + *k.Name
		}
		lines = append(lines, text)
	}
	keys, err := r.agw.GetApiKeys(ctx, &apigateway.GetApiKeysInput{})
	if err != nil {
		return nil, err
	}
	for _, k := range keys.Items {
		lines = append(lines, fmt.Sprintf("key %s enabled %t", *k.Name, k.Enabled))
	}
	return lines, nil
}
