package store

import (
	"context"
	"errors"
	"time"

	"weir/internal/catalog"
)

var (
	errOver     = errors.New("store: the transaction is over")
	errReadOnly = errors.New("store: this transaction only reads")
)

// Tx is one transaction's view. It is valid inside the function it was given
// to, on that function's goroutine.
type Tx struct {
	ctx      context.Context
	db       *session
	now      time.Time
	version  int64
	writable bool
	over     bool
	failed   error // the first error of the database; nothing works after it

	changes []Change
	index   map[changed]int // into changes
}

type changed struct {
	kind catalog.Kind
	key  string
}

// Version tells the states of the configuration apart where several nodes
// share a database: whatever node reads it, a later state has a greater number.
// Of one state two nodes may read two numbers. It is 0 in a View, and where a
// store is of one node.
func (tx *Tx) Version() int64 { return tx.version }

// Now is one instant for the whole transaction, by the database's clock where
// several nodes share it.
func (tx *Tx) Now() time.Time { return tx.now }

func (tx *Tx) end() { tx.over = true }

// usable says why the transaction may not be used (any more).
func (tx *Tx) usable(write bool) error {
	switch {
	case tx.over:
		return errOver
	case tx.failed != nil:
		return tx.failed
	case write && !tx.writable:
		return errReadOnly
	}
	return nil
}

// fail keeps the first error of the database: SQLite may have rolled the
// transaction back by itself, and whatever came after would be committed alone.
func (tx *Tx) fail(err error) error {
	if err != nil && tx.failed == nil {
		tx.failed = err
	}
	return err
}

func (tx *Tx) exec(query string, args ...any) error {
	if err := tx.usable(true); err != nil {
		return err
	}
	return tx.fail(tx.db.exec(query, args...))
}

func (tx *Tx) row(query string, args []any, dest ...any) (bool, error) {
	if err := tx.usable(false); err != nil {
		return false, err
	}
	ok, err := tx.db.row(query, args, dest...)
	return ok, tx.fail(err)
}

// rows calls each for every row. Errors of
// each are counted as errors of the database: what each does is scan.
func (tx *Tx) rows(query string, args []any, each func(scan func(...any) error) error) error {
	if err := tx.usable(false); err != nil {
		return err
	}
	return tx.fail(tx.db.rows(query, args, each))
}

// changed notes that an entry became another. Several changes of one key are
// one change, from the first state to the last.
func (tx *Tx) changed(kind catalog.Kind, key string, old, new catalog.Entry) {
	at := changed{kind, key}
	if i, ok := tx.index[at]; ok {
		tx.changes[i].New = new
		return
	}
	if tx.index == nil {
		tx.index = map[changed]int{}
	}
	tx.index[at] = len(tx.changes)
	tx.changes = append(tx.changes, Change{Kind: kind, Key: key, Old: old, New: new})
}

// collected is what is different now, in the order in which it was first
// touched. What came and went again is left out.
func (tx *Tx) collected() []Change {
	kept := tx.changes[:0]
	for _, c := range tx.changes {
		if c.Old != nil || c.New != nil {
			kept = append(kept, c)
		}
	}
	return kept
}

// Meta reads a named value of the installation; nil when there is none. Such
// values are no entries: no watcher is told of them.
func (tx *Tx) Meta(name string) (value []byte, err error) {
	_, err = tx.row("SELECT value FROM meta WHERE name = ?", []any{name}, &value)
	return value, err
}

// SetMeta keeps a named value; nil removes it.
func (tx *Tx) SetMeta(name string, value []byte) error {
	if value == nil {
		return tx.exec("DELETE FROM meta WHERE name = ?", name)
	}
	return tx.exec("INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", name, value)
}
