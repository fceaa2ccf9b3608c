package logs

import (
	"context"
	"strconv"
	"time"

	"weir/internal/control/protocol"
	"weir/internal/store"
)

const defaultDescribed = 50 // groups or streams on a page

type describeLogGroupsInput struct {
	Prefix      *string  `json:"logGroupNamePrefix" min:"1" max:"512" pattern:"[\\.\\-_/#A-Za-z0-9]+"`
	Pattern     *string  `json:"logGroupNamePattern" max:"512" pattern:"[\\.\\-_/#A-Za-z0-9]*"`
	Identifiers []string `json:"logGroupIdentifiers" min:"1" max:"50"`
	Class       string   `json:"logGroupClass" enum:"STANDARD,INFREQUENT_ACCESS,DELIVERY"`
	NextToken   *string  `json:"nextToken" min:"1"`
	Limit       *int     `json:"limit" min:"1" max:"50"`
}

// logGroup leaves out storedBytes, which AWS counts and we do not, and
// retentionInDays, because nothing is ever deleted.
type logGroup struct {
	ARN                string `json:"arn"`
	CreationTime       *int64 `json:"creationTime"`
	DeletionProtection *bool  `json:"deletionProtectionEnabled,omitempty"`
	LogGroupARN        string `json:"logGroupArn"`
	LogGroupClass      string `json:"logGroupClass"`
	LogGroupName       string `json:"logGroupName"`
	MetricFilterCount  int    `json:"metricFilterCount"`
}

type describeLogGroupsOutput struct {
	LogGroups []logGroup `json:"logGroups"`
	NextToken string     `json:"nextToken,omitempty"`
}

const standard = "STANDARD" // the only class there is

func (a *api) describeLogGroups(ctx context.Context, _ protocol.Call, in *describeLogGroupsInput) (*describeLogGroupsOutput, error) {
	if in.Prefix != nil && in.Pattern != nil {
		return nil, invalid("LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.")
	}
	if in.Class != "" && in.Class != standard {
		return &describeLogGroupsOutput{}, nil
	}
	if err := a.flush(ctx); err != nil {
		return nil, err
	}
	if in.Identifiers != nil {
		return a.identifiedGroups(ctx, in.Identifiers)
	}
	after := ""
	if in.NextToken != nil {
		parts, err := parseToken(*in.NextToken, "groups", 1)
		if err != nil {
			return nil, err
		}
		after = parts[0]
	}
	limit := defaultDescribed
	if in.Limit != nil {
		limit = *in.Limit
	}
	groups, err := a.Store.LogGroups(ctx, text(in.Prefix), text(in.Pattern), after, limit+1)
	if err != nil {
		return nil, err
	}
	out := &describeLogGroupsOutput{}
	if len(groups) > limit {
		groups = groups[:limit]
		out.NextToken = token("groups", groups[limit-1].Name)
	}
	for _, g := range groups {
		out.LogGroups = append(out.LogGroups, a.described(g, in.Pattern == nil))
	}
	return out, nil
}

// identifiedGroups gives the groups of a list that exist.
func (a *api) identifiedGroups(ctx context.Context, identifiers []string) (*describeLogGroupsOutput, error) {
	out := &describeLogGroupsOutput{}
	for _, id := range identifiers {
		name, err := a.identified(id)
		if err != nil {
			continue // another account's
		}
		groups, err := a.Store.LogGroups(ctx, name, "", "", 1)
		if err != nil {
			return nil, err
		}
		if len(groups) > 0 && groups[0].Name == name {
			out.LogGroups = append(out.LogGroups, a.described(groups[0], true))
		}
	}
	return out, nil
}

// described is a group on the wire; a search by pattern leaves out what costs
// AWS a second look.
func (a *api) described(g store.LogGroup, whole bool) logGroup {
	d := logGroup{
		ARN: a.groupARN(g.Name) + ":*", LogGroupARN: a.groupARN(g.Name), LogGroupName: g.Name,
		CreationTime: milliseconds(g.Created), LogGroupClass: standard,
	}
	if whole {
		d.DeletionProtection = new(bool)
	}
	return d
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

type describeLogStreamsInput struct {
	groupInput
	Prefix     *string `json:"logStreamNamePrefix" min:"1" max:"512" pattern:"[^:*]*"`
	OrderBy    string  `json:"orderBy" enum:"LogStreamName,LastEventTime"`
	Descending bool    `json:"descending"`
	NextToken  *string `json:"nextToken" min:"1"`
	Limit      *int    `json:"limit" min:"1" max:"50"`
}

type logStream struct {
	ARN                 string `json:"arn"`
	CreationTime        *int64 `json:"creationTime"`
	FirstEventTimestamp *int64 `json:"firstEventTimestamp,omitempty"`
	LastEventTimestamp  *int64 `json:"lastEventTimestamp,omitempty"`
	LastIngestionTime   *int64 `json:"lastIngestionTime,omitempty"`
	LogStreamName       string `json:"logStreamName"`
	StoredBytes         int64  `json:"storedBytes"` // 0 on AWS too, since 2019
}

type describeLogStreamsOutput struct {
	LogStreams []logStream `json:"logStreams"`
	NextToken  string      `json:"nextToken,omitempty"`
}

func (a *api) describeLogStreams(ctx context.Context, _ protocol.Call, in *describeLogStreamsInput) (*describeLogStreamsOutput, error) {
	group, err := a.group(in.groupInput)
	if err != nil {
		return nil, err
	}
	q := store.LogStreamsQuery{Prefix: text(in.Prefix), ByTime: in.OrderBy == "LastEventTime", Descending: in.Descending}
	if q.ByTime && in.Prefix != nil {
		return nil, invalid("Cannot order by LastEventTime with a logStreamNamePrefix.")
	}
	if in.NextToken != nil {
		parts, err := parseToken(*in.NextToken, "streams", 2)
		if err != nil {
			return nil, err
		}
		last, err := number(parts[0])
		if err != nil {
			return nil, err
		}
		q.AfterTime, q.AfterName = time.Unix(0, last), parts[1]
	}
	limit := defaultDescribed
	if in.Limit != nil {
		limit = *in.Limit
	}
	q.Limit = limit + 1
	if err := a.flush(ctx); err != nil {
		return nil, err
	}
	streams, err := a.Store.LogStreams(ctx, group, q)
	if err != nil {
		return nil, err
	}
	out := &describeLogStreamsOutput{}
	if len(streams) > limit {
		streams = streams[:limit]
		out.NextToken = token("streams", strconv.FormatInt(nanoseconds(streams[limit-1].Last), 10), streams[limit-1].Name)
	}
	for _, s := range streams {
		out.LogStreams = append(out.LogStreams, logStream{
			ARN: a.groupARN(group) + ":log-stream:" + s.Name, LogStreamName: s.Name,
			CreationTime: milliseconds(s.Created), FirstEventTimestamp: milliseconds(s.First),
			LastEventTimestamp: milliseconds(s.Last), LastIngestionTime: milliseconds(s.Ingested),
		})
	}
	return out, nil
}
