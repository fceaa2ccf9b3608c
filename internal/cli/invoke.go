package cli

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/spf13/cobra"
)

// maxPayload is AWS's limit of what a function is called with.
const maxPayload = 6 << 20

func newInvoke() *cobra.Command {
	var (
		t  target
		d  display
		in invokeRequest
	)
	c := &cobra.Command{
		Use:   "invoke NAME",
		Short: "Call a function and print what it returns",
		Long: `Call a function by its name or ARN, past the gate: no API key is asked for and no
quota is used. What it returns is printed on standard output. When the function
fails, its error type and message go to standard error and the exit code is 1.

The call is made once: it is never repeated, whatever goes wrong.`,
		Example: `  weir invoke timestamper --payload '{"body": "{\"timestamp\": 1700000000}"}'
  weir invoke timestamper --payload @event.json --tail
  echo '{}' | weir invoke timestamper --payload - --json
  weir invoke timestamper --event`,
		Args: oneArg,
		RunE: func(c *cobra.Command, args []string) error {
			if err := in.read(c.InOrStdin()); err != nil {
				return err
			}
			conn, err := t.connect(c.Context())
			if err != nil {
				return err
			}
			r, err := conn.invoke(c.Context(), args[0], &in)
			if err != nil {
				return err
			}
			return r.tell(args[0], d.json, c.OutOrStdout(), c.ErrOrStderr())
		},
		ValidArgsFunction: completeArg(&t, (*connection).functionNames),
	}
	t.register(c)
	c.Flags().StringVar(&in.payload, "payload", "", "the event, in `JSON`; @FILE reads a file, - standard input")
	c.Flags().BoolVar(&in.tail, "tail", false, "print the last 4 KiB of the call's log on standard error")
	c.Flags().BoolVar(&in.event, "event", false, "hand the event over and do not wait for the result")
	d.jsonFlag(c)
	return c
}

// invokeRequest is what `weir invoke` was told.
type invokeRequest struct {
	payload     string
	tail, event bool
	body        []byte
}

func (in *invokeRequest) read(stdin io.Reader) error {
	if in.tail && in.event {
		return errors.New("--tail waits for the call's log, --event waits for nothing: give one of them")
	}
	from := stdin
	file, isFile := strings.CutPrefix(in.payload, "@")
	switch {
	case isFile:
		f, err := os.Open(file)
		if err != nil {
			return &failure{exitFailure, fmt.Errorf("--payload: %w", err)}
		}
		defer f.Close()
		from = f
	case in.payload != "-":
		from = strings.NewReader(in.payload)
	}
	body, err := io.ReadAll(io.LimitReader(from, maxPayload+1))
	if err != nil {
		return &failure{exitFailure, fmt.Errorf("reading the payload: %w", err)}
	}
	if len(body) > maxPayload {
		return &failure{exitFailure, errors.New("the payload is larger than 6 MiB, AWS's limit")}
	}
	in.body = body
	return nil
}

// invoked is the JSON of `weir invoke`.
type invoked struct {
	StatusCode    int32           `json:"statusCode"`              // 200; 202 with --event
	FunctionError string          `json:"functionError,omitempty"` // "Unhandled" when the function failed
	Version       string          `json:"executedVersion,omitempty"`
	RequestID     string          `json:"requestId"`
	Payload       json.RawMessage `json:"payload,omitempty"` // what it returned; a string when that was no JSON
	Log           string          `json:"log,omitempty"`     // with --tail
	raw           []byte
}

func (c *connection) invoke(ctx context.Context, name string, in *invokeRequest) (*invoked, error) {
	request := &lambda.InvokeInput{FunctionName: &name, Payload: in.body}
	if in.event {
		request.InvocationType = types.InvocationTypeEvent
	}
	if in.tail {
		request.LogType = types.LogTypeTail
	}
	// A repeated call could do twice what the function does.
	once := func(o *lambda.Options) { o.RetryMaxAttempts = 1 }
	out, err := lambda.NewFromConfig(c.aws).Invoke(ctx, request, once)
	var absent *types.ResourceNotFoundException
	if errors.As(err, &absent) {
		return nil, fmt.Errorf("%w: 'weir functions' lists what there is", err)
	}
	if err != nil {
		return nil, err
	}
	r := &invoked{StatusCode: out.StatusCode, FunctionError: aws.ToString(out.FunctionError), Version: aws.ToString(out.ExecutedVersion), raw: out.Payload}
	r.RequestID, _ = middleware.GetRequestIDMetadata(out.ResultMetadata)
	log, err := base64.StdEncoding.DecodeString(aws.ToString(out.LogResult))
	if err != nil {
		return nil, &failure{exitFailure, fmt.Errorf("the server's log of the call is not readable: %w", err)}
	}
	r.Log = string(log)
	switch {
	case len(out.Payload) == 0:
	case json.Valid(out.Payload):
		r.Payload = out.Payload
	default:
		if r.Payload, err = json.Marshal(string(out.Payload)); err != nil {
			return nil, &failure{exitFailure, err}
		}
	}
	return r, nil
}

// tell prints the result on stdout, or the function's error on stderr; the log
// goes to stderr in both cases.
func (r *invoked) tell(name string, asJSON bool, stdout, stderr io.Writer) error {
	if asJSON {
		if err := printJSON(stdout, r); err != nil {
			return err
		}
	} else if r.Log != "" {
		for line := range strings.Lines(strings.TrimSuffix(r.Log, "\n")) {
			fmt.Fprintln(stderr, clean(strings.ReplaceAll(strings.TrimRight(line, "\r\n"), "\t", "  ")))
		}
	}
	if r.FunctionError != "" {
		return &failure{exitFailure, fmt.Errorf("%s failed (%s): %s", name, r.FunctionError, functionError(r.raw))}
	}
	switch {
	case asJSON:
		return nil
	case r.StatusCode == 202:
		return write(stdout, []byte("handed over: request "+r.RequestID+"\n"))
	case len(r.raw) > 0 && !bytes.HasSuffix(r.raw, []byte("\n")):
		return write(stdout, append(r.raw, '\n'))
	}
	return write(stdout, r.raw)
}

const maxErrorShown = 2000

// functionError says in one line what a function's error object says; what is
// no such object is shown as it is.
func functionError(payload []byte) string {
	var e struct {
		Type    string `json:"errorType"`
		Message string `json:"errorMessage"`
	}
	said := string(payload)
	if err := json.Unmarshal(payload, &e); err == nil && (e.Type != "" || e.Message != "") {
		said = strings.TrimPrefix(e.Type+": "+e.Message, ": ")
	}
	return cut(clean(said), maxErrorShown)
}
