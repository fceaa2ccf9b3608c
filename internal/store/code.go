package store

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func clearTemporaries(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), Temporary) {
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// codeFile is where the code of a SHA-256 lies in the data folder. With
// PostgreSQL that is a copy of what the database holds.
func (s *Store) codeFile(sum [sha256.Size]byte) string {
	return filepath.Join(s.codeDir(), hex.EncodeToString(sum[:]))
}

// PutCode keeps a function's zip durably and returns its name: the base64 of
// its SHA-256, which is catalog.Function.CodeSHA256. Putting the same zip
// again is no error, and mends a copy that was damaged.
func (s *Store) PutCode(ctx context.Context, zip []byte) (sha string, err error) {
	if err := s.refuse(ctx); err != nil {
		return "", err
	}
	sum := sha256.Sum256(zip)
	sha = base64.StdEncoding.EncodeToString(sum[:])
	if s.cluster != nil {
		if err := s.write(ctx, s.rest, func(w *session) error { return w.putCode(sum, zip) }); err != nil {
			return "", err
		}
	}
	path := s.codeFile(sum)
	if stored, err := os.ReadFile(path); err == nil && bytes.Equal(stored, zip) {
		// It may have been renamed by someone who has not synced yet.
		if err := syncFolder(s.codeDir()); err != nil {
			return "", failed(fmt.Errorf("cannot keep code: %w", err))
		}
		return sha, nil
	}
	if err := WriteDurably(path, zip); err != nil {
		return "", failed(fmt.Errorf("cannot keep code: %w", err))
	}
	return sha, nil
}

// WriteDurably puts data under a name, whole or not at all, and on the disk
// before it returns. Only the owner may read the file.
func WriteDurably(path string, data []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), Temporary)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// CodeFiles lists the function code in a data folder, in order: the files'
// paths below it, with slashes, which end in the SHA-256 of what they hold.
func CodeFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(dir, CodeFolder))
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	var files []string
	for _, e := range entries {
		sum, err := hex.DecodeString(e.Name())
		if err == nil && len(sum) == sha256.Size && hex.EncodeToString(sum) == e.Name() {
			files = append(files, CodeFolder+"/"+e.Name())
		}
	}
	return files, nil
}

// Code reads a function's zip. The error is fs.ErrNotExist when there is none
// of that name, and another when what is stored is not what was put.
func (s *Store) Code(ctx context.Context, sha string) ([]byte, error) {
	if err := s.refuse(ctx); err != nil {
		return nil, err
	}
	decoded, err := base64.StdEncoding.Strict().DecodeString(sha)
	if err != nil || len(decoded) != sha256.Size {
		return nil, errNoCode(sha)
	}
	sum := [sha256.Size]byte(decoded)
	data, err := os.ReadFile(s.codeFile(sum))
	if s.cluster != nil && (err != nil || sha256.Sum256(data) != sum) {
		data, err = s.fetchCode(ctx, sum)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNoCode(sha)
	}
	if err != nil {
		return nil, fmt.Errorf("store: cannot read code: %w", err)
	}
	if got := sha256.Sum256(data); got != sum {
		return nil, &Failure{
			Reason: fmt.Sprintf("the code %x is damaged: update the function's code, or restore a backup", sum),
			err:    fmt.Errorf("its SHA-256 is %x", got),
		}
	}
	return data, nil
}

func errNoCode(sha string) error {
	return fmt.Errorf("store: no code is called %q: %w", sha, fs.ErrNotExist)
}

// codeChunk is how much of a zip is in one row.
const codeChunk = 1 << 20

// putCode keeps a zip in the database, in rows of a size that a server with
// little memory handles. What is there already, whole, is not sent again.
func (c *session) putCode(sum [sha256.Size]byte, zip []byte) error {
	var stored []byte
	if _, err := c.row("SELECT sha256(string_agg(data, ''::bytea ORDER BY n)) FROM code_chunk WHERE sha = ?", []any{sum[:]}, &stored); err != nil {
		return err
	}
	if bytes.Equal(stored, sum[:]) {
		return nil
	}
	// Two nodes that put the same code write one after the other.
	if err := c.exec("INSERT INTO code (sha, size, at) VALUES (?, ?, weir_now()) ON CONFLICT (sha) DO UPDATE SET size = excluded.size", sum[:], int64(len(zip))); err != nil {
		return err
	}
	if err := c.exec("DELETE FROM code_chunk WHERE sha = ?", sum[:]); err != nil {
		return err
	}
	n := 0
	for chunk := range slices.Chunk(zip, codeChunk) {
		if err := c.exec("INSERT INTO code_chunk (sha, n, data) VALUES (?, ?, ?)", sum[:], n, chunk); err != nil {
			return err
		}
		n++
	}
	return nil
}

// fetchCode reads a zip from the database and keeps a copy in the data folder.
// A copy that cannot be written is read from the database again the next time.
func (s *Store) fetchCode(ctx context.Context, sum [sha256.Size]byte) (zip []byte, err error) {
	err = s.read(ctx, func(r *session) error {
		var size int64
		if ok, err := r.row("SELECT size FROM code WHERE sha = ?", []any{sum[:]}, &size); err != nil || !ok {
			return cmp.Or(err, fs.ErrNotExist)
		}
		zip = make([]byte, 0, min(size, maxDocument))
		return r.rows("SELECT data FROM code_chunk WHERE sha = ? ORDER BY n", []any{sum[:]}, func(scan func(...any) error) error {
			var chunk sql.RawBytes
			err := scan(&chunk)
			zip = append(zip, chunk...)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	if sha256.Sum256(zip) == sum {
		if err := WriteDurably(s.codeFile(sum), zip); err != nil {
			s.logger.Warn("a function's code is read from the database each time, because its copy in the data folder cannot be written", "error", err)
		}
	}
	return zip, nil
}
