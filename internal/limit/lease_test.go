package limit_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"weir/internal/limit"
	"weir/internal/limit/limittest"
)

// world is a ledger, a clock, and nodes that a test moves.
type world struct {
	t      failer
	clock  time.Duration
	ledger *limittest.Ledger
	live   []*node
	born   int
}

type failer interface {
	Helper()
	Fatalf(string, ...any)
}

// node is a limiter with meters of its own, whose fetches run when the test
// says so.
type node struct {
	*limit.Limiter
	name   string
	w      *world
	ledger *limittest.Ledger
	fetch  []func()
	meter  *limit.Meter
}

func newWorld(t failer) *world {
	w := &world{t: t}
	w.ledger = &limittest.Ledger{Now: func() time.Time { return noon.Add(w.clock) }}
	return w
}

// node starts a node with a meter of q.
func (w *world) node(q *limit.Quota) *node {
	w.born++
	n := &node{w: w, name: string(rune('a' + w.born))}
	n.ledger = w.ledger.Node(n.name)
	n.Limiter = limit.New(n.ledger, limit.WithClock(func() time.Duration { return w.clock }),
		limit.WithBackground(func(task func()) { n.fetch = append(n.fetch, task) }),
		limit.WithTimeout(func(ctx context.Context, wait time.Duration) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, wait/20)
		}))
	n.meter = limit.NewMeter(account, q, noon)
	w.live = append(w.live, n)
	return n
}

func (n *node) now() limit.Instant { return limit.Instant{Mono: n.w.clock, Wall: noon.Add(n.w.clock)} }

func (n *node) runFetches() {
	for len(n.fetch) > 0 {
		task := n.fetch[0]
		n.fetch = n.fetch[1:]
		task()
	}
}

// call takes once.
func (n *node) call() limit.Verdict {
	_, v := n.Take(context.Background(), nil, nil, n.meter, n.now())
	return v
}

// calls takes until it is refused, want times at most, and returns how often it
// was admitted.
func (n *node) calls(want int) (admitted int) {
	n.w.t.Helper()
	for admitted < want {
		v := n.call()
		n.runFetches()
		if v.Outcome == limit.Exhausted {
			return admitted
		}
		if v.Outcome != limit.Granted {
			n.w.t.Fatalf("after %d calls: %+v", admitted, v)
		}
		admitted++
	}
	return admitted
}

// tick lets a second pass.
func (w *world) tick() {
	w.t.Helper()
	w.clock += time.Second
	for _, n := range w.live {
		if err := n.Tend(context.Background()); err != nil {
			w.t.Fatalf("Tend: %v", err)
		}
		n.runFetches()
	}
}

func (n *node) stop() {
	n.w.t.Helper()
	if err := n.Stop(context.Background()); err != nil {
		n.w.t.Fatalf("Stop: %v", err)
	}
}

func (w *world) used() int64 { return w.ledger.Used(account, 0, 1<<20) }

func TestLeasedCallsDoNotAsk(t *testing.T) {
	w := newWorld(t)
	n := w.node(daily(100_000))
	for range 10 {
		if got := n.calls(1000); got != 1000 {
			t.Fatalf("%d of 1000 admitted", got)
		}
		w.tick()
		if held := n.ledger.Held(account); held > 4000 {
			t.Errorf("%d are held at 1000 a second", held)
		}
	}
	if asked := w.ledger.Spends(); asked > 60 {
		t.Errorf("the ledger was asked %d times for 10,000 calls", asked)
	}
	if used := w.used(); used != 10_000 {
		t.Errorf("%d recorded of 10,000", used)
	}
	n.stop()
	if used, held := w.used(), n.ledger.Held(account); used != 10_000 || held != 0 {
		t.Errorf("after a clean stop %d are used and %d held", used, held)
	}
}

// To the last call, and not one more; then it is known to the end of the period.
func TestLeasesEndExactlyAtTheLimit(t *testing.T) {
	for _, most := range []int{1, 99, 100, 101, 102, 500, 5000} {
		w := newWorld(t)
		n := w.node(daily(int64(most)))
		if got := n.calls(most + 10); got != most {
			t.Errorf("%d admitted of %d", got, most)
		}
		w.tick()
		w.tick()
		for range 3 {
			if v := n.call(); v.Outcome != limit.Exhausted || v.Detail.Used != int64(most) || v.Detail.Wait != 12*time.Hour-2*time.Second {
				t.Errorf("of %d: %+v", most, v)
			}
		}
		asked := w.ledger.Spends()
		n.call()
		if w.ledger.Spends() != asked {
			t.Errorf("of %d: asked again", most)
		}
		w.clock = 12 * time.Hour
		if v := n.call(); v.Outcome != limit.Granted || v.Detail.Used != 1 {
			t.Errorf("the next day: %+v", v)
		}
	}
}

