// Package protection answers one question: may this call go on?
//
// The order of the checks, once a method has been found (AWS publishes no total
// order; where it is silent this is our answer, and a test pins it):
//
//  1. What is configured but not enforced yet (IAM, a Cognito authorizer, a
//     resource policy) refuses every call: nothing that is not enforced ever
//     lets a caller in.
//  2. A method that requires an API key, source HEADER: the x-api-key header,
//     never the query string, must name an enabled key of a usage plan that
//     covers this stage, and what the key's weir: tags say must hold: its
//     expiry, and the addresses that callers come from. Otherwise
//     INVALID_API_KEY.
//  3. One decision over all limits: the account's throttle when the operator set
//     one, the plan's throttle for this key (or, in its place, the plan's entry
//     for this method), the stage's throttle for this method, then the calls
//     that may be under way with this key at once when its tags cap them, then
//     the plan's quota. A refused call costs nobody anything,
//     and throttle is reported before quota. THROTTLED or QUOTA_EXCEEDED.
//  4. The method's Lambda authorizer: it must know the caller (UNAUTHORIZED),
//     and its policy must allow the method (ACCESS_DENIED). One that fails or
//     cannot be asked refuses the call (AUTHORIZER_FAILURE,
//     AUTHORIZER_CONFIGURATION_ERROR).
//
// A method that requires no key never touches a plan, even when a valid key is
// sent; only the account's and the stage's throttle hold, before its authorizer.
// Where keys come from the authorizer (source AUTHORIZER), the order is the
// account's and the stage's throttle, the authorizer, the key that it names,
// the plan's throttle and quota; the x-api-key header is not looked at, and
// without an authorizer there is no key: INVALID_API_KEY.
//
// A refusal is a value and not an error, and but for those of an authorizer it
// is made once for all callers: a flood of refused calls allocates nothing.
package protection

import (
	"weir/internal/gateway/event"
	"weir/internal/limit"
	"weir/internal/telemetry"
)

// Types of a Refusal: AWS's gateway response types.
const (
	InvalidAPIKey                = "INVALID_API_KEY"
	Throttled                    = "THROTTLED"
	QuotaExceeded                = "QUOTA_EXCEEDED"
	AuthorizerConfigurationError = "AUTHORIZER_CONFIGURATION_ERROR"
	AuthorizerFailure            = "AUTHORIZER_FAILURE"
	Unauthorized                 = "UNAUTHORIZED"
	AccessDenied                 = "ACCESS_DENIED"
	URITooLong                   = "URI_TOO_LONG" // no type of AWS's: it answers so without one
)

// Refusal is protection's no. It is shared by many calls and not modified; what
// is of one call, such as the counter of the limit that refused it, is in the
// Admission that comes with it.
type Refusal struct {
	Type   string          // gateway response type
	Cause  telemetry.Cause // which check it was
	Detail string          // for people: the execution log's sentence while the request has a Trail, else a short one. Never a key value
}

// Refusals without anything of the call in them.
var (
	noKey = &Refusal{InvalidAPIKey, telemetry.CauseNoKey, "no x-api-key header"}

	unknownKey  = &Refusal{InvalidAPIKey, telemetry.CauseUnknownKey, "no API key has this value"}
	disabledKey = &Refusal{InvalidAPIKey, telemetry.CauseKeyDisabled, "the API key is disabled"}

	brokenTerms   = &Refusal{InvalidAPIKey, telemetry.CauseKeyTerms, "a weir: tag of the API key cannot be read: nobody gets in with it"}
	previousValue = &Refusal{InvalidAPIKey, telemetry.CausePreviousValue, "the API key has a new value, and this one works no more"}
	expiredKey    = &Refusal{InvalidAPIKey, telemetry.CauseKeyExpired, "the API key has expired, as its tag weir:expires says"}
	wrongAddress  = &Refusal{InvalidAPIKey, telemetry.CauseKeyAddress, "the caller's address is outside of the API key's weir:source-ranges"}

	noPlan = &Refusal{InvalidAPIKey, telemetry.CauseNoPlan, "no usage plan of the API key covers this stage"}

	accountThrottled    = &Refusal{Throttled, telemetry.CauseAccountThrottle, "over the account's throttle"}
	planThrottled       = &Refusal{Throttled, telemetry.CausePlanThrottle, "over the usage plan's throttle"}
	planMethodThrottled = &Refusal{Throttled, telemetry.CausePlanMethodThrottle, "over the usage plan's throttle for the method"}
	stageThrottled      = &Refusal{Throttled, telemetry.CauseStageThrottle, "over the stage's throttle for the method"}
	keyCrowded          = &Refusal{Throttled, telemetry.CauseKeyConcurrency, "as many calls with the API key are under way as its tag weir:max-concurrency allows"}
	quotaExceeded       = &Refusal{QuotaExceeded, telemetry.CauseQuota, "the usage plan's quota is used up"}
	throttleAway        = &Refusal{Throttled, telemetry.CauseThrottleAway, "the throttle, which nodes divide, could not be asked for"}
	ledgerAway          = &Refusal{QuotaExceeded, telemetry.CauseLedgerAway, "the quota could not be asked"}

	noAuthorizerKey = &Refusal{InvalidAPIKey, telemetry.CauseNoKeyFromAuthorizer, "the API takes its keys from an authorizer, and none named one for this call"}

	policyUnenforced = &Refusal{AuthorizerConfigurationError, telemetry.CauseNotEnforced, "the API has a resource policy, and resource policies are not enforced yet: every call is refused"}
)

// Admission is protection's yes: who the caller is and what the call holds.
// A refused call has one too, without a hold, with what became known of the
// caller.
type Admission struct {
	KeyID    string // "" when the method requires no key
	PlanID   string
	KeyValue string // as sent, or as the authorizer named it, for the event's identity.apiKey, only when the method requires a key; may lie in the request's memory

	Authorizer event.Authorizer // what the method's authorizer said, for the event

	Limit  telemetry.Limit // of a call that a limit refused, or with Shadow would have refused: that limit
	Shadow telemetry.Cause // of a call that was let in only because a tag of its plan says so: what would have refused it

	seats    *limit.Seats // of a key with a cap on calls at a time, until they are asked
	grant    limit.Grant
	standing standing
}

// Settle ends the call's hold on its limits. It is called exactly once for an
// admitted call, with whether it was answered without a failure; a second call
// does nothing.
func (a *Admission) Settle(succeeded bool) { a.grant.Settle(succeeded) }
