package cli

import (
	"io"

	"weir/internal/cli/publish"
)

// steps draws the steps of a publication: on a terminal one line a step,
// which ends in a mark; elsewhere a plain line for each that is over.
type steps struct {
	out io.Writer
}

var marks = map[publish.State]struct {
	mark  string
	style style
}{
	publish.Done:      {"✓", good},
	publish.Made:      {"✓", good},
	publish.Changed:   {"✓", good},
	publish.Removed:   {"✓", good},
	publish.Unchanged: {"=", faint},
	publish.Failed:    {"✗", bad},
	publish.Stopped:   {"✗", warn},
}

// report is a publisher's Report. What cannot be written is not worth a
// failure of what is reported.
func (p *steps) report(e publish.Event) {
	s := newScreen(p.out)
	detail := clean(e.Detail)
	m, over := marks[e.State]
	switch {
	case s.redraws && !over:
		if s.columns > 8 {
			detail = cut(detail, s.columns-8)
		}
		s.printf("\r\x1b[K%s %s", s.paint(faint, "…"), detail)
	case s.redraws:
		s.printf("\r\x1b[K%s %s", s.paint(m.style, m.mark), detail)
		if e.State != publish.Done {
			s.printf(" %s", s.paint(faint, string(e.State)))
		}
		s.printf("\n")
	case e.State == publish.Waiting:
		s.printf("%s: waiting: %s\n", e.Step, detail)
	case over && e.State == publish.Done:
		s.printf("%s\n", detail)
	case over:
		s.printf("%s: %s\n", detail, e.State)
	}
	_, _ = p.out.Write(s.Bytes())
}
