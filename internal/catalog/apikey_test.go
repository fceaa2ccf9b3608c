package catalog

import (
	"net/netip"
	"testing"
	"time"
)

func TestKeyTags(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{TagExpires, "2026-12-31", ""},
		{TagExpires, "2026-12-31T18:00:00Z", ""},
		{TagExpires, "2026-12-31T18:00:00.5+02:00", ""},
		{TagExpires, "2026-02-30", "must be a date"},
		{TagExpires, "0001-01-01", "must be a date"}, // Go's zero time is no "never"
		{TagExpires, "tomorrow", "must be a date"},
		{TagExpires, "", "must be a date"},
		{TagExpires, " 2026-12-31", "must be a date"},
		{TagExpires, "2026-12-31T18:00:00", "must be a date"},
		{TagSourceRanges, "192.0.2.1", ""},
		{TagSourceRanges, " 192.0.2.0/24  2001:db8::/32 0.0.0.0/0", ""},
		{TagSourceRanges, "::ffff:192.0.2.0/120", ""},
		{TagSourceRanges, "", "addresses and ranges"},
		{TagSourceRanges, "  ", "addresses and ranges"},
		{TagSourceRanges, "192.0.2.1/24", "the range is 192.0.2.0/24"},
		{TagSourceRanges, "192.0.2.0/33", "no address and no range"},
		{TagSourceRanges, "192.0.2.1,192.0.2.2", "no address and no range"},
		{TagSourceRanges, "fe80::1%eth0", "no address and no range"},
		{TagSourceRanges, "example.com", "no address and no range"},
		{TagMaxConcurrent, "1", ""},
		{TagMaxConcurrent, "1000000", ""},
		{TagMaxConcurrent, "1000001", "from 1 to 1000000"},
		{TagMaxConcurrent, "0", "from 1 to 1000000"},
		{TagMaxConcurrent, "-1", "from 1 to 1000000"},
		{TagMaxConcurrent, "+1", "from 1 to 1000000"},
		{TagMaxConcurrent, "1.5", "from 1 to 1000000"},
		{TagMaxConcurrent, "", "from 1 to 1000000"},
		{TagPreviousUntil, "2026-12-31", "has no such value"},
		{"weir:publication", "site", ""},
		{"weir:expire", "2026-12-31", "means nothing on an API Key"},
		{"Weir:expires", "2026-12-31", "means nothing on an API Key"},
		{"weirdo", "", ""},
		{"aws:x", "", "reserved"},
	} {
		k := APIKey{ID: "k", Tags: map[string]string{c.name: c.value}}
		broken(t, c.name+"="+c.value, k.CheckTags(), Invalid, c.want)
	}
	k := APIKey{Previous: [32]byte{1}, Tags: map[string]string{TagPreviousUntil: "2026-12-31"}}
	broken(t, "a rotated key", k.CheckTags(), Invalid, "")
	k.Tags[TagPreviousUntil] = "later"
	broken(t, "a rotated key", k.CheckTags(), Invalid, "must be a date")
}

func TestKeyTerms(t *testing.T) {
	for _, k := range []APIKey{{}, {Tags: map[string]string{"weir:publication": "p", TagPreviousUntil: "2030-01-01"}}} {
		if terms, err := k.Terms(); terms != nil || err != nil || k.HasTerms() {
			t.Errorf("%v has terms: %v, %v", k.Tags, terms, err)
		}
	}
	k := APIKey{Previous: [32]byte{7}, Tags: map[string]string{
		TagExpires: "2026-12-31", TagMaxConcurrent: "3", TagPreviousUntil: "2026-12-30T01:00:00+01:00",
		TagSourceRanges: "192.0.2.1 198.51.100.0/24 2001:db8::/32 ::ffff:203.0.113.0/120",
	}}
	terms, err := k.Terms()
	if err != nil || !k.HasTerms() {
		t.Fatal(err)
	}
	day := time.Date(2026, 12, 31, 0, 0, 0, 0, time.UTC)
	if !terms.Expires.Equal(day) || !terms.PreviousUntil.Equal(day.AddDate(0, 0, -1)) || terms.MaxConcurrency != 3 || terms.Previous != k.Previous {
		t.Errorf("%+v", terms)
	}
	for source, want := range map[string]bool{
		"192.0.2.1": true, "192.0.2.2": false, "198.51.100.255": true, "198.51.101.0": false, "::ffff:198.51.100.7": true,
		"2001:db8::1": true, "2001:db9::1": false, "203.0.113.9": true, "::ffff:203.0.113.9": true, "203.0.114.9": false,
		"2001:db8::1%eth0": true, "::": false, "0.0.0.0": false,
	} {
		if got := terms.ComesFrom(netip.MustParseAddr(source)); got != want {
			t.Errorf("a caller from %s: %v, want %v", source, got, want)
		}
	}
	if terms.ComesFrom(netip.Addr{}) {
		t.Error("a caller from nowhere is let in")
	}
	if !(&KeyTerms{}).ComesFrom(netip.Addr{}) {
		t.Error("without ranges a caller from nowhere is kept out")
	}
}

// Whatever a tag says, it is refused in few words or means one thing.
func FuzzKeyTags(f *testing.F) {
	for _, c := range [][2]string{
		{TagExpires, "2026-12-31T18:00:00.5+02:00"},
		{TagSourceRanges, "192.0.2.1 ::ffff:192.0.2.0/120"},
		{TagMaxConcurrent, "0010"},
		{TagPreviousUntil, "2026-12-31"},
		{"WEIR:x", "y"},
	} {
		f.Add(c[0], c[1])
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		k := APIKey{Previous: [32]byte{1}, Tags: map[string]string{name: value}}
		err := k.CheckTags()
		if err != nil {
			if len(err.Error()) > 700 {
				t.Errorf("%d bytes of error", len(err.Error()))
			}
			return
		}
		terms, err := k.Terms()
		if err != nil || terms == nil || terms.MaxConcurrency < 0 || (name == TagMaxConcurrent) != (terms.MaxConcurrency > 0) ||
			(name == TagExpires) == terms.Expires.IsZero() {
			t.Errorf("%s=%s: %+v, %v", name, value, terms, err)
		}
		for _, p := range terms.SourceRanges {
			if !terms.ComesFrom(p.Addr()) {
				t.Errorf("%q does not hold %s", value, p.Addr())
			}
		}
	})
}
