package cli

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	cwl "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
)

// written is a log group that grows between looks: page by page of two, as
// CloudWatch Logs reads it.
type written struct{ events []cwl.FilteredLogEvent }

func (w *written) add(id string, ms int64) {
	w.events = append(w.events, cwl.FilteredLogEvent{EventId: &id, Timestamp: &ms, Message: &id})
	slices.SortStableFunc(w.events, func(a, b cwl.FilteredLogEvent) int { return int(*a.Timestamp - *b.Timestamp) })
}

func (w *written) FilterLogEvents(_ context.Context, in *cloudwatchlogs.FilterLogEventsInput, _ ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.FilterLogEventsOutput, error) {
	out := &cloudwatchlogs.FilterLogEventsOutput{}
	skip := 0
	if in.NextToken != nil {
		if _, err := fmt.Sscan(*in.NextToken, &skip); err != nil {
			return nil, err
		}
	}
	for _, e := range w.events {
		if *e.Timestamp < *in.StartTime {
			continue
		}
		if skip--; skip >= 0 {
			continue
		}
		if len(out.Events) == 2 {
			taken := 2
			if in.NextToken != nil {
				var before int
				if _, err := fmt.Sscan(*in.NextToken, &before); err != nil {
					return nil, err
				}
				taken += before
			}
			out.NextToken = aws.String(fmt.Sprint(taken))
			break
		}
		out.Events = append(out.Events, e)
	}
	return out, nil
}

// TestLooksLoseNothing: at the edges of looks, and when an older event is
// written after a younger one, every event is given once.
func TestLooksLoseNothing(t *testing.T) {
	w := &written{}
	var got []string
	r := &logReader{client: w, from: time.UnixMilli(1000), seen: map[string]time.Time{}, each: func(e *cwl.FilteredLogEvent) error {
		got = append(got, *e.EventId)
		return nil
	}}
	look := func(want ...string) {
		t.Helper()
		got = nil
		if err := r.look(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) {
			t.Errorf("gave %v, want %v", got, want)
		}
	}
	look()
	w.add("before", 999)
	w.add("a", 1000)
	w.add("b", 1000)
	w.add("c", 1000)
	look("a", "b", "c")
	look()
	w.add("d", 1000) // at the time of the last one
	look("d")
	w.add("e", 20_000)
	look("e")
	w.add("late", 15_000) // older than what was given, within the overlap
	w.add("f", 20_000)
	look("late", "f")
	look()
	if len(r.seen) != 3 || r.from != time.UnixMilli(15_000) {
		t.Errorf("remembers %v from %v on", r.seen, r.from)
	}
	for i := range int64(20) { // a look of many pages moves on with every page
		w.add(fmt.Sprintf("n%02d", i), 30_000+1000*i)
	}
	got = nil
	if err := r.look(t.Context()); err != nil || len(got) != 20 || len(r.seen) != 6 {
		t.Errorf("%v: gave %v, remembers %v", err, got, r.seen)
	}
}

func TestLogs(t *testing.T) {
	s := stock(t)
	if out := s.does("logs"); out != "no log groups: nothing was logged yet\n" {
		t.Errorf("without a group: %q", out)
	}
	s.function("echo", fixtureCode)
	if out := s.does("logs", "echo"); out != "" {
		t.Errorf("before its first run: %q", out)
	}
	s.does("invoke", "echo", "--payload", `{}`)
	out := s.does("logs", "echo")
	for _, want := range []string{"START RequestId: ", "said\x1b[2J something\n", "END RequestId: ", "REPORT RequestId: "} {
		if !strings.Contains(out, want) {
			t.Errorf("logs of echo lack %q:\n%s", want, out)
		}
	}
	if byGroup := s.does("logs", "/aws/lambda/echo", "--since", "1h"); byGroup != out {
		t.Errorf("by group:\n%s\nby function:\n%s", byGroup, out)
	}
	if out := s.does("logs", "echo", "--filter", `RequestId -START -END`); strings.Count(out, "\n") != 1 || !strings.Contains(out, "REPORT") {
		t.Errorf("filtered: %q", out)
	}
	if out := s.does("logs", "echo", "--since", "0s"); out != "" {
		t.Errorf("since now: %q", out)
	}
	e := decode[logLine](t, s.does("logs", "echo", "--filter", "said", "--json"))
	if e.Message != "said\x1b[2J something\n" || e.EventID == "" || !strings.Contains(e.LogStreamName, "[$LATEST]") || time.Since(time.UnixMilli(e.Timestamp)) > time.Hour || e.IngestionTime < e.Timestamp {
		t.Errorf("--json: %+v", e)
	}
	groups := decode[logGroupList](t, s.does("logs", "--json"))
	if len(groups.LogGroups) != 1 || groups.LogGroups[0].Name != "/aws/lambda/echo" || groups.LogGroups[0].Last == nil || groups.LogGroups[0].Last.IsZero() {
		t.Errorf("groups %+v", groups)
	}
	table := newScreen(io.Discard)
	groups.now = groups.LogGroups[0].Last.Add(90 * time.Minute)
	groups.print(table)
	if got := strings.Join(strings.Fields(table.String()), " "); got != "LOG GROUP CREATED LAST EVENT /aws/lambda/echo 1h 1h" {
		t.Errorf("table %q", got)
	}
	s.refuses([]string{`no function and no log group is named "none"`}, "logs", "none")
	s.refuses([]string{`no function and no log group is named "/none"`}, "logs", "/none")
	s.refuses([]string{"FilterLogEvents: InvalidParameterException", "not supported here yet"}, "logs", "echo", "--filter", "{ $.a = 1 }")
	for _, args := range [][]string{{"--since", "-1m", "echo"}, {"--follow"}, {"--filter", "x"}, {"--since", "soon", "echo"}} {
		if code, _, errs := s.run(append([]string{"logs"}, args...)...); code != exitUsage {
			t.Errorf("%v: exit %d: %s", args, code, errs)
		}
	}
}

// TestFollowingLogs: events come as they are logged, from a function that has
// not run when following begins, and Ctrl-C ends it.
func TestFollowingLogs(t *testing.T) {
	s := stock(t)
	s.function("echo", fixtureCode)
	ctx, interrupt := context.WithCancel(t.Context())
	read, write := io.Pipe()
	var stderr bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"logs", "echo", "--data", s.data, "--follow", "--filter", "said"}, write, &stderr)
		write.Close()
	}()
	lines := bufio.NewScanner(read)
	for range 2 {
		s.does("invoke", "echo", "--payload", `{}`)
		if !lines.Scan() || !strings.HasSuffix(lines.Text(), "Z said\x1b[2J something") {
			t.Fatalf("followed %q", lines.Text())
		}
	}
	interrupt()
	if code := <-ended; code != exitOK || stderr.Len() > 0 {
		t.Errorf("after Ctrl-C: exit %d: %s", code, stderr.String())
	}
}

func TestCleanLines(t *testing.T) {
	if got := cleanLines("a\tb\n\x1b[31mc\r"); got != "a\tb\n\\x1b[31mc\\r" {
		t.Errorf("%q", got)
	}
}
