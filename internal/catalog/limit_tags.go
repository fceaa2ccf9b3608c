package catalog

import (
	"maps"
	"slices"
	"strings"
)

// Tags of a stage or a usage plan that ask for more than AWS does at its
// limits. AWS stores them and nothing more; here they hold. Any other tag that
// begins with "weir:" is refused there, so that a misspelt one is not one that
// is missing.
const (
	TagRateLimitHeaders = "weir:rate-limit-headers" // on a stage or a plan, "on": answers say what is left and when to come back
	TagShadow           = "weir:shadow"             // on a plan, "on": its limits are counted and reported, and refuse nothing
	TagWhenLedgerAway   = "weir:when-ledger-away"   // on a plan, "admit": calls go on while no quota can be asked
)

// limitTags are the values of each, the one that is as without the tag first.
var limitTags = map[string][2]string{
	TagRateLimitHeaders: {"off", "on"},
	TagShadow:           {"off", "on"},
	TagWhenLedgerAway:   {"refuse", "admit"},
}

// RateLimitHeaders says whether answers of the stage carry RateLimit headers.
func (s *Stage) RateLimitHeaders() bool { return tagged(s.Tags, TagRateLimitHeaders) }

// RateLimitHeaders says whether answers to the plan's keys carry RateLimit
// headers.
func (p *UsagePlan) RateLimitHeaders() bool { return tagged(p.Tags, TagRateLimitHeaders) }

// Shadow says whether the plan only reports what it would refuse.
func (p *UsagePlan) Shadow() bool { return tagged(p.Tags, TagShadow) }

// AdmitsWhenLedgerAway says whether the plan's keys are let in while their
// quota cannot be asked.
func (p *UsagePlan) AdmitsWhenLedgerAway() bool { return tagged(p.Tags, TagWhenLedgerAway) }

func tagged(tags map[string]string, name string) bool { return tags[name] == limitTags[name][1] }

// CheckTags holds the stage's tags against AWS's rules and ours.
func (s *Stage) CheckTags() error {
	return checkLimitTags(s.Tags, "a stage", TagRateLimitHeaders)
}

// CheckTags holds the plan's tags against AWS's rules and ours.
func (p *UsagePlan) CheckTags() error {
	return checkLimitTags(p.Tags, "a Usage Plan", TagRateLimitHeaders, TagShadow, TagWhenLedgerAway)
}

func checkLimitTags(tags map[string]string, on string, known ...string) error {
	if err := CheckTags(tags); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		switch values := limitTags[name]; {
		case name == tagPublication || !strings.HasPrefix(lower(name), "weir:"):
		case !slices.Contains(known, name):
			return violationf(Invalid, "Tag %s means nothing on %s. Tags of %s that begin with 'weir:' are: %s", name, on, on, strings.Join(known, ", "))
		case !slices.Contains(values[:], tags[name]):
			return violationf(Invalid, "Invalid value of tag %s: must be %s or %s", name, values[1], values[0])
		}
	}
	return nil
}
