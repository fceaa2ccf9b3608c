package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/spf13/cobra"
)

// requestsOptions say which requests are shown, and how.
type requestsOptions struct {
	follow  bool
	limit   int // of the newest; with follow, before the further ones
	json    bool
	api     string // API id; "": all
	key     string // name or id of an API key; "": all
	verdict string // admitted, refused, missed, broken or shadow; "": all
	status  string // 429 or 4xx; "": all
	failed  func() // unless nil, told of the first call that was let in and failed, once its line is shown
}

func newRequests() *cobra.Command {
	var (
		t     target
		watch bool
		o     requestsOptions
	)
	c := &cobra.Command{
		Use:   "requests",
		Short: "Show what callers asked and what they got",
		Long: `Show the newest requests of callers, a line each: when it came, verb, path, the
name of its API key, the verdict with its reason, status, and milliseconds. The
verdict is admitted, refused (no key, too fast, over the quota …), missed (no
such API, stage or method) or broken (a failure of weir's own). Shadow is a call
that was admitted because its usage plan is in shadow mode, with what would have
refused it. Why a call was refused, weir explain says.

The server keeps the newest 10,000 in memory; a restart forgets them. Following
ends with exit code 3 when the server stops.`,
		Example: `  weir requests
  weir requests --follow
  weir requests --verdict refused --limit 100
  weir requests --key me --status 429 --json
  weir requests --follow --verdict shadow`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			server, err := t.connect(c.Context())
			if err != nil {
				return err
			}
			o.follow = o.follow || watch
			return server.showRequests(c.Context(), c.OutOrStdout(), o)
		},
	}
	t.register(c)
	f := c.Flags()
	f.BoolVarP(&o.follow, "follow", "f", false, "go on with further requests as they come, until Ctrl-C")
	f.BoolVar(&watch, "watch", false, "the same as --follow")
	f.IntVar(&o.limit, "limit", 20, "how many of the newest to show; at most 10000")
	f.BoolVar(&o.json, "json", false, "print JSON, one object a line")
	f.StringVar(&o.api, "api", "", "only requests to this API, by its id")
	f.StringVar(&o.key, "key", "", "only requests with this API key, by its name or id")
	f.StringVar(&o.verdict, "verdict", "", "only this verdict: admitted, refused, missed or broken; or shadow: what plans in shadow mode would have refused")
	f.StringVar(&o.status, "status", "", "only this status, such as 429, or this class, such as 4xx")
	completeFlag(c, &t, "key", (*connection).keyNames)
	return c
}

// silence is how long a server that follows may say nothing: it sends an empty
// line every five seconds.
const silence = 30 * time.Second

// showRequests prints requests, a line each. With follow it ends without an
// error when ctx does, and with exitAbsent when the server stops.
func (c *connection) showRequests(ctx context.Context, out io.Writer, o requestsOptions) error {
	keys := &keyNames{client: apigateway.NewFromConfig(c.aws), names: map[string]string{}}
	if o.key != "" {
		key, err := c.oneKey(ctx, o.key, nil)
		if err != nil {
			return err
		}
		o.key = aws.ToString(key.Id)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	res, err := c.own(ctx, http.MethodGet, o.target(), nil)
	if err != nil {
		return requestsFailed(ctx, err)
	}
	defer res.Body.Close()
	watchdog := time.AfterFunc(silence, func() {
		cancel(fmt.Errorf("the server at %s was not heard of for %s", c.running.ControlURL, silence))
	})
	defer watchdog.Stop()
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		watchdog.Stop() // a terminal may be stopped for long
		if err := showLine(ctx, out, lines.Text(), keys, &o); err != nil {
			return err
		}
		watchdog.Reset(silence)
	}
	switch {
	case ctx.Err() != nil:
		return requestsFailed(ctx, ctx.Err())
	case o.follow:
		return &failure{exitAbsent, fmt.Errorf("the server at %s stopped: start it and run this again", c.running.ControlURL)}
	case lines.Err() != nil:
		return &failure{exitFailure, fmt.Errorf("reading requests: %w", lines.Err())}
	}
	return nil
}

// showLine shows a line of the server; an empty one says that it lives.
func showLine(ctx context.Context, out io.Writer, line string, keys *keyNames, o *requestsOptions) error {
	switch {
	case line == "":
		return nil
	case o.json:
		return write(out, []byte(printableJSON(line)+"\n"))
	}
	r, err := parseRequest(line)
	if err != nil {
		return err
	}
	if err := printRequest(ctx, out, &r, keys); err != nil {
		return err
	}
	if o.failed != nil && r.Verdict == "admitted" && r.Status >= http.StatusInternalServerError {
		o.failed()
		o.failed = nil
	}
	return nil
}

// requestsFailed is the end of showRequests by an error: none when the user
// ended it.
func requestsFailed(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, context.Canceled) {
		return nil
	} else if cause != nil {
		return &failure{exitFailure, cause}
	}
	var said *answered
	if errors.As(err, &said) && said.status == http.StatusBadRequest {
		return &failure{exitUsage, errors.New("--" + said.message)}
	}
	if unreachable(err) != nil {
		return &failure{exitAbsent, err}
	}
	return &failure{exitFailure, err}
}

// target is the route that shows what is asked for; key is an id.
func (o *requestsOptions) target() string {
	query := url.Values{"limit": {strconv.Itoa(o.limit)}}
	if o.follow {
		query.Set("follow", "true")
	}
	for name, value := range map[string]string{"api": o.api, "key": o.key, "verdict": o.verdict, "status": o.status} {
		if value != "" {
			query.Set(name, value)
		}
	}
	return "/_weir/requests?" + query.Encode()
}

// keyNames knows the names of API keys, asking once for each.
type keyNames struct {
	client *apigateway.Client
	names  map[string]string // by id; bounded by maxKeyNames
}

const maxKeyNames = 10_000

// name gives a key's name, its id when it has none or cannot be asked for.
func (k *keyNames) name(ctx context.Context, id string) string {
	if id == "" {
		return "-"
	}
	if name, ok := k.names[id]; ok {
		return name
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	name := id
	if key, err := k.client.GetApiKey(ctx, &apigateway.GetApiKeyInput{ApiKey: &id}); err == nil && aws.ToString(key.Name) != "" {
		name = *key.Name
	}
	if len(k.names) >= maxKeyNames {
		clear(k.names)
	}
	k.names[id] = name
	return name
}

// shownRequest is a line of the server: a request, or how many were lost.
type shownRequest struct {
	Time                                               time.Time
	Method, Path, APIID, Stage, KeyID, Verdict, Reason string
	Shadow                                             string // cause
	Status                                             int
	LatencyNs                                          int64
	Lost                                               uint64
}

func parseRequest(line string) (shownRequest, error) {
	var r shownRequest
	if err := json.Unmarshal([]byte(line), &r); err != nil {
		return r, &failure{exitFailure, fmt.Errorf("the server sent a line that is no request (%w): is it of another version?", err)}
	}
	return r, nil
}
