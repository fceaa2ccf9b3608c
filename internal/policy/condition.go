package policy

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// quantifier is the set operator before an operator's name.
type quantifier uint8

const (
	single quantifier = iota
	forAllValues
	forAnyValue
)

// condition is one operator on one key. value says whether one value of the
// request agrees with one of the policy's values; negation, quantifier and
// missing keys are dealt with here, once for every operator.
type condition struct {
	key      string // lower-case
	quant    quantifier
	negated  bool
	ifExists bool
	null     bool // operator Null: only absence counts
	wantNull bool
	value    valueTest
}

// valueTest is one operator with its compiled values.
type valueTest interface {
	test(s string, ctx map[string][]string) bool
}

func (c *condition) holds(ctx map[string][]string) bool {
	values := ctx[c.key]
	if c.null {
		return (len(values) == 0) == c.wantNull
	}
	if len(values) == 0 {
		switch {
		case c.ifExists || c.quant == forAllValues:
			return true
		case c.quant == forAnyValue:
			return false
		}
		return c.negated // "not equal" holds for a key that is not there
	}
	switch c.quant {
	case forAllValues:
		for _, v := range values {
			if c.value.test(v, ctx) == c.negated {
				return false
			}
		}
		return true
	case forAnyValue:
		for _, v := range values {
			if c.value.test(v, ctx) != c.negated {
				return true
			}
		}
		return false
	}
	for _, v := range values {
		if c.value.test(v, ctx) {
			return !c.negated
		}
	}
	return c.negated
}

// operator makes a test of the policy's values. vars says whether policy
// variables count (documents of version 2012-10-17).
type operator struct {
	negated bool
	compile func(values []string, vars bool) (valueTest, error)
}

// operators by lower-case name: AWS does not mind their case.
var operators = map[string]operator{
	"stringequals":              {false, compileStrings(syntax{})},
	"stringnotequals":           {true, compileStrings(syntax{})},
	"stringequalsignorecase":    {false, compileStrings(syntax{fold: true})},
	"stringnotequalsignorecase": {true, compileStrings(syntax{fold: true})},
	"stringlike":                {false, compileStrings(syntax{wild: true})},
	"stringnotlike":             {true, compileStrings(syntax{wild: true})},
	"numericequals":             {false, compileNumbers(equal)},
	"numericnotequals":          {true, compileNumbers(equal)},
	"numericlessthan":           {false, compileNumbers(less)},
	"numericlessthanequals":     {false, compileNumbers(less | equal)},
	"numericgreaterthan":        {false, compileNumbers(greater)},
	"numericgreaterthanequals":  {false, compileNumbers(greater | equal)},
	"dateequals":                {false, compileDates(equal)},
	"datenotequals":             {true, compileDates(equal)},
	"datelessthan":              {false, compileDates(less)},
	"datelessthanequals":        {false, compileDates(less | equal)},
	"dategreaterthan":           {false, compileDates(greater)},
	"dategreaterthanequals":     {false, compileDates(greater | equal)},
	"bool":                      {false, compileBools},
	"binaryequals":              {false, compileBinary},
	"ipaddress":                 {false, compileNetworks},
	"notipaddress":              {true, compileNetworks},
	"arnequals":                 {false, compileARNs},
	"arnlike":                   {false, compileARNs},
	"arnnotequals":              {true, compileARNs},
	"arnnotlike":                {true, compileARNs},
}

// compileCondition compiles one operator applied to one key.
func compileCondition(name, key string, values []string, vars bool) (condition, error) {
	c := condition{key: strings.ToLower(key)}
	rest := strings.ToLower(name)
	if r, ok := strings.CutPrefix(rest, "forallvalues:"); ok {
		rest, c.quant = r, forAllValues
	} else if r, ok := strings.CutPrefix(rest, "foranyvalue:"); ok {
		rest, c.quant = r, forAnyValue
	}
	if rest == "null" {
		return compileNull(c, values)
	}
	rest, c.ifExists = strings.CutSuffix(rest, "ifexists")
	op, ok := operators[rest]
	if !ok {
		return c, fmt.Errorf("%q is not a condition operator", name)
	}
	c.negated = op.negated
	var err error
	c.value, err = op.compile(values, vars)
	if err != nil {
		return c, fmt.Errorf("%s on %s: %w", name, key, err)
	}
	return c, nil
}

func compileNull(c condition, values []string) (condition, error) {
	if len(values) != 1 || (values[0] != "true" && values[0] != "false") {
		return c, fmt.Errorf("Null on %s takes \"true\" or \"false\"", c.key)
	}
	c.null, c.wantNull = true, values[0] == "true"
	return c, nil
}

type stringTest []pattern

func (t stringTest) test(s string, ctx map[string][]string) bool { return matchAny(t, s, ctx) }

func compileStrings(x syntax) func([]string, bool) (valueTest, error) {
	return func(values []string, vars bool) (valueTest, error) {
		x := x
		x.vars = vars
		t := make(stringTest, 0, len(values))
		for _, v := range values {
			p, err := compilePattern(v, x)
			if err != nil {
				return nil, err
			}
			t = append(t, p)
		}
		return t, nil
	}
}

type arnTest []arnPattern

