package apigateway

import (
	"context"
	"time"

	"weir/internal/catalog"
	"weir/internal/control/protocol"
	"weir/internal/store"
)

func (s *service) apiKeyOperations() []protocol.Operation {
	return []protocol.Operation{
		protocol.REST("CreateApiKey", "POST", "/apikeys", 201, s.createAPIKey),
		protocol.REST("ImportApiKeys", "POST", "/apikeys?mode=import", 201, s.importAPIKeys),
		protocol.REST("GetApiKeys", "GET", "/apikeys", 200, s.getAPIKeys),
		protocol.REST("GetApiKey", "GET", "/apikeys/{api_Key}", 200, s.getAPIKey),
		protocol.REST("UpdateApiKey", "PATCH", "/apikeys/{api_Key}", 200, s.updateAPIKey),
		protocol.REST("DeleteApiKey", "DELETE", "/apikeys/{api_Key}", 202, s.deleteAPIKey),
	}
}

// A key value that we make: 40 characters, as AWS's are.
const (
	keyValueLength   = 40
	keyValueAlphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
)

// apiKey is a key as AWS prints it. StageKeys belong to a time before usage
// plans; they grant nothing and are always empty.
type apiKey struct {
	ID              string             `json:"id"`
	Value           string             `json:"value,omitempty"`
	Name            string             `json:"name,omitempty"`
	CustomerID      string             `json:"customerId,omitempty"`
	Description     string             `json:"description,omitempty"`
	Enabled         bool               `json:"enabled"`
	CreatedDate     time.Time          `json:"createdDate"`
	LastUpdatedDate time.Time          `json:"lastUpdatedDate"`
	StageKeys       []string           `json:"stageKeys"`
	Tags            *map[string]string `json:"tags,omitempty"`
}

func newAPIKey(k catalog.APIKey) *apiKey {
	return &apiKey{
		ID: k.ID, Name: k.Name, CustomerID: k.CustomerID, Description: k.Description, Enabled: k.Enabled,
		CreatedDate: k.CreatedDate, LastUpdatedDate: k.LastUpdatedDate, Tags: some(k.Tags),
	}
}

// keyContext binds a sealed value to its key.
func keyContext(id string) string { return "apikey/" + id }

// value opens a key's value; "" when the operator does not keep values.
func (s *service) value(k catalog.APIKey) (string, error) {
	if len(k.Sealed) == 0 {
		return "", nil
	}
	plain, err := s.Secret.Open(k.Sealed, keyContext(k.ID))
	return string(plain), err
}

func findAPIKey(tx *store.Tx, id string) (catalog.APIKey, error) {
	k, ok, err := store.Get[catalog.APIKey](tx, id)
	if err == nil && !ok {
		err = catalog.ErrAPIKey()
	}
	return k, err
}

type stageKey struct {
	APIID     string `json:"restApiId"`
	StageName string `json:"stageName"`
}

type createAPIKeyInput struct {
	Name               string            `json:"name"`
	Description        string            `json:"description"`
	Enabled            bool              `json:"enabled"`
	GenerateDistinctID bool              `json:"generateDistinctId"` // deprecated: identifiers are always distinct
	Value              string            `json:"value"`
	StageKeys          []stageKey        `json:"stageKeys"`
	CustomerID         string            `json:"customerId"`
	Tags               map[string]string `json:"tags"`
}

func (s *service) createAPIKey(ctx context.Context, _ protocol.Call, in *createAPIKeyInput) (out *apiKey, err error) {
	k := catalog.APIKey{
		Name: in.Name, Description: in.Description, CustomerID: in.CustomerID, Enabled: in.Enabled, Tags: in.Tags,
	}
	if err := k.Check(); err != nil {
		return nil, err
	}
	if err := k.CheckTags(); err != nil {
		return nil, err
	}
	value := in.Value
	if value == "" {
		value = randomText(keyValueLength, keyValueAlphabet)
	} else if err := catalog.CheckKeyValue(value); err != nil {
		return nil, err
	}
	k.Digest = s.Secret.Digest(value)
	err = s.Store.Update(ctx, func(tx *store.Tx) error {
		if _, taken, err := tx.APIKeyByDigest(k.Digest); err != nil || taken {
			if err == nil {
				err = &catalog.Error{Class: catalog.Conflict, Message: "API Key already exists"}
			}
			return err
		}
		if k.ID, err = newID[catalog.APIKey](tx, longID); err != nil {
			return err
		}
		k.Sealed = s.Secret.Seal([]byte(value), keyContext(k.ID))
		k.CreatedDate, k.LastUpdatedDate = tx.Now(), tx.Now()
		out = newAPIKey(k)
		out.Value = value
		return store.Put(tx, k)
	})
	return out, err
}

