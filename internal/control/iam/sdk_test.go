package iam_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awsiam "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	awssts "github.com/aws/aws-sdk-go-v2/service/sts"

	"weir/internal/control"
	"weir/internal/control/protocol"
	"weir/internal/control/sts"
)

// A real client, through the door, signature and all.
func TestTheGoSDK(t *testing.T) {
	b := newBench(t)
	d, err := control.New(control.Options{
		Region: "eu-central-1", Account: "000000000000", Services: []protocol.Service{b.s, sts.Service()},
		Logger: slog.New(slog.DiscardHandler),
		Credentials: func(id, token string, _ time.Time) (string, protocol.Caller, error) {
			if id != "AKIAROOT" || token != "" {
				return "", protocol.Caller{}, control.ErrUnknownKey
			}
			return "secret", protocol.Caller{ARN: "arn:aws:iam::000000000000:root", UserID: "000000000000", Account: "000000000000", Root: true}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(d)
	defer server.Close()
	cfg := aws.Config{
		Region: "eu-central-1", BaseEndpoint: &server.URL, RetryMaxAttempts: 1, HTTPClient: server.Client(),
		Credentials: credentials.NewStaticCredentialsProvider("AKIAROOT", "secret", ""),
	}
	ctx := context.Background()
	who, err := awssts.NewFromConfig(cfg).GetCallerIdentity(ctx, nil)
	if err != nil || *who.Arn != "arn:aws:iam::000000000000:root" {
		t.Fatalf("%v %v", who, err)
	}
	c := awsiam.NewFromConfig(cfg)
	name, text := aws.String("r"), aws.String(trust)
	made, err := c.CreateRole(ctx, &awsiam.CreateRoleInput{RoleName: name, AssumeRolePolicyDocument: text, Tags: []types.Tag{{Key: name, Value: name}}})
	if err != nil {
		t.Fatal(err)
	}
	if policy, _ := url.PathUnescape(*made.Role.AssumeRolePolicyDocument); policy != trust || len(made.Role.Tags) != 1 || made.Role.CreateDate.Year() != 2026 {
		t.Errorf("%+v", made.Role)
	}
	if _, err := c.PutRolePolicy(ctx, &awsiam.PutRolePolicyInput{RoleName: name, PolicyName: name, PolicyDocument: aws.String(logs)}); err != nil {
		t.Error(err)
	}
	if _, err := c.UpdateRole(ctx, &awsiam.UpdateRoleInput{RoleName: name, Description: aws.String("")}); err != nil {
		t.Error(err)
	}
	roles, err := c.ListRoles(ctx, &awsiam.ListRolesInput{})
	if err != nil || len(roles.Roles) != 1 || roles.IsTruncated {
		t.Errorf("%+v %v", roles, err)
	}
	var conflict *types.DeleteConflictException
	if _, err := c.DeleteRole(ctx, &awsiam.DeleteRoleInput{RoleName: name}); !errors.As(err, &conflict) {
		t.Errorf("%v", err)
	}
	var exists *types.EntityAlreadyExistsException
	if _, err := c.CreateRole(ctx, &awsiam.CreateRoleInput{RoleName: name, AssumeRolePolicyDocument: text}); !errors.As(err, &exists) {
		t.Errorf("%v", err)
	}
	var missing *types.NoSuchEntityException
	if _, err := c.GetRole(ctx, &awsiam.GetRoleInput{RoleName: aws.String("none")}); !errors.As(err, &missing) {
		t.Errorf("%v", err)
	}
	var malformed *types.MalformedPolicyDocumentException
	if _, err := c.CreateRole(ctx, &awsiam.CreateRoleInput{RoleName: aws.String("x"), AssumeRolePolicyDocument: aws.String("{}")}); !errors.As(err, &malformed) {
		t.Errorf("%v", err)
	}
}
