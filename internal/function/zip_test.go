package function

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
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

// flagged makes a zip whose every entry carries a flag of the format.
func flagged(t *testing.T, flag uint16, entries ...entry) []byte {
	text := pack(t, entries...)
	for sign, at := range map[string]int{"PK\x01\x02": 8, "PK\x03\x04": 6} {
		for i := 0; i+at+2 < len(text); i++ {
			if string(text[i:i+4]) == sign {
				binary.LittleEndian.PutUint16(text[i+at:], binary.LittleEndian.Uint16(text[i+at:])|flag)
			}
		}
	}
	return text
}

// methodOf makes a zip whose one entry says that it is packed in another way.
func methodOf(t *testing.T, method uint16) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	f, err := z.CreateRaw(&zip.FileHeader{Name: "a", Method: method, CompressedSize64: 1, UncompressedSize64: 1})
	if err == nil {
		_, err = f.Write([]byte("x"))
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// manyEntries is a zip of n empty files, at 47 bytes each in its directory.
func manyEntries(n int) []byte {
	entry := append([]byte("PK\x01\x02"), make([]byte, 42)...)
	entry[28] = 1 // length of the name
	entry = append(entry, 'a')
	text := bytes.Repeat(entry, n)
	end := append([]byte("PK\x05\x06"), make([]byte, 18)...)
	binary.LittleEndian.PutUint16(end[8:], uint16(n))
	binary.LittleEndian.PutUint16(end[10:], uint16(n))
	binary.LittleEndian.PutUint32(end[12:], uint32(len(text)))
	return append(text, end...)
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

func TestLastOfTwoFilesCounts(t *testing.T) {
	text := pack(t, entry{"a", "first", 0o400}, entry{"./a", "last", 0o644})
	dir := t.TempDir() + "/code"
	if err := errors.Join(CheckZip(text), unzip(text, dir)); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(dir + "/a"); string(got) != "last" {
		t.Errorf("%q, %v", got, err)
	}
}

// FuzzCheckZip: what is let through can be unpacked and is then what the zip
// says; nothing is written or leads outside the folder; and a zip of plain
// names is let through.
func FuzzCheckZip(f *testing.F) {
	f.Add(pack(f, entry{"a", "hello", 0o644}, entry{"b/", "", fs.ModeDir | 0o755}, entry{"b/l", "../a", fs.ModeSymlink | 0o777}))
	f.Add(pack(f, entry{"../evil", "x", 0o644}))
	f.Add(pack(f, entry{"d", ".", fs.ModeSymlink | 0o777}, entry{"q", "d/../evil", fs.ModeSymlink | 0o777}))
	f.Add(pack(f, entry{"a", "1", 0o400}, entry{"a", "2", 0o644}, entry{"a/b", "3", 0o644}))
	f.Add(manyEntries(3))
	parent := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) { holdZip(t, parent, text) })
}

// FuzzZipEntries does the same with two entries of any names and kinds, which
// bytes at random do not get to.
func FuzzZipEntries(f *testing.F) {
	f.Add("a", "hello", uint8(0), "b/c", "../a", uint8(2))
	f.Add("d", ".", uint8(2), "q", "d/../evil", uint8(2))
	f.Add("a", "1", uint8(0), "./a", "2", uint8(0))
	f.Add("a/", "", uint8(1), "a/b", "3", uint8(0))
	f.Add("l", "..", uint8(2), "l/evil", "x", uint8(3))
	f.Add("C:", "x", uint8(0), `..\evil`, "x", uint8(4))
	kinds := []fs.FileMode{0o400, fs.ModeDir | 0o755, fs.ModeSymlink | 0o777, fs.ModeSetuid | 0o755, fs.ModeNamedPipe | 0o644}
	parent := f.TempDir()
	f.Fuzz(func(t *testing.T, name1, text1 string, kind1 uint8, name2, text2 string, kind2 uint8) {
		kind := func(k uint8) fs.FileMode { return kinds[int(k)%len(kinds)] }
		if len(name1) > 60000 || len(name2) > 60000 {
			return // a zip cannot say it
		}
		if strings.HasSuffix(name1, "/") {
			text1 = "" // the writer takes no content for a folder
		}
		if strings.HasSuffix(name2, "/") {
			text2 = ""
		}
		holdZip(t, parent, pack(t, entry{name1, text1, kind(kind1)}, entry{name2, text2, kind(kind2)}))
	})
}

