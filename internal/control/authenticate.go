package control

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"weir/internal/control/protocol"
	"weir/internal/sigv4"
)

// admit finds out who calls, and which service. A signature in the query is
// checked even when any would do: a page in the owner's browser can make a
// link, but it cannot send an Authorization header.
func (d *Door) admit(p *passage) error {
	if d.anybody(p.r) {
		return d.admitAnybody(p)
	}
	return d.authenticate(p)
}

func (d *Door) anybody(r *http.Request) bool {
	return d.o.AnyCredentials && (d.o.Credentials == nil || !sigv4.IsPresigned(signed(r)))
}

// Knows says of a request whose body is not here yet whether it would be read:
// whoever has no access key of ours gets the same refusal without it.
func (d *Door) Knows(r *http.Request) bool {
	p := &passage{r: canonical(r), now: d.o.Now()}
	if d.anybody(p.r) {
		return p.r.Header.Get("Authorization") != "" && loopbackHost(p.r.Host)
	}
	_, _, err := d.identify(p)
	return err == nil
}

// authenticate checks the signature and reads the body on the way.
func (d *Door) authenticate(p *passage) error {
	a, secret, err := d.identify(p)
	if err != nil {
		return err
	}
	if err := d.readBody(p); err != nil {
		return err
	}
	if refusal := a.Verify(signed(p.r), p.body, secret); refusal != nil {
		return refusal
	}
	return nil
}

// identify finds the service by the signature's scope and the caller by the
// access key, with the secret that the signature has to be made with. The order
// of refusals is AWS's.
func (d *Door) identify(p *passage) (_ *sigv4.Authorization, secret string, _ error) {
	request := signed(p.r)
	name, _ := sigv4.Scope(request)
	p.service = d.services[name]
	a, refusal := sigv4.Parse(request)
	if refusal == nil {
		refusal = a.CheckTime(p.now)
	}
	if refusal != nil {
		return nil, "", refusal
	}
	if p.service == nil {
		return nil, "", d.unknownService(name)
	}
	if refusal := a.CheckScope(name, d.regions(p.service)...); refusal != nil {
		return nil, "", refusal
	}
	if refusal := a.CheckHeaders(slices.Collect(maps.Keys(p.r.Header))); refusal != nil {
		return nil, "", refusal
	}
	secret, caller, err := d.o.Credentials(a.AccessKeyID, a.Token, p.now)
	switch {
	case errors.Is(err, ErrUnknownKey):
		return nil, "", sigv4.UnknownKey()
	case errors.Is(err, ErrExpiredToken):
		return nil, "", sigv4.Expired()
	case err != nil:
		return nil, "", fmt.Errorf("credentials: %w", err)
	}
	p.caller = caller
	return a, secret, nil
}

// admitAnybody lets the owner's tests in without a check of the signature. The
// Host must be loopback, or a page whose name was bound to 127.0.0.1 could
// call us from a browser.
func (d *Door) admitAnybody(p *passage) error {
	authorization := p.r.Header.Get("Authorization")
	if authorization == "" {
		return &sigv4.Error{Reason: sigv4.Missing, Message: "Missing Authentication Token"}
	}
	if !loopbackHost(p.r.Host) {
		return denied("With --any-credentials only loopback host names are accepted")
	}
	name, region := sigv4.Scope(signed(p.r))
	p.service = d.services[name]
	if name != "" && p.service == nil {
		return d.unknownService(name)
	}
	if p.service != nil && !slices.Contains(d.regions(p.service), region) {
		return &sigv4.Error{Reason: sigv4.Invalid, Message: "Credential should be scoped to a valid region. "}
	}
	if err := d.readBody(p); err != nil {
		return err
	}
	if d.own(p.r.URL.Path) != nil {
		p.service = d.services[OwnService]
	}
	targeted := p.r.Header.Get(protocol.TargetHeader) != ""
	for i := 0; p.service == nil && i < len(d.ordered); i++ {
		// Who names a target means no path and no form.
		if s := d.ordered[i]; (s.Wire == protocol.AWSJSON) == targeted && s.Lookup(p.r, p.body) != "" {
			p.service = s
		}
	}
	if p.service == nil {
		return denied("Unable to determine service/operation name to be authorized")
	}
	p.caller = protocol.Caller{ARN: "arn:aws:iam::" + d.o.Account + ":root", UserID: d.o.Account, Account: d.o.Account, Root: true}
	return nil
}

// regions are those that a signature for a service may name.
func (d *Door) regions(s *protocol.Service) []string {
	if s.Global {
		return []string{d.o.Region, "us-east-1"}
	}
	return []string{d.o.Region}
}

func (d *Door) unknownService(name string) error {
	var have []string
	for _, s := range d.ordered {
		have = append(have, s.Name)
	}
	return &protocol.Error{
		Code: "UnknownOperationException", Status: http.StatusNotFound,
		Message: fmt.Sprintf("The service %q is not served here. Served: %s.", name[:min(len(name), 64)], strings.Join(have, ", ")),
	}
}

// loopbackHost reports whether a Host header names this machine only.
func loopbackHost(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
