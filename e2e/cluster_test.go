package e2e

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	agw "github.com/aws/aws-sdk-go-v2/service/apigateway/types"

	"weir/internal/limit"
	"weir/internal/limit/limittest"
)

// atLength says whether TestCluster runs at its full length (CLUSTER=full), or
// in the form that has its place among the other tests.
func atLength() bool { return os.Getenv("CLUSTER") == "full" }

// TestCluster loads three nodes on one PostgreSQL with every kind of limit while
// nodes are killed and paused, the database is killed, links stall, and plans
// and keys are edited. Whatever happens, nothing is admitted that the limits do
// not explain; what a crash may cost is bounded; and what get-usage says is what
// the clients counted.
func TestCluster(t *testing.T) {
	awayFromMidnight(t, 10*time.Minute)
	s := newTrial(t, newCluster(t, 3))
	s.prepare()
	s.load()
	pause, stall := 3*time.Second, 4*time.Second
	if atLength() {
		pause, stall = 10*time.Second, 30*time.Second
	}
	a, b, c := s.nodes[0], s.nodes[1], s.nodes[2]

	s.step("everything stands", 3*time.Second)
	s.editRate(a, 20, 10)
	s.grant(b, 400)
	b.kill()
	s.crashes++
	s.step("a node was killed", 2*time.Second)
	s.switchKey(c)
	b.start()
	s.step("it was started again", 2*time.Second)
	s.editQuota(b, 5000)
	c.pause()
	s.step("a node is paused", pause)
	s.editRateApart(a, 40, 20, c, func() { c.resume() })
	s.step("it goes on", 2*time.Second)
	s.postgres.Kill()
	s.outages++
	s.step("the database was killed", time.Second)
	s.postgres.Start(t)
	s.step("it was started again", 3*time.Second)
	s.editQuota(c, 2500)
	a.link.Stall()
	s.outages++
	s.step("a node's link stalls", stall)
	a.link.Resume()
	s.step("it goes on", 3*time.Second)
	s.editRate(c, 60, 30)
	for _, n := range s.nodes {
		n.link.Stall()
	}
	s.outages++
	s.step("all links stall", stall)
	for _, n := range s.nodes {
		n.link.Resume()
	}
	s.step("they go on", 3*time.Second)
	b.leave()
	s.step("a node stopped cleanly", time.Second)
	b.start()
	s.step("it was started again", 2*time.Second)
	if atLength() {
		s.atRandom(20)
	}
	s.stopLoad()
	s.judge()
}

// atRandom does to nodes, links and database whatever comes, at any moment.
func (s *trial) atRandom(times int) {
	s.t.Helper()
	seed := uint64(time.Now().UnixNano())
	s.t.Logf("at random, seed %d", seed)
	chance := rand.New(rand.NewPCG(seed, 0))
	for range times {
		n := s.nodes[chance.IntN(len(s.nodes))]
		d := time.Duration(chance.Int64N(int64(4 * time.Second)))
		switch chance.IntN(6) {
		case 0:
			n.kill()
			s.crashes++
			s.step("node "+n.name+" was killed", d)
			n.start()
		case 1:
			n.pause()
			s.step("node "+n.name+" is paused", d)
			n.resume()
		case 2:
			n.link.Stall()
			s.outages++
			s.step("node "+n.name+"'s link stalls", d)
			n.link.Resume()
		case 3:
			n.link.Cut()
			s.outages++
			s.step("node "+n.name+"'s connections were cut", d)
		case 4:
			s.postgres.Kill()
			s.outages++
			s.step("the database was killed", d/4)
			s.postgres.Start(s.t)
		case 5:
			n.leave()
			s.step("node "+n.name+" stopped cleanly", d/4)
			n.start()
		}
		s.step("calm", 2*time.Second+d/2)
		s.editRate(n, float64(10+chance.IntN(90)), 5+chance.IntN(40))
	}
}

// trial is one run of TestCluster.
type trial struct {
	*cluster
	recorder
	ctx   context.Context
	field *field
	loads []*load
	began time.Time

	crashes, outages int // of nodes, and of the database or its links

	hot    *keyed // many calls a second, a quota out of reach
	slow   *keyed // fewer than ten calls a second: each is asked of the database
	large  *keyed // a quota that is held in leases
	few    *keyed // a quota that is asked call by call
	edited *keyed // its rate and its quota change
	given  *keyed // UpdateUsage changes what is left of its quota
	off    *keyed // it is disabled and enabled
	many   []*keyed

	rate  setting[limit.Rate]
	quota setting[limit.Quota]
}

