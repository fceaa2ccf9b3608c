package control_test

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"weir/internal/control"
)

func TestAnyCredentials(t *testing.T) {
	d := newDoor(t, func(o *control.Options) { o.AnyCredentials, o.Credentials = true, nil })
	mock := "AWS4-HMAC-SHA256 Credential=mock/20220101/eu-central-1/sts/aws4_request, SignedHeaders=host, Signature=0"
	cases := []struct {
		name, host, authorization string
		status                    int
	}{
		{"mock signature", "localhost:4566", mock, 200},
		{"any text", "127.0.0.1:4566", "anything", 200},
		{"ipv6", "[::1]:4566", "anything", 200},
		{"no authorization", "localhost:4566", "", 403},
		{"a name bound to 127.0.0.1", "evil.example:4566", mock, 403},
		{"a name that looks alike", "localhost.evil.example:4566", mock, 403},
		{"another region", "localhost", strings.Replace(mock, "eu-central-1", "eu-west-1", 1), 403},
		{"another service", "localhost", strings.Replace(mock, "/sts/", "/s3/", 1), 404},
	}
	for _, c := range cases {
		a := identity()
		a.unsigned = true
		r := a.request()
		r.Host = c.host
		if c.authorization != "" {
			r.Header.Set("Authorization", c.authorization)
		}
		w := httptest.NewRecorder()
		d.ServeHTTP(w, r)
		if w.Code != c.status {
			t.Errorf("%s: %d %s", c.name, w.Code, w.Body)
		}
	}
	w := d.do(ask{unsigned: true, header: map[string]string{"Authorization": "x"}, body: "{}"})
	if w.Code != 201 {
		t.Errorf("by path: %d %s", w.Code, w.Body)
	}
}

func TestHealthAndReadyAreOpen(t *testing.T) {
	var broken error
	d := newDoor(t, func(o *control.Options) { o.Ready = func() error { return broken } })
	get := func(method, path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		d.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		return w
	}
	if w := get("GET", "/_weir/health"); w.Code != 200 || w.Body.String() != `{"status":"ok"}` {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := get("GET", "/_weir/ready"); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	broken = errors.New("no database at /var/lib/x")
	if w := get("GET", "/_weir/ready"); w.Code != 503 || strings.Contains(w.Body.String(), "/var") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := get("GET", "/_weir/other"); w.Code != 404 {
		t.Errorf("%d", w.Code)
	}
	if w := get("POST", "/_weir/health"); w.Code != 405 {
		t.Errorf("%d", w.Code)
	}
}
