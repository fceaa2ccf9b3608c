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
	"weir/internal/telemetry"
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

func logs(t *testing.T, s *store.Store) {
	event := func(group, stream string, second int, message string) telemetry.LogEvent {
		return telemetry.LogEvent{Group: group, Stream: stream, Time: Epoch.Add(time.Duration(second) * time.Second), Message: message}
	}
	for _, batch := range [][]telemetry.LogEvent{
		nil,
		{event("g", "2026/[$LATEST]1", 3, "c"), event("g", "2026/[$LATEST]1", 1, "a\x00\n"), event("h", "2026/[$LATEST]1", 2, "x")},
		{event("g", "2026/[$LATEST]2", 2, "b"), event("g", "2026/[$LATEST]1", 3, "d"), event("g", "2027/%", 9, "z")},
	} {
		if err := s.AppendLogs(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		group, prefix string
		limit         int
		want          string
	}{
		{"g", "", 0, "a\x00\nbcdz"},
		{"g", "2026/", 0, "a\x00\nbcd"},
		{"g", "2026/", 2, "cd"},
		{"g", "2026/[$LATEST]1", 0, "a\x00\ncd"},
		{"g", "2027/%", 0, "z"},
		{"g", "%", 0, ""},
		{"h", "", 5, "x"},
		{"H", "", 5, ""},
		{"none", "", 5, ""},
	} {
		events, err := s.Logs(t.Context(), c.group, c.prefix, c.limit)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, e := range events {
			got += e.Message
			if e.Group != c.group {
				t.Errorf("an event of group %q", e.Group)
			}
		}
		if got != c.want {
			t.Errorf("Logs(%q, %q, %d) = %q, want %q", c.group, c.prefix, c.limit, got, c.want)
		}
	}
	events, err := s.Logs(t.Context(), "h", "", 1)
	if want := []telemetry.LogEvent{event("h", "2026/[$LATEST]1", 2, "x")}; err != nil || !reflect.DeepEqual(events, want) {
		t.Errorf("Logs = %v, %v, want %v", events, err, want)
	}
}
