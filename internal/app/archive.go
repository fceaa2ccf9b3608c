package app

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"time"

	"github.com/klauspost/compress/zstd"

	"weir/internal/store"
)

// A backup is a tar file, compressed with zstd: the manifest, then the files
// that it lists, in its order and nothing else. So a reader knows beforehand
// what comes, how much room it takes and what its checksums are.

// Manifest says what a backup holds.
type Manifest struct {
	Format  int            `json:"format"`  // of the archive
	Version string         `json:"version"` // of the weir that made it
	Schema  int            `json:"schema"`  // of the database in it
	Created time.Time      `json:"created"` // what was acknowledged before is in it
	Files   []ManifestFile `json:"files"`
}

// ManifestFile is one file of a data folder.
type ManifestFile struct {
	Name   string `json:"name"` // below the data folder, with slashes
	Size   int64  `json:"size"` // bytes
	SHA256 string `json:"sha256"`
}

// Bytes is how much room the files take.
func (m *Manifest) Bytes() (n int64) {
	for _, f := range m.Files {
		n += f.Size
	}
	return n
}

const (
	archiveFormat = 1
	manifestName  = "manifest.json"
	maxManifest   = 32 << 20 // bytes: some 200,000 files
	maxWindow     = 8 << 20  // bytes of memory that a reader gives to decompression
)

// Names in a data folder, and in a backup, beside the store's.
const (
	secretName  = "secret"
	rootKeyName = "root-access-key.json"
)

// largest is how many bytes a file of a backup may have; 0 for a name that is
// not part of one.
func largest(name string) int64 {
	switch {
	case name == store.DatabaseFile:
		return 1 << 44
	case name == secretName, name == rootKeyName:
		return 4096
	case codeName.MatchString(name):
		return 1 << 30
	}
	return 0
}

var codeName = regexp.MustCompile(`^` + store.CodeFolder + `/[0-9a-f]{64}$`)

// validate refuses a manifest that no backup of this format can have.
func (m *Manifest) validate() error {
	if m.Format != archiveFormat {
		return fmt.Errorf("the backup has format %d, and this weir knows format %d: use the weir that made it (%q)", m.Format, archiveFormat, m.Version)
	}
	seen := map[string]bool{}
	for _, f := range m.Files {
		switch most := largest(f.Name); {
		case most == 0:
			return damaged(fmt.Errorf("it lists a file %q, which is not part of a backup", f.Name))
		case f.Size < 0 || f.Size > most:
			return damaged(fmt.Errorf("it gives %s %d bytes, more than such a file can have", f.Name, f.Size))
		case seen[f.Name]:
			return damaged(fmt.Errorf("it lists %s twice", f.Name))
		}
		seen[f.Name] = true
	}
	for _, name := range []string{store.DatabaseFile, secretName, rootKeyName} {
		if !seen[name] {
			return damaged(fmt.Errorf("it lists no %s", name))
		}
	}
	return nil
}

func damaged(err error) error {
	return fmt.Errorf("the backup is damaged, cut short or was changed: %w: use another one", err)
}

// writeArchive writes a backup of the files that m lists; path says where each
// lies. A file that is not what the manifest says ends it with an error.
func writeArchive(w io.Writer, m *Manifest, path func(name string) string) error {
	// One goroutine and a small window: a backup is made beside callers.
	z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return err
	}
	t := tar.NewWriter(z)
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if err := writeEntry(t, m, manifestName, int64(len(text)), bytes.NewReader(text)); err != nil {
		return err
	}
	for _, f := range m.Files {
		if err := writeFile(t, m, f, path(f.Name)); err != nil {
			return err
		}
	}
	if err := t.Close(); err != nil {
		return err
	}
	return z.Close()
}

func writeFile(t *tar.Writer, m *Manifest, f ManifestFile, path string) error {
	r, err := os.Open(path)
	if err != nil {
		return err
	}
	defer r.Close()
	sum := sha256.New()
	if err := writeEntry(t, m, f.Name, f.Size, io.TeeReader(r, sum)); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != f.SHA256 {
		return fmt.Errorf("%s is damaged (its SHA-256 is %s, not %s): update the code of the function that uses it, or remove it when none does", path, got, f.SHA256)
	}
	return nil
}

