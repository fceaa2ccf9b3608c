package limittest_test

import (
	"testing"

	"weir/internal/limit"
	"weir/internal/limit/limittest"
)

func TestMemoryLedger(t *testing.T) {
	limittest.TestLedger(t,
		func(*testing.T) limit.Ledger { return &limittest.Ledger{} },
		func(l limit.Ledger, a limit.Account, from, to limit.Day) int64 {
			return l.(*limittest.Ledger).Used(a, from, to)
		})
}
