package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/internal/store"
	"weir/internal/telemetry"
)

func at(second int) time.Time { return Epoch.Add(time.Duration(second) * time.Second) }

func appendLogs(t *testing.T, s *store.Store, events ...telemetry.LogEvent) {
	t.Helper()
	if err := s.AppendLogs(t.Context(), events); err != nil {
		t.Fatal(err)
	}
}

// someLogs are two groups; "g" has three streams whose events are interleaved
// and were not written in the order of their times.
func someLogs(t *testing.T, s *store.Store) {
	t.Helper()
	event := func(group, stream string, second int, message string) telemetry.LogEvent {
		return telemetry.LogEvent{Group: group, Stream: stream, Time: at(second), Message: message}
	}
	appendLogs(t, s)
	appendLogs(t, s, event("g", "2026/[$LATEST]1", 3, "c"), event("g", "2026/[$LATEST]1", 1, "a\x00\n"), event("h", "2026/[$LATEST]1", 2, "x"))
	appendLogs(t, s, event("g", "2026/[$LATEST]2", 2, "b"), event("g", "2026/[$LATEST]1", 3, "d"), event("g", "2027/%", 9, "z"))
	appendLogs(t, s, event("/aws/g", "s", 5, "y"))
}

func logs(t *testing.T, s *store.Store) {
	someLogs(t, s)
	t.Run("events", func(t *testing.T) { logEvents(t, s) })
	t.Run("groups", func(t *testing.T) { logGroups(t, s) })
	t.Run("streams", func(t *testing.T) { logStreams(t, s) })
	t.Run("pages", func(t *testing.T) { logPages(t, s) })
}

// read joins the messages that a reading gives; stream "" reads the group.
func read(t *testing.T, s *store.Store, group, stream string, in store.LogRange, limit int) (messages string, events []store.LoggedEvent) {
	t.Helper()
	each := func(e store.LoggedEvent) bool {
		messages += e.Message
		events = append(events, e)
		return len(events) != limit
	}
	var err error
	if stream == "" {
		err = s.ReadLogGroup(t.Context(), group, in, each)
	} else {
		err = s.ReadLogStream(t.Context(), group, stream, in, each)
	}
	if err != nil {
		t.Fatal(err)
	}
	return messages, events
}

