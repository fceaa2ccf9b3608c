package limittest_test

import (
	"fmt"
	"testing"

	"weir/internal/limit"
	"weir/internal/limit/limittest"
)

func TestMemoryLedger(t *testing.T) {
	nodes := 0
	limittest.TestLedger(t, limittest.Subject{
		Open: func(*testing.T) limit.Ledger { return &limittest.Ledger{} },
		Restart: func(_ *testing.T, l limit.Ledger) limit.Ledger {
			nodes++
			return l.(*limittest.Ledger).Node(fmt.Sprint("node ", nodes))
		},
		Used: func(l limit.Ledger, a limit.Account, from, to limit.Day) int64 {
			return l.(*limittest.Ledger).Used(a, from, to)
		},
	})
}
