package store

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"modernc.org/sqlite"
)

// Failure is an error of the disk or the database about which its owner can do
// something. What failed did not happen; nothing of it is stored.
type Failure struct {
	Reason string // what is the matter and what to do, for the owner
	err    error
	away   bool // it is ErrUnreachable
}

func (f *Failure) Error() string { return "store: " + f.err.Error() + ": " + f.Reason }
func (f *Failure) Unwrap() error { return f.err }

// Is implements errors.Is for ErrUnreachable.
func (f *Failure) Is(target error) bool { return f.away && target == ErrUnreachable }

// OwnerReason is what the owner, who signs management calls, may be told.
func (f *Failure) OwnerReason() string { return f.Reason }

// SQLite's primary result codes; see "Result and Error Codes" on sqlite.org.
const (
	sqliteReadOnly = 8
	sqliteIOError  = 10
	sqliteCorrupt  = 11
	sqliteFull     = 13
	sqliteCantOpen = 14
	sqliteNotADB   = 26
)

var reasons = map[int]string{
	sqliteReadOnly: "the data folder cannot be written: mount it writable, or give it to the user who runs weir",
	sqliteIOError:  "the disk of the data folder fails, or is full: look into the system's log",
	sqliteCorrupt:  "the database is damaged: stop the server and restore a backup into an empty folder",
	sqliteFull:     "the disk of the data folder is full: make room",
	sqliteCantOpen: "the database cannot be opened: may this user read and write the data folder, and are there enough file descriptors (ulimit -n)?",
	sqliteNotADB:   "it is no database, or is damaged: restore a backup into an empty folder, or name another with --data",
}

// failed names an error of the database or of a file as ours.
func failed(err error) error {
	if err == nil {
		return nil
	}
	var f *Failure
	if errors.As(err, &f) {
		return err // named already
	}
	if named := failedPostgres(err); named != nil {
		return named
	}
	var s *sqlite.Error
	reason := ""
	switch {
	case errors.As(err, &s):
		reason = reasons[s.Code()&0xff]
	case errors.Is(err, syscall.ENOSPC):
		reason = reasons[sqliteFull]
	case errors.Is(err, syscall.EROFS), errors.Is(err, fs.ErrPermission):
		reason = reasons[sqliteReadOnly]
	}
	if reason == "" {
		return fmt.Errorf("store: %w", err)
	}
	return &Failure{Reason: reason, err: err}
}
