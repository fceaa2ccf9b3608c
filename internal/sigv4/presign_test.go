package sigv4_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"weir/internal/sigv4"
)

func TestVerifiesWhatBotocorePresigns(t *testing.T) {
	all := vectors(t, "presigned.json")
	for _, w := range all {
		if err := check(w, signedAt); err != nil {
			t.Errorf("%s %s: %v", w.Method, w.Target, err)
		}
		if name, region := sigv4.Scope(w.request()); name == "" || region != "us-east-1" {
			t.Errorf("%s is scoped to %q in %q", w.Target, name, region)
		}
		w.Body += " "
		if check(w, signedAt) == nil {
			t.Errorf("%s %s: accepted another body", w.Method, w.Target)
		}
	}
	if a, err := sigv4.Parse(all[2].request()); err != nil || a.Token != "session//token+with=signs" || a.Expires != 7*24*time.Hour {
		t.Errorf("%+v, %v", a, err)
	}
	cluster := all[len(all)-1]
	cluster.Headers = map[string]string{"X-K8s-Aws-Id": "another"}
	if check(cluster, signedAt) == nil {
		t.Error("accepted another value of a signed header")
	}
}

func TestVerifiesWhatTheGoSDKPresigns(t *testing.T) {
	for _, target := range []string{
		"/?Action=GetCallerIdentity&Version=2011-06-15", "/restapis/abc/stages/prod?X-Amz-Expires=600",
		"/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af?X-Amz-Expires=1",
		"/tags/a?tagKeys=b&tagKeys=a&tagKeys=%C3%A4%26%3D", "/a~b/c%20d?x",
	} {
		if w := goPresigned(t, "GET", target, "token/+="); check(w, signedAt) != nil {
			t.Errorf("%s: %v", target, check(w, signedAt))
		}
	}
}

func goPresigned(t testing.TB, method, target, token string) wire {
	t.Helper()
	r, err := http.NewRequest(method, "http://127.0.0.1:4566"+target, nil)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(nil)
	signed, headers, err := v4.NewSigner().PresignHTTP(context.Background(),
		aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: secret, SessionToken: token},
		r, hex.EncodeToString(sum[:]), "lambda", "us-east-1", signedAt)
	if err != nil {
		t.Fatal(err)
	}
	w := wire{Method: method, Target: strings.TrimPrefix(signed, "http://127.0.0.1:4566"), Headers: map[string]string{}}
	for k := range headers {
		w.Headers[k] = headers.Get(k)
	}
	return w
}

// presign presigns a request with Presign.
func presign(target, token string, now time.Time, expires time.Duration) wire {
	w := wire{Method: "GET", Target: target}
	r := w.request()
	w.Target = r.Path + "?" + sigv4.Presign(r, sigv4.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretKey: secret, Token: token},
		"us-east-1", "lambda", now, expires)
	return w
}

func TestPresignAgreesWithTheGoSDK(t *testing.T) {
	sign := func(w wire) string {
		_, query, _ := strings.Cut(w.Target, "?")
		values, err := url.ParseQuery(query)
		if err != nil || values.Get("X-Amz-Signature") == "" {
			t.Fatalf("%s: %v", w.Target, err)
		}
		return values.Get("X-Amz-Signature")
	}
	for _, token := range []string{"", "a/b+c="} {
		own := presign("/a%2Fb?z=1&a=2", token, signedAt, 10*time.Minute)
		if got, want := sign(own), sign(goPresigned(t, "GET", "/a%2Fb?z=1&a=2&X-Amz-Expires=600", token)); got != want {
			t.Errorf("signed %s, the SDK %s: %s", got, want, own.Target)
		}
	}
}

