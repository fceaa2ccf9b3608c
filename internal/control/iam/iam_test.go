package iam_test

import (
	"context"
	"encoding/xml"
	"fmt"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"weir/internal/control/iam"
	"weir/internal/control/protocol"
	"weir/internal/store"
)

const (
	trust = `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}`
	logs  = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"logs:*","Resource":"*"}]}`
	basic = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
)

var made = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

type bench struct {
	t *testing.T
	s protocol.Service
}

func newBench(t *testing.T) *bench {
	t.Helper()
	st, err := store.Open(context.Background(), store.Options{Dir: t.TempDir(), Now: func() time.Time { return made }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	b := &bench{t, iam.Service(st)}
	if err := b.s.Compile(); err != nil {
		t.Fatal(err)
	}
	return b
}

// answer is what any operation of the tests answers.
type answer struct {
	Result struct {
		Role     roleXML   `xml:"Role"`
		Roles    []roleXML `xml:"Roles>member"`
		Names    []string  `xml:"PolicyNames>member"`
		Document string    `xml:"PolicyDocument"`
		Attached []struct {
			PolicyName string
			PolicyArn  string
		} `xml:"AttachedPolicies>member"`
		Tags        []tagXML `xml:"Tags>member"`
		IsTruncated string
		Marker      string
	} `xml:",any"`
	Code    string `xml:"Error>Code"`
	Message string `xml:"Error>Message"`
}

type tagXML struct{ Key, Value string }

type roleXML struct {
	Path, RoleName, RoleId, Arn, CreateDate, AssumeRolePolicyDocument, Description, MaxSessionDuration string
	Tags                                                                                               []tagXML  `xml:"Tags>member"`
	Boundary                                                                                           string    `xml:"PermissionsBoundary>PermissionsBoundaryArn"`
	RoleLastUsed                                                                                       *struct{} `xml:"RoleLastUsed"`
}

// do calls an operation with name, value pairs.
func (b *bench) do(action string, pairs ...string) (int, answer) {
	b.t.Helper()
	form := url.Values{"Action": {action}, "Version": {"2010-05-08"}}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	body := form.Encode()
	w := httptest.NewRecorder()
	r := httptest.NewRequest("POST", "/", strings.NewReader(body))
	b.s.Serve(w, r, []byte(body), protocol.Call{Service: "iam", Account: "000000000000", Region: "eu-central-1", RequestID: "r"}, nil)
	raw := w.Body.String()
	var a answer
	if strings.Contains(raw, "<ErrorResponse") {
		if err := xml.Unmarshal([]byte(raw), &a); err != nil {
			b.t.Fatalf("%v: %s", err, raw)
		}
		return w.Code, a
	}
	var outer struct {
		Inner string `xml:",innerxml"`
	}
	if err := xml.Unmarshal([]byte(raw), &outer); err != nil {
		b.t.Fatalf("%v: %s", err, raw)
	}
	if result, _, found := strings.Cut(outer.Inner, "<ResponseMetadata>"); found && strings.TrimSpace(result) != "" {
		if err := xml.Unmarshal([]byte(result), &a.Result); err != nil {
			b.t.Fatalf("%v: %s", err, raw)
		}
	}
	return w.Code, a
}

func (b *bench) must(action string, pairs ...string) answer {
	b.t.Helper()
	status, a := b.do(action, pairs...)
	if status != 200 {
		b.t.Fatalf("%s %v: %d %s: %s", action, pairs, status, a.Code, a.Message)
	}
	return a
}

func (b *bench) create(name string, more ...string) roleXML {
	b.t.Helper()
	return b.must("CreateRole", append([]string{"RoleName", name, "AssumeRolePolicyDocument", trust}, more...)...).Result.Role
}

func TestARoleIsMadeFoundAndDeleted(t *testing.T) {
	b := newBench(t)
	r := b.create("timestamper-role", "Description", "für Uhren", "Path", "/service-role/", "MaxSessionDuration", "7200",
		"PermissionsBoundary", "arn:aws:iam::aws:policy/AdministratorAccess", "Tags.member.1.Key", "b", "Tags.member.1.Value", "2", "Tags.member.2.Key", "a", "Tags.member.2.Value", "")
	if !regexp.MustCompile(`^AROA[A-Z2-7]{17}$`).MatchString(r.RoleId) {
		t.Errorf("id %q", r.RoleId)
	}
	if r.Arn != "arn:aws:iam::000000000000:role/service-role/timestamper-role" || r.Path != "/service-role/" || r.CreateDate != "2026-11-24T12:00:00Z" {
		t.Errorf("%+v", r)
	}
	if text, err := url.PathUnescape(r.AssumeRolePolicyDocument); err != nil || text != trust || strings.ContainsAny(r.AssumeRolePolicyDocument, `{"+ `) {
		t.Errorf("policy %s", r.AssumeRolePolicyDocument)
	}
	got := b.must("GetRole", "RoleName", "timestamper-role").Result.Role
	if got.RoleId != r.RoleId || got.MaxSessionDuration != "7200" || got.RoleLastUsed == nil || got.Description != "für Uhren" || got.Boundary != "arn:aws:iam::aws:policy/AdministratorAccess" {
		t.Errorf("%+v", got)
	}
	if fmt.Sprint(got.Tags) != "[{a } {b 2}]" {
		t.Errorf("tags %v", got.Tags)
	}
	if status, a := b.do("CreateRole", "RoleName", "Timestamper-Role", "AssumeRolePolicyDocument", trust); status != 409 || a.Code != "EntityAlreadyExists" || a.Message != "Role with name Timestamper-Role already exists." {
		t.Errorf("%d %s %s", status, a.Code, a.Message)
	}
	b.must("DeleteRole", "RoleName", "timestamper-role")
	for _, op := range []string{"GetRole", "DeleteRole", "ListRolePolicies", "ListAttachedRolePolicies", "ListRoleTags", "ListInstanceProfilesForRole"} {
		if status, a := b.do(op, "RoleName", "timestamper-role"); status != 404 || a.Code != "NoSuchEntity" || a.Message != "The role with name timestamper-role cannot be found." {
			t.Errorf("%s: %d %s %s", op, status, a.Code, a.Message)
		}
	}
}

