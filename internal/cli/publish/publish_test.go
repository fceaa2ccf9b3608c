package publish

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	agw "github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lam "github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

func TestPublishPutsAFolderBehindAKey(t *testing.T) {
	p := newPlace(t)
	spec := demo(folder(t, python("one")))
	spec.Quota = &Quota{2, "WEEK"}
	made := p.publish(spec)
	if made.Name != "demo" || made.Path != "/demo" || made.Runtime != "python3.12" || made.Handler != "main.handler" || !made.KeyEnabled {
		t.Fatalf("made %+v", made)
	}
	if status, body := p.call(made, "POST", ""); status != 403 || body != `{"message":"Forbidden"}` {
		t.Errorf("without a key: %d %s", status, body)
	}
	for range 2 {
		if status, body := p.call(made, "POST", made.KeyValue); status != 200 || body != "one" {
			t.Errorf("with the key: %d %s", status, body)
		}
	}
	if status, body := p.call(made, "POST", made.KeyValue); status != 429 || body != `{"message":"Limit Exceeded"}` {
		t.Errorf("over the quota: %d %s", status, body)
	}
	before := len(p.wire.writes)
	if again := p.publish(spec); len(again.Calls) > 0 || len(p.wire.writes) != before || again.KeyValue != made.KeyValue || again.APIID != made.APIID {
		t.Errorf("the second time made %v, %+v", p.wire.writes[before:], again)
	}
}

// changes are what a second publication may ask for, each from what demo asks.
var changes = []struct {
	name string
	to   func(t *testing.T, s *Spec)
	made string // the operations, in order
	has  []string
	not  []string
}{
	{"nothing", func(*testing.T, *Spec) {}, "", nil, nil},
	{"code", func(t *testing.T, s *Spec) { write(t, s.Folder, python("two")) }, "UpdateFunctionCode", nil, nil},
	{
		"configuration", func(_ *testing.T, s *Spec) { s.Memory, s.Timeout, s.Env = 256, 9, map[string]string{"MODE": "b"} },
		"UpdateFunctionConfiguration",
		[]string{"256 MB 9 s", "env map[MODE:b]"},
		nil,
	},
	{
		"path", func(_ *testing.T, s *Spec) { s.Path = "/v2/{id}" },
		"CreateResource CreateResource PutMethod PutIntegration DeleteResource RemovePermission AddPermission CreateDeployment",
		[]string{"POST /v2/{id} key true", "default/POST/v2/*"},
		[]string{"/demo"},
	},
	{
		"the root", func(_ *testing.T, s *Spec) { s.Path = "/" },
		"PutMethod PutIntegration DeleteResource RemovePermission AddPermission CreateDeployment",
		[]string{"POST / key true"},
		[]string{"/demo"},
	},
	{
		"below", func(_ *testing.T, s *Spec) { s.Path = "/demo/{proxy+}" },
		"CreateResource PutMethod PutIntegration DeleteMethod RemovePermission AddPermission CreateDeployment",
		[]string{"POST /demo/{proxy+} key true"},
		[]string{"POST /demo key"},
	},
	{
		"methods", func(_ *testing.T, s *Spec) { s.Methods = []string{"put", "GET", "PUT"} },
		"PutMethod PutIntegration PutMethod PutIntegration DeleteMethod RemovePermission AddPermission AddPermission CreateDeployment",
		[]string{"GET /demo key true", "PUT /demo key true"},
		[]string{"POST /demo"},
	},
	{
		"stage", func(_ *testing.T, s *Spec) { s.Stage = "live" },
		"RemovePermission AddPermission CreateDeployment UpdateUsagePlan DeleteStage",
		[]string{"stage live"},
		[]string{"stage default"},
	},
	{
		"limits", func(_ *testing.T, s *Spec) { s.Rate, s.Burst, s.Quota = 0.5, 7, &Quota{3, "MONTH"} },
		"UpdateUsagePlan",
		[]string{"plan demo 0.5/7 quota 3/MONTH"},
		nil,
	},
	{"no quota", func(_ *testing.T, s *Spec) { s.Quota = nil }, "UpdateUsagePlan", nil, []string{"quota"}},
	{
		"no key", func(_ *testing.T, s *Spec) { s.Open, s.Quota, s.Rate, s.Burst = true, nil, 5, 6 },
		"UpdateMethod UpdateStage CreateDeployment",
		[]string{"POST /demo key false", "throttle 5 6"},
		nil,
	},
}

