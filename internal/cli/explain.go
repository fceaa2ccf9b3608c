package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/spf13/cobra"
)

func newExplain() *cobra.Command {
	var (
		t        target
		d        display
		key, api string
	)
	c := &cobra.Command{
		Use:   "explain [REQUEST-ID]",
		Short: "Say why a call was refused, by which limit, and when that clears",
		Long: `Say why a call was refused: which check it was, the limit with its setting, what
its counter held before the call and after it, when it would let a call in
again, and what to do. REQUEST-ID is the answer's x-amzn-RequestId or
x-amz-apigw-id, or the beginning of one that no other call has. Without it the
newest refusal is explained, with --key or --api the newest of that.

The server keeps the newest 100,000 refusals in memory, and of calls that were
let in the newest 10,000 requests; a restart forgets them. An id that it does
not know ends with exit code 1, and what can have become of it.`,
		Example: `  weir explain
  weir explain 6a9d0c8e-32f5-4a5b-9f0e-0d8f3f6f2b1c
  weir explain 6a9d --json
  weir explain --key mobile`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			id := strings.Join(args, "")
			if id != "" && (key != "" || api != "") {
				return errors.New("give a request id, or choose by --key and --api, not both")
			}
			server, err := t.connect(c.Context())
			if err != nil {
				return err
			}
			p, err := server.explain(c.Context(), id, key, api)
			if err != nil {
				return err
			}
			return d.once(c.OutOrStdout(), p)
		},
	}
	t.register(c)
	c.Flags().StringVar(&key, "key", "", "the newest refusal of this API key, by its name or id")
	c.Flags().StringVar(&api, "api", "", "the newest refusal of this API, by its id")
	d.jsonFlag(c)
	completeFlag(c, &t, "key", (*connection).keyNames)
	return c
}

// explanation is what the server says of a call. It marshals to the very JSON
// that the server sent.
type explanation struct {
	RequestID, ExtendedRequestID             string
	Time                                     time.Time
	Method, Path, ResourcePath, APIID, Stage string
	KeyID, PlanID, SourceIP                  string
	Verdict, Reason, Cause, Detail, What, Do string
	Layer, Shadow                            string
	Status                                   int
	Limit                                    *explainedLimit
	ClearsAt                                 time.Time
	Cleared                                  bool

	sent              json.RawMessage
	keyName, planName string
	now               time.Time
}

// explainedLimit is a limit of one of its kinds: a throttle, a quota, or a cap
// on calls at a time.
type explainedLimit struct {
	RateLimit  *float64
	BurstLimit int64
	Tokens     float64

	Limit      *int64
	Period     string
	Used, Left int64

	AtATime *int64
	InUse   int64

	Never bool
}

// MarshalJSON gives what the server sent.
func (e *explanation) MarshalJSON() ([]byte, error) { return e.sent, nil }

