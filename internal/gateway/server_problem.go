package gateway

import (
	"strconv"
	"time"

	"weir/internal/telemetry"
)

// problem is a request that is refused before it is one: for how it was
// framed, or for its size. It says nothing that the caller sent.
type problem struct {
	status      int
	contentType string
	body        string
	reason      string // of its Record: one word
	detail      string // of its Record: one sentence
}

// Error lets a problem travel through the engine.
func (p *problem) Error() string { return p.detail }

// Reasons of the Records of refused requests.
const (
	reasonMalformed   = "MALFORMED_REQUEST"
	reasonIncomplete  = "INCOMPLETE_REQUEST"
	reasonTimeout     = "REQUEST_TIMEOUT"
	reasonTooLarge    = "REQUEST_TOO_LARGE"
	reasonURLTooLong  = "URI_TOO_LONG"
	reasonHeader      = "HEADER_TOO_LARGE"
	reasonExpectation = "EXPECTATION_FAILED"
	reasonMemory      = "OUT_OF_BODY_MEMORY"
	reasonStreams     = "TOO_MANY_CONNECTIONS"
)

func malformed(detail string) *problem {
	return &problem{400, "application/json", `{"message":"Bad Request"}`, reasonMalformed, detail}
}

var (
	badLineEnd        = malformed("A line does not end in carriage return and line feed.")
	badByte           = malformed("A byte stands where none of its kind may.")
	badTarget         = malformed("The request target is neither a path nor an http URL with the Host header's host.")
	badEscape         = malformed("A percent sign in the path is not followed by two hexadecimal digits.")
	badVersion        = malformed("The protocol is neither HTTP/1.1 nor HTTP/1.0.")
	noTunnel          = malformed("CONNECT asks for a tunnel, and there is none here.")
	verbTooLong       = malformed("The verb is longer than 32 bytes.")
	folded            = malformed("A header line begins with a blank, as folded ones do.")
	noName            = malformed("A header line has no name.")
	blankInName       = malformed("A header name has a blank in it or behind it.")
	noHost            = malformed("The Host header is missing.")
	manyHosts         = malformed("There is more than one Host header.")
	badHost           = malformed("The Host header is no host and port.")
	valueTooLong      = malformed("The value of a header that says where or how long the request is, is too long.")
	twoLengths        = malformed("The length of the body is given twice.")
	badLength         = malformed("The Content-Length is no number.")
	badEncoding       = malformed("The Transfer-Encoding is not chunked alone, over HTTP/1.1.")
	badChunkSize      = malformed("A chunk's size is no hexadecimal number that a chunk can have.")
	extensionsTooLong = malformed("The chunk extensions are longer than 4096 bytes.")
	framingTrailer    = malformed("A trailer line has a name that only a header may have.")
	unreadable        = malformed("The request could not be read.")

	incomplete         = &problem{400, "application/json", `{"message":"Bad Request"}`, reasonIncomplete, "The caller closed before the request's end."}
	tooSlow            = &problem{408, "", "", reasonTimeout, "The request took longer than its deadline to arrive."}
	silence            = &problem{408, "", "", "", ""} // no request: it makes no Record
	urlTooLong         = &problem{414, "text/plain", "Request URI too long", reasonURLTooLong, "The request target is longer than 10240 bytes."}
	unknownExpectation = &problem{417, "", "", reasonExpectation, "The Expect header asks for something other than 100-continue."}
	headerTooLarge     = &problem{431, "", "", reasonHeader, "The header lines are longer than 10240 bytes."}
	trailerTooLarge    = &problem{431, "", "", reasonHeader, "The trailer lines are longer than 4096 bytes."}
	noMemory           = &problem{503, "application/json", `{"message":"Service Unavailable"}`, reasonMemory, "The bodies of all requests take as much memory as they may."}
	tooManyStreams     = &problem{503, "application/json", `{"message":"Service Unavailable"}`, reasonStreams, "As many requests over HTTP/2 run as there may be connections."}
	broken             = &problem{500, "application/json", string(bodies[default5XX]), default5XX, "Reading the request failed on our side; the server's log says how."}
)

// unexpected is the problem of a byte that may not stand where it does.
func unexpected(c byte) *problem {
	if c == '\r' || c == '\n' {
		return badLineEnd
	}
	return badByte
}

// tooLong is AWS's answer to a body over the limit, plain text.
func tooLong(limit int) *problem {
	text := "HTTP content length exceeded " + strconv.Itoa(limit) + " bytes."
	return &problem{413, "text/plain", text, reasonTooLarge, text}
}

// refused reports a request that was refused before it was one. Nothing in its
// Record is the caller's but the address; one connection makes at most one.
func (g *Gateway) refused(p *problem, c *conn) {
	if g.options.Record == nil {
		return
	}
	var x exchange
	c.introduce(&x.req)
	x.req.ID, _ = newIDs()
	x.req.Received = time.Now()
	x.resp.Status, x.resp.Body = p.status, []byte(p.body)
	x.verdict, x.cause, x.reason, x.detail = telemetry.Refused, telemetry.CauseFraming, p.reason, p.detail
	g.options.Record(x.report())
}