// TestASecondPublicationChangesWhatTheFirstMade holds for each change that it
// takes just these calls, that a dry run lists the same ones and makes none,
// that the way back leads to where it began, and that a third time does
// nothing.
func TestASecondPublicationChangesWhatTheFirstMade(t *testing.T) {
	p := newPlace(t)
	for _, c := range changes {
		t.Run(c.name, func(t *testing.T) {
			p.t = t
			first := demo(folder(t, python("one")))
			made := p.publish(first)
			before := p.inventory()

			second := first
			c.to(t, &second)
			dry := p.publisher()
			dry.DryRun = true
			writes := len(p.wire.writes)
			planned := must[Publication](t)(dry.Publish(t.Context(), second))
			if p.inventory() != before || len(p.wire.writes) != writes {
				t.Fatalf("the dry run changed something: %v", p.wire.writes[writes:])
			}
			done := p.publish(second)
			sameLines(t, "the dry run's calls", shape(planned.Calls), shape(done.Calls))
			if len(p.wire.writes)-writes != len(done.Calls) {
				t.Errorf("it told %d calls, on the wire were %v", len(done.Calls), p.wire.writes[writes:])
			}
			if got := operations(done.Calls); got != c.made {
				t.Errorf("made %s\nwant %s", got, c.made)
			}
			if done.KeyValue != made.KeyValue && !second.Open || done.APIID != made.APIID {
				t.Errorf("key or API are others than before")
			}
			after := p.inventory()
			for _, text := range c.has {
				if !strings.Contains(after, text) {
					t.Errorf("there is no %q:\n%s", text, after)
				}
			}
			for _, text := range c.not {
				if strings.Contains(after, text) {
					t.Errorf("there is still %q:\n%s", text, after)
				}
			}
			if third := p.publish(second); len(third.Calls) > 0 {
				t.Errorf("the same again made %v", third.Calls)
			}
			if c.name == "code" {
				write(t, first.Folder, python("one"))
			}
			p.publish(first)
			if back := p.inventory(); back != before && c.name != "no key" {
				t.Errorf("the way back leads to\n%s\nwant\n%s", back, before)
			}
			p.unpublish("demo")
			if left := p.inventory(); left != "" {
				t.Errorf("left behind:\n%s", left)
			}
		})
	}
}

func operations(calls []Call) string {
	var names []string
	for _, c := range calls {
		names = append(names, c.Operation)
	}
	return strings.Join(names, " ")
}

func TestDryRunOfTheFirstPublication(t *testing.T) {
	p := newPlace(t)
	spec := demo(folder(t, python("one")))
	spec.Env = map[string]string{"TOKEN": "very secret"}
	dry := p.publisher()
	dry.DryRun = true
	planned := must[Publication](t)(dry.Publish(t.Context(), spec))
	if len(p.wire.writes) > 0 || p.inventory() != "" {
		t.Fatalf("the dry run made %v", p.wire.writes)
	}
	made := p.publish(spec)
	sameLines(t, "the dry run's calls", shape(planned.Calls), shape(made.Calls))
	text := fmt.Sprint(made.Calls)
	for _, secret := range []string{"very secret", made.KeyValue} {
		if strings.Contains(text, secret) {
			t.Errorf("the calls tell %q", secret)
		}
	}

	dryRemoval := must[[]Call](t)(dry.Unpublish(t.Context(), "demo"))
	removal := p.unpublish("demo")
	sameLines(t, "the dry run's removal", shape(dryRemoval), shape(removal))
	if left := p.inventory(); left != "" {
		t.Errorf("left behind:\n%s", left)
	}
}

// TestEveryInterruptionIsMadeGood cuts the line at every changing call, before
// the call and before its answer, and publishes again.
func TestEveryInterruptionIsMadeGood(t *testing.T) {
	dir := folder(t, python("one"))
	p := newPlace(t)
	calls := len(p.publish(demo(dir)).Calls)
	want := p.inventory()
	p.unpublish("demo")
	if calls < 12 {
		t.Fatalf("a first publication took %d calls", calls)
	}
	for _, answered := range []bool{false, true} {
		for at := range calls {
			t.Run(fmt.Sprintf("call %d answer lost %t", at, answered), func(t *testing.T) {
				p.t = t
				p.wire.writes, p.wire.failAt, p.wire.answered = nil, at, answered
				if _, err := p.publisher().Publish(t.Context(), demo(dir)); !errors.Is(err, errLost) {
					t.Fatalf("the cut line gave %v", err)
				}
				p.wire.failAt = -1
				p.publish(demo(dir))
				if got := p.inventory(); got != want {
					t.Errorf("in the end there is\n%s\nwant\n%s", got, want)
				}
				p.unpublish("demo")
				if left := p.inventory(); left != "" {
					t.Errorf("left behind:\n%s", left)
				}
			})
		}
	}
}

