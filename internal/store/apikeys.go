package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"weir/internal/catalog"
)

// ErrDuplicateKey is Put's answer to an API key whose value another key has.
var ErrDuplicateKey = &catalog.Error{Class: catalog.Conflict, Message: "API Key already exists"}

// goneFor is how long a deleted key's place in a list is remembered.
const goneFor = 24 * time.Hour

// KeyQuery selects API keys, newest first: the newest created, or, with
// PlanID, the newest to join that plan. The zero value selects all.
type KeyQuery struct {
	PlanID     string // only keys of this plan ("" any)
	NamePrefix string // case-sensitive
	CustomerID string
	After      string // id of the last key of the page before
	Limit      int    // 0: no limit
}

// APIKeys reads the keys that q selects. A key that was deleted since the page
// before was read still marks its place, for a day; an After that is unknown is a
// *catalog.Error.
func (tx *Tx) APIKeys(q KeyQuery) ([]catalog.APIKey, error) {
	if err := tx.usable(false); err != nil {
		return nil, err
	}
	var where []string
	var args []any
	from, seq := "", "k.seq"
	if q.PlanID != "" {
		from, seq = "JOIN usage_plan_key l ON l.key_id = k.id ", "l.seq"
		where, args = append(where, "l.plan_id = ?"), append(args, q.PlanID)
	}
	if q.NamePrefix != "" {
		begins, bounds := prefixed("k.name", q.NamePrefix)
		where, args = append(where, begins), append(args, bounds...)
	}
	if q.CustomerID != "" {
		where, args = append(where, "k.customer_id = ?"), append(args, q.CustomerID)
	}
	if q.After != "" {
		place, ok, err := tx.place(q.PlanID, q.After)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, &catalog.Error{Class: catalog.Invalid, Message: "Invalid position parameter specified"}
		}
		where, args = append(where, seq+" < ?"), append(args, place)
	}
	if len(where) > 0 {
		from += "WHERE " + strings.Join(where, " AND ") + " "
	}
	args = append(args, unlimited(q.Limit))
	var all []catalog.APIKey
	err := tx.keys(from+"ORDER BY "+seq+" DESC LIMIT ?", args, func(k catalog.APIKey) { all = append(all, k) })
	return all, err
}

// place is where a key is, or was, in the list of a plan ("": of all keys).
func (tx *Tx) place(planID, keyID string) (seq int64, ok bool, err error) {
	if planID == "" {
		ok, err = tx.row("SELECT seq FROM api_key WHERE id = ?", []any{keyID}, &seq)
	} else {
		ok, err = tx.row("SELECT seq FROM usage_plan_key WHERE plan_id = ? AND key_id = ?", []any{planID, keyID}, &seq)
	}
	if ok || err != nil {
		return seq, ok, err
	}
	ok, err = tx.row("SELECT seq FROM gone WHERE plan_id = ? AND key_id = ?", []any{planID, keyID}, &seq)
	return seq, ok, err
}

// leave remembers the place of what is being deleted.
func (tx *Tx) leave(planID, keyID string) error {
	seq, _, err := tx.place(planID, keyID)
	if err != nil {
		return err
	}
	if err := tx.exec("DELETE FROM gone WHERE at < ?", nanos(tx.now.Add(-goneFor))); err != nil {
		return err
	}
	return tx.exec(`INSERT INTO gone (plan_id, key_id, seq, at) VALUES (?, ?, ?, ?)
		ON CONFLICT (plan_id, key_id) DO UPDATE SET seq = excluded.seq, at = excluded.at`, planID, keyID, seq, nanos(tx.now))
}

// APIKeyByDigest finds a key by the digest of its value, or of the value that it
// had before its rotation.
func (tx *Tx) APIKeyByDigest(d [32]byte) (k catalog.APIKey, ok bool, err error) {
	return tx.key("k.digest = ? OR k.previous = ?", d[:], d[:])
}

// KeysWithTerms streams the keys that let callers in on terms. An error of fn
// ends it and is returned.
func (tx *Tx) KeysWithTerms(fn func(catalog.APIKey) error) error {
	var failed error
	err := tx.keys("WHERE k.has_terms = 1 ORDER BY k.seq", nil, func(k catalog.APIKey) {
		if failed == nil {
			failed = fn(k)
		}
	})
	return errors.Join(failed, err)
}

func (tx *Tx) key(where string, args ...any) (found catalog.APIKey, ok bool, err error) {
	err = tx.keys("WHERE "+where, args, func(k catalog.APIKey) { found, ok = k, true })
	return found, ok, err
}

