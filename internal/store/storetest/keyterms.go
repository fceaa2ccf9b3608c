package storetest

import (
	"errors"
	"reflect"
	"testing"

	"weir/internal/catalog"
	"weir/internal/store"
)

// previousValues: a value is one key's, also while it is the one from before
// that key's rotation, and finds that key.
func previousValues(t *testing.T, s *store.Store) {
	rotated := key(1)
	rotated.Digest, rotated.Previous = digest(11), digest(1)
	roundTrip(t, s, rotated)
	put(t, s, rotated, key(2))
	other := key(2)
	for name, twin := range map[string]catalog.APIKey{
		"a value that was another's": {ID: "new", Digest: digest(1)},
		"a value that is another's":  {ID: "new", Digest: digest(11)},
		"rotated to what another had": {
			ID: other.ID, Digest: digest(1), Previous: other.Digest,
		},
		"rotated from what another has": {ID: other.ID, Digest: digest(12), Previous: digest(11)},
		"rotated from what another had": {ID: other.ID, Digest: digest(12), Previous: digest(1)},
	} {
		if err := s.Update(t.Context(), func(tx *store.Tx) error { return store.Put(tx, twin) }); !errors.Is(err, store.ErrDuplicateKey) {
			t.Errorf("%s: %v, want ErrDuplicateKey", name, err)
		}
	}
	view(t, s, func(tx *store.Tx) error {
		for _, d := range [][32]byte{digest(1), digest(11)} {
			if k, ok, err := tx.APIKeyByDigest(d); !ok || err != nil || !reflect.DeepEqual(k, rotated) {
				t.Errorf("%v found %+v, %v, %v", d, k, ok, err)
			}
		}
		return nil
	})
	// A value that is forgotten is free.
	rotated.Previous = [32]byte{}
	put(t, s, rotated, catalog.APIKey{ID: "new", Digest: digest(1)})
}

// keysWithTerms: what a node loads beside the faces is exactly the keys that
// have terms, as they are now.
func keysWithTerms(t *testing.T, s *store.Store) {
	plain, capped, rotated := key(1), key(2), key(3)
	plain.Tags = map[string]string{"team": "weir:expires", "weir:previous-value-until": "2030-01-01"}
	capped.Tags = map[string]string{catalog.TagMaxConcurrent: "3"}
	rotated.Previous = digest(33)
	put(t, s, plain, capped, rotated)
	read := func() (found []catalog.APIKey) {
		t.Helper()
		view(t, s, func(tx *store.Tx) error {
			return tx.KeysWithTerms(func(k catalog.APIKey) error { found = append(found, k); return nil })
		})
		return found
	}
	if got, want := read(), []catalog.APIKey{capped, rotated}; !reflect.DeepEqual(got, want) {
		t.Errorf("keys with terms are\n%+v, want\n%+v", got, want)
	}
	capped.Tags, plain.Tags = nil, map[string]string{catalog.TagExpires: "2030-01-01"}
	put(t, s, plain, capped)
	if got, want := read(), []catalog.APIKey{plain, rotated}; !reflect.DeepEqual(got, want) {
		t.Errorf("keys with terms are\n%+v, want\n%+v", got, want)
	}
	if err := s.View(t.Context(), func(tx *store.Tx) error {
		return tx.KeysWithTerms(func(catalog.APIKey) error { return errWanted })
	}); !errors.Is(err, errWanted) {
		t.Errorf("KeysWithTerms returned %v, want fn's error", err)
	}
}