func TestInlinePolicies(t *testing.T) {
	b := newBench(t)
	b.create("r")
	b.must("PutRolePolicy", "RoleName", "r", "PolicyName", "logs", "PolicyDocument", logs)
	b.must("PutRolePolicy", "RoleName", "r", "PolicyName", "also", "PolicyDocument", logs)
	b.must("PutRolePolicy", "RoleName", "r", "PolicyName", "logs", "PolicyDocument", logs+"\n")
	a := b.must("GetRolePolicy", "RoleName", "r", "PolicyName", "logs")
	if text, _ := url.PathUnescape(a.Result.Document); text != logs+"\n" {
		t.Errorf("%q", text)
	}
	if names := b.must("ListRolePolicies", "RoleName", "r").Result.Names; fmt.Sprint(names) != "[also logs]" {
		t.Errorf("%v", names)
	}
	if status, a := b.do("DeleteRole", "RoleName", "r"); status != 409 || a.Code != "DeleteConflict" || a.Message != "Cannot delete entity, must delete policies first." {
		t.Errorf("%d %s %s", status, a.Code, a.Message)
	}
	b.must("DeleteRolePolicy", "RoleName", "r", "PolicyName", "logs")
	for _, op := range []string{"DeleteRolePolicy", "GetRolePolicy"} {
		if status, a := b.do(op, "RoleName", "r", "PolicyName", "logs"); status != 404 || a.Message != "The role policy with name logs cannot be found." {
			t.Errorf("%s: %d %s %s", op, status, a.Code, a.Message)
		}
	}
	b.must("DeleteRolePolicy", "RoleName", "r", "PolicyName", "also")
	b.must("DeleteRole", "RoleName", "r")
}

