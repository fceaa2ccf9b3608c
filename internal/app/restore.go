package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"weir/internal/secret"
	"weir/internal/store"
)

// CheckBackup reads a backup to its end and says what it holds; an error says
// why it could not be restored. progress, when there is one, is told of the
// bytes of the data folder that were read so far, and of all of them.
func CheckBackup(r io.Reader, progress func(done, all int64)) (*Manifest, error) {
	var done, all int64
	return readArchive(
		r, func(m *Manifest) error { all = m.Bytes(); return checkSchema(m) },
		func(_ ManifestFile, r io.Reader) error {
			return copyWith(io.Discard, r, func(n int64) {
				if done += n; progress != nil {
					progress(done, all)
				}
			})
		},
	)
}

func copyWith(w io.Writer, r io.Reader, tell func(n int64)) error {
	for {
		n, err := io.CopyN(w, r, 1<<20)
		tell(n)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func checkSchema(m *Manifest) error {
	if m.Schema > store.SchemaVersion() {
		return fmt.Errorf("the backup was made by weir %s and has schema version %d; this weir knows versions up to %d: restore it with that weir or a newer one", m.Version, m.Schema, store.SchemaVersion())
	}
	return nil
}

// Restore makes a data folder of a backup. The folder is missing or empty.
// Everything is unpacked aside, checked, and opened once as a server would,
// before anything is put in place; when it fails nothing is left behind.
func Restore(ctx context.Context, r io.Reader, data string) (m *Manifest, err error) {
	made := false
	if err := checkEmpty(data); errors.Is(err, fs.ErrNotExist) {
		made, err = true, os.MkdirAll(data, 0o700)
		if err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, err
	}
	lock, err := store.LockFolder(data)
	if err != nil {
		return nil, err
	}
	defer func() {
		err = errors.Join(err, lock.Release())
	}()
	if err := checkEmpty(data); err != nil { // a server may have come and gone
		return nil, err
	}
	aside := filepath.Join(data, store.Restoring)
	defer func() {
		if err == nil {
			return
		}
		// The folder was empty, so what is there is ours. Last goes what keeps
		// servers away.
		for _, name := range placed {
			_ = os.RemoveAll(filepath.Join(data, name))
		}
		_ = os.RemoveAll(aside)
		_ = store.RemoveLock(data)
		if made {
			_ = os.Remove(data)
		}
	}()
	if m, err = unpack(ctx, r, data, aside); err != nil {
		return nil, err
	}
	if err := openOnce(ctx, aside); err != nil {
		return nil, err
	}
	return m, putInPlace(aside, data)
}

// checkEmpty refuses a folder that holds something. A new file system of its
// own holds lost+found, and a lock is nothing that could be lost.
func checkEmpty(data string) error {
	entries, err := os.ReadDir(data)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if name := e.Name(); name != "lost+found" && name != store.LockFile {
			return fmt.Errorf("%s is not empty (it holds %s): a backup is restored into an empty or missing folder only, so that nothing is lost; name another with --data, or move this one away", data, name)
		}
	}
	return nil
}

// unpack writes the files of a backup below aside, each durably.
func unpack(ctx context.Context, r io.Reader, data, aside string) (*Manifest, error) {
	if err := os.MkdirAll(filepath.Join(aside, store.CodeFolder), 0o700); err != nil {
		return nil, err
	}
	accept := func(m *Manifest) error {
		if err := checkSchema(m); err != nil {
			return err
		}
		if free, ok := freeSpace(data); ok && uint64(m.Bytes()) > free {
			return fmt.Errorf("the backup takes %d bytes and %s has room for %d: free some, or name a folder on another disk", m.Bytes(), data, free)
		}
		return nil
	}
	return readArchive(r, accept, func(f ManifestFile, r io.Reader) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		// The name is one of a closed list: it leads nowhere else.
		return writeSynced(filepath.Join(aside, filepath.FromSlash(f.Name)), r)
	})
}

func writeSynced(path string, r io.Reader) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}

// openOnce opens what was unpacked as a server would: the database is brought
// to this weir's schema, and the secret has to be the one it was stored under.
func openOnce(ctx context.Context, dir string) error {
	s, err := store.Open(ctx, store.Options{Dir: dir})
	if err != nil {
		return fmt.Errorf("the backup cannot be served: %w", err)
	}
	var check []byte
	err = s.View(ctx, func(tx *store.Tx) error {
		check, err = tx.Meta(secretCheck)
		return err
	})
	if err = errors.Join(err, s.Close()); err != nil {
		return fmt.Errorf("the backup cannot be served: %w", err)
	}
	have, err := secret.Load(filepath.Join(dir, secretName))
	if err != nil {
		return fmt.Errorf("the backup cannot be served: %w", err)
	}
	if !have.Matches(check) {
		return errors.New("the backup cannot be served: its secret is not the one that its database was stored under")
	}
	_, err = RootAccessKey(dir)
	return err
}

// placed is what a backup makes of a data folder.
var placed = []string{store.CodeFolder, rootKeyName, secretName, store.DatabaseFile}

// putInPlace moves what was unpacked one level up. While the folder that held
// it is there, no server starts: a crash in between is not taken for a restore.
func putInPlace(aside, data string) error {
	if err := store.RemoveLock(aside); err != nil {
		return err
	}
	for _, name := range placed {
		if err := os.Rename(filepath.Join(aside, name), filepath.Join(data, name)); err != nil {
			return err
		}
	}
	if err := store.SyncFolder(data); err != nil {
		return err
	}
	if err := os.Remove(aside); err != nil {
		return err
	}
	return store.SyncFolder(data)
}
