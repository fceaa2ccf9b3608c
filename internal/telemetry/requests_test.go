package telemetry

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"
)

func paths(records []*Record) string {
	var all []string
	for _, r := range records {
		all = append(all, r.Path)
	}
	return strings.Join(all, " ")
}

func TestNewestKeepsTheNewest(t *testing.T) {
	q := newRequests(4)
	if got := q.Newest(10, Filter{}); len(got) != 0 {
		t.Errorf("an empty ring gave %s", paths(got))
	}
	for i := range 6 {
		q.Add(&Record{Path: fmt.Sprint(i)})
	}
	for limit, want := range map[int]string{0: "", 1: "5", 3: "3 4 5", 4: "2 3 4 5", 100: "2 3 4 5"} {
		if got := paths(q.Newest(limit, Filter{})); got != want {
			t.Errorf("limit %d: %q, want %q", limit, got, want)
		}
	}
}

func TestFilter(t *testing.T) {
	records := []Record{
		{Path: "a", APIID: "api1", KeyID: "k1", Verdict: Admitted, Status: 200},
		{Path: "b", APIID: "api1", KeyID: "k2", Verdict: Refused, Status: 429},
		{Path: "c", APIID: "api2", KeyID: "k1", Verdict: Refused, Status: 403},
		{Path: "d", Verdict: Missed, Status: 403},
	}
	for _, c := range []struct {
		filter Filter
		want   string
	}{
		{Filter{}, "a b c d"},
		{Filter{APIID: "api1"}, "a b"},
		{Filter{KeyID: "k1"}, "a c"},
		{Filter{Verdict: Refused}, "b c"},
		{Filter{MinStatus: 403, MaxStatus: 403}, "c d"},
		{Filter{MinStatus: 400, MaxStatus: 499}, "b c d"},
		{Filter{KeyID: "k1", Verdict: Admitted}, "a"},
		{Filter{APIID: "api3"}, ""},
	} {
		q := newRequests(8)
		f, err := q.Follow(0, c.filter)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			q.Add(&r)
		}
		var live []*Record
		for f.Waiting() {
			r, _, _ := f.Next(0)
			live = append(live, r)
		}
		if got := paths(live); got != c.want {
			t.Errorf("%+v: a follower got %q, want %q", c.filter, got, c.want)
		}
		if got := paths(q.Newest(10, c.filter)); got != c.want {
			t.Errorf("%+v: %q, want %q", c.filter, got, c.want)
		}
		last := strings.Fields(" " + c.want)
		if got := paths(q.Newest(1, c.filter)); len(last) > 0 && got != last[len(last)-1] {
			t.Errorf("%+v: the newest is %q", c.filter, got)
		}
	}
}

// TestRecordsAreReadWhole: a Record that is read while its place in the ring is
// used again is one Record, and what was read stays as it was.
func TestRecordsAreReadWhole(t *testing.T) {
	q := newRequests(4)
	const calls = 2000
	var callers sync.WaitGroup
	for i := range 4 {
		callers.Go(func() {
			memory := make([]byte, 64) // of the engine, used again for the next call
			for n := range calls {
				text := fmt.Appendf(memory[:0], "%d-%d", i, n)
				s := unsafe.String(&text[0], len(text))
				q.Add(&Record{RequestID: s, ExtendedID: s, Method: s, Path: s, UserAgent: s, Detail: s, Status: n, KeyID: fmt.Sprint(n)})
			}
		})
	}
	done := make(chan struct{})
	go func() {
		callers.Wait()
		close(done)
	}()
	check := func(r *Record) {
		for _, s := range r.borrowed() {
			if *s != r.RequestID || !strings.HasSuffix(*s, "-"+r.KeyID) || r.KeyID != fmt.Sprint(r.Status) {
				t.Fatalf("parts of several: %+v", r)
			}
		}
	}
	var kept []*Record
	for looking := true; looking; {
		select {
		case <-done:
			looking = false
		default:
		}
		kept = append(kept, q.Newest(4, Filter{})...)
	}
	if len(kept) < 4 {
		t.Fatalf("read %d", len(kept))
	}
	for _, r := range kept {
		check(r)
	}
}

func TestCloneCutsLongTexts(t *testing.T) {
	long := strings.Repeat("é", 2000)
	r := (&Record{RequestID: "id", Method: long, Path: "/" + long, UserAgent: long, Detail: long, Stage: "prod"}).Clone()
	if r.RequestID != "id" || r.Method != long[:MaxMethod] || r.Path != ("/" + long)[:MaxPath-1] || r.UserAgent != long[:MaxUserAgent] || r.Detail != long[:MaxDetail] || r.Stage != "prod" {
		t.Errorf("%+v", r)
	}
	for _, c := range []struct {
		text, want string
		most       int
	}{{"abc", "abc", 3}, {"abcd", "abc", 3}, {"aéb", "a", 2}, {"aéb", "aé", 3}, {"\x80\x80\x80", "", 2}} {
		if got := clip(c.text, c.most); got != c.want {
			t.Errorf("clip(%q, %d) = %q, want %q", c.text, c.most, got, c.want)
		}
	}
}