// holdZip holds what is done with a zip to what FuzzCheckZip promises.
func holdZip(t *testing.T, parent string, text []byte) {
	err := CheckZip(text)
	if err != nil && !errors.Is(err, errNotZip) && !errors.Is(err, errUnzipped) {
		t.Fatalf("not in AWS's words: %v", err)
	}
	if err != nil && harmless(text) {
		t.Fatalf("refused: %v", err)
	}
	dir, mkErr := os.MkdirTemp(parent, "")
	if mkErr != nil {
		t.Fatal(mkErr)
	}
	defer os.RemoveAll(dir)
	unzipErr := unzip(text, dir+"/in/code")
	if (err == nil) != (unzipErr == nil) {
		t.Fatalf("checked: %v, unpacked: %v", err, unzipErr)
	}
	for _, place := range []string{dir, dir + "/in"} {
		if got, _ := os.ReadDir(place); len(got) > 1 {
			t.Fatalf("written outside the folder: %v", got)
		}
	}
	if err == nil {
		compareFolder(t, text, dir+"/in/code")
	}
}

// harmless says of a zip, as simply as can be, that there is no reason to
// refuse it: one file after the other, each with a name of its own.
func harmless(text []byte) bool {
	r, err := zip.NewReader(bytes.NewReader(text), int64(len(text)))
	if err != nil || bytes.Count(text, []byte("PK")) > 100 {
		return false
	}
	seen := map[string]bool{}
	for _, f := range r.File {
		if !regexp.MustCompile(`^[a-z]{1,20}$`).MatchString(f.Name) || seen[f.Name] || !f.Mode().IsRegular() || f.Flags&1 != 0 {
			return false
		}
		seen[f.Name] = true
		content, err := f.Open()
		if err != nil {
			return false
		}
		n, err := io.Copy(io.Discard, io.LimitReader(content, 1<<20))
		if err != nil || n == 1<<20 {
			return false
		}
	}
	return true
}

