package store

import (
	"fmt"
	"strings"
	"testing"

	"weir/internal/catalog"
)

// TestQueryPlans holds the queries that grow with the number of keys to their
// indexes.
func TestQueryPlans(t *testing.T) {
	s := openStore(t)
	for _, c := range []struct{ query, want string }{
		{sqliteDialect.keyFace.bound, "COVERING INDEX api_key_face"},
		{sqliteDialect.keyFace.between, "COVERING INDEX api_key_face"},
		{sqliteDialect.linkFace.bound, "COVERING INDEX usage_plan_key_face"},
		{sqliteDialect.linkFace.between, "COVERING INDEX usage_plan_key_face"},
		{"SELECT * FROM api_key k WHERE k.has_terms = 1 ORDER BY k.seq", "INDEX api_key_terms"},
		{"SELECT * FROM api_key k WHERE k.customer_id = 'c' AND k.seq < 5 ORDER BY k.seq DESC LIMIT 3", "INDEX api_key_customer (customer_id=? AND seq<?)"},
		{"SELECT * FROM api_key k WHERE k.name >= 'a' AND k.name < 'b' ORDER BY k.seq DESC LIMIT 3", "INDEX api_key_name (name>? AND name<?)"},
		{"SELECT * FROM api_key k ORDER BY k.seq DESC LIMIT 3", "SCAN k"},
		{"SELECT * FROM api_key k JOIN usage_plan_key l ON l.key_id = k.id WHERE l.plan_id = 'p' AND l.seq < 5 ORDER BY l.seq DESC LIMIT 3", "INDEX usage_plan_key_seq (plan_id=? AND seq<?)"},
		{"SELECT * FROM api_key k WHERE (k.digest = ? OR k.previous = ?) AND k.id <> ?", "INDEX api_key_previous (previous=?)"},
		{"SELECT * FROM api_key k WHERE k.has_terms = 1 ORDER BY k.seq", "INDEX api_key_terms"},
		{"SELECT * FROM usage_plan_key WHERE key_id = 'k' ORDER BY plan_id", "INDEX usage_plan_key_key (key_id=?)"},
		{"SELECT sum(used) FROM usage WHERE plan_id = 'p' AND key_id = 'k' AND day BETWEEN 1 AND 31", "PRIMARY KEY (plan_id=? AND key_id=? AND day>? AND day<?)"},
		{logsQuery("group_id", false), "INDEX log_event_group (group_id=? AND time>? AND time<?)"},
		{streamsQuery("name > ?", "name ASC"), "log_stream_1 (group_id=? AND name>?)"},
		{logsQuery("stream_id", true), "INDEX log_event_stream (stream_id=? AND time>? AND time<?)"},
	} {
		plan := ""
		err := s.write(t.Context(), s.rest, func(w *session) error {
			unset := make([]any, strings.Count(c.query, "?")) // a plan does not depend on them
			return w.rows("EXPLAIN QUERY PLAN "+c.query, unset, func(scan func(...any) error) error {
				var id, parent, unused int
				var detail string
				err := scan(&id, &parent, &unused, &detail)
				plan += detail + "\n"
				return err
			})
		})
		if err != nil {
			t.Error(err)
		}
		if !strings.Contains(plan, c.want) {
			t.Errorf("%s\nuses\n%s, want %s", c.query, plan, c.want)
		}
		if (strings.Contains(c.want, "seq") || strings.Contains(c.want, "log_")) && strings.Contains(plan, "TEMP B-TREE") {
			t.Errorf("%s\nsorts:\n%s", c.query, plan)
		}
	}
}

// TestChunks reads the same faces whatever the size of a chunk, at its edges
// too.
func TestChunks(t *testing.T) {
	s := openStore(t)
	const n = 50
	want := ""
	err := s.Update(t.Context(), func(tx *Tx) error {
		for i := range n {
			k := catalog.APIKey{ID: fmt.Sprintf("k%02d", i), Digest: [32]byte{0: byte(i / 2), 31: byte(i)}}
			want += string(k.Digest[:]) + "0" + k.ID + "/"
			if err := Put(tx, k); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, rows := range []int{1, 7, n / 2, n - 1, n, n + 1, 8192} {
		f, got, chunks := sqliteDialect.keyFace, "", 0
		f.rows = rows
		err := s.View(t.Context(), func(tx *Tx) error {
			return tx.faces(f, func(text string) error {
				got += text
				chunks++
				return nil
			})
		})
		if err != nil || got != want || chunks != n/rows+1 {
			t.Errorf("%d rows a chunk: %d chunks, %d bytes, %v, want %d bytes", rows, chunks, len(got), err, len(want))
		}
	}
}