func writeEntry(t *tar.Writer, m *Manifest, name string, size int64, r io.Reader) error {
	if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: size, ModTime: m.Created, Typeflag: tar.TypeReg}); err != nil {
		return err
	}
	if _, err := io.CopyN(t, r, size); err != nil {
		return err
	}
	return nil
}

// readArchive reads a backup to its end. accept sees the manifest before
// anything else is read; put gets each file and reads it whole. Everything is
// checked against the manifest, and r is at its end when the error is nil.
func readArchive(r io.Reader, accept func(*Manifest) error, put func(ManifestFile, io.Reader) error) (_ *Manifest, err error) {
	in := &counter{r: r}
	defer func() {
		if err != nil && in.err != nil {
			err = in.err // whoever sends it failed, and it is not the backup's fault
		}
	}()
	z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	t := tar.NewReader(z)
	m, err := readManifest(t)
	if err != nil {
		return nil, err
	}
	if err := accept(m); err != nil {
		return nil, err
	}
	for _, f := range m.Files {
		if err := readFile(t, f, put); err != nil {
			return nil, err
		}
	}
	if h, err := t.Next(); err == nil {
		return nil, damaged(fmt.Errorf("it holds %q, which its manifest does not list", h.Name))
	} else if !errors.Is(err, io.EOF) {
		return nil, damaged(err)
	}
	if n, err := io.Copy(io.Discard, io.LimitReader(z, 1)); n > 0 || err != nil {
		return nil, damaged(errors.Join(errors.New("something follows its end"), err))
	}
	return m, nil
}

func readManifest(t *tar.Reader) (*Manifest, error) {
	h, err := t.Next()
	if errors.Is(err, zstd.ErrMagicMismatch) || errors.Is(err, tar.ErrHeader) || err == nil && h.Name != manifestName {
		return nil, errors.New("this is not a backup of weir: name a file that 'weir backup' made")
	}
	if err == nil && (h.Typeflag != tar.TypeReg || h.Size > maxManifest) {
		err = errors.New("its manifest is no file, or too large")
	}
	if err != nil {
		return nil, damaged(endless(err))
	}
	m := &Manifest{}
	text, err := io.ReadAll(io.LimitReader(t, maxManifest))
	if err == nil {
		err = json.Unmarshal(text, m)
	}
	if err != nil {
		return nil, damaged(err)
	}
	return m, m.validate()
}

func readFile(t *tar.Reader, f ManifestFile, put func(ManifestFile, io.Reader) error) error {
	h, err := t.Next()
	if err != nil {
		return damaged(endless(err))
	}
	if h.Name != f.Name || h.Size != f.Size || h.Typeflag != tar.TypeReg {
		return damaged(fmt.Errorf("it holds %q (%d bytes) where its manifest lists %s (%d bytes)", h.Name, h.Size, f.Name, f.Size))
	}
	sum := sha256.New()
	counted := &counter{r: io.TeeReader(t, sum)}
	if err := put(f, counted); err != nil {
		if counted.err != nil {
			return damaged(endless(counted.err))
		}
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); counted.n != f.Size || got != f.SHA256 {
		return damaged(fmt.Errorf("the SHA-256 of %s is %s, and its manifest says %s", f.Name, got, f.SHA256))
	}
	return nil
}

// counter counts what is read and keeps the error that ended it.
type counter struct {
	r   io.Reader
	n   int64
	err error
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		c.err = err
	}
	return n, err
}

// endless makes an early end an error of its own: to a reader, the end of a
// stream is none.
func endless(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// hashFile measures a file for the manifest.
func hashFile(name, path string) (ManifestFile, error) {
	r, err := os.Open(path)
	if err != nil {
		return ManifestFile{}, err
	}
	defer r.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, r)
	return ManifestFile{Name: name, Size: n, SHA256: hex.EncodeToString(sum.Sum(nil))}, err
}
