package telemetry

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestEveryCauseIsTold(t *testing.T) {
	names := map[string]Cause{}
	for c := Cause(1); c < causeCount; c++ {
		told := causes[c]
		if told.name == "" || told.layer == "" || told.name != strings.ToLower(told.name) || strings.Contains(told.name, " ") {
			t.Errorf("cause %d is called %q, in the layer %q", c, told.name, told.layer)
		}
		for _, sentence := range []string{told.what, told.do} {
			if !strings.HasSuffix(sentence, ".") {
				t.Errorf("%s: %q is no sentence", told.name, sentence)
			}
		}
		if other, taken := names[told.name]; taken {
			t.Errorf("causes %d and %d are both called %s", other, c, told.name)
		}
		names[told.name] = c
	}
	if Cause(0).String() != "" || causeCount.String() == "" {
		t.Error("the zero Cause has no name, and an unknown one has one")
	}
}

func TestLimitSaysWhatItsKindHas(t *testing.T) {
	for want, l := range map[string]Limit{
		`{"rateLimit":0.5,"burstLimit":2,"tokens":0.25,"clearsInMs":1501}`:  {Kind: Bucket, Rate: 0.5, Burst: 2, Tokens: 0.25, ClearsIn: 1500*time.Millisecond + 1},
		`{"rateLimit":0,"burstLimit":2,"tokens":0,"never":true}`:            {Kind: Bucket, Burst: 2, ClearsIn: Never},
		`{"limit":10,"period":"DAY","used":12,"left":0,"clearsInMs":60000}`: {Kind: Quota, Most: 10, Used: 12, Period: "DAY", ClearsIn: time.Minute},
		`{"atATime":3,"inUse":3}`:                                           {Kind: Seats, Most: 3, Used: 3},
		`null`:                                                              {},
	} {
		got, err := json.Marshal(l)
		if err != nil || string(got) != want {
			t.Errorf("%+v: %s, %v, want %s", l, got, err, want)
		}
	}
}

func TestRecordsOfAdmittedCallsNameNoCause(t *testing.T) {
	text, err := json.Marshal(&Record{Verdict: Admitted})
	if err != nil || strings.Contains(string(text), "cause") || strings.Contains(string(text), "limit") {
		t.Errorf("%s, %v", text, err)
	}
	text, err = json.Marshal(&Record{Verdict: Refused, Cause: CauseQuota, Limit: Limit{Kind: Quota, Most: 1, Used: 1, Period: "DAY"}})
	if err != nil || !strings.Contains(string(text), `"cause":"quota","limit":{"limit":1,"period":"DAY","used":1,"left":0}`) {
		t.Errorf("%s, %v", text, err)
	}
}
