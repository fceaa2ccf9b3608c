package logs_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	client "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"weir/internal/control/logs"
	"weir/internal/control/protocol"
	"weir/internal/store"
	"weir/internal/telemetry"
)

var (
	epoch   = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	written = epoch.Add(time.Hour)
)

// bench is the service over a store, with what waits to be written.
type bench struct {
	t       *testing.T
	store   *store.Store
	waiting []telemetry.LogEvent
	client  *client.Client
	url     string
	asked   []string // actions
}

func newBench(t *testing.T) *bench {
	t.Helper()
	st, err := store.Open(t.Context(), store.Options{Dir: t.TempDir(), Now: func() time.Time { return written }})
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, store: st}
	s := logs.Service(logs.Options{Store: st, Flush: b.flush, Region: "us-east-1", Account: "000000000000"})
	if err := s.Compile(); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		s.Serve(w, r, body, protocol.Call{Service: "logs", Region: "us-east-1", Account: "000000000000", RequestID: "r"}, func(action, resource string) error {
			b.asked = append(b.asked, action+" on "+resource)
			return nil
		})
	}))
	t.Cleanup(func() {
		server.Close()
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	b.url = server.URL
	b.client = client.New(client.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(server.URL), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("AKIAIOSFODNN7EXAMPLE", "secret", ""),
	})
	return b
}

// log lets something be logged that is not written yet.
func (b *bench) log(group, stream string, ms int, message string) {
	b.waiting = append(b.waiting, telemetry.LogEvent{Group: group, Stream: stream, Time: epoch.Add(time.Duration(ms) * time.Millisecond), Message: message})
}

func (b *bench) flush(ctx context.Context) error {
	events := b.waiting
	b.waiting = nil
	return b.store.AppendLogs(ctx, events)
}

func ms(n int64) *int64 { return aws.Int64(epoch.UnixMilli() + n) }

