package logs_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	client "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/smithy-go"
)

func TestRefusals(t *testing.T) {
	b := newBench(t)
	b.log(hello, one, 0, "x")
	const (
		groupGone  = "The specified log group does not exist."
		streamGone = "The specified log stream does not exist."
		badToken   = "The specified nextToken is invalid."
	)
	for _, c := range []struct {
		name, operation, body, code, message string
	}{
		{"no group", "GetLogEvents", `{"logGroupName":"g","logStreamName":"s"}`, "ResourceNotFoundException", groupGone},
		{"no stream", "GetLogEvents", `{"logGroupName":"` + hello + `","logStreamName":"s"}`, "ResourceNotFoundException", streamGone},
		{"no group to filter", "FilterLogEvents", `{"logGroupName":"g"}`, "ResourceNotFoundException", groupGone},
		{"no group to describe", "DescribeLogStreams", `{"logGroupName":"g"}`, "ResourceNotFoundException", groupGone},
		{"another account", "DescribeLogStreams", `{"logGroupIdentifier":"arn:aws:logs:us-east-1:999999999999:log-group:x"}`, "ResourceNotFoundException", groupGone},
		{"group not named", "FilterLogEvents", `{}`, "InvalidParameterException", "Value null at 'logGroupName'"},
		{"group named twice", "DescribeLogStreams", `{"logGroupName":"g","logGroupIdentifier":"g"}`, "ValidationException", "LogGroup name and LogGroup ARN are mutually exclusive parameters."},
		{"prefix and pattern", "DescribeLogGroups", `{"logGroupNamePrefix":"g","logGroupNamePattern":"g"}`, "InvalidParameterException", "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters."},
		{"prefix by time", "DescribeLogStreams", `{"logGroupName":"g","logStreamNamePrefix":"s","orderBy":"LastEventTime"}`, "InvalidParameterException", "Cannot order by LastEventTime with a logStreamNamePrefix."},
		{"names and prefix", "FilterLogEvents", `{"logGroupName":"g","logStreamNamePrefix":"s","logStreamNames":["s"]}`, "InvalidParameterException", "mutually exclusive"},
		{"limit of events", "FilterLogEvents", `{"logGroupName":"g","limit":10001}`, "InvalidParameterException", "1 validation error detected: Value '10001' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 10000"},
		{"limit of a stream's events", "GetLogEvents", `{"logGroupName":"g","logStreamName":"s","limit":10001}`, "InvalidParameterException", "1 validation error detected: Value '10001' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 10000"},
		{"limit of groups", "DescribeLogGroups", `{"limit":51}`, "InvalidParameterException", "less than or equal to 50"},
		{"name of a group", "FilterLogEvents", `{"logGroupName":"a b"}`, "InvalidParameterException", "regular expression pattern"},
		{"negative time", "FilterLogEvents", `{"logGroupName":"g","startTime":-1}`, "InvalidParameterException", "greater than or equal to 0"},
		{"token of a stream", "GetLogEvents", `{"logGroupName":"` + hello + `","logStreamName":"` + one + `","nextToken":"invalid-token"}`, "InvalidParameterException", badToken},
		{"short token", "GetLogEvents", `{"logGroupName":"` + hello + `","logStreamName":"` + one + `","nextToken":"f/12"}`, "InvalidParameterException", badToken},
		{"token of no digits", "GetLogEvents", `{"logGroupName":"` + hello + `","logStreamName":"` + one + `","nextToken":"f/` + strings.Repeat("x", 56) + `"}`, "InvalidParameterException", badToken},
		{"token of a filter", "FilterLogEvents", `{"logGroupName":"` + hello + `","nextToken":"invalid-token"}`, "InvalidParameterException", badToken},
		{"another operation's token", "FilterLogEvents", `{"logGroupName":"` + hello + `","nextToken":"Z3JvdXBzOng"}`, "InvalidParameterException", badToken},
		{"token of streams", "DescribeLogStreams", `{"logGroupName":"` + hello + `","nextToken":"c3RyZWFtczp4Onk"}`, "InvalidParameterException", badToken},
		{"pattern for JSON", "FilterLogEvents", `{"logGroupName":"` + hello + `","filterPattern":"{ $.x = 1 }"}`, "InvalidParameterException", "not supported here yet"},
		{"broken JSON", "FilterLogEvents", `{`, "SerializationException", ""},
		{"no such operation", "PutLogEvents", `{}`, "UnknownOperationException", "Logs_20140328.PutLogEvents is not served here"},
	} {
		t.Run(c.name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.url, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("X-Amz-Target", "Logs_20140328."+c.operation)
			res, err := http.DefaultClient.Do(req)
			text, _ := io.ReadAll(ok(t, res, err).Body)
			res.Body.Close()
			body := string(text)
			if res.StatusCode != 400 || res.Header.Get("Content-Type") != "application/x-amz-json-1.1" ||
				!strings.Contains(body, `"__type":"`+c.code+`"`) || !strings.Contains(body, c.message) {
				t.Errorf("%d %s %s, want %s: %s", res.StatusCode, res.Header.Get("Content-Type"), body, c.code, c.message)
			}
		})
	}
	_, err := b.client.FilterLogEvents(t.Context(), &client.FilterLogEventsInput{LogGroupName: aws.String("none")})
	var gone *types.ResourceNotFoundException
	var api smithy.APIError
	if !errors.As(err, &gone) || !errors.As(err, &api) || api.ErrorMessage() != groupGone {
		t.Errorf("AWS's client understood %v", err)
	}
}
