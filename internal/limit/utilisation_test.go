package limit_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"weir/internal/limit"
)

// What dividing a bucket costs: calls that one bucket would admit and the nodes
// together do not. The clock is the test's, so the figures are exact; they are
// in docs/performance.md.
func TestDividingLosesLittle(t *testing.T) {
	even := func(all float64, nodes int) []float64 {
		d := make([]float64, nodes)
		for i := range d {
			d[i] = all / float64(nodes)
		}
		return d
	}
	skewed := func(all float64, nodes int) []float64 { // one has four fifths, or all
		d := even(all/5, nodes)
		d[0] += all * 4 / 5
		return d
	}
	sole := func(all float64, nodes int) []float64 { return append([]float64{all}, make([]float64, nodes-1)...) }
	for _, rate := range []limit.Rate{{PerSecond: 1000, Burst: 1000}, {PerSecond: 1000, Burst: 50}, {PerSecond: 100, Burst: 10}, {PerSecond: 20, Burst: 20}, {PerSecond: 2, Burst: 5}} {
		for _, nodes := range []int{1, 3, 5} {
			for name, demand := range map[string]func(float64, int) []float64{"even": even, "skewed": skewed, "one node": sole} {
				for _, load := range []float64{0.9, 3} { // of the rate
					c := newCluster(nodes)
					for _, m := range c.nodes {
						m.bucket("b", rate, 1)
					}
					const span = 60 * time.Second
					c.run("b", 10*time.Second, demand(load*rate.PerSecond, nodes)...)
					admitted := 0
					for _, n := range c.run("b", span, demand(load*rate.PerSecond, nodes)...) {
						admitted += n
					}
					allowed := min(load, 1) * rate.PerSecond * span.Seconds()
					used := float64(admitted) / allowed
					t.Logf("%v/s burst %d, %d nodes, %s demand of %v × the rate: %.1f %%", rate.PerSecond, rate.Burst, nodes, name, load, 100*used)
					if used < 0.9 {
						t.Errorf("%v, %d nodes, %s demand of %v × the rate: %.3f of what is allowed", rate, nodes, name, load, used)
					}
				}
			}
		}
	}
}

// Where the demand moves to another node, it has its part within two renewals.
func TestTheShareFollowsTheDemand(t *testing.T) {
	const nodes, rate = 3, 1000
	c := newCluster(nodes)
	for _, m := range c.nodes {
		m.bucket("b", limit.Rate{PerSecond: rate, Burst: rate}, 1)
	}
	demand := []float64{2 * rate, 0, 0}
	c.run("b", 10*time.Second, demand...)
	for second := range 4 {
		n := c.run("b", time.Second, 0, 2*rate, 0)
		t.Logf("second %d after the demand moved: %d of %d a second", second+1, n[1], rate)
		if second == 0 && n[1] == 0 {
			t.Error("nothing at once")
		}
		if second >= 2 && n[1] < rate*9/10 {
			t.Errorf("second %d: %d admitted on the busy node", second+1, n[1])
		}
	}
	c = newCluster(nodes)
	at := make([]int, nodes)
	for i, m := range c.nodes {
		m.bucket("b", limit.Rate{PerSecond: rate, Burst: 300}, 1)
		at[i] = m.takes("b", 300)
	}
	t.Logf("300 calls at once on each of 3 nodes, burst 300: %v", at)
	for i, n := range at {
		if n < 40 {
			t.Errorf("node %d gets %d of a burst of 300 at first", i+1, n)
		}
	}
}

// A caller that comes back once a minute finds the whole burst: what a node
// does not use goes back before its share ends.
func TestIdleSharesGoBack(t *testing.T) {
	c := newCluster(3)
	for _, m := range c.nodes {
		m.bucket("b", limit.Rate{PerSecond: 10, Burst: 600}, 1)
	}
	for minute := range 5 {
		m := c.nodes[minute%3]
		n := m.takes("b", 450)
		n += c.run("b", 500*time.Millisecond, func() []float64 {
			d := make([]float64, 3)
			d[minute%3] = 1000
			return d
		}()...)[minute%3]
		if n < 560 {
			t.Errorf("minute %d: %d of 600 admitted", minute, n)
		}
		c.run("b", 60*time.Second, 0, 0, 0)
	}
}

// benchCluster is one node with a living share.
func benchCluster(b *testing.B) (*limit.Limiter, *limit.Cell, func() limit.Instant) {
	b.Helper()
	c := newCluster(1)
	m := c.nodes[0]
	cell := m.bucket("b", limit.Rate{PerSecond: 1e6, Burst: 3_000_000}, 1)
	if m.takes("b", 1) != 1 {
		b.Fatal("no share")
	}
	return m.Limiter, cell, m.instant
}

func BenchmarkTakeShare(b *testing.B) {
	l, cell, instant := benchCluster(b)
	cells := []*limit.Cell{cell}
	now := instant()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		// The share's two seconds pass again and again; the bucket is never empty.
		now.Mono = instant().Mono + time.Duration(i%1_000_000)*1500
		if _, v := l.Take(context.Background(), cells, nil, nil, now); v.Outcome != limit.Granted {
			b.Fatal(v)
		}
	}
}

// BenchmarkAsk is one renewal, arithmetic and both sides, without a database.
func BenchmarkAsk(b *testing.B) {
	for _, nodes := range []int{1, 5} {
		b.Run(fmt.Sprint(nodes, " nodes"), func(b *testing.B) {
			c := newCluster(nodes)
			for _, m := range c.nodes {
				m.bucket("b", limit.Rate{PerSecond: 1000, Burst: 1000}, 1)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				m := c.nodes[i%nodes]
				if i%nodes == 0 {
					c.now = c.now.Add(1100 * time.Millisecond)
				}
				m.takes("b", 1)
				m.Renew(context.Background())
			}
			b.ReportMetric(float64(c.rates.Asked())/float64(b.N), "asks/op")
		})
	}
}
