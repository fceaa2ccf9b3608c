package lambda

import (
	"context"
	"encoding/base64"
	"encoding/json"

	"weir/internal/control/protocol"
	"weir/internal/invocation"
)

// maxClientContext is in bytes of base64. Source: Invoke, API reference.
const maxClientContext = 3583

type invokeInput struct {
	qualified
	InvocationType string `header:"X-Amz-Invocation-Type" member:"invocationType" enum:"Event,RequestResponse,DryRun"`
	LogType        string `header:"X-Amz-Log-Type" member:"logType" enum:"None,Tail"`
	ClientContext  string `header:"X-Amz-Client-Context"`
	TraceID        string `header:"X-Amzn-Trace-Id"`
	Payload        []byte `body:"raw"`
}

type invokeOutput struct {
	StatusCode      int    `status:""`
	FunctionError   string `header:"X-Amz-Function-Error"`
	LogResult       string `header:"X-Amz-Log-Result"`
	ExecutedVersion string `header:"X-Amz-Executed-Version"`
	Payload         []byte `body:"raw"`
}

// invoke runs a function on behalf of the account's owner, who needs no
// permission in its policy. The request id of the call is the invocation's.
func (a *api) invoke(ctx context.Context, call protocol.Call, in *invokeInput) (*invokeOutput, error) {
	n, err := a.locate(in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	client, err := clientContext(in.ClientContext)
	if err != nil {
		return nil, err
	}
	sync := in.InvocationType == "" || in.InvocationType == invocation.RequestResponse
	r, err := a.Functions.Invoke(ctx, &invocation.Invocation{
		Function: n.name, Qualifier: n.qualifier, Type: in.InvocationType, Payload: in.Payload,
		ClientContext: client, Tail: sync && in.LogType == "Tail", TraceID: in.TraceID, RequestID: call.RequestID,
	})
	if err != nil {
		return nil, err
	}
	out := &invokeOutput{StatusCode: r.StatusCode}
	if !sync { // AWS tells nothing of a run that is still to come
		return out, nil
	}
	out.Payload, out.FunctionError, out.ExecutedVersion = r.Payload, r.FunctionError, r.ExecutedVersion
	if in.LogType == "Tail" {
		out.LogResult = base64.StdEncoding.EncodeToString(r.LogTail)
	}
	return out, nil
}

// clientContext decodes the header to the JSON text that functions are given.
func clientContext(header string) (string, error) {
	if header == "" {
		return "", nil
	}
	wrong := &protocol.Error{
		Code: invocation.InvalidRequestContent, Status: 400, Fields: user,
		Message: "Client context must be a valid Base64-encoded JSON object.",
	}
	if len(header) > maxClientContext {
		return "", wrong
	}
	text, err := base64.StdEncoding.DecodeString(header)
	var object map[string]json.RawMessage
	if err != nil || json.Unmarshal(text, &object) != nil || object == nil {
		return "", wrong
	}
	return string(text), nil
}

type invokeAsyncInput struct {
	FunctionName string `path:"FunctionName" min:"1" max:"256"`
	InvokeArgs   []byte `body:"raw"`
}

// invokeAsync is the old form of an Event invocation.
func (a *api) invokeAsync(ctx context.Context, call protocol.Call, in *invokeAsyncInput) (*protocol.Nothing, error) {
	n, err := a.locate(in.FunctionName, "")
	if err != nil {
		return nil, err
	}
	_, err = a.Functions.Invoke(ctx, &invocation.Invocation{
		Function: n.name, Qualifier: n.qualifier, Type: invocation.Event, Payload: in.InvokeArgs, RequestID: call.RequestID,
	})
	return nil, err
}
