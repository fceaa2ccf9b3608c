package store

import (
	"context"
	"time"
)

// SavedBucket is what a bucket had used at a clean stop.
type SavedBucket struct {
	Name string
	Used float64 // tokens
}

// SaveBuckets keeps the buckets of a clean stop, in place of earlier ones, and
// marks the stop as clean. It is called once nothing is admitted any more.
func (s *Store) SaveBuckets(ctx context.Context, b []SavedBucket) error {
	return s.write(ctx, s.rest, func(w *session) error {
		if err := w.exec("DELETE FROM bucket"); err != nil {
			return err
		}
		rows := make([][]any, len(b))
		for i, b := range b {
			rows[i] = []any{b.Name, b.Used}
		}
		if err := w.many("INSERT INTO bucket (name, used) VALUES (?, ?)", rows, nil); err != nil {
			return err
		}
		return w.exec("INSERT INTO clean_stop (id, at) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET at = excluded.at", nanos(s.now()))
	})
}

// LoadBuckets takes what a clean stop left: clean says whether there was one
// (or the store is new, with no buckets), and at when. The mark is durably
// gone before LoadBuckets returns, so that a crash from now on is seen as one.
func (s *Store) LoadBuckets(ctx context.Context) (b []SavedBucket, at time.Time, clean bool, err error) {
	err = s.write(ctx, s.rest, func(w *session) error {
		var mark int64
		ok, err := w.row("SELECT at FROM clean_stop", nil, &mark)
		if !ok {
			return err
		}
		clean, at = true, fromNanos(mark)
		if err := w.rows("SELECT name, used FROM bucket ORDER BY name", nil, func(scan func(...any) error) error {
			var one SavedBucket
			err := scan(&one.Name, &one.Used)
			b = append(b, one)
			return err
		}); err != nil {
			return err
		}
		if err := w.exec("DELETE FROM bucket"); err != nil {
			return err
		}
		return w.exec("DELETE FROM clean_stop")
	})
	if err != nil {
		return nil, time.Time{}, false, err
	}
	return b, at, clean, nil
}
