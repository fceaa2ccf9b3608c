package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// SchemaVersion is the newest schema that this build knows.
func SchemaVersion() int { return len(migrations) }

// Lock is a data folder that is held and not served. Made by LockFolder.
type Lock struct{ file *os.File }

// LockFolder keeps every server out of a folder that is there, until Release
// or the end of the process. It fails when a process has the folder open, and
// says which.
func LockFolder(dir string) (*Lock, error) {
	f, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	return &Lock{f}, nil
}

// Release lets the folder go.
func (l *Lock) Release() error { return l.file.Close() }

// RemoveLock removes the file by which a folder is locked, of a folder that is
// to be empty again or to be moved. That it is not there is no error.
func RemoveLock(dir string) error {
	if err := os.Remove(filepath.Join(dir, LockFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

// SyncFolder makes the names in a folder durable.
func SyncFolder(dir string) error { return syncFolder(dir) }

// CopyDatabase writes a copy of a data folder's database into another folder
// (which then is a data folder without code), as one reading transaction sees
// it: calls and changes go on meanwhile. It returns the schema's version. The
// folder is either open in this process or locked by it. The copy is one file
// without a log, and without the room that deleted rows left.
//
// A database that no server has opened since a crash is brought to its last
// commit on the way, and nothing else of it is changed: not its schema either.
func CopyDatabase(ctx context.Context, dir, to string) (schema int, err error) {
	if dir, err = filepath.Abs(dir); err == nil {
		to, err = filepath.Abs(to)
	}
	if err != nil {
		return 0, fmt.Errorf("store: %w", err)
	}
	source := filepath.Join(dir, DatabaseFile)
	if _, err := os.Stat(source); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return 0, fmt.Errorf("store: %s is not a data folder of weir: it holds no %s", dir, DatabaseFile)
		}
		return 0, fmt.Errorf("store: %w", err)
	}
	path := filepath.Join(to, DatabaseFile)
	// SQLite would make the copy readable for everybody.
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, fmt.Errorf("store: %w", err)
	}
	if err := f.Close(); err != nil {
		return 0, fmt.Errorf("store: %w", err)
	}
	c, err := openSQLite(dsn(dir, copying))
	if err != nil {
		return 0, failed(fmt.Errorf("cannot open %s: %w", source, err))
	}
	defer c.close()
	if schema, err = c.schemaVersion(source, migrations); err != nil {
		return 0, err
	}
	if schema == 0 {
		return 0, fmt.Errorf("store: %s is empty: no server was started on it yet", source)
	}
	if _, err := c.conn.ExecContext(ctx, "VACUUM INTO ?", path); err != nil {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		return 0, failed(fmt.Errorf("cannot copy the database (the copy needs as much room in %s as the database): %w", to, err))
	}
	return schema, nil
}

// StoredMeta reads a named value of the installation from a database that is
// not open as a store, such as a copy; nil when there is none.
func StoredMeta(dir, name string) (value []byte, err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	c, err := openSQLite(dsn(dir, copying))
	if err != nil {
		return nil, failed(fmt.Errorf("cannot open the database in %s: %w", dir, err))
	}
	defer c.close()
	_, err = c.row("SELECT value FROM meta WHERE name = ?", []any{name}, &value)
	return value, err
}
