package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"weir/internal/catalog"
	"weir/internal/limit"
	"weir/internal/store"
	"weir/internal/store/storetest"
	"weir/internal/telemetry"
)

func TestMain(m *testing.M) {
	if os.Getenv(childDir) != "" {
		child(os.Getenv(childDir))
		return
	}
	goleak.VerifyTestMain(storetest.Main{M: m})
}

// refused opens a folder that cannot be opened and returns why.
func refused(t *testing.T, dir string) string {
	t.Helper()
	s, err := store.Open(context.Background(), store.Options{Dir: dir})
	if err == nil {
		s.Close()
		t.Fatal("the folder was opened")
	}
	return err.Error()
}

func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%q does not say %q", text, p)
		}
	}
}

func TestFolderIsLocked(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	contains(t, refused(t, dir), dir, "process "+strconv.Itoa(os.Getpid()), "--data")
	// The refused one did no harm.
	if err := s.Update(t.Context(), func(tx *store.Tx) error { return store.Put(tx, catalog.RestAPI{ID: "a"}) }); err != nil {
		t.Error(err)
	}
	s.Close()
	open(t, dir)
}

func TestOpenRefuses(t *testing.T) {
	refused(t, "")
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	contains(t, refused(t, file), file)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := store.Open(ctx, store.Options{Dir: t.TempDir()}); !errors.Is(err, context.Canceled) {
		t.Errorf("Open with a context that ended returned %v", err)
	}
}

// database runs SQL on a data folder's database from outside.
func database(t *testing.T, dir, query string) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, "weir.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(query); err != nil {
		t.Fatal(err)
	}
}

func TestNewerDatabaseIsRefused(t *testing.T) {
	dir := t.TempDir()
	open(t, dir).Close()
	database(t, dir, "PRAGMA user_version = 1007")
	contains(t, refused(t, dir), "schema version 1007", fmt.Sprintf("up to %d", store.SchemaVersion()), "backup")
	database(t, dir, fmt.Sprintf("PRAGMA user_version = %d", store.SchemaVersion()))
	open(t, dir)
}

func TestForeignDatabaseIsRefused(t *testing.T) {
	dir := t.TempDir()
	database(t, dir, "PRAGMA application_id = 42; CREATE TABLE theirs (x)")
	contains(t, refused(t, dir), "another program")

	dir = t.TempDir()
	database(t, dir, "PRAGMA user_version = 1; CREATE TABLE theirs (x)")
	contains(t, refused(t, dir), "another program")

	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "weir.db"), bytes.Repeat([]byte("no database "), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	contains(t, refused(t, dir), "weir.db")
}

func TestStrangeFolderNames(t *testing.T) {
	for _, name := range []string{"with space", "a?mode=ro&b#c", "100%25", "ünï", "deep/er/still", "'quote\""} {
		if runtime.GOOS == "windows" && strings.ContainsAny(name, `?"`) {
			continue
		}
		dir := filepath.Join(t.TempDir(), name)
		open(t, dir)
		if _, err := os.Stat(filepath.Join(dir, "weir.db")); err != nil {
			t.Error(err)
		}
	}
}

func TestOnlyTheOwnerReads(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no modes")
	}
	dir := filepath.Join(t.TempDir(), "data")
	s := open(t, dir)
	if err := s.AppendLogs(t.Context(), []telemetry.LogEvent{{Group: "g"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.PutCode(t.Context(), []byte("x")); err != nil {
		t.Fatal(err)
	}
	files := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		files++
		return err
	})
	if err != nil || files < 6 { // folder, database and its two, lock, code and its one
		t.Errorf("%d files, %v", files, err)
	}
}

func TestReopen(t *testing.T) {
	dir := t.TempDir()
	at := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	opened := func() *store.Store {
		s, err := store.Open(t.Context(), store.Options{Dir: dir, Now: func() time.Time { return at }})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	a := limit.Account{PlanID: "p", KeyID: "k"}
	s := opened()
	var sha string
	err := s.Update(t.Context(), func(tx *store.Tx) error {
		if tx.Now() != at {
			t.Errorf("Now is %v, want the clock that was passed in", tx.Now())
		}
		return errors.Join(store.Put(tx, catalog.RestAPI{ID: "a"}), store.Put(tx, catalog.APIKey{ID: "k"}), tx.SetMeta("m", []byte("v")))
	})
	if err != nil {
		t.Fatal(err)
	}
	if out, err := s.Spend(t.Context(), ask(a, 10)); !out.OK || err != nil {
		t.Fatal(out, err)
	}
	if sha, err = s.PutCode(t.Context(), []byte("zip")); err != nil {
		t.Fatal(err)
	}
	if err := s.SaveBuckets(t.Context(), []store.SavedBucket{{Name: "b", Used: 2}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = opened()
	err = s.View(t.Context(), func(tx *store.Tx) error {
		_, api, err1 := store.Get[catalog.RestAPI](tx, "a")
		_, key, err2 := store.Get[catalog.APIKey](tx, "k")
		m, err3 := tx.Meta("m")
		if !api || !key || string(m) != "v" {
			t.Errorf("after a restart: API %v, key %v, meta %q", api, key, m)
		}
		return errors.Join(err1, err2, err3)
	})
	if err != nil {
		t.Error(err)
	}
	if out, err := s.Spend(t.Context(), ask(a, 10)); out.Used != 2 || out.Day != limit.DayOf(at) || !out.OK || err != nil {
		t.Errorf("Spend after a restart = %+v, %v", out, err)
	}
	if zip, err := s.Code(t.Context(), sha); string(zip) != "zip" || err != nil {
		t.Errorf("Code after a restart = %q, %v", zip, err)
	}
	b, stopped, clean, err := s.LoadBuckets(t.Context())
	if len(b) != 1 || !stopped.Equal(at) || !clean || err != nil {
		t.Errorf("LoadBuckets after a clean stop = %v, %v, %v, %v", b, stopped, clean, err)
	}
	s.Close()

	s = opened()
	defer s.Close()
	if b, _, clean, err := s.LoadBuckets(t.Context()); len(b) != 0 || clean || err != nil {
		t.Errorf("LoadBuckets after a stop that saved nothing = %v, %v, %v", b, clean, err)
	}
}

func TestCodeFiles(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	sha, err := s.PutCode(t.Context(), []byte("zip"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "code", "*"))
	if err != nil || len(files) != 1 || len(filepath.Base(files[0])) != 64 {
		t.Fatalf("the code folder holds %q, %v", files, err)
	}
	if err := os.WriteFile(files[0], []byte("zap"), 0o600); err != nil {
		t.Fatal(err)
	}
	if zip, err := s.Code(t.Context(), sha); err == nil {
		t.Errorf("damaged code was read: %q", zip)
	} else {
		contains(t, err.Error(), "damaged")
	}
	if _, err := s.PutCode(t.Context(), []byte("zip")); err != nil {
		t.Error(err)
	}
	if zip, err := s.Code(t.Context(), sha); err != nil || string(zip) != "zip" {
		t.Errorf("putting it again does not mend it: %q, %v", zip, err)
	}
	s.Close()
	left := filepath.Join(dir, "code", "tmp-123")
	if err := os.WriteFile(left, []byte("half a z"), 0o600); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what a crash left is still there: %v", err)
	}
	if _, err := os.Stat(files[0]); err != nil {
		t.Errorf("code went away: %v", err)
	}
}
