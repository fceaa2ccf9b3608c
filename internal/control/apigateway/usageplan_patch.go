package apigateway

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"weir/internal/catalog"
	"weir/internal/control/protocol"
	"weir/internal/store"
)

// planEdit is a plan under change: a copy, which may be written to.
type planEdit struct {
	catalog.UsagePlan
	tx *store.Tx
}

type planRule = protocol.PatchRule[planEdit]

// The names under which AWS's error lists the paths of a stage, its own
// misspelling included.
const (
	shownStage  = "/apiStages/<apidId:stageName>/throttle"
	shownMethod = shownStage + "/<resourcePath>/<httpMethod>"
)

// planPatch is AWS's table for usage plans; the order of its rules is that of
// AWS's error.
var planPatch = protocol.Patch[planEdit]{Rules: []planRule{
	{Ops: "add,remove", Path: "/apiStages", Set: (*planEdit).patchStages},
	{Ops: "remove", Path: "/quota", Set: func(e *planEdit, _ protocol.PatchCall) error { e.Quota = nil; return nil }},
	{Ops: "remove", Path: "/throttle", Set: func(e *planEdit, _ protocol.PatchCall) error { e.Throttle = nil; return nil }},
	{Ops: "add,replace,remove", Path: "/productCode", Set: func(e *planEdit, p protocol.PatchCall) error {
		if e.ProductCode = p.Value; p.Op == "remove" {
			e.ProductCode = ""
		}
		return nil
	}},
	{Ops: "remove", Path: "/apiStages/{stage}/throttle/{path}/{verb}", Show: shownMethod, Set: (*planEdit).removeMethod},
	{Ops: "add,replace,remove", Path: "/apiStages/{stage}/throttle", Show: shownStage, Set: (*planEdit).patchMethods},
	{Ops: "replace", Path: "/name", Set: setText(func(e *planEdit) *string { return &e.Name })},
	{Ops: "replace", Path: "/description", Set: setText(func(e *planEdit) *string { return &e.Description })},
	{Ops: "add,replace", Path: "/throttle/rateLimit", Set: func(e *planEdit, p protocol.PatchCall) error {
		return setRate(e.throttle(), p)
	}},
	{Ops: "add,replace", Path: "/throttle/burstLimit", Set: func(e *planEdit, p protocol.PatchCall) error {
		return setBurst(e.throttle(), p)
	}},
	{Ops: "add,replace", Path: "/quota/limit", Set: func(e *planEdit, p protocol.PatchCall) error {
		return setQuotaNumber(&e.quota().Limit, "limit", p)
	}},
	{Ops: "add,replace", Path: "/quota/offset", Set: func(e *planEdit, p protocol.PatchCall) error {
		return setQuotaNumber(&e.quota().Offset, "offset", p)
	}},
	{Ops: "add,replace", Path: "/quota/period", Set: func(e *planEdit, p protocol.PatchCall) error {
		e.quota().Period = p.Value
		return nil
	}},
	{Ops: "add,replace", Path: "/apiStages/{stage}/throttle/{path}/{verb}/rateLimit", Show: shownMethod + "/rateLimit", Set: editMethod(setRate)},
	{Ops: "add,replace", Path: "/apiStages/{stage}/throttle/{path}/{verb}/burstLimit", Show: shownMethod + "/burstLimit", Set: editMethod(setBurst)},
}}

// canonicalPlanPaths brings the paths of single methods' throttles to the form
// of the table, the resource's slashes escaped. Terraform sends them as they
// are ("/apiStages/a:s/throttle//pets/GET/rateLimit"), and AWS takes both.
func canonicalPlanPaths(ops []protocol.PatchOperation) []protocol.PatchOperation {
	out := slices.Clone(ops)
	for i, op := range out {
		segments := strings.Split(op.Path, "/")
		if len(segments) < 6 || segments[0] != "" || segments[1] != "apiStages" || segments[3] != "throttle" {
			continue
		}
		head, method, setting := segments[:4], segments[4:], ""
		if last := method[len(method)-1]; last == "rateLimit" || last == "burstLimit" {
			method, setting = method[:len(method)-1], "/"+last
		}
		if len(method) < 2 {
			continue
		}
		verb := method[len(method)-1]
		path := "/" + strings.Trim(unescape(strings.Join(method[:len(method)-1], "/")), "/")
		out[i].Path = strings.Join(head, "/") + "/" + protocol.EscapePointer(path) + "/" + verb + setting
	}
	return out
}

func (e *planEdit) throttle() *catalog.Throttle {
	if e.Throttle == nil {
		e.Throttle = &catalog.Throttle{}
	}
	return e.Throttle
}