func TestIdleLeaseIsGivenBack(t *testing.T) {
	w := newWorld(t)
	n := w.node(daily(10_000))
	n.calls(300)
	w.tick()
	if n.ledger.Held(account) == 0 {
		t.Fatal("nothing is held: the test has lost its point")
	}
	for range 40 {
		w.tick()
	}
	if held := n.ledger.Held(account); held != 0 {
		t.Errorf("%d are held after 40 idle seconds", held)
	}
	if used := w.used(); used != 300 {
		t.Errorf("%d used", used)
	}
	// A call now and then holds little.
	for range 10 {
		n.calls(1)
		w.tick()
	}
	if held := n.ledger.Held(account); held > 8 {
		t.Errorf("%d are held at a call a second", held)
	}
}

// What is held far beyond what is spent is given back while it is spent.
func TestSurplusIsGivenBack(t *testing.T) {
	w := newWorld(t)
	n := w.node(daily(1_000_000))
	for range 3 {
		n.calls(5000)
		w.tick()
	}
	for range 12 {
		n.calls(2)
		w.tick()
	}
	if held := n.ledger.Held(account); held > 40 {
		t.Errorf("%d are held at two calls a second", held)
	}
}

func TestEditsOfALeasedQuota(t *testing.T) {
	w := newWorld(t)
	n := w.node(daily(10_000))
	other := w.node(daily(10_000))
	n.calls(1000)
	if held := n.ledger.Held(account); held < 100 {
		t.Fatalf("only %d are held: the test has lost its point", held)
	}
	edit := func(q *limit.Quota) { n.meter.SetQuota(q); other.meter.SetQuota(q) }
	edit(daily(900)) // below what is used: at once
	if v := n.call(); v.Outcome != limit.Exhausted || v.Detail.Limit != 900 {
		t.Errorf("lowered below what is used: %+v", v)
	}
	edit(daily(1010))
	if got := n.calls(1000); got != 10 {
		t.Errorf("%d admitted, want the 10 that are left", got)
	}
	edit(daily(20_000))
	if got := other.calls(3000); got != 3000 {
		t.Errorf("%d of 3000 admitted after a raise", got)
	}
	edit(&limit.Quota{Limit: 4020, Period: limit.Weekly})
	other.Flush(t.Context())
	if a, b := n.calls(100), other.calls(100); a+b != 10 {
		t.Errorf("%d and %d admitted, want the 10 that are left of the week", a, b)
	}
	edit(nil)
	n.calls(500)
	edit(daily(4530))
	w.tick()
	if a, b := n.calls(100), other.calls(100); a+b != 10 {
		t.Errorf("%d and %d admitted, want the 10 that are left after 500 uncapped", a, b)
	}
	n.stop()
	other.stop()
	if used := w.used(); used != 4530 {
		t.Errorf("%d used in the end", used)
	}
}

// A grant is in force on this node when Recall returned, whatever it held.
func TestGrantRecallsWhatIsHeld(t *testing.T) {
	for _, remaining := range []int64{0, 1, 7, 3000} {
		w := newWorld(t)
		n := w.node(daily(10_000))
		n.calls(1000)
		n.call() // may leave a fetch under way, whose answer comes late
		n.Flush(t.Context())
		w.ledger.Grant(limit.Ask{Account: account, Quota: *daily(10_000)}, remaining, n.name)
		n.Recall(n.meter)
		n.runFetches()
		if got := int64(n.calls(20_000)); got != remaining {
			t.Errorf("%d admitted after %d were granted", got, remaining)
		}
	}
}

// A fetch that was asked before a recall and answered after it brings nothing.
func TestLateAnswerIsGivenBack(t *testing.T) {
	w := newWorld(t)
	n := w.node(daily(10_000))
	for len(n.fetch) == 0 {
		n.call()
	}
	n.Flush(t.Context())
	var late sync.WaitGroup
	hold, asked := make(chan struct{}), make(chan struct{})
	n.ledger.BeforeSpend = func(context.Context, limit.Account) error {
		asked <- struct{}{}
		<-hold
		return nil
	}
	late.Go(n.runFetches)
	<-asked
	n.ledger.BeforeSpend = nil
	n.Recall(n.meter)
	close(hold)
	late.Wait()
	if err := n.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if held := n.ledger.Held(account); held != 0 {
		t.Errorf("%d are held", held)
	}
}

