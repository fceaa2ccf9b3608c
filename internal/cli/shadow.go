package cli

import (
	"context"
	"encoding/json"
	"net/http"
)

// wouldRefuse is what a usage plan in shadow mode would have refused since the
// server started.
type wouldRefuse struct {
	Throttled int64 `json:"throttled"`
	Exhausted int64 `json:"exhausted"`
}

func (w wouldRefuse) all() int64 { return w.Throttled + w.Exhausted }

// shadowView is what the server tells of a plan that is, or was, in shadow
// mode.
type shadowView struct {
	PlanID string `json:"planId"`
	On     bool   `json:"on"`
	wouldRefuse
	Keys []struct {
		KeyID string `json:"keyId"`
		wouldRefuse
	} `json:"keys"`
}

func (v *shadowView) key(id string) wouldRefuse {
	for _, k := range v.Keys {
		if k.KeyID == id {
			return k.wouldRefuse
		}
	}
	return wouldRefuse{}
}

// shadows asks what plans in shadow mode would have refused, by plan. What is
// no weir, and a weir that does not know of it, has none.
func (c *connection) shadows(ctx context.Context) map[string]*shadowView {
	res, err := c.own(ctx, http.MethodGet, "/_weir/shadow", nil)
	if err != nil {
		return nil
	}
	defer res.Body.Close()
	var said struct{ Plans []*shadowView }
	if json.NewDecoder(res.Body).Decode(&said) != nil {
		return nil
	}
	plans := make(map[string]*shadowView, len(said.Plans))
	for _, p := range said.Plans {
		plans[p.PlanID] = p
	}
	return plans
}
