package telemetry

import "time"

// LogEvent is one line of a log stream.
type LogEvent struct {
	Group   string // "/aws/lambda/timestamper"
	Stream  string // "2026/11/24/[$LATEST]0123…"
	Time    time.Time
	Message string
}
