package limit_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"weir/internal/limit"
)

// seated is a call that holds a seat on a node.
type seated struct {
	node  *member
	grant limit.Grant
}

// TestNodesTogetherKeepTheirSeats: as many calls at once as there are seats,
// whatever is lost on the way, as long as no node is out of reach for half a
// minute.
func TestNodesTogetherKeepTheirSeats(t *testing.T) {
	refused, granted := 0, 0
	for seed := range 60 {
		rnd := rand.New(rand.NewPCG(uint64(seed), 9))
		n, loss, c := 1+rnd.IntN(12), []float64{0, 0.1, 0.4}[rnd.IntN(3)], newCluster(1+rnd.IntN(4))
		network := func(context.Context, []limit.ShareAsk) error {
			c.now = c.now.Add(time.Duration(rnd.IntN(50)) * time.Millisecond)
			if rnd.Float64() < loss {
				return errLost
			}
			return nil
		}
		c.rates.Before, c.rates.After = network, network
		seats := func(m *member) *limit.Seats { return m.Seats("key", n, 1, m.instant()) }
		var sitting []seated
		leave := func(i int) {
			sitting[i].grant.Settle(true)
			sitting = append(sitting[:i], sitting[i+1:]...)
		}
		for range 300 {
			c.now = c.now.Add(time.Duration(rnd.IntN([]int{20, 200, 3000}[rnd.IntN(3)])) * time.Millisecond)
			for _, m := range c.nodes {
				for range rnd.IntN(4) {
					g, v := m.Take(ended, nil, seats(m), nil, m.instant())
					if v.Outcome != limit.Granted {
						refused++
						continue
					}
					granted++
					if sitting = append(sitting, seated{m, g}); len(sitting) > n {
						t.Fatalf("seed %d: %d calls sit on %d seats", seed, len(sitting), n)
					}
				}
				for len(sitting) > 0 && rnd.IntN(3) > 0 {
					leave(rnd.IntN(len(sitting)))
				}
				m.Renew(context.Background())
			}
			if rnd.IntN(50) == 0 { // one dies with its calls, another comes
				i := rnd.IntN(len(c.nodes))
				for j := len(sitting) - 1; j >= 0; j-- {
					if sitting[j].node == c.nodes[i] {
						leave(j)
					}
				}
				c.nodes = append(c.nodes[:i:i], c.nodes[i+1:]...)
				c.join(1)
			}
		}
	}
	if granted < 60*50 || refused < 60*50 {
		t.Errorf("%d granted, %d refused: the test has lost its point", granted, refused)
	}
}

// What is lost by dividing: a node that needs a seat finds it within a few asks,
// though others had it, and a dead node's seats come back.
func TestDividedSeatsAreFound(t *testing.T) {
	for _, nodes := range []int{1, 3} {
		t.Run(fmt.Sprint(nodes, " nodes"), func(t *testing.T) {
			c := newCluster(nodes)
			const n = 5
			var calls []limit.Grant
			for i := range n {
				m := c.nodes[i%nodes]
				g, v := m.Take(ended, nil, m.Seats("key", n, 1, m.instant()), nil, m.instant())
				if v.Outcome != limit.Granted {
					t.Fatalf("call %d of %d: %+v", i, n, v)
				}
				calls = append(calls, g)
			}
			m := c.nodes[0]
			_, v := m.Take(ended, nil, m.Seats("key", n, 1, m.instant()), nil, m.instant())
			if v.Outcome != limit.Crowded || v.Detail.Limit != n {
				t.Errorf("a sixth call: %+v", v)
			}
			for i := range calls {
				calls[i].Settle(true)
			}
			c.run("", 3*time.Second, make([]float64, nodes)...)
			for i := range n {
				if _, v := m.Take(ended, nil, m.Seats("key", n, 1, m.instant()), nil, m.instant()); v.Outcome != limit.Granted {
					t.Errorf("call %d of %d on one node when all have left: %+v", i, n, v)
				}
			}
		})
	}
}

func TestADeadNodesSeatsComeBack(t *testing.T) {
	c := newCluster(2)
	dead, m := c.nodes[0], c.nodes[1]
	for range 3 {
		dead.Take(ended, nil, dead.Seats("key", 3, 1, dead.instant()), nil, dead.instant())
	}
	take := func() limit.Outcome {
		_, v := m.Take(ended, nil, m.Seats("key", 3, 1, m.instant()), nil, m.instant())
		return v.Outcome
	}
	if o := take(); o != limit.Crowded {
		t.Errorf("outcome %d while the other node sits on all", o)
	}
	c.nodes = c.nodes[1:]
	c.run("", 31*time.Second, 0)
	if o := take(); o != limit.Granted {
		t.Errorf("outcome %d half a minute after the other node died", o)
	}
}

func TestEditedDividedSeats(t *testing.T) {
	c := newCluster(1)
	m := c.nodes[0]
	var calls []limit.Grant
	take := func(n int, version int64) limit.Outcome {
		g, v := m.Take(ended, nil, m.Seats("key", n, version, m.instant()), nil, m.instant())
		if v.Outcome == limit.Granted {
			calls = append(calls, g)
		}
		return v.Outcome
	}
	for range 4 {
		take(4, 1)
	}
	if o := take(2, 2); o != limit.Crowded {
		t.Errorf("outcome %d: four sit on two", o)
	}
	for i := range 3 {
		calls[i].Settle(true)
	}
	c.run("", time.Second, 0)
	if o := take(2, 2); o != limit.Granted {
		t.Errorf("outcome %d: one sits on two", o)
	}
	c.run("", time.Second, 0)
	if o := take(2, 2); o != limit.Crowded {
		t.Errorf("outcome %d: two sit on two", o)
	}
	if o := take(3, 3); o != limit.Granted {
		t.Errorf("outcome %d: two sit on three", o)
	}
	m.ForgetSeats(m.Seats("key", 3, 3, m.instant()))
	c.now = c.now.Add(time.Minute)
	if p := c.rates.Pool("key"); p.Setting.Burst != 3 {
		t.Errorf("%+v", p)
	}
}

// A node that asks while nobody sits there may be left without a seat, and a
// call may sit down on what it had while the answer is on its way: that call
// counts for as long as it sits.
func TestWhoSitsDownWhileTheSeatsGoIsCounted(t *testing.T) {
	c := newCluster(2)
	m, other := c.nodes[0], c.nodes[1]
	take := func(m *member, n int, version int64) (limit.Grant, limit.Outcome) {
		g, v := m.Take(ended, nil, m.Seats("key", n, version, m.instant()), nil, m.instant())
		return g, v.Outcome
	}
	g, _ := take(m, 2, 1)
	sits, o := take(other, 2, 1)
	if o != limit.Granted {
		t.Fatalf("outcome %d on the second of two seats", o)
	}
	g.Settle(true)
	other.Seats("key", 1, 2, other.instant())
	other.Renew(t.Context())
	m.Seats("key", 1, 2, m.instant())
	c.rates.After = func(context.Context, []limit.ShareAsk) error {
		c.rates.After = nil
		if _, o := take(m, 1, 2); o != limit.Granted {
			t.Errorf("outcome %d on the seat that the node has: the test has lost its point", o)
		}
		return nil
	}
	m.Renew(t.Context())
	sits.Settle(true)
	c.run("", 31*time.Second, 0, 0)
	if _, o := take(other, 1, 2); o != limit.Crowded {
		t.Errorf("outcome %d on the only seat, on which a call of the other node sits", o)
	}
}
