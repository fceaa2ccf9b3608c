package logs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"weir/internal/control/protocol"
	"weir/internal/store"
)

// AWS's bounds of a page of events.
const (
	maxEvents     = 10_000
	maxPage       = 1 << 20 // bytes, with eventOverhead for each event
	eventOverhead = 26
)

// What one call of FilterLogEvents looks at before it answers with what it
// found so far: a filter that matches nothing must not hold a connection for
// long.
const (
	maxScanned      = 50_000
	maxScannedBytes = 32 << 20
)

type getLogEventsInput struct {
	groupInput
	LogStreamName string  `json:"logStreamName" required:"true" min:"1" max:"512" pattern:"[^:*]*"`
	StartTime     *int64  `json:"startTime" min:"0"`
	EndTime       *int64  `json:"endTime" min:"0"`
	NextToken     *string `json:"nextToken" min:"1"`
	Limit         *int    `json:"limit" min:"1" max:"10000"`
	StartFromHead bool    `json:"startFromHead"`
}

type outputLogEvent struct {
	IngestionTime int64  `json:"ingestionTime"`
	Message       string `json:"message"`
	Timestamp     int64  `json:"timestamp"`
}

type getLogEventsOutput struct {
	Events            []outputLogEvent `json:"events"`
	NextBackwardToken string           `json:"nextBackwardToken"`
	NextForwardToken  string           `json:"nextForwardToken"`
}

// getLogEvents reads one stream in either direction. There are always two
// tokens; at an end the one that was sent comes back.
func (a *api) getLogEvents(ctx context.Context, _ protocol.Call, in *getLogEventsInput) (*getLogEventsOutput, error) {
	group, err := a.group(in.groupInput)
	if err != nil {
		return nil, err
	}
	// The end is not in the range here; in FilterLogEvents it is.
	r := store.LogRange{From: at(in.StartTime, 0), To: at(in.EndTime, 0), Backward: !in.StartFromHead}
	if in.NextToken != nil {
		if r.After, r.Backward, err = parseStreamToken(*in.NextToken); err != nil {
			return nil, err
		}
	}
	limit := maxEvents
	if in.Limit != nil {
		limit = *in.Limit
	}
	if err := a.flush(ctx); err != nil {
		return nil, err
	}
	var page []store.LoggedEvent
	size := 0
	err = a.Store.ReadLogStream(ctx, group, in.LogStreamName, r, func(e store.LoggedEvent) bool {
		if size += len(e.Message) + eventOverhead; size > maxPage && len(page) > 0 {
			return false
		}
		page = append(page, e)
		return len(page) < limit
	})
	if err != nil {
		return nil, err
	}
	if r.Backward {
		slices.Reverse(page)
	}
	return streamPage(page, r), nil
}

// streamPage gives a page its tokens: the places of its first and last event,
// or where reading began when it is empty.
func streamPage(page []store.LoggedEvent, r store.LogRange) *getLogEventsOutput {
	var first, last store.LogPosition
	if r.After != nil {
		first, last = *r.After, *r.After
	}
	out := &getLogEventsOutput{}
	for i, e := range page {
		if i == 0 {
			first = e.Position
		}
		last = e.Position
		out.Events = append(out.Events, outputLogEvent{e.Ingested.UnixMilli(), e.Message, e.Time.UnixMilli()})
	}
	out.NextBackwardToken, out.NextForwardToken = streamToken("b", first), streamToken("f", last)
	return out
}

// streamToken has AWS's form: a direction and 56 digits.
func streamToken(direction string, p store.LogPosition) string {
	return fmt.Sprintf("%s/%036d%020d", direction, p.Time, p.Seq)
}

func parseStreamToken(text string) (*store.LogPosition, bool, error) {
	direction, digits, ok := strings.Cut(text, "/")
	if !ok || direction != "f" && direction != "b" || len(digits) != 56 {
		return nil, false, badToken()
	}
	at, err := number(digits[:36])
	if err != nil {
		return nil, false, err
	}
	seq, err := number(digits[36:])
	if err != nil {
		return nil, false, err
	}
	return &store.LogPosition{Time: at, Seq: seq}, direction == "b", nil
}

