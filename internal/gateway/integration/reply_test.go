package integration

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"weir/internal/gateway/message"
)

func TestReplyRules(t *testing.T) {
	type want struct {
		status int // 0: failure
		header string
		body   string
	}
	const jsonType = "Content-Type: application/json"
	for _, c := range []struct {
		name, payload string
		want          want
		fails         int
	}{
		{"whole", `{"statusCode":201,"headers":{"A":"1","content-type":"text/plain"},"body":"hi","isBase64Encoded":false}`, want{201, "A: 1|content-type: text/plain", "hi"}, 0},
		{"empty object", ` {} `, want{200, jsonType, ""}, 0},
		{"status only", `{"statusCode": 200 }`, want{200, jsonType, ""}, 0},
		{"headers only", `{"headers":{"X":"y"}}`, want{200, jsonType + "|X: y", ""}, 0},
		{"status as string", `{"statusCode":"201"}`, want{201, jsonType, ""}, 0},
		{"status not numeric", `{"statusCode":"abc"}`, want{}, 502},
		{"status fraction", `{"statusCode":200.5}`, want{}, 502},
		{"status informational", `{"statusCode":101}`, want{}, 502},
		{"unknown member", `{"statusCode":200,"other":1}`, want{}, 502},
		{"member in another case", `{"statuscode":200}`, want{}, 502},
		{"bare string", `"x"`, want{}, 502},
		{"number", `1`, want{}, 502},
		{"array", `[]`, want{}, 502},
		{"null", `null`, want{}, 502},
		{"not JSON", `{"statusCode":200`, want{}, 502},
		{"nothing", ``, want{}, 502},
		{"body object", `{"body":{"a":1}}`, want{}, 502},
		{"body number", `{"body":1}`, want{}, 502},
		{"body null", `{"body":null}`, want{200, jsonType, ""}, 0},
		{"body escapes", `{"body":"a\n\u00e9\ud83d\ude00"}`, want{200, jsonType, "a\né😀"}, 0},
		{"headers null", `{"headers":null,"multiValueHeaders":null}`, want{200, jsonType, ""}, 0},
		{"headers array", `{"headers":[]}`, want{}, 502},
		{"header boolean and number", `{"headers":{"a":true,"b":1.50,"c":null}}`, want{200, jsonType + "|a: true|b: 1.50", ""}, 0},
		{"header object", `{"headers":{"a":{}}}`, want{}, 502},
		{"multi not lists", `{"multiValueHeaders":{"a":"b"}}`, want{}, 502},
		{"multi", `{"multiValueHeaders":{"Set-Cookie":["a=1","b=2"]}}`, want{200, jsonType + "|Set-Cookie: a=1|Set-Cookie: b=2", ""}, 0},
		{"both", `{"headers":{"x":"1","y":"2","z":"4"},"multiValueHeaders":{"X":["1","3"],"Y":["5"]}}`, want{200, jsonType + "|X: 1|X: 3|Y: 5|Y: 2|z: 4", ""}, 0},
		{"splitting value", `{"headers":{"a":"b\r\nSet-Cookie: c"}}`, want{}, 502},
		{"splitting name", `{"headers":{"a: b\r\nc":"d"}}`, want{}, 502},
		{
			"remapped and dropped", `{"headers":{"Date":"d","Server":"s","Connection":"close","WWW-Authenticate":"w","Content-Length":"99","Transfer-Encoding":"chunked","Trailer":"x","Via":"v","x-amzn-RequestId":"r","User-Agent":"u","Authorization":"z","Content-Encoding":"gzip","Content-MD5":"m"}}`,
			want{200, jsonType + "|x-amzn-Remapped-Date: d|x-amzn-Remapped-Server: s|x-amzn-Remapped-Connection: close|x-amzn-Remapped-WWW-Authenticate: w|x-amzn-Remapped-x-amzn-RequestId: r|x-amzn-Remapped-User-Agent: u|x-amzn-Remapped-Authorization: z|Content-Encoding: gzip|x-amzn-Remapped-Content-MD5: m", ""},
			0,
		},
		{"base64 not asked for", `{"body":"aGk=","isBase64Encoded":true}`, want{200, jsonType, "aGk="}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp, failure := newScene(answers(c.payload)).do(t)
			check(t, resp, failure, c.want.status, c.want.header, c.want.body, c.fails)
		})
	}
}

