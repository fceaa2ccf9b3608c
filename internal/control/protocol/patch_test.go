package protocol_test

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"weir/internal/control/protocol"
)

type plan struct{ log []string }

func note(t *plan, p protocol.PatchCall) error {
	t.log = append(t.log, fmt.Sprint(p.Op, " ", p.Value, " ", p.Sent, " ", p.Labels))
	return nil
}

var planPatch = protocol.Patch[plan]{Rules: []protocol.PatchRule[plan]{
	{Ops: "replace", Path: "/name", Set: note},
	{Ops: "add,replace", Path: "/throttle/rateLimit", Set: note},
	{Ops: "remove", Path: "/throttle", Set: note},
	{Ops: "remove", Path: "/apiStages/{stage}/throttle/{path}/{verb}", Show: "/apiStages/<apidId:stageName>/throttle/<resourcePath>/<httpMethod>", Set: note},
	{Ops: "replace", Path: "/{path}/{verb}/throttling/rateLimit", Show: "-", Set: note},
	{Ops: "replace", Path: "/broken", Set: func(*plan, protocol.PatchCall) error { return errors.New("rule") }},
}}

func TestPatchOperations(t *testing.T) {
	op := func(op, path string, value ...string) protocol.PatchOperation {
		o := protocol.PatchOperation{Op: op, Path: path}
		if len(value) > 0 {
			o.Value = &value[0]
		}
		return o
	}
	for _, c := range []struct {
		op   protocol.PatchOperation
		want string // the log, or the error
	}{
		{op("replace", "/name", "gold"), "replace gold true map[]"},
		{op("replace", "/name", ""), "replace  true map[]"},
		{op("replace", "/name"), "replace  false map[]"},
		{op("add", "/throttle/rateLimit", "1"), "add 1 true map[]"},
		{op("remove", "/apiStages/a:b/throttle/~1pets~1{id}~01/GET"), "remove  false map[path:/pets/{id}~1 stage:a:b verb:GET]"},
		{op("replace", "/~1/GET/throttling/rateLimit", "1"), "replace 1 true map[path:/ verb:GET]"},
		{op("replace", "//GET/throttling/rateLimit", "1"), "replace 1 true map[path: verb:GET]"},
		{op("replace", "/*/*/throttling/rateLimit", "1"), "replace 1 true map[path:* verb:*]"},
		{op("replace", "/id", "x"), "Invalid patch path  '/id' specified for op 'replace'. Must be one of: [/name, /throttle/rateLimit, /broken]"},
		{op("replace", "name", "x"), "Invalid patch path  'name' specified for op 'replace'. Must be one of: [/name, /throttle/rateLimit, /broken]"},
		{op("remove", "/name"), "Invalid patch path  '/name' specified for op 'remove'. Must be one of: [/throttle, /apiStages/<apidId:stageName>/throttle/<resourcePath>/<httpMethod>]"},
		{op("copy", "/name"), "Invalid patch path  '/name' specified for op 'copy'. Please choose supported operations"},
		{op("replace", "/broken"), "rule"},
		{op("replace", ""), "Invalid patch path  '' specified for op 'replace'. Must be one of: [/name, /throttle/rateLimit, /broken]"},
	} {
		var p plan
		err := planPatch.Apply(&p, []protocol.PatchOperation{c.op})
		got := strings.Join(p.log, ";")
		if err != nil {
			got = err.Error()
			var own *protocol.Error
			if errors.As(err, &own) {
				got = own.Message
				if own.Code != "BadRequestException" || own.Status != 400 {
					t.Errorf("%v: %s %d", c.op, own.Code, own.Status)
				}
			}
		}
		if got != c.want {
			t.Errorf("%s %s:\n got %s\nwant %s", c.op.Op, c.op.Path, got, c.want)
		}
	}
}

func TestPatchOperationsGoInOrderUntilOneFails(t *testing.T) {
	var p plan
	one, two := "1", "2"
	err := planPatch.Apply(&p, []protocol.PatchOperation{
		{Op: "replace", Path: "/name", Value: &one}, {Op: "replace", Path: "/name", Value: &two}, {Op: "add", Path: "/x"}, {Op: "remove", Path: "/throttle"},
	})
	if err == nil || strings.Join(p.log, ";") != "replace 1 true map[];replace 2 true map[]" {
		t.Errorf("%v %q", err, p.log)
	}
	if err := planPatch.Apply(&p, make([]protocol.PatchOperation, 1001)); err == nil || strings.Contains(err.Error(), "Invalid patch path") {
		t.Errorf("%v", err)
	}
}

func TestOtherRefusals(t *testing.T) {
	other := protocol.Patch[plan]{Rules: planPatch.Rules, Refuse: func(op protocol.PatchOperation, _ []string) *protocol.Error {
		return &protocol.Error{Code: "BadRequestException", Message: "Invalid patch path " + op.Path}
	}}
	if err := other.Apply(&plan{}, []protocol.PatchOperation{{Op: "replace", Path: "/x"}}); err == nil || err.Error() != "BadRequestException: Invalid patch path /x" {
		t.Errorf("%v", err)
	}
}

