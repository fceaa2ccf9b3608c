package storetest_test

import (
	"strings"
	"testing"

	"weir/internal/store/storetest"
)

// TestPostgres: a server that was killed comes back with what was committed.
func TestPostgres(t *testing.T) {
	p := storetest.StartPostgres(t)
	database := p.Database(t)
	p.Exec(t, database, "CREATE TABLE kept (x int); INSERT INTO kept VALUES (7)")
	p.Kill()
	p.Start(t)
	p.Exec(t, database, "UPDATE kept SET x = 1 / (CASE x WHEN 7 THEN 1 ELSE 0 END)")
	if !strings.Contains(p.Log(t), "UPDATE kept") {
		t.Error("the server does not log what it is sent")
	}
}
