package publish

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	lam "github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// Lambda's limits on code that is uploaded with the call.
const (
	maxZipped   = 50 << 20
	maxUnzipped = 250 << 20
)

// code is a folder as Lambda takes it.
type code struct {
	zip          []byte
	sha256       string // as Lambda tells it
	architecture lam.Architecture
}

// pack makes the zip of a folder. The same files give the same bytes.
func (r *run) pack(ctx context.Context, spec *Spec) (code, error) {
	built, err := spec.detect()
	if err != nil {
		return code{}, err
	}
	var c code
	folder := spec.Folder
	if built {
		dir, err := os.MkdirTemp("", "weir-build-")
		if err != nil {
			return code{}, err
		}
		defer os.RemoveAll(dir)
		goos, goarch := r.platform()
		if err := build(ctx, spec.Folder, goos, goarch, filepath.Join(dir, "bootstrap")); err != nil {
			return code{}, err
		}
		folder = dir
	}
	if c.zip, err = zipFolder(ctx, folder, maxZipped, maxUnzipped); err != nil {
		return code{}, err
	}
	sum := sha256.Sum256(c.zip)
	c.sha256 = base64.StdEncoding.EncodeToString(sum[:])
	c.architecture = architecture(filepath.Join(folder, "bootstrap"))
	return c, nil
}

// architecture is the kind of processor that a folder's program is for; x86_64
// for what is none, which is Lambda's default.
func architecture(program string) lam.Architecture {
	f, err := elf.Open(program)
	if err != nil {
		return lam.ArchitectureX8664
	}
	defer f.Close()
	if f.Machine == elf.EM_AARCH64 {
		return lam.ArchitectureArm64
	}
	return lam.ArchitectureX8664
}

func tooLarge(folder string, limit int64, what string) error {
	return fmt.Errorf("%s is larger than %d MB, the most that Lambda %s: leave out what the function does not need", folder, limit>>20, what)
}

// skipped says what is never part of a function: version control, caches and
// what editors leave behind.
func skipped(name string) bool {
	base := path.Base(name)
	switch base {
	case ".git", ".hg", ".svn", "__pycache__", ".DS_Store", ".idea", ".vscode":
		return true
	case ".cache":
		return path.Base(path.Dir(name)) == "node_modules"
	}
	return strings.HasSuffix(base, "~") || strings.HasPrefix(base, ".") && strings.HasSuffix(base, ".swp") || strings.HasPrefix(base, ".#")
}

// zipFolder packs a folder in the order of names, with fixed times. Links to
// files of the folder become files; nothing outside of it is ever read.
func zipFolder(ctx context.Context, folder string, zipped, unzipped int64) ([]byte, error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	var buf bytes.Buffer
	p := packer{folder: folder, root: root, zip: zip.NewWriter(&buf), left: unzipped}
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case name != "." && skipped(name) && d.IsDir():
			return fs.SkipDir
		case d.IsDir() || skipped(name):
			return nil
		}
		if err := p.add(name); err != nil {
			return err
		}
		if p.left < 0 {
			return tooLarge(folder, unzipped, "unpacks")
		}
		if int64(buf.Len()) > zipped {
			return tooLarge(folder, zipped, "takes zipped in one call")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if p.files == 0 {
		return nil, fmt.Errorf("%s holds no file to publish", folder)
	}
	if err := p.zip.Close(); err != nil {
		return nil, err
	}
	if int64(buf.Len()) > zipped {
		return nil, tooLarge(folder, zipped, "takes zipped in one call")
	}
	return buf.Bytes(), nil
}

type packer struct {
	folder string
	root   *os.Root
	zip    *zip.Writer
	left   int64 // bytes until the limit; negative: it is exceeded
	files  int
}

func (p *packer) add(name string) error {
	info, err := p.root.Stat(name) // follows links, and none out of the folder
	full := filepath.Join(p.folder, filepath.FromSlash(name))
	switch {
	case err != nil:
		return fmt.Errorf("%s cannot be published: %w; a link must lead to a file inside of the folder", full, err)
	case info.IsDir():
		return fmt.Errorf("%s is a link to a folder, which a zip cannot hold: copy the folder there", full)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a file: remove it from the folder", full)
	}
	f, err := p.root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	header := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)}
	header.SetMode(0o644 | info.Mode().Perm()&0o111)
	if info.Mode().Perm()&0o111 != 0 || name == "bootstrap" {
		header.SetMode(0o755)
	}
	w, err := p.zip.CreateHeader(header)
	if err != nil {
		return err
	}
	n, err := io.Copy(w, io.LimitReader(f, p.left+1))
	if err != nil {
		return err
	}
	p.left -= n
	p.files++
	return nil
}
