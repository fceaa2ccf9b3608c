package apigateway

import (
	"context"
	"math"
	"net/http"
	"strconv"
	"strings"

	"weir/internal/catalog"
	"weir/internal/control/protocol"
	"weir/internal/limit"
	"weir/internal/store"
)

// errUsageKey answers a key that the ledger is asked for and that is unknown,
// or in no such plan.
func errUsageKey() error {
	return &protocol.Error{Code: "NotFoundException", Status: http.StatusNotFound, Message: "Invalid Key identifier specified"}
}

// grant is what an UpdateUsage asks for.
type grant struct {
	asked     bool
	remaining int64
}

var usagePatch = protocol.Patch[grant]{
	Rules: []protocol.PatchRule[grant]{{Ops: "replace", Path: "/remaining", Set: func(g *grant, p protocol.PatchCall) error {
		n, err := strconv.ParseInt(p.Value, 10, 64)
		if err != nil || n < 0 || n > math.MaxInt32 {
			return badRequest("Invalid remaining specified, must be a number of calls from 0 to 2147483647: " + p.Value)
		}
		*g = grant{true, n}
		return nil
	}}},
	// AWS lists the paths here even when there are none.
	Refuse: func(op protocol.PatchOperation, allowed []string) *protocol.Error {
		return badRequest("Invalid patch path  '" + op.Path + "' specified for op '" + op.Op + "'. Must be one of: [" + strings.Join(allowed, ", ") + "]")
	},
}

type updateUsageInput struct {
	usagePlanKeyInput
	patchInput
}

// updateUsage lets a key make so many more calls in the period that runs,
// whatever it has made. It is durable when it answers, and the next period
// begins as the plan says. The answer is the usage of today; AWS's own is not
// recorded.
func (s *service) updateUsage(ctx context.Context, _ protocol.Call, in *updateUsageInput) (*usage, error) {
	var g grant
	if err := usagePatch.Apply(&g, in.PatchOperations); err != nil {
		return nil, err
	}
	if g.asked {
		err := s.Store.Update(ctx, func(tx *store.Tx) error {
			p, err := findUsagePlan(tx, in.PlanID)
			if err != nil {
				return err
			}
			link, ok, err := store.Get[catalog.UsagePlanKey](tx, in.PlanID, in.KeyID)
			switch {
			case err != nil:
				return err
			case !ok:
				return errUsageKey()
			case p.Quota == nil:
				return badRequest("Usage Plan " + p.ID + " has no quota, so that nothing can remain of it")
			}
			period, _ := limit.ParsePeriod(p.Quota.Period)
			return tx.GrantUsage(limit.Ask{
				Account: limit.Account{PlanID: p.ID, KeyID: in.KeyID},
				Quota:   limit.Quota{Limit: p.Quota.Limit, Offset: p.Quota.Offset, Period: period},
				Joined:  limit.DayOf(link.AddedAt),
			}, g.remaining)
		})
		if err != nil {
			return nil, err
		}
	}
	today := func(d limit.Day) (limit.Day, limit.Day) { return d, d }
	return s.usageOf(ctx, in.PlanID, today, func(tx *store.Tx) ([]catalog.UsagePlanKey, string, error) {
		link, ok, err := store.Get[catalog.UsagePlanKey](tx, in.PlanID, in.KeyID)
		if err == nil && !ok {
			err = errUsageKey()
		}
		return []catalog.UsagePlanKey{link}, "", err
	})
}