func TestLeaseEndsWithItsPeriod(t *testing.T) {
	w := newWorld(t)
	n := w.node(daily(10_000))
	n.calls(1000)
	held := n.ledger.Held(account)
	w.clock = 12*time.Hour - 1
	if v := n.call(); v.Outcome != limit.Granted {
		t.Fatalf("%+v", v)
	}
	w.clock++
	if v := n.call(); v.Outcome != limit.Granted || v.Detail.Used != 1 {
		t.Errorf("the first call of the day: %+v", v)
	}
	w.tick()
	day := limit.DayOf(noon)
	if a, b := w.ledger.Used(account, day, day), w.ledger.Used(account, day+1, day+1); a != 1001 || b != 1 {
		t.Errorf("%d and %d used, want 1001 and 1", a, b)
	}
	if now := n.ledger.Held(account); held == 0 || now > 10_000/16 { // all of the new day
		t.Errorf("%d were held, %d are", held, now)
	}
}

// Leased calls of a month are shown on the day on which they were made.
func TestLeasedCallsAreShownOnTheirDay(t *testing.T) {
	w := newWorld(t)
	n := w.node(&limit.Quota{Limit: 100_000, Period: limit.Monthly})
	n.calls(1000)
	w.tick()
	w.clock = 12 * time.Hour
	n.calls(20)
	w.tick()
	day := limit.DayOf(noon)
	if a, b := w.ledger.Used(account, day, day), w.ledger.Used(account, day+1, day+1); a != 1000 || b != 20 {
		t.Errorf("%d and %d used, want 1000 and 20", a, b)
	}
}

func TestLeaseIsSpentWhileTheLedgerIsAway(t *testing.T) {
	w := newWorld(t)
	n := w.node(daily(10_000))
	n.calls(1000)
	n.Flush(t.Context())
	held := n.ledger.Held(account)
	var hung atomic.Int64
	n.ledger.BeforeSpend = func(ctx context.Context, _ limit.Account) error {
		hung.Add(1)
		<-ctx.Done()
		return ctx.Err()
	}
	n.ledger.BeforeRecord = func(ctx context.Context, _ limit.Batch) error { <-ctx.Done(); return ctx.Err() }
	got := int64(0)
	for n.call().Outcome == limit.Granted {
		got++
		n.fetch = nil
	}
	if got != held || held == 0 {
		t.Errorf("%d admitted of %d that were held", got, held)
	}
	// The ledger counts as away now: one finds out, the others do not wait.
	if n := hung.Load(); n != 1 {
		t.Fatalf("%d calls waited", n)
	}
	began := make(chan limit.Verdict)
	go func() { began <- n.call() }()
	for hung.Load() < 2 {
		time.Sleep(time.Millisecond)
	}
	for range 100 {
		if v := n.call(); v.Outcome != limit.LedgerAway || !errors.Is(v.Err, context.DeadlineExceeded) {
			t.Fatalf("%+v", v)
		}
	}
	if n := hung.Load(); n != 2 {
		t.Errorf("%d calls waited", n)
	}
	if v := <-began; v.Outcome != limit.LedgerAway {
		t.Errorf("%+v", v)
	}
	n.ledger.BeforeSpend, n.ledger.BeforeRecord = nil, nil
	if v := n.call(); v.Outcome != limit.Granted {
		t.Errorf("when it is back: %+v", v)
	}
	if v := n.call(); v.Outcome != limit.Granted {
		t.Errorf("when it is back: %+v", v)
	}
}

func TestOpenWhenAway(t *testing.T) {
	w := newWorld(t)
	broken := errors.New("disk on fire")
	n := w.node(&limit.Quota{Limit: 5, Period: limit.Daily, OpenWhenAway: true})
	n.calls(2)
	n.ledger.BeforeSpend = func(context.Context, limit.Account) error { return broken }
	for range 4 {
		if v := n.call(); v.Outcome != limit.Granted || !errors.Is(v.Err, broken) {
			t.Fatalf("%+v", v)
		}
	}
	n.ledger.BeforeSpend = nil
	if v := n.call(); v.Outcome != limit.Exhausted || v.Detail.Used != 6 {
		t.Errorf("6 of 5 are used: %+v", v)
	}
}

