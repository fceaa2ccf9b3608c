package cli

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
)

// run runs a command line against the stocked server.
func (s *stocked) run(args ...string) (code int, stdout, stderr string) {
	s.t.Helper()
	return line(s.t, append(args, "--data", s.data)...)
}

// does is run for what has to work.
func (s *stocked) does(args ...string) string {
	s.t.Helper()
	code, out, errs := s.run(args...)
	if code != exitOK || errs != "" {
		s.t.Fatalf("weir %v: exit %d: %s%s", args, code, out, errs)
	}
	return out
}

// refuses is run for what has to fail with exit 1 and these words.
func (s *stocked) refuses(words []string, args ...string) {
	s.t.Helper()
	code, out, errs := s.run(args...)
	if code != exitFailure || out != "" {
		s.t.Errorf("weir %v: exit %d, printed %q", args, code, out)
	}
	for _, w := range words {
		if !strings.Contains(errs, w) {
			s.t.Errorf("weir %v said %q, want %q", args, errs, w)
		}
	}
}

func (s *stocked) key(ref string) keyDetail {
	s.t.Helper()
	return decode[keyDetail](s.t, s.does("keys", "show", ref, "--json"))
}

func (s *stocked) allKeys() []keyView {
	s.t.Helper()
	return decode[keyList](s.t, s.does("keys", "--json", "--limit", "0")).Keys
}

// TestKeyLife: what the commands say is what callers meet, at once.
func TestKeyLife(t *testing.T) {
	s := stock(t)
	awayFromMidnight(t)
	out := s.does("keys", "create", "writer", "--plan", "ten-a-day", "--description", "for the test")
	value := regexp.MustCompile(`(?m)^value +(\S{40})$`).FindStringSubmatch(out)
	if value == nil || strings.Count(out, value[1]) != 1 {
		t.Fatalf("keys create does not print the value once:\n%s", out)
	}
	if status := s.call(value[1]); status != 200 {
		t.Errorf("a call with the new key: %d", status)
	}
	if out := s.does("keys", "show", "writer"); strings.Contains(out, value[1]) || !strings.Contains(out, "9 of 10 left until") || !strings.Contains(out, "for the test") {
		t.Errorf("keys show:\n%s", out)
	}
	if out := s.does("keys", "show", "writer", "--value"); out != value[1]+"\n" {
		t.Errorf("keys show --value printed %q", out)
	}
	for _, args := range [][]string{{"keys"}, {"keys", "--json"}, {"usage"}, {"usage", "--json"}, {"plans", "--json"}, {"keys", "disable", "writer"}} {
		if out := s.does(args...); strings.Contains(out, value[1]) {
			t.Errorf("weir %v shows a value:\n%s", args, out)
		}
	}
	if status := s.call(value[1]); status != 403 {
		t.Errorf("a call with the disabled key: %d", status)
	}
	for _, c := range []struct{ verb, said string }{{"disable", "is disabled already"}, {"enable", "is enabled: "}, {"enable", "is enabled already"}} {
		if out := s.does("keys", c.verb, "writer"); !strings.Contains(out, c.said) {
			t.Errorf("keys %s said %q, want %q", c.verb, out, c.said)
		}
	}
	if status := s.call(value[1]); status != 200 {
		t.Errorf("a call with the key enabled again: %d", status)
	}
	id := s.key("writer").ID
	if got := decode[keyDeleted](t, s.does("keys", "delete", id, "--json")); !got.Deleted || got.ID != id || got.Name != "writer" {
		t.Errorf("keys delete: %+v", got)
	}
	if status := s.call(value[1]); status != 403 {
		t.Errorf("a call with the deleted key: %d", status)
	}
	s.refuses([]string{"no API key", "'weir keys' lists them"}, "keys", "delete", id)
}

func TestKeysCreateRefuses(t *testing.T) {
	s := stock(t)
	before := len(s.allKeys())
	short := "tooshort"
	s.refuses([]string{"no usage plan", "'weir plans'"}, "keys", "create", "x", "--plan", "none")
	s.refuses([]string{"at least 20 characters"}, "keys", "create", "x", "--value", short)
	s.refuses([]string{"deleted again", "already in Usage Plan"}, "keys", "create", "x", "--plan", "ten-a-day", "--plan", "ten-a-day")
	if after := s.allKeys(); len(after) != before {
		t.Errorf("keys that could not be made are there: %v", after)
	}
	made := decode[keyMade](t, s.does("keys", "create", "off", "--disabled", "--value", strings.Repeat("v", 20), "--json"))
	if made.Enabled || made.Value != strings.Repeat("v", 20) || len(made.Plans) != 0 {
		t.Errorf("keys create --disabled: %+v", made)
	}
	if out := s.does("keys", "create", "lone"); !strings.Contains(out, noPlan) {
		t.Errorf("a key in no plan:\n%s", out)
	}
}

