package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	"github.com/spf13/cobra"
)

// noPlan is said of a key that no plan lets in.
const noPlan = "none: every call with this key is refused until a usage plan has it"

func newKeysCreate() *cobra.Command {
	var (
		t  target
		d  display
		in newKey
	)
	c := &cobra.Command{
		Use:   "create NAME",
		Short: "Make an API key and print its value",
		Long: `Make an API key and put it into usage plans. A key that is in no plan opens
nothing. When a plan cannot take the key, the key is deleted again.

The value is printed here, once; only 'weir keys show --value' prints it again.
A value of your own has 20 to 128 printable characters and no spaces; give it on
standard input (--value -), since other users of the machine can read command
lines.`,
		Example: `  weir keys create reader --plan ten-a-day
  weir keys create reader --plan ten-a-day --json
  weir keys create partner --disabled --value - < value.txt`,
		Args: oneArg,
		RunE: func(c *cobra.Command, args []string) error {
			in.name = args[0]
			if in.name == "" {
				return errors.New("give the key a name")
			}
			if err := in.readValue(c.InOrStdin()); err != nil {
				return err
			}
			conn, err := t.connect(c.Context())
			if err != nil {
				return err
			}
			made, err := conn.createKey(c.Context(), &in)
			if err != nil {
				return err
			}
			return d.once(c.OutOrStdout(), made)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	t.register(c)
	c.Flags().StringArrayVar(&in.plans, "plan", nil, "put the key into this usage plan (`ID|NAME`); may be given again")
	c.Flags().StringVar(&in.value, "value", "", "`VALUE` of the key (default: random); - reads standard input")
	c.Flags().StringVar(&in.description, "description", "", "what the key is for")
	c.Flags().BoolVar(&in.disabled, "disabled", false, "make it, but let nobody in with it yet")
	d.jsonFlag(c)
	completeFlag(c, &t, "plan", (*connection).planNames)
	return c
}

// newKey is what `weir keys create` was told.
type newKey struct {
	name, value, description string
	disabled                 bool
	plans                    []string
}

const maxKeyValue = 128

func (in *newKey) readValue(stdin io.Reader) error {
	if in.value != "-" {
		return nil
	}
	line, err := io.ReadAll(io.LimitReader(stdin, maxKeyValue+2))
	if err != nil {
		return &failure{exitFailure, fmt.Errorf("reading the key's value: %w", err)}
	}
	in.value = strings.TrimRight(string(line), "\r\n")
	if in.value == "" {
		return errors.New("--value -: there is no value on standard input")
	}
	return nil
}

// keyMade is the JSON of `weir keys create`.
type keyMade struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Enabled bool      `json:"enabled"`
	Value   string    `json:"value"`
	Plans   []planRef `json:"plans"`
}

type planRef struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

func (c *connection) createKey(ctx context.Context, in *newKey) (*keyMade, error) {
	all, _, err := c.listPlans(ctx, &listing{})
	if err != nil {
		return nil, err
	}
	var plans []types.UsagePlan
	for _, ref := range in.plans {
		p, err := onePlan(all, ref)
		if err != nil {
			return nil, err
		}
		plans = append(plans, *p)
	}
	request := &apigateway.CreateApiKeyInput{Name: &in.name, Enabled: !in.disabled}
	if in.value != "" {
		request.Value = &in.value
	}
	if in.description != "" {
		request.Description = &in.description
	}
	return c.makeKey(ctx, request, plans)
}

// undoLimit is how long taking back what was begun may last, also after Ctrl-C.
const undoLimit = 10 * time.Second

// makeKey makes a key that is in plans, or none at all.
func (c *connection) makeKey(ctx context.Context, request *apigateway.CreateApiKeyInput, plans []types.UsagePlan) (*keyMade, error) {
	api := apigateway.NewFromConfig(c.aws)
	k, err := api.CreateApiKey(ctx, request)
	if err != nil {
		return nil, err
	}
	made := &keyMade{ID: aws.ToString(k.Id), Name: aws.ToString(k.Name), Enabled: k.Enabled, Value: aws.ToString(k.Value), Plans: []planRef{}}
	for _, p := range plans {
		_, err := api.CreateUsagePlanKey(ctx, &apigateway.CreateUsagePlanKeyInput{UsagePlanId: p.Id, KeyId: k.Id, KeyType: aws.String("API_KEY")})
		if err == nil {
			made.Plans = append(made.Plans, planRef{aws.ToString(p.Id), aws.ToString(p.Name)})
			continue
		}
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoLimit)
		defer cancel()
		if undoErr := c.deleteKey(undo, k.Id); undoErr != nil {
			return nil, &failure{exitFailure, fmt.Errorf("the new key %s could not join usage plan %s (%w) and could not be deleted again (%w): delete it with 'weir keys delete %s'", made.ID, aws.ToString(p.Id), err, undoErr, made.ID)}
		}
		return nil, &failure{exitFailure, fmt.Errorf("the new key could not join usage plan %s (%s), so it was deleted again: %w", aws.ToString(p.Name), aws.ToString(p.Id), err)}
	}
	return made, nil
}

func (v *keyMade) print(s *screen) {
	plans := make([]string, len(v.Plans))
	for i, p := range v.Plans {
		plans[i] = fmt.Sprintf("%s (%s)", clean(p.Name), p.ID)
	}
	if len(plans) == 0 {
		plans = []string{noPlan}
	}
	s.fields([][2]string{
		{"id", v.ID}, {"name", v.Name}, {"enabled", yes(v.Enabled)}, {"plans", strings.Join(plans, ", ")}, {"value", v.Value},
	})
	s.printf("%s\n", s.paint(faint, "Callers send the value in the header x-api-key. Keep it: no list shows it."))
}
