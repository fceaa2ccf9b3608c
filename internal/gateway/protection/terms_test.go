package protection

import (
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"weir/internal/catalog"
	"weir/internal/gateway/message"
	"weir/internal/limit/limittest"
	"weir/internal/telemetry"
)

// tagged puts an enabled key with these tags, name and value in turn, into plan1.
func (h *house) tagged(id string, previous string, tags ...string) {
	k := catalog.APIKey{ID: id, Digest: digest(value(id)), Enabled: true, Tags: map[string]string{}}
	if previous != "" {
		k.Previous = digest(value(previous))
	}
	for i := 0; i < len(tags); i += 2 {
		k.Tags[tags[i]] = tags[i+1]
	}
	h.PutKeyWithTerms(k)
	h.Link(catalog.UsagePlanKey{PlanID: "plan1", KeyID: id, AddedAt: noon})
}

// ask calls with a key's value from an address and gives the refusal.
func (h *house) ask(st *Stage, sent, source string) *Refusal {
	h.t.Helper()
	req := request("GET", value(sent))
	if source != "" {
		req.Source = netip.MustParseAddr(source)
	}
	a, r := h.Admit(h.t.Context(), req, st, keyedGet)
	if r == nil {
		a.Settle(true)
	}
	return r
}

func termsHouse(t *testing.T) (*house, *Stage) {
	h := newHouse(t, &limittest.Ledger{})
	h.PutPlan(planOf("plan1", nil, nil))
	h.Started(h.now())
	return h, h.stage(nil)
}

func (h *house) wantRefusal(st *Stage, sent, source string, want *Refusal) {
	h.t.Helper()
	if got := h.ask(st, sent, source); got != want {
		h.t.Errorf("%s from %q after %v: %v, want %v", sent, source, time.Duration(h.clock.Load()), got, want)
	}
}

// The house's clock begins at noon.
func TestKeysExpire(t *testing.T) {
	h, st := termsHouse(t)
	h.tagged("key1", "", catalog.TagExpires, noon.Add(time.Minute).Format(time.RFC3339))
	h.wantRefusal(st, "key1", "", nil)
	h.pass(time.Minute - 1)
	h.wantRefusal(st, "key1", "", nil)
	h.pass(1)
	h.wantRefusal(st, "key1", "", expiredKey)
	// Moved, it lets in again; without the tag for good.
	h.tagged("key1", "", catalog.TagExpires, noon.Add(time.Hour).Format(time.RFC3339))
	h.wantRefusal(st, "key1", "", nil)
	h.pass(time.Hour)
	h.wantRefusal(st, "key1", "", expiredKey)
	h.tagged("key1", "")
	h.wantRefusal(st, "key1", "", nil)
	// A date is its first moment, and a disabled key is disabled before all.
	day := noon.Truncate(24 * time.Hour)
	h.tagged("key1", "", catalog.TagExpires, day.Format(time.DateOnly))
	h.wantRefusal(st, "key1", "", expiredKey)
	h.tagged("key1", "", catalog.TagExpires, day.AddDate(0, 0, 1).Format(time.DateOnly))
	h.wantRefusal(st, "key1", "", nil)
	h.PutKeyWithTerms(catalog.APIKey{ID: "key1", Digest: digest(value("key1")), Tags: map[string]string{catalog.TagExpires: "2001-01-01"}})
	h.wantRefusal(st, "key1", "", disabledKey)
}

func TestKeysBelongToAddresses(t *testing.T) {
	h, st := termsHouse(t)
	h.tagged("key1", "", catalog.TagSourceRanges, "192.0.2.0/24 2001:db8::7")
	for source, want := range map[string]*Refusal{
		"192.0.2.9": nil, "::ffff:192.0.2.9": nil, "2001:db8::7": nil,
		"192.0.3.9": wrongAddress, "2001:db8::8": wrongAddress, "127.0.0.1": wrongAddress, "": wrongAddress,
	} {
		h.wantRefusal(st, "key1", source, want)
	}
	h.tagged("key1", "")
	h.wantRefusal(st, "key1", "127.0.0.1", nil)
}

