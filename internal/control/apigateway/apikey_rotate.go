package apigateway

import (
	"context"
	"io"
	"maps"
	"net/http"
	"time"

	"weir/internal/catalog"
	"weir/internal/control/protocol"
	"weir/internal/store"
)

// KeyRoutes is the folder of what weir does with keys and AWS does not.
const KeyRoutes = "/_weir/keys/"

// KeyHandler serves the routes below KeyRoutes. Who may call them is the
// door's business.
func KeyHandler(o Options) http.Handler {
	s := &service{o}
	own := protocol.Service{
		Name: "weir", Wire: protocol.RESTJSON, InputPrefix: true, Translate: translate,
		Operations: []protocol.Operation{protocol.REST("RotateApiKey", "POST", KeyRoutes+"{api_Key}/rotate", 200, s.rotateAPIKey)},
	}
	if err := own.Compile(); err != nil {
		panic(err) // two routes that are one: any test finds it
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, `{"message":"The request body could not be read"}`, http.StatusBadRequest)
			return
		}
		own.Serve(w, r, body, protocol.Call{Service: own.Name, Region: o.Region, Account: o.Account}, nil)
	})
}

// maxKeep is the longest that a rotation lets the old value work; the tag can
// be moved to any date afterwards.
const maxKeep = 366 * 24 * time.Hour

type rotateAPIKeyInput struct {
	apiKeyInput
	KeepSeconds int64 `json:"keepSeconds"` // how long the old value works on; 0: it ends at once
}

type rotatedAPIKey struct {
	ID                 string `json:"id"`
	Name               string `json:"name,omitempty"`
	Value              string `json:"value"`
	PreviousValueUntil string `json:"previousValueUntil,omitempty"`
}

// rotateAPIKey gives a key a new value. Its identifier, its plans and what it
// has used stay. With a time to keep, the value that it had works until the date
// in the tag weir:previous-value-until, which AWS's tag operations move or end.
func (s *service) rotateAPIKey(ctx context.Context, _ protocol.Call, in *rotateAPIKeyInput) (out *rotatedAPIKey, err error) {
	if in.KeepSeconds < 0 || in.KeepSeconds > int64(maxKeep/time.Second) {
		return nil, badRequest("Invalid keepSeconds specified, must be between 0 and 31622400, which is 366 days")
	}
	value := randomText(keyValueLength, keyValueAlphabet)
	err = s.Store.Update(ctx, func(tx *store.Tx) error {
		k, err := findAPIKey(tx, in.KeyID)
		if err != nil {
			return err
		}
		if k, err = rotated(k, time.Duration(in.KeepSeconds)*time.Second, tx.Now()); err != nil {
			return err
		}
		k.Digest = s.Secret.Digest(value)
		k.Sealed = s.Secret.Seal([]byte(value), keyContext(k.ID))
		out = &rotatedAPIKey{ID: k.ID, Name: k.Name, Value: value, PreviousValueUntil: k.Tags[catalog.TagPreviousUntil]}
		return store.Put(tx, k)
	})
	return out, err
}

// rotated is the key without a new value yet. To keep one value while another
// is still being kept is refused: whoever asks again because the answer was lost
// would otherwise end the value that callers have.
func rotated(k catalog.APIKey, keep time.Duration, now time.Time) (catalog.APIKey, error) {
	tags := maps.Clone(k.Tags)
	if tags == nil {
		tags = map[string]string{}
	}
	delete(tags, catalog.TagPreviousUntil)
	k.LastUpdatedDate = now
	if keep == 0 {
		k.Previous, k.Tags = [32]byte{}, tags
		return k, nil
	}
	if t, err := k.Terms(); err == nil && t != nil && t.Previous != [32]byte{} && now.Before(t.PreviousUntil) {
		return k, &catalog.Error{Class: catalog.Conflict, Message: "API Key " + k.ID + " was rotated before, and its previous value works until " +
			k.Tags[catalog.TagPreviousUntil] + ". When nobody uses that one any more, remove the tag " + catalog.TagPreviousUntil + " and try again"}
	}
	// A whole second later rather than sooner: the tag has no fractions.
	tags[catalog.TagPreviousUntil] = now.Add(keep + time.Second - 1).UTC().Truncate(time.Second).Format(time.RFC3339)
	k.Previous, k.Tags = k.Digest, tags
	return k, k.CheckTags()
}