// setting is what holds of a plan that is edited, and since when it may.
type setting[T any] struct {
	value T
	from  time.Time
}

func newTrial(t *testing.T, c *cluster) *trial {
	t.Helper()
	s := &trial{cluster: c, ctx: t.Context()}
	s.field = newField(s.ctx, c.nodes[0].sdk())
	return s
}

const (
	hotRate, hotBurst   = 100, 50
	hotQuota            = 1000000
	slowRate, slowBurst = 2, 2
	largeQuota          = 3000
	fewQuota            = 90
	manyRate, manyBurst = 5, 5
	manyQuota           = 40
)

// prepare makes the plans and keys, and tells the history what holds.
func (s *trial) prepare() {
	s.t.Helper()
	s.began = time.Now()
	one := func(name string, rate float64, burst, quota int32) *keyed {
		k := s.field.addKey(s.ctx, s.field.addPlan(s.ctx, name, rate, burst, quota), name)
		s.holds(k, rate, int(burst), int64(quota))
		return k
	}
	s.hot = one("hot", hotRate, hotBurst, hotQuota)
	s.slow = one("slow", slowRate, slowBurst, 0)
	s.large = one("large", noRate, noBurst, largeQuota)
	s.few = one("few", noRate, noBurst, fewQuota)
	s.off = one("off", noRate, noBurst, 0)

	s.rate, s.quota = setting[limit.Rate]{limit.Rate{PerSecond: 50, Burst: 25}, s.began}, setting[limit.Quota]{limit.Quota{Limit: 4000, Period: limit.Daily}, s.began}
	s.edited = s.field.addKey(s.ctx, s.field.addPlan(s.ctx, "edited", 50, 25, 4000), "edited")
	s.given = s.field.addKey(s.ctx, s.field.addPlan(s.ctx, "given", noRate, noBurst, 2000), "given")
	s.Rate(s.given.id, limit.Rate{PerSecond: noRate, Burst: noBurst}, s.began, limittest.Forever)
	s.Quota(s.given.id, limit.Quota{Limit: 2000, Period: limit.Daily}, 0, s.began, limittest.Forever)

	plan := s.field.addPlan(s.ctx, "many", manyRate, manyBurst, manyQuota)
	count := 100
	if atLength() {
		count = 10000
	}
	s.many = s.field.addKeys(s.ctx, plan, "many", count)
	for _, k := range s.many {
		s.holds(k, manyRate, manyBurst, manyQuota)
	}
}

// holds tells the history what holds of a key throughout. A quota of 0 is none.
func (s *trial) holds(k *keyed, rate float64, burst int, quota int64) {
	if quota == 0 {
		quota = math.MaxInt64
	}
	s.Rate(k.id, limit.Rate{PerSecond: rate, Burst: burst}, s.began, limittest.Forever)
	s.Quota(k.id, limit.Quota{Limit: quota, Period: limit.Daily}, 0, s.began, limittest.Forever)
}

// load lets clients of every node call every key.
func (s *trial) load() {
	for _, n := range s.nodes {
		for _, l := range []struct {
			pause time.Duration
			keys  []*keyed
		}{
			{10 * time.Millisecond, []*keyed{s.hot}},
			{60 * time.Millisecond, []*keyed{s.slow}},
			{25 * time.Millisecond, []*keyed{s.large}},
			{150 * time.Millisecond, []*keyed{s.few}},
			{15 * time.Millisecond, []*keyed{s.edited}},
			{25 * time.Millisecond, []*keyed{s.given}},
			{25 * time.Millisecond, []*keyed{s.off}},
			{8 * time.Millisecond, s.many},
		} {
			s.loads = append(s.loads, s.start(s.ctx, 1, l.pause, n.url, l.keys...))
		}
	}
}

func (s *trial) stopLoad() {
	for _, l := range s.loads {
		l.cancel()
	}
	for _, l := range s.loads {
		l.stop()
	}
	// What is answered now is on record: the last calls that were given up by
	// their clients are over.
	pass(s.ctx, 2*time.Second)
}

// step lets the load go on for a while and tells what came of it.
func (s *trial) step(what string, d time.Duration) {
	s.t.Helper()
	before := map[*keyed]int64{}
	watched := []*keyed{s.hot, s.slow, s.large, s.few, s.edited, s.given, s.off}
	for _, k := range watched {
		before[k], _ = s.sum(k)
	}
	pass(s.ctx, d)
	line := fmt.Sprintf("%5.1f s  %-28s %4.1f s:", time.Since(s.began).Seconds(), what, d.Seconds())
	for i, k := range watched {
		now, _ := s.sum(k)
		line += fmt.Sprintf(" %s %d", []string{"hot", "slow", "large", "few", "edited", "given", "off"}[i], now-before[k])
	}
	s.t.Log(line)
}

