package limittest

import (
	"context"
	"sync"
	"time"

	"weir/internal/limit"
)

// Rates keeps the pools of divided buckets in memory. The zero value is ready.
// Safe for concurrent use; what is exported is set before it is shared.
type Rates struct {
	Now   func() time.Time // nil: the machine's clock
	Nodes func() int       // nil: how many live is not known

	// Before, when set, runs at the start of every Share and Return, and After
	// when it is done and not answered yet, both without a lock: they may
	// block, and their error is the answer. asks is nil for a Return.
	Before, After func(ctx context.Context, asks []limit.ShareAsk) error

	mu    sync.Mutex
	pools map[string]*limit.Pool
	asked int
}

// Share implements limit.Rates.
func (r *Rates) Share(ctx context.Context, asks []limit.ShareAsk) ([]limit.ShareAnswer, error) {
	var answers []limit.ShareAnswer
	err := r.do(ctx, asks, func(now time.Time, nodes int) {
		for _, a := range asks {
			r.asked++
			answers = append(answers, r.pool(a.Bucket).Share(a, nodes, now))
		}
	})
	return answers, err
}

// Return implements limit.Rates.
func (r *Rates) Return(ctx context.Context, back []limit.ShareReturn) error {
	return r.do(ctx, nil, func(now time.Time, _ int) {
		for _, b := range back {
			r.pool(b.Bucket).Return(b, now)
		}
	})
}

func (r *Rates) do(ctx context.Context, asks []limit.ShareAsk, work func(time.Time, int)) error {
	if r.Before != nil {
		if err := r.Before(ctx, asks); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	r.mu.Lock()
	now, nodes := time.Now, 0
	if r.Now != nil {
		now = r.Now
	}
	if r.Nodes != nil {
		nodes = r.Nodes()
	}
	work(now(), nodes)
	r.mu.Unlock()
	if r.After != nil {
		return r.After(ctx, asks)
	}
	return nil
}

func (r *Rates) pool(bucket string) *limit.Pool {
	p := r.pools[bucket]
	if p == nil {
		if r.pools == nil {
			r.pools = map[string]*limit.Pool{}
		}
		p = &limit.Pool{}
		r.pools[bucket] = p
	}
	return p
}

// Asked returns how many asks were answered.
func (r *Rates) Asked() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked
}

// Pool returns a copy of a bucket's pool, for tests to look into.
func (r *Rates) Pool(bucket string) limit.Pool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return *r.pool(bucket)
}