func (t arnTest) test(s string, ctx map[string][]string) bool {
	for i := range t {
		if t[i].match(s, ctx) {
			return true
		}
	}
	return false
}

func compileARNs(values []string, vars bool) (valueTest, error) {
	t := make(arnTest, 0, len(values))
	for _, v := range values {
		a, err := compileARN(v, vars)
		if err != nil {
			return nil, err
		}
		t = append(t, a)
	}
	return t, nil
}

// order is the set of comparison results that satisfy an operator.
type order uint8

const (
	less order = 1 << iota
	equal
	greater
)

func (o order) accepts(cmp int) bool {
	switch {
	case cmp < 0:
		return o&less != 0
	case cmp > 0:
		return o&greater != 0
	}
	return o&equal != 0
}

type numberTest struct {
	order  order
	values []float64
}

func (t numberTest) test(s string, _ map[string][]string) bool {
	f, err := parseNumber(s)
	if err != nil {
		return false
	}
	for _, v := range t.values {
		cmp := 0
		if f < v {
			cmp = -1
		} else if f > v {
			cmp = 1
		}
		if t.order.accepts(cmp) {
			return true
		}
	}
	return false
}

func compileNumbers(o order) func([]string, bool) (valueTest, error) {
	return func(values []string, _ bool) (valueTest, error) {
		t := numberTest{order: o}
		for _, v := range values {
			f, err := parseNumber(v)
			if err != nil {
				return nil, err
			}
			t.values = append(t.values, f)
		}
		return t, nil
	}
}

// parseNumber takes decimal numbers only: not the NaN, Inf and hexadecimal
// forms that strconv knows.
func parseNumber(s string) (float64, error) {
	if s == "" || len(s) > 64 || strings.Trim(s, "0123456789+-.eE") != "" {
		return 0, fmt.Errorf("%q is not a number", s)
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number", s)
	}
	return f, nil
}

type dateTest struct {
	order  order
	values []time.Time
}

func (t dateTest) test(s string, _ map[string][]string) bool {
	at, err := parseDate(s)
	if err != nil {
		return false
	}
	for _, v := range t.values {
		if t.order.accepts(at.Compare(v)) {
			return true
		}
	}
	return false
}

func compileDates(o order) func([]string, bool) (valueTest, error) {
	return func(values []string, _ bool) (valueTest, error) {
		t := dateTest{order: o}
		for _, v := range values {
			at, err := parseDate(v)
			if err != nil {
				return nil, err
			}
			t.values = append(t.values, at)
		}
		return t, nil
	}
}

// dateLayouts are W3C's profiles of ISO 8601, the longest first.
var dateLayouts = []string{time.RFC3339, "2006-01-02T15:04Z07:00", "2006-01-02", "2006-01"}

// parseDate reads ISO 8601 or Unix seconds; a year alone reads as seconds, so
// it is taken as a year when it has four digits.
func parseDate(s string) (time.Time, error) {
	if len(s) <= 40 {
		if len(s) == 4 {
			if at, err := time.Parse("2006", s); err == nil {
				return at, nil
			}
		}
		if sec, err := strconv.ParseInt(s, 10, 64); err == nil {
			return time.Unix(sec, 0), nil
		}
		for _, layout := range dateLayouts {
			if at, err := time.Parse(layout, s); err == nil {
				return at, nil
			}
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a date", s)
}

type boolTest struct{ t, f bool }

func (b boolTest) test(s string, _ map[string][]string) bool {
	switch {
	case strings.EqualFold(s, "true"):
		return b.t
	case strings.EqualFold(s, "false"):
		return b.f
	}
	return false
}

func compileBools(values []string, _ bool) (valueTest, error) {
	var b boolTest
	for _, v := range values {
		switch {
		case strings.EqualFold(v, "true"):
			b.t = true
		case strings.EqualFold(v, "false"):
			b.f = true
		default:
			return nil, fmt.Errorf("%q is neither \"true\" nor \"false\"", v)
		}
	}
	return b, nil
}

// binaryTest compares base64 texts, which are canonical once they decoded.
type binaryTest []string

func (t binaryTest) test(s string, _ map[string][]string) bool {
	for _, v := range t {
		if v == s {
			return true
		}
	}
	return false
}

func compileBinary(values []string, _ bool) (valueTest, error) {
	for _, v := range values {
		if _, err := base64.StdEncoding.Strict().DecodeString(v); err != nil {
			return nil, fmt.Errorf("%q is not base64", v)
		}
	}
	return binaryTest(values), nil
}

type networkTest []netip.Prefix

func (t networkTest) test(s string, _ map[string][]string) bool {
	addr, err := netip.ParseAddr(s)
	if err != nil {
		return false
	}
	addr = addr.Unmap().WithZone("")
	for _, p := range t {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

func compileNetworks(values []string, _ bool) (valueTest, error) {
	t := make(networkTest, 0, len(values))
	for _, v := range values {
		p, err := netip.ParsePrefix(v)
		if err != nil {
			addr, err := netip.ParseAddr(v)
			if err != nil || addr.Zone() != "" {
				return nil, fmt.Errorf("%q is not an IP address or CIDR range", v)
			}
			p = netip.PrefixFrom(addr, addr.BitLen())
		}
		t = append(t, p)
	}
	return t, nil
}
