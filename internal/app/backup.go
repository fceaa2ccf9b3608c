package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"time"

	"weir/internal/secret"
	"weir/internal/store"
)

// Backup writes a backup of a data folder that no server runs on. It fails
// when one does. secretFile "" is the one in the folder; version is this
// weir's. An error leaves w with a part of a backup that no restore accepts.
func Backup(ctx context.Context, w io.Writer, data, secretFile, version string) error {
	if _, err := os.Stat(filepath.Join(data, store.DatabaseFile)); err != nil {
		return fmt.Errorf("%s is not a data folder of weir: name the right one with --data: %w", data, err)
	}
	lock, err := store.LockFolder(data)
	if err != nil {
		return err
	}
	defer lock.Release()
	s, err := takeSnapshot(ctx, data, secretPath(data, secretFile), version)
	if err != nil {
		return err
	}
	defer s.remove()
	return s.write(w)
}

// secretPath is where the server secret lies.
func secretPath(data, secretFile string) string {
	if secretFile != "" {
		return secretFile
	}
	return filepath.Join(data, secretName)
}

// snapshot is a data folder at one moment, ready to be written.
type snapshot struct {
	manifest Manifest
	paths    map[string]string // by name in the manifest
	folder   string            // of the database's copy
}

// takeSnapshot copies the database of a data folder that is open in this
// process or locked by it, and measures the rest, which does not change: the
// secret and the root key are never written again, and code lies under the
// checksum of what it holds.
func takeSnapshot(ctx context.Context, data, secretFile, version string) (_ *snapshot, err error) {
	s := &snapshot{
		manifest: Manifest{Format: archiveFormat, Version: version, Created: time.Now().UTC()},
		paths:    map[string]string{},
	}
	if s.folder, err = os.MkdirTemp(data, store.Temporary+"backup-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.remove()
		}
	}()
	if s.manifest.Schema, err = store.CopyDatabase(ctx, data, s.folder); err != nil {
		return nil, err
	}
	if err := s.checkSecret(secretFile, data); err != nil {
		return nil, err
	}
	for _, f := range []struct{ name, path string }{
		{store.DatabaseFile, filepath.Join(s.folder, store.DatabaseFile)},
		{secretName, secretFile},
		{rootKeyName, rootKeyFile(data)},
	} {
		entry, err := hashFile(f.name, f.path)
		if err != nil {
			return nil, err
		}
		s.add(entry, f.path)
	}
	// Code is stored before the function that names it, so what is listed
	// after the copy holds all that the copy names.
	names, err := store.CodeFiles(data)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		file := filepath.Join(data, filepath.FromSlash(name))
		info, err := os.Stat(file)
		if err != nil {
			return nil, err
		}
		s.add(ManifestFile{Name: name, Size: info.Size(), SHA256: path.Base(name)}, file)
	}
	return s, s.manifest.validate()
}

func (s *snapshot) add(f ManifestFile, path string) {
	s.manifest.Files = append(s.manifest.Files, f)
	s.paths[f.Name] = path
}

// checkSecret refuses a secret under which the copy could not be served.
func (s *snapshot) checkSecret(file, data string) error {
	have, err := secret.Load(file)
	if err != nil {
		return err
	}
	check, err := store.StoredMeta(s.folder, secretCheck)
	if err != nil {
		return err
	}
	if !have.Matches(check) {
		return errOtherSecret(file, data)
	}
	return nil
}

func (s *snapshot) write(w io.Writer) error {
	return writeArchive(w, &s.manifest, func(name string) string { return s.paths[name] })
}

func (s *snapshot) remove() { _ = os.RemoveAll(s.folder) } // what stays is removed at the next start

// serveBackup answers with a backup of this server. One is made at a time: each
// takes the room of the database.
func (a *App) serveBackup(w http.ResponseWriter, r *http.Request) {
	if !a.backup.TryLock() {
		answerOwn(w, http.StatusConflict, "another backup is being made: try again when it is done")
		return
	}
	defer a.backup.Unlock()
	if a.store.Shared() {
		answerOwn(w, http.StatusBadRequest, "the data of this server is in PostgreSQL ("+a.where()+"): back that up with pg_dump, and keep a copy of the server secret ("+a.o.SecretFile+") apart from it")
		return
	}
	began := time.Now()
	s, err := a.liveSnapshot(r.Context())
	if err != nil {
		a.o.Logger.Error("no backup was made", "error", err)
		answerOwn(w, http.StatusInternalServerError, err.Error())
		return
	}
	defer s.remove()
	w.Header().Set("Content-Type", "application/zstd")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	out := &patient{w: w, c: http.NewResponseController(w)}
	if err = out.c.Flush(); err == nil { // from here on it is sent as it is made
		err = s.write(out)
	}
	if err != nil {
		a.o.Logger.Error("a backup was broken off", "error", err)
		panic(http.ErrAbortHandler) // the reader must not take it for whole
	}
	a.o.Logger.Info("a backup was made", "bytes", out.n, "took", time.Since(began).String())
}

// liveSnapshot is a snapshot of this server with every call in it that was
// admitted before.
func (a *App) liveSnapshot(ctx context.Context) (*snapshot, error) {
	if err := a.limiter.Flush(ctx); err != nil {
		return nil, err
	}
	return takeSnapshot(ctx, a.o.Data, secretPath(a.o.Data, a.o.SecretFile), a.o.Version)
}

// stopBackup waits for the backup that is being made, if any. Its reader was
// cut off with the servers.
func (a *App) stopBackup(context.Context) error {
	a.backup.Lock()
	return nil
}

// backupPause is how long a reader of a backup may take nothing.
const backupPause = time.Minute

// patient gives every piece of a long answer the time that the engine gives a
// whole one.
type patient struct {
	w io.Writer
	c *http.ResponseController
	n int64
}

func (p *patient) Write(b []byte) (int, error) {
	if err := p.c.SetWriteDeadline(time.Now().Add(backupPause)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	n, err := p.w.Write(b)
	p.n += int64(n)
	return n, err
}
