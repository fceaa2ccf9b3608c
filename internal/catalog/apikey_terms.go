package catalog

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Tags of an API key that say under what terms it lets callers in. AWS stores
// them and nothing more; here they hold. Any other tag that begins with "weir:"
// is refused on a key, so that a misspelt term is not a term that is missing.
const (
	TagExpires       = "weir:expires"              // an instant: from it on the key opens nothing
	TagSourceRanges  = "weir:source-ranges"        // the addresses that callers may come from
	TagMaxConcurrent = "weir:max-concurrency"      // calls at one time
	TagPreviousUntil = "weir:previous-value-until" // an instant: from it on the value before the rotation opens nothing
	tagPublication   = "weir:publication"          // whose key it is: see cli/publish
)

// MaxConcurrency is the largest value of TagMaxConcurrent.
const MaxConcurrency = 1_000_000

// KeyTerms are what a key's tags and its rotation say of who gets in with it,
// beyond whether it is enabled. The zero value is no terms. Immutable.
type KeyTerms struct {
	Expires        time.Time      // zero: never
	SourceRanges   []netip.Prefix // empty: from everywhere
	MaxConcurrency int            // 0: no cap
	Previous       [32]byte       // digest of the value before the rotation; zero: none
	PreviousUntil  time.Time      // until when that value opens what the key opens
}

// HasTerms says whether the key has any terms, readable or not.
func (k *APIKey) HasTerms() bool {
	if k.Previous != [32]byte{} {
		return true
	}
	for _, tag := range []string{TagExpires, TagSourceRanges, TagMaxConcurrent} {
		if _, ok := k.Tags[tag]; ok {
			return true
		}
	}
	return false
}

// Terms reads the key's terms; nil when it has none. The error says which tag
// cannot be read, and what it should be.
func (k *APIKey) Terms() (*KeyTerms, error) {
	t := KeyTerms{Previous: k.Previous}
	for name, value := range k.Tags {
		var err error
		switch name {
		case TagExpires:
			t.Expires, err = ParseInstant(name, value)
		case TagSourceRanges:
			t.SourceRanges, err = parseRanges(value)
		case TagMaxConcurrent:
			t.MaxConcurrency, err = parseConcurrency(value)
		case TagPreviousUntil:
			t.PreviousUntil, err = ParseInstant(name, value)
		}
		if err != nil {
			return nil, err
		}
	}
	if !k.HasTerms() {
		return nil, nil
	}
	return &t, nil
}

// CheckTags holds the key's tags against AWS's rules and their terms against
// ours.
func (k *APIKey) CheckTags() error {
	if err := CheckTags(k.Tags); err != nil {
		return err
	}
	for name := range k.Tags {
		switch name {
		case TagExpires, TagSourceRanges, TagMaxConcurrent, TagPreviousUntil, tagPublication:
			continue
		}
		if strings.HasPrefix(lower(name), "weir:") {
			return violationf(Invalid, "Tag %s means nothing on an API Key. Tags of an API Key that begin with 'weir:' are: %s",
				name, strings.Join([]string{TagExpires, TagSourceRanges, TagMaxConcurrent, TagPreviousUntil}, ", "))
		}
	}
	if _, ok := k.Tags[TagPreviousUntil]; ok && k.Previous == [32]byte{} {
		return violationf(Invalid, "Tag %s says how long the value before a rotation works, and the API Key has no such value: 'weir keys rotate' gives it one", TagPreviousUntil)
	}
	_, err := k.Terms()
	return err
}

// ParseInstant reads the instant in a tag's value, or a date, which is the begin
// of that day in UTC.
func ParseInstant(tag, value string) (time.Time, error) {
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, value); err == nil && t.Unix() > 0 {
			return t.UTC(), nil
		}
	}
	return time.Time{}, violationf(Invalid, "Invalid value of tag %s: must be a date (2026-12-31, which begins at 00:00 UTC) or an instant (2026-12-31T18:00:00Z)", tag)
}

func parseRanges(value string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, text := range strings.Fields(value) {
		p, err := parseRange(text)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	if len(all) == 0 {
		return nil, violationf(Invalid, "Invalid value of tag %s: must be addresses and ranges with spaces between them (192.0.2.1 198.51.100.0/24 2001:db8::/32); without the tag callers may come from everywhere", TagSourceRanges)
	}
	return all, nil
}

// parseRange reads an address or a range. IPv4 inside of IPv6 becomes IPv4.
func parseRange(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, violationf(Invalid, "Invalid value of tag %s: %.64q is no address and no range, such as 192.0.2.1 or 2001:db8::/32", TagSourceRanges, text)
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	if p != p.Masked() {
		return p, violationf(Invalid, "Invalid value of tag %s: %s has bits beyond its mask; the range is %s", TagSourceRanges, text, p.Masked())
	}
	return p, nil
}

func parseConcurrency(value string) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > MaxConcurrency || value[0] == '+' {
		return 0, violationf(Invalid, "Invalid value of tag %s: must be a number of calls from 1 to %d", TagMaxConcurrent, MaxConcurrency)
	}
	return n, nil
}

// ComesFrom says whether a caller's address is within the terms.
func (t *KeyTerms) ComesFrom(source netip.Addr) bool {
	if len(t.SourceRanges) == 0 {
		return true
	}
	source = source.Unmap().WithZone("")
	return slices.ContainsFunc(t.SourceRanges, func(p netip.Prefix) bool { return p.Contains(source) })
}