func (e *planEdit) quota() *catalog.Quota {
	if e.Quota == nil {
		e.Quota = &catalog.Quota{}
	}
	return e.Quota
}

func setRate(t *catalog.Throttle, p protocol.PatchCall) (err error) {
	t.RateLimit, err = catalog.ParseRate(p.Value)
	return err
}

func setBurst(t *catalog.Throttle, p protocol.PatchCall) error {
	n, err := strconv.ParseInt(p.Value, 10, 32)
	if err != nil {
		return badRequest("Invalid burst limit specified: " + p.Value)
	}
	t.BurstLimit = int(n)
	return nil
}

func setQuotaNumber(field *int64, name string, p protocol.PatchCall) error {
	n, err := strconv.ParseInt(p.Value, 10, 32)
	if err != nil {
		return badRequest("Invalid quota " + name + " specified: " + p.Value)
	}
	*field = n
	return nil
}

// splitStage reads "apiId:stage".
func splitStage(text string) (apiID, stage string, err error) {
	apiID, stage, ok := strings.Cut(text, ":")
	if !ok || apiID == "" || stage == "" || strings.ContainsAny(text, "/") {
		return "", "", catalog.ErrPlanStageForm()
	}
	return apiID, stage, nil
}

func (e *planEdit) patchStages(p protocol.PatchCall) error {
	apiID, stage, err := splitStage(p.Value)
	if err != nil {
		return err
	}
	i := e.Find(apiID, stage)
	switch {
	case p.Op == "add" && i < 0:
		e.APIStages = append(e.APIStages, catalog.PlanStage{APIID: apiID, Stage: stage})
		return checkPlanStage(e.tx, e.ID, apiID, stage)
	case p.Op == "add":
		return &catalog.Error{
			Class:   catalog.Conflict,
			Message: "API Stage " + apiID + ":" + stage + " is already in Usage Plan " + e.ID,
		}
	case i < 0:
		return catalog.ErrPlanStage(apiID, stage, e.ID)
	}
	e.APIStages = slices.Delete(e.APIStages, i, i+1)
	return nil
}

// stage gives the stage of the plan that a path names.
func (e *planEdit) stage(p protocol.PatchCall) (*catalog.PlanStage, error) {
	apiID, stage, err := splitStage(p.Labels["stage"])
	if err != nil {
		return nil, err
	}
	i := e.Find(apiID, stage)
	if i < 0 {
		return nil, catalog.ErrPlanStage(apiID, stage, e.ID)
	}
	st := &e.APIStages[i]
	if st.Throttle == nil {
		st.Throttle = map[string]catalog.Throttle{}
	}
	return st, nil
}

// patchMethods sets the throttles of a stage's methods at once: the value is a
// JSON map; add puts its entries beside those there, replace instead of them.
func (e *planEdit) patchMethods(p protocol.PatchCall) error {
	st, err := e.stage(p)
	if err != nil {
		return err
	}
	if p.Op != "add" {
		clear(st.Throttle)
	}
	if p.Op == "remove" {
		return nil
	}
	var in map[string]throttle
	if err := json.Unmarshal([]byte(p.Value), &in); err != nil || in == nil { // nil: the value is "null"
		return badRequest("Invalid throttle specified for API Stage " + p.Labels["stage"] +
			`. Must be a map like {"/path/GET":{"rateLimit":1.0,"burstLimit":1}}`)
	}
	methods, err := readThrottles(in)
	maps.Copy(st.Throttle, methods)
	return err
}

func (e *planEdit) removeMethod(p protocol.PatchCall) error {
	st, err := e.stage(p)
	if err != nil {
		return err
	}
	key := catalog.ThrottleKey(p.Labels["path"], p.Labels["verb"])
	if _, ok := st.Throttle[key]; !ok {
		return badRequest("No throttle is set for method " + key + " of API Stage " + p.Labels["stage"])
	}
	delete(st.Throttle, key)
	return nil
}

// editMethod makes a rule's action of one number of a method's throttle. The
// other number of a new entry is 0, which lets nothing through, until it is
// set as well.
func editMethod(set func(*catalog.Throttle, protocol.PatchCall) error) func(*planEdit, protocol.PatchCall) error {
	return func(e *planEdit, p protocol.PatchCall) error {
		st, err := e.stage(p)
		if err != nil {
			return err
		}
		key := catalog.ThrottleKey(p.Labels["path"], p.Labels["verb"])
		t := st.Throttle[key]
		if err := set(&t, p); err != nil {
			return err
		}
		st.Throttle[key] = t
		return nil
	}
}
