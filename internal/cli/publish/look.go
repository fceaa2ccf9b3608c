package publish

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	agw "github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// state is what a place holds of a publication. It is read before anything is
// changed, so that a dry run needs no answer of a call that it does not make.
type state struct {
	account   string
	partition string // "aws", "aws-cn", …

	roleARN  string // "": no role
	attached bool   // the role may write logs

	function    *lambda.GetFunctionOutput // nil: none
	functionARN string
	statements  map[string]string // of the function's policy: id to source ARN

	apis      []agw.RestApi // ours
	apiID     string
	rootID    string
	resources map[string]agw.Resource // by path
	method    map[string]*apigateway.GetMethodOutput
	stages    []agw.Stage
	deployed  string // description of what the stage serves; "": no stage

	plans  []*apigateway.GetUsagePlanOutput // ours
	planID string
	keys   []key // ours
	key    key
	linked bool
}

type key struct {
	id, value string
	enabled   bool
}

func (s *state) place(region string) string { return "account " + s.account + " in " + region }

// caller finds the account and the partition.
func (r *run) caller(ctx context.Context) (account, partition string, err error) {
	who, err := r.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return "", "", fmt.Errorf("asking who we are: %w", err)
	}
	parts := strings.SplitN(aws.ToString(who.Arn), ":", 3)
	if len(parts) < 3 {
		return "", "", fmt.Errorf("asking who we are: the ARN %q is not one", aws.ToString(who.Arn))
	}
	return aws.ToString(who.Account), parts[1], nil
}

// look finds all that is ours.
func (r *run) look(ctx context.Context) (state, error) {
	var have state
	var err error
	if have.account, have.partition, err = r.caller(ctx); err != nil {
		return have, err
	}
	for _, part := range []func(context.Context, *state) error{r.lookRole, r.lookFunction, r.lookAPIs, r.lookPlans, r.lookKeys} {
		if err := part(ctx, &have); err != nil {
			return have, err
		}
	}
	return have, nil
}

func (r *run) lookRole(ctx context.Context, have *state) error {
	out, err := r.iam.GetRole(ctx, &iam.GetRoleInput{RoleName: &r.name})
	if absent(err) {
		return nil
	}
	if err != nil {
		return err
	}
	ours := false
	for _, t := range out.Role.Tags {
		ours = ours || aws.ToString(t.Key) == tag && aws.ToString(t.Value) == r.name
	}
	if !ours {
		return foreign("role", r.name)
	}
	have.roleARN = aws.ToString(out.Role.Arn)
	policies, err := r.iam.ListAttachedRolePolicies(ctx, &iam.ListAttachedRolePoliciesInput{RoleName: &r.name})
	if err != nil {
		return err
	}
	for _, p := range policies.AttachedPolicies {
		have.attached = have.attached || aws.ToString(p.PolicyArn) == have.logsPolicy()
	}
	return nil
}

// logsPolicy is AWS's own policy that lets a function write its logs.
func (s *state) logsPolicy() string {
	return "arn:" + s.partition + ":iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
}