// What cannot be read keeps everybody out, rather than nobody.
func TestUnreadableTermsLetNobodyIn(t *testing.T) {
	h, st := termsHouse(t)
	h.tagged("key1", "key0", catalog.TagExpires, "some day")
	h.wantRefusal(st, "key1", "", brokenTerms)
	h.wantRefusal(st, "key0", "", brokenTerms)
}

func TestPreviousValues(t *testing.T) {
	h, st := termsHouse(t)
	h.key("key1", "plan1")
	h.wantRefusal(st, "key1", "", nil)
	rotate := func(now, before, until string) {
		h.PutKeyWithTerms(catalog.APIKey{
			ID: "key1", Enabled: true, Digest: digest(value(now)), Previous: digest(value(before)),
			Tags: map[string]string{catalog.TagPreviousUntil: until},
		})
	}
	rotate("new1", "key1", noon.Add(time.Minute).Format(time.RFC3339))
	h.wantRefusal(st, "key1", "", nil)
	h.wantRefusal(st, "new1", "", nil)
	h.pass(time.Minute - 1)
	h.wantRefusal(st, "key1", "", nil)
	h.pass(1)
	h.wantRefusal(st, "key1", "", previousValue)
	h.wantRefusal(st, "new1", "", nil)
	// The date moves, and the value comes back; the tag goes, and it is over.
	rotate("new1", "key1", noon.Add(time.Hour).Format(time.RFC3339))
	h.wantRefusal(st, "key1", "", nil)
	k := catalog.APIKey{ID: "key1", Enabled: true, Digest: digest(value("new1")), Previous: digest(value("key1"))}
	h.PutKeyWithTerms(k)
	h.wantRefusal(st, "key1", "", previousValue)
	k.Previous = [32]byte{}
	h.PutKeyWithTerms(k)
	h.wantRefusal(st, "key1", "", unknownKey)
	h.wantRefusal(st, "new1", "", nil)
	// A second rotation ends the first one's previous value.
	rotate("new1", "key1", noon.Add(time.Hour).Format(time.RFC3339))
	rotate("new2", "new1", noon.Add(time.Hour).Format(time.RFC3339))
	h.wantRefusal(st, "key1", "", unknownKey)
	h.wantRefusal(st, "new1", "", nil)
	h.wantRefusal(st, "new2", "", nil)
	h.DeleteKey("key1")
	for _, v := range []string{"key1", "new1", "new2"} {
		h.wantRefusal(st, v, "", unknownKey)
	}
	if n := h.byDigest.Size(); n != 0 {
		t.Errorf("%d values are left of a deleted key", n)
	}
}

// A value that goes from one key to another, in any order of the two changes.
func TestAValueThatMoves(t *testing.T) {
	h, st := termsHouse(t)
	h.key("key1", "plan1")
	h.key("key2", "plan1")
	h.PutKey("key1", digest(value("else")), true)
	h.PutKey("key2", digest(value("key1")), true)
	req := request("GET", value("key1"))
	if a, r := h.Admit(t.Context(), req, st, keyedGet); r != nil || a.KeyID != "key2" {
		t.Errorf("%v %v", a.KeyID, r)
	}
	h.PutKey("key3", digest(value("else")), true) // before key1 gives it up
	h.DeleteKey("key1")
	h.Link(catalog.UsagePlanKey{PlanID: "plan1", KeyID: "key3", AddedAt: noon})
	if a, r := h.Admit(t.Context(), request("GET", value("else")), st, keyedGet); r != nil || a.KeyID != "key3" {
		t.Errorf("%v %v", a.KeyID, r)
	}
}

