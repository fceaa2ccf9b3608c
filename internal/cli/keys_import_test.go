package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"

	"weir/internal/catalog"
)

func file(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "keys.csv")
	must(t, os.WriteFile(name, []byte(text), 0o600))
	return name
}

func (s *stocked) planID(name string) string {
	s.t.Helper()
	for _, p := range decode[planList](s.t, s.does("plans", "--json")).Plans {
		if p.Name == name {
			return p.ID
		}
	}
	s.t.Fatalf("no plan %s", name)
	return ""
}

// TestKeysImport: keys of a file let callers in, and what is left out is told
// with its line in the file, however it was sent.
func TestKeysImport(t *testing.T) {
	s := stock(t)
	plan := s.planID("ten-a-day")
	var text strings.Builder
	text.WriteString("name,description,key,usageplanids\n")
	text.WriteString("bad,\"two\nlines\",short,\n") // lines 2 and 3
	for i := range importBatch + 1 {                // from line 4 on
		fmt.Fprintf(&text, "imported%d,,apikey1234abcdefghij%010d,%s\n", i, i, plan)
	}
	text.WriteString("lost,\"a\nb\",apikey1234abcdefghijklmnopqrst,nope\n")
	text.WriteString("late,,short,\n")
	name := file(t, text.String())
	got := decode[imported](t, s.does("keys", "import", name, "--json"))
	want := []string{"Line 2: API Key value should be at least 20 characters", fmt.Sprintf("Line %d: Invalid Usage Plan ID specified", importBatch+5), fmt.Sprintf("Line %d: API Key value should be at least 20 characters", importBatch+7)}
	if len(got.IDs) != importBatch+1 || !reflect.DeepEqual(got.Warnings, want) {
		t.Errorf("%d keys, warnings %q, want %q", len(got.IDs), got.Warnings, want)
	}
	if status := s.call(fmt.Sprintf("apikey1234abcdefghij%010d", importBatch)); status != 200 {
		t.Errorf("a call with the last one: %d", status)
	}
	out := s.does("keys", "import", name)
	if !strings.HasPrefix(out, "left out: Line 2: ") || !strings.HasSuffix(out, fmt.Sprintf("\n%d keys are imported; 'weir keys' lists them\n", importBatch+1)) {
		t.Errorf("%s", out)
	}
	before := len(s.allKeys())
	s.refuses([]string{"No API Key was imported: Line 2: ", "; Line "}, "keys", "import", name, "--fail-on-warnings")
	if after := len(s.allKeys()); after != before || strings.Contains(out, "apikey1234") {
		t.Errorf("%d keys, %d before", after, before)
	}
	one := file(t, "Key,Name\r\napikey1234abcdefghijklmnopqrst,'tis\r\n")
	if out := s.does("keys", "import", one, "--fail-on-warnings"); out != "1 key is imported; 'weir keys' lists them\n" {
		t.Errorf("%s", out)
	}
}

func TestKeysImportRefuses(t *testing.T) {
	s := stock(t)
	s.refuses([]string{"no such file"}, "keys", "import", filepath.Join(t.TempDir(), "none.csv"))
	s.refuses([]string{"keys.csv: Line 1: the column names must have Name and Key"}, "keys", "import", file(t, "a,b\n"))
	s.refuses([]string{"keys.csv: A file of API Keys must be UTF-8 text"}, "keys", "import", file(t, "\xff"))
	s.refuses([]string{"10001 keys, and 10000 can be imported all or none"}, "keys", "import", "--fail-on-warnings",
		file(t, "name,key\n"+strings.Repeat("n\n", catalog.MaxKeyFileRows+1)))
	if _, err := readFile("-", bytes.NewReader(make([]byte, 11)), 10); err == nil || !strings.Contains(err.Error(), "more than 10 B") {
		t.Errorf("%v", err)
	}
}

