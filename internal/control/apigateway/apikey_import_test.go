package apigateway

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	client "github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/apigateway/types"

	"weir/internal/store"
)

// fileValue is the nth value of a file.
func fileValue(n int) string { return fmt.Sprintf("apikey1234abcdefghij%010d", n) }

func (s *server) importKeys(file string, failOnWarnings bool) (*client.ImportApiKeysOutput, error) {
	return s.sdk.ImportApiKeys(ctx, &client.ImportApiKeysInput{Body: []byte(file), Format: types.ApiKeysFormatCsv, FailOnWarnings: failOnWarnings})
}

func (s *server) imported(file string) *client.ImportApiKeysOutput {
	s.t.Helper()
	out, err := s.importKeys(file, false)
	check(s.t, err)
	return out
}

// held gives the names of all keys, newest first, and the plans of each.
func (s *server) held() (all []string) {
	s.t.Helper()
	check(s.t, s.store.View(ctx, func(tx *store.Tx) error {
		keys, err := tx.APIKeys(store.KeyQuery{})
		for _, k := range keys {
			plans, err := plansOf(tx, k.ID)
			if err != nil {
				return err
			}
			text := fmt.Sprintf("%s %s %v", k.Name, k.Description, k.Enabled)
			var names []string
			for _, p := range plans {
				names = append(names, p.Name)
			}
			slices.Sort(names)
			all = append(all, strings.TrimSpace(text+" "+strings.Join(names, " ")))
		}
		return err
	}))
	return all
}

func (s *server) namedPlan(name string, sites ...site) string {
	s.t.Helper()
	in := &client.CreateUsagePlanInput{Name: &name}
	for _, p := range sites {
		in.ApiStages = append(in.ApiStages, types.ApiStage{ApiId: aws.String(p.api), Stage: aws.String("dev")})
	}
	out, err := s.sdk.CreateUsagePlan(ctx, in)
	check(s.t, err)
	return *out.Id
}

func TestImport(t *testing.T) {
	s := newServer(t)
	one, two := s.namedPlan("one"), s.namedPlan("two")
	out := s.imported("Enabled,Name,key,UsageplanIds,description\r\n" +
		"tRuE,first," + fileValue(1) + ",\"" + one + "," + two + "\",d\r\n" +
		"false,second," + fileValue(2) + "\r\n")
	same(t, s.held(), "second  false", "first d true one two")
	if len(out.Ids) != 2 || len(out.Warnings) != 0 || s.value(out.Ids[0]) != fileValue(1) || s.value(out.Ids[1]) != fileValue(2) {
		t.Errorf("%v %v", out.Ids, out.Warnings)
	}
	first := s.stored(out.Ids[0])

	// The same value again overwrites what the file says of the key, and no more.
	check(t, s.tag(out.Ids[0], "team", "x"))
	s.pass(time.Hour)
	three := s.namedPlan("three")
	again := s.imported("name,key,usageplanids\nrenamed," + fileValue(1) + "," + three + "\nthird," + fileValue(3) + ",\nagain," + fileValue(3) + ",")
	same(t, s.held(), "again  true", "second  false", "renamed  true one three two")
	if len(again.Ids) != 2 || again.Ids[0] != out.Ids[0] || len(again.Warnings) != 0 {
		t.Errorf("%v %v", again.Ids, again.Warnings)
	}
	k := s.stored(out.Ids[0])
	if !k.CreatedDate.Equal(first.CreatedDate) || !k.LastUpdatedDate.Equal(s.clock()) || k.Tags["team"] != "x" || k.Digest != first.Digest || s.value(k.ID) != fileValue(1) {
		t.Errorf("%+v", k)
	}
	s.golden(`{"ids":[],"warnings":[]}`, "POST", "/apikeys?mode=import&format=csv", "name,key\n")
}

