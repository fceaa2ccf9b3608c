package route

import "strings"

// Address is where a caller says the call should go: an API, a stage of it,
// and the path below the stage.
type Address struct {
	APIID string // lower-cased when it came from a host name, which has no case
	Stage string // empty: the caller named none
	Path  string // below the stage as sent: empty, or begins with "/"
	Host  bool   // named by host name, not by path
}

const (
	userRequest = "_user_request_"
	restAPIs    = "/restapis/"
	executeAPI  = "/_aws/execute-api/"
)

// ParseAddress reads the three forms in which a caller names a stage:
//
//	{api}.execute-api.{anything}  /{stage}/path
//	any host                      /restapis/{api}/{stage}/_user_request_/path
//	any host                      /_aws/execute-api/{api}/{stage}/path
//
// The second is shared with the management API, of which only the fourth
// segment tells it apart. ok is false when the request is in none of the forms.
// Host is a Host header as sent, path has no query. Nothing is decoded, and
// the result lies in the memory of its arguments.
func ParseAddress(host, path string) (a Address, ok bool) {
	if api, found := apiOfHost(host); found {
		if !strings.HasPrefix(path, "/") {
			return Address{APIID: api, Host: true}, true
		}
		stage, rest := cutSegment(path[1:])
		return Address{APIID: api, Stage: stage, Path: rest, Host: true}, true
	}
	if tail, found := strings.CutPrefix(path, executeAPI); found {
		api, rest := cutSegment(tail)
		stage, rest := cutSegment(strings.TrimPrefix(rest, "/"))
		return Address{APIID: api, Stage: stage, Path: rest}, api != ""
	}
	if tail, found := strings.CutPrefix(path, restAPIs); found {
		api, rest := cutSegment(tail)
		stage, rest := cutSegment(strings.TrimPrefix(rest, "/"))
		mark, rest := cutSegment(strings.TrimPrefix(rest, "/"))
		if mark == userRequest && api != "" {
			return Address{APIID: api, Stage: stage, Path: rest}, true
		}
	}
	return Address{}, false
}

// cutSegment splits before the first slash; rest keeps it.
func cutSegment(s string) (segment, rest string) {
	if i := strings.IndexByte(s, '/'); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}

// apiOfHost returns the API id of an execute-api host name.
func apiOfHost(host string) (string, bool) {
	const label = "execute-api"
	dot := strings.IndexByte(host, '.')
	if dot <= 0 || len(host) < dot+1+len(label) {
		return "", false
	}
	rest := host[dot+1:]
	if !strings.EqualFold(rest[:len(label)], label) {
		return "", false
	}
	if rest = rest[len(label):]; rest == "" || rest[0] != '.' {
		return "", false
	}
	return strings.ToLower(host[:dot]), true
}

// Hostname returns a Host header without its port.
func Hostname(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && strings.IndexByte(host[i:], ']') < 0 {
		return host[:i]
	}
	return host
}
