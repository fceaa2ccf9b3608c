package catalog

import (
	"regexp"
	"strings"
)

// Latest is the version of a function that its owner edits.
const Latest = "$LATEST"

// FunctionRef is a function as a caller names it: a name, name:qualifier, a
// partial ARN (account:function:name) or a full ARN, which may hold a
// qualifier too. Region, Account and Qualifier are empty when they were not
// said.
type FunctionRef struct {
	Region, Account, Name, Qualifier string
}

// functionName is the pattern of AWS's service model, as it stands in
// recorded errors.
var functionName = regexp.MustCompile(`^(?:arn:(?:aws[a-zA-Z-]*)?:lambda:)?` +
	`(?:((?:eusc-)?[a-z]{2}(?:-gov|-iso[a-z]?)?-[a-z]+-\d):)?` +
	`(?:(\d{12}):)?(?:function:)?([a-zA-Z0-9-_]+)(?::(\$LATEST|[a-zA-Z0-9-_$]+))?$`)

// ParseFunctionRef reads any of the forms. ok is false for anything else, and
// for an ARN without region or account.
func ParseFunctionRef(s string) (ref FunctionRef, ok bool) {
	if len(s) > 256 {
		return ref, false
	}
	m := functionName.FindStringSubmatch(s)
	if m == nil {
		return ref, false
	}
	ref = FunctionRef{Region: m[1], Account: m[2], Name: m[3], Qualifier: m[4]}
	if strings.HasPrefix(s, "arn:") && (ref.Region == "" || ref.Account == "") {
		return FunctionRef{}, false
	}
	return ref, true
}

// FunctionARN is the ARN of a function, or with a qualifier of its version or
// alias.
func FunctionARN(region, account, name, qualifier string) string {
	arn := "arn:aws:lambda:" + region + ":" + account + ":function:" + name
	if qualifier != "" {
		arn += ":" + qualifier
	}
	return arn
}

// IsAlias says whether a qualifier has the form of an alias's name, rather
// than of a version's number.
func IsAlias(qualifier string) bool {
	return strings.Trim(qualifier, "0123456789") != "" && !strings.Contains(qualifier, "$")
}
