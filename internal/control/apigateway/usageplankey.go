package apigateway

import (
	"context"

	"weir/internal/catalog"
	"weir/internal/control/protocol"
	"weir/internal/store"
)

func (s *service) usagePlanKeyOperations() []protocol.Operation {
	const all, one = "/usageplans/{usageplanId}/keys", "/usageplans/{usageplanId}/keys/{keyId}"
	return []protocol.Operation{
		protocol.REST("CreateUsagePlanKey", "POST", all, 201, s.createUsagePlanKey),
		protocol.REST("GetUsagePlanKeys", "GET", all, 200, s.getUsagePlanKeys),
		protocol.REST("GetUsagePlanKey", "GET", one, 200, s.getUsagePlanKey),
		protocol.REST("DeleteUsagePlanKey", "DELETE", one, 202, s.deleteUsagePlanKey),
	}
}

const keyTypeAPIKey = "API_KEY"

// usagePlanKey carries the key's value, as AWS's answers do.
type usagePlanKey struct {
	ID    string `json:"id"`
	Type  string `json:"type"`
	Value string `json:"value,omitempty"`
	Name  string `json:"name,omitempty"`
}

func (s *service) newUsagePlanKey(k catalog.APIKey) (*usagePlanKey, error) {
	value, err := s.value(k)
	return &usagePlanKey{ID: k.ID, Type: keyTypeAPIKey, Value: value, Name: k.Name}, err
}

type createUsagePlanKeyInput struct {
	usagePlanInput
	KeyID   string `json:"keyId" required:"true"`
	KeyType string `json:"keyType" required:"true"`
}

func (s *service) createUsagePlanKey(ctx context.Context, _ protocol.Call, in *createUsagePlanKeyInput) (out *usagePlanKey, err error) {
	if in.KeyType != keyTypeAPIKey {
		return nil, badRequest("Invalid key type specified. Valid options are API_KEY")
	}
	err = s.Store.Update(ctx, func(tx *store.Tx) error {
		p, err := findUsagePlan(tx, in.PlanID)
		if err != nil {
			return err
		}
		k, err := findAPIKey(tx, in.KeyID)
		if err != nil {
			return err
		}
		in, err := plansOf(tx, k.ID)
		if err != nil {
			return err
		}
		if err := p.CheckJoin(k.ID, in); err != nil {
			return err
		}
		if out, err = s.newUsagePlanKey(k); err != nil {
			return err
		}
		return store.Put(tx, catalog.UsagePlanKey{PlanID: p.ID, KeyID: k.ID, AddedAt: tx.Now()})
	})
	return out, err
}

// plansOf reads the plans that a key is in.
func plansOf(tx *store.Tx, keyID string) ([]catalog.UsagePlan, error) {
	links, err := tx.KeyLinks(keyID)
	if err != nil {
		return nil, err
	}
	in := make([]catalog.UsagePlan, len(links))
	for i, l := range links {
		if in[i], _, err = store.Get[catalog.UsagePlan](tx, l.PlanID); err != nil {
			return nil, err
		}
	}
	return in, nil
}

type getUsagePlanKeysInput struct {
	usagePlanInput
	paging
	NameQuery string `query:"name"`
}

type usagePlanKeys struct {
	Item     []*usagePlanKey `json:"item"`
	Position string          `json:"position,omitempty"`
}

// getUsagePlanKeys lists a plan's keys. An unknown plan has none: AWS answers
// 200.
func (s *service) getUsagePlanKeys(ctx context.Context, _ protocol.Call, in *getUsagePlanKeysInput) (*usagePlanKeys, error) {
	out := &usagePlanKeys{}
	err := s.Store.View(ctx, func(tx *store.Tx) error {
		size := in.size()
		found, err := tx.APIKeys(store.KeyQuery{
			PlanID: in.PlanID, NamePrefix: in.NameQuery, After: in.after(), Limit: size + 1,
		})
		if err != nil {
			return err
		}
		found, out.Position = cutAfter(found, size, func(k catalog.APIKey) string { return k.ID })
		for _, k := range found {
			view, err := s.newUsagePlanKey(k)
			if err != nil {
				return err
			}
			out.Item = append(out.Item, view)
		}
		return nil
	})
	return out, err
}

type usagePlanKeyInput struct {
	usagePlanInput
	KeyID string `path:"keyId"`
}

// find reads a key that is in the plan or answers what is unknown.
func (in *usagePlanKeyInput) find(tx *store.Tx) (catalog.APIKey, error) {
	if _, err := findUsagePlan(tx, in.PlanID); err != nil {
		return catalog.APIKey{}, err
	}
	_, ok, err := store.Get[catalog.UsagePlanKey](tx, in.PlanID, in.KeyID)
	if err != nil {
		return catalog.APIKey{}, err
	}
	if !ok {
		return catalog.APIKey{}, catalog.ErrAPIKey()
	}
	return findAPIKey(tx, in.KeyID)
}

func (s *service) getUsagePlanKey(ctx context.Context, _ protocol.Call, in *usagePlanKeyInput) (out *usagePlanKey, err error) {
	err = s.Store.View(ctx, func(tx *store.Tx) error {
		k, err := in.find(tx)
		if err != nil {
			return err
		}
		out, err = s.newUsagePlanKey(k)
		return err
	})
	return out, err
}

func (s *service) deleteUsagePlanKey(ctx context.Context, _ protocol.Call, in *usagePlanKeyInput) (*accepted, error) {
	return nil, s.Store.Update(ctx, func(tx *store.Tx) error {
		if _, err := in.find(tx); err != nil {
			return err
		}
		return store.Delete[catalog.UsagePlanKey](tx, in.PlanID, in.KeyID)
	})
}
