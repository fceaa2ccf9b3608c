package message

import (
	"reflect"
	"testing"
)

func TestHeaderFindsNamesInAnyCase(t *testing.T) {
	h := Header{{"A", "1"}, {"b", "2"}, {"a", "3"}}
	if h.Get("a") != "1" || h.Get("B") != "2" || h.Get("c") != "" {
		t.Errorf("Get: %q %q %q", h.Get("a"), h.Get("B"), h.Get("c"))
	}
	if v, ok := h.Last("A"); v != "3" || !ok {
		t.Errorf("Last: %q %v", v, ok)
	}
	if _, ok := h.Last("c"); ok || h.Has("c") || !h.Has("B") {
		t.Error("presence is wrong")
	}
}

func TestHeaderChanges(t *testing.T) {
	h := Header{{"A", "1"}, {"b", "2"}, {"a", "3"}}
	h.Set("a", "9")
	if want := (Header{{"a", "9"}, {"b", "2"}}); !reflect.DeepEqual(h, want) {
		t.Errorf("Set of one that is there: %v", h)
	}
	h.Set("C", "4")
	h.Add("c", "5")
	h.Del("B")
	if want := (Header{{"a", "9"}, {"C", "4"}, {"c", "5"}}); !reflect.DeepEqual(h, want) {
		t.Errorf("got %v", h)
	}
	h.Del("c")
	if len(h) != 1 {
		t.Errorf("Del of several: %v", h)
	}
}

func TestNilTrailTakesLinesAndKeepsNone(t *testing.T) {
	var off *Trail
	off.Add("x")
	if off.On() || off.Lines() != nil {
		t.Error("a nil trail is on")
	}
	on := &Trail{}
	on.Add("a")
	on.Add("b")
	if !on.On() || !reflect.DeepEqual(on.Lines(), []string{"a", "b"}) {
		t.Errorf("got %v", on.Lines())
	}
}
