package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go/logging"
	"github.com/spf13/cobra"

	"weir/internal/app"
)

// target is the server that a command is a client of, as its flags name it:
// the one that runs on a data folder of this machine, or any endpoint, reached
// with the credentials that AWS's tools would use.
type target struct {
	data     string
	endpoint string
}

// register gives c the flags --data and --endpoint-url, and reads them from
// the environment before c runs. A flag on the command line beats both
// variables; WEIR_ENDPOINT_URL beats WEIR_DATA.
func (t *target) register(c *cobra.Command) {
	c.Flags().StringVar(&t.data, "data", defaultData(), "data folder of the server")
	c.Flags().StringVar(&t.endpoint, "endpoint-url", "", "`URL` of a server elsewhere (AWS's credentials)")
	_ = c.MarkFlagDirname("data") // for completion; the flag is there
	c.PreRunE = func(c *cobra.Command, _ []string) error { return t.read(c) }
}

func (t *target) read(c *cobra.Command) error {
	flags := c.Flags()
	data, endpoint := flags.Changed("data"), flags.Changed("endpoint-url")
	if data && endpoint {
		return errors.New("give --data or --endpoint-url, not both")
	}
	if err := fromEnvironment(flags, "data", "endpoint-url"); err != nil {
		return err
	}
	if data {
		t.endpoint = ""
	}
	if t.endpoint == "" {
		return nil
	}
	u, err := url.Parse(t.endpoint)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil {
		return errors.New("--endpoint-url: give the URL of a control address, such as http://127.0.0.1:4566")
	}
	t.endpoint = strings.TrimSuffix(t.endpoint, "/")
	return nil
}

// connect finds the server. Without one the command ends with exitAbsent.
func (t *target) connect(ctx context.Context) (*connection, error) {
	if t.endpoint == "" {
		return connect(t.data)
	}
	cfg, err := awsConfig(ctx, "", t.endpoint, "set AWS_REGION to the one that the server answers as, or AWS_PROFILE to a profile that has one")
	if err != nil {
		return nil, err
	}
	// The flag beats the endpoints of single services that are configured.
	cfg.BaseEndpoint, cfg.ConfigSources = aws.String(t.endpoint), nil
	return &connection{running: app.Running{ControlURL: t.endpoint, Region: cfg.Region}, aws: cfg}, nil
}

// awsConfig is the configuration that AWS's tools would use, with a region and
// credentials for a place; noRegion says what to do when there is no region.
func awsConfig(ctx context.Context, region, place, noRegion string) (aws.Config, error) {
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion(region), config.WithLogger(logging.Nop{})) // errors say it better
	if err != nil {
		return cfg, &failure{exitFailure, fmt.Errorf("reading AWS's configuration: %w", err)}
	}
	if cfg.Region == "" {
		return cfg, &failure{exitFailure, errors.New("no AWS region is configured: " + noRegion)}
	}
	within, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if _, err := cfg.Credentials.Retrieve(within); err != nil {
		return cfg, &failure{exitFailure, fmt.Errorf("no AWS credentials for %s: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; 'aws sts get-caller-identity' tests them: %w", place, err)}
	}
	return cfg, nil
}