// TestRotateKeep: the key stays what it is, both values work, and the old one
// ends as its tag says.
func TestRotateKeep(t *testing.T) {
	s := stock(t)
	old, oldValue := s.key("reader"), s.create("reader")
	got := decode[keyRenewed](t, s.does("keys", "rotate", old.ID, "--keep", "7d", "--json"))
	until, err := time.Parse(time.RFC3339, got.PreviousUntil)
	if err != nil || got.ID != old.ID || len(got.Value) != 40 || time.Until(until) > 7*24*time.Hour+time.Second || time.Until(until) < 6*24*time.Hour {
		t.Errorf("%+v, %v", got, err)
	}
	calls := func(when string, value string, want int) {
		t.Helper()
		if status := s.call(value); status != want {
			t.Errorf("%s: %d, want %d", when, status, want)
		}
	}
	calls("the old value", oldValue, 200)
	calls("the new value", got.Value, 200)
	shown := s.does("keys", "show", old.ID)
	if !strings.Contains(shown, "old value until  "+got.PreviousUntil+"\n") {
		t.Errorf("%s", shown)
	}
	s.refuses([]string{"its previous value works until"}, "keys", "rotate", old.ID, "--keep", "1h")
	_, err = s.api.UntagResource(t.Context(), &apigateway.UntagResourceInput{
		ResourceArn: aws.String("arn:aws:apigateway:us-east-1::/apikeys/" + old.ID), TagKeys: []string{catalog.TagPreviousUntil},
	})
	must(t, err)
	calls("the old value without its tag", oldValue, 403)
	out := s.does("keys", "rotate", old.ID, "--keep", "0s")
	calls("a value that was not kept", got.Value, 403)
	if !strings.Contains(out, "works no more") || strings.Contains(out, got.Value) {
		t.Errorf("%s", out)
	}
	for _, keep := range []string{"7", "-1h", "1.5s", "7w", "d", "-7d"} {
		if code, _, errs := s.run("keys", "rotate", old.ID, "--keep", keep); code != exitUsage || !strings.Contains(errs, "7d, 12h") {
			t.Errorf("--keep %s: exit %d, %s", keep, code, errs)
		}
	}
	s.refuses([]string{"between 0 and 31622400"}, "keys", "rotate", old.ID, "--keep", "367d")
	if code, _, errs := s.run("keys", "rotate", old.ID, "--keep", "7d", "--keep-old"); code != exitUsage || !strings.Contains(errs, "keep-old") {
		t.Errorf("exit %d, %s", code, errs)
	}
}

// TestKeysShowTerms: who gets in with a key is told under a name of its own.
func TestKeysShowTerms(t *testing.T) {
	s := stock(t)
	key := s.key("reader")
	_, err := s.api.TagResource(t.Context(), &apigateway.TagResourceInput{
		ResourceArn: aws.String("arn:aws:apigateway:us-east-1::/apikeys/" + key.ID),
		Tags: map[string]string{
			"team": "a", catalog.TagExpires: "2020-01-01", catalog.TagSourceRanges: "127.0.0.0/8 ::1", catalog.TagMaxConcurrent: "3",
		},
	})
	must(t, err)
	out := s.does("keys", "show", key.ID)
	for _, want := range []string{"expires          2020-01-01, which is past\n", "callers from     127.0.0.0/8 ::1\n", "calls at a time  3\n", "tag              team=a\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if got := s.key("reader"); got.Tags[catalog.TagMaxConcurrent] != "3" || got.Expires.Format(time.RFC3339) != "2020-01-01T00:00:00Z" {
		t.Errorf("%+v", got)
	}
	if list := s.does("keys"); !strings.Contains(list, "expired") {
		t.Errorf("%s", list)
	}
	s.does("keys", "disable", key.ID)
	if list := s.does("keys", "--json"); strings.Contains(list, "expired") || !strings.Contains(list, `"expires": "2020-01-01T00:00:00Z"`) {
		t.Errorf("%s", list)
	}
}
