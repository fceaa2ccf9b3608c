package cli

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	"github.com/spf13/cobra"
)

func newUsage() *cobra.Command {
	var (
		t    target
		d    display
		l    listing
		plan string
	)
	c := &cobra.Command{
		Use:   "usage",
		Short: "Show what each key has used of its plan, and what it has left",
		Long: `Show for every key of every usage plan what it used in the current period, what
its quota is and what is left of it, up to the call just made. A plan without a
quota counts the day. Periods are calendar days, weeks (from Monday) and months
in UTC. Of keys in a plan that is in shadow mode (tag weir:shadow) WOULD REFUSE is
how many calls it would have refused since the server started.`,
		Example: `  weir usage
  weir usage --plan ten-a-day --watch
  weir usage --name reader --json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return d.showServer(c, &t, &l, func(ctx context.Context, conn *connection) (picture, error) {
				return conn.usage(ctx, &l, plan, time.Now())
			})
		},
	}
	t.register(c)
	c.Flags().StringVar(&plan, "plan", "", "only this usage plan (`ID|NAME`)")
	l.flags(c, "keys")
	d.flags(c)
	completeFlag(c, &t, "plan", (*connection).planNames)
	return c
}

// usageList is the JSON of `weir usage`.
type usageList struct {
	Usage []usageView `json:"usage"`
	More  bool        `json:"more"`
	l     *listing
	now   time.Time

	shadows map[string]*shadowView // by plan
}

// usageView is one key in one plan.
type usageView struct {
	PlanID    string    `json:"planId"`
	PlanName  string    `json:"planName"`
	KeyID     string    `json:"keyId"`
	KeyName   string    `json:"keyName"`
	Used      int64     `json:"used"`                // in the period
	Limit     *int64    `json:"limit,omitempty"`     // none: the plan has no quota
	Remaining *int64    `json:"remaining,omitempty"` // none: the plan has no quota
	Period    string    `json:"period"`              // DAY, WEEK or MONTH
	Ends      time.Time `json:"periodEnd"`

	WouldRefuse *wouldRefuse `json:"wouldRefuse,omitempty"` // none: the plan is and was not in shadow mode
}

func (c *connection) usage(ctx context.Context, l *listing, ref string, now time.Time) (*usageList, error) {
	plans, _, err := c.listPlans(ctx, &listing{})
	if err != nil {
		return nil, err
	}
	if ref != "" {
		plan, err := onePlan(plans, ref)
		if err != nil {
			return nil, err
		}
		plans = []types.UsagePlan{*plan}
	}
	out := &usageList{Usage: []usageView{}, l: l, now: now, shadows: c.shadows(ctx)}
	for i := range plans {
		if l.full(len(out.Usage)) {
			out.More = true
			break
		}
		if err := c.addUsage(ctx, out, &plans[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// addUsage adds the keys of one plan, as many as the list still takes.
func (c *connection) addUsage(ctx context.Context, out *usageList, plan *types.UsagePlan) error {
	rest := *out.l
	if rest.limit > 0 {
		rest.limit -= len(out.Usage)
	}
	keys, more, err := c.planKeys(ctx, plan, &rest)
	if err != nil {
		return err
	}
	ids := make([]string, len(keys))
	for i, k := range keys {
		ids[i] = aws.ToString(k.Id)
	}
	used, err := c.spending(ctx, plan, ids, out.now)
	if err != nil {
		return err
	}
	p := periodOf(plan.Quota, out.now)
	for i, k := range keys {
		u := used[ids[i]]
		v := usageView{
			PlanID: aws.ToString(plan.Id), PlanName: aws.ToString(plan.Name), KeyID: ids[i], KeyName: aws.ToString(k.Name),
			Used: u.Used, Period: p.name, Ends: p.end,
		}
		if plan.Quota != nil {
			limit := int64(plan.Quota.Limit)
			v.Limit, v.Remaining = &limit, &u.Remaining
		}
		if shadow := out.shadows[v.PlanID]; shadow != nil {
			would := shadow.key(ids[i])
			v.WouldRefuse = &would
		}
		out.Usage = append(out.Usage, v)
	}
	out.More = out.More || more
	return nil
}

func (c *connection) planKeys(ctx context.Context, plan *types.UsagePlan, l *listing) ([]types.UsagePlanKey, bool, error) {
	in := &apigateway.GetUsagePlanKeysInput{UsagePlanId: plan.Id, Limit: l.page()}
	if l.name != "" {
		in.NameQuery = &l.name
	}
	return collect(ctx, l, apigateway.NewGetUsagePlanKeysPaginator(apigateway.NewFromConfig(c.aws), in),
		func(o *apigateway.GetUsagePlanKeysOutput) []types.UsagePlanKey { return o.Items },
		func(k types.UsagePlanKey) *string { return k.Name })
}

func (v *usageList) print(s *screen) {
	if len(v.Usage) == 0 {
		s.printf("no keys in usage plans: 'weir keys create NAME --plan PLAN' makes one\n")
		return
	}
	columns := []column{elastic("PLAN"), elastic("KEY"), left("KEY ID"), right("USED"), right("LIMIT"), right("LEFT"), left("PERIOD")}
	shadows := slices.ContainsFunc(v.Usage, func(u usageView) bool { return u.WouldRefuse != nil })
	if shadows {
		columns = append(columns, right("WOULD REFUSE"))
	}
	if s.terminal {
		columns = append(columns, left(""))
	}
	t := newTable(columns...)
	for _, u := range v.Usage {
		limit, remaining, shown := "-", "-", cell{}
		if u.Limit != nil {
			limit, remaining = strconv.FormatInt(*u.Limit, 10), strconv.FormatInt(*u.Remaining, 10)
			shown = bar(*u.Limit-*u.Remaining, *u.Limit)
		}
		row := []cell{
			text(u.PlanName), text(u.KeyName), text(u.KeyID), text(strconv.FormatInt(u.Used, 10)), text(limit), text(remaining),
			text(strings.ToLower(u.Period) + ", " + span(u.Ends.Sub(v.now)) + " left"),
		}
		if shadows {
			would := "-"
			if u.WouldRefuse != nil {
				would = strconv.FormatInt(u.WouldRefuse.all(), 10)
			}
			row = append(row, text(would))
		}
		if s.terminal {
			row = append(row, shown)
		}
		t.add(row...)
	}
	t.print(s)
	v.l.foot(s, v.More)
}

const barWidth = 8

// bar draws how much of a quota is gone. Full and empty mean just that: what
// is used a little shows, and what is left a little does too.
func bar(gone, limit int64) cell {
	filled := barWidth
	if limit > 0 {
		filled = int(min(max(gone*barWidth/limit, 0), barWidth))
	}
	if gone > 0 && filled == 0 {
		filled = 1
	}
	in := good
	switch {
	case gone >= limit:
		in = bad
	case gone*10 >= limit*8:
		in = warn
	}
	return cell{strings.Repeat("█", filled) + strings.Repeat("░", barWidth-filled), in}
}
