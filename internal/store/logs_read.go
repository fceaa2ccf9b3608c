package store

import (
	"context"
	"errors"
	"math"
	"time"
)

// What reading logs answers when there is nothing of that name.
var (
	ErrNoLogGroup  = errors.New("store: no such log group")
	ErrNoLogStream = errors.New("store: no such log stream")
)

// LogGroup is the log streams of one source.
type LogGroup struct {
	Name    string
	Created time.Time
}

// LogStream is one sequence of events. First and Last are the times of its
// events; Ingested is when the last one was written.
type LogStream struct {
	Name                           string
	Created, First, Last, Ingested time.Time
}

// LogPosition is a place among events, which are ordered by time and, at one
// time, as they were written. Comparable.
type LogPosition struct {
	Time int64 // nanoseconds since 1970
	Seq  int64 // unlike any other event's
}

// LoggedEvent is an event as it was kept.
type LoggedEvent struct {
	Stream         string
	Time, Ingested time.Time
	Message        string
	Position       LogPosition
}

// LogRange says which events are read, and from which end.
type LogRange struct {
	From, To time.Time    // From is in the range, To is not; the zero time is no bound
	After    *LogPosition // only what comes behind this place; nil: all
	Backward bool         // from the newest to the oldest
}

// LogGroups reads groups in the order of their names, byte by byte: those whose
// names begin with prefix, contain part, and come after a name. Limit 0 means
// all.
func (s *Store) LogGroups(ctx context.Context, prefix, part, after string, limit int) (groups []LogGroup, err error) {
	where, args := prefixed("name", prefix)
	args = append(args, after, part, unlimited(limit))
	err = s.read(ctx, func(r *session) error {
		return r.rows("SELECT name, created FROM log_group WHERE "+where+" AND name > ? AND instr(name, ?) > 0 ORDER BY name LIMIT ?", args,
			func(scan func(...any) error) error {
				var g LogGroup
				var created int64
				err := scan(&g.Name, &created)
				g.Created = fromNanos(created)
				groups = append(groups, g)
				return err
			})
	})
	return groups, err
}

// LogStreamsQuery chooses and orders the streams of a group.
type LogStreamsQuery struct {
	Prefix     string    // of the name
	ByTime     bool      // order by the time of the last event, and by name at one time; else by name
	Descending bool      // the greatest first
	AfterName  string    // only what comes behind this name, "": all
	AfterTime  time.Time // with ByTime: and behind this time
	Limit      int       // 0: all
}

// LogStreams reads streams of a group. ByTime looks at every stream of it. The
// error is ErrNoLogGroup when there is no such group.
func (s *Store) LogStreams(ctx context.Context, group string, q LogStreamsQuery) (streams []LogStream, err error) {
	where, args := prefixed("name", q.Prefix)
	order, behind := "ASC", ">"
	if q.Descending {
		order, behind = "DESC", "<"
	}
	switch {
	case q.ByTime && q.AfterName != "":
		where += " AND (last, name) " + behind + " (?, ?)"
		args = append(args, nanos(q.AfterTime), q.AfterName)
	case q.AfterName != "":
		where += " AND name " + behind + " ?"
		args = append(args, q.AfterName)
	}
	by := "name " + order
	if q.ByTime {
		by = "last " + order + ", name " + order
	}
	err = s.read(ctx, func(r *session) error {
		id, err := r.groupID(group)
		if err != nil {
			return err
		}
		return r.rows(streamsQuery(where, by), append(append([]any{id}, args...), unlimited(q.Limit)),
			func(scan func(...any) error) error {
				var st LogStream
				var created, first, last, ingested int64
				err := scan(&st.Name, &created, &first, &last, &ingested)
				st.Created, st.First, st.Last, st.Ingested = fromNanos(created), fromNanos(first), fromNanos(last), fromNanos(ingested)
				streams = append(streams, st)
				return err
			})
	})
	return streams, err
}

