package control_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"weir/internal/control"
	"weir/internal/sigv4"
)

// link is a presigned request.
type link struct {
	method, target, service string
	key, secret, token      string
	expires                 time.Duration
}

func (l link) request() *http.Request {
	path, query, _ := strings.Cut(l.target, "?")
	r := sigv4.Request{Method: l.method, Path: path, Query: query, Host: "127.0.0.1:4566", Header: func(string) []string { return nil }}
	query = sigv4.Presign(r, sigv4.Credentials{AccessKeyID: l.key, SecretKey: l.secret, Token: l.token},
		"eu-central-1", l.service, noon, l.expires)
	h := httptest.NewRequest(l.method, path+"?"+query, nil)
	h.Host = r.Host
	return h
}

func whoAmILink() link {
	return link{"GET", "/?" + whoAmI, "sts", rootKey, rootSecret, "", time.Minute}
}

// TestPresignedCalls: a link is a call, whoever sends it, until it expires.
func TestPresignedCalls(t *testing.T) {
	for _, c := range []struct {
		name   string
		edit   func(*link)
		bend   func(*http.Request)
		late   time.Duration
		status int
		text   string
	}{
		{"get", nil, nil, 0, 200, "<Arn>arn:aws:iam::000000000000:root</Arn>"},
		{"post", func(l *link) { l.method = "POST" }, nil, 0, 200, "<Arn>arn:aws:iam::000000000000:root</Arn>"},
		{"session", func(l *link) { l.key, l.secret, l.token = sessionKey, "session-secret", "live" }, nil, 0, 200, "<Arn>" + roleARN + "</Arn>"},
		{"session without its token", func(l *link) { l.key, l.secret = sessionKey, "session-secret" }, nil, 0, 403, "<Code>InvalidClientTokenId</Code>"},
		{"session over", func(l *link) { l.key, l.token = sessionKey, "over" }, nil, 0, 403, "<Code>ExpiredToken</Code>"},
		{"in its time", nil, nil, time.Minute, 200, "root"},
		{"expired", nil, nil, 61 * time.Second, 403, "<Message>Signature expired: 20261124T120000Z is now earlier than 20261124T120001Z (20261124T120101Z - 1 min.)</Message>"},
		{"after fifteen minutes", func(l *link) { l.expires = time.Hour }, nil, 15*time.Minute + time.Second, 403, "- 15 min.)"},
		{"a week and a second", func(l *link) { l.expires = sigv4.MaxExpires + time.Second }, nil, 0, 400, "X-Amz-Expires must be less than a week"},
		{"wrong secret", func(l *link) { l.secret = "x" }, nil, 0, 403, "<Code>SignatureDoesNotMatch</Code>"},
		{"another service", func(l *link) { l.service = "s3" }, nil, 0, 404, "is not served here"},
		{"another operation", nil, func(r *http.Request) { r.RequestURI = strings.Replace(r.RequestURI, "GetCaller", "PutCaller", 1) }, 0, 403, "SignatureDoesNotMatch"},
		{"another host", nil, func(r *http.Request) { r.Host = "localhost:4566" }, 0, 403, "SignatureDoesNotMatch"},
		{"two signatures", nil, func(r *http.Request) { r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=a/b/c/sts/e") }, 0, 403, "Found both &#39;X-Amz-Algorithm&#39; as a query-string param and &#39;Authorization&#39; as HTTP header."},
		{"a header of AWS's", nil, func(r *http.Request) { r.Header.Set("X-Amz-Target", "x") }, 0, 403, "There were headers present in the request which were not signed: x-amz-target"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := whoAmILink()
			if c.edit != nil {
				c.edit(&l)
			}
			r := l.request()
			if c.bend != nil {
				c.bend(r)
			}
			d := newDoor(t, func(o *control.Options) { o.Now = func() time.Time { return noon.Add(c.late) } })
			w := httptest.NewRecorder()
			d.ServeHTTP(w, r)
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.text) {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if strings.Contains(d.logs.String(), "X-Amz-") || strings.Contains(d.logs.String(), l.secret) {
				t.Errorf("the log tells too much: %s", &d.logs)
			}
		})
	}
}

// TestPresignedWithAnyCredentials: any web page can make a link, so there even
// any signature is not enough.
func TestPresignedWithAnyCredentials(t *testing.T) {
	d := newDoor(t, func(o *control.Options) { o.AnyCredentials = true })
	for secret, status := range map[string]int{rootSecret: 200, "guess": 403} {
		l := whoAmILink()
		l.secret = secret
		w := httptest.NewRecorder()
		d.ServeHTTP(w, l.request())
		if w.Code != status {
			t.Errorf("%s: %d %s", secret, w.Code, w.Body)
		}
	}
}

// TestPresignedOwnRoutes: weir's own routes take a link too, for themselves
// only.
func TestPresignedOwnRoutes(t *testing.T) {
	answer := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("it")) })
	d := newDoor(t, func(o *control.Options) {
		o.Own = map[string]http.Handler{"/_weir/one": answer, "/_weir/other": answer}
	})
	l := link{"GET", "/_weir/one?n=1", control.OwnService, rootKey, rootSecret, "", time.Minute}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, l.request())
	if w.Code != 200 || w.Body.String() != "it" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for _, change := range []string{"/one", "n=1"} {
		r := l.request()
		r.RequestURI = strings.Replace(r.RequestURI, change, map[string]string{"/one": "/other", "n=1": "n=2"}[change], 1)
		w := httptest.NewRecorder()
		d.ServeHTTP(w, r)
		if w.Code != 403 {
			t.Errorf("%s changed: %d %s", change, w.Code, w.Body)
		}
	}
}
