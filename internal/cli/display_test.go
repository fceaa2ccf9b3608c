package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

type number struct {
	N int `json:"n"`
}

func (n number) print(s *screen) { s.printf("n is %d\n", n.N) }

// looks gives 1, 2, 3 …
func looks() func(context.Context) (picture, error) {
	n := 0
	return func(context.Context) (picture, error) {
		n++
		return number{n}, nil
	}
}

func TestShowOnce(t *testing.T) {
	for _, c := range []struct {
		d    display
		want string
	}{{display{}, "n is 1\n"}, {display{json: true}, "{\n  \"n\": 1\n}\n"}} {
		var out bytes.Buffer
		if err := c.d.show(t.Context(), &out, looks()); err != nil || out.String() != c.want {
			t.Errorf("%+v: %q, %v; want %q", c.d, out.String(), err, c.want)
		}
	}
}

// TestWatch: pictures are appended where there is no terminal, and the end of
// the context is a good end.
func TestWatch(t *testing.T) {
	for _, asJSON := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 25*time.Second)
			defer cancel()
			var out bytes.Buffer
			d := display{json: asJSON, every: 10 * time.Second}
			if err := d.show(ctx, &out, looks()); err != nil {
				t.Error(err)
			}
			if strings.Contains(out.String(), "\x1b") {
				t.Errorf("repainted where there is no terminal: %q", out.String())
			}
			if asJSON {
				var last number
				lines := strings.Split(strings.TrimSpace(out.String()), "\n")
				if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || len(lines) != 3 || last.N != 3 {
					t.Errorf("%d lines, the last is %v: %v", len(lines), last, err)
				}
				return
			}
			if n := strings.Count(out.String(), "every 10s, Ctrl-C ends\nn is "); n != 3 {
				t.Errorf("%d pictures, want 3:\n%s", n, out.String())
			}
		})
	}
}

// TestWatchEndsWithAnError: a server that is gone is told, unless Ctrl-C made
// the call fail.
func TestWatchEndsWithAnError(t *testing.T) {
	gone := errors.New("gone")
	d := display{every: time.Second}
	look := func(context.Context) (picture, error) { return nil, gone }
	if err := d.show(t.Context(), &bytes.Buffer{}, look); !errors.Is(err, gone) {
		t.Errorf("show = %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	look = func(context.Context) (picture, error) {
		cancel()
		return nil, gone
	}
	if err := d.show(ctx, &bytes.Buffer{}, look); err != nil {
		t.Errorf("after Ctrl-C: %v", err)
	}
}

func TestRepaint(t *testing.T) {
	if got, want := repaint("a\nb\n", 24, true), "\x1b[2J\x1b[H\x1b[?7l\x1b[Ka\n\x1b[Kb\n\x1b[J\x1b[?7h"; got != want {
		t.Errorf("repaint = %q, want %q", got, want)
	}
	got := repaint(strings.Repeat("row\n", 30), 10, false)
	if n := strings.Count(got, "\n"); n != 9 || !strings.Contains(got, "… 22 more lines") {
		t.Errorf("%d lines on a terminal of 10: %q", n, got)
	}
}

func TestInterval(t *testing.T) {
	for in, want := range map[string]time.Duration{"5": 5 * time.Second, "0.5": 500 * time.Millisecond, "3s": 3 * time.Second, "1m": time.Minute} {
		var i interval
		if err := i.Set(in); err != nil || time.Duration(i) != want {
			t.Errorf("%s = %s, %v", in, &i, err)
		}
	}
	for _, in := range []string{"", "0", "-1", "1ms", "2h", "often", "NaN", "1e300"} {
		var i interval
		if err := i.Set(in); err == nil {
			t.Errorf("%q was taken as %s", in, &i)
		}
	}
}

func TestBar(t *testing.T) {
	for _, c := range []struct {
		gone, limit int64
		text        string
		in          style
	}{
		{0, 10, "░░░░░░░░", good},
		{1, 1000, "█░░░░░░░", good}, // a little shows
		{4, 8, "████░░░░", good},
		{999, 1000, "███████░", warn}, // so does what is left
		{8, 10, "██████░░", warn},
		{10, 10, "████████", bad},
		{12, 10, "████████", bad},
		{0, 0, "████████", bad}, // nothing is let in
	} {
		if got := bar(c.gone, c.limit); got.text != c.text || got.in != c.in {
			t.Errorf("bar(%d, %d) = %+v, want %s", c.gone, c.limit, got, c.text)
		}
	}
}
