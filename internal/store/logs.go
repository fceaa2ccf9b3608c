package store

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"weir/internal/telemetry"
)

// AppendLogs writes log events in one transaction.
func (s *Store) AppendLogs(ctx context.Context, events []telemetry.LogEvent) error {
	if len(events) == 0 {
		return nil
	}
	return s.write(ctx, s.rest, func(w *session) error {
		now, err := s.clock(w)
		if err != nil {
			return err
		}
		ids, err := w.streamIDs(events, nanos(now))
		if err != nil {
			return err
		}
		rows := make([][]any, len(events))
		for i, e := range events {
			id := ids[logStream{e.Group, e.Stream}]
			rows[i] = []any{id.group, id.stream, nanos(e.Time), nanos(now), e.Message}
		}
		return w.many("INSERT INTO log_event (group_id, stream_id, time, ingested, message) VALUES (?, ?, ?, ?, ?)", rows, nil)
	})
}

type (
	logStream struct{ group, name string }
	streamID  struct{ group, stream int64 }
)

// streamIDs finds the streams of events, and makes them and their groups when
// they are new: always in one order, so that two nodes that make the same ones
// do not wait for each other. They are known only for this batch, because a
// process sees new streams all its life.
func (c *session) streamIDs(events []telemetry.LogEvent, now int64) (map[logStream]streamID, error) {
	ids := map[logStream]streamID{}
	var streams []logStream
	for _, e := range events {
		at := logStream{e.Group, e.Stream}
		if _, seen := ids[at]; !seen {
			ids[at] = streamID{}
			streams = append(streams, at)
		}
	}
	slices.SortFunc(streams, func(a, b logStream) int {
		return cmp.Or(strings.Compare(a.group, b.group), strings.Compare(a.name, b.name))
	})
	for _, at := range streams {
		id, err := c.streamID(at.group, at.name, now)
		if err != nil {
			return nil, err
		}
		ids[at] = id
	}
	return ids, nil
}

// streamID finds a stream, and makes it and its group when they are new.
func (c *session) streamID(group, name string, now int64) (id streamID, err error) {
	found, err := c.row("SELECT g.id, s.id FROM log_group g JOIN log_stream s ON s.group_id = g.id WHERE g.name = ? AND s.name = ?",
		[]any{group, name}, &id.group, &id.stream)
	if found || err != nil {
		return id, err
	}
	err = c.exec("INSERT INTO log_group (name, created) VALUES (?, ?) ON CONFLICT (name) DO NOTHING", group, now)
	if err == nil {
		_, err = c.row("SELECT id FROM log_group WHERE name = ?", []any{group}, &id.group)
	}
	if err == nil {
		err = c.exec("INSERT INTO log_stream (group_id, name, created) VALUES (?, ?, ?) ON CONFLICT (group_id, name) DO NOTHING", id.group, name, now)
	}
	if err == nil {
		_, err = c.row("SELECT id FROM log_stream WHERE group_id = ? AND name = ?", []any{id.group, name}, &id.stream)
	}
	return id, err
}
