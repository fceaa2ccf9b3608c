package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"weir/internal/limit"
)

var _ limit.Rates = (*Store)(nil)

// ratesCall is one Share or one Return.
type ratesCall struct {
	asks []limit.ShareAsk
	back []limit.ShareReturn
}

func (c ratesCall) size() int { return len(c.asks) + len(c.back) }

var errAlone = errors.New("store: buckets are divided in PostgreSQL only")

// Share implements limit.Rates. Calls that wait at the same time are committed
// together. With SQLite there is nobody to share with, and it is an error.
func (s *Store) Share(ctx context.Context, asks []limit.ShareAsk) ([]limit.ShareAnswer, error) {
	var answers []limit.ShareAnswer
	for part := range slices.Chunk(asks, maxGroup) {
		some, err := s.shareOrReturn(ctx, ratesCall{asks: part})
		if err != nil {
			return nil, err
		}
		answers = append(answers, some...)
	}
	return answers, nil
}

// Return implements limit.Rates.
func (s *Store) Return(ctx context.Context, back []limit.ShareReturn) error {
	for part := range slices.Chunk(back, maxGroup) {
		if _, err := s.shareOrReturn(ctx, ratesCall{back: part}); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) shareOrReturn(ctx context.Context, c ratesCall) ([]limit.ShareAnswer, error) {
	if err := s.refuse(ctx); err != nil {
		return nil, err
	}
	if s.cluster == nil {
		return nil, errAlone
	}
	return s.cluster.rates.do(ctx, c)
}

// divide runs calls in one transaction, on pools that it has to itself.
func (s *Store) divide(c *session, calls []ratesCall) ([][]limit.ShareAnswer, error) {
	pools := map[string]*limit.Pool{}
	for _, call := range calls {
		for _, a := range call.asks {
			pools[a.Bucket] = &limit.Pool{}
		}
		for _, b := range call.back {
			pools[b.Bucket] = &limit.Pool{}
		}
	}
	buckets := slices.Sorted(maps.Keys(pools))
	locks := make([]string, len(buckets))
	for i, bucket := range buckets {
		locks[i] = "pool " + bucket
	}
	now, err := s.lockNames(c, locks)
	if err != nil {
		return nil, err
	}
	if err := c.loadPools(buckets, pools); err != nil {
		return nil, err
	}
	var nodes int
	if _, err := c.row("SELECT count(*) FROM ("+c.alive+") AS alive", nil, &nodes); err != nil {
		return nil, err
	}
	answers := make([][]limit.ShareAnswer, len(calls))
	for i, call := range calls {
		for _, a := range call.asks {
			answers[i] = append(answers[i], pools[a.Bucket].Share(a, nodes, now))
		}
		for _, b := range call.back {
			pools[b.Bucket].Return(b, now)
		}
	}
	return answers, c.storePools(buckets, pools, now)
}

func (c *session) loadPools(buckets []string, pools map[string]*limit.Pool) error {
	rows := make([][]any, len(buckets))
	for i, bucket := range buckets {
		rows[i] = []any{bucket}
	}
	return c.many("SELECT (SELECT doc FROM pool WHERE bucket = ?)", rows, func(i int, scan func(...any) error) error {
		var doc []byte // NULL: the zero Pool
		err := scan(&doc)
		if err == nil && doc != nil {
			err = json.Unmarshal(doc, pools[buckets[i]])
		}
		if err != nil {
			return fmt.Errorf("store: the pool of %s is damaged: %w", buckets[i], err)
		}
		return nil
	})
}

func (c *session) storePools(buckets []string, pools map[string]*limit.Pool, now time.Time) error {
	var kept, idle [][]any
	for _, bucket := range buckets {
		since := pools[bucket].Idle()
		if since <= now.UnixNano() {
			idle = append(idle, []any{bucket})
			continue
		}
		doc, err := json.Marshal(pools[bucket])
		if err != nil {
			return fmt.Errorf("store: the pool of %s: %w", bucket, err)
		}
		kept = append(kept, []any{bucket, doc, since})
	}
	err := c.many("INSERT INTO pool (bucket, doc, idle) VALUES (?, ?, ?) ON CONFLICT (bucket) DO UPDATE SET doc = excluded.doc, idle = excluded.idle", kept, nil)
	if err != nil {
		return err
	}
	return c.many("DELETE FROM pool WHERE bucket = ?", idle, nil)
}
