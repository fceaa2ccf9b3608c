// Package store keeps what is configured, what was spent and what was logged.
package store

import (
	"context"
	"time"

	"weir/internal/catalog"
	"weir/internal/limit"
	"weir/internal/telemetry"
)

// CONTRACT SKELETON: replaced by the implementation; signatures stay.

type Options struct {
	Dir string           // data folder; made when missing
	Now func() time.Time // nil: time.Now
}

type Store struct{}

func Open(ctx context.Context, o Options) (*Store, error) { panic("contract") }
func (s *Store) Close() error                             { panic("contract") }

// Tx is one transaction's view. Valid inside the function it was given to.
type Tx struct{}

func (tx *Tx) Now() time.Time { panic("contract") } // one instant for the whole transaction

func (s *Store) View(ctx context.Context, fn func(*Tx) error) error { panic("contract") }

// Update runs fn, gives the changes it made to every watcher, commits durably,
// lets every watcher publish, and returns. An error of fn or of a watcher
// rolls back and is returned as it is.
func (s *Store) Update(ctx context.Context, fn func(*Tx) error) error { panic("contract") }

// Change is one entry before and after; nil means absent.
type Change struct {
	Kind     catalog.Kind
	Key      string
	Old, New catalog.Entry
}

// Watcher prepares a change: it compiles its part aside, may read tx, and
// returns what publishes it (nil: nothing to do). An error aborts the Update.
type Watcher func(tx *Tx, changes []Change) (publish func(), err error)

// Watch adds a watcher; called before the store is shared.
func (s *Store) Watch(w Watcher) { panic("contract") }

// Get reads one entry by the parts of its key.
func Get[T catalog.Entry](tx *Tx, key ...string) (entry T, ok bool, err error) { panic("contract") }

// List reads all entries of a kind below a parent (no parts: all), ordered by key.
func List[T catalog.Entry](tx *Tx, parent ...string) ([]T, error) { panic("contract") }

// Put writes an entry, new or changed. Delete removes one; deleting what is not there is no error.
func Put(tx *Tx, e catalog.Entry) error                   { panic("contract") }
func Delete[T catalog.Entry](tx *Tx, key ...string) error { panic("contract") }

// KeyQuery selects API keys, newest first.
type KeyQuery struct {
	PlanID     string // only keys of this plan ("" any)
	NamePrefix string // case-sensitive
	CustomerID string
	After      string // id of the last key of the page before
	Limit      int    // 0: no limit
}

func (tx *Tx) APIKeys(q KeyQuery) ([]catalog.APIKey, error)                     { panic("contract") }
func (tx *Tx) APIKeyByDigest(d [32]byte) (k catalog.APIKey, ok bool, err error) { panic("contract") }
func (tx *Tx) PlanLinks(planID string) ([]catalog.UsagePlanKey, error)          { panic("contract") }
func (tx *Tx) KeyLinks(keyID string) ([]catalog.UsagePlanKey, error)            { panic("contract") }

// KeyRow is what the gateway holds of a key.
type KeyRow struct {
	ID      string
	Digest  [32]byte
	Enabled bool
}

// EachKey and EachLink stream everything, for the start of a node. e and l are valid during the call.
func (tx *Tx) EachKey(fn func(KeyRow) error) error                { panic("contract") }
func (tx *Tx) EachLink(fn func(catalog.UsagePlanKey) error) error { panic("contract") }

// Function code, content-addressed files below the data folder. sha is catalog.Function.CodeSHA256.
func (s *Store) PutCode(ctx context.Context, zip []byte) (sha string, err error) { panic("contract") }
func (s *Store) Code(ctx context.Context, sha string) ([]byte, error)            { panic("contract") }

// Spend implements limit.Ledger.
func (s *Store) Spend(ctx context.Context, a limit.Account, from, day limit.Day, max int64) (int64, bool, error) {
	panic("contract")
}

// DayUsage is one day of one key in a plan.
type DayUsage struct {
	KeyID string
	Day   limit.Day
	Used  int64
}

// Usage reads what the ledger holds for a plan on the days from..to; keyID "" means every key.
func (s *Store) Usage(ctx context.Context, planID, keyID string, from, to limit.Day) ([]DayUsage, error) {
	panic("contract")
}

// Buckets of a clean stop.
type SavedBucket struct {
	Name string
	Used float64
}

// SaveBuckets marks a clean stop; LoadBuckets takes the mark away and says
// whether there was one, when it was made, and whether this store is new.
func (s *Store) SaveBuckets(ctx context.Context, b []SavedBucket) error { panic("contract") }
func (s *Store) LoadBuckets(ctx context.Context) (b []SavedBucket, at time.Time, clean bool, err error) {
	panic("contract")
}

// AppendLogs writes log events in one transaction. TailLogs is for tests and reads the newest n.
func (s *Store) AppendLogs(ctx context.Context, events []telemetry.LogEvent) error { panic("contract") }
func (s *Store) Logs(ctx context.Context, group, streamPrefix string, limit int) ([]telemetry.LogEvent, error) {
	panic("contract")
}

// Meta keeps a few named values of the installation (the secret's check value).
func (tx *Tx) Meta(name string) (value []byte, err error) { panic("contract") }
func (tx *Tx) SetMeta(name string, value []byte) error    { panic("contract") }
