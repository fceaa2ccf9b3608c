package sigv4

import (
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The parameters of a signature in the query, as AWS spells them.
const (
	paramAlgorithm     = "X-Amz-Algorithm"
	paramCredential    = "X-Amz-Credential"
	paramDate          = "X-Amz-Date"
	paramExpires       = "X-Amz-Expires"
	paramSignedHeaders = "X-Amz-SignedHeaders"
	paramToken         = "X-Amz-Security-Token"
	paramSignature     = "X-Amz-Signature"
)

// MaxExpires is the most that X-Amz-Expires may say.
const MaxExpires = 7 * 24 * time.Hour

// presignedLife is how long a presigned request is good at most, whatever it
// says: the services other than S3 have this limit of their own.
const presignedLife = 15 * time.Minute

// presigned gathers the signature's parameters of a query; nil when there is
// no signature in it. A parameter given twice is refused: the two sides might
// not read the same one.
func presigned(query string) (map[string]string, *Error) {
	if !strings.Contains(query, "X-") && !strings.Contains(query, "%") {
		return nil, nil
	}
	parts := make(map[string]string, 7)
	twice, size := "", 0
	for p := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(p, "=")
		switch name = unescape(name); name {
		case paramAlgorithm, paramCredential, paramDate, paramExpires, paramSignedHeaders, paramToken, paramSignature:
			if _, have := parts[name]; have {
				twice = name
			}
			parts[name] = unescape(value)
			size += len(value)
		}
	}
	_, signs := parts[paramAlgorithm]
	switch {
	case !signs:
		return nil, nil
	case twice != "":
		return nil, incomplete("AWS query-string parameters must include '" + twice + "' once. Re-examine the query-string parameters.")
	case size > maxHeader:
		return nil, incomplete("The AWS query-string parameters are too long.")
	}
	return parts, nil
}

// parseQuery reads a signature from its parameters in the query.
func parseQuery(parts map[string]string) (*Authorization, *Error) {
	var missing strings.Builder
	for _, name := range []string{paramAlgorithm, paramCredential, paramSignature, paramSignedHeaders, paramDate} {
		if parts[name] == "" {
			missing.WriteString("AWS query-string parameters must include '" + name + "'. ")
		}
	}
	if missing.Len() > 0 {
		return nil, incomplete(missing.String() + "Re-examine the query-string parameters.")
	}
	a := &Authorization{Presigned: true, Token: parts[paramToken], Signature: parts[paramSignature]}
	var err *Error
	if a.Time, err = parseTime(parts[paramDate], isoBasic); err != nil {
		return nil, err
	}
	if a.Expires, err = parseExpires(parts); err != nil {
		return nil, err
	}
	return a, a.describe(parts[paramAlgorithm], parts[paramSignedHeaders], parts[paramCredential])
}

// parseExpires reads X-Amz-Expires, in S3's words; without it a request is
// good for as long as any may be.
func parseExpires(parts map[string]string) (time.Duration, *Error) {
	text, given := parts[paramExpires]
	if !given {
		return presignedLife, nil
	}
	seconds, err := strconv.ParseInt(text, 10, 32)
	switch {
	case err != nil:
		return 0, incomplete("X-Amz-Expires should be a number")
	case seconds < 0:
		return 0, incomplete("X-Amz-Expires must be non-negative")
	case seconds == 0:
		return 0, incomplete("X-Amz-Expires must be at least 1 second")
	case seconds > int64(MaxExpires/time.Second):
		return 0, incomplete("X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds")
	}
	return time.Duration(seconds) * time.Second, nil
}

// CheckHeaders refuses a presigned request that came with a header of AWS's
// that was not signed: who was given a URL must not be able to ask for more
// than its maker did. Of any request it refuses an X-Amz-Target that was not
// signed, because that names the operation. names are those of the request's
// headers.
func (a *Authorization) CheckHeaders(names []string) *Error {
	for _, name := range names {
		name = strings.ToLower(name)
		guarded := a.Presigned && strings.HasPrefix(name, "x-amz-") || name == "x-amz-target"
		if guarded && !slices.Contains(a.SignedHeaders, name) {
			return invalid("There were headers present in the request which were not signed: " + clip(name))
		}
	}
	return nil
}

// Presign gives the query of a request without a body that anybody may send
// until it expires: r's own query and the signature. expires is in whole
// seconds, from 1 s to MaxExpires; a verifier of ours takes no more than
// fifteen minutes. Only the host is signed of the headers.
func Presign(r Request, c Credentials, region, service string, now time.Time, expires time.Duration) string {
	a := &Authorization{
		Presigned: true, Time: now.UTC(), Date: now.UTC().Format(isoDay), Region: region, Service: service,
		SignedHeaders: []string{"host"},
	}
	var b strings.Builder
	b.WriteString(r.Query)
	add := func(name, value string) {
		if b.Len() > 0 {
			b.WriteByte('&')
		}
		b.WriteString(name)
		b.WriteByte('=')
		escape(&b, value, false)
	}
	add(paramAlgorithm, Algorithm)
	add(paramCredential, c.AccessKeyID+"/"+a.Date+"/"+region+"/"+service+"/"+terminator)
	add(paramDate, a.Time.Format(isoBasic))
	add(paramExpires, strconv.FormatInt(int64(expires/time.Second), 10))
	add(paramSignedHeaders, "host")
	if c.Token != "" {
		add(paramToken, c.Token)
	}
	r.Query = b.String()
	add(paramSignature, hex.EncodeToString(a.signature(r, hashOf(nil), 0, signingKey(c.SecretKey, a.Date, region, service))))
	return b.String()
}
