//go:build !race

package simulation

import (
	"fmt"
	"hash"
	"hash/fnv"
	"slices"
	"testing/synctest"
	"time"

	"weir/internal/limit"
	"weir/internal/limit/limittest"
)

// world is one run of a schedule.
type world struct {
	schedule
	zero      time.Time // when the run began, by the bubble's clock
	db        *database
	running   []*node // by slot; nil while there is none
	processes int
	config    config
	history   *limittest.History
	perfect   *perfect
	over      bool

	asked, admitted int
	digest          hash.Hash64 // of what was admitted when
	failures        []string
}

// config is what the database holds of keys and limits.
type config struct {
	stage      limit.Rate
	stageSince time.Time
	keys       []keyConfig
}

type keyConfig struct {
	rate            limit.Rate
	quota           limit.Quota
	enabled, member bool
	rateSince       time.Time
	quotaSince      time.Time
}

func account(key int) limit.Account {
	return limit.Account{PlanID: "plan", KeyID: fmt.Sprintf("key%d", key)}
}

func accountName(key int) string { return account(key).KeyID }

func (w *world) now() time.Duration { return time.Since(w.zero) }

func (w *world) wall() time.Time { return w.began.Add(w.now()) }

func (w *world) buckets(key int) []string { return []string{"stage", accountName(key)} }

func (w *world) fail(format string, args ...any) {
	w.failures = append(w.failures, fmt.Sprintf(format, args...))
}

// outcome is what a run showed.
type outcome struct {
	asked, admitted, perfect int
	excess                   []limittest.Excess
	failures                 []string
	faulty                   bool   // calls were lost by a fault
	digest                   uint64 // equal for equal runs
}

// run plays a schedule to its end. It is called within a synctest bubble.
func run(s schedule) outcome {
	w := &world{schedule: s, zero: time.Now(), running: make([]*node, s.nodes), history: &limittest.History{}, digest: fnv.New64a()}
	w.db = newDatabase(w)
	w.perfect = &perfect{buckets: map[string]*perfectBucket{"stage": {rate: s.stage}}, accounts: map[string]*perfectAccount{}}
	w.config.stage, w.config.stageSince = s.stage, s.began
	for i, k := range s.keys {
		w.config.keys = append(w.config.keys, keyConfig{k.rate, k.quota, true, true, s.began, s.began})
		w.perfect.buckets[accountName(i)] = &perfectBucket{rate: k.rate}
		w.perfect.accounts[accountName(i)] = &perfectAccount{
			quota: k.quota, start: limit.DayOf(s.began), used: map[limit.Day]int64{}, extra: map[limit.Day]int64{},
		}
	}
	for slot := range s.nodes {
		w.start(slot, nil, false)
	}
	for i := range s.keys {
		go w.demand(i)
	}
	for i, e := range s.events {
		go w.happen(i, e)
	}
	time.Sleep(s.lasts)
	w.over = true
	time.Sleep(time.Minute) // everything that is under way ends
	synctest.Wait()
	return w.judge()
}

func (w *world) judge() outcome {
	w.judgeRate("stage", w.config.stage, w.config.stageSince, limittest.Forever)
	for i, k := range w.config.keys {
		w.judgeRate(accountName(i), k.rate, k.rateSince, limittest.Forever)
		w.history.Quota(accountName(i), k.quota, w.joined(), k.quotaSince, limittest.Forever)
	}
	o := outcome{digest: w.digest.Sum64(), asked: w.asked, admitted: w.admitted, perfect: w.perfect.admitted, failures: w.failures, excess: w.history.Check()}
	o.faulty = slices.ContainsFunc(w.events, func(e event) bool { return e.kind.faulty() })
	return o
}

// judgeRate tells the checker of a rate, as fast as the fastest clock has it.
func (w *world) judgeRate(bucket string, r limit.Rate, from, until time.Time) {
	r.PerSecond *= 1 + max(0, slices.Max(w.drift))
	w.history.Rate(bucket, r, from, until)
}

// demand asks for calls of a key, at random nodes.
func (w *world) demand(key int) {
	r := w.random(fmt.Sprint("demand ", key))
	k := w.keys[key]
	for {
		pause := r.ExpFloat64() * float64(k.burst) / k.calls * float64(time.Second)
		time.Sleep(time.Duration(pause) + 1)
		if w.over {
			return
		}
		for range k.burst {
			n := w.running[r.IntN(len(w.running))]
			if r.IntN(3) > 0 { // callers like the first
				n = w.running[0]
			}
			slowly := time.Duration(0)
			if r.IntN(50) == 0 {
				slowly = time.Duration(r.ExpFloat64() * float64(20*time.Millisecond))
			}
			if n != nil {
				go n.call(key, slowly)
			}
			time.Sleep(time.Duration(r.IntN(2000)) + 1)
		}
	}
}
