package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// display is how a command shows what it saw: as a table, with --json as one
// JSON document, with --watch again and again.
type display struct {
	json  bool
	every time.Duration // --watch; 0: once
}

// picture is what a command saw at one moment. It marshals to the documented
// JSON and prints itself for people.
type picture interface {
	print(*screen)
}

// jsonFlag registers --json.
func (d *display) jsonFlag(c *cobra.Command) {
	c.Flags().BoolVar(&d.json, "json", false, "print JSON")
}

// flags registers --json and --watch.
func (d *display) flags(c *cobra.Command) {
	d.jsonFlag(c)
	c.Flags().Var((*interval)(&d.every), "watch", "show again every `interval` until Ctrl-C")
	c.Flags().Lookup("watch").NoOptDefVal = "2s"
}

// show prints what look sees, once or with --watch until ctx ends, which is no
// error then. On a terminal --watch repaints; elsewhere, and on a dumb one, each picture is
// appended, with --json as one line.
func (d *display) show(ctx context.Context, out io.Writer, look func(context.Context) (picture, error)) error {
	if d.every == 0 {
		p, err := look(ctx)
		if err != nil {
			return err
		}
		return d.once(out, p)
	}
	tick := time.NewTicker(d.every)
	defer tick.Stop()
	for n := 0; ; n++ {
		p, err := look(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err == nil {
			err = d.again(out, p, n)
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// showServer shows what look sees on the server that t names.
func (d *display) showServer(c *cobra.Command, t *target, l *listing, look func(context.Context, *connection) (picture, error)) error {
	if err := l.check(); err != nil {
		return err
	}
	conn, err := t.connect(c.Context())
	if err != nil {
		return err
	}
	return d.show(c.Context(), c.OutOrStdout(), func(ctx context.Context) (picture, error) { return look(ctx, conn) })
}

func (d *display) once(out io.Writer, p picture) error {
	if d.json {
		return printJSON(out, p)
	}
	s := newScreen(out)
	p.print(s)
	return write(out, s.Bytes())
}

// again shows the n-th picture (from 0) of a --watch.
func (d *display) again(out io.Writer, p picture, n int) error {
	if d.json {
		return encode(out, p, "")
	}
	s := newScreen(out)
	if n > 0 && !s.redraws {
		s.printf("\n")
	}
	head := fmt.Sprintf("%s, every %s, Ctrl-C ends", time.Now().UTC().Format(time.RFC3339), d.every)
	s.printf("%s\n", s.paint(faint, head))
	p.print(s)
	if s.redraws {
		return write(out, []byte(repaint(s.String(), s.lines, n == 0)))
	}
	return write(out, s.Bytes())
}

// repaint makes text cover a terminal: from the upper left corner, each line
// cleared before it is written (after it, the last column would go too) and not
// wrapped, what is below cleared, and what does not fit into so many lines
// counted.
func repaint(text string, lines int, first bool) string {
	rows := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if fit := lines - 1; fit > 1 && len(rows) > fit {
		more := len(rows) - fit + 1
		rows = append(rows[:fit-1:fit-1], fmt.Sprintf("… %d more lines", more))
	}
	var b strings.Builder
	if first {
		b.WriteString("\x1b[2J")
	}
	b.WriteString("\x1b[H\x1b[?7l")
	for _, row := range rows {
		b.WriteString("\x1b[K" + row + "\n")
	}
	b.WriteString("\x1b[J\x1b[?7h")
	return b.String()
}

// printJSON prints one document, indented.
func printJSON(out io.Writer, v any) error { return encode(out, v, "  ") }

func encode(out io.Writer, v any, indent string) error {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false) // it is read by people and programs, not by browsers
	e.SetIndent("", indent)
	if err := e.Encode(v); err != nil {
		return &failure{exitFailure, err}
	}
	return nil
}

func write(out io.Writer, text []byte) error {
	if _, err := out.Write(text); err != nil {
		return &failure{exitFailure, err}
	}
	return nil
}

// interval is a flag's time between two pictures: "5" and "5s" are the same.
type interval time.Duration

const (
	shortestInterval = 100 * time.Millisecond
	longestInterval  = time.Hour
)

// Set implements pflag.Value.
func (i *interval) Set(s string) error {
	d, err := time.ParseDuration(s)
	if seconds, bare := strconv.ParseFloat(s, 64); bare == nil {
		d, err = time.Duration(seconds*float64(time.Second)), nil
	}
	if err != nil || d < shortestInterval || d > longestInterval {
		return errors.New("give seconds or a duration from 100ms to 1h, such as 5s")
	}
	*i = interval(d)
	return nil
}

// String implements pflag.Value.
func (i *interval) String() string {
	if *i == 0 {
		return ""
	}
	return time.Duration(*i).String()
}

// Type implements pflag.Value.
func (*interval) Type() string { return "interval" }
