package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/spf13/cobra"

	"weir/internal/catalog"
)

// keepFor is a flag's time in days, hours, minutes or seconds: "7d", "12h".
type keepFor struct {
	time.Duration
	set bool
}

func (k *keepFor) Set(s string) error {
	d, err := time.ParseDuration(s)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		var n uint64
		n, err = strconv.ParseUint(days, 10, 12)
		d = time.Duration(n) * 24 * time.Hour
	}
	if err != nil || d < 0 || d%time.Second != 0 {
		return errors.New("give a time in whole seconds, such as 7d, 12h or 90m; 0s for no time at all")
	}
	k.Duration, k.set = d, true
	return nil
}

func (k *keepFor) String() string {
	if !k.set {
		return ""
	}
	return k.Duration.String()
}

func (*keepFor) Type() string { return "duration" }

// keyRenewed is the JSON of `weir keys rotate --keep`.
type keyRenewed struct {
	ID            string `json:"id"`
	Name          string `json:"name"`
	Value         string `json:"value"`
	PreviousUntil string `json:"previousValueUntil,omitempty"` // left out when the value before works no more
}

// renew gives a key a new value while the one that it has works on for a while.
func (c *connection) renew(cmd *cobra.Command, d *display, ref string, keep time.Duration) error {
	key, err := c.oneKey(cmd.Context(), ref, nil)
	if err != nil {
		return err
	}
	id := aws.ToString(key.Id)
	made, err := c.rotateKey(cmd.Context(), id, keep)
	var said *answered
	if errors.As(err, &said) {
		if said.status == http.StatusNotFound && !strings.Contains(said.message, catalog.ErrAPIKey().Error()) {
			return &failure{exitFailure, errors.New("--keep needs a weir server, and this endpoint is none or an old one: without --keep, a new key takes the old one's place")}
		}
		return &failure{exitFailure, errors.New(said.message)}
	}
	if err != nil {
		return err
	}
	if err := d.once(cmd.OutOrStdout(), made); err != nil {
		return unprinted(&keyMade{ID: id}, err)
	}
	return nil
}

func (c *connection) rotateKey(ctx context.Context, id string, keep time.Duration) (*keyRenewed, error) {
	body, err := json.Marshal(map[string]int64{"keepSeconds": int64(keep / time.Second)})
	if err != nil {
		return nil, err
	}
	res, err := c.own(ctx, http.MethodPost, "/_weir/keys/"+id+"/rotate", body)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	made := &keyRenewed{}
	if err := json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(made); err != nil {
		return nil, fmt.Errorf("the answer cannot be read: %w: 'weir keys show %s --value' prints the key's value", err, id)
	}
	return made, nil
}

func (v *keyRenewed) print(s *screen) {
	s.fields([][2]string{{"id", v.ID}, {"name", v.Name}, {"value", v.Value}})
	if v.PreviousUntil == "" {
		s.printf("The value before works no more.\n")
		return
	}
	s.printf("The value before works until %s; the key's tag %s says so, and moves or ends it.\n", v.PreviousUntil, catalog.TagPreviousUntil)
}
