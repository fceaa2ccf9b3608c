package apigateway

import (
	"context"
	"maps"
	"slices"
	"strings"

	"weir/internal/catalog"
	"weir/internal/control/protocol"
	"weir/internal/store"
)

func (s *service) usagePlanOperations() []protocol.Operation {
	return []protocol.Operation{
		protocol.REST("CreateUsagePlan", "POST", "/usageplans", 201, s.createUsagePlan),
		protocol.REST("GetUsagePlans", "GET", "/usageplans", 200, s.getUsagePlans),
		protocol.REST("GetUsagePlan", "GET", "/usageplans/{usageplanId}", 200, s.getUsagePlan),
		protocol.REST("UpdateUsagePlan", "PATCH", "/usageplans/{usageplanId}", 200, s.updateUsagePlan),
		protocol.REST("DeleteUsagePlan", "DELETE", "/usageplans/{usageplanId}", 202, s.deleteUsagePlan),
	}
}

type throttle struct {
	BurstLimit int32   `json:"burstLimit"`
	RateLimit  float64 `json:"rateLimit"`
}

func (t throttle) rule() catalog.Throttle {
	return catalog.Throttle{RateLimit: t.RateLimit, BurstLimit: int(t.BurstLimit)}
}

func newThrottle(t catalog.Throttle) throttle { return throttle{int32(t.BurstLimit), t.RateLimit} }

type quota struct {
	Limit  int32  `json:"limit"`
	Offset int32  `json:"offset"`
	Period string `json:"period" enum:"DAY,WEEK,MONTH"`
}

type apiStage struct {
	APIID    string              `json:"apiId"`
	Stage    string              `json:"stage"`
	Throttle map[string]throttle `json:"throttle,omitempty"`
}

type usagePlan struct {
	ID          string             `json:"id"`
	Name        string             `json:"name"`
	Description string             `json:"description,omitempty"`
	APIStages   []apiStage         `json:"apiStages"`
	Throttle    *throttle          `json:"throttle,omitempty"`
	Quota       *quota             `json:"quota,omitempty"`
	ProductCode string             `json:"productCode,omitempty"`
	Tags        *map[string]string `json:"tags,omitempty"`
}

// newUsagePlan shows a plan without its tags, which only some answers have.
func newUsagePlan(p catalog.UsagePlan) *usagePlan {
	out := &usagePlan{ID: p.ID, Name: p.Name, Description: p.Description, ProductCode: p.ProductCode}
	for _, st := range p.APIStages {
		view := apiStage{APIID: st.APIID, Stage: st.Stage}
		if len(st.Throttle) > 0 {
			view.Throttle = make(map[string]throttle, len(st.Throttle))
			for method, t := range st.Throttle {
				view.Throttle[method] = newThrottle(t)
			}
		}
		out.APIStages = append(out.APIStages, view)
	}
	if p.Throttle != nil {
		t := newThrottle(*p.Throttle)
		out.Throttle = &t
	}
	if q := p.Quota; q != nil {
		out.Quota = &quota{int32(q.Limit), int32(q.Offset), q.Period}
	}
	return out
}

func findUsagePlan(tx *store.Tx, id string) (catalog.UsagePlan, error) {
	p, ok, err := store.Get[catalog.UsagePlan](tx, id)
	if err == nil && !ok {
		err = catalog.ErrUsagePlan()
	}
	return p, err
}

type createUsagePlanInput struct {
	Name        string            `json:"name" required:"true"`
	Description string            `json:"description"`
	APIStages   []apiStage        `json:"apiStages"`
	Throttle    *throttle         `json:"throttle"`
	Quota       *quota            `json:"quota"`
	Tags        map[string]string `json:"tags"`
}

func (in *createUsagePlanInput) plan() (catalog.UsagePlan, error) {
	p := catalog.UsagePlan{Name: in.Name, Description: in.Description, Tags: in.Tags}
	for _, st := range in.APIStages {
		methods, err := readThrottles(st.Throttle)
		if err != nil {
			return p, err
		}
		p.APIStages = append(p.APIStages, catalog.PlanStage{APIID: st.APIID, Stage: st.Stage, Throttle: methods})
	}
	if in.Throttle != nil {
		t := in.Throttle.rule()
		p.Throttle = &t
	}
	if q := in.Quota; q != nil {
		p.Quota = &catalog.Quota{Limit: int64(q.Limit), Offset: int64(q.Offset), Period: q.Period}
	}
	return p, nil
}

// readThrottles takes the throttles of single methods, their paths brought to
// one form. Two spellings of one method are refused: which of them holds would
// be anybody's guess.
func readThrottles(in map[string]throttle) (map[string]catalog.Throttle, error) {
	if len(in) == 0 {
		return nil, nil
	}
	out := make(map[string]catalog.Throttle, len(in))
	for method, t := range in {
		if end := strings.LastIndexByte(method, '/'); end >= 0 {
			method = catalog.ThrottleKey(method[:end], method[end+1:])
		}
		if _, twice := out[method]; twice {
			return nil, badRequest("Two throttles are specified for method " + method)
		}
		out[method] = t.rule()
	}
	return out, nil
}

func (s *service) createUsagePlan(ctx context.Context, _ protocol.Call, in *createUsagePlanInput) (out *usagePlan, err error) {
	p, err := in.plan()
	if err != nil {
		return nil, err
	}
	err = s.Store.Update(ctx, func(tx *store.Tx) error {
		if p.ID, err = newID[catalog.UsagePlan](tx, shortID); err != nil {
			return err
		}
		if err := p.Check(); err != nil {
			return err
		}
		if err := p.CheckTags(); err != nil {
			return err
		}
		for _, st := range p.APIStages {
			if err := checkPlanStage(tx, p.ID, st.APIID, st.Stage); err != nil {
				return err
			}
		}
		out = newUsagePlan(p)
		out.Tags = some(p.Tags)
		return store.Put(tx, p)
	})
	return out, err
}

