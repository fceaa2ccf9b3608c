package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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

// PutCode keeps a function's zip durably and returns its name: the base64 of
// its SHA-256, which is catalog.Function.CodeSHA256. Putting the same zip
// again is no error, and mends a file that was damaged.
func (s *Store) PutCode(ctx context.Context, zip []byte) (sha string, err error) {
	if err := s.refuse(ctx); err != nil {
		return "", err
	}
	sum := sha256.Sum256(zip)
	sha = base64.StdEncoding.EncodeToString(sum[:])
	path := filepath.Join(s.codeDir(), hex.EncodeToString(sum[:]))
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
	sum, err := base64.StdEncoding.Strict().DecodeString(sha)
	if err != nil || len(sum) != sha256.Size {
		return nil, fmt.Errorf("store: no code is called %q: %w", sha, fs.ErrNotExist)
	}
	data, err := os.ReadFile(filepath.Join(s.codeDir(), hex.EncodeToString(sum)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("store: no code is called %q: %w", sha, fs.ErrNotExist)
	}
	if err != nil {
		return nil, fmt.Errorf("store: cannot read code: %w", err)
	}
	if got := sha256.Sum256(data); !bytes.Equal(got[:], sum) {
		return nil, &Failure{
			fmt.Sprintf("the code file %x is damaged: update the function's code, or restore a backup", sum),
			fmt.Errorf("its SHA-256 is %x", got),
		}
	}
	return data, nil
}
