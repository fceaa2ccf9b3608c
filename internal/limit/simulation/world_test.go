//go:build !race

package simulation

import (
	"context"
	"fmt"
	"hash/fnv"
	"math"
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

	edits           []edited
	learned         map[string]map[int64]time.Time // when a bucket's pool first heard of a version
	asked, admitted int
	spent           []spending // by key
	digest          uint64     // of what was admitted when, in any order
	failures        []string
}

// spending is what the ledger has to know of a key in the end.
type spending struct {
	admitted int64
	unknown  int64 // calls that the ledger may have recorded, and no client was let in
}

// edited is a bucket's setting that was replaced, with the version that took its
// place and when the last node had heard of it.
type edited struct {
	bucket  string
	old     setting
	version int64
	heard   time.Time
}

// config is what the database holds of keys and limits.
type config struct {
	stage    setting
	keys     []keyConfig
	versions int64
}

type keyConfig struct {
	rate            setting
	quota           limit.Quota
	quotaSince      time.Time
	enabled, member bool
}

// setting is a rate with its version, and since when it may be in force.
type setting struct {
	rate    limit.Rate
	version int64
	since   time.Time
}

func account(key int) limit.Account {
	return limit.Account{PlanID: "plan", KeyID: fmt.Sprintf("key%d", key)}
}

func keyOf(a limit.Account) (key int) {
	fmt.Sscanf(a.KeyID, "key%d", &key)
	return key
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
	seed                     uint64
	asked, admitted, perfect int
	excess                   []limittest.Excess
	failures                 []string
	faulty                   bool   // calls were lost by a fault
	digest                   uint64 // equal for equal runs
}

// run plays a schedule to its end. It is called within a synctest bubble.
func run(s schedule) outcome {
	w := &world{schedule: s, zero: time.Now(), running: make([]*node, s.nodes), spent: make([]spending, len(s.keys)), history: &limittest.History{}, learned: map[string]map[int64]time.Time{}}
	w.db = newDatabase(w)
	w.perfect = &perfect{buckets: map[string]*perfectBucket{"stage": {rate: s.stage}}, accounts: map[string]*perfectAccount{}}
	w.config.stage = setting{s.stage, 0, s.began}
	for i, k := range s.keys {
		w.config.keys = append(w.config.keys, keyConfig{setting{k.rate, 0, s.began}, k.quota, s.began, true, true})
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
	for _, n := range w.running {
		if n != nil {
			if err := n.limiter.Flush(context.Background()); err != nil {
				w.fail("the last Flush of %s: %v", n.name, err)
			}
		}
	}
	synctest.Wait()
	return w.judge()
}

func (w *world) judge() outcome {
	for _, e := range w.edits {
		until := e.heard
		if w.nodes > 1 { // … and what nodes divide flows as before until the pool has heard
			learned := limittest.Forever
			for version, at := range w.learned[e.bucket] {
				if version >= e.version && at.Before(learned) {
					learned = at
				}
			}
			if learned.After(until) {
				until = learned
			}
		}
		w.judgeRate(e.bucket, e.old, until)
	}
	w.judgeRate("stage", w.config.stage, limittest.Forever)
	for i, k := range w.config.keys {
		w.judgeRate(accountName(i), k.rate, limittest.Forever)
		w.history.Quota(accountName(i), k.quota, w.joined(), k.quotaSince, limittest.Forever)
	}
	w.audit()
	o := outcome{seed: w.seed, digest: w.digest, asked: w.asked, admitted: w.admitted, perfect: w.perfect.admitted, failures: w.failures, excess: w.history.Check()}
	o.faulty = slices.ContainsFunc(w.events, func(e event) bool { return e.kind.faulty() })
	return o
}

// learn notes which versions the asks of a transaction bring.
func (w *world) learn(asks []limit.ShareAsk) {
	for _, a := range asks {
		if w.learned[a.Bucket] == nil {
			w.learned[a.Bucket] = map[int64]time.Time{}
		}
		if _, known := w.learned[a.Bucket][a.Version]; !known {
			w.learned[a.Bucket][a.Version] = w.wall()
		}
	}
}

func (w *world) note(what ...any) {
	h := fnv.New64a()
	fmt.Fprintln(h, what...)
	w.digest += h.Sum64()
}

// judgeRate tells the checker of a rate, as fast as the fastest clock has it.
func (w *world) judgeRate(bucket string, s setting, until time.Time) {
	s.rate.PerSecond *= 1 + max(0, slices.Max(w.drift))
	w.history.Rate(bucket, s.rate, s.since, until)
}

// audit holds what the ledger recorded against what was admitted: every call
// that was let in is recorded, or held by a node that died; and nothing else is
// but calls whose outcome nobody heard.
func (w *world) audit() {
	for key, s := range w.spent {
		used, held := w.db.books.Used(account(key), math.MinInt32, math.MaxInt32), w.db.held(account(key))
		if used > s.admitted+s.unknown || s.admitted > used+held {
			w.fail("the ledger has %d calls of %s as used and %d as held; %d were admitted and of %d nobody knows", used, accountName(key), held, s.admitted, s.unknown)
		}
	}
}

// demand asks for calls of a key, at random nodes.
func (w *world) demand(key int) {
	r := w.random(fmt.Sprint("demand ", key))
	k := w.keys[key]
	for {
		pause := r.ExpFloat64() * float64(k.burst) / k.calls * float64(time.Second)
		time.Sleep(min(time.Duration(pause), w.lasts) + 1)
		if w.over {
			return
		}
		for range k.burst {
			n := w.running[r.IntN(len(w.running))]
			if k.roams && r.IntN(4) > 0 {
				n = w.running[int(w.now()/(1500*time.Millisecond))%len(w.running)]
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
