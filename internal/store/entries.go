package store

import (
	"fmt"
	"reflect"
	"strings"

	"weir/internal/catalog"
)

// Get reads one entry by the parts of its key. T is the entry's plain type.
func Get[T catalog.Entry](tx *Tx, key ...string) (entry T, ok bool, err error) {
	kind, err := kindOf[T]()
	if err != nil {
		return entry, false, err
	}
	e, err := tx.get(kind, key)
	if e == nil || err != nil {
		return entry, false, err
	}
	return e.(T), true, nil
}

// List reads all entries of a kind below a parent (no parts: all), ordered by
// the bytes of their keys.
func List[T catalog.Entry](tx *Tx, parent ...string) ([]T, error) {
	kind, err := kindOf[T]()
	if err != nil {
		return nil, err
	}
	var all []T
	err = tx.list(kind, parent, func(e catalog.Entry) { all = append(all, e.(T)) })
	return all, err
}

// Put writes an entry, new or changed. Writing what is there already is no
// change, and no watcher hears of it.
func Put(tx *Tx, e catalog.Entry) error {
	if err := tx.usable(true); err != nil {
		return err
	}
	switch e := e.(type) {
	case nil:
		return fmt.Errorf("store: nothing to put")
	case catalog.APIKey:
		return tx.putKey(e)
	case *catalog.APIKey:
		return tx.putKey(*e)
	case catalog.UsagePlanKey:
		return tx.putLink(e)
	case *catalog.UsagePlanKey:
		return tx.putLink(*e)
	}
	return tx.putDocument(e)
}

// Delete removes one entry; deleting what is not there is no error. With an
// APIKey go its memberships in plans, each a change of its own, before the
// key's. Children of anything else are deleted by the caller.
func Delete[T catalog.Entry](tx *Tx, key ...string) error {
	kind, err := kindOf[T]()
	if err != nil {
		return err
	}
	return tx.delete(kind, key)
}

// kindOf is T's kind. A pointer type would satisfy catalog.Entry as well, but
// not the type switches of those who watch.
func kindOf[T catalog.Entry]() (catalog.Kind, error) {
	if t := reflect.TypeFor[T](); t.Kind() != reflect.Struct {
		return "", fmt.Errorf("store: %v is not an entry's plain type", t)
	}
	var zero T
	return zero.Kind(), nil
}

// joined makes a key of its parts. It is not ok when the parts cannot be a
// stored key: strangers send ids with slashes in them, and "a/b" as one part
// must not find what "a", "b" would.
func joined(parts []string) (key string, ok bool) {
	for _, p := range parts {
		if p == "" || strings.Contains(p, "/") {
			return "", false
		}
	}
	return strings.Join(parts, "/"), true
}

func (tx *Tx) get(kind catalog.Kind, parts []string) (catalog.Entry, error) {
	key, ok := joined(parts)
	if !ok {
		return nil, tx.usable(false)
	}
	switch kind {
	case catalog.KindAPIKey:
		k, ok, err := tx.key("k.id = ?", key)
		if !ok {
			return nil, err
		}
		return k, nil
	case catalog.KindUsagePlanKey:
		if len(parts) != 2 {
			return nil, tx.usable(false)
		}
		l, ok, err := tx.link(parts[0], parts[1])
		if !ok {
			return nil, err
		}
		return l, nil
	}
	e, _, err := tx.document(kind, key)
	return e, err
}

func (tx *Tx) list(kind catalog.Kind, parent []string, yield func(catalog.Entry)) error {
	prefix, ok := joined(parent)
	if !ok {
		return tx.usable(false)
	}
	switch kind {
	case catalog.KindAPIKey:
		if len(parent) > 0 {
			return tx.usable(false)
		}
		return tx.keys("ORDER BY k.id", nil, func(k catalog.APIKey) { yield(k) })
	case catalog.KindUsagePlanKey:
		where, args := "", []any{}
		switch len(parent) {
		case 0:
		case 1:
			where, args = "WHERE plan_id = ?", []any{prefix}
		default:
			return tx.usable(false)
		}
		return tx.links(where+" ORDER BY plan_id || '/' || key_id", args, func(l catalog.UsagePlanKey) { yield(l) })
	}
	return tx.documents(kind, prefix, yield)
}

func (tx *Tx) delete(kind catalog.Kind, parts []string) error {
	if err := tx.usable(true); err != nil {
		return err
	}
	old, err := tx.get(kind, parts)
	if old == nil || err != nil {
		return err
	}
	switch old := old.(type) {
	case catalog.APIKey:
		return tx.deleteKey(old)
	case catalog.UsagePlanKey:
		return tx.deleteLink(old)
	}
	if err := tx.exec("DELETE FROM entry WHERE kind = ? AND key = ?", string(kind), old.Key()); err != nil {
		return err
	}
	tx.changed(kind, old.Key(), old, nil)
	return nil
}
