package catalog

import (
	"maps"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// MaxMethodThrottles is how many methods of one stage can have a throttle of
// their own in a plan.
const MaxMethodThrottles = 20

const maxPlanStages = 1000

// ErrUsagePlan answers an unknown plan.
func ErrUsagePlan() error { return violation(NotFound, "Invalid Usage Plan ID specified") }

// ErrPlanStageForm answers a text that is no "apiId:stage".
func ErrPlanStageForm() error { return violation(Invalid, "Invalid API Stage specified") }

// ErrPlanStage answers a stage that there is not, or that the plan does not cover.
func ErrPlanStage(apiID, stage, planID string) error {
	return violationf(NotFound, "Invalid API Stage {api: %s, stage: %s} specified for usageplan %s", apiID, stage, planID)
}

// ErrKeyTaken answers what would put a key into a second plan for one stage.
func ErrKeyTaken(keyID, planID, apiID, stage string) error {
	return violationf(Conflict, "API Key %s is already in Usage Plan %s for API Stage %s:%s; "+
		"a key can be in one Usage Plan per API Stage", keyID, planID, apiID, stage)
}

// Find gives the place of a stage in the plan, -1 for none.
func (p *UsagePlan) Find(apiID, stage string) int {
	return slices.IndexFunc(p.APIStages, func(s PlanStage) bool { return s.APIID == apiID && s.Stage == stage })
}

// CheckJoin says whether a key can join the plan, being in those others: once,
// into ten plans at most, and into one plan for each stage.
func (p *UsagePlan) CheckJoin(keyID string, in []UsagePlan) error {
	for i := range in {
		if in[i].ID == p.ID {
			return violationf(Conflict, "API Key %s is already in Usage Plan %s", keyID, p.ID)
		}
		for _, st := range p.APIStages {
			if in[i].Find(st.APIID, st.Stage) >= 0 {
				return ErrKeyTaken(keyID, in[i].ID, st.APIID, st.Stage)
			}
		}
	}
	if len(in) >= MaxPlansPerKey {
		return violationf(LimitExceeded, "API Key %s is in %d Usage Plans, which is the limit", keyID, len(in))
	}
	return nil
}

// CheckDeletable says whether the plan may be deleted: not while it covers
// stages.
func (p *UsagePlan) CheckDeletable() error {
	if len(p.APIStages) == 0 {
		return nil
	}
	s := p.APIStages[0]
	return violationf(Invalid, "Cannot delete Usage Plan %s because there are API Stages associated with it, including %s:%s",
		p.ID, s.APIID, s.Stage)
}

// Check holds a plan against AWS's rules. Whether its stages exist is not the
// plan's to know.
func (p *UsagePlan) Check() error {
	switch {
	case p.Name == "":
		return violation(Invalid, "Usage Plan name cannot be an empty string")
	case utf8.RuneCountInString(p.Name) > maxNameLength:
		return violation(Invalid, "Invalid Usage Plan name, can be at most 1024 characters.")
	case utf8.RuneCountInString(p.Description) > maxDescriptionLength:
		return violation(Invalid, "Invalid Usage Plan description specified.")
	case utf8.RuneCountInString(p.ProductCode) > maxNameLength:
		return violation(Invalid, "Invalid product code specified.")
	case len(p.APIStages) > maxPlanStages:
		return violation(LimitExceeded, "A Usage Plan can cover at most 1000 API Stages")
	}
	if p.Throttle != nil {
		if err := p.Throttle.check(); err != nil {
			return err
		}
	}
	if p.Quota != nil {
		if err := p.Quota.check(); err != nil {
			return err
		}
	}
	for i, s := range p.APIStages {
		if p.Find(s.APIID, s.Stage) != i {
			return violationf(Conflict, "API Stage %s:%s is already in Usage Plan %s", s.APIID, s.Stage, p.ID)
		}
		if err := s.check(); err != nil {
			return err
		}
	}
	return nil
}

func (s *PlanStage) check() error {
	if len(s.Throttle) > MaxMethodThrottles {
		return violationf(LimitExceeded, "A Usage Plan can throttle at most %d methods of API Stage %s:%s",
			MaxMethodThrottles, s.APIID, s.Stage)
	}
	for _, method := range slices.Sorted(maps.Keys(s.Throttle)) {
		end := strings.LastIndexByte(method, '/')
		if end < 1 || method[0] != '/' || !slices.Contains(verbs, method[end+1:]) {
			return violationf(Invalid, "Invalid method throttle path %s. Must be {resourcePath}/{httpMethod}", method)
		}
		t := s.Throttle[method]
		if err := t.check(); err != nil {
			return err
		}
	}
	return nil
}

// ThrottleKey gives the key of a method's throttle in a plan: "/pets/GET",
// "//GET" for the root.
func ThrottleKey(path, verb string) string {
	path = "/" + strings.Trim(path, "/")
	return path + "/" + verb
}

func (t *Throttle) check() error {
	if t.RateLimit < 0 || math.IsNaN(t.RateLimit) || math.IsInf(t.RateLimit, 0) {
		return violation(Invalid, "Usage Plan throttle rate limit must not be negative")
	}
	if t.BurstLimit < 0 || t.BurstLimit > math.MaxInt32 {
		return violation(Invalid, "Usage Plan throttle burst limit must not be negative")
	}
	return nil
}

func (q *Quota) check() error {
	if q.Limit < 0 || q.Limit > math.MaxInt32 {
		return violation(Invalid, "Usage Plan quota limit must not be negative")
	}
	// The ranges are Terraform's; what AWS says about an offset outside of
	// them is not recorded.
	switch {
	case q.Period == "":
		return violation(Invalid, "Usage Plan quota period must be one of: DAY, WEEK, MONTH")
	case q.Period == PeriodDay && q.Offset != 0:
		return violation(Invalid, "Usage Plan quota offset must be zero in the DAY period")
	case q.Period == PeriodWeek && (q.Offset < 0 || q.Offset > 6):
		return violation(Invalid, "Usage Plan quota offset must be between zero and six inclusive in the WEEK period")
	case q.Period == PeriodMonth && (q.Offset < 0 || q.Offset > 27):
		return violation(Invalid, "Usage Plan quota offset must be between zero and 27 inclusive in the MONTH period")
	}
	switch q.Period {
	case PeriodDay, PeriodWeek, PeriodMonth:
		return nil
	}
	return violation(Invalid, "Usage Plan quota period must be one of: DAY, WEEK, MONTH")
}
