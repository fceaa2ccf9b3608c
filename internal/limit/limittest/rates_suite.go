package limittest

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"weir/internal/limit"
)

// TestRates holds an implementation against what limit.Rates promises. open
// returns one without a bucket, as a cluster of one node would have it, and
// what lets its clock pass by so much.
func TestRates(t *testing.T, open func(*testing.T) (limit.Rates, func(time.Duration))) {
	start := func(t *testing.T) ratesTest {
		r, pass := open(t)
		return ratesTest{t, r, pass, new(uint64)}
	}
	fast := limit.Rate{PerSecond: 100, Burst: 50}
	slow := limit.Rate{PerSecond: 1, Burst: 5}

	t.Run("an unused bucket is full, and one node alone has all of it", func(t *testing.T) {
		r := start(t)
		a := r.share(partOf("b", fast, "n1"))
		if a.Life != 2*time.Second || a.Burst != 50 || a.Tokens != 50 || a.Rate > 100 || a.Rate < 99.5 || a.Setting != fast {
			t.Errorf("%+v", a)
		}
	})

	t.Run("many asks are answered in their order", func(t *testing.T) {
		r := start(t)
		var asks []limit.ShareAsk
		for i := range 40 {
			a := partOf(string(rune('z'-i%20))+string(rune('a'+i)), limit.Rate{PerSecond: 100, Burst: 10 + i}, "n1")
			asks = append(asks, r.numbered(a))
		}
		answers, err := r.rates.Share(t.Context(), asks)
		if err != nil || len(answers) != len(asks) {
			t.Fatalf("%d answers, %v", len(answers), err)
		}
		for i, a := range answers {
			if a.Burst != float64(10+i) || a.Setting != asks[i].Setting {
				t.Errorf("answer %d: %+v", i, a)
			}
		}
	})

	t.Run("what one node has another does not get", func(t *testing.T) {
		r := start(t)
		first := r.share(partOf("b", fast, "n1"))
		second := r.share(partOf("b", fast, "n2"))
		if first.Tokens+second.Tokens > 50 || first.Burst+second.Burst > 50 {
			t.Errorf("%+v and %+v are more than the bucket", first, second)
		}
		if other := r.share(partOf("b2", fast, "n2")); other.Tokens != 50 {
			t.Errorf("another bucket: %+v", other)
		}
	})

	t.Run("a share given back brings its tokens, once", func(t *testing.T) {
		r := start(t)
		a := r.numbered(partOf("b", limit.Rate{PerSecond: 10, Burst: 1000}, "n1"))
		r.answer(a)
		back := limit.ShareReturn{Bucket: "b", Node: "n1", Has: a.Number, Tokens: 400}
		r.giveBack(back)
		r.giveBack(back)
		next := r.share(partOf("b", limit.Rate{PerSecond: 10, Burst: 1000}, "n2"))
		if next.Burst != 1000 || next.Tokens < 400 || next.Tokens > 500 {
			t.Errorf("%+v, want 400 tokens and what came back meanwhile", next)
		}
	})

	t.Run("a share ends by itself, and its tokens with it", func(t *testing.T) {
		r := start(t)
		rate := limit.Rate{PerSecond: 20, Burst: 1000}
		r.share(partOf("b", rate, "n1"))
		r.pass(2100 * time.Millisecond)
		if a := r.share(partOf("b", rate, "n2")); a.Burst != 1000 || a.Tokens > 200 {
			t.Errorf("%+v, want all of the burst and a few tokens", a)
		}
	})

	t.Run("tokens one by one", func(t *testing.T) {
		r := start(t)
		a := partOf("b", slow, "n1")
		a.Want = 3
		if got := r.share(a); got.Admitted != 3 || got.Life != 0 {
			t.Errorf("three of five: %+v", got)
		}
		a.Want, a.Node = 8, "n2"
		got := r.share(a)
		if got.Admitted != 2 || got.Again <= 0 || got.Again > time.Second {
			t.Errorf("two were left: %+v", got)
		}
		spare := limit.ShareReturn{Bucket: "b", Node: "n2", Spare: 2, At: got.At, Version: got.Version}
		r.giveBack(spare)
		a.Want = 8
		if got := r.share(a); got.Admitted != 1 { // the second has come back in part, as time did
			t.Errorf("after two were not used: %+v", got)
		}
	})

	t.Run("callers at once do not get one token twice", func(t *testing.T) {
		r := start(t)
		rate := limit.Rate{PerSecond: 0.01, Burst: 20}
		var admitted, numbers atomic.Int64
		var wg sync.WaitGroup
		for _, node := range []string{"n1", "n2", "n3", "n4"} {
			wg.Go(func() {
				for range 10 {
					a := partOf("b", rate, node)
					a.Want, a.Number = 1, uint64(numbers.Add(1))
					answers, err := r.rates.Share(context.Background(), []limit.ShareAsk{a})
					if err != nil {
						t.Error(err)
						return
					}
					admitted.Add(int64(answers[0].Admitted))
				}
			})
		}
		wg.Wait()
		if n := admitted.Load(); n != 20 {
			t.Errorf("%d admitted, want 20", n)
		}
	})

	t.Run("an ask that was overtaken gets nothing", func(t *testing.T) {
		r := start(t)
		late := r.numbered(partOf("b", fast, "n1"))
		r.share(partOf("b", fast, "n1"))
		if a := r.answer(late); a.Life != 0 || a.Admitted != 0 {
			t.Errorf("%+v", a)
		}
	})

	t.Run("the newest setting counts", func(t *testing.T) {
		r := start(t)
		a := partOf("b", fast, "n1")
		a.Version = 7
		a.Setting.Burst = 30
		r.share(a)
		old := partOf("b", fast, "n2")
		old.Version = 6
		if got := r.share(old); got.Version != 7 || got.Setting.Burst != 30 || got.Burst > 30 {
			t.Errorf("%+v", got)
		}
	})

	t.Run("an ended context is an error, or was in time", func(t *testing.T) {
		r := start(t)
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		answers, err := r.rates.Share(gone, []limit.ShareAsk{r.numbered(partOf("b", fast, "n1"))})
		if err == nil && len(answers) != 1 {
			t.Errorf("%d answers and no error", len(answers))
		}
	})

	t.Run("nothing is asked or returned", func(t *testing.T) {
		r := start(t)
		if answers, err := r.rates.Share(t.Context(), nil); err != nil || len(answers) != 0 {
			t.Error(answers, err)
		}
		if err := r.rates.Return(t.Context(), nil); err != nil {
			t.Error(err)
		}
		r.giveBack(limit.ShareReturn{Bucket: "never asked for", Node: "n1", Has: 1, Tokens: 5})
		if a := r.share(partOf("never asked for", fast, "n1")); a.Tokens != 50 {
			t.Errorf("%+v", a)
		}
	})
}

type ratesTest struct {
	t      *testing.T
	rates  limit.Rates
	pass   func(time.Duration)
	number *uint64
}

func partOf(bucket string, r limit.Rate, node string) limit.ShareAsk {
	return limit.ShareAsk{Bucket: bucket, Setting: r, Node: node}
}

func (r ratesTest) numbered(a limit.ShareAsk) limit.ShareAsk {
	*r.number++
	a.Number = *r.number
	return a
}

func (r ratesTest) share(a limit.ShareAsk) limit.ShareAnswer {
	r.t.Helper()
	return r.answer(r.numbered(a))
}

func (r ratesTest) answer(a limit.ShareAsk) limit.ShareAnswer {
	r.t.Helper()
	answers, err := r.rates.Share(r.t.Context(), []limit.ShareAsk{a})
	if err != nil || len(answers) != 1 {
		r.t.Fatalf("%d answers, %v", len(answers), err)
	}
	return answers[0]
}

func (r ratesTest) giveBack(b limit.ShareReturn) {
	r.t.Helper()
	if err := r.rates.Return(r.t.Context(), []limit.ShareReturn{b}); err != nil {
		r.t.Fatal(err)
	}
}