// streamsQuery reads streams with what their events tell; the parameters are
// the group, those of where, and the limit.
func streamsQuery(where, by string) string {
	return `SELECT name, created, first, last, ingested FROM (SELECT s.name, s.created,
		coalesce((SELECT min(time) FROM log_event WHERE stream_id = s.id), 0) AS first,
		coalesce((SELECT max(time) FROM log_event WHERE stream_id = s.id), 0) AS last,
		coalesce((SELECT ingested FROM log_event WHERE stream_id = s.id ORDER BY time DESC, seq DESC LIMIT 1), 0) AS ingested
		FROM log_stream s WHERE s.group_id = ?) AS told
		WHERE ` + where + " ORDER BY " + by + " LIMIT ?"
}

// groupID finds a group, or is ErrNoLogGroup.
func (c *session) groupID(name string) (id int64, err error) {
	ok, err := c.row("SELECT id FROM log_group WHERE name = ?", []any{name}, &id)
	if err == nil && !ok {
		err = ErrNoLogGroup
	}
	return id, err
}

// ReadLogGroup calls each for the events of a group, in order, until it returns
// false. each must not call the store. The error is ErrNoLogGroup when there is
// no such group.
func (s *Store) ReadLogGroup(ctx context.Context, group string, in LogRange, each func(LoggedEvent) (more bool)) error {
	return s.read(ctx, func(r *session) error {
		id, err := r.groupID(group)
		if err != nil {
			return err
		}
		return r.readLogs(ctx, "group_id", id, in, each)
	})
}

// ReadLogStream is ReadLogGroup for one stream; ErrNoLogStream when the group
// has none of that name.
func (s *Store) ReadLogStream(ctx context.Context, group, stream string, in LogRange, each func(LoggedEvent) (more bool)) error {
	return s.read(ctx, func(r *session) error {
		id, err := r.groupID(group)
		if err != nil {
			return err
		}
		var streamID int64
		ok, err := r.row("SELECT id FROM log_stream WHERE group_id = ? AND name = ?", []any{id, stream}, &streamID)
		if err == nil && !ok {
			err = ErrNoLogStream
		}
		if err != nil {
			return err
		}
		return r.readLogs(ctx, "stream_id", streamID, in, each)
	})
}

// errEnough ends a reading that needs no more rows.
var errEnough = errors.New("enough")

// readLogs reads the events whose owner (a column) has an id. Both owners have
// an index with the time, so that neither a page nor its place costs more than
// its events.
func (c *session) readLogs(ctx context.Context, owner string, id int64, in LogRange, each func(LoggedEvent) bool) error {
	err := c.rows(logsQuery(owner, in.Backward), logsArgs(id, in), func(scan func(...any) error) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		var e LoggedEvent
		var ingested int64
		if err := scan(&e.Stream, &e.Position.Time, &ingested, &e.Position.Seq, &e.Message); err != nil {
			return err
		}
		e.Time, e.Ingested = fromNanos(e.Position.Time), fromNanos(ingested)
		if !each(e) {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

func logsQuery(owner string, backward bool) string {
	order, behind := "", ">"
	if backward {
		order, behind = " DESC", "<"
	}
	return `SELECT (SELECT name FROM log_stream s WHERE s.id = e.stream_id), e.time, e.ingested, e.seq, e.message
		FROM log_event e
		WHERE e.` + owner + ` = ? AND e.time >= ? AND e.time < ? AND (e.time ` + behind + ` ? OR e.seq ` + behind + ` ?)
		ORDER BY e.time` + order + `, e.seq` + order
}

func logsArgs(id int64, in LogRange) []any {
	from, to := nanos(in.From), int64(math.MaxInt64)
	if !in.To.IsZero() {
		to = nanos(in.To)
	}
	after := LogPosition{Time: -1, Seq: -1}
	if in.Backward {
		after = LogPosition{Time: math.MaxInt64, Seq: math.MaxInt64}
	}
	if in.After != nil {
		// The bound by time is what the index is entered with.
		after = *in.After
		if !in.Backward {
			from = max(from, after.Time)
		} else if after.Time < math.MaxInt64 {
			to = min(to, after.Time+1)
		}
	}
	return []any{id, from, to, after.Time, after.Seq}
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

// unlimited is the LIMIT for "0: no limit".
func unlimited(n int) int64 {
	if n <= 0 {
		return math.MaxInt64
	}
	return int64(n)
}
