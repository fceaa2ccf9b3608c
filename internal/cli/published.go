package cli

import (
	"fmt"
	"math"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"weir/internal/cli/publish"
)

// published is a publication as its owner sees it.
type published struct {
	Name        string       `json:"name"`
	Account     string       `json:"account"`
	Region      string       `json:"region"`
	Runtime     string       `json:"runtime"`
	Handler     string       `json:"handler"`
	FunctionARN string       `json:"functionArn"`
	APIID       string       `json:"apiId"`
	Stage       string       `json:"stage"`
	Path        string       `json:"path"`
	Methods     []string     `json:"methods"`
	Endpoint    string       `json:"endpoint"`
	Host        string       `json:"hostEndpoint,omitempty"` // the same, with the API in the host
	PlanID      string       `json:"usagePlanId,omitempty"`
	KeyID       string       `json:"apiKeyId,omitempty"`
	Key         string       `json:"apiKey,omitempty"`
	KeyEnabled  bool         `json:"apiKeyEnabled"`
	Rate        float64      `json:"rate"`
	Burst       int32        `json:"burst"`
	Quota       *quotaFigure `json:"quota,omitempty"`
	Changes     plannedCalls `json:"changes"` // the changing calls that were made
	limits      string       // in words
	open        bool
	ca          string // file that curl has to trust; "" when what it knows is enough
}

type quotaFigure struct {
	Limit  int32  `json:"limit"`
	Period string `json:"period"`
}

func newPublished(spec publish.Spec, made publish.Publication) *published {
	p := &published{
		Name: made.Name, Account: made.Account, Region: made.Region, Runtime: made.Runtime, Handler: made.Handler,
		FunctionARN: made.FunctionARN, APIID: made.APIID, Stage: made.Stage, Path: made.Path, Methods: made.Methods,
		PlanID: made.PlanID, KeyID: made.KeyID, Key: made.KeyValue, KeyEnabled: made.KeyEnabled,
		Rate: spec.Rate, Burst: spec.Burst, Changes: append(plannedCalls{}, made.Calls...), limits: spec.Limits(), open: spec.Open,
	}
	if spec.Quota != nil {
		p.Quota = &quotaFigure{spec.Quota.Limit, spec.Quota.Period}
	}
	return p
}

// onWeir fills in where callers reach it at a weir: by path, which every
// client can, and by host where the names below localhost lead to it (no
// certificate has those). ca is the file that a client has to trust.
func (p *published) onWeir(base, ca string) {
	p.ca = ca
	p.Endpoint = base + "/_aws/execute-api/" + p.APIID + "/" + p.Stage + p.Path
	u, err := url.Parse(base)
	if err != nil {
		return
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme == "https" || u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return
	}
	u.Host = p.APIID + ".execute-api." + p.Region + ".localhost:" + u.Port()
	p.Host = u.String() + "/" + p.Stage + p.Path
}

func (p *published) print(s *screen) {
	s.printf("\nendpoint  %s\n", p.Endpoint)
	if p.Host != "" {
		s.printf("          %s\n", s.paint(faint, p.Host))
	}
	switch {
	case p.open:
		s.printf("key       %s\n", s.paint(warn, "none: anybody may call"))
	case p.Key == "":
		s.printf("key       %s (its value is not given back here)\n", p.KeyID)
	case !p.KeyEnabled:
		s.printf("key       %s %s\n", p.Key, s.paint(warn, "disabled: 'weir keys enable' lets it in again"))
	default:
		s.printf("key       %s\n", p.Key)
	}
	s.printf("limits    %s\n", p.limits)
	for _, t := range p.tries() {
		s.printf("\n%s\n%s\n", s.paint(faint, "# "+t.shows), t.line)
	}
}

func (p *published) rate() string { return strconv.FormatFloat(p.Rate, 'f', -1, 64) + " a second" }

// try is one line to paste into a shell, and what it shows.
type try struct{ shows, line string }

const (
	longestTry = 60.0 // seconds that a pasted loop may take
	manyCalls  = 30   // that a pasted loop may make at once
)

// tries are the lines that prove the limits.
func (p *published) tries() []try {
	var all []try
	if !p.open {
		all = append(all, try{"403 Forbidden: no key, and nothing runs", p.curl(false)})
	}
	if p.Rate <= 0 || p.Burst <= 0 {
		return append(all, try{"429 Too Many Requests: rate or burst 0 lets nothing through", p.curl(true)})
	}
	all = append(all, try{"200", p.curl(true)})
	if n := int(p.Burst) + 1 + int(p.Rate/2); p.Rate <= 10 && n <= manyCalls {
		all = append(all, try{
			fmt.Sprintf("429 Too Many Requests: faster than %s with a burst of %d", p.rate(), p.Burst),
			fmt.Sprintf("for n in $(seq %d); do %s; done", n, p.curl(true)),
		})
	}
	if p.Quota == nil {
		return all
	}
	n, wait := int(p.Quota.Limit)+1, math.Ceil(110/p.Rate)/100
	if float64(n)*wait > longestTry {
		return all
	}
	return append(all, try{
		fmt.Sprintf("429 Limit Exceeded: %d a %s, and no more", p.Quota.Limit, strings.ToLower(p.Quota.Period)),
		fmt.Sprintf("for n in $(seq %d); do %s; sleep %v; done", n, p.curl(true), wait),
	})
}

var pathParameter = regexp.MustCompile(`\{([^}+]+)\+?\}`)

// curl is a call that prints the answer's body and its status.
func (p *published) curl(withKey bool) string {
	method := p.Methods[0]
	if method == "ANY" {
		method = "POST"
	}
	words := []string{"curl", "-s", "-w", `' %{http_code}\n'`, "-X", method}
	if p.ca != "" {
		words = append(words, "--cacert", shellQuote(p.ca))
	}
	if withKey && !p.open {
		words = append(words, "-H", shellQuote("x-api-key: "+p.Key))
	}
	switch method {
	case "POST", "PUT", "PATCH":
		words = append(words, "-d", `'{"hello": "world"}'`)
	case "HEAD":
		words = append(words, "-I")
	}
	return strings.Join(append(words, shellQuote(pathParameter.ReplaceAllString(p.Endpoint, "$1"))), " ")
}
