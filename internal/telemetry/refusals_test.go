package telemetry

import (
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"
)

var began = time.Date(2026, 11, 27, 3, 0, 0, 0, time.UTC)

func refusalID(n int) string { return fmt.Sprintf("%08x-0000-4000-8000-000000000000", n) }

func refused(n int) *Record {
	return &Record{
		RequestID: refusalID(n), ExtendedID: fmt.Sprintf("E%014d=", n), Time: began.Add(time.Duration(n) * time.Second),
		Method: "GET", Path: "/prod/pets", Status: 429, APIID: "abcdefghij", Stage: "prod", ResourcePath: "/pets",
		KeyID: "keykeykey1", PlanID: "plan01", Verdict: Refused, Reason: "THROTTLED", Cause: CausePlanThrottle,
		Limit:  Limit{Kind: Bucket, Rate: 0.5, Burst: 3, Tokens: 0.25, ClearsIn: 1500 * time.Millisecond},
		Detail: "over the throttle", SourceIP: netip.MustParseAddr("192.0.2.7"),
	}
}

// TestRefusalsGiveBackWhatTheyKeep: whole, for every kind of limit and address.
func TestRefusalsGiveBackWhatTheyKeep(t *testing.T) {
	with := func(bend func(*Record)) *Record {
		r := refused(1)
		bend(r)
		return r
	}
	for name, r := range map[string]*Record{
		"a throttle": refused(1),
		"a quota": with(func(r *Record) {
			r.Cause, r.Limit = CauseQuota, Limit{Kind: Quota, Most: 1 << 40, Used: 1<<40 + 1, Period: "MONTH", ClearsIn: Never}
		}),
		"seats":         with(func(r *Record) { r.Limit = Limit{Kind: Seats, Most: 3, Used: 3} }),
		"no limit":      with(func(r *Record) { r.Limit, r.SourceIP = Limit{}, netip.MustParseAddr("2001:db8::7") }),
		"a mapped IPv6": with(func(r *Record) { r.SourceIP = netip.MustParseAddr("::ffff:192.0.2.7") }),
		"a miss": with(func(r *Record) {
			*r = Record{RequestID: refusalID(1), Time: began, Verdict: Missed, Cause: CauseNoStage, Status: 403}
		}),
	} {
		t.Run(name, func(t *testing.T) {
			q := newRefusals(began, 1)
			q.Add(r)
			want := *r
			found := q.Find(r.RequestID, 2)
			if len(found) != 1 {
				t.Fatalf("%d found", len(found))
			}
			if !found[0].Time.Equal(want.Time) {
				t.Errorf("at %v, want %v", found[0].Time, want.Time)
			}
			if want.Time = found[0].Time; *found[0] != want {
				t.Errorf("%+v\nwant %+v", *found[0], want)
			}
			if r.ExtendedID != "" && (len(q.Find(r.ExtendedID, 2)) != 1) {
				t.Error("not found by its extended id")
			}
		})
	}
}

func TestRefusalsFindByPrefix(t *testing.T) {
	q := newRefusals(began, 2)
	for n := range 300 {
		q.Add(refused(n))
	}
	q.Add(&Record{RequestID: "ffffffff-0000-4000-8000-000000000000", Verdict: Admitted})
	for id, want := range map[string]int{
		refusalID(7)[:8]: 1, "0000012": 12, "E00000000000007": 1, "": 20, "ffffffff": 0, refusalID(7) + "0": 0, refusalID(300): 0,
	} {
		if found := q.Find(id, 20); len(found) != want {
			t.Errorf("%q: %d found, want %d", id, len(found), want)
		}
	}
	again := refused(7)
	again.Cause = CauseQuota
	q.Add(again) // callers may choose an id
	for _, id := range []string{refusalID(7), refusalID(7)[:8]} {
		if found := q.Find(id, 20); len(found) != 1 || found[0].Cause != CauseQuota {
			t.Errorf("%s: %+v, want the newer of two", id, found)
		}
	}
	if r := q.Newest(Filter{}); r.Cause != CauseQuota {
		t.Errorf("newest: %+v", r)
	}
	if r := q.Newest(Filter{KeyID: "another"}); r != nil {
		t.Errorf("newest of another key: %+v", r)
	}
}

// TestRefusalsForgetTheOldest, and say so.
func TestRefusalsForgetTheOldest(t *testing.T) {
	q := newRefusals(began, 2)
	if since, oldest, forgotten := q.Span(); !since.Equal(began) || !oldest.IsZero() || forgotten != 0 {
		t.Errorf("empty: since %v, oldest %v, %d forgotten", since, oldest, forgotten)
	}
	for n := range 2*chunkSize + 5 {
		q.Add(refused(n))
	}
	if _, oldest, forgotten := q.Span(); !oldest.Equal(began.Add(5*time.Second)) || forgotten != 5 {
		t.Errorf("oldest %v, %d forgotten", oldest, forgotten)
	}
	for n, want := range map[int]int{4: 0, 5: 1, 2*chunkSize + 4: 1} {
		if found := q.Find(refusalID(n), 2); len(found) != want {
			t.Errorf("refusal %d: %d found, want %d", n, len(found), want)
		}
	}
}

