package secret

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// fixed returns the secret of 32 known bytes.
func fixed(first byte) *Secret {
	master := make([]byte, size)
	for i := range master {
		master[i] = first + byte(i)
	}
	return derive(master)
}

// What is derived is stored in databases: it must be the same in every release.
func TestDerivedKeysNeverChange(t *testing.T) {
	s := fixed(0)
	digest := s.Digest("0123456789abcdefghijABCDEFGHIJ0123456789")
	got := fmt.Sprintf("%s %x %x %s", s.ID(), s.CheckValue()[:8], digest[:8], s.sessionKey("ASIAAAAAAAAAAAAAAAAA"))
	const want = "d5971157 cfab4c5670597cef f0ab0cf9e43ee35a 3Yt8qYpR7aU2wttXVVMY3gUGVl1wM94XyE4aCmCY"
	if got != want {
		t.Errorf("derived %s, want %s", got, want)
	}
	sealed, _ := hex.DecodeString("01d5971157bf9a0c9b62d7409013faee7007614fc014d13fa8e4822a53d6b8d67ebad26d7512165fb16c981391c6cdbe9ba2dfbef4dcd9491568e993")
	if plain, err := s.Open(sealed, "apikey/abc"); err != nil || string(plain) != "sealed by the first release" {
		t.Errorf("Open = %q, %v", plain, err)
	}
}

func TestDigestIsHMAC(t *testing.T) {
	s := fixed(1)
	reference := func(v string) (d [32]byte) {
		m := s.digester.idle.New().(*mac).hash
		key := hmac.New(sha256.New, nil) // a differently keyed hash must differ
		key.Write([]byte(v))
		m.Write([]byte(v))
		if bytes.Equal(key.Sum(nil), m.Sum(nil)) {
			t.Fatal("the digest has no key")
		}
		return [32]byte(m.Sum(nil))
	}
	for _, n := range []int{0, 1, 20, 40, 127, 128, 129, 256, 300, 10_000} {
		v := strings.Repeat("k", n)
		if s.Digest(v) != reference(v) {
			t.Errorf("digest of %d characters is wrong", n)
		}
		if fixed(2).Digest(v) == s.Digest(v) {
			t.Errorf("two secrets give one digest")
		}
	}
}

func TestDigestFromManyGoroutines(t *testing.T) {
	s := fixed(1)
	want := map[string][32]byte{}
	for i := range 50 {
		v := strings.Repeat(fmt.Sprint(i), i)
		want[v] = s.Digest(v)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 20 {
				for v, d := range want {
					if s.Digest(v) != d {
						t.Errorf("digest of %q changed", v)
					}
				}
			}
		})
	}
	wg.Wait()
}

func TestPurposesHaveKeysOfTheirOwn(t *testing.T) {
	s := fixed(1)
	digest := s.Digest("ASIAAAAAAAAAAAAAAAAA")
	seen := map[string]string{}
	for name, b := range map[string][]byte{"check": s.check, "session": s.session, "digest": digest[:], "id": s.id[:]} {
		head := string(b[:4])
		if other, ok := seen[head]; ok {
			t.Errorf("%s and %s share a key", name, other)
		}
		seen[head] = name
	}
}

func TestSealOpensOnlyWhereItBelongs(t *testing.T) {
	s := fixed(1)
	for _, plain := range []string{"", "x", strings.Repeat("value", 1000)} {
		sealed := s.Seal([]byte(plain), "apikey/a")
		if len(sealed) != len(plain)+33 {
			t.Errorf("%d bytes seal to %d", len(plain), len(sealed))
		}
		got, err := s.Open(sealed, "apikey/a")
		if err != nil || string(got) != plain {
			t.Errorf("Open = %q, %v", got, err)
		}
		if _, err := s.Open(sealed, "apikey/b"); !errors.Is(err, ErrInvalid) {
			t.Errorf("opened in another place: %v", err)
		}
		for i := range min(len(sealed), 80) {
			bad := bytes.Clone(sealed)
			bad[i] ^= 1
			if _, err := s.Open(bad, "apikey/a"); !errors.Is(err, ErrInvalid) {
				t.Errorf("byte %d changed: %v", i, err)
			}
			if _, err := s.Open(sealed[:i], "apikey/a"); !errors.Is(err, ErrInvalid) {
				t.Errorf("cut to %d bytes: %v", i, err)
			}
		}
	}
	if bytes.Equal(s.Seal([]byte("same"), "c"), s.Seal([]byte("same"), "c")) {
		t.Error("equal texts seal to equal bytes")
	}
	other := fixed(2)
	_, err := other.Open(s.Seal([]byte("x"), "c"), "c")
	var wrong *OtherSecretError
	if !errors.As(err, &wrong) || wrong.ID != s.ID() || !errors.Is(err, ErrInvalid) {
		t.Errorf("another secret opens: %v", err)
	}
}

