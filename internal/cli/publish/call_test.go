package publish

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lam "github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// answers gives one answer after the other.
type answers []struct {
	status int
	kind   string // x-amzn-ErrorType
	body   string
}

func (a *answers) Do(*http.Request) (*http.Response, error) {
	next := (*a)[0]
	if len(*a) > 1 {
		*a = (*a)[1:]
	}
	return &http.Response{
		StatusCode: next.status, Header: http.Header{"X-Amzn-Errortype": {next.kind}},
		Body: io.NopCloser(strings.NewReader(next.body)),
	}, nil
}

func scripted(t *testing.T, a answers) (r *run, waits *[]time.Duration, told *[]string) {
	t.Helper()
	waits, told = new([]time.Duration), new([]string)
	p := Publisher{Config: aws.Config{
		Region: "us-east-1", HTTPClient: &a, Credentials: credentials.NewStaticCredentialsProvider("AKIA", "secret", ""),
	}, Report: func(e Event) {
		if e.State == Waiting {
			*told = append(*told, e.Step+": "+e.Detail)
		}
	}}
	r = p.newRun("demo")
	r.current = "function"
	r.pause = func(_ context.Context, d time.Duration) error {
		*waits = append(*waits, d)
		return nil
	}
	return r, waits, told
}

func TestWhatPassesIsWaitedFor(t *testing.T) {
	refusedRole := `{"message":"The role defined for the function cannot be assumed by Lambda."}`
	r, waits, told := scripted(t, answers{
		{400, "InvalidParameterValueException", refusedRole},
		{400, "InvalidParameterValueException", refusedRole},
		{201, "", `{"FunctionArn":"arn"}`},
	})
	out, err := change(t.Context(), r, r.fns.CreateFunction, &lambda.CreateFunctionInput{FunctionName: aws.String("demo"), Role: aws.String("r"), Code: &lam.FunctionCode{}}, nil)
	if err != nil || aws.ToString(out.FunctionArn) != "arn" {
		t.Fatalf("%v, %v", out, err)
	}
	if !slices.Equal(*waits, []time.Duration{3 * time.Second, 3 * time.Second}) || len(*told) != 2 || (*told)[0] != "function: the new role is not known everywhere yet" {
		t.Errorf("waited %v and told %q", *waits, *told)
	}
	if len(r.calls) != 1 {
		t.Errorf("one call counts as %v", r.calls)
	}
}

func TestPatienceEnds(t *testing.T) {
	r, waits, _ := scripted(t, answers{{409, "ConflictException", `{"message":"Unable to complete operation due to concurrent modification. Please try again later."}`}})
	_, err := change(t.Context(), r, r.agw.DeleteRestApi, &apigateway.DeleteRestApiInput{RestApiId: aws.String("a")}, nil)
	var total time.Duration
	for _, w := range *waits {
		total += w
	}
	if err == nil || !strings.Contains(err.Error(), "ConflictException") || total != patience {
		t.Errorf("after %s: %v", total, err)
	}
}

func TestWhatDoesNotPassIsNotWaitedFor(t *testing.T) {
	r, waits, _ := scripted(t, answers{{400, "InvalidParameterValueException", `{"message":"Unzipped size must be smaller"}`}})
	_, err := change(t.Context(), r, r.fns.UpdateFunctionCode, &lambda.UpdateFunctionCodeInput{FunctionName: aws.String("demo")}, nil)
	if err == nil || len(*waits) > 0 {
		t.Errorf("waited %v: %v", *waits, err)
	}
}

func TestCancellingEndsAWait(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := pause(ctx, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestACallTellsWhatItAsksFor(t *testing.T) {
	got := callOf(&lambda.CreateFunctionInput{
		FunctionName: aws.String("demo"), Runtime: "python3.12", MemorySize: aws.Int32(128),
		Code: &lam.FunctionCode{ZipFile: []byte("12345")}, Environment: &lam.Environment{Variables: map[string]string{"TOKEN": "secret"}},
		Architectures: []lam.Architecture{"x86_64"}, Tags: map[string]string{"b": "2", "a": "1"},
	}).String()
	want := "lambda CreateFunction Code.ZipFile=(5 bytes) FunctionName=demo Architectures=[x86_64] Environment.Variables.TOKEN=… MemorySize=128 Runtime=python3.12 Tags.a=1 Tags.b=2"
	if got != want {
		t.Errorf("it tells\n%s\nwant\n%s", got, want)
	}
}
