package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Columns of a request's line; what is left of a terminal's width is the
// key's, up to a third of it, and the path's.
const (
	verbWidth    = 6
	leastKey     = 10
	mostKey      = 20
	usualKey     = 12 // of a line that goes to a file
	verdictWidth = 23 // "refused INVALID_API_KEY"
	fixedWidth   = len("15:04:05 ") + verbWidth + 1 + len(" ") + 1 + verdictWidth + len(" 200  123.4 ms")
	leastPath    = 12
	usualPath    = 28 // of a line that goes to a file, where longer ones are not cut
)

// printRequest prints a line of the server for people.
func printRequest(ctx context.Context, out io.Writer, r *shownRequest, keys *keyNames) error {
	s := newScreen(out) // for every line: a terminal changes its width
	if r.Lost > 0 {
		s.printf("… %d requests came faster than they could be shown\n", r.Lost)
	} else {
		s.printf("%s\n", r.format(s, keys.name(ctx, r.KeyID)))
	}
	return write(out, s.Bytes())
}

// format makes the line, cut to the width of a terminal.
func (r *shownRequest) format(s *screen, key string) string {
	room, keyRoom := usualPath, usualKey
	fit := padTo
	if s.columns > 0 {
		free := s.columns - fixedWidth
		keyRoom = min(max(free/3, leastKey), mostKey)
		room = max(free-keyRoom, leastPath)
		fit = func(text string, width int) string { return padTo(cut(text, width), width) }
	}
	verdict := strings.TrimSpace(r.Verdict + " " + r.Reason)
	if r.Shadow != "" {
		verdict = "shadow " + r.Shadow
	}
	verdict = fit(clean(verdict), verdictWidth)
	return fmt.Sprintf("%s %s %s %s %s %6.1f ms",
		r.Time.Local().Format("15:04:05"), fit(orDash(clean(r.Method)), verbWidth), fit(orDash(clean(r.shortPath())), room),
		fit(clean(key), keyRoom), s.paint(r.style(), fmt.Sprintf("%s %d", verdict, r.Status)),
		float64(r.LatencyNs)/float64(time.Millisecond))
}

// printableJSON escapes what JSON may hold as it is and a terminal obeys, such
// as U+009B, which is ESC [ in one character.
func printableJSON(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r < 0x7f || unicode.IsPrint(r):
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, "\\u%04x\\u%04x", high, low)
		default:
			fmt.Fprintf(&b, "\\u%04x", r)
		}
	}
	return b.String()
}

func padTo(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(text)))
}

// orDash stands in for what a request had not: refused before it was one, it
// has no verb and no path.
func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func (r *shownRequest) style() style {
	switch {
	case r.Shadow != "":
		return warn
	case r.Verdict == "admitted" && r.Status < 500:
		return good
	case r.Verdict == "refused":
		return warn
	case r.Verdict == "missed":
		return faint
	default:
		return bad
	}
}

// shortPath is the path as it is in the form that names the API in the host.
func (r *shownRequest) shortPath() string {
	if rest, ok := strings.CutPrefix(r.Path, "/_aws/execute-api/"+r.APIID+"/"); ok && r.APIID != "" {
		return "/" + rest
	}
	stage := "/restapis/" + r.APIID + "/" + r.Stage + "/_user_request_"
	if rest, ok := strings.CutPrefix(r.Path, stage); ok && r.APIID != "" {
		return "/" + r.Stage + rest
	}
	return r.Path
}
