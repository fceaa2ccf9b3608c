package store

import (
	"context"

	"weir/internal/telemetry"
)

// AppendLogs writes log events in one transaction.
func (s *Store) AppendLogs(ctx context.Context, events []telemetry.LogEvent) error {
	if len(events) == 0 {
		return nil
	}
	type stream struct{ group, name string }
	now := nanos(s.now())
	return s.write(ctx, func(w *session) error {
		// Known only for this batch: a process sees new streams all its life.
		ids := map[stream]streamID{}
		for _, e := range events {
			at := stream{e.Group, e.Stream}
			id, ok := ids[at]
			if !ok {
				var err error
				if id, err = w.streamID(e.Group, e.Stream, now); err != nil {
					return err
				}
				ids[at] = id
			}
			err := w.exec("INSERT INTO log_event (group_id, stream_id, time, ingested, message) VALUES (?, ?, ?, ?, ?)",
				id.group, id.stream, nanos(e.Time), now, e.Message)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

type streamID struct{ group, stream int64 }

// streamID finds a stream, and makes it and its group when they are new.
func (c *session) streamID(group, name string, now int64) (id streamID, err error) {
	err = c.exec("INSERT INTO log_group (name, created) VALUES (?, ?) ON CONFLICT DO NOTHING", group, now)
	if err == nil {
		_, err = c.row("SELECT id FROM log_group WHERE name = ?", []any{group}, &id.group)
	}
	if err == nil {
		err = c.exec("INSERT INTO log_stream (group_id, name, created) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", id.group, name, now)
	}
	if err == nil {
		_, err = c.row("SELECT id FROM log_stream WHERE group_id = ? AND name = ?", []any{id.group, name}, &id.stream)
	}
	return id, err
}