func TestSession(t *testing.T) {
	s := fixed(1)
	expires := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	given := Session{
		ARN: "arn:aws:sts::000000000000:assumed-role/r/timestamper", UserID: "AROAX:timestamper",
		Account: "000000000000", Expires: expires,
	}
	id, key, token := s.IssueSession(given)
	if !regexp.MustCompile(`^ASIA[A-Z2-7]{16}$`).MatchString(id) || len(key) != 40 || len(token) > maxToken/2 {
		t.Errorf("issued %q, a key of %d and a token of %d characters", id, len(key), len(token))
	}
	gotKey, got, err := s.OpenSession(id, token, expires.Add(-1))
	if err != nil || gotKey != key || got != given {
		t.Errorf("OpenSession = %q, %+v, %v", gotKey, got, err)
	}
	if k, got, err := s.OpenSession(id, token, expires); !errors.Is(err, ErrExpired) || k != "" || got != given {
		t.Errorf("at its end: %q, %+v, %v", k, got, err)
	}
	otherID, otherKey, _ := s.IssueSession(given)
	if otherID == id || otherKey == key {
		t.Error("two sessions share credentials")
	}
	for name, c := range map[string]struct{ id, token string }{
		"another's access key":   {otherID, token},
		"no token":               {id, ""},
		"not base64":             {id, "§" + token},
		"trailing text":          {id, token + "AAAA"},
		"cut":                    {id, token[:len(token)-8]},
		"too long":               {id, strings.Repeat("A", maxToken+1)},
		"a seal of another kind": {id, hex.EncodeToString(s.Seal([]byte("{}"), "apikey/x"))},
		"access key too short":   {"ASIA", token},
	} {
		if k, _, err := s.OpenSession(c.id, c.token, expires.Add(-1)); !errors.Is(err, ErrInvalid) || k != "" {
			t.Errorf("%s: %q, %v", name, k, err)
		}
	}
	if _, _, err := fixed(2).OpenSession(id, token, expires.Add(-1)); !errors.Is(err, ErrInvalid) {
		t.Errorf("another secret: %v", err)
	}
}

// Only what was issued opens. (A worker of the fuzzer is a process of its own
// and gets the seeds of another: they were issued under the same secret.)
func FuzzOpenSession(f *testing.F) {
	s := fixed(1)
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	id, _, token := s.IssueSession(Session{ARN: "arn", Expires: now.Add(time.Hour)})
	f.Add(id, token)
	f.Add("ASIAAAAAAAAAAAAAAAAA", token)
	f.Add(id, "")
	f.Add(id, token[:40])
	f.Fuzz(func(t *testing.T, gotID, gotToken string) {
		k, session, err := s.OpenSession(gotID, gotToken, now)
		switch {
		case err != nil && (k != "" || !errors.Is(err, ErrInvalid)):
			t.Fatalf("%q, %v", k, err)
		case err == nil && (k != s.sessionKey(gotID) || session != Session{ARN: "arn", Expires: session.Expires}):
			t.Fatalf("OpenSession(%q, %q) = %q, %+v", gotID, gotToken, k, session)
		}
	})
}

