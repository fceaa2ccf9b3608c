package limit_test

import (
	"testing"
	"time"

	"weir/internal/limit"
)

// A pool that is full and that nobody has may be deleted, after a minute.
func TestPoolIsIdleOnceItIsFullForAMinute(t *testing.T) {
	var p limit.Pool
	setting := limit.Rate{PerSecond: 1, Burst: 30} // too slow to be shared: each call is an ask
	if a := p.Share(limit.ShareAsk{Bucket: "b", Setting: setting, Node: "one", Number: 1, Want: 20}, 2, noon); a.Admitted != 20 {
		t.Fatalf("%+v", a)
	}
	for after, want := range map[time.Duration]bool{
		time.Second: false, 30 * time.Second: false, 79 * time.Second: false, 81 * time.Second: true, time.Hour: true,
	} {
		if got := p.Idle(noon.Add(after)); got != want {
			t.Errorf("20 tokens were taken %v ago: idle %v", after, got)
		}
	}
}

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
