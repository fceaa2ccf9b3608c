// Package storetest is the suite that every database under store has to pass.
package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"weir/internal/catalog"
	"weir/internal/store"
)

// Epoch is the instant that the suite's entries carry.
var Epoch = time.Date(2026, 11, 24, 9, 30, 0, 123456789, time.UTC)

// Run runs the suite. open gives an empty store, closed by open's own cleanup.
func Run(t *testing.T, open func(t *testing.T) *store.Store) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, *store.Store)
	}{
		{"DocumentsRoundTrip", documentsRoundTrip},
		{"ListRanges", listRanges},
		{"StrangeKeys", strangeKeys},
		{"Changes", changes},
		{"ChangesCollapse", changesCollapse},
		{"WatcherAborts", watcherAborts},
		{"PublishBeforeReturn", publishBeforeReturn},
		{"PublishOrder", publishOrder},
		{"FailingUpdates", failingUpdates},
		{"ConcurrentUpdates", concurrentUpdates},
		{"TransactionEnds", transactionEnds},
		{"SnapshotOfView", snapshotOfView},
		{"CancelledWhileWaiting", cancelledWhileWaiting},
		{"Meta", meta},
		{"APIKeys", apiKeys},
		{"APIKeyFilters", apiKeyFilters},
		{"APIKeyPages", apiKeyPages},
		{"APIKeyPagesWhileDeleting", apiKeyPagesWhileDeleting},
		{"DuplicateKey", duplicateKey},
		{"Links", links},
		{"LinksGoWithKey", linksGoWithKey},
		{"EachKeyAndLink", eachKeyAndLink},
		{"PreviousValues", previousValues},
		{"KeysWithTerms", keysWithTerms},
		{"SpendToTheLimit", spendToTheLimit},
		{"SpendConcurrently", spendConcurrently},
		{"SpendCancelled", spendCancelled},
		{"RecordAndUsage", recordAndUsage},
		{"UsageOutlivesKeys", usageOutlivesKeys},
		{"Grants", grants},
		{"Code", code},
		{"Buckets", buckets},
		{"Logs", logs},
		{"Closed", closed},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

var errWanted = errors.New("wanted")

func update(t *testing.T, s *store.Store, fn func(tx *store.Tx) error) {
	t.Helper()
	if err := s.Update(context.Background(), fn); err != nil {
		t.Fatalf("Update: %v", err)
	}
}

func view(t *testing.T, s *store.Store, fn func(tx *store.Tx) error) {
	t.Helper()
	if err := s.View(context.Background(), fn); err != nil {
		t.Fatalf("View: %v", err)
	}
}

func put(t *testing.T, s *store.Store, entries ...catalog.Entry) {
	t.Helper()
	update(t, s, func(tx *store.Tx) error {
		for _, e := range entries {
			if err := store.Put(tx, e); err != nil {
				return err
			}
		}
		return nil
	})
}

// get reads an entry that must be there, or must not.
func get[T catalog.Entry](t *testing.T, s *store.Store, want bool, key ...string) (e T) {
	t.Helper()
	view(t, s, func(tx *store.Tx) (err error) {
		var ok bool
		if e, ok, err = store.Get[T](tx, key...); err == nil && ok != want {
			t.Fatalf("Get[%T](%q) found it: %v, want %v", e, key, ok, want)
		}
		return err
	})
	return e
}

func list[T catalog.Entry](t *testing.T, s *store.Store, parent ...string) (keys []string) {
	t.Helper()
	view(t, s, func(tx *store.Tx) error {
		all, err := store.List[T](tx, parent...)
		for _, e := range all {
			keys = append(keys, e.Key())
		}
		return err
	})
	return keys
}
