package policy

import "strings"

// principals is a compiled Principal or NotPrincipal element.
type principals struct {
	everyone  bool // "*" or {"AWS": "*"}: anonymous callers and services too
	services  []string
	aws       []awsPrincipal
	federated []string
	canonical []string // kept so that the element is not empty; nobody here has one
}

// awsPrincipal is one value of an AWS principal.
type awsPrincipal struct {
	text    string
	account string // not "": any principal of this account
	role    string // not "": name of the role, whose sessions match as well
	roleOf  string // account of that role
}

func (p *principals) match(who Principal) bool {
	if p.everyone {
		return true
	}
	if who.Service != "" {
		for _, s := range p.services {
			if s == who.Service || s == "*" {
				return true
			}
		}
	}
	if who.AWS != "" {
		for i := range p.aws {
			if p.aws[i].match(who.AWS) {
				return true
			}
		}
	}
	if who.Federated != "" {
		for _, f := range p.federated {
			if f == who.Federated || f == "*" {
				return true
			}
		}
	}
	return false
}

func (a *awsPrincipal) match(who string) bool {
	if a.text == who {
		return true
	}
	if a.account != "" {
		return accountOf(who) == a.account
	}
	if a.role == "" {
		return false
	}
	// arn:aws:sts::{account}:assumed-role/{role}/{session}; the role's path is
	// not in it, and role names are unique in an account without it.
	rest, ok := cutARN(who, "sts", a.roleOf)
	if !ok {
		return false
	}
	name, ok := strings.CutPrefix(rest, "assumed-role/")
	if !ok {
		return false
	}
	name, _, _ = strings.Cut(name, "/")
	return name == a.role
}

func compileAWSPrincipal(s string) awsPrincipal {
	p := awsPrincipal{text: s}
	if isAccountID(s) {
		p.account = s
		return p
	}
	account := accountOf(s)
	rest, ok := cutARN(s, "iam", account)
	if !ok {
		return p
	}
	if rest == "root" {
		p.account = account
	} else if path, ok := strings.CutPrefix(rest, "role/"); ok {
		p.role, p.roleOf = path[strings.LastIndexByte(path, '/')+1:], account
	}
	return p
}

// accountOf returns the account of an ARN or of a bare account id, or "".
func accountOf(s string) string {
	if isAccountID(s) {
		return s
	}
	for range 4 {
		_, rest, ok := strings.Cut(s, ":")
		if !ok {
			return ""
		}
		s = rest
	}
	account, _, ok := strings.Cut(s, ":")
	if !ok {
		return ""
	}
	return account
}

// cutARN returns what follows arn:{partition}:{service}:{region}:{account}:.
func cutARN(s, service, account string) (rest string, ok bool) {
	var parts [5]string
	for i := range parts {
		if parts[i], s, ok = strings.Cut(s, ":"); !ok {
			return "", false
		}
	}
	return s, parts[0] == "arn" && parts[2] == service && account != "" && parts[4] == account
}

func isAccountID(s string) bool {
	if len(s) != 12 {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
