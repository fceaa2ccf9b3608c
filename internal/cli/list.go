package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

// listing is how much a command lists: what begins with a name, up to a number.
type listing struct {
	name  string
	limit int
}

const (
	defaultListing = 100
	pageSize       = 500 // AWS's largest
	atOnce         = 8   // calls of one command in flight
)

func (l *listing) flags(c *cobra.Command, what string) {
	c.Flags().StringVar(&l.name, "name", "", "only "+what+" whose name begins with `PREFIX`")
	c.Flags().IntVar(&l.limit, "limit", defaultListing, "list `N` "+what+" at most; 0 lists all")
}

func (l *listing) check() error {
	if l.limit < 0 {
		return errors.New("--limit: give a number from 1 on, or 0 for all")
	}
	return nil
}

// page is the size of a page to ask for.
func (l *listing) page() *int32 {
	n := int32(pageSize)
	if l.limit > 0 && l.limit < pageSize {
		n = int32(l.limit)
	}
	return &n
}

func (l *listing) wants(name *string) bool {
	return l.name == "" || (name != nil && strings.HasPrefix(*name, l.name))
}

// full says whether n are enough.
func (l *listing) full(n int) bool { return l.limit > 0 && n >= l.limit }

// foot tells of what a table leaves out.
func (l *listing) foot(s *screen, more bool) {
	if more {
		s.printf("%s\n", s.paint(faint, fmt.Sprintf("the first %d; --limit 0 shows all, --name PREFIX fewer", l.limit)))
	}
}

// pager is a list of AWS's, page by page.
type pager[Out, Options any] interface {
	HasMorePages() bool
	NextPage(ctx context.Context, options ...func(*Options)) (*Out, error)
}

// collect reads pages until l is satisfied; more says that there is more.
func collect[T, Out, Options any](ctx context.Context, l *listing, p pager[Out, Options], items func(*Out) []T, name func(T) *string) (all []T, more bool, err error) {
	for p.HasMorePages() {
		out, err := p.NextPage(ctx)
		if err != nil {
			return nil, false, err
		}
		for _, item := range items(out) {
			if !l.wants(name(item)) {
				continue
			}
			if l.full(len(all)) {
				return all, true, nil
			}
			all = append(all, item)
		}
		if l.full(len(all)) {
			return all, p.HasMorePages(), nil
		}
	}
	return all, false, nil
}

// each calls do for every index below n, some at a time, and gives the first
// error.
func each(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i := range n {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error { return do(ctx, i) })
	}
	return group.Wait()
}

// span is a time in one unit, as short as people say it: "45s", "12m", "3h",
// "5d", "2y".
func span(d time.Duration) string {
	switch day := 24 * time.Hour; {
	case d < 0:
		return "0s"
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < day:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d < 2*365*day:
		return fmt.Sprintf("%dd", d/day)
	default:
		return fmt.Sprintf("%dy", d/(365*day))
	}
}

// ago is how long ago t was; nothing for no time.
func ago(t, now time.Time) string {
	if t.IsZero() {
		return ""
	}
	return span(now.Sub(t))
}

// size is a number of bytes in the unit that suits it.
func size(n int64) string {
	const step = 1024
	if n < step {
		return fmt.Sprintf("%d B", n)
	}
	amount, unit := float64(n)/step, "KiB"
	if amount >= step {
		amount, unit = amount/step, "MiB"
	}
	return fmt.Sprintf("%.1f %s", amount, unit)
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
