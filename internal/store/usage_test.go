package store_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"weir/internal/limit"
	"weir/internal/store"
)

// TestGrantWhileALeaseIsGivenBack holds a grant up where it looks which nodes
// live, and gives back a lease meanwhile: no more remains than was granted.
func TestGrantWhileALeaseIsGivenBack(t *testing.T) {
	database := newDatabase(t)
	s := openDatabase(t, database)
	spend := func(ahead int64) limit.Answer {
		t.Helper()
		out, err := s.Spend(t.Context(), limit.Ask{
			Account: limit.Account{PlanID: "p", KeyID: "k"}, Quota: limit.Quota{Limit: 10_000, Period: limit.Monthly}, Calls: 1, Ahead: ahead,
		})
		if err != nil || !out.OK || out.Held != ahead {
			t.Fatalf("%+v, %v", out, err)
		}
		return out
	}
	spend(50)
	c, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	exec := func(sql string) {
		t.Helper()
		if _, err := c.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	exec("BEGIN")
	exec("LOCK TABLE weir.node IN ACCESS EXCLUSIVE MODE")
	granted := make(chan error, 1)
	go func() {
		granted <- s.Update(context.Background(), func(tx *store.Tx) error {
			return tx.GrantUsage(limit.Ask{Account: limit.Account{PlanID: "p", KeyID: "k"}, Quota: limit.Quota{Limit: 10_000, Period: limit.Monthly}}, 60)
		})
	}()
	eventually(t, "the grant looks which nodes live", func() bool {
		var waits bool
		err := c.QueryRow(t.Context(), "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'weir.node'::regclass AND NOT granted").Scan(&waits)
		return err == nil && waits
	})
	exec("UPDATE weir.usage_held SET held = held - 40")
	exec("COMMIT")
	if err := <-granted; err != nil {
		t.Fatal(err)
	}
	if out := spend(0); 1+out.Left+10 != 60 {
		t.Errorf("60 were granted; one was spent then, 10 are held, and %d are left", out.Left)
	}
}