type getAPIKeysInput struct {
	paging
	NameQuery     string `query:"name"`
	CustomerID    string `query:"customerId"`
	IncludeValues bool   `query:"includeValues"`
}

type apiKeys struct {
	Item     []*apiKey `json:"item"`
	Position string    `json:"position,omitempty"`
}

func (s *service) getAPIKeys(ctx context.Context, _ protocol.Call, in *getAPIKeysInput) (*apiKeys, error) {
	out := &apiKeys{}
	err := s.Store.View(ctx, func(tx *store.Tx) error {
		size := in.size()
		found, err := tx.APIKeys(store.KeyQuery{
			NamePrefix: in.NameQuery, CustomerID: in.CustomerID, After: in.after(), Limit: size + 1,
		})
		if err != nil {
			return err
		}
		found, out.Position = cutAfter(found, size, func(k catalog.APIKey) string { return k.ID })
		for _, k := range found {
			view := newAPIKey(k)
			if in.IncludeValues {
				if view.Value, err = s.value(k); err != nil {
					return err
				}
			}
			out.Item = append(out.Item, view)
		}
		return nil
	})
	return out, err
}

type apiKeyInput struct {
	KeyID string `path:"api_Key"`
}

type getAPIKeyInput struct {
	apiKeyInput
	IncludeValue bool `query:"includeValue"`
}

func (s *service) getAPIKey(ctx context.Context, _ protocol.Call, in *getAPIKeyInput) (out *apiKey, err error) {
	err = s.Store.View(ctx, func(tx *store.Tx) error {
		k, err := findAPIKey(tx, in.KeyID)
		if err != nil {
			return err
		}
		out = newAPIKey(k)
		out.Tags = always(k.Tags)
		if in.IncludeValue {
			out.Value, err = s.value(k)
		}
		return err
	})
	return out, err
}

// apiKeyPatch lists its paths in the order of AWS's error. AWS also has
// labels and stages to add; stages grant nothing any more, labels were never
// documented, so neither is taken.
var apiKeyPatch = protocol.Patch[catalog.APIKey]{Rules: []protocol.PatchRule[catalog.APIKey]{
	{Ops: "replace", Path: "/description", Set: setText(func(k *catalog.APIKey) *string { return &k.Description })},
	{Ops: "replace", Path: "/enabled", Set: func(k *catalog.APIKey, p protocol.PatchCall) error {
		k.Enabled = catalog.Truth(p.Value)
		return nil
	}},
	{Ops: "replace", Path: "/name", Set: setText(func(k *catalog.APIKey) *string { return &k.Name })},
	{Ops: "replace", Path: "/customerId", Set: setText(func(k *catalog.APIKey) *string { return &k.CustomerID })},
}}

type updateAPIKeyInput struct {
	apiKeyInput
	patchInput
}

func (s *service) updateAPIKey(ctx context.Context, _ protocol.Call, in *updateAPIKeyInput) (out *apiKey, err error) {
	err = s.Store.Update(ctx, func(tx *store.Tx) error {
		k, err := findAPIKey(tx, in.KeyID)
		if err != nil {
			return err
		}
		if err := apiKeyPatch.Apply(&k, in.PatchOperations); err != nil {
			return err
		}
		if err := k.Check(); err != nil {
			return err
		}
		if len(in.PatchOperations) > 0 {
			k.LastUpdatedDate = tx.Now()
		}
		out = newAPIKey(k)
		out.Tags = always(k.Tags)
		return store.Put(tx, k)
	})
	return out, err
}

// deleteAPIKey takes the key out of its plans and deletes it.
func (s *service) deleteAPIKey(ctx context.Context, _ protocol.Call, in *apiKeyInput) (*accepted, error) {
	return nil, s.Store.Update(ctx, func(tx *store.Tx) error {
		if _, err := findAPIKey(tx, in.KeyID); err != nil {
			return err
		}
		links, err := tx.KeyLinks(in.KeyID)
		if err != nil {
			return err
		}
		for _, l := range links {
			if err := store.Delete[catalog.UsagePlanKey](tx, l.PlanID, l.KeyID); err != nil {
				return err
			}
		}
		return store.Delete[catalog.APIKey](tx, in.KeyID)
	})
}
