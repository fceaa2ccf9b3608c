package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	"github.com/spf13/cobra"

	"weir/internal/catalog"
)

// keyCommand is a command on one key that is named on the command line.
func keyCommand(verb, short, long, example string, t *target, d *display, run func(c *cobra.Command, conn *connection, ref string) error) *cobra.Command {
	c := &cobra.Command{
		Use: verb + " ID|NAME", Short: short, Long: long, Example: example,
		Args: oneArg,
		RunE: func(c *cobra.Command, args []string) error {
			if args[0] == "" {
				return errors.New("give the ID or the name of a key")
			}
			conn, err := t.connect(c.Context())
			if err != nil {
				return err
			}
			return run(c, conn, args[0])
		},
	}
	t.register(c)
	d.jsonFlag(c)
	c.ValidArgsFunction = completeArg(t, (*connection).keyNames)
	return c
}

func newKeysEnable() *cobra.Command {
	return keySwitch("enable", true, "Let an API key in again",
		"Enable an API key. Calls with it are let in from the moment this returns, as its\nusage plans say.")
}

func newKeysDisable() *cobra.Command {
	return keySwitch("disable", false, "Refuse all calls with an API key",
		"Disable an API key. Calls with it are refused (403) from the moment this\nreturns. Its plans and what it has used stay; 'weir keys enable' lets it in again.")
}

// keySwitch makes enable and disable. Among keys of one name the one that is
// in the other state is meant.
func keySwitch(verb string, enabled bool, short, long string) *cobra.Command {
	var (
		t target
		d display
	)
	return keyCommand(verb, short, long, "  weir keys "+verb+" reader\n  weir keys "+verb+" 4ov1a9cr7e --json", &t, &d,
		func(c *cobra.Command, conn *connection, ref string) error {
			key, err := conn.oneKey(c.Context(), ref, func(k *types.ApiKey) bool { return k.Enabled != enabled })
			if err != nil {
				return err
			}
			changed := key.Enabled != enabled
			if changed {
				if err := conn.setEnabled(c.Context(), aws.ToString(key.Id), enabled); err != nil {
					return err
				}
			}
			return d.once(c.OutOrStdout(), keySwitched{aws.ToString(key.Id), aws.ToString(key.Name), enabled, changed, callKey(key)})
		})
}

// keySwitched is the JSON of `weir keys enable` and `disable`.
type keySwitched struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Enabled bool   `json:"enabled"`
	Changed bool   `json:"changed"` // false: it was so before
	called  string
}

func (v keySwitched) print(s *screen) {
	state, effect := "disabled", "calls with it are refused"
	if v.Enabled {
		state, effect = "enabled", "calls with it are let in as its usage plans say"
	}
	if !v.Changed {
		state += " already"
	}
	s.printf("%s is %s: %s\n", v.called, state, effect)
}

func (c *connection) setEnabled(ctx context.Context, id string, enabled bool) error {
	_, err := apigateway.NewFromConfig(c.aws).UpdateApiKey(ctx, &apigateway.UpdateApiKeyInput{
		ApiKey:          &id,
		PatchOperations: []types.PatchOperation{{Op: types.OpReplace, Path: aws.String("/enabled"), Value: aws.String(strconv.FormatBool(enabled))}},
	})
	return err
}

func newKeysDelete() *cobra.Command {
	var (
		t target
		d display
	)
	return keyCommand("delete", "Delete an API key",
		`Delete an API key and take it out of its plans. Calls with its value are refused
(403) from the moment this returns, and the value cannot be had again: to be able
to go back, use 'weir keys disable'.`,
		"  weir keys delete 4ov1a9cr7e\n  weir keys delete reader --json", &t, &d,
		func(c *cobra.Command, conn *connection, ref string) error {
			key, err := conn.oneKey(c.Context(), ref, nil)
			if err != nil {
				return err
			}
			if err := conn.deleteKey(c.Context(), key.Id); err != nil {
				return err
			}
			return d.once(c.OutOrStdout(), keyDeleted{aws.ToString(key.Id), aws.ToString(key.Name), true, callKey(key)})
		})
}