// TestAddAllocatesNothing once a place was used.
func TestAddAllocatesNothing(t *testing.T) {
	q := newRequests(4)
	r := &Record{RequestID: "0123", Method: "GET", Path: "/some/path", UserAgent: "me"}
	for range 4 {
		q.Add(r)
	}
	if n := testing.AllocsPerRun(100, func() { q.Add(r) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestFollowHasNoGapAndNothingTwice begins to follow in the middle of calls on
// other goroutines, many times.
func TestFollowHasNoGapAndNothingTwice(t *testing.T) {
	const callers, calls = 4, 100
	for range 50 {
		q := newRequests(callers * calls)
		var all sync.WaitGroup
		for range callers {
			all.Go(func() {
				for range calls {
					q.Add(&Record{})
				}
			})
		}
		f, err := q.Follow(callers*calls, Filter{})
		if err != nil {
			t.Fatal(err)
		}
		all.Wait()
		seen := map[uint64]int{}
		for range callers * calls {
			r, lost, ok := f.Next(time.Minute)
			if r == nil || lost > 0 || !ok {
				t.Fatalf("after %d: %v, %d lost, %v", len(seen), r, lost, ok)
			}
			seen[r.number]++
		}
		if len(seen) != callers*calls || f.Waiting() {
			t.Fatalf("%d different requests of %d; more: %v", len(seen), callers*calls, f.Waiting())
		}
		f.Close()
	}
}

func TestSlowFollowerLosesAndIsTold(t *testing.T) {
	q := newRequests(8)
	q.Add(&Record{Path: "before"})
	f, err := q.Follow(1, Filter{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for range followerRoom + 3 {
		q.Add(&Record{Path: "x"}) // never waits: nobody reads
	}
	if r, lost, _ := f.Next(0); r.Path != "before" || lost != 0 {
		t.Errorf("first %v, %d lost", r, lost)
	}
	var total uint64
	for range followerRoom {
		r, lost, ok := f.Next(time.Minute)
		if r == nil || !ok {
			t.Fatal("a request that found room is gone")
		}
		total += lost
	}
	if total != 3 || f.Waiting() {
		t.Errorf("%d lost, want 3; more: %v", total, f.Waiting())
	}
	q.Add(&Record{Path: "after"})
	if r, lost, _ := f.Next(time.Minute); r.Path != "after" || lost != 0 {
		t.Errorf("then %v, %d lost", r, lost)
	}
}

func TestNextWaitsAndStopEndsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newRequests(8)
		f, err := q.Follow(10, Filter{})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if r, lost, ok := f.Next(5 * time.Second); r != nil || lost != 0 || !ok || time.Since(began) != 5*time.Second {
			t.Errorf("in silence: %v, %d, %v after %s", r, lost, ok, time.Since(began))
		}
		time.AfterFunc(time.Second, q.Stop)
		if r, _, ok := f.Next(time.Hour); r != nil || ok || time.Since(began) != 6*time.Second {
			t.Errorf("stopped: %v, %v after %s", r, ok, time.Since(began))
		}
		f.Close()
		q.Stop() // twice does no harm
		q.Add(&Record{Path: "late"})
		late, err := q.Follow(10, Filter{})
		if err != nil {
			t.Fatal(err)
		}
		if r, _, ok := late.Next(0); r == nil || !ok {
			t.Error("what is in the ring is still given")
		}
		if _, _, ok := late.Next(time.Hour); ok {
			t.Error("a follower that came after the stop goes on")
		}
		late.Close()
	})
}

func TestFollowersAreBounded(t *testing.T) {
	q := newRequests(8)
	var all []*Follower
	for range MaxFollowers {
		f, err := q.Follow(0, Filter{})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, f)
	}
	if _, err := q.Follow(0, Filter{}); !errors.Is(err, ErrManyFollowers) {
		t.Errorf("one too many: %v", err)
	}
	all[3].Close()
	f, err := q.Follow(0, Filter{})
	if err != nil {
		t.Errorf("after one left: %v", err)
	}
	q.Add(&Record{})
	if all[3].Waiting() || !all[4].Waiting() || !f.Waiting() {
		t.Error("only who follows gets requests")
	}
}

func TestRecordInJSON(t *testing.T) {
	text, err := json.Marshal(&Record{RequestID: "id", Time: time.Unix(0, 0).UTC(), Method: "GET", Path: "/\x1b[31m", Status: 200, Verdict: Admitted, SourceIP: netip.MustParseAddr("192.0.2.1"), Latency: 1500})
	want := `{"requestId":"id","time":"1970-01-01T00:00:00Z","method":"GET","path":"/\u001b[31m","status":200,"verdict":"admitted","sourceIp":"192.0.2.1","requestSize":0,"responseSize":0,"latencyNs":1500,"integrationNs":0}`
	if err != nil || string(text) != want {
		t.Errorf("%v\n got %s\nwant %s", err, text, want)
	}
}

// BenchmarkRequestsAdd runs with -cpu 1,2: callers on two cores share one
// counter and nothing else.
func BenchmarkRequestsAdd(b *testing.B) {
	for _, followers := range []int{0, 1} {
		b.Run(fmt.Sprintf("followers=%d", followers), func(b *testing.B) {
			q := NewRequests()
			ended := make(chan struct{})
			if followers == 1 {
				f, err := q.Follow(0, Filter{})
				if err != nil {
					b.Fatal(err)
				}
				go func() {
					defer close(ended)
					defer f.Close()
					for ok := true; ok; _, _, ok = f.Next(time.Second) {
					}
				}()
			} else {
				close(ended)
			}
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				r := Record{RequestID: strings.Repeat("x", 36), Method: "POST", Path: "/live/hello", UserAgent: "curl/8"}
				for pb.Next() {
					q.Add(&r)
				}
			})
			q.Stop()
			<-ended
		})
	}
}
