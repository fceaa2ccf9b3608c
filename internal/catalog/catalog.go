// Package catalog holds what an owner configures: REST APIs with their
// resources, methods and authorizers, deployments, stages, API keys, usage plans, functions
// and roles, each with the rules AWS sets for it and the errors it answers.
//
// Everything here is a plain value. Nothing does I/O, knows a wire format or
// knows a database: store keeps the values, control changes them, and app hands
// compiled forms of them to gateway and function. A value that has been given
// to store or read from it is never modified in place; copy, change, put.
package catalog

// Kind names a sort of entry. It is part of the stored key, so a kind is never
// renamed.
type Kind string

// The kinds of entry. API keys and plan-key links are stored in typed tables,
// all others as documents. A usage grant is not stored: it tells watchers of a
// change to the ledger.
const (
	KindRestAPI      Kind = "restapi"
	KindResource     Kind = "resource"
	KindAuthorizer   Kind = "authorizer"
	KindDeployment   Kind = "deployment"
	KindStage        Kind = "stage"
	KindAPIKey       Kind = "apikey"
	KindUsagePlan    Kind = "usageplan"
	KindUsagePlanKey Kind = "usageplankey"
	KindFunction     Kind = "function"
	KindRole         Kind = "role"
	KindUsageGrant   Kind = "usagegrant"
)

// Entry is anything that store keeps. Key is unique within a kind; its parts
// are joined with "/" (an API's stage is "{apiId}/{stageName}"), so that all
// children of a parent are one range. No part may contain "/".
type Entry interface {
	Kind() Kind
	Key() string
}