// keyDeleted is the JSON of `weir keys delete`.
type keyDeleted struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Deleted bool   `json:"deleted"`
	called  string
}

func (v keyDeleted) print(s *screen) { s.printf("%s is deleted\n", v.called) }

func (c *connection) deleteKey(ctx context.Context, id *string) error {
	_, err := apigateway.NewFromConfig(c.aws).DeleteApiKey(ctx, &apigateway.DeleteApiKeyInput{ApiKey: id})
	return err
}

func newKeysShow() *cobra.Command {
	var (
		t     target
		d     display
		value bool
	)
	c := keyCommand("show", "Show one API key; with --value, its value",
		`Show one API key. With --value, print its value and nothing else, for a script;
with --value --json, the value is in the document. No other command prints the
value of a key that was there before.`,
		"  weir keys show reader\n  curl -H \"x-api-key: $(weir keys show reader --value)\" \"$URL\"", &t, &d,
		func(c *cobra.Command, conn *connection, ref string) error {
			key, err := conn.oneKey(c.Context(), ref, nil)
			if err != nil {
				return err
			}
			if value {
				if key, err = conn.getKey(c.Context(), aws.ToString(key.Id), true); err != nil {
					return err
				}
				if aws.ToString(key.Value) == "" {
					return &failure{exitFailure, fmt.Errorf("the server does not give the value of %s: make a new one with 'weir keys rotate'", callKey(key))}
				}
				if !d.json {
					return write(c.OutOrStdout(), []byte(*key.Value+"\n"))
				}
			}
			shown := keyDetail{keyView: newKeyView(key), Description: aws.ToString(key.Description), CustomerID: aws.ToString(key.CustomerId), Tags: key.Tags, Value: aws.ToString(key.Value)}
			one := []keyView{shown.keyView}
			if err := conn.addPlans(c.Context(), one, time.Now()); err != nil {
				return err
			}
			shown.keyView = one[0]
			return d.once(c.OutOrStdout(), &shown)
		})
	c.Flags().BoolVar(&value, "value", false, "print the key's value")
	return c
}

// keyDetail is the JSON of `weir keys show`.
type keyDetail struct {
	keyView
	Description string            `json:"description,omitempty"`
	CustomerID  string            `json:"customerId,omitempty"`
	Tags        map[string]string `json:"tags,omitempty"`
	Value       string            `json:"value,omitempty"` // with --value
}

// termFields gives a key's tags, those that say on what terms it lets callers in
// under a name of their own.
func termFields(tags map[string]string, now time.Time) (fields [][2]string) {
	plain := maps.Clone(tags)
	for _, term := range [][2]string{
		{"expires", catalog.TagExpires},
		{"callers from", catalog.TagSourceRanges},
		{"calls at a time", catalog.TagMaxConcurrent},
		{"old value until", catalog.TagPreviousUntil},
	} {
		name, tag := term[0], term[1]
		value := plain[tag]
		delete(plain, tag)
		if at, err := catalog.ParseInstant(tag, value); err == nil && !now.Before(at) {
			value += ", which is past"
		}
		fields = append(fields, [2]string{name, value})
	}
	for _, tag := range sortedPairs(plain) {
		fields = append(fields, [2]string{"tag", tag})
	}
	return fields
}

func (v *keyDetail) print(s *screen) {
	fields := [][2]string{
		{"id", v.ID},
		{"name", v.Name},
		{"description", v.Description},
		{"customer", v.CustomerID},
		{"enabled", yes(v.Enabled)},
		{"created", v.Created.Format(time.RFC3339)},
		{"changed", v.Changed.Format(time.RFC3339)},
	}
	fields = append(fields, termFields(v.Tags, time.Now())...)
	for _, p := range v.Plans {
		line := fmt.Sprintf("%s (%s), %d today", clean(p.Name), p.ID, p.UsedToday)
		if q := p.Quota; q != nil {
			line += fmt.Sprintf(", %d of %d left until %s", q.Remaining, q.Limit, q.Ends.Format("2006-01-02T15:04Z"))
		}
		fields = append(fields, [2]string{"plan", line})
	}
	s.fields(fields)
}
