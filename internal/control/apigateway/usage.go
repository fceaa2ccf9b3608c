package apigateway

import (
	"context"
	"math"

	"weir/internal/catalog"
	"weir/internal/control/protocol"
	"weir/internal/limit"
	"weir/internal/store"
)

func (s *service) usageOperations() []protocol.Operation {
	return []protocol.Operation{
		protocol.REST("GetUsage", "GET", "/usageplans/{usageplanId}/usage", 200, s.getUsage),
		protocol.REST("UpdateUsage", "PATCH", "/usageplans/{usageplanId}/keys/{keyId}/usage", 200, s.updateUsage),
	}
}

const (
	// maxUsageDays is the longest range, both ends included.
	maxUsageDays = 90
	// unlimited is what remains of a quota that a plan does not have: the
	// largest that AWS's integer holds. AWS's own answer is not recorded.
	unlimited = math.MaxInt32
)

type getUsageInput struct {
	usagePlanInput
	paging
	KeyID     string `query:"keyId"`
	StartDate string `query:"startDate" required:"true"`
	EndDate   string `query:"endDate" required:"true"`
}

// usage holds, for every key, one [used, remaining] pair a day from StartDate
// on; days that have not begun have none.
type usage struct {
	UsagePlanID string               `json:"usagePlanId"`
	StartDate   string               `json:"startDate"`
	EndDate     string               `json:"endDate"`
	Position    string               `json:"position,omitempty"`
	Values      map[string][][]int64 `json:"values"`
}

// days reads the range.
func (in *getUsageInput) days() (from, to limit.Day, err error) {
	if from, err = limit.ParseDay(in.StartDate); err != nil {
		return 0, 0, badRequest("Invalid start date specified, must be YYYY-MM-DD: " + in.StartDate)
	}
	if to, err = limit.ParseDay(in.EndDate); err != nil {
		return 0, 0, badRequest("Invalid end date specified, must be YYYY-MM-DD: " + in.EndDate)
	}
	switch {
	case from > to:
		return 0, 0, badRequest("Invalid date range specified, the start date is after the end date")
	case to-from >= maxUsageDays:
		return 0, 0, badRequest("Invalid date range specified, it can be at most 90 days")
	}
	return from, to, nil
}

// getUsage reads the ledger that decides, so it shows each call at once. Keys
// that left the plan are shown when they are asked for by name; a page of all
// keys holds those that are in it.
func (s *service) getUsage(ctx context.Context, _ protocol.Call, in *getUsageInput) (*usage, error) {
	from, to, err := in.days()
	if err != nil {
		return nil, err
	}
	days := func(limit.Day) (limit.Day, limit.Day) { return from, to }
	return s.usageOf(ctx, in.PlanID, days, in.members)
}

// usageOf reads what some keys of a plan used on some days, which days says
// when it knows which day it is.
func (s *service) usageOf(ctx context.Context, planID string, days func(today limit.Day) (from, to limit.Day),
	members func(*store.Tx) ([]catalog.UsagePlanKey, string, error),
) (*usage, error) {
	out := &usage{UsagePlanID: planID, Values: map[string][][]int64{}}
	var plan catalog.UsagePlan
	var keys []catalog.UsagePlanKey
	var today limit.Day
	err := s.Store.View(ctx, func(tx *store.Tx) (err error) {
		today = limit.DayOf(tx.Now())
		if plan, err = findUsagePlan(tx, planID); err != nil {
			return err
		}
		keys, out.Position, err = members(tx)
		return err
	})
	if err != nil {
		return nil, err
	}
	if s.FlushUsage != nil {
		if err := s.FlushUsage(ctx); err != nil {
			return nil, err
		}
	}
	from, to := days(today)
	out.StartDate, out.EndDate = from.String(), to.String()
	for _, m := range keys {
		c := newCount(plan.Quota, m)
		used, err := s.Store.Usage(ctx, plan.ID, m.KeyID, c.start(from), to)
		if err != nil {
			return nil, err
		}
		out.Values[m.KeyID] = c.pairs(used, from, min(to, today))
	}
	return out, nil
}

// members gives the keys of one page, in the order of GetUsagePlanKeys.
func (in *getUsageInput) members(tx *store.Tx) ([]catalog.UsagePlanKey, string, error) {
	if in.KeyID != "" {
		if _, ok, err := store.Get[catalog.APIKey](tx, in.KeyID); err != nil || !ok {
			if err == nil {
				err = errUsageKey()
			}
			return nil, "", err
		}
		l, ok, err := store.Get[catalog.UsagePlanKey](tx, in.PlanID, in.KeyID)
		if !ok {
			l = catalog.UsagePlanKey{PlanID: in.PlanID, KeyID: in.KeyID}
		}
		return []catalog.UsagePlanKey{l}, "", err
	}
	// The page is cut by the database: a plan may have 100,000 keys.
	size := in.size()
	found, err := tx.APIKeys(store.KeyQuery{PlanID: in.PlanID, After: in.after(), Limit: size + 1})
	if err != nil {
		return nil, "", err
	}
	found, position := cutAfter(found, size, func(k catalog.APIKey) string { return k.ID })
	members := make([]catalog.UsagePlanKey, len(found))
	for i, k := range found {
		if members[i], _, err = store.Get[catalog.UsagePlanKey](tx, in.PlanID, k.ID); err != nil {
			return nil, "", err
		}
	}
	return members, position, nil
}

// count reckons what one key used and has left, by the rules of limit.
type count struct {
	quota  *catalog.Quota
	period limit.Period
	joined limit.Day
}

func newCount(q *catalog.Quota, m catalog.UsagePlanKey) count {
	c := count{quota: q, joined: limit.DayOf(m.AddedAt)}
	if q != nil {
		c.period, _ = limit.ParsePeriod(q.Period)
	}
	return c
}

// start gives the first day that says something about from: the begin of its
// period.
func (c count) start(from limit.Day) limit.Day {
	if c.quota == nil {
		return from
	}
	return c.period.Start(from)
}

// pairs gives one pair for each of the days from..to; days holds what was used
// since start(from).
func (c count) pairs(days []store.DayUsage, from, to limit.Day) [][]int64 {
	on := make(map[limit.Day]store.DayUsage, len(days))
	for _, d := range days {
		on[d.Day] = d
	}
	out := make([][]int64, 0, max(0, to-from+1))
	var gone int64 // of what the period allows
	for d := c.start(from); d <= to; d++ {
		if c.quota != nil && d == c.period.Start(d) {
			gone = 0
		}
		gone += on[d].Used + on[d].Lost - on[d].Extra
		if d >= from {
			out = append(out, []int64{on[d].Used, c.remaining(d, gone)})
		}
	}
	return out
}

func (c count) remaining(d limit.Day, gone int64) int64 {
	if c.quota == nil {
		return unlimited
	}
	allowed := c.quota.Limit
	if c.period.Start(d) == c.period.Start(c.joined) {
		allowed -= c.quota.Offset
	}
	return max(0, allowed-gone)
}