func (tx *Tx) keys(rest string, args []any, yield func(catalog.APIKey)) error {
	return tx.rows(`SELECT k.id, k.digest, k.enabled, k.name, k.description, k.customer_id, k.created, k.updated, k.sealed, k.tags, k.previous
		FROM api_key k `+rest, args, func(scan func(...any) error) error {
		var k catalog.APIKey
		var digest, tags, previous []byte
		var created, updated int64
		if err := scan(&k.ID, &digest, &k.Enabled, &k.Name, &k.Description, &k.CustomerID, &created, &updated, &k.Sealed, &tags, &previous); err != nil {
			return err
		}
		copy(k.Digest[:], digest)
		copy(k.Previous[:], previous)
		k.CreatedDate, k.LastUpdatedDate = fromNanos(created), fromNanos(updated)
		if len(tags) > 0 {
			if err := json.Unmarshal(tags, &k.Tags); err != nil {
				return fmt.Errorf("store: the tags of API key %s are damaged: %w", k.ID, err)
			}
		}
		yield(k)
		return nil
	})
}

func (tx *Tx) putKey(k catalog.APIKey) error {
	if _, ok := joined([]string{k.ID}); !ok {
		return fmt.Errorf("store: %q cannot be the id of an API key", k.ID)
	}
	var tags []byte
	if len(k.Tags) > 0 {
		var err error
		if tags, err = json.Marshal(k.Tags); err != nil {
			return fmt.Errorf("store: API key %s: %w", k.ID, err)
		}
	}
	old, exists, err := tx.key("k.id = ?", k.ID)
	if err != nil {
		return err
	}
	if exists && sameKey(old, k) {
		return nil
	}
	if err := tx.checkDigests(k); err != nil {
		return err
	}
	var previous []byte
	if k.Previous != [32]byte{} {
		previous = k.Previous[:]
	}
	hasTerms := 0
	if k.HasTerms() {
		hasTerms = 1
	}
	err = tx.exec(`INSERT INTO api_key (id, digest, enabled, name, description, customer_id, created, updated, sealed, tags, previous, has_terms)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET digest = excluded.digest, enabled = excluded.enabled, name = excluded.name,
			description = excluded.description, customer_id = excluded.customer_id, created = excluded.created,
			updated = excluded.updated, sealed = excluded.sealed, tags = excluded.tags,
			previous = excluded.previous, has_terms = excluded.has_terms`,
		k.ID, k.Digest[:], k.Enabled, k.Name, k.Description, k.CustomerID, nanos(k.CreatedDate), nanos(k.LastUpdatedDate), k.Sealed, tags,
		previous, hasTerms)
	if err != nil {
		return err
	}
	if exists {
		tx.changed(k.Kind(), k.ID, old, k)
	} else {
		tx.changed(k.Kind(), k.ID, nil, k)
	}
	return nil
}

// checkDigests says whether no other key has one of k's values, be it from
// before a rotation. One writer at a time: what is not there now is not there at
// the insert.
func (tx *Tx) checkDigests(k catalog.APIKey) error {
	digests := [][32]byte{k.Digest}
	if k.Previous != [32]byte{} {
		digests = append(digests, k.Previous)
	}
	for _, d := range digests {
		_, taken, err := tx.key("(k.digest = ? OR k.previous = ?) AND k.id <> ?", d[:], d[:], k.ID)
		if err != nil {
			return err
		}
		if taken {
			return ErrDuplicateKey
		}
	}
	return nil
}

func sameKey(a, b catalog.APIKey) bool {
	if len(a.Tags) != len(b.Tags) {
		return false
	}
	for name, value := range a.Tags {
		if v, ok := b.Tags[name]; !ok || v != value {
			return false
		}
	}
	return a.ID == b.ID && a.Digest == b.Digest && a.Previous == b.Previous && a.Enabled == b.Enabled && a.Name == b.Name &&
		a.Description == b.Description && a.CustomerID == b.CustomerID && bytes.Equal(a.Sealed, b.Sealed) &&
		a.CreatedDate.Equal(b.CreatedDate) && a.LastUpdatedDate.Equal(b.LastUpdatedDate)
}

func (tx *Tx) deleteKey(k catalog.APIKey) error {
	links, err := tx.KeyLinks(k.ID)
	if err != nil {
		return err
	}
	for _, l := range links {
		if err := tx.deleteLink(l); err != nil {
			return err
		}
	}
	if err := tx.leave("", k.ID); err != nil {
		return err
	}
	if err := tx.exec("DELETE FROM api_key WHERE id = ?", k.ID); err != nil {
		return err
	}
	tx.changed(k.Kind(), k.ID, k, nil)
	return nil
}
