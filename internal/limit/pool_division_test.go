package limit_test

import (
	"testing"
	"time"

	"weir/internal/limit"
)

// The setting of a version is what its first ask said.
func TestPoolKeepsTheSettingOfAVersion(t *testing.T) {
	var p limit.Pool
	for i, ask := range []limit.ShareAsk{
		{Setting: limit.Rate{PerSecond: 1, Burst: 3}, Version: 7},
		{Setting: limit.Rate{PerSecond: 2, Burst: 9}, Version: 7},
		{Setting: limit.Rate{PerSecond: 2, Burst: 9}, Version: 6},
	} {
		ask.Bucket, ask.Node, ask.Number = "b", "one", uint64(i+1)
		if a := p.Share(ask, 2, noon); a.Setting.Burst != 3 || a.Version != 7 {
			t.Errorf("ask %d: %+v", i, a)
		}
	}
}

// Of a rate that is not enough for all, a node that needs little gets what it
// needs, and those that need much get the same.
func TestPoolDividesByDemand(t *testing.T) {
	var p limit.Pool
	names := []string{"little", "much", "more"}
	demand := map[string]float64{"little": 10, "much": 500, "more": 5000}
	has, got := map[string]uint64{}, map[string]float64{}
	number, now := uint64(0), noon
	for range 40 {
		for _, name := range names {
			number++
			now = now.Add(30 * time.Millisecond)
			a := p.Share(limit.ShareAsk{
				Bucket: "b", Setting: limit.Rate{PerSecond: 100, Burst: 100}, Node: name, Number: number, Has: has[name], Demand: demand[name],
			}, len(names), now)
			if a.Life == 0 {
				t.Fatalf("%s has no share: %+v", name, a)
			}
			has[name], got[name] = number, a.Rate
		}
	}
	if got["little"] < 10 || got["little"] > 20 || got["much"] < 40 || got["more"] < 40 || got["much"]+got["more"]+got["little"] > 100 {
		t.Errorf("a rate of 100 was divided so: %v", got)
	}
}

// A token that the pool gave and nobody used comes back, less what has come
// back by itself, and not under another setting; an ask that comes twice is
// answered once.
func TestPoolTakesSpareTokensBack(t *testing.T) {
	slow := limit.Rate{PerSecond: 0.5, Burst: 10}
	ask := func(p *limit.Pool, number uint64, now time.Time) limit.ShareAnswer {
		return p.Share(limit.ShareAsk{Bucket: "b", Setting: slow, Version: 3, Node: "one", Number: number, Want: 10}, 2, now)
	}
	for _, c := range []struct {
		name    string
		after   time.Duration
		version int64
		want    int
	}{
		{"at once", 0, 3, 4},
		{"half of each came back by itself", time.Second, 3, 2}, // and half a token that flowed in
		{"all of it did", 2 * time.Second, 3, 1},
		{"of another version", 0, 2, 0},
	} {
		var p limit.Pool
		if a := ask(&p, 1, noon); a.Admitted != 10 {
			t.Fatalf("%+v", a)
		}
		if a := ask(&p, 1, noon); a.Admitted != 0 {
			t.Errorf("the same ask was answered twice: %+v", a)
		}
		now := noon.Add(c.after)
		p.Return(limit.ShareReturn{Bucket: "b", Node: "one", Spare: 4, At: noon, Version: c.version}, now)
		// A hair later: what flows in is rounded down.
		if a := ask(&p, 2, now.Add(time.Millisecond)); a.Admitted != c.want {
			t.Errorf("%s: %d admitted, want %d", c.name, a.Admitted, c.want)
		}
	}
}