// TestNames: a name that means several things is asked about, with the IDs; a
// verb that suits only one of them means that one.
func TestNames(t *testing.T) {
	s := stock(t)
	first := s.key("reader").ID
	second := decode[keyMade](t, s.does("keys", "create", "reader", "--json")).ID
	for _, args := range [][]string{{"keys", "show", "reader"}, {"keys", "disable", "reader"}, {"keys", "rotate", "reader"}, {"keys", "delete", "reader"}} {
		s.refuses([]string{`2 API keys are named "reader"`, first, second}, args...)
	}
	s.does("keys", "disable", second)
	if got := decode[keySwitched](t, s.does("keys", "disable", "reader", "--json")); got.ID != first || !got.Changed {
		t.Errorf("disable took %+v, want %s", got, first)
	}
	s.refuses([]string{first, second, "disabled, created"}, "keys", "enable", "reader")
	s.does("keys", "enable", second)
	if got := decode[keySwitched](t, s.does("keys", "enable", "reader", "--json")); got.ID != first || !got.Changed {
		t.Errorf("enable took %+v, want %s", got, first)
	}
	s.refuses([]string{"no API key"}, "keys", "show", "read") // a prefix is no name
	_, err := s.api.CreateUsagePlan(t.Context(), &apigateway.CreateUsagePlanInput{Name: aws.String("idle")})
	must(t, err)
	s.refuses([]string{`2 usage plans are named "idle"`}, "usage", "--plan", "idle")
}

func TestRotate(t *testing.T) {
	s := stock(t)
	awayFromMidnight(t)
	old, oldValue := s.key("reader"), s.create("reader")
	_, err := s.api.TagResource(t.Context(), &apigateway.TagResourceInput{
		ResourceArn: aws.String("arn:aws:apigateway:us-east-1::/apikeys/" + old.ID), Tags: map[string]string{"team": "a"},
	})
	must(t, err)
	kept := decode[keyRotated](t, s.does("keys", "rotate", "reader", "--keep-old", "--json"))
	if !kept.Old.Enabled || kept.Old.ID != old.ID || kept.New.ID == old.ID || kept.New.Value == oldValue {
		t.Errorf("rotate --keep-old: %+v", kept)
	}
	if a, b := s.call(oldValue), s.call(kept.New.Value); a != 200 || b != 200 {
		t.Errorf("calls with the old and the new key: %d, %d", a, b)
	}
	now := s.key(kept.New.ID)
	if now.Name != "reader" || now.Tags["team"] != "a" || len(now.Plans) != 1 || now.Plans[0].Name != "ten-a-day" || now.Plans[0].Quota.Remaining != 9 {
		t.Errorf("the new key: %+v", now)
	}
	s.does("keys", "disable", old.ID)
	out := s.does("keys", "rotate", "reader") // the enabled one
	if !strings.Contains(out, "The old key, "+kept.New.ID+", is disabled.") || !strings.Contains(out, "full quota") || strings.Contains(out, kept.New.Value) {
		t.Errorf("rotate said:\n%s", out)
	}
	if status := s.call(kept.New.Value); status != 403 {
		t.Errorf("a call with the key that was replaced: %d", status)
	}
	s.refuses([]string{"is disabled", "keys create"}, "keys", "rotate", old.ID)
}

// TestRotateFails: whatever call fails, a key that works is left, its owner
// has its value, and no half-made key is.
func TestRotateFails(t *testing.T) {
	s := stock(t)
	value := s.create("reader")
	for _, c := range []struct {
		name    string
		fail    string // METHOD path of calls that fail
		keys    int    // afterwards
		said    string
		printed bool // the new value
	}{
		{"plans unknown", `GET /usageplans`, 1, "works as before", false},
		{"not made", `POST /apikeys`, 1, "works as before", false},
		{"not in the plan", `POST /usageplans/\w+/keys`, 1, "deleted again", false},
		{"nor deleted again", `(POST /usageplans/\w+/keys|DELETE .*)`, 2, "delete it with 'weir keys delete ", false},
		{"old not disabled", `PATCH .*`, 3, "may still work", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.t = t
			endpoint := s.failing(c.fail)
			key, err := s.conn.aws.Credentials.Retrieve(t.Context())
			must(t, err)
			t.Setenv("AWS_ACCESS_KEY_ID", key.AccessKeyID)
			t.Setenv("AWS_SECRET_ACCESS_KEY", key.SecretAccessKey)
			t.Setenv("AWS_REGION", "us-east-1")
			var id string
			for _, k := range s.allKeys() {
				if len(k.Plans) > 0 {
					id = k.ID
				}
			}
			code, out, errs := line(t, "keys", "rotate", id, "--endpoint-url", endpoint)
			if code != exitFailure || !strings.Contains(errs, c.said) || strings.Contains(errs, "operation error") {
				t.Errorf("exit %d, said %q, want %q", code, errs, c.said)
			}
			if got := regexp.MustCompile(`value +\S{40}`).MatchString(out); got != c.printed {
				t.Errorf("printed %q", out)
			}
			if keys := s.allKeys(); len(keys) != c.keys {
				t.Errorf("%d keys, want %d: %v", len(keys), c.keys, keys)
			}
			if status := s.call(value); status == 403 {
				t.Errorf("the old key does not work any more")
			}
		})
	}
}

