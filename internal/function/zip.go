package function

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Bounds of a function's code. Source for the size: Lambda quotas.
const (
	maxUnzipped = 262144000
	maxFiles    = 100_000
	maxLinkText = 1024
)

// directoryEntry begins each entry of a zip's directory.
var directoryEntry = []byte("PK\x01\x02")

// AWS's words for code that it does not take.
var (
	errNotZip   = errors.New("Could not unzip uploaded file. Please check your file, then try to upload again.") //nolint:staticcheck // AWS's text
	errUnzipped = fmt.Errorf("Unzipped size must be smaller than %d bytes", maxUnzipped)                         //nolint:staticcheck // AWS's text
)

// CheckZip says in AWS's words why a zip cannot be a function's code, or nil. It
// reads every file to its end, so what it lets through can be unpacked.
func CheckZip(text []byte) error {
	return eachFile(text, func(f *zip.File, content io.Reader) error {
		if f.Mode()&fs.ModeSymlink != 0 && !f.Mode().IsDir() {
			_, err := linkTarget(placeOf(f), content)
			return err
		}
		_, err := io.Copy(io.Discard, content)
		return err
	})
}

// eachFile walks a zip within its bounds. A name or link that leads out of the
// folder, two entries that cannot both be there, a damaged file and a wrong
// length make it errNotZip; errors of each that are not of the zip's making are
// passed on.
func eachFile(text []byte, each func(f *zip.File, content io.Reader) error) error {
	// Counted before anything is made of them: a directory of a million entries
	// is a few megabytes here and hundreds in memory.
	if bytes.Count(text, directoryEntry) > maxFiles {
		return errNotZip
	}
	r, err := zip.NewReader(bytes.NewReader(text), int64(len(text)))
	if err != nil {
		return errNotZip
	}
	var total uint64
	for _, f := range r.File {
		// Each is bounded alone first, so that the sum cannot overflow.
		if f.UncompressedSize64 > maxUnzipped || total+f.UncompressedSize64 > maxUnzipped {
			return errUnzipped
		}
		total += f.UncompressedSize64
	}
	if !consistent(r.File) {
		return errNotZip
	}
	for _, f := range r.File {
		if err := oneFile(f, each); err != nil {
			return err
		}
	}
	return nil
}

// encrypted is the flag of an entry that cannot be read without a password.
const encrypted = 1

// consistent says whether all entries can be unpacked side by side: every name
// is one, no name is two different things, and nothing lies below a file or a
// link. A file that is there twice is: the last one counts, as with unzip.
func consistent(files []*zip.File) bool {
	kinds := make(map[string]fs.FileMode, len(files))
	for _, f := range files {
		kind := f.Mode().Type()
		if kind.IsDir() {
			kind = fs.ModeDir
		}
		if !goodName(f.Name) || f.Flags&encrypted != 0 || (kind != 0 && kind != fs.ModeDir && kind != fs.ModeSymlink) {
			return false // a device, a pipe, a socket
		}
		name := placeOf(f)
		if before, twice := kinds[name]; twice && (before != kind || kind == fs.ModeSymlink) {
			return false
		}
		kinds[name] = kind
	}
	for name := range kinds {
		for up := path.Dir(name); up != "."; up = path.Dir(up) {
			if kind, named := kinds[up]; named && kind != fs.ModeDir {
				return false
			}
		}
	}
	return true
}

// placeOf is where an entry goes: "a/./b", "a//b" and "a/b/." are one place.
func placeOf(f *zip.File) string { return path.Clean(f.Name) }

// Bounds of a name, those of the file systems it has to go into.
const (
	maxName     = 255
	maxFullName = 1024
)

// goodName says whether name is one that stays in the folder, on any system.
func goodName(name string) bool {
	name = strings.TrimSuffix(name, "/")
	if len(name) > maxFullName || strings.ContainsAny(name, "\\\x00") || !filepath.IsLocal(name) || path.Clean(name) == "." {
		return false
	}
	if len(name) > 1 && name[1] == ':' {
		return false // a drive
	}
	for part := range strings.SplitSeq(name, "/") {
		if len(part) > maxName {
			return false
		}
	}
	return true
}

func oneFile(f *zip.File, each func(f *zip.File, content io.Reader) error) error {
	content, err := f.Open()
	if err != nil {
		return errNotZip
	}
	defer content.Close()
	// archive/zip ends a file that is longer than it announced with an error.
	counted := &zipReader{r: content}
	if err := each(f, counted); err != nil {
		if counted.broken {
			return errNotZip
		}
		return err
	}
	return nil
}

// zipReader tells the zip's own errors from those of the disk.
type zipReader struct {
	r      io.Reader
	broken bool
}

func (z *zipReader) Read(p []byte) (int, error) {
	n, err := z.r.Read(p)
	if err != nil && err != io.EOF {
		z.broken = true
	}
	return n, err
}

// unzip unpacks into a new folder. Nothing is written outside it whatever the
// zip says: the operating system resolves every name within the folder.
func unzip(text []byte, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return eachFile(text, func(f *zip.File, content io.Reader) error { return write(root, f, content) })
}

// restore puts back what is missing of an unpacked zip, and leaves alone what
// is there: other environments read it.
func restore(text []byte, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return eachFile(text, func(f *zip.File, content io.Reader) error {
		info, err := root.Lstat(placeOf(f))
		if err == nil && (info.Mode().Type() != 0 || info.Size() == int64(f.UncompressedSize64)) {
			return nil
		}
		return write(root, f, content)
	})
}

func write(root *os.Root, f *zip.File, content io.Reader) error {
	name := placeOf(f)
	if f.Mode().IsDir() {
		if _, err := io.Copy(io.Discard, content); err != nil { // a folder may have content, and it may be damaged
			return err
		}
		return root.MkdirAll(name, 0o755)
	}
	if parent := path.Dir(name); parent != "." {
		if err := root.MkdirAll(parent, 0o755); err != nil {
			return err
		}
	}
	if f.Mode()&fs.ModeSymlink != 0 {
		return link(root, name, content)
	}
	// Lambda runs code as another user than the one who zipped it; here it is
	// one user, who must be able to read what others could.
	mode := f.Mode().Perm() | 0o400
	file, err := root.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_EXCL, mode|0o200)
	if errors.Is(err, fs.ErrExist) { // it is there twice, and the first may be read-only
		if err = root.Remove(name); err == nil {
			file, err = root.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_EXCL, mode|0o200)
		}
	}
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	if err == nil {
		err = file.Chmod(mode)
	}
	return errors.Join(err, file.Close())
}

func link(root *os.Root, name string, content io.Reader) error {
	to, err := linkTarget(name, content)
	if err != nil {
		return err
	}
	return root.Symlink(to, name)
}

// linkTarget reads where a link leads, which must be within the folder.
func linkTarget(name string, content io.Reader) (string, error) {
	text, err := io.ReadAll(io.LimitReader(content, maxLinkText+1))
	if err != nil {
		return "", err
	}
	to := string(text)
	if to == "" || len(to) > maxLinkText || path.IsAbs(to) || strings.ContainsAny(to, "\\\x00") ||
		!filepath.IsLocal(path.Join(path.Dir(name), to)) || climbsLate(to) {
		return "", errNotZip
	}
	return to, nil
}

// climbsLate says whether a path goes down and then up again. What it goes
// down into may be a link, and then up is somewhere else than it says.
func climbsLate(to string) bool {
	down := false
	for part := range strings.SplitSeq(to, "/") {
		if part == ".." && down {
			return true
		}
		down = down || (part != ".." && part != "." && part != "")
	}
	return false
}
