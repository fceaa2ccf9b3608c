package cli

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/apigateway/types"
)

// period is the calendar time, in UTC, that a plan counts over now.
type period struct {
	name       string    // DAY, WEEK or MONTH
	start, end time.Time // end is where the next one starts
}

// periodOf gives the period of a plan's quota that holds now; of a plan
// without a quota the day.
func periodOf(q *types.QuotaSettings, now time.Time) period {
	now = now.UTC()
	day := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, time.UTC)
	if q != nil {
		switch q.Period {
		case types.QuotaPeriodTypeWeek:
			start := day.AddDate(0, 0, -(int(day.Weekday())+6)%7) // Monday
			return period{string(q.Period), start, start.AddDate(0, 0, 7)}
		case types.QuotaPeriodTypeMonth:
			start := day.AddDate(0, 0, 1-day.Day())
			return period{string(q.Period), start, start.AddDate(0, 1, 0)}
		}
	}
	return period{string(types.QuotaPeriodTypeDay), day, day.AddDate(0, 0, 1)}
}

// spent is what one key used of one plan.
type spent struct {
	Used      int64 // in the period
	UsedToday int64
	Remaining int64 // of the quota; says nothing for a plan without one
}

// bulk is from how many keys on a plan's usage is read whole, not key by key.
const bulk = 500

// spending reads what keys used of a plan in its current period. Keys that the
// server says nothing of are not in the answer.
func (c *connection) spending(ctx context.Context, plan *types.UsagePlan, keys []string, now time.Time) (map[string]spent, error) {
	api := apigateway.NewFromConfig(c.aws)
	in := apigateway.GetUsageInput{
		UsagePlanId: plan.Id, Limit: aws.Int32(pageSize),
		StartDate: aws.String(periodOf(plan.Quota, now).start.Format(time.DateOnly)),
		EndDate:   aws.String(now.UTC().Format(time.DateOnly)),
	}
	found := make(map[string]spent, len(keys))
	if len(keys) > bulk {
		for pages := apigateway.NewGetUsagePaginator(api, &in); pages.HasMorePages(); {
			out, err := pages.NextPage(ctx)
			if err != nil {
				return nil, err
			}
			for key, days := range out.Items {
				found[key] = sum(days)
			}
		}
		return found, nil
	}
	answers := make([]*apigateway.GetUsageOutput, len(keys))
	err := each(ctx, len(keys), func(ctx context.Context, i int) (err error) {
		one := in
		one.KeyId = &keys[i]
		answers[i], err = api.GetUsage(ctx, &one)
		var gone *types.NotFoundException // deleted since it was listed
		if errors.As(err, &gone) {
			err = nil
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	for i, key := range keys {
		if answers[i] == nil {
			continue
		}
		if days, ok := answers[i].Items[key]; ok {
			found[key] = sum(days)
		}
	}
	return found, nil
}

// sum adds up AWS's pairs, one [used, remaining] a day, the last one today's.
func sum(days [][]int64) (s spent) {
	for _, pair := range days {
		if len(pair) == 2 {
			s.Used += pair[0]
			s.UsedToday, s.Remaining = pair[0], pair[1]
		}
	}
	return s
}

// quotaText is "10 a day", or nothing.
func quotaText(q *types.QuotaSettings) string {
	if q == nil {
		return ""
	}
	return strconv.Itoa(int(q.Limit)) + " a " + strings.ToLower(string(q.Period))
}