func TestAttachedPolicies(t *testing.T) {
	b := newBench(t)
	b.create("r")
	b.must("AttachRolePolicy", "RoleName", "r", "PolicyArn", basic)
	b.must("AttachRolePolicy", "RoleName", "r", "PolicyArn", basic)
	got := b.must("ListAttachedRolePolicies", "RoleName", "r").Result.Attached
	if len(got) != 1 || got[0].PolicyName != "AWSLambdaBasicExecutionRole" || got[0].PolicyArn != basic {
		t.Errorf("%v", got)
	}
	if got := b.must("ListAttachedRolePolicies", "RoleName", "r", "PathPrefix", "/other/").Result.Attached; len(got) != 0 {
		t.Errorf("%v", got)
	}
	if status, a := b.do("DeleteRole", "RoleName", "r"); status != 409 || a.Message != "Cannot delete entity, must detach all policies first." {
		t.Errorf("%d %s", status, a.Message)
	}
	const own = "arn:aws:iam::000000000000:policy/mine"
	if status, a := b.do("AttachRolePolicy", "RoleName", "r", "PolicyArn", own); status != 404 || a.Code != "NoSuchEntity" || a.Message != "Policy "+own+" does not exist or is not attachable." {
		t.Errorf("%d %s %s", status, a.Code, a.Message)
	}
	b.must("DetachRolePolicy", "RoleName", "r", "PolicyArn", basic)
	if status, a := b.do("DetachRolePolicy", "RoleName", "r", "PolicyArn", basic); status != 404 || a.Message != "Policy "+basic+" was not found." {
		t.Errorf("%d %s", status, a.Message)
	}
	for i := range 10 {
		b.must("AttachRolePolicy", "RoleName", "r", "PolicyArn", fmt.Sprintf("%s%d", basic, i))
	}
	if status, a := b.do("AttachRolePolicy", "RoleName", "r", "PolicyArn", basic); status != 409 || a.Code != "LimitExceeded" || a.Message != "Cannot exceed quota for PoliciesPerRole: 10" {
		t.Errorf("%d %s %s", status, a.Code, a.Message)
	}
}

func TestUpdatesAndTags(t *testing.T) {
	b := newBench(t)
	b.create("r", "Description", "old")
	b.must("UpdateRole", "RoleName", "r", "MaxSessionDuration", "3601")
	if r := b.must("GetRole", "RoleName", "r").Result.Role; r.Description != "old" || r.MaxSessionDuration != "3601" {
		t.Errorf("%+v", r)
	}
	if r := b.must("UpdateRoleDescription", "RoleName", "r", "Description", "new").Result.Role; r.Description != "new" {
		t.Errorf("%+v", r)
	}
	other := strings.Replace(trust, "lambda", "apigateway", 1)
	b.must("UpdateAssumeRolePolicy", "RoleName", "r", "PolicyDocument", other)
	if text, _ := url.PathUnescape(b.must("GetRole", "RoleName", "r").Result.Role.AssumeRolePolicyDocument); text != other {
		t.Errorf("%s", text)
	}
	b.must("TagRole", "RoleName", "r", "Tags.member.1.Key", "Stage", "Tags.member.1.Value", "prod", "Tags.member.2.Key", "x", "Tags.member.2.Value", "")
	b.must("TagRole", "RoleName", "r", "Tags.member.1.Key", "stage", "Tags.member.1.Value", "test")
	if tags := b.must("ListRoleTags", "RoleName", "r").Result.Tags; fmt.Sprint(tags) != "[{stage test} {x }]" {
		t.Errorf("%v", tags)
	}
	b.must("UntagRole", "RoleName", "r", "TagKeys.member.1", "STAGE", "TagKeys.member.2", "absent")
	if tags := b.must("ListRoleTags", "RoleName", "r").Result.Tags; fmt.Sprint(tags) != "[{x }]" {
		t.Errorf("%v", tags)
	}
}

