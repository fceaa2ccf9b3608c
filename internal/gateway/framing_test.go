package gateway

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"

	"weir/internal/telemetry"
)

// chunked is a request whose body is sent as written.
func chunked(body string) string {
	return request("POST /prod/open", "", "Transfer-Encoding: chunked") + body
}

// refusedForFraming is all that a refused caller gets, to the byte.
func refusedForFraming(p *problem) string {
	phrases := map[int]string{
		400: "Bad Request", 408: "Request Timeout", 413: "Request Entity Too Large", 414: "Request URI Too Long",
		417: "Expectation Failed", 431: "Request Header Fields Too Large", 503: "Service Unavailable",
	}
	head := fmt.Sprintf("HTTP/1.1 %d %s\r\nDate: DATE\r\n", p.status, phrases[p.status])
	if p.contentType != "" {
		head += "Content-Type: " + p.contentType + "\r\n"
	}
	return head + "Content-Length: " + strconv.Itoa(len(p.body)) + "\r\nConnection: close\r\n\r\n" + p.body
}

// TestFramingRefusals sends what is no request, or none that two readers would
// take for the same, each followed by a good request that must not be seen.
func TestFramingRefusals(t *testing.T) {
	const host = "Host: abc123.execute-api.x.y\r\n"
	long := func(n int) string { return strings.Repeat("x", n) }
	for _, c := range []struct {
		name string
		sent string
		want *problem
	}{
		{"two different lengths", request("POST /prod/open", "hello", "Content-Length: 6"), twoLengths},
		{"the same length twice", request("POST /prod/open", "hello", "content-length: 5"), twoLengths},
		{"a list of lengths", request("POST /prod/open", "", "Content-Length: 1, 1") + "x", badLength},
		{"length with a sign", request("POST /prod/open", "", "Content-Length: +1") + "x", badLength},
		{"length in hexadecimal", request("POST /prod/open", "", "Content-Length: 0x1") + "x", badLength},
		{"no length in the length", request("POST /prod/open", "", "Content-Length: "), badLength},
		{"length beyond any number", request("POST /prod/open", "", "Content-Length: 18446744073709551617") + "x", badLength},
		{"length and chunked", request("POST /prod/open", "", "Content-Length: 5", "Transfer-Encoding: chunked") + "0\r\n\r\n", twoLengths},
		{"chunked and length", request("POST /prod/open", "", "Transfer-Encoding: chunked", "Content-Length: 5") + "0\r\n\r\n", twoLengths},
		{"body declared over 10 MB", request("POST /prod/open", "", "Content-Length: 10485761"), tooLong(maxBody)},
		{"body declared over 10 MB, Expect", request("POST /prod/open", "", "expect: 100-continue", "content-length: 10485761"), tooLong(maxBody)},

		{"chunked twice in one line", request("POST /prod/open", "", "Transfer-Encoding: chunked, chunked") + "0\r\n\r\n", badEncoding},
		{"chunked twice in two lines", request("POST /prod/open", "", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked") + "0\r\n\r\n", twoLengths},
		{"identity", request("POST /prod/open", "", "Transfer-Encoding: identity"), badEncoding},
		{"gzip and chunked", request("POST /prod/open", "", "Transfer-Encoding: gzip, chunked") + "0\r\n\r\n", badEncoding},
		{"quoted chunked", request("POST /prod/open", "", `Transfer-Encoding: "chunked"`) + "0\r\n\r\n", badEncoding},
		{"chunked with a Kelvin sign", request("POST /prod/open", "", "Transfer-Encoding: chun\u212Aed") + "0\r\n\r\n", badEncoding},
		{"vertical tab before chunked", request("POST /prod/open", "", "Transfer-Encoding: \vchunked") + "0\r\n\r\n", badByte},
		{"vertical tab before the colon", request("POST /prod/open", "", "Transfer-Encoding\v: chunked") + "0\r\n\r\n", badByte},
		{"chunked over HTTP/1.0", "POST /_aws/execute-api/abc123/prod/open HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", badEncoding},

		{"chunk size overflow", chunked("10000000000000005\r\nhello\r\n0\r\n\r\n"), badChunkSize},
		{"chunk size with a sign", chunked("+5\r\nhello\r\n0\r\n\r\n"), badChunkSize},
		{"chunk size with a prefix", chunked("0x5\r\nhello\r\n0\r\n\r\n"), badChunkSize},
		{"chunk size with a blank", chunked("5 \r\nhello\r\n0\r\n\r\n"), badChunkSize},
		{"no chunk size", chunked("\r\nhello\r\n0\r\n\r\n"), badChunkSize},
		{"chunk size line with a bare LF", chunked("5\nhello\r\n0\r\n\r\n"), badChunkSize},
		{"chunk longer than its size", chunked("5\r\nhello!\r\n0\r\n\r\n"), badByte},
		{"chunk ended by a bare LF", chunked("5\r\nhello\n0\r\n\r\n"), badLineEnd},
		{"chunk extension with a bare LF", chunked("5;a=b\nhello\r\n0\r\n\r\n"), badLineEnd},
		{"chunk extensions without end", chunked(strings.Repeat("1;"+long(1000)+"\r\nx\r\n", 5)), extensionsTooLong},

		{"trailer that frames", chunked("0\r\nContent-Length: 5\r\n\r\n"), framingTrailer},
		{"trailer that routes", chunked("0\r\nHost: elsewhere\r\n\r\n"), framingTrailer},
		{"trailer that authorises", chunked("0\r\nAuthorization: x\r\n\r\n"), unreadable},
		{"trailer folded", chunked("0\r\nA: b\r\n c\r\n\r\n"), folded},
		{"trailer with a blank before the colon", chunked("0\r\nA : b\r\n\r\n"), blankInName},
		{"trailer with a bare LF", chunked("0\r\nA: b\n\r\n"), badLineEnd},
		{"trailer section of 5 KB", chunked("0\r\nA: " + long(5000) + "\r\n\r\n"), trailerTooLarge},

		{"bare LF ends the request line", "GET /prod/open HTTP/1.1\n" + host + "\r\n", badLineEnd},
		{"bare LF ends a header line", "GET /prod/open HTTP/1.1\r\nA: b\n" + host + "\r\n", badLineEnd},
		{"bare LF ends the head", "GET /prod/open HTTP/1.1\r\n" + host + "\n", badLineEnd},
		{"bare LF ends a head without headers", "GET /_aws/execute-api/abc123/prod/open HTTP/1.0\r\n\n", badLineEnd},
		{"bare CR in a header line", request("GET /prod/open", "", "A: b\rc"), badLineEnd},
		{"two CRs end a line", request("GET /prod/open", "", "A: b\r"), badLineEnd},
		{"NUL in a header line", request("GET /prod/open", "", "A: b\x00c"), badByte},
		{"folded header line", request("GET /prod/open", "", "A: b", " c"), folded},
		{"blank before the first name", "GET /prod/open HTTP/1.1\r\n " + host + "\r\n", folded},
		{"blank before the colon", request("GET /prod/open", "", "A : b"), blankInName},
		{"blank in a name", request("GET /prod/open", "", "A b: c"), blankInName},
		{"no name", request("GET /prod/open", "", ": b"), noName},
		{"no colon", request("GET /prod/open", "", "A"), badLineEnd},
		{"byte outside ASCII in a name", request("GET /prod/open", "", "Ä: b"), badByte},
		{"20,000 headers", request("GET /prod/open", "", strings.Repeat("A: b\r\n", 19_999)+"A: b"), headerTooLarge},
		{"one header of 1 MB", request("GET /prod/open", "", "A: "+long(1<<20)), headerTooLarge},
		{"headers of one byte over 10 KB", request("GET /prod/open", "", "A: "+long(maxHeader-len("Host: abc123.execute-api.us-east-1.localhost:8080\r\nA: \r\n\r\n")+1)), headerTooLarge},
		{"URL of one byte over 10 KB", request("GET /"+long(maxURL), ""), urlTooLong},
		{"verb of 33 bytes", request(strings.ToUpper(long(33))+" /prod/open", ""), verbTooLong},

		{"HTTP/0.9", "GET /prod/open\r\n", badVersion},
		{"HTTP/2.0", "GET /prod/open HTTP/2.0\r\n" + host + "\r\n", badVersion},
		{"HTTP/3.0", "GET /prod/open HTTP/3.0\r\n" + host + "\r\n", badVersion},
		{"HTTP/1.2", "GET /prod/open HTTP/1.2\r\n" + host + "\r\n", badVersion},
		{"HTTP/1.1 in lower case", "GET /prod/open http/1.1\r\n" + host + "\r\n", badVersion},
		{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", badTarget},
		{"TLS on a plain port", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", badByte},
		{"two spaces in the request line", "GET  /prod/open HTTP/1.1\r\n" + host + "\r\n", badTarget},
		{"tab in the request line", "GET\t/prod/open HTTP/1.1\r\n" + host + "\r\n", badByte},
		{"two empty lines first", "\r\n\r\n" + request("GET /prod/open", ""), badLineEnd},
		{"bare LF first", "\n" + request("GET /prod/open", ""), badLineEnd},

		{"no Host", "GET /prod/open HTTP/1.1\r\n\r\n", noHost},
		{"empty Host", request("GET /prod/open", "", "Host:"), badHost},
		{"two Hosts", "GET /prod/open HTTP/1.1\r\n" + host + host + "\r\n", manyHosts},
		{"Host with odd bytes", request("GET /prod/open", "", "Host: abc123.execute-api.x.y/@elsewhere"), badHost},
		{"Host with user", request("GET /prod/open", "", "Host: me@abc123.execute-api.x.y"), badHost},
		{"Host with a port that is none", request("GET /prod/open", "", "Host: abc123.execute-api.x.y:http"), badHost},
		{"Host of 1 KB", request("GET /prod/open", "", "Host: "+long(1000)), valueTooLong},
		{"absolute form of another host", "GET http://abc123.execute-api.x.y/prod/open HTTP/1.1\r\nHost: elsewhere\r\n\r\n", badTarget},
		{"absolute form of another scheme", "GET ftp://abc123.execute-api.x.y/prod/open HTTP/1.1\r\n" + host + "\r\n", badTarget},
		{"absolute form with user", "GET http://me@abc123.execute-api.x.y/prod/open HTTP/1.1\r\n" + host + "\r\n", badTarget},
		{"asterisk form", "OPTIONS * HTTP/1.1\r\n" + host + "\r\n", badTarget},
		{"authority form", "GET abc123.execute-api.x.y:80 HTTP/1.1\r\n" + host + "\r\n", badTarget},
		{"CONNECT", "CONNECT abc123.execute-api.x.y:443 HTTP/1.1\r\n" + host + "\r\n", noTunnel},
		{"CONNECT to a path", request("CONNECT /prod/open", ""), noTunnel},
		{"NUL in the path", request("GET /prod/open\x00", ""), badByte},
		{"CR in the path", request("GET /prod/o\rpen", ""), badVersion},
		{"percent sign that escapes nothing", request("GET /prod/open%zz", ""), badEscape},
		{"percent sign at the end", request("GET /prod/open%2", ""), badEscape},
		{"Expect of something else", request("POST /prod/open", "hello", "Expect: 200-ok"), unknownExpectation},
		{"Expect twice", request("POST /prod/open", "hello", "Expect: 100-continue", "expect: 100-continue"), unknownExpectation},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, ServerOptions{})
			conn := r.dial()
			go func() { // the answer comes before all of it is sent
				_, _ = io.WriteString(conn, c.sent+request("GET /prod/open", ""))
				_ = conn.(*net.TCPConn).CloseWrite()
			}()
			got := volatile[0].pattern.ReplaceAllString(readAll(t, conn), volatile[0].word)
			if got != refusedForFraming(c.want) {
				t.Errorf("got %q, want %q", got, refusedForFraming(c.want))
			}
			if n := len(r.invoker.events); n != 0 {
				t.Errorf("a function was asked %d times", n)
			}
			rec := r.lastRecord()
			if len(r.records) != 1 || rec.Verdict != telemetry.Refused || rec.Reason != c.want.reason || rec.Detail != c.want.detail ||
				rec.Status != c.want.status || rec.Method+rec.Path+rec.UserAgent != "" || !isUUID(rec.RequestID) || rec.Time.IsZero() {
				t.Errorf("%d records, the last %+v", len(r.records), rec)
			}
		})
	}
}