func (r *run) lookFunction(ctx context.Context, have *state) error {
	out, err := r.fns.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: &r.name})
	if absent(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if out.Tags[tag] != r.name {
		return foreign("function", r.name)
	}
	have.function, have.functionARN = out, aws.ToString(out.Configuration.FunctionArn)
	policy, err := r.fns.GetPolicy(ctx, &lambda.GetPolicyInput{FunctionName: &r.name})
	if absent(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return have.readPolicy(aws.ToString(policy.Policy))
}

func (s *state) readPolicy(text string) error {
	var policy struct {
		Statement []struct {
			Sid       string
			Condition struct {
				ArnLike struct {
					Source string `json:"AWS:SourceArn"`
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(text), &policy); err != nil {
		return fmt.Errorf("reading the function's policy: %w", err)
	}
	s.statements = map[string]string{}
	for _, st := range policy.Statement {
		s.statements[st.Sid] = st.Condition.ArnLike.Source
	}
	return nil
}

func (r *run) lookAPIs(ctx context.Context, have *state) error {
	pages := apigateway.NewGetRestApisPaginator(r.agw, &apigateway.GetRestApisInput{Limit: aws.Int32(500)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, api := range page.Items {
			if api.Tags[tag] == r.name {
				have.apis = append(have.apis, api)
			}
		}
	}
	return nil
}

// lookAPI reads the oldest of our APIs. There are more only when a call that
// made one was never answered; Unpublish removes all.
func (r *run) lookAPI(ctx context.Context, have *state, spec *Spec) error {
	have.method, have.resources = map[string]*apigateway.GetMethodOutput{}, map[string]agw.Resource{}
	if len(have.apis) == 0 {
		return nil
	}
	api := slices.MinFunc(have.apis, func(a, b agw.RestApi) int {
		return aws.ToTime(a.CreatedDate).Compare(aws.ToTime(b.CreatedDate))
	})
	have.apiID = aws.ToString(api.Id)
	pages := apigateway.NewGetResourcesPaginator(r.agw, &apigateway.GetResourcesInput{RestApiId: api.Id, Limit: aws.Int32(500)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, resource := range page.Items {
			have.resources[aws.ToString(resource.Path)] = resource
		}
	}
	have.rootID = aws.ToString(have.resources["/"].Id)
	if resource, ok := have.resources[spec.Path]; ok {
		for verb := range resource.ResourceMethods {
			m, err := r.agw.GetMethod(ctx, &apigateway.GetMethodInput{RestApiId: api.Id, ResourceId: resource.Id, HttpMethod: &verb})
			if err != nil {
				return err
			}
			have.method[verb] = m
		}
	}
	return r.lookStages(ctx, have, spec)
}

func (r *run) lookStages(ctx context.Context, have *state, spec *Spec) error {
	out, err := r.agw.GetStages(ctx, &apigateway.GetStagesInput{RestApiId: &have.apiID})
	if err != nil {
		return err
	}
	have.stages = out.Item
	stage := have.stage(spec.Stage)
	if stage == nil {
		return nil
	}
	d, err := r.agw.GetDeployment(ctx, &apigateway.GetDeploymentInput{RestApiId: &have.apiID, DeploymentId: stage.DeploymentId})
	if err != nil {
		return err
	}
	have.deployed = aws.ToString(d.Description)
	return nil
}

// stage is one stage of our API; nil when it is not there.
func (s *state) stage(name string) *agw.Stage {
	for i, st := range s.stages {
		if aws.ToString(st.StageName) == name {
			return &s.stages[i]
		}
	}
	return nil
}

// lookPlans asks each plan of our name for its tags, which no list tells.
func (r *run) lookPlans(ctx context.Context, have *state) error {
	pages := apigateway.NewGetUsagePlansPaginator(r.agw, &apigateway.GetUsagePlansInput{Limit: aws.Int32(500)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, p := range page.Items {
			if aws.ToString(p.Name) != r.name {
				continue
			}
			plan, err := r.agw.GetUsagePlan(ctx, &apigateway.GetUsagePlanInput{UsagePlanId: p.Id})
			if absent(err) {
				continue
			}
			if err != nil {
				return err
			}
			if plan.Tags[tag] == r.name {
				have.plans = append(have.plans, plan)
			}
		}
	}
	if len(have.plans) > 0 {
		have.planID = aws.ToString(have.plans[0].Id)
	}
	return nil
}

func (r *run) lookKeys(ctx context.Context, have *state) error {
	pages := apigateway.NewGetApiKeysPaginator(r.agw, &apigateway.GetApiKeysInput{NameQuery: &r.name, Limit: aws.Int32(500)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, k := range page.Items {
			if aws.ToString(k.Name) != r.name {
				continue
			}
			full, err := r.agw.GetApiKey(ctx, &apigateway.GetApiKeyInput{ApiKey: k.Id, IncludeValue: aws.Bool(true)})
			if absent(err) {
				continue
			}
			if err != nil {
				return err
			}
			if full.Tags[tag] == r.name {
				have.keys = append(have.keys, key{aws.ToString(full.Id), aws.ToString(full.Value), full.Enabled})
			}
		}
	}
	return r.chooseKey(ctx, have)
}

// chooseKey takes the key that the plan knows, then one that is enabled.
func (r *run) chooseKey(ctx context.Context, have *state) error {
	member := map[string]bool{}
	if have.planID != "" {
		pages := apigateway.NewGetUsagePlanKeysPaginator(r.agw, &apigateway.GetUsagePlanKeysInput{UsagePlanId: &have.planID, Limit: aws.Int32(500)})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return err
			}
			for _, k := range page.Items {
				member[aws.ToString(k.Id)] = true
			}
		}
	}
	best := -1
	for _, k := range have.keys {
		worth := 0
		if member[k.id] {
			worth += 2
		}
		if k.enabled {
			worth++
		}
		if worth > best {
			best, have.key, have.linked = worth, k, member[k.id]
		}
	}
	return nil
}