func TestListsComeInPages(t *testing.T) {
	b := newBench(t)
	for i := range 7 {
		b.create(fmt.Sprintf("Role%d", i), "Path", []string{"/", "/team/"}[i%2])
	}
	var names []string
	marker := []string{}
	for range 10 {
		a := b.must("ListRoles", append([]string{"MaxItems", "3"}, marker...)...)
		for _, r := range a.Result.Roles {
			names = append(names, r.RoleName)
			if r.RoleLastUsed != nil || r.MaxSessionDuration != "3600" {
				t.Errorf("%+v", r)
			}
		}
		if (a.Result.IsTruncated == "true") != (a.Result.Marker != "") {
			t.Errorf("truncated %s, marker %q", a.Result.IsTruncated, a.Result.Marker)
		}
		if a.Result.Marker == "" {
			break
		}
		marker = []string{"Marker", a.Result.Marker}
	}
	if fmt.Sprint(names) != "[Role0 Role1 Role2 Role3 Role4 Role5 Role6]" {
		t.Errorf("%v", names)
	}
	if roles := b.must("ListRoles", "PathPrefix", "/team/").Result.Roles; len(roles) != 3 {
		t.Errorf("%d roles", len(roles))
	}
}

func TestWhatIAMRefuses(t *testing.T) {
	b := newBench(t)
	b.create("r")
	long := strings.Repeat(" ", 5000)
	big := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":[` +
		strings.Repeat(`"arn:aws:s3:::`+strings.Repeat("x", 60)+`",`, 80) + `"*"]}]}`
	b.must("PutRolePolicy", "RoleName", "r", "PolicyName", "one", "PolicyDocument", strings.Replace(logs, "{", "{"+long, 1))
	b.must("PutRolePolicy", "RoleName", "r", "PolicyName", "two", "PolicyDocument", big)
	for _, c := range []struct {
		ask    []string
		status int
		code   string
		text   string
	}{
		{[]string{"CreateRole", "RoleName", "a/b", "AssumeRolePolicyDocument", trust}, 400, "ValidationError", "The specified value for roleName is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-"},
		{[]string{"GetRole", "RoleName", "a b"}, 400, "ValidationError", "The specified value for roleName is invalid."},
		{[]string{"CreateRole", "RoleName", strings.Repeat("a", 65), "AssumeRolePolicyDocument", trust}, 400, "ValidationError", "1 validation error detected: Value '" + strings.Repeat("a", 65) + "' at 'roleName' failed to satisfy constraint: Member must have length less than or equal to 64"},
		{[]string{"CreateRole", "RoleName", "x"}, 400, "ValidationError", "1 validation error detected: Value null at 'assumeRolePolicyDocument' failed to satisfy constraint: Member must not be null"},
		{[]string{"CreateRole", "RoleName", "x", "AssumeRolePolicyDocument", ""}, 400, "ValidationError", "Member must have length greater than or equal to 1"},
		{[]string{"CreateRole", "RoleName", "x", "AssumeRolePolicyDocument", "not json"}, 400, "MalformedPolicyDocument", ""},
		{[]string{"CreateRole", "RoleName", "x", "AssumeRolePolicyDocument", logs}, 400, "MalformedPolicyDocument", ""},
		{[]string{"CreateRole", "RoleName", "x", "AssumeRolePolicyDocument", strings.Replace(trust, "lambda", strings.Repeat("l", 2048), 1)}, 409, "LimitExceeded", "Cannot exceed quota for ACLSizePerRole: 2048"},
		{[]string{"CreateRole", "RoleName", "x", "AssumeRolePolicyDocument", trust, "Path", "x"}, 400, "ValidationError", "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters and/or / characters."},
		{[]string{"CreateRole", "RoleName", "x", "AssumeRolePolicyDocument", trust, "MaxSessionDuration", "3599"}, 400, "ValidationError", "1 validation error detected: Value '3599' at 'maxSessionDuration' failed to satisfy constraint: Member must have value greater than or equal to 3600"},
		{[]string{"CreateRole", "RoleName", "x", "AssumeRolePolicyDocument", trust, "Tags.member.1.Key", "a", "Tags.member.1.Value", "1", "Tags.member.2.Key", "A", "Tags.member.2.Value", "2"}, 400, "InvalidInput", "Duplicate tag keys found. Please note that Tag keys are case insensitive."},
		{[]string{"TagRole", "RoleName", "r", "Tags.member.1.Key", "a"}, 400, "ValidationError", "1 validation error detected: Value null at 'tags.1.member.value' failed to satisfy constraint: Member must not be null"},
		{[]string{"PutRolePolicy", "RoleName", "r", "PolicyName", "x y", "PolicyDocument", logs}, 400, "ValidationError", "The specified value for policyName is invalid."},
		{[]string{"PutRolePolicy", "RoleName", "r", "PolicyName", "x", "PolicyDocument", "{}"}, 400, "MalformedPolicyDocument", ""},
		{[]string{"PutRolePolicy", "RoleName", "r", "PolicyName", "x", "PolicyDocument", trust}, 400, "MalformedPolicyDocument", ""},
		{[]string{"PutRolePolicy", "RoleName", "r", "PolicyName", "x", "PolicyDocument", big}, 409, "LimitExceeded", "Maximum policy size of 10240 bytes exceeded for role r"},
		{[]string{"PutRolePolicy", "RoleName", "none", "PolicyName", "x", "PolicyDocument", logs}, 404, "NoSuchEntity", "The role with name none cannot be found."},
		{[]string{"ListRoles", "MaxItems", "0"}, 400, "ValidationError", "Member must have value greater than or equal to 1"},
		{[]string{"ListRoles", "MaxItems", "1001"}, 400, "ValidationError", "Member must have value less than or equal to 1000"},
	} {
		status, a := b.do(c.ask[0], c.ask[1:]...)
		if status != c.status || a.Code != c.code || !strings.Contains(a.Message, c.text) || a.Message == "" {
			t.Errorf("%.60v: %d %s: %s", c.ask, status, a.Code, a.Message)
		}
	}
	if status, _ := b.do("GetRole", "RoleName", "x"); status != 404 {
		t.Error("a refused role was stored")
	}
	if names := b.must("ListRolePolicies", "RoleName", "r").Result.Names; fmt.Sprint(names) != "[one two]" {
		t.Errorf("a refused policy was stored: %v", names)
	}
}