// A value that is good before a rotation and after it is good all the time.
func TestRotationRefusesNobody(t *testing.T) {
	h, st := termsHouse(t)
	h.key("key1", "plan1")
	until := map[string]string{catalog.TagPreviousUntil: noon.Add(time.Hour).Format(time.RFC3339)}
	old, next := digest(value("key1")), digest(value("new1"))
	done := make(chan struct{})
	var callers sync.WaitGroup
	for range 2 {
		callers.Add(1)
		go func() {
			defer callers.Done()
			for {
				select {
				case <-done:
					return
				default:
					if r := h.ask(st, "key1", ""); r != nil {
						t.Errorf("refused: %v", r)
						return
					}
				}
			}
		}()
	}
	for range 3000 {
		h.PutKeyWithTerms(catalog.APIKey{ID: "key1", Enabled: true, Digest: next, Previous: old, Tags: until})
		h.PutKeyWithTerms(catalog.APIKey{ID: "key1", Enabled: true, Digest: old, Previous: next, Tags: until})
	}
	close(done)
	callers.Wait()
}

// A key without tags costs its digest, its id and two pointers.
func TestPlainKeysAreSmall(t *testing.T) {
	if n := unsafe.Sizeof(key{}); n > 64 {
		t.Errorf("a key has %d bytes, and the next size of an allocation is 80", n)
	}
	h, _ := termsHouse(t)
	h.PutKeyWithTerms(catalog.APIKey{ID: "a", Enabled: true, Tags: map[string]string{"team": "x"}})
	h.PutKeyWithTerms(catalog.APIKey{ID: "b", Digest: digest("b")})
	if h.keys["a"].terms.Load() != enabledTerms || h.keys["b"].terms.Load() != disabledTerms {
		t.Error("a key without terms has some of its own")
	}
}

func BenchmarkAdmitOnTerms(b *testing.B) {
	g, st, _ := crowd(b, nil, nil)
	g.PutKeyWithTerms(catalog.APIKey{
		ID: "key1", Digest: g.digest(value("key1")), Enabled: true,
		Tags: map[string]string{catalog.TagExpires: "2100-01-01", catalog.TagSourceRanges: "198.51.100.0/24 192.0.2.0/24"},
	})
	g.Link(catalog.UsagePlanKey{PlanID: "plan01", KeyID: "key1", AddedAt: noon})
	req := &message.Request{Method: "GET", Source: netip.MustParseAddr("192.0.2.1")}
	req.Header.Add("x-api-key", value("key1"))
	b.ReportAllocs()
	for b.Loop() {
		if a, r := g.Admit(b.Context(), req, st, keyedGet); r != nil && r.Type == InvalidAPIKey {
			b.Fatal(r, a.KeyID)
		}
	}
}

// sit asks once with key1 and gives the admission, which holds a seat.
func (h *house) sit(st *Stage, want *Refusal) Admission {
	h.t.Helper()
	a, r := h.Admit(h.t.Context(), request("GET", value("key1")), st, keyedGet)
	if r != want {
		h.t.Fatalf("%v, want %v", r, want)
	}
	return a
}

func TestCallsAtATime(t *testing.T) {
	h, st := termsHouse(t)
	h.tagged("key1", "", catalog.TagMaxConcurrent, "2")
	h.key("key2", "plan1")
	one, two := h.sit(st, nil), h.sit(st, nil)
	crowded := h.sit(st, keyCrowded)
	if want := (telemetry.Limit{Kind: telemetry.Seats, Most: 2, Used: 2}); crowded.Limit != want || crowded.KeyID != "key1" || crowded.PlanID != "plan1" {
		t.Errorf("%+v", crowded)
	}
	crowded.Settle(true) // holds nothing
	h.sit(st, keyCrowded)
	h.wantRefusal(st, "key2", "", nil) // another key's calls are another matter
	one.Settle(false)
	one.Settle(true)
	three := h.sit(st, nil)
	h.sit(st, keyCrowded)

	// An edit of the cap, of another tag, a rotation and a plan's edit leave
	// everybody seated.
	h.tagged("key1", "", catalog.TagMaxConcurrent, "3")
	four := h.sit(st, nil)
	h.tagged("key1", "", catalog.TagMaxConcurrent, "1", catalog.TagExpires, "2100-01-01")
	h.PutPlan(planOf("plan1", rate(1000, 1000), nil))
	h.sit(st, keyCrowded)
	h.PutKeyWithTerms(catalog.APIKey{
		ID: "key1", Digest: digest(value("new1")), Previous: digest(value("key1")), Enabled: true,
		Tags: map[string]string{catalog.TagMaxConcurrent: "1", catalog.TagPreviousUntil: "2100-01-01"},
	})
	two.Settle(true)
	three.Settle(true)
	h.sit(st, keyCrowded)
	four.Settle(true)
	last := h.sit(st, nil)
	h.wantRefusal(st, "new1", "", keyCrowded) // both values sit at one table
	last.Settle(true)
	h.wantRefusal(st, "new1", "", nil)

	// Without the tag there is no cap, and a call that sat harms none.
	sat := h.sit(st, nil)
	h.tagged("key1", "")
	for range 5 {
		h.sit(st, nil)
	}
	sat.Settle(true)
}

