package store

import (
	"database/sql"
	"errors"
	"strconv"
	"strings"

	"weir/internal/catalog"
)

// What a node reads at its start: every key and every membership. Row by row
// through database/sql that is the greater part of a start; so SQLite joins
// many rows to one text, which is taken apart here. "/" ends a part: no part
// of a key contains it.

// KeyRow is what the gateway holds of a key.
type KeyRow struct {
	ID      string
	Digest  [32]byte
	Enabled bool
}

var errFace = errors.New("store: the list of keys is damaged")

// EachKey streams every key, in the order of their digests. An error of fn
// ends it and is returned.
func (tx *Tx) EachKey(fn func(KeyRow) error) error {
	// A sixteenth at a time: digests are even, and no text grows huge.
	const face = "CAST(digest || enabled || id || '/' AS BLOB)"
	const query = "SELECT group_concat(" + face + ", '') FROM api_key INDEXED BY api_key_face WHERE " + face + " >= ?"
	for i := range 16 {
		q, args := query, []any{[]byte{byte(i << 4)}}
		if i < 15 {
			q, args = query+" AND "+face+" < ?", append(args, []byte{byte((i + 1) << 4)})
		}
		text, err := tx.joinedRows(q, args)
		if err != nil {
			return err
		}
		for len(text) > 0 {
			var row KeyRow
			if len(text) < 33 {
				return errFace
			}
			copy(row.Digest[:], text)
			row.Enabled = text[32] == '1'
			id, rest, ok := strings.Cut(text[33:], "/")
			if !ok {
				return errFace
			}
			row.ID, text = strings.Clone(id), rest // not the whole text for the life of an id
			if err := fn(row); err != nil {
				return err
			}
		}
	}
	return nil
}

// EachLink streams every membership, in the order in which they were made. An
// error of fn ends it and is returned.
func (tx *Tx) EachLink(fn func(catalog.UsagePlanKey) error) error {
	const query = `SELECT coalesce(max(seq), 0), group_concat(plan_id || '/' || key_id || '/' || added || '/', '')
		FROM (SELECT seq, plan_id, key_id, added FROM usage_plan_key WHERE seq > ? ORDER BY seq LIMIT 8192)`
	plans := map[string]string{} // one copy of a plan's id for all its links
	for last := int64(0); ; {
		text, err := tx.joinedRows(query, []any{last}, &last)
		if text == "" || err != nil {
			return err
		}
		for len(text) > 0 {
			plan, rest, _ := strings.Cut(text, "/")
			key, rest, _ := strings.Cut(rest, "/")
			added, rest, ok := strings.Cut(rest, "/")
			n, err := strconv.ParseInt(added, 10, 64)
			if !ok || err != nil {
				return errFace
			}
			id, ok := plans[plan]
			if !ok {
				id = strings.Clone(plan)
				plans[id] = id
			}
			text = rest
			if err := fn(catalog.UsagePlanKey{PlanID: id, KeyID: strings.Clone(key), AddedAt: fromNanos(n)}); err != nil {
				return err
			}
		}
	}
	return nil
}

// joinedRows reads the one text of a query, after what is scanned into before;
// "" when no row was joined.
func (tx *Tx) joinedRows(query string, args []any, before ...any) (string, error) {
	if err := tx.ctx.Err(); err != nil {
		return "", err
	}
	var text sql.NullString
	_, err := tx.row(query, args, append(before, &text)...)
	return text.String, err
}