func TestRandomAccessKey(t *testing.T) {
	id, key := RandomAccessKey()
	if !regexp.MustCompile(`^AKIA[A-Z2-7]{16}$`).MatchString(id) || !regexp.MustCompile(`^[A-Za-z0-9+/]{40}$`).MatchString(key) {
		t.Errorf("made %q and %q", id, key)
	}
	if id2, key2 := RandomAccessKey(); id2 == id || key2 == key {
		t.Error("two calls made one key")
	}
}

func TestCreateThenLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	if _, err := Load(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Load of nothing: %v", err)
	}
	made, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	read, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if read.ID() != made.ID() || !read.Matches(made.CheckValue()) || read.Digest("x") != made.Digest("x") {
		t.Error("the file holds another secret than Create returned")
	}
	if _, err := Create(path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("second Create: %v", err)
	}
	if again, err := Load(path); err != nil || !again.Matches(made.CheckValue()) {
		t.Errorf("the second Create changed the file: %v", err)
	}
	if names, _ := os.ReadDir(filepath.Dir(path)); len(names) != 1 {
		t.Errorf("%d files left, want one", len(names))
	}
}

func TestOneOfManyCreatesWins(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	var mu sync.Mutex
	var made []*Secret
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if s, err := Create(path); err == nil {
				mu.Lock()
				made = append(made, s)
				mu.Unlock()
			} else if !errors.Is(err, fs.ErrExist) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	read, err := Load(path)
	if err != nil || len(made) != 1 || !read.Matches(made[0].CheckValue()) {
		t.Errorf("%d made, Load: %v", len(made), err)
	}
}

func TestLoadRefuses(t *testing.T) {
	dir := t.TempDir()
	whole := header + strings.Repeat("A", 43) + "=\n"
	cases := []struct {
		name, text string
		mode       os.FileMode
		say        string // "" is accepted
	}{
		{"whole", whole, 0o600, ""},
		{"read only", whole, 0o400, ""},
		{"without the line's end", strings.TrimSpace(whole), 0o600, ""},
		{"group can read", whole, 0o640, "chmod 600"},
		{"world can read", whole, 0o604, "chmod 600"},
		{"group can write", whole, 0o620, "chmod 600"},
		{"empty", "", 0o600, "not a secret"},
		{"no header", whole[len(header):], 0o600, "not a secret"},
		{"cut", whole[:30], 0o600, "not a secret"},
		{"too short", header + "AAAA\n", 0o600, "not a secret"},
		{"too long", header + strings.Repeat("A", 88) + "\n", 0o600, "not a secret"},
		{"huge", whole + strings.Repeat(" ", maxFile), 0o600, "not a secret"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(dir, c.name)
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, c.mode); err != nil {
				t.Fatal(err)
			}
			_, err := Load(path)
			if c.say == "" && err != nil || c.say != "" && (err == nil || !strings.Contains(err.Error(), c.say)) {
				t.Errorf("Load: %v, want %q", err, c.say)
			}
			if err != nil && strings.Contains(err.Error(), "AAAA") {
				t.Errorf("the error shows the secret: %v", err)
			}
		})
	}
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "folder") {
		t.Errorf("a folder: %v", err)
	}
}

func TestSecretNeverPrintsItself(t *testing.T) {
	s := fixed(1)
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("start", "secret", s)
	want := "secret " + s.ID()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		if got := fmt.Sprintf(verb, s); got != want {
			t.Errorf("%s prints %q", verb, got)
		}
	}
	if !strings.Contains(log.String(), want) || strings.Contains(log.String(), "session") {
		t.Errorf("logged %s", log.String())
	}
}

func BenchmarkDigest(b *testing.B) {
	s := fixed(1)
	value := strings.Repeat("k", 40)
	b.ReportAllocs()
	for b.Loop() {
		s.Digest(value)
	}
}

func BenchmarkOpenSession(b *testing.B) {
	s := fixed(1)
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	id, _, token := s.IssueSession(Session{ARN: "arn:aws:sts::000000000000:assumed-role/r/f", Expires: now.Add(time.Hour)})
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := s.OpenSession(id, token, now); err != nil {
			b.Fatal(err)
		}
	}
}
