// Package sts is AWS's Security Token Service, as far as a gate needs it: who
// am I, the first thing that every tool asks.
package sts

import (
	"context"

	"weir/internal/control/protocol"
)

// Service gives the operations of STS. It keeps nothing.
func Service() protocol.Service {
	return protocol.Service{
		Name:      "sts",
		Wire:      protocol.QueryXML,
		Version:   "2011-06-15",
		Namespace: "https://sts.amazonaws.com/doc/2011-06-15/",
		Global:    true,
		Operations: []protocol.Operation{
			protocol.Query("GetCallerIdentity", getCallerIdentity),
		},
		Authorization: func(call protocol.Call, _, _ string) (action, resource string) {
			return "sts:" + call.Operation, "*"
		},
	}
}

type getCallerIdentityInput struct{}

type callerIdentity struct {
	Arn     string `xml:"Arn"`
	UserID  string `xml:"UserId"`
	Account string `xml:"Account"`
}

// getCallerIdentity answers with the identity that signed the call; for the
// root that is the account itself.
func getCallerIdentity(_ context.Context, call protocol.Call, _ *getCallerIdentityInput) (*callerIdentity, error) {
	return &callerIdentity{Arn: call.Caller.ARN, UserID: call.Caller.UserID, Account: call.Caller.Account}, nil
}
