package limit_test

import (
	"testing"
	"time"

	"weir/internal/limit"
	"weir/internal/limit/limittest"
)

// What a verdict tells of a quota is right also for calls that were decided
// from a lease, without asking: the limit with what was granted on top of it,
// what is used, and when the period ends.
func TestVerdictOfALeasedCall(t *testing.T) {
	ledger := &limittest.Ledger{}
	ask := limit.Ask{Account: account, Quota: *daily(1000)}
	ledger.Grant(ask, 1500) // 500 on top
	l := limit.New(ledger)
	m := limit.NewMeter(account, daily(1000), noon.AddDate(0, -1, 0))
	asked := 0
	for i := int64(1); i <= 40; i++ {
		now := after(time.Duration(i) * time.Second)
		v := want(t, l, nil, m, now, limit.Granted)
		leased := ledger.Spends() == asked
		asked = ledger.Spends()
		// An answer of the ledger does not know yet what was spent of the lease.
		if v.Detail.Limit != 1500 || v.Detail.Used > i || leased && v.Detail.Used != i {
			t.Errorf("call %d (leased: %v): %+v, want a limit of 1500", i, leased, v.Detail)
		}
		// The ledger's clock stands at noon; a leased call counts from when it was asked.
		if left := v.Detail.EndsIn; left > 12*time.Hour || left < 12*time.Hour-40*time.Second || leased && left == 12*time.Hour {
			t.Errorf("call %d (leased: %v): the period ends in %v", i, leased, left)
		}
	}
	if asked > 20 || asked == 0 {
		t.Errorf("40 calls asked %d times: no lease was spent", asked)
	}
}

// A period's end as a leased call tells it draws nearer with the clock.
func TestPeriodOfALeaseDrawsNearer(t *testing.T) {
	l := limit.New(&limittest.Ledger{})
	m := limit.NewMeter(account, daily(1000), noon.AddDate(0, -1, 0))
	for range 2 {
		want(t, l, nil, m, after(0), limit.Granted)
	}
	if v := want(t, l, nil, m, after(time.Hour), limit.Granted); v.Detail.EndsIn != 11*time.Hour {
		t.Errorf("%+v: want the period to end in 11 hours", v.Detail)
	}
}

// When others hold the rest, a node refuses alone for at most a second and
// says how long; after it, it asks again.
func TestRestHeldByOthersIsAskedForAgain(t *testing.T) {
	ledger := &limittest.Ledger{}
	other := ledger.Node("other")
	ask := limit.Ask{Account: account, Quota: *daily(2000), Calls: 1, Ahead: 100}
	if a, err := other.Spend(t.Context(), ask); err != nil || a.Held != 100 {
		t.Fatalf("%+v, %v", a, err)
	}
	few := *daily(50) // lowered: what the other holds is more than is left
	l := limit.New(ledger)
	m := limit.NewMeter(account, &few, noon.AddDate(0, -1, 0))
	if v := want(t, l, nil, m, after(0), limit.Exhausted); v.Detail.Limit != 50 {
		t.Errorf("%+v", v.Detail)
	}
	asked := ledger.Spends()
	v := want(t, l, nil, m, after(300*time.Millisecond), limit.Exhausted)
	if v.Detail.Wait != 700*time.Millisecond || v.Detail.EndsIn != 12*time.Hour-300*time.Millisecond {
		t.Errorf("%+v: want a wait of 0.7 s", v.Detail)
	}
	want(t, l, nil, m, after(time.Second-1), limit.Exhausted)
	if n := ledger.Spends(); n != asked {
		t.Errorf("asked %d times within a second", n-asked)
	}
	want(t, l, nil, m, after(time.Second), limit.Exhausted)
	if n := ledger.Spends(); n == asked {
		t.Error("did not ask again after a second")
	}
}
