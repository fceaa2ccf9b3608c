package catalog

import "time"

// APIKey is what a caller proves itself with. Its value is not kept: Digest
// finds it, Sealed gives it back to its owner's tools when the operator allows
// that (empty otherwise). Names live in the database only, never in the
// gateway's memory. No two keys have a digest in common, be it as Digest or as
// Previous.
type APIKey struct {
	ID              string
	Name            string
	Description     string
	CustomerID      string
	Enabled         bool
	CreatedDate     time.Time
	LastUpdatedDate time.Time
	Digest          [32]byte
	Sealed          []byte
	Previous        [32]byte // digest of the value before the last rotation; zero: none
	Tags            map[string]string
}

// Kind implements Entry.
func (APIKey) Kind() Kind { return KindAPIKey }

// Key implements Entry: "{keyId}".
func (k APIKey) Key() string { return k.ID }

// UsagePlanKey is the membership of a key in a plan.
type UsagePlanKey struct {
	PlanID  string
	KeyID   string
	AddedAt time.Time // decides in which period the quota's offset applies
}

// Kind implements Entry.
func (UsagePlanKey) Kind() Kind { return KindUsagePlanKey }

// Key implements Entry: "{planId}/{keyId}".
func (l UsagePlanKey) Key() string { return l.PlanID + "/" + l.KeyID }

// UsageGrant says that what remains of a key's quota in the period that runs
// was set (UpdateUsage). It is told to those who watch, and kept in the ledger.
type UsageGrant struct {
	PlanID    string
	KeyID     string
	Remaining int64
}

// Kind implements Entry.
func (UsageGrant) Kind() Kind { return KindUsageGrant }

// Key implements Entry: "{planId}/{keyId}".
func (g UsageGrant) Key() string { return g.PlanID + "/" + g.KeyID }
