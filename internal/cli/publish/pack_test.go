package publish

import (
	"archive/zip"
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func pack(t *testing.T, dir string) ([]byte, error) {
	t.Helper()
	return zipFolder(t.Context(), dir, maxZipped, maxUnzipped)
}

func TestAZipHoldsWhatAFunctionNeeds(t *testing.T) {
	dir := folder(t, map[string]string{
		"main.py": "x", "lib/a.py": "y", "lib/.env": "z", "run.sh": "#!/bin/sh", "cache/.cache/kept": "k",
		".git/HEAD": "-", "lib/__pycache__/a.pyc": "-", "node_modules/.cache/x": "-", "node_modules/m/index.js": "m",
		".main.py.swp": "-", "main.py~": "-", ".DS_Store": "-", ".vscode/settings.json": "-", "lib/.#a.py": "-",
	})
	if err := os.Chmod(filepath.Join(dir, "run.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	first := must[[]byte](t)(pack(t, dir))
	r := must[*zip.Reader](t)(zip.NewReader(bytes.NewReader(first), int64(len(first))))
	var names []string
	for _, f := range r.File {
		names = append(names, f.Name)
		want := os.FileMode(0o644)
		if f.Name == "run.sh" {
			want = 0o755
		}
		if f.Mode() != want {
			t.Errorf("%s has the mode %s, want %s", f.Name, f.Mode(), want)
		}
	}
	want := []string{"cache/.cache/kept", "lib/.env", "lib/a.py", "main.py", "node_modules/m/index.js", "run.sh"}
	if slices.Sort(names); !slices.Equal(names, want) {
		t.Errorf("it holds %v\nwant %v", names, want)
	}

	// Another time of the same files is no change.
	if err := os.Chtimes(filepath.Join(dir, "main.py"), time.Now(), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if again := must[[]byte](t)(pack(t, dir)); !bytes.Equal(again, first) {
		t.Error("the same files gave other bytes")
	}
}

func TestLinksInAFolder(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "secret")
	write(t, filepath.Dir(outside), map[string]string{"secret": "keep out"})
	for _, c := range []struct{ name, target, fails string }{
		{"to a file of the folder", "main.py", ""},
		{"to a file outside", outside, "a link must lead to a file inside of the folder"},
		{"out by dots", "../../secret", "a link must lead to a file inside of the folder"},
		{"to nothing", "absent", "a link must lead to a file inside of the folder"},
		{"to a folder", "lib", "is a link to a folder"},
		{"to itself", "link", "cannot be published"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := folder(t, map[string]string{"main.py": "x", "lib/a.py": "y"})
			if err := os.Symlink(c.target, filepath.Join(dir, "link")); err != nil {
				t.Skip("skipped: no links here: ", err)
			}
			packed, err := pack(t, dir)
			if c.fails == "" {
				r := must[*zip.Reader](t)(zip.NewReader(bytes.NewReader(packed), int64(len(packed))))
				if f := must[interface{ Close() error }](t)(r.Open("link")); f.Close() != nil {
					t.Error("the link is no file")
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.fails) || !strings.Contains(err.Error(), filepath.Join(dir, "link")) {
				t.Errorf("it said %v", err)
			}
			if bytes.Contains(packed, []byte("keep out")) {
				t.Error("what is outside was read")
			}
		})
	}
}

func TestAFolderThatLambdaWouldNotTake(t *testing.T) {
	random := make([]byte, 300<<10) // does not shrink
	source := rand.NewChaCha8([32]byte{1})
	if _, err := source.Read(random); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name             string
		files            map[string]string
		zipped, unzipped int64
		fails            string
	}{
		{"empty", map[string]string{".git/HEAD": "-"}, 1 << 20, 1 << 20, "holds no file to publish"},
		{"at the limit", map[string]string{"a": strings.Repeat("x", 1<<20)}, 1 << 20, 1 << 20, ""},
		{"unpacked too large", map[string]string{"a": strings.Repeat("x", 1<<19), "b": strings.Repeat("x", 1<<19+1)}, 1 << 20, 1 << 20, "larger than 1 MB, the most that Lambda unpacks"},
		{"zipped too large", map[string]string{"a": string(random), "b": "b"}, 200 << 10, 1 << 20, "the most that Lambda takes zipped in one call"},
		{"zipped too large by the last bytes", map[string]string{"a": string(random)}, 290 << 10, 1 << 20, "the most that Lambda takes zipped in one call"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := zipFolder(t.Context(), folder(t, c.files), c.zipped, c.unzipped)
			if c.fails == "" && err != nil || c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)) {
				t.Errorf("it said %v, want %q", err, c.fails)
			}
		})
	}
}
