package limit_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"weir/internal/limit"
	"weir/internal/limit/limittest"
)

// cluster is some nodes with clocks of their own that divide buckets, in a time
// that passes only when the test says so. True time is the database's.
type cluster struct {
	rates *limittest.Rates
	now   time.Time
	nodes []*member
	made  int
}

var began = time.Date(2026, 11, 27, 3, 0, 0, 0, time.UTC)

// member is one node.
type member struct {
	*limit.Limiter
	c       *cluster
	speed   float64 // of its monotonic clock
	since   time.Time
	buckets map[string]*limit.Cell
}

func newCluster(nodes int) *cluster {
	c := &cluster{now: began}
	c.rates = &limittest.Rates{Now: func() time.Time { return c.now }, Nodes: func() int { return len(c.nodes) }}
	for range nodes {
		c.join(1)
	}
	return c
}

func (c *cluster) join(speed float64) *member {
	c.made++
	m := &member{c: c, speed: speed, since: c.now, buckets: map[string]*limit.Cell{}}
	m.Limiter = limit.New(nil, limit.WithClock(func() time.Duration { return m.instant().Mono }), limit.WithRates(c.rates, fmt.Sprint("node", c.made)))
	c.nodes = append(c.nodes, m)
	return m
}

func (m *member) instant() limit.Instant {
	return limit.Instant{Mono: time.Second + time.Duration(float64(m.c.now.Sub(m.since))*m.speed)}
}

// bucket is made, or edited, on this node.
func (m *member) bucket(name string, r limit.Rate, version int64) *limit.Cell {
	c := m.Bucket(name, limit.CompileVersion(r, version), m.instant())
	m.buckets[name] = c
	return c
}

// ended keeps a take from waiting for an ask that another one has sent.
var ended = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

func (m *member) take(name string, now limit.Instant) limit.Verdict {
	_, v := m.Take(ended, []*limit.Cell{m.buckets[name]}, nil, nil, now)
	return v
}

// takes counts how many of n takes at once are admitted.
func (m *member) takes(name string, n int) (admitted int) {
	for range n {
		if m.take(name, m.instant()).Outcome == limit.Granted {
			admitted++
		}
	}
	return admitted
}

// run lets time pass in steps of 10 ms; each node is asked for so many calls a
// second, and renews ten times a second.
func (c *cluster) run(name string, d time.Duration, demand ...float64) []int {
	admitted, due := make([]int, len(c.nodes)), make([]float64, len(c.nodes))
	for step := range int(d / (10 * time.Millisecond)) {
		c.now = c.now.Add(10 * time.Millisecond)
		for i, m := range c.nodes {
			due[i] += demand[i] / 100
			n := int(due[i])
			due[i] -= float64(n)
			admitted[i] += m.takes(name, n)
			if step%10 == 0 {
				m.Renew(context.Background())
			}
		}
	}
	return admitted
}

func TestOneNodeAloneHasTheWholeBucket(t *testing.T) {
	c := newCluster(1)
	c.nodes[0].bucket("b", limit.Rate{PerSecond: 100, Burst: 10}, 1)
	if n := c.nodes[0].takes("b", 20); n != 10 {
		t.Errorf("%d of the burst of 10 admitted at once", n)
	}
	n := c.run("b", 10*time.Second, 300)[0]
	if n < 970 || n > 1000 {
		t.Errorf("%d admitted in 10 s at 100/s", n)
	}
	if asked := c.rates.Asked(); asked > 14 {
		t.Errorf("%d asks in 10 s", asked)
	}
}

// The bound is for every schedule: asks, answers and returns that are lost, late
// or overtaken, nodes that come, die, stop and stand still, clocks of unequal
// speed, edits that nodes hear of one after the other, tokens given back.
func TestNodesTogetherKeepTheBound(t *testing.T) {
	seeds := 150
	if testing.Short() {
		seeds = 30
	}
	admitted := 0
	for seed := range seeds {
		s := newSchedule(uint64(seed))
		s.run(150)
		if over := s.h.Check(); len(over) > 0 {
			t.Fatalf("seed %d: %v", seed, over[0])
		}
		n, _ := s.h.Admitted("b")
		admitted += n
	}
	if admitted < 100*seeds {
		t.Errorf("%d admitted in %d schedules: the test has lost its point", admitted, seeds)
	}
}

// schedule is a run of what can happen to a cluster, out of a seed.
type schedule struct {
	*cluster
	*rand.Rand
	h       *limittest.History
	rate    limit.Rate
	version int64
	from    time.Time // the rate counts since
	depth   int       // of things that happen while an ask is on its way
	loss    float64
	edits   bool
	late    []limit.ShareAsk
}

var errLost = errors.New("lost")

