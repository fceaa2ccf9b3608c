package store_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"weir/internal/limit"
)

// TestIdleBucketsAreForgotten: a bucket that is full again and that nobody asks
// for any more, of a deleted key say, leaves no row behind.
func TestIdleBucketsAreForgotten(t *testing.T) {
	database := newDatabase(t)
	s := openDatabase(t, database)
	for i, a := range []limit.ShareAsk{
		{Bucket: "full again", Setting: limit.Rate{PerSecond: 5, Burst: 5}, Want: 1},
		{Bucket: "used up", Setting: limit.Rate{PerSecond: 0.001, Burst: 5}, Want: 5},
	} {
		a.Node, a.Number = s.Node(), uint64(i+1)
		if answers, err := s.Share(t.Context(), []limit.ShareAsk{a}); err != nil || answers[0].Admitted != a.Want {
			t.Fatal(answers, err)
		}
	}
	c, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	is := func(condition string) func() bool {
		return func() (yes bool) {
			if err := c.QueryRow(t.Context(), "SELECT "+condition).Scan(&yes); err != nil {
				t.Fatal(err)
			}
			return yes
		}
	}
	if !is("count(*) = 2 FROM weir.pool")() {
		t.Error("what is used has no row")
	}
	eventually(t, "the first is full again", is("count(*) = 1 FROM weir.pool WHERE idle > weir.weir_now()"))
	openDatabase(t, database) // a node looks a second after it came, and then each minute
	eventually(t, "its row is gone", is("count(*) = 1 FROM weir.pool"))
	if !is("count(*) = 1 FROM weir.pool WHERE bucket = 'used up'")() {
		t.Error("a bucket that is used was forgotten")
	}
}
