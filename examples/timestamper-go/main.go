// Timestamper answers the time. API Gateway hands the request on as an event
// whose body is a string; what is sent in it comes back beside the timestamp.
package main

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
)

func main() { lambda.Start(handle) }

func handle(_ context.Context, request events.APIGatewayProxyRequest) (events.APIGatewayProxyResponse, error) {
	received := json.RawMessage("{}")
	if request.Body != "" {
		if err := json.Unmarshal([]byte(request.Body), &received); err != nil {
			return events.APIGatewayProxyResponse{}, err
		}
	}
	body, err := json.Marshal(struct {
		Timestamp string          `json:"timestamp"`
		Received  json.RawMessage `json:"received"`
	}{time.Now().UTC().Format("2006-01-02T15:04:05.000Z07:00"), received})
	if err != nil {
		return events.APIGatewayProxyResponse{}, err
	}
	return events.APIGatewayProxyResponse{StatusCode: http.StatusOK, Body: string(body)}, nil
}
