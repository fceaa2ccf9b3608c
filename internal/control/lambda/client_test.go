package lambda_test

import (
	"context"
	"encoding/base64"
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	client "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"

	"weir/internal/invocation"
)

func (b *bench) client() *client.Client {
	return client.New(client.Options{
		Region: region, BaseEndpoint: aws.String(b.url), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("AKIAIOSFODNN7EXAMPLE", "secret", ""),
	})
}

func ok[T any](t *testing.T, out T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestClient walks through a function's life with AWS's own client.
func TestClient(t *testing.T) {
	b := newBench(t)
	c, ctx, name := b.client(), context.Background(), aws.String("timestamper")
	made, err := c.CreateFunction(ctx, &client.CreateFunctionInput{
		FunctionName: name, Runtime: types.RuntimePython312, Role: aws.String(role), Handler: aws.String("lambda_function.lambda_handler"),
		Code: &types.FunctionCode{ZipFile: zipOf(t, code)}, Environment: &types.Environment{Variables: map[string]string{"KEY": "v"}},
	})
	if ok(t, made, err).State != types.StatePending {
		t.Errorf("made in state %s", made.State)
	}
	get := &client.GetFunctionInput{FunctionName: name}
	configuration := &client.GetFunctionConfigurationInput{FunctionName: name}
	for what, err := range map[string]error{
		"function-exists":    client.NewFunctionExistsWaiter(c).Wait(ctx, get, time.Minute),
		"function-active":    client.NewFunctionActiveWaiter(c).Wait(ctx, configuration, time.Minute),
		"function-active-v2": client.NewFunctionActiveV2Waiter(c).Wait(ctx, get, time.Minute),
	} {
		if err != nil {
			t.Errorf("waiter %s: %v", what, err)
		}
	}
	changed, err := c.UpdateFunctionConfiguration(ctx, &client.UpdateFunctionConfigurationInput{FunctionName: name, Timeout: aws.Int32(9)})
	if ok(t, changed, err).LastUpdateStatus != types.LastUpdateStatusInProgress || *changed.Timeout != 9 {
		t.Errorf("updated to %s, timeout %d", changed.LastUpdateStatus, *changed.Timeout)
	}
	for what, err := range map[string]error{
		"function-updated":    client.NewFunctionUpdatedWaiter(c).Wait(ctx, configuration, time.Minute),
		"function-updated-v2": client.NewFunctionUpdatedV2Waiter(c).Wait(ctx, get, time.Minute),
	} {
		if err != nil {
			t.Errorf("waiter %s: %v", what, err)
		}
	}
	got, err := c.GetFunction(ctx, get)
	if ok(t, got, err).Configuration.Environment.Variables["KEY"] != "v" || *got.Code.RepositoryType != "S3" {
		t.Errorf("got %+v %+v", got.Configuration, got.Code)
	}
	b.runner.answer = invocation.Result{StatusCode: 200, Payload: []byte(`"now"`), LogTail: []byte("END\n"), ExecutedVersion: "$LATEST"}
	ran, err := c.Invoke(ctx, &client.InvokeInput{FunctionName: name, Payload: []byte(`{}`), LogType: types.LogTypeTail})
	if log, _ := base64.StdEncoding.DecodeString(aws.ToString(ok(t, ran, err).LogResult)); string(ran.Payload) != `"now"` || ran.StatusCode != 200 || string(log) != "END\n" {
		t.Errorf("ran %+v", ran)
	}
	granted, err := c.AddPermission(ctx, &client.AddPermissionInput{
		FunctionName: name, StatementId: aws.String("apigw"), Action: aws.String("lambda:InvokeFunction"), Principal: aws.String("apigateway.amazonaws.com"),
	})
	if *ok(t, granted, err).Statement == "" {
		t.Error("no statement")
	}
	_, err = c.RemovePermission(ctx, &client.RemovePermissionInput{FunctionName: name, StatementId: aws.String("apigw")})
	ok(t, 0, err)
	var gone *types.ResourceNotFoundException
	if _, err = c.GetPolicy(ctx, &client.GetPolicyInput{FunctionName: name}); !errors.As(err, &gone) || aws.ToString(gone.Message) != "The resource you requested does not exist." {
		t.Errorf("policy after removal: %v", err)
	}
	_, err = c.TagResource(ctx, &client.TagResourceInput{Resource: made.FunctionArn, Tags: map[string]string{"team": "a b"}})
	ok(t, 0, err)
	tags, err := c.ListTags(ctx, &client.ListTagsInput{Resource: made.FunctionArn})
	if ok(t, tags, err).Tags["team"] != "a b" {
		t.Errorf("tags %v", tags.Tags)
	}
	_, err = c.UntagResource(ctx, &client.UntagResourceInput{Resource: made.FunctionArn, TagKeys: []string{"team"}})
	ok(t, 0, err)
	listed := 0
	for pages := client.NewListFunctionsPaginator(c, &client.ListFunctionsInput{}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		listed += len(ok(t, page, err).Functions)
	}
	if listed != 1 {
		t.Errorf("%d functions", listed)
	}
	_, err = c.UpdateFunctionCode(ctx, &client.UpdateFunctionCodeInput{FunctionName: name, ZipFile: []byte("x")})
	var invalid *types.InvalidParameterValueException
	if !errors.As(err, &invalid) || invalid.ErrorFault() != smithy.FaultClient || aws.ToString(invalid.Type) != "User" {
		t.Errorf("broken code: %v", err)
	}
	_, err = c.DeleteFunction(ctx, &client.DeleteFunctionInput{FunctionName: name})
	ok(t, 0, err)
	if _, err = c.GetFunction(ctx, get); !errors.As(err, &gone) {
		t.Errorf("after deletion: %v", err)
	}
}

// TestCreateRace lets many make the same function at once: one succeeds.
func TestCreateRace(t *testing.T) {
	b := newBench(t)
	in := creation(t, "f", nil)
	statuses := make(chan int, 8)
	for range cap(statuses) {
		go func() {
			status, _, _ := b.send("POST", "/2015-03-31/functions", in)
			statuses <- status
		}()
	}
	count := map[int]int{}
	for range cap(statuses) {
		count[<-statuses]++
	}
	if count[201] != 1 || count[409] != cap(statuses)-1 {
		t.Errorf("statuses %v", count)
	}
}
