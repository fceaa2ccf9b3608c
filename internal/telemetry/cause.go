package telemetry

import (
	"encoding/json"
	"fmt"
	"math"
	"time"
)

// Cause says which check refused a call. The zero Cause is none: the call was
// not refused. Its text, "key-disabled", is what records and weir explain show
// and does not change; its number lives in memory only.
//
// Whoever adds a refusal adds a Cause here and its line to causes.
type Cause uint8

// The causes, in the order in which a call meets them, except that limits stand
// before the authorizer where the key comes from the header.
const (
	_ Cause = iota

	CauseFraming // no request yet: the Record's Reason and Detail say what is wrong
	CauseNoStage
	CauseEndpointDisabled
	CauseNoMethod

	CauseNotEnforced // configured, and not enforced yet: every call is refused
	CauseNoKey
	CauseUnknownKey
	CauseKeyDisabled
	CauseKeyTerms
	CausePreviousValue
	CauseKeyExpired
	CauseKeyAddress
	CauseNoPlan
	CauseNoKeyFromAuthorizer

	CauseMethodARNTooLong
	CauseUnauthorized
	CauseAuthorizerDenied
	CauseAuthorizerSilent
	CauseAuthorizerFailed
	CauseAuthorizerMisconfigured

	CauseAccountThrottle
	CausePlanThrottle
	CausePlanMethodThrottle
	CauseStageThrottle
	CauseKeyConcurrency
	CauseThrottleAway
	CauseQuota
	CauseLedgerAway

	causeCount
)

// Layers of the line that refuse, for people.
const (
	layerConnection = "connection"
	layerRouting    = "routing"
	layerKey        = "API key"
	layerAuthorizer = "authorizer"
	layerThrottle   = "throttle"
	layerQuota      = "quota"
)

// cause is what is told of a Cause.
type cause struct {
	name  string // stable
	layer string
	what  string // a sentence: what is wrong
	do    string // a sentence: what ends it
}

var causes = [causeCount]cause{
	CauseFraming: {
		"framing", layerConnection, "It was refused before it was a request.",
		"Send what the detail names; every HTTP client of a language's library does.",
	},
	CauseNoStage: {
		"no-stage", layerRouting, "No API or stage answers at this host or path.",
		"Look the address up with weir apis; a stage answers after its first deployment.",
	},
	CauseEndpointDisabled: {
		"endpoint-disabled", layerRouting, "The API's default endpoint is disabled.",
		"Enable it: aws apigateway update-rest-api --patch-operations op=replace,path=/disableExecuteApiEndpoint,value=false.",
	},
	CauseNoMethod: {
		"no-method", layerRouting, "The deployed API has no method for this path and verb.",
		"Look for a spelling mistake; a method that is newer than the deployment needs aws apigateway create-deployment.",
	},
	CauseNotEnforced: {
		"not-enforced", layerAuthorizer, "The method asks for a check that is not enforced yet, so every call is refused.",
		"Use a method without it; docs/status.md lists what is enforced.",
	},
	CauseNoKey: {
		"no-key", layerKey, "The method requires an API key, and the call sent none.",
		"Send the key in the x-api-key header.",
	},
	CauseUnknownKey: {
		"unknown-key", layerKey, "No API key has the value that was sent.",
		"Compare it with the value in aws apigateway get-api-key --include-value; a deleted key is unknown too.",
	},
	CauseKeyDisabled: {
		"key-disabled", layerKey, "The API key is disabled.",
		"Enable it: weir keys enable KEY. A key is made disabled unless its maker says otherwise.",
	},
	CauseKeyTerms: {
		"key-terms", layerKey, "A weir: tag of the API key cannot be read, so nobody gets in with the key.",
		"Look at its tags with weir keys show KEY, and set the one that is wrong anew, or take it away.",
	},
	CausePreviousValue: {
		"previous-value", layerKey, "The API key was given a new value, and the time of the one that was sent is over.",
		"Send the new value; to let the old one in for longer, move the date in the key's tag weir:previous-value-until.",
	},
	CauseKeyExpired: {
		"key-expired", layerKey, "The API key has expired.",
		"Move the date in the key's tag weir:expires, or take the tag away.",
	},
	CauseKeyAddress: {
		"key-address", layerKey, "The API key does not let callers in from the address that this one came from.",
		"Call from one of the addresses in the key's tag weir:source-ranges, or add this one to them; behind a proxy, see --trusted-proxies.",
	},
	CauseNoPlan: {
		"no-plan", layerKey, "No usage plan of the API key covers this stage.",
		"Add the key to a plan that has the stage: aws apigateway create-usage-plan-key.",
	},
	CauseNoKeyFromAuthorizer: {
		"no-key-from-authorizer", layerKey, "The API takes its keys from an authorizer, and none was given for the call.",
		"Let the authorizer return usageIdentifierKey, or set the API's apiKeySource to HEADER.",
	},
	CauseMethodARNTooLong: {
		"method-arn-too-long", layerAuthorizer, "The path is longer than an authorizer's policy can name.",
		"Send a shorter path: with the API's and the stage's name it has 1,600 bytes at most.",
	},
	CauseUnauthorized: {
		"unauthorized", layerAuthorizer, "The method's authorizer does not know the caller.",
		"Send what the authorizer's identity source asks for; the function's log says more when it was run.",
	},
	CauseAuthorizerDenied: {
		"authorizer-denied", layerAuthorizer, "The policy of the method's authorizer denies the method.",
		"Look at the authorizer's Deny statements; a kept answer ends with its TTL or aws apigateway flush-stage-authorizers-cache.",
	},
	CauseAuthorizerSilent: {
		"authorizer-silent", layerAuthorizer, "The policy of the method's authorizer does not allow the method.",
		"Let its resources name every method that one answer is kept for, arn:aws:execute-api:REGION:ACCOUNT:API/STAGE/* for all.",
	},
	CauseAuthorizerFailed: {
		"authorizer-failed", layerAuthorizer, "The function of the method's authorizer failed or took too long.",
		"Look into the function's log: weir logs FUNCTION.",
	},
	CauseAuthorizerMisconfigured: {
		"authorizer-misconfigured", layerAuthorizer, "The method's authorizer could not be asked, or its answer is none.",
		"The detail says which: give API Gateway the permission to invoke the function, or mend what it returns.",
	},
	CauseAccountThrottle: {
		"account-throttle", layerThrottle, "All calls together came faster than the server's account throttle.",
		"Wait, or raise --account-rate and --account-burst.",
	},
	CauseStageThrottle: {
		"stage-throttle", layerThrottle, "The calls of this method came faster than the stage's throttle for it.",
		"Wait, or raise the stage's throttling/rateLimit and throttling/burstLimit.",
	},
	CausePlanThrottle: {
		"plan-throttle", layerThrottle, "The key's calls came faster than its usage plan's throttle.",
		"Wait, or raise the plan's rateLimit and burstLimit.",
	},
	CausePlanMethodThrottle: {
		"plan-method-throttle", layerThrottle, "The key's calls of this method came faster than the usage plan's throttle for it.",
		"Wait, or raise the plan's throttle for the method.",
	},
	CauseKeyConcurrency: {
		"key-concurrency", layerThrottle, "As many calls with the API key were under way as its tag allows.",
		"Wait until one of them is answered, or raise the key's tag weir:max-concurrency.",
	},
	CauseThrottleAway: {
		"throttle-away", layerThrottle, "The database, by which nodes divide the throttle, could not be asked, and this node had no share of it.",
		"Look whether the database is up; it ends by itself when the database answers again.",
	},
	CauseQuota: {
		"quota", layerQuota, "The key has used up its usage plan's quota.",
		"Wait for the next period, raise the plan's quota, or grant more for this period: aws apigateway update-usage.",
	},
	CauseLedgerAway: {
		"ledger-away", layerQuota, "The ledger, where quotas are counted, could not be asked; a call that cannot be counted is refused.",
		"Look whether the database is up; it ends by itself when the ledger answers again.",
	},
}

