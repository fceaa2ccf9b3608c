package store

import (
	"database/sql"
	"errors"
	"strconv"
	"strings"

	"weir/internal/catalog"
)

// What a node reads at its start: every key and every membership. Row by row
// through database/sql that is the greater part of a start. So what is needed
// of a row is one narrow text in an index of its own (its face), the database joins
// thousands of them to one text, and that is taken apart here. "/" ends a
// part: no part of an entry's key contains it.

// KeyRow is what the gateway holds of a key.
type KeyRow struct {
	ID      string
	Digest  [32]byte
	Enabled bool
}

// face is how the rows of a table are joined: bound finds the last face of a
// chunk, given the last of the chunk before; after and between join a chunk.
type face struct {
	bound, after, between string
	rows                  int // in a chunk
}

var errFace = errors.New("store: an index of the database is damaged: restore a backup")

// chunks gives fn the joined faces, chunk by chunk, in their order.
func (tx *Tx) chunks(f face, fn func(text string) error) error {
	last := []byte{}
	for more := true; more; {
		if err := tx.ctx.Err(); err != nil {
			return err
		}
		var bound []byte
		var err error
		if more, err = tx.row(f.bound, []any{last, f.rows - 1}, &bound); err != nil {
			return err
		}
		query, args := f.after, []any{last}
		if more {
			query, args = f.between, append(args, bound)
		}
		var text sql.NullString // NULL when no row is left
		if _, err := tx.row(query, args, &text); err != nil {
			return err
		}
		if err := fn(text.String); err != nil {
			return err
		}
		last = bound
	}
	return nil
}

// EachKey streams every key, in the order of their digests. An error of fn
// ends it and is returned.
func (tx *Tx) EachKey(fn func(KeyRow) error) error {
	return tx.chunks(tx.db.keyFace, func(text string) error {
		for len(text) > 0 {
			var row KeyRow
			if len(text) < len(row.Digest)+1 {
				return errFace
			}
			n := copy(row.Digest[:], text)
			row.Enabled = text[n] == '1'
			id, rest, ok := strings.Cut(text[n+1:], "/")
			if !ok {
				return errFace
			}
			// A copy: an id that is kept would keep the whole chunk.
			row.ID, text = strings.Clone(id), rest
			if err := fn(row); err != nil {
				return err
			}
		}
		return nil
	})
}

// EachLink streams every membership, those of one plan together. An error of
// fn ends it and is returned.
func (tx *Tx) EachLink(fn func(catalog.UsagePlanKey) error) error {
	var l catalog.UsagePlanKey
	return tx.chunks(tx.db.linkFace, func(text string) error {
		for len(text) > 0 {
			plan, rest, _ := strings.Cut(text, "/")
			key, rest, _ := strings.Cut(rest, "/")
			added, rest, ok := strings.Cut(rest, "/")
			n, err := strconv.ParseInt(added, 10, 64)
			if !ok || err != nil {
				return errFace
			}
			if plan != l.PlanID { // one copy for all links of a plan
				l.PlanID = strings.Clone(plan)
			}
			l.KeyID, l.AddedAt, text = strings.Clone(key), fromNanos(n), rest
			if err := fn(l); err != nil {
				return err
			}
		}
		return nil
	})
}
