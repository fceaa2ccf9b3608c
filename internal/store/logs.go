package store

import (
	"context"
	"slices"

	"weir/internal/telemetry"
)

// AppendLogs writes log events in one transaction.
func (s *Store) AppendLogs(ctx context.Context, events []telemetry.LogEvent) error {
	if len(events) == 0 {
		return nil
	}
	type stream struct{ group, name string }
	return s.write(ctx, func(w *session) error {
		// Known only for this batch: a process sees new streams all its life.
		ids := map[stream]int64{}
		for _, e := range events {
			at := stream{e.Group, e.Stream}
			id, ok := ids[at]
			if !ok {
				var err error
				if id, err = w.streamID(e.Group, e.Stream); err != nil {
					return err
				}
				ids[at] = id
			}
			if err := w.exec("INSERT INTO log_event (stream_id, time, message) VALUES (?, ?, ?)", id, nanos(e.Time), e.Message); err != nil {
				return err
			}
		}
		return nil
	})
}

// streamID finds a stream, and makes it when it is new.
func (c *session) streamID(group, name string) (id int64, err error) {
	err = c.exec("INSERT INTO log_stream (group_name, name) VALUES (?, ?) ON CONFLICT DO NOTHING", group, name)
	if err == nil {
		_, err = c.row("SELECT id FROM log_stream WHERE group_name = ? AND name = ?", []any{group, name}, &id)
	}
	return id, err
}

// Logs reads the newest events of a group, of the streams whose names begin
// with streamPrefix, oldest first; limit 0 means all. Events of one time are in
// the order in which they were appended.
func (s *Store) Logs(ctx context.Context, group, streamPrefix string, limit int) ([]telemetry.LogEvent, error) {
	where, args := prefixed("s.name", streamPrefix)
	args = append([]any{group}, append(args, unlimited(limit))...)
	var all []telemetry.LogEvent
	err := s.read(ctx, func(r *session) error {
		return r.rows(`SELECT s.name, e.time, e.message
			FROM log_stream s JOIN log_event e ON e.stream_id = s.id
			WHERE s.group_name = ? AND `+where+`
			ORDER BY e.time DESC, e.seq DESC LIMIT ?`, args,
			func(scan func(...any) error) error {
				e := telemetry.LogEvent{Group: group}
				var at int64
				err := scan(&e.Stream, &at, &e.Message)
				e.Time = fromNanos(at)
				all = append(all, e)
				return err
			})
	})
	slices.Reverse(all)
	return all, err
}

// prefixed is the condition that column begins with prefix, byte by byte: LIKE
// would ignore case and give "%" and "_" a meaning.
func prefixed(column, prefix string) (where string, args []any) {
	if prefix == "" {
		return "true", nil
	}
	where, args = column+" >= ?", []any{prefix}
	// The first text after all that begin with prefix; none after 0xff bytes.
	next := []byte(prefix)
	for i := len(next) - 1; i >= 0; i-- {
		if next[i] != 0xff {
			next[i]++
			return where + " AND " + column + " < ?", append(args, string(next[:i+1]))
		}
	}
	return where, args
}

// unlimited is SQLite's LIMIT for "0: no limit".
func unlimited(n int) int {
	if n <= 0 {
		return -1
	}
	return n
}