func TestEveryInterruptedRemovalIsMadeGood(t *testing.T) {
	p := newPlace(t)
	spec := demo(folder(t, python("one")))
	p.publish(spec)
	calls := len(p.unpublish("demo"))
	for _, answered := range []bool{false, true} {
		for at := range calls {
			p.publish(spec)
			p.wire.writes, p.wire.failAt, p.wire.answered = nil, at, answered
			if _, err := p.publisher().Unpublish(t.Context(), "demo"); !errors.Is(err, errLost) {
				t.Fatalf("call %d: the cut line gave %v", at, err)
			}
			p.wire.failAt = -1
			p.unpublish("demo")
			if left := p.inventory(); left != "" {
				t.Fatalf("call %d, answer lost %t: left behind:\n%s", at, answered, left)
			}
		}
	}
	if calls := p.unpublish("demo"); len(calls) > 0 {
		t.Errorf("nothing is there, and it made %v", calls)
	}
}

// TestWhatOthersMadeIsLeftAlone has things of our name that carry no tag.
func TestWhatOthersMadeIsLeftAlone(t *testing.T) {
	spec := demo(folder(t, python("one")))
	theirs := func(t *testing.T, p *place, what string) {
		r := p.publisher().newRun("demo")
		var err error
		switch what {
		case "role":
			_, err = r.iam.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("demo"), AssumeRolePolicyDocument: aws.String(trustLambda)})
		case "function":
			zip := must[[]byte](t)(zipFolder(t.Context(), spec.Folder, maxZipped, maxUnzipped))
			_, err = r.fns.CreateFunction(t.Context(), &lambda.CreateFunctionInput{
				FunctionName: aws.String("demo"), Runtime: "python3.12", Handler: aws.String("main.handler"),
				Role: aws.String("arn:aws:iam::000000000000:role/demo"), Code: &lam.FunctionCode{ZipFile: zip},
			})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, what := range []string{"role", "function"} {
		t.Run(what, func(t *testing.T) {
			p := newPlace(t)
			theirs(t, p, what)
			before := p.inventory()
			_, err := p.publisher().Publish(t.Context(), spec)
			if err == nil || !strings.Contains(err.Error(), "a "+what+" named demo is there already") {
				t.Errorf("publish: %v", err)
			}
			if _, err := p.publisher().Unpublish(t.Context(), "demo"); err == nil {
				t.Error("unpublish has no objection")
			}
			if after := p.inventory(); after != before {
				t.Errorf("it changed\n%s\ninto\n%s", before, after)
			}
		})
	}
	t.Run("what may have one name", func(t *testing.T) {
		p := newPlace(t)
		r := p.publisher().newRun("demo")
		api := must[*apigateway.CreateRestApiOutput](t)(r.agw.CreateRestApi(t.Context(), &apigateway.CreateRestApiInput{Name: aws.String("demo")}))
		must[*apigateway.CreateApiKeyOutput](t)(r.agw.CreateApiKey(t.Context(), &apigateway.CreateApiKeyInput{Name: aws.String("demo")}))
		must[*apigateway.CreateUsagePlanOutput](t)(r.agw.CreateUsagePlan(t.Context(), &apigateway.CreateUsagePlanInput{
			Name: aws.String("demo"), Throttle: &agw.ThrottleSettings{RateLimit: 1, BurstLimit: 1}, Tags: map[string]string{tag: "another"},
		}))
		before := p.inventory()
		made := p.publish(spec)
		if made.APIID == *api.Id {
			t.Error("it took over an API of somebody else")
		}
		if status, body := p.call(made, http.MethodPost, made.KeyValue); status != 200 {
			t.Errorf("%d %s", status, body)
		}
		p.unpublish("demo")
		if after := p.inventory(); after != before {
			t.Errorf("it changed\n%s\ninto\n%s", before, after)
		}
	})
}