// compareFolder holds an unpacked folder to its zip.
func compareFolder(t *testing.T, text []byte, dir string) {
	r, err := zip.NewReader(bytes.NewReader(text), int64(len(text)))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]*zip.File{}
	for _, f := range r.File {
		want[path.Clean(f.Name)] = f
	}
	err = filepath.WalkDir(dir, func(at string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, at)
		if err != nil {
			return err
		}
		from := want[filepath.ToSlash(name)]
		delete(want, filepath.ToSlash(name))
		switch {
		case from == nil:
			t.Fatalf("%q is not in the zip", name)
		case d.Type() == fs.ModeSymlink:
			if to, err := filepath.EvalSymlinks(at); err == nil && to != dir && !strings.HasPrefix(to, dir+"/") {
				t.Fatalf("%q leads to %s", name, to)
			}
			return nil
		case !d.Type().IsRegular():
			t.Fatalf("%q is %v", name, d.Type())
		}
		if info, err := d.Info(); err != nil || info.Mode()&^fs.ModePerm != 0 {
			t.Fatalf("%q has mode %v (%v)", name, info.Mode(), err)
		}
		content, err := from.Open()
		if err != nil {
			return err
		}
		wanted, err := io.ReadAll(content)
		if err != nil {
			return err
		}
		if got, err := os.ReadFile(at); err != nil || !bytes.Equal(got, wanted) {
			t.Fatalf("%q is %q, want %q (%v)", name, got, wanted, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range want {
		if !f.Mode().IsDir() {
			t.Fatalf("%q is missing", name)
		}
	}
}

func TestZipsThatAreRefused(t *testing.T) {
	damaged := pack(t, entry{"a", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", 0o644})
	damaged[36] ^= 0xff
	for name, c := range map[string]struct {
		text []byte
		want error
	}{
		"not a zip":                          {[]byte("hello"), errNotZip},
		"nothing":                            {nil, errNotZip},
		"cut off":                            {pack(t, entry{"a", "b", 0o644})[:30], errNotZip},
		"damaged":                            {damaged, errNotZip},
		"parent":                             {pack(t, entry{"../evil", "x", 0o644}), errNotZip},
		"link out, its name ending in a dot": {pack(t, entry{"d/.", "..", fs.ModeSymlink | 0o777}), errNotZip},
		"parent within":                      {pack(t, entry{"a/../../evil", "x", 0o644}), errNotZip},
		"absolute":                           {pack(t, entry{"/etc/evil", "x", 0o644}), errNotZip},
		"backslash":                          {pack(t, entry{`..\evil`, "x", 0o644}), errNotZip},
		"drive":                              {pack(t, entry{"C:/evil", "x", 0o644}), errNotZip},
		"NUL in a name":                      {pack(t, entry{"a\x00b", "x", 0o644}), errNotZip},
		"name that is too long":              {pack(t, entry{strings.Repeat("a", maxName+1), "x", 0o644}), errNotZip},
		"absolute link":                      {pack(t, entry{"l", "/etc/passwd", fs.ModeSymlink | 0o777}), errNotZip},
		"link to the parent":                 {pack(t, entry{"a/l", "../../x", fs.ModeSymlink | 0o777}), errNotZip},
		"link out by a link":                 {pack(t, entry{"d", ".", fs.ModeSymlink | 0o777}, entry{"q", "d/../x", fs.ModeSymlink | 0o777}), errNotZip},
		"empty link":                         {pack(t, entry{"l", "", fs.ModeSymlink | 0o777}), errNotZip},
		"file below a link":                  {pack(t, entry{"l", "d", fs.ModeSymlink | 0o777}, entry{"l/x", "x", 0o644}), errNotZip},
		"file below a file":                  {pack(t, entry{"a/b", "x", 0o644}, entry{"a", "x", 0o644}), errNotZip},
		"file and link":                      {pack(t, entry{"a", "x", 0o644}, entry{"a", "b", fs.ModeSymlink | 0o777}), errNotZip},
		"encrypted":                          {flagged(t, encrypted, entry{"a", "x", 0o644}), errNotZip},
		"unsupported compression":            {methodOf(t, 99), errNotZip},
		"announces too much":                 {bomb(t, maxUnzipped+1), errUnzipped},
		"announces too little":               {bomb(t, 10), errNotZip},
		"device":                             {pack(t, entry{"d", "", fs.ModeDevice | 0o644}), errNotZip},
		"sum is too much":                    {announce(t, maxUnzipped-1, entry{"a", "x", 0o644}, entry{"b", "x", 0o644}), errUnzipped},
		"too many files":                     {manyEntries(maxFiles + 1), errNotZip},
	} {
		t.Run(name, func(t *testing.T) {
			if err := CheckZip(c.text); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
	if s := errNotZip.Error(); s != "Could not unzip uploaded file. Please check your file, then try to upload again." {
		t.Error(s)
	}
	if s := errUnzipped.Error(); s != "Unzipped size must be smaller than 262144000 bytes" {
		t.Error(s)
	}
}

// A directory of entries costs no more memory than it has bytes.
func TestManyEntriesCostLittle(t *testing.T) {
	text := manyEntries(1_000_000)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := CheckZip(text)
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; !errors.Is(err, errNotZip) || grown > 1<<20 {
		t.Errorf("%v after %d bytes", err, grown)
	}
}