// TestRotateCannotPrint: a value that nobody could read is not lost, and the
// old key goes on working where that can be.
func TestRotateCannotPrint(t *testing.T) {
	s := stock(t)
	for _, c := range []struct {
		flags  []string
		status int // of the old key
	}{{nil, 200}, {[]string{"--json"}, 403}} {
		made := decode[keyMade](t, s.does("keys", "create", "printed", "--plan", "ten-a-day", "--json"))
		var errs strings.Builder
		code := run(t.Context(), append([]string{"keys", "rotate", made.ID, "--data", s.data}, c.flags...), closedPipe{}, &errs)
		m := regexp.MustCompile(`'weir keys show (\w+) --value'`).FindStringSubmatch(errs.String())
		if code != exitFailure || m == nil {
			t.Fatalf("exit %d: %s", code, errs.String())
		}
		if status := s.call(made.Value); status != c.status {
			t.Errorf("%v: a call with the old key: %d, want %d", c.flags, status, c.status)
		}
		if status := s.call(strings.TrimSpace(s.does("keys", "show", m[1], "--value"))); status != 200 {
			t.Errorf("%v: a call with the new key: %d", c.flags, status)
		}
	}
}

// closedPipe is a standard output that nobody reads any more.
type closedPipe struct{}

func (closedPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// failing is the stocked server with calls that fail.
func (s *stocked) failing(calls string) (endpoint string) {
	s.t.Helper()
	to, err := url.Parse(s.conn.running.ControlURL)
	must(s.t, err)
	match := regexp.MustCompile("^" + calls + "$")
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = r.In.Host // it is signed
	}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !match.MatchString(r.Method + " " + r.URL.Path) {
			proxy.ServeHTTP(w, r)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("X-Amzn-Errortype", "BadRequestException")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"message":"planted"}`)
	}))
	s.t.Cleanup(server.Close)
	return server.URL
}

// TestManyKeys: lists go through all pages, stop at their limit, and ask about
// many keys in bulk with the same result.
func TestManyKeys(t *testing.T) {
	s := stock(t)
	awayFromMidnight(t)
	const n = bulk + 30
	plans, _, err := s.conn.listPlans(t.Context(), &listing{name: "ten"})
	must(t, err)
	must(t, each(t.Context(), n, func(ctx context.Context, _ int) error {
		_, err := s.conn.makeKey(ctx, &apigateway.CreateApiKeyInput{Name: aws.String("many"), Enabled: true}, plans)
		return err
	}))
	all, err := s.conn.keys(t.Context(), &listing{}, time.Now())
	must(t, err)
	if len(all.Keys) != n+1 || all.More {
		t.Fatalf("%d keys, more %v; want %d", len(all.Keys), all.More, n+1)
	}
	for _, k := range all.Keys {
		want := int64(0)
		if k.Name == "reader" {
			want = 3
		}
		if len(k.Plans) != 1 || k.Plans[0].UsedToday != want || k.Plans[0].Quota.Remaining != 10-want {
			t.Fatalf("%s: %+v", k.Name, k.Plans)
		}
	}
	few := decode[keyList](t, s.does("keys", "--limit", "7", "--name", "many", "--json"))
	if len(few.Keys) != 7 || !few.More {
		t.Errorf("--limit 7: %d, more %v", len(few.Keys), few.More)
	}
	if exact := decode[keyList](t, s.does("keys", "--limit", "1", "--name", "reader", "--json")); len(exact.Keys) != 1 || exact.More {
		t.Errorf("--limit 1 of 1: %+v", exact)
	}
	if out := s.does("keys", "--limit", "7"); !strings.Contains(out, "the first 7; --limit 0 shows all") {
		t.Errorf("what is left out is not told:\n%s", out)
	}
	used, err := s.conn.usage(t.Context(), &listing{}, "", time.Now())
	must(t, err)
	sum := int64(0)
	for _, u := range used.Usage {
		sum += u.Used
	}
	if len(used.Usage) != n+1 || sum != 3 || used.More {
		t.Errorf("usage: %d keys, %d calls", len(used.Usage), sum)
	}
	if few, err := s.conn.usage(t.Context(), &listing{limit: 5}, "ten-a-day", time.Now()); err != nil || len(few.Usage) != 5 || !few.More {
		t.Errorf("usage --limit 5: %+v, %v", few, err)
	}
	if v, err := s.conn.plans(t.Context(), &listing{}); err != nil || v.Plans[1].Keys != n+1 {
		t.Errorf("plans counts %+v, %v", v, err)
	}
}
