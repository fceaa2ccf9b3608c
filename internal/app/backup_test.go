package app_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"weir/internal/app"
	"weir/internal/store"
)

// stoppedFolder is the data folder of a server that was started once, with a
// file of code.
func stoppedFolder(t *testing.T) string {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	stopped(t, started(t, options(data)))
	s, err := store.Open(t.Context(), store.Options{Dir: data})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.PutCode(t.Context(), bytes.Repeat([]byte("code "), 10_000)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return data
}

func backupOf(t *testing.T, data string) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := app.Backup(t.Context(), &b, data, "", "v1"); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// entry is one file of a backup.
type entry struct {
	name string
	text []byte
	kind byte // 0: a regular file
	link string
	size int64 // 0: that of text
}

// unpacked takes a backup apart.
func unpacked(t *testing.T, backup []byte) []entry {
	t.Helper()
	z, err := zstd.NewReader(bytes.NewReader(backup))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	var all []entry
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, entry{name: h.Name, text: text})
	}
}

// packed puts a backup together again.
func packed(t *testing.T, entries []entry, options ...zstd.EOption) []byte {
	t.Helper()
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b, options...)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: 0o600, Size: max(e.size, int64(len(e.text))), Typeflag: e.kind, Linkname: e.link}
		if e.kind != 0 {
			h.Size = 0
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if e.kind == 0 {
			if _, err := w.Write(e.text); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = w.Close() // fails for an entry that is shorter than it says, which is meant
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// listed bends the manifest, the first entry.
func listed(t *testing.T, entries []entry, bend func(m *app.Manifest)) []entry {
	t.Helper()
	var m app.Manifest
	if err := json.Unmarshal(entries[0].text, &m); err != nil {
		t.Fatal(err)
	}
	bend(&m)
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return append([]entry{{name: entries[0].name, text: text}}, entries[1:]...)
}

func TestBackupAndRestore(t *testing.T) {
	data := stoppedFolder(t)
	backup := backupOf(t, data)
	if entries, err := filepath.Glob(filepath.Join(data, store.Temporary+"*")); len(entries) != 0 || err != nil {
		t.Errorf("the backup left %v, %v", entries, err)
	}
	for _, there := range []string{"missing", "empty"} {
		restored := filepath.Join(t.TempDir(), "restored")
		if there == "empty" {
			if err := os.MkdirAll(filepath.Join(restored, "lost+found"), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		m, err := app.Restore(t.Context(), bytes.NewReader(backup), restored)
		if err != nil {
			t.Fatal(err)
		}
		if m.Version != "v1" || m.Schema != store.SchemaVersion() || m.Created.IsZero() || len(m.Files) != 4 {
			t.Errorf("the manifest says %+v", m)
		}
		for _, f := range m.Files {
			if f.Name == "weir.db" {
				continue // brought to this schema and journal
			}
			file := filepath.Join(restored, filepath.FromSlash(f.Name))
			got, err := os.ReadFile(file)
			want, err2 := os.ReadFile(filepath.Join(data, filepath.FromSlash(f.Name)))
			if err != nil || err2 != nil || !bytes.Equal(got, want) {
				t.Errorf("%s differs: %v, %v", f.Name, err, err2)
			}
			if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v, %v", f.Name, info.Mode(), err)
			}
		}
		stopped(t, started(t, options(restored)))
		if _, err := app.Restore(t.Context(), bytes.NewReader(backup), restored); err == nil || !strings.Contains(err.Error(), "not empty") {
			t.Errorf("restoring over it again says %v", err)
		}
	}
}

// TestRestoreRefuses: what is no whole backup leaves nothing behind.
func TestRestoreRefuses(t *testing.T) {
	data := stoppedFolder(t)
	good := backupOf(t, data)
	entries := unpacked(t, good)
	other := unpacked(t, backupOf(t, stoppedFolder(t)))
	with := func(i int, e entry) []entry {
		bent := append([]entry{}, entries...)
		bent[i] = e
		return bent
	}
	flipped := func(at int) []byte {
		bent := bytes.Clone(good)
		bent[at] ^= 0x20
		return bent
	}
	rename := func(i int, name string) []byte {
		bent := with(i+1, entry{name: name, text: entries[i+1].text})
		return packed(t, listed(t, bent, func(m *app.Manifest) { m.Files[i].Name = name }))
	}
	noSecret := func(m *app.Manifest) { m.Files[1].Size, m.Files[1].SHA256 = 0, hexSum(nil) } // only its kind is wrong
	for _, c := range []struct {
		name   string
		backup []byte
		want   string
	}{
		{"nothing", nil, "cut short"},
		{"another file", []byte("PK\x03\x04 is a zip"), "not a backup of weir"},
		{"another archive", packed(t, []entry{{name: "hello", text: []byte("x")}}), "not a backup of weir"},
		{"cut short in the manifest", good[:60], "cut short"},
		{"cut short in the middle", good[:len(good)/2], "cut short"},
		{"cut short at the end", good[:len(good)-1], "cut short"},
		{"without its last file", packed(t, entries[:len(entries)-1]), "cut short"},
		{"a changed byte", flipped(len(good) / 2), "damaged"},
		{"something behind its end", append(bytes.Clone(good), "more"...), "damaged"},
		{"a file more than listed", packed(t, append(entries[:len(entries):len(entries)], entry{name: "extra", text: []byte("x")})), `holds "extra"`},
		{"another content of the same size", packed(t, with(2, entry{name: "secret", text: bytes.Repeat([]byte("x"), len(entries[2].text))})), "SHA-256 of secret"},
		{"another size", packed(t, with(2, entry{name: "secret", text: []byte("x")})), "1 bytes"},
		{"a path out of the folder", rename(1, "../secret"), `"../secret", which is not part of a backup`},
		{"an absolute path", rename(1, "/etc/passwd"), "not part of a backup"},
		{"a path through a folder", rename(3, "code/../../"+strings.Repeat("0", 64)), "not part of a backup"},
		{"a link", packed(t, listed(t, with(2, entry{name: "secret", kind: tar.TypeSymlink, link: "/etc/passwd"}), noSecret)), "damaged"},
		{"a device", packed(t, listed(t, with(2, entry{name: "secret", kind: tar.TypeChar}), noSecret)), "damaged"},
		{"a file listed twice", packed(t, listed(t, entries, func(m *app.Manifest) { m.Files = append(m.Files, m.Files[0]) })), "twice"},
		{"no secret", packed(t, listed(t, append(append([]entry{}, entries[:2]...), entries[3:]...), func(m *app.Manifest) { m.Files = append(m.Files[:1:1], m.Files[2:]...) })), "lists no secret"},
		{"a huge secret", packed(t, listed(t, entries, func(m *app.Manifest) { m.Files[1].Size = 1 << 40 })), "more than such a file can have"},
		{"more than the disk holds", packed(t, listed(t, entries, func(m *app.Manifest) { m.Files[0].Size = 1 << 44 })), "has room for"},
		{"a negative size", packed(t, listed(t, entries, func(m *app.Manifest) { m.Files[0].Size = -1 })), "damaged"},
		{"a window that takes much memory", packed(t, append(entries[:len(entries):len(entries)], entry{name: "x", text: make([]byte, 40<<20)}), zstd.WithWindowSize(64<<20)), "damaged"},
		{"a manifest that is no JSON", packed(t, with(0, entry{name: "manifest.json", text: []byte("{")})), "damaged"},
		{"another format", packed(t, listed(t, entries, func(m *app.Manifest) { m.Format = 2 })), "format 2"},
		{"a newer schema", packed(t, listed(t, entries, func(m *app.Manifest) { m.Schema = 99; m.Version = "v9" })), "made by weir v9 and has schema version 99"},
		{"the secret of another server", packed(t, listed(t, with(2, other[2]), func(m *app.Manifest) { m.Files[1].SHA256 = hexSum(other[2].text) })), "not the one that its database was stored under"},
		{"a database that is none", packed(t, listed(t, with(1, entry{name: "weir.db", text: []byte("no database")}), func(m *app.Manifest) {
			m.Files[0].Size, m.Files[0].SHA256 = 11, hexSum([]byte("no database"))
		})), "cannot be served"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "more than the disk holds" && !knowsFreeSpace() {
				t.Skip("skipped: free space is not known on this system")
			}
			parent := t.TempDir()
			_, err := app.Restore(t.Context(), bytes.NewReader(c.backup), filepath.Join(parent, "restored"))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Restore says %v, want something with %q", err, c.want)
			}
			if left, _ := os.ReadDir(parent); len(left) != 0 {
				t.Errorf("it left %v", left)
			}
			if c.want != "has room for" && !strings.Contains(c.want, "served") && !strings.Contains(c.name, "secret of another") {
				if _, err := app.CheckBackup(bytes.NewReader(c.backup), nil); err == nil {
					t.Error("CheckBackup accepts it")
				}
			}
		})
	}
	// A folder that was there stays there, empty.
	empty := t.TempDir()
	if _, err := app.Restore(t.Context(), bytes.NewReader(good[:len(good)-1]), empty); err == nil {
		t.Error("a backup cut short was restored")
	}
	if left, err := os.ReadDir(empty); len(left) != 0 || err != nil {
		t.Errorf("it left %v, %v", left, err)
	}
}

func hexSum(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// TestEveryCutIsSeen: a backup cut at any length is refused.
func TestEveryCutIsSeen(t *testing.T) {
	good := backupOf(t, stoppedFolder(t))
	if _, err := app.CheckBackup(bytes.NewReader(good), nil); err != nil {
		t.Fatal(err)
	}
	for n := 0; n < len(good); n += 7 {
		if _, err := app.CheckBackup(bytes.NewReader(good[:n]), nil); err == nil {
			t.Errorf("%d of %d bytes are taken for a backup", n, len(good))
		}
	}
}

func TestBackupRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		bend func(t *testing.T, data string)
		want string
	}{
		{"a folder that is none of weir's", func(t *testing.T, data string) { must(t, os.Remove(filepath.Join(data, "weir.db"))) }, "not a data folder of weir"},
		{"a missing secret", func(t *testing.T, data string) { must(t, os.Remove(filepath.Join(data, "secret"))) }, "secret"},
		{"another server's secret", func(t *testing.T, data string) {
			text, err := os.ReadFile(filepath.Join(stoppedFolder(t), "secret"))
			must(t, err)
			must(t, os.WriteFile(filepath.Join(data, "secret"), text, 0o600))
		}, "not the one that the data"},
		{"a damaged file of code", func(t *testing.T, data string) {
			names, err := store.CodeFiles(data)
			must(t, err)
			file := filepath.Join(data, filepath.FromSlash(names[0]))
			info, err := os.Stat(file)
			must(t, err)
			must(t, os.WriteFile(file, make([]byte, info.Size()), 0o600))
		}, "is damaged"},
		{"a folder in use", func(t *testing.T, data string) {
			lock, err := store.LockFolder(data)
			must(t, err)
			t.Cleanup(func() { lock.Release() })
		}, "in use by process"},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := stoppedFolder(t)
			c.bend(t, data)
			var b bytes.Buffer
			if err := app.Backup(t.Context(), &b, data, "", ""); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Backup says %v, want something with %q", err, c.want)
			}
			if _, err := app.CheckBackup(&b, nil); err == nil {
				t.Error("what it wrote is taken for a backup")
			}
			if left, _ := filepath.Glob(filepath.Join(data, store.Temporary+"*")); len(left) != 0 {
				t.Errorf("it left %v", left)
			}
		})
	}
}

// TestInterruptedRestore: what a crash left of a restore is no data folder.
func TestInterruptedRestore(t *testing.T) {
	data := stoppedFolder(t)
	must(t, os.Mkdir(filepath.Join(data, store.Restoring), 0o700))
	if _, err := app.New(t.Context(), options(data)); err == nil || !strings.Contains(err.Error(), "restore") || !strings.Contains(err.Error(), "cut short") {
		t.Errorf("New says %v", err)
	}
}

// TestLeftoversOfABackup: what a crash left of a backup is gone with the next
// start.
func TestLeftoversOfABackup(t *testing.T) {
	data := stoppedFolder(t)
	left := filepath.Join(data, store.Temporary+"backup-1")
	must(t, os.Mkdir(left, 0o700))
	must(t, os.WriteFile(filepath.Join(left, "weir.db"), []byte("half"), 0o600))
	stopped(t, started(t, options(data)))
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func knowsFreeSpace() bool { return runtime.GOOS == "linux" || runtime.GOOS == "darwin" }
