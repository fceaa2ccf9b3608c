package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func newEnv() *cobra.Command {
	var (
		data   string
		d      display
		wait   time.Duration
		toFile string
	)
	c := &cobra.Command{
		Use:   "env",
		Short: "Print the environment that points AWS's tools at the running server",
		Long: `Print shell commands that point the aws CLI, SDKs and Terraform at the running
server: its endpoint, its region and the root access key. The key is read from
the data folder, which only its owner can read. When the control address shows
a certificate that it issued itself, AWS_CA_BUNDLE names it. weir's own commands
then find the server by WEIR_DATA.

With --profile, write them into a profile of AWS's tools instead, in
~/.aws/config and ~/.aws/credentials (or AWS_CONFIG_FILE and
AWS_SHARED_CREDENTIALS_FILE); all else in these files stays as it is. Write it
again when the server's address has changed. A profile of an AWS account (with a
role, or with keys and no endpoint_url) is not touched.

AWS CLI versions before 2.13 and SDKs of before mid-2023 know neither
AWS_ENDPOINT_URL nor a profile's endpoint_url: give those
--endpoint-url "$AWS_ENDPOINT_URL".`,
		Example: `  eval "$(weir env)"
  weir env --data ./data --json
  weir env --profile weir && aws --profile weir sts get-caller-identity
  weir serve & eval "$(weir env --wait 10s)"`,
		Args: cobra.NoArgs,
		PreRunE: func(c *cobra.Command, _ []string) error {
			return fromEnvironment(c.Flags(), "data", "json", "wait")
		},
		RunE: func(c *cobra.Command, _ []string) error {
			if c.Flags().Changed("profile") {
				return tellProfile(c, &d, toFile, data, wait)
			}
			conn, err := await(c.Context(), data, wait)
			if err != nil {
				return err
			}
			return conn.tellEnvironment(c.OutOrStdout(), d.json)
		},
	}
	c.Flags().StringVar(&data, "data", defaultData(), "data folder of the server")
	c.Flags().StringVar(&toFile, "profile", "", "write the profile `NAME` of AWS's tools")
	c.Flags().DurationVar(&wait, "wait", 0, "wait this long for a server to start")
	d.jsonFlag(c)
	return c
}

// tellProfile writes a profile of AWS's tools and says so.
func tellProfile(c *cobra.Command, d *display, name, data string, wait time.Duration) error {
	if err := checkProfileName(name); err != nil {
		return err
	}
	conn, err := await(c.Context(), data, wait)
	if err != nil {
		return err
	}
	p, err := conn.writeProfile(name, conn.key)
	if err != nil {
		return err
	}
	return d.once(c.OutOrStdout(), p)
}

func absent(err error) bool {
	var f *failure
	return errors.As(err, &f) && f.code == exitAbsent
}

// await is connect that waits for a server that is about to start.
func await(ctx context.Context, data string, wait time.Duration) (*connection, error) {
	end := time.Now().Add(wait)
	for {
		conn, err := connect(data)
		if err == nil {
			return conn, nil
		}
		if !absent(err) || !time.Now().Before(end) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, &failure{exitFailure, ctx.Err()}
		case <-time.After(20 * time.Millisecond):
		}
	}
}

type variable struct{ name, value string }

// environment is what points a tool at the server.
func (c *connection) environment() ([]variable, error) {
	data, err := filepath.Abs(c.data) // the reader may stand elsewhere
	if err != nil {
		return nil, &failure{exitFailure, err}
	}
	r := c.running
	vars := []variable{
		{"AWS_ENDPOINT_URL", r.ControlURL},
		{"AWS_ACCESS_KEY_ID", c.key.ID},
		{"AWS_SECRET_ACCESS_KEY", c.key.Secret},
		{"AWS_REGION", r.Region},
		{"AWS_DEFAULT_REGION", r.Region},
		{"WEIR_GATEWAY_URL", r.GatewayURL},
		{"WEIR_DATA", data},
	}
	if r.ControlCA != "" {
		vars = append(vars, variable{"AWS_CA_BUNDLE", r.ControlCA})
	}
	return vars, nil
}

func (c *connection) tellEnvironment(out io.Writer, asJSON bool) error {
	vars, err := c.environment()
	if err != nil {
		return err
	}
	if asJSON {
		m := map[string]string{}
		for _, v := range vars {
			m[v.name] = v.value
		}
		return printJSON(out, m)
	}
	var b strings.Builder
	for _, v := range vars {
		fmt.Fprintf(&b, "export %s=%s\n", v.name, shellQuote(v.value))
	}
	return write(out, []byte(b.String()))
}

// shellQuote makes one word of s for a POSIX shell.
func shellQuote(s string) string {
	plain := strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:") == ""
	if plain && s != "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
