package catalog

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

func TestKeyValues(t *testing.T) {
	for value, want := range map[string]string{
		strings.Repeat("a", 19):              "at least 20",
		strings.Repeat("a", 20):              "",
		strings.Repeat("a", 128):             "",
		strings.Repeat("a", 129):             "exceeds maximum",
		strings.Repeat("a", 20) + "\n":       "printable",
		strings.Repeat("a", 20) + "é":        "printable",
		"0123-4567-89ab-cdef~!":              "",
		strings.Repeat("\xff", 20):           "printable",
		strings.Repeat(" ", 20):              "printable",
		strings.Repeat("a", 20) + "\x7f":     "printable",
		"urn:uuid:" + strings.Repeat("0", 9): "at least 20",
	} {
		err := CheckKeyValue(value)
		broken(t, fmt.Sprintf("%q", value), err, Invalid, want)
		if err != nil && strings.Contains(err.Error(), value) {
			t.Errorf("the error shows the value: %v", err)
		}
	}
}

func TestUsagePlanCheck(t *testing.T) {
	quota := func(limit, offset int64, period string) func(*UsagePlan) {
		return func(p *UsagePlan) { p.Quota = &Quota{limit, offset, period} }
	}
	throttle := func(rate float64, burst int) func(*UsagePlan) {
		return func(p *UsagePlan) { p.Throttle = &Throttle{rate, burst} }
	}
	methods := func(n int) func(*UsagePlan) {
		return func(p *UsagePlan) {
			st := PlanStage{APIID: "a", Stage: "s", Throttle: map[string]Throttle{}}
			for i := range n {
				st.Throttle[fmt.Sprintf("/p%d/GET", i)] = Throttle{1, 1}
			}
			p.APIStages = []PlanStage{st}
		}
	}
	method := func(key string) func(*UsagePlan) {
		return func(p *UsagePlan) {
			p.APIStages = []PlanStage{{APIID: "a", Stage: "s", Throttle: map[string]Throttle{key: {1, 1}}}}
		}
	}
	for name, c := range map[string]struct {
		change func(*UsagePlan)
		class  Class
		want   string
	}{
		"neither":        {func(*UsagePlan) {}, Invalid, ""},
		"no name":        {func(p *UsagePlan) { p.Name = "" }, Invalid, "name"},
		"zero rate":      {throttle(0, 0), Invalid, ""},
		"tenth":          {throttle(0.1, 1), Invalid, ""},
		"burst > rate":   {throttle(10, 20), Invalid, ""},
		"negative rate":  {throttle(-0.1, 1), Invalid, "rate"},
		"no number":      {throttle(math.NaN(), 1), Invalid, "rate"},
		"endless":        {throttle(math.Inf(1), 1), Invalid, "rate"},
		"negative burst": {throttle(1, -1), Invalid, "burst"},
		"day":            {quota(10, 0, PeriodDay), Invalid, ""},
		"zero":           {quota(0, 0, PeriodDay), Invalid, ""},
		"negative":       {quota(-1, 0, PeriodDay), Invalid, "limit"},
		"largest":        {quota(math.MaxInt32, 0, PeriodDay), Invalid, ""},
		"larger":         {quota(math.MaxInt32+1, 0, PeriodDay), Invalid, "limit"},
		"day offset":     {quota(10, 1, PeriodDay), Invalid, "zero in the DAY"},
		"week 6":         {quota(10, 6, PeriodWeek), Invalid, ""},
		"week 7":         {quota(10, 7, PeriodWeek), Invalid, "WEEK"},
		"month 27":       {quota(10, 27, PeriodMonth), Invalid, ""},
		"month 28":       {quota(10, 28, PeriodMonth), Invalid, "MONTH"},
		"month -1":       {quota(10, -1, PeriodMonth), Invalid, "MONTH"},
		"no period":      {quota(10, 0, ""), Invalid, "period"},
		"other period":   {quota(10, 0, "YEAR"), Invalid, "period"},
		"20 methods":     {methods(20), Invalid, ""},
		"21 methods":     {methods(21), LimitExceeded, "at most 20"},
		"root":           {method("//GET"), Invalid, ""},
		"no path":        {method("/GET"), Invalid, "path"},
		"no slash":       {method("pets/GET"), Invalid, "path"},
		"wildcard":       {method("*/*"), Invalid, "path"},
		"no verb":        {method("/pets/"), Invalid, "path"},
		"twice": {func(p *UsagePlan) {
			p.APIStages = []PlanStage{{APIID: "a", Stage: "s"}, {APIID: "a", Stage: "t"}, {APIID: "a", Stage: "s"}}
		}, Conflict, "a:s is already"},
	} {
		p := UsagePlan{ID: "p", Name: "n"}
		c.change(&p)
		broken(t, name, p.Check(), c.class, c.want)
	}
}
