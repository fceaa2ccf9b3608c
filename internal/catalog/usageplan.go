package catalog

// UsagePlan ties keys to stages and says how fast and how often each key may
// call. Limits belong to (plan, key) over all stages of the plan; an entry for
// one method replaces the plan's throttle for that method.
type UsagePlan struct {
	ID          string
	Name        string
	Description string            `json:",omitempty"`
	ProductCode string            `json:",omitempty"`
	APIStages   []PlanStage       `json:",omitempty"`
	Throttle    *Throttle         `json:",omitempty"`
	Quota       *Quota            `json:",omitempty"`
	Tags        map[string]string `json:",omitempty"`
}

// Kind implements Entry.
func (UsagePlan) Kind() Kind { return KindUsagePlan }

// Key implements Entry: "{planId}".
func (p UsagePlan) Key() string { return p.ID }

// PlanStage is a stage that a plan covers. Throttle is keyed by resource path
// plus "/" plus verb: "/pets/GET", the root resource "//GET".
type PlanStage struct {
	APIID    string
	Stage    string
	Throttle map[string]Throttle `json:",omitempty"`
}

// Throttle is a token bucket: RateLimit tokens a second, BurstLimit tokens at
// most. Zero in either lets nothing through.
type Throttle struct {
	RateLimit  float64
	BurstLimit int
}

// Periods of a quota: calendar periods in UTC; a week starts on Monday.
const (
	PeriodDay   = "DAY"
	PeriodWeek  = "WEEK"
	PeriodMonth = "MONTH"
)

// Quota is how many calls a key may make in a period. Offset is subtracted
// from Limit in the period in which the key joined the plan.
type Quota struct {
	Limit  int64
	Offset int64
	Period string
}