// A plan that only reports: every call is counted, and told as it would be.
func TestObserve(t *testing.T) {
	w := newWorld(t)
	n := w.node(daily(300))
	for i := range 400 {
		v := n.Observe(t.Context(), n.meter, n.now())
		n.runFetches()
		if (v.Outcome == limit.Granted) != (i < 300) {
			t.Fatalf("call %d: %+v", i, v)
		}
	}
	asked := w.ledger.Spends()
	for range 100 {
		n.Observe(t.Context(), n.meter, n.now())
	}
	if w.ledger.Spends() > asked+1 {
		t.Errorf("it asks all the time")
	}
	w.tick()
	if used := w.used(); used != 500 {
		t.Errorf("%d counted, want 500", used)
	}
}

func TestKnown(t *testing.T) {
	w := newWorld(t)
	n := w.node(daily(10_000))
	if k, ok := n.meter.Known(n.now()); ok {
		t.Errorf("%+v is known before anything was asked", k)
	}
	n.calls(1000)
	want := limit.Known{Limit: 10_000, Left: 9000, EndsIn: 12 * time.Hour}
	if k, ok := n.meter.Known(n.now()); !ok || k != want {
		t.Errorf("%+v, %v; want %+v", k, ok, want)
	}
	n.meter.SetQuota(daily(5))
	if k, ok := n.meter.Known(n.now()); ok {
		t.Errorf("%+v is known of a new quota", k)
	}
	n.call()
	want = limit.Known{Limit: 5, EndsIn: 12 * time.Hour}
	if k, ok := n.meter.Known(n.now()); !ok || k != want {
		t.Errorf("%+v, %v; want %+v", k, ok, want)
	}
}

// TestNoScheduleOvershoots plays any order of calls, ticks, lost and doubled
// answers, edits, grants, stops and crashes on several nodes: what is admitted
// is never more than allowed, and what is lost never more than what the dead
// held and what got no answer.
func TestNoScheduleOvershoots(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		quota := daily(int64(rapid.IntRange(0, 2000).Draw(t, "quota")))
		var admitted, lost int64
		most := quota.Limit // that could ever be admitted
		break_ := func(n *node) {
			n.ledger.BeforeSpend = func(context.Context, limit.Account) error { return errors.New("away") }
			n.ledger.BeforeRecord = func(context.Context, limit.Batch) error { return errors.New("away") }
		}
		for range rapid.IntRange(1, 3).Draw(t, "nodes") {
			w.node(quota)
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			n := w.live[rapid.IntRange(0, len(w.live)-1).Draw(t, "node")]
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0, 1, 2:
				for range rapid.IntRange(1, 400).Draw(t, "calls") {
					if n.call().Outcome == limit.Granted {
						admitted++
					}
				}
			case 3:
				n.runFetches()
			case 4:
				w.clock += time.Duration(rapid.IntRange(0, 2000).Draw(t, "ms")) * time.Millisecond
				for _, n := range w.live {
					_ = n.Tend(t.Context())
				}
			case 5:
				break_(n)
			case 6:
				n.ledger.BeforeSpend, n.ledger.BeforeRecord = nil, nil
			case 7: // a crash, and another node in its place
				lost += n.ledger.Held(account)
				w.live = append(w.live[:0], without(w.live, n)...)
				w.node(quota)
			case 8: // a clean stop
				n.ledger.BeforeSpend, n.ledger.BeforeRecord = nil, nil
				n.runFetches()
				n.stop()
				if held := n.ledger.Held(account); held != 0 {
					t.Fatalf("a node that stopped holds %d", held)
				}
				w.live = append(w.live[:0], without(w.live, n)...)
				w.node(quota)
			case 9:
				quota = daily(int64(rapid.IntRange(0, 2000).Draw(t, "edit")))
				most = max(most, quota.Limit)
				for _, n := range w.live {
					n.meter.SetQuota(quota)
				}
			}
			if admitted > most {
				t.Fatalf("%d admitted of %d: %v", admitted, most, w.ledger)
			}
		}
		for _, n := range w.live {
			n.ledger.BeforeSpend, n.ledger.BeforeRecord = nil, nil
			n.runFetches()
			n.stop()
		}
		if used := w.used(); used > admitted || used+lost < admitted {
			t.Fatalf("%d admitted, %d recorded, and the dead held %d", admitted, used, lost)
		}
	})
}

