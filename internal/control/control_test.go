package control_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"weir/internal/control"
	"weir/internal/control/protocol"
	"weir/internal/control/sts"
	"weir/internal/sigv4"
)

const (
	rootKey    = "AKIAROOT"
	rootSecret = "root-secret"
	sessionKey = "ASIASESSION"
	roleARN    = "arn:aws:sts::000000000000:assumed-role/r/f"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

type echoInput struct {
	Name string `path:"name"`
	Text string `json:"text" max:"5"`
}
type echoOutput struct {
	Name   string `json:"name"`
	Text   string `json:"text,omitempty"`
	Caller string `json:"caller"`
}

func things() protocol.Service {
	return protocol.Service{
		Name: "things",
		Operations: []protocol.Operation{
			protocol.REST("Echo", "POST", "/things/{name}", 201,
				func(_ context.Context, c protocol.Call, in *echoInput) (*echoOutput, error) {
					return &echoOutput{in.Name, in.Text, c.Caller.ARN}, nil
				}),
			protocol.REST("Break", "GET", "/break", 200,
				func(context.Context, protocol.Call, *struct{}) (*echoOutput, error) {
					return nil, errors.New("the vault's combination is 1234")
				}),
		},
		Authorization: func(c protocol.Call, _, path string) (string, string) {
			return "things:" + c.Operation, "arn:aws:things:" + c.Region + "::" + path
		},
	}
}

type bench struct {
	*control.Door
	logs bytes.Buffer
}

func newDoor(t *testing.T, edit func(*control.Options)) *bench {
	t.Helper()
	b := &bench{}
	o := control.Options{
		Region: "eu-central-1", Account: "000000000000",
		Services: []protocol.Service{things(), sts.Service()},
		Now:      func() time.Time { return noon },
		Logger:   slog.New(slog.NewTextHandler(&b.logs, nil)),
		Credentials: func(id, token string, now time.Time) (string, protocol.Caller, error) {
			switch {
			case id == rootKey && token == "":
				return rootSecret, protocol.Caller{ARN: "arn:aws:iam::000000000000:root", UserID: "000000000000", Account: "000000000000", Root: true}, nil
			case id == sessionKey && token == "live":
				return "session-secret", protocol.Caller{ARN: roleARN, UserID: "AROAX:f", Account: "000000000000"}, nil
			case id == sessionKey && token == "over":
				return "", protocol.Caller{}, control.ErrExpiredToken
			case id == "AKIABROKEN":
				return "", protocol.Caller{}, errors.New("disk at /var/secret is gone")
			}
			return "", protocol.Caller{}, control.ErrUnknownKey
		},
	}
	if edit != nil {
		edit(&o)
	}
	d, err := control.New(o)
	if err != nil {
		t.Fatal(err)
	}
	b.Door = d
	return b
}

type ask struct {
	method, target, body  string
	service, region       string
	key, secret, token    string
	header                map[string]string
	at                    time.Time
	unsigned, formEncoded bool
	targetUnsigned        bool // X-Amz-Target is there, and not signed
}

func (a ask) request() *http.Request {
	or := func(s *string, d string) {
		if *s == "" {
			*s = d
		}
	}
	or(&a.method, "POST")
	or(&a.target, "/things/a%2Fb")
	or(&a.service, "things")
	or(&a.region, "eu-central-1")
	or(&a.key, rootKey)
	or(&a.secret, rootSecret)
	if a.at.IsZero() {
		a.at = noon
	}
	r := httptest.NewRequest(a.method, a.target, strings.NewReader(a.body))
	r.Host = "127.0.0.1:4566"
	if a.formEncoded {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	}
	if !a.unsigned {
		path, query, _ := strings.Cut(r.RequestURI, "?")
		var names []string
		if target := a.header["X-Amz-Target"]; target != "" && !a.targetUnsigned {
			r.Header.Set("X-Amz-Target", target)
			names = append(names, "X-Amz-Target")
		}
		for _, f := range sigv4.Sign(sigv4.Request{Method: a.method, Path: path, Query: query, Host: r.Host, Header: r.Header.Values},
			[]byte(a.body), sigv4.Credentials{AccessKeyID: a.key, SecretKey: a.secret, Token: a.token}, a.region, a.service, a.at, names...) {
			r.Header.Set(f.Name, f.Value)
		}
	}
	for k, v := range a.header {
		r.Header.Set(k, v)
	}
	return r
}

func (b *bench) do(a ask) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	b.ServeHTTP(w, a.request())
	return w
}