// Whatever the signature covers must matter, and it covers the whole query.
func TestEveryChangeOfAPresignedRequestIsRefused(t *testing.T) {
	base := func() wire { return presign("/functions/a%3Ab?x=1&y=2", "token", signedAt, 10*time.Minute) }
	if err := check(base(), signedAt); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(w *wire){
		"method":       func(w *wire) { w.Method = "DELETE" },
		"path":         func(w *wire) { w.Target = strings.Replace(w.Target, "%3Ab", "%3Ac", 1) },
		"query value":  func(w *wire) { w.Target = strings.Replace(w.Target, "x=1", "x=2", 1) },
		"query more":   func(w *wire) { w.Target += "&z" },
		"body":         func(w *wire) { w.Body = "x" },
		"date":         func(w *wire) { w.Target = strings.Replace(w.Target, "T043000Z", "T043001Z", 1) },
		"expires":      func(w *wire) { w.Target = strings.Replace(w.Target, "Expires=600", "Expires=601", 1) },
		"no expires":   func(w *wire) { w.Target = strings.Replace(w.Target, "&X-Amz-Expires=600", "", 1) },
		"token":        func(w *wire) { w.Target = strings.Replace(w.Target, "Token=token", "Token=taken", 1) },
		"no token":     func(w *wire) { w.Target = strings.Replace(w.Target, "&X-Amz-Security-Token=token", "", 1) },
		"region":       func(w *wire) { w.Target = strings.Replace(w.Target, "us-east-1", "us-east-2", 1) },
		"service":      func(w *wire) { w.Target = strings.Replace(w.Target, "%2Flambda%2F", "%2Fiam%2F", 1) },
		"scope's day":  func(w *wire) { w.Target = strings.Replace(w.Target, "%2F20261124%2F", "%2F20261123%2F", 1) },
		"signed list":  func(w *wire) { w.Target = strings.Replace(w.Target, "Headers=host", "Headers=host%3Bx", 1) },
		"signature":    func(w *wire) { w.Target = strings.Replace(w.Target, "Signature=", "Signature=00", 1) },
		"no hex":       func(w *wire) { w.Target = strings.Replace(w.Target, "Signature=", "Signature=x", 1) },
		"token's sign": func(w *wire) { w.Target = strings.Replace(w.Target, "Token=token", "Token=token&X-Amz-Other=1", 1) },
	} {
		w := base()
		change(&w)
		if w.Target == base().Target && w.Method == "GET" && w.Body == "" {
			t.Fatalf("%s changes nothing", name)
		}
		if err := check(w, signedAt); err == nil || err.Reason != sigv4.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := check(base(), signedAt.Add(10*time.Minute+time.Second)); err == nil {
		t.Error("accepted after its time")
	}
}

func TestPresignedRefusalsInAWSWords(t *testing.T) {
	full := presign("/", "", signedAt, 10*time.Minute)
	with := func(old, to string) wire {
		return wire{Method: "GET", Target: strings.Replace(full.Target, old, to, 1)}
	}
	both := full
	both.Headers = map[string]string{"Authorization": "AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=host, Signature=0"}
	long := presign("/", "", signedAt, time.Hour)
	minute := presign("/", "", signedAt, 90*time.Second)
	for _, c := range []struct {
		name   string
		w      wire
		now    time.Time
		reason sigv4.Reason
		text   string
	}{
		{"both", both, signedAt, sigv4.Invalid, "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header."},
		{"no signature's name", with("X-Amz-Algorithm", "X-Amz-Algorith"), signedAt, sigv4.Missing, "Missing Authentication Token"},
		{
			"nothing but the algorithm",
			wire{Method: "GET", Target: "/?X-Amz-Algorithm="},
			signedAt, sigv4.Incomplete,
			"AWS query-string parameters must include 'X-Amz-Algorithm'. AWS query-string parameters must include 'X-Amz-Credential'. " +
				"AWS query-string parameters must include 'X-Amz-Signature'. AWS query-string parameters must include 'X-Amz-SignedHeaders'. " +
				"AWS query-string parameters must include 'X-Amz-Date'. Re-examine the query-string parameters.",
		},
		{"two dates", with("&X-Amz-Date=", "&X-Amz-Date=20261124T043000Z&X-Amz-Date="), signedAt, sigv4.Incomplete, "AWS query-string parameters must include 'X-Amz-Date' once."},
		{"two signatures, one escaped", with("&X-Amz-Date=", "&X-Amz%2DSignature=0&X-Amz-Date="), signedAt, sigv4.Incomplete, "AWS query-string parameters must include 'X-Amz-Signature' once."},
		{"too long", with("&X-Amz-Date=", "&X-Amz-Security-Token="+strings.Repeat("x", 9000)+"&X-Amz-Date="), signedAt, sigv4.Incomplete, "The AWS query-string parameters are too long."},
		{"algorithm", with("SHA256", "SHA512"), signedAt, sigv4.Incomplete, "Unsupported AWS 'algorithm': 'AWS4-HMAC-SHA512' (only AWS4-HMAC-SHA256 for now). "},
		{"date", with("20261124T043000Z", "yesterday"), signedAt, sigv4.Incomplete, "Date must be in ISO-8601 'basic format'. Got 'yesterday'."},
		{"credential", with("%2Fus-east-1", ""), signedAt, sigv4.Incomplete, "Credential must have exactly 5 slash-delimited elements"},
		{"host not signed", with("Headers=host", "Headers=date"), signedAt, sigv4.Invalid, "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."},
		{"expires is no number", with("Expires=600", "Expires=ten"), signedAt, sigv4.Incomplete, "X-Amz-Expires should be a number"},
		{"expires empty", with("Expires=600", "Expires="), signedAt, sigv4.Incomplete, "X-Amz-Expires should be a number"},
		{"expires before", with("Expires=600", "Expires=-1"), signedAt, sigv4.Incomplete, "X-Amz-Expires must be non-negative"},
		{"expires at once", with("Expires=600", "Expires=0"), signedAt, sigv4.Incomplete, "X-Amz-Expires must be at least 1 second"},
		{"expires after a week", with("Expires=600", "Expires=604801"), signedAt, sigv4.Incomplete, "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds"},
		{"in time", full, signedAt.Add(10 * time.Minute), -1, ""},
		{"over", full, signedAt.Add(10*time.Minute + time.Second), sigv4.Invalid, "Signature expired: 20261124T043000Z is now earlier than 20261124T043001Z (20261124T044001Z - 10 min.)"},
		{"over in seconds", minute, signedAt.Add(91 * time.Second), sigv4.Invalid, "Signature expired: 20261124T043000Z is now earlier than 20261124T043001Z (20261124T043131Z - 90 sec.)"},
		{"an hour, in time", long, signedAt.Add(15 * time.Minute), -1, ""},
		{"an hour, over", long, signedAt.Add(15*time.Minute + time.Second), sigv4.Invalid, "Signature expired: 20261124T043000Z is now earlier than 20261124T043001Z (20261124T044501Z - 15 min.)"},
		{"not early", full, signedAt.Add(-5 * time.Minute), -1, ""},
		{"early", full, signedAt.Add(-5*time.Minute - time.Second), sigv4.Invalid, "Signature not yet current: 20261124T043000Z is still later than 20261124T042959Z (20261124T042459Z + 5 min.)"},
	} {
		err := check(c.w, c.now)
		if c.reason < 0 {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		} else if err == nil || err.Reason != c.reason || !strings.HasPrefix(err.Message, c.text) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestPresignedHeadersMustBeSigned: who holds a URL cannot add to it.
func TestPresignedHeadersMustBeSigned(t *testing.T) {
	a, err := sigv4.Parse(presign("/", "", signedAt, time.Minute).request())
	if err != nil {
		t.Fatal(err)
	}
	if err := a.CheckHeaders([]string{"Host", "Accept", "User-Agent"}); err != nil {
		t.Errorf("a browser's headers: %v", err)
	}
	if err := a.CheckHeaders([]string{"Accept", "X-Amz-Invocation-Type"}); err == nil || err.Reason != sigv4.Invalid {
		t.Errorf("a header of AWS's: %v", err)
	}
	if a, err = sigv4.Parse(own("GET", "/", "", nil, signedAt).request()); err != nil || a.CheckHeaders([]string{"X-Amz-Invocation-Type"}) != nil {
		t.Errorf("signed in the header: %v", err)
	}
	if err := a.CheckHeaders([]string{"X-Amz-Target"}); err == nil || err.Reason != sigv4.Invalid {
		t.Errorf("an operation that was not signed: %v", err)
	}
	a.SignedHeaders = append(a.SignedHeaders, "x-amz-target")
	if err := a.CheckHeaders([]string{"X-Amz-Target"}); err != nil {
		t.Errorf("a signed operation: %v", err)
	}
}

// FuzzPresign signs any path and query, which must be accepted, then changes
// one byte of them: still accepted only when it says the same.
func FuzzPresign(f *testing.F) {
	for _, w := range vectors(f, "presigned.json") {
		path, query, _ := strings.Cut(w.Target, "?")
		query, _, _ = strings.Cut(query, "X-Amz-")
		f.Add(path, query, 3, byte('x'))
		f.Add(path, query, len(path)+len(query)+20, byte('&'))
	}
	f.Add("/%zz", "a+b=%&%2=&&=", 7, byte('+'))
	f.Add("/a", "X-Amz-Date=1", 0, byte('%'))
	f.Fuzz(func(t *testing.T, path, query string, at int, b byte) {
		r := sigv4.Request{Method: "GET", Path: path, Query: query, Host: "h", Header: func(string) []string { return nil }}
		r.Query = sigv4.Presign(r, sigv4.Credentials{AccessKeyID: "AKID", SecretKey: secret, Token: "t"}, "us-east-1", "lambda", signedAt, time.Minute)
		err := verified(r)
		if hasAuthParameter(query) {
			if err == nil && sigv4.IsPresigned(sigv4.Request{Query: query}) {
				t.Fatalf("signed twice and accepted: %q", r.Query)
			}
			return
		}
		if err != nil {
			t.Fatalf("%q?%q: %v", path, r.Query, err)
		}
		target := []byte(path + "\x00" + r.Query)
		i := int(uint(at) % uint(len(target)))
		if target[i] == 0 && i == len(path) {
			return // the cut itself
		}
		target[i] = b
		changed := r
		changed.Path, changed.Query = string(target[:len(path)]), string(target[len(path)+1:])
		if got, want := verified(changed) == nil, same(r, changed); got != want {
			t.Fatalf("accepted %v, want %v:\n%q\n%q", got, want, r.Path+"?"+r.Query, changed.Path+"?"+changed.Query)
		}
	})
}

func verified(r sigv4.Request) *sigv4.Error {
	a, err := sigv4.Parse(r)
	if err == nil {
		err = a.CheckTime(signedAt)
	}
	if err == nil {
		err = a.CheckScope("lambda", "us-east-1")
	}
	if err == nil {
		err = a.Verify(r, nil, secret)
	}
	return err
}

func hasAuthParameter(query string) bool {
	return slices.ContainsFunc(pairs(query), func(p string) bool { return strings.HasPrefix(p, "X-Amz-") })
}

// same says by other code than the verifier's whether two requests ask for
// the same: the path as sent, and the query's decoded pairs in any order.
func same(a, b sigv4.Request) bool {
	x, y := pairs(a.Query), pairs(b.Query)
	slices.Sort(x)
	slices.Sort(y)
	return a.Path == b.Path && slices.Equal(x, y)
}

var escaped = func() *strings.Replacer {
	list := []string{"+", " "}
	const digits = "0123456789abcdef"
	for c := range 256 {
		hi, lo := digits[c>>4:c>>4+1], digits[c&15:c&15+1]
		for _, h := range slices.Compact([]string{hi, strings.ToUpper(hi)}) {
			for _, l := range slices.Compact([]string{lo, strings.ToUpper(lo)}) {
				list = append(list, "%"+h+l, string([]byte{byte(c)}))
			}
		}
	}
	return strings.NewReplacer(list...)
}()

func pairs(query string) []string {
	var all []string
	for p := range strings.SplitSeq(query, "&") {
		if p == "" {
			continue
		}
		name, value, _ := strings.Cut(p, "=")
		name, value = escaped.Replace(name), escaped.Replace(value)
		if name == "X-Amz-Signature" {
			value = strings.ToLower(value) // hex in either case is one number
		}
		all = append(all, name+"\x00"+value)
	}
	return all
}
