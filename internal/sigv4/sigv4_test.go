package sigv4_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/textproto"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"weir/internal/sigv4"
)

const secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

var signedAt = time.Date(2026, 11, 24, 4, 30, 0, 0, time.UTC)

// wire is one signed request as it was sent.
type wire struct {
	Method  string            `json:"method"`
	Target  string            `json:"target"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

func (w wire) request() sigv4.Request {
	path, query, _ := strings.Cut(w.Target, "?")
	return sigv4.Request{
		Method: w.Method, Path: path, Query: query, Host: "127.0.0.1:4566",
		Header: func(name string) []string {
			for k, v := range w.Headers {
				if strings.EqualFold(k, name) {
					return []string{v}
				}
			}
			return nil
		},
	}
}

// check goes through a verifier's steps as the door does.
func check(w wire, now time.Time) *sigv4.Error {
	r := w.request()
	a, err := sigv4.Parse(r)
	if err != nil {
		return err
	}
	if err := a.CheckTime(now); err != nil {
		return err
	}
	if err := a.CheckScope(a.Service, "us-east-1"); err != nil {
		return err
	}
	return a.Verify(r, []byte(w.Body), secret)
}

func botocore(t testing.TB) []wire { return vectors(t, "botocore.json") }

// vectors reads requests that botocore signed.
func vectors(t testing.TB, file string) []wire {
	t.Helper()
	raw, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var all []wire
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	if len(all) < 10 {
		t.Fatalf("only %d requests", len(all))
	}
	return all
}

func TestVerifiesWhatBotocoreSigns(t *testing.T) {
	for _, w := range botocore(t) {
		if err := check(w, signedAt); err != nil {
			t.Errorf("%s %s: %v", w.Method, w.Target, err)
		}
	}
}

func TestVerifiesWhatTheGoSDKSigns(t *testing.T) {
	for _, target := range []string{
		"/", "/restapis/abc/stages/prod",
		"/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af",
		"/tags/arn%3Aaws%3Aapigateway%3Aus-east-1%3A%3A%2Frestapis%2Fx?tagKeys=b&tagKeys=a&tagKeys=%C3%A4%26%3D",
		"/apikeys?limit=500&position=a%20b%2Bc%2F", "/a~b/c%20d?x",
	} {
		if w := goSDK(t, "GET", target, ""); check(w, signedAt) != nil {
			t.Errorf("%s: %v", target, check(w, signedAt))
		}
		if w := goSDK(t, "PATCH", target, `{"a":"ä"}`); check(w, signedAt) != nil {
			t.Errorf("PATCH %s: %v", target, check(w, signedAt))
		}
	}
}

func goSDK(t testing.TB, method, target, body string) wire {
	t.Helper()
	r, err := http.NewRequest(method, "http://127.0.0.1:4566"+target, bytes.NewBufferString(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Spaces", "  two   words ")
	sum := sha256.Sum256([]byte(body))
	err = v4.NewSigner().SignHTTP(context.Background(),
		aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: secret, SessionToken: "token/+="},
		r, hex.EncodeToString(sum[:]), "apigateway", "us-east-1", signedAt)
	if err != nil {
		t.Fatal(err)
	}
	w := wire{Method: method, Target: r.URL.RequestURI(), Headers: map[string]string{}, Body: body}
	for k := range r.Header {
		w.Headers[k] = r.Header.Get(k)
	}
	return w
}

// own signs a request with Sign.
func own(method, target, body string, headers map[string]string, now time.Time) wire {
	w := wire{Method: method, Target: target, Headers: map[string]string{}, Body: body}
	var names []string
	for k, v := range headers {
		w.Headers[k] = v
		names = append(names, k)
	}
	fields := sigv4.Sign(w.request(), []byte(body),
		sigv4.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretKey: secret}, "us-east-1", "lambda", now, names...)
	for _, f := range fields {
		w.Headers[f.Name] = f.Value
	}
	return w
}

func TestSignAgreesWithTheGoSDK(t *testing.T) {
	r, _ := http.NewRequest("GET", "http://127.0.0.1:4566/a%2Fb?z=1&a=2", nil)
	r.Header.Set("Content-Type", "text/plain")
	sum := sha256.Sum256(nil)
	if err := v4.NewSigner().SignHTTP(context.Background(), aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: secret},
		r, hex.EncodeToString(sum[:]), "lambda", "us-east-1", signedAt); err != nil {
		t.Fatal(err)
	}
	w := own("GET", "/a%2Fb?z=1&a=2", "", map[string]string{"content-type": "text/plain"}, signedAt)
	if got, want := w.Headers["Authorization"], r.Header.Get("Authorization"); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

// Whatever the signature covers must matter: each change of it is refused.
func TestEveryChangeIsRefused(t *testing.T) {
	base := func() wire {
		return own("POST", "/functions/a%3Ab?x=1&y=2", `{"a":1}`,
			map[string]string{"Content-Type": "application/json", "X-Amz-Invocation-Type": "Event"}, signedAt)
	}
	if err := check(base(), signedAt); err != nil {
		t.Fatal(err)
	}
	changes := map[string]func(w *wire){
		"method":        func(w *wire) { w.Method = "PUT" },
		"path":          func(w *wire) { w.Target = "/functions/a%3Ac?x=1&y=2" },
		"path escaping": func(w *wire) { w.Target = "/functions/a:b?x=1&y=2" },
		"path dots":     func(w *wire) { w.Target = "/functions/./a%3Ab?x=1&y=2" },
		"path slashes":  func(w *wire) { w.Target = "/functions//a%3Ab?x=1&y=2" },
		"query value":   func(w *wire) { w.Target = "/functions/a%3Ab?x=1&y=3" },
		"query more":    func(w *wire) { w.Target = "/functions/a%3Ab?x=1&y=2&z" },
		"query less":    func(w *wire) { w.Target = "/functions/a%3Ab?x=1" },
		"body":          func(w *wire) { w.Body = `{"a":2}` },
		"no body":       func(w *wire) { w.Body = "" },
		"header":        func(w *wire) { w.Headers["X-Amz-Invocation-Type"] = "DryRun" },
		"header gone":   func(w *wire) { delete(w.Headers, "X-Amz-Invocation-Type") },
		"date":          func(w *wire) { w.Headers["X-Amz-Date"] = "20261124T043001Z" },
		"unsigned body": func(w *wire) { w.Headers["X-Amz-Content-Sha256"] = "UNSIGNED-PAYLOAD" },
		"key id":        func(w *wire) { edit(w, "AKIDEXAMPLE", "AKIDEXAMPLF") },
		"region":        func(w *wire) { edit(w, "us-east-1", "us-east-2") },
		"service":       func(w *wire) { edit(w, "/lambda/", "/iam/") },
		"scope's day":   func(w *wire) { edit(w, "/20261124/", "/20261123/") },
		"signed list":   func(w *wire) { edit(w, "content-type;", "") },
		"signature":     func(w *wire) { edit(w, "Signature=", "Signature=00") },
		"no hex":        func(w *wire) { edit(w, "Signature=", "Signature=x") },
	}
	for name, change := range changes {
		w := base()
		change(&w)
		err := check(w, signedAt)
		if name == "key id" { // it names the secret; the door would find none
			if err != nil {
				t.Errorf("the key id is no part of the signature: %v", err)
			}
			continue
		}
		if err == nil {
			t.Errorf("%s: accepted", name)
		} else if err.Reason != sigv4.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if a, err := sigv4.Parse(base().request()); err != nil || a.Verify(base().request(), []byte(`{"a":1}`), secret+"x") == nil {
		t.Error("accepted another secret")
	}
}

func edit(w *wire, old, to string) {
	w.Headers["Authorization"] = strings.Replace(w.Headers["Authorization"], old, to, 1)
}

func TestUnsignedPayloadIsRefusedEvenWhenSigned(t *testing.T) {
	w := own("GET", "/", "", map[string]string{"X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD"}, signedAt)
	if err := check(w, signedAt); err == nil {
		t.Error("accepted")
	}
}

func TestRefusalsInAWSWords(t *testing.T) {
	full := own("GET", "/", "", nil, signedAt)
	auth := full.Headers["Authorization"]
	with := func(authorization, date string) wire {
		w := wire{Method: "GET", Target: "/", Headers: map[string]string{}}
		if authorization != "" {
			w.Headers["Authorization"] = authorization
		}
		if date != "" {
			w.Headers["X-Amz-Date"] = date
		}
		return w
	}
	date := full.Headers["X-Amz-Date"]
	cases := []struct {
		name   string
		w      wire
		now    time.Time
		reason sigv4.Reason
		text   string
	}{
		{"none", with("", ""), signedAt, sigv4.Missing, "Missing Authentication Token"},
		{
			"bearer", with("Bearer abc", ""), signedAt, sigv4.Incomplete,
			"Invalid key=value pair (missing equal-sign) in Authorization header (hashed with SHA-256 and encoded with Base64): 'w1Xc6WwWEogNEZQP/dkBTThsJT4MNlKmzQanIm970rY='.",
		},
		{
			"empty", with("AWS4-HMAC-SHA256", ""), signedAt, sigv4.Incomplete,
			"Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. " +
				"Authorization header requires 'SignedHeaders' parameter. Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. " +
				"(Hashed with SHA-256 and encoded with Base64) Authorization=",
		},
		{"date", with(auth, "yesterday"), signedAt, sigv4.Incomplete, "Date must be in ISO-8601 'basic format'. Got 'yesterday'. See http://en.wikipedia.org/wiki/ISO_8601"},
		{"algorithm", with(strings.Replace(auth, "SHA256", "SHA512", 1), date), signedAt, sigv4.Incomplete, "Unsupported AWS 'algorithm': 'AWS4-HMAC-SHA512' (only AWS4-HMAC-SHA256 for now). "},
		{"credential", with(strings.Replace(auth, "/us-east-1", "", 1), date), signedAt, sigv4.Incomplete, "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got (hashed with SHA-256 and encoded with Base64) '"},
		{"region", with(strings.Replace(auth, "us-east-1", "eu-central-1", 1), date), signedAt, sigv4.Invalid, "Credential should be scoped to a valid region. "},
		{"terminator", with(strings.Replace(auth, "aws4_request", "aws5_request", 1), date), signedAt, sigv4.Invalid, "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5_request'. "},
		{"day", with(strings.Replace(auth, "/20261124/", "/20261123/", 1), date), signedAt, sigv4.Invalid, "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20261123' != '20261124', from '20261124T043000Z'."},
		{"host", with(strings.Replace(auth, "host;", "", 1), date), signedAt, sigv4.Invalid, "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."},
		{"in time", full, signedAt.Add(5 * time.Minute), -1, ""},
		{"expired", full, signedAt.Add(5*time.Minute + time.Second), sigv4.Invalid, "Signature expired: 20261124T043000Z is now earlier than 20261124T043001Z (20261124T043501Z - 5 min.)"},
		{"not early", full, signedAt.Add(-5 * time.Minute), -1, ""},
		{"early", full, signedAt.Add(-5*time.Minute - time.Second), sigv4.Invalid, "Signature not yet current: 20261124T043000Z is still later than 20261124T042959Z (20261124T042459Z + 5 min.)"},
	}
	for _, c := range cases {
		err := check(c.w, c.now)
		if c.reason < 0 {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if err == nil || err.Reason != c.reason || !strings.HasPrefix(err.Message, c.text) {
			t.Errorf("%s: %v", c.name, err)
		}
		if err != nil && c.w.Headers["Authorization"] != "" && strings.Contains(err.Message, c.w.Headers["Authorization"]) {
			t.Errorf("%s: repeats the header", c.name)
		}
	}
}

func TestCodesDifferByProtocol(t *testing.T) {
	for reason, want := range map[sigv4.Reason][2]string{
		sigv4.Missing:      {"MissingAuthenticationTokenException", "MissingAuthenticationToken"},
		sigv4.Incomplete:   {"IncompleteSignatureException", "IncompleteSignature"},
		sigv4.Invalid:      {"InvalidSignatureException", "SignatureDoesNotMatch"},
		sigv4.UnknownToken: {"UnrecognizedClientException", "InvalidClientTokenId"},
		sigv4.ExpiredToken: {"ExpiredTokenException", "ExpiredToken"},
	} {
		e := &sigv4.Error{Reason: reason}
		rest, _ := e.Code(false)
		query, _ := e.Code(true)
		if rest != want[0] || query != want[1] {
			t.Errorf("%d: %s, %s", reason, rest, query)
		}
	}
}

// FuzzParse feeds strangers' headers and queries to the parser and, when they
// parse, to the verifier, which must neither panic nor accept.
func FuzzParse(f *testing.F) {
	for _, w := range append(botocore(f), vectors(f, "presigned.json")...) {
		f.Add(w.Headers["Authorization"], w.Headers["X-Amz-Date"], w.Target)
	}
	f.Add("Bearer x", "", "/")
	f.Add("AWS4-HMAC-SHA256 Credential=a/b/c/d/e,SignedHeaders=;;,Signature=0", "Tue, 24 Nov 2026 04:30:00 GMT", "/%zz?%&=+%2")
	f.Fuzz(func(t *testing.T, authorization, date, target string) {
		header := textproto.MIMEHeader{"Authorization": {authorization}, "X-Amz-Date": {date}}
		path, query, _ := strings.Cut(target, "?")
		r := sigv4.Request{
			Method: "GET", Path: path, Query: query, Host: "h",
			Header: func(n string) []string { return header.Values(n) },
		}
		a, err := sigv4.Parse(r)
		if err != nil {
			if err.Message == "" {
				t.Fatal("a refusal without words")
			}
			return
		}
		_ = a.CheckTime(signedAt)
		_ = a.CheckScope("lambda", "us-east-1")
		if a.Verify(r, nil, "a secret nobody signed with") == nil {
			t.Fatalf("accepted %q of %q", authorization, target)
		}
		if service, _ := sigv4.Scope(r); service != a.Service {
			t.Fatalf("scoped to %q, parsed as %q", service, a.Service)
		}
	})
}

// FuzzSigned: what was signed is accepted, and with one byte of it changed only
// when it says the same: a header's blanks have no meaning, its others have,
// and so has every byte of body, signature and method, but for its case, which
// AWS's own clients change when they sign.
func FuzzSigned(f *testing.F) {
	f.Add("/a%2Fb?x=1&y", "body", " two  blanks ", 3, byte('x'))
	f.Add("/", "", "", 0, byte(0))
	f.Add("/functions/a:b?Qualifier=%24LATEST&a+b=%2B", "{}", "a", 200, byte(' '))
	f.Fuzz(func(t *testing.T, target, body, value string, at int, b byte) {
		if !strings.HasPrefix(target, "/") || strings.ContainsAny(value, "\r\n") {
			return // no request can be so
		}
		w := own("POST", target, body, map[string]string{"X-Value": value}, signedAt)
		check := func(w wire) error {
			a, err := sigv4.Parse(w.request())
			if err == nil {
				err = a.CheckTime(signedAt)
			}
			if err == nil {
				err = a.CheckScope("lambda", "us-east-1")
			}
			if err == nil {
				err = a.Verify(w.request(), []byte(w.Body), secret)
			}
			if err != nil {
				return err
			}
			return nil
		}
		presigned := sigv4.IsPresigned(w.request())
		if err := check(w); err != nil && !presigned {
			t.Fatalf("refused its own signature: %v: %+v", err, w)
		} else if presigned {
			return // signed in two ways
		}
		head, signature, _ := strings.Cut(w.Headers["Authorization"], "Signature=")
		parts := []string{w.Method, body, value, signature}
		i := int(uint(at) % uint(len(parts)))
		if len(parts[i]) == 0 {
			return
		}
		changed := []byte(parts[i])
		changed[int(uint(at)/uint(len(parts)))%len(changed)] = b
		parts[i] = string(changed)
		other := wire{Method: parts[0], Target: target, Body: parts[1], Headers: map[string]string{}}
		for name, v := range w.Headers {
			other.Headers[name] = v
		}
		other.Headers["X-Value"], other.Headers["Authorization"] = parts[2], head+"Signature="+parts[3]
		alike := strings.EqualFold(other.Method, w.Method) && other.Body == w.Body && slices.Equal(strings.Fields(parts[2]), strings.Fields(value)) &&
			strings.EqualFold(parts[3], signature) // it is a number
		if err := check(other); (err == nil) != alike {
			t.Fatalf("part %d changed: accepted %v, want %v (%v)\n%q\n%q", i, err == nil, alike, err, w, other)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	w := own("POST", "/functions/a%3Ab?x=1&y=2", `{"a":1}`, map[string]string{"Content-Type": "application/json"}, signedAt)
	r := w.request()
	b.ReportAllocs()
	for b.Loop() {
		a, err := sigv4.Parse(r)
		if err != nil || a.Verify(r, []byte(w.Body), secret) != nil {
			b.Fatal("refused")
		}
	}
}