const whoAmI = "Action=GetCallerIdentity&Version=2011-06-15"

func identity() ask {
	return ask{target: "/", body: whoAmI, service: "sts", formEncoded: true}
}

func TestASignedCallIsServed(t *testing.T) {
	d := newDoor(t, nil)
	w := d.do(ask{body: `{"text":"ä<&"}`})
	if w.Code != 201 || w.Body.String() != `{"name":"a/b","text":"ä<&","caller":"arn:aws:iam::000000000000:root"}` {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if id := w.Header()["x-amzn-RequestId"]; len(id) != 1 || len(id[0]) != 36 {
		t.Errorf("request id %q", id)
	}
	line := d.logs.String()
	for _, want := range []string{"service=things", "operation=Echo", "status=201", "caller=arn:aws:iam::000000000000:root"} {
		if !strings.Contains(line, want) {
			t.Errorf("the log lacks %s: %s", want, line)
		}
	}
	if strings.Contains(line, rootSecret) || strings.Contains(line, "Signature") {
		t.Errorf("the log tells secrets: %s", line)
	}
}

func TestWhoAmI(t *testing.T) {
	d := newDoor(t, nil)
	for _, region := range []string{"eu-central-1", "us-east-1"} {
		a := identity()
		a.region = region
		w := d.do(a)
		var out struct {
			XMLName xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ GetCallerIdentityResponse"`
			Arn     string   `xml:"GetCallerIdentityResult>Arn"`
			UserID  string   `xml:"GetCallerIdentityResult>UserId"`
			Account string   `xml:"GetCallerIdentityResult>Account"`
			ID      string   `xml:"ResponseMetadata>RequestId"`
		}
		if err := xml.Unmarshal(w.Body.Bytes(), &out); err != nil || w.Code != 200 {
			t.Fatalf("%d %v %s", w.Code, err, w.Body)
		}
		if out.Arn != "arn:aws:iam::000000000000:root" || out.UserID != "000000000000" || out.Account != "000000000000" || len(out.ID) != 36 {
			t.Errorf("%s: %+v", region, out)
		}
	}
}

// The session of a function may ask who it is, and nothing else.
func TestASessionMayOnlyAskWhoItIs(t *testing.T) {
	d := newDoor(t, nil)
	a := identity()
	a.key, a.secret, a.token = sessionKey, "session-secret", "live"
	if w := d.do(a); w.Code != 200 || !strings.Contains(w.Body.String(), "<Arn>"+roleARN+"</Arn>") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	w := d.do(ask{key: sessionKey, secret: "session-secret", token: "live"})
	want := `{"Message":"User: ` + roleARN + ` is not authorized to perform: things:Echo on resource: arn:aws:things:eu-central-1::/things/a%2Fb because no identity-based policy allows the things:Echo action"}`
	if w.Code != 403 || w.Body.String() != want || w.Header()["x-amzn-ErrorType"][0] != "AccessDeniedException" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestRefusals(t *testing.T) {
	d := newDoor(t, nil)
	form := func(a ask) ask {
		i := identity()
		a.target, a.body, a.service, a.formEncoded = i.target, i.body, i.service, true
		return a
	}
	cases := []struct {
		name   string
		ask    ask
		status int
		code   string
		text   string
	}{
		{"no signature", ask{unsigned: true}, 403, "MissingAuthenticationTokenException", "Missing Authentication Token"},
		{"no signature, form", form(ask{unsigned: true}), 403, "MissingAuthenticationToken", "Request is missing Authentication Token"},
		{"basic", ask{unsigned: true, header: map[string]string{"Authorization": "Basic dTpwYXNz"}}, 403, "IncompleteSignatureException", "Invalid key=value pair (missing equal-sign)"},
		{"half, form", form(ask{unsigned: true, header: map[string]string{"Authorization": "AWS4-HMAC-SHA256 Credential=a/b/c/sts/aws4_request"}}), 400, "IncompleteSignature", "Authorization header requires 'Signature' parameter."},
		{"unknown key", ask{key: "AKIANOBODY"}, 403, "UnrecognizedClientException", "The security token included in the request is invalid."},
		{"unknown key, form", form(ask{key: "AKIANOBODY"}), 403, "InvalidClientTokenId", "The security token included in the request is invalid."},
		{"token with the root key", ask{token: "x"}, 403, "UnrecognizedClientException", "The security token included in the request is invalid."},
		{"session without token", ask{key: sessionKey, secret: "session-secret"}, 403, "UnrecognizedClientException", "The security token included in the request is invalid."},
		{"session over", ask{key: sessionKey, token: "over"}, 403, "ExpiredTokenException", "The security token included in the request is expired"},
		{"wrong secret", ask{secret: "x"}, 403, "InvalidSignatureException", "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method."},
		{"wrong secret, form", form(ask{secret: "x"}), 403, "SignatureDoesNotMatch", "The request signature we calculated does not match"},
		{"other region", ask{region: "eu-west-1"}, 403, "InvalidSignatureException", "Credential should be scoped to a valid region. "},
		{"us-east-1 for a regional service", ask{region: "us-east-1"}, 403, "InvalidSignatureException", "Credential should be scoped to a valid region. "},
		{"old", ask{at: noon.Add(-6 * time.Minute)}, 403, "InvalidSignatureException", "Signature expired: 20261124T115400Z is now earlier than 20261124T115500Z (20261124T120000Z - 5 min.)"},
		{"unknown service", ask{service: "s3"}, 404, "UnknownOperationException", `The service "s3" is not served here. Served: things, sts.`},
		{"unknown path", ask{target: "/nothing/here"}, 403, "AccessDeniedException", "Unable to determine service/operation name to be authorized"},
		{"unknown verb", ask{method: "DELETE"}, 403, "AccessDeniedException", "Unable to determine service/operation name to be authorized"},
		{"another origin", ask{header: map[string]string{"Origin": "http://evil.example"}}, 403, "AccessDeniedException", "another origin"},
		{"another site", ask{header: map[string]string{"Sec-Fetch-Site": "cross-site"}}, 403, "AccessDeniedException", "another origin"},
		{"constraint", ask{body: `{"text":"too long"}`}, 400, "ValidationException", "1 validation error detected: Value 'too long' at 'text' failed to satisfy constraint: Member must have length less than or equal to 5"},
	}
	for _, c := range cases {
		w := d.do(c.ask)
		var code, text string
		if c.ask.formEncoded {
			var e struct {
				XMLName xml.Name `xml:"ErrorResponse"`
				Code    string   `xml:"Error>Code"`
				Message string   `xml:"Error>Message"`
				ID      string   `xml:"RequestId"`
			}
			if err := xml.Unmarshal(w.Body.Bytes(), &e); err != nil || len(e.ID) != 36 {
				t.Errorf("%s: %v %s", c.name, err, w.Body)
			}
			code, text = e.Code, e.Message
		} else {
			code, text = strings.Join(w.Header()["x-amzn-ErrorType"], ""), w.Body.String()
			text = strings.ReplaceAll(text, `\"`, `"`)
		}
		if w.Code != c.status || code != c.code || !strings.Contains(text, c.text) {
			t.Errorf("%s: %d %s %s", c.name, w.Code, code, text)
		}
		for name := range w.Header() {
			if strings.HasPrefix(strings.ToLower(name), "access-control-") {
				t.Errorf("%s: sends %s", c.name, name)
			}
		}
	}
}

func TestWhatBreaksIsLoggedAndNotTold(t *testing.T) {
	for _, a := range []ask{{method: "GET", target: "/break"}, {key: "AKIABROKEN"}} {
		d := newDoor(t, nil)
		w := d.do(a)
		id := strings.Join(w.Header()["x-amzn-RequestId"], "")
		if w.Code != 500 || !strings.Contains(w.Body.String(), id) || id == "" {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		for _, secret := range []string{"1234", "/var/secret"} {
			if strings.Contains(w.Body.String(), secret) {
				t.Errorf("told %s", w.Body)
			}
		}
		if n := strings.Count(d.logs.String(), "level=ERROR"); n != 1 {
			t.Errorf("%d error lines: %s", n, &d.logs)
		}
	}
}

func TestBodiesAreBounded(t *testing.T) {
	d := newDoor(t, func(o *control.Options) { o.MaxBody = 100 })
	fits := ask{body: `{"x":"` + strings.Repeat("x", 92) + `"}`}
	if w := d.do(fits); w.Code != 201 {
		t.Errorf("100 bytes: %d %s", w.Code, w.Body)
	}
	for _, declared := range []bool{true, false} {
		r := ask{body: strings.Repeat("x", 101)}.request()
		read := &counter{Reader: r.Body}
		r.Body = io.NopCloser(read)
		if !declared {
			r.ContentLength = -1
		}
		w := httptest.NewRecorder()
		d.ServeHTTP(w, r)
		if w.Code != 413 || w.Body.String() != `{"message":"Request must be smaller than 100 bytes for the Echo operation"}` {
			t.Errorf("declared %v: %d %s", declared, w.Code, w.Body)
		}
		if declared && read.n > 0 {
			t.Errorf("read %d bytes of a body that was announced as too large", read.n)
		}
	}
}

// What a stranger sends must not be read before the key is known.
func TestAStrangersBodyIsNotRead(t *testing.T) {
	for _, a := range []ask{{unsigned: true}, {key: "AKIANOBODY"}, {region: "x"}} {
		a.body = "0123456789"
		r := a.request()
		read := &counter{Reader: r.Body}
		r.Body = io.NopCloser(read)
		w := httptest.NewRecorder()
		d := newDoor(t, nil)
		if d.Knows(r) {
			t.Errorf("%+v is known", a)
		}
		d.ServeHTTP(w, r)
		if w.Code != 403 || read.n != 0 {
			t.Errorf("%d, %d bytes read", w.Code, read.n)
		}
	}
	if r := (ask{body: "{}"}).request(); !newDoor(t, nil).Knows(r) {
		t.Error("root is not known")
	}
	open := newDoor(t, func(o *control.Options) { o.AnyCredentials, o.Credentials = true, nil })
	r := ask{unsigned: true, body: "{}"}.request()
	if open.Knows(r) {
		t.Error("known without an Authorization header")
	}
	r.Header.Set("Authorization", "x")
	if !open.Knows(r) {
		t.Error("any credentials are not known")
	}
	if r.Host = "evil.example"; open.Knows(r) {
		t.Error("another host is known")
	}
}

type counter struct {
	io.Reader
	n int
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += n
	return n, err
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	if _, err := control.New(control.Options{}); err == nil {
		t.Error("built a door without credentials")
	}
	if _, err := control.New(control.Options{AnyCredentials: true, Services: []protocol.Service{things(), things()}}); err == nil {
		t.Error("built a door with a service twice")
	}
}

// Engines that keep header names as they were sent must not hide a signature.
func TestHeaderNamesInAnyCase(t *testing.T) {
	r := ask{body: "{}"}.request()
	odd := http.Header{}
	for k, v := range r.Header {
		odd[strings.ToLower(k)] = v
	}
	r.Header = odd
	w := httptest.NewRecorder()
	newDoor(t, nil).ServeHTTP(w, r)
	if w.Code != 201 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