func logEvents(t *testing.T, s *store.Store) {
	for _, c := range []struct {
		group, stream string
		in            store.LogRange
		limit         int
		want          string
	}{
		{"g", "", store.LogRange{}, 0, "a\x00\nbcdz"},
		{"g", "", store.LogRange{Backward: true}, 0, "zdcba\x00\n"},
		{"g", "", store.LogRange{}, 2, "a\x00\nb"},
		{"g", "", store.LogRange{Backward: true}, 2, "zd"},
		{"g", "", store.LogRange{From: at(2)}, 0, "bcdz"},
		{"g", "", store.LogRange{From: at(2), To: at(3)}, 0, "b"},
		{"g", "", store.LogRange{To: at(3), Backward: true}, 0, "ba\x00\n"},
		{"g", "", store.LogRange{From: at(10)}, 0, ""},
		{"g", "2026/[$LATEST]1", store.LogRange{}, 0, "a\x00\ncd"},
		{"g", "2026/[$LATEST]1", store.LogRange{From: at(2), Backward: true}, 0, "dc"},
		{"g", "2027/%", store.LogRange{}, 0, "z"},
		{"h", "", store.LogRange{}, 5, "x"},
	} {
		if got, _ := read(t, s, c.group, c.stream, c.in, c.limit); got != c.want {
			t.Errorf("%s %s %+v: %q, want %q", c.group, c.stream, c.in, got, c.want)
		}
	}
	_, events := read(t, s, "h", "", store.LogRange{}, 1)
	e := events[0]
	if e.Stream != "2026/[$LATEST]1" || !e.Time.Equal(at(2)) || e.Ingested.IsZero() || e.Position.Time != at(2).UnixNano() || e.Position.Seq == 0 {
		t.Errorf("event %+v", e)
	}
	for _, err := range []error{
		s.ReadLogGroup(t.Context(), "G", store.LogRange{}, nil),
		s.ReadLogStream(t.Context(), "%", "x", store.LogRange{}, nil),
	} {
		if !errors.Is(err, store.ErrNoLogGroup) {
			t.Errorf("no such group: %v", err)
		}
	}
	if err := s.ReadLogStream(t.Context(), "g", "2027/", store.LogRange{}, nil); !errors.Is(err, store.ErrNoLogStream) {
		t.Errorf("no such stream: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	seen := 0
	err := s.ReadLogGroup(ctx, "g", store.LogRange{}, func(store.LoggedEvent) bool { seen++; cancel(); return true })
	if !errors.Is(err, context.Canceled) || seen != 1 {
		t.Errorf("a reading whose context ended: %d events, %v", seen, err)
	}
}

func logGroups(t *testing.T, s *store.Store) {
	for _, c := range []struct {
		prefix, part, after string
		limit               int
		want                string
	}{
		{"", "", "", 0, "/aws/g g h"},
		{"", "", "", 2, "/aws/g g"},
		{"", "", "g", 2, "h"},
		{"/aws/", "", "", 0, "/aws/g"},
		{"", "g", "", 0, "/aws/g g"},
		{"", "G", "", 0, ""},
		{"%", "", "", 0, ""},
	} {
		groups, err := s.LogGroups(t.Context(), c.prefix, c.part, c.after, c.limit)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, g := range groups {
			names = append(names, g.Name)
			if g.Created.IsZero() {
				t.Errorf("%s has no time of creation", g.Name)
			}
		}
		if got := strings.Join(names, " "); got != c.want {
			t.Errorf("%+v: %s, want %s", c, got, c.want)
		}
	}
}

func logStreams(t *testing.T, s *store.Store) {
	const one, two, three = "2026/[$LATEST]1", "2026/[$LATEST]2", "2027/%"
	for _, c := range []struct {
		q    store.LogStreamsQuery
		want []string
	}{
		{store.LogStreamsQuery{}, []string{one, two, three}},
		{store.LogStreamsQuery{Limit: 2}, []string{one, two}},
		{store.LogStreamsQuery{AfterName: one}, []string{two, three}},
		{store.LogStreamsQuery{Descending: true}, []string{three, two, one}},
		{store.LogStreamsQuery{Descending: true, AfterName: two}, []string{one}},
		{store.LogStreamsQuery{Prefix: "2026/"}, []string{one, two}},
		{store.LogStreamsQuery{ByTime: true}, []string{two, one, three}},
		{store.LogStreamsQuery{ByTime: true, Descending: true, Limit: 2}, []string{three, one}},
		{store.LogStreamsQuery{ByTime: true, AfterTime: at(2), AfterName: two}, []string{one, three}},
		{store.LogStreamsQuery{ByTime: true, Descending: true, AfterTime: at(3), AfterName: one}, []string{two}},
	} {
		streams, err := s.LogStreams(t.Context(), "g", c.q)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, st := range streams {
			names = append(names, st.Name)
			if st.Name == one && (!st.First.Equal(at(1)) || !st.Last.Equal(at(3)) || st.Created.IsZero() || st.Ingested.IsZero()) {
				t.Errorf("stream %+v", st)
			}
		}
		if !slices.Equal(names, c.want) {
			t.Errorf("%+v: %q, want %q", c.q, names, c.want)
		}
	}
	if _, err := s.LogStreams(t.Context(), "none", store.LogStreamsQuery{}); !errors.Is(err, store.ErrNoLogGroup) {
		t.Errorf("no such group: %v", err)
	}
}

// logPages reads many events of few times page by page, in both directions:
// none is lost or given twice at the edges.
func logPages(t *testing.T, s *store.Store) {
	var want []string
	var all []telemetry.LogEvent
	for i := range 100 {
		want = append(want, fmt.Sprintf("%02d ", i))
		all = append(all, telemetry.LogEvent{Group: "pages", Stream: fmt.Sprint(i % 3), Time: at(i / 30), Message: want[i]})
	}
	appendLogs(t, s, all...)
	backward := slices.Clone(want)
	slices.Reverse(backward)
	for _, in := range []store.LogRange{{}, {Backward: true}} {
		for _, size := range []int{1, 7, 100, 101} {
			got := ""
			for pages := 0; ; pages++ {
				messages, events := read(t, s, "pages", "", in, size)
				if got += messages; len(events) < size || pages > 100 {
					break
				}
				in.After = &events[size-1].Position
			}
			in.After = nil
			expected := strings.Join(want, "")
			if in.Backward {
				expected = strings.Join(backward, "")
			}
			if got != expected {
				t.Errorf("backward %v, pages of %d: %s", in.Backward, size, got)
			}
		}
	}
}