type filterLogEventsInput struct {
	groupInput
	LogStreamNames      []string `json:"logStreamNames" min:"1" max:"100"`
	LogStreamNamePrefix *string  `json:"logStreamNamePrefix" min:"1" max:"512" pattern:"[^:*]*"`
	StartTime           *int64   `json:"startTime" min:"0"`
	EndTime             *int64   `json:"endTime" min:"0"`
	FilterPattern       string   `json:"filterPattern" max:"1024"`
	NextToken           *string  `json:"nextToken" min:"1"`
	Limit               *int     `json:"limit" min:"1" max:"10000"`
}

type filteredLogEvent struct {
	EventID       string `json:"eventId"`
	IngestionTime int64  `json:"ingestionTime"`
	LogStreamName string `json:"logStreamName"`
	Message       string `json:"message"`
	Timestamp     int64  `json:"timestamp"`
}

type filterLogEventsOutput struct {
	Events             []filteredLogEvent `json:"events"`
	SearchedLogStreams []string           `json:"searchedLogStreams"` // empty on AWS too, since 2020
	NextToken          string             `json:"nextToken,omitempty"`
}

// filterLogEvents reads a group in the order of its events' times. A page may
// be short, or empty, and have a token all the same.
func (a *api) filterLogEvents(ctx context.Context, _ protocol.Call, in *filterLogEventsInput) (*filterLogEventsOutput, error) {
	group, err := a.group(in.groupInput)
	if err != nil {
		return nil, err
	}
	if in.LogStreamNames != nil && in.LogStreamNamePrefix != nil {
		return nil, invalid("logStreamNames and logStreamNamePrefix are mutually exclusive parameters.")
	}
	f := &finder{limit: maxEvents, streams: in.LogStreamNames, prefix: text(in.LogStreamNamePrefix)}
	if f.pattern, err = parsePattern(in.FilterPattern); err != nil {
		return nil, err
	}
	if in.Limit != nil {
		f.limit = *in.Limit
	}
	r := store.LogRange{From: at(in.StartTime, 0), To: at(in.EndTime, 1)} // the last millisecond is in the range
	if in.NextToken != nil {
		if r.After, err = parseFilterToken(*in.NextToken); err != nil {
			return nil, err
		}
	}
	if err := a.flush(ctx); err != nil {
		return nil, err
	}
	if len(in.LogStreamNames) == 1 {
		err = a.Store.ReadLogStream(ctx, group, in.LogStreamNames[0], r, f.take)
	} else {
		err = a.Store.ReadLogGroup(ctx, group, r, f.take)
	}
	if err != nil && !errors.Is(err, store.ErrNoLogStream) { // a stream that is none has no events
		return nil, err
	}
	if f.more {
		f.out.NextToken = token("events", strconv.FormatInt(f.last.Time, 10), strconv.FormatInt(f.last.Seq, 10))
	}
	return &f.out, nil
}

func parseFilterToken(text string) (*store.LogPosition, error) {
	parts, err := parseToken(text, "events", 2)
	if err != nil {
		return nil, err
	}
	at, err := number(parts[0])
	if err != nil {
		return nil, err
	}
	seq, err := number(parts[1])
	return &store.LogPosition{Time: at, Seq: seq}, err
}

// finder gathers one page of FilterLogEvents.
type finder struct {
	streams []string // nil: all
	prefix  string
	pattern pattern
	limit   int

	out                 filterLogEventsOutput
	size                int // of the page
	scanned, scannedLen int
	last                store.LogPosition // up to which everything was looked at
	more                bool
}

// take looks at one event; false when the page is full.
func (f *finder) take(e store.LoggedEvent) bool {
	if len(f.out.Events) == f.limit || f.scanned == maxScanned || f.scannedLen > maxScannedBytes {
		f.more = true
		return false
	}
	if f.chosen(e) {
		cost := len(e.Message) + eventOverhead
		if f.size+cost > maxPage && len(f.out.Events) > 0 {
			f.more = true
			return false
		}
		f.size += cost
		f.out.Events = append(f.out.Events, filteredLogEvent{
			EventID: fmt.Sprintf("%036d%020d", e.Position.Time, e.Position.Seq), IngestionTime: e.Ingested.UnixMilli(),
			LogStreamName: e.Stream, Message: e.Message, Timestamp: e.Time.UnixMilli(),
		})
	}
	f.scanned++
	f.scannedLen += len(e.Message)
	f.last = e.Position
	return true
}

func (f *finder) chosen(e store.LoggedEvent) bool {
	if f.streams != nil && !slices.Contains(f.streams, e.Stream) || !strings.HasPrefix(e.Stream, f.prefix) {
		return false
	}
	return f.pattern.matches(e.Message)
}
