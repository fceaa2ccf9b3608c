//go:build !race

package simulation

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"weir/internal/limit"
)

// happen lets an event happen when its time comes.
func (w *world) happen(i int, e event) {
	time.Sleep(e.at + time.Duration(i) + 1) // no two at one instant
	n := w.running[e.node]
	now := w.now()
	switch e.kind {
	case restart:
		w.db.kill(e.lasts)
	case slow:
		w.db.slow, w.db.fast = e.lasts/10, now+e.lasts
	case editRate, editStage, editQuota, disable, remove, updateUsage:
		w.edit(i, e)
	default:
		if n != nil && !n.stopping {
			w.befall(n, e)
		}
	}
}

// befall lets an event happen to a node that runs.
func (w *world) befall(n *node, e event) {
	until := w.now() + e.lasts
	switch e.kind {
	case crash:
		n.crash()
		time.Sleep(e.lasts)
		w.start(e.node, nil, true)
	case stop:
		was := n.stop()
		if !n.dead || w.running[e.node] != nil { // crashed, and was started, meanwhile
			return
		}
		time.Sleep(e.lasts)
		w.start(e.node, was, was == nil)
	case pause:
		n.paused = max(n.paused, until)
	case cutAsks:
		n.asksCut = max(n.asksCut, until)
	case cutAnswers:
		n.answersCut = max(n.answersCut, until)
	case jump:
		n.offset += time.Duration(e.n) * time.Second
	}
}

// change is an edit that nodes hear of one by one. Until the last has heard,
// what was before it may be in force too.
type change struct {
	apply   func(n *node)
	unheard map[*node]bool
	heard   func(at time.Time)
}

// edit changes what is configured, as a management call on a node does.
func (w *world) edit(i int, e event) {
	n := w.running[e.node]
	if n == nil || n.stopping || !n.connected() {
		return
	}
	start := w.wall()
	_ = w.db.transact("config", func() { w.enact(i, e, n, start) }) // after an error it is committed or it is not
}

// enact puts an edit into force in the database, and tells the nodes.
func (w *world) enact(i int, e event, origin *node, start time.Time) {
	name, wall := accountName(e.key), w.wall()
	k := &w.config.keys[e.key]
	c := &change{unheard: map[*node]bool{}, heard: func(time.Time) {}}
	switch e.kind {
	case editRate:
		w.editRate(name, &k.rate, e.rate, start, c)
		c.apply = func(n *node) { n.rate(name, n.callers[e.key].cell, w.config.keys[e.key].rate) }
	case editStage:
		w.editRate("stage", &w.config.stage, e.rate, start, c)
		c.apply = func(n *node) { n.rate("stage", n.stage, w.config.stage) }
	case editQuota:
		old, since := k.quota, k.quotaSince
		k.quota, k.quotaSince = e.quota, start
		w.perfect.accounts[name].quota = e.quota
		c.apply = func(n *node) {
			quota := w.config.keys[e.key].quota
			n.callers[e.key].meter.SetQuota(&quota)
		}
		c.heard = func(at time.Time) { w.history.Quota(name, old, w.joined(), since, at) }
	case disable:
		w.toggle(e, c, func(k *keyConfig, is bool) { k.enabled = is })
	case remove:
		w.toggle(e, c, func(k *keyConfig, is bool) { k.member = is })
	case updateUsage:
		ask := limit.Ask{Account: account(e.key), Quota: k.quota, Joined: w.joined()}
		w.db.now = wall
		w.db.books.Grant(ask, e.n, slices.Collect(maps.Keys(w.db.mayAct))...)
		w.perfect.grant(wall, name, e.n)
		c.apply = func(n *node) { n.limiter.Recall(n.callers[e.key].meter) }
		// Who has not heard yet may spend what it holds, be it more than remains.
		c.heard = func(at time.Time) { w.history.Grant(name, e.n, start, at) }
	}
	w.announce(i, c, origin)
}

// editRate puts another rate in the place of one.
func (w *world) editRate(bucket string, s *setting, r limit.Rate, start time.Time, c *change) {
	old := *s
	w.config.versions++
	*s = setting{r, w.config.versions, start}
	w.perfect.setRate(w.now(), bucket, r)
	version := s.version
	c.heard = func(at time.Time) { w.edits = append(w.edits, edited{bucket, old, version, at}) }
}

func (w *world) joined() limit.Day { return limit.DayOf(w.began) }

// toggle takes a key out of use, and brings it back after a while.
func (w *world) toggle(e event, c *change, set func(k *keyConfig, is bool)) {
	set(&w.config.keys[e.key], false)
	c.apply = func(n *node) { n.admit(e.key) }
	go func() {
		time.Sleep(e.lasts + 1)
		set(&w.config.keys[e.key], true)
		w.announce(0, &change{apply: c.apply, unheard: map[*node]bool{}, heard: c.heard}, nil)
	}()
}

// announce lets every node that runs hear of a change: the one it was made on
// at once, the others within a second, if nothing stands between.
func (w *world) announce(i int, c *change, origin *node) {
	for slot, n := range w.running {
		if n == nil {
			continue
		}
		c.unheard[n] = true
		r := w.random(fmt.Sprint("hear ", i, slot, w.now()))
		go func() {
			for n != origin && !n.dead {
				time.Sleep(time.Duration(r.Int64N(int64(time.Second))))
				n.gate()
				if n.connected() {
					break
				}
			}
			if !n.dead {
				c.apply(n)
			}
			delete(c.unheard, n)
			if len(c.unheard) == 0 {
				c.heard(w.wall())
			}
		}()
	}
	if len(c.unheard) == 0 {
		c.heard(w.wall())
	}
}

// admit is what a node does when a key was disabled, enabled, taken from its
// plan or put back: there it is a new link with a meter of its own.
func (n *node) admit(key int) {
	k, c := n.world.config.keys[key], n.callers[key]
	if c.member && !k.member {
		n.limiter.Recall(c.meter)
	}
	if !c.member && k.member {
		c.meter = n.meter(key)
	}
	c.enabled, c.member = k.enabled, k.member
}