// String is the cause's name; "" of the zero Cause.
func (c Cause) String() string {
	if c >= causeCount {
		return fmt.Sprintf("cause-%d", uint8(c))
	}
	return causes[c].name
}

// MarshalText gives the name.
func (c Cause) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// LimitKind says what a Limit counts.
type LimitKind uint8

// The kinds. The zero LimitKind is no limit.
const (
	_      LimitKind = iota
	Bucket           // a throttle: Rate, Burst, Tokens
	Quota            // a quota: Most calls a Period, of which Used
	Seats            // a cap on calls at a time: Most, of which Used
)

// Never as ClearsIn: no time ends it, only an edit.
const Never time.Duration = math.MaxInt64

// Limit is the limit that refused a call, its setting and its counter as the
// one decision saw them. A refusal takes nothing, so what stands here is the
// counter before the call and after it. The zero Limit is none.
type Limit struct {
	Kind     LimitKind
	Rate     float64       // Bucket: tokens a second
	Burst    int64         // Bucket: tokens at most
	Tokens   float64       // Bucket: tokens in it; a call takes one whole token
	Most     int64         // Quota, Seats: calls that are allowed
	Used     int64         // Quota, Seats: calls that count now
	Period   string        // Quota: DAY, WEEK or MONTH
	ClearsIn time.Duration // until it would admit one call if nobody else called; 0: not known; Never
}

// MarshalJSON writes what the kind has.
func (l Limit) MarshalJSON() ([]byte, error) {
	type clears struct {
		Never bool  `json:"never,omitempty"`
		In    int64 `json:"clearsInMs,omitempty"`
	}
	c := clears{In: int64((l.ClearsIn + time.Millisecond - 1) / time.Millisecond)}
	if l.ClearsIn == Never {
		c = clears{Never: true}
	}
	switch l.Kind {
	case Bucket:
		return json.Marshal(struct {
			Rate   float64 `json:"rateLimit"`
			Burst  int64   `json:"burstLimit"`
			Tokens float64 `json:"tokens"`
			clears
		}{l.Rate, l.Burst, l.Tokens, c})
	case Quota:
		return json.Marshal(struct {
			Most   int64  `json:"limit"`
			Period string `json:"period"`
			Used   int64  `json:"used"`
			Left   int64  `json:"left"`
			clears
		}{l.Most, l.Period, l.Used, max(l.Most-l.Used, 0), c})
	case Seats:
		return json.Marshal(struct {
			Most int64 `json:"atATime"`
			Used int64 `json:"inUse"`
			clears
		}{l.Most, l.Used, c})
	}
	return []byte("null"), nil
}
