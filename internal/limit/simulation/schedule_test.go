//go:build !race

package simulation

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strings"
	"time"

	"weir/internal/limit"
)

// schedule is all that happens to a run, drawn from one seed: how many nodes,
// which limits, what is asked of them, and what goes wrong when.
type schedule struct {
	seed    uint64
	nodes   int
	began   time.Time // by the database's clock
	lasts   time.Duration
	latency time.Duration // of one way between a node and the database, in the median
	commit  time.Duration // of one transaction
	keys    []key
	stage   limit.Rate // of the one bucket that all keys share
	drift   []float64  // how much faster a node's monotonic clock runs
	events  []event
}

// key is a caller's key in a plan, with its demand.
type key struct {
	rate  limit.Rate
	quota limit.Quota
	calls float64 // asked a second
	burst int     // asked at once, each time
	roams bool    // its calls go now to one node and now to another
}

// event is one thing that happens, to a node or a key.
type event struct {
	at    time.Duration
	lasts time.Duration
	kind  kind
	node  int
	key   int
	rate  limit.Rate
	quota limit.Quota
	n     int64
}

type kind int

const (
	crash       kind = iota // kill -9; a new process after lasts
	stop                    // clean; a new process after lasts
	pause                   // SIGSTOP for lasts
	cutAsks                 // the node's questions do not arrive
	cutAnswers              // they arrive, and the answers do not
	slow                    // every transaction takes lasts/10 longer
	restart                 // kill -9 of the database, back after lasts
	jump                    // the node's wall clock steps by n seconds
	editRate                // of a key's plan
	editStage               // of the stage
	editQuota               // limit, or limit and period
	disable                 // the key, and enable it after lasts
	remove                  // the key from its plan, and add it after lasts
	updateUsage             // n remain
	kinds
)

func (k kind) String() string {
	return [...]string{"crash", "stop", "pause", "cutAsks", "cutAnswers", "slow", "restart", "jump", "editRate", "editStage", "editQuota", "disable", "remove", "updateUsage"}[k]
}

// faulty says of the kinds that take calls away.
func (k kind) faulty() bool { return k <= restart && k != jump }

var unlimited = limit.Rate{PerSecond: 1e6, Burst: 1 << 20}

func draw(seed uint64) schedule {
	r := rand.New(rand.NewPCG(seed, 4))
	s := schedule{
		seed:    seed,
		nodes:   []int{1, 3, 5}[r.IntN(3)],
		lasts:   time.Duration(5+r.IntN(25)) * time.Second,
		latency: time.Duration(50+r.IntN(2000)) * time.Microsecond,
		commit:  time.Duration(100+r.IntN(3000)) * time.Microsecond,
		stage:   unlimited,
	}
	// A Monday that ends a month, a Sunday, a Wednesday.
	day := []int{30, 29, 25}[r.IntN(3)]
	s.began = time.Date(2026, 11, day, 12, 0, 0, 0, time.UTC)
	if r.IntN(10) < 6 { // the period ends within the run
		s.began = time.Date(2026, 11, day+1, 0, 0, 0, 0, time.UTC).Add(-time.Duration(r.Int64N(int64(s.lasts))))
	}
	if r.IntN(3) == 0 {
		s.stage = drawRate(r)
	}
	rates := r.IntN(2) == 0            // it is about buckets, or about quotas
	budget := 200 + r.ExpFloat64()*400 // calls, of all keys
	if rates {
		s.lasts = time.Duration(4+r.IntN(8)) * time.Second
		budget *= 2
	}
	for range 1 + r.IntN(3) {
		s.keys = append(s.keys, drawKey(r, rates))
	}
	for i := range s.keys {
		k := &s.keys[i]
		k.calls = min(k.calls, budget/float64(len(s.keys))/s.lasts.Seconds())
	}
	for range s.nodes {
		s.drift = append(s.drift, []float64{0, 0, fastest, -slowest, -slowest * r.Float64()}[r.IntN(5)])
	}
	if r.IntN(8) > 0 { // some runs have no fault
		for range r.IntN(12) {
			s.events = append(s.events, s.drawEvent(r, rates))
		}
	}
	return s
}

// A node's monotonic clock may run slow by one part and fast by another of the
// database's time. A fast one lets a rate in so much faster, and is judged so.
const (
	slowest = 0.05
	fastest = 0.001
)