func newSchedule(seed uint64) *schedule {
	s := &schedule{
		cluster: newCluster(0), Rand: rand.New(rand.NewPCG(seed, 4)), h: &limittest.History{}, from: began, version: 1,
	}
	s.loss, s.edits = pick(s, 0, 0.05, 0.4), s.IntN(2) == 0
	s.rate = s.anyRate()
	for range 1 + s.IntN(4) {
		s.come()
	}
	if s.IntN(2) == 0 {
		s.rates.Nodes = func() int { return 0 } // not known
	}
	s.rates.Before = func(_ context.Context, asks []limit.ShareAsk) error {
		err := s.network()
		if err != nil && s.IntN(2) == 0 {
			s.late = append(s.late, asks...) // it arrives when nobody waits for it
		}
		return err
	}
	s.rates.After = func(context.Context, []limit.ShareAsk) error { return s.network() }
	return s
}

func pick[T any](s *schedule, from ...T) T { return from[s.IntN(len(from))] }

func (s *schedule) anyRate() limit.Rate {
	r := limit.Rate{PerSecond: pick(s, 0.5, 5, 10, 20, 50, 200), Burst: pick(s, 1, 2, 3, 5, 20, 100)}
	if s.edits && s.IntN(6) == 0 {
		return pick(s, limit.Rate{}, limit.Rate{PerSecond: r.PerSecond}, limit.Rate{Burst: r.Burst})
	}
	return r
}

func (s *schedule) come() {
	s.join(pick(s, 1, 1, 1.0009, 0.92, 0.99)).bucket("b", s.rate, s.version)
}

// network is what happens on the way: time, other things, loss.
func (s *schedule) network() error {
	if s.depth >= 2 {
		return nil
	}
	s.depth++
	defer func() { s.depth-- }()
	for range s.IntN(3) {
		s.step()
	}
	if s.IntN(30) == 0 {
		s.pass(2500)
	}
	if s.Float64() < s.loss {
		return errLost
	}
	return nil
}

func (s *schedule) run(steps int) {
	for range steps {
		s.step()
	}
	s.h.Rate("b", s.rate, s.from, limittest.Forever)
}

func (s *schedule) pass(most int) {
	s.now = s.now.Add(time.Duration(s.IntN(most*1000)) * time.Microsecond)
}

func (s *schedule) step() {
	if s.IntN(40) == 0 {
		s.pass(pick(s, 1000, 3000, 12_000))
	}
	s.pass(80)
	for _, i := range s.Perm(len(s.nodes)) {
		if i >= len(s.nodes) {
			break // somebody has gone meanwhile
		}
		m := s.nodes[i]
		switch s.IntN(12) {
		case 0, 1, 2, 3:
			s.takeSome(m, m.instant(), s.now)
		case 4, 5, 6:
			m.Renew(context.Background())
		case 7: // who read the clock and was stopped then
			start, read := s.now, m.instant()
			s.pass(pick(s, 10, 100, 3000))
			s.takeSome(m, read, start)
		case 8: // taken, and given back because another limit refuses
			shut := limit.NewCell(limit.Rate{}, false, limit.Instant{})
			for range 1 + s.IntN(5) {
				m.Take(ended, []*limit.Cell{m.buckets["b"]}, limit.NewSeats(0), nil, m.instant())
				m.Take(ended, []*limit.Cell{m.buckets["b"], shut}, nil, nil, m.instant())
			}
		}
	}
	if len(s.late) > 0 && s.IntN(4) == 0 {
		late := s.late[0]
		s.late = s.late[1:]
		deaf := s.depth
		s.depth = 2
		s.rates.Share(context.Background(), []limit.ShareAsk{late})
		s.depth = deaf
	}
	if s.depth == 0 && s.IntN(25) == 0 {
		s.change()
	}
}

func (s *schedule) takeSome(m *member, read limit.Instant, start time.Time) {
	for range pick(s, 1, 3, 200) {
		if m.take("b", read).Outcome != limit.Granted {
			return
		}
		s.h.Admit(start, s.now, "", "b")
	}
}

func (s *schedule) change() {
	i := s.IntN(len(s.nodes))
	switch s.IntN(4) {
	case 0:
		if len(s.nodes) < 5 {
			s.come()
		}
	case 1, 2: // one dies, or stops cleanly, and another comes
		if s.IntN(2) == 0 {
			s.nodes[i].ReturnShares(context.Background())
		}
		s.nodes = append(s.nodes[:i:i], s.nodes[i+1:]...)
		s.come()
	case 3:
		if s.edits {
			s.edit()
		}
	}
}

// edit is heard by one node after the other. The old setting counts until the
// last has heard, and the pool too.
func (s *schedule) edit() {
	old, from := s.rate, s.from
	s.rate = s.anyRate()
	s.version++
	s.from = s.now
	for _, m := range s.nodes {
		s.depth = 1
		if s.IntN(2) == 0 {
			s.step()
		}
		m.bucket("b", s.rate, s.version)
	}
	s.depth = 2 // nothing gets lost
	for range 2 {
		s.now = s.now.Add(250 * time.Millisecond)
		for _, m := range s.nodes {
			m.Renew(context.Background())
		}
	}
	s.depth = 0
	s.h.Rate("b", old, from, s.now)
}