// A call that is refused for its seat has used neither throttle nor quota, and
// one that is refused for its quota leaves its seat.
func TestARefusedCallHoldsNoSeat(t *testing.T) {
	h := newHouse(t, &limittest.Ledger{})
	h.PutPlan(planOf("plan1", rate(1, 3), perDay(2)))
	h.Started(h.now())
	st := h.stage(nil)
	h.tagged("key1", "", catalog.TagMaxConcurrent, "1")
	first := h.sit(st, nil)
	for range 10 {
		h.sit(st, keyCrowded)
	}
	first.Settle(true)
	second := h.sit(st, nil) // two of three tokens, two of two calls
	second.Settle(true)
	h.sit(st, quotaExceeded)
	h.PutPlan(planOf("plan1", rate(1, 3), nil))
	h.sit(st, nil)
	h.pass(time.Second)
	h.sit(st, keyCrowded)
}

// Whoever asks, whenever, no more than the cap are under way.
func TestCallsAtATimeUnderLoad(t *testing.T) {
	h, st := termsHouse(t)
	h.tagged("key1", "", catalog.TagMaxConcurrent, "3")
	var under, most, admitted atomic.Int64
	var callers sync.WaitGroup
	for range 8 {
		callers.Add(1)
		go func() {
			defer callers.Done()
			for range 500 {
				a, r := h.Admit(t.Context(), request("GET", value("key1")), st, keyedGet)
				if r != nil {
					runtime.Gosched()
					continue
				}
				now := under.Add(1)
				for m := most.Load(); now > m && !most.CompareAndSwap(m, now); m = most.Load() {
				}
				runtime.Gosched()
				under.Add(-1)
				admitted.Add(1)
				a.Settle(true)
			}
		}()
	}
	callers.Wait()
	if most.Load() > 3 || admitted.Load() == 0 {
		t.Errorf("%d at a time, %d in all", most.Load(), admitted.Load())
	}
	for range 3 {
		h.sit(st, nil)
	}
	h.sit(st, keyCrowded)
}

// The execution log says which term it was, in AWS's manner.
func TestTrailTellsTheTerm(t *testing.T) {
	h, st := termsHouse(t)
	masked := message.Masked(value("key1"))
	for _, c := range []struct{ tag, value, want string }{
		{catalog.TagExpires, "2001-01-01", "API Key " + masked + " not authorized for API Stage api1/dev: " + expiredKey.Detail},
		{catalog.TagSourceRanges, "192.0.2.1", "API Key " + masked + " not authorized for API Stage api1/dev: " + wrongAddress.Detail},
		{catalog.TagMaxConcurrent, "1", "API Key " + masked + " exceeded concurrency limit for API Stage api1/dev: 1 calls with the key are under way. Limit: 1"},
	} {
		h.tagged("key1", "", c.tag, c.value)
		if c.tag == catalog.TagMaxConcurrent {
			h.sit(st, nil)
		}
		req := request("GET", value("key1"))
		req.Trail = &message.Trail{}
		if _, r := h.Admit(t.Context(), req, st, keyedGet); r == nil {
			t.Fatalf("%s: let in", c.tag)
		}
		lines := req.Trail.Lines()
		if last := lines[len(lines)-1]; last != c.want {
			t.Errorf("%s\n got: %s\nwant: %s", c.tag, last, c.want)
		}
	}
}