func check(t *testing.T, resp message.Response, failure *Failure, status int, header, body string, fails int) {
	t.Helper()
	if failure != nil || fails != 0 {
		if failure == nil || failure.Status != fails {
			t.Fatalf("failure %+v, want status %d", failure, fails)
		}
		return
	}
	var lines []string
	for _, f := range resp.Header {
		if f.Name != "X-Amzn-Trace-Id" {
			lines = append(lines, f.Name+": "+f.Value)
		}
	}
	if got := strings.Join(lines, "|"); resp.Status != status || got != header || string(resp.Body) != body {
		t.Errorf("got %d %q %q, want %d %q %q", resp.Status, got, resp.Body, status, header, body)
	}
}

func TestBase64ReplyIsDecodedForCallersThatTakeBinary(t *testing.T) {
	for _, c := range []struct {
		accept, payload, body string
		fails                 bool
	}{
		{"image/png, text/html", `{"body":"AP8=","isBase64Encoded":true}`, "\x00\xff", false},
		{"text/html, image/png", `{"body":"AP8=","isBase64Encoded":true}`, "AP8=", false},
		{"image/png", `{"body":"AP8=","isBase64Encoded":false}`, "AP8=", false},
		{"image/png", `{"body":"!!","isBase64Encoded":true}`, "", true},
	} {
		s := newScene(answers(c.payload))
		s.api.BinaryMediaTypes = []string{"image/*"}
		s.req.Header.Add("accept", c.accept)
		resp, failure := s.do(t)
		if c.fails != (failure != nil) || string(resp.Body) != c.body {
			t.Errorf("%s %s: got %q %+v", c.accept, c.payload, resp.Body, failure)
		}
		if failure != nil && (failure.Type != ConfigurationError || failure.Status != 0) {
			t.Errorf("failure %+v", failure)
		}
	}
}

func FuzzReply(f *testing.F) {
	for _, s := range []string{`{"statusCode":200,"headers":{"a":"b"},"multiValueHeaders":{"c":["d",1,true]},"body":"x","isBase64Encoded":true}`, `{}`, `[]`, `"\ud800"`, `{"body":"\u0000"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		r, problem := parseReply(payload)
		var top map[string]json.RawMessage
		object := json.Unmarshal(payload, &top) == nil && top != nil
		if problem != "" {
			return
		}
		if !object {
			t.Fatalf("%q is no object, but was read as %+v", payload, r)
		}
		for key := range top {
			if !slices.Contains([]string{"statusCode", "headers", "multiValueHeaders", "body", "isBase64Encoded"}, key) {
				t.Fatalf("%q: unknown member %q was let through", payload, key)
			}
		}
		if headerSize(r.header) > maxReplyHeader || len(r.body) > 3*len(payload) { // U+FFFD for a byte
			t.Fatalf("%q: headers of %d bytes, body of %d", payload, headerSize(r.header), len(r.body))
		}
		if r.status < 200 || r.status > 599 {
			t.Fatalf("%q: status %d", payload, r.status)
		}
		for _, h := range r.header {
			if !validName(h.Name) || strings.ContainsAny(h.Value, "\r\n\x00") {
				t.Fatalf("%q: header %q", payload, h)
			}
		}
		var body *string
		if json.Unmarshal(top["body"], &body) == nil && body != nil && *body != string(r.body) && utf8Clean(top["body"]) {
			t.Fatalf("%q: body %q, want %q", payload, r.body, *body)
		}
	})
}

func utf8Clean(raw []byte) bool { return !bytes.ContainsRune(raw, '\uFFFD') }

func BenchmarkProxyReply(b *testing.B) {
	payload := []byte(`{"statusCode":200,"headers":{"Content-Type":"application/json"},"body":"{\"timestamp\":\"2026-11-24 09:08:07\"}"}`)
	b.ReportAllocs()
	for b.Loop() {
		parseReply(payload)
	}
}
