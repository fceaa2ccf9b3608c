package apigateway

import (
	"context"
	"strings"

	"weir/internal/catalog"
	"weir/internal/control/protocol"
	"weir/internal/store"
)

func (s *service) accountOperations() []protocol.Operation {
	return []protocol.Operation{
		protocol.REST("GetAccount", "GET", "/account", 200, s.getAccount),
		protocol.REST("UpdateAccount", "PATCH", "/account", 200, s.updateAccount),
	}
}

// metaRole is where the account's CloudWatch role is kept: one text, not an
// entry, because nothing compiles from it.
const metaRole = "apigateway.cloudwatchRoleArn"

type account struct {
	APIKeyVersion     string   `json:"apiKeyVersion"`
	CloudWatchRoleARN string   `json:"cloudwatchRoleArn,omitempty"`
	Features          []string `json:"features"`
	ThrottleSettings  throttle `json:"throttleSettings"`
}

// newAccount tells the throttle that the operator set, and AWS's default, which
// is not enforced, while none is.
func (s *service) newAccount(role string) *account {
	t := catalog.Throttle{RateLimit: catalog.AccountRateLimit, BurstLimit: catalog.AccountBurstLimit}
	if s.AccountThrottle != nil {
		t = *s.AccountThrottle
	}
	return &account{
		APIKeyVersion: "4", CloudWatchRoleARN: role, Features: []string{featureUsagePlans},
		ThrottleSettings: throttle{int32(t.BurstLimit), t.RateLimit},
	}
}

const featureUsagePlans = "UsagePlans"

// checkLogging says whether stages can write logs, which AWS allows once the
// account has a role for it.
func checkLogging(tx *store.Tx) error {
	role, err := tx.Meta(metaRole)
	if err == nil && len(role) == 0 {
		err = badRequest("CloudWatch Logs role ARN must be set in account settings to enable logging")
	}
	return err
}

type getAccountInput struct{}

func (s *service) getAccount(ctx context.Context, _ protocol.Call, _ *getAccountInput) (out *account, err error) {
	err = s.Store.View(ctx, func(tx *store.Tx) error {
		role, err := tx.Meta(metaRole)
		out = s.newAccount(string(role))
		return err
	})
	return out, err
}

var accountPatch = protocol.Patch[string]{Rules: []protocol.PatchRule[string]{
	{Ops: "replace", Path: "/cloudwatchRoleArn", Set: func(role *string, p protocol.PatchCall) error {
		if p.Value != "" && !strings.HasPrefix(p.Value, "arn:") {
			return badRequest("Invalid ARN specified in the request")
		}
		*role = p.Value
		return nil
	}},
	{Ops: "add,remove", Path: "/features", Set: func(_ *string, p protocol.PatchCall) error {
		switch {
		case p.Value != featureUsagePlans:
			return badRequest("Invalid feature specified. Valid options are UsagePlans")
		case p.Op == "remove":
			return badRequest("Usage Plans cannot be disabled once they are enabled")
		}
		return nil
	}},
}}

func (s *service) updateAccount(ctx context.Context, _ protocol.Call, in *patchInput) (out *account, err error) {
	err = s.Store.Update(ctx, func(tx *store.Tx) error {
		stored, err := tx.Meta(metaRole)
		if err != nil {
			return err
		}
		role := string(stored)
		if err := accountPatch.Apply(&role, in.PatchOperations); err != nil {
			return err
		}
		out = s.newAccount(role)
		return tx.SetMeta(metaRole, []byte(role))
	})
	return out, err
}