func ok[T any](t *testing.T, out T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

const (
	hello  = "/aws/lambda/hello"
	one    = "2026/11/24/[$LATEST]1"
	two    = "2026/11/24/[$LATEST]2"
	groups = "arn:aws:logs:us-east-1:000000000000:log-group:"
)

func TestDescribeLogGroups(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	out, err := b.client.DescribeLogGroups(ctx, &client.DescribeLogGroupsInput{})
	if len(ok(t, out, err).LogGroups) != 0 || out.NextToken != nil {
		t.Errorf("nothing was logged: %+v", out)
	}
	for i := range 60 {
		b.log(fmt.Sprintf("/aws/lambda/f%02d", i), "s", 0, "x")
	}
	b.log("API-Gateway-Execution-Logs_abc/prod", "s", 0, "x")
	b.log(hello, one, 0, "x")
	var names []string
	pages := client.NewDescribeLogGroupsPaginator(b.client, &client.DescribeLogGroupsInput{Limit: aws.Int32(25)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		for _, g := range ok(t, page, err).LogGroups {
			names = append(names, *g.LogGroupName)
		}
	}
	if len(names) != 62 || names[0] != "/aws/lambda/f00" || names[60] != hello || names[61] != "API-Gateway-Execution-Logs_abc/prod" {
		t.Errorf("%d groups: %q", len(names), names)
	}
	for _, c := range []struct {
		in   client.DescribeLogGroupsInput
		want int
	}{
		{client.DescribeLogGroupsInput{}, 50},
		{client.DescribeLogGroupsInput{LogGroupNamePrefix: aws.String("/aws/lambda/f1")}, 10},
		{client.DescribeLogGroupsInput{LogGroupNamePattern: aws.String("Execution")}, 1},
		{client.DescribeLogGroupsInput{LogGroupNamePattern: aws.String("execution")}, 0},
		{client.DescribeLogGroupsInput{LogGroupClass: types.LogGroupClassInfrequentAccess}, 0},
		{client.DescribeLogGroupsInput{LogGroupClass: types.LogGroupClassStandard, LogGroupNamePrefix: aws.String(hello)}, 1},
		{client.DescribeLogGroupsInput{LogGroupIdentifiers: []string{hello, groups + "/aws/lambda/f00", "none", "arn:aws:logs:us-east-1:999999999999:log-group:" + hello}}, 2},
	} {
		out, err := b.client.DescribeLogGroups(ctx, &c.in)
		if got := len(ok(t, out, err).LogGroups); got != c.want {
			t.Errorf("%+v: %d groups, want %d", c.in, got, c.want)
		}
	}
	out, err = b.client.DescribeLogGroups(ctx, &client.DescribeLogGroupsInput{LogGroupNamePrefix: aws.String(hello)})
	g := ok(t, out, err).LogGroups[0]
	if *g.Arn != groups+hello+":*" || *g.LogGroupArn != groups+hello || *g.CreationTime != written.UnixMilli() ||
		g.LogGroupClass != types.LogGroupClassStandard || *g.MetricFilterCount != 0 || g.DeletionProtectionEnabled == nil || g.RetentionInDays != nil {
		t.Errorf("group %+v", g)
	}
	if len(b.asked) == 0 || b.asked[0] != "logs:DescribeLogGroups on *" {
		t.Errorf("authorised %q", b.asked)
	}
}

func TestDescribeLogStreams(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	b.log(hello, one, 5000, "a")
	b.log(hello, two, 1000, "b")
	b.log(hello, one, 9000, "c")
	b.log(hello, "other", 20000, "d")
	for _, c := range []struct {
		in   client.DescribeLogStreamsInput
		want []string
	}{
		{client.DescribeLogStreamsInput{}, []string{one, two, "other"}},
		{client.DescribeLogStreamsInput{Descending: aws.Bool(true)}, []string{"other", two, one}},
		{client.DescribeLogStreamsInput{LogStreamNamePrefix: aws.String("2026/")}, []string{one, two}},
		{client.DescribeLogStreamsInput{OrderBy: types.OrderByLastEventTime}, []string{two, one, "other"}},
		{client.DescribeLogStreamsInput{OrderBy: types.OrderByLastEventTime, Descending: aws.Bool(true)}, []string{"other", one, two}},
	} {
		for _, limit := range []*int32{nil, aws.Int32(1), aws.Int32(2)} {
			in := c.in
			in.LogGroupName, in.Limit = aws.String(hello), limit
			var names []string
			pages := client.NewDescribeLogStreamsPaginator(b.client, &in)
			for pages.HasMorePages() {
				page, err := pages.NextPage(ctx)
				for _, s := range ok(t, page, err).LogStreams {
					names = append(names, *s.LogStreamName)
				}
			}
			if fmt.Sprint(names) != fmt.Sprint(c.want) {
				t.Errorf("%+v: %q, want %q", in, names, c.want)
			}
		}
	}
	for _, id := range []string{hello, groups + hello} {
		out, err := b.client.DescribeLogStreams(ctx, &client.DescribeLogStreamsInput{LogGroupIdentifier: aws.String(id), Limit: aws.Int32(1)})
		s := ok(t, out, err).LogStreams[0]
		if *s.Arn != groups+hello+":log-stream:"+one || *s.FirstEventTimestamp != *ms(5000) || *s.LastEventTimestamp != *ms(9000) ||
			*s.LastIngestionTime != written.UnixMilli() || *s.CreationTime != written.UnixMilli() {
			t.Errorf("stream %+v", s)
		}
	}
}

func messages[E any](events []E, message func(E) *string) string {
	var all []string
	for _, e := range events {
		all = append(all, *message(e))
	}
	return strings.Join(all, " ")
}

func ofStream(e types.OutputLogEvent) *string  { return e.Message }
func ofGroup(e types.FilteredLogEvent) *string { return e.Message }

func TestGetLogEvents(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	for i := range 10 {
		b.log(hello, one, i*1000, fmt.Sprint(i))
	}
	b.log(hello, two, 0, "another stream")
	get := func(in client.GetLogEventsInput) *client.GetLogEventsOutput {
		t.Helper()
		in.LogGroupName, in.LogStreamName = aws.String(hello), aws.String(one)
		out, err := b.client.GetLogEvents(ctx, &in)
		return ok(t, out, err)
	}
	for _, c := range []struct {
		in   client.GetLogEventsInput
		want string
	}{
		{client.GetLogEventsInput{}, "0 1 2 3 4 5 6 7 8 9"},
		{client.GetLogEventsInput{Limit: aws.Int32(3)}, "7 8 9"},
		{client.GetLogEventsInput{Limit: aws.Int32(3), StartFromHead: aws.Bool(true)}, "0 1 2"},
		{client.GetLogEventsInput{StartTime: ms(3000), EndTime: ms(5000)}, "3 4"},
		{client.GetLogEventsInput{StartTime: ms(100000)}, ""},
		{client.GetLogEventsInput{EndTime: aws.Int64(0)}, ""},
		{client.GetLogEventsInput{EndTime: aws.Int64(1<<63 - 1), Limit: aws.Int32(1)}, "9"},
	} {
		if got := messages(get(c.in).Events, ofStream); got != c.want {
			t.Errorf("%+v: %s, want %s", c.in, got, c.want)
		}
	}
	e := get(client.GetLogEventsInput{Limit: aws.Int32(1)}).Events[0]
	if *e.Timestamp != *ms(9000) || *e.IngestionTime != written.UnixMilli() {
		t.Errorf("event %+v", e)
	}
	// Back to the front, then forward to the end; at an end the token stays.
	page := get(client.GetLogEventsInput{Limit: aws.Int32(4)})
	walk := messages(page.Events, ofStream)
	for range 3 {
		page = get(client.GetLogEventsInput{Limit: aws.Int32(4), NextToken: page.NextBackwardToken})
		walk += " | " + messages(page.Events, ofStream)
	}
	if again := get(client.GetLogEventsInput{NextToken: page.NextBackwardToken}); *again.NextBackwardToken != *page.NextBackwardToken || len(again.Events) != 0 {
		t.Errorf("at the front: %+v", again)
	}
	for range 4 {
		page = get(client.GetLogEventsInput{Limit: aws.Int32(4), NextToken: page.NextForwardToken, StartFromHead: aws.Bool(true)})
		walk += " | " + messages(page.Events, ofStream)
	}
	if want := "6 7 8 9 | 2 3 4 5 | 0 1 |  | 1 2 3 4 | 5 6 7 8 | 9 | "; walk != want {
		t.Errorf("walked %q, want %q", walk, want)
	}
	b.log(hello, one, 10000, "10")
	if got := messages(get(client.GetLogEventsInput{NextToken: page.NextForwardToken}).Events, ofStream); got != "10" {
		t.Errorf("after the end: %q", got)
	}
	if token := *page.NextForwardToken; len(token) != 58 || !strings.HasPrefix(token, "f/") {
		t.Errorf("token %q", token)
	}
}

func TestFilterLogEvents(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	b.log(hello, one, 0, "START RequestId: 1")
	b.log(hello, two, 1000, "START RequestId: 2")
	b.log(hello, one, 2000, "[ERROR] no")
	b.log(hello, two, 2000, "fine")
	b.log(hello, "3", 3000, "END RequestId: 2")
	filter := func(in client.FilterLogEventsInput) *client.FilterLogEventsOutput {
		t.Helper()
		in.LogGroupName = aws.String(hello)
		out, err := b.client.FilterLogEvents(ctx, &in)
		return ok(t, out, err)
	}
	const all = "START RequestId: 1 START RequestId: 2 [ERROR] no fine END RequestId: 2"
	for _, c := range []struct {
		in   client.FilterLogEventsInput
		want string
	}{
		{client.FilterLogEventsInput{}, all},
		{client.FilterLogEventsInput{StartTime: ms(1000), EndTime: ms(2000)}, "START RequestId: 2 [ERROR] no fine"},
		{client.FilterLogEventsInput{EndTime: ms(999)}, "START RequestId: 1"},
		{client.FilterLogEventsInput{EndTime: aws.Int64(1<<63 - 1)}, all},
		{client.FilterLogEventsInput{LogStreamNames: []string{two}}, "START RequestId: 2 fine"},
		{client.FilterLogEventsInput{LogStreamNames: []string{"3", two, "none"}}, "START RequestId: 2 fine END RequestId: 2"},
		{client.FilterLogEventsInput{LogStreamNames: []string{"none"}}, ""},
		{client.FilterLogEventsInput{LogStreamNamePrefix: aws.String("2026/")}, "START RequestId: 1 START RequestId: 2 [ERROR] no fine"},
		{client.FilterLogEventsInput{FilterPattern: aws.String("RequestId -END")}, "START RequestId: 1 START RequestId: 2"},
		{client.FilterLogEventsInput{FilterPattern: aws.String(`"[ERROR]"`)}, "[ERROR] no"},
		{client.FilterLogEventsInput{FilterPattern: aws.String("nothing")}, ""},
	} {
		if got := messages(filter(c.in).Events, ofGroup); got != c.want {
			t.Errorf("%+v: %s, want %s", c.in, got, c.want)
		}
		in := c.in
		in.LogGroupName, in.Limit = aws.String(hello), aws.Int32(1)
		var paged []types.FilteredLogEvent
		pages := client.NewFilterLogEventsPaginator(b.client, &in)
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			paged = append(paged, ok(t, page, err).Events...)
		}
		if got := messages(paged, ofGroup); got != c.want {
			t.Errorf("%+v in pages of one: %s, want %s", c.in, got, c.want)
		}
	}
	out := filter(client.FilterLogEventsInput{})
	ids := map[string]bool{}
	for _, e := range out.Events {
		ids[*e.EventId] = true
	}
	e := out.Events[1]
	if len(ids) != 5 || *e.LogStreamName != two || *e.Timestamp != *ms(1000) || *e.IngestionTime != written.UnixMilli() || out.NextToken != nil {
		t.Errorf("event %+v, %d ids, token %v", e, len(ids), out.NextToken)
	}
	if len(b.waiting) != 0 {
		t.Error("read without what was logged before")
	}
}

// TestPagesAreBounded: a page holds a megabyte at most.
func TestPagesAreBounded(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	for i := range 9 {
		b.log(hello, one, i, strings.Repeat("x", 256<<10-1))
	}
	var sizes []int
	pages := client.NewFilterLogEventsPaginator(b.client, &client.FilterLogEventsInput{LogGroupName: aws.String(hello)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		sizes = append(sizes, len(ok(t, page, err).Events))
	}
	if fmt.Sprint(sizes) != "[3 3 3]" {
		t.Errorf("pages of %v events", sizes)
	}
	stream, err := b.client.GetLogEvents(ctx, &client.GetLogEventsInput{LogGroupName: aws.String(hello), LogStreamName: aws.String(one)})
	if got := len(ok(t, stream, err).Events); got != 3 {
		t.Errorf("a page of a stream holds %d", got)
	}
}