// checkPlanStage says whether a plan can cover a stage: there has to be one.
func checkPlanStage(tx *store.Tx, planID, apiID, stage string) error {
	if apiID == "" || stage == "" {
		return catalog.ErrPlanStageForm()
	}
	_, ok, err := store.Get[catalog.Stage](tx, apiID, stage)
	if err == nil && !ok {
		err = catalog.ErrPlanStage(apiID, stage, planID)
	}
	return err
}

type getUsagePlansInput struct {
	paging
	KeyID string `query:"keyId"`
}

type usagePlans struct {
	Item     []*usagePlan `json:"item"`
	Position string       `json:"position,omitempty"`
}

func (s *service) getUsagePlans(ctx context.Context, _ protocol.Call, in *getUsagePlansInput) (*usagePlans, error) {
	out := &usagePlans{}
	err := s.Store.View(ctx, func(tx *store.Tx) error {
		all, err := store.List[catalog.UsagePlan](tx)
		if err != nil {
			return err
		}
		if in.KeyID != "" {
			links, err := tx.KeyLinks(in.KeyID)
			if err != nil {
				return err
			}
			all = slices.DeleteFunc(all, func(p catalog.UsagePlan) bool {
				return !slices.ContainsFunc(links, func(l catalog.UsagePlanKey) bool { return l.PlanID == p.ID })
			})
		}
		all, out.Position = page(&in.paging, all, func(p catalog.UsagePlan) string { return p.ID })
		for _, p := range all {
			out.Item = append(out.Item, newUsagePlan(p))
		}
		return nil
	})
	return out, err
}

type usagePlanInput struct {
	PlanID string `path:"usageplanId"`
}

func (s *service) getUsagePlan(ctx context.Context, _ protocol.Call, in *usagePlanInput) (out *usagePlan, err error) {
	err = s.Store.View(ctx, func(tx *store.Tx) error {
		p, err := findUsagePlan(tx, in.PlanID)
		out = newUsagePlan(p)
		out.Tags = always(p.Tags)
		return err
	})
	return out, err
}

type updateUsagePlanInput struct {
	usagePlanInput
	patchInput
}

func (s *service) updateUsagePlan(ctx context.Context, _ protocol.Call, in *updateUsagePlanInput) (out *usagePlan, err error) {
	err = s.Store.Update(ctx, func(tx *store.Tx) error {
		before, err := findUsagePlan(tx, in.PlanID)
		if err != nil {
			return err
		}
		e := planEdit{clonePlan(before), tx}
		if err := planPatch.Apply(&e, canonicalPlanPaths(in.PatchOperations)); err != nil {
			return err
		}
		if err := e.Check(); err != nil {
			return err
		}
		added := slices.DeleteFunc(slices.Clone(e.APIStages), func(st catalog.PlanStage) bool {
			return before.Find(st.APIID, st.Stage) >= 0
		})
		if err := checkOnePlan(tx, e.ID, added); err != nil {
			return err
		}
		out = newUsagePlan(e.UsagePlan)
		out.Tags = always(e.Tags)
		return store.Put(tx, e.UsagePlan)
	})
	return out, err
}

// clonePlan copies all of a plan that an update may write to.
func clonePlan(p catalog.UsagePlan) catalog.UsagePlan {
	p.APIStages = slices.Clone(p.APIStages)
	for i := range p.APIStages {
		p.APIStages[i].Throttle = maps.Clone(p.APIStages[i].Throttle)
	}
	if p.Throttle != nil {
		t := *p.Throttle
		p.Throttle = &t
	}
	if p.Quota != nil {
		q := *p.Quota
		p.Quota = &q
	}
	return p
}

// checkOnePlan says whether a plan can cover more stages: none of its keys may
// be in another plan for one of them.
func checkOnePlan(tx *store.Tx, planID string, added []catalog.PlanStage) error {
	if len(added) == 0 {
		return nil
	}
	links, err := tx.PlanLinks(planID)
	if err != nil || len(links) == 0 {
		return err
	}
	keys := make(map[string]bool, len(links))
	for _, l := range links {
		keys[l.KeyID] = true
	}
	plans, err := store.List[catalog.UsagePlan](tx)
	if err != nil {
		return err
	}
	for _, other := range plans {
		i := slices.IndexFunc(added, func(st catalog.PlanStage) bool { return other.Find(st.APIID, st.Stage) >= 0 })
		if other.ID == planID || i < 0 {
			continue
		}
		links, err := tx.PlanLinks(other.ID)
		if err != nil {
			return err
		}
		for _, l := range links {
			if keys[l.KeyID] {
				return catalog.ErrKeyTaken(l.KeyID, other.ID, added[i].APIID, added[i].Stage)
			}
		}
	}
	return nil
}

// deleteUsagePlan deletes a plan that covers no stage. Its keys stay.
func (s *service) deleteUsagePlan(ctx context.Context, _ protocol.Call, in *usagePlanInput) (*accepted, error) {
	return nil, s.Store.Update(ctx, func(tx *store.Tx) error {
		p, err := findUsagePlan(tx, in.PlanID)
		if err != nil {
			return err
		}
		if err := p.CheckDeletable(); err != nil {
			return err
		}
		links, err := tx.PlanLinks(p.ID)
		if err != nil {
			return err
		}
		for _, l := range links {
			if err := store.Delete[catalog.UsagePlanKey](tx, l.PlanID, l.KeyID); err != nil {
				return err
			}
		}
		return store.Delete[catalog.UsagePlan](tx, p.ID)
	})
}
