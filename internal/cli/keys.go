package cli

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	"github.com/spf13/cobra"

	"weir/internal/catalog"
)

func newKeys() *cobra.Command {
	var (
		t target
		d display
		l listing
	)
	c := &cobra.Command{
		Use:   "keys",
		Short: "List API keys; make, import, enable, disable, rotate and delete them",
		Long: `List API keys, the newest first: the usage plans each is in, the calls it made
today and what is left of its quota in the current period, in the order of the
plans. LEFT is "-" for a plan without a quota. ENABLED is "expired" after the date
in a key's tag weir:expires. Ages are since the key was made
and since it was last changed. Values are never listed.`,
		Example: `  weir keys
  weir keys --name reader --json
  weir keys create reader --plan ten-a-day
  weir keys rotate reader`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return d.showServer(c, &t, &l, func(ctx context.Context, conn *connection) (picture, error) {
				return conn.keys(ctx, &l, time.Now())
			})
		},
	}
	t.register(c)
	l.flags(c, "keys")
	d.flags(c)
	c.AddCommand(
		newKeysCreate(),
		newKeysDelete(),
		newKeysDisable(),
		newKeysEnable(),
		newKeysImport(),
		newKeysRotate(),
		newKeysShow(),
	)
	return c
}

// keyList is the JSON of `weir keys`.
type keyList struct {
	Keys []keyView `json:"keys"`
	More bool      `json:"more"`
	l    *listing
	now  time.Time
}

// keyView is a key without its value.
type keyView struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Enabled bool      `json:"enabled"`
	Expires time.Time `json:"expires,omitzero"` // by its tag weir:expires; left out when it has none
	Created time.Time `json:"created"`
	Changed time.Time `json:"changed"`
	Plans   []keyPlan `json:"plans"`
}

// keyPlan is a plan as one of its keys has it.
type keyPlan struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	UsedToday int64      `json:"usedToday"`
	Quota     *quotaLeft `json:"quota,omitempty"`
}

type quotaLeft struct {
	Limit     int32     `json:"limit"`
	Period    string    `json:"period"`
	Remaining int64     `json:"remaining"`
	Ends      time.Time `json:"periodEnd"`
}

func newKeyView(k *types.ApiKey) keyView {
	expires, _ := catalog.ParseInstant(catalog.TagExpires, k.Tags[catalog.TagExpires]) // an error: none
	return keyView{
		ID: aws.ToString(k.Id), Name: aws.ToString(k.Name), Enabled: k.Enabled, Expires: expires,
		Created: aws.ToTime(k.CreatedDate).UTC(), Changed: aws.ToTime(k.LastUpdatedDate).UTC(), Plans: []keyPlan{},
	}
}

func (c *connection) keys(ctx context.Context, l *listing, now time.Time) (*keyList, error) {
	keys, more, err := c.listKeys(ctx, l)
	if err != nil {
		return nil, err
	}
	out := &keyList{Keys: make([]keyView, len(keys)), More: more, l: l, now: now}
	for i := range keys {
		out.Keys[i] = newKeyView(&keys[i])
	}
	return out, c.addPlans(ctx, out.Keys, now)
}

// addPlans fills in the plans of keys and what they used of them.
func (c *connection) addPlans(ctx context.Context, keys []keyView, now time.Time) error {
	plans, members, err := c.memberships(ctx, keys)
	if err != nil {
		return err
	}
	for i := range plans {
		plan := &plans[i]
		in := members[aws.ToString(plan.Id)]
		ids := make([]string, len(in))
		for n, k := range in {
			ids[n] = k.ID
		}
		used, err := c.spending(ctx, plan, ids, now)
		if err != nil {
			return err
		}
		for _, k := range in {
			u := used[k.ID]
			p := keyPlan{ID: aws.ToString(plan.Id), Name: aws.ToString(plan.Name), UsedToday: u.UsedToday}
			if q := plan.Quota; q != nil {
				p.Quota = &quotaLeft{q.Limit, string(q.Period), u.Remaining, periodOf(q, now).end}
			}
			k.Plans = append(k.Plans, p)
		}
	}
	return nil
}

// memberships finds which plans keys are in: few keys are asked about one by
// one, many by reading the plans' keys.
func (c *connection) memberships(ctx context.Context, keys []keyView) ([]types.UsagePlan, map[string][]*keyView, error) {
	members := map[string][]*keyView{}
	if len(keys) > bulk {
		plans, _, err := c.listPlans(ctx, &listing{})
		if err != nil {
			return nil, nil, err
		}
		byID := make(map[string]*keyView, len(keys))
		for i := range keys {
			byID[keys[i].ID] = &keys[i]
		}
		for i := range plans {
			in, _, err := c.planKeys(ctx, &plans[i], &listing{})
			if err != nil {
				return nil, nil, err
			}
			for _, k := range in {
				if v := byID[aws.ToString(k.Id)]; v != nil {
					members[aws.ToString(plans[i].Id)] = append(members[aws.ToString(plans[i].Id)], v)
				}
			}
		}
		return plans, members, nil
	}
	of := make([][]types.UsagePlan, len(keys))
	err := each(ctx, len(keys), func(ctx context.Context, i int) (err error) {
		of[i], err = c.keyPlans(ctx, keys[i].ID)
		return err
	})
	var plans []types.UsagePlan
	for i := range of {
		for _, p := range of[i] {
			id := aws.ToString(p.Id)
			if members[id] == nil {
				plans = append(plans, p)
			}
			members[id] = append(members[id], &keys[i])
		}
	}
	return plans, members, err
}

func (v *keyList) print(s *screen) {
	if len(v.Keys) == 0 {
		s.printf("no API keys: 'weir keys create NAME --plan PLAN' makes one\n")
		return
	}
	t := newTable(left("ID"), elastic("NAME"), left("ENABLED"), elastic("PLANS"), right("TODAY"), right("LEFT"), right("MADE"), right("CHANGED"))
	for _, k := range v.Keys {
		names, today, rest := k.columns()
		enabled := styled(good, yes(true))
		switch {
		case !k.Enabled:
			enabled = styled(bad, yes(false))
		case !k.Expires.IsZero() && !v.now.Before(k.Expires):
			enabled = styled(bad, "expired")
		}
		t.add(text(k.ID), text(k.Name), enabled, text(names), text(today), text(rest), text(ago(k.Created, v.now)), text(ago(k.Changed, v.now)))
	}
	t.print(s)
	v.l.foot(s, v.More)
}

// columns gives the texts that name each of a key's plans.
func (k *keyView) columns() (names, today, rest string) {
	var n, u, l []string
	for _, p := range k.Plans {
		n = append(n, p.Name)
		u = append(u, strconv.FormatInt(p.UsedToday, 10))
		if p.Quota == nil {
			l = append(l, "-")
		} else {
			l = append(l, strconv.FormatInt(p.Quota.Remaining, 10))
		}
	}
	if len(n) == 0 {
		return "-", "-", "-"
	}
	return strings.Join(n, ", "), strings.Join(u, ", "), strings.Join(l, ", ")
}
