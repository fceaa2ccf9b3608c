package function

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

func readRequest(in string, limit int) (r request, body []byte, err error) {
	b := bufio.NewReaderSize(strings.NewReader(in), 512)
	if err = r.readHead(b); err == nil {
		body, err = r.readBody(b, limit)
	}
	return r, body, err
}

func TestRequestsThatAreRead(t *testing.T) {
	long := strings.Repeat("x", 1<<20-1)
	for name, c := range map[string]struct {
		in                 string
		method, path, body string
		errorType          string
		errorBody          string
		closing            bool
	}{
		"next":           {"GET /next HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/next", "", "", "", false},
		"content-length": {"POST /r HTTP/1.1\r\ncontent-LENGTH: 5\r\n\r\nhellotail", "POST", "/r", "hello", "", "", false},
		"close":          {"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", "GET", "/", "", "", "", true},
		"old version":    {"GET / HTTP/1.0\r\n\r\n", "GET", "/", "", "", "", true},
		"chunks":         {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", "POST", "/", "abcde", "", "", false},
		"trailers": {
			"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTrailer: Lambda-Runtime-Function-Error-Type\r\n\r\n0\r\nLambda-Runtime-Function-Error-Type: T\r\nLambda-Runtime-Function-Error-Body: e30=\r\n\r\n",
			"POST", "/", "", "T", "e30=", false,
		},
		"a header line of a megabyte": {
			"POST / HTTP/1.1\r\nLambda-Runtime-Function-Xray-Error-Cause: " + long + "\r\nLambda-Runtime-Function-Error-Type: T\r\nContent-Length: 2\r\n\r\n{}",
			"POST", "/", "{}", "T", "", false,
		},
	} {
		r, body, err := readRequest(c.in, 1000)
		if err != nil || string(r.method) != c.method || string(r.path) != c.path || string(body) != c.body ||
			r.errorType != c.errorType || r.errorBody != c.errorBody || r.closing != c.closing {
			t.Errorf("%s: %s %s body %q, error %v, %+v", name, r.method, r.path, body, err, r)
		}
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	for name, in := range map[string]string{
		"both lengths":              "POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"both lengths, other order": "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
		"two lengths":               "POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
		"negative length":           "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
		"length that is huge":       "POST / HTTP/1.1\r\nContent-Length: 99999999999999\r\n\r\n",
		"length to discard":         "POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
		"bare LF":                   "GET / HTTP/1.1\nHost: a\n\n",
		"bare CR":                   "GET / HTTP/1.1\r\nA: b\rc\r\n\r\n",
		"folded line":               "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
		"space before colon":        "GET / HTTP/1.1\r\nA : b\r\n\r\n",
		"no colon":                  "GET / HTTP/1.1\r\nA\r\n\r\n",
		"unknown version":           "GET / HTTP/2.0\r\n\r\n",
		"no version":                "GET /\r\n\r\n",
		"other encoding":            "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"control character":         "GET / HTTP/1.1\r\nA: b\vc\r\n\r\n",
		"chunks in HTTP/1.0":        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"chunk size":                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n",
		"chunk size that is huge":   "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n",
		"chunk without end":         "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcde\r\n0\r\n\r\n",
		"many lines":                "GET / HTTP/1.1\r\n" + strings.Repeat("A: b\r\n", maxHeaderLines+1) + "\r\n",
		"long head":                 "GET / HTTP/1.1\r\nA: " + strings.Repeat("x", maxHeadBytes) + "\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := readRequest(in, 1000); !errors.Is(err, errMalformed) {
				t.Errorf("error %v, want errMalformed", err)
			}
		})
	}
}

func TestBodyLimitReadsToTheEnd(t *testing.T) {
	for name, in := range map[string]string{
		"content-length": "POST / HTTP/1.1\r\nContent-Length: 11\r\n\r\n01234567890NEXT",
		"chunks":         "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n012345\r\n5\r\n67890\r\n0\r\n\r\nNEXT",
	} {
		b := bufio.NewReader(strings.NewReader(in))
		var r request
		if err := r.readHead(b); err != nil {
			t.Fatal(err)
		}
		if _, err := r.readBody(b, 10); !errors.Is(err, errBodyTooLarge) {
			t.Errorf("%s: error %v", name, err)
		}
		if rest, _ := io.ReadAll(b); string(rest) != "NEXT" {
			t.Errorf("%s: %q is left, want NEXT", name, rest)
		}
	}
}

// FuzzRequest: what is taken for a request net/http takes for the same one, and
// both leave the same bytes for the next. What we refuse it may accept.
func FuzzRequest(f *testing.F) {
	for _, in := range []string{
		"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET /",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nA: b\r\n\r\nGET /",
		"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n",
		"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nLambda-Runtime-Function-Error-Type: T\r\n\r\n",
	} {
		f.Add([]byte(in))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		const limit = 100
		b := bufio.NewReaderSize(bytes.NewReader(in), 64)
		var r request
		if r.readHead(b) != nil {
			return
		}
		method, path := string(r.method), string(r.path)
		if r.chunked && r.length >= 0 {
			t.Fatal("two lengths")
		}
		if !isToken(r.method) || r.path[0] != '/' || strings.ContainsAny(path, " \r\n") {
			t.Fatalf("request line %q %q", method, path)
		}
		body, err := r.readBody(b, limit)
		if len(body) > limit {
			t.Fatalf("body of %d bytes", len(body))
		}
		if strings.ContainsAny(r.errorType, "\r\n") {
			t.Fatalf("error type %q", r.errorType)
		}
		if err != nil && !errors.Is(err, errBodyTooLarge) {
			return
		}
		rest, _ := io.ReadAll(b)
		compareRequest(t, in, method, path, body, err, rest)
	})
}

// compareRequest reads the same bytes with net/http.
func compareRequest(t *testing.T, in []byte, method, path string, body []byte, tooLarge error, rest []byte) {
	other := bufio.NewReader(bytes.NewReader(in))
	want, err := http.ReadRequest(other)
	if err != nil {
		// It looks into the target and the Host, which we hand to nobody.
		for _, why := range []string{"invalid URI", "parse \"", "malformed Host header", "invalid Host"} {
			if strings.Contains(err.Error(), why) {
				return
			}
		}
		t.Fatalf("net/http refuses %q: %v", in, err)
	}
	wantBody, err := io.ReadAll(want.Body)
	if err != nil {
		t.Fatalf("net/http refuses the body of %q: %v", in, err)
	}
	wantRest, _ := io.ReadAll(other)
	if want.Method != method || want.RequestURI != path {
		t.Fatalf("read %q %q, net/http %q %q", method, path, want.Method, want.RequestURI)
	}
	if tooLarge == nil && !bytes.Equal(body, wantBody) || tooLarge != nil && len(wantBody) <= len(body) {
		t.Fatalf("body %q (%v), net/http %q", body, tooLarge, wantBody)
	}
	if !bytes.Equal(rest, wantRest) {
		t.Fatalf("%q: left %q, net/http %q", in, rest, wantRest)
	}
}
