package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	"github.com/spf13/cobra"

	"weir/internal/catalog"
)

func newKeysRotate() *cobra.Command {
	var (
		t       target
		d       display
		keepOld bool
		keep    keepFor
	)
	c := keyCommand("rotate", "Give an API key a new value, or put a new key in its place",
		`With --keep, give the key itself a new value, and let the one that it had work on
for that time: 7d, 12h, 0s. Its ID, its plans and what it has used stay. The key's
tag weir:previous-value-until holds the date; AWS's own tag-resource moves it, and
untag-resource ends the old value at once. Only weir can do this.

Without --keep, put a new key in the place of the old one, as AWS's API can. This
makes a new key with the same name, description, customer ID, tags and usage
plans, prints its value, and then disables the old one; with --keep-old the old
one stays enabled, so that callers can change over: disable it when they have.

The quota counts by key: the new key starts its periods with its full quota,
whatever the old one had used. The old key keeps its count and is not deleted.

The new key is in all of the plans before its value is printed, and the old one
is disabled last. When a step before that fails, the new key is deleted and the
old one goes on working. Of several keys with one name the enabled one is meant.`,
		"  weir keys rotate reader --keep 7d\n  weir keys rotate reader\n  weir keys rotate 4ov1a9cr7e --keep-old", &t, &d,
		func(c *cobra.Command, conn *connection, ref string) error {
			if keep.set {
				return conn.renew(c, &d, ref, keep.Duration)
			}
			return conn.rotate(c, &d, ref, keepOld)
		})
	c.Flags().Var(&keep, "keep", "new value for the key itself; the old one works for `TIME` more")
	c.Flags().BoolVar(&keepOld, "keep-old", false, "leave the old key enabled")
	c.MarkFlagsMutuallyExclusive("keep", "keep-old")
	return c
}

// keyRotated is the JSON of `weir keys rotate`.
type keyRotated struct {
	New *keyMade `json:"new"`
	Old oldKey   `json:"old"`
}

type oldKey struct {
	ID      string `json:"id"`
	Enabled bool   `json:"enabled"`
}

// rotate makes the new key, tells its value, and only then closes the old one:
// whatever fails, the caller holds a value that works.
func (c *connection) rotate(cmd *cobra.Command, d *display, ref string, keepOld bool) error {
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	old, err := c.oneKey(ctx, ref, func(k *types.ApiKey) bool { return k.Enabled })
	if err != nil {
		return err
	}
	if !old.Enabled {
		return &failure{exitFailure, fmt.Errorf("%s is disabled, so there is nothing to replace: enable it, or make a new key with 'weir keys create'", callKey(old))}
	}
	made, err := c.replacement(ctx, old)
	if err != nil {
		return fmt.Errorf("%s was not touched and works as before: %w", callKey(old), err)
	}
	result := keyRotated{New: made, Old: oldKey{aws.ToString(old.Id), true}}
	if !d.json {
		if err := d.once(out, made); err != nil {
			return unprinted(made, err) // the old key still works
		}
	}
	var closing error
	if !keepOld {
		if closing = c.setEnabled(ctx, result.Old.ID, false); closing == nil {
			result.Old.Enabled = false
		} else {
			closing = &failure{exitFailure, fmt.Errorf("the new key works, but disabling the old one, %s, failed, so it may still work: 'weir keys disable %s' tries again: %w", result.Old.ID, result.Old.ID, closing)}
		}
	}
	if d.json {
		if err := printJSON(out, result); err != nil {
			return errors.Join(closing, unprinted(made, err))
		}
		return closing
	}
	if closing != nil {
		return closing
	}
	return d.once(out, result)
}

// unprinted says how to have the value of a key that could not be printed.
func unprinted(made *keyMade, err error) error {
	return &failure{exitFailure, fmt.Errorf("printing the new key: %w: 'weir keys show %s --value' prints its value", err, made.ID)}
}

// replacement makes a key that is like old in all but ID and value.
func (c *connection) replacement(ctx context.Context, old *types.ApiKey) (*keyMade, error) {
	plans, err := c.keyPlans(ctx, aws.ToString(old.Id))
	if err != nil {
		return nil, err
	}
	tags := maps.Clone(old.Tags)
	delete(tags, catalog.TagPreviousUntil) // the new key has no value but its own
	return c.makeKey(ctx, &apigateway.CreateApiKeyInput{
		Name: old.Name, Description: old.Description, CustomerId: old.CustomerId, Tags: tags, Enabled: true,
	}, plans)
}

// print tells what became of the old key; the new one was printed before.
func (v keyRotated) print(s *screen) {
	if v.Old.Enabled {
		s.printf("The old key, %s, still works: 'weir keys disable %s' ends that.\n", v.Old.ID, v.Old.ID)
	} else {
		s.printf("The old key, %s, is disabled.\n", v.Old.ID)
	}
	if len(v.New.Plans) > 0 {
		s.printf("Quotas count by key: the new one begins with its full quota.\n")
	}
}
