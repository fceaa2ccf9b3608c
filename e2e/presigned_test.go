package e2e

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// curlLink follows a link as anybody could who was given it.
func curlLink(t *testing.T, link string) (status string, body []byte) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), tool(t, "curl"), "-sS", "-w", "%{http_code}", link).Output()
	if err != nil || len(out) < 3 {
		t.Fatalf("curl %s: %v %s", link, err, out)
	}
	return string(out[len(out)-3:]), out[:len(out)-3]
}

// TestCodeLocation: GetFunction's Location gives the function's zip to plain
// curl, and nothing else.
func TestCodeLocation(t *testing.T) {
	t.Parallel()
	tool(t, "curl")
	c := newSDK(t, start(t, filepath.Join(t.TempDir(), "data")))
	ctx := t.Context()
	zips := map[string][]byte{"one": zipFolder(t, "../examples/timestamper"), "two": zipFolder(t, "../examples/timestamper-node")}
	links := map[string]string{}
	for name, zip := range zips {
		c.createFunction(ctx, name, "python3.12", "lambda_function.lambda_handler", zip)
		f, err := c.lambda.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: &name})
		must(t, f, err)
		if aws.ToString(f.Code.RepositoryType) != "S3" {
			t.Errorf("RepositoryType is %q", aws.ToString(f.Code.RepositoryType))
		}
		links[name] = aws.ToString(f.Code.Location)
		if strings.Contains(links[name], c.s.secret) {
			t.Error("the link holds the root secret")
		}
		if status, got := curlLink(t, links[name]); status != "200" || !bytes.Equal(got, zip) {
			t.Errorf("%s: %s, %d bytes, want the zip of %d", name, status, len(got), len(zip))
		}
	}
	object := func(link string) string {
		_, rest, _ := strings.Cut(link, "sha256=")
		sha, _, _ := strings.Cut(rest, "&")
		return sha
	}
	bent := strings.Replace(links["one"], object(links["one"]), object(links["two"]), 1)
	if status, body := curlLink(t, bent); status != "403" || !strings.Contains(string(body), "does not match the signature") {
		t.Errorf("another function's code by this link: %s %s", status, body)
	}
	if status, body := curlLink(t, strings.Replace(links["one"], "X-Amz-Expires=600", "X-Amz-Expires=900", 1)); status != "403" {
		t.Errorf("a longer life: %s %s", status, body)
	}
	// The gateway address answers callers and nothing else.
	if status, body := curlLink(t, strings.Replace(links["one"], c.s.control, c.s.gateway, 1)); status == "200" {
		t.Errorf("the gateway address: %s %s", status, body)
	}
}

// TestPresignedIdentity: a link made by AWS's SDK says who made it, as tokens
// for EKS and Vault's logins are checked.
func TestPresignedIdentity(t *testing.T) {
	t.Parallel()
	s := start(t, filepath.Join(t.TempDir(), "data"))
	c := newSDK(t, s)
	r, err := sts.NewPresignClient(c.sts).PresignGetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	must(t, r, err)
	if status, body := curlLink(t, r.URL); status != "200" || !strings.Contains(string(body), "<Arn>arn:aws:iam::000000000000:root</Arn>") {
		t.Errorf("%s: %s %s", r.URL, status, body)
	}
}
