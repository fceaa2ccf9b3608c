package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Database is what a look at a data folder's database shows.
type Database struct {
	File    string
	Size    int64
	Foreign bool // another program's
	// Schema is the version as of the last checkpoint; 0 when all that was
	// committed is in the log.
	Schema int
}

// headerOfSQLite begins every database; see "Database File Format" on
// sqlite.org.
const (
	headerOfSQLite  = "SQLite format 3\x00"
	userVersionAt   = 60
	applicationIDAt = 68
	headerSize      = 100
)

// Inspect looks at a database without opening it, so that nothing is changed
// and a server may run. The error is fs.ErrNotExist when there is none.
func Inspect(dir string) (Database, error) {
	d := Database{File: filepath.Join(dir, DatabaseFile)}
	f, err := os.Open(d.File)
	if err != nil {
		return d, fmt.Errorf("store: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return d, fmt.Errorf("store: %w", err)
	}
	if d.Size = info.Size(); d.Size == 0 {
		return d, nil
	}
	header := make([]byte, headerSize)
	if _, err := io.ReadFull(f, header); err != nil || !bytes.HasPrefix(header, []byte(headerOfSQLite)) {
		return d, fmt.Errorf("store: %s is not a SQLite database, or is damaged", d.File)
	}
	d.Schema = int(binary.BigEndian.Uint32(header[userVersionAt:]))
	app := binary.BigEndian.Uint32(header[applicationIDAt:])
	d.Foreign = app != applicationID && (app != 0 || d.Schema != 0)
	return d, nil
}
