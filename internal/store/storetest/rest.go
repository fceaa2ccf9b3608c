package storetest

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"sync"
	"testing"
	"time"

	"weir/internal/store"
)

func code(t *testing.T, s *store.Store) {
	zip := bytes.Repeat([]byte("PK\x03\x04"), 100_000)
	sum := sha256.Sum256(zip)
	want := base64.StdEncoding.EncodeToString(sum[:])
	if _, err := s.Code(t.Context(), want); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("code that was not put gives %v", err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if sha, err := s.PutCode(t.Context(), zip); sha != want || err != nil {
				t.Errorf("PutCode = %q, %v, want %q", sha, err, want)
			}
		})
	}
	wg.Wait()
	if got, err := s.Code(t.Context(), want); err != nil || !bytes.Equal(got, zip) {
		t.Errorf("Code gives %d bytes, %v", len(got), err)
	}
	for _, sha := range []string{"", "../weir.db", "AAAA", want + "AAAA", "!" + want[1:], fmt.Sprintf("%x", sum)} {
		if got, err := s.Code(t.Context(), sha); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Code(%q) gives %d bytes, %v", sha, len(got), err)
		}
	}
}

func buckets(t *testing.T, s *store.Store) {
	load := func(want []store.SavedBucket, wantClean bool) time.Time {
		t.Helper()
		b, at, clean, err := s.LoadBuckets(t.Context())
		if err != nil || clean != wantClean || !reflect.DeepEqual(b, want) {
			t.Errorf("LoadBuckets = %v, clean %v, %v, want %v, clean %v", b, clean, err, want, wantClean)
		}
		return at
	}
	load(nil, true)  // a new store
	load(nil, false) // taken: a crash now is seen as one
	saved := []store.SavedBucket{{Name: "a", Used: 0.125}, {Name: "b", Used: 1e9}}
	if err := s.SaveBuckets(t.Context(), []store.SavedBucket{{Name: "old", Used: 1}}); err != nil {
		t.Fatal(err)
	}
	if err := s.SaveBuckets(t.Context(), saved); err != nil {
		t.Fatal(err)
	}
	if at := load(saved, true); at.IsZero() {
		t.Error("a clean stop without its time")
	}
	load(nil, false)
	if err := s.SaveBuckets(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	load(nil, true)
}
