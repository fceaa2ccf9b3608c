package function

import (
	"strings"

	"weir/internal/catalog"
)

// latest is the one version that exists.
const latest = catalog.Latest

// parseName takes a function's name in any of AWS's forms and gives name and
// qualifier. ok is false when the form is none of these or names another
// account or region, where weir has no functions.
func (f *Functions) parseName(s string) (name, qualifier string, ok bool) {
	// The gateway calls by full ARN, at every request.
	if rest, own := strings.CutPrefix(s, f.arnPrefix); own && !strings.Contains(rest, ":") && rest != "" {
		return rest, "", true
	}
	ref, ok := catalog.ParseFunctionRef(s)
	if !ok || (ref.Region != "" && ref.Region != f.o.Region) || (ref.Account != "" && ref.Account != f.o.Account) {
		return "", "", false
	}
	return ref.Name, ref.Qualifier, true
}

// arn is the function's ARN, with the qualifier when there is one.
func (f *Functions) arn(name, qualifier string) string {
	return catalog.FunctionARN(f.o.Region, f.o.Account, name, qualifier)
}