func drawRate(r *rand.Rand) limit.Rate {
	rates := []float64{0.5, 1, 2, 5, 10, 10, 15, 20, 50, 100, 1000}
	bursts := []int{1, 2, 3, 5, 10, 20, 50, 100}
	return limit.Rate{PerSecond: rates[r.IntN(len(rates))], Burst: bursts[r.IntN(len(bursts))]}
}

func drawQuota(r *rand.Rand) limit.Quota {
	limits := []int64{0, 1, 3, 10, 50, 99, 100, 101, 150, 200, 400, 1000, 5000, 100_000}
	periods := []limit.Period{limit.Daily, limit.Daily, limit.Weekly, limit.Monthly}
	q := limit.Quota{Limit: limits[r.IntN(len(limits))], Period: periods[r.IntN(len(periods))]}
	if r.IntN(8) == 0 {
		q.Offset = r.Int64N(q.Limit + 1)
	}
	return q
}

func drawKey(r *rand.Rand, rates bool) key {
	k := key{rate: unlimited, quota: drawQuota(r), burst: 1}
	if rates || r.IntN(4) == 0 {
		k.rate = drawRate(r)
	}
	k.calls = []float64{2, 10, 30, 100, 300}[r.IntN(5)]
	if rates { // enough of them that the limit is felt, by all nodes
		k.calls = k.rate.PerSecond * (0.5 + 3*r.Float64())
		k.roams = r.IntN(3) > 0
		if r.IntN(4) > 0 {
			k.quota = limit.Quota{Limit: 100_000, Period: limit.Daily}
		}
	}
	switch r.IntN(4) {
	case 0:
		k.burst = 2 + r.IntN(20)
	case 1:
		k.burst = max(k.rate.Burst%1000, 1) * (1 + r.IntN(2))
	}
	return k
}

func (s *schedule) drawEvent(r *rand.Rand, rates bool) event {
	e := event{
		at:    time.Duration(r.Int64N(int64(s.lasts))),
		lasts: time.Duration(r.Int64N(int64(4 * time.Second))),
		kind:  kind(r.IntN(int(kinds))),
		node:  r.IntN(s.nodes),
		key:   r.IntN(len(s.keys)),
		rate:  drawRate(r),
		quota: drawQuota(r),
		n:     r.Int64N(300),
	}
	if r.IntN(4) == 0 {
		e.lasts *= 5
	}
	if !rates && r.IntN(3) == 0 {
		e.kind = []kind{updateUsage, editQuota, slow, cutAnswers, crash, stop}[r.IntN(6)]
	}
	if rates && r.IntN(3) > 0 {
		e.kind = []kind{crash, pause, cutAsks, cutAnswers, editRate}[r.IntN(5)]
		e.lasts = 2*time.Second + e.lasts%(3*time.Second)
	}
	switch e.kind {
	case jump:
		e.n = r.Int64N(7201) - 3600
	case editRate, editStage:
		if r.IntN(6) == 0 {
			e.rate = limit.Rate{}
		}
	case editQuota:
		e.quota.Offset = s.keys[e.key].quota.Offset
		if r.IntN(2) == 0 {
			e.quota.Period = s.keys[e.key].quota.Period
		}
	case updateUsage:
		if r.IntN(2) == 0 {
			e.n /= 30
		}
	}
	return e
}

// String tells the schedule in a few lines, for who replays it.
func (s schedule) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %d nodes, %v from %s, latency %v, commit %v, stage %v\n", s.seed, s.nodes, s.lasts,
		s.began.Format("2006-01-02 15:04:05.000"), s.latency, s.commit, s.stage)
	for i, k := range s.keys {
		fmt.Fprintf(&b, "  key %d: rate %v, quota %+v, %.3g calls/s, %d at once\n", i, k.rate, k.quota, k.calls, k.burst)
	}
	for i, d := range s.drift {
		if d != 0 {
			fmt.Fprintf(&b, "  node %d: clock runs at %.4f\n", i, 1+d)
		}
	}
	for _, e := range s.events {
		fmt.Fprintf(&b, "  at %v: %s of node %d, key %d, for %v (rate %v, quota %+v, n %d)\n", e.at, e.kind, e.node, e.key, e.lasts, e.rate, e.quota, e.n)
	}
	return b.String()
}

// random returns numbers of one actor of one run. Who draws more than once does
// so with the time in its name: then goroutines that wake at one instant, in
// whatever order, do not move what others draw.
func (s *schedule) random(actor ...any) *rand.Rand {
	h := fnv.New64a()
	fmt.Fprint(h, actor...)
	return rand.New(rand.NewPCG(s.seed, h.Sum64()))
}
