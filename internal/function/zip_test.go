package function

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

type entry struct {
	name, text string
	mode       fs.FileMode
}

func pack(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		h.SetMode(e.mode)
		f, err := z.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, e.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestUnzipKeepsFilesModesAndLinks(t *testing.T) {
	text := pack(t, entry{"bootstrap", "#!/bin/sh", 0o755}, entry{"lib/", "", fs.ModeDir | 0o700}, entry{"lib/a.so.1", "so", 0o644},
		entry{"lib/a.so", "a.so.1", fs.ModeSymlink | 0o777}, entry{"deep/er/x", "x", 0}, entry{"deep/up", "../bootstrap", fs.ModeSymlink | 0o777},
		entry{"suid", "x", fs.ModeSetuid | 0o755})
	if err := CheckZip(text); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir() + "/code"
	if err := unzip(text, dir); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{"bootstrap": 0o755, "lib/a.so.1": 0o644, "lib/a.so": 0o644, "deep/er/x": 0o400, "deep/up": 0o755, "suid": 0o755} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode() != want {
			t.Errorf("%s: %v (%v), want %v", name, info.Mode(), err, want)
		}
	}
	if b, err := os.ReadFile(dir + "/lib/a.so"); string(b) != "so" {
		t.Errorf("%q, %v", b, err)
	}
}

// announce makes a zip whose directory lies about the size of every file.
func announce(t *testing.T, size uint32, entries ...entry) []byte {
	text := pack(t, entries...)
	for at := 0; ; {
		i := bytes.Index(text[at:], []byte("PK\x01\x02")) // an entry of the directory
		if i < 0 {
			return text
		}
		at += i + 4
		binary.LittleEndian.PutUint32(text[at+20:], size)
	}
}

func bomb(t *testing.T, announced uint32) []byte {
	return announce(t, announced, entry{"zeros", string(make([]byte, 1<<20)), 0o644})
}

func TestUnzipOfWhatLeadsOut(t *testing.T) {
	for _, text := range [][]byte{
		pack(t, entry{"../evil", "x", 0o644}),
		pack(t, entry{"l", "..", fs.ModeSymlink | 0o777}, entry{"l/evil", "x", 0o644}),
	} {
		dir := t.TempDir()
		if err := unzip(text, dir+"/code"); !errors.Is(err, errNotZip) {
			t.Errorf("error %v", err)
		}
		if _, err := os.Lstat(dir + "/evil"); err == nil {
			t.Error("a file was written outside the folder")
		}
	}
}

func FuzzCheckZip(f *testing.F) {
	f.Add(pack(f, entry{"a", "hello", 0o644}, entry{"b/", "", fs.ModeDir | 0o755}, entry{"b/l", "../a", fs.ModeSymlink | 0o777}))
	f.Add(pack(f, entry{"../evil", "x", 0o644}))
	parent := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) {
		err := CheckZip(text)
		if err != nil && !errors.Is(err, errNotZip) && !errors.Is(err, errUnzipped) {
			t.Fatalf("not in AWS's words: %v", err)
		}
		dir, mkErr := os.MkdirTemp(parent, "")
		if mkErr != nil {
			t.Fatal(mkErr)
		}
		defer os.RemoveAll(dir)
		_ = unzip(text, dir+"/in/code")
		for _, place := range []string{dir, dir + "/in"} {
			if got, _ := os.ReadDir(place); len(got) > 1 {
				t.Fatalf("written outside the folder: %v", got)
			}
		}
	})
}

func TestZipsThatAreRefused(t *testing.T) {
	damaged := pack(t, entry{"a", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", 0o644})
	damaged[36] ^= 0xff
	for name, c := range map[string]struct {
		text []byte
		want error
	}{
		"not a zip":            {[]byte("hello"), errNotZip},
		"nothing":              {nil, errNotZip},
		"cut off":              {pack(t, entry{"a", "b", 0o644})[:30], errNotZip},
		"damaged":              {damaged, errNotZip},
		"parent":               {pack(t, entry{"../evil", "x", 0o644}), errNotZip},
		"parent within":        {pack(t, entry{"a/../../evil", "x", 0o644}), errNotZip},
		"absolute":             {pack(t, entry{"/etc/evil", "x", 0o644}), errNotZip},
		"backslash":            {pack(t, entry{`..\evil`, "x", 0o644}), errNotZip},
		"absolute link":        {pack(t, entry{"l", "/etc/passwd", fs.ModeSymlink | 0o777}), errNotZip},
		"link to the parent":   {pack(t, entry{"a/l", "../../x", fs.ModeSymlink | 0o777}), errNotZip},
		"announces too much":   {bomb(t, maxUnzipped+1), errUnzipped},
		"announces too little": {bomb(t, 10), errNotZip},
		"device":               {pack(t, entry{"d", "", fs.ModeDevice | 0o644}), errNotZip},
		"sum is too much":      {announce(t, maxUnzipped-1, entry{"a", "x", 0o644}, entry{"b", "x", 0o644}), errUnzipped},
	} {
		if err := CheckZip(c.text); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if s := errNotZip.Error(); s != "Could not unzip uploaded file. Please check your file, then try to upload again." {
		t.Error(s)
	}
	if s := errUnzipped.Error(); s != "Unzipped size must be smaller than 262144000 bytes" {
		t.Error(s)
	}
}
