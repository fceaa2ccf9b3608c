package app

import (
	"time"

	"weir/internal/limit"
)

// clock reads both clocks of limit. Mono counts from the process's own start
// on Go's monotonic clock, which no change of the wall clock touches.
type clock struct{ start time.Time }

func newClock() clock { return clock{time.Now()} }

func (c clock) now() limit.Instant {
	now := time.Now()
	return limit.Instant{Mono: now.Sub(c.start), Wall: now}
}