// What a policy could allow or deny: IAM's action and the role's ARN with its path.
func TestTheResourceOfACall(t *testing.T) {
	b := newBench(t)
	b.create("deep", "Path", "/team/")
	for form, want := range map[string]string{
		"Action=GetRole&RoleName=deep":           "iam:GetRole arn:aws:iam::000000000000:role/team/deep",
		"Action=GetRole&RoleName=none":           "iam:GetRole arn:aws:iam::000000000000:role/none",
		"Action=CreateRole&RoleName=x&Path=/y/":  "iam:CreateRole arn:aws:iam::000000000000:role/y/x",
		"Action=ListRoles":                       "iam:ListRoles arn:aws:iam::000000000000:role/",
		"Action=ListRoles&PathPrefix=%2Fteam%2F": "iam:ListRoles arn:aws:iam::000000000000:role/team/",
	} {
		var got string
		form += "&Version=2010-05-08"
		b.s.Serve(httptest.NewRecorder(), httptest.NewRequest("POST", "/", nil), []byte(form), protocol.Call{Account: "000000000000"}, func(action, resource string) error {
			got = action + " " + resource
			return &protocol.Error{Code: "AccessDenied", Status: 403}
		})
		if got != want {
			t.Errorf("%s: %s", form, got)
		}
	}
}