// explain asks the server for one explanation; key is a name or an id.
func (c *connection) explain(ctx context.Context, id, key, api string) (*explanation, error) {
	query := url.Values{}
	if key != "" {
		found, err := c.oneKey(ctx, key, nil)
		if err != nil {
			return nil, err
		}
		query.Set("key", aws.ToString(found.Id))
	}
	if api != "" {
		query.Set("api", api)
	}
	path := "/_weir/explain/" + url.PathEscape(id)
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	res, err := c.own(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, explainFailed(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	e := &explanation{sent: []byte(printableJSON(string(bytes.TrimSpace(text)))), now: time.Now()}
	if err == nil {
		err = json.Unmarshal(text, e)
	}
	if err != nil {
		return nil, &failure{exitFailure, fmt.Errorf("the server sent no explanation (%w): is it of another version?", err)}
	}
	c.nameParties(ctx, e)
	return e, nil
}

func explainFailed(err error) error {
	var said *answered
	switch {
	case errors.As(err, &said) && said.status == http.StatusBadRequest:
		return errors.New(said.message)
	case errors.As(err, &said) && (said.status == http.StatusNotFound || said.status == http.StatusConflict):
		return &failure{exitFailure, errors.New(said.message)}
	case unreachable(err) != nil:
		return &failure{exitAbsent, err}
	}
	return &failure{exitFailure, err}
}

// nameParties asks for the names of key and plan. What cannot be asked for any
// more, or has none, keeps its id.
func (c *connection) nameParties(ctx context.Context, e *explanation) {
	client := apigateway.NewFromConfig(c.aws)
	if e.KeyID != "" {
		e.keyName = (&keyNames{client: client, names: map[string]string{}}).name(ctx, e.KeyID)
	}
	if e.PlanID == "" {
		return
	}
	if plan, err := client.GetUsagePlan(ctx, &apigateway.GetUsagePlanInput{UsagePlanId: &e.PlanID}); err == nil {
		e.planName = aws.ToString(plan.Name)
	}
}

func (e *explanation) print(s *screen) {
	in := warn
	switch {
	case e.Verdict == "admitted" && e.Status < http.StatusInternalServerError:
		in = good
	case e.Verdict == "broken" || e.Status >= http.StatusInternalServerError:
		in = bad
	}
	by := ""
	switch {
	case e.Shadow != "":
		by = " by a tag of its usage plan"
		in = warn
	case e.Layer != "":
		by = " at the " + e.Layer
	}
	s.printf("%s\n\n", s.paint(in, clean(strings.TrimSpace(fmt.Sprintf("%s%s: %d %s", e.Verdict, by, e.Status, e.Reason)))))
	const label = 9
	for _, f := range e.fields() {
		if f[1] != "" {
			s.printf("%s", s.paint(faint, padTo(f[0], label)))
			s.hang(label, clean(f[1]))
		}
	}
}

func (e *explanation) fields() [][2]string {
	counter, setting := "", ""
	if e.Limit != nil {
		setting, counter = e.Limit.setting(), e.Limit.counter()
	}
	return [][2]string{
		{"why", e.What},
		{"cause", e.Cause + e.Shadow}, // never both
		{"detail", e.detail()},
		{"limit", setting},
		{"counter", counter},
		{"clears", e.clears()},
		{"do", e.Do},
		{"call", e.call()},
		{"key", nameWithID(e.keyName, e.KeyID)},
		{"plan", nameWithID(e.planName, e.PlanID)},
		{"from", e.SourceIP},
		{"at", e.Time.UTC().Format("2006-01-02T15:04:05.000Z") + ", " + span(e.now.Sub(e.Time)) + " ago"},
		{"id", strings.TrimSpace(e.RequestID + "  " + e.ExtendedRequestID)},
	}
}

// detail is the server's sentence where what is said above does not say it.
func (e *explanation) detail() string {
	if e.Limit != nil {
		return ""
	}
	return e.Detail
}

func (e *explanation) call() string {
	call := strings.TrimSpace(e.Method + " " + e.Path)
	switch {
	case e.APIID == "":
		return call
	case e.ResourcePath == "":
		return fmt.Sprintf("%s, stage %s of API %s", call, e.Stage, e.APIID)
	}
	return fmt.Sprintf("%s, resource %s, stage %s of API %s", call, e.ResourcePath, e.Stage, e.APIID)
}

func (e *explanation) clears() string {
	switch {
	case e.Limit != nil && e.Limit.Never:
		return "never: this setting lets nothing through"
	case e.ClearsAt.IsZero():
		return ""
	}
	after := e.ClearsAt.Sub(e.Time)
	at := fmt.Sprintf("%s after the call, at %s", duration(after), e.ClearsAt.UTC().Format("2006-01-02T15:04:05.000Z"))
	if e.Cleared {
		return at + ": it has"
	}
	return at + ": in " + duration(e.ClearsAt.Sub(e.now))
}

// duration is exact below a second and as people say it above a minute.
func duration(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(10 * time.Millisecond).String()
	}
	return span(d)
}

func (l *explainedLimit) setting() string {
	switch {
	case l.RateLimit != nil:
		return fmt.Sprintf("rate %s a second, burst %d", strconv.FormatFloat(*l.RateLimit, 'f', -1, 64), l.BurstLimit)
	case l.Limit != nil:
		return fmt.Sprintf("%d calls a %s", *l.Limit, strings.ToLower(l.Period))
	case l.AtATime != nil:
		return fmt.Sprintf("%d calls at a time", *l.AtATime)
	}
	return ""
}

func (l *explainedLimit) counter() string {
	switch {
	case l.RateLimit != nil:
		return fmt.Sprintf("%s of %d tokens before the call and after it; a call takes one", strconv.FormatFloat(math.Floor(l.Tokens*1000)/1000, 'f', 3, 64), l.BurstLimit)
	case l.Limit != nil:
		return fmt.Sprintf("%d used and %d left, before the call and after it", l.Used, l.Left)
	case l.AtATime != nil:
		return fmt.Sprintf("%d under way, before the call and after it", l.InUse)
	}
	return ""
}

// nameWithID is "name (id)", or the id alone.
func nameWithID(name, id string) string {
	if name == "" || name == id {
		return id
	}
	return name + " (" + id + ")"
}
