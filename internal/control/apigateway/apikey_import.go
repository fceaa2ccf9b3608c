package apigateway

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"weir/internal/catalog"
	"weir/internal/control/protocol"
	"weir/internal/store"
)

const (
	// importBatch is how many keys one transaction takes where nothing says that
	// it is all or none: calls that a quota counts wait for as long.
	importBatch = 500
	// maxTold is how many problems the refusal of an import names.
	maxTold = 10
)

type importAPIKeysInput struct {
	Body           []byte `body:"raw"`
	Format         string `query:"format" required:"true" enum:"csv"`
	FailOnWarnings bool   `query:"failonwarnings"`
}

// apiKeyIDs names the keys that were made or overwritten, in the order of the
// file, and says what was left out.
type apiKeyIDs struct {
	IDs      []string `json:"ids"`
	Warnings []string `json:"warnings"`
}

// importAPIKeys makes keys of a file, or overwrites those that have a value of
// it, and puts them into plans. A row that cannot be taken, for itself or for a
// plan that it names, is left out whole with a warning; with failonwarnings
// nothing is imported then. AWS's own warnings are not recorded.
func (s *service) importAPIKeys(ctx context.Context, _ protocol.Call, in *importAPIKeysInput) (*apiKeyIDs, error) {
	if len(in.Body) > catalog.MaxKeyFile {
		return nil, badRequest(fmt.Sprintf("A file of API Keys can have at most %d bytes", catalog.MaxKeyFile))
	}
	rows, err := catalog.ReadKeyFile(in.Body, catalog.MaxKeyFileRows)
	if err != nil {
		return nil, err
	}
	im := keyImport{s: s, seen: map[string]bool{}}
	size := importBatch
	if in.FailOnWarnings {
		size = max(len(rows), 1)
	}
	for batch := range slices.Chunk(rows, size) {
		err := s.Store.Update(ctx, func(tx *store.Tx) error {
			for _, row := range batch {
				if err := im.row(tx, row); err != nil {
					return err
				}
			}
			if in.FailOnWarnings && len(im.out.Warnings) > 0 {
				return badRequest("No API Key was imported: " + told(im.out.Warnings))
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return &im.out, nil
}

// keyImport is an import under way.
type keyImport struct {
	s    *service
	out  apiKeyIDs
	seen map[string]bool // identifiers in out
}

func told(warnings []string) string {
	text := strings.Join(warnings[:min(len(warnings), maxTold)], "; ")
	if more := len(warnings) - maxTold; more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return text
}

// row takes one row, or leaves it out with a warning.
func (im *keyImport) row(tx *store.Tx, row catalog.KeyFileRow) error {
	problem := row.Problem
	if problem == nil {
		id, err := im.s.importKey(tx, row)
		if err == nil {
			if !im.seen[id] {
				im.seen[id] = true
				im.out.IDs = append(im.out.IDs, id)
			}
			return nil
		}
		if translate(err) == nil {
			return err // the database's, not the row's
		}
		problem = err
	}
	im.out.Warnings = append(im.out.Warnings, fmt.Sprintf("Line %d: %s", row.Line, problem))
	return nil
}

// importKey makes or overwrites the key of a row. All rules are asked before
// anything is put: an error leaves the store as it was.
func (s *service) importKey(tx *store.Tx, row catalog.KeyFileRow) (id string, err error) {
	k := catalog.APIKey{Digest: s.Secret.Digest(row.Value), CreatedDate: tx.Now()}
	found, exists, err := tx.APIKeyByDigest(k.Digest)
	switch {
	case err != nil:
		return "", err
	case exists && found.Digest != k.Digest:
		return "", store.ErrDuplicateKey // it is the value from before that key's rotation
	case exists:
		k = found
	default:
		if k.ID, err = newID[catalog.APIKey](tx, longID); err != nil {
			return "", err
		}
		k.Sealed = s.Secret.Seal([]byte(row.Value), keyContext(k.ID))
	}
	k.Name, k.Description, k.Enabled, k.LastUpdatedDate = row.Name, row.Description, row.Enabled, tx.Now()
	joins, err := plansToJoin(tx, k.ID, row.PlanIDs)
	if err != nil {
		return "", err
	}
	if err := store.Put(tx, k); err != nil {
		return "", err
	}
	for _, planID := range joins {
		if err := store.Put(tx, catalog.UsagePlanKey{PlanID: planID, KeyID: k.ID, AddedAt: tx.Now()}); err != nil {
			return "", err
		}
	}
	return k.ID, nil
}

// plansToJoin gives those of the plans that the key is not in yet.
func plansToJoin(tx *store.Tx, keyID string, planIDs []string) (joins []string, err error) {
	if len(planIDs) == 0 {
		return nil, nil
	}
	in, err := plansOf(tx, keyID)
	if err != nil {
		return nil, err
	}
	for _, id := range planIDs {
		if slices.ContainsFunc(in, func(p catalog.UsagePlan) bool { return p.ID == id }) {
			continue
		}
		p, err := findUsagePlan(tx, id)
		if err != nil {
			return nil, err
		}
		if err := p.CheckJoin(keyID, in); err != nil {
			return nil, err
		}
		in, joins = append(in, p), append(joins, id)
	}
	return joins, nil
}
