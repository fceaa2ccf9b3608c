// Package apigateway is the management API of AWS API Gateway's REST APIs
// (version 2015-07-09): APIs with their resources, methods, integrations and
// authorizers, deployments and stages, API keys and usage plans.
//
// An operation reads its input, changes catalog entries in one transaction of
// the store, and answers with the entry as AWS prints it. The rules and their
// words are catalog's; what cannot be compiled for the gateway is refused by
// the store's watchers before it is stored, and reaches the caller the same
// way. Where AWS's behaviour is recorded nowhere, the comment says what was
// decided.
package apigateway

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"

	"weir/internal/catalog"
	"weir/internal/control/protocol"
	"weir/internal/secret"
	"weir/internal/store"
)

// Options says what the operations work on.
type Options struct {
	Store   *store.Store
	Secret  *secret.Secret // digests and seals key values
	Region  string         // "us-east-1"
	Account string         // 12 digits
	// FlushUsage brings what was counted in memory to the ledger; it is called
	// before GetUsage reads it. nil: the ledger is complete as it is.
	FlushUsage func(context.Context) error
	// TestAuthorizer runs an authorizer for TestInvokeAuthorizer. An error says
	// why the authorizer cannot be run at all. Required for that operation.
	TestAuthorizer func(context.Context, AuthorizerTest) (AuthorizerTestResult, error)
	// AccountThrottle is what the operator set for the whole account; nil: AWS's
	// default is told.
	AccountThrottle *catalog.Throttle
}

// service carries the operations. It holds no state of its own and is safe for
// concurrent use.
type service struct {
	Options
}

// Service gives the operations of API Gateway bound to the wire.
func Service(o Options) protocol.Service {
	s := &service{o}
	var ops []protocol.Operation
	for _, part := range [][]protocol.Operation{
		s.restAPIOperations(), s.resourceOperations(), s.methodOperations(), s.methodResponseOperations(),
		s.integrationOperations(), s.integrationResponseOperations(), s.deploymentOperations(),
		s.stageOperations(), s.apiKeyOperations(), s.usagePlanOperations(), s.usagePlanKeyOperations(),
		s.usageOperations(), s.accountOperations(), s.tagOperations(), s.authorizerOperations(),
	} {
		ops = append(ops, part...)
	}
	return protocol.Service{
		Name:        "apigateway",
		Wire:        protocol.RESTJSON,
		Operations:  ops,
		InputPrefix: true,
		Translate:   translate,
		Authorization: func(_ protocol.Call, method, path string) (action, resource string) {
			return "apigateway:" + method, "arn:aws:apigateway:" + o.Region + "::" + path
		},
	}
}

// translate gives a catalog rule's error the code that API Gateway uses.
func translate(err error) *protocol.Error {
	var rule *catalog.Error
	if !errors.As(err, &rule) {
		return nil
	}
	e := &protocol.Error{Message: rule.Message}
	switch rule.Class {
	case catalog.NotFound:
		e.Code, e.Status = "NotFoundException", http.StatusNotFound
	case catalog.Conflict:
		e.Code, e.Status = "ConflictException", http.StatusConflict
	case catalog.LimitExceeded:
		e.Code, e.Status = "LimitExceededException", http.StatusTooManyRequests
	default:
		e.Code, e.Status = "BadRequestException", http.StatusBadRequest
	}
	return e
}

func badRequest(message string) *protocol.Error {
	return &protocol.Error{Code: "BadRequestException", Status: http.StatusBadRequest, Message: message}
}

// accepted is the answer of AWS's deletions: no member, 202 or 204.
type accepted = protocol.Nothing

// Widths of identifiers, as AWS has them.
const (
	longID  = 10 // APIs, keys
	shortID = 6  // resources, deployments, plans
)

const idAlphabet = "abcdefghijklmnopqrstuvwxyz0123456789"

// randomText draws n characters of alphabet evenly. crypto/rand never fails.
func randomText(n int, alphabet string) string {
	limit := 256 - 256%len(alphabet) // beyond it some characters would come more often
	out := make([]byte, 0, n)
	buf := make([]byte, n)
	for len(out) < n {
		_, _ = rand.Read(buf)
		for _, b := range buf {
			if int(b) < limit && len(out) < n {
				out = append(out, alphabet[int(b)%len(alphabet)])
			}
		}
	}
	return string(out)
}

// newID draws identifiers until one is free below parent.
func newID[T catalog.Entry](tx *store.Tx, width int, parent ...string) (string, error) {
	for {
		id := randomText(width, idAlphabet)
		key := append(append([]string(nil), parent...), id)
		if _, taken, err := store.Get[T](tx, key...); err != nil || !taken {
			return id, err
		}
	}
}
