package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"weir/internal/app"
)

func newEnv() *cobra.Command {
	var (
		data   string
		asJSON bool
		wait   time.Duration
	)
	c := &cobra.Command{
		Use:   "env",
		Short: "Print the environment that points AWS's tools at the running server",
		Long: `Print shell commands that point the aws CLI, SDKs and Terraform at the running
server: its endpoint, its region and the root access key. The key is read from
the data folder, which only its owner can read.

AWS CLI versions before 2.13 and SDKs of before mid-2023 do not know
AWS_ENDPOINT_URL: give those --endpoint-url "$AWS_ENDPOINT_URL".`,
		Example: `  eval "$(weir env)"
  weir env --data ./data --json
  weir serve & eval "$(weir env --wait 10s)"`,
		Args: cobra.NoArgs,
		PreRunE: func(c *cobra.Command, _ []string) error {
			return fromEnvironment(c.Flags())
		},
		RunE: func(c *cobra.Command, _ []string) error {
			vars, err := environment(data)
			for end := time.Now().Add(wait); absent(err) && time.Now().Before(end); vars, err = environment(data) {
				select {
				case <-c.Context().Done():
					return &failure{exitFailure, c.Context().Err()}
				case <-time.After(20 * time.Millisecond):
				}
			}
			if err != nil {
				return err
			}
			if asJSON {
				m := map[string]string{}
				for _, v := range vars {
					m[v.name] = v.value
				}
				return json.NewEncoder(c.OutOrStdout()).Encode(m)
			}
			for _, v := range vars {
				if _, err := fmt.Fprintf(c.OutOrStdout(), "export %s=%s\n", v.name, shellQuote(v.value)); err != nil {
					return &failure{exitFailure, err}
				}
			}
			return nil
		},
	}
	c.Flags().StringVar(&data, "data", defaultData(), "data folder of the server")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().DurationVar(&wait, "wait", 0, "wait this long for a server to start")
	return c
}

func absent(err error) bool {
	var f *failure
	return errors.As(err, &f) && f.code == exitAbsent
}

type variable struct{ name, value string }

func environment(data string) ([]variable, error) {
	c, err := connect(data)
	if err != nil {
		return nil, err
	}
	key, err := app.RootAccessKey(data)
	if err != nil {
		return nil, &failure{exitFailure, err}
	}
	return []variable{
		{"AWS_ENDPOINT_URL", c.running.ControlURL},
		{"AWS_ACCESS_KEY_ID", key.ID},
		{"AWS_SECRET_ACCESS_KEY", key.Secret},
		{"AWS_REGION", c.running.Region},
		{"AWS_DEFAULT_REGION", c.running.Region},
		{"WEIR_GATEWAY_URL", c.running.GatewayURL},
	}, nil
}

// shellQuote makes one word of s for a POSIX shell.
func shellQuote(s string) string {
	plain := strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:") == ""
	if plain && s != "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
