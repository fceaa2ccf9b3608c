package event

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"weir/internal/gateway/message"
)

func TestEventGroupsManyAsItGroupsFew(t *testing.T) {
	var few, many message.Header
	for _, name := range []string{"a", "B", "A", "c", "b", "a"} {
		few.Add(name, "v"+name)
	}
	many = append(many, few...)
	for len(many) <= 2*24 {
		many.Add("pad", "x")
	}
	render := func(h message.Header, same func(a, b string) bool) string {
		var g grouping
		g.byName(h, same)
		return string(g.appendMulti(nil, h))
	}
	for name, same := range map[string]func(a, b string) bool{
		"fold": strings.EqualFold, "exact": func(a, b string) bool { return a == b },
	} {
		got, want := render(many, same), render(few, same)
		if !strings.HasPrefix(got, strings.TrimSuffix(want, "}")+",") {
			t.Errorf("%s: %s does not begin as %s", name, got, want)
		}
	}
}

func TestTraceID(t *testing.T) {
	now := time.Unix(0x5759e988, 0)
	for _, c := range []struct{ sent, event, root string }{
		{"", `^Root=1-5759e988-[0-9a-f]{24}$`, `^Root=1-5759e988-[0-9a-f]{24}$`},
		{"Root=1-67891233-abcdef012345678912345678", `^Self=1-5759e988-[0-9a-f]{24};Root=1-67891233-abcdef012345678912345678$`, `^Root=1-67891233-abcdef012345678912345678$`},
		{"Root=1-6-a;Parent=7;Sampled=1;Self=1-old", `^Self=1-5759e988-[0-9a-f]{24};Root=1-6-a;Parent=7;Sampled=1$`, `^Root=1-6-a$`},
		{"nonsense", `^Self=1-5759e988-([0-9a-f]{24});Root=1-5759e988-[0-9a-f]{24};nonsense$`, `^Root=1-5759e988-[0-9a-f]{24}$`},
		{"Root=<script>", `Root=1-5759e988-[0-9a-f]{24};Root=<script>$`, `^Root=1-5759e988-[0-9a-f]{24}$`},
	} {
		var h message.Header
		if c.sent != "" {
			h.Add("x-amzn-trace-id", c.sent)
		}
		event, root := NewTrace(now, h)
		if !regexp.MustCompile(c.event).MatchString(event) || !regexp.MustCompile(c.root).MatchString(root) {
			t.Errorf("%q: got %q and %q", c.sent, event, root)
		}
	}
}