func FuzzPointer(f *testing.F) {
	f.Add("a/b~1~0~")
	f.Fuzz(func(t *testing.T, text string) {
		var got string
		p := protocol.Patch[plan]{Rules: []protocol.PatchRule[plan]{{Ops: "add", Path: "/x/{label}", Set: func(_ *plan, c protocol.PatchCall) error {
			got = c.Labels["label"]
			return nil
		}}}}
		if err := p.Apply(&plan{}, []protocol.PatchOperation{{Op: "add", Path: "/x/" + protocol.EscapePointer(text)}}); err != nil || got != text {
			t.Fatalf("%q came back as %q, %v", text, got, err)
		}
	})
}

// FuzzPatch: whatever operation comes, the one rule that a slow and obvious
// matcher names is carried out, or none and AWS's words come back.
func FuzzPatch(f *testing.F) {
	for _, path := range []string{"/name", "/throttle/rateLimit", "/apiStages/a:b/throttle/~1pets/GET", "//GET/throttling/rateLimit", "/~1/GET/throttling/rateLimit", "name", "", "/~0/~2/throttling/rateLimit"} {
		f.Add("replace", path, "1")
		f.Add("remove", path, "")
	}
	f.Fuzz(func(t *testing.T, op, path, value string) {
		var p plan
		err := planPatch.Apply(&p, []protocol.PatchOperation{{Op: op, Path: path, Value: &value}})
		want := obvious(op, path)
		var own *protocol.Error
		switch {
		case want == "/broken":
			if err == nil || err.Error() != "rule" {
				t.Fatalf("%q %q: %v", op, path, err)
			}
		case want == "":
			if !errors.As(err, &own) || own.Status != 400 || !strings.HasPrefix(own.Message, "Invalid patch path  '"+path+"' specified for op '"+op+"'. ") || len(p.log) != 0 {
				t.Fatalf("%q %q: %v, did %q", op, path, err, p.log)
			}
		default:
			if err != nil || len(p.log) != 1 || !strings.HasPrefix(p.log[0], op+" "+value+" true map[") {
				t.Fatalf("%q %q is for %s: %v, did %q", op, path, want, err, p.log)
			}
		}
	})
}

// obvious finds the rule of planPatch for an operation, by regular expression.
func obvious(op, path string) string {
	for _, r := range planPatch.Rules {
		if !strings.Contains(","+r.Ops+",", ","+op+",") || strings.Contains(op, ",") {
			continue
		}
		pattern := regexp.MustCompile(`\\\{[a-z]+\\\}`).ReplaceAllString(regexp.QuoteMeta(r.Path), "[^/]*")
		// A segment of a literal may be escaped as well; ~0 and ~1 are in none.
		if regexp.MustCompile("(?s)^" + pattern + "$").MatchString(path) {
			return r.Path
		}
	}
	return ""
}

func TestPages(t *testing.T) {
	items := make([]string, 1200)
	for i := range items {
		items[i] = fmt.Sprintf("k:%d", i)
	}
	self := func(s string) string { return s }
	for limit, want := range map[int]int{0: 25, -1: 25, 7: 7, 500: 500, 501: 500} {
		if p, next := protocol.Page(items, "", limit, self); len(p) != want || next == "" {
			t.Errorf("limit %d: %d items", limit, len(p))
		}
	}
	var all []string
	position, rounds := "", 0
	for {
		p, next := protocol.Page(items, position, 100, self)
		all = append(all, p...)
		if rounds++; next == "" || rounds > 20 {
			break
		}
		position = next
	}
	if strings.Join(all, ",") != strings.Join(items, ",") || rounds != 12 {
		t.Errorf("%d items in %d rounds", len(all), rounds)
	}
	// The item that the token names is gone: the page goes on behind its place.
	_, next := protocol.Page(items[:10], "", 4, self)
	less := append(append([]string(nil), items[:3]...), items[4:10]...)
	if p, _ := protocol.Page(less, next, 2, self); strings.Join(p, ",") != "k:4,k:5" {
		t.Errorf("after a deletion: %q", p)
	}
	// New items in front of it are not an excuse to repeat any.
	more := append([]string{"new"}, items[:10]...)
	if p, _ := protocol.Page(more, next, 2, self); strings.Join(p, ",") != "k:4,k:5" {
		t.Errorf("after an insertion: %q", p)
	}
	for _, bad := range []string{"x", "%%%", "LTE6eA", "OTk5OTk5OTk5OTk5OTk5OTk5OTk6eA"} {
		if p, _ := protocol.Page(items, bad, 2, self); strings.Join(p, ",") != "k:0,k:1" {
			t.Errorf("position %q: %q", bad, p)
		}
	}
	if p, next := protocol.Page(items[:2], "", 2, self); len(p) != 2 || next != "" {
		t.Errorf("an exact page has a next one: %q", next)
	}
}
