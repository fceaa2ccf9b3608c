// Package sigv4 makes and checks AWS signatures, version 4, in the
// Authorization header or, presigned, in the query. It is pure: no clock, no
// I/O, no HTTP engine.
//
// Checking goes in AWS's order, so that a caller with two mistakes hears of
// the one that AWS would name:
//
//	a, err := sigv4.Parse(r)                      // is there one, is it whole
//	err = a.CheckTime(now)                        // five minutes both ways, or expired
//	err = a.CheckScope(service, regions...)       // date, region, service
//	... find the secret of a.AccessKeyID, or answer UnknownKey()
//	err = a.Verify(r, body, secret)               // the signature itself
//
// Nothing here remembers signatures: within its time a request can be played
// again, as on AWS. A presigned request is good for as long as it says, at most
// fifteen minutes. (AWS's STS gives it fifteen minutes whatever it says; we keep
// to what its maker wrote.) What the signature does not cover (headers outside
// SignedHeaders) must not be trusted for more than AWS trusts it.
//
// Source: IAM user guide, "Create a signed AWS API request"; the texts of the
// refusals are recordings of DynamoDB, API Gateway and IAM.
package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Algorithm is the only one we know.
const Algorithm = "AWS4-HMAC-SHA256"

// MaxSkew is how far a request's time may be from ours, both ways; a presigned
// request's may be that far ahead.
const MaxSkew = 5 * time.Minute

// Bounds of a signature, in the header or in the query.
const (
	maxHeader  = 8 << 10
	maxSigned  = 128
	terminator = "aws4_request"
)

const (
	isoBasic = "20060102T150405Z"
	isoDay   = "20060102"
)

// Request is what a signature covers, as it came over the wire.
type Request struct {
	Method string
	Path   string // still escaped, without the query
	Query  string // still escaped, without "?"
	Host   string
	// Header gives all values of a header by its lower-case name, nil when
	// there is none. It is never asked for "host".
	Header func(name string) []string
}

func (r *Request) header(name string) string {
	if v := r.Header(name); len(v) > 0 {
		return v[0]
	}
	return ""
}

// Authorization is a parsed signature, not yet verified.
type Authorization struct {
	AccessKeyID   string
	Token         string // session token, "" without one
	Date          string // of the scope: 20261124
	Region        string
	Service       string
	Terminator    string
	SignedHeaders []string // lower-case
	Signature     string   // hex
	Time          time.Time
	Presigned     bool          // it stood in the query
	Expires       time.Duration // of a presigned request, from Time on
}

// IsPresigned reports whether a request carries its signature in the query,
// whatever it is worth.
func IsPresigned(r Request) bool {
	parts, err := presigned(r.Query)
	return parts != nil || err != nil
}

// Parse reads the signature of a request, from the header or the query. One
// that is absent, is no signature, lacks a part, or is there in both places is
// refused.
func Parse(r Request) (*Authorization, *Error) {
	header := r.header("authorization")
	parts, err := presigned(r.Query)
	switch {
	case err != nil:
		return nil, err
	case parts != nil && header != "":
		return nil, invalid("Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.")
	case parts != nil:
		return parseQuery(parts)
	case header == "":
		return nil, &Error{Reason: Missing, Message: "Missing Authentication Token"}
	}
	return parseHeader(r, header)
}

func parseHeader(r Request, header string) (*Authorization, *Error) {
	if len(header) > maxHeader {
		return nil, incomplete("The Authorization header is too long.")
	}
	algorithm, parts, err := fields(header)
	if err != nil {
		return nil, err
	}
	a := &Authorization{Signature: parts["Signature"], Token: r.header("x-amz-security-token")}
	date := r.header("x-amz-date")
	if date == "" {
		date = r.header("date")
	}
	if err := requireParts(parts, date, header); err != nil {
		return nil, err
	}
	if a.Time, err = parseTime(date, isoBasic, time.RFC1123, time.RFC1123Z); err != nil {
		return nil, err
	}
	return a, a.describe(algorithm, parts["SignedHeaders"], parts["Credential"])
}

// describe reads the parts that both forms have.
func (a *Authorization) describe(algorithm, signed, credential string) *Error {
	for name := range strings.SplitSeq(signed, ";") {
		a.SignedHeaders = append(a.SignedHeaders, strings.ToLower(name))
	}
	if len(a.SignedHeaders) > maxSigned {
		return incomplete("Too many signed headers.")
	}
	if algorithm != Algorithm {
		return incomplete("Unsupported AWS 'algorithm': '" + algorithm + "' (only AWS4-HMAC-SHA256 for now). ")
	}
	return a.credential(credential)
}

