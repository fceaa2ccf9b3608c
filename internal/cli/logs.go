package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	cwl "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lam "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/spf13/cobra"
)

// logsOptions say which events are shown, and how.
type logsOptions struct {
	follow bool
	since  time.Duration // how far back
	filter string        // AWS's filter pattern; "": all
	json   bool
}

func newLogs() *cobra.Command {
	var (
		t target
		o logsOptions
	)
	c := &cobra.Command{
		Use:   "logs [FUNCTION|GROUP]",
		Short: "Show what a function logged, or list the log groups",
		Long: `Show what a function, or any log group, logged lately: each event's time (UTC) and
text. Without an argument list the log groups.

A filter is AWS's filter pattern: terms that an event has to hold, in their case;
"phrases" in double quotes; -terms that it must not hold; or only ?terms, of which
it has to hold one.`,
		Example: `  weir logs
  weir logs timestamper
  weir logs timestamper --follow
  weir logs timestamper --since 24h --filter '"Status: timeout"'
  weir logs API-Gateway-Execution-Logs_abc123/default --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if o.since < 0 {
				return errors.New("--since: give how far back to look, such as 10m or 24h")
			}
			if len(args) == 0 && (o.follow || o.filter != "") {
				return errors.New("--follow and --filter need a FUNCTION or a GROUP")
			}
			server, err := t.connect(c.Context())
			if err != nil {
				return err
			}
			if len(args) == 0 {
				d := display{json: o.json}
				return d.show(c.Context(), c.OutOrStdout(), func(ctx context.Context) (picture, error) {
					return server.logGroups(ctx, time.Now())
				})
			}
			return server.showLogs(c.Context(), c.OutOrStdout(), args[0], o)
		},
		ValidArgsFunction: completeArg(&t, (*connection).functionNames),
	}
	t.register(c)
	f := c.Flags()
	f.BoolVarP(&o.follow, "follow", "f", false, "go on with further events as they come, until Ctrl-C")
	f.DurationVar(&o.since, "since", 10*time.Minute, "how far back to begin")
	f.StringVar(&o.filter, "filter", "", "only events that match this filter `PATTERN`")
	f.BoolVar(&o.json, "json", false, "print JSON; of events one object a line, with AWS's names")
	return c
}

// logGroupList is the JSON of `weir logs` without an argument.
type logGroupList struct {
	LogGroups []logGroupView `json:"logGroups"`
	now       time.Time
}

type logGroupView struct {
	Name    string     `json:"name"`
	ARN     string     `json:"arn"`
	Created time.Time  `json:"created"`
	Last    *time.Time `json:"lastEvent,omitempty"`
}

func (c *connection) logGroups(ctx context.Context, now time.Time) (*logGroupList, error) {
	client := cloudwatchlogs.NewFromConfig(c.aws)
	groups, _, err := collect(ctx, &listing{}, cloudwatchlogs.NewDescribeLogGroupsPaginator(client, &cloudwatchlogs.DescribeLogGroupsInput{}),
		func(o *cloudwatchlogs.DescribeLogGroupsOutput) []cwl.LogGroup { return o.LogGroups },
		func(g cwl.LogGroup) *string { return g.LogGroupName })
	if err != nil {
		return nil, err
	}
	views := make([]logGroupView, len(groups))
	err = each(ctx, len(groups), func(ctx context.Context, i int) error {
		g := groups[i]
		views[i] = logGroupView{Name: aws.ToString(g.LogGroupName), ARN: aws.ToString(g.LogGroupArn), Created: time.UnixMilli(aws.ToInt64(g.CreationTime)).UTC()}
		newest, err := client.DescribeLogStreams(ctx, &cloudwatchlogs.DescribeLogStreamsInput{
			LogGroupName: g.LogGroupName, OrderBy: cwl.OrderByLastEventTime, Descending: aws.Bool(true), Limit: aws.Int32(1),
		})
		if err != nil {
			return err
		}
		for _, s := range newest.LogStreams {
			last := time.UnixMilli(aws.ToInt64(s.LastEventTimestamp)).UTC()
			views[i].Last = &last
		}
		return nil
	})
	return &logGroupList{LogGroups: views, now: now}, err
}

func (v *logGroupList) print(s *screen) {
	if len(v.LogGroups) == 0 {
		s.printf("no log groups: nothing was logged yet\n")
		return
	}
	t := newTable(elastic("LOG GROUP"), right("CREATED"), right("LAST EVENT"))
	for _, g := range v.LogGroups {
		last := ""
		if g.Last != nil {
			last = ago(*g.Last, v.now)
		}
		t.add(text(g.Name), text(ago(g.Created, v.now)), text(last))
	}
	t.print(s)
}

// logGroupOf is the group that a person means: a group's name, or that of a
// function, whose group need not exist yet.
func (c *connection) logGroupOf(ctx context.Context, name string) (string, error) {
	client := cloudwatchlogs.NewFromConfig(c.aws)
	found, err := client.DescribeLogGroups(ctx, &cloudwatchlogs.DescribeLogGroupsInput{LogGroupIdentifiers: []string{name}})
	if err != nil {
		return "", err
	}
	if len(found.LogGroups) > 0 {
		return name, nil
	}
	nobody := &failure{exitFailure, fmt.Errorf("no function and no log group is named %q: 'weir functions' and 'weir logs' list them", name)}
	if strings.Contains(name, "/") {
		return "", nobody
	}
	f, err := lambda.NewFromConfig(c.aws).GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: &name})
	var gone *lam.ResourceNotFoundException
	if errors.As(err, &gone) {
		return "", nobody
	}
	if err != nil {
		return "", err
	}
	if f.LoggingConfig != nil && aws.ToString(f.LoggingConfig.LogGroup) != "" {
		return *f.LoggingConfig.LogGroup, nil
	}
	return "/aws/lambda/" + aws.ToString(f.FunctionName), nil
}

// logLine is one event as JSON, with AWS's names.
type logLine struct {
	EventID       string `json:"eventId"`
	IngestionTime int64  `json:"ingestionTime"` // milliseconds since 1970
	LogStreamName string `json:"logStreamName"`
	Message       string `json:"message"`
	Timestamp     int64  `json:"timestamp"` // milliseconds since 1970
}

// printLogEvent prints one event, of which a terminal gets only what it can
// show: a function logs what strangers send.
func printLogEvent(out io.Writer, e *cwl.FilteredLogEvent, asJSON bool) error {
	if asJSON {
		line, err := json.Marshal(logLine{
			aws.ToString(e.EventId), aws.ToInt64(e.IngestionTime), aws.ToString(e.LogStreamName), aws.ToString(e.Message), aws.ToInt64(e.Timestamp),
		})
		if err != nil {
			return &failure{exitFailure, err}
		}
		return write(out, []byte(printableJSON(string(line))+"\n"))
	}
	s := newScreen(out)
	at := time.UnixMilli(aws.ToInt64(e.Timestamp)).UTC().Format("2006-01-02T15:04:05.000Z")
	message := strings.TrimRight(aws.ToString(e.Message), "\r\n")
	if s.terminal {
		message = cleanLines(message)
	}
	s.printf("%s %s\n", s.paint(faint, at), message)
	return write(out, s.Bytes())
}

// cleanLines is clean for a text of several lines with tabs.
func cleanLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		cells := strings.Split(line, "\t")
		for j := range cells {
			cells[j] = clean(cells[j])
		}
		lines[i] = strings.Join(cells, "\t")
	}
	return strings.Join(lines, "\n")
}