func without(all []*node, n *node) (rest []*node) {
	for _, other := range all {
		if other != n {
			rest = append(rest, other)
		}
	}
	return rest
}

// Callers, edits, recalls, flushes and an unreliable ledger at once: every call
// is recorded once, and nothing is held in the end.
func TestConcurrentLeases(t *testing.T) {
	const callers, each = 8, 3000
	const most = callers * each * 3 / 4
	ledger := &limittest.Ledger{}
	var turn atomic.Int64
	ledger.BeforeSpend = func(context.Context, limit.Account) error {
		if turn.Add(1)%7 == 0 {
			return errors.New("away for a moment")
		}
		return nil
	}
	ledger.BeforeRecord = func(context.Context, limit.Batch) error {
		if turn.Add(1)%5 == 0 {
			return errors.New("away for a moment")
		}
		return nil
	}
	clock := limit.NewClock()
	l := limit.New(ledger, limit.WithClock(clock.Mono))
	m := limit.NewMeter(account, daily(most), noon)
	var admitted atomic.Int64
	done := make(chan struct{})
	var others, wg sync.WaitGroup
	others.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
			}
			switch i % 3 {
			case 0:
				_ = l.Tend(context.Background())
			case 1:
				l.Recall(m)
			case 2:
				m.SetQuota(daily(most + int64(i%2)))
				m.SetQuota(daily(most))
			}
			time.Sleep(time.Millisecond)
		}
	})
	for range callers {
		wg.Go(func() {
			for range each {
				if _, v := l.Take(context.Background(), nil, nil, m, clock.Now()); v.Outcome == limit.Granted {
					admitted.Add(1)
				}
			}
		})
	}
	wg.Wait()
	close(done)
	others.Wait()
	ledger.BeforeSpend, ledger.BeforeRecord = nil, nil
	m.SetQuota(daily(most))
	for l.Flush(t.Context()) != nil {
	}
	l.Recall(m) // that it waits for a second, perhaps, is forgotten
	for {
		_, v := l.Take(t.Context(), nil, nil, m, clock.Now())
		if v.Outcome != limit.Granted {
			break
		}
		admitted.Add(1)
	}
	if err := l.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, used, held := admitted.Load(), ledger.Used(account, 0, 1<<20), ledger.Held(account); n > most+1 || n < most || used != n || held != 0 {
		t.Errorf("%d admitted of %d; the ledger has %d used and %d held", n, most, used, held)
	}
}

func TestLeasedTakeDoesNotAllocate(t *testing.T) {
	w := newWorld(t)
	n := w.node(daily(1 << 30))
	for range 100 {
		n.calls(1000)
	}
	n.runFetches()
	ctx := t.Context()
	if allocs := testing.AllocsPerRun(100, func() {
		if _, v := n.Take(ctx, nil, nil, n.meter, n.now()); v.Outcome != limit.Granted {
			t.Fatal(v)
		}
	}); allocs != 0 {
		t.Errorf("%v allocations a decision", allocs)
	}
}

// lateLedger answers late: after has been, once.
type lateLedger struct {
	limit.Ledger
	after func()
}

func (l *lateLedger) Spend(ctx context.Context, a limit.Ask) (limit.Answer, error) {
	out, err := l.Ledger.Spend(ctx, a)
	if after := l.after; after != nil {
		l.after = nil
		after()
	}
	return out, err
}

// Stop gives back what its node holds, also what is granted to a call that is
// still waiting: nobody spends of that any more. (A call is under way at the
// stop when it outlasts the draining.)
func TestALeaseThatComesAfterTheStop(t *testing.T) {
	w := newWorld(t)
	q := daily(1000)
	other, slow := w.node(q), &lateLedger{Ledger: w.ledger.Node("stops")}
	l := limit.New(slow, limit.WithClock(func() time.Duration { return w.clock }))
	m := limit.NewMeter(account, q, noon)
	admitted := 0
	call := func() {
		if _, v := l.Take(t.Context(), nil, nil, m, other.now()); v.Outcome == limit.Granted {
			admitted++
		}
	}
	call() // the first asks for no lease
	slow.after = func() {
		if err := l.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
	call()
	admitted += other.calls(2000)
	for range 20 {
		call()
	}
	if admitted != 1000 {
		t.Errorf("%d admitted of 1000", admitted)
	}
}
