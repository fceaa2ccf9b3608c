package authorizer

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"weir/internal/catalog"
	"weir/internal/gateway/message"
	"weir/internal/policy"
)

func keyOf(n int) (d digest) {
	binary.BigEndian.PutUint64(d[24:], uint64(n))
	d[0] = byte(n % shards)
	return d
}

func (c *cache) put(key digest, size int, until time.Duration) {
	_, under, mine := c.get(key, 0)
	if !mine {
		return
	}
	under.answer = &answer{size: size}
	c.settle(key, under, until)
}

// TestCacheIsBounded in number and in bytes, and forgets the longest unused.
func TestCacheIsBounded(t *testing.T) {
	for name, c := range map[string]struct{ size, most int }{
		"in number": {1, maxAnswers},
		"in bytes":  {shardBytes / 10, 10 * shards},
	} {
		t.Run(name, func(t *testing.T) {
			cache := newCache()
			for n := range c.most + 50*shards {
				cache.put(keyOf(n), c.size, time.Hour)
				if _, _, mine := cache.get(keyOf(0), 0); mine {
					t.Fatalf("the one that is used most is gone after %d", n)
				}
			}
			answers, bytes := 0, 0
			for i := range cache.shards {
				s := &cache.shards[i]
				listed := 0
				for e := s.oldest; e != nil; e = e.newer {
					listed++
				}
				if listed != len(s.answers) || s.bytes != listed*c.size || len(s.asking) != 0 {
					t.Fatalf("shard %d: %d listed, %d kept, %d bytes, %d asking", i, listed, len(s.answers), s.bytes, len(s.asking))
				}
				answers, bytes = answers+listed, bytes+s.bytes
			}
			if answers > c.most || answers < c.most-shards || bytes > maxAnswerBytes {
				t.Errorf("%d answers, %d bytes", answers, bytes)
			}
		})
	}
	cache := newCache()
	cache.put(keyOf(1), shardBytes+1, time.Hour)
	if s := cache.shard(keyOf(1)); len(s.answers) != 0 || s.bytes != 0 || s.newest != nil {
		t.Errorf("an answer larger than all is kept: %+v", s)
	}
}

// TestAnswersTakeNoMoreThanTheySay: the bound on bytes is one on memory.
func TestAnswersTakeNoMoreThanTheySay(t *testing.T) {
	// Small texts in great numbers are the dearest.
	many := func(n int, one string) string { return strings.TrimSuffix(strings.Repeat(one+",", n), ",") }
	for name, payload := range map[string]string{
		"usual":      policyOf("Allow", "arn:aws:execute-api:us-east-1:000000000000:api1/dev/GET/*"),
		"resources":  strings.Replace(allowAll, `"Resource":"*"`, `"Resource":[`+many(3000, `"*"`)+`]`, 1),
		"statements": `{"principalId":"u","policyDocument":{"Statement":[` + many(500, `{"Effect":"Deny","Action":"a:b","Resource":"*"}`) + `]}}`,
		"conditions": strings.Replace(allowAll, `"Effect"`, `"Condition":{"NumericEquals":{"a":[`+many(3000, `1`)+`]}},"Effect"`, 1),
		"networks":   strings.Replace(allowAll, `"Effect"`, `"Condition":{"IpAddress":{"a":[`+many(3000, `"::/0"`)+`]}},"Effect"`, 1),
		"context":    strings.Replace(allowAll, `{"principalId"`, `{"context":{`+many(1, `"a":"`+strings.Repeat("x", 9000)+`"`)+`},"principalId"`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			kept := make([]*answer, 20)
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			for i := range kept {
				a, err := parseAnswer([]byte(payload))
				if err != nil {
					t.Fatal(err)
				}
				kept[i] = a
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			took := (int(after.HeapAlloc) - int(before.HeapAlloc)) / len(kept)
			if took > kept[0].size {
				t.Errorf("an answer of %d bytes takes %d and says %d", len(payload), took, kept[0].size)
			}
			runtime.KeepAlive(kept)
		})
	}
}

// TestIdentitiesAreToldApart: two requests have one digest only if every source
// has the same values, however they are cut.
func TestIdentitiesAreToldApart(t *testing.T) {
	b := newBench(t)
	a := b.compile(tokenOf(func(a *catalog.Authorizer) {
		a.Type, a.IdentitySource = catalog.AuthorizerRequest, "method.request.header.A,method.request.header.B"
	}), nil)
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "aa", "\x00", "\x02", "\x00a", "b\x02a", strings.Repeat("x", 127), strings.Repeat("x", 254)}), 1, 3)
		request := func(name string) (digest, string) {
			var h message.Header
			for _, n := range []string{"A", "B"} {
				for _, v := range values.Draw(t, name+n) {
					h.Add(n, v)
				}
			}
			q := question()
			q.Request.Header = h
			var id identity
			if _, ok := id.read(a, q); !ok {
				t.Fatal("no identity")
			}
			return id.digest(&b.cache.seed), fmt.Sprintf("%q", h)
		}
		first, said := request("first")
		second, saidToo := request("second")
		if (first == second) != (said == saidToo) {
			t.Errorf("%s and %s: digests equal: %v", said, saidToo, first == second)
		}
	})
	q := question("A", "1", "B", "2")
	var one, other identity
	one.read(a, q)
	other.read(a, q)
	if one.digest(&b.cache.seed) == other.digest(&newBench(t).cache.seed) {
		t.Error("two processes name an identity alike")
	}
}

// FuzzAnswer: whatever a function answers, it is refused, or what comes of it
// is whole: text for an event, and a policy that decides.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(allowAll), "GET/pets")
	f.Add([]byte(strings.Replace(allowAll, `{"principalId"`, `{"usageIdentifierKey":"k","context":{"a":1e9,"b":null,"c":"\ud800"},"principalId"`, 1)), "")
	f.Add([]byte(`{"principalId":"\u0000","policyDocument":{"Version":"2012-10-17","Statement":{"NotAction":"a:*","Effect":"Allow","NotResource":"arn:*","Condition":{"StringLike":{"aws:Referer":"*"}}}}}`), "x")
	f.Add([]byte(`{"principalId":"u","policyDocument":{"Statement":[]},"principalId":"v"}`), "")
	f.Fuzz(func(t *testing.T, payload []byte, path string) {
		a, err := parseAnswer(payload)
		if err != nil {
			if len(err.Error()) > 10_000 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		var members map[string]string
		if err := json.Unmarshal([]byte("{"+string(a.members)+"}"), &members); err != nil {
			t.Fatalf("%s: %v", a.members, err)
		}
		if _, ok := members["principalId"]; !ok {
			t.Errorf("no principal in %s", a.members)
		}
		if a.size < len(payload) {
			t.Errorf("it says that it takes %d bytes of %d", a.size, len(payload))
		}
		req := question("Referer", path).Request
		asked := evaluation(a.policy, req, "arn:aws:execute-api:us-east-1:000000000000:api1/dev/"+path)
		first := a.policy.Evaluate(&asked)
		if again := a.policy.Evaluate(&asked); again != first || first > policy.Denied {
			t.Errorf("%v, then %v", first, again)
		}
	})
}
