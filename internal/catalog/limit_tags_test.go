package catalog

import "testing"

func TestLimitTags(t *testing.T) {
	for _, c := range []struct{ name, value, onStage, onPlan string }{
		{"weir:rate-limit-headers", "on", "", ""},
		{"weir:rate-limit-headers", "off", "", ""},
		{"weir:rate-limit-headers", "On", "must be on or off", "must be on or off"},
		{"weir:shadow", "on", "Tag weir:shadow means nothing on a stage. Tags of a stage that begin with 'weir:' are: weir:rate-limit-headers", ""},
		{"weir:shadow", "", "means nothing on a stage", "Invalid value of tag weir:shadow: must be on or off"},
		{"weir:when-ledger-away", "admit", "means nothing on a stage", ""},
		{"weir:when-ledger-away", "refuse", "means nothing on a stage", ""},
		{"weir:when-ledger-away", "on", "means nothing on a stage", "must be admit or refuse"},
		{"weir:shadows", "on", "means nothing on a stage", "means nothing on a Usage Plan. Tags of a Usage Plan that begin with 'weir:' are: weir:rate-limit-headers, weir:shadow, weir:when-ledger-away"},
		{"WEIR:shadow", "on", "means nothing", "means nothing"},
		{"weir:publication", "anything", "", ""},
		{"weird", "anything", "", ""},
		{"aws:x", "anything", "aws:", "aws:"},
	} {
		tags := map[string]string{c.name: c.value}
		stage, plan := Stage{Tags: tags}, UsagePlan{Tags: tags}
		broken(t, c.name+"="+c.value+" on a stage", stage.CheckTags(), Invalid, c.onStage)
		broken(t, c.name+"="+c.value+" on a plan", plan.CheckTags(), Invalid, c.onPlan)
	}
	p := UsagePlan{Tags: map[string]string{TagShadow: "on", TagRateLimitHeaders: "off", TagWhenLedgerAway: "admit"}}
	if !p.Shadow() || p.RateLimitHeaders() || !p.AdmitsWhenLedgerAway() || (&UsagePlan{}).Shadow() || (&Stage{}).RateLimitHeaders() {
		t.Error("tags are read wrongly")
	}
}