// patch edits a plan on a node, and says when it was asked and when it was
// answered.
func (s *trial) patch(n *node, k *keyed, values map[string]string) (asked, answered time.Time) {
	s.t.Helper()
	var ops []agw.PatchOperation
	for path, value := range values {
		ops = append(ops, agw.PatchOperation{Op: agw.OpReplace, Path: aws.String(path), Value: aws.String(value)})
	}
	asked = time.Now()
	_, err := n.sdk().agw.UpdateUsagePlan(s.ctx, &apigateway.UpdateUsagePlanInput{UsagePlanId: &k.plan, PatchOperations: ops})
	must(s.t, 0, err)
	return asked, time.Now()
}

// editRate changes the edited plan's throttle, with all links standing.
func (s *trial) editRate(n *node, rate float64, burst int) {
	s.t.Helper()
	s.editRateApart(n, rate, burst, nil, func() {})
}

// editRateApart does it while one node cannot hear of it, until then lets it.
func (s *trial) editRateApart(n *node, rate float64, burst int, apart *node, then func()) {
	s.t.Helper()
	asked, answered := s.patch(n, s.edited, map[string]string{"/throttle/rateLimit": fmt.Sprint(rate), "/throttle/burstLimit": fmt.Sprint(burst)})
	then()
	if apart != nil {
		answered = time.Now()
	}
	s.Rate(s.edited.id, s.rate.value, s.rate.from, answered.Add(heard))
	s.rate = setting[limit.Rate]{limit.Rate{PerSecond: rate, Burst: burst}, asked}
}

// editQuota changes the edited plan's quota.
func (s *trial) editQuota(n *node, quota int64) {
	s.t.Helper()
	asked, answered := s.patch(n, s.edited, map[string]string{"/quota/limit": fmt.Sprint(quota)})
	s.Quota(s.edited.id, s.quota.value, 0, s.quota.from, answered.Add(heard))
	s.quota = setting[limit.Quota]{limit.Quota{Limit: quota, Period: limit.Daily}, asked}
}

// grant sets what is left of the given key's quota.
func (s *trial) grant(n *node, remaining int64) {
	s.t.Helper()
	asked := time.Now()
	_, err := n.sdk().agw.UpdateUsage(s.ctx, &apigateway.UpdateUsageInput{UsagePlanId: &s.given.plan, KeyId: &s.given.id, PatchOperations: []agw.PatchOperation{
		{Op: agw.OpReplace, Path: aws.String("/remaining"), Value: aws.String(fmt.Sprint(remaining))},
	}})
	must(s.t, 0, err)
	// Other nodes may spend what they hold until they hear.
	s.Grant(s.given.id, remaining, asked, time.Now().Add(heard))
}

// switchKey disables a key, sees that it stays out everywhere, and enables it.
func (s *trial) switchKey(n *node) {
	s.t.Helper()
	turn := func(enabled string) {
		_, err := n.sdk().agw.UpdateApiKey(s.ctx, &apigateway.UpdateApiKeyInput{ApiKey: &s.off.id, PatchOperations: []agw.PatchOperation{
			{Op: agw.OpReplace, Path: aws.String("/enabled"), Value: &enabled},
		}})
		must(s.t, 0, err)
	}
	turn("false")
	pass(s.ctx, heard)
	before, _ := s.sum(s.off)
	pass(s.ctx, time.Second)
	if after, _ := s.sum(s.off); after > before+int64(len(s.nodes)) { // under way when it was looked at
		s.t.Errorf("%d calls were admitted with a key that had been disabled for %s", after-before, heard)
	}
	turn("true")
}

// judge holds at the end that everything adds up.
func (s *trial) judge() {
	s.t.Helper()
	s.Rate(s.edited.id, s.rate.value, s.rate.from, limittest.Forever)
	s.Quota(s.edited.id, s.quota.value, 0, s.quota.from, limittest.Forever)
	s.explained(s.t)
	s.countsAddUp(s.hot, hotQuota)
	s.countsAddUp(s.large, largeQuota)
	s.countsAddUp(s.few, fewQuota)
	s.countsAddUp(s.edited, s.quota.value.Limit)
	s.countsAddUp(s.given, unknownQuota)
	for _, k := range s.many[:min(len(s.many), 500)] {
		s.countsAddUp(k, manyQuota)
	}
	s.useUp(s.large, largeQuota)
	s.useUp(s.few, fewQuota)
	for _, k := range s.many[:5] {
		s.useUp(k, manyQuota)
	}
	s.explained(s.t)
	for _, n := range s.nodes {
		if status, body := n.askReady(s.t); status != http.StatusOK {
			s.t.Errorf("at the end node %s is not ready: %s", n.name, body)
		}
		n.leave()
	}
}

