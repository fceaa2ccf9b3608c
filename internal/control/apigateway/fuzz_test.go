package apigateway

import (
	"encoding/json"
	"strings"
	"testing"

	"weir/internal/catalog"
	"weir/internal/control/protocol"
)

// Whatever path a caller sends, its canonical form is final, and only the
// throttle of a single method is rewritten. As a resource's path it comes to
// one form whether its slashes are escaped or not.
func FuzzCanonicalPlanPaths(f *testing.F) {
	for _, path := range []string{
		"/apiStages/a:s/throttle//pets/GET/rateLimit", "/apiStages/a:s/throttle/~1pets/GET/burstLimit",
		"/apiStages/a:s/throttle/~1/ANY", "/apiStages/a:s/throttle///GET/rateLimit", "/apiStages", "/apiStages/a:s/throttle",
		"/apiStages/a:s/throttle/~01/GET", "/apiStages/a:s/throttle/rateLimit/burstLimit", "",
	} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		once := canonicalPlanPaths([]protocol.PatchOperation{{Path: path}})[0].Path
		twice := canonicalPlanPaths([]protocol.PatchOperation{{Path: once}})[0].Path
		if once != twice {
			t.Errorf("%q became %q, then %q", path, once, twice)
		}
		if once != path && (!strings.HasPrefix(path, "/apiStages/") || strings.Count(once, "/") > 7) {
			t.Errorf("%q became %q", path, once)
		}
		raw, escaped := spelled(path)
		raw, escaped = "/apiStages/a:s/throttle/"+raw+"/GET/rateLimit", "/apiStages/a:s/throttle/"+escaped+"/GET/rateLimit"
		for _, op := range canonicalPlanPaths([]protocol.PatchOperation{{Path: raw}, {Path: escaped}}) {
			if op.Path != escaped {
				t.Errorf("%q and %q: %q", raw, escaped, op.Path)
			}
		}
	})
}

// spelled gives a resource's path as Terraform sends it and as a JSON pointer
// has it. A tilde has a meaning in both, so the first is the second then.
func spelled(resource string) (raw, escaped string) {
	escaped = protocol.EscapePointer("/" + strings.Trim(resource, "/"))
	if strings.Contains(resource, "~") {
		return escaped, escaped
	}
	return resource, escaped
}

// Whatever path a caller sends to a stage, it changes the entry of one method
// or nothing, and never what was read from the store. As a resource's path it
// names that resource's method, its slashes escaped or not.
func FuzzStageMethodSetting(f *testing.F) {
	for _, path := range []string{
		"/*/*/throttling/rateLimit", "/a/b/GET/throttling/burstLimit", "/~1a~1b/GET/caching/enabled", "///GET/metrics/enabled",
		"/GET/metrics/enabled", "//", "", "/~0~1/ANY/logging/loglevel",
	} {
		f.Add(path, "1")
	}
	f.Fuzz(func(t *testing.T, path, value string) {
		before := map[string]catalog.MethodSetting{"x/GET": {}}
		e := stageEdit{Stage: catalog.Stage{MethodSettings: before}}
		err := e.methodSetting(protocol.PatchOperation{Op: "replace", Path: path}, value)
		if len(before) != 1 {
			t.Fatalf("%q wrote to the stored map", path)
		}
		if err != nil {
			if len(e.MethodSettings) != 1 {
				t.Errorf("%q was refused and changed %v", path, e.MethodSettings)
			}
			return
		}
		for key := range e.MethodSettings {
			end := strings.LastIndexByte(key, '/')
			if key == catalog.AllMethods {
				continue
			}
			if again, ok := catalog.MethodKey(key[:end], key[end+1:]); !ok || again != key {
				t.Errorf("%q made the entry %q, which reads as %q", path, key, again)
			}
		}
		raw, escaped := spelled(path)
		for _, spelling := range []string{raw, escaped} {
			e := stageEdit{}
			err := e.methodSetting(protocol.PatchOperation{Op: "replace", Path: "/" + spelling + "/GET/metrics/enabled"}, "true")
			trimmed := strings.Trim(path, "/")
			if trimmed == "*" {
				if err == nil {
					t.Errorf("%q: a verb of every path was taken", spelling)
				}
				continue
			}
			key := "//GET"
			if trimmed != "" {
				key = trimmed + "/GET"
			}
			if err != nil || !e.MethodSettings[key].MetricsEnabled {
				t.Errorf("%q is to set %q: %v, %v", spelling, key, e.MethodSettings, err)
			}
		}
	})
}

// Whatever a caller sends to a plan, it is refused, or the plan is one that
// AWS's rules allow and that can be shown, stored and read again; and what was
// read from the store is never written to.
func FuzzPlanPatch(f *testing.F) {
	for _, c := range [][3]string{
		{"add", "/apiStages/a:s/throttle/~1pets~1{id}/POST/rateLimit", "0.1"},
		{"replace", "/apiStages/a:s/throttle//pets/GET/burstLimit", "2147483647"},
		{"remove", "/apiStages/a:s/throttle/~1x/GET", ""},
		{"replace", "/apiStages/a:s/throttle", `{"//GET":{"rateLimit":1,"burstLimit":1},"x/y/ANY":{"rateLimit":1e308}}`},
		{"add", "/apiStages/a:s/throttle", `{"/x/GET":{}}`},
		{"remove", "/apiStages", "a:s"},
		{"replace", "/throttle/rateLimit", "1e-320"},
		{"replace", "/quota/period", "WEEK"},
		{"add", "/quota/limit", "-0"},
		{"replace", "/name", ""},
	} {
		f.Add(c[0], c[1], c[2])
	}
	f.Fuzz(func(t *testing.T, op, path, value string) {
		if op == "add" && path == "/apiStages" {
			t.Skip() // whether there is such a stage is the store's to say
		}
		stored := catalog.UsagePlan{
			ID: "p", Name: "n", Throttle: &catalog.Throttle{RateLimit: 1, BurstLimit: 1}, Quota: &catalog.Quota{Limit: 1, Period: catalog.PeriodDay},
			APIStages: []catalog.PlanStage{{APIID: "a", Stage: "s", Throttle: map[string]catalog.Throttle{"/x/GET": {RateLimit: 1, BurstLimit: 1}}}},
		}
		e := planEdit{clonePlan(stored), nil}
		err := planPatch.Apply(&e, canonicalPlanPaths([]protocol.PatchOperation{{Op: op, Path: path, Value: &value}}))
		if err == nil {
			err = e.Check()
		}
		if len(stored.APIStages) != 1 || len(stored.APIStages[0].Throttle) != 1 || stored.APIStages[0].Throttle["/x/GET"].RateLimit != 1 || stored.Throttle.RateLimit != 1 || stored.Quota.Period != catalog.PeriodDay {
			t.Fatalf("%s %q %q wrote to the stored plan: %+v", op, path, value, stored)
		}
		if err != nil {
			return
		}
		text, err := json.Marshal(e.UsagePlan)
		var again catalog.UsagePlan
		if err != nil || json.Unmarshal(text, &again) != nil || again.Check() != nil {
			t.Errorf("%s %q %q: stored as %s, %v", op, path, value, text, err)
		}
		if _, err := json.Marshal(newUsagePlan(e.UsagePlan)); err != nil {
			t.Errorf("%s %q %q: %v", op, path, value, err)
		}
		for _, st := range e.APIStages {
			for key := range st.Throttle {
				if end := strings.LastIndexByte(key, '/'); catalog.ThrottleKey(key[:end], key[end+1:]) != key {
					t.Errorf("%s %q %q made the entry %q", op, path, value, key)
				}
			}
		}
	})
}
