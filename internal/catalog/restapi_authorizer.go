package catalog

// Types of an authorizer.
const (
	AuthorizerToken   = "TOKEN"   // a function judges one header
	AuthorizerRequest = "REQUEST" // a function judges the whole request but its body
	AuthorizerCognito = "COGNITO_USER_POOLS"
)

// DefaultAuthorizerTTL is for how many seconds an authorizer's answer is kept
// when nobody says otherwise.
const DefaultAuthorizerTTL = 300

// Authorizer decides who may call the methods that name it. What callers meet
// is the copy that a Deployment froze.
type Authorizer struct {
	APIID                string
	ID                   string
	Name                 string
	Type                 string
	AuthType             string   `json:",omitempty"` // the owner's word, without effect
	URI                  string   `json:",omitempty"` // ARN of the function's invocation
	Credentials          string   `json:",omitempty"` // role ARN
	IdentitySource       string   `json:",omitempty"` // mapping expressions, separated by commas
	ValidationExpression string   `json:",omitempty"` // regular expression that the whole token has to match
	ResultTTL            *int     `json:",omitempty"` // seconds; nil: DefaultAuthorizerTTL
	ProviderARNs         []string `json:",omitempty"` // user pools
}

// Kind implements Entry.
func (Authorizer) Kind() Kind { return KindAuthorizer }

// Key implements Entry: "{apiId}/{authorizerId}".
func (a Authorizer) Key() string { return a.APIID + "/" + a.ID }

// TTL is for how many seconds an answer is kept; 0: not at all.
func (a *Authorizer) TTL() int {
	if a.ResultTTL == nil {
		return DefaultAuthorizerTTL
	}
	return *a.ResultTTL
}
