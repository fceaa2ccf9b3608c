package publish

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	agw "github.com/aws/aws-sdk-go-v2/service/apigateway/types"
)

func (b *builder) plan(ctx context.Context) error {
	if b.have.planID == "" {
		return b.createPlan(ctx)
	}
	ops := b.planPatch(b.have.plans[0])
	if len(ops) == 0 {
		return nil
	}
	// One call for all: AWS takes one in 20 s.
	_, err := change(ctx, b.run, b.agw.UpdateUsagePlan, &apigateway.UpdateUsagePlanInput{UsagePlanId: &b.have.planID, PatchOperations: ops}, nil)
	return err
}

func (b *builder) createPlan(ctx context.Context) error {
	in := &apigateway.CreateUsagePlanInput{
		Name: &b.name, Description: aws.String("made by weir publish"), Tags: b.tags(),
		ApiStages: []agw.ApiStage{{ApiId: &b.have.apiID, Stage: &b.spec.Stage}},
		Throttle:  &agw.ThrottleSettings{RateLimit: b.spec.Rate, BurstLimit: b.spec.Burst},
	}
	if q := b.spec.Quota; q != nil {
		in.Quota = &agw.QuotaSettings{Limit: q.Limit, Period: agw.QuotaPeriodType(q.Period)}
	}
	out, err := change(ctx, b.run, b.agw.CreateUsagePlan, in, &apigateway.CreateUsagePlanOutput{Id: aws.String(newPlan)})
	if err != nil {
		return err
	}
	b.have.planID = aws.ToString(out.Id)
	return nil
}

// planPatch brings a plan to what is asked for. Stages of other APIs, which
// somebody put there, stay.
func (b *builder) planPatch(have *apigateway.GetUsagePlanOutput) []agw.PatchOperation {
	var ops []agw.PatchOperation
	bound := false
	for _, s := range have.ApiStages {
		switch {
		case aws.ToString(s.ApiId) != b.have.apiID:
		case aws.ToString(s.Stage) == b.spec.Stage:
			bound = true
		default:
			ops = append(ops, remove("/apiStages", b.have.apiID+":"+aws.ToString(s.Stage)))
		}
	}
	if !bound {
		path, value := "/apiStages", b.have.apiID+":"+b.spec.Stage
		ops = append(ops, agw.PatchOperation{Op: agw.OpAdd, Path: &path, Value: &value})
	}
	if t := have.Throttle; t == nil || t.RateLimit != b.spec.Rate || t.BurstLimit != b.spec.Burst {
		ops = append(ops, replace("/throttle/rateLimit", number(b.spec.Rate)), replace("/throttle/burstLimit", number(float64(b.spec.Burst))))
	}
	switch want := b.spec.Quota; {
	case want == nil && have.Quota != nil:
		ops = append(ops, remove("/quota", ""))
	case want != nil && (have.Quota == nil || have.Quota.Limit != want.Limit || string(have.Quota.Period) != want.Period):
		ops = append(ops, replace("/quota/limit", number(float64(want.Limit))), replace("/quota/period", want.Period))
	}
	return ops
}

// key makes the key when there is none and puts it into the plan. A key that
// its owner disabled stays disabled.
func (b *builder) key(ctx context.Context) error {
	if b.have.key.id == "" {
		out, err := change(ctx, b.run, b.agw.CreateApiKey, &apigateway.CreateApiKeyInput{
			Name: &b.name, Description: aws.String("made by weir publish"), Enabled: true, Tags: b.tags(),
		}, &apigateway.CreateApiKeyOutput{Id: aws.String(newKey)})
		if err != nil {
			return err
		}
		b.have.key = key{aws.ToString(out.Id), aws.ToString(out.Value), true}
	}
	if b.have.linked {
		return nil
	}
	_, err := change(ctx, b.run, b.agw.CreateUsagePlanKey, &apigateway.CreateUsagePlanKeyInput{
		UsagePlanId: &b.have.planID, KeyId: &b.have.key.id, KeyType: aws.String("API_KEY"),
	}, nil)
	return err
}
