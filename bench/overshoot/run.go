//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"weir/internal/limit"
	"weir/internal/limit/limittest"
)

// run is one peer under one limit with one event in the middle.
type run struct {
	peer    *Peer
	limit   string
	rate    float64
	burst   int
	event   string
	clients int
	pause   time.Duration
	lasts   time.Duration
	words   map[string]string
}

// play loads the peer and returns the rest of its row.
func (r run) play(ctx context.Context) (string, error) {
	p, err := r.peer.begin(ctx, r.words, r.limit)
	defer func() {
		p.end(syscall.SIGTERM)
		os.RemoveAll(r.words["DIR"])
	}()
	if err != nil {
		return "", err
	}
	history := &limittest.History{}
	began := time.Now()
	rate := limit.Rate{PerSecond: r.rate, Burst: r.burst}
	if rate.PerSecond == 0 {
		rate.PerSecond = 1e-9 // in a run of less than a minute: nothing comes back
	}
	history.Rate("limit", rate, began, limittest.Forever)

	ctx, cancel := context.WithTimeout(ctx, r.lasts)
	defer cancel()
	var calls, odd atomic.Int64
	var wg sync.WaitGroup
	for range r.clients {
		wg.Go(func() { r.client(ctx, p, history, &calls, &odd) })
	}
	time.Sleep(r.lasts / 2)
	switch r.event {
	case "reload":
		err = p.reload(context.WithoutCancel(ctx))
	case "restart":
		err = p.restart(context.WithoutCancel(ctx))
	}
	if err != nil {
		cancel()
	}
	wg.Wait()
	if err != nil {
		return "", err
	}
	if odd.Load() > 0 {
		return "", fmt.Errorf("%d answers that are neither 200 nor 429", odd.Load())
	}
	admitted, _ := history.Admitted("limit")
	allowed := float64(r.burst) + r.rate*time.Since(began).Seconds()
	worst := "within"
	if found := history.Check(); len(found) > 0 {
		e := found[0]
		worst = fmt.Sprintf("**%d of %.1f in %v**", e.Admitted, e.Allowed, e.To.Sub(e.From).Round(time.Millisecond))
	}
	return fmt.Sprintf("%d | %d | %.0f | %s", calls.Load(), admitted, allowed, worst), nil
}

// client calls until the run is over. What gets no answer is not counted as
// admitted: nobody was served.
func (r run) client(ctx context.Context, p *process, history *limittest.History, calls, odd *atomic.Int64) {
	c := &http.Client{Transport: &http.Transport{}, Timeout: 5 * time.Second}
	defer c.CloseIdleConnections()
	for ctx.Err() == nil {
		req, err := http.NewRequestWithContext(ctx, p.Method, p.words["URL"], nil)
		if err != nil {
			odd.Add(1)
			return
		}
		for name, value := range p.Headers {
			req.Header.Set(name, p.fill(value))
		}
		start := time.Now()
		res, err := c.Do(req)
		if err == nil {
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
			calls.Add(1)
			switch res.StatusCode {
			case http.StatusOK:
				history.Admit(start, time.Now(), "", "limit")
			case http.StatusTooManyRequests:
			case http.StatusBadGateway, http.StatusServiceUnavailable: // while it restarts
			default:
				odd.Add(1)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(r.pause):
		}
	}
}
