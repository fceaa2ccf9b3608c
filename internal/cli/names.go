package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/apigateway/types"
)

// onePlan finds the plan that a person means by an ID or a name.
func onePlan(plans []types.UsagePlan, ref string) (*types.UsagePlan, error) {
	var named []*types.UsagePlan
	for i := range plans {
		if aws.ToString(plans[i].Id) == ref {
			return &plans[i], nil
		}
		if aws.ToString(plans[i].Name) == ref {
			named = append(named, &plans[i])
		}
	}
	switch len(named) {
	case 0:
		return nil, &failure{exitFailure, fmt.Errorf("no usage plan has the ID or name %q: 'weir plans' lists them", ref)}
	case 1:
		return named[0], nil
	}
	ids := make([]string, len(named))
	for i, p := range named {
		ids[i] = aws.ToString(p.Id)
	}
	return nil, ambiguous("usage plans", ref, ids)
}

// oneKey finds the key that a person means by an ID or a name. Among several
// keys of one name it is the only one that suits what is to be done with it;
// suits may be nil.
func (c *connection) oneKey(ctx context.Context, ref string, suits func(*types.ApiKey) bool) (*types.ApiKey, error) {
	key, err := c.getKey(ctx, ref, false)
	var unknown *types.NotFoundException
	if !errors.As(err, &unknown) {
		return key, err
	}
	keys, _, err := c.listKeys(ctx, &listing{name: ref})
	if err != nil {
		return nil, err
	}
	var named, suitable []*types.ApiKey
	for i := range keys {
		if k := &keys[i]; aws.ToString(k.Name) == ref {
			named = append(named, k)
			if suits != nil && suits(k) {
				suitable = append(suitable, k)
			}
		}
	}
	if len(suitable) == 1 {
		named = suitable
	}
	switch len(named) {
	case 0:
		return nil, &failure{exitFailure, fmt.Errorf("no API key has the ID or name %q: 'weir keys' lists them", ref)}
	case 1:
		return c.getKey(ctx, aws.ToString(named[0].Id), false) // with its tags, which lists leave out
	}
	ids := make([]string, len(named))
	for i, k := range named {
		state := "disabled"
		if k.Enabled {
			state = "enabled"
		}
		ids[i] = fmt.Sprintf("%s  %s, created %s", aws.ToString(k.Id), state, aws.ToTime(k.CreatedDate).UTC().Format(time.RFC3339))
	}
	return nil, ambiguous("API keys", ref, ids)
}

const maxListed = 10

func ambiguous(what, name string, ids []string) error {
	n, rest := len(ids), ""
	if n > maxListed {
		ids, rest = ids[:maxListed], "\n  …"
	}
	return &failure{exitFailure, fmt.Errorf("%d %s are named %q: give the ID of one of\n  %s%s", n, what, name, strings.Join(ids, "\n  "), rest)}
}

func (c *connection) getKey(ctx context.Context, id string, value bool) (*types.ApiKey, error) {
	k, err := apigateway.NewFromConfig(c.aws).GetApiKey(ctx, &apigateway.GetApiKeyInput{ApiKey: &id, IncludeValue: &value})
	if err != nil {
		return nil, err
	}
	return &types.ApiKey{
		Id: k.Id, Name: k.Name, Description: k.Description, CustomerId: k.CustomerId, Enabled: k.Enabled,
		CreatedDate: k.CreatedDate, LastUpdatedDate: k.LastUpdatedDate, Tags: k.Tags, Value: k.Value,
	}, nil
}

func (c *connection) listKeys(ctx context.Context, l *listing) ([]types.ApiKey, bool, error) {
	in := &apigateway.GetApiKeysInput{Limit: l.page()}
	if l.name != "" {
		in.NameQuery = &l.name
	}
	return collect(ctx, l, apigateway.NewGetApiKeysPaginator(apigateway.NewFromConfig(c.aws), in),
		func(o *apigateway.GetApiKeysOutput) []types.ApiKey { return o.Items },
		func(k types.ApiKey) *string { return k.Name })
}

// keyPlans gives the plans that a key is in.
func (c *connection) keyPlans(ctx context.Context, id string) ([]types.UsagePlan, error) {
	pages := apigateway.NewGetUsagePlansPaginator(apigateway.NewFromConfig(c.aws), &apigateway.GetUsagePlansInput{KeyId: &id, Limit: aws.Int32(pageSize)})
	plans, _, err := collect(ctx, &listing{}, pages,
		func(o *apigateway.GetUsagePlansOutput) []types.UsagePlan { return o.Items },
		func(p types.UsagePlan) *string { return p.Name })
	return plans, err
}

// callKey names a key for people: "reader (abc123)".
func callKey(k *types.ApiKey) string {
	if name := aws.ToString(k.Name); name != "" {
		return fmt.Sprintf("%s (%s)", clean(name), aws.ToString(k.Id))
	}
	return aws.ToString(k.Id)
}
