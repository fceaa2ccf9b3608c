package cli

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	cwl "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
)

const (
	logPoll    = time.Second     // between two looks with --follow
	logOverlap = 5 * time.Second // of two looks: events come a little out of order
)

// showLogs prints the events of a function or a group. With follow it ends
// without an error when ctx does.
func (c *connection) showLogs(ctx context.Context, out io.Writer, name string, o logsOptions) error {
	group, err := c.logGroupOf(ctx, name)
	if err != nil {
		return err
	}
	r := &logReader{
		client: cloudwatchlogs.NewFromConfig(c.aws), group: group, filter: o.filter, from: time.Now().Add(-o.since).Truncate(time.Millisecond), seen: map[string]time.Time{},
		each: func(e *cwl.FilteredLogEvent) error { return printLogEvent(out, e, o.json) },
	}
	for {
		err := r.look(ctx)
		if o.follow && ctx.Err() != nil {
			return nil
		}
		if err != nil || !o.follow {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(logPoll):
		}
	}
}

// filterer is the one call that a logReader makes.
type filterer = cloudwatchlogs.FilterLogEventsAPIClient

// logReader gives the events of a group, each once, however often it looks.
// Looks overlap, because an event may be written a little after a younger one;
// what was given already is known by its id.
type logReader struct {
	client filterer
	group  string
	filter string
	from   time.Time            // where the next look begins, in whole milliseconds
	newest time.Time            // of the events that were given
	seen   map[string]time.Time // events from there on that were given, by id
	each   func(*cwl.FilteredLogEvent) error
}

func (r *logReader) look(ctx context.Context) error {
	in := &cloudwatchlogs.FilterLogEventsInput{LogGroupName: &r.group, StartTime: aws.Int64(r.from.UnixMilli())}
	if r.filter != "" {
		in.FilterPattern = &r.filter
	}
	pages := cloudwatchlogs.NewFilterLogEventsPaginator(r.client, in)
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		var none *cwl.ResourceNotFoundException
		if errors.As(err, &none) { // a function that has not run yet
			return nil
		}
		if err != nil {
			return err
		}
		for i := range page.Events {
			at, err := r.give(&page.Events[i])
			if err != nil {
				return err
			}
			if at.After(r.newest) {
				r.newest = at
			}
		}
		r.forget()
	}
	return nil
}

// forget moves the place where the next look begins, and drops what it will
// not come across again.
func (r *logReader) forget() {
	if next := r.newest.Add(-logOverlap); next.After(r.from) {
		r.from = next
	}
	for id, at := range r.seen {
		if at.Before(r.from) {
			delete(r.seen, id)
		}
	}
}

func (r *logReader) give(e *cwl.FilteredLogEvent) (at time.Time, err error) {
	at = time.UnixMilli(aws.ToInt64(e.Timestamp))
	id := aws.ToString(e.EventId)
	if _, given := r.seen[id]; given {
		return at, nil
	}
	r.seen[id] = at
	return at, r.each(e)
}