// TestRefusalsAreBounded: whatever strangers send, a refusal takes 256 bytes,
// and its ids are whole.
func TestRefusalsAreBounded(t *testing.T) {
	if size := unsafe.Sizeof(refusal{}); size != 256 {
		t.Errorf("a refusal takes %d bytes", size)
	}
	q := newRefusals(began, 1)
	r := refused(1)
	r.Path, r.Method, r.Detail = "/prod/"+strings.Repeat("é", 5000), strings.Repeat("X", 400), strings.Repeat("y", 5000)
	q.Add(r)
	got := q.Find(r.RequestID, 2)[0]
	if got.KeyID != r.KeyID || got.PlanID != r.PlanID || got.APIID != r.APIID || got.Stage != r.Stage || got.Reason != r.Reason || got.Cause != r.Cause {
		t.Errorf("%+v", got)
	}
	if !strings.HasSuffix(got.Method+got.Path, "…") {
		t.Errorf("cut, and it does not say so: %q, %q", got.Method, got.Path)
	}
	n := 0
	for _, text := range got.kept() {
		n += len(*text)
		if !strings.HasPrefix(strings.Join([]string{r.Method, r.Path, r.Detail}, ""), *text) && n > refusalTexts {
			t.Errorf("%q", *text)
		}
	}
	if n > refusalTexts {
		t.Errorf("%d bytes of texts", n)
	}
	if n := testing.AllocsPerRun(100, func() { q.Add(r) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestRefusalsByMany: what is found is what one of them added, and of the
// newest none is missing.
func TestRefusalsByMany(t *testing.T) {
	q := newRefusals(began, 1)
	const each, by = 3 * chunkSize, 4
	var all sync.WaitGroup
	for g := range by {
		all.Go(func() {
			for n := range each {
				q.Add(refused(g*each + n))
				if n%100 == 0 {
					for _, r := range q.Find("0000", 3) {
						if r.KeyID != "keykeykey1" || r.ExtendedID[1:] == "" {
							t.Errorf("torn: %+v", r)
						}
					}
				}
			}
		})
	}
	all.Wait()
	count := 0
	q.each(func(*refusal) bool { count++; return true })
	if _, _, forgotten := q.Span(); count != chunkSize || forgotten != by*each-chunkSize {
		t.Errorf("%d kept, %d forgotten", count, forgotten)
	}
}

func TestRequestsFindAsRefusalsDo(t *testing.T) {
	q := newRequests(100)
	for n := range 30 {
		r := refused(n)
		r.Verdict = Admitted
		q.Add(r)
	}
	for id, want := range map[string][]int{
		refusalID(7): {7}, "E00000000000007=": {7}, "0000001": {29, 28}, "nothing": nil,
	} {
		var got []int
		for _, r := range q.Find(id, 2) {
			var n int
			if _, err := fmt.Sscanf(r.RequestID, "%08x", &n); err != nil {
				t.Fatal(err)
			}
			got = append(got, n)
		}
		if id == "0000001" {
			want = []int{29, 28} // 0x1d, 0x1c
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", id, got, want)
		}
	}
}

func BenchmarkRefusalsAdd(b *testing.B) {
	q := NewRefusals(began)
	for n := range KeptRefusals {
		q.Add(refused(n))
	}
	r := refused(1)
	b.ReportAllocs()
	for b.Loop() {
		q.Add(r)
	}
}

// BenchmarkRefusalsFind looks for the oldest of all.
func BenchmarkRefusalsFind(b *testing.B) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	q := NewRefusals(began)
	for n := range KeptRefusals {
		q.Add(refused(n))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	for b.Loop() {
		if len(q.Find(refusalID(0), 2)) != 1 {
			b.Fatal("not found")
		}
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB")
	runtime.KeepAlive(q)
}

// TestExplanationsOfLimits: a period ends at midnight and not a moment before,
// and nobody is told to wait for what never comes.
func TestExplanationsOfLimits(t *testing.T) {
	midnight := began.Truncate(24 * time.Hour).Add(24 * time.Hour)
	quota := func(at time.Time, wait time.Duration) *Record {
		return &Record{Verdict: Refused, Cause: CauseQuota, Time: at, Limit: Limit{Kind: Quota, Period: "DAY", ClearsIn: wait}}
	}
	for _, c := range []struct {
		what string
		of   *Record
		want time.Time
	}{
		{"decided 40 µs after it came", quota(began, midnight.Sub(began)-40*time.Microsecond), midnight},
		{"decided by a clock that is ahead", quota(began, midnight.Sub(began)+time.Millisecond), midnight},
		{"others hold the rest", quota(began, time.Second), began.Add(time.Second)},
		{"a throttle", &Record{Time: midnight.Add(-time.Second), Limit: Limit{Kind: Bucket, ClearsIn: 300 * time.Millisecond}}, midnight.Add(-700 * time.Millisecond)},
	} {
		if e := Explain(c.of, began); e.ClearsAt == nil || !e.ClearsAt.Equal(c.want) {
			t.Errorf("%s: clears at %v, want %v", c.what, e.ClearsAt, c.want)
		}
	}
	for _, c := range []Cause{CauseAccountThrottle, CauseStageThrottle, CausePlanThrottle, CausePlanMethodThrottle, CauseQuota} {
		e := Explain(&Record{Verdict: Refused, Cause: c, Limit: Limit{ClearsIn: Never}}, began)
		if e.ClearsAt != nil || !strings.HasPrefix(e.Do, "Raise ") {
			t.Errorf("%v, which never clears: %v, %q", c, e.ClearsAt, e.Do)
		}
	}
}
