package store

import (
	"path/filepath"
	"testing"
	"time"

	"weir/internal/catalog"
)

// TestKeysOfSchema2: keys that version 2 kept are all there, and those that
// carried a tag that has become a term are found at the start.
func TestKeysOfSchema2(t *testing.T) {
	dir := t.TempDir()
	old, err := openSQLite(dsn(dir, writing))
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		old.migrate(filepath.Join(dir, DatabaseFile), migrations[:2], time.Unix(0, 1)),
		old.exec(`INSERT INTO api_key (id, digest, enabled, name, description, customer_id, created, updated, sealed, tags)
			VALUES ('a', zeroblob(32), 1, 'n', '', '', 1, 1, NULL, NULL), ('b', randomblob(32), 0, '', '', '', 1, 1, x'00', '{"weir:expires":"2030-01-01"}')`),
		old.close(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	s, err := Open(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var all, onTerms string
	err = s.View(t.Context(), func(tx *Tx) error {
		keys, err := tx.APIKeys(KeyQuery{})
		for _, k := range keys {
			all += k.ID + k.Name
		}
		if err != nil {
			return err
		}
		return tx.KeysWithTerms(func(k catalog.APIKey) error { onTerms += k.ID; return nil })
	})
	if err != nil || all != "ban" || onTerms != "b" {
		t.Errorf("keys %q, on terms %q, %v", all, onTerms, err)
	}
}
