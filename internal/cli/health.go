package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

func newHealth() *cobra.Command {
	var (
		data string
		d    display
	)
	c := &cobra.Command{
		Use:   "health",
		Short: "Ask the running server whether it can work",
		Long: `Ask the running server whether it can work: whether it answers, and its database
does. It needs no access key, so it is made for a container's HEALTHCHECK and
for monitors. The server has three seconds to answer.

Exit codes: 0 ready, 1 not ready or no answer, 3 no server runs on the data
folder.`,
		Example: `  weir health
  weir health --data /var/lib/weir --json`,
		Args: cobra.NoArgs,
		PreRunE: func(c *cobra.Command, _ []string) error {
			return fromEnvironment(c.Flags(), "data")
		},
		RunE: func(c *cobra.Command, _ []string) error {
			status, err := health(c.Context(), data)
			if err != nil {
				return err
			}
			return d.once(c.OutOrStdout(), healthy{status})
		},
	}
	c.Flags().StringVar(&data, "data", defaultData(), "data folder of the server")
	d.jsonFlag(c)
	return c
}

// healthy is the JSON of `weir health`.
type healthy struct {
	Status string `json:"status"`
}

func (h healthy) print(s *screen) { s.printf("%s\n", clean(h.Status)) }

// health is the server's own word for how it is, "ready", or why it cannot
// work.
func health(ctx context.Context, data string) (string, error) {
	conn, err := connect(data)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	url := *conn.aws.BaseEndpoint + "/_weir/ready"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", &failure{exitFailure, err}
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", &failure{exitFailure, fmt.Errorf("the server of %s does not answer: %w", data, err)}
	}
	defer res.Body.Close()
	var answer struct{ Status, Reason string }
	if err := json.NewDecoder(io.LimitReader(res.Body, 4096)).Decode(&answer); err != nil {
		return "", &failure{exitFailure, fmt.Errorf("what answers at %s is no weir: %s", url, res.Status)}
	}
	if res.StatusCode != http.StatusOK {
		return "", &failure{exitFailure, fmt.Errorf("the server is %s: %s", answer.Status, cmp.Or(answer.Reason, "its log says why"))}
	}
	return answer.Status, nil
}
