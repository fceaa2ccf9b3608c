package catalog

import "time"

// Function is one Lambda function, its $LATEST version. The code itself is
// kept by store under CodeSHA256.
type Function struct {
	Name                       string
	ARN                        string
	Runtime                    string
	Role                       string
	Handler                    string
	Description                string            `json:",omitempty"`
	Timeout                    int               // seconds
	MemorySize                 int               // MB
	EphemeralStorage           int               // MB
	Environment                map[string]string `json:",omitzero"` // nil: none was ever given; AWS tells that from empty
	Architectures              []string
	CodeSHA256                 string // base64 of the zip's SHA-256, as AWS prints it
	CodeSize                   int64
	LastModified               time.Time
	RevisionID                 string
	State                      string // Pending, Active, Inactive, Failed
	StateReason                string `json:",omitempty"`
	StateReasonCode            string `json:",omitempty"`
	LastUpdateStatus           string // Successful, Failed, InProgress
	LastUpdateStatusReason     string `json:",omitempty"`
	LastUpdateStatusReasonCode string `json:",omitempty"`
	LogFormat                  string // Text or JSON
	ApplicationLogLevel        string `json:",omitempty"` // with JSON
	SystemLogLevel             string `json:",omitempty"` // with JSON
	LogGroup                   string
	TracingMode                string
	Policy                     string            `json:",omitempty"` // resource policy, JSON text; empty: none. Its revision is RevisionID
	Tags                       map[string]string `json:",omitempty"`
}

// Kind implements Entry.
func (Function) Kind() Kind { return KindFunction }

// Key implements Entry: "{functionName}".
func (f Function) Key() string { return f.Name }

// Role is an IAM role. It is stored so that AWS's tools find what they made;
// nothing is enforced from it yet.
type Role struct {
	Name                     string
	ID                       string // AROA…
	ARN                      string
	Path                     string
	Description              string `json:",omitempty"`
	AssumeRolePolicyDocument string // JSON text
	MaxSessionDuration       int    // seconds
	PermissionsBoundary      string `json:",omitempty"`
	CreateDate               time.Time
	InlinePolicies           map[string]string `json:",omitempty"` // name -> JSON text
	AttachedPolicies         []string          `json:",omitempty"` // policy ARNs
	Tags                     map[string]string `json:",omitempty"`
}

// Kind implements Entry.
func (Role) Kind() Kind { return KindRole }

// Key implements Entry: "{roleName}", lower-cased because role names are
// unique without regard to case.
func (r Role) Key() string { return lower(r.Name) }

func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