// TestADisabledKeyStaysDisabled: publishing code again must not let in whom
// the owner shut out.
func TestADisabledKeyStaysDisabled(t *testing.T) {
	p := newPlace(t)
	spec := demo(folder(t, python("one")))
	made := p.publish(spec)
	r := p.publisher().newRun("demo")
	must[*apigateway.UpdateApiKeyOutput](t)(r.agw.UpdateApiKey(t.Context(), &apigateway.UpdateApiKeyInput{
		ApiKey: &made.KeyID, PatchOperations: []agw.PatchOperation{replace("/enabled", "false")},
	}))
	again := p.publish(spec)
	if again.KeyEnabled || again.KeyID != made.KeyID || len(again.Calls) > 0 {
		t.Errorf("made %+v", again)
	}
}

func TestEventsTellWhatWasDone(t *testing.T) {
	p := newPlace(t)
	spec := demo(folder(t, python("one")))
	told := func() map[string]State {
		last := map[string]State{}
		publisher := p.publisher()
		publisher.Report = func(e Event) { last[e.Step] = e.State }
		must[Publication](t)(publisher.Publish(t.Context(), spec))
		return last
	}
	want := map[string]State{
		"code": Done, "account": Done, "role": Made, "function": Made, "api": Made, "method": Made,
		"permission": Made, "stage": Made, "plan": Made, "key": Made,
	}
	if got := told(); !maps.Equal(got, want) {
		t.Errorf("told %v\nwant %v", got, want)
	}
	write(t, spec.Folder, python("two"))
	spec.Rate = 5
	for step, state := range want {
		if state != Done {
			want[step] = Unchanged
		}
	}
	want["function"], want["plan"] = Changed, Changed
	if got := told(); !maps.Equal(got, want) {
		t.Errorf("told %v\nwant %v", got, want)
	}
}

// TestACancelledStepIsNoFailure, and a folder that cannot be packed is told
// apart from a call that failed.
func TestACancelledStepIsNoFailure(t *testing.T) {
	p := newPlace(t)
	publisher := p.publisher()
	ctx, cancel := context.WithCancel(t.Context())
	var last Event
	publisher.Report = func(e Event) {
		last = e
		if e.Step == "api" {
			cancel()
		}
	}
	spec := demo(folder(t, python("one")))
	if _, err := publisher.Publish(ctx, spec); !errors.Is(err, context.Canceled) || last.Step != "api" || last.State != Stopped {
		t.Errorf("%v; the last event is %+v", err, last)
	}
	if err := os.Symlink("/", filepath.Join(spec.Folder, "out")); err != nil {
		t.Fatal(err)
	}
	var unpacked *FolderError
	if _, err := publisher.Publish(t.Context(), spec); !errors.As(err, &unpacked) || last.State != Failed {
		t.Errorf("%v; the last event is %+v", err, last)
	}
}

// TestARotatedKeyIsTheKey: a second key with our tag, in the plan and enabled,
// stands in for a first one that is disabled; both go with the publication.
func TestARotatedKeyIsTheKey(t *testing.T) {
	p := newPlace(t)
	spec := demo(folder(t, python("one")))
	made := p.publish(spec)
	r := p.publisher().newRun("demo")
	next := must[*apigateway.CreateApiKeyOutput](t)(r.agw.CreateApiKey(t.Context(), &apigateway.CreateApiKeyInput{
		Name: aws.String("demo"), Enabled: true, Tags: map[string]string{tag: "demo"},
	}))
	must[*apigateway.CreateUsagePlanKeyOutput](t)(r.agw.CreateUsagePlanKey(t.Context(), &apigateway.CreateUsagePlanKeyInput{
		UsagePlanId: &made.PlanID, KeyId: next.Id, KeyType: aws.String("API_KEY"),
	}))
	must[*apigateway.UpdateApiKeyOutput](t)(r.agw.UpdateApiKey(t.Context(), &apigateway.UpdateApiKeyInput{
		ApiKey: &made.KeyID, PatchOperations: []agw.PatchOperation{replace("/enabled", "false")},
	}))
	if again := p.publish(spec); again.KeyID != *next.Id || !again.KeyEnabled || len(again.Calls) > 0 {
		t.Errorf("made %+v", again)
	}
	p.unpublish("demo")
	if left := p.inventory(); left != "" {
		t.Errorf("left behind:\n%s", left)
	}
}
