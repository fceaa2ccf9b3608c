package limittest_test

import (
	"testing"
	"time"

	"weir/internal/limit"
	"weir/internal/limit/limittest"
)

func TestMemoryRates(t *testing.T) {
	limittest.TestRates(t, func(*testing.T) (limit.Rates, func(time.Duration)) {
		now := time.Date(2026, 11, 27, 3, 0, 0, 0, time.UTC)
		return &limittest.Rates{Now: func() time.Time { return now }, Nodes: func() int { return 1 }},
			func(d time.Duration) { now = now.Add(d) }
	})
}