// Rows that cannot be taken are left out whole, each with its line.
func TestImportWarnings(t *testing.T) {
	s := newServer(t)
	site := s.site()
	one, other := s.namedPlan("one", site), s.namedPlan("other", site)
	taken := s.imported("name,key,usageplanids\nkeeper," + fileValue(0) + "," + one).Ids[0]
	rotated := s.imported("name,key\nrotated," + fileValue(9)).Ids[0]
	s.rotate(rotated, `{"keepSeconds":60}`)
	file := "name,key,enabled,usageplanids\n" +
		"a," + fileValue(1) + ",,nope\n" +
		"b,short,,\n" +
		"c," + fileValue(2) + ",maybe,\n" +
		"keeper changed," + fileValue(0) + ",," + other + "\n" +
		"d," + fileValue(3) + ",,\"" + one + "," + other + "\"\n" +
		"e," + fileValue(9) + ",,\n" +
		"f," + fileValue(4) + ",," + one + "\n"
	s.mu.Lock()
	before := s.now
	s.mu.Unlock()
	warnings := []string{
		"Line 2: Invalid Usage Plan ID specified",
		"Line 3: API Key value should be at least 20 characters",
		"Line 4: Enabled must be true or false",
		"Line 5: API Key " + taken + " is already in Usage Plan " + one + " for API Stage " + site.api + ":dev; a key can be in one Usage Plan per API Stage",
		"Line 6: API Key NEW is already in Usage Plan " + one + " for API Stage " + site.api + ":dev; a key can be in one Usage Plan per API Stage",
		"Line 7: API Key already exists",
	}
	// All or none: none.
	held := s.held()
	_, err := s.importKeys(file, true)
	if err == nil || !strings.Contains(err.Error(), "No API Key was imported: "+strings.Join(warnings[:4], "; ")) || strings.Contains(err.Error(), fileValue(3)) {
		t.Errorf("%v", err)
	}
	same(t, s.held(), held...)

	out := s.imported(file)
	for i, w := range out.Warnings {
		if i == 4 { // the identifier that the key would have had
			w = "Line 6: API Key NEW" + w[len("Line 6: API Key ")+longID:]
		}
		if w != warnings[i] {
			t.Errorf("%s\nwant %s", w, warnings[i])
		}
	}
	if len(out.Ids) != 1 || len(out.Warnings) != 6 || !before.Equal(s.clock()) {
		t.Errorf("%v %v", out.Ids, out.Warnings)
	}
	same(t, s.held(), append([]string{"f  true one"}, held...)...)

	// A good file of any size is taken with either.
	all, err := s.importKeys("name,key\nx,"+fileValue(5)+"\ny,"+fileValue(6)+"\n", true)
	check(t, err)
	if len(all.Ids) != 2 {
		t.Errorf("%v", all.Ids)
	}
	var many strings.Builder
	many.WriteString("name,key\n")
	for i := range 2 * maxTold {
		fmt.Fprintf(&many, "x,short%d\n", i)
	}
	_, err = s.importKeys(many.String(), true)
	if err == nil || !strings.HasSuffix(err.Error(), "; and 10 more") {
		t.Errorf("%v", err)
	}
}

func TestImportErrors(t *testing.T) {
	s := newServer(t)
	const bad = "BadRequestException"
	for _, c := range []struct{ code, message, target, body string }{
		{"ValidationException", "1 validation error detected: Value null at 'importApiKeysInput.format' failed to satisfy constraint: Member must not be null", "", "name,key"},
		{"ValidationException", "1 validation error detected: Value 'xml' at 'importApiKeysInput.format' failed to satisfy constraint: Member must satisfy enum value set: [csv]", "&format=xml", "name,key"},
		{bad, "A file of API Keys must begin with a line of column names, with Name and Key among them", "&format=csv", ""},
		{bad, "Line 1: the column names must have Name and Key among them", "&format=csv", "name,value\n"},
		{bad, "Line 2: a cell in quotes does not end", "&format=csv&failonwarnings=true", "name,key\n\"n," + fileValue(1)},
		{bad, "A file of API Keys must be UTF-8 text", "&format=csv", "name,key\n\xff," + fileValue(1)},
		{bad, "A file of API Keys can have at most 10485760 bytes", "&format=csv", "name,key\n" + strings.Repeat(" ", 10<<20)},
		{bad, "A file of API Keys can have at most 10000 keys", "&format=csv", "name,key\n" + strings.Repeat("n\n", 10_001)},
	} {
		s.refused(400, c.code, c.message, "POST", "/apikeys?mode=import"+c.target, c.body)
	}
	if n := len(s.held()); n != 0 {
		t.Errorf("%d keys came of it", n)
	}
}

// More than one transaction's worth, in the order of the file.
func TestImportOfManyKeys(t *testing.T) {
	s := newServer(t)
	plan := s.namedPlan("p")
	var file strings.Builder
	file.WriteString("name,key,usageplanids\n")
	const n = importBatch*2 + 1
	for i := range n {
		fmt.Fprintf(&file, "n%d,%s,%s\n", i, fileValue(i), plan)
	}
	out := s.imported(file.String())
	held := s.held()
	if len(out.Ids) != n || len(held) != n || held[0] != fmt.Sprintf("n%d  true p", n-1) || s.stored(out.Ids[n-1]).Name != fmt.Sprintf("n%d", n-1) {
		t.Errorf("%d ids, %d keys, the newest %s", len(out.Ids), len(held), held[0])
	}
	if again := s.imported(file.String()); !reflect.DeepEqual(again.Ids, out.Ids) || len(s.held()) != n {
		t.Error("the same file made other keys")
	}
}