// fields splits "AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…".
func fields(header string) (algorithm string, parts map[string]string, err *Error) {
	algorithm, rest, _ := strings.Cut(strings.TrimSpace(header), " ")
	parts = make(map[string]string, 3)
	for _, f := range strings.FieldsFunc(rest, func(c rune) bool { return c == ',' || c == ' ' || c == '\t' }) {
		name, value, ok := strings.Cut(f, "=")
		if !ok {
			return "", nil, incomplete("Invalid key=value pair (missing equal-sign) in Authorization header " +
				"(hashed with SHA-256 and encoded with Base64): '" + hashed(header) + "'.")
		}
		parts[name] = value
	}
	return algorithm, parts, nil
}

// hashed is what AWS repeats of a header that may hold a password.
func hashed(header string) string {
	sum := sha256.Sum256([]byte(header))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func requireParts(parts map[string]string, date, header string) *Error {
	var missing strings.Builder
	for _, name := range []string{"Credential", "Signature", "SignedHeaders"} {
		if parts[name] == "" {
			missing.WriteString("Authorization header requires '" + name + "' parameter. ")
		}
	}
	if date == "" {
		missing.WriteString("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ")
	}
	if missing.Len() == 0 {
		return nil
	}
	return incomplete(missing.String() + "(Hashed with SHA-256 and encoded with Base64) Authorization=" + hashed(header))
}

// parseTime reads X-Amz-Date, or the forms that a Date header may have.
func parseTime(date string, layouts ...string) (time.Time, *Error) {
	for _, layout := range layouts {
		if t, err := time.Parse(layout, date); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, incomplete("Date must be in ISO-8601 'basic format'. Got '" + clip(date) +
		"'. See http://en.wikipedia.org/wiki/ISO_8601")
}

func clip(s string) string { return s[:min(len(s), 64)] }

func (a *Authorization) credential(c string) *Error {
	p := strings.Split(strings.TrimRight(c, "/"), "/")
	if len(p) != 5 {
		// AWS repeats it. Who gave the secret key for the id, as happens, has it in
		// every log of an error then: a hash is told, as AWS does of the header.
		return incomplete("Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got " +
			"(hashed with SHA-256 and encoded with Base64) '" + hashed(c) + "'")
	}
	a.AccessKeyID, a.Date, a.Region, a.Service, a.Terminator = p[0], p[1], p[2], p[3], p[4]
	return nil
}

// Scope gives the service and region that a request's signature claims,
// whatever else is wrong with it; "" when it claims none.
func Scope(r Request) (service, region string) {
	credential := ""
	if parts, _ := presigned(r.Query); parts != nil {
		credential = parts[paramCredential]
	} else if header := r.header("authorization"); len(header) <= maxHeader {
		_, parts, err := fields(header)
		if err != nil {
			return "", ""
		}
		credential = parts["Credential"]
	}
	p := strings.Split(strings.TrimRight(credential, "/"), "/")
	if len(p) != 5 {
		return "", ""
	}
	return p[3], p[2]
}

// CheckTime refuses a request that was signed more than MaxSkew ago or ahead,
// or a presigned one that is over.
func (a *Authorization) CheckTime(now time.Time) *Error {
	at, now, life := a.Time.Format(isoBasic), now.UTC(), MaxSkew
	if a.Presigned {
		life = min(a.Expires, presignedLife)
	}
	if oldest := now.Add(-life); a.Time.Before(oldest.Truncate(time.Second)) {
		return invalid(fmt.Sprintf("Signature expired: %s is now earlier than %s (%s - %s.)",
			at, oldest.Format(isoBasic), now.Format(isoBasic), minutes(life)))
	}
	if latest := now.Add(MaxSkew); a.Time.After(latest) {
		return invalid(fmt.Sprintf("Signature not yet current: %s is still later than %s (%s + 5 min.)",
			at, latest.Format(isoBasic), now.Format(isoBasic)))
	}
	return nil
}

// minutes writes a lifetime as AWS does, or in seconds where that fails.
func minutes(d time.Duration) string {
	if d%time.Minute == 0 {
		return strconv.FormatInt(int64(d/time.Minute), 10) + " min"
	}
	return strconv.FormatInt(int64(d/time.Second), 10) + " sec"
}

// CheckScope refuses a signature made for another service, region or day, or
// one that leaves out the headers that bind it to host and time.
func (a *Authorization) CheckScope(service string, regions ...string) *Error {
	if !slices.Contains(a.SignedHeaders, "host") && !slices.Contains(a.SignedHeaders, ":authority") {
		return invalid("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
	}
	if !a.Presigned && !slices.Contains(a.SignedHeaders, "x-amz-date") && !slices.Contains(a.SignedHeaders, "date") {
		return invalid("'X-Amz-Date' or 'Date' must be a 'SignedHeader' in the AWS Authorization.")
	}
	var wrong strings.Builder
	if !slices.Contains(regions, a.Region) {
		wrong.WriteString("Credential should be scoped to a valid region. ")
	}
	if a.Service != service {
		wrong.WriteString("Credential should be scoped to correct service: '" + service + "'. ")
	}
	if a.Terminator != terminator {
		wrong.WriteString("Credential should be scoped with a valid terminator: 'aws4_request', not '" + clip(a.Terminator) + "'. ")
	}
	if day := a.Time.Format(isoDay); a.Date != day {
		fmt.Fprintf(&wrong, "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s' != '%s', from '%s'.",
			clip(a.Date), day, a.Time.Format(isoBasic))
	}
	if wrong.Len() > 0 {
		return invalid(wrong.String())
	}
	return nil
}

// Verify holds the signature against the request and its body. A body that is
// declared as unsigned is refused, and so is a signature over a tidied path:
// what was signed must be what we route.
func (a *Authorization) Verify(r Request, body []byte, secret string) *Error {
	hash := hashOf(body)
	// The declared hash stands in the canonical request, so it must be the body's.
	declared := r.header("x-amz-content-sha256")
	if declared != "" && subtle.ConstantTimeCompare([]byte(declared), []byte(hash)) != 1 {
		return mismatch()
	}
	given, err := hex.DecodeString(a.Signature)
	if err != nil {
		return mismatch()
	}
	key := signingKey(secret, a.Date, a.Region, a.Service)
	if hmac.Equal(given, a.signature(r, hash, len(body), key)) {
		return nil
	}
	return mismatch()
}

func (a *Authorization) signature(r Request, hash string, length int, key []byte) []byte {
	text := Algorithm + "\n" + a.Time.Format(isoBasic) + "\n" +
		a.Date + "/" + a.Region + "/" + a.Service + "/" + terminator + "\n" +
		hashOf([]byte(a.canonicalRequest(r, hash, length)))
	return mac(key, text)
}

func hashOf(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

func signingKey(secret, date, region, service string) []byte {
	return mac(mac(mac(mac([]byte("AWS4"+secret), date), region), service), terminator)
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// Credentials sign requests. Token is empty for a long-lived key.
type Credentials struct {
	AccessKeyID, SecretKey, Token string
}

// Field is one header to be set on a signed request.
type Field struct{ Name, Value string }

// Sign gives the headers that make a signed request of r. Besides what it sets
// itself it signs the host and the named headers, which r must have.
func Sign(r Request, body []byte, c Credentials, region, service string, now time.Time, names ...string) []Field {
	hash := hashOf(body)
	a := &Authorization{Date: now.UTC().Format(isoDay), Region: region, Service: service, Time: now.UTC()}
	set := []Field{{"X-Amz-Date", a.Time.Format(isoBasic)}}
	if c.Token != "" {
		set = append(set, Field{"X-Amz-Security-Token", c.Token})
	}
	a.SignedHeaders = append(a.SignedHeaders, "host")
	for _, f := range set {
		a.SignedHeaders = append(a.SignedHeaders, strings.ToLower(f.Name))
	}
	for _, n := range names {
		a.SignedHeaders = append(a.SignedHeaders, strings.ToLower(n))
	}
	slices.Sort(a.SignedHeaders)
	a.SignedHeaders = slices.Compact(a.SignedHeaders)
	outer := r.Header
	r.Header = func(name string) []string {
		for _, f := range set {
			if textproto.CanonicalMIMEHeaderKey(name) == f.Name {
				return []string{f.Value}
			}
		}
		if outer == nil {
			return nil
		}
		return outer(name)
	}
	signature := a.signature(r, hash, len(body), signingKey(c.SecretKey, a.Date, region, service))
	return append(set, Field{"Authorization", Algorithm +
		" Credential=" + c.AccessKeyID + "/" + a.Date + "/" + region + "/" + service + "/" + terminator +
		", SignedHeaders=" + strings.Join(a.SignedHeaders, ";") +
		", Signature=" + hex.EncodeToString(signature)})
}
