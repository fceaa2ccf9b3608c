package store

import (
	"database/sql"
	"errors"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"weir/internal/catalog"
)

// What a node reads at its start: every key and every membership. Row by row
// through database/sql that is the greater part of a start. So what is needed
// of a row is one narrow text (its face), thousands of them come joined to one
// text, and that is taken apart here. "/" ends a part: no part of an entry's
// key contains it. SQLite joins them itself, from an index that holds nothing
// else; PostgreSQL sends them in one stream.

// KeyRow is what the gateway holds of a key.
type KeyRow struct {
	ID      string
	Digest  [32]byte
	Enabled bool
}

// face is how the rows of a table are read. With SQLite they are joined by
// chunks: bound finds the last face of a chunk, given the last of the chunk
// before; after and between join a chunk. With PostgreSQL all reads them all.
type face struct {
	bound, after, between string
	rows                  int // in a chunk

	all string
}

func joinedFace(table, index, expression string) face {
	from := " FROM " + table + " INDEXED BY " + index + " WHERE " + expression + " > ?"
	joined := "SELECT group_concat(" + expression + ", '')" + from
	return face{
		bound:   "SELECT " + expression + from + " ORDER BY " + expression + " LIMIT 1 OFFSET ?",
		after:   joined,
		between: joined + " AND " + expression + " <= ?",
		rows:    8192,
	}
}

var errFace = errors.New("store: an index of the database is damaged: restore a backup")

// faces gives fn the joined faces of a table, part by part, in their order.
func (tx *Tx) faces(f face, fn func(text string) error) error {
	if err := tx.usable(false); err != nil {
		return err
	}
	return tx.db.faces(tx, f, fn)
}

// joinedFaces reads chunk by chunk.
func joinedFaces(tx *Tx, f face, fn func(text string) error) error {
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

// streamedParts is how much of a stream is taken apart at once, in bytes.
const streamedParts = 1 << 18

// streamedFaces reads all in one statement, past database/sql.
func streamedFaces(tx *Tx, f face, fn func(text string) error) error {
	ctx, cancel := tx.db.bound()
	defer cancel()
	var stopped error
	err := tx.db.raw(func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, f.all)
		if err != nil {
			return err
		}
		defer rows.Close()
		part := make([]byte, 0, streamedParts+1<<10)
		for rows.Next() {
			if part = append(part, rows.RawValues()[0]...); len(part) < streamedParts {
				continue
			}
			if stopped = fn(string(part)); stopped == nil {
				stopped = tx.ctx.Err()
			}
			if stopped != nil {
				return nil
			}
			part = part[:0]
		}
		if err := rows.Err(); err != nil {
			return err
		}
		stopped = fn(string(part))
		return nil
	})
	if stopped != nil {
		return stopped
	}
	return tx.fail(failed(err))
}

// EachKey streams every key, in the order of their digests. An error of fn
// ends it and is returned.
func (tx *Tx) EachKey(fn func(KeyRow) error) error {
	return tx.faces(tx.db.keyFace, func(text string) error {
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
	return tx.faces(tx.db.linkFace, func(text string) error {
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
