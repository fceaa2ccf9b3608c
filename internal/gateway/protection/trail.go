package protection

import (
	"fmt"

	"weir/internal/gateway/message"
	"weir/internal/telemetry"
)

// The sentences of AWS's execution log for keys, throttles and quotas, as seen
// in real logs. They are built only while a request has a Trail.

func verifyingLine(req *message.Request, st *Stage, value string) string {
	return fmt.Sprintf("Verifying Usage Plan for request: %s. API Key: %s API Stage: %s", req.ID, message.Masked(value), st.name)
}

func notRequiredLine(req *message.Request, m *method, value string) string {
	return fmt.Sprintf("API Key %s authorized because method '%s %s' does not require API Key. Request will not contribute to throttle or quota limits",
		message.Masked(value), req.Method, m.path)
}

func succeededLine(st *Stage, value string) string {
	return fmt.Sprintf("Usage Plan check succeeded for API Key %s and API Stage %s", message.Masked(value), st.name)
}

// unauthorizedLine tells of a key that did not get in. AWS's sentence is about
// the plan, whatever it was; for what only weir's tags refuse there is one of ours.
func unauthorizedLine(req *message.Request, st *Stage, m *method, value string, r *Refusal) string {
	switch r {
	case brokenTerms, previousValue, expiredKey, wrongAddress:
		return fmt.Sprintf("API Key %s not authorized for API Stage %s: %s", message.Masked(value), st.name, r.Detail)
	}
	return fmt.Sprintf("API Key %s not authorized because method '%s %s' requires API Key and API Key is not associated with a Usage Plan for API Stage %s: No Usage Plan found for key and API Stage",
		message.Masked(value), req.Method, m.path, st.name)
}

func planThrottleLine(req *message.Request, st *Stage, m *method, a *Admission, t *throttle) string {
	r := t.setting.Rate()
	return fmt.Sprintf("API Key %s exceeded throttle limit for API Stage %s: Key throttle limit exceeded for Usage Plan ID %s, RestApi %s, Stage %s, Resource %s, HttpMethod %s. Limit: %.2f Burst: %d",
		message.Masked(a.KeyValue), st.name, a.PlanID, st.apiID, st.stage, m.resourceID, req.Method, r.PerSecond, r.Burst)
}

func stageThrottleLine(req *message.Request, st *Stage, m *method, l *stageLimit) string {
	r := l.setting.Rate()
	return fmt.Sprintf("Key throttle limit exceeded for RestApi %s, Stage %s, Resource %s, HttpMethod %s. Limit: %.2f Burst: %d",
		st.apiID, st.stage, m.resourceID, req.Method, r.PerSecond, r.Burst)
}

func accountThrottleLine(l *telemetry.Limit) string {
	return fmt.Sprintf("Account throttle limit exceeded. Limit: %.2f Burst: %d", l.Rate, l.Burst)
}

// crowdedLine is ours, in the manner of AWS's: AWS has no such limit.
func crowdedLine(st *Stage, a *Admission) string {
	return fmt.Sprintf("API Key %s exceeded concurrency limit for API Stage %s: %d calls with the key are under way. Limit: %d",
		message.Masked(a.KeyValue), st.name, a.Limit.Used, a.Limit.Most)
}

func quotaLine(st *Stage, a *Admission, r *rules) string {
	return fmt.Sprintf("API Key %s exceeded quota limit for API Stage %s: Key quota exhausted for Usage Plan ID %s. Q Limit: %d Period: %s",
		message.Masked(a.KeyValue), st.name, a.PlanID, r.quota.Limit, r.quota.Period)
}
