package store

import (
	"path/filepath"
	"testing"
	"time"

	"weir/internal/telemetry"
)

// TestLogsMoveToGroups: logs that version 1 of the schema kept are all there,
// in their order, and are written on.
func TestLogsMoveToGroups(t *testing.T) {
	dir := t.TempDir()
	old, err := openSQLite(dsn(dir, writing))
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		old.migrate(filepath.Join(dir, DatabaseFile), migrations[:1], time.Unix(0, 1)),
		old.exec("INSERT INTO log_stream (id, group_name, name) VALUES (7, 'g', 'a'), (8, 'g', 'b'), (9, 'h', 'a'), (10, 'g', 'empty')"),
		old.exec("INSERT INTO log_event (stream_id, time, message) VALUES (8, 20, 'second'), (7, 10, 'first'), (9, 30, 'other'), (7, 20, 'third')"),
		old.close(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	s, err := Open(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.AppendLogs(t.Context(), []telemetry.LogEvent{{Group: "g", Stream: "b", Time: time.Unix(0, 40), Message: "new"}}); err != nil {
		t.Fatal(err)
	}
	got := ""
	err = s.ReadLogGroup(t.Context(), "g", LogRange{}, func(e LoggedEvent) bool {
		got += e.Stream + " " + e.Message + ", "
		return true
	})
	if want := "a first, b second, a third, b new, "; err != nil || got != want {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
	groups, err := s.LogGroups(t.Context(), "", "", "", 0)
	if err != nil || len(groups) != 2 || groups[0].Created.UnixNano() != 10 || groups[1].Created.UnixNano() != 30 {
		t.Errorf("groups %v, %v", groups, err)
	}
	streams, err := s.LogStreams(t.Context(), "g", LogStreamsQuery{})
	if err != nil || len(streams) != 2 || streams[1].Created.UnixNano() != 20 || streams[1].Last.UnixNano() != 40 {
		t.Errorf("streams %v, %v", streams, err)
	}
}
