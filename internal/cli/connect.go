package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"weir/internal/app"
)

// connection is a running server, as its owner reaches it. Of a server that
// --endpoint-url named only the control URL and the region are known.
type connection struct {
	data    string // "" for a server elsewhere
	running app.Running
	key     app.AccessKey // root's; of a server elsewhere only aws has credentials
	aws     aws.Config    // for the clients of AWS's SDK
}

// connect finds the server that runs on a data folder. Without one the command
// ends with exitAbsent.
func connect(data string) (*connection, error) {
	running, err := app.FindRunning(data)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &failure{exitAbsent, fmt.Errorf("no server is running on the data folder %s: start one with 'weir serve --data %s', or name the right folder with --data", data, data)}
	}
	if err != nil {
		return nil, &failure{exitFailure, err}
	}
	key, err := app.RootAccessKey(data)
	if err != nil {
		return nil, &failure{exitFailure, err}
	}
	endpoint := running.ControlURL
	if running.LocalURL != "" {
		endpoint = running.LocalURL
	}
	return &connection{data: data, running: running, key: key, aws: aws.Config{
		Region:       running.Region,
		BaseEndpoint: aws.String(endpoint),
		Credentials:  credentials.NewStaticCredentialsProvider(key.ID, key.Secret, ""),
	}}, nil
}

// answered is the error for an answer of one of weir's own routes other than
// 200.
type answered struct {
	status  int
	message string // what the server said
}

func (e *answered) Error() string {
	return fmt.Sprintf("the server answered %d: %s", e.status, e.message)
}

// own calls one of weir's own routes ("/_weir/requests?limit=10"), signed. The
// caller closes the body; an answer other than 200 is an *answered.
func (c *connection) own(ctx context.Context, method, target string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, *c.aws.BaseEndpoint+target, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body)
	key, err := c.aws.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, err
	}
	if err := v4.NewSigner().SignHTTP(ctx, key, req, hex.EncodeToString(sum[:]), "weir", c.running.Region, time.Now()); err != nil {
		return nil, err
	}
	var client aws.HTTPClient = http.DefaultClient
	if c.aws.HTTPClient != nil { // it trusts AWS_CA_BUNDLE
		client = c.aws.HTTPClient
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		defer res.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(res.Body, 4096))
		var said struct{ Message string }
		if json.Unmarshal(text, &said) == nil && said.Message != "" {
			text = []byte(said.Message)
		}
		return nil, fmt.Errorf("%s %s: %w", method, target, &answered{res.StatusCode, string(text)})
	}
	return res, nil
}

// callerURL is where callers reach the server. The control address answers
// them too, so it stands in where nothing else is known.
func (c *connection) callerURL() string {
	if c.running.GatewayURL != "" {
		return c.running.GatewayURL
	}
	return c.running.ControlURL
}
