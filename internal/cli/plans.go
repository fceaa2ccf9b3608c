package cli

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	"github.com/spf13/cobra"
)

func newPlans() *cobra.Command {
	var (
		t target
		d display
		l listing
	)
	c := &cobra.Command{
		Use:   "plans",
		Short: "List usage plans: rate, burst, quota, stages and number of keys",
		Long: `List usage plans with what each of their keys may do: calls a second (RATE),
calls at once (BURST), calls in a calendar period in UTC (QUOTA), and for which
stages (API id:stage) they count. Plans in shadow mode (tag weir:shadow) refuse
nothing: WOULD REFUSE is how many calls they would have, since the server
started.`,
		Example: `  weir plans
  weir plans --name ten --json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return d.showServer(c, &t, &l, func(ctx context.Context, conn *connection) (picture, error) {
				return conn.plans(ctx, &l)
			})
		},
	}
	t.register(c)
	l.flags(c, "plans")
	d.flags(c)
	return c
}

// planList is the JSON of `weir plans`.
type planList struct {
	Plans []planView `json:"plans"`
	More  bool       `json:"more"`
	l     *listing
}

type planView struct {
	ID     string      `json:"id"`
	Name   string      `json:"name"`
	Rate   *float64    `json:"rateLimit,omitempty"` // requests a second; none: not throttled
	Burst  *int32      `json:"burstLimit,omitempty"`
	Quota  *quotaView  `json:"quota,omitempty"`
	Stages []planStage `json:"stages"`
	Keys   int         `json:"keys"`
	Shadow *planShadow `json:"shadow,omitempty"` // none: the plan is and was not in shadow mode
}

type planShadow struct {
	On bool `json:"on"`
	wouldRefuse
}

type quotaView struct {
	Limit  int32  `json:"limit"`
	Period string `json:"period"`
	text   string
}

type planStage struct {
	APIID string `json:"apiId"`
	Stage string `json:"stage"`
}

func (c *connection) plans(ctx context.Context, l *listing) (*planList, error) {
	plans, more, err := c.listPlans(ctx, l)
	if err != nil {
		return nil, err
	}
	out := &planList{Plans: make([]planView, len(plans)), More: more, l: l}
	err = each(ctx, len(plans), func(ctx context.Context, i int) (err error) {
		out.Plans[i] = newPlanView(&plans[i])
		out.Plans[i].Keys, err = c.countKeys(ctx, plans[i].Id)
		return err
	})
	shadows := c.shadows(ctx)
	for i := range out.Plans {
		if v := shadows[out.Plans[i].ID]; v != nil {
			out.Plans[i].Shadow = &planShadow{v.On, v.wouldRefuse}
		}
	}
	return out, err
}

func newPlanView(p *types.UsagePlan) planView {
	v := planView{ID: aws.ToString(p.Id), Name: aws.ToString(p.Name), Stages: []planStage{}}
	if p.Throttle != nil {
		v.Rate, v.Burst = &p.Throttle.RateLimit, &p.Throttle.BurstLimit
	}
	if p.Quota != nil {
		v.Quota = &quotaView{p.Quota.Limit, string(p.Quota.Period), quotaText(p.Quota)}
	}
	for _, st := range p.ApiStages {
		v.Stages = append(v.Stages, planStage{aws.ToString(st.ApiId), aws.ToString(st.Stage)})
	}
	return v
}

func (c *connection) listPlans(ctx context.Context, l *listing) ([]types.UsagePlan, bool, error) {
	pages := apigateway.NewGetUsagePlansPaginator(apigateway.NewFromConfig(c.aws), &apigateway.GetUsagePlansInput{Limit: aws.Int32(pageSize)})
	plans, more, err := collect(ctx, l, pages,
		func(o *apigateway.GetUsagePlansOutput) []types.UsagePlan { return o.Items },
		func(p types.UsagePlan) *string { return p.Name })
	slices.SortStableFunc(plans, func(a, b types.UsagePlan) int {
		return strings.Compare(aws.ToString(a.Name), aws.ToString(b.Name))
	})
	return plans, more, err
}

// countKeys counts the keys of a plan, which AWS gives no number of.
func (c *connection) countKeys(ctx context.Context, plan *string) (n int, err error) {
	pages := apigateway.NewGetUsagePlanKeysPaginator(apigateway.NewFromConfig(c.aws), &apigateway.GetUsagePlanKeysInput{UsagePlanId: plan, Limit: aws.Int32(pageSize)})
	for pages.HasMorePages() {
		out, err := pages.NextPage(ctx)
		if err != nil {
			return 0, err
		}
		n += len(out.Items)
	}
	return n, nil
}

func (v *planList) print(s *screen) {
	if len(v.Plans) == 0 {
		s.printf("no usage plans\n")
		return
	}
	columns := []column{left("ID"), elastic("NAME"), right("RATE"), right("BURST"), left("QUOTA"), right("KEYS"), elastic("STAGES")}
	shadows := slices.ContainsFunc(v.Plans, func(p planView) bool { return p.Shadow != nil })
	if shadows {
		columns = slices.Insert(columns, 6, right("WOULD REFUSE"))
	}
	t := newTable(columns...)
	for _, p := range v.Plans {
		rate, burst, quota := "-", "-", "-"
		if p.Rate != nil {
			rate, burst = strconv.FormatFloat(*p.Rate, 'f', -1, 64), strconv.Itoa(int(*p.Burst))
		}
		if p.Quota != nil {
			quota = p.Quota.text
		}
		stages := make([]string, len(p.Stages))
		for i, st := range p.Stages {
			stages[i] = st.APIID + ":" + st.Stage
		}
		row := []cell{text(p.ID), text(p.Name), text(rate), text(burst), text(quota), text(strconv.Itoa(p.Keys)), text(strings.Join(stages, " "))}
		if shadows {
			row = slices.Insert(row, 6, p.Shadow.cell())
		}
		t.add(row...)
	}
	t.print(s)
	v.l.foot(s, v.More)
}

// cell is how many calls a plan in shadow mode would have refused.
func (v *planShadow) cell() cell {
	switch {
	case v == nil:
		return text("-")
	case v.all() > 0 && v.On:
		return styled(warn, strconv.FormatInt(v.all(), 10))
	}
	return text(strconv.FormatInt(v.all(), 10))
}
