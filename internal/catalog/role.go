package catalog

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

// What IAM allows of a role (IAM user guide, "IAM and AWS STS quotas").
const (
	MaxTrustPolicy      = 2048   // characters, white space aside
	MaxInlinePolicies   = 10_240 // characters of all inline policies of a role, white space aside
	MaxAttachedPolicies = 10
	MaxTags             = 50 // of one resource, in every service

	DefaultSessionDuration = 3600 // seconds
)

var (
	roleName = regexp.MustCompile(`^[\w+=,.@-]+$`)
	rolePath = regexp.MustCompile(`^(/|/[\x21-\x7e]+/)$`)
)

// CheckRoleName holds the name of a role, or of a policy in one, against IAM's
// alphabet; member is how IAM's error calls it ("roleName").
func CheckRoleName(member, name string) error {
	if roleName.MatchString(name) {
		return nil
	}
	return &Error{Invalid, "The specified value for " + member +
		" is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-"}
}

// CheckRolePath holds the path of a role against IAM's form.
func CheckRolePath(path string) error {
	if rolePath.MatchString(path) {
		return nil
	}
	return &Error{Invalid, "The specified value for path is invalid. " +
		"It must begin and end with / and contain only alphanumeric characters and/or / characters."}
}

// Check holds a role against what IAM allows of one. Whether its documents are
// policies at all is for package policy to say.
func (r Role) Check() error {
	if policySize(r.AssumeRolePolicyDocument) > MaxTrustPolicy {
		return &Error{LimitExceeded, fmt.Sprintf("Cannot exceed quota for ACLSizePerRole: %d", MaxTrustPolicy)}
	}
	size := 0
	for _, p := range r.InlinePolicies {
		size += policySize(p)
	}
	if size > MaxInlinePolicies {
		return &Error{LimitExceeded, fmt.Sprintf("Maximum policy size of %d bytes exceeded for role %s", MaxInlinePolicies, r.Name)}
	}
	if len(r.AttachedPolicies) > MaxAttachedPolicies {
		return &Error{LimitExceeded, fmt.Sprintf("Cannot exceed quota for PoliciesPerRole: %d", MaxAttachedPolicies)}
	}
	if len(r.Tags) > MaxTags {
		return &Error{LimitExceeded, fmt.Sprintf("The number of tags has reached the maximum limit of %d.", MaxTags)}
	}
	return nil
}

// policySize counts a document as IAM does: white space is free.
func policySize(text string) int {
	n := 0
	for _, c := range text {
		if !unicode.IsSpace(c) {
			n++
		}
	}
	return n
}

// RoleARN names a role: arn:aws:iam::{account}:role{path}{name}.
func RoleARN(account, path, name string) string {
	return "arn:aws:iam::" + account + ":role" + path + name
}

// AWSManaged reports whether a policy ARN names one that AWS manages; only
// those can be attached, since no other managed policies can be made here.
func AWSManaged(policyARN string) bool {
	name, ok := strings.CutPrefix(policyARN, "arn:aws:iam::aws:policy/")
	return ok && name != "" && !strings.HasSuffix(name, "/")
}