// unknownQuota is what holds of a key after UpdateUsage.
const unknownQuota = 0

// countsAddUp holds what every node says of a key's use against what the
// clients saw. What a killed node had in its hands counts against the quota
// and is in no count of calls: of what was admitted nothing remains.
func (s *trial) countsAddUp(k *keyed, quota int64) {
	s.t.Helper()
	admitted, unknown := s.sum(k)
	// A spend whose commit went unanswered was refused, and may be on record:
	// one at a time on each node.
	refused := int64(s.outages * len(s.nodes))
	first := s.nodes[0].usage(s.ctx, k)
	if first.used > admitted+unknown+refused || quota != unknownQuota && quota-first.remaining < min(admitted, quota) {
		s.t.Errorf("key %s: of a quota of %d clients saw %d admitted and %d unanswered, get-usage says %+v", k.id, quota, admitted, unknown, first)
	}
	for _, n := range s.nodes[1:] {
		if u := n.usage(s.ctx, k); u != first {
			s.t.Errorf("key %s: node %s says %+v, node %s %+v", k.id, s.nodes[0].name, first, n.name, u)
		}
	}
}

// useUp calls until no node admits any more, and holds the sum against the
// quota: never more, and less only by what crashes cost.
func (s *trial) useUp(k *keyed, quota int64) {
	s.t.Helper()
	client := &http.Client{Transport: &http.Transport{}, Timeout: 8 * time.Second}
	defer client.CloseIdleConnections()
	// A node that holds nothing waits a moment before it asks again what
	// others hold: only steady refusals are the end.
	for end := time.Now().Add(6 * time.Second); time.Now().Before(end); {
		open := false
		for _, n := range s.nodes {
			status, body := s.call(s.ctx, client, n.url(), k)
			open = open || status == 200 || body == tooMany
		}
		if open {
			end = time.Now().Add(6 * time.Second)
			continue
		}
		if u := s.nodes[0].usage(s.ctx, k); u.remaining == 0 {
			break
		}
		pass(s.ctx, 50*time.Millisecond)
	}
	admitted, unknown := s.sum(k)
	u := s.nodes[0].usage(s.ctx, k)
	lost := quota - u.used - u.remaining
	s.t.Logf("key %s: %d of %d admitted, %d unanswered, %d lost to crashes, get-usage %+v", k.id, admitted, quota, unknown, lost, u)
	if admitted > quota {
		s.t.Errorf("key %s: a quota of %d admitted %d", k.id, quota, admitted)
	}
	refused := int64(s.outages * len(s.nodes))
	// A lease whose grant went unanswered is held by a node that does not know.
	if most := refused * lostInACrash(quota); u.remaining > most || quota <= 100 && u.remaining > 0 {
		s.t.Errorf("key %s: every node refuses, and get-usage says that %d remain, at most %d may", k.id, u.remaining, most)
	}
	if admitted+unknown+refused+lost+u.remaining < quota {
		s.t.Errorf("key %s: of a quota of %d only %d admitted, %d unanswered, %d lost to crashes", k.id, quota, admitted, unknown, lost)
	}
	if most := int64(s.crashes) * lostInACrash(quota); lost < 0 || lost > most {
		s.t.Errorf("key %s: %d calls of a quota of %d are lost to %d crashes, at most %d may be", k.id, lost, quota, s.crashes, most)
	}
}

// lostInACrash is what docs/consistency.md says that a killed node may cost.
func lostInACrash(quota int64) int64 {
	if quota <= 100 {
		return 1 // the one that was being spent
	}
	return quota/16 + 1
}

// kill ends the node's server as a crash does.
func (n *node) kill() {
	n.cluster.t.Helper()
	n.gateway.Store(nil)
	n.server.kill(n.cluster.t)
}

// pause stops the node's process where it stands; resume lets it go on as if
// nothing had been.
func (n *node) pause()  { n.signal(syscall.SIGSTOP) }
func (n *node) resume() { n.signal(syscall.SIGCONT) }

func (n *node) signal(s syscall.Signal) {
	n.cluster.t.Helper()
	if err := n.cmd.Process.Signal(s); err != nil {
		n.cluster.t.Fatal(err)
	}
}
